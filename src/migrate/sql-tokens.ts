// Cuts SQL as the server prints it into tokens, to compare two texts name by name.

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
  /(\s*)("(?:[^"]|"")*"|E?'(?:[^'\\]|''|\\.)*'|\$(\w*)\$[\s\S]*?\$\3\$|[\p{L}_][\p{L}\p{N}_$]*|\d[\w.]*|::|[\s\S])/gu;

export function tokensOf(sql: string): readonly Token[] {
  return [...sql.matchAll(TOKEN)].map(([, space = "", raw = ""]) => {
    if (raw.startsWith('"')) return { kind: "name", value: raw.slice(1, -1).replaceAll('""', '"'), raw, space };
    if (/^[\p{L}_]/u.test(raw) && !raw.endsWith("'")) return { kind: "name", value: raw, raw, space };
    return { kind: /^E?'/.test(raw) ? "text" : "other", value: raw, raw, space };
  });
}

/** A name as the server prints it: quoted only where it has to be, or where it was. */
export function printedName(name: string): string {
  return /^[a-z_][a-z0-9_$]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}
