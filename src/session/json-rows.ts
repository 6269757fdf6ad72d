// Many rows as one parameter: a JSON array that PostgreSQL reads with the table's own row type. The text of the statement
// does not depend on the number of rows, there is no limit of 65,535 parameters, and every type goes through its own input
// function, because values are sent as the text that function reads. (A domain over jsonb would get a JSON string.)
import { getTableColumns, getTableName, sql, type SQL } from "drizzle-orm";
import type { PgColumn, PgTable } from "drizzle-orm/pg-core";
import { identifier, InvalidInputError } from "../postgres/index.ts";
import { holdsJson, tableText, valueText } from "./table-columns.ts";

export type Values = Readonly<Record<string, unknown>>;

/** Rows that give values for the same columns; the others get their default. */
export interface RowGroup {
  /** Columns the caller named. */
  readonly given: readonly PgColumn[];
  /** `given`, and those whose value the model makes ($defaultFn, $onUpdateFn). */
  readonly columns: readonly PgColumn[];
  /** Positions among all rows, ascending. */
  readonly indexes: readonly number[];
}

interface ModelColumn {
  readonly property: string;
  readonly column: PgColumn;
  /** The name as the key of a JSON object, with its colon. */
  readonly key: string;
  readonly isJson: boolean;
  /** A custom type makes the JSON text: broken text would break all rows. */
  readonly isUnchecked: boolean;
  readonly make: (() => unknown) | undefined;
}

/** Rows of a table, encoded one batch at a time. */
export class JsonRows {
  readonly groups: readonly RowGroup[];
  readonly #rows: readonly Values[];
  readonly #model: readonly ModelColumn[];

  /**
   * @param purpose - what is done with the rows, for messages
   * @throws InvalidInputError naming the first row that cannot be used
   */
  constructor(table: PgTable, rows: readonly Values[], purpose: "insert" | "update") {
    if (!Array.isArray(rows)) throw new InvalidInputError("rows must be an array of objects");
    this.#rows = rows;
    this.#model = Object.entries(getTableColumns(table)).map(([property, column]) => ({
      property,
      column,
      key: `${JSON.stringify(column.name)}:`,
      isJson: holdsJson(column),
      isUnchecked: holdsJson(column) && column.columnType !== "PgJson" && column.columnType !== "PgJsonb",
      make:
        purpose === "update"
          ? column.onUpdateFn
          : (column.defaultFn ?? (column.default === undefined ? column.onUpdateFn : undefined)),
    }));
    this.groups = this.#grouped(table);
  }

  /** One JSON object per row, as text. Values that the model makes are made anew at each call. */
  encode(group: RowGroup, indexes: readonly number[]): string[] {
    const cells = this.#cellsOf(group);
    return indexes.map((index) => {
      const row = this.#rows[index] ?? {};
      let text = "";
      for (const cell of cells) {
        const value = cellText(index, cell, row);
        text += `${text === "" ? "{" : ","}${cell.key}${value === null ? "null" : jsonOf(index, cell, value)}`;
      }
      return text === "" ? "{}" : `${text}}`;
    });
  }

  /** The texts of one row's values after the other, each in the order of the group's columns. */
  *allTexts(group: RowGroup): Generator<(string | null)[]> {
    const cells = this.#cellsOf(group);
    for (const index of group.indexes) {
      const row = this.#rows[index] ?? {};
      yield cells.map((cell) => cellText(index, cell, row));
    }
  }

  /** The texts of one row's values, in the order of the group's columns. */
  texts(group: RowGroup, index: number): (string | null)[] {
    const row = this.#rows[index] ?? {};
    return this.#cellsOf(group).map((cell) => cellText(index, cell, row));
  }

  hasNull(group: RowGroup, index: number, columns: readonly PgColumn[]): boolean {
    const texts = this.texts(group, index);
    return this.#cellsOf(group).some(({ column }, cell) => columns.includes(column) && texts[cell] === null);
  }

  #cellsOf(group: RowGroup): ModelColumn[] {
    return this.#model.filter(({ column }) => group.columns.includes(column));
  }

  #grouped(table: PgTable): RowGroup[] {
    const properties = new Map(this.#model.map((model) => [model.property, model]));
    const groups = new Map<string, { given: Set<string>; indexes: number[] }>();
    for (const [index, row] of this.#rows.entries()) {
      if (typeof row !== "object" || row === null || Array.isArray(row)) {
        throw new InvalidInputError(`row ${index} is no object`, { rowIndex: index });
      }
      const given = Object.keys(row).filter((property) => row[property] !== undefined);
      for (const property of given) checkProperty(table, index, property, properties.get(property));
      const signature = given.toSorted().join("\0");
      const group = groups.get(signature);
      if (group === undefined) groups.set(signature, { given: new Set(given), indexes: [index] });
      else group.indexes.push(index);
    }
    return [...groups.values()].map(({ given, indexes }) => ({
      given: this.#model.filter(({ property }) => given.has(property)).map(({ column }) => column),
      columns: this.#model
        .filter(({ property, make }) => given.has(property) || make !== undefined)
        .map(({ column }) => column),
      indexes,
    }));
  }
}

/** @param text - of the value, which is not NULL */
function jsonOf(index: number, { isJson, property }: ModelColumn, text: string): string {
  // Half of a surrogate pair: the driver sends U+FFFD for it, JSON would keep it, and the server refuse the whole batch.
  if (!isJson) return JSON.stringify(text.toWellFormed());
  if (text !== "null") return text;
  throw new InvalidInputError(`row ${index}: ${property} is a JSON null, which would be stored as NULL`, {
    rowIndex: index,
    hint: "pass null for NULL, finite numbers and valid dates; tx.insert() takes sql`'null'::jsonb`",
  });
}

function checkProperty(table: PgTable, index: number, property: string, model: ModelColumn | undefined): void {
  if (model === undefined) {
    throw new InvalidInputError(`row ${index}: the table ${getTableName(table)} has no column ${property}`, {
      rowIndex: index,
      hint: `its columns are ${Object.keys(getTableColumns(table)).join(", ")}`,
    });
  }
  if (model.column.generated !== undefined || model.column.generatedIdentity?.type === "always") {
    throw new InvalidInputError(`row ${index}: the server makes the column ${property} by itself`, {
      rowIndex: index,
      hint: "leave it out",
    });
  }
}

function cellText(index: number, { column, property, make, isUnchecked }: ModelColumn, row: Values): string | null {
  const value = row[property];
  try {
    const text = valueText(column, value === undefined && make !== undefined ? make() : value);
    if (text !== null && isUnchecked) JSON.parse(text);
    return text;
  } catch (error) {
    const { message, hint } = error as { message: string; hint?: string };
    throw new InvalidInputError(`row ${index}: ${message}`, { rowIndex: index, cause: error, hint });
  }
}

/** `jsonb`, which is read faster, unless a `json` column wants its text as it is. */
function jsonType(table: PgTable): SQL {
  const keepsText = Object.values(getTableColumns(table)).some((column) => /^json$/i.test(column.getSQLType()));
  return sql.raw(keepsText ? "json" : "jsonb");
}

/** A set of rows of the table's type; `rows` are JSON objects and become one parameter. */
export function rowsSource(table: PgTable, rows: readonly string[]): SQL {
  const type = jsonType(table);
  return sql`pg_catalog.${type}_populate_recordset(NULL::${sql.raw(tableText(table))}, ${`[${rows.join(",")}]`}::${type})`;
}

/** `"a", "b"`, each with a prefix when one is given. */
export function columnList(columns: readonly PgColumn[], prefix = ""): string {
  return columns.map((column) => prefix + identifier(column.name)).join(", ");
}

/** `INSERT INTO … SELECT …` of JSON rows. */
export function insertRows(table: PgTable, columns: readonly PgColumn[], rows: readonly string[]): SQL {
  const name = sql.raw(tableText(table));
  // Without a column there is nothing to name: every column gets its default.
  if (columns.length === 0)
    return sql`INSERT INTO ${name} SELECT FROM pg_catalog.generate_series(1, ${rows.length}::int4)`;
  return sql`INSERT INTO ${name} (${sql.raw(columnList(columns))}) SELECT ${sql.raw(columnList(columns, "r."))} FROM ${rowsSource(table, rows)} AS r`;
}
