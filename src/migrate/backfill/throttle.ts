// When a backfill holds back: replicas that lag, a busy server, sessions that wait for locks on its table. Asked between batches, so
// the backfill itself never is what they wait for.
import type { Connection, Row } from "../../postgres/index.ts";

export interface BackfillThrottle {
  /** Longest `replay_lag` of a replica, in milliseconds. Default 5_000. */
  readonly maxLagMs?: number | undefined;
  /** Most WAL a replica may be behind, in bytes: `replay_lag` stands still while replay does. Default 64 MiB. */
  readonly maxLagBytes?: number | undefined;
  /** Most other sessions that may be active in this database. Default half of `max_connections`. */
  readonly maxActive?: number | undefined;
  /** Most sessions that may wait for a lock on the table or its rows. Default 0. */
  readonly maxLockWaits?: number | undefined;
}

export const DEFAULT_MAX_LAG_MS = 5_000;
const DEFAULT_MAX_LAG_BYTES = 64 * 2 ** 20;

const LOAD_SQL = `
SELECT
  (SELECT pg_catalog.count(*)::int4
   FROM pg_catalog.pg_stat_activity AS a
   WHERE a.state = 'active'
     AND a.backend_type = 'client backend'
     AND a.datname = pg_catalog.current_database()
     AND a.pid <> pg_catalog.pg_backend_pid()) AS active,
  EXISTS (
    SELECT FROM pg_catalog.pg_stat_activity AS a
    WHERE a.datname = pg_catalog.current_database()
      AND a.backend_type IS NULL    -- not for this login to see
  ) AS is_hidden,
  pg_catalog.current_setting('max_connections')::int4 AS max_connections,
  (SELECT pg_catalog.count(DISTINCT l.pid)::int4
   FROM pg_catalog.pg_locks AS l
   WHERE NOT l.granted
     AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
     AND l.relation = ANY ($1::int8[]::oid[])) AS lock_waits`;

// Without pg_monitor the view shows the replicas, but NULL for where they are.
const LAG_SQL = `
SELECT pg_catalog.count(*)::int4 AS replicas,
  (pg_catalog.count(*) FILTER (WHERE r.replay_lsn IS NULL AND r.state IS NULL))::int4 AS hidden,
  (extract(epoch FROM pg_catalog.max(r.replay_lag)) * 1000)::float8 AS lag_ms,
  pg_catalog.max(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), r.replay_lsn))::float8 AS lag_bytes
FROM pg_catalog.pg_stat_replication AS r
WHERE r.state IS DISTINCT FROM 'backup'`;

export interface ThrottleDecision {
  /** Why the next batch has to wait; `undefined` when it may go. */
  readonly reason: string | undefined;
  /** There are replicas whose lag this login may not see. */
  readonly isLagHidden: boolean;
  /** There are sessions of which this login may not see whether they are active. */
  readonly isLoadHidden: boolean;
}

/** Asks the server. */
export async function readThrottle(
  connection: Connection,
  oids: readonly number[],
  limits: BackfillThrottle,
): Promise<ThrottleDecision> {
  const { rows } = await connection.query<LoadRow>(LOAD_SQL, [oids]);
  // The embedded database keeps no WAL for replicas and has none.
  const lag = connection.database.kind === "pglite" ? [] : (await connection.query<LagRow>(LAG_SQL)).rows;
  return decideThrottle(rows[0], lag[0], limits);
}

interface LoadRow extends Row {
  readonly active: number;
  readonly is_hidden: boolean;
  readonly max_connections: number;
  readonly lock_waits: number;
}

interface LagRow extends Row {
  readonly replicas: number;
  readonly hidden: number;
  readonly lag_ms: number | null;
  readonly lag_bytes: number | null;
}

function decideThrottle(
  load: LoadRow | undefined,
  lag: LagRow | undefined,
  limits: BackfillThrottle,
): ThrottleDecision {
  const reasons: string[] = [];
  const lagMs = lag?.lag_ms ?? 0;
  const lagBytes = lag?.lag_bytes ?? 0;
  if (lagMs > (limits.maxLagMs ?? DEFAULT_MAX_LAG_MS)) reasons.push(`a replica is ${Math.round(lagMs)} ms behind`);
  else if (lagBytes > (limits.maxLagBytes ?? DEFAULT_MAX_LAG_BYTES))
    reasons.push(`a replica is ${Math.round(lagBytes / 2 ** 20)} MiB of WAL behind`);
  if (load !== undefined) {
    if (load.active > (limits.maxActive ?? Math.ceil(load.max_connections / 2)))
      reasons.push(`${load.active} other ${load.active === 1 ? "session is" : "sessions are"} active`);
    if (load.lock_waits > (limits.maxLockWaits ?? 0))
      reasons.push(
        `${load.lock_waits} ${load.lock_waits === 1 ? "session waits" : "sessions wait"} for a lock on the table`,
      );
  }
  return {
    reason: reasons.length === 0 ? undefined : reasons.join(", "),
    isLagHidden: (lag?.hidden ?? 0) > 0,
    isLoadHidden: load?.is_hidden === true,
  };
}
