// What the runner takes, tells while it works, and gives back. Types and defaults only.
import type { LockHolder } from "../../postgres/index.ts";

/** Where a history is kept. Two histories in one database know nothing of each other and may run at the same time. */
export interface HistoryTable {
  readonly schema: string;
  readonly table: string;
}

/** Of the migrations that belong to whoever uses pgsteward. */
export const DEFAULT_HISTORY: HistoryTable = { schema: "pgsteward", table: "schema_migrations" };
/** Of the platform's own migrations. */
export const PLATFORM_HISTORY: HistoryTable = { schema: "pgsteward", table: "migration" };
/** The name of a history that lies in a tenant's schema, so that it is copied and dropped together with the tenant. */
export const TENANT_HISTORY_TABLE = "pgsteward_migrations";

export type MigrationDirection = "up" | "down";

export interface RunMigrationsOptions {
  /** Default `pgsteward.schema_migrations`; with `schema` the table `pgsteward_migrations` in that schema. */
  readonly history?: HistoryTable | undefined;
  /** A tenant's schema: it comes first in the `search_path`, before `public`, and holds its own history. */
  readonly schema?: string | undefined;
  /** At most so many migrations. Default: all of them for `runMigrations`, 1 for the ways back. */
  readonly count?: number | undefined;
  /** Up: the last version to apply. Down: the newest version that stays; `"0"` takes back everything. */
  readonly to?: string | undefined;
  /** How long to wait for another process that migrates, in milliseconds; 0 fails at once. Default 60_000. */
  readonly runnerWaitMs?: number | undefined;
  /** `lock_timeout` of each statement that runs in a transaction, in milliseconds; 0 waits without an end. Default 2_000. */
  readonly lockTimeoutMs?: number | undefined;
  /** How often a group is tried when a lock is not to be had or a deadlock ends it. Default 10. */
  readonly lockAttempts?: number | undefined;
  /** Wait before the second try, in milliseconds; it doubles up to 30 s, and up to a half is taken off at random. Default 250. */
  readonly retryWaitMs?: number | undefined;
  /** `statement_timeout`, in milliseconds. Default 0: none, because a table of any size may have to be scanned. */
  readonly statementTimeoutMs?: number | undefined;
  /** Applies a migration although one with a higher number is applied. Default false. */
  readonly allowOutOfOrder?: boolean | undefined;
  /** Names or versions of irreversible migrations whose down part may run. */
  readonly allowIrreversible?: readonly string[] | undefined;
  /**
   * What to do about a statement outside a transaction of which nobody can tell whether it finished before the run was
   * interrupted. Without it such a migration is refused.
   */
  readonly undecided?: "again" | "done" | undefined;
  /** After each group, wait until all streaming replicas have replayed it; at most so long, in milliseconds. Default: no wait. */
  readonly replicaWaitMs?: number | undefined;
  /** Who asked for it, for the history, e.g. an agent's name. */
  readonly actor?: string | undefined;
  /** Called in order, while the run goes on. */
  readonly onEvent?: ((event: MigrationEvent) => void) | undefined;
  /** Aborting cancels the statement that runs; what was committed stays, and the next run goes on from there. */
  readonly signal?: AbortSignal | undefined;
}

interface OfMigration {
  readonly version: string;
  readonly name: string;
  readonly direction: MigrationDirection;
}

interface OfStatement extends OfMigration {
  /** From 1. */
  readonly statement: number;
  readonly statements: number;
  readonly line: number;
}

export type MigrationEvent =
  | { readonly kind: "waitingForRunner"; readonly holders: readonly LockHolder[]; readonly waitedMs: number }
  /** `position` statements were done by an earlier run. */
  | ({ readonly kind: "migrationStarted"; readonly position: number; readonly statements: number } & OfMigration)
  | ({ readonly kind: "statementStarted"; readonly sql: string } & OfStatement)
  | ({ readonly kind: "statementDone"; readonly tookMs: number } & OfStatement)
  /** The statement waits for locks of others. */
  | ({ readonly kind: "blocked"; readonly holders: readonly LockHolder[] } & OfStatement)
  /** The group was rolled back because of a lock, and is tried again after `waitMs`. */
  | ({
      readonly kind: "lockRetry";
      readonly attempt: number;
      readonly attempts: number;
      readonly waitMs: number;
      readonly reason: string;
      readonly holders: readonly LockHolder[];
    } & OfStatement)
  /** What an interrupted statement left was put in order, e.g. `the invalid index shop.idx_t_id was dropped`. */
  | ({ readonly kind: "recovered"; readonly what: string } & OfStatement)
  | ({ readonly kind: "groupDone"; readonly position: number; readonly statements: number } & OfMigration)
  | ({ readonly kind: "waitingForReplicas"; readonly behind: readonly ReplicaLag[] } & OfMigration)
  | ({ readonly kind: "migrationDone"; readonly durationMs: number } & OfMigration);

/** A replica that has not replayed what the primary wrote. */
export interface ReplicaLag {
  readonly name: string;
  readonly behindBytes: number;
}

export interface RanMigration {
  readonly version: string;
  readonly name: string;
  readonly direction: MigrationDirection;
  /** In milliseconds, without the waits for locks; over all runs it took. */
  readonly durationMs: number;
}

export interface MigrationRun {
  /** What this run finished, in the order in which it did it. */
  readonly done: readonly RanMigration[];
  /** How many were applied before this run. */
  readonly appliedBefore: number;
}

export function historyOf(options: Pick<RunMigrationsOptions, "history" | "schema">): HistoryTable {
  if (options.history !== undefined) return options.history;
  return options.schema === undefined ? DEFAULT_HISTORY : { schema: options.schema, table: TENANT_HISTORY_TABLE };
}
