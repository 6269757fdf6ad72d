// reencrypt(): brings every value of a table under the current key, in batches by primary key. What is done stays done: an
// interrupted run goes on where the old keys still are.
import { and, asc, count, getTableColumns, or, sql, type SQL } from "drizzle-orm";
import type { PgColumn, PgTable } from "drizzle-orm/pg-core";
import { CancelledError, identifier, InvalidInputError, type Database } from "../postgres/index.ts";
import { createSessionFactory } from "./session-factory.ts";
import { tableMetadata } from "./define-table.ts";
import { encryptedColumns, type EncryptedValue } from "./encrypted-columns.ts";
import { indexOf, placeOf, tenantOf } from "./encryption.ts";
import type { KeyRing } from "./key-ring.ts";
import { propertyOf, requiredKeyOf, tableText, valueText } from "./table-columns.ts";
import type { UnitDatabase } from "./unit-database.ts";

export interface ReencryptProgress {
  /** Rows brought under the current key so far, of those that were not at the start. */
  readonly done: number;
  readonly total: number;
}

export interface ReencryptOptions {
  /** Has the old keys and the new current one. */
  readonly keyRing: KeyRing;
  /** Rows locked and written at a time. Default 500. */
  readonly batchSize?: number;
  /** Every row, also those under the current key: for a new `blindIndexKey` or `normalize`. Not resumable. Default false. */
  readonly everyRow?: boolean;
  readonly onProgress?: (progress: ReencryptProgress) => void;
  /** Aborting ends it between two batches. */
  readonly signal?: AbortSignal;
}

/**
 * Re-encrypts the encrypted columns of a table, and their blind indexes, with the ring's current key. Each batch is a unit of
 * work of its own; other writers wait for a batch at most.
 *
 * @param database - its login must see all rows: with row-level security it must own the table or bypass policies
 * @throws InsufficientPrivilegeError when policies would hide rows from the login
 * @throws CancelledError when aborted; run it again to go on
 * @throws DecryptionError, UnknownKeyError for the first row that cannot be read; earlier batches stay
 */
export async function reencrypt(
  database: Database,
  table: PgTable,
  options: ReencryptOptions,
): Promise<ReencryptProgress> {
  const { keyRing, batchSize = 500, everyRow = false, onProgress, signal } = options;
  if (!Number.isSafeInteger(batchSize) || batchSize < 1)
    throw new InvalidInputError("batchSize must be a whole number of at least 1");
  const columns = encryptedColumns(table);
  if (columns.length === 0) throw new InvalidInputError(`the table ${tableText(table)} has no encrypted column`);
  const key = requiredKeyOf(table, "reencrypt()");
  await keyRing.load(); // outside the units: it may call a service
  const header = keyRing.currentHeader;
  const isOld = or(
    ...columns.map(
      ([, column]) => sql`pg_catalog.substring(${column}, 1, ${sql.raw(String(header.length))}) <> ${header}::bytea`,
    ),
  );
  const wanted = everyRow ? or(...columns.map(([, column]) => sql`${column} IS NOT NULL`)) : isOld;
  const sessions = createSessionFactory(database, { guard: "off" });
  const total = await sessions.read({}, async (tx) => {
    await seeEverything(tx);
    const [row] = await tx.select({ rows: count() }).from(table).where(wanted);
    return row?.rows ?? 0;
  });
  const progress = { done: 0, total };
  let after: SQL | undefined;
  for (;;) {
    if (signal?.aborted === true)
      throw new CancelledError(`re-encryption stopped after ${progress.done} of ${total} rows`, {
        cause: signal.reason,
        hint: "run it again: it goes on with the rows that are left",
      });
    const rows = await sessions.begin({}, async (tx) => {
      await seeEverything(tx);
      const batch: Record<string, unknown>[] = await tx
        .select(selectionOf(table, columns, key))
        .from(table as never)
        .where(and(wanted, after))
        .orderBy(...key.map((column) => asc(column)))
        .limit(batchSize)
        .for("update");
      if (batch.length > 0) await tx.execute(await updateOf(keyRing, table, columns, key, batch));
      return batch;
    });
    const last = rows.at(-1);
    if (last === undefined) return { ...progress };
    progress.done += rows.length;
    onProgress?.({ ...progress });
    after = afterKey(table, key, last);
  }
}

/** Makes the server refuse instead of leaving out rows that a policy hides. */
async function seeEverything(tx: UnitDatabase): Promise<void> {
  await tx.execute(sql`SELECT pg_catalog.set_config('row_security', 'off', true)`);
}

function selectionOf(
  table: PgTable,
  columns: readonly [string, PgColumn][],
  key: readonly PgColumn[],
): Record<string, PgColumn> {
  const selection: Record<string, PgColumn> = Object.fromEntries(columns);
  for (const column of key) selection[propertyOf(table, column)] = column;
  const { tenant } = tableMetadata(table);
  const tenantColumn = tenant === undefined ? undefined : getTableColumns(table)[tenant];
  if (tenant !== undefined && tenantColumn !== undefined) selection[tenant] = tenantColumn;
  return selection;
}

function afterKey(table: PgTable, key: readonly PgColumn[], row: Readonly<Record<string, unknown>>): SQL {
  const values = key.map((column) => sql`${sql.param(row[propertyOf(table, column)], column)}`);
  return sql`(${sql.join([...key], sql`, `)}) > (${sql.join(values, sql`, `)})`;
}

/** One UPDATE for the batch. The table's own row type gives keys and bytes their types. */
async function updateOf(
  ring: KeyRing,
  table: PgTable,
  columns: readonly [string, PgColumn][],
  key: readonly PgColumn[],
  batch: readonly Readonly<Record<string, unknown>>[],
): Promise<SQL> {
  const { encrypted = {} } = tableMetadata(table);
  const indexes = columns.flatMap(([property]) => {
    const options = encrypted[property];
    const column = options?.blindIndex === undefined ? undefined : getTableColumns(table)[options.blindIndex];
    return column === undefined ? [] : [{ property, column }];
  });
  const written: Record<string, string | null>[] = [];
  for (const row of batch) {
    const out: Record<string, string | null> = {};
    for (const column of key) out[column.name] = valueText(column, row[propertyOf(table, column)]);
    for (const [property, column] of columns) {
      const sealed = row[property] as EncryptedValue | null;
      const index = indexes.find((candidate) => candidate.property === property)?.column;
      out[column.name] = null;
      if (index !== undefined) out[index.name] = null;
      if (sealed === null) continue;
      const place = placeOf(table, column, row);
      const value = await ring.open(sealed, place);
      out[column.name] = hex((await ring.seal(value, place)).bytes);
      if (index !== undefined) out[index.name] = hex(await indexOf(ring, table, column, value, tenantOf(table, row)));
    }
    written.push(out);
  }
  const target = sql.raw(tableText(table));
  const names = [...columns.map(([, column]) => column), ...indexes.map(({ column }) => column)].map((column) =>
    identifier(column.name),
  );
  const assignments = names.map((name) => `${name} = fresh.${name}`).join(", ");
  const matches = key
    .map((column) => `old.${identifier(column.name)} = fresh.${identifier(column.name)}`)
    .join(" AND ");
  return sql`
UPDATE ${target} AS old SET ${sql.raw(assignments)}
FROM pg_catalog.json_populate_recordset(NULL::${target}, ${JSON.stringify(written)}::json) AS fresh
WHERE ${sql.raw(matches)}`;
}

function hex(bytes: Buffer): string {
  return `\\x${bytes.toString("hex")}`;
}
