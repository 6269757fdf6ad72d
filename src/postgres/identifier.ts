// The functions that put a name into SQL. Values never go this way: they are parameters.
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
  return doubled(name);
}

/** Words of the grammar that mean something else without quotes (`catcode` of `pg_get_keywords()` other than U, PostgreSQL 18). */
const RESERVED: ReadonlySet<string> = new Set(
  `all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case cast char character
  check coalesce collate collation column concurrently constraint create cross current_catalog current_date current_role
  current_schema current_time current_timestamp current_user dec decimal default deferrable desc distinct do else end except exists
  extract false fetch float for foreign freeze from full grant greatest group grouping having ilike in initially inner inout int
  integer intersect interval into is isnull join json json_array json_arrayagg json_exists json_object json_objectagg json_query
  json_scalar json_serialize json_table json_value lateral leading least left like limit localtime localtimestamp merge_action
  national natural nchar none normalize not notnull null nullif numeric offset on only or order out outer overlaps overlay placing
  position precision primary real references returning right row select session_user setof similar smallint some substring symmetric
  system_user table tablesample then time timestamp to trailing treat trim true union unique user using values varchar variadic
  verbose when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot
  xmlserialize xmltable`.split(/\s+/),
);

/**
 * A name as the server prints it, quoted only where it has to be: to compare with printed SQL, and for texts that a person reads.
 * Unlike {@link identifier} it refuses nothing.
 *
 * @see https://www.postgresql.org/docs/18/functions-string.html (quote_ident)
 */
export function printedIdentifier(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) && !RESERVED.has(name) ? name : doubled(name);
}

function doubled(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
