// The one function that puts a name into SQL. Values never go this way: they are parameters.
import { InvalidInputError } from "./errors.ts";

/** Longest name PostgreSQL keeps, in bytes (`NAMEDATALEN` - 1). Longer ones would be cut in silence, so they are an error here. */
export const MAX_IDENTIFIER_BYTES = 63;

/**
 * Quotes a name, or the parts of a qualified name, for use in SQL: `identifier("tasks", "todo list")` → `"tasks"."todo list"`.
 * Always quotes, so reserved words, capitals and Unicode keep their meaning.
 *
 * @throws InvalidInputError for an empty name, a NUL byte, a lone surrogate, or more than 63 bytes of UTF-8
 * @see https://www.postgresql.org/docs/18/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS
 */
export function identifier(...parts: readonly [string, ...string[]]): string {
  return parts.map(quotePart).join(".");
}

/** Names that need no look at their bytes: nearly all, and a catalog of 1,000 tables quotes 100,000 of them. */
const PLAIN = /^[\w ]{1,63}$/;

function quotePart(name: string): string {
  if (typeof name === "string" && PLAIN.test(name)) return `"${name}"`;
  if (typeof name !== "string" || name.length === 0) {
    throw new InvalidInputError("a name in SQL must be a string of at least one character");
  }
  if (name.includes("\0")) throw new InvalidInputError(`the name ${JSON.stringify(name)} contains a NUL byte`);
  if (!name.isWellFormed()) throw new InvalidInputError(`the name ${JSON.stringify(name)} is not valid Unicode`);
  const bytes = Buffer.byteLength(name, "utf8");
  if (bytes > MAX_IDENTIFIER_BYTES) {
    throw new InvalidInputError(
      `the name ${JSON.stringify(name)} has ${bytes} bytes; PostgreSQL keeps ${MAX_IDENTIFIER_BYTES}`,
      {
        hint: "choose a shorter name: PostgreSQL would cut this one in silence",
      },
    );
  }
  return `"${name.replaceAll('"', '""')}"`;
}
