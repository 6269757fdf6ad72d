// The SELECT of one row by its key, with the lock and the guarded values that were asked for.
import type { PgTable } from "drizzle-orm/pg-core";
import { identifier, InvalidInputError, type Statement } from "../postgres/index.ts";
import { formatPath, type JsonPath } from "./json-value.ts";
import type { LockMode, LockWait } from "./locking.ts";
import type { Guard } from "./row-changes.ts";
import { rowFormat, type RowModel } from "./row-model.ts";

type ColumnName<T extends PgTable> = keyof T["_"]["columns"] & string;

/** A column, or a path into its JSON document: `"state"`, `"state.owner.id"`, or `["state", "a key with.dots"]`. */
export type GuardPath<T extends PgTable> =
  | ColumnName<T>
  | `${ColumnName<T>}.${string}`
  | readonly [ColumnName<T>, ...(string | number)[]];

export interface RowLockOptions {
  /** Locks the row until the unit ends. Default: no lock. */
  readonly lock?: LockMode;
  /** `"block"` (default) waits up to the unit's `limits.lockTimeoutMs`; `"nowait"` fails at once; `"skip"` finds no row then. */
  readonly wait?: LockWait;
}

export interface LoadOptions<T extends PgTable> extends RowLockOptions {
  /** A change of the row is refused with a StaleRowError when one of these was changed by someone else meanwhile. */
  readonly guard?: readonly GuardPath<T>[];
  /** Finds rows that are soft-deleted too. Default: false, or true for `tx.withDeleted()`. */
  readonly withDeleted?: boolean;
}

const LOCKS: Readonly<Record<LockMode, string>> = {
  update: "FOR UPDATE",
  "no key update": "FOR NO KEY UPDATE",
  share: "FOR SHARE",
  "key share": "FOR KEY SHARE",
};
const WAITS: Readonly<Record<LockWait, string>> = { block: "", nowait: " NOWAIT", skip: " SKIP LOCKED" };

export function selectStatement(
  model: RowModel,
  keys: readonly string[],
  guards: readonly Guard[],
  { lock, wait = "block" }: RowLockOptions,
  withDeleted: boolean,
): Statement {
  const values: unknown[] = [...keys];
  const quoted = (property: { column: { name: string } }): string => identifier(model.name, property.column.name);
  const guarded = guards.map(({ column, path }) => {
    if (path.length === 0) return `, ${quoted(column)}::text`;
    values.push(path.map(String));
    return `, (${quoted(column)}::jsonb #> $${values.length}::text[])::text`;
  });
  const conditions = model.key.map((column, index) => `${quoted(column)} = $${index + 1}`);
  if (!withDeleted && model.softDelete !== undefined) conditions.push(`${quoted(model.softDelete)} IS NULL`);
  const text = `SELECT ${model.selectJsonAsText}${guarded.join("")} FROM ${model.text} WHERE ${conditions.join(" AND ")}`;
  return { text: `${text}${lockClause(lock, wait)}`, values, ...rowFormat };
}

/** Keeps others from changing the row. */
export function isWriteLock(lock: LockMode | undefined): boolean {
  return lock === "update" || lock === "no key update";
}

function lockClause(lock: LockMode | undefined, wait: LockWait): string {
  if (!Object.hasOwn(WAITS, wait))
    throw new InvalidInputError(`there is no wait ${JSON.stringify(wait)}`, {
      hint: `known are ${Object.keys(WAITS).join(", ")}`,
    });
  if (lock === undefined) {
    if (wait !== "block") throw new InvalidInputError("wait says how to wait for a lock, and none is asked for");
    return "";
  }
  if (!Object.hasOwn(LOCKS, lock))
    throw new InvalidInputError(`there is no lock ${JSON.stringify(lock)}`, {
      hint: `known are ${Object.keys(LOCKS).join(", ")}`,
    });
  return ` ${LOCKS[lock]}${WAITS[wait]}`;
}

export function parsedGuards<T extends PgTable>(model: RowModel, paths: readonly GuardPath<T>[]): Guard[] {
  return paths.map((path) => {
    const [property, ...rest] = (typeof path === "string" ? path.split(".") : path) as [string, ...JsonPath];
    const column = model.columnOf.get(property);
    if (column === undefined)
      throw new InvalidInputError(
        `a guard begins with a column of ${model.name}, and ${JSON.stringify(property)} is none`,
        {
          hint: `its columns are ${[...model.columnOf.keys()].join(", ")}`,
        },
      );
    if (rest.length > 0 && !column.isJson)
      throw new InvalidInputError(`the guard ${formatPath([property, ...rest])} goes into a column that holds no JSON`);
    return { column, path: rest };
  });
}
