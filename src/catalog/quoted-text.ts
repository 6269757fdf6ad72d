// Where the quotes of a text that PostgreSQL printed end: what stands in them is not SQL.

const DOLLAR_QUOTE = /^\$(?:[\p{L}_][\p{L}\p{N}_]*)?\$/u;

/** What a name may hold behind its first character, or end with. */
export const WORD = /[\p{L}\p{N}_$"]/u;

/** Where the string, the quoted name or the dollar-quoted text that starts at a position ends; the position itself otherwise. */
export function quotedEnd(text: string, at: number): number {
  const mark = text[at];
  if (mark === "'" || mark === '"') {
    let end = at + 1;
    while (end < text.length && (text[end] !== mark || text[end + 1] === mark)) end += text[end] === mark ? 2 : 1;
    return Math.min(end + 1, text.length);
  }
  if (mark !== "$" || WORD.test(text[at - 1] ?? "")) return at;
  const opening = DOLLAR_QUOTE.exec(text.slice(at, at + 64))?.[0];
  if (opening === undefined) return at;
  const closing = text.indexOf(opening, at + opening.length);
  return closing === -1 ? text.length : closing + opening.length;
}
