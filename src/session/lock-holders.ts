// Who holds a row lock that was refused. A refused waiter leaves no trace in pg_locks, so the rows' xmax is read from a
// second connection: it is the id of the transaction that locked them. Best effort, bounded, never instead of the error.
import { sql, type SQL } from "drizzle-orm";
import type { PgTable } from "drizzle-orm/pg-core";
import {
  LOCK_HOLDER_COLUMNS,
  lockHolderOf,
  type Connection,
  type LockHolder,
  type LockHolderRow,
  type Row,
  type Statement,
} from "../postgres/index.ts";
import { contextStatement } from "./context.ts";
import { dialect } from "./dialect.ts";
import { tableText } from "./table-columns.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

/** For each of: a second connection, and the questions asked on it. */
const LIMIT_MS = 500;
/** Rows whose locks are looked up. */
const ROW_LIMIT = 1_000;

/** A statement that holds these on the table keeps row locks out. */
const TABLE_HOLDERS_SQL = `
SELECT l.pid
FROM pg_catalog.pg_locks AS l
WHERE l.locktype = 'relation'
  AND l.granted
  AND l.mode IN ('ExclusiveLock', 'AccessExclusiveLock')
  AND l.relation = $1::regclass
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())`;

const TRANSACTION_HOLDERS_SQL = `
SELECT l.pid
FROM pg_catalog.pg_locks AS l
WHERE l.locktype = 'transactionid'
  AND l.granted
  AND l.transactionid::text = ANY ($1::text[])`;

/** A row that several transactions share names a group of them; ids that were never a group are an error. */
const GROUP_MEMBERS_SQL = `
SELECT m.xid::text AS xid
FROM pg_catalog.unnest($1::text[]) AS g (id)
CROSS JOIN LATERAL pg_catalog.pg_get_multixact_members(g.id::xid) AS m`;

const SESSIONS_SQL = `
SELECT ${LOCK_HOLDER_COLUMNS}
FROM pg_catalog.pg_stat_activity AS a
WHERE a.pid = ANY ($1::int4[])
ORDER BY a.xact_start NULLS LAST, a.pid`;

/** Empty on an embedded database (one connection), when no second connection is free, or when nothing was found in time. */
export async function findLockHolders(unit: UnitOfWork, table: PgTable, condition: SQL): Promise<LockHolder[]> {
  if (unit.database.kind !== "server") return [];
  try {
    await using connection = await unit.database.connect({ besideUnit: true, timeoutMs: LIMIT_MS });
    const ask = question(connection, unit);
    const pids = new Set<number>();
    for (const { pid } of await ask<{ pid: number }>(TABLE_HOLDERS_SQL, [tableText(table)])) pids.add(pid);
    // The table itself is locked: reading it would wait, too.
    if (pids.size === 0) for (const pid of await rowHolders(ask, table, condition)) pids.add(pid);
    if (pids.size === 0) return [];
    return (await ask<LockHolderRow>(SESSIONS_SQL, [[...pids]])).map(lockHolderOf);
  } catch {
    return []; // the caller's error says that the lock was refused; who has it is an extra
  }
}

type Ask = <R extends Row>(text: string, values: readonly unknown[]) => Promise<R[]>;

async function rowHolders(ask: Ask, table: PgTable, condition: SQL): Promise<number[]> {
  const { sql: text, params } = dialect.sqlToQuery(
    sql`SELECT DISTINCT xmax::text AS xid FROM ${table} WHERE ${condition} AND xmax::text <> '0' LIMIT ${ROW_LIMIT}`,
  );
  const xids = (await ask<{ xid: string }>(text, params)).map(({ xid }) => xid);
  if (xids.length === 0) return [];
  const single = await ask<{ pid: number }>(TRANSACTION_HOLDERS_SQL, [xids]);
  if (single.length > 0) return single.map(({ pid }) => pid);
  const members = (await ask<{ xid: string }>(GROUP_MEMBERS_SQL, [xids])).map(({ xid }) => xid);
  return (await ask<{ pid: number }>(TRANSACTION_HOLDERS_SQL, [members])).map(({ pid }) => pid);
}

/** Each question in its own flush, with the unit's tenant and role, so that row-level security shows what the unit saw. */
function question(connection: Connection, unit: UnitOfWork): Ask {
  const { context, role, limits } = unit.settings;
  const short = { ...limits, statementTimeoutMs: LIMIT_MS, lockTimeoutMs: LIMIT_MS };
  return async <R extends Row>(text: string, values: readonly unknown[]) => {
    // 160000: without transaction_timeout, which the statement's own limit makes needless.
    const settings: Statement = contextStatement(context, role, short, 160_000, true);
    const results = await connection.batch([settings, { text, values }], { timeoutMs: LIMIT_MS });
    return (results[1]?.rows ?? []) as R[];
  };
}
