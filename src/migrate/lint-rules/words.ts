// Texts that several rules share: names as SQL, the statements of the safe forms.
import { printedIdentifier as word } from "../../postgres/identifier.ts";
import type { Name } from "../syntax.ts";

export { word };

/** Quoted only where needed. */
export function sqlName(name: Name | undefined): string {
  if (name === undefined) return "…";
  return name.schema === undefined ? word(name.name) : `${word(name.schema)}.${word(name.name)}`;
}

/** A statement's text with NOT VALID, and the validation that follows on its own. */
export function lateConstraint(statement: string, table: Name | undefined, constraint: string): string {
  return `${statement} NOT VALID;\n-- then, in a transaction of its own:\nALTER TABLE ${sqlName(table)} VALIDATE CONSTRAINT ${word(constraint)};`;
}

export function concurrently(statement: string, after: RegExp): string {
  return `-- outside a transaction:\n${statement.replace(after, (found) => `${found} CONCURRENTLY`)};`;
}

export function notNullRecipe(table: Name | undefined, column: string, version: number): string {
  const target = sqlName(table);
  if (version >= 18) {
    const name = word(`${table?.name ?? "t"}_${column}_not_null`);
    return `ALTER TABLE ${target} ADD CONSTRAINT ${name} NOT NULL ${word(column)} NOT VALID;\n-- then, in a transaction of its own:\nALTER TABLE ${target} VALIDATE CONSTRAINT ${name};`;
  }
  const name = word(`${column}_present`);
  return `ALTER TABLE ${target} ADD CONSTRAINT ${name} CHECK (${word(column)} IS NOT NULL) NOT VALID;\n-- then, in a transaction of its own:\nALTER TABLE ${target} VALIDATE CONSTRAINT ${name};\n-- then:\nALTER TABLE ${target} ALTER COLUMN ${word(column)} SET NOT NULL, DROP CONSTRAINT ${name};`;
}

export function backfillRecipe(table: Name | undefined, column: string, type: string, value: string): string {
  const target = sqlName(table);
  return `ALTER TABLE ${target} ADD COLUMN ${word(column)} ${type};\nALTER TABLE ${target} ALTER COLUMN ${word(column)} SET DEFAULT ${value};\n-- then fill the old rows in batches of some thousand, each in a transaction of its own`;
}

/** The name the server would choose. */
export function constraintName(
  table: Name | undefined,
  given: unknown,
  columns: readonly string[],
  suffix: string,
): string {
  return typeof given === "string" ? given : [table?.name ?? "t", ...columns, suffix].join("_");
}
