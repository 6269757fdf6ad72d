// Arguments that several commands take: whole numbers, names of tables.
import { InvalidArgumentError } from "commander";
import { InvalidInputError } from "../postgres/index.ts";

/** For commander: an option's value as a whole number. */
export function wholeNumber(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(text);
}

export interface TableName {
  readonly schema: string;
  readonly table: string;
}

/**
 * `orders` (in public), `shop.orders` or `"Shop"."Orders"`; unquoted parts are folded to lower case, as PostgreSQL does.
 *
 * @throws InvalidInputError when it is no such name
 */
export function qualifiedName(text: string): TableName {
  const parts = [...text.matchAll(/(?:^|\.)(?:"((?:[^"]|"")+)"|([^\s".]+))/g)];
  const names = parts.map(([, quoted, plain = ""]) => quoted?.replaceAll('""', '"') ?? plain.toLowerCase());
  const whole = parts.map(([found]) => found).join("");
  const [first, second] = names;
  if (whole !== text || first === undefined || names.length > 2) {
    throw new InvalidInputError(`${JSON.stringify(text)} is not the name of a table`, {
      hint: 'write table, schema.table or "Schema"."Table"',
    });
  }
  return second === undefined ? { schema: "public", table: first } : { schema: first, table: second };
}
