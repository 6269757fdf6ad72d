// Splits SQL into statements with PostgreSQL's own parser and tells the place of a fault: file, line, column, the line, a caret.
import type * as parserModule from "libpg-query";
import { DatabaseError, InvalidSqlError } from "../postgres/errors.ts";
import { separatePsql, type PsqlPart } from "./psql-text.ts";

/** One statement of a file. */
export interface ScriptStatement {
  /** Without the semicolon and the comments before it. */
  readonly text: string;
  /** Name of its parse node, e.g. `CreateStmt`, `AlterOwnerStmt`. */
  readonly kind: string;
  /** The parse node itself. */
  readonly node: Readonly<Record<string, unknown>>;
  /** Where `text` begins in the file, in UTF-16 units. */
  readonly offset: number;
}

export interface SqlScript {
  readonly statements: readonly ScriptStatement[];
  /** psql's own commands and COPY data, in file order; they are not among the statements. */
  readonly psqlParts: readonly PsqlPart[];
}

const SYNTAX_ERROR = "42601";
export const ZERO_BYTE = "a zero byte";
/** Editors of Windows write it at the beginning; psql skips it, too. */
const BYTE_ORDER_MARK = /^\uFEFF/;

type Parser = typeof parserModule;
let loading: Promise<Parser> | undefined;

/** PostgreSQL's parser as WASM, loaded on first use: a report out of the cache needs none. */
export function loadParser(): Promise<Parser> {
  loading ??= import("libpg-query").then(async (parser) => {
    await parser.loadModule();
    return parser;
  });
  return loading;
}

/**
 * Parses a SQL file, as psql would read it.
 *
 * @param name - the file's name, for messages
 * @throws InvalidSqlError with file, line, column, the line and a caret
 */
export async function parseSqlScript(text: string, name: string): Promise<SqlScript> {
  const parser = await loadParser();
  const zero = text.indexOf("\0");
  // The parser would end there, and what follows would be lost.
  if (zero !== -1)
    throw sqlErrorAt(text, zero, name, ZERO_BYTE, {
      sqlState: SYNTAX_ERROR,
      cause: undefined,
      hint: "PostgreSQL's text has none: save the file as UTF-8",
    });
  const { segments, parts } = separatePsql(text.replace(BYTE_ORDER_MARK, " "));
  const statements = segments.flatMap((segment) => {
    // The parser counts bytes; strings count UTF-16 units.
    const bytes = Buffer.from(segment.text, "utf8");
    const isAscii = bytes.length === segment.text.length;
    const slice = (from: number, to: number): string =>
      isAscii ? segment.text.slice(from, to) : bytes.toString("utf8", from, to);
    let countedBytes = 0;
    let countedUnits = 0;
    return parseSegment(parser, segment.text, segment.offset, text, name).map(
      ({ location, length, node }): ScriptStatement => {
        countedUnits += isAscii ? location - countedBytes : slice(countedBytes, location).length;
        countedBytes = location;
        const raw = slice(location, length === 0 ? bytes.length : location + length);
        const blank = leadingBlank(raw);
        const [kind = ""] = Object.keys(node);
        return {
          text: raw.slice(blank).trimEnd(),
          kind,
          node: node[kind] as Readonly<Record<string, unknown>>,
          offset: segment.offset + countedUnits + blank,
        };
      },
    );
  });
  return { statements, psqlParts: parts };
}

interface ParsedStatement {
  readonly location: number;
  readonly length: number;
  readonly node: Readonly<Record<string, unknown>>;
}

function parseSegment(parser: Parser, sql: string, offset: number, file: string, name: string): ParsedStatement[] {
  try {
    const { stmts = [] } = parser.parseSync(sql);
    return stmts.map(({ stmt, stmt_location: location = 0, stmt_len: length = 0 }) => ({
      location,
      length,
      node: (stmt ?? {}) as unknown as Readonly<Record<string, unknown>>,
    }));
  } catch (cause) {
    if (!parser.hasSqlDetails(cause) || cause.sqlDetails === undefined) {
      const why = cause instanceof RangeError ? "it is nested too deeply" : String(cause);
      throw new InvalidSqlError(`${name} cannot be parsed: ${why}`, { sqlState: SYNTAX_ERROR }, { cause });
    }
    const { message, cursorPosition } = cause.sqlDetails;
    throw sqlErrorAt(file, offset + unitsOf(sql, Math.max(0, cursorPosition)), name, message, {
      sqlState: SYNTAX_ERROR,
      cause,
    });
  }
}

/** The length in UTF-16 units of the first `characters` Unicode characters: what PostgreSQL counts positions in. */
export function unitsOf(text: string, characters: number): number {
  let units = 0;
  for (let counted = 0; counted < characters && units < text.length; counted++) {
    units += (text.codePointAt(units) ?? 0) > 0xffff ? 2 : 1;
  }
  return units;
}

/**
 * An error that shows where in a file it stands, of the class of its cause when that is a server's error.
 *
 * @param position - counts UTF-16 units from 0
 */
export function sqlErrorAt(
  file: string,
  position: number,
  name: string,
  message: string,
  details: { readonly sqlState: string; readonly cause: unknown; readonly hint?: string | undefined },
): DatabaseError {
  const { cause, sqlState } = details;
  const place = placeOf(file, position);
  const Type = cause instanceof DatabaseError ? (cause.constructor as typeof InvalidSqlError) : InvalidSqlError;
  return new Type(
    `${name}:${place.line}:${place.column}: ${message}\n${excerpt(place.text, place.column)}`,
    { sqlState, position: position + 1 },
    { cause, hint: details.hint ?? `correct line ${place.line} of ${name}, then run it again` },
  );
}

/** Line and column counted from 1, columns in characters, and the line's text. */
export function placeOf(
  file: string,
  position: number,
): { readonly line: number; readonly column: number; readonly text: string } {
  // At the very end of the file the fault is in the last line that says something.
  const at = Math.min(position, file.trimEnd().length);
  const before = file.slice(0, at);
  const start = before.lastIndexOf("\n") + 1;
  const end = file.indexOf("\n", start);
  const text = file.slice(start, end === -1 ? undefined : end).replace(/\r$/, "");
  return {
    line: before.split("\n").length,
    column: Array.from(before.slice(start).replace(BYTE_ORDER_MARK, "")).length + 1,
    text,
  };
}

/** A long line is shown around the fault only. */
function excerpt(line: string, column: number): string {
  const characters = Array.from(line.replaceAll("\t", " "));
  const from = Math.max(0, column - 1 - 60);
  const shown = characters.slice(from, from + 120);
  const before = from > 0 ? "…" : "";
  const after = from + 120 < characters.length ? "…" : "";
  return `  ${before}${shown.join("")}${after}\n  ${" ".repeat(before.length + column - 1 - from)}^`;
}

/** Length of the blanks and comments a statement's raw text begins with; the parser leaves them in. */
function leadingBlank(text: string): number {
  const blank = /^(?:\s+|--[^\n]*(?:\n|$))+/;
  let length = 0;
  for (;;) {
    const rest = text.slice(length);
    const matched = blank.exec(rest)?.[0].length ?? 0;
    if (matched > 0) length += matched;
    else if (rest.startsWith("/*")) length += blockCommentLength(rest);
    else return length;
  }
}

function blockCommentLength(text: string): number {
  let depth = 0;
  for (const found of text.matchAll(/\/\*|\*\//g)) {
    depth += found[0] === "/*" ? 1 : -1;
    if (depth === 0) return found.index + 2;
  }
  return text.length;
}
