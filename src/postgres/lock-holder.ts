// The session that holds a lock, as pg_stat_activity shows it to whoever asks.
import type { Row } from "./database.ts";
import type { LockHolder } from "./errors.ts";

/** What `lockHolderOf` reads; `a` is pg_stat_activity. */
export const LOCK_HOLDER_COLUMNS = `a.pid, a.application_name, a.usename, a.state,
  (extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start) * 1000)::float8 AS transaction_age_ms,
  (extract(epoch FROM pg_catalog.clock_timestamp() - a.query_start) * 1000)::float8 AS query_age_ms`;

export interface LockHolderRow extends Row {
  readonly pid: number;
  readonly application_name: string | null;
  /** NULL, as the rest, where the login may not see the sessions of others. */
  readonly usename: string | null;
  readonly state: string | null;
  readonly transaction_age_ms: number | null;
  readonly query_age_ms: number | null;
}

export function lockHolderOf(row: LockHolderRow): LockHolder {
  const rounded = (ms: number | null): number | undefined => (ms === null ? undefined : Math.round(ms));
  return {
    pid: row.pid,
    application: row.application_name === null || row.application_name === "" ? undefined : row.application_name,
    role: row.usename ?? undefined,
    state: row.state ?? undefined,
    transactionAgeMs: rounded(row.transaction_age_ms),
    queryAgeMs: rounded(row.query_age_ms),
  };
}
