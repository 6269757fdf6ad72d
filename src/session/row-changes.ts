// What changed in one tracked row since the server sent it, the statement that writes just that, and how the answer goes
// back into the object. Nothing here asks a server.
import { is, sql, SQL } from "drizzle-orm";
import { PgJsonb, type SelectedFieldsOrdered } from "drizzle-orm/pg-core";
import { InvalidInputError, type Statement } from "../postgres/index.ts";
import { dialect } from "./dialect.ts";
import { diffJson, patchExpression, pathParameter, type JsonOperation } from "./json-patch.ts";
import { isSameJson, jsonText, type JsonPath } from "./json-value.ts";
import { decodeText, rowFormat, type ColumnModel, type RowModel } from "./row-model.ts";
import { valueText } from "./table-columns.ts";
import type { Entry } from "./tracked-rows.ts";

export type TrackedRow = Record<string, unknown>;

/** What must not have changed meanwhile: a column, or a path into its document. */
export interface Guard {
  readonly column: ColumnModel;
  readonly path: JsonPath;
}

export interface RowChange {
  readonly statement: Statement;
  /** The changed columns as they were when the statement was made: JSON documents as text, others as they are. */
  readonly sent: ReadonlyMap<ColumnModel, unknown>;
}

/** The primary key's values as text. */
export function loadedKey(model: RowModel, loaded: readonly unknown[]): string[] {
  return model.key.map((column) => valueText(column.column, decodeText(column, loaded[column.index] ?? null)) ?? "");
}

/** A column whose value the server will make: reading it before that is an error, and not `undefined`. */
export function defineUnknown({ name }: RowModel, row: TrackedRow, property: string): void {
  Object.defineProperty(row, property, {
    configurable: true,
    enumerable: false, // printing, copying and JSON.stringify leave it out
    get: () => {
      throw new InvalidInputError(`${name}.${property} is not known before the row is inserted`, {
        hint: "await tx.flush() first",
      });
    },
    set: (value: unknown) => {
      defineValue(row, property, value);
    },
  });
}

export function defineValue(row: TrackedRow, property: string, value: unknown): void {
  Object.defineProperty(row, property, { value, configurable: true, enumerable: true, writable: true });
}

/** Gives the object the values that the server sent; a value that says the same stays the same object. */
export function resetRow({ model, row, loaded = [] }: Entry): void {
  for (const column of model.columns) {
    const own = Object.getOwnPropertyDescriptor(row, column.property);
    if (own !== undefined && own.get === undefined && isSame(column, loaded[column.index], own.value)) continue;
    const value = decodeText(column, loaded[column.index]);
    if (own === undefined) row[column.property] = value;
    else defineValue(row, column.property, value);
  }
}

/** Whether a value would be stored as what the server sent. */
function isSame(column: ColumnModel, sent: unknown, value: unknown): boolean {
  const before = decodeText(column, sent);
  if (before === value || (typeof value === "number" && Object.is(before, value))) return true;
  if (typeof value !== "object" || value === null || before === null || is(value, SQL)) return false;
  if (column.isJson) return isSameJson(before, value);
  try {
    return valueText(column.column, before) === valueText(column.column, value);
  } catch {
    return false; // what cannot be sent is refused when it is written
  }
}

/**
 * The UPDATE that a tracked row needs.
 *
 * @returns undefined when nothing changed
 * @throws InvalidInputError for a changed key, version or generated column, `undefined`, or a value that cannot be stored
 */
export function changesOf(entry: Entry): RowChange | undefined {
  const { model, row, loaded } = entry;
  if (loaded === undefined) return undefined;
  const set: Record<string, SQL> = {};
  const sent = new Map<ColumnModel, unknown>();
  let hasPatch = false;
  for (const column of model.columns) {
    const { property, index, isJson } = column;
    const value = row[property];
    if (value === undefined)
      throw new InvalidInputError(`${model.name}.${property} is undefined`, { hint: "assign null to store NULL" });
    if (isJson && value !== null && !is(value, SQL)) {
      const change = jsonChange(column, loaded[index] as string | null, value);
      if (change === undefined) continue;
      set[property] = change;
      sent.set(column, JSON.stringify(value));
      hasPatch = true;
    } else if (!isSame(column, loaded[index], value)) {
      refuseFixed(model, column);
      set[property] = encoded(model, column, value);
      sent.set(column, isJson ? "null" : value);
    }
  }
  if (sent.size === 0) return undefined;
  const conditions = model.key.map((column, index) => sql`${column.column} = ${loadedKey(model, loaded)[index]}`);
  if (model.version !== undefined) {
    const { column, index, property } = model.version;
    set[property] = sql`coalesce(${column}, 0) + 1`;
    conditions.push(sql`${column} IS NOT DISTINCT FROM ${sql.param(loaded[index])}`);
  }
  entry.guards.forEach((guard, index) => {
    const base = sql.param(loaded[model.columns.length + index]);
    const type = sql.raw(guard.path.length === 0 ? "text" : "jsonb");
    conditions.push(sql`${guardedValue(guard)}::${type} IS NOT DISTINCT FROM ${base}::${type}`);
  });
  const query = dialect.sqlToQuery(
    dialect.buildUpdateQuery({
      table: model.table,
      set,
      where: sql.join(conditions, sql` AND `),
      returning: returningOf(entry),
    } as Parameters<typeof dialect.buildUpdateQuery>[0]),
  );
  // A patch's text depends on what changed: naming each would fill the server with prepared statements.
  return {
    sent,
    statement: { text: query.sql, values: query.params, ...rowFormat, ...(hasPatch ? { prepare: false } : {}) },
  };
}

function guardedValue({ column, path }: Guard): SQL {
  return path.length === 0 ? sql`${column.column}` : sql`(${column.column}::jsonb #> ${pathParameter(path)})`;
}

function returningOf({ model, guards }: Entry): SelectedFieldsOrdered {
  const columns = model.columns.map(({ property, column, isJson }) => ({
    path: [property],
    field: isJson ? sql`${column}::text` : column,
  }));
  const guarded = guards.map((guard, index) => ({ path: [`guard${index}`], field: sql`${guardedValue(guard)}::text` }));
  return [...columns, ...guarded];
}

/** @throws InvalidInputError also for a document, already stored, that is nested deeper than can be compared */
function operationsOf(base: unknown, value: unknown, property: string): JsonOperation[] {
  try {
    return diffJson(base, value, property);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new InvalidInputError(`${property} is nested too deep to be tracked`, {
      cause: error,
      hint: "change the row with tx.update(), the document with jsonSet()",
    });
  }
}

function jsonChange({ column, property }: ColumnModel, loaded: string | null, value: unknown): SQL | undefined {
  const base: unknown = loaded === null ? undefined : JSON.parse(loaded);
  const operations = operationsOf(base, value, property);
  if (operations.length === 0) return undefined;
  if (is(column, PgJsonb)) {
    const patch = patchExpression(sql`${column}`, operations);
    if (patch !== undefined) return patch;
  }
  return sql`${jsonText(value, [property])}::${sql.raw(column.getSQLType())}`;
}

function refuseFixed(model: RowModel, column: ColumnModel): void {
  const { property } = column;
  if (column.isKey)
    throw new InvalidInputError(`${model.name}.${property} is part of the primary key and cannot be changed`, {
      hint: "insert a new row and delete the old one, or use tx.update()",
    });
  if (column === model.version)
    throw new InvalidInputError(`${model.name}.${property} counts the row's versions and grows by itself`, {
      hint: "leave it as it was loaded",
    });
  if (isMadeByServer(column))
    throw new InvalidInputError(`${model.name}.${property} is made by the server and cannot be assigned`);
}

function isMadeByServer({ column }: ColumnModel): boolean {
  return column.generated !== undefined || column.generatedIdentity?.type === "always";
}

function encoded(model: RowModel, { column, property, isJson }: ColumnModel, value: unknown): SQL {
  if (is(value, SQL)) return value;
  if (isJson && value !== null) return sql`${jsonText(value, [property])}::${sql.raw(column.getSQLType())}`;
  if (typeof value === "string" && value.includes("\0"))
    throw new InvalidInputError(`${model.name}.${property} holds the character U+0000, which PostgreSQL cannot store`);
  try {
    if (value !== null) column.mapToDriverValue(value);
  } catch (cause) {
    throw new InvalidInputError(`${model.name}.${property} cannot hold the given ${typeof value}`, { cause });
  }
  return sql`${sql.param(value, column)}`;
}

/** The INSERT of a row that was added; columns that have no value yet get their default. */
export function insertStatement(entry: Entry): Statement {
  const { model, row } = entry;
  const values: Record<string, SQL> = {};
  for (const column of model.columns) {
    const own = Object.getOwnPropertyDescriptor(row, column.property);
    if (own === undefined || own.get !== undefined || own.value === undefined) continue;
    if (isMadeByServer(column)) refuseFixed(model, column);
    values[column.property] = encoded(model, column, own.value);
  }
  const query = dialect.sqlToQuery(
    dialect.buildInsertQuery({
      table: model.table,
      values: [values],
      returning: returningOf(entry),
    }),
  );
  return { text: query.sql, values: query.params, ...rowFormat };
}

/**
 * Gives the object what the server made of an UPDATE (defaults, triggers, changes of others in the same document). What
 * was assigned while the statement was under way is left alone and counts as changed.
 *
 * @returns what counts as loaded from now on
 */
export function applyWritten(
  { model, row, loaded = [] }: Entry,
  { sent }: RowChange,
  values: readonly unknown[],
): unknown[] {
  const now = [...values];
  for (const column of model.columns) {
    const { property, index, isJson } = column;
    const value = row[property];
    if (isSame(column, values[index], value)) continue;
    const wasSent = sent.has(column);
    const before = sent.get(column);
    const isTouched = wasSent ? (isJson ? jsonOf(value) : value) !== before : !isSame(column, loaded[index], value);
    if (!isTouched) defineValue(row, property, decodeText(column, values[index]));
    else if (isJson) now[index] = wasSent ? before : loaded[index];
  }
  return now;
}

function jsonOf(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined; // a circle, made meanwhile: changed in any case
  }
}
