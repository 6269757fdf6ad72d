// Soft delete as a trait of a table (defineTable(…, { softDelete })): deleted rows stay, hidden from our helpers and from
// relational queries, and can be restored. Tables marked hardDelete lose their rows for good.
import { and, getTableColumns, getTableName, getTableUniqueName, isNull, sql, type SQL } from "drizzle-orm";
import { uniqueIndex, type IndexBuilder, type PgColumn, type PgTable } from "drizzle-orm/pg-core";
import type {
  Relation,
  RelationalSchemaConfig,
  TableRelationalConfig,
  TablesRelationalConfig,
} from "drizzle-orm/relations";
import { InvalidInputError } from "../postgres/index.ts";
import { tableMetadata } from "./define-table.ts";
import { checkTable } from "./locking.ts";
import { PlannedQuery } from "./planned-query.ts";
import { selectionCondition, type RowSelection } from "./table-columns.ts";
import type { UnitDatabase } from "./unit-database.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

/** The column that says when a row was deleted; undefined for a table without the trait. */
export function deletedColumn(table: PgTable): PgColumn | undefined {
  const { softDelete } = tableMetadata(table);
  return softDelete === undefined ? undefined : getTableColumns(table)[softDelete];
}

/**
 * The condition that hides a table's deleted rows; undefined for a table without soft delete, so that it fits into `and()`.
 *
 * @example tx.select().from(users).where(and(livingOnly(users), eq(users.name, name)))
 */
export function livingOnly(table: PgTable): SQL | undefined {
  const column = deletedColumn(table);
  return column === undefined ? undefined : isNull(column);
}

type IndexColumns = Parameters<ReturnType<typeof uniqueIndex>["on"]>;

/**
 * A unique index among the living, for the third argument of pgTable(): a deleted row does not keep its name taken.
 *
 * @param columns - what must be unique together; for a tenant's table, its tenant first
 * @param deletedAt - the table's soft-delete column
 * @example pgTable("users", { … }, (t) => [partialUnique("uq_users_email", [t.tenant_id, t.email], t.deleted_at)])
 */
export function partialUnique(name: string, columns: IndexColumns, deletedAt: IndexColumns[0]): IndexBuilder {
  return uniqueIndex(name)
    .on(...columns)
    .where(sql`${deletedAt} IS NULL`);
}

/** `tx.softDelete()` and `tx.restore()`; described there. */
export function markRows(
  tx: Pick<UnitDatabase, "update">,
  unit: UnitOfWork,
  table: PgTable,
  selection: RowSelection,
  state: "deleted" | "living",
): PlannedQuery<number> {
  return new PlannedQuery(unit, () => {
    checkTable(table);
    const purpose = state === "deleted" ? "tx.softDelete()" : "tx.restore()";
    const column = deletedColumn(table);
    const { softDelete } = tableMetadata(table);
    if (column === undefined || softDelete === undefined) {
      throw new InvalidInputError(`the table ${getTableName(table)} has no soft delete`, {
        hint: 'say defineTable(table, { softDelete: "deleted_at" }), or use tx.delete()',
      });
    }
    const isOther = state === "deleted" ? sql`${column} IS NULL` : sql`${column} IS NOT NULL`;
    const query = tx
      .update(table)
      .set({ [softDelete]: state === "deleted" ? sql`pg_catalog.now()` : null })
      .where(and(selectionCondition(table, selection, purpose), isOther));
    return countedPlan(query.toSQL());
  });
}

/** `tx.hardDelete()`; described there. */
export function deleteForGood(
  tx: Pick<UnitDatabase, "delete">,
  unit: UnitOfWork,
  table: PgTable,
  selection: RowSelection,
): PlannedQuery<number> {
  return new PlannedQuery(unit, () => {
    checkTable(table);
    if (tableMetadata(table).hardDelete !== true) {
      throw new InvalidInputError(`the table ${getTableName(table)} is not marked for hard deletes`, {
        hint: "say defineTable(table, { hardDelete: true }) for tokens and personal data, else use tx.softDelete()",
      });
    }
    return countedPlan(
      tx
        .delete(table)
        .where(selectionCondition(table, selection, "tx.hardDelete()"))
        .toSQL(),
    );
  });
}

function countedPlan(query: { readonly sql: string; readonly params: readonly unknown[] }) {
  return {
    statements: [{ text: query.sql, values: query.params }],
    read: ([result]: readonly { readonly rowCount: number | null }[]) => result?.rowCount ?? 0,
  };
}

interface QueryConfig {
  readonly where?: SQL | ((fields: Record<string, PgColumn>, operators: unknown) => SQL | undefined) | undefined;
  readonly with?: Readonly<Record<string, unknown>> | undefined;
}

/** Whether relational queries need the default scope at all. */
export function hasSoftDelete(tables: Readonly<Record<string, unknown>>): boolean {
  return Object.values(tables).some((table) => typeof table === "object" && table !== null && isSoftDeleted(table));
}

function isSoftDeleted(table: object): boolean {
  return tableMetadata(table as PgTable).softDelete !== undefined;
}

/** The config of findMany() or findFirst() with deleted rows hidden, in its own table and in all it loads with it. */
function scopedConfig(
  tables: Readonly<Record<string, unknown>>,
  relational: TablesRelationalConfig,
  names: Readonly<Record<string, string>>,
  table: TableRelationalConfig,
  config: QueryConfig | true | undefined,
): QueryConfig {
  const given = config === true || config === undefined ? {} : config;
  const { softDelete } = tableMetadata(tables[table.tsName] as PgTable);
  const { where } = given;
  const scoped =
    softDelete === undefined
      ? where
      : (fields: Record<string, PgColumn>, operators: unknown): SQL | undefined => {
          const column = fields[softDelete];
          return and(
            column === undefined ? undefined : isNull(column),
            typeof where === "function" ? where(fields, operators) : where,
          );
        };
  const related = Object.entries(given.with ?? {}).map(([name, part]) => {
    const target = relatedTable(relational, names, table.relations[name]);
    if (part === undefined || part === false || part === null || target === undefined) return [name, part];
    return [name, scopedConfig(tables, relational, names, target, part)];
  });
  return {
    ...given,
    ...(scoped === undefined ? {} : { where: scoped }),
    ...(given.with === undefined ? {} : { with: Object.fromEntries(related) as Record<string, unknown> }),
  };
}

function relatedTable(
  relational: TablesRelationalConfig,
  names: Readonly<Record<string, string>>,
  relation: Relation | undefined,
): TableRelationalConfig | undefined {
  const name = relation === undefined ? undefined : names[getTableUniqueName(relation.referencedTable)];
  return name === undefined ? undefined : relational[name];
}

/** Hides deleted rows in `tx.query.<table>.findMany()` and `findFirst()`, and in what they load with them. */
export function scopeRelational(query: object, schema: RelationalSchemaConfig<TablesRelationalConfig>): void {
  const { fullSchema, tableNamesMap } = schema;
  for (const [name, builder] of Object.entries(query as Record<string, RelationalBuilder>)) {
    const table = schema.schema[name];
    if (table === undefined) continue;
    const scope = (config: unknown): object =>
      scopedConfig(fullSchema, schema.schema, tableNamesMap, table, config as { where?: SQL } | undefined);
    const findMany = builder.findMany.bind(builder);
    const findFirst = builder.findFirst.bind(builder);
    builder.findMany = (config) => findMany(scope(config));
    builder.findFirst = (config) => findFirst(scope(config));
  }
}

interface RelationalBuilder {
  findMany(config?: unknown): unknown;
  findFirst(config?: unknown): unknown;
}
