// Reads on streaming replicas: they see what their tenant wrote last, and a replica that is behind, gone or promoted only
// costs time, never a wrong answer.
import { eq, sql } from "drizzle-orm";
import { integer, pgTable, text } from "drizzle-orm/pg-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDatabase, type Database } from "../../src/postgres/index.ts";
import { createSessionFactory } from "../../src/session/index.ts";
import { failureOf } from "../support/failure-of.ts";
import { startReplicatedServer, type ReplicatedServer } from "../support/replicated-server.ts";
import { startWireProxy } from "../support/wire-proxy.ts";

const notes = pgTable("notes", { id: integer().primaryKey(), body: text() });
const SETUP = "CREATE TABLE notes (id int PRIMARY KEY, body text); INSERT INTO notes VALUES (0, 'first');";
const A = { tenantId: "00000000-0000-4000-8000-00000000000a" };
const B = { tenantId: "00000000-0000-4000-8000-00000000000b" };
const WHERE = sql`SELECT pg_is_in_recovery() AS replica`;

let servers: ReplicatedServer;
let primary: Database;
let replica: Database;

beforeAll(async () => {
  servers = await startReplicatedServer(1, { max_standby_streaming_delay: "100ms" });
  const [first] = servers.replicas;
  if (first === undefined) throw new Error("no replica");
  primary = await openDatabase(servers.primary.url);
  replica = await openDatabase(first.url);
  await primary.exec(SETUP);
});
afterAll(async () => {
  await replica?.close();
  await primary?.close();
  await servers?.[Symbol.asyncDispose]();
});

const standby = () => {
  const [first] = servers.replicas;
  if (first === undefined) throw new Error("no replica");
  return first;
};
let nextId = 1;

/** Of a factory whose reads have to find the replica: one that answers late is left alone for 5 s. */
const PATIENT = { guard: "off", replicaWaitMs: 60_000 } as const;

test("a read goes to the replica, a write to the primary", async () => {
  const sessions = createSessionFactory(primary, { ...PATIENT, replicas: [replica] });
  expect((await sessions.read({}, (tx) => tx.execute(WHERE))).rows).toEqual([{ replica: true }]);
  expect(await sessions.read({}, async (tx) => (await tx.execute(WHERE)).rows)).toEqual([{ replica: true }]);
  expect((await sessions.run({}, (tx) => tx.execute(WHERE))).rows).toEqual([{ replica: false }]);
  expect(await sessions.begin({}, async (tx) => (await tx.execute(WHERE)).rows)).toEqual([{ replica: false }]);
  expect((await sessions.read({}, (tx) => tx.execute(WHERE), { from: "primary" })).rows).toEqual([{ replica: false }]);
});

for (const kind of ["run", "begin"] as const) {
  test(`what ${kind} wrote is seen by the very next read, 100 times in a row`, async () => {
    const sessions = createSessionFactory(primary, { ...PATIENT, replicas: [replica] });
    let fromReplica = 0;
    for (let round = 0; round < 100; round++) {
      const id = nextId++;
      if (kind === "run") await sessions.run(A, (tx) => tx.insert(notes).values({ id, body: "new" }));
      else await sessions.begin(A, (tx) => tx.insert(notes).values({ id, body: "new" }));
      const [rows, where] = await sessions.read(A, (tx) => [
        tx.select().from(notes).where(eq(notes.id, id)),
        tx.execute<{ replica: boolean }>(WHERE),
      ]);
      expect(rows).toEqual([{ id, body: "new" }]);
      if (where.rows[0]?.replica === true) fromReplica++;
    }
    expect(fromReplica).toBe(100);
  });
}

test("a replica that is held back is waited for up to the limit, and then the primary answers", async () => {
  const sessions = createSessionFactory(primary, { guard: "off", replicas: [replica], replicaWaitMs: 100 });
  await sessions.read(A, (tx) => tx.execute(WHERE));
  await servers.pauseReplay(standby(), true);
  try {
    const id = nextId++;
    await sessions.run(A, (tx) => tx.insert(notes).values({ id }));
    const [rows, where] = await sessions.read(A, (tx) => [
      tx.select().from(notes).where(eq(notes.id, id)),
      tx.execute(WHERE),
    ]);
    expect(rows).toHaveLength(1);
    expect(where.rows).toEqual([{ replica: false }]);
    // Who wrote nothing has nothing to wait for.
    const patient = createSessionFactory(primary, { ...PATIENT, replicas: [replica] });
    await patient.run(A, (tx) => tx.insert(notes).values({ id: nextId++ }));
    expect((await patient.read(B, (tx) => tx.execute(WHERE))).rows).toEqual([{ replica: true }]);
  } finally {
    await servers.pauseReplay(standby(), false);
  }
});

test("a replica that catches up within the limit answers", async () => {
  const sessions = createSessionFactory(primary, { guard: "off", replicas: [replica], replicaWaitMs: 60_000 });
  await servers.pauseReplay(standby(), true);
  const id = nextId++;
  await sessions.run(A, (tx) => tx.insert(notes).values({ id }));
  const reading = sessions.read(A, (tx) => [tx.select().from(notes).where(eq(notes.id, id)), tx.execute(WHERE)]);
  await new Promise((resolve) => setTimeout(resolve, 100));
  await servers.pauseReplay(standby(), false);
  const [rows, where] = await reading;
  expect(rows).toHaveLength(1);
  expect(where.rows).toEqual([{ replica: true }]);
});

describe("consistency tokens", () => {
  test("a token carries a write to another process", async () => {
    const writer = createSessionFactory(primary, { guard: "off", replicas: [replica] });
    const reader = createSessionFactory(primary, { guard: "off", replicas: [replica], replicaWaitMs: 50 });
    expect(writer.consistencyToken(A)).toBeUndefined();
    await servers.pauseReplay(standby(), true);
    try {
      const id = nextId++;
      await writer.run(A, (tx) => tx.insert(notes).values({ id }));
      const token = writer.consistencyToken(A);
      expect(token).toMatch(/^1-[0-9A-F]{16}$/);
      expect(encodeURIComponent(token ?? "")).toBe(token);
      expect(writer.consistencyToken(B)).toBeUndefined();
      const patient = createSessionFactory(primary, { ...PATIENT, replicas: [replica] });
      const find = (after?: string) =>
        (after === undefined ? patient : reader).read(A, (tx) => tx.select().from(notes).where(eq(notes.id, id)), {
          after,
        });
      expect(await find()).toEqual([]);
      expect(await find(token)).toHaveLength(1);
    } finally {
      await servers.pauseReplay(standby(), false);
    }
  });

  test("tokens of one context only grow", async () => {
    const sessions = createSessionFactory(primary, { guard: "off", replicas: [replica] });
    const tokens: string[] = [];
    for (let round = 0; round < 5; round++) {
      await sessions.begin(A, (tx) => tx.insert(notes).values({ id: nextId++ }));
      tokens.push(sessions.consistencyToken(A) ?? "");
    }
    expect(tokens).toEqual(tokens.toSorted());
    expect(new Set(tokens).size).toBe(5);
  });

  test("what is no token is refused", async () => {
    const sessions = createSessionFactory(primary, { guard: "off", replicas: [replica] });
    for (const after of [
      "",
      "1",
      "0-0000000000000001",
      "1-zz",
      "1-0000000000000001 ",
      "1-00000000000000011",
      "x".repeat(10_000),
    ]) {
      expect(await failureOf(sessions.read(A, (tx) => tx.execute(WHERE), { after }))).toMatchObject({
        code: "INVALID_INPUT",
      });
    }
  });

  test("a token of a later timeline, or of the far future, is answered by the primary", async () => {
    const sessions = createSessionFactory(primary, { guard: "off", replicas: [replica], replicaWaitMs: 20 });
    for (const after of ["2-0000000000000001", "1-FFFFFFFFFFFFFFFF"]) {
      expect((await sessions.read(A, (tx) => tx.execute(WHERE), { after })).rows).toEqual([{ replica: false }]);
    }
  });

  test("a failed or empty unit moves no token", async () => {
    const sessions = createSessionFactory(primary, { guard: "off", replicas: [replica] });
    await failureOf(sessions.run(A, (tx) => tx.insert(notes).values({ id: 0 })));
    await failureOf(sessions.begin(A, (tx) => tx.insert(notes).values({ id: 0 })));
    await sessions.begin(A, () => Promise.resolve());
    expect(sessions.consistencyToken(A)).toBeUndefined();
    expect(primary.leases()).toEqual([]);
    expect((await sessions.run(A, (tx) => tx.select().from(notes).where(eq(notes.id, 0)))).length).toBe(1);
  });
});

test("the position costs no flush: run stays at one, begin at two", async () => {
  const { hostname, port } = new URL(servers.primary.url);
  await using proxy = await startWireProxy({ targetHost: hostname, targetPort: Number(port) });
  await using database = await openDatabase(proxy.url(servers.primary.url));
  const sessions = createSessionFactory(database, { guard: "off", replicas: [replica] });
  await database.query("SELECT 1");
  proxy.resetCount();
  await sessions.run(A, (tx) => tx.insert(notes).values({ id: nextId++ }));
  expect(proxy.flushes).toBe(1);
  await sessions.begin(A, (tx) => tx.insert(notes).values({ id: nextId++ }));
  expect(proxy.flushes).toBe(3);
  await sessions.read(B, (tx) => tx.execute(WHERE));
  expect(proxy.flushes).toBe(3);
});

test("a declared unit that fails is rolled back, with replicas too, and its connection is used again", async () => {
  const sessions = createSessionFactory(primary, { guard: "off", replicas: [replica] });
  const id = nextId++;
  const error = await failureOf(
    sessions.run(A, (tx) => [tx.insert(notes).values({ id }), tx.insert(notes).values({ id: 0 })]),
  );
  expect(error).toMatchObject({ code: "UNIQUE_VIOLATION", statementIndex: 1 });
  const { total } = primary.poolFigures();
  expect(await sessions.run(A, (tx) => tx.select().from(notes).where(eq(notes.id, id)))).toEqual([]);
  expect(primary.poolFigures()).toMatchObject({ total, waiting: 0 });
  expect(primary.leases()).toEqual([]);
});

test("row locks and writes are refused in a read, on the replica and on the primary", async () => {
  const sessions = createSessionFactory(primary, { guard: "off", replicas: [replica] });
  for (const from of ["any", "primary"] as const) {
    for (const work of [
      failureOf(sessions.read({}, (tx) => tx.select().from(notes).for("update"), { from })),
      failureOf(sessions.read({}, async (tx) => await tx.select().from(notes).for("share"), { from })),
      failureOf(sessions.read({}, (tx) => tx.insert(notes).values({ id: nextId }), { from })),
    ]) {
      expect(await work).toMatchObject({ code: "READ_ONLY", hint: expect.stringContaining("begin()") as string });
    }
  }
});

test("a unit inside a read joins it, and cannot write beside it", async () => {
  const sessions = createSessionFactory(primary, { guard: "off", replicas: [replica] });
  const error = await failureOf(
    sessions.read({}, async () => {
      await sessions.begin({}, (tx) => tx.insert(notes).values({ id: 5_000 }));
    }),
  );
  expect(error).toMatchObject({ code: "READ_ONLY" });
});

test("serializable reads go to the primary", async () => {
  const sessions = createSessionFactory(primary, { guard: "off", replicas: [replica] });
  const { rows } = await sessions.read({}, (tx) => tx.execute(WHERE), { isolation: "serializable", deferrable: true });
  expect(rows).toEqual([{ replica: false }]);
});

test("a read that stands in the way of the replay is done again on the primary", async () => {
  const sessions = createSessionFactory(primary, {
    ...PATIENT,
    replicas: [replica],
    retry: false,
    limits: { statementTimeoutMs: 0 },
  });
  await sessions.run({}, (tx) => tx.execute(sql`CREATE TABLE IF NOT EXISTS doomed AS SELECT 1 AS one`));
  let runs = 0;
  const rows = await sessions.read({}, async (tx) => {
    runs++;
    await tx.execute(sql`SELECT * FROM doomed`);
    if (runs === 1) await primary.exec("TRUNCATE doomed");
    // Ended by the replay, which waits for no longer than max_standby_streaming_delay.
    if (runs === 1) await tx.execute(sql`SELECT pg_sleep(60)`);
    return (await tx.execute(WHERE)).rows;
  });
  expect([runs, rows]).toEqual([2, [{ replica: false }]]);
});

test("a replica that cannot be reached is passed over, and used again when it is back", async () => {
  const { hostname, port } = new URL(standby().url);
  await using proxy = await startWireProxy({ targetHost: hostname, targetPort: Number(port) });
  await using throughProxy = await openDatabase(proxy.url(standby().url));
  const sessions = createSessionFactory(primary, { ...PATIENT, replicas: [throughProxy] });
  const where = async () => (await sessions.read({}, (tx) => tx.execute<{ replica: boolean }>(WHERE))).rows[0]?.replica;
  expect(await where()).toBe(true);
  proxy.inject("cutBefore", /pg_is_in_recovery\(\) AS replica/);
  expect(await where()).toBe(false);
  expect(await where()).toBe(false);
  await expect.poll(where, { interval: 200 }).toBe(true);
  proxy.refuseConnections(true);
  proxy.cutAll();
  expect(await where()).toBe(false);
});

test("a server that is no replica is never read from as one", async () => {
  await using other = await openDatabase(`${servers.primary.url}?fallback_application_name=other`);
  const sessions = createSessionFactory(primary, { guard: "off", replicas: [other] });
  const before = other.poolFigures().acquired;
  for (let round = 0; round < 3; round++) await sessions.read({}, (tx) => tx.execute(WHERE));
  expect(other.poolFigures().acquired).toBe(before + 1);
});

test("options that make no sense are refused", () => {
  for (const replicaWaitMs of [-1, 0.5, Number.NaN])
    expect(() => createSessionFactory(primary, { guard: "off", replicaWaitMs })).toThrow(
      expect.objectContaining({ code: "INVALID_INPUT" }),
    );
});

test("after a promotion the old replica is left alone", async () => {
  await using separate = await startReplicatedServer(1);
  const [promoted] = separate.replicas;
  if (promoted === undefined) throw new Error("no replica");
  await using main = await openDatabase(separate.primary.url);
  await using second = await openDatabase(promoted.url);
  await main.exec(SETUP);
  const sessions = createSessionFactory(main, { guard: "off", replicas: [second], replicaWaitMs: 2_000 });
  await sessions.run(A, (tx) => tx.insert(notes).values({ id: 1 }));
  await expect
    .poll(async () => (await sessions.read(A, (tx) => tx.execute(WHERE))).rows, { interval: 100 })
    .toEqual([{ replica: true }]);
  await separate.promote(promoted);
  await second.query("INSERT INTO notes VALUES (2, 'written on the other side')");
  await sessions.run(A, (tx) => tx.insert(notes).values({ id: 3 }));
  const rows = await sessions.read(A, (tx) => tx.select({ id: notes.id }).from(notes).orderBy(notes.id));
  expect(rows.map(({ id }) => id)).toEqual([0, 1, 3]);
});
