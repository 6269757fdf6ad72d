// Giving up: an AbortSignal or a limit ends a unit wherever it stands, the server stops working for it, and the pool is as
// it was before.
import { sql } from "drizzle-orm";
import { integer, pgTable } from "drizzle-orm/pg-core";
import pg from "pg";
import { expect, test } from "vitest";
import { createSessionFactory, type SessionFactory } from "../../src/session/index.ts";
import { failureOf } from "../support/failure-of.ts";
import { proxiedDatabase } from "../support/proxied-database.ts";
import { testDatabase } from "../support/test-database.ts";

const items = pgTable("items", { id: integer().primaryKey() });
const SETUP = "CREATE TABLE items (id int PRIMARY KEY); INSERT INTO items VALUES (0);";
const SLEEP = sql`SELECT pg_sleep(30)`;
const start = async () => {
  const database = await testDatabase({ setup: SETUP, pool: { size: 2 } });
  const watcher = new pg.Client({ connectionString: database.url });
  await watcher.connect();
  // Not the watcher: inside a transaction pg_stat_activity stays as it was when it was first read.
  const other = new pg.Client({ connectionString: database.url, application_name: "other" });
  await other.connect();
  const count = async (condition: string): Promise<number> => {
    const { rows } = await watcher.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM pg_stat_activity
       WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> 'other' AND ${condition}`,
    );
    return rows[0]?.count ?? -1;
  };
  return {
    database,
    sessions: createSessionFactory(database, { guard: "off" }),
    sleeping: () => count("wait_event = 'PgSleep'"),
    waiting: () => count("wait_event_type = 'Lock'"),
    working: () => count("state <> 'idle'"),
    ids: async () => (await watcher.query<{ id: number }>("SELECT id FROM items ORDER BY id")).rows.map(({ id }) => id),
    exec: (script: string) => other.query(script),
    async [Symbol.asyncDispose]() {
      await other.end();
      await watcher.end();
      await database.close();
    },
  };
};

/** On a busy machine the server may not obey in time: then the socket is cut, and the unit is tried again. */
async function inTime(fixture: Awaited<ReturnType<typeof start>>, abortOne: () => Promise<unknown>): Promise<unknown> {
  for (let attempt = 1; ; attempt++) {
    const error = await abortOne();
    await expect.poll(fixture.working).toBe(0);
    await expect.poll(() => fixture.database.leases()).toEqual([]);
    if (fixture.database.poolFigures().total === 1 || attempt === 5) return error;
  }
}

const ways: readonly {
  readonly what: string;
  readonly open: (sessions: SessionFactory, signal: AbortSignal) => Promise<unknown>;
}[] = [
  {
    what: "run",
    open: (sessions, signal) =>
      sessions.run({}, (tx) => [tx.insert(items).values({ id: 1 }), tx.execute(SLEEP)], { signal }),
  },
  {
    what: "begin",
    open: (sessions, signal) =>
      sessions.begin(
        {},
        async (tx) => {
          await tx.insert(items).values({ id: 1 });
          await tx.execute(SLEEP);
        },
        { signal },
      ),
  },
  {
    what: "a nested begin",
    open: (sessions, signal) =>
      sessions.begin(
        {},
        async (tx) => {
          await tx.insert(items).values({ id: 1 });
          await tx.begin((inner) => inner.execute(SLEEP)).catch(() => undefined);
        },
        { signal },
      ),
  },
  { what: "read", open: (sessions, signal) => sessions.read({}, (tx) => tx.execute(SLEEP), { signal }) },
  {
    what: "an interactive read",
    open: (sessions, signal) => sessions.read({}, async (tx) => (await tx.execute(SLEEP)).rows, { signal }),
  },
];

for (const { what, open } of ways) {
  test(`aborting ${what} stops its statement on the server within a second and keeps nothing`, async () => {
    await using fixture = await start();
    const error = await inTime(fixture, async () => {
      const stop = new AbortController();
      const failure = failureOf(open(fixture.sessions, stop.signal));
      await expect.poll(fixture.sleeping).toBe(1);
      stop.abort(new Error("the user left"));
      return failure;
    });
    expect(error).toMatchObject({ code: "CANCELLED" });
    expect(await fixture.ids()).toEqual([0]);
    await expect.poll(() => fixture.database.leases()).toEqual([]);
    expect(fixture.database.poolFigures()).toMatchObject({ total: 1, idle: 1, waiting: 0 });
  });
}

test("a unit that waits for a lock can be aborted", async () => {
  await using fixture = await start();
  await fixture.exec("BEGIN");
  await fixture.exec("LOCK TABLE items");
  const error = await inTime(fixture, async () => {
    const stop = new AbortController();
    const failure = failureOf(
      fixture.sessions.run({}, (tx) => tx.insert(items).values({ id: 1 }), { signal: stop.signal }),
    );
    await expect.poll(fixture.waiting).toBe(1);
    stop.abort();
    return failure;
  });
  expect(error).toMatchObject({ code: "CANCELLED" });
  await fixture.exec("ROLLBACK");
  expect(await fixture.ids()).toEqual([0]);
});

test("a unit that waits for a connection can be aborted, and the others get theirs", async () => {
  await using fixture = await start();
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const holders = [1, 2].map((id) =>
    fixture.sessions.begin({}, async (tx) => {
      await tx.insert(items).values({ id });
      await released;
    }),
  );
  await expect.poll(() => fixture.database.leases().length).toBe(2);
  const stop = new AbortController();
  const failure = failureOf(fixture.sessions.run({}, (tx) => tx.select().from(items), { signal: stop.signal }));
  const patient = fixture.sessions.run({}, (tx) => tx.insert(items).values({ id: 3 }));
  await expect.poll(() => fixture.database.poolFigures().waiting).toBe(2);
  stop.abort();
  expect(await failure).toMatchObject({ code: "CANCELLED" });
  expect(fixture.database.poolFigures().waiting).toBe(1);
  release();
  await Promise.all([...holders, patient]);
  expect(await fixture.ids()).toEqual([0, 1, 2, 3]);
  expect(fixture.database.poolFigures()).toMatchObject({ total: 2, idle: 2, waiting: 0 });
});

test("an abort during COMMIT tells what became of it: rolled back when the server could stop it", async () => {
  await using fixture = await start();
  await fixture.exec(
    `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(30); RETURN NULL; END $$`,
  );
  await fixture.exec(`CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON items DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION slow()`);
  const error = await inTime(fixture, async () => {
    const stop = new AbortController();
    const failure = failureOf(
      fixture.sessions.begin({}, (tx) => tx.insert(items).values({ id: 1 }), { signal: stop.signal }),
    );
    await expect.poll(fixture.sleeping).toBe(1);
    stop.abort();
    return failure;
  });
  expect(error).toMatchObject({ code: "CANCELLED" });
  expect(await fixture.ids()).toEqual([0]);
  expect(fixture.database.leases()).toEqual([]);
});

test("an abort during COMMIT whose answer never comes is an unknown outcome, never a success or a plain cancellation", async () => {
  await using proxied = await proxiedDatabase({ setup: SETUP });
  const sessions = createSessionFactory(proxied.database, { guard: "off" });
  proxied.proxy.inject("blackHole", /^COMMIT$/);
  const stop = new AbortController();
  const failure = failureOf(sessions.begin({}, (tx) => tx.insert(items).values({ id: 1 }), { signal: stop.signal }));
  await expect.poll(() => proxied.proxy.faultsStruck).toBe(1);
  stop.abort();
  expect(await failure).toMatchObject({ code: "COMMIT_OUTCOME_UNKNOWN" });
  expect(proxied.database.leases()).toEqual([]);
});

test("a network that swallows everything holds an aborted unit for no longer than the grace of its cancel request", async () => {
  await using proxied = await proxiedDatabase({ setup: SETUP });
  const sessions = createSessionFactory(proxied.database, { guard: "off" });
  proxied.proxy.inject("blackHole", /pg_sleep/);
  const stop = new AbortController();
  const failure = failureOf(sessions.begin({}, (tx) => tx.execute(SLEEP), { signal: stop.signal }));
  await expect.poll(() => proxied.proxy.faultsStruck).toBe(1);
  stop.abort();
  expect(await failure).toMatchObject({ code: "CANCELLED" });
  await expect.poll(() => proxied.database.leases()).toEqual([]);
  expect((await sessions.run({}, (tx) => tx.select().from(items))).length).toBe(1);
});

for (const { limits, sleep, code } of [
  { limits: { statementTimeoutMs: 60 }, sleep: SLEEP, code: "STATEMENT_TIMEOUT" },
  { limits: { unitTimeoutMs: 120 }, sleep: SLEEP, code: "UNIT_TOO_LONG" },
  { limits: { unitTimeoutMs: 120, statementTimeoutMs: 0 }, sleep: SLEEP, code: "UNIT_TOO_LONG" },
] as const) {
  test(`a unit with ${JSON.stringify(limits)} ends with ${code}, and the server has stopped within a second`, async () => {
    await using fixture = await start();
    const error = await failureOf(
      fixture.sessions.begin(
        {},
        async (tx) => {
          await tx.insert(items).values({ id: 1 });
          await tx.execute(sleep);
        },
        { limits },
      ),
    );
    expect(error).toMatchObject({
      code: expect.stringMatching(new RegExp(`^(${code}|TRANSACTION_TIMEOUT)$`)) as string,
    });
    await expect.poll(fixture.working).toBe(0);
    await expect.poll(() => fixture.database.leases()).toEqual([]);
    expect(await fixture.ids()).toEqual([0]);
  });
}

test("a lock that is waited for longer than the limit ends the wait, not the connection", async () => {
  await using fixture = await start();
  await fixture.exec("BEGIN");
  await fixture.exec("LOCK TABLE items");
  const error = await failureOf(
    fixture.sessions.run({}, (tx) => tx.insert(items).values({ id: 1 }), { limits: { lockTimeoutMs: 50 } }),
  );
  expect(error).toMatchObject({ code: "LOCK_NOT_AVAILABLE" });
  await fixture.exec("ROLLBACK");
  expect(fixture.database.poolFigures()).toMatchObject({ total: 1, idle: 1 });
});

test("a hundred aborted units leave nothing running and nothing leased", async () => {
  await using fixture = await start();
  const outcomes = await Promise.all(
    Array.from({ length: 100 }, async (_, index) => {
      const signal = AbortSignal.timeout(20 + index * 5);
      return failureOf(fixture.sessions.run({}, (tx) => tx.execute(sql`SELECT pg_sleep(5)`), { signal }));
    }),
  );
  // On a busy machine the server may not obey in time: then the socket is cut, and the outcome of a writing unit is unknown.
  for (const outcome of outcomes)
    expect(outcome).toMatchObject({ code: expect.stringMatching(/^(CANCELLED|COMMIT_OUTCOME_UNKNOWN)$/) as string });
  await expect.poll(fixture.working).toBe(0);
  await expect.poll(() => fixture.database.leases()).toEqual([]);
  expect(fixture.database.poolFigures().waiting).toBe(0);
  expect(await fixture.sessions.run({}, (tx) => tx.select().from(items))).toHaveLength(1);
});
