// Names of columns whose models give none: Drizzle takes the property, or what `drizzle({ casing })` makes of it. Here the columns
// get that name once, so that whatever builds SQL of them, Drizzle's builders and this package's, agrees.
import {
  Column,
  getTableColumns,
  getTableName,
  getViewName,
  getViewSelectedFields,
  is,
  Table,
  View,
} from "drizzle-orm";
import { toCamelCase, toSnakeCase } from "drizzle-orm/casing";
import { InvalidInputError } from "../postgres/index.ts";

/** `"snake_case"`: `createdAt` is the column `created_at`. `"camelCase"`: `created_at` is the column `createdAt`. */
export type ColumnCasing = "snake_case" | "camelCase";

const CONVERSIONS: Readonly<Record<ColumnCasing, (name: string) => string>> = {
  snake_case: toSnakeCase,
  camelCase: toCamelCase,
};

const casings = new WeakMap<object, ColumnCasing>();

/**
 * Columns that were given a name keep it. Safe to call again.
 *
 * @param schema - what a program's models export: tables and views, anything else is left alone
 * @throws InvalidInputError for an unknown casing, and for tables that have names of another one already
 */
export function nameColumns(schema: Readonly<Record<string, unknown>>, casing: ColumnCasing): void {
  const convert = Object.hasOwn(CONVERSIONS, casing) ? CONVERSIONS[casing] : undefined;
  if (convert === undefined)
    throw new InvalidInputError(`casing is "snake_case" or "camelCase", not ${String(casing)}`);
  for (const source of Object.values(schema)) {
    if (!is(source, Table) && !is(source, View)) continue;
    const known = casings.get(source);
    if (known === casing) continue;
    if (known !== undefined) {
      throw new InvalidInputError(`the columns of ${nameOf(source)} are named in ${known} already`, {
        hint: "one program names the columns of a table in one way: pass the same casing to each session factory",
      });
    }
    casings.set(source, casing);
    for (const column of columnsOf(source))
      if (column.keyAsName) Object.assign(column, { name: convert(column.name), keyAsName: false });
  }
}

/** Those that indexes and keys are declared with are other objects than those that queries use. */
const DECLARED_COLUMNS = Symbol.for("drizzle:ExtraConfigColumns");

function columnsOf(source: Table | View): Column[] {
  if (is(source, View)) {
    const fields: Readonly<Record<string, unknown>> = getViewSelectedFields(source);
    return Object.values(fields).filter((field): field is Column => is(field, Column));
  }
  const declared = (source as unknown as Record<symbol, Readonly<Record<string, Column>> | undefined>)[
    DECLARED_COLUMNS
  ];
  return [...Object.values(getTableColumns(source)), ...Object.values(declared ?? {})];
}

function nameOf(source: Table | View): string {
  return is(source, Table) ? getTableName(source) : getViewName(source);
}
