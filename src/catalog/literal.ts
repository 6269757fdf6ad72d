// Texts as SQL literals. DDL takes no parameters: comments, labels and option values have to be written into it.

/** Quotes a text; with a backslash in it as `E'…'`, which means the same under every setting. */
export function literal(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes("\\") ? `E${quoted.replaceAll("\\", "\\\\")}` : quoted;
}
