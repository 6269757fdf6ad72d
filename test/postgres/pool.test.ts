// A pool whose connections are all taken, and one whose connections die.
import { describe, expect, test } from "vitest";
import { openDatabase, type AcquireOptions, type Connection, type Database } from "../../src/postgres/index.ts";
import { failureOf } from "../support/failure-of.ts";
import { proxiedDatabase } from "../support/proxied-database.ts";
import { testDatabase } from "../support/test-database.ts";
import { ownUrl } from "./own-url.ts";

describe("a pool under pressure", () => {
  test("a wait for a connection ends, and its hint names who holds them and where", async () => {
    await using database = await testDatabase({ pool: { size: 1, acquireTimeoutMs: 300 } });
    await using held = await takeConnection(database, { timeoutMs: 60_000 });
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
    await using database = await openDatabase({ url: ownUrl(keep.url), pool: { maxLifetimeMs: 300 } });
    const pid = await backend(database);
    await expect.poll(() => backend(database)).not.toBe(pid);
  });
});

/** Takes a connection in a flow of its own: a flow that holds the only connection of a pool may not wait for another. */
function takeConnection(database: Database, options: AcquireOptions = {}): Promise<Connection> {
  return new Promise((resolve) => {
    setTimeout(function takeConnection() {
      resolve(database.connect(options));
    });
  });
}

async function backend(database: Database): Promise<number> {
  return (await database.query<{ pid: number }>("SELECT pg_backend_pid() AS pid")).rows[0]?.pid ?? 0;
}
