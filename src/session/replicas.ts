// Which server a read goes to: a replica that has replayed what this context wrote last, else the primary. How far a write
// got is a token, a position in the log that can travel in a cookie or a header.
import { setTimeout as sleep } from "node:timers/promises";
import {
  AcquireTimeoutError,
  ConnectionLostError,
  ConnectionRefusedError,
  DatabaseClosedError,
  DatabaseNotFoundError,
  AuthenticationFailedError,
  DeadlockError,
  InvalidInputError,
  leaseForUnit,
  QueueFullError,
  SerializationFailureError,
  TooManyConnectionsError,
  type CallSite,
  type Database,
  type QueryResult,
  type Statement,
} from "../postgres/index.ts";
import type { SessionContext } from "./context.ts";
import type { SessionFactoryOptions } from "./session-types.ts";

/** A place in the write-ahead log. After a promotion the new primary writes on under the next timeline. */
export interface LogPosition {
  readonly timeline: number;
  /** Bytes since the beginning of the log. */
  readonly lsn: bigint;
}

/**
 * Travels behind COMMIT in the same flush. The insert position, not the flush position: with synchronous_commit = off the
 * commit is in the log before it is on disk. A log file's name begins with its timeline.
 */
export const POSITION_AFTER_COMMIT: Statement = {
  text: `SELECT at.lsn::text, left(pg_catalog.pg_walfile_name(at.lsn), 8)
FROM (SELECT pg_catalog.pg_current_wal_insert_lsn()) AS at (lsn)`,
  rowMode: "array",
};

// The control file's timeline is that of the last restart point, so it can be behind for a while after a promotion: such a
// replica is passed over until then. The receiver's is newer, but only shown to members of pg_read_all_stats.
const REPLAYED_SQL = `
SELECT
  pg_catalog.pg_is_in_recovery() AS is_replica,
  pg_catalog.pg_last_wal_replay_lsn()::text AS lsn,
  greatest(c.timeline_id, (SELECT w.received_tli FROM pg_catalog.pg_stat_wal_receiver AS w)) AS timeline
FROM pg_catalog.pg_control_checkpoint() AS c`;

/** What was read from a replica is believed for this long, because another server can come up behind its address. */
const BELIEVED_MS = 5_000;
/** A replica that failed is left alone for this long. */
const REST_MS = 5_000;
const POLL_MS = 3;
/** Contexts whose last write is remembered one by one. Those that drop out count as if they had written what any of them wrote last. */
const CONTEXTS_REMEMBERED = 10_000;

const TOKEN = /^([1-9]\d{0,9})-([0-9A-F]{16})$/;

export function printToken({ timeline, lsn }: LogPosition): string {
  return `${timeline}-${lsn.toString(16).toUpperCase().padStart(16, "0")}`;
}

/** @throws InvalidInputError for a text that is no token */
export function parseToken(text: string): LogPosition {
  const [, timeline, lsn] = (typeof text === "string" ? TOKEN.exec(text) : null) ?? [];
  if (timeline === undefined || lsn === undefined) {
    throw new InvalidInputError("this is no consistency token", {
      hint: "pass on what sessions.consistencyToken() gave, unchanged, or nothing",
    });
  }
  return { timeline: Number(timeline), lsn: BigInt(`0x${lsn}`) };
}

export function readPosition(result: QueryResult | undefined): LogPosition | undefined {
  const [row] = (result?.rows ?? []) as unknown as (readonly (string | null)[])[];
  const [lsn, timeline] = row ?? [];
  if (typeof lsn !== "string" || typeof timeline !== "string") return undefined;
  return { timeline: Number.parseInt(timeline, 16), lsn: parseLsn(lsn) };
}

function parseLsn(text: string): bigint {
  const [high = "0", low = "0"] = text.split("/");
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`);
}

function later(a: LogPosition | undefined, b: LogPosition | undefined): LogPosition | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  if (a.timeline !== b.timeline) return a.timeline > b.timeline ? a : b;
  return a.lsn >= b.lsn ? a : b;
}

/** A replica on a newer timeline has what the promotion kept of the older one; what it did not keep is lost anyway. */
function hasReplayed(replica: LogPosition, wanted: LogPosition | undefined): boolean {
  return wanted === undefined || (replica.timeline >= wanted.timeline && replica.lsn >= wanted.lsn);
}

interface Replica {
  readonly database: Database;
  position: LogPosition | undefined;
  readAt: number;
  restsUntil: number;
}

export class Replicas {
  readonly #primary: Database;
  readonly #replicas: readonly Replica[];
  readonly #waitMs: number;
  readonly #written = new Map<string, LogPosition>();
  #writtenByOthers: LogPosition | undefined;
  #turn = 0;

  constructor(primary: Database, databases: readonly Database[], waitMs: number) {
    this.#primary = primary;
    this.#waitMs = waitMs;
    this.#replicas = databases.map((database) => ({ database, position: undefined, readAt: 0, restsUntil: 0 }));
  }

  get databases(): readonly Database[] {
    return this.#replicas.map(({ database }) => database);
  }

  noteWrite(context: SessionContext, position: LogPosition | undefined): void {
    if (position === undefined) return;
    const key = keyOf(context);
    const newest = later(this.#written.get(key), position);
    this.#written.delete(key);
    if (newest !== undefined) this.#written.set(key, newest);
    for (const [oldest, dropped] of this.#written) {
      if (this.#written.size <= CONTEXTS_REMEMBERED) break;
      this.#written.delete(oldest);
      this.#writtenByOthers = later(this.#writtenByOthers, dropped);
    }
  }

  lastWrite(context: SessionContext): LogPosition | undefined {
    return this.#written.get(keyOf(context)) ?? this.#writtenByOthers;
  }

  /** A replica that has replayed `lastWrite(context)` and `after`, waiting for it up to the limit; else the primary. */
  async choose(
    context: SessionContext,
    after: LogPosition | undefined,
    place: CallSite,
    signal: AbortSignal | undefined,
  ): Promise<Database> {
    const wanted = later(this.lastWrite(context), after);
    const deadline = Date.now() + this.#waitMs;
    for (;;) {
      const now = Date.now();
      const awake = this.#replicas.filter(({ restsUntil }) => restsUntil <= now);
      if (awake.length === 0) return this.#primary;
      const first = this.#turn++ % awake.length;
      for (const replica of [...awake.slice(first), ...awake.slice(0, first)]) {
        const isFresh = now - replica.readAt < BELIEVED_MS;
        if (isFresh && replica.position !== undefined && hasReplayed(replica.position, wanted)) return replica.database;
        await this.#look(replica, place, signal);
        if (replica.position !== undefined && hasReplayed(replica.position, wanted)) return replica.database;
      }
      if (signal?.aborted === true || Date.now() >= deadline) return this.#primary;
      await sleep(POLL_MS);
    }
  }

  /** Whether a failed read is to be done again on the primary. A replica that cannot be reached is left alone for a while. */
  isReplicaFault(database: Database, error: unknown): boolean {
    const replica = this.#replicas.find((one) => one.database === database);
    if (replica === undefined) return false;
    for (let current = error, depth = 0; current instanceof Error && depth < 10; current = current.cause, depth++) {
      if (UNREACHABLE.some((type) => current instanceof type)) {
        this.#rest(replica);
        return true;
      }
      // "canceling statement due to conflict with recovery": the replay needed what the read held.
      if (current instanceof SerializationFailureError || current instanceof DeadlockError) return true;
    }
    return false;
  }

  async #look(replica: Replica, place: CallSite, signal: AbortSignal | undefined): Promise<void> {
    try {
      await using connection = await leaseForUnit(
        replica.database,
        { timeoutMs: Math.max(this.#waitMs, 1), signal },
        place,
      );
      const { rows } = await connection.query<{ is_replica: boolean; lsn: string | null; timeline: number }>(
        REPLAYED_SQL,
        [],
        { timeoutMs: Math.max(this.#waitMs, 1), signal },
      );
      const [row] = rows;
      // Promoted, or never a replica: as a second primary it may hold anything.
      if (row === undefined || !row.is_replica || row.lsn === null) return this.#rest(replica);
      replica.position = { timeline: row.timeline, lsn: parseLsn(row.lsn) };
      replica.readAt = Date.now();
    } catch (error) {
      if (signal?.aborted === true) throw error;
      this.#rest(replica); // the primary answers instead; the next look comes after the rest
    }
  }

  #rest(replica: Replica): void {
    replica.position = undefined;
    replica.restsUntil = Date.now() + REST_MS;
  }
}

const UNREACHABLE = [
  AcquireTimeoutError,
  AuthenticationFailedError,
  ConnectionLostError,
  ConnectionRefusedError,
  DatabaseClosedError,
  DatabaseNotFoundError,
  QueueFullError,
  TooManyConnectionsError,
] as const;

/** Everybody of a tenant sees what anybody of it wrote through this factory. */
function keyOf({ tenantId }: SessionContext): string {
  return tenantId ?? "";
}

/** What a factory reads from; undefined without replicas. @throws InvalidInputError for options that cannot be used */
export function replicasOf(
  database: Database,
  { replicas, replicaWaitMs = 500 }: Pick<SessionFactoryOptions, "replicas" | "replicaWaitMs">,
): Replicas | undefined {
  if (!Number.isSafeInteger(replicaWaitMs) || replicaWaitMs < 0 || replicaWaitMs > 2 ** 31 - 1) {
    throw new InvalidInputError(
      `replicaWaitMs must be a whole number from 0 to ${2 ** 31 - 1}, got ${String(replicaWaitMs)}`,
    );
  }
  if (replicas === undefined || replicas.length === 0) return undefined;
  if (replicas.some((replica) => replica.kind !== "server") || database.kind !== "server")
    throw new InvalidInputError("replicas are servers: the embedded database has none");
  return new Replicas(database, replicas, replicaWaitMs);
}
