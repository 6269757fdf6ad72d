// One runner per history: a lock of the session, asked for again and again, and who holds it when it is not to be had.
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import {
  CancelledError,
  LOCK_HOLDER_COLUMNS,
  lockHolderOf,
  LockNotAvailableError,
  SQLSTATE,
  type Connection,
  type LockHolder,
  type LockHolderRow,
} from "../../postgres/index.ts";
import { requireOwnSession } from "../named-lock.ts";
import type { HistoryTable, MigrationEvent } from "./run-options.ts";

const POLL_MS = 200;

interface RunnerRow extends LockHolderRow {
  readonly since: Date | null;
}

const RUNNER_SQL = `
SELECT ${LOCK_HOLDER_COLUMNS}, a.backend_start AS since
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory'
  AND l.granted
  AND l.objsubid = 1          -- locked by one bigint
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
  AND (l.classid::bigint << 32) | l.objid::bigint = $1::bigint`;

const BLOCKERS_SQL = `
SELECT ${LOCK_HOLDER_COLUMNS}
FROM pg_catalog.pg_stat_activity AS a
WHERE a.pid = ANY (pg_catalog.pg_blocking_pids($1))
ORDER BY a.xact_start NULLS LAST, a.pid`;

/** The number that the lock of a history has in its database. */
export function runnerLockKey({ schema, table }: HistoryTable): bigint {
  const digest = createHash("sha256")
    .update(JSON.stringify(["pgsteward migrate", schema, table]))
    .digest();
  return digest.readBigInt64BE() & 0x7fff_ffff_ffff_ffffn;
}

export interface RunnerLockOptions {
  readonly waitMs: number;
  readonly signal: AbortSignal | undefined;
  readonly onEvent: ((event: MigrationEvent) => void) | undefined;
}

/**
 * Takes the lock for as long as the connection's session lasts.
 *
 * It is asked for in turns instead of waited for on the server: a waiting `SELECT pg_advisory_lock()` keeps its snapshot, which
 * CREATE INDEX CONCURRENTLY of the runner that holds the lock waits for, until the server ends one of them as a deadlock.
 *
 * @throws LockNotAvailableError with the other runner's process, role, program and the time since when it is connected
 * @throws InvalidInputError when a pooler gives the session to others
 */
export async function takeRunnerLock(
  connection: Connection,
  history: HistoryTable,
  options: RunnerLockOptions,
): Promise<void> {
  requireOwnSession(connection, "migrations");
  const key = runnerLockKey(history);
  const started = performance.now();
  for (;;) {
    const { rows } = await connection.query<{ taken: boolean }>("SELECT pg_catalog.pg_try_advisory_lock($1) AS taken", [
      String(key),
    ]);
    if (rows[0]?.taken === true) return;
    const waitedMs = performance.now() - started;
    const { rows: sessions } = await connection.query<RunnerRow>(RUNNER_SQL, [String(key)]);
    if (waitedMs >= options.waitMs) throw heldBy(history, sessions, waitedMs);
    options.onEvent?.({
      kind: "waitingForRunner",
      holders: sessions.map(lockHolderOf),
      waitedMs: Math.round(waitedMs),
    });
    await pause(Math.min(POLL_MS, options.waitMs - waitedMs), options.signal);
  }
}

function heldBy(history: HistoryTable, sessions: readonly RunnerRow[], waitedMs: number): LockNotAvailableError {
  const [first] = sessions;
  const who =
    first === undefined
      ? ""
      : `, as role ${first.usename ?? "unknown"}${first.since === null ? "" : `, connected since ${first.since.toISOString()}`}`;
  const waited = waitedMs < POLL_MS ? "" : ` for ${Math.round(waitedMs / 1000)} s`;
  const error = new LockNotAvailableError(
    `another run of the migrations in ${history.schema}.${history.table} goes on${waited}${who}`,
    { sqlState: SQLSTATE.lockNotAvailable },
    {
      hint: `wait for it, or, when it is known to be dead, end it with SELECT pg_terminate_backend(${first?.pid ?? "pid"})`,
    },
  );
  error.nameHolders(sessions.map(lockHolderOf));
  return error;
}

export async function releaseRunnerLock(connection: Connection, history: HistoryTable): Promise<void> {
  await connection.query("SELECT pg_catalog.pg_advisory_unlock($1)", [String(runnerLockKey(history))]);
}

/** The session that runs migrations of this history now, if there is one. */
export async function readRunner(
  connection: Pick<Connection, "query">,
  history: HistoryTable,
): Promise<LockHolder | undefined> {
  const { rows } = await connection.query<RunnerRow>(RUNNER_SQL, [String(runnerLockKey(history))]);
  return rows.map(lockHolderOf)[0];
}

/** How long finding out who blocks may take: a second connection, and one question. */
const BLOCKERS_LIMIT_MS = 1_000;

/**
 * Who keeps a process of this database waiting. Empty when nobody does, on an embedded database, and when the pool has no
 * second connection to ask on: the answer goes into messages only.
 */
export async function readBlockers(connection: Connection): Promise<readonly LockHolder[]> {
  const { processID } = connection.client as unknown as { readonly processID: number | null };
  if (connection.database.kind !== "server" || processID === null) return [];
  try {
    await using second = await connection.database.connect({ besideUnit: true, timeoutMs: BLOCKERS_LIMIT_MS });
    const { rows } = await second.query<LockHolderRow>(BLOCKERS_SQL, [processID], { timeoutMs: BLOCKERS_LIMIT_MS });
    return rows.map(lockHolderOf);
  } catch {
    return [];
  }
}

/** @throws CancelledError when the signal is aborted meanwhile */
export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(Math.max(0, ms), undefined, signal === undefined ? {} : { signal });
  } catch (cause) {
    throw new CancelledError("cancelled while waiting", { cause });
  }
}
