// Hears what other sessions NOTIFY: one connection beside the pool for all channels of an engine, made again when it breaks.
import { AsyncResource } from "node:async_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import type { ClientBase, Notification as DriverNotification, PoolConfig } from "pg";
import { ConnectionLostError, DatabaseClosedError, InvalidInputError } from "./errors.ts";
import type { HostChooser } from "./hosts.ts";
import { identifier } from "./identifier.ts";
import { driverIO } from "./open-unit.ts";
import { ServerClient } from "./server-client.ts";
import { toStewardError } from "./server-errors.ts";

/** What a session sent with NOTIFY or `pg_notify()`, once it committed. */
export interface Notification {
  readonly channel: string;
  /** The empty string when none was sent. At most 7,999 bytes. */
  readonly payload: string;
  /** Process id of the backend that sent it. */
  readonly processId: number;
}

export interface ListenOptions {
  /**
   * The connection was lost and made again: what was sent meanwhile was not heard, and never will be. Read the state anew.
   */
  readonly onReconnect?: (() => void) | undefined;
  /** Aborting ends it, as `close()` does. */
  readonly signal?: AbortSignal | undefined;
}

/** A channel that is listened to, until it is closed. */
export interface Subscription extends AsyncDisposable {
  readonly channel: string;
  /** Idempotent. */
  close(): Promise<void>;
}

interface Hearer {
  readonly onNotification: (notification: Notification) => void;
  readonly onReconnect: () => void;
}

/** Where LISTEN runs, and from where notifications come. */
export interface ListeningSession {
  /** @throws InvalidInputError where LISTEN hears nothing, DatabaseError, ConnectionRefusedError */
  run(sql: string): Promise<void>;
  close(): Promise<void>;
}

export interface ListeningEvents {
  readonly onNotification: (notification: DriverNotification) => void;
  /** It is gone. Not told of `close()`. */
  readonly onLost: (error: Error) => void;
}

export type OpenSession = (events: ListeningEvents) => Promise<ListeningSession>;

/** Waits between tries to connect again. */
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 10_000;

export class Listener {
  readonly #open: OpenSession;
  readonly #onConnectionError: (error: Error) => void;
  readonly #hearers = new Map<string, Set<Hearer>>();
  #session: ListeningSession | undefined;
  #opening: Promise<ListeningSession> | undefined;
  readonly #closed = new AbortController();

  constructor(open: OpenSession, onConnectionError: (error: Error) => void) {
    this.#open = open;
    this.#onConnectionError = onConnectionError;
  }

  /** @throws what LISTEN throws; nothing is listened to then */
  async listen(
    channel: string,
    onNotification: (notification: Notification) => void,
    { onReconnect = () => undefined, signal }: ListenOptions,
  ): Promise<Subscription> {
    const statement = `LISTEN ${identifier(channel)}`;
    // Called by the socket later on, they belong to the flow that asked.
    const hearer = {
      onNotification: AsyncResource.bind(onNotification),
      onReconnect: AsyncResource.bind(onReconnect),
    };
    const hearers = this.#hearers.get(channel) ?? new Set();
    this.#hearers.set(channel, hearers.add(hearer));
    let closing: Promise<void> | undefined;
    const close = (): Promise<void> => (closing ??= this.#remove(channel, hearer));
    try {
      // One that is opened now begins with all channels.
      if (this.#session === undefined) await this.#connected();
      else await this.#session.run(statement);
    } catch (error) {
      await close();
      throw error;
    }
    const onAbort = (): void => void close();
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted === true) await close();
    const end = (): Promise<void> => {
      signal?.removeEventListener("abort", onAbort);
      return close();
    };
    return { channel, close: end, [Symbol.asyncDispose]: end };
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.#hearers.clear();
    await this.#opening?.catch(() => undefined); // told to whoever opened it
    await this.#endSession();
  }

  async #endSession(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.close();
  }

  async #remove(channel: string, hearer: Hearer): Promise<void> {
    const hearers = this.#hearers.get(channel);
    hearers?.delete(hearer);
    if (hearers === undefined || hearers.size > 0) return;
    this.#hearers.delete(channel);
    const session = this.#session;
    if (session === undefined) return;
    if (this.#hearers.size > 0) return session.run(`UNLISTEN ${identifier(channel)}`).catch(() => undefined); // gone: unheard
    this.#session = undefined;
    await session.run("UNLISTEN *").catch(() => undefined);
    await session.close();
  }

  /** Those who ask meanwhile wait for the same one. */
  #connected(): Promise<ListeningSession> {
    this.#opening ??= this.#connect().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #connect(): Promise<ListeningSession> {
    const listened = new Set<string>();
    let session: ListeningSession | undefined;
    let lost: Error | undefined;
    const opened = await driverIO(() =>
      this.#open({
        onNotification: (notification) => this.#hear(notification),
        onLost: (error) => {
          lost = error;
          if (session !== undefined && this.#session === session) void this.#reconnect(error);
        },
      }),
    );
    try {
      // Channels may be added while the first ones are on their way.
      for (;;) {
        const channels = [...this.#hearers.keys()].filter((channel) => !listened.has(channel));
        if (channels.length === 0) break;
        await opened.run(channels.map((channel) => `LISTEN ${identifier(channel)}`).join("; "));
        for (const channel of channels) listened.add(channel);
      }
      if (lost !== undefined) throw lost;
      if (this.#closed.signal.aborted)
        throw new DatabaseClosedError("the database was closed", { hint: "open it again with openDatabase()" });
    } catch (error) {
      await opened.close();
      throw error;
    }
    session = this.#session = opened;
    return opened;
  }

  async #reconnect(error: Error): Promise<void> {
    this.#session = undefined;
    this.#onConnectionError(error);
    for (let waitMs = FIRST_WAIT_MS; this.#hearers.size > 0; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
      try {
        await sleep(waitMs * (0.5 + Math.random() / 2), undefined, { signal: this.#closed.signal });
      } catch {
        return; // closed
      }
      try {
        await this.#connected();
      } catch (failure) {
        if (this.#closed.signal.aborted) return;
        this.#onConnectionError(toStewardError(failure));
        continue;
      }
      if (this.#hearers.size === 0) return this.#endSession();
      for (const hearers of this.#hearers.values()) for (const { onReconnect } of hearers) call(onReconnect);
      return;
    }
  }

  #hear({ channel, payload = "", processId }: DriverNotification): void {
    for (const { onNotification } of this.#hearers.get(channel) ?? [])
      call(() => onNotification({ channel, payload, processId }));
  }
}

/** One that throws keeps nobody else from hearing; its error ends where those of event listeners do. */
function call(hear: () => void): void {
  try {
    hear();
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}

/** A connection is asked for a sign of life this often: a network that forgot it says nothing. */
const PING_EVERY_MS = 30_000;
const ANSWER_LIMIT_MS = 10_000;
/** pg_stat_activity shows what a connection ran last. */
const PING_SQL = "SELECT 1 /* a connection that waits for LISTEN */";

/** A session of a server, on a connection of its own. */
export async function openListeningSession(
  { poolConfig, hosts }: { readonly poolConfig: PoolConfig; readonly hosts?: HostChooser | undefined },
  { onNotification, onLost }: ListeningEvents,
): Promise<ListeningSession> {
  const connectionString = (await hosts?.choose(ANSWER_LIMIT_MS, undefined))?.url ?? poolConfig.connectionString;
  const client = new ServerClient({
    ...poolConfig,
    connectionString,
    keepAlive: true,
    connectionTimeoutMillis: ANSWER_LIMIT_MS,
    query_timeout: ANSWER_LIMIT_MS,
  });
  let isOver = false;
  const lose = (error: Error): void => {
    if (isOver) return;
    isOver = true;
    clearInterval(ping);
    hosts?.doubt();
    onLost(toStewardError(error));
    void client.end().catch(() => undefined); // it is lost already
  };
  client.on("error", lose);
  client.on("end", () => lose(new ConnectionLostError("the connection that listens was ended")));
  client.on("notification", onNotification);
  const run = async (sql: string): Promise<void> => {
    try {
      await driverIO(() => client.query(sql));
    } catch (error) {
      throw toStewardError(error);
    }
  };
  const ping = setInterval(() => void run(PING_SQL).catch(lose), PING_EVERY_MS);
  ping.unref();
  const close = async (): Promise<void> => {
    isOver = true;
    clearInterval(ping);
    await client.end();
  };
  try {
    await client.connect();
    await checkSession(client);
  } catch (error) {
    isOver = true;
    clearInterval(ping);
    await client.end().catch(() => undefined); // what it failed of is told
    throw toStewardError(error);
  }
  return { run, close };
}

/** A pooler told another process id than the backend has: LISTEN would be heard by whoever gets that backend next. */
async function checkSession(client: ClientBase): Promise<void> {
  const { rows } = await client.query<{ pid: number }>("SELECT pg_catalog.pg_backend_pid() AS pid");
  if (rows[0]?.pid === (client as unknown as { readonly processID: number | null }).processID) return;
  throw new InvalidInputError("LISTEN hears nothing behind a pooler in transaction mode", {
    hint: "open the server's own address for it, beside the pooler's",
  });
}
