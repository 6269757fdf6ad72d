// Reads as much of a file as can be read: where a statement has a syntax error, the others are still linted. Looks into DO blocks.
import { InvalidSqlError } from "../postgres/errors.ts";
import { adviceOn, fillVariables } from "./lint-templates.ts";
import { separatePsql, splitSql, type PsqlPart, type SqlSegment } from "./psql-text.ts";
import { loadParser, parseSqlScript, ZERO_BYTE, type ScriptStatement } from "./sql-script.ts";
import { childOf, isNode, listOf, textOf, walk } from "./syntax.ts";

export interface SyntaxFault {
  /** Where it is, in UTF-16 units. */
  readonly offset: number;
  /** As the parser says it, e.g. `syntax error at or near "TABEL"`. */
  readonly message: string;
  /** What to do, where more is known than that it is wrong. */
  readonly advice?: string | undefined;
}

interface Pieces {
  readonly statements: readonly ScriptStatement[];
  readonly faults: readonly SyntaxFault[];
}

export interface LintedScript extends Pieces {
  /** psql's commands that run what does not stand in the file. */
  readonly unread: readonly PsqlPart[];
}

/** `\i`, `\ir` and their long names, a shell, a SELECT whose rows are run. */
const RUNS_ELSEWHERE = /^\\(?:i|ir|include|include_relative|gexec|!)(?![a-z])/;

function runsElsewhere({ kind, text }: PsqlPart): boolean {
  return kind === "command" && RUNS_ELSEWHERE.test(text);
}

export async function parseForLint(text: string, name: string): Promise<LintedScript> {
  try {
    const { statements, psqlParts } = await parseSqlScript(text, name);
    return { statements, faults: [], unread: psqlParts.filter(runsElsewhere) };
  } catch (thrown) {
    if (!(thrown instanceof InvalidSqlError)) throw thrown;
  }
  const zero = text.indexOf("\0");
  const statements: ScriptStatement[] = [];
  const faults: SyntaxFault[] = zero === -1 ? [] : [{ offset: zero, message: ZERO_BYTE }];
  const { segments, parts } = separatePsql(fillVariables(text.replaceAll(/\0|^\uFEFF/g, " ")));
  for (const { text: sql, offset } of segments) {
    const read = await parsePieces(splitSql(sql, true), sql, name, offset);
    statements.push(...read.statements);
    faults.push(...read.faults);
  }
  return {
    statements,
    faults: faults.map((fault) => ({ ...fault, advice: adviceOn(text, fault.offset, fault.message) })),
    unread: parts.filter(runsElsewhere),
  };
}

async function parsePieces(pieces: readonly SqlSegment[], sql: string, name: string, start: number): Promise<Pieces> {
  const statements: ScriptStatement[] = [];
  const faults: SyntaxFault[] = [];
  for (let index = 0; index < pieces.length; index++) {
    const piece = pieces[index];
    if (piece === undefined) continue;
    const offset = start + piece.offset;
    let read = await parsePiece(piece.text, name, offset);
    // The body of BEGIN ATOMIC … END has semicolons of its own.
    for (let next = index + 1; read.fault !== undefined && isAtomic(piece.text) && next < pieces.length; next++) {
      const end = pieces[next];
      if (end === undefined) break;
      const joined = await parsePiece(sql.slice(piece.offset, end.offset + end.text.length), name, offset);
      if (joined.fault !== undefined) continue;
      read = joined;
      index = next;
    }
    const parts = read.fault === undefined ? [] : splitSql(piece.text, false);
    if (parts.length > 1) {
      // A parenthesis that is never closed: what follows it is not lost.
      const inner = await parsePieces(parts, piece.text, name, offset);
      statements.push(...inner.statements);
      faults.push(...inner.faults);
    } else if (read.fault === undefined) statements.push(...read.statements);
    else faults.push(read.fault);
  }
  return { statements, faults };
}

const isAtomic = (text: string): boolean => /\bbegin\s+atomic\b/i.test(text);

async function parsePiece(
  text: string,
  name: string,
  offset: number,
): Promise<{ readonly statements: readonly ScriptStatement[]; readonly fault: SyntaxFault | undefined }> {
  try {
    const { statements } = await parseSqlScript(text, name);
    return {
      statements: statements.map((statement) => ({ ...statement, offset: statement.offset + offset })),
      fault: undefined,
    };
  } catch (thrown) {
    if (!(thrown instanceof InvalidSqlError)) throw thrown;
    const { cause, position = 1 } = thrown;
    return {
      statements: [],
      fault: {
        offset: offset + position - 1,
        message:
          cause instanceof Error && !(cause instanceof RangeError)
            ? cause.message
            : (thrown.message.split("\n", 1)[0] ?? ""),
      },
    };
  }
}

export interface Block {
  readonly statements: readonly ScriptStatement[];
  /** Whether everything that it runs could be read from its text. */
  readonly isComplete: boolean;
}

/** The statements that a DO block in PL/pgSQL may run, each with its place in the file; what EXECUTE puts together is not known. */
export async function statementsOfBlock(block: ScriptStatement): Promise<Block> {
  const language = listOf(block.node, "args").find(({ node }) => textOf(node, "defname") === "language")?.node;
  if ((textOf(childOf(language, "arg"), "sval") ?? "plpgsql") !== "plpgsql")
    return { statements: [], isComplete: false };
  const parser = await loadParser();
  let tree: unknown;
  try {
    tree = parser.parsePlPgSQLSync(block.text);
  } catch {
    return { statements: [], isComplete: false }; // a type or variable that only the server knows
  }
  const found: { readonly sql: string; readonly isStatic: boolean }[] = [];
  let isComplete = true;
  walk([tree], (kind, node) => {
    if (kind === "PLpgSQL_stmt_execsql") found.push({ sql: queryOf(node, "sqlstmt"), isStatic: true });
    else if (kind === "PLpgSQL_stmt_perform") found.push({ sql: queryOf(node, "expr"), isStatic: true });
    else if (kind === "PLpgSQL_stmt_dynexecute") found.push({ sql: queryOf(node, "query"), isStatic: false });
    else if (kind === "PLpgSQL_stmt_call" || kind === "PLpgSQL_stmt_dynfors") isComplete = false;
  });
  const statements: ScriptStatement[] = [];
  let from = 0;
  for (const { sql, isStatic } of found) {
    const constant = isStatic ? sql : await constantText(sql);
    const read = constant === undefined ? undefined : await parsePiece(constant, "DO", 0);
    if (read === undefined || read.fault !== undefined) {
      isComplete = false;
      continue;
    }
    const at = block.text.indexOf(sql, from);
    if (at !== -1) from = at + sql.length;
    for (const statement of read.statements)
      statements.push({ ...statement, offset: block.offset + (at === -1 ? 0 : at) });
  }
  return { statements, isComplete };
}

function queryOf(node: Readonly<Record<string, unknown>>, key: string): string {
  const wrapped = node[key];
  const expression = isNode(wrapped) ? wrapped["PLpgSQL_expr"] : undefined;
  return (isNode(expression) ? textOf(expression, "query") : undefined) ?? "";
}

/** The value of an expression that is one string. */
async function constantText(expression: string): Promise<string | undefined> {
  const read = await parsePiece(`SELECT ${expression}`, "EXECUTE", 0);
  if (read.fault !== undefined) return undefined;
  const target = listOf(read.statements[0]?.node, "targetList")[0]?.node;
  return textOf(childOf(childOf(target, "val"), "sval"), "sval");
}
