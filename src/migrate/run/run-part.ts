// Runs the groups of one migration, one after the other: each transaction together with its line of history, retried when a
// lock is not to be had; each statement outside a transaction with its intent written before it.
import {
  CancelledError,
  DatabaseError,
  identifier,
  InvalidValueError,
  SQLSTATE,
  type Connection,
  type LockHolder,
} from "../../postgres/index.ts";
import { isConcurrent } from "../apply-statement.ts";
import { actionsOf } from "../syntax.ts";
import { advance, record, tell, tellStatement, writeProgress, type PartRun } from "./part-run.ts";
import { waitForReplicas } from "./replicas.ts";
import type { RunMigrationsOptions } from "./run-options.ts";
import { pause, readBlockers } from "./runner-lock.ts";
import { isSessionSetting, type RunStatement, type StatementGroup } from "./statement-groups.ts";
import { failureAt, type Failure } from "./statement-failure.ts";
import { prepareStatement, recoverStatement, type Recovery } from "./unfinished-statement.ts";

/** What passes when the same is tried again a little later. */
const PASSING: ReadonlySet<string> = new Set([
  SQLSTATE.lockNotAvailable,
  SQLSTATE.deadlock,
  SQLSTATE.serializationFailure,
]);
/** The longest lock_timeout there is, about 25 days: 0 would read as "nobody set one", and the lines of generated files would set 2 s. */
const NO_LOCK_TIMEOUT_MS = 2 ** 31 - 1;
const LONGEST_RETRY_WAIT_MS = 30_000;
/** Refused inside a transaction block; COMMIT inside a procedure that a transaction block surrounds. */
const REFUSED_IN_TRANSACTION: ReadonlySet<string> = new Set([SQLSTATE.activeTransaction, "2D000"]);

/** Limits that roles and databases may have set, and that a migration must not meet; found out once per connection. */
const limitsOff = new WeakMap<Connection, string>();

/** Puts the session's settings back and sets those of the runner. The file's own SET statements come later, so they win. */
async function prepareSession(connection: Connection, options: RunMigrationsOptions): Promise<void> {
  const { lockTimeoutMs = 2_000, statementTimeoutMs = 0, schema } = options;
  const off = limitsOff.get(connection) ?? (await findLimits(connection));
  limitsOff.set(connection, off);
  await connection.exec(
    `RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; ${off}
SET lock_timeout = ${lockTimeoutMs === 0 ? NO_LOCK_TIMEOUT_MS : lockTimeoutMs}; SET statement_timeout = ${statementTimeoutMs}
${schema === undefined ? "" : `; SET search_path = ${identifier(schema)}, public`}`,
  );
}

const LIMITS_SQL = `
SELECT s.name
FROM pg_catalog.pg_settings AS s
WHERE s.name IN ('idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout')`;

/**
 * `client_connection_check_interval` (14) makes the server end the statement of a runner that was killed; else it would go on,
 * and keep the runner's lock, until it is done.
 */
async function findLimits(connection: Connection): Promise<string> {
  const { rows } = await connection.query<{ name: string }>(LIMITS_SQL);
  const off = rows.map(({ name }) => `SET ${name} = 0; `).join("");
  if (connection.database.kind !== "server") return off;
  const check = "SET client_connection_check_interval = 2000; ";
  try {
    await connection.exec(check);
    return off + check;
  } catch (error) {
    // The server's operating system cannot tell whether a client is there (22023).
    if (!(error instanceof InvalidValueError)) throw error;
    return off;
  }
}

/** Runs what is left of a part. @throws what statement-failure.ts makes of the first error */
export async function runPart(run: PartRun): Promise<void> {
  const { part, progress, connection, options } = run;
  await prepareSession(connection, options);
  for (const statement of part.statements.slice(0, progress.position)) {
    if (isSessionSetting(statement)) await connection.exec(statement.text, { signal: options.signal });
  }
  if (part.groups.length === 0) await record(run, 0, 0);
  for (const group of part.groups) {
    const next = group.first + group.statements.length;
    if (next <= progress.position) continue;
    if (group.begin === undefined) await runSingle(run, group);
    else await runTransaction(run, group, group.begin);
    tell(run, { kind: "groupDone", position: progress.position, statements: part.statements.length });
    if (options.replicaWaitMs !== undefined) await waitForReplicas(run, options.replicaWaitMs);
  }
}

async function runTransaction(run: PartRun, group: StatementGroup, begin: string): Promise<void> {
  const { connection, progress } = run;
  const next = group.first + group.statements.length;
  await withLockRetries(run, group, async (failure) => {
    const started = performance.now();
    await connection.exec(begin);
    for (const statement of group.statements) {
      failure.statement = statement;
      await execute(run, statement);
    }
    failure.statement = undefined;
    const tookMs = performance.now() - started;
    await record(run, next, tookMs);
    await connection.exec("COMMIT", { timeoutMs: 0, signal: run.options.signal });
    advance(progress, next, tookMs);
  });
}

/** A statement without BEGIN. Where PostgreSQL lets it share a transaction with its line of history, it does: then nothing is in doubt. */
async function runSingle(run: PartRun, group: StatementGroup): Promise<void> {
  const [statement] = group.statements;
  if (statement === undefined) return;
  if (group.alone === undefined && run.progress.intent === undefined) {
    try {
      await runTransaction(run, group, "BEGIN");
      return;
    } catch (error) {
      if (!(error instanceof DatabaseError) || !REFUSED_IN_TRANSACTION.has(error.sqlState)) throw error;
    }
  }
  await runAlone(run, group, statement);
}

async function runAlone(run: PartRun, group: StatementGroup, statement: RunStatement): Promise<void> {
  const { connection, progress, options } = run;
  const next = group.first + 1;
  let recovery: Recovery | undefined = await recoverEarlier(run, statement);
  await withLockRetries(run, group, async (failure) => {
    failure.statement = statement;
    if (progress.intent !== undefined && recovery === undefined) recovery = await recoverEarlier(run, statement);
    const decided = recovery;
    recovery = undefined;
    const started = performance.now();
    if (decided?.kind === "finish") {
      await connection.exec(decided.sql, { timeoutMs: options.statementTimeoutMs ?? 0, signal: options.signal });
    } else if (decided?.kind !== "done") {
      const { intent, what } = await prepareStatement(connection, statement, options.signal);
      if (what !== undefined) tellStatement(run, statement, { kind: "recovered", what });
      progress.intent = intent;
      await writeProgress(run, "running");
      await execute(run, statement, isLockFree(statement));
    }
    const tookMs = performance.now() - started;
    progress.intent = undefined;
    await record(run, next, tookMs);
    advance(progress, next, tookMs);
  });
}

/** @throws MigrationUnfinishedError when nobody can tell and the caller said nothing */
async function recoverEarlier(run: PartRun, statement: RunStatement): Promise<Recovery | undefined> {
  const { intent } = run.progress;
  if (intent === undefined) return undefined;
  const place = `${run.migration.file}:${statement.line}`;
  const { undecided, signal } = run.options;
  const recovery = await recoverStatement(run.connection, statement, intent, { place, undecided, signal });
  const what = recovery.what;
  if (what !== undefined) tellStatement(run, statement, { kind: "recovered", what });
  run.progress.intent = undefined;
  return recovery;
}

/**
 * CONCURRENTLY waits for the transactions of others without keeping anybody out, so a limit would only leave an invalid index.
 * A limit that the file itself sets stays.
 */
function isLockFree(statement: RunStatement): boolean {
  return actionsOf(statement).some(isConcurrent);
}

async function execute(run: PartRun, statement: RunStatement, withoutLockTimeout = false): Promise<void> {
  const { connection, options } = run;
  const { lockTimeoutMs = 2_000, statementTimeoutMs = 0 } = options;
  tellStatement(run, statement, { kind: "statementStarted", sql: statement.text });
  const started = performance.now();
  const isOurLimit = withoutLockTimeout && (await currentLockTimeout(connection)) === lockTimeoutMs;
  if (isOurLimit) await connection.exec("SET lock_timeout = 0");
  const watch = watchBlockers(run, statement, lockTimeoutMs);
  try {
    // Where statement_timeout is set the server ends the statement; the limit here is for a server that does not answer.
    const timeoutMs = statementTimeoutMs === 0 ? 0 : statementTimeoutMs + 5_000;
    const limits = { timeoutMs, signal: options.signal };
    await (statement.code === undefined
      ? connection.exec(statement.text, limits)
      : statement.code.run(connection, limits));
  } finally {
    await watch.stop();
    if (isOurLimit && connection.transactionStatus === "idle") await restoreLockTimeout(connection, lockTimeoutMs);
  }
  tellStatement(run, statement, { kind: "statementDone", tookMs: Math.round(performance.now() - started) });
}

async function currentLockTimeout(connection: Connection): Promise<number> {
  const { rows } = await connection.query<{ ms: number }>(
    "SELECT s.setting::int AS ms FROM pg_catalog.pg_settings AS s WHERE s.name = 'lock_timeout'",
  );
  return rows[0]?.ms ?? 0;
}

async function restoreLockTimeout(connection: Connection, lockTimeoutMs: number): Promise<void> {
  try {
    await connection.exec(`SET lock_timeout = ${lockTimeoutMs}`);
  } catch (error) {
    // A connection that broke has no settings any more, and what broke it is on its way to the caller.
    if (error instanceof DatabaseError) throw error;
  }
}

/** Asks once who blocks, when a statement takes so long that it may wait for a lock. */
function watchBlockers(run: PartRun, statement: RunStatement, lockTimeoutMs: number): { stop(): Promise<void> } {
  if (run.connection.database.kind !== "server") return { stop: () => Promise.resolve() };
  let asking: Promise<void> | undefined;
  const timer = setTimeout(
    () => {
      asking = readBlockers(run.connection).then((holders) => {
        lastBlockers.set(run, holders);
        if (holders.length > 0) tellStatement(run, statement, { kind: "blocked", holders });
      });
    },
    lockTimeoutMs === 0 ? 1_000 : Math.min(1_000, lockTimeoutMs / 2),
  );
  return {
    stop: async () => {
      clearTimeout(timer);
      await asking;
    },
  };
}

/** Who blocked the statement that was tried last. */
const lastBlockers = new WeakMap<PartRun, readonly LockHolder[]>();

async function withLockRetries(
  run: PartRun,
  group: StatementGroup,
  attempt: (failure: Failure) => Promise<void>,
): Promise<void> {
  const { connection, options } = run;
  const attempts = options.lockAttempts ?? 10;
  for (let tried = 1; ; tried++) {
    const failure: Failure = { statement: undefined, group, attempts: tried, holders: [] };
    lastBlockers.delete(run);
    try {
      await attempt(failure);
      return;
    } catch (error) {
      await rollBack(connection);
      const holders = (failure.holders = lastBlockers.get(run) ?? []);
      const [first] = group.statements;
      const statement = failure.statement ?? first;
      const mayPass = error instanceof DatabaseError && PASSING.has(error.sqlState);
      // A single statement that must leave its transaction is tried again outside it.
      if (error instanceof DatabaseError && group.begin === undefined && group.alone === undefined) {
        if (REFUSED_IN_TRANSACTION.has(error.sqlState)) throw error;
      }
      if (!mayPass || tried >= attempts || statement === undefined) throw await failureAt(run, failure, error);
      const longest = Math.min((options.retryWaitMs ?? 250) * 2 ** (tried - 1), LONGEST_RETRY_WAIT_MS);
      const waitMs = Math.round(longest * (1 - Math.random() / 2));
      tellStatement(run, statement, {
        kind: "lockRetry",
        attempt: tried,
        attempts,
        waitMs,
        reason: error.message,
        holders,
      });
      try {
        await pause(waitMs, options.signal);
      } catch (cancelled) {
        throw await failureAt(run, failure, cancelled);
      }
    }
  }
}

async function rollBack(connection: Connection): Promise<void> {
  if (connection.transactionStatus === "idle") return;
  try {
    await connection.exec("ROLLBACK");
  } catch (error) {
    // Without a connection there is no transaction either; the error that broke it is on its way to the caller.
    if (error instanceof DatabaseError || error instanceof CancelledError) throw error;
  }
}
