// Texts as SQL literals. DDL and other commands take no parameters: comments, labels and settings have to be written into them.

/**
 * Quotes a text; with a backslash in it as `E'…'`, which means the same under every setting.
 * @see https://www.postgresql.org/docs/18/sql-syntax-lexical.html#SQL-SYNTAX-STRINGS-ESCAPE
 */
export function literal(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes("\\") ? `E${quoted.replaceAll("\\", "\\\\")}` : quoted;
}

/** Quotes the body of a function or of DO, whatever is in it. */
export function dollarQuoted(body: string): string {
  let tag = "$pgsteward$";
  for (let count = 2; body.includes(tag); count++) tag = `$pgsteward${count}$`;
  return `${tag}${body}${tag}`;
}
