// The pool behind every handle of one URL: bounded queue, bounded waits, pre-ping of long-idle connections, figures, and
// the note where each connection was taken. The pool itself is node-postgres's.
import { AsyncLocalStorage } from "node:async_hooks";
import pg from "pg";
import type { PoolClient, PoolConfig } from "pg";
import { Batch } from "./batch.ts";
import type { CallSite } from "./call-site.ts";
import type { PoolOptions } from "./database-options.ts";
import type { AcquireOptions, DatabaseKind, Lease, PoolFigures } from "./database.ts";
import {
  AcquireTimeoutError,
  CancelledError,
  ConnectionLostError,
  ConnectionRefusedError,
  DatabaseClosedError,
  NestedCheckoutError,
  QueueFullError,
} from "./errors.ts";
import type { HostChooser } from "./hosts.ts";
import { PooledClient, RecentClients } from "./pooled-clients.ts";
import { ServerClient } from "./server-client.ts";
import { toStewardError } from "./server-errors.ts";

/** Longest that a client stays out of the pool between two uses, and the share of the pool's own limit that this may be. */
const RECENT_MS = 1_000;
const RECENT_SHARE = 0.1;
/** A pre-ping that takes longer than this means a dead connection. */
const PING_LIMIT_MS = 5_000;

export interface EngineEvents {
  readonly onConnectionError: (error: Error) => void;
  /** Another server may answer, or the same one in another role. */
  readonly onDoubt: () => void;
}

export interface EngineSource {
  readonly kind: DatabaseKind;
  readonly poolConfig: PoolConfig;
  /** Chooses among the hosts of the URL, when it names several. */
  readonly hosts?: HostChooser;
  /** Ends what stands behind the pool (the PGlite instance and its folder lock). */
  close(): Promise<void>;
}

interface HeldLease {
  readonly takenAt: CallSite;
  readonly since: number;
}

export interface FlowNote {
  readonly engine: Engine;
  readonly takenAt: CallSite;
  isHeld: boolean;
}

export interface LeasedClient {
  readonly pooled: PooledClient;
  /** Call once. @param reason - why the client is of no use any more */
  readonly giveBack: (reason?: Error) => void;
}

/** Connections held by this async flow; only kept for a pool of one, where asking for a second one would wait for itself. */
const heldByFlow = new AsyncLocalStorage<FlowNote>();

export class Engine {
  readonly kind: DatabaseKind;
  readonly openedAt: CallSite;
  readonly pool: pg.Pool;
  handles = 0;
  isClosed = false;
  readonly #source: EngineSource;
  readonly #options: Required<PoolOptions>;
  readonly #leases = new Set<HeldLease>();
  readonly #clients = new WeakMap<PoolClient, PooledClient>();
  readonly #recent: RecentClients;
  /** Of the pool, logged in. */
  #connected = 0;
  /** What the server last reported of itself. */
  #reported: string | undefined;
  #acquired = 0;
  #waitTotalMs = 0;
  #waitMaxMs = 0;
  /** Callers that gave up while they were queued. The pool keeps their place until it comes to it, and then goes on at once. */
  #leftQueue = 0;

  constructor(
    source: EngineSource,
    options: Required<PoolOptions>,
    openedAt: CallSite,
    { onConnectionError, onDoubt }: EngineEvents,
  ) {
    this.kind = source.kind;
    this.openedAt = openedAt;
    this.#source = source;
    this.#options = options;
    this.#recent = new RecentClients(Math.min(RECENT_MS, (options.idleTimeoutMs || Infinity) * RECENT_SHARE));
    this.pool = new pg.Pool({
      max: options.size,
      connectionTimeoutMillis: options.acquireTimeoutMs,
      idleTimeoutMillis: options.idleTimeoutMs,
      maxLifetimeSeconds: Math.ceil(options.maxLifetimeMs / 1000),
      keepAlive: true,
      ...source.poolConfig,
      Client: source.kind === "server" ? ServerClient : pg.Client,
    });
    // A socket can also fail while nobody listens: during the pre-ping, or between release() and its end. Whoever uses the
    // client hears of it by the failure of what it runs; an unheard "error" event would end the process.
    this.pool.on("connect", (client) => {
      const pooled = new PooledClient(client);
      this.#clients.set(client, pooled);
      // The one before may have been of another server, which nobody heard end.
      if (this.#connected++ === 0) onDoubt();
      if (client instanceof ServerClient) client.hear(() => this.#compare(client, onDoubt));
      client.on("error", (error: Error) => {
        source.hosts?.doubt();
        onDoubt();
        if (!this.#recent.remove(pooled)) return;
        client.release(error);
        onConnectionError(toStewardError(error));
      });
    });
    this.pool.on("remove", () => this.#connected--);
    // Without a listener an idle connection that dies ends the process. The pool has dropped it already.
    this.pool.on("error", (error) => onConnectionError(toStewardError(error)));
  }

  #compare({ reported }: ServerClient, onDoubt: () => void): void {
    if (reported === this.#reported) return;
    this.#reported = reported;
    onDoubt();
  }

  /**
   * Marks the calling flow as one that holds a connection of a pool of one, so that asking for a second one fails at once
   * instead of waiting for itself. Only for `connect()`: units of work and single statements know their nesting. Must be
   * called before the first await, so that the caller's flow carries the note.
   */
  noteFlow(takenAt: CallSite): FlowNote | undefined {
    if (this.#options.size !== 1) return undefined;
    this.#checkNesting(takenAt);
    const note: FlowNote = { engine: this, takenAt, isHeld: false };
    heldByFlow.enterWith(note);
    return note;
  }

  /**
   * One that was in use a moment ago, if there is any.
   *
   * @throws as `acquire`
   */
  takeRecent(options: AcquireOptions, takenAt: CallSite, note?: FlowNote): LeasedClient | undefined {
    this.#checkAsking(options, takenAt, note);
    const pooled = this.#recent.take();
    if (pooled?.lastUse === undefined) return undefined;
    if (!this.#isToBeAsked(pooled.lastUse)) return this.#leased(pooled, Date.now(), takenAt, note);
    pooled.client.release(); // the pool's way asks it for a sign of life
    return undefined;
  }

  /** @throws DatabaseClosedError, CancelledError, NestedCheckoutError and QueueFullError at once, not by the promise */
  acquire(options: AcquireOptions, takenAt: CallSite, note?: FlowNote): Promise<LeasedClient> {
    this.#checkAsking(options, takenAt, note);
    // Those who wait get free connections, and new ones, in the ticks that follow: until then they stand in both counts.
    const obtainable = this.pool.idleCount + this.#options.size - this.pool.totalCount;
    if (this.#waiting - obtainable >= this.#options.queueLimit) {
      throw new QueueFullError(
        `${this.#waiting} callers wait for a connection already, the limit is ${this.#options.queueLimit}`,
        {
          hint: this.#holders("lower the load, or raise pool.queueLimit"),
        },
      );
    }
    return this.#take(options, takenAt, note);
  }

  figures(): PoolFigures {
    return {
      total: this.pool.totalCount,
      idle: this.pool.idleCount + this.#recent.count,
      waiting: this.#waiting,
      size: this.#options.size,
      queueLimit: this.#options.queueLimit,
      acquired: this.#acquired,
      waitMs: {
        total: this.#waitTotalMs,
        mean: this.#acquired === 0 ? 0 : this.#waitTotalMs / this.#acquired,
        max: this.#waitMaxMs,
      },
    };
  }

  leases(heldLongerThanMs = 0): readonly Lease[] {
    const now = Date.now();
    return [...this.#leases]
      .map(({ takenAt, since }) => ({ takenAt: String(takenAt), heldMs: now - since }))
      .filter(({ heldMs }) => heldMs >= heldLongerThanMs)
      .toSorted((a, b) => b.heldMs - a.heldMs);
  }

  /** Waits up to `drainTimeoutMs` for connections that are out, then ends the pool and what stands behind it. */
  async close(drainTimeoutMs: number): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#recent.giveBackAll();
    const ended = this.pool.end();
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, drainTimeoutMs);
    });
    await Promise.race([ended, limit]);
    clearTimeout(timer);
    await this.#source.close();
  }

  async #take(options: AcquireOptions, takenAt: CallSite, note: FlowNote | undefined): Promise<LeasedClient> {
    const askedAt = Date.now();
    for (;;) {
      const client =
        this.#source.hosts === undefined
          ? await this.#checkout(options)
          : await this.#checkoutFromHosts(this.#source.hosts, options);
      const pooled = this.#clients.get(client) ?? new PooledClient(client);
      if (pooled.lastUse === undefined || !this.#isToBeAsked(pooled.lastUse) || (await isAlive(client))) {
        pooled.outSince = Date.now();
        return this.#leased(pooled, askedAt, takenAt, note);
      }
      client.release(new Error("the connection died while it was idle"));
    }
  }

  #isToBeAsked(lastUse: number): boolean {
    return Date.now() - lastUse >= this.#options.prePingAfterMs;
  }

  #leased(pooled: PooledClient, askedAt: number, takenAt: CallSite, note: FlowNote | undefined): LeasedClient {
    const since = Date.now();
    const waitedMs = since - askedAt;
    this.#acquired++;
    this.#waitTotalMs += waitedMs;
    this.#waitMaxMs = Math.max(this.#waitMaxMs, waitedMs);
    const held: HeldLease = { takenAt, since };
    this.#leases.add(held);
    if (note !== undefined) note.isHeld = true;
    const giveBack = (reason?: Error): void => {
      this.#leases.delete(held);
      if (note !== undefined) note.isHeld = false;
      pooled.lastUse = Date.now();
      if (reason !== undefined || !this.#mayKeep() || !this.#recent.keep(pooled)) pooled.client.release(reason);
    };
    return { pooled, giveBack };
  }

  /** Those who wait are served by the pool, several hosts are chosen among for each caller, and PGlite has one session only. */
  #mayKeep(): boolean {
    return this.kind === "server" && this.#source.hosts === undefined && this.pool.waitingCount === 0 && !this.isClosed;
  }

  /** A connection to the host that is the right one now; those to another host are closed when they come up. */
  async #checkoutFromHosts(hosts: HostChooser, options: AcquireOptions): Promise<PoolClient> {
    const limitMs = options.timeoutMs ?? this.#options.acquireTimeoutMs;
    for (const deadline = Date.now() + limitMs; ;) {
      const { url, host, port } = await hosts.choose(Math.max(0, deadline - Date.now()), options.signal);
      // The pool makes each client from these options.
      (this.pool.options as PoolConfig).connectionString = url;
      try {
        const client = await this.#checkout({ ...options, timeoutMs: Math.max(1, deadline - Date.now()) });
        const to = client as unknown as { readonly host: string; readonly port: number };
        if (to.host === host && to.port === port) return client;
        client.release(new Error("another host is the right one now"));
      } catch (error) {
        hosts.doubt();
        if (!(error instanceof ConnectionRefusedError || error instanceof ConnectionLostError) || Date.now() > deadline)
          throw error;
      }
    }
  }

  get #waiting(): number {
    return this.pool.waitingCount - this.#leftQueue;
  }

  #checkout(options: AcquireOptions): Promise<PoolClient> {
    const limitMs = options.timeoutMs ?? this.#options.acquireTimeoutMs;
    return new Promise((resolve, reject) => {
      let isSettled = false;
      let isQueued = false;
      const settle = (finish: () => void): void => {
        if (isSettled) return;
        isSettled = true;
        if (isQueued) this.#leftQueue++;
        clearTimeout(timer);
        options.signal?.removeEventListener("abort", onAbort);
        finish();
      };
      const onAbort = (): void =>
        settle(() =>
          reject(new CancelledError("cancelled while waiting for a connection", { cause: options.signal?.reason })),
        );
      const onTimeout = (cause?: unknown): void =>
        settle(() =>
          reject(
            new AcquireTimeoutError(
              `no connection became free in ${limitMs} ms (pool of ${this.#options.size}, ${this.#waiting} waiting)`,
              {
                cause,
                hint: this.#holders("hold connections shorter, or raise pool.size or pool.acquireTimeoutMs"),
              },
            ),
          ),
        );
      // One that is idle for each of those who ask: it comes in the next tick, and needs no limit. After a time in which the process
      // stood still, what the server sent meanwhile is read first.
      const hasOne = this.pool.idleCount > this.pool.waitingCount;
      const timer = hasOne ? undefined : setTimeout(() => setImmediate(onTimeout), limitMs);
      options.signal?.addEventListener("abort", onAbort, { once: true });
      const queued = this.pool.waitingCount;
      // The pool reads its own limit in this very call; it must not end a wait that was asked to be longer.
      (this.pool.options as PoolConfig).connectionTimeoutMillis = Math.max(limitMs, this.#options.acquireTimeoutMs);
      this.pool.connect((error, client, release) => {
        if (isQueued && isSettled) this.#leftQueue--;
        isQueued = false;
        if (error !== undefined || client === undefined) {
          if (error?.message === "timeout exceeded when trying to connect") return onTimeout(error);
          return settle(() => reject(toStewardError(error)));
        }
        if (isSettled) return release();
        settle(() => resolve(client));
      });
      isQueued = this.pool.waitingCount > queued;
    });
  }

  #checkAsking({ signal }: AcquireOptions, takenAt: CallSite, note: FlowNote | undefined): void {
    this.#checkOpen();
    if (signal?.aborted === true)
      throw new CancelledError("cancelled before a connection was asked for", { cause: signal.reason });
    if (note === undefined) this.#checkNesting(takenAt);
  }

  #checkOpen(): void {
    if (this.isClosed)
      throw new DatabaseClosedError("the database was closed", { hint: "open it again with openDatabase()" });
  }

  #checkNesting(takenAt: CallSite): void {
    if (this.#options.size !== 1) return;
    const note = heldByFlow.getStore();
    if (note?.engine !== this || !note.isHeld) return;
    throw new NestedCheckoutError(
      `a second connection was asked for at ${String(takenAt)} while this flow holds the only one`,
      {
        hint: `this database has one connection; use the one taken at ${String(note.takenAt)}, or give it back first`,
      },
    );
  }

  #holders(advice: string): string {
    const places = this.leases()
      .slice(0, 3)
      .map(({ takenAt, heldMs }) => `${takenAt} (${heldMs} ms)`);
    return places.length === 0 ? advice : `${advice}; connections are held by ${places.join(", ")}`;
  }
}

async function isAlive(client: PoolClient): Promise<boolean> {
  const ping = new Batch([{ text: "" }]);
  client.query(ping as unknown as pg.Submittable);
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), PING_LIMIT_MS);
  });
  const isDone = await Promise.race([ping.outcome.then((outcome) => outcome.kind === "done"), limit]);
  clearTimeout(timer);
  return isDone;
}
