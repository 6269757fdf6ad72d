// The ON CONFLICT clause of upsert() and bulkInsert().
import { getTableColumns, getTableName, is, SQL, sql } from "drizzle-orm";
import { PgColumn, type PgTable } from "drizzle-orm/pg-core";
import { identifier, InvalidInputError } from "../postgres/index.ts";
import type { RowGroup } from "./json-rows.ts";
import { primaryKeyOf } from "./table-columns.ts";

type Assignments<T extends PgTable> = { readonly [K in keyof T["$inferInsert"]]?: T["$inferInsert"][K] | SQL };

export interface ConflictRule<T extends PgTable = PgTable> {
  /** Columns of the unique index that decides. Default: the primary key. */
  readonly target?: PgColumn | readonly PgColumn[];
  /** Condition of the partial unique index that decides. */
  readonly targetWhere?: SQL;
  /**
   * What an existing row gets: values, or SQL (`sql`excluded.points + ${table.points}``). Default: all columns the values
   * name, but for the target and the primary key.
   */
  readonly set?: Assignments<T>;
  /** Rows for which it is false keep what they have. */
  readonly where?: SQL;
  /** `"update"` (default) or `"nothing"`: the existing row stays. */
  readonly onConflict?: "update" | "nothing";
}

/** @throws InvalidInputError when no target is named and the model has no primary key */
export function targetColumns(table: PgTable, rule: ConflictRule): readonly PgColumn[] {
  const target = rule.target === undefined ? primaryKeyOf(table) : [rule.target].flat();
  const columns = Object.values(getTableColumns(table));
  for (const column of target) {
    if (!is(column, PgColumn) || !columns.some(({ name }) => name === column.name)) {
      throw new InvalidInputError(`the target of a conflict must be columns of ${getTableName(table)}`, {
        hint: "pass e.g. { target: users.email }",
      });
    }
  }
  if (target.length === 0) {
    throw new InvalidInputError(
      `${getTableName(table)} has no primary key, so the target of a conflict must be named`,
      {
        hint: "pass { target: table.column } with the columns of a unique index",
      },
    );
  }
  return target;
}

export function conflictClause(table: PgTable, group: RowGroup, rule: ConflictRule): SQL {
  if (rule.onConflict !== undefined && rule.onConflict !== "update" && rule.onConflict !== "nothing") {
    throw new InvalidInputError(`onConflict cannot be ${JSON.stringify(rule.onConflict)}`, {
      hint: 'use "update" or "nothing"',
    });
  }
  if (rule.onConflict === "nothing" && rule.target === undefined) return sql` ON CONFLICT DO NOTHING`;
  const target = targetColumns(table, rule);
  const names = sql.raw(target.map(({ name }) => identifier(name)).join(", "));
  const partial = rule.targetWhere === undefined ? sql`` : sql` WHERE ${rule.targetWhere}`;
  if (rule.onConflict === "nothing") return sql` ON CONFLICT (${names})${partial} DO NOTHING`;
  const where = rule.where === undefined ? sql`` : sql` WHERE ${rule.where}`;
  return sql` ON CONFLICT (${names})${partial} DO UPDATE SET ${assignments(table, group, rule, target)}${where}`;
}

function assignments(table: PgTable, group: RowGroup, rule: ConflictRule, target: readonly PgColumn[]): SQL {
  const columns = getTableColumns(table);
  const excluded = (column: PgColumn): SQL =>
    sql.raw(`${identifier(column.name)} = EXCLUDED.${identifier(column.name)}`);
  if (rule.set === undefined) {
    const fixed = new Set([...target, ...primaryKeyOf(table)].map(({ name }) => name));
    const changed = group.columns.filter(
      (column) => !fixed.has(column.name) && (group.given.includes(column) || column.onUpdateFn !== undefined),
    );
    // Nothing but the key was given: the row must still be touched, or it would not come back.
    return sql.join((changed.length > 0 ? changed : target).map(excluded), sql`, `);
  }
  const parts = Object.entries(columns).flatMap(([property, column]) => {
    const value = (rule.set as Readonly<Record<string, unknown>>)[property] ?? column.onUpdateFn?.();
    if (value === undefined && (rule.set as Readonly<Record<string, unknown>>)[property] !== null) return [];
    return [sql`${sql.raw(identifier(column.name))} = ${is(value, SQL) ? value : sql.param(value ?? null, column)}`];
  });
  const unknown = Object.keys(rule.set).filter((property) => !(property in columns));
  if (unknown.length > 0 || parts.length === 0) {
    throw new InvalidInputError(
      unknown.length > 0
        ? `the table ${getTableName(table)} has no column ${unknown.join(", ")}`
        : "the set of an upsert names no column",
      { hint: 'leave set out to take over the given values, or use { onConflict: "nothing" }' },
    );
  }
  return sql.join(parts, sql`, `);
}
