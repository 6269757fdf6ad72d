// A lock by name that a session holds while it works on something: a second one is refused and told who holds it.
import { setTimeout as sleep } from "node:timers/promises";
import {
  ConnectionLostError,
  InvalidInputError,
  LOCK_HOLDER_COLUMNS,
  lockHolderOf,
  LockNotAvailableError,
  SQLSTATE,
  type Connection,
  type LockHolderRow,
} from "../postgres/index.ts";

export interface NamedLock {
  /** e.g. `backfill order totals`. */
  readonly name: string;
  /** How long to wait for it, in milliseconds: the backend of a process that was killed may live a moment longer. */
  readonly waitMs: number;
  /** What is said when somebody else holds it. */
  readonly refusal: { readonly message: string; readonly hint: string };
}

const KEY = `pg_catalog.hashtextextended('pgsteward ' || $1::text, 0)`;
const TRY_LOCK_SQL = `SELECT pg_catalog.pg_try_advisory_lock(${KEY}) AS locked`;
const UNLOCK_SQL = `SELECT pg_catalog.pg_advisory_unlock(${KEY})`;
const HOLDERS_SQL = `
SELECT ${LOCK_HOLDER_COLUMNS}
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory'
  AND l.granted
  AND l.objsubid = 1
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
  AND ((l.classid::int8 << 32) | l.objid::int8) = ${KEY}`;

const PAUSE_MS = 100;

/**
 * Behind a pooler in transaction mode each statement may go to another session: locks and settings of one would pass to others, and stay.
 *
 * @param who - what needs the session, in the plural, e.g. `migrations`
 * @throws InvalidInputError when a pooler gives the session to others
 */
export function requireOwnSession(connection: Connection, who: string): void {
  if (connection.database.backend.advisoryLocks) return;
  throw new InvalidInputError(`${who} need a connection of their own, and a pooler stands between`, {
    hint: "give the URL of the server itself instead of PgBouncer's (--database URL): in transaction mode the lock of the run would pass to others",
  });
}

/**
 * Runs `work` while this session holds the lock. Behind a pooler it could not give it back: requireOwnSession() says so.
 *
 * @throws LockNotAvailableError that names who holds it, when it is not free within `waitMs`
 */
export async function withNamedLock<T>(connection: Connection, lock: NamedLock, work: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + lock.waitMs;
  for (;;) {
    const { rows } = await connection.query<{ locked: boolean }>(TRY_LOCK_SQL, [lock.name]);
    if (rows[0]?.locked === true) break;
    if (performance.now() >= deadline) throw await heldBySomebody(connection, lock);
    await sleep(PAUSE_MS);
  }
  try {
    return await work();
  } finally {
    await unlock(connection, lock.name);
  }
}

async function unlock(connection: Connection, name: string): Promise<void> {
  try {
    if (connection.transactionStatus !== "idle") await connection.exec("ROLLBACK");
    await connection.query(UNLOCK_SQL, [name]);
  } catch (error) {
    // The lock went with the connection; what broke it is on its way to the caller already.
    if (!(error instanceof ConnectionLostError)) throw error;
  }
}

async function heldBySomebody(connection: Connection, lock: NamedLock): Promise<LockNotAvailableError> {
  const { message, hint } = lock.refusal;
  const error = new LockNotAvailableError(message, { sqlState: SQLSTATE.lockNotAvailable }, { hint });
  const { rows } = await connection.query<LockHolderRow>(HOLDERS_SQL, [lock.name]);
  error.nameHolders(rows.map(lockHolderOf));
  return error;
}
