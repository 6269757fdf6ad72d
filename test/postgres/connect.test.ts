// openDatabase(): one engine per URL, limits that hold, and a pool that survives what servers and networks do.
import { createServer, type AddressInfo } from "node:net";
import { inspect } from "node:util";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { isSameEngine, openDatabase } from "../../src/postgres/index.ts";
import { failureOf } from "../support/failure-of.ts";
import { startRestartableServer, type RestartableServer } from "../support/restartable-server.ts";
import { testDatabase } from "../support/test-database.ts";
import { ownUrl } from "./own-url.ts";

/** Of the server that goes away. */
const MAX_CONNECTIONS = 12;

describe("one engine per URL", () => {
  test("a second open shares the pool, and the last close ends it", async () => {
    await using first = await testDatabase();
    const second = await openDatabase(first.url);
    expect(isSameEngine(first, second)).toBe(true);
    await first.query("SELECT 1");
    expect(second.poolFigures()).toMatchObject({ total: 1, idle: 1 });
    await second.close();
    await expect(second.query("SELECT 1")).rejects.toMatchObject({ code: "DATABASE_CLOSED" });
    expect((await first.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
  });

  test("opens at the same time share one engine", async () => {
    await using keep = await testDatabase();
    const url = ownUrl(keep.url);
    const [a, b, c] = await Promise.all([openDatabase(url), openDatabase(url), openDatabase(url)]);
    expect(isSameEngine(a, b) && isSameEngine(b, c)).toBe(true);
    await Promise.all([a.close(), b.close(), c.close()]);
    await using again = await openDatabase(url);
    expect(isSameEngine(again, a)).toBe(false);
    expect((await again.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
  });

  test("an open with other options is refused and names the place of the first", async () => {
    await using keep = await testDatabase();
    const url = ownUrl(keep.url);
    await using first = await openDatabase({ url, pool: { size: 2 } });
    const error = await failureOf(openDatabase({ url, pool: { size: 3 } }));
    expect(error).toMatchObject({
      code: "DATABASE_ALREADY_OPEN",
      message: expect.stringContaining("connect.test.ts") as string,
    });
    expect(inspect(error)).not.toContain(new URL(url).password);
    await using same = await openDatabase({ url, pool: { size: 2 } });
    expect(isSameEngine(first, same)).toBe(true);
  });

  test("closing twice, and from both sides of await using, is one close", async () => {
    await using keep = await testDatabase();
    const url = ownUrl(keep.url);
    const other = await openDatabase(url);
    {
      await using database = await openDatabase(url);
      await Promise.all([database.close(), database.close()]);
    }
    expect((await other.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    await other.close();
  });
});

describe("what cannot be opened says why, without the password", () => {
  for (const url of [
    "",
    "   ",
    "localhost/app",
    "mysql://u:s3cret@localhost/app",
    "postgres://u:s3c@ret@:bad:host/x",
    "postgres://u:s3cret@localhost:99999/app",
    "http://localhost",
    "postgres:",
  ]) {
    test(`the URL ${JSON.stringify(url)} is refused`, async () => {
      const error = await failureOf(openDatabase(url));
      expect(error).toMatchObject({ code: "INVALID_INPUT" });
      expect(inspect(error)).not.toMatch(/s3c/);
    });
  }

  test("a URL that is no string is refused", async () => {
    for (const url of [undefined, null, 5, {}]) {
      expect(await failureOf(openDatabase({ url } as never))).toMatchObject({ code: "INVALID_INPUT" });
    }
  });

  test("an option that is given as undefined is not given", async () => {
    const pool = { size: undefined } as object;
    await using database = await openDatabase({ url: ownUrl(inject("serverUrl")), pool });
    expect(database.poolFigures().size).toBe(10);
  });

  test("options that are unknown or out of range are refused", async () => {
    for (const pool of [
      { size: 0 },
      { size: 1.5 },
      { acquireTimeoutMs: 0 },
      { queueLimit: -1 },
      { size: Number.NaN },
    ]) {
      expect(await failureOf(openDatabase({ url: inject("serverUrl"), pool }))).toMatchObject({
        code: "INVALID_INPUT",
      });
    }
    const misnamed = { max: 3 } as object;
    expect(await failureOf(openDatabase({ url: inject("serverUrl"), pool: misnamed }))).toMatchObject({
      code: "INVALID_INPUT",
      hint: expect.stringContaining("size") as string,
    });
    expect(await failureOf(openDatabase({ url: inject("serverUrl"), statementTimeoutMs: -1 }))).toMatchObject({
      code: "INVALID_INPUT",
    });
  });

  const broken = async (change: (url: URL) => void) => {
    const url = new URL(inject("serverUrl"));
    change(url);
    await using database = await openDatabase({ url: url.href, pool: { acquireTimeoutMs: 60_000 } });
    const error = await failureOf(database.query("SELECT 1"));
    const health = await database.health();
    expect(inspect([error, health], { depth: 8 })).not.toContain("s3cret");
    expect(database.leases()).toEqual([]);
    return { error, health };
  };

  test("a wrong password", async () => {
    const { error, health } = await broken((url) => (url.password = "s3cret"));
    expect(error).toMatchObject({ code: "AUTHENTICATION_FAILED", hint: expect.any(String) as string });
    expect(health).toMatchObject({ ok: false, error: { code: "AUTHENTICATION_FAILED" } });
  });

  test("no password", async () => {
    const { error, health } = await broken((url) => (url.password = ""));
    expect(error).toMatchObject({ code: "AUTHENTICATION_FAILED" });
    expect(health).toMatchObject({ ok: false, error: { code: "AUTHENTICATION_FAILED" } });
  });

  test("an unknown user", async () => {
    const { error } = await broken((url) => (url.username = "nobody_here"));
    expect(error).toMatchObject({ code: "AUTHENTICATION_FAILED" });
  });

  test("an unknown database", async () => {
    const { error, health } = await broken((url) => (url.pathname = "/not_there"));
    expect(error).toMatchObject({ code: "DATABASE_NOT_FOUND" });
    expect(health).toMatchObject({ ok: false, error: { code: "DATABASE_NOT_FOUND" } });
  });

  test("a port where nobody listens", async () => {
    const { error, health } = await broken((url) => (url.port = "1"));
    expect(error).toMatchObject({ code: "CONNECTION_REFUSED" });
    expect(health).toMatchObject({ ok: false, error: { code: "CONNECTION_REFUSED" } });
  });

  test("a host that does not exist", async () => {
    const { error } = await broken((url) => (url.hostname = "not-there.invalid"));
    expect(error).toMatchObject({ code: "CONNECTION_REFUSED" });
  });

  test("a listener that never answers ends the wait in time", async () => {
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const { port } = silent.address() as AddressInfo;
    await using database = await openDatabase({
      url: `postgres://u:s3cret@127.0.0.1:${port}/x`,
      pool: { acquireTimeoutMs: 300 },
    });
    expect(await failureOf(database.query("SELECT 1"))).toMatchObject({ code: "ACQUIRE_TIMEOUT" });
    expect(await database.health({ timeoutMs: 300 })).toMatchObject({ ok: false });
    expect(database.poolFigures()).toMatchObject({ waiting: 0 });
    silent.close();
  });

  test("a listener that is no PostgreSQL", async () => {
    const other = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as AddressInfo;
    await using database = await openDatabase({
      url: `postgres://u:s3cret@127.0.0.1:${port}/x`,
    });
    expect(await failureOf(database.query("SELECT 1"))).toMatchObject({
      code: expect.stringMatching(/^(CONNECTION_LOST|CONNECTION_REFUSED)$/) as string,
    });
    other.close();
  });
});

test("a login that was given up leaves no connection behind", async () => {
  await using keep = await testDatabase();
  const url = new URL(ownUrl(keep.url));
  url.password = "";
  await using database = await openDatabase({ url: url.href });
  expect(await failureOf(database.query("SELECT 1"))).toMatchObject({ code: "AUTHENTICATION_FAILED" });
  const waiting = async (): Promise<number> => {
    const { rows } = await keep.query(
      "SELECT FROM pg_stat_activity WHERE coalesce(state, 'starting') = 'starting' AND backend_type = 'client backend'",
    );
    return rows.length;
  };
  // The server itself would end it after authentication_timeout, a minute.
  await expect.poll(waiting, { timeout: 30_000 }).toBe(0);
});

describe("a server that goes away", () => {
  let server: RestartableServer;
  beforeAll(async () => {
    server = await startRestartableServer({
      max_connections: String(MAX_CONNECTIONS),
      superuser_reserved_connections: "0",
      reserved_connections: "0",
    });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  for (const how of ["stop", "crash"] as const) {
    test(`the pool recovers by itself after ${how} and start`, async () => {
      await using database = await openDatabase({ url: ownUrl(server.url), pool: { size: 3 } });
      await database.exec("CREATE TABLE IF NOT EXISTS kept (id int)");
      await database.query("INSERT INTO kept VALUES (1)");
      const running = failureOf(database.query("SELECT pg_sleep(30)"));
      await using watcher = await testWatcher(server.url);
      await expect.poll(watcher.sleeping).toBe(1);
      await server[how]();
      expect(await running).toMatchObject({
        code: expect.stringMatching(/^(CONNECTION_LOST|COMMIT_OUTCOME_UNKNOWN)$/) as string,
      });
      expect(await failureOf(database.query("SELECT 1"))).toMatchObject({
        code: expect.stringMatching(/^(CONNECTION_LOST|CONNECTION_REFUSED)$/) as string,
      });
      expect(await database.health()).toMatchObject({ ok: false, error: { code: "CONNECTION_REFUSED" } });
      await server.start();
      expect(await database.health()).toMatchObject({ ok: true });
      expect((await database.query("SELECT count(*)::int > 0 AS kept FROM kept")).rows).toEqual([{ kept: true }]);
      expect(database.leases()).toEqual([]);
    });
  }

  test("too many connections is its own error, and goes away with the others", async () => {
    await using database = await openDatabase({ url: ownUrl(server.url) });
    const others = await takeAllConnections(server.url);
    expect(await failureOf(database.query("SELECT 1"))).toMatchObject({ code: "TOO_MANY_CONNECTIONS" });
    expect(await database.health()).toMatchObject({ ok: false, error: { code: "TOO_MANY_CONNECTIONS" } });
    await Promise.all(others.map((client) => client.end()));
    await expect.poll(async () => (await database.health()).ok).toBe(true);
    expect(database.leases()).toEqual([]);
  });
});

test("health tells latency, pool and server", async () => {
  await using database = await testDatabase();
  const health = await database.health();
  expect(health).toMatchObject({
    ok: true,
    error: undefined,
    pool: { total: 1, waiting: 0 },
    server: { kind: "server", role: "primary", behindPooler: false, version: { number: expect.any(Number) as number } },
  });
  expect(health.latencyMs).toBeGreaterThan(0);
});

/** A connection that looks at what the others do. */
async function testWatcher(url: string) {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  return {
    sleeping: async () => (await client.query("SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'")).rowCount,
    [Symbol.asyncDispose]: () => client.end().catch(() => undefined),
  };
}

/** Connections that were closed a moment ago may still have their place. */
async function takeAllConnections(url: string): Promise<pg.Client[]> {
  const clients: pg.Client[] = [];
  while (clients.length < MAX_CONNECTIONS) {
    const client = new pg.Client({ connectionString: url });
    client.on("error", () => undefined);
    const refused = await client.connect().then(
      () => false,
      (error: { code?: string }) => {
        if (error.code !== "53300") throw error;
        return true;
      },
    );
    if (!refused) clients.push(client);
  }
  return clients;
}
