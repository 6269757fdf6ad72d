import { Client } from "pg";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import {
  CancelledError,
  NoShadowError,
  openDatabase,
  withShadow,
  type Database,
  type ShadowKind,
} from "../../src/postgres/index.ts";
import { startChild } from "../support/child-process.ts";
import { runOnServer, testDatabase } from "../support/test-database.ts";

const serverUrl = inject("serverUrl");
/** Not the tests' superuser: other test files make shadows on the same server at the same time. */
const user = `shadow_maker_${process.pid}`;
const url = new URL(serverUrl);
url.username = user;
url.password = "secret";
let db: Database;

beforeAll(async () => {
  await runOnServer(serverUrl, `CREATE ROLE ${user} LOGIN CREATEDB PASSWORD 'secret'`);
  db = await openDatabase(url.href);
});
afterAll(async () => {
  await db.close();
  await runOnServer(serverUrl, `DROP ROLE ${user}`);
});

async function shadowsOnServer(): Promise<string[]> {
  const client = new Client({ connectionString: serverUrl });
  await client.connect();
  const { rows } = await client.query<{ name: string }>(
    "SELECT datname AS name FROM pg_catalog.pg_database WHERE datname LIKE 'pgsteward%' AND pg_get_userbyid(datdba) = $1 ORDER BY 1",
    [user],
  );
  await client.end();
  return rows.map(({ name }) => name);
}

test("a scratch database beside the real one comes first, is empty, has its locale, and is dropped", async () => {
  const locale =
    "SELECT datcollate, datctype, encoding, to_jsonb(d) ->> 'datlocale' AS locale FROM pg_database AS d WHERE datname = current_database()";
  const { rows: ours } = await db.query(locale);
  const name = await withShadow(db, {}, async (shadow, info) => {
    expect(info).toEqual({ kind: "scratch", version: (await db.serverFacts()).version.text, passedOver: [] });
    await shadow.exec("CREATE TABLE made_here (id int)");
    expect((await shadow.query(locale)).rows).toEqual(ours);
    const { databaseName } = await shadow.serverFacts();
    expect(await shadowsOnServer()).toEqual([databaseName]);
    return databaseName;
  });
  expect(name).toMatch(/^pgsteward_shadow_/);
  expect(await shadowsOnServer()).toEqual([]);
});

const kinds: readonly ShadowKind[] = ["scratch", "embedded", "pglite"];
test.each(kinds)(
  "the kind %s can be asked for, takes the work's result out, and keeps the work's error",
  async (kind) => {
    const result = await withShadow(db, { engine: kind }, async (shadow, info) => {
      await shadow.exec("CREATE TABLE made_here AS SELECT 5 AS value");
      return { kind: info.kind, rows: (await shadow.query("SELECT value FROM made_here")).rows };
    });
    expect(result).toEqual({ kind, rows: [{ value: 5 }] });
    const fault = new Error("the work failed");
    let left: Database | undefined;
    await expect(
      withShadow(db, { engine: kind }, (shadow) => {
        left = shadow;
        return Promise.reject(fault);
      }),
    ).rejects.toBe(fault);
    await expect(left?.query("SELECT 1")).rejects.toMatchObject({ code: "DATABASE_CLOSED" });
    expect(await shadowsOnServer()).toEqual([]);
  },
);

test("without a server the embedded one is started, and the reason is told", async () => {
  const info = await withShadow(undefined, {}, (_, told) => Promise.resolve(told));
  expect(info).toMatchObject({ kind: "embedded", passedOver: [{ kind: "scratch", reason: "no server was given" }] });
});

test("an extension that an engine does not offer passes it over, up to none being left", async () => {
  const info = await withShadow(undefined, { extensions: ["vector", "pg_trgm"] }, async (shadow, told) => {
    await shadow.exec("CREATE EXTENSION vector; CREATE EXTENSION pg_trgm;");
    return told;
  });
  expect(info.kind).toBe("pglite");
  expect(info.passedOver[1]).toEqual({ kind: "embedded", reason: "it does not offer vector" });
  const failure = withShadow(db, { engine: ["scratch", "embedded"], extensions: ["no_such_thing"] }, () =>
    Promise.resolve(),
  );
  await expect(failure).rejects.toThrow(NoShadowError);
  await expect(failure).rejects.toThrow(/scratch: the server does not offer no_such_thing; embedded: /);
});

test("a login that may not create databases gets another kind", async () => {
  const poor = `${user}_poor`;
  await runOnServer(serverUrl, `CREATE ROLE ${poor} LOGIN PASSWORD 'secret'`);
  const poorUrl = new URL(url);
  poorUrl.username = poor;
  try {
    await using database = await openDatabase(poorUrl.href);
    const info = await withShadow(database, {}, (_, told) => Promise.resolve(told));
    expect(info).toMatchObject({
      kind: "embedded",
      passedOver: [{ kind: "scratch", reason: `the login ${poor} may not create databases` }],
    });
  } finally {
    await runOnServer(serverUrl, `DROP ROLE ${poor}`);
  }
});

test("an abort ends running work and drops the shadow", async () => {
  const controller = new AbortController();
  const failure = withShadow(db, { signal: controller.signal }, async (shadow) => {
    const sleeping = shadow.query("SELECT pg_sleep(600)", [], { timeoutMs: 0 });
    setTimeout(() => controller.abort(new Error("enough")), 50);
    await sleeping;
  });
  await expect(failure).rejects.toThrow(CancelledError);
  expect(await shadowsOnServer()).toEqual([]);
  await expect(withShadow(db, { signal: AbortSignal.abort() }, () => Promise.resolve())).rejects.toThrow(
    CancelledError,
  );
  expect(await shadowsOnServer()).toEqual([]);
});

const HOLDER = `
import { openDatabase, withShadow } from "SRC/postgres/index.ts";
const db = await openDatabase(${JSON.stringify(url.href)});
await withShadow(db, { engine: "scratch" }, async (shadow) => {
  console.log(JSON.stringify((await shadow.serverFacts()).databaseName));
  await new Promise((done) => setTimeout(done, 600_000));
});`;

test.each(["SIGINT", "SIGTERM"] as const)("%s drops the shadow before the process ends", async (signal) => {
  await using child = await startChild(HOLDER);
  const name = await child.readJson();
  expect(await shadowsOnServer()).toEqual([name]);
  await child.kill(signal);
  expect(await shadowsOnServer()).toEqual([]);
});

test("what a killed process left is dropped by the next call, what others made is kept", async () => {
  await using child = await startChild(HOLDER);
  const abandoned = await child.readJson();
  await using living = await startChild(HOLDER);
  const inUse = await living.readJson();
  const lookalike = `pgsteward_shadow_${user}`;
  await db.exec(`CREATE DATABASE "${lookalike}"`);
  await child.kill("SIGKILL");
  await waitUntilUnused(String(abandoned));
  await withShadow(db, { engine: "scratch" }, () => Promise.resolve());
  expect(await shadowsOnServer()).toEqual(expect.arrayContaining([inUse, lookalike]));
  expect(await shadowsOnServer()).toHaveLength(2);
  await living.kill("SIGTERM");
  await db.exec(`DROP DATABASE "${lookalike}"`);
  expect(await shadowsOnServer()).toEqual([]);
});

test("a shadow can be made while a unit of the real database is in a transaction", async () => {
  await using database = await testDatabase();
  await using connection = await database.connect();
  await connection.exec("BEGIN; CREATE TABLE half_done (id int)");
  const { rows } = await withShadow(database, { engine: "scratch" }, (shadow) =>
    shadow.query("SELECT to_regclass('half_done') AS found"),
  );
  expect(rows).toEqual([{ found: null }]);
  await connection.exec("ROLLBACK");
});

/** The server needs a moment to see that a killed client is gone. */
async function waitUntilUnused(name: string): Promise<void> {
  const client = new Client({ connectionString: serverUrl });
  await client.connect();
  for (let left = 1; left > 0;) {
    const { rowCount } = await client.query("SELECT FROM pg_catalog.pg_stat_activity WHERE datname = $1", [name]);
    left = rowCount ?? 0;
  }
  await client.end();
}
