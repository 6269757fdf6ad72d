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

const units = new AsyncLocalStorage<OpenUnit>();

/** The unit of work that is open in this async flow, if any. */
export function currentUnit(): OpenUnit | undefined {
  const unit = units.getStore();
  return unit?.isOpen === true ? unit : undefined;
}

/** Runs `work` in a flow whose current unit is `unit`. */
export function runInUnit<T>(unit: OpenUnit, work: () => T): T {
  return units.run(unit, work);
}

// The sockets a driver opens keep the flow they were opened in for all their later events. A notification listener may
// open a unit there: the mark must not reach into that one, so it holds only for the unit it was set in.
const driverFlows = new AsyncLocalStorage<{ readonly unit: OpenUnit | undefined }>();

/** Runs the driver's own network work: the guard against outside calls lets it pass. */
export function driverIO<T>(work: () => T): T {
  return driverFlows.run({ unit: units.getStore() }, work);
}

/** Whether this flow is the driver's own network work. */
export function isDriverIO(): boolean {
  const flow = driverFlows.getStore();
  return flow !== undefined && flow.unit === units.getStore();
}
