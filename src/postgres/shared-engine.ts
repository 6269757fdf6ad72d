// One engine per URL and process, however many handles are opened on it; the last handle that closes ends it.
import pg from "pg";
import type { PoolClient, PoolConfig } from "pg";
import type { CallSite } from "./call-site.ts";
import type { DatabaseOptions, PoolOptions } from "./database-options.ts";
import { Engine, type EngineSource } from "./engine.ts";
import { DatabaseAlreadyOpenError, InvalidInputError } from "./errors.ts";
import { HostChooser, hostList } from "./hosts.ts";
import { KnownServer } from "./known-server.ts";
import {
  Listener,
  openListeningSession,
  type ListeningEvents,
  type ListeningSession,
  type OpenSession,
} from "./listener.ts";
import { openPglite } from "./pglite.ts";
import { toStewardError } from "./server-errors.ts";
import type { DatabaseAddress } from "./url.ts";

export interface SharedEngine {
  readonly engine: Engine;
  /** What the engine was made with, without secrets; a second open with other options is refused. */
  readonly fingerprint: string;
  readonly server: KnownServer;
  readonly listener: Listener;
}

/** Engines by address. A memory database has none: nobody else can name it. */
const engines = new Map<string, Promise<SharedEngine>>();

/**
 * The engine of the address, made when there is none; its count of handles is one higher.
 *
 * @throws DatabaseAlreadyOpenError when it was made with other options
 */
export async function shareEngine(
  address: DatabaseAddress,
  options: DatabaseOptions,
  pool: Required<PoolOptions>,
  openedAt: CallSite,
): Promise<SharedEngine> {
  const fingerprint = JSON.stringify([pool, options.applicationName, options.preparedStatements, options.backend]);
  const make = async (): Promise<SharedEngine> => {
    const source = await openSource(address, options);
    const server = new KnownServer();
    const { onConnectionError = () => undefined } = options;
    const engine = new Engine(source, pool, openedAt, { onConnectionError, onDoubt: () => server.doubt() });
    const open: OpenSession = (events) =>
      source.kind === "server" ? openListeningSession(source, events) : openEmbeddedSession(engine, events, openedAt);
    return { engine, fingerprint, server, listener: new Listener(open, onConnectionError) };
  };
  const { key } = address;
  for (;;) {
    const opening = (key === undefined ? undefined : engines.get(key)) ?? make();
    if (key !== undefined) engines.set(key, opening);
    const shared = await opening.catch((error: unknown) => {
      forget(key, opening);
      throw error;
    });
    // From here to the count nothing is awaited: a handle that closes in between would end the engine.
    if (shared.engine.isClosed) {
      forget(key, opening);
      continue;
    }
    if (shared.fingerprint !== fingerprint) {
      throw new DatabaseAlreadyOpenError(
        `${address.displayUrl} is open already with other options, since ${String(shared.engine.openedAt)}`,
        { hint: "use that handle, or open it with the same options to share its pool" },
      );
    }
    shared.engine.handles++;
    return shared;
  }
}

/** Another may have taken its place meanwhile. */
function forget(key: string | undefined, opening: Promise<SharedEngine>): void {
  if (key !== undefined && engines.get(key) === opening) engines.delete(key);
}

/** Gives one handle back. */
export async function leaveEngine(
  { engine, listener }: SharedEngine,
  key: string | undefined,
  drainTimeoutMs: number,
): Promise<void> {
  engine.handles--;
  if (engine.handles > 0) return;
  await listener.close();
  await engine.close(drainTimeoutMs);
  if (key !== undefined && (await engines.get(key)?.catch(() => undefined))?.engine === engine) engines.delete(key);
}

async function openSource(address: DatabaseAddress, options: DatabaseOptions): Promise<EngineSource> {
  if (address.kind === "pglite") {
    const opened = await openPglite(address.folder);
    return {
      kind: "pglite",
      poolConfig: { ...opened.poolConfig, max: 1, idleTimeoutMillis: 0, maxLifetimeSeconds: 0 },
      close: () => opened.close(),
    };
  }
  const hosts = hostList(options.url);
  const login: PoolConfig = {
    application_name: options.applicationName ?? "pgsteward",
    ...(options.password === undefined ? {} : { password: options.password }),
  };
  const poolConfig: PoolConfig = { ...login, connectionString: hosts?.urls[0] ?? options.url };
  try {
    // The driver reads sslmode, certificates and options from the URL; what it cannot read must fail here, not at the first statement.
    void new pg.Client(poolConfig);
    if (hosts !== undefined) {
      return { kind: "server", poolConfig, hosts: new HostChooser(hosts, login), close: () => Promise.resolve() };
    }
  } catch (cause) {
    throw new InvalidInputError(`the URL ${address.displayUrl} cannot be used`, {
      cause,
      hint: "check its parameters after the ?",
    });
  }
  return { kind: "server", poolConfig, close: () => Promise.resolve() };
}

/** The one session there is: LISTEN runs between the statements of others, and what it hears comes with their answers. */
function openEmbeddedSession(
  engine: Engine,
  { onNotification }: ListeningEvents,
  openedAt: CallSite,
): Promise<ListeningSession> {
  const heard = new Set<PoolClient>();
  const hear = (client: PoolClient): void => {
    if (heard.has(client)) return;
    heard.add(client);
    client.on("notification", onNotification);
  };
  const run = async (sql: string): Promise<void> => {
    const { pooled, giveBack } = await engine.acquire({}, openedAt);
    try {
      hear(pooled.client);
      await pooled.client.query(sql);
    } catch (error) {
      throw toStewardError(error);
    } finally {
      giveBack();
    }
  };
  engine.pool.on("connect", hear);
  const close = (): Promise<void> => {
    engine.pool.off("connect", hear);
    for (const client of heard) client.off("notification", onNotification);
    return Promise.resolve();
  };
  return Promise.resolve({ run, close });
}
