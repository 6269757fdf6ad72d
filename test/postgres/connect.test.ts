// openDatabase(): one engine per URL, limits that hold, and a pool that survives what servers and networks do.
import { createServer, type AddressInfo } from "node:net";
import { inspect } from "node:util";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { isSameEngine, openDatabase, type Connection, type Database } from "../../src/postgres/index.ts";
import { failureOf } from "../support/failure-of.ts";
import { proxiedDatabase } from "../support/proxied-database.ts";
import { startRestartableServer, type RestartableServer } from "../support/restartable-server.ts";
import { testDatabase } from "../support/test-database.ts";

/** The same address under another key, so that the test has an engine of its own. */
function ownUrl(url: string, name = Math.random().toString(36).slice(2)): string {
  const own = new URL(url);
  own.searchParams.set("fallback_application_name", name);
  return own.href;
}

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

  test("options out of range are refused", async () => {
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
    expect(await failureOf(openDatabase({ url: inject("serverUrl"), statementTimeoutMs: -1 }))).toMatchObject({
      code: "INVALID_INPUT",
    });
  });

  const broken = async (change: (url: URL) => void) => {
    const url = new URL(inject("serverUrl"));
    change(url);
    await using database = await openDatabase({ url: url.href, pool: { acquireTimeoutMs: 3_000 } });
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
      pool: { acquireTimeoutMs: 1_000 },
    });
    expect(await failureOf(database.query("SELECT 1"))).toMatchObject({
      code: expect.stringMatching(/^(CONNECTION_LOST|CONNECTION_REFUSED|ACQUIRE_TIMEOUT)$/) as string,
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
  await expect.poll(waiting).toBe(0);
});

describe("a pool under pressure", () => {
  test("a wait for a connection ends, and its hint names who holds them and where", async () => {
    await using database = await testDatabase({ pool: { size: 1, acquireTimeoutMs: 2_000 } });
    await using held = await takeConnection(database);
    expect(held.transactionStatus).toBe("idle");
    const error = await failureOf(database.query("SELECT 1"));
    expect(error).toMatchObject({
      code: "ACQUIRE_TIMEOUT",
      message: expect.stringContaining("pool of 1") as string,
      hint: expect.stringContaining("takeConnection") as string,
    });
    expect(database.poolFigures()).toMatchObject({ waiting: 0, total: 1, idle: 0 });
  });

  test("a full queue refuses at once", async () => {
    await using database = await testDatabase({ pool: { size: 1, queueLimit: 2, acquireTimeoutMs: 20_000 } });
    const held = await takeConnection(database);
    const waiting = [database.query("SELECT 1 AS one"), database.query("SELECT 1 AS one")];
    await expect.poll(() => database.poolFigures().waiting).toBe(2);
    expect(await failureOf(database.query("SELECT 1"))).toMatchObject({ code: "QUEUE_FULL" });
    held.release();
    expect((await Promise.all(waiting)).map(({ rows }) => rows)).toEqual([[{ one: 1 }], [{ one: 1 }]]);
  });

  test("an aborted wait leaves the queue", async () => {
    await using database = await testDatabase({ pool: { size: 1, acquireTimeoutMs: 20_000 } });
    const held = await takeConnection(database);
    const stop = new AbortController();
    const failure = failureOf(database.query("SELECT 1", [], { signal: stop.signal }));
    await expect.poll(() => database.poolFigures().waiting).toBe(1);
    stop.abort(new Error("the user left"));
    expect(await failure).toMatchObject({ code: "CANCELLED", cause: { message: "the user left" } });
    held.release();
    expect((await database.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    expect(database.poolFigures()).toMatchObject({ total: 1, idle: 1, waiting: 0 });
  });

  test("leases name the place, the longest first, and figures count what was handed out and waited", async () => {
    await using database = await testDatabase({ pool: { size: 2 } });
    const first = await takeConnection(database);
    const second = await takeConnection(database);
    const leases = database.leases();
    expect(leases).toHaveLength(2);
    expect(leases[0]?.takenAt).toContain("takeConnection");
    expect(leases[0]?.heldMs).toBeGreaterThanOrEqual(leases[1]?.heldMs ?? 0);
    expect(database.leases(3_600_000)).toEqual([]);
    const before = database.poolFigures();
    expect(before).toMatchObject({ total: 2, idle: 0, waiting: 0, size: 2 });
    const waiting = database.query("SELECT 1");
    await expect.poll(() => database.poolFigures().waiting).toBe(1);
    first.release();
    await waiting;
    second.release();
    expect(database.poolFigures()).toMatchObject({ total: 2, idle: 2, acquired: before.acquired + 1 });
    expect(database.poolFigures().waitMs.max).toBeGreaterThanOrEqual(before.waitMs.max);
  });

  test("a pool of one refuses a second connection to the flow that holds it", async () => {
    await using database = await testDatabase({ pool: { size: 1, acquireTimeoutMs: 20_000 } });
    await using held = await database.connect();
    expect(await failureOf(database.connect())).toMatchObject({ code: "NESTED_CHECKOUT" });
    expect((await held.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
  });

  test("close waits for connections that are out, and not for ever", async () => {
    await using keep = await testDatabase();
    const database = await openDatabase({ url: ownUrl(keep.url), drainTimeoutMs: 10_000 });
    const connection = await database.connect();
    const running = connection.query<{ one: number }>("SELECT 1 AS one FROM pg_sleep(0.3)");
    const closing = database.close();
    expect((await running).rows).toEqual([{ one: 1 }]);
    connection.release();
    await closing;

    const impatient = await openDatabase({ url: ownUrl(keep.url), drainTimeoutMs: 50 });
    const kept = await impatient.connect();
    await impatient.close();
    expect(await failureOf(impatient.query("SELECT 1"))).toMatchObject({ code: "DATABASE_CLOSED" });
    kept.release();
  });

  test("a connection is of no use after it was given back", async () => {
    await using database = await testDatabase();
    const connection = await database.connect();
    connection.release();
    connection.release();
    expect(await failureOf(connection.query("SELECT 1"))).toMatchObject({ code: "DATABASE_CLOSED" });
    expect(database.poolFigures()).toMatchObject({ total: 1, idle: 1 });
  });
});

describe("connections that die", () => {
  test("an idle connection that the server ended is replaced, and somebody is told", async () => {
    const told: unknown[] = [];
    await using keep = await testDatabase();
    await using database = await openDatabase({
      url: ownUrl(keep.url),
      onConnectionError: (error) => told.push(error),
    });
    const pid = await backend(database);
    await keep.query("SELECT pg_terminate_backend($1)", [pid]);
    await expect.poll(() => told.length).toBeGreaterThan(0);
    expect(told[0]).toMatchObject({ code: "CONNECTION_LOST" });
    expect(await backend(database)).not.toBe(pid);
    expect(await database.health()).toMatchObject({ ok: true });
  });

  test("a connection that died without a word is found out before it is handed out", async () => {
    await using proxied = await proxiedDatabase({ pool: { prePingAfterMs: 0 } });
    proxied.proxy.inject("cutBefore", /^$/);
    expect((await proxied.database.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    expect(proxied.proxy.faultsStruck).toBe(1);
    expect(proxied.proxy.connections).toHaveLength(2);
  });

  test("a connection that dies while it is held is not given to somebody else", async () => {
    await using database = await testDatabase();
    await using keep = await openDatabase({ url: ownUrl(database.url) });
    const connection = await database.connect();
    const { rows } = await connection.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
    await keep.query("SELECT pg_terminate_backend($1)", [rows[0]?.pid]);
    expect(await failureOf(connection.query("SELECT pg_sleep(5)"))).toMatchObject({ code: "CONNECTION_LOST" });
    expect(await failureOf(connection.query("SELECT 1"))).toMatchObject({ code: "CONNECTION_LOST" });
    connection.release();
    expect(database.leases()).toEqual([]);
    expect(await database.health()).toMatchObject({ ok: true, pool: { waiting: 0 } });
  });

  test("a network that swallows everything frees its connection after the statement's cancellation", async () => {
    await using proxied = await proxiedDatabase();
    proxied.proxy.inject("blackHole", /pg_sleep/);
    const stop = new AbortController();
    const failure = failureOf(proxied.database.query("SELECT pg_sleep(60)", [], { signal: stop.signal }));
    await expect.poll(() => proxied.proxy.faultsStruck).toBe(1);
    stop.abort();
    expect(await failure).toMatchObject({ code: expect.stringMatching(/COMMIT_OUTCOME_UNKNOWN|CANCELLED/) as string });
    expect(proxied.database.leases()).toEqual([]);
    expect((await proxied.database.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
  });

  test("connections are replaced after their life time", async () => {
    await using keep = await testDatabase();
    await using database = await openDatabase({ url: ownUrl(keep.url), pool: { maxLifetimeMs: 1_000 } });
    const pid = await backend(database);
    await expect.poll(() => backend(database), { timeout: 10_000, interval: 200 }).not.toBe(pid);
  });
});

describe("a server that goes away", () => {
  let server: RestartableServer;
  beforeAll(async () => {
    server = await startRestartableServer({
      max_connections: "12",
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
      await expect.poll(() => database.leases().length).toBe(1);
      await new Promise((resolve) => setTimeout(resolve, 200));
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

/** Takes a connection in a flow of its own: a flow that holds the only connection of a pool may not wait for another. */
function takeConnection(database: Database): Promise<Connection> {
  return new Promise((resolve) => {
    setTimeout(function takeConnection() {
      resolve(database.connect());
    });
  });
}

async function takeAllConnections(url: string): Promise<pg.Client[]> {
  const clients: pg.Client[] = [];
  for (;;) {
    const client = new pg.Client({ connectionString: url });
    client.on("error", () => undefined);
    const refused = await client.connect().then(
      () => false,
      (error: { code?: string }) => {
        if (error.code !== "53300") throw error;
        return true;
      },
    );
    if (refused) return clients;
    clients.push(client);
  }
}

async function backend(database: Database): Promise<number> {
  return (await database.query<{ pid: number }>("SELECT pg_backend_pid() AS pid")).rows[0]?.pid ?? 0;
}
