// Different values for many rows in one statement.
import { getTableColumns, getTableName, sql, type SQL } from "drizzle-orm";
import type { PgColumn, PgTable } from "drizzle-orm/pg-core";
import { InvalidInputError, type Statement } from "../postgres/index.ts";
import { dialect } from "./dialect.ts";
import { columnList, JsonRows, rowsSource, type RowGroup, type Values } from "./json-rows.ts";
import { checkTable } from "./locking.ts";
import { PlannedQuery } from "./planned-query.ts";
import { propertyOf, requiredKeyOf, tableText } from "./table-columns.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

export interface BulkUpdateOptions {
  /** Columns that say which row is meant. Default: the primary key. */
  readonly key?: PgColumn | readonly PgColumn[];
  /** Only these properties are written; the others are ignored. Default: all that a row names, but for the key. */
  readonly columns?: readonly string[];
}

export interface BulkUpdated {
  /** Rows changed. */
  readonly count: number;
  /** Positions of the given rows that met no row, ascending. */
  readonly missing: readonly number[];
}

/** `tx.bulkUpdate()`; described there. */
export function bulkUpdate(
  unit: UnitOfWork,
  table: PgTable,
  rows: readonly Values[],
  options: BulkUpdateOptions,
): PlannedQuery<BulkUpdated> {
  return new PlannedQuery(unit, () => {
    checkTable(table);
    const key = options.key === undefined ? requiredKeyOf(table, "tx.bulkUpdate()") : [options.key].flat();
    const json = new JsonRows(table, wanted(table, rows, key, options.columns), "update");
    checkKeys(table, json, key);
    return {
      statements: json.groups.map((group) => updateStatement(table, json, group, key)),
      read: (results) => {
        const met = new Set<number>();
        let count = 0;
        for (const [part, group] of json.groups.entries()) {
          const positions = (results[part]?.rows ?? []) as { position: string }[];
          count += positions.length;
          for (const { position } of positions) met.add(group.indexes[Number(position) - 1] ?? -1);
        }
        return { count, missing: rows.map((_, index) => index).filter((index) => !met.has(index)) };
      },
    };
  });
}

/** The rows are locked in key order before the first of them is written, so that two such updates do not deadlock. */
function updateStatement(table: PgTable, json: JsonRows, group: RowGroup, key: readonly PgColumn[]): Statement {
  const changed = group.columns.filter((column) => !key.includes(column));
  if (changed.length === 0) {
    throw new InvalidInputError(`row ${group.indexes[0] ?? 0} names no column to change`, {
      rowIndex: group.indexes[0],
      hint: "give values besides the key",
    });
  }
  const name = tableText(table);
  const match = key.map((column) => `t.${columnList([column])} = g.${columnList([column])}`).join(" AND ");
  const sets = changed.map((column) => `${columnList([column])} = g.${columnList([column])}`).join(", ");
  const given: SQL = sql`SELECT ${sql.raw(columnList(group.columns, "r."))}, pg_catalog.row_number() OVER () AS pgsteward_position FROM ${rowsSource(table, json.encode(group, group.indexes))} AS r`;
  const text = sql`WITH g AS MATERIALIZED (${given}), locked AS MATERIALIZED (SELECT FROM ${sql.raw(name)} AS t JOIN g ON ${sql.raw(match)} ORDER BY ${sql.raw(columnList(key, "t."))} FOR NO KEY UPDATE OF t) UPDATE ${sql.raw(name)} AS t SET ${sql.raw(sets)} FROM g WHERE (SELECT count(*) FROM locked) >= 0 AND ${sql.raw(match)} RETURNING g.pgsteward_position AS position`;
  const { sql: statement, params } = dialect.sqlToQuery(text);
  return { text: statement, values: params };
}

function wanted(
  table: PgTable,
  rows: readonly Values[],
  key: readonly PgColumn[],
  columns: readonly string[] | undefined,
): readonly Values[] {
  if (columns === undefined || !Array.isArray(rows)) return rows;
  const unknown = columns.filter((property) => !Object.hasOwn(getTableColumns(table), property));
  if (unknown.length > 0) {
    throw new InvalidInputError(`the table ${getTableName(table)} has no column ${unknown.join(", ")}`);
  }
  const kept = [...key.map((column) => propertyOf(table, column)), ...columns];
  return (rows as readonly Values[]).map((row) =>
    Object.fromEntries(kept.map((property) => [property, row[property]])),
  );
}

function checkKeys(table: PgTable, json: JsonRows, key: readonly PgColumn[]): void {
  const seen = new Map<string, number>();
  for (const group of json.groups) {
    const lacking = key.find((column) => !group.given.includes(column));
    if (lacking !== undefined) {
      const index = group.indexes[0] ?? 0;
      throw new InvalidInputError(`row ${index} has no value for the key column ${lacking.name}`, {
        rowIndex: index,
        hint: `every row needs ${key.map((column) => propertyOf(table, column)).join(", ")}`,
      });
    }
    for (const index of group.indexes) {
      const texts = json.texts(group, index);
      const id = JSON.stringify(key.map((column) => texts[group.columns.indexOf(column)]));
      const first = seen.get(id);
      if (first !== undefined) {
        throw new InvalidInputError(`rows ${first} and ${index} change the same row`, {
          rowIndex: index,
          hint: "give each row once: which of them would win is not defined",
        });
      }
      seen.set(id, index);
    }
  }
}
