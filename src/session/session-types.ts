// What a session factory is given and gives: its options, those of a unit, and the ways to run one.
import type { Database, GuardMode } from "../postgres/index.ts";
import type { ColumnCasing } from "./casing.ts";
import type { SessionContext, SessionLimits } from "./context.ts";
import type { CursorKey } from "./cursor-token.ts";
import type { RetryOptions } from "./retry.ts";
import type { SignedContextFactoryOptions } from "./signed-context.ts";
import type { UnitDatabase } from "./unit-database.ts";
import type { Schema } from "./unit-session.ts";
import type { UnitObserver } from "./unit-observer.ts";
import type { PlaceholderValues } from "./unit-query.ts";
import type { IsolationLevel, UnitWarning } from "./unit-settings.ts";

/** What holds for every unit of a factory. Limits and retries of a unit come on top of these. */
export interface SessionFactoryOptions<TSchema extends Schema = Record<string, never>> {
  /** Drizzle tables and relations, for `tx.query.…`. */
  readonly schema?: TSchema;
  /**
   * Names of columns of `schema` whose models give none, as `drizzle({ casing })` makes them. Default: as the property is named.
   * The tables are changed by it, for whoever uses them in this process.
   */
  readonly casing?: ColumnCasing;
  /** Database role of every unit (`SET LOCAL ROLE`): one that owns nothing and cannot bypass row-level security. */
  readonly role?: string;
  /** What happens when a unit's function calls the outside world while the unit is open. Default `"throw"`. */
  readonly guard?: GuardMode;
  /** Hosts that may be called all the same, e.g. a trace collector. */
  readonly allowHosts?: readonly (string | RegExp)[];
  /** In milliseconds; what is left out has its default. */
  readonly limits?: Partial<SessionLimits>;
  /** What `context.tenantId` must look like. Default `"uuid"`. */
  readonly tenantIdType?: "uuid" | "text";
  /**
   * Secret of at least 16 bytes that signs the cursors of pages. Default: made anew in each process, so that a cursor is
   * refused after a restart and by other processes.
   */
  readonly cursorKey?: CursorKey;
  /** Told about units that are open for long. Default: `process.emitWarning`. */
  readonly onWarning?: (warning: UnitWarning) => void;
  /**
   * Signs the tenant of every unit, for policies made with `signedTenantCondition()`: SQL inside the unit cannot choose another
   * tenant then. Needs `createSignedContextFunctions()`. See docs/signed-context.md.
   */
  readonly signedContext?: SignedContextFactoryOptions;
  /** Told about every flush, with its statements and their values, and every end of a unit. */
  readonly observers?: readonly UnitObserver[];
  /** How units that the server or the network undid are run again; `false`: never. A unit's own options come on top. */
  readonly retry?: RetryOptions | false;
  /**
   * When the answer to the COMMIT of `begin` is lost, the server is asked what became of it, so that the unit either succeeds,
   * or is run again, instead of failing with an unknown outcome. Its price: one small statement more in the flush of the
   * unit's first write. Default true.
   */
  readonly commitCheck?: boolean;
  /**
   * Streaming replicas of the database, opened by `openDatabase`. `read` goes to one that has replayed what this factory wrote
   * last for the tenant, and to the primary when there is none. The factory does not close them.
   */
  readonly replicas?: readonly Database[];
  /** How long `read` waits for a replica to catch up before it goes to the primary, in milliseconds. Default 500. */
  readonly replicaWaitMs?: number;
}

/** What one unit does otherwise than its factory says. */
export interface UnitOptions {
  /** Shown in warnings and records, e.g. `"claim task"`. */
  readonly name?: string;
  /** Default: the server's `default_transaction_isolation`, mostly read committed. */
  readonly isolation?: IsolationLevel;
  /** In milliseconds; what is left out is the factory's. */
  readonly limits?: Partial<SessionLimits>;
  /** Aborting cancels the running statement on the server and rolls the unit back. */
  readonly signal?: AbortSignal;
  /**
   * Serialization failures (40001), deadlocks (40P01), connections lost before COMMIT and stale prepared statements run the
   * whole unit again, its function included: 5 attempts with random waits, unless told otherwise. Nested units never do.
   */
  readonly retry?: RetryOptions | false;
  /** Running the unit twice does no harm: it is also run again when nobody knows whether it was committed. */
  readonly repeatable?: boolean;
}

export interface ReadOptions extends UnitOptions {
  /** A token of `consistencyToken()`, e.g. from a cookie: what it stands for is seen by this read. */
  readonly after?: string | undefined;
  /** `"primary"`: no replica is asked. Default `"any"`. */
  readonly from?: "any" | "primary";
  /** With `isolation: "serializable"`: waits for a snapshot that cannot fail. */
  readonly deferrable?: boolean;
}

/** Runs a prepared unit; its options come on top of those it was prepared with. */
export type PreparedUnit<Q> = (
  context: SessionContext,
  values?: PlaceholderValues,
  options?: UnitOptions,
) => Promise<DeclaredResult<Q>>;

/** A query that is not awaited yet: a Drizzle builder, or what `tx`'s own methods return. */
export type Declared = PromiseLike<unknown>;
export type DeclaredResult<Q> = Q extends readonly Declared[]
  ? { -readonly [K in keyof Q]: Awaited<Q[K]> }
  : Awaited<Q>;

/** Runs units of work. Inside an open unit on the same database each of these joins it, when the context is the same. */
export interface SessionFactory<TSchema extends Schema = Record<string, never>> {
  readonly database: Database;
  /**
   * Runs one query, or a list, as one atomic unit in one network flush. The function returns the queries without awaiting
   * them; the result has the same shape.
   */
  run<const Q extends Declared | readonly Declared[]>(
    context: SessionContext,
    declare: (tx: UnitDatabase<TSchema>) => Q,
    options?: UnitOptions,
  ): Promise<DeclaredResult<Q>>;
  /**
   * The queries of a `run` built once, with `sql.placeholder(name)` where each run puts its value. Building the SQL text is
   * the largest part of what a short unit costs this process: prepared it costs about half. With `readOnly` it is READ ONLY, on the
   * factory's own database: only `read` goes to replicas.
   *
   * @example
   * const todoById = sessions.prepare((tx) => tx.select().from(todos).where(eq(todos.id, sql.placeholder("id"))));
   * const [todo] = await todoById({ tenantId }, { id });
   *
   * @throws InvalidInputError for anything but Drizzle's own queries, and on a call for a placeholder without a value
   */
  prepare<const Q extends Declared | readonly Declared[]>(
    declare: (tx: UnitDatabase<TSchema>) => Q,
    options?: UnitOptions & { readonly readOnly?: boolean },
  ): PreparedUnit<Q>;
  /**
   * Opens a unit of work for code whose statements depend on each other. Commits when the function returns, rolls back when
   * it throws. Inside an open unit of the same database it becomes a nested unit (savepoint).
   */
  begin<T>(
    context: SessionContext,
    work: (tx: UnitDatabase<TSchema>) => Promise<T> | T,
    options?: UnitOptions,
  ): Promise<T>;
  /** Like `run` when the function returns queries, like `begin` when it is async; READ ONLY in both cases. */
  read<const Q extends Declared | readonly Declared[]>(
    context: SessionContext,
    work: (tx: UnitDatabase<TSchema>) => Q,
    options?: ReadOptions,
  ): Promise<DeclaredResult<Q>>;
  /**
   * How far the last write of this tenant through this factory got, as text for a cookie or a header (digits, letters and a
   * hyphen); give it to `read({ after })` in any process. `undefined` without replicas, or when nothing was written.
   */
  consistencyToken(context: SessionContext): string | undefined;
}
