// PgBouncer in transaction mode before a server. The tests that need it are there when the program is, and fail when it is
// asked for (PGSTEWARD_TEST_PGBOUNCER=1) and missing.
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, chown, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { serverUser } from "../../src/postgres/embedded-binaries.ts";
import { ownPort } from "./own-port.ts";

export interface PgBouncer extends AsyncDisposable {
  /** The server's URL, led through PgBouncer. */
  readonly url: string;
}

export interface PgBouncerOptions {
  /** Server connections per database and user. Default 4. */
  readonly poolSize?: number;
  /** 0: a prepared statement may meet a server connection that does not know it. More: PgBouncer 1.21 and later keeps track. */
  readonly maxPreparedStatements?: number;
}

/** Debian installs it where only root's PATH looks. */
const PLACES = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];

/** e.g. `{ path: "/usr/sbin/pgbouncer", version: 1.18 }`; `undefined` when it is not installed and not asked for. */
export function findPgBouncer(): { readonly path: string; readonly minor: number } | undefined {
  const path = PLACES.map((folder) => join(folder, "pgbouncer")).find((file) => existsSync(file));
  if (path === undefined) {
    if (process.env["PGSTEWARD_TEST_PGBOUNCER"] === "1")
      throw new Error("PGSTEWARD_TEST_PGBOUNCER=1, but there is no pgbouncer: apt-get install pgbouncer");
    return undefined;
  }
  const { stdout } = spawnSync(path, ["--version"], { encoding: "utf8" });
  return { path, minor: Number(/PgBouncer 1\.(\d+)/i.exec(stdout)?.[1] ?? 0) };
}

export async function startPgBouncer(serverUrl: string, options: PgBouncerOptions = {}): Promise<PgBouncer> {
  const program = findPgBouncer();
  if (program === undefined) throw new Error("there is no pgbouncer");
  const target = new URL(serverUrl);
  const user = await serverUser(); // it refuses to run as root
  const folder = await mkdtemp(join(tmpdir(), "pgsteward-pgbouncer-"));
  const port = await ownPort();
  const { poolSize = 4, maxPreparedStatements = 0 } = options;
  const quote = (text: string): string => `"${decodeURIComponent(text).replaceAll('"', '""')}"`;
  const files = {
    "users.txt": `${quote(target.username)} ${quote(target.password)}\n`,
    "pgbouncer.ini": `[databases]
* = host=${target.hostname} port=${target.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${join(folder, "users.txt")}
pool_mode = transaction
default_pool_size = ${poolSize}
max_client_conn = 500
ignore_startup_parameters = extra_float_digits,options
${program.minor >= 21 ? `max_prepared_statements = ${maxPreparedStatements}` : ""}
`,
  };
  await chmod(folder, 0o700);
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(folder, name), content, { mode: 0o600 });
    if (user.uid !== undefined) await chown(join(folder, name), user.uid, user.gid ?? user.uid);
  }
  if (user.uid !== undefined) await chown(folder, user.uid, user.gid ?? user.uid);

  const child = spawn(program.path, ["-q", join(folder, "pgbouncer.ini")], {
    stdio: ["ignore", "ignore", "pipe"],
    ...(user.uid === undefined ? {} : { uid: user.uid }),
    ...(user.gid === undefined ? {} : { gid: user.gid }),
  });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (log = (log + chunk).slice(-4_000)));
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  for (const deadline = Date.now() + 60_000; !(await answers(port)); await sleep(30)) {
    if (child.exitCode === null && Date.now() < deadline) continue;
    await stop();
    throw new Error(`pgbouncer did not start: ${log}`);
  }
  const url = new URL(serverUrl);
  url.port = String(port);
  return { url: url.href, [Symbol.asyncDispose]: stop };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
