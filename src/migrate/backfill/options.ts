// What a caller may set for a backfill, what it hears meanwhile, and what it gets at the end.
import { InvalidInputError } from "../../postgres/index.ts";
import type { BackfillThrottle } from "./throttle.ts";

export interface BackfillOptions extends BackfillThrottle {
  /** Rows of the first batch. Default 1_000. */
  readonly batchSize?: number | undefined;
  /** A batch that takes longer is followed by a smaller one, a faster one by a larger, in milliseconds; 0 keeps the size. Default 200. */
  readonly targetMs?: number | undefined;
  /** Default ten times `batchSize`. */
  readonly maxBatchSize?: number | undefined;
  /** Rest after each batch, in milliseconds. Default 0. */
  readonly pauseMs?: number | undefined;
  /** `lock_timeout` of a batch, in milliseconds. Default 1_000. */
  readonly lockTimeoutMs?: number | undefined;
  /** `statement_timeout` of a batch, in milliseconds. Default 30_000. */
  readonly batchTimeoutMs?: number | undefined;
  /** Failures in a row (lock, deadlock, time) after which the run gives up. Default 20. */
  readonly retries?: number | undefined;
  /** Time between two looks at load, locks and lag, in milliseconds. Default 1_000. */
  readonly checkEveryMs?: number | undefined;
  /** Longest time the run is held back by them without a batch, in milliseconds. Default 3_600_000. */
  readonly maxHeldBackMs?: number | undefined;
  /** Limit of the count at the end, in milliseconds. Default 3_600_000. */
  readonly verifyTimeoutMs?: number | undefined;
  /** Passes for rows that came behind the cursor. Default 5. */
  readonly maxPasses?: number | undefined;
  /** How long to wait for a run of the same name to end, in milliseconds. Default 2_000. */
  readonly waitMs?: number | undefined;
  /** Forgets what was recorded under this name and begins at the first row. Default false. */
  readonly restart?: boolean | undefined;
  /** Stops after the current batch; the next run continues there. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: BackfillProgress) => void) | undefined;
}

export interface BackfillProgress {
  readonly name: string;
  readonly pass: number;
  /** Rows passed and rows updated, of all passes and runs so far. */
  readonly rowsVisited: number;
  readonly rowsChanged: number;
  /** `reltuples` of the table at the start of this run; `undefined` for one never analyzed. */
  readonly rowEstimate: number | undefined;
  /** Visited rows per second, in this run. */
  readonly rowsPerSecond: number;
  /** For the first pass, from the estimate; `undefined` when there is none or the pass is a later one. */
  readonly timeLeftMs: number | undefined;
  /** Of the next batch. */
  readonly batchSize: number;
  /** Why the run does not go on at the moment. */
  readonly heldBackBy: string | undefined;
}

export interface BackfillResult {
  readonly name: string;
  /** `stopped` by the signal: the same call continues it. */
  readonly state: "done" | "stopped";
  /** True when nothing was left to do: an earlier run had ended. */
  readonly wasDone: boolean;
  readonly passes: number;
  readonly batches: number;
  readonly rowsVisited: number;
  readonly rowsChanged: number;
  /** Counted at the end; `undefined` without a `where`, and for a run that was stopped. */
  readonly rowsLeft: number | undefined;
  /** Of this run. */
  readonly tookMs: number;
  /** What a person should know, e.g. that the lag of replicas cannot be seen. */
  readonly notices: readonly string[];
}

/** The settings of a run with their defaults. */
export interface BackfillSettings extends BackfillThrottle {
  readonly batchSize: number;
  readonly maxBatchSize: number;
  readonly targetMs: number;
  readonly pauseMs: number;
  readonly lockTimeoutMs: number;
  readonly batchTimeoutMs: number;
  readonly retries: number;
  readonly checkEveryMs: number;
  readonly maxHeldBackMs: number;
  readonly verifyTimeoutMs: number;
  readonly maxPasses: number;
  readonly waitMs: number;
  readonly restart: boolean;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: BackfillProgress) => void) | undefined;
}

/** @throws InvalidInputError for a number that makes no sense */
export function settingsOf(options: BackfillOptions): BackfillSettings {
  const batchSize = options.batchSize ?? 1_000;
  const settings: BackfillSettings = {
    maxLagMs: options.maxLagMs,
    maxLagBytes: options.maxLagBytes,
    maxActive: options.maxActive,
    maxLockWaits: options.maxLockWaits,
    batchSize,
    maxBatchSize: options.maxBatchSize ?? batchSize * 10,
    targetMs: options.targetMs ?? 200,
    pauseMs: options.pauseMs ?? 0,
    lockTimeoutMs: options.lockTimeoutMs ?? 1_000,
    batchTimeoutMs: options.batchTimeoutMs ?? 30_000,
    retries: options.retries ?? 20,
    checkEveryMs: options.checkEveryMs ?? 1_000,
    maxHeldBackMs: options.maxHeldBackMs ?? 3_600_000,
    verifyTimeoutMs: options.verifyTimeoutMs ?? 3_600_000,
    maxPasses: options.maxPasses ?? 5,
    waitMs: options.waitMs ?? 2_000,
    restart: options.restart ?? false,
    signal: options.signal,
    onProgress: options.onProgress,
  };
  const positive = new Set(["batchSize", "maxBatchSize", "lockTimeoutMs", "batchTimeoutMs", "maxPasses"]);
  for (const [name, value] of Object.entries(settings)) {
    if (typeof value !== "number") continue;
    const least = positive.has(name) ? 1 : 0;
    if (!Number.isInteger(value) || value < least || value > 2 ** 31 - 1)
      throw new InvalidInputError(`${name} must be a whole number from ${least} to ${2 ** 31 - 1}, not ${value}`);
  }
  return settings;
}
