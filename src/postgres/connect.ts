// openDatabase(), and the handle that it gives: statements and connections, inside the open unit of work where there is one.
import { callSite, type CallSite } from "./call-site.ts";
import { sendCancelRequest } from "./cancel-request.ts";
import { LeasedConnection, type ConnectionEnvironment } from "./connection.ts";
import type {
  AcquireOptions,
  Backend,
  Connection,
  Database,
  DatabaseKind,
  Health,
  Lease,
  PoolFigures,
  QueryOptions,
  QueryResult,
  Row,
  ServerFacts,
  Statement,
} from "./database.ts";
import { checkedPool, checkMilliseconds, type DatabaseOptions, type PoolOptions } from "./database-options.ts";
import type { Engine, FlowNote, LeasedClient } from "./engine.ts";
import {
  CommitOutcomeUnknownError,
  ConnectionLostError,
  DatabaseClosedError,
  InvalidInputError,
  NestedCheckoutError,
} from "./errors.ts";
import type { ListenOptions, Notification, Subscription } from "./listener.ts";
import { currentUnit, driverIO } from "./open-unit.ts";
import { toStewardError } from "./server-errors.ts";
import { backendOf, type ServerTraits } from "./server-traits.ts";
import { leaveEngine, shareEngine, type SharedEngine } from "./shared-engine.ts";
import { parseDatabaseUrl } from "./url.ts";

/**
 * Opens a database, or shares the one that is open in this process under the same URL. Every handle is closed on its own;
 * the last one ends the pool. `pglite:` without a folder is a new memory database each time.
 *
 * A server is not contacted until the first statement: ask `health()` to know.
 *
 * @throws InvalidInputError for a URL or option that cannot be used
 * @throws DatabaseAlreadyOpenError when the URL is open with other options; the message names the place
 * @throws FolderInUseError, FolderBrokenError for an embedded database's folder
 */
export async function openDatabase(target: string | DatabaseOptions): Promise<Database> {
  const openedAt = callSite();
  const options: DatabaseOptions = typeof target === "string" ? { url: target } : target;
  const address = parseDatabaseUrl(options.url);
  const pool = checkedPool(options.pool, address.kind);
  checkMilliseconds("statementTimeoutMs", options.statementTimeoutMs);
  checkMilliseconds("drainTimeoutMs", options.drainTimeoutMs);
  const shared = await shareEngine(address, options, pool, openedAt);
  return new DatabaseHandle(shared, address.displayUrl, options, address.key);
}

class DatabaseHandle implements Database {
  readonly url: string;
  readonly kind: DatabaseKind;
  readonly #shared: SharedEngine;
  readonly #options: DatabaseOptions;
  readonly #key: string | undefined;
  readonly #environment: ConnectionEnvironment;
  #backend: { readonly traits: ServerTraits | undefined; readonly value: Backend } | undefined;
  #closing: Promise<void> | undefined;
  readonly #subscriptions = new Set<Subscription>();

  constructor(shared: SharedEngine, url: string, options: DatabaseOptions, key: string | undefined) {
    this.#shared = shared;
    this.url = url;
    this.kind = shared.engine.kind;
    this.#options = options;
    this.#key = key;
    this.#environment = {
      database: this,
      canCancel: this.kind === "server",
      defaultTimeoutMs: options.statementTimeoutMs ?? 30_000,
      sendCancelRequest: (running) => driverIO(() => sendCancelRequest(running)),
      doubtServer: () => shared.server.doubt(),
    };
    engineOfHandle.set(this, shared.engine);
  }

  get backend(): Backend {
    const traits = this.#shared.server.lastTraits;
    if (this.#backend === undefined || this.#backend.traits !== traits)
      this.#backend = { traits, value: backendOf(this.kind, traits, this.#options) };
    return this.#backend.value;
  }

  get preparesStatements(): boolean {
    return this.backend.namedStatements;
  }

  async query<R extends Row = Row>(
    text: string,
    values: readonly unknown[] = [],
    options: QueryOptions = {},
  ): Promise<QueryResult<R>> {
    const [result] = await this.batch([{ text, values }], options);
    return result as QueryResult<R>;
  }

  async batch(statements: readonly Statement[], options: QueryOptions = {}): Promise<QueryResult[]> {
    const unit = this.#unit();
    if (unit !== undefined) return unit.runStatements(statements, options);
    await using connection = await this.#lease({ signal: options.signal }, callSite());
    try {
      return await connection.batch(statements, options);
    } catch (error) {
      if (error instanceof ConnectionLostError && connection.wasSyncSent) {
        throw new CommitOutcomeUnknownError(
          "the connection was lost before the server answered: the statements may or may not be committed",
          {
            cause: error,
            hint: "read what they would have changed before you run them again",
          },
        );
      }
      throw error;
    }
  }

  async exec(script: string, options: QueryOptions = {}): Promise<void> {
    const unit = this.#unit();
    if (unit !== undefined) return unit.runScript(script, options);
    await using connection = await this.#lease({ signal: options.signal }, callSite());
    await connection.exec(script, options);
  }

  async connect(options: AcquireOptions = {}): Promise<Connection> {
    const takenAt = callSite();
    const unit = this.#unit();
    if (unit !== undefined && options.besideUnit !== true) {
      throw new NestedCheckoutError(
        `a second connection was asked for at ${String(takenAt)} inside the unit of work opened at ${unit.openedAt}`,
        {
          hint: "run the statements through the unit's tx, or take the connection before the unit; connect({ besideUnit: true }) on a server",
        },
      );
    }
    this.#checkOpen();
    this.#checkNotNested(takenAt);
    return this.#lease(options, takenAt, this.#shared.engine.noteFlow(takenAt));
  }

  /** For units of work: a connection whose nesting the caller watches itself. */
  leaseForUnit(options: AcquireOptions, takenAt: CallSite): LeasedConnection | Promise<LeasedConnection> {
    return this.#lease(options, takenAt);
  }

  /** For shadows: another database of the same server, with the same login. */
  openNeighbour(databaseName: string, pool: PoolOptions): Promise<Database> {
    const url = this.#options.url.replace(
      /^(postgres(?:ql)?:\/\/[^/?#]*)(?:\/[^?#]*)?/,
      (_, server: string) => `${server}/${encodeURIComponent(databaseName)}`,
    );
    return openDatabase({ ...this.#options, url, pool });
  }

  async health(options: { readonly timeoutMs?: number } = {}): Promise<Health> {
    const timeoutMs = options.timeoutMs ?? 5_000;
    try {
      this.#checkNotNested(callSite());
      await using connection = await this.#lease({ timeoutMs }, callSite());
      const started = performance.now();
      await connection.query("SELECT 1", [], { timeoutMs });
      const latencyMs = performance.now() - started;
      const server = await this.#shared.server.readFacts(connection);
      return { ok: true, latencyMs, pool: this.poolFigures(), server, error: undefined };
    } catch (error) {
      const { code, message, hint } = toStewardError(error);
      return {
        ok: false,
        latencyMs: undefined,
        pool: this.poolFigures(),
        server: undefined,
        error: { code, message, hint },
      };
    }
  }

  async serverFacts(): Promise<ServerFacts> {
    const known = this.#shared.server.facts;
    if (known !== undefined) return known;
    this.#checkNotNested(callSite());
    await using connection = await this.#lease({ besideUnit: true }, callSite());
    return await this.#shared.server.readFacts(connection);
  }

  poolFigures(): PoolFigures {
    return this.#shared.engine.figures();
  }

  leases(heldLongerThanMs = 0): readonly Lease[] {
    return this.#shared.engine.leases(heldLongerThanMs);
  }

  async listen(
    channel: string,
    onNotification: (notification: Notification) => void,
    options: ListenOptions = {},
  ): Promise<Subscription> {
    const takenAt = callSite();
    this.#checkOpen();
    const unit = this.#unit();
    if (unit !== undefined)
      throw new NestedCheckoutError(
        `listen() was called at ${String(takenAt)} inside the unit of work opened at ${unit.openedAt}`,
        {
          hint: "a unit ends soon, and a channel is listened to for long: call it before or after the unit",
        },
      );
    if (!this.backend.listen)
      throw new InvalidInputError("LISTEN hears nothing here: a pooler stands between, or the server is a replica", {
        hint: "open the primary's own address for it",
      });
    const subscription = await this.#shared.listener.listen(channel, onNotification, options);
    this.#subscriptions.add(subscription);
    const close = (): Promise<void> => {
      this.#subscriptions.delete(subscription);
      return subscription.close();
    };
    return { channel, close, [Symbol.asyncDispose]: close };
  }

  close(): Promise<void> {
    this.#closing ??= this.#leave();
    return this.#closing;
  }

  async #leave(): Promise<void> {
    for (const subscription of this.#subscriptions) await subscription.close();
    await leaveEngine(this.#shared, this.#key, this.#options.drainTimeoutMs ?? 10_000);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #unit(): ReturnType<typeof currentUnit> {
    const unit = currentUnit();
    return unit !== undefined && isSameEngine(unit.database, this) ? unit : undefined;
  }

  /** The embedded database has one connection, which an open unit of this flow holds: waiting for it would never end. */
  #checkNotNested(takenAt: CallSite): void {
    const unit = this.kind === "pglite" ? this.#unit() : undefined;
    if (unit === undefined) return;
    throw new NestedCheckoutError(
      `a second connection was asked for at ${String(takenAt)} inside the unit of work opened at ${unit.openedAt}`,
      {
        hint: "the embedded database has one connection: do this before or after the unit of work",
      },
    );
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) {
      throw new DatabaseClosedError("this database handle was closed", { hint: "open it again with openDatabase()" });
    }
  }

  /** At once when a connection is at hand: a promise, and the wait for it, would cost more than the taking. */
  #lease(options: AcquireOptions, takenAt: CallSite, note?: FlowNote): LeasedConnection | Promise<LeasedConnection> {
    this.#checkOpen();
    const { engine, server } = this.#shared;
    const taken = engine.takeRecent(options, takenAt, note);
    const { traits } = server;
    if (taken !== undefined && traits !== undefined) return this.#connection(taken, traits.version);
    return this.#leaseFromPool(taken ?? driverIO(() => engine.acquire(options, takenAt, note)));
  }

  async #leaseFromPool(taken: LeasedClient | Promise<LeasedClient>): Promise<LeasedConnection> {
    const leased = await taken;
    const connection = this.#connection(leased, 0);
    const traits = this.#shared.server.traits ?? (await this.#detect(connection));
    connection.serverVersion = traits.version;
    return connection;
  }

  #connection({ pooled, giveBack }: LeasedClient, serverVersion: number): LeasedConnection {
    return new LeasedConnection(pooled, serverVersion, giveBack, this.#environment);
  }

  async #detect(connection: LeasedConnection): Promise<ServerTraits> {
    try {
      return await this.#shared.server.readTraits(connection, this.kind);
    } catch (error) {
      connection.release(error instanceof Error ? error : undefined);
      throw error;
    }
  }
}

const engineOfHandle = new WeakMap<Database, Engine>();

/** Whether two handles share one engine. */
export function isSameEngine(a: Database, b: Database): boolean {
  const engine = engineOfHandle.get(a);
  return engine !== undefined && engine === engineOfHandle.get(b);
}

/** A connection for a unit of work; its nesting is watched by the unit, not by the pool. */
export function leaseForUnit(
  database: Database,
  options: AcquireOptions,
  takenAt: CallSite,
): LeasedConnection | Promise<LeasedConnection> {
  if (!(database instanceof DatabaseHandle))
    throw new InvalidInputError("this database was not opened by openDatabase()");
  return database.leaseForUnit(options, takenAt);
}

/** Another database of the same server, with the login and the options of `database`. */
export function openNeighbour(database: Database, databaseName: string, pool: PoolOptions): Promise<Database> {
  if (!(database instanceof DatabaseHandle))
    throw new InvalidInputError("this database was not opened by openDatabase()");
  return database.openNeighbour(databaseName, pool);
}
