// Whether a COMMIT came through whose answer was lost. A unit that writes learns its transaction id along with its own
// statements, so that pg_xact_status() can be asked afterwards on another connection.
import { setTimeout as sleep } from "node:timers/promises";
import {
  DatabaseError,
  leaseForUnit,
  type CallSite,
  type Database,
  type QueryResult,
  type Statement,
} from "../postgres/index.ts";

/**
 * Travels behind the statements of a unit that may write, until the id is known: no flush of its own, some 20 µs of the server.
 *
 * A crash, or a failover, can give the same id to somebody else's transaction, because what was not flushed to the log is
 * forgotten, ids included. It also sets the reset time of these statistics anew (they are thrown away by recovery, and every
 * server has its own), so an id only counts beside an unchanged reset time. Anybody may read both.
 */
const EVIDENCE: Statement = {
  text: `SELECT pg_catalog.pg_current_xact_id_if_assigned()::text, pg_catalog.pg_stat_get_bgwriter_stat_reset_time()::text`,
  rowMode: "array",
};
const OUTCOME_SQL = `
SELECT
  pg_catalog.pg_xact_status($1::text::xid8) AS status,
  pg_catalog.pg_stat_get_bgwriter_stat_reset_time()::text AS statistics_since`;

/** How long the server may be gone, or still be committing, before the outcome counts as unknown. */
const LIMIT_MS = 10_000;
const PAUSE_MS = 50;

/** What begins like this changes nothing by itself; a function it calls may, and then the outcome stays unknown. */
const READS = /^\s*(?:select|table|values|show|set|explain)\b/i;

export interface CommitEvidence {
  /** `xid8` as text. */
  readonly transactionId: string;
  readonly statisticsSince: string;
}

/** What locks rows has a transaction id, and is about to write. */
const LOCKS = /\bfor\s+(?:no\s+key\s+)?update\b/i;

export function mayWrite(statements: readonly Statement[]): boolean {
  return statements.some(({ text }) => !READS.test(text) || LOCKS.test(text));
}

export function evidenceStatement(name: (text: string) => string | undefined): Statement {
  return { ...EVIDENCE, name: name(EVIDENCE.text) };
}

export function readEvidence(result: QueryResult | undefined): CommitEvidence | undefined {
  const [row] = (result?.rows ?? []) as unknown as (readonly (string | null)[])[];
  const [transactionId, statisticsSince] = row ?? [];
  if (typeof transactionId !== "string" || typeof statisticsSince !== "string") return undefined;
  return { transactionId, statisticsSince };
}

/** Asks until the server knows. Never throws: what cannot be found out is `"unknown"`. */
export async function askOutcome(
  database: Database,
  evidence: CommitEvidence,
  openedAt: CallSite,
  signal: AbortSignal | undefined,
): Promise<"committed" | "aborted" | "unknown"> {
  for (
    const deadline = Date.now() + LIMIT_MS;
    signal?.aborted !== true && Date.now() < deadline;
    await sleep(PAUSE_MS)
  ) {
    try {
      await using connection = await leaseForUnit(database, { timeoutMs: deadline - Date.now(), signal }, openedAt);
      const { rows } = await connection.query<{ status: string | null; statistics_since: string | null }>(
        OUTCOME_SQL,
        [evidence.transactionId],
        { signal },
      );
      const [row] = rows;
      if (row?.statistics_since !== evidence.statisticsSince) return "unknown";
      if (row.status === "committed" || row.status === "aborted") return row.status;
      if (row.status !== "in progress") return "unknown"; // so old that the server has forgotten it
    } catch (error) {
      // The server refuses the question itself (the id lies in its future). Anything else is its restart: it is asked again.
      if (error instanceof DatabaseError) return "unknown";
    }
  }
  return "unknown";
}
