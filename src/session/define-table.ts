// What a Drizzle table cannot say, said beside it: traits that units of work follow (version, soft delete, tenant) and
// parts of the schema that migrations need.
import { getTableColumns, getTableName, is } from "drizzle-orm";
import { PgTable } from "drizzle-orm/pg-core";
import { InvalidInputError, TABLE_METADATA } from "../postgres/index.ts";

type ColumnOf<T extends PgTable> = keyof T["_"]["columns"] & string;

export interface EncryptedColumnOptions<C extends string = string> {
  /** Column made by `blindIndexColumn()`; filled whenever the row is encrypted. */
  readonly blindIndex?: C;
  /** Applied to text before it is indexed and searched for, e.g. `(value) => value.toLowerCase()`. */
  readonly normalize?: (value: string) => string;
}

/** Columns are named by their property in the Drizzle table. */
export interface TableMetadata<T extends PgTable = PgTable> {
  /** Column that holds the tenant; first in keys and indexes, compared by row-level security. */
  readonly tenant?: ColumnOf<T>;
  /** Integer column that grows with every update; a stale write is refused with a StaleRowError. */
  readonly version?: ColumnOf<T>;
  /** Timestamp column that is NULL for living rows. Deleted rows are hidden by default. */
  readonly softDelete?: ColumnOf<T>;
  /** Rows may be deleted for good with `tx.hardDelete()`: tokens, personal data. */
  readonly hardDelete?: boolean;
  /** Encrypted columns, and where their blind index stands: the column that equality searches use. */
  readonly encrypted?: Readonly<Partial<Record<ColumnOf<T>, EncryptedColumnOptions<ColumnOf<T>>>>>;
  readonly comment?: string;
  readonly columnComments?: Readonly<Partial<Record<ColumnOf<T>, string>>>;
  /** FORCE ROW LEVEL SECURITY: policies hold for the table's owner too. */
  readonly forceRowSecurity?: boolean;
  /** e.g. `RANGE (created_at)` */
  readonly partitionBy?: string;
  /** Partitions by name, in the table's schema: `FOR VALUES FROM (…) TO (…)`, `FOR VALUES IN (…)`, `DEFAULT`. */
  readonly partitions?: Readonly<Record<string, string>>;
  /** INCLUDE columns by index name. */
  readonly include?: Readonly<Record<string, readonly ColumnOf<T>[]>>;
  /** Exclusion constraints by name: what stands after `EXCLUDE`, e.g. `USING gist (room WITH =, during WITH &&)`. */
  readonly exclude?: Readonly<Record<string, string>>;
  /** Deferrable constraints by name, and when they are checked unless a transaction says otherwise. */
  readonly deferrable?: Readonly<Record<string, "initially immediate" | "initially deferred">>;
  /** Triggers by name: what stands after `CREATE TRIGGER name`, without `ON table`. */
  readonly triggers?: Readonly<Record<string, string>>;
  /** e.g. `{ fillfactor: "80" }` */
  readonly storageParameters?: Readonly<Record<string, string>>;
}

/**
 * Says of a Drizzle table what Drizzle cannot: tenant, version and soft-delete columns, and what migrations write for it. Returns the
 * same table.
 *
 * @example
 * export const documents = defineTable(
 *   pgTable("documents", { id: uuid().primaryKey(), tenant_id: uuid().notNull(), version: integer().notNull().default(1) }),
 *   { tenant: "tenant_id", version: "version", comment: "What agents write" },
 * );
 *
 * @throws InvalidInputError when it names a column that the table does not have
 */
export function defineTable<T extends PgTable>(table: T, described: TableMetadata<T>): T {
  if (!is(table, PgTable)) throw new InvalidInputError("defineTable() takes a table made by Drizzle's pgTable()");
  const columns = getTableColumns(table);
  const named = [
    described.tenant,
    described.version,
    described.softDelete,
    ...Object.keys(described.columnComments ?? {}),
    ...Object.values(described.include ?? {}).flat(),
    ...encryptedNames(described.encrypted),
  ];
  const unknown = named.filter((name) => name !== undefined && !(name in columns));
  if (unknown.length > 0) {
    throw new InvalidInputError(`the table ${getTableName(table)} has no column ${unknown.join(", ")}`, {
      hint: `its columns are ${Object.keys(columns).join(", ")}`,
    });
  }
  Object.defineProperty(table, TABLE_METADATA, { value: described, configurable: true, enumerable: false });
  return table;
}

function encryptedNames(encrypted: TableMetadata["encrypted"]): (string | undefined)[] {
  return Object.entries(encrypted ?? {}).flatMap(([name, options]) => [name, options?.blindIndex]);
}

/** What `defineTable` was told about a table; empty for others. */
export function tableMetadata(table: PgTable): TableMetadata {
  return (table as { readonly [TABLE_METADATA]?: TableMetadata })[TABLE_METADATA] ?? {};
}
