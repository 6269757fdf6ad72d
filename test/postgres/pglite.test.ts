import { chmod, cp, mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FolderBrokenError, FolderInUseError, InvalidSqlError, openDatabase } from "../../src/postgres/index.ts";
import { startChild } from "../support/child-process.ts";

let folder: string;
/** Holds a closed database with one row. */
let filled: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pgsteward-test-"));
  filled = join(folder, "filled");
  await using database = await openDatabase(`pglite:${filled}`);
  await database.exec("CREATE TABLE kept AS SELECT 7 AS value");
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Every file below with its size and time of change. */
async function snapshot(path: string): Promise<string[]> {
  const names = await readdir(path, { recursive: true });
  const lines = names.map(async (name) => {
    const { size, mtimeMs } = await stat(join(path, name));
    return `${name} ${size} ${mtimeMs}`;
  });
  return (await Promise.all(lines)).toSorted();
}

async function copyOfFilled(name: string): Promise<string> {
  await cp(filled, join(folder, name), { recursive: true });
  return join(folder, name);
}

test("a memory database is PostgreSQL 18 with the extensions at hand, and each open is another one", async () => {
  await using first = await openDatabase("pglite:");
  await first.exec("CREATE TABLE only_here (id int)");
  const wanted = [
    "vector",
    "pg_trgm",
    "pgcrypto",
    "btree_gin",
    "btree_gist",
    "uuid-ossp",
    "pg_stat_statements",
    "citext",
    "hstore",
    "ltree",
    "unaccent",
  ];
  for (const name of wanted) await first.exec(`CREATE EXTENSION "${name}"`);
  const { version, extensions, kind, behindPooler } = await first.serverFacts();
  expect({ major: Math.floor(version.number / 10_000), kind, behindPooler }).toEqual({
    major: 18,
    kind: "pglite",
    behindPooler: false,
  });
  expect(extensions.map(({ name }) => name)).toEqual(expect.arrayContaining(wanted));
  const { rows } = await first.query(
    "SELECT '[1,2]'::vector <-> '[1,4]'::vector AS distance, digest('a', 'sha1') IS NOT NULL AS hashed",
  );
  expect(rows).toEqual([{ distance: 2, hashed: true }]);
  await using second = await openDatabase("pglite:");
  await expect(second.query("SELECT FROM only_here")).rejects.toThrow(InvalidSqlError);
});

test("a refused script is an error of SQL, not a lost connection, and the database goes on", async () => {
  await using database = await openDatabase(`pglite:${filled}`);
  await expect(database.exec("SELECT FROM nowhere")).rejects.toThrow(InvalidSqlError);
  expect((await database.query("SELECT value FROM kept")).rows).toEqual([{ value: 7 }]);
  await using connection = await database.connect();
  await expect(connection.cancel()).rejects.toMatchObject({ code: "INVALID_INPUT" });
});

test("a folder that is open in another process is refused, whatever name it goes by", async () => {
  const alias = join(folder, "alias");
  await symlink(filled, alias);
  await using child = await startChild(`
import { openPglite } from "SRC/postgres/pglite.ts";
const { pglite } = await openPglite(${JSON.stringify(filled)});
console.log(JSON.stringify((await pglite.query("SELECT value FROM kept")).rows));
setInterval(() => {}, 1000);`);
  expect(await child.readJson()).toEqual([{ value: 7 }]);
  for (const path of [filled, alias]) {
    const failure = openDatabase(`pglite:${path}`);
    await expect(failure).rejects.toThrow(FolderInUseError);
    await expect(failure).rejects.toThrow(`process ${child.process.pid} since`);
  }
  await child.kill("SIGKILL");
  await using database = await openDatabase(`pglite:${filled}`);
  expect((await database.query("SELECT value FROM kept")).rows).toEqual([{ value: 7 }]);
});

test("rows that were acknowledged are there after kill -9 in the middle of writes", async () => {
  const path = await copyOfFilled("killed");
  for (let round = 0; round < 2; round++) {
    await using child = await startChild(`
import { openPglite } from "SRC/postgres/pglite.ts";
const { pglite } = await openPglite(${JSON.stringify(path)});
await pglite.exec("CREATE TABLE IF NOT EXISTS written (id int PRIMARY KEY, filler text)");
const from = (await pglite.query("SELECT coalesce(max(id), 0) AS id FROM written")).rows[0].id;
for (let id = from + 1; ; id++) {
  await pglite.query("INSERT INTO written VALUES ($1, repeat('x', 500))", [id]);
  console.log(JSON.stringify(id));
  await new Promise((done) => setImmediate(done));
}`);
    let acknowledged = 0;
    for (let count = 0; count < 40; count++) acknowledged = Number(await child.readJson());
    await child.kill("SIGKILL");
    await using database = await openDatabase(`pglite:${path}`);
    const { rows } = await database.query(
      "SELECT count(*)::int AS rows, max(id) AS highest FROM written WHERE id <= $1",
      [acknowledged],
    );
    expect(rows).toEqual([{ rows: acknowledged, highest: acknowledged }]);
  }
});

test("a first filling that was cut short is begun anew", async () => {
  const path = join(folder, "half");
  await mkdir(join(path, "base"), { recursive: true });
  await writeFile(join(path, "pgsteward.filling"), "");
  await writeFile(join(path, "PG_VERSION"), "18\n");
  await using database = await openDatabase(`pglite:${path}`);
  expect((await database.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
});

test("a folder of other files, of another version, or with parts missing is refused and left as it was", async () => {
  const other = join(folder, "other");
  await mkdir(other);
  await writeFile(join(other, "letter.txt"), "dear database");
  const older = await copyOfFilled("older");
  await writeFile(join(older, "PG_VERSION"), "16\n");
  const garbled = await copyOfFilled("garbled");
  await writeFile(join(garbled, "PG_VERSION"), "\0\0garbage");
  const headless = await copyOfFilled("headless");
  await rm(join(headless, "global", "pg_control"));
  const short = await copyOfFilled("short");
  await truncate(join(short, "global", "pg_control"), 100);
  const gutted = await copyOfFilled("gutted");
  await rm(join(gutted, "base"), { recursive: true });

  const cases: readonly (readonly [string, string])[] = [
    [other, "not empty"],
    [older, "PostgreSQL 16"],
    [garbled, "PG_VERSION"],
    [headless, "global/pg_control is missing"],
    [short, "100 bytes"],
    [gutted, "base is missing"],
  ];
  for (const [path, message] of cases) {
    const before = await snapshot(path);
    const failure = openDatabase(`pglite:${path}`);
    await expect(failure).rejects.toThrow(FolderBrokenError);
    await expect(failure).rejects.toThrow(message);
    expect(await snapshot(path)).toEqual(before);
  }
});

test("a control file of garbage is refused and kept as it was", async () => {
  const path = await copyOfFilled("noise");
  const noise = Buffer.alloc(8192, "noise");
  await writeFile(join(path, "global", "pg_control"), noise);
  await expect(openDatabase(`pglite:${path}`)).rejects.toThrow(FolderBrokenError);
  expect((await readFile(join(path, "global", "pg_control"))).equals(noise)).toBe(true);
  await expect(openDatabase(`pglite:${path}`)).rejects.toThrow(FolderBrokenError);
});

test("a file in place of the folder is refused", async () => {
  const file = join(folder, "file");
  await writeFile(file, "text");
  await expect(openDatabase(`pglite:${file}`)).rejects.toThrow(FolderBrokenError);
  await expect(openDatabase(`pglite:${join(file, "below")}`)).rejects.toThrow(FolderBrokenError);
  expect(await readFile(file, "utf8")).toBe("text");
});

test("a folder that this user may not enter is refused", async () => {
  const closed = join(folder, "closed");
  await mkdir(closed, { mode: 0o755 });
  // Root may enter everything, so another user asks when the tests run as root.
  await chmod(folder, 0o755);
  await chmod(closed, 0o000);
  await using child = await startChild(`
import { takeFolder } from "SRC/postgres/pglite-folder.ts";
if (process.getuid() === 0) process.setuid(65534);
await takeFolder(${JSON.stringify(closed)}).catch((error) => console.log(JSON.stringify({ code: error.code, hint: error.hint })));`);
  expect(await child.readJson()).toEqual({ code: "FOLDER_BROKEN", hint: expect.stringContaining("rights") as string });
  await chmod(closed, 0o755);
});
