// A server of a test's own that can be stopped, killed and started again on the same port with the same data.
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEmbeddedServer } from "../../src/postgres/index.ts";
import { ownPort } from "./own-port.ts";

export interface RestartableServer extends AsyncDisposable {
  /** Superuser, database `postgres`. */
  readonly url: string;
  readonly port: number;
  readonly dataDir: string;
  /** Ends it in order: open connections are told (57P01). */
  stop(): Promise<void>;
  /** SIGQUIT to the postmaster: what a crash leaves behind, with recovery at the next start. */
  crash(): Promise<void>;
  start(): Promise<void>;
}

export async function startRestartableServer(
  settings: Readonly<Record<string, string>> = {},
): Promise<RestartableServer> {
  const parent = await mkdtemp(join(tmpdir(), "pgsteward-test-"));
  await chmod(parent, 0o755); // as root, another user runs the server
  const dataDir = join(parent, "data");
  const options = { dataDir, settings: { ...settings, synchronous_commit: "on" } };
  const port = await ownPort();
  let server = await startEmbeddedServer({ ...options, port });
  const { url } = server;
  return {
    url,
    port,
    dataDir,
    stop: () => server.stop(),
    async crash() {
      const pid = Number((await readFile(join(dataDir, "postmaster.pid"), "utf8")).split("\n")[0]);
      process.kill(pid, "SIGQUIT");
      await server.stop();
    },
    async start() {
      server = await startEmbeddedServer({ ...options, port });
    },
    async [Symbol.asyncDispose]() {
      await server.stop();
      await rm(parent, { recursive: true, force: true });
    },
  };
}
