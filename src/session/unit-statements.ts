// The statements a unit of work adds to its caller's: how it opens, and what its caller may not say.
import { WireStatement, type Statement } from "../postgres/index.ts";
import { contextCommands, contextStatement, type SessionLimits } from "./context.ts";
import { POSITION_AFTER_COMMIT } from "./replicas.ts";
import type { StatementNames } from "./statement-names.ts";
import type { IsolationLevel, UnitSettings } from "./unit-settings.ts";

const BEGIN_OF: Readonly<Record<IsolationLevel, string>> = {
  "read committed": "ISOLATION LEVEL READ COMMITTED",
  "repeatable read": "ISOLATION LEVEL REPEATABLE READ",
  serializable: "ISOLATION LEVEL SERIALIZABLE",
};

/** ROLLBACK TO and RELEASE of the caller's own savepoints are fine. */
const TRANSACTION_CONTROL =
  /^[\s;]*(?:begin|start\s+transaction|commit|end|abort|rollback(?!\s+(?:work\s+|transaction\s+)?to\b)|prepare\s+transaction)\b/i;

const COMMENT_FIRST = /^[\s;]*(?:--|\/\*)/;

/** Whether a statement would end, or start, the transaction under its unit. */
export function isTransactionControl(text: string): boolean {
  return TRANSACTION_CONTROL.test(COMMENT_FIRST.test(text) ? afterComments(text) : text);
}

/** Comments in stars nest. https://www.postgresql.org/docs/18/sql-syntax-lexical.html#SQL-SYNTAX-COMMENTS */
function afterComments(text: string): string {
  let rest = text;
  for (;;) {
    rest = rest.replace(/^(?:[\s;]+|--[^\n\r]*)+/, "");
    if (!rest.startsWith("/*")) return rest;
    let depth = 0;
    let at = 0;
    for (const { 0: mark, index } of rest.matchAll(/\/\*|\*\//g)) {
      at = index + 2;
      depth += mark === "/*" ? 1 : -1;
      if (depth === 0) break;
    }
    rest = rest.slice(at);
  }
}

export interface OpeningForm {
  readonly serverVersion: number;
  /** One flush is the whole unit. */
  readonly isDeclared: boolean;
  nameOf(text: string): string | undefined;
}

/** BEGIN with its modes, and the one statement that sets context, role and limits for the transaction. */
export function openingStatements(settings: UnitSettings, form: OpeningForm): WireStatement[] {
  const { context, role, isolation, isReadOnly, isDeferrable, signer } = settings;
  const limits = limitsForServer(settings);
  if (setsByCommand(settings)) {
    const commands = contextCommands(context, role, limits, form.serverVersion);
    return [beginStatement(settings, form), ...commands.map((command) => unread(command, command.name))];
  }
  const isReadOnlySet = isReadOnly && form.isDeclared;
  const set = contextStatement(context, role, limits, form.serverVersion, isReadOnlySet, signer);
  const named = unread(set, form.nameOf(set.text));
  if (!form.isDeclared || saysCommit(settings)) return [beginStatement(settings, form), named];
  // One Sync is one implicit transaction: no BEGIN, no COMMIT. Its modes are set by its first statement.
  if (isolation === undefined && !isDeferrable) return [named];
  const modesText = `SET TRANSACTION ${modesOf(settings)}`;
  return [unread({ text: modesText }, form.nameOf(modesText)), named];
}

function unread(statement: Statement, name: string | undefined): WireStatement {
  return new WireStatement(statement, name, { ignoresRows: true });
}

function beginStatement(settings: UnitSettings, form: OpeningForm): WireStatement {
  const begin = `BEGIN ${modesOf(settings)}`.trimEnd();
  return unread({ text: begin }, form.nameOf(begin));
}

function modesOf({ isolation, isReadOnly, isDeferrable }: UnitSettings): string {
  const modes = [
    isolation === undefined ? "" : BEGIN_OF[isolation],
    isReadOnly ? "READ ONLY" : "",
    isDeferrable ? "DEFERRABLE" : "",
  ];
  return modes.filter((mode) => mode !== "").join(" ");
}

/** COMMIT, and the question where it is in the log when replicas are read from. */
export function commitStatements(settings: UnitSettings, names: StatementNames): Statement[] {
  const commit: Statement = { text: "COMMIT", name: names.nameOf("COMMIT") };
  if (settings.onPosition === undefined) return [commit];
  return [commit, { ...POSITION_AFTER_COMMIT, name: names.nameOf(POSITION_AFTER_COMMIT.text) }];
}

/**
 * Whether a declared unit says BEGIN and COMMIT in its one flush: the position of an implicit commit cannot be read there,
 * and SET LOCAL outside of a transaction block makes the server log a warning.
 */
export function saysCommit(settings: UnitSettings): boolean {
  return setsByCommand(settings) || (settings.onPosition !== undefined && !settings.isReadOnly);
}

/** Tenant and role by SET LOCAL instead of set_config. */
function setsByCommand({ database }: UnitSettings): boolean {
  return database.backend.tenantSetting === "set local";
}

/**
 * PGlite 0.5 has no way to end a session: when idle_in_transaction_session_timeout or transaction_timeout has passed between
 * two commands, the next one never returns and the whole process stands still. There our own clock keeps both (unit-watch.ts).
 */
function limitsForServer({ database, limits }: UnitSettings): SessionLimits {
  return database.kind === "pglite" ? { ...limits, idleInTransactionTimeoutMs: 0, unitTimeoutMs: 0 } : limits;
}
