// Rows with encrypted columns: sealed before they are written, opened after they are read. Both happen outside a unit of
// work, because keys may come from a service, and both take tenant and row id from the row itself, so that they cannot be mixed up.
import { getTableColumns, getTableName } from "drizzle-orm";
import { getTableConfig, type PgColumn, type PgTable } from "drizzle-orm/pg-core";
import { InvalidInputError } from "../postgres/index.ts";
import { tableMetadata } from "./define-table.ts";
import { encryptedColumns, EncryptedValue, isEncryptedColumn } from "./encrypted-columns.ts";
import type { KeyRing, ValuePlace } from "./key-ring.ts";
import { propertyOf, requiredKeyOf, valueText } from "./table-columns.ts";

/** The plaintext of an encrypted column's type; other types as they are. */
export type Plain<V> = V extends EncryptedValue<infer T> ? T : V;
/** A row to insert, or some of its columns, with plaintext where the table has encrypted columns. */
export type PlainRow<T extends PgTable> = {
  [K in keyof T["$inferInsert"]]?: Plain<T["$inferInsert"][K]>;
};
/** The same columns, ready for insert and update. */
export type SealedRow<T extends PgTable, R> = {
  [K in keyof R]: K extends keyof T["$inferInsert"] ? T["$inferInsert"][K] : R[K];
};
/** A row as it was selected, with plaintext. */
export type OpenedRow<R> = { [K in keyof R]: Plain<R[K]> };

/**
 * Encrypts the encrypted columns of a row, or of a part of it, and fills their blind indexes. The row must have its primary
 * key and its tenant, for an update too: a key that the database makes would be known too late.
 *
 * @example
 * const row = await encryptRow(ring, people, { id: randomUUID(), tenant_id, name: "Ada", ssn: "123-45-6789" });
 * await sessions.run({ tenantId }, (tx) => tx.insert(people).values(row));
 * @throws InvalidInputError when the row lacks key or tenant, or holds an encrypted value already
 */
export async function encryptRow<T extends PgTable, const R extends PlainRow<T>>(
  ring: KeyRing,
  table: T,
  row: R,
): Promise<SealedRow<T, R>> {
  const sealed: Record<string, unknown> = { ...row };
  const { encrypted = {} } = tableMetadata(table);
  for (const [property, column] of encryptedColumns(table)) {
    const value = sealed[property];
    const options = encrypted[property];
    if (value === undefined) continue;
    if (value instanceof EncryptedValue) {
      throw new InvalidInputError(`the column ${column.name} holds a value that is encrypted already`, {
        hint: "a ciphertext belongs to one row: decrypt it with decryptRow() first, or leave the column out",
      });
    }
    if (value !== null) sealed[property] = await ring.seal(value, placeOf(table, column, sealed));
    if (options?.blindIndex === undefined) continue;
    sealed[options.blindIndex] =
      value === null ? null : await indexOf(ring, table, column, value, tenantOf(table, sealed));
  }
  return sealed as SealedRow<T, R>;
}

/**
 * Decrypts a selected row. It must have its primary key and tenant beside the encrypted columns.
 *
 * @throws DecryptionError, UnknownKeyError, or InvalidInputError when the row lacks key or tenant
 */
export async function decryptRow<T extends PgTable, R extends Readonly<Record<string, unknown>>>(
  ring: KeyRing,
  table: T,
  row: R,
): Promise<OpenedRow<R>> {
  const opened: Record<string, unknown> = { ...row };
  for (const [property, column] of encryptedColumns(table)) {
    const value = opened[property];
    if (value === undefined || value === null) continue;
    opened[property] = await ring.open(value as EncryptedValue, placeOf(table, column, opened));
  }
  return opened as OpenedRow<R>;
}

/** `decryptRow` for each of several rows. */
export function decryptRows<T extends PgTable, R extends Readonly<Record<string, unknown>>>(
  ring: KeyRing,
  table: T,
  rows: readonly R[],
): Promise<OpenedRow<R>[]> {
  return Promise.all(rows.map((row) => decryptRow(ring, table, row)));
}

/**
 * What the blind index column holds for a value: for equality searches.
 *
 * @param column - the encrypted column, not its index
 * @example
 * const index = await blindIndex(ring, people.ssn, "123-45-6789", { tenantId });
 * await sessions.run({ tenantId }, (tx) => tx.select().from(people).where(eq(people.ssn_index, index)));
 */
export async function blindIndex<C extends PgColumn>(
  ring: KeyRing,
  column: C,
  value: Plain<C["_"]["data"]>,
  context: { readonly tenantId?: string | undefined },
): Promise<Buffer> {
  if (!isEncryptedColumn(column))
    throw new InvalidInputError(`the column ${column.name} is not encrypted`, {
      hint: "pass the encrypted column itself",
    });
  const { table } = column;
  const { tenant } = tableMetadata(table);
  if (tenant !== undefined && context.tenantId === undefined) throw missing(table, tenant);
  const tenantColumn = tenant === undefined ? undefined : getTableColumns(table)[tenant];
  const tenantId = tenantColumn === undefined ? "" : canonicalText(tenantColumn, context.tenantId);
  return indexOf(ring, table, column, value, tenantId);
}

export function indexOf(
  ring: KeyRing,
  table: PgTable,
  column: PgColumn,
  value: unknown,
  tenantId: string,
): Promise<Buffer> {
  const { encrypted = {} } = tableMetadata(table);
  const options = encrypted[propertyOf(table, column)];
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const normal = options?.normalize === undefined ? text : options.normalize(text);
  return ring.blindIndex(normal, { table: nameOf(table), column: column.name, tenantId });
}

/** @throws InvalidInputError when the row lacks its key or its tenant */
export function placeOf(table: PgTable, column: PgColumn, row: Readonly<Record<string, unknown>>): ValuePlace {
  const key = requiredKeyOf(table, "encryption").map((part) => {
    const property = propertyOf(table, part);
    const value = row[property];
    if (value === undefined || value === null) throw missing(table, property);
    return canonicalText(part, value);
  });
  const [only = ""] = key;
  return {
    table: nameOf(table),
    column: column.name,
    tenantId: tenantOf(table, row),
    rowId: key.length === 1 ? only : JSON.stringify(key),
  };
}

export function tenantOf(table: PgTable, row: Readonly<Record<string, unknown>>): string {
  const { tenant } = tableMetadata(table);
  if (tenant === undefined) return "";
  const value = row[tenant];
  const column = getTableColumns(table)[tenant];
  if (value === undefined || value === null || column === undefined) throw missing(table, tenant);
  return canonicalText(column, value);
}

function missing(table: PgTable, property: string): InvalidInputError {
  return new InvalidInputError(
    `a row of ${getTableName(table)} has no ${property}, to which its encrypted values are bound`,
    {
      hint: "give primary key and tenant together with encrypted columns, and select them too",
    },
  );
}

/** One text for a value however it was written: the server gives `uuid` in small letters and `001` as 1. */
function canonicalText(column: PgColumn, value: unknown): string {
  const text = valueText(column, value) ?? "";
  const type = column.getSQLType();
  if (type === "uuid") return text.toLowerCase();
  if (/^(?:bigint|integer|smallint|bigserial|serial|smallserial)\b/.test(type) && /^[+-]?\d+$/.test(text))
    return String(BigInt(text));
  return text;
}

function nameOf(table: PgTable): string {
  const { schema, name } = getTableConfig(table);
  return schema === undefined ? name : `${schema}.${name}`;
}
