// The order of pages: its keys, what makes it unique, and the condition for the rows beyond a position in it.
import { asc, desc, getTableName, is, SQL, sql, type SQLWrapper } from "drizzle-orm";
import { PgColumn, PgTable, type PgSelectConfig } from "drizzle-orm/pg-core";
import { InvalidInputError } from "../postgres/index.ts";
import type { CursorPosition } from "./cursor-token.ts";
import { primaryKeyOf } from "./table-columns.ts";

export type Direction = "asc" | "desc";
export type SortKey =
  | PgColumn
  | SQL
  | SQL.Aliased
  | { readonly column: PgColumn | SQL | SQL.Aliased; readonly direction?: Direction };
type TieBreaker = PgColumn | SQL | SQL.Aliased | readonly (PgColumn | SQL | SQL.Aliased)[];

export interface Key {
  readonly column: PgColumn | SQL | SQL.Aliased;
  readonly expression: SQLWrapper;
  readonly direction: Direction;
}

export function sortKeys(orderBy: SortKey | readonly SortKey[] | undefined): Key[] {
  const list = orderBy === undefined ? [] : ([orderBy].flat() as readonly SortKey[]);
  return list.map((item) => {
    const isBare = is(item, PgColumn) || is(item, SQL) || is(item, SQL.Aliased);
    const column = isBare ? item : (item as { column?: unknown } | undefined)?.column;
    const direction = isBare ? "asc" : ((item as { direction?: unknown } | undefined)?.direction ?? "asc");
    if (!is(column, PgColumn) && !is(column, SQL) && !is(column, SQL.Aliased)) {
      throw new InvalidInputError("orderBy takes columns or sql, each with a direction", {
        hint: 'e.g. [{ column: messages.created_at, direction: "desc" }]',
      });
    }
    if (direction !== "asc" && direction !== "desc") {
      throw new InvalidInputError(`a direction cannot be ${JSON.stringify(direction)}`, {
        hint: 'use "asc" or "desc"',
      });
    }
    return keyOf(column, direction);
  });
}

function keyOf(column: PgColumn | SQL | SQL.Aliased, direction: Direction): Key {
  return { column, direction, expression: is(column, SQL.Aliased) ? column.sql : column };
}

/** The primary keys of all tables of the query, in the direction of the last key, so that an index can serve the order. */
export function tieBreakers(config: PgSelectConfig, given: TieBreaker | undefined, keys: readonly Key[]): Key[] {
  const direction = keys.at(-1)?.direction ?? "asc";
  if (given !== undefined) {
    return ([given].flat() as (PgColumn | SQL)[]).map((column) => keyOf(column, direction));
  }
  const columns = keyColumns(config);
  if (columns.length === 0) {
    throw new InvalidInputError(
      "pages need an order without ties, and the query has no primary key to complete it with",
      {
        hint: "pass { tieBreaker: column } with columns that are unique together",
      },
    );
  }
  const isThere = (column: PgColumn): boolean =>
    keys.some(
      (key) => is(key.column, PgColumn) && key.column.name === column.name && key.column.table === column.table,
    );
  const own = columns.filter((column) => !isThere(column)).map((column) => keyOf(column, direction));
  // A row of the left side can stand beside several of the right one, or beside none.
  const outer = joinsOf(config)
    .filter(({ joinType, table }) => joinType === "left" && is(table, PgTable))
    .flatMap(({ table }) => primaryKeyOf(table as PgTable))
    .map((column) => keyOf(sql`coalesce(${column}::text, '')`, direction));
  return [...own, ...outer];
}

export function keyColumns(config: PgSelectConfig): PgColumn[] {
  const tables = [
    config.table,
    ...joinsOf(config)
      .filter(({ joinType }) => joinType === "inner")
      .map(({ table }) => table),
  ];
  const keys = tables.map((table) => (is(table, PgTable) ? primaryKeyOf(table) : []));
  return keys.some((key) => key.length === 0) ? [] : keys.flat();
}

function joinsOf(config: PgSelectConfig): NonNullable<PgSelectConfig["joins"]> {
  return config.joins ?? [];
}

/** NULL compares with nothing, so rows that hold it would be on no page. */
export function refuseNullable(config: PgSelectConfig, { column }: Key): void {
  if (!is(column, PgColumn)) return;
  const isPlaced = joinsOf(config).some(
    ({ joinType, alias }) =>
      joinType === "full" ||
      (joinType === "left" && alias === getTableName(column.table)) ||
      (joinType === "right" && alias !== getTableName(column.table)),
  );
  if (column.notNull && !isPlaced) return;
  throw new InvalidInputError(
    isPlaced
      ? `the column ${column.name} can be NULL where an outer join found nothing, so pages cannot be ordered by it`
      : `the column ${column.name} can be NULL, so pages cannot be ordered by it`,
    {
      hint: `make it NOT NULL, or order by sql\`coalesce(\${table.${column.name}}, …)\` with a value it never has, and index that expression`,
    },
  );
}

/**
 * Rows that come after a position: one row comparison when all directions agree, else `a >= x AND (a > x OR …)` around the
 * row comparison of the last keys that agree. Never `a > x OR (a = x AND b > y)`: no index serves that (2,596 buffers
 * against 6). In the mixed form the index finds the first key only, so few rows should share its value.
 */
export function beyond(keys: readonly Key[], { keys: texts, isInclusive }: CursorPosition): SQL {
  if (texts.length !== keys.length) throw new InvalidInputError("the cursor does not fit the order");
  const direction = keys.at(-1)?.direction ?? "asc";
  const start = keys.findLastIndex((key) => key.direction !== direction) + 1;
  const sign = sql.raw(comparison(direction, isInclusive));
  const columns = keys.slice(start).map(({ expression }) => sql`${expression}`);
  const values = texts.slice(start).map((text) => sql`${text}`);
  const agreeing =
    columns.length === 1
      ? sql`${columns[0]} ${sign} ${values[0]}`
      : sql`(${sql.join(columns, sql`, `)}) ${sign} (${sql.join(values, sql`, `)})`;
  return keys.slice(0, start).reduceRight((rest, key, index) => {
    const [loose, strict] = [sql.raw(comparison(key.direction, true)), sql.raw(comparison(key.direction, false))];
    const value = texts[index];
    return sql`(${key.expression} ${loose} ${value} AND (${key.expression} ${strict} ${value} OR ${rest}))`;
  }, agreeing);
}

function comparison(direction: Direction, isInclusive: boolean): string {
  return (direction === "asc" ? ">" : "<") + (isInclusive ? "=" : "");
}

export function orderOf({ expression, direction }: Key): SQL {
  return direction === "asc" ? asc(expression) : desc(expression);
}

export function opposite(direction: Direction): Direction {
  return direction === "asc" ? "desc" : "asc";
}
