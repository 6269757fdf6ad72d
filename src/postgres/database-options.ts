// What openDatabase() may be told, its defaults, and the check of it.
import type { Backend, DatabaseKind } from "./database.ts";
import { InvalidInputError } from "./errors.ts";

/** Limits of the pool: whole numbers; an unknown name is refused. */
export interface PoolOptions {
  /** Most connections open at once. Default 10; always 1 for `pglite:`. */
  readonly size?: number;
  /** Most callers that may wait for a connection. Default 1000. */
  readonly queueLimit?: number;
  /** Longest wait for a connection, connecting included, in milliseconds. Default 10_000. */
  readonly acquireTimeoutMs?: number;
  /** A free connection is closed after this long, in milliseconds. Default 30_000. */
  readonly idleTimeoutMs?: number;
  /** A connection is closed after this long even when it is busy again and again, in milliseconds. Default 1_800_000. */
  readonly maxLifetimeMs?: number;
  /** A connection that was free for longer than this is tried before it is handed out. Default 30_000. */
  readonly prePingAfterMs?: number;
}

/** A second open of the same URL must have the same `pool`, `applicationName`, `preparedStatements` and `backend`. */
export interface DatabaseOptions {
  /**
   * `postgres://user:password@host:port/name?sslmode=…`, `pglite:` (memory) or `pglite:./folder`. Several hosts,
   * `postgres://user@a:5432,b:5432/name`, mean the one that is the primary, now and after each failover;
   * `target_session_attrs` asks for another kind (`any`, `read-write`, `primary`, `read-only`, `standby`, `prefer-standby`).
   */
  readonly url: string;
  readonly pool?: PoolOptions;
  /** `statement_timeout` of every statement that names no other limit, in milliseconds; 0 = none. Default 30_000. */
  readonly statementTimeoutMs?: number;
  /** Shown in pg_stat_activity. Default `pgsteward`. */
  readonly applicationName?: string;
  /** Called for each connection when it is made, e.g. to fetch a short-lived password. */
  readonly password?: string | (() => string | Promise<string>);
  /** Named prepared statements: `true`, `false`, or `"auto"` (default): off when a pooler stands between. */
  readonly preparedStatements?: boolean | "auto";
  /** Fields of `database.backend` that are known better than they can be found out. */
  readonly backend?: Partial<Backend>;
  /** How long `close()` waits for connections that are still out, in milliseconds. Default 10_000. */
  readonly drainTimeoutMs?: number;
  /** Told when an idle connection died; the pool replaces it by itself. */
  readonly onConnectionError?: (error: Error) => void;
}

const DEFAULT_POOL: Required<PoolOptions> = {
  size: 10,
  queueLimit: 1_000,
  acquireTimeoutMs: 10_000,
  idleTimeoutMs: 30_000,
  maxLifetimeMs: 1_800_000,
  prePingAfterMs: 30_000,
};

/** Options as they are meant: one that is given as undefined is not given. */
export function givenOptions<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}

/** @throws InvalidInputError for a name that no option has, and a number out of range */
export function checkedPool(options: PoolOptions = {}, kind: DatabaseKind): Required<PoolOptions> {
  const pool = { ...DEFAULT_POOL, ...givenOptions(options), ...(kind === "pglite" ? { size: 1 } : {}) };
  for (const [name, value] of Object.entries(pool)) {
    if (!Object.hasOwn(DEFAULT_POOL, name)) {
      throw new InvalidInputError(`there is no option pool.${name}`, {
        hint: `known are ${Object.keys(DEFAULT_POOL).join(", ")}`,
      });
    }
    const minimum =
      name === "queueLimit" || name === "prePingAfterMs" || name === "idleTimeoutMs" || name === "maxLifetimeMs"
        ? 0
        : 1;
    if (!Number.isSafeInteger(value) || value < minimum || value > 2 ** 31 - 1) {
      throw new InvalidInputError(
        `pool.${name} must be a whole number from ${minimum} to ${2 ** 31 - 1}, got ${String(value)}`,
      );
    }
  }
  return pool;
}

/** @throws InvalidInputError */
export function checkMilliseconds(name: string, value: number | undefined): void {
  if (value !== undefined && (!Number.isSafeInteger(value) || value < 0 || value > 2 ** 31 - 1)) {
    throw new InvalidInputError(
      `${name} must be a whole number of milliseconds from 0 to ${2 ** 31 - 1}, got ${String(value)}`,
    );
  }
}
