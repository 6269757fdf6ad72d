// Row locks: rows are locked in the order of their keys, so that two units that lock the same rows never wait for each
// other in a circle, and what cannot be had is an error that names its holder.
import { and, asc, is, type SQL, type SQLWrapper } from "drizzle-orm";
import { PgTable, type PgColumn } from "drizzle-orm/pg-core";
import { InvalidInputError, LockNotAvailableError, type Statement } from "../postgres/index.ts";
import { findLockHolders } from "./lock-holders.ts";
import { PlannedQuery, type Plan } from "./planned-query.ts";
import { requiredKeyOf, selectionCondition, type RowOf, type RowSelection } from "./table-columns.ts";
import type { UnitDatabase } from "./unit-database.ts";
import type { UnitOfWork } from "./unit-of-work.ts";
import { preparedQuery } from "./unit-query.ts";

export type LockMode = "update" | "no key update" | "share" | "key share";
export type LockWait = "block" | "nowait" | "skip";

export interface LockOptions {
  /** Default `"update"`. `"no key update"` lets others refer to the row by foreign keys meanwhile. */
  readonly mode?: LockMode;
  /** `"block"` (default) waits up to `timeoutMs`; `"nowait"` fails at once; `"skip"` leaves locked rows out. */
  readonly wait?: LockWait;
  /** `FOR … OF`: must be the table itself, which is the only one that is read. */
  readonly of?: PgTable;
  /** `lock_timeout` of this statement only, in milliseconds; 0 waits for ever. Default: the unit's `limits.lockTimeoutMs`. */
  readonly timeoutMs?: number;
}

export interface ClaimOptions {
  readonly where?: SQL | undefined;
  /** Which rows are taken first. Default: by primary key. */
  readonly orderBy?: PgColumn | SQLWrapper | readonly (PgColumn | SQLWrapper)[];
  /** Most rows taken. Default 1. */
  readonly limit?: number;
  /** Default `"update"`. */
  readonly mode?: LockMode;
}

const MODES: ReadonlySet<string> = new Set(["update", "no key update", "share", "key share"]);
const WAITS: ReadonlySet<string> = new Set(["block", "nowait", "skip"]);

// The old value is kept in a setting of our own, because a unit may have changed lock_timeout itself.
const LIMIT_SQL =
  "SELECT pg_catalog.set_config('pgsteward.lock_timeout', pg_catalog.current_setting('lock_timeout'), true), pg_catalog.set_config('lock_timeout', $1, true)";
const RESTORE_SQL =
  "SELECT pg_catalog.set_config('lock_timeout', pg_catalog.current_setting('pgsteward.lock_timeout'), true)";

/** `tx.lock()`; described there. */
export function lockRows<T extends PgTable>(
  tx: Pick<UnitDatabase, "select">,
  unit: UnitOfWork,
  table: T,
  selection: RowSelection,
  options: LockOptions,
  scope: SQL | undefined,
): PlannedQuery<RowOf<T>[]> {
  return new PlannedQuery(unit, () => {
    checkTable(table);
    const model: PgTable = table;
    const { mode = "update", wait = "block", of, timeoutMs } = options;
    checkOption("mode", mode, MODES);
    checkOption("wait", wait, WAITS);
    if (of !== undefined && of !== model) {
      throw new InvalidInputError("of must be the table whose rows are locked", { hint: "leave it out" });
    }
    if (timeoutMs !== undefined) checkCount("timeoutMs", timeoutMs, 0, 2 ** 31 - 1);
    const condition = selectionCondition(table, selection, "tx.lock()");
    const query = tx
      .select()
      .from(model)
      .where(and(scope, condition))
      .orderBy(...requiredKeyOf(table, "tx.lock()").map((column) => asc(column)))
      .for(mode, waitClause(wait));
    return lockPlan<T>(unit, table, condition, query, timeoutMs);
  });
}

/** `tx.claim()`; described there. */
export function claimRows<T extends PgTable>(
  tx: Pick<UnitDatabase, "select">,
  unit: UnitOfWork,
  table: T,
  options: ClaimOptions,
  scope: SQL | undefined,
): PlannedQuery<RowOf<T>[]> {
  return new PlannedQuery(unit, () => {
    checkTable(table);
    const model: PgTable = table;
    const { where, orderBy, limit = 1, mode = "update" } = options;
    checkOption("mode", mode, MODES);
    checkCount("limit", limit, 0, 2 ** 31 - 1);
    const order =
      orderBy === undefined
        ? requiredKeyOf(table, "tx.claim()")
        : ((Array.isArray(orderBy) ? orderBy : [orderBy]) as (PgColumn | SQL)[]);
    const query = tx
      .select()
      .from(model)
      .where(and(scope, where))
      .orderBy(...order)
      .limit(limit)
      .for(mode, { skipLocked: true });
    return lockPlan<T>(unit, table, where, query, undefined);
  });
}

function lockPlan<T extends PgTable>(
  unit: UnitOfWork,
  table: T,
  condition: SQL | undefined,
  query: unknown,
  timeoutMs: number | undefined,
): Plan<RowOf<T>[]> {
  const prepared = preparedQuery(query);
  const statements: readonly Statement[] =
    timeoutMs === undefined
      ? [prepared.statement]
      : [{ text: LIMIT_SQL, values: [String(timeoutMs)] }, prepared.statement, { text: RESTORE_SQL }];
  return {
    statements,
    read: async (results) => {
      const result = results[timeoutMs === undefined ? 0 : 1];
      return result === undefined ? [] : (prepared.decodeRows(result) as RowOf<T>[]);
    },
    explain: async (error) => {
      if (error instanceof LockNotAvailableError && error.holders.length === 0 && condition !== undefined)
        error.nameHolders(await findLockHolders(unit, table, condition));
      return error;
    },
  };
}

function waitClause(wait: LockWait): { noWait: true } | { skipLocked: true } | Record<never, never> {
  if (wait === "nowait") return { noWait: true };
  return wait === "skip" ? { skipLocked: true } : {};
}

export function checkTable(table: unknown): asserts table is PgTable {
  if (!is(table, PgTable)) {
    throw new InvalidInputError("a table is needed that was made by Drizzle's pgTable()", {
      hint: "pass the model itself, not its name or a query",
    });
  }
}

function checkOption(name: string, value: unknown, known: ReadonlySet<string>): void {
  if (typeof value === "string" && known.has(value)) return;
  throw new InvalidInputError(`${name} cannot be ${JSON.stringify(value) ?? typeof value}`, {
    hint: `use ${[...known].map((item) => `"${item}"`).join(", ")}`,
  });
}

/** @throws InvalidInputError when `value` is not a whole number in the range */
export function checkCount(name: string, value: unknown, minimum: number, maximum: number): void {
  if (Number.isSafeInteger(value) && (value as number) >= minimum && (value as number) <= maximum) return;
  throw new InvalidInputError(`${name} must be a whole number from ${minimum} to ${maximum}, got ${String(value)}`);
}
