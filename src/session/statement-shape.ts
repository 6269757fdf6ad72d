// What a statement is, apart from its values: normalised text, fingerprint, tables, and the columns it filters, joins and
// sorts by. By PostgreSQL's own parser; about a millisecond for a statement, so it is done once per text and off the path of a unit.
import { createHash } from "node:crypto";
import { fingerprintSync, loadModule, normalizeSync, parseSync } from "libpg-query";
import { readPredicates, type StatementPredicate } from "./statement-predicates.ts";

export interface StatementShape {
  /** 16 hexadecimal digits, the same for statements that differ in values, lengths of lists and layout (libpg_query). */
  readonly fingerprint: string;
  /** Without values and comments, at most 8,192 characters. */
  readonly text: string;
  /** e.g. `SELECT`, `INSERT`, `CREATE`. */
  readonly command: string;
  /** As written: `schema.table`, or `table` where the search path decides. Without names of WITH queries. */
  readonly tables: readonly string[];
  readonly predicates: readonly StatementPredicate[];
  /** Names of all columns it mentions. */
  readonly columns: ReadonlySet<string>;
  /** False when the parser refused it: then tables and predicates are not known. */
  readonly isParsed: boolean;
  /** It writes columns without naming them (`INSERT INTO t VALUES …`). */
  readonly writesUnnamedColumns: boolean;
}

const MAX_TEXT_LENGTH = 8_192;
/** A longer text is mostly values; the parser would need a hundred milliseconds for it. */
const MAX_PARSED_LENGTH = 65_536;

/** Loads the parser (WebAssembly, tens of milliseconds, once per process). */
export function loadParser(): Promise<void> {
  return loadModule();
}

/** Needs `loadParser()` first. Never throws: what cannot be parsed gets a fingerprint of its masked text. */
export function statementShape(text: string): StatementShape {
  if (text.length <= MAX_PARSED_LENGTH) {
    try {
      const fingerprint = fingerprintSync(text);
      const read = readPredicates(parseSync(text));
      const normalised = withoutConstants(normalizeSync(text));
      return { fingerprint, text: normalised, command: commandOf(normalised), isParsed: true, ...read };
    } catch {
      // Not SQL of this parser's version, or no SQL at all: the server has told its caller.
    }
  }
  const masked = withoutConstants(text).replaceAll(/(?<![$\w])\d+(?:\.\d+)?\b/g, "?");
  return {
    fingerprint: createHash("sha256").update(masked).digest("hex").slice(0, 16),
    text: masked,
    command: commandOf(masked),
    tables: [],
    predicates: [],
    columns: new Set(),
    isParsed: false,
    writesUnnamedColumns: true,
  };
}

/** Comments go, quoted names stay, and so do no strings: the parser's normalisation leaves those of SET, CREATE ROLE and alike. */
const QUOTED =
  /--[^\n]*|\/\*[^]*?\*\/|"(?:[^"]|"")*"|\b[eE]'(?:[^'\\]|''|\\[^])*'|'(?:[^']|'')*'|\$([A-Za-z_]\w*)?\$[^]*?\$\1\$/g;

function withoutConstants(text: string): string {
  const masked = text.replaceAll(QUOTED, (part) => {
    if (part.startsWith('"')) return part;
    return part.startsWith("--") || part.startsWith("/*") ? " " : "'?'";
  });
  return masked.trim().slice(0, MAX_TEXT_LENGTH);
}

function commandOf(text: string): string {
  const [word = ""] = /[a-z]+/i.exec(text) ?? [];
  return word.toUpperCase();
}
