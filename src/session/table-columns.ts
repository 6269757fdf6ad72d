// What our own statements need to know about a Drizzle table: its key, its columns as SQL, and values as text.
import { getTableColumns, getTableName, is, Param, SQL, sql } from "drizzle-orm";
import { getTableConfig, PgColumn, type PgTable } from "drizzle-orm/pg-core";
import pg from "pg";
import { identifier, InvalidInputError } from "../postgres/index.ts";

export type RowOf<T extends PgTable> = T["$inferSelect"];
/** A primary key: its value, or, for a key of several columns, an object with one property for each. */
export type KeyValue = string | number | bigint | Readonly<Record<string, unknown>>;
/** Rows by key, by several keys, or by condition. */
export type RowSelection = KeyValue | readonly KeyValue[] | SQL;

/** `"schema"."table"`. */
export function tableText(table: PgTable): string {
  const { schema, name } = getTableConfig(table);
  return schema === undefined ? identifier(name) : identifier(schema, name);
}

/** Columns of the primary key in the model's order; empty without one. */
export function primaryKeyOf(table: PgTable): readonly PgColumn[] {
  const { columns, primaryKeys } = getTableConfig(table);
  return primaryKeys[0]?.columns ?? columns.filter((column) => column.primary);
}

/** @throws InvalidInputError for a table whose model has no primary key */
export function requiredKeyOf(table: PgTable, purpose: string): readonly PgColumn[] {
  const key = primaryKeyOf(table);
  if (key.length === 0) {
    throw new InvalidInputError(`the table ${getTableName(table)} has no primary key, which ${purpose} needs`, {
      hint: "declare it in the model with .primaryKey() or primaryKey({ columns })",
    });
  }
  return key;
}

/** The property under which a column stands in its Drizzle table. */
export function propertyOf(table: PgTable, column: PgColumn): string {
  for (const [property, candidate] of Object.entries(getTableColumns(table))) {
    if (candidate.name === column.name) return property;
  }
  throw new InvalidInputError(`the table ${getTableName(table)} has no column ${column.name}`, {
    hint: "pass a column of the same table",
  });
}

const { prepareValue } = (pg as unknown as { utils: { prepareValue: (value: unknown) => unknown } }).utils;

/** What the driver would send for a value: text, or NULL. */
export function driverText(value: unknown): string | null | undefined {
  const encoded = prepareValue(value);
  if (encoded === null || typeof encoded === "string") return encoded;
  return Buffer.isBuffer(encoded) ? `\\x${encoded.toString("hex")}` : undefined;
}

/** Whether a column holds JSON, whose values travel as documents and not as strings. */
export function holdsJson(column: PgColumn): boolean {
  return /^jsonb?$/i.test(column.getSQLType());
}

/**
 * The text that the server's input function for the column's type reads; `null` for NULL.
 *
 * @throws InvalidInputError for SQL and for values that have no text
 */
export function valueText(column: PgColumn, value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (isSqlValue(value)) {
    throw new InvalidInputError(`the column ${column.name} was given SQL where a value is needed`, {
      hint: "compute the value first, or use tx.insert() or tx.update() for expressions",
    });
  }
  let text: string | null | undefined;
  try {
    const mapped: unknown = column.mapToDriverValue(value);
    text = typeof mapped === "string" ? mapped : isSqlValue(mapped) ? undefined : driverText(mapped);
  } catch (cause) {
    throw new InvalidInputError(`the column ${column.name} cannot hold the given ${typeof value}`, { cause });
  }
  if (text !== undefined) return text;
  throw new InvalidInputError(`the column ${column.name} cannot hold the given ${typeof value}`, {
    hint: "pass a value of the column's type, not SQL",
  });
}

const PLAIN: ReadonlySet<unknown> = new Set([Object.prototype, Array.prototype, Date.prototype, null]);

function isSqlValue(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  // Drizzle's own test walks prototypes, four times for a plain document: a fifth of the cost of many rows.
  if (PLAIN.has(Object.getPrototypeOf(value))) return false;
  return is(value, SQL) || is(value, Param) || is(value, PgColumn) || is(value, SQL.Aliased);
}

/**
 * The rows that a selection means, as a condition. Keys travel as one parameter, so that the text is the same for any number.
 *
 * @throws InvalidInputError for a selection that is not a key, a list of keys or a condition
 */
export function selectionCondition(table: PgTable, selection: RowSelection, purpose: string): SQL {
  if (is(selection, SQL)) return selection;
  if (selection === undefined || selection === null) {
    throw new InvalidInputError(`${purpose} was not told which rows of ${getTableName(table)}`, {
      hint: "pass an id, an array of ids, or a condition such as eq(table.column, value)",
    });
  }
  const key = requiredKeyOf(table, purpose);
  const keys = (Array.isArray(selection) ? selection : [selection]) as readonly KeyValue[];
  const [first] = key;
  if (key.length === 1 && first !== undefined) {
    const texts = keys.map((value) => keyText(table, first, propertyOf(table, first), value, true));
    return sql`${first} = ANY (${sql.param(texts)})`;
  }
  const names = key.map((column) => identifier(column.name)).join(", ");
  const rows = keys.map((value) => {
    const parts = key.map((column) => {
      const text = keyText(table, column, propertyOf(table, column), value, false);
      return `${JSON.stringify(column.name)}:${JSON.stringify(text)}`;
    });
    return `{${parts.join(",")}}`;
  });
  // The row type of the table gives each part of the key its type, whatever the model calls it.
  return sql`(${sql.join([...key], sql`, `)}) IN (SELECT ${sql.raw(names)} FROM pg_catalog.json_populate_recordset(NULL::${sql.raw(tableText(table))}, ${`[${rows.join(",")}]`}::json))`;
}

function keyText(table: PgTable, column: PgColumn, property: string, value: unknown, isWhole: boolean): string {
  const isObject = typeof value === "object" && value !== null && !(value instanceof Date) && !Buffer.isBuffer(value);
  const part = isObject ? (value as Readonly<Record<string, unknown>>)[property] : isWhole ? value : undefined;
  const text = part === undefined ? null : valueText(column, part);
  if (text === null) {
    throw new InvalidInputError(`a key of ${getTableName(table)} has no value for ${property}`, {
      hint: "pass the value of the primary key, or an object with all its columns",
    });
  }
  return text;
}
