// Separates what psql does from what the server does in a SQL file: backslash commands and the data of COPY … FROM stdin are
// taken out. What is left is plain SQL for the parser, in segments that remember where in the file they stand.

export interface SqlSegment {
  /** Plain SQL. What was taken out is replaced by spaces, so offsets stay true. */
  readonly text: string;
  /** Where `text` begins in the file, in UTF-16 units. */
  readonly offset: number;
}

export interface PsqlPart {
  readonly kind: "command" | "copy data";
  /** The command's line without its newline, or the lines of data. */
  readonly text: string;
  readonly offset: number;
}

const COPY_FROM_STDIN = /^copy\b[\s\S]*\bfrom\s+(?:stdin|pstdin)\b/i;
/** Commands that send the statement before them, as a semicolon does. */
const SENDS = /^\\(?:g|gx|gdesc|gexec|gset|crosstabview|watch)\b/;

/** Splits a file for psql into SQL segments and the parts only psql understands. Never fails: faults of the SQL are the parser's. */
export function separatePsql(file: string): {
  readonly segments: readonly SqlSegment[];
  readonly parts: readonly PsqlPart[];
} {
  // Most files hold neither: then all of it is SQL.
  if (!/\\|\bp?stdin\b/i.test(file))
    return { segments: file.trim() === "" ? [] : [{ text: file, offset: 0 }], parts: [] };
  const segments: SqlSegment[] = [];
  const parts: PsqlPart[] = [];
  let segmentStart = 0;
  let segment = ""; // text of the segment up to `copied`
  let copied = 0;
  let statement = ""; // the statement that is being read, without comments; only its beginning matters
  let position = 0;

  const closeSegment = (end: number, next: number): void => {
    segment += file.slice(copied, end);
    if (segment.trim() !== "") segments.push({ text: segment, offset: segmentStart });
    segment = "";
    segmentStart = copied = next;
  };

  while (position < file.length) {
    const skipped = skipQuoted(file, position);
    if (skipped !== undefined) {
      if (!skipped.isComment && statement.length < 100_000) statement += " ''";
      position = skipped.end;
      continue;
    }
    const character = file[position] ?? "";
    // `\;` sends several statements as one query: for the parser it is a semicolon.
    if (character === "\\" && file[position + 1] === ";") {
      parts.push({ kind: "command", text: "\\;", offset: position });
      segment += `${file.slice(copied, position)} `;
      copied = ++position;
      continue;
    }
    if (character === "\\") {
      const end = endOfLine(file, position);
      const text = file.slice(position, end);
      parts.push({ kind: "command", text, offset: position });
      const isEnd = SENDS.test(text) && statement !== "";
      segment += file.slice(copied, position) + (isEnd ? ";" : " ") + " ".repeat(end - position - 1);
      if (isEnd) statement = "";
      copied = position = end;
      continue;
    }
    position++;
    if (character !== ";") {
      // Only the beginning matters, except for COPY, whose FROM STDIN comes after its columns.
      const limit = /^copy\b/i.test(statement) ? 100_000 : 100;
      if (statement.length < limit && (statement !== "" || character.trim() !== "")) statement += character;
      continue;
    }
    if (COPY_FROM_STDIN.test(statement)) {
      const dataStart = Math.min(endOfLine(file, position) + 1, file.length);
      const terminator = /^\\\.\r?$/m;
      const rest = file.slice(dataStart);
      const found = terminator.exec(rest);
      const dataEnd = found === null ? file.length : dataStart + found.index;
      const next = found === null ? file.length : dataEnd + found[0].length;
      parts.push({ kind: "copy data", text: file.slice(dataStart, dataEnd), offset: dataStart });
      closeSegment(position, next);
      position = next;
    }
    statement = "";
  }
  closeSegment(file.length, file.length);
  return { segments, parts };
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf("\n", from);
  return end === -1 ? text.length : end;
}

/** The end of the string, quoted name or comment that begins at `start`; `undefined` when none does. */
function skipQuoted(text: string, start: number): { readonly end: number; readonly isComment: boolean } | undefined {
  const two = text.slice(start, start + 2);
  if (two === "--") return { end: endOfLine(text, start), isComment: true };
  if (two === "/*") return { end: endOfBlockComment(text, start), isComment: true };
  const character = text[start];
  if (character === "'") {
    const hasEscapes = /(?:^|[^\w$\u0080-\uffff])[eE]$/.test(text.slice(Math.max(0, start - 2), start));
    return { end: endOfString(text, start, hasEscapes), isComment: false };
  }
  if (character === '"') {
    const end = text.indexOf('"', start + 1); // a doubled quote reads as two names side by side: the same end
    return { end: end === -1 ? text.length : end + 1, isComment: false };
  }
  if (character === "$" && !/[\w$\u0080-\uffff]/.test(text[start - 1] ?? "")) {
    const tag = /^\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/.exec(text.slice(start, start + 130))?.[0];
    if (tag === undefined) return undefined;
    const end = text.indexOf(tag, start + tag.length);
    return { end: end === -1 ? text.length : end + tag.length, isComment: false };
  }
  return undefined;
}

function endOfString(text: string, start: number, hasEscapes: boolean): number {
  for (let position = start + 1; position < text.length; position++) {
    if (hasEscapes && text[position] === "\\") position++;
    else if (text[position] === "'") return position + 1; // a doubled quote begins the next string at once: the same end
  }
  return text.length;
}

function endOfBlockComment(text: string, start: number): number {
  const mark = /\/\*|\*\//g;
  mark.lastIndex = start + 2;
  for (let depth = 1; ;) {
    const found = mark.exec(text);
    if (found === null) return text.length;
    depth += found[0] === "/*" ? 1 : -1;
    if (depth === 0) return mark.lastIndex;
  }
}

/**
 * Cuts plain SQL at the semicolons that end statements: not those in strings and comments.
 *
 * @param keepParentheses - nor those in parentheses (CREATE RULE)
 */
export function splitSql(sql: string, keepParentheses: boolean): readonly SqlSegment[] {
  const pieces: SqlSegment[] = [];
  let start = 0;
  let depth = 0;
  let position = 0;
  const close = (end: number): void => {
    const text = sql.slice(start, end);
    if (text.trim() !== "") pieces.push({ text, offset: start });
    start = end;
  };
  while (position < sql.length) {
    const skipped = skipQuoted(sql, position);
    if (skipped !== undefined) {
      position = skipped.end;
      continue;
    }
    const character = sql[position++];
    if (character === "(") depth++;
    else if (character === ")") depth = Math.max(0, depth - 1);
    else if (character === ";" && (depth === 0 || !keepParentheses)) close(position);
  }
  close(sql.length);
  return pieces;
}
