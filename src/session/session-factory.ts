// createSessionFactory(): what business code gets instead of a connection. Three ways to run a unit of work.
import { QueryPromise } from "drizzle-orm/query-promise";
import {
  callSite,
  createGuardState,
  currentUnit,
  InvalidInputError,
  isSameEngine,
  type CallSite,
  type Database,
  type GuardMode,
  type QueryResult,
} from "../postgres/index.ts";
import { checkContext, DEFAULT_LIMITS, type SessionContext, type SessionLimits } from "./context.ts";
import { checkCursorKey, type CursorKey } from "./cursor-token.ts";
import { installGuard } from "./guard.ts";
import { PlannedQuery } from "./planned-query.ts";
import { parseToken, printToken, Replicas } from "./replicas.ts";
import { DEFAULT_RETRY, retryPolicy, withRetry, type RetryOptions, type RetryPolicy } from "./retry.ts";
import { ContextSigner, type SignedContextFactoryOptions } from "./signed-context.ts";
import { schemaConfig, UnitDatabase, type Schema } from "./unit-database.ts";
import { UnitOfWork } from "./unit-of-work.ts";
import { preparedQuery, type PlaceholderValues } from "./unit-query.ts";
import { sendAtOnce } from "./single-flush.ts";
import type { IsolationLevel, UnitSettings, UnitWarning } from "./unit-settings.ts";
import type { UnitObserver } from "./unit-observer.ts";

export interface SessionFactoryOptions<TSchema extends Schema = Record<string, never>> {
  /** Drizzle tables and relations, for `tx.query.…`. */
  readonly schema?: TSchema;
  /** Database role of every unit (`SET LOCAL ROLE`): one that owns nothing and cannot bypass row-level security. */
  readonly role?: string;
  /** What happens when a unit's function calls the outside world while the unit is open. Default `"throw"`. */
  readonly guard?: GuardMode;
  /** Hosts that may be called all the same, e.g. a trace collector. */
  readonly allowHosts?: readonly (string | RegExp)[];
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
  /** Told about every flush and every end of a unit, without values. */
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

export interface UnitOptions {
  /** Shown in warnings and records, e.g. `"claim task"`. */
  readonly name?: string;
  readonly isolation?: IsolationLevel;
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
   * the largest part of what a short unit costs this process: prepared it costs about half.
   *
   * @example
   * const todoById = sessions.prepare((tx) => tx.select().from(todos).where(eq(todos.id, sql.placeholder("id"))));
   * const [todo] = await todoById({ tenantId }, { id });
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

/**
 * @example
 * const sessions = createSessionFactory(db, { role: "app", schema });
 * const rows = await sessions.run({ tenantId }, (tx) => tx.select().from(agents).where(eq(agents.id, id)));
 */
export function createSessionFactory<TSchema extends Schema = Record<string, never>>(
  database: Database,
  options: SessionFactoryOptions<TSchema> = {},
): SessionFactory<TSchema> {
  return new Factory(database, options);
}

interface UnitKind {
  readonly isReadOnly: boolean;
  readonly isDeferrable: boolean;
}
const WRITE: UnitKind = { isReadOnly: false, isDeferrable: false };

class Factory<TSchema extends Schema> implements SessionFactory<TSchema> {
  readonly database: Database;
  readonly #options: SessionFactoryOptions<TSchema>;
  readonly #schema: ReturnType<typeof schemaConfig>;
  readonly #limits: SessionLimits;
  readonly #cursorKey: Buffer;
  readonly #retry: RetryPolicy;
  readonly #replicas: Replicas | undefined;
  readonly #signer: ContextSigner | undefined;

  constructor(database: Database, options: SessionFactoryOptions<TSchema>) {
    this.database = database;
    this.#options = options;
    this.#schema = schemaConfig(options.schema);
    this.#limits = checkedLimits(DEFAULT_LIMITS, options.limits);
    this.#cursorKey = checkCursorKey(options.cursorKey);
    this.#retry = retryPolicy(DEFAULT_RETRY, options.retry);
    this.#replicas = replicasOf(database, options);
    if (options.signedContext !== undefined) {
      if (database.backend.tenantSetting === "set local") {
        throw new InvalidInputError("signedContext is not for a distributed database", {
          hint: "the token lives in a setting that such a database does not pass on to its other nodes",
        });
      }
      this.#signer = new ContextSigner(options.signedContext);
    }
    createGuardState({ mode: options.guard, allowHosts: options.allowHosts }); // refuses wrong options here, not at the first unit
    if (options.guard !== "off") installGuard();
  }

  async run<const Q extends Declared | readonly Declared[]>(
    context: SessionContext,
    declare: (tx: UnitDatabase<TSchema>) => Q,
    options: UnitOptions = {},
  ): Promise<DeclaredResult<Q>> {
    const joined = this.#openUnit(context);
    if (joined !== undefined) return settleDeclared(declare(new UnitDatabase<TSchema>(joined, this.#schema)));
    const place = callSite();
    return this.#repeat(options, place, (usesNames) => {
      const unit = this.#unit(this.database, context, options, WRITE, "declared", place, usesNames);
      return this.#runDeclared(unit, declare(new UnitDatabase<TSchema>(unit, this.#schema)));
    });
  }

  prepare<const Q extends Declared | readonly Declared[]>(
    declare: (tx: UnitDatabase<TSchema>) => Q,
    { readOnly = false, ...prepared }: UnitOptions & { readonly readOnly?: boolean } = {},
  ): PreparedUnit<Q> {
    const preparedAt = callSite();
    // Never run: it carries what building needs.
    const builder = this.#unit(this.database, {}, prepared, WRITE, "declared", preparedAt, true);
    const declared = declare(new UnitDatabase<TSchema>(builder, this.#schema));
    const queries = declaredQueries(declared).map((query) => preparedQuery(query));
    const kind: UnitKind = { isReadOnly: readOnly, isDeferrable: false };
    return async (context, values = {}, more) => {
      const options = more === undefined ? prepared : { ...prepared, ...more };
      const joined = this.#openUnit(context);
      const statements = queries.map((query) => query.statementWith(values));
      if (queries.length === 0) return [] as unknown as DeclaredResult<Q>;
      let results: readonly QueryResult[];
      if (joined !== undefined) {
        results = await Promise.all(statements.map((statement) => joined.query(statement)));
      } else {
        // Observers want to know who called; without one the place of the query says enough, and costs nothing.
        const place = (this.#options.observers ?? []).length === 0 ? preparedAt : callSite();
        results = await this.#repeat(options, place, (usesNames) =>
          sendAtOnce(this.#settings(this.database, context, options, kind, false, place, usesNames), statements),
        );
      }
      const decoded = queries.map((query, index) => query.decoded(results[index] as QueryResult));
      return (Array.isArray(declared) ? decoded : decoded[0]) as DeclaredResult<Q>;
    };
  }

  async begin<T>(
    context: SessionContext,
    work: (tx: UnitDatabase<TSchema>) => Promise<T> | T,
    options: UnitOptions = {},
  ): Promise<T> {
    const joined = this.#openUnit(context);
    if (joined !== undefined) return new UnitDatabase<TSchema>(joined, this.#schema).begin(work);
    const place = callSite();
    return this.#repeat(options, place, (usesNames) =>
      this.#runInteractive(this.#unit(this.database, context, options, WRITE, "interactive", place, usesNames), work),
    );
  }

  async read<const Q extends Declared | readonly Declared[]>(
    context: SessionContext,
    work: (tx: UnitDatabase<TSchema>) => Q,
    options: ReadOptions = {},
  ): Promise<DeclaredResult<Q>> {
    const joined = this.#openUnit(context);
    if (joined !== undefined) return settleDeclared(work(new UnitDatabase<TSchema>(joined, this.#schema)));
    const after = options.after === undefined ? undefined : parseToken(options.after);
    const place = callSite();
    // A replica cannot do SERIALIZABLE (0A000).
    const replicas = options.from === "primary" || options.isolation === "serializable" ? undefined : this.#replicas;
    return this.#repeat(options, place, async (usesNames) => {
      if (replicas === undefined) return this.#runRead(this.database, context, work, options, place, usesNames);
      const chosen = await replicas.choose(context, after, place, options.signal);
      try {
        return await this.#runRead(chosen, context, work, options, place, usesNames);
      } catch (error) {
        if (options.signal?.aborted === true || !replicas.isReplicaFault(chosen, error)) throw error;
        return this.#runRead(this.database, context, work, options, place, usesNames);
      }
    });
  }

  consistencyToken(context: SessionContext): string | undefined {
    checkContext(context, this.#options.tenantIdType ?? "uuid");
    const position = this.#replicas?.lastWrite(context);
    return position === undefined ? undefined : printToken(position);
  }

  #repeat<T>(options: UnitOptions, openedAt: CallSite, attempt: (usesNames: boolean) => Promise<T>): Promise<T> {
    const { name, signal, repeatable } = options;
    return withRetry(
      retryPolicy(this.#retry, options.retry),
      { name, openedAt, signal, isRepeatable: repeatable === true },
      attempt,
    );
  }

  async #runRead<const Q extends Declared | readonly Declared[]>(
    database: Database,
    context: SessionContext,
    work: (tx: UnitDatabase<TSchema>) => Q,
    options: ReadOptions,
    place: CallSite,
    usesNames: boolean,
  ): Promise<DeclaredResult<Q>> {
    const kind: UnitKind = { isReadOnly: true, isDeferrable: options.deferrable ?? false };
    const unit = this.#unit(database, context, options, kind, "undecided", place, usesNames);
    const tx = new UnitDatabase<TSchema>(unit, this.#schema);
    // Which of the two it is shows when the function has returned: a native promise means that it awaits inside.
    const returned = unit.enter(() => work(tx));
    if (returned instanceof Promise) return (await this.#runInteractive(unit, () => returned)) as DeclaredResult<Q>;
    return this.#runDeclared(unit, returned);
  }

  async #runDeclared<Q extends Declared | readonly Declared[]>(
    unit: UnitOfWork,
    declared: Q,
  ): Promise<DeclaredResult<Q>> {
    try {
      const queries = declaredQueries(declared);
      if (queries.length === 0) return [] as unknown as DeclaredResult<Q>;
      unit.declare(queries.reduce((count, query) => count + statementCount(query), 0));
      const results = await Promise.race([unit.enter(() => Promise.all(queries)), unit.aborted]);
      return (Array.isArray(declared) ? results : results[0]) as DeclaredResult<Q>;
    } finally {
      await unit.rollback();
    }
  }

  async #runInteractive<T>(unit: UnitOfWork, work: (tx: UnitDatabase<TSchema>) => Promise<T> | T): Promise<T> {
    const tx = new UnitDatabase<TSchema>(unit, this.#schema);
    try {
      const value = await Promise.race([unit.enter(async () => work(tx)), unit.aborted]);
      await unit.enter(() => unit.commit());
      return value;
    } catch (error) {
      await unit.rollback();
      const violation = unit.guard?.violation;
      throw violation !== undefined && isCausedBy(error, violation) ? violation : error;
    }
  }

  /** The unit of this flow, when it is one of ours on the same database. */
  #openUnit(context: SessionContext): UnitOfWork | undefined {
    checkContext(context, this.#options.tenantIdType ?? "uuid");
    const unit = currentUnit();
    if (!(unit instanceof UnitOfWork)) return undefined;
    const ours = [this.database, ...(this.#replicas?.databases ?? [])];
    if (!ours.some((database) => isSameEngine(unit.database, database))) return undefined;
    const outer = unit.settings.context;
    for (const key of ["tenantId", "actorId", "role"] as const) {
      if (context[key] !== undefined && context[key] !== outer[key]) {
        throw new InvalidInputError(
          `a unit of work has one context: its ${key} cannot change inside the unit opened at ${unit.openedAt}`,
          {
            hint: "end the outer unit first, or open the inner one with the same context",
          },
        );
      }
    }
    return unit;
  }

  #unit(
    database: Database,
    context: SessionContext,
    options: UnitOptions,
    kind: UnitKind,
    mode: "declared" | "interactive" | "undecided",
    openedAt: CallSite,
    usesNames: boolean,
  ): UnitOfWork {
    const isGuarded = mode !== "declared";
    return new UnitOfWork(this.#settings(database, context, options, kind, isGuarded, openedAt, usesNames), mode);
  }

  #settings(
    database: Database,
    context: SessionContext,
    options: UnitOptions,
    kind: UnitKind,
    isGuarded: boolean,
    openedAt: CallSite,
    usesNames: boolean,
  ): UnitSettings {
    const replicas = this.#replicas;
    const { guard, allowHosts, role, onWarning, observers, commitCheck } = this.#options;
    return {
      database,
      context,
      role: context.role ?? role,
      limits: options.limits === undefined ? this.#limits : checkedLimits(this.#limits, options.limits),
      isolation: options.isolation,
      ...kind,
      name: options.name,
      signal: options.signal,
      guard: guard === "off" || !isGuarded ? undefined : createGuardState({ mode: guard, allowHosts }),
      openedAt,
      onWarning: onWarning ?? warnProcess,
      cursorKey: this.#cursorKey,
      observers: observers ?? [],
      signer: this.#signer,
      usesNames,
      checksCommit: commitCheck ?? true,
      onPosition:
        replicas === undefined || kind.isReadOnly ? undefined : (position) => replicas.noteWrite(context, position),
    };
  }
}

function replicasOf(
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

function statementCount(query: Declared): number {
  return query instanceof PlannedQuery ? query.statementCount : 1;
}

function declaredQueries(declared: Declared | readonly Declared[]): readonly Declared[] {
  const queries = Array.isArray(declared) ? (declared as readonly Declared[]) : [declared as Declared];
  for (const query of queries) {
    if (query instanceof QueryPromise) continue;
    const isThenable = typeof (query as { then?: unknown } | null | undefined)?.then === "function";
    if (isThenable && !(query instanceof Promise)) continue;
    if (query instanceof Promise) query.catch(() => undefined); // its failure is that it was started at all
    throw new InvalidInputError(
      query instanceof Promise
        ? "run() takes queries that are not awaited yet, not a promise"
        : "run() takes a query or an array of queries",
      {
        hint: "return the query without await and from a function that is not async; use begin() when one depends on another's result",
      },
    );
  }
  return queries;
}

async function settleDeclared<Q extends Declared | readonly Declared[]>(declared: Q): Promise<DeclaredResult<Q>> {
  if (!Array.isArray(declared)) return (await (declared as Declared)) as DeclaredResult<Q>;
  return (await Promise.all(declared as readonly Declared[])) as DeclaredResult<Q>;
}

function isCausedBy(error: unknown, cause: Error): boolean {
  for (
    let current: unknown = error, depth = 0;
    current instanceof Error && depth < 10;
    current = current.cause, depth++
  ) {
    if (current === cause) return true;
  }
  return false;
}

function checkedLimits(base: SessionLimits, changes: Partial<SessionLimits> | undefined): SessionLimits {
  for (const [name, value] of Object.entries(changes ?? {})) {
    if (!(name in DEFAULT_LIMITS))
      throw new InvalidInputError(`there is no limit ${name}`, {
        hint: `known are ${Object.keys(DEFAULT_LIMITS).join(", ")}`,
      });
    if (value !== undefined && (!Number.isSafeInteger(value) || value < 0 || value > 2 ** 31 - 1)) {
      throw new InvalidInputError(
        `limits.${name} must be a whole number of milliseconds from 0 to ${2 ** 31 - 1}, got ${String(value)}`,
      );
    }
  }
  return { ...base, ...changes };
}

function warnProcess(warning: UnitWarning): void {
  const subject = warning.name === undefined ? "unit of work" : `unit of work "${warning.name}"`;
  process.emitWarning(`${subject} opened at ${warning.openedAt}: ${warning.kind} (${warning.afterMs} ms)`, {
    code: "PGSTEWARD_UNIT_WARNING",
  });
}
