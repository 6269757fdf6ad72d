// "A unit of work is open here": one flag per async flow, on the lowest floor that needs it, so that clients of the
// outside world can refuse without knowing sessions.
import { AsyncLocalStorage } from "node:async_hooks";
import type { Database, QueryOptions, QueryResult, Statement } from "./database.ts";
import type { GuardState } from "./external-call.ts";

/** The unit of work of an async flow. Timers started inside it inherit it, so `isOpen` is what counts. */
export interface OpenUnit {
  readonly database: Database;
  /** Stack frame of the code that opened it. */
  readonly openedAt: string;
  readonly isOpen: boolean;
  /** What happens to calls to the outside world while it is open; without it they are not watched. */
  readonly guard?: GuardState | undefined;
  /** Runs statements as part of the unit. */
  runStatements(statements: readonly Statement[], options?: QueryOptions): Promise<QueryResult[]>;
  runScript(script: string, options?: QueryOptions): Promise<void>;
}

const units = new AsyncLocalStorage<OpenUnit | undefined>();

/** The unit of work that is open in this async flow, if any. */
export function currentUnit(): OpenUnit | undefined {
  const unit = units.getStore();
  return unit?.isOpen === true ? unit : undefined;
}

/** Runs `work` in a flow whose current unit is `unit`. */
export function runInUnit<T>(unit: OpenUnit, work: () => T): T {
  return units.run(unit, work);
}

/**
 * Runs the driver's own network work in a flow without a unit, so the guard against outside calls lets it pass. The sockets
 * it opens keep that flow for all their later events: they neither hold on to the unit nor pass for one.
 */
export function driverIO<T>(work: () => T): T {
  // Entering a flow costs about as much as the rest of taking a connection.
  return units.getStore() === undefined ? work() : units.run(undefined, work);
}
