// Columns of queries inside queries, without the names that PostgreSQL gives them anyway. It prints `SELECT 'a'` behind UNION, in a
// CTE or in `x IN (SELECT 'a')` as `'a'::text`, reads a cast as a column that has the name of the type, and prints that as
// `'a'::text AS text`: made from its own text, a view would differ from itself for ever.
import { quotedEnd, WORD } from "./quoted-text.ts";

/** Where a name is printed at all places but those where it means nothing, what is printed as these is a column of another name. */
const NAMES: Readonly<Record<string, string>> = {
  bigint: "int8",
  "bit varying": "varbit",
  boolean: "bool",
  character: "bpchar",
  "character varying": "varchar",
  "double precision": "float8",
  integer: "int4",
  real: "float4",
  smallint: "int2",
  "time with time zone": "timetz",
  "time without time zone": "time",
  "timestamp with time zone": "timestamptz",
  "timestamp without time zone": "timestamp",
};

const NAME = String.raw`(?:"(?:[^"]|"")+"|[\p{L}_][\p{L}\p{N}_$]*)`;
const TYPE = String.raw`${NAME}(?:\.${NAME})?(?:\([\d, -]+\))?(?: (?:varying|precision|with time zone|without time zone)(?:\([\d, ]+\))?)*`;
const NAMED_CAST = new RegExp(String.raw`(::(${TYPE})(?:\[\])*) AS (${NAME})(?![\p{L}\p{N}_$"])`, "uy");
const LIST_OF_VALUES = /\( (?=VALUES )/uy;

/**
 * @param text - as `pg_get_viewdef` and the like print it; texts in quotes and in dollar quotes stay as they are
 * @returns the same with `'a'::text AS text` as `'a'::text`, and so for NULL and for `((a + 1))::numeric AS "numeric"`; columns with
 *   any other name keep it. `( VALUES` is written `(VALUES`
 */
export function withoutDefaultNames(text: string): string {
  if (!text.includes(" AS ") && !text.includes("( VALUES ")) return text;
  const groups = new Groups(text);
  let written = "";
  let from = 0;
  for (let at = 0; at < text.length;) {
    const start = at;
    const quoted = quotedEnd(text, start);
    at = quoted > start ? quoted : start + 1;
    if (quoted === start && text[start] === "(") {
      groups.open(start);
      LIST_OF_VALUES.lastIndex = start;
      if (!LIST_OF_VALUES.test(text)) continue;
      written += text.slice(from, at);
      from = at + 1;
    } else if (isNameless(text, start, quoted, groups)) {
      if (text[start] === "N") at = start + "NULL".length;
      NAMED_CAST.lastIndex = at;
      const [all, cast = "", type = "", name = ""] = NAMED_CAST.exec(text) ?? [];
      if (all === undefined || nameOfType(type) !== unquoted(name)) continue;
      written += text.slice(from, at) + cast;
      from = at + all.length;
      at = from;
    }
  }
  return written + text.slice(from);
}

/** Whether what ends here has no name to give to a cast of it: a constant, or an operator with what it is applied to. */
function isNameless(text: string, start: number, quoted: number, groups: Groups): boolean {
  if (quoted > start) return text[start] === "'";
  if (text[start] === ")") return groups.close(start);
  return text.startsWith("NULL::", start) && !WORD.test(text[start - 1] ?? "");
}

/** Parentheses: PostgreSQL prints `((a + 1))::numeric`, with two around what an operator yields. */
class Groups {
  readonly #text: string;
  readonly #open: number[] = [];
  #last: readonly [open: number, close: number] = [-1, -1];

  constructor(text: string) {
    this.#text = text;
  }

  open(at: number): void {
    this.#open.push(at);
  }

  /** @returns whether the parenthesis ends an operator and what it is applied to */
  close(at: number): boolean {
    const opening = this.#open.pop() ?? -1;
    const [inner, end] = this.#last;
    this.#last = [opening, at];
    return end === at - 1 && inner === opening + 1 && isOperator(this.#text.slice(inner + 1, end));
  }
}

/** `a AT TIME ZONE 'UTC'` and other words have names of their own; so has what only looks like it. */
function isOperator(content: string): boolean {
  let written = "";
  for (let at = 0; at < content.length;) {
    const quoted = quotedEnd(content, at);
    written += quoted > at ? "_" : (content[at] ?? "");
    at = Math.max(quoted, at + 1);
  }
  return /[-+*/<>=~!@#%^&|`?]/u.test(written) && !/[\p{L}\p{N}_$]\s+[\p{L}\p{N}_$]/u.test(written);
}

/** The name that a column has which is a cast to a type. */
function nameOfType(type: string): string {
  const plain = type.replaceAll(/\([\d, -]+\)/gu, "");
  const last = new RegExp(`${NAME}$`, "u").exec(plain)?.[0] ?? plain;
  return NAMES[plain] ?? unquoted(last);
}

function unquoted(name: string): string {
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name;
}
