// Finds the way there and the way back in the text of a migration file. What belongs to the other part becomes blanks, so that
// positions stay those of the file.
import type { TransactionScope } from "./tools.ts";

const UP = /^(?:--\s*(?:migrate:up|\+[a-z]+\s+up)\b|\s*--[\s-]*up\s+migration\b)/i;
const DOWN =
  /^(?:--\s*(?:migrate:down|\+[a-z]+\s+down)\b|\s*--[\s-]*down\s+migration\b|-{2,}\s*create above \/ drop below\s*-{2,})/i;
const PROSE = /\bdown\s+migration\b.*[a-z]/i;
/** Marks that any tool might use, on a line of their own: `-- !Ups`, `-- ==== UP ====`, `# --- !Downs`, `-- rambler up`, `-- //@UNDO`, `-- Down`. */
const OTHER_UP = /^\s*(?:--|#)[\s\-=!@+:/[]*(?:(?:rambler|migrat(?:e|ion)|section|sql)[\s:]+)?ups?[\s\-=\]:]*$/i;
const OTHER_DOWN =
  /^\s*(?:--|#)[\s\-=!@+:/[]*(?:(?:rambler|migrat(?:e|ion)|section|sql)[\s:]+)?(?:downs?|undo)[\s\-=\]:]*$/i;
const UNDO = /^\s*--\s*\/\/\s*@undo\b/i;
/** Play's `# --- !Ups`: anything may stand around the word. */
const PLAY_UP = /^\s*(?:#|--).*!Ups/;
const PLAY_DOWN = /^\s*(?:#|--).*!Downs/;
/** `-- +goose StatementEnd` ends a statement that has no semicolon. */
const STATEMENT_END = /^--\s*\+[a-z]+\s+statementend\b/i;
const LINE = /(?<=\n|\r(?!\n))/;

export interface FileParts {
  readonly up: string;
  /** `undefined` when the file has no mark of a way back. */
  readonly down: string | undefined;
}

/** Splits a file at the marks of dbmate, goose, sql-migrate, node-pg-migrate, tern, Play. Without a mark all of it is the way there. */
export function splitAtMarks(text: string): FileParts {
  if (hasPlayMarks(text)) return splitAtPlayMarks(text);
  const lines = withStatementEnds(text.split(LINE));
  const marks = marksIn(lines);
  if (marks === undefined) return { up: lines.join(""), down: undefined };
  const up: string[] = [];
  const down: string[] = [];
  let isDown = false;
  for (const line of lines) {
    if (marks.up.test(line)) isDown = false;
    else if (marks.down.test(line)) isDown = true;
    // A line with # is no comment for PostgreSQL.
    up.push(isDown || (line.startsWith("#") && marks.up.test(line)) ? blank(line) : line);
    down.push(isDown && !(line.startsWith("#") && marks.down.test(line)) ? line : blank(line));
  }
  return { up: up.join(""), down: down.join("") };
}

function withStatementEnds(lines: readonly string[]): readonly string[] {
  if (!lines.some((line) => STATEMENT_END.test(line))) return lines;
  let before = ";";
  return lines.map((line) => {
    const isOpen = STATEMENT_END.test(line) && !before.endsWith(";");
    if (!/^\s*(?:--|$)/.test(line)) before = line.trimEnd();
    if (!isOpen) return line;
    before = ";";
    return `;${blank(line.slice(1))}`;
  });
}

/** Whether it is an evolution of the Play framework. */
export function hasPlayMarks(text: string): boolean {
  return text.includes("!Ups") || text.includes("!Downs")
    ? text.split(LINE).some((line) => PLAY_UP.test(line) || PLAY_DOWN.test(line))
    : false;
}

/**
 * Play runs nothing of what stands before the first mark (`# Users schema`), and ends a statement at each single semicolon: those in
 * the body of a function are written twice.
 */
function splitAtPlayMarks(text: string): FileParts {
  const parts = { before: "", up: "", down: "" };
  let part: keyof typeof parts = "before";
  let hasDown = false;
  for (const line of text.split(LINE)) {
    const isMark = PLAY_UP.test(line) || PLAY_DOWN.test(line);
    if (isMark) part = PLAY_UP.test(line) ? "up" : "down";
    hasDown ||= part === "down";
    for (const name of ["up", "down"] as const)
      parts[name] += name === part && !isMark ? line.replaceAll(";;", "; ") : blank(line);
  }
  return { up: parts.up, down: hasDown ? parts.down : undefined };
}

/** A word alone may be a remark: it is a mark where both directions have one. */
function marksIn(lines: readonly string[]): { readonly up: RegExp; readonly down: RegExp } | undefined {
  const has = (mark: RegExp): boolean => lines.some((line) => mark.test(line));
  // `-- down migration is not needed` alone is prose; beside a mark of the way there it is one, as node-pg-migrate reads it.
  const downs = lines.filter((line) => DOWN.test(line));
  if (downs.some((line) => !PROSE.test(line)) || (downs.length > 0 && has(UP))) return { up: UP, down: DOWN };
  if (has(UNDO)) return { up: OTHER_UP, down: UNDO };
  return has(OTHER_UP) && has(OTHER_DOWN) ? { up: OTHER_UP, down: OTHER_DOWN } : undefined;
}

/** What leads back is blank, and so are Liquibase's changesets for other databases. */
export function withoutDownPart(text: string): string {
  if (!LIQUIBASE.test(text)) return splitAtMarks(text).up;
  return changesetsIn(text).reduce(
    (whole, { start, end, isForPostgres }) =>
      isForPostgres ? whole : whole.slice(0, start) + blank(whole.slice(start, end)) + whole.slice(end),
    text,
  );
}

/** Whether a file's name says that it undoes another one: `….down.sql`, `down.sql`, Flyway's `U2__….sql`, postgrator's `2.undo.….sql`. */
export function isDownFile(name: string): boolean {
  return (
    /(?:^|[._-])down\.sql$|\.(?:undo|rollback|revert)\.sql$/i.test(name) ||
    /^U\d[\w.]*__.*\.sql$/.test(name) ||
    /^\d+\.undo\./i.test(name)
  );
}

/** `1_a-reverse.sql` beside `1_a.sql`; alone such a name may be that of a way there. */
export function undoesAnother(name: string, sql: readonly string[]): boolean {
  const [, stem] = /^(.*)[_-](?:undo|rollback|revert|reverse|backout)\.sql$/i.exec(name) ?? [];
  return stem !== undefined && sql.includes(`${stem}.sql`);
}

/** `-- irreversible: why` on a line of its own. */
export function irreversibleReason(text: string): string | undefined {
  return /^--\s*irreversible:[ \t]*(\S.*?)\s*$/im.exec(text)?.[1];
}

/** The first line of a formatted file; Liquibase reads no further than the second word (`--liquibase formatted.sql`). */
export const LIQUIBASE = /^\s*--\s*liquibase formatted/i;

export interface Changeset extends FileParts {
  readonly author: string;
  readonly id: string;
  /** Where its SQL begins. */
  readonly start: number;
  readonly transaction: TransactionScope;
  /** False when `dbms:` names others only, or `ignore:true` says that it never runs. */
  readonly isForPostgres: boolean;
}

const CHANGESET =
  /^[^\S\n]*--[^\S\n]*changeset[^\S\n]+("[^"\n]+"|[^:\n]+):[^\S\n]*("[^"\n]+"|'[^'\n]+'|[^\s\n]+)([^\n]*)$/gim;

interface ChangesetPlace extends Omit<Changeset, keyof FileParts> {
  readonly end: number;
}

function changesetsIn(text: string): readonly ChangesetPlace[] {
  const marks = [...text.matchAll(CHANGESET)];
  return marks.map((mark, index) => {
    const [whole, author = "", id = "", attributes = ""] = mark;
    return {
      author: author.trim().replaceAll(/^"|"$/g, ""),
      id: id.replaceAll(/^["']|["']$/g, ""),
      transaction: changesetScope(attributes),
      isForPostgres: isForPostgres(attributes),
      start: mark.index + whole.length,
      end: marks[index + 1]?.index ?? text.length,
    };
  });
}

/** Liquibase sends the statements of a changeset one by one, unless it says `splitStatements:false`. */
function changesetScope(attributes: string): TransactionScope {
  if (!/\brunInTransaction\s*:\s*"?false\b/i.test(attributes)) return "file";
  return /\bsplitStatements\s*:\s*"?false\b/i.test(attributes) ? "implicit" : "statement";
}

/** `dbms:postgresql,h2`, `dbms:"!mysql, !oracle"`. */
function isForPostgres(attributes: string): boolean {
  if (/\bignore\s*:\s*"?true\b/i.test(attributes)) return false;
  const [, quoted, plain = ""] = /\bdbms\s*:\s*(?:"([^"]*)"|([^\s"]+))/i.exec(attributes) ?? [];
  const names = (quoted ?? plain)
    .toLowerCase()
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  if (names.length === 0 || names.includes("all") || names.includes("postgresql")) return true;
  return names.every((name) => name.startsWith("!")) && !names.includes("!postgresql");
}

/** A formatted file without the changesets that PostgreSQL never gets: they are blank. */
export function withoutOtherChangesets(text: string): string {
  return changesetsIn(text)
    .filter((changeset) => !changeset.isForPostgres)
    .reduce((whole, { start, end }) => whole.slice(0, start) + blank(whole.slice(start, end)) + whole.slice(end), text);
}

/** The changesets of a file that begins with `--liquibase formatted sql`, each with what its `--rollback` lines say. */
export function splitChangesets(text: string): readonly Changeset[] {
  return changesetsIn(text).map(({ start, end, ...changeset }) => {
    const before = blank(text.slice(0, start));
    const body = text.slice(start, end);
    const rollback = rollbackOf(body);
    return { ...changeset, start, up: before + body, down: rollback === undefined ? undefined : before + rollback };
  });
}

/** The SQL in `--rollback` lines and `/* liquibase rollback` blocks, where it stands; `undefined` without any. */
function rollbackOf(body: string): string | undefined {
  let isRollback = false;
  let inBlock = false;
  const lines = body.split("\n").map((line) => {
    if (inBlock) {
      inBlock = !line.includes("*/");
      return inBlock ? line : blank(line);
    }
    if (/^\s*\/\*\s*liquibase\s+rollback\b/i.test(line)) {
      isRollback = true;
      inBlock = !line.includes("*/");
      return blank(line);
    }
    const mark = /^\s*--\s*rollback\b/i.exec(line)?.[0];
    if (mark === undefined) return blank(line);
    isRollback = true;
    const sql = line.slice(mark.length);
    return /^\s*(?:not required|empty)\s*;?\s*$/i.test(sql) ? blank(line) : blank(mark) + sql;
  });
  return isRollback ? lines.join("\n") : undefined;
}

function blank(text: string): string {
  return text.replaceAll(/[^\r\n]/g, " ");
}
