// What a unit of work costs on the wire, counted by a proxy: flushes are round trips, Syncs are transactions.
import { eq, sql } from "drizzle-orm";
import { integer, pgTable, text } from "drizzle-orm/pg-core";
import { expect, test } from "vitest";
import { createSessionFactory } from "../../src/session/index.ts";
import { proxiedDatabase } from "../support/proxied-database.ts";

const agents = pgTable("agents", { id: integer().primaryKey(), name: text().notNull() });
const SETUP = "CREATE TABLE agents (id int PRIMARY KEY, name text NOT NULL); INSERT INTO agents VALUES (1, 'ada');";
const TENANT = { tenantId: "00000000-0000-4000-8000-00000000000a", actorId: "ada", requestId: "r1" };

const start = async () => {
  const proxied = await proxiedDatabase({ setup: SETUP });
  return {
    ...proxied,
    sessions: createSessionFactory(proxied.database),
    syncs: () => proxied.proxy.sequence.split("S").length - 1,
    [Symbol.asyncDispose]: () => proxied[Symbol.asyncDispose](),
  };
};

test("run with one query is one flush and one Sync, with every field of the context", async () => {
  await using fixture = await start();
  const rows = await fixture.sessions.run(TENANT, (tx) => tx.select().from(agents).where(eq(agents.id, 1)));
  expect(rows).toEqual([{ id: 1, name: "ada" }]);
  expect(fixture.proxy.flushes).toBe(1);
  expect(fixture.syncs()).toBe(1);
});

test("run is one flush also when its statements are prepared already", async () => {
  await using fixture = await start();
  const read = () => fixture.sessions.run(TENANT, (tx) => tx.select().from(agents).where(eq(agents.id, 1)));
  for (let round = 0; round < 4; round++) await read();
  fixture.proxy.resetCount();
  expect(await read()).toEqual([{ id: 1, name: "ada" }]);
  expect(fixture.proxy.flushes).toBe(1);
  expect(fixture.proxy.sequence).toBe("BEBES");
});

test("run with a list is one flush and one Sync", async () => {
  await using fixture = await start();
  await fixture.sessions.run(TENANT, (tx) => [
    tx.insert(agents).values({ id: 2, name: "bob" }),
    tx.update(agents).set({ name: "eve" }).where(eq(agents.id, 1)),
    tx.select().from(agents),
    tx.execute(sql`SELECT 1`),
  ]);
  expect(fixture.proxy.flushes).toBe(1);
  expect(fixture.syncs()).toBe(1);
});

test("run with a role, an isolation level and limits is still one flush", async () => {
  await using fixture = await start();
  await fixture.direct.exec(
    "DO $$ BEGIN CREATE ROLE flush_test_app NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$; GRANT SELECT ON agents TO flush_test_app;",
  );
  const rows = await fixture.sessions.run(
    { ...TENANT, role: "flush_test_app" },
    (tx) =>
      tx.execute(sql`SELECT current_user AS role, current_setting('transaction_isolation') AS isolation,
        current_setting('lock_timeout') AS lock_timeout`),
    { isolation: "serializable", limits: { lockTimeoutMs: 77 } },
  );
  expect(rows.rows).toEqual([{ role: "flush_test_app", isolation: "serializable", lock_timeout: "77ms" }]);
  expect(fixture.proxy.flushes).toBe(1);
});

test("a failed run is one flush: there is nothing to roll back", async () => {
  await using fixture = await start();
  await expect(
    fixture.sessions.run({}, (tx) => [
      tx.insert(agents).values({ id: 2, name: "bob" }),
      tx.insert(agents).values({ id: 1, name: "twice" }),
    ]),
  ).rejects.toMatchObject({ code: "UNIQUE_VIOLATION" });
  expect(fixture.proxy.flushes).toBe(1);
});

test("begin with one statement is two flushes", async () => {
  await using fixture = await start();
  await fixture.sessions.begin(TENANT, (tx) => tx.insert(agents).values({ id: 2, name: "bob" }));
  expect(fixture.proxy.flushes).toBe(2);
  expect(fixture.syncs()).toBe(2);
});

test("statements that begin starts in the same tick share a flush; each one that depends on another adds one", async () => {
  await using fixture = await start();
  await fixture.sessions.begin(TENANT, async (tx) => {
    await Promise.all([
      tx.insert(agents).values({ id: 2, name: "bob" }),
      tx.insert(agents).values({ id: 3, name: "eve" }),
      tx.select().from(agents),
    ]);
  });
  expect(fixture.proxy.flushes).toBe(2);
  fixture.proxy.resetCount();
  await fixture.sessions.begin(TENANT, async (tx) => {
    const [row] = await tx.select().from(agents).where(eq(agents.id, 2)).for("update");
    await tx
      .update(agents)
      .set({ name: "hal" })
      .where(eq(agents.id, row?.id ?? 0));
  });
  expect(fixture.proxy.flushes).toBe(3);
});

test("nested begins add no flush, whether they succeed or fail", async () => {
  await using fixture = await start();
  await fixture.sessions.begin(TENANT, async (tx) => {
    await tx.begin(async (inner) => {
      await inner.begin((innermost) => innermost.insert(agents).values({ id: 2, name: "bob" }));
    });
  });
  expect(fixture.proxy.flushes).toBe(2);
  fixture.proxy.resetCount();
  await fixture.sessions.begin(TENANT, async (tx) => {
    await tx
      .begin(async (inner) => {
        await inner.insert(agents).values({ id: 3, name: "eve" });
        throw new Error("not this one");
      })
      .catch(() => undefined);
    await tx.insert(agents).values({ id: 4, name: "fay" });
  });
  expect(fixture.proxy.flushes).toBe(3);
  const { rows } = await fixture.direct.query("SELECT id FROM agents ORDER BY id");
  expect(rows).toEqual([{ id: 1 }, { id: 2 }, { id: 4 }]);
});

test("a nested begin without statements sends nothing", async () => {
  await using fixture = await start();
  await fixture.sessions.begin(TENANT, async (tx) => {
    await tx.begin(() => Promise.resolve());
    await tx.insert(agents).values({ id: 2, name: "bob" });
    await tx.begin(() => Promise.resolve());
  });
  expect(fixture.proxy.flushes).toBe(2);
  expect(fixture.proxy.texts.filter((text) => text.includes("SAVEPOINT"))).toEqual([]);
});

test("a declared read is one flush, an interactive read two", async () => {
  await using fixture = await start();
  expect(await fixture.sessions.read(TENANT, (tx) => tx.select().from(agents))).toHaveLength(1);
  expect(fixture.proxy.flushes).toBe(1);
  expect(fixture.syncs()).toBe(1);
  fixture.proxy.resetCount();
  await fixture.sessions.read(TENANT, async (tx) => {
    await tx.select().from(agents);
  });
  expect(fixture.proxy.flushes).toBe(2);
});

test("a unit without statements sends nothing and takes no connection", async () => {
  await using fixture = await start();
  const before = fixture.database.poolFigures().acquired;
  await fixture.sessions.begin(TENANT, () => Promise.resolve("nothing to do"));
  await fixture.sessions.run(TENANT, () => []);
  await fixture.sessions.read(TENANT, async () => "nothing to read");
  await expect(
    fixture.sessions.begin(TENANT, () => {
      throw new Error("before the first statement");
    }),
  ).rejects.toThrow("before the first statement");
  expect(fixture.proxy.flushes).toBe(0);
  expect(fixture.proxy.sequence).toBe("");
  expect(fixture.database.poolFigures().acquired).toBe(before);
});

test("an interactive unit that fails costs one flush for its ROLLBACK", async () => {
  await using fixture = await start();
  await expect(
    fixture.sessions.begin(TENANT, async (tx) => {
      await tx.insert(agents).values({ id: 2, name: "bob" });
      throw new Error("no");
    }),
  ).rejects.toThrow("no");
  expect(fixture.proxy.flushes).toBe(2);
  expect(fixture.proxy.texts.at(-1)).toBe("ROLLBACK");
});
