// Cuts SQL as the server prints it into tokens, to compare two texts name by name.
import { literal } from "../postgres/index.ts";

export interface Token {
  readonly kind: "name" | "text" | "other";
  /** A name unquoted, a text with its quotes. */
  readonly value: string;
  /** As it stands in the SQL. */
  readonly raw: string;
  /** Blanks before it. */
  readonly space: string;
}

const TOKEN =
  /(\s*)("(?:[^"]|"")*"|E'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|\$(\w*)\$[\s\S]*?\$\3\$|[\p{L}_][\p{L}\p{N}_$]*|\d[\w.]*|::|[\s\S])/gsu;

export function tokensOf(sql: string): readonly Token[] {
  return [...sql.matchAll(TOKEN)].map(([, space = "", raw = ""]) => {
    if (raw.startsWith('"')) return { kind: "name", value: raw.slice(1, -1).replaceAll('""', '"'), raw, space };
    if (/^[\p{L}_]/u.test(raw) && !raw.endsWith("'")) return { kind: "name", value: raw, raw, space };
    return { kind: /^E?'/.test(raw) ? "text" : "other", value: raw, raw, space };
  });
}

/** Another text in the form of a token of kind text, so that it compares equal with what the server prints. */
export function printedText(text: string, { raw }: Token): string {
  return raw.startsWith("E") ? literal(text) : `'${text.replaceAll("'", "''")}'`;
}

/** What a token of kind text says. `pg_get_expr()` prints backslashes as they are, `quote_literal()` doubles them in `E'…'`. */
export function textOf({ raw }: Token): string {
  const isEscaped = raw.startsWith("E");
  const text = raw.slice(isEscaped ? 2 : 1, -1).replaceAll("''", "'");
  return isEscaped ? text.replaceAll(/\\(.)/gs, "$1") : text;
}
