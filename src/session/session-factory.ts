// createSessionFactory(): what business code gets instead of a connection. It runs units of work.
import {
  CancelledError,
  callSite,
  callSiteOf,
  createGuardState,
  currentUnit,
  InvalidInputError,
  isSameEngine,
  type CallSite,
  type Database,
  type QueryResult,
} from "../postgres/index.ts";
import { nameColumns } from "./casing.ts";
import { checkContext, checkedLimits, DEFAULT_LIMITS, type SessionContext, type SessionLimits } from "./context.ts";
import { checkCursorKey } from "./cursor-token.ts";
import { declaredQueries, settleDeclared, statementCount } from "./declared.ts";
import { installGuard } from "./guard.ts";
import { parseToken, printToken, replicasOf, type Replicas } from "./replicas.ts";
import { DEFAULT_RETRY, retryPolicy, runAgain, type RetriedUnit, type RetryPolicy } from "./retry.ts";
import type {
  Declared,
  DeclaredResult,
  PreparedUnit,
  ReadOptions,
  SessionFactory,
  SessionFactoryOptions,
  UnitOptions,
} from "./session-types.ts";
import { ContextSigner } from "./signed-context.ts";
import { SingleFlush } from "./single-flush.ts";
import { StatementNames } from "./statement-names.ts";
import { UnitDatabase } from "./unit-database.ts";
import { schemaConfig, type Schema } from "./unit-session.ts";
import { UnitOfWork } from "./unit-of-work.ts";
import { plainQueries, preparedQuery, type PlainQuery } from "./unit-query.ts";
import { observationOf, type UnitObservation } from "./unit-observer.ts";
import type { UnitSettings, UnitWarning } from "./unit-settings.ts";

/**
 * What a program runs its units of work with: one factory per database, role and set of tables. Nothing is sent until the first unit.
 * With a guard it wraps the process's ways to the outside world, once, for units only.
 *
 * @throws InvalidInputError for an option that cannot be used
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
    if (options.casing !== undefined) nameColumns(options.schema ?? {}, options.casing);
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
    const place = callSiteOf(declare);
    const policy = retryPolicy(this.#retry, options.retry);
    const attempt = (usesNames: boolean): Promise<DeclaredResult<Q>> => {
      const unit = this.#unit(this.database, context, options, WRITE, "declared", place, usesNames);
      return this.#runDeclared(unit, declare(new UnitDatabase<TSchema>(unit, this.#schema)));
    };
    try {
      return await attempt(true);
    } catch (error) {
      return runAgain(error, policy, retriedUnit(options, place), attempt);
    }
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
      const plain = queries.map((query): PlainQuery => ({
        statement: query.statementWith(values),
        decoded: (result) => query.decoded(result),
      }));
      if (queries.length === 0) return [] as unknown as DeclaredResult<Q>;
      if (joined !== undefined) {
        const results = await Promise.all(plain.map(({ statement }) => joined.query(statement)));
        return decodedAs(declared, plain, results);
      }
      // Observers want to know who called; without one the place of the query says enough, and costs nothing.
      const place = (this.#options.observers ?? []).length === 0 ? preparedAt : callSite();
      const policy = retryPolicy(this.#retry, options.retry);
      const attempt = (usesNames: boolean): Promise<DeclaredResult<Q>> => {
        const settings = this.#settings(this.database, context, options, kind, false, place, usesNames);
        return sendPlain(settings, observationOf(settings), declared, plain);
      };
      try {
        return await attempt(true);
      } catch (error) {
        return runAgain(error, policy, retriedUnit(options, place), attempt);
      }
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

  async #repeat<T>(options: UnitOptions, openedAt: CallSite, attempt: (usesNames: boolean) => Promise<T>): Promise<T> {
    const policy = retryPolicy(this.#retry, options.retry);
    try {
      return await attempt(true);
    } catch (error) {
      return runAgain(error, policy, retriedUnit(options, openedAt), attempt);
    }
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

  /** Builders go the short way: their statements are known without awaiting them. */
  #runDeclared<Q extends Declared | readonly Declared[]>(unit: UnitOfWork, declared: Q): Promise<DeclaredResult<Q>> {
    const plain = unit.isUnstarted ? plainQueries(unit, Array.isArray(declared) ? declared : [declared]) : undefined;
    if (plain === undefined || plain.length === 0) return this.#runAwaited(unit, declared);
    unit.end();
    return sendPlain(unit.settings, unit.observation, declared, plain);
  }

  async #runAwaited<Q extends Declared | readonly Declared[]>(
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
      limits: checkedLimits(this.#limits, options.limits),
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

function retriedUnit({ name, signal, repeatable }: UnitOptions, openedAt: CallSite): RetriedUnit {
  return { name, openedAt, signal, isRepeatable: repeatable === true };
}

/** Runs statements that need no unit's function around them as one unit of work. @throws InvalidInputError at once */
function sendPlain<Q extends Declared | readonly Declared[]>(
  settings: UnitSettings,
  observation: UnitObservation | undefined,
  declared: Q,
  queries: readonly PlainQuery[],
): Promise<DeclaredResult<Q>> {
  if (settings.signal?.aborted === true)
    throw new CancelledError("the unit of work was cancelled", { cause: settings.signal.reason });
  const names = new StatementNames(settings.database, settings.usesNames);
  const issuedAt = observation?.issuer;
  const items = queries.map(({ statement }) => ({ wire: names.wireOf(statement), issuedAt }));
  const flush: SingleFlush = new SingleFlush(settings, observation, names, (error) => flush.interrupt(error));
  return flush.send(items, (results) => decodedAs(declared, queries, results));
}

/** What the queries promise, as they were declared: one, or a list. */
function decodedAs<Q extends Declared | readonly Declared[]>(
  declared: Q,
  queries: readonly PlainQuery[],
  results: readonly QueryResult[],
): DeclaredResult<Q> {
  const decoded = queries.map((query, index) => query.decoded(results[index] as QueryResult));
  return (Array.isArray(declared) ? decoded : decoded[0]) as DeclaredResult<Q>;
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

function warnProcess(warning: UnitWarning): void {
  const subject = warning.name === undefined ? "unit of work" : `unit of work "${warning.name}"`;
  process.emitWarning(`${subject} opened at ${warning.openedAt}: ${warning.kind} (${warning.afterMs} ms)`, {
    code: "PGSTEWARD_UNIT_WARNING",
  });
}
