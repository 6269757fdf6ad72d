// Columns whose values the database never sees: what a query gives is opaque, what it takes must be sealed before.
import { inspect } from "node:util";
import { getTableColumns } from "drizzle-orm";
import { customType, type PgColumn, type PgTable } from "drizzle-orm/pg-core";
import { InvalidInputError } from "../postgres/index.ts";

declare const plaintext: unique symbol;

/** A ciphertext. Shows nothing when it is printed, logged or turned into JSON; `decryptRow()` or `ring.open()` read it. */
export class EncryptedValue<T = unknown> {
  declare readonly [plaintext]: T;
  readonly #bytes: Buffer;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** As stored: version, length and text of the key id, iv (12 bytes), ciphertext, tag (16 bytes). */
  get bytes(): Buffer {
    return this.#bytes;
  }
  toString(): string {
    return "[encrypted]";
  }
  toJSON(): string {
    return "[encrypted]";
  }
  [inspect.custom](): string {
    return "[encrypted]";
  }
}

function toDriver(value: unknown): Buffer {
  if (value instanceof EncryptedValue) return value.bytes;
  throw new InvalidInputError("an encrypted column was given a value that is not encrypted", {
    hint: "pass the row through encryptRow(ring, table, row) first",
  });
}

/** Relational queries give bytea as text inside JSON. */
function bytesOf(value: unknown): Buffer {
  return typeof value === "string" ? Buffer.from(value.replace(/^\\x/, ""), "hex") : Buffer.from(value as Uint8Array);
}

function fromDriver(value: unknown): EncryptedValue<never> {
  return new EncryptedValue<never>(bytesOf(value));
}

/** A `bytea` column that holds encrypted text. */
export const encryptedText = customType<{ data: EncryptedValue<string>; driverData: Buffer }>({
  dataType: () => "bytea",
  toDriver,
  fromDriver,
});

/** A `bytea` column that holds an encrypted JSON value: `encryptedJson<Address>()("address")`. */
export function encryptedJson<T>() {
  return customType<{ data: EncryptedValue<T>; driverData: Buffer }>({ dataType: () => "bytea", toDriver, fromDriver });
}

/** A `bytea` column for the blind index of an encrypted one. Filled by `encryptRow()`, searched with `blindIndex()`. */
export const blindIndexColumn = customType<{ data: Uint8Array; driverData: Buffer }>({
  dataType: () => "bytea",
  toDriver: (value) => Buffer.from(value),
  fromDriver: bytesOf,
});

export function isEncryptedColumn(column: PgColumn): boolean {
  return Reflect.get(column, "mapFrom") === fromDriver;
}

/** Encrypted columns of a table with the property each has in a row. */
export function encryptedColumns(table: PgTable): [string, PgColumn][] {
  return Object.entries(getTableColumns(table)).filter(([, column]) => isEncryptedColumn(column));
}
