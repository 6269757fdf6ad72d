// Insert or update, telling for each given row which of the two it was.
import { getTableColumns, sql, type SQL } from "drizzle-orm";
import type { PgColumn, PgTable } from "drizzle-orm/pg-core";
import { InternalError, InvalidInputError, type QueryResult, type Statement } from "../postgres/index.ts";
import { dialect } from "./dialect.ts";
import { columnList, insertRows, JsonRows, rowsSource, type RowGroup, type Values } from "./json-rows.ts";
import { checkTable } from "./locking.ts";
import { conflictClause, targetColumns, type ConflictRule } from "./on-conflict.ts";
import { PlannedQuery, type Plan } from "./planned-query.ts";
import { primaryKeyOf, tableText, type RowOf } from "./table-columns.ts";
import type { UnitDatabase } from "./unit-database.ts";
import type { UnitOfWork } from "./unit-of-work.ts";
import { preparedQuery, type UnitQuery } from "./unit-query.ts";

export type UpsertOptions<T extends PgTable = PgTable> = ConflictRule<T>;

export interface Upserted<R> {
  readonly row: R;
  /** `false`: the row was there already. */
  readonly inserted: boolean;
}

/** A row that was there already can be hidden: by row-level security, or gone again. */
export type UpsertedRow<T extends PgTable, O> = O extends { readonly onConflict: "nothing" } | { readonly where: SQL }
  ? RowOf<T> | undefined
  : RowOf<T>;

/** `tx.upsert()`; described there. */
export function upsertRows<T extends PgTable>(
  tx: Pick<UnitDatabase, "select">,
  unit: UnitOfWork,
  table: T,
  values: Values | readonly Values[],
  options: UpsertOptions,
): PlannedQuery<Upserted<RowOf<T> | undefined>[]> {
  return new PlannedQuery(unit, () => {
    checkTable(table);
    const model: PgTable = table;
    const rows = (Array.isArray(values) ? values : [values]) as readonly Values[];
    const json = new JsonRows(model, rows, "insert");
    const decoder = preparedQuery(tx.select().from(model));
    const isTold = options.onConflict === "nothing" || options.where !== undefined;
    const parts = json.groups.map((group) => {
      const encoded = json.encode(group, group.indexes);
      const key = matchingKey(model, group, options);
      const statements = [insertStatement(model, group, encoded, key, options)];
      // A row that stayed as it was does not come back from INSERT, so a second statement fetches it. It is a statement of
      // its own because only that one sees rows which another transaction committed meanwhile.
      if (isTold) statements.push(existingStatement(model, encoded, key, options));
      return { group, key, statements };
    });
    const plan: Plan<Upserted<RowOf<T> | undefined>[]> = {
      statements: parts.flatMap(({ statements }) => statements.map((text) => statementOf(text, decoder))),
      read: async (results) => {
        const found: Upserted<RowOf<T> | undefined>[] = Array.from({ length: rows.length });
        let next = 0;
        for (const { group, key } of parts) {
          const changed = await readReturned<T>(decoder, results[next++]);
          if (isTold) {
            const existing = await readReturned<T>(decoder, results[next++]);
            placeByKey(found, group, changed, existing, (index) => json.hasNull(group, index, key));
          } else placeInOrder(found, group, changed);
        }
        return found;
      },
    };
    return plan;
  });
}

/**
 * Columns by which an existing row is found again.
 *
 * @throws InvalidInputError when they are needed and the values do not name them
 */
function matchingKey(table: PgTable, group: RowGroup, options: UpsertOptions): readonly PgColumn[] {
  const key = options.target === undefined ? primaryKeyOf(table) : targetColumns(table, options);
  if (key.length > 0 && key.every((column) => group.columns.includes(column))) return key;
  if (options.onConflict !== "nothing" && options.where === undefined) return [];
  throw new InvalidInputError("rows that stay as they are can only be told apart by the columns that conflict", {
    hint: "name them with target, and give each of them a value",
  });
}

function insertStatement(
  table: PgTable,
  group: RowGroup,
  rows: readonly string[],
  key: readonly PgColumn[],
  options: UpsertOptions,
): SQL {
  // A row that was updated keeps the mark of the lock that ON CONFLICT took on it in its xmax; a new one has none.
  return sql`${insertRows(table, group.columns, rows)}${conflictClause(table, group, options)} RETURNING ${allColumns(table)}, (xmax = 0), ${keyTexts(table, key)}`;
}

function existingStatement(
  table: PgTable,
  rows: readonly string[],
  key: readonly PgColumn[],
  options: UpsertOptions,
): SQL {
  const name = tableText(table);
  const given = sql`(SELECT ${sql.raw(columnList(key, "r."))}, pg_catalog.row_number() OVER () AS position FROM ${rowsSource(table, rows)} AS r) AS pgsteward_given`;
  const match = key.map(
    (column) => `${columnList([column], `${name}.`)} = ${columnList([column], "pgsteward_given.")}`,
  );
  const partial = options.targetWhere === undefined ? sql`` : sql` WHERE ${options.targetWhere}`;
  return sql`SELECT ${allColumns(table)}, pgsteward_given.position, ${keyTexts(table, key)} FROM ${given} JOIN ${sql.raw(name)} ON ${sql.raw(match.join(" AND "))}${partial}`;
}

function allColumns(table: PgTable): SQL {
  return sql.raw(columnList(Object.values(getTableColumns(table)), `${tableText(table)}.`));
}

/** The key's texts as one array, so that rows of two results can be told to be the same. */
function keyTexts(table: PgTable, key: readonly PgColumn[]): SQL {
  const texts = key.map((column) => `${columnList([column], `${tableText(table)}.`)}::text`);
  return sql.raw(`ARRAY[${texts.join(", ")}]::text[]::text`);
}

interface Returned<T extends PgTable> {
  readonly row: RowOf<T>;
  /** `xmax = 0` of an inserted or updated row; the position, from 1, of a row that was found. */
  readonly mark: unknown;
  readonly key: string;
}

async function readReturned<T extends PgTable>(
  decoder: UnitQuery,
  result: QueryResult | undefined,
): Promise<Returned<T>[]> {
  if (result === undefined) return [];
  const rows = decoder.decodeRows(result) as readonly RowOf<T>[];
  const raw = result.rows as unknown as unknown[][]; // rowMode "array"
  return rows.map((row, index) => ({ row, mark: raw[index]?.at(-2), key: String(raw[index]?.at(-1)) }));
}

/** Without a condition every row comes back, in the order in which it was given. */
function placeInOrder<T extends PgTable>(
  found: Upserted<RowOf<T> | undefined>[],
  group: RowGroup,
  returned: readonly Returned<T>[],
): void {
  if (returned.length !== group.indexes.length) {
    throw new InternalError(
      `${group.indexes.length} rows were given and ${returned.length} came back: a trigger or a rule suppressed some`,
      { hint: "use tx.bulkInsert(), which does not tell rows apart" },
    );
  }
  for (const [index, { row, mark }] of returned.entries()) {
    const position = group.indexes[index];
    if (position !== undefined) found[position] = { row, inserted: mark === true };
  }
}

function placeByKey<T extends PgTable>(
  found: Upserted<RowOf<T> | undefined>[],
  group: RowGroup,
  changed: readonly Returned<T>[],
  existing: readonly Returned<T>[],
  hasNoKey: (index: number) => boolean,
): void {
  const byKey = new Map(changed.map((item) => [item.key, item]));
  const placed = new Set<Returned<T>>();
  for (const { row, mark, key } of existing.toSorted((a, b) => Number(a.mark) - Number(b.mark))) {
    const position = group.indexes[Number(mark) - 1];
    const own = byKey.get(key);
    if (position === undefined) continue;
    // Of several rows given with one key, the first was inserted and the others found it.
    found[position] = { row, inserted: own?.mark === true && !placed.has(own) };
    if (own !== undefined) placed.add(own);
  }
  // NULL conflicts with nothing and is found by nothing: such rows were inserted, in order.
  const rest = changed.filter((item) => !placed.has(item));
  for (const position of group.indexes) {
    if (found[position] !== undefined) continue;
    const own = hasNoKey(position) ? rest.shift() : undefined;
    found[position] = { row: own?.row, inserted: own !== undefined };
  }
}

function statementOf(text: SQL, decoder: UnitQuery): Statement {
  const { sql: statement, params } = dialect.sqlToQuery(text);
  return { text: statement, values: params, rowMode: "array", types: decoder.statement.types };
}
