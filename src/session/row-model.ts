// A Drizzle table as our own SELECT and RETURNING lists need it: its columns in order, and how a driver's row becomes an
// object. Made once per table.
import { getTableColumns, getTableName, is } from "drizzle-orm";
import { PgJson, PgJsonb, PgTable, type PgColumn } from "drizzle-orm/pg-core";
import pg from "pg";
import { identifier, InvalidInputError, type RowMapper, type Statement } from "../postgres/index.ts";
import { columnDecoder, parsedDecoder, type ColumnDecoder } from "./column-decoder.ts";
import { tableMetadata } from "./define-table.ts";
import { propertyOf, requiredKeyOf, tableText, valueText, type KeyValue } from "./table-columns.ts";

export interface ColumnModel {
  /** Its name in the Drizzle table, and in row objects. */
  readonly property: string;
  readonly column: PgColumn;
  /** Position in rows. */
  readonly index: number;
  readonly isJson: boolean;
  readonly isKey: boolean;
  /** undefined: the value stays as it is. Never called for NULL. */
  readonly decode: ColumnDecoder;
}

export interface RowModel {
  readonly table: PgTable;
  readonly name: string;
  /** Quoted, with its schema. */
  readonly text: string;
  readonly columns: readonly ColumnModel[];
  readonly columnOf: ReadonlyMap<string, ColumnModel>;
  readonly key: readonly ColumnModel[];
  readonly version: ColumnModel | undefined;
  readonly softDelete: ColumnModel | undefined;
  /** The columns for a SELECT list: as the driver parses them, and with JSON documents as their text. */
  readonly selectText: string;
  readonly selectJsonAsText: string;
}

const models = new WeakMap<PgTable, RowModel>();

/** @throws InvalidInputError for what is no table, and, when `purpose` needs a key, for a table without one */
export function rowModel(table: PgTable, purpose?: string): RowModel {
  let model = models.get(table);
  if (model === undefined) {
    if (!is(table, PgTable)) throw new InvalidInputError("this takes a table made by Drizzle's pgTable()");
    models.set(table, (model = makeModel(table)));
  }
  if (purpose !== undefined && model.key.length === 0) requiredKeyOf(table, purpose);
  return model;
}

function makeModel(table: PgTable): RowModel {
  const name = getTableName(table);
  const keyNames = new Set(keyColumns(table).map((column) => column.name));
  const columns = Object.entries(getTableColumns(table)).map(([property, column], index): ColumnModel => {
    const isJson = is(column, PgJsonb) || is(column, PgJson);
    return { property, column, index, isJson, isKey: keyNames.has(column.name), decode: columnDecoder(column) };
  });
  const columnOf = new Map(columns.map((column) => [column.property, column]));
  const { version, softDelete } = tableMetadata(table);
  const select = (isText: boolean): string =>
    columns
      .map(({ column, isJson }) => `${identifier(name, column.name)}${isText && isJson ? "::text" : ""}`)
      .join(", ");
  return {
    table,
    name,
    text: tableText(table),
    columns,
    columnOf,
    key: keyColumns(table).flatMap((column) => columnOf.get(propertyOf(table, column)) ?? []),
    version: version === undefined ? undefined : columnOf.get(version),
    softDelete: softDelete === undefined ? undefined : columnOf.get(softDelete),
    selectText: select(false),
    selectJsonAsText: select(true),
  };
}

function keyColumns(table: PgTable): readonly PgColumn[] {
  try {
    return requiredKeyOf(table, "a tracked row");
  } catch {
    return []; // said again, with the right purpose, by rowModel()
  }
}

/** Dates, times and intervals, and arrays of them: Drizzle's columns map their text themselves. */
const AS_TEXT: ReadonlySet<number> = new Set([1184, 1114, 1082, 1186, 1231, 1115, 1185, 1187, 1182]);
const asText = (value: unknown): unknown => value;

/** The driver's parsers as Drizzle wants them, for statements that are mapped by {@link decodeRow}. */
export const rowFormat: Pick<Statement, "rowMode" | "types"> = {
  rowMode: "array",
  types: {
    getTypeParser: ((oid: number, format?: "text") =>
      AS_TEXT.has(oid) ? asText : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
  },
};

/** The rows of `selectText` as the objects that a Drizzle select would give; columns behind them are left out. */
export function modelMapper(model: RowModel): RowMapper {
  return (parsers) => {
    const columns = model.columns.map(({ property, index, decode }) => ({
      property,
      index,
      decode: parsedDecoder(parsers[index], decode),
    }));
    return (texts) => {
      const row: Record<string, unknown> = {};
      for (const { property, index, decode } of columns) {
        const text = texts[index];
        row[property] = text === null || decode === undefined ? text : decode(text);
      }
      return row;
    };
  };
}

/** One column of a row of `selectJsonAsText`. */
export function decodeText({ isJson, decode }: ColumnModel, value: unknown): unknown {
  if (isJson && typeof value === "string") return JSON.parse(value) as unknown;
  return value === null || decode === undefined ? value : decode(value);
}

/**
 * The primary key's values as text, in key order.
 *
 * @throws InvalidInputError for a key with a value missing, NULL, or too many
 */
export function keyTexts({ table, name, key }: RowModel, value: KeyValue, purpose: string): string[] {
  const isObject =
    typeof value === "object" && value !== null && !((value as unknown) instanceof Date) && !Buffer.isBuffer(value);
  if (!isObject && key.length > 1)
    throw new InvalidInputError(`${purpose} needs an object: the primary key of ${name} has several columns`, {
      hint: `pass { ${key.map(({ property }) => property).join(", ")} }`,
    });
  if (isObject) {
    const unknown = Object.keys(value).filter((property) => !key.some((column) => column.property === property));
    if (unknown.length > 0)
      throw new InvalidInputError(`${unknown.join(", ")} is not part of the primary key of ${name}`, {
        hint: `the key is { ${key.map(({ property }) => property).join(", ")} }`,
      });
  }
  return key.map(({ property, column }) => {
    const part: unknown = isObject ? value[property] : value;
    const text = valueText(column, part);
    if (text === null)
      throw new InvalidInputError(
        `${purpose} was not told which row: the key ${propertyOf(table, column)} of ${name} is missing`,
        {
          hint: "pass the id, or an object with all columns of the primary key",
        },
      );
    return text;
  });
}
