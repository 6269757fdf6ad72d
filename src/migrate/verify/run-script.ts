// Runs one direction of a migration in a throw-away database as its tool would, and tells where it failed.
import { DatabaseError, InvalidInputError, type Connection } from "../../postgres/index.ts";
import type { MigrationScript } from "../adopt/folder.ts";
import { offsetInCode } from "../code/run-code.ts";
import {
  excuseFor,
  lackingExtension,
  noteBlockExtensions,
  psqlFault,
  reasonToSkip,
  SKIP_MISSING,
  type Notices,
} from "../load-sql.ts";
import { hintOnRole, reasonToSkipRoles } from "../missing-roles.ts";
import { refusedInTransaction } from "../run-alone.ts";
import { parseSqlScript, placeOf, sqlErrorAt, unitsOf, type ScriptStatement } from "../sql-script.ts";
import { actionsOf } from "../syntax.ts";

export interface PreparedScript {
  readonly script: MigrationScript;
  readonly statements: readonly ScriptStatement[];
  /** True: all statements are one transaction, which the caller opens and ends. */
  readonly isTransaction: boolean;
  /** The tool opens a transaction, and the file ends it by itself: BEGIN comes before its first statement. */
  readonly beginsInTransaction: boolean;
  /** A statement that PostgreSQL refuses in the transaction its tool opens. Here it runs outside. */
  readonly refused: { readonly statement: ScriptStatement; readonly what: string } | undefined;
  /** SQL that cannot be read. */
  readonly fault: ScriptFailure | undefined;
}

export interface ScriptFailure {
  readonly message: string;
  readonly sqlState: string;
  /** The table whose rows it is about, where the server tells. */
  readonly table: { readonly schema: string; readonly name: string } | undefined;
  readonly place: { readonly file: string; readonly line: number; readonly column: number } | undefined;
}

const SAVEPOINTS: ReadonlySet<unknown> = new Set([
  "TRANS_STMT_SAVEPOINT",
  "TRANS_STMT_RELEASE",
  "TRANS_STMT_ROLLBACK_TO",
]);
const STATEMENT_LIMIT_MS = 120_000;

export async function prepareScript(script: MigrationScript, notices: Notices): Promise<PreparedScript> {
  let parsed: Awaited<ReturnType<typeof parseSqlScript>>;
  try {
    parsed = await parseSqlScript(script.sql, script.file);
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    const place = { file: script.file, ...placeAt(script, (error.position ?? 1) - 1) };
    const message = error.message + otherLanguage(script.sql, error.position ?? 1);
    return unreadable(script, { message, sqlState: error.sqlState, table: undefined, place });
  }
  for (const part of parsed.psqlParts) notices.addPsqlPart(part);
  const command = psqlFault(parsed);
  if (command !== undefined) {
    const place = { file: script.file, ...placeAt(script, command.offset) };
    const message = `${script.file}:${place.line}:${place.column}: ${command.message}\n  ${command.hint}`;
    return unreadable(script, { message, sqlState: "", table: undefined, place });
  }
  const { statements, opens } = withoutOwnTransaction(parsed.statements);
  const isOne =
    script.transaction === "file" ||
    script.transaction === "batch" ||
    (script.transaction === "implicit" && statements.length > 1);
  const isInside = isOne || opens === "one";
  const refused = isInside ? firstRefused(statements, true) : undefined;
  const needsNone = firstRefused(statements, false) === undefined;
  return {
    script,
    statements,
    // Statements that would run one by one run together where that makes no difference: what failed can then be rolled back.
    isTransaction: opens !== "several" && needsNone && (isInside || !statements.some(mayNeedCommit)),
    beginsInTransaction: opens === "several" && isOne && refused === undefined,
    refused,
    fault: undefined,
  };
}

function unreadable(script: MigrationScript, fault: ScriptFailure): PreparedScript {
  return { script, statements: [], isTransaction: true, beginsInTransaction: false, refused: undefined, fault };
}

/** What SQL that cannot be read may be instead. `position` counts from 1; psql's variables are told only where the error is. */
function otherLanguage(sql: string, position: number): string {
  const [whole, ...names] =
    /\$\{([\w.:-]+)[^}\n]*\}|\{\{\s*\.?(\w+)\s*\}\}/.exec(sql) ??
    /^:(?:(\w+)|"(\w+)"|'(\w+)')/.exec(sql.slice(position - 1)) ??
    [];
  const name = names.find((part) => part !== undefined);
  if (whole !== undefined && name !== undefined)
    return `\n  ${whole} is a variable of its tool: give its value with --set ${name}=VALUE`;
  const lite = /\bautoincrement\b|^\s*pragma\b|\bwithout\s+rowid\b/im.exec(sql)?.[0].trim();
  if (lite !== undefined) return `\n  ${lite} is not PostgreSQL's: it seems to be for SQLite`;
  if (/^[^'$-]*`\w+`/m.test(sql)) return "\n  names in backquotes are not PostgreSQL's: it seems to be for MySQL";
  const mysql = /\bauto_increment\b|(?<=\)\s*)engine\s*=\s*\w+/i.exec(sql)?.[0];
  return mysql === undefined ? "" : `\n  ${mysql} is not PostgreSQL's: it seems to be for MySQL`;
}

/** The file's own BEGIN and COMMIT taken off where they are around all of it. */
function withoutOwnTransaction(statements: readonly ScriptStatement[]): {
  readonly statements: readonly ScriptStatement[];
  readonly opens: "none" | "one" | "several";
} {
  const controls = statements.filter(({ kind, node }) => kind === "TransactionStmt" && !SAVEPOINTS.has(node["kind"]));
  if (controls.length === 0) return { statements, opens: "none" };
  const [begin, commit] = controls;
  const isAround =
    controls.length === 2 &&
    (begin?.node["kind"] === "TRANS_STMT_BEGIN" || begin?.node["kind"] === "TRANS_STMT_START") &&
    commit?.node["kind"] === "TRANS_STMT_COMMIT" &&
    statements.every(
      (statement) =>
        statement.kind === "VariableSetStmt" || (statement.offset >= begin.offset && statement.offset <= commit.offset),
    );
  if (!isAround) return { statements, opens: "several" };
  return { statements: statements.filter((statement) => !controls.includes(statement)), opens: "one" };
}

const ENDS: ReadonlySet<unknown> = new Set(["TRANS_STMT_COMMIT", "TRANS_STMT_ROLLBACK", "TRANS_STMT_PREPARE"]);

/** @param onlyInside - looks at what stands in the transaction that is open at the beginning, or in one of the file's own */
function firstRefused(statements: readonly ScriptStatement[], onlyInside: boolean): PreparedScript["refused"] {
  let isOpen = true;
  for (const statement of statements) {
    if (statement.kind === "TransactionStmt" && !SAVEPOINTS.has(statement.node["kind"]))
      isOpen = !ENDS.has(statement.node["kind"]);
    if (onlyInside && !isOpen) continue;
    for (const action of actionsOf(statement)) {
      const what = refusedInTransaction(action);
      if (what !== undefined) return { statement, what };
    }
  }
  return undefined;
}

/** A new enum value can be used after a COMMIT only; a procedure or a DO block may commit by itself. */
function mayNeedCommit({ kind, text }: ScriptStatement): boolean {
  return (
    kind === "AlterEnumStmt" || kind === "CallStmt" || (kind === "DoStmt" && /\b(?:commit|rollback)\b/i.test(text))
  );
}

/** Statements whose failure may be excused; inside a transaction that takes a savepoint. */
const EXCUSABLE: ReadonlySet<string> = new Set([
  "CreateSchemaStmt",
  "CreateRoleStmt",
  "CreateExtensionStmt",
  "VariableSetStmt",
]);
export interface ScriptPlace {
  readonly connection: Connection;
  readonly notices: Notices;
  /** Extensions that this server does not have; grows. */
  readonly skippedExtensions: Set<string>;
  /** Statements that fail for want of such an extension are left out, and told. */
  readonly skipsMissing: boolean;
  /** False: the server has other databases, and its roles are not ours to change. */
  readonly ownsServer: boolean;
  /** Where the migrations' sessions look for names, when that is not the server's default. */
  readonly searchPath?: string | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Runs the statements one by one; a transaction is the caller's.
 *
 * @returns the first failure, or `undefined`
 */
export async function runScript(place: ScriptPlace, prepared: PreparedScript): Promise<ScriptFailure | undefined> {
  if (prepared.fault !== undefined) return prepared.fault;
  if (place.searchPath !== undefined) await place.connection.exec(`SET search_path = ${place.searchPath}`);
  for (const statement of prepared.statements) {
    const failure = await runStatement(place, prepared.script, statement);
    if (failure !== undefined) return failure;
  }
  return undefined;
}

async function runStatement(
  { connection, notices, skippedExtensions, skipsMissing, ownsServer, signal }: ScriptPlace,
  script: MigrationScript,
  statement: ScriptStatement,
): Promise<ScriptFailure | undefined> {
  // Our own prepared statements live in this session.
  if (statement.kind === "DiscardStmt" || statement.kind === "DeallocateStmt") return undefined;
  const reason = reasonToSkip(statement, skippedExtensions) ?? (ownsServer ? undefined : reasonToSkipRoles(statement));
  if (reason !== undefined) {
    notices.add(reason);
    return undefined;
  }
  const options = { timeoutMs: STATEMENT_LIMIT_MS, signal };
  const takesSavepoint =
    connection.transactionStatus === "open" &&
    (EXCUSABLE.has(statement.kind) || (skipsMissing && skippedExtensions.size > 0));
  try {
    if (takesSavepoint) await connection.exec("SAVEPOINT pgsteward_verify");
    await (script.code === undefined ? connection.exec(statement.text, options) : script.code.run(connection, options));
    await noteBlockExtensions(connection, statement, skippedExtensions, notices);
    return undefined;
  } catch (error) {
    if (script.code !== undefined && error instanceof InvalidInputError) return failureOfCode(error, script);
    if (!(error instanceof DatabaseError)) throw error;
    const excuse =
      excuseFor(statement, error, skippedExtensions, notices) ??
      (skipsMissing
        ? lackingExtension({ name: script.file, text: script.text }, statement, error, skippedExtensions)
        : undefined);
    if (excuse === undefined || (connection.transactionStatus === "failed" && !takesSavepoint))
      return failureOf(error, script, statement, skippedExtensions, ownsServer);
    if (takesSavepoint) await connection.exec("ROLLBACK TO SAVEPOINT pgsteward_verify");
    notices.add(excuse);
    return undefined;
  }
}

/** What the code threw itself. */
function failureOfCode(error: InvalidInputError, script: MigrationScript): ScriptFailure {
  const place = { file: script.file, ...placeAt(script, offsetInCode(error) ?? 0) };
  return { message: error.message, sqlState: "", table: undefined, place };
}

function failureOf(
  error: DatabaseError,
  script: MigrationScript,
  statement: ScriptStatement,
  skippedExtensions: ReadonlySet<string>,
  ownsServer: boolean,
): ScriptFailure {
  const inStatement = error.position === undefined ? 0 : unitsOf(statement.text, error.position - 1);
  const offset = offsetInCode(error) ?? statement.offset + inStatement;
  const lacks =
    skippedExtensions.size === 0
      ? ""
      : `; this server lacks ${[...skippedExtensions].join(", ")}: name one that has it with --database, or ${SKIP_MISSING}`;
  const hint = ownsServer ? undefined : hintOnRole(error, statement);
  const role = hint === undefined ? "" : `; ${hint}`;
  const { message } = sqlErrorAt(script.text, offset, script.file, `${error.message}${lacks}${role}`, {
    sqlState: error.sqlState,
    cause: error,
  });
  return {
    message,
    sqlState: error.sqlState,
    table: tableOf(error),
    place: { file: script.file, ...placeAt(script, offset) },
  };
}

export function tableOf({ schema, table }: DatabaseError): ScriptFailure["table"] {
  return schema === undefined || table === undefined ? undefined : { schema, name: table };
}

function placeAt(script: MigrationScript, offset: number): { readonly line: number; readonly column: number } {
  const { line, column } = placeOf(script.text, offset);
  return { line, column };
}

/** What a migration set for its session, and its temporary tables, are gone for the next one. */
export async function resetSession(connection: Connection): Promise<void> {
  await connection.exec("RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; DISCARD TEMP");
}

/** Whether a failure is about rows: values (22…), integrity (23…), what people's own code raises (P0…), a cast of a column (42804). */
export function isAboutRows({ sqlState }: ScriptFailure): boolean {
  return /^(?:22|23|P0)/.test(sqlState);
}

/**
 * Whether statements that ran in one transaction may succeed when each is committed: an enum value that is too new (55P04), events
 * of deferred triggers (55006), a COMMIT in a procedure (2D000), what refuses a transaction (25001).
 */
export function mayHelpToCommit({ sqlState }: ScriptFailure): boolean {
  return ["55P04", "55006", "2D000", "25001"].includes(sqlState);
}

/** Runs a script as its tool would: in a transaction of its own or without one. */
export async function runWhole(place: ScriptPlace, prepared: PreparedScript): Promise<ScriptFailure | undefined> {
  const { connection } = place;
  let failure: ScriptFailure | undefined;
  if (prepared.isTransaction) {
    await connection.exec("BEGIN");
    failure = (await runScript(place, prepared)) ?? (await failureOfExec(connection, "COMMIT"));
  } else {
    if (prepared.beginsInTransaction) await connection.exec("BEGIN");
    failure = await runScript(place, prepared);
    if (failure === undefined && connection.transactionStatus !== "idle")
      failure = await failureOfExec(connection, "COMMIT");
  }
  if (connection.transactionStatus !== "idle") await connection.exec("ROLLBACK");
  await resetSession(connection);
  // Statements that their tool runs one by one were put together here; where that is what failed, they run as the tool does it.
  const { transaction } = prepared.script;
  const isTogether =
    prepared.isTransaction &&
    (transaction === "statement" || (transaction === "implicit" && prepared.statements.length === 1));
  if (failure !== undefined && isTogether && mayHelpToCommit(failure))
    return runWhole(place, { ...prepared, isTransaction: false });
  return failure;
}

export async function failureOfExec(connection: Connection, sql: string): Promise<ScriptFailure | undefined> {
  try {
    await connection.exec(sql);
    return undefined;
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    return { message: error.message, sqlState: error.sqlState, table: tableOf(error), place: undefined };
  }
}

/** Deferred constraints are checked now, as COMMIT would; events that wait would also refuse the next ALTER TABLE. */
export async function fireDeferred(connection: Connection): Promise<ScriptFailure | undefined> {
  return failureOfExec(connection, "SET CONSTRAINTS ALL IMMEDIATE");
}
