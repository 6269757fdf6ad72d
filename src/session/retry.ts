// Running a whole unit of work again when the server, or the network, undid it. What makes it safe: a failed unit left
// nothing behind, and the guard keeps calls to the outside world out of it.
import { setTimeout as sleep } from "node:timers/promises";
import {
  CancelledError,
  CommitOutcomeUnknownError,
  ConnectionLostError,
  DeadlockError,
  givenOptions,
  InvalidInputError,
  RetriesExhaustedError,
  SerializationFailureError,
  SQLSTATE,
  type CallSite,
  type DatabaseError,
  type StewardError,
} from "../postgres/index.ts";

export interface RetryOptions {
  /** Runs of the unit at most, the first one included; 1 = never again. Default 5. */
  readonly attempts?: number;
  /** The wait before attempt n+1 is random between 0 and `baseDelayMs` × 2^(n-1), in milliseconds. Default 10. */
  readonly baseDelayMs?: number;
  /** Longest wait between two attempts, in milliseconds. Default 1_000. */
  readonly maxDelayMs?: number;
  /** Told before each wait. What it throws ends the unit. */
  readonly onRetry?: (retry: RetryNotice) => void;
}

export interface RetryNotice {
  /** The attempt that failed, counted from 1. */
  readonly attempt: number;
  readonly delayMs: number;
  readonly error: StewardError;
  readonly name: string | undefined;
  readonly openedAt: string;
}

export interface RetryPolicy extends Required<Omit<RetryOptions, "onRetry">> {
  readonly onRetry: ((retry: RetryNotice) => void) | undefined;
}

export const DEFAULT_RETRY: RetryPolicy = { attempts: 5, baseDelayMs: 10, maxDelayMs: 1_000, onRetry: undefined };
const NEVER: RetryPolicy = { ...DEFAULT_RETRY, attempts: 1 };

/** @throws InvalidInputError for numbers that make no sense */
export function retryPolicy(base: RetryPolicy, options: RetryOptions | false | undefined): RetryPolicy {
  if (options === false) return NEVER;
  if (options === undefined) return base;
  if (typeof options !== "object" || options === null)
    throw new InvalidInputError("retry must be false or an object like { attempts: 3 }");
  // false at the factory and options at the unit: the unit's word holds, on top of the defaults.
  const policy: RetryPolicy = { ...(base === NEVER ? DEFAULT_RETRY : base), ...givenOptions(options) };
  for (const name of ["attempts", "baseDelayMs", "maxDelayMs"] as const) {
    const minimum = name === "attempts" ? 1 : 0;
    if (!Number.isSafeInteger(policy[name]) || policy[name] < minimum || policy[name] > 2 ** 31 - 1)
      throw new InvalidInputError(
        `retry.${name} must be a whole number from ${minimum} to ${2 ** 31 - 1}, got ${String(policy[name])}`,
      );
  }
  return policy;
}

export interface RetriedUnit {
  readonly name: string | undefined;
  readonly openedAt: CallSite;
  readonly signal: AbortSignal | undefined;
  /** Running it twice does no harm, so that it is repeated also when nobody knows whether it was committed. */
  readonly isRepeatable: boolean;
}

/**
 * After the first attempt failed with `failure`: runs `attempt` (told whether it may name prepared statements) until it succeeds,
 * fails for a reason that a repetition cannot mend, or the attempts are used up.
 *
 * @throws RetriesExhaustedError whose cause is the last failure
 * @throws CommitOutcomeUnknownError when an attempt may have been committed and no later one succeeded
 * @throws CancelledError when the signal fires during a wait
 */
export async function runAgain<T>(
  failure: unknown,
  policy: RetryPolicy,
  unit: RetriedUnit,
  attempt: (usesNames: boolean) => Promise<T>,
): Promise<T> {
  let error = failure;
  let mayBeCommitted = false;
  let usesNames = true;
  for (let number = 1; ; number++) {
    const reason = retryReason(error, unit.isRepeatable);
    usesNames &&= !isStaleStatement(reason);
    mayBeCommitted ||= reason instanceof CommitOutcomeUnknownError;
    if (reason === undefined || policy.attempts === 1 || unit.signal?.aborted === true)
      throw mayBeCommitted ? outcomeUnknown(error) : error;
    if (number >= policy.attempts) {
      const exhaustion = exhausted(number, reason);
      throw mayBeCommitted ? outcomeUnknown(exhaustion) : exhaustion;
    }
    const delayMs = Math.floor(Math.random() * Math.min(policy.maxDelayMs, policy.baseDelayMs * 2 ** (number - 1)));
    policy.onRetry?.({ attempt: number, delayMs, error: reason, name: unit.name, openedAt: String(unit.openedAt) });
    await pause(delayMs, unit.signal, error);
    try {
      return await attempt(usesNames);
    } catch (next) {
      error = next;
    }
  }
}

/** The failure that running the unit again can mend. Code of the unit may have wrapped it, so the causes are looked through. */
export function retryReason(error: unknown, isRepeatable: boolean): StewardError | undefined {
  for (let current = error, depth = 0; current instanceof Error && depth < 10; current = current.cause, depth++) {
    if (current instanceof CommitOutcomeUnknownError) return isRepeatable ? current : undefined;
    if (
      current instanceof SerializationFailureError ||
      current instanceof DeadlockError ||
      current instanceof ConnectionLostError ||
      isStaleStatement(current)
    )
      return current as StewardError;
  }
  return undefined;
}

const outdated = new WeakSet<StewardError>();

/** Notes that the failure came from parameter types that a prepared statement remembered (outdated-statements.ts). */
export function noteOutdated(failure: StewardError): void {
  outdated.add(failure);
}

/** A prepared statement that the server no longer knows, or knows otherwise (pooler, DISCARD, a changed table). */
export function isStaleStatement(error: unknown): boolean {
  if (outdated.has(error as StewardError)) return true;
  const { sqlState, cause } = (error ?? {}) as Partial<DatabaseError>;
  if (sqlState === SQLSTATE.invalidStatementName || sqlState === SQLSTATE.duplicateStatement) return true;
  // "cached plan must not change result type": the table changed under a prepared statement.
  return (
    sqlState === SQLSTATE.featureNotSupported &&
    (cause as { routine?: string } | undefined)?.routine === "RevalidateCachedQuery"
  );
}

function exhausted(attempts: number, cause: StewardError): RetriesExhaustedError {
  return new RetriesExhaustedError(`gave up after ${attempts} attempts; the last one failed with: ${cause.message}`, {
    cause,
    hint: "make the unit of work shorter, lock the rows it changes first (tx.lock), or raise retry.attempts",
  });
}

function outcomeUnknown(cause: unknown): CommitOutcomeUnknownError {
  if (cause instanceof CommitOutcomeUnknownError) return cause;
  return new CommitOutcomeUnknownError(
    "an attempt of this unit of work may have been committed, and no later one was",
    {
      cause,
      hint: "read what it would have changed before you run it again",
    },
  );
}

async function pause(delayMs: number, signal: AbortSignal | undefined, cause: unknown): Promise<void> {
  try {
    await sleep(delayMs, undefined, { signal });
  } catch {
    throw new CancelledError("the unit of work was cancelled while it waited to be tried again", {
      cause: signal?.reason ?? cause,
    });
  }
}
