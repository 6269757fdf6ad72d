import { asc, eq, gt, sql } from "drizzle-orm";
import { integer, pgTable, text, timestamp } from "drizzle-orm/pg-core";
import { expect, expectTypeOf, test } from "vitest";
import { createSessionFactory } from "../../src/session/index.ts";
import { failureOf } from "../support/failure-of.ts";
import { describeDatabases } from "../support/test-database.ts";

const events = pgTable("events", {
  id: integer().primaryKey(),
  body: text(),
  at: timestamp({ withTimezone: true }).notNull(),
});
const owners = pgTable("owners", { id: integer().primaryKey(), event_id: integer() });
const SETUP = `
CREATE TABLE events (id int PRIMARY KEY, body text, at timestamptz NOT NULL);
CREATE TABLE owners (id int PRIMARY KEY, event_id int);
INSERT INTO events SELECT n, 'b' || n, '2024-01-01 00:00:00+00'::timestamptz FROM generate_series(1, 1000) AS n;
INSERT INTO owners VALUES (1, 1), (2, NULL);`;

describeDatabases((kind, open) => {
  const start = async () => {
    const database = await open({ setup: SETUP });
    return {
      database,
      sessions: createSessionFactory(database, { guard: "off", schema: { events, owners } }),
      [Symbol.asyncDispose]: () => database.close(),
    };
  };

  test.each([1, 7, 500, 999, 1000, 1001])("all rows come typed and in order, %i at a time", async (batchSize) => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      let next = 1;
      for await (const row of tx.stream(tx.select().from(events).orderBy(asc(events.id)), { batchSize })) {
        expectTypeOf(row).toEqualTypeOf<{ id: number; body: string | null; at: Date }>();
        expect(row).toEqual({ id: next, body: `b${next}`, at: new Date("2024-01-01T00:00:00Z") });
        next++;
      }
      expect(next).toBe(1001);
    });
  });

  test("parameters, joins, relational queries and raw SQL are streamed", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const collect = async <T>(rows: AsyncIterable<T>): Promise<T[]> => {
        const all: T[] = [];
        for await (const row of rows) all.push(row);
        return all;
      };
      expect(await collect(tx.stream(tx.select({ id: events.id }).from(events).where(gt(events.id, 998))))).toEqual([
        { id: 999 },
        { id: 1000 },
      ]);
      const joined = tx.select().from(owners).leftJoin(events, eq(events.id, owners.event_id)).orderBy(owners.id);
      expect((await collect(tx.stream(joined))).map((row) => row.events?.body ?? null)).toEqual(["b1", null]);
      expect(await collect(tx.stream(tx.query.owners.findMany({ columns: { id: true } })))).toEqual([
        { id: 1 },
        { id: 2 },
      ]);
      const raw = await collect(
        tx.stream(sql<{ n: number }>`SELECT n FROM generate_series(1, ${3}::int) AS n`, { batchSize: 2 }),
      );
      expectTypeOf(raw).toEqualTypeOf<{ n: number }[]>();
      expect(raw).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
      expect(await collect(tx.stream(tx.select().from(events).where(gt(events.id, 5000))))).toEqual([]);
    });
  });

  test("other statements run inside the loop, and streams stand beside each other", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      let count = 0;
      for await (const { id } of tx.stream(tx.select({ id: events.id }).from(events).orderBy(events.id), {
        batchSize: 3,
      })) {
        await tx.update(events).set({ body: "seen" }).where(eq(events.id, id));
        for await (const inner of tx.stream(tx.select().from(owners), { batchSize: 1 })) count += inner.id;
        if (id === 10) break;
      }
      expect(count).toBe(30);
      expect(await tx.$count(events, eq(events.body, "seen"))).toBe(10);
    });
  });

  test("leaving the loop, by break or by an error, closes the cursor and the unit goes on", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      for await (const row of tx.stream(tx.select().from(events))) if (row.id > 0) break;
      const failing = (async () => {
        for await (const row of tx.stream(tx.select().from(events))) throw new Error(`stop at ${row.body ?? ""}`);
      })();
      await expect(failing).rejects.toThrow("stop at");
      expect((await tx.execute(sql`SELECT name FROM pg_cursors WHERE name LIKE 'pgsteward%'`)).rows).toEqual([]);
      await tx.begin(async (inner) => {
        for await (const row of inner.stream(inner.select().from(owners))) expect(row.id).toBeGreaterThan(0);
      });
    });
    expect(fixture.database.poolFigures().total - fixture.database.poolFigures().idle).toBe(0);
  });

  test("a query that fails in the middle ends the loop with its error", async () => {
    await using fixture = await start();
    const seen: number[] = [];
    const work = fixture.sessions.begin({}, async (tx) => {
      const rows = tx.stream(sql<{ n: number }>`SELECT 10 / (5 - n) AS n FROM generate_series(1, 9) AS n`, {
        batchSize: 2,
      });
      for await (const { n } of rows) seen.push(n);
    });
    await expect(work).rejects.toMatchObject({ sqlState: "22012" });
    expect(seen).toEqual([2, 3, 5, 10]);
    await expect(fixture.sessions.begin({}, (tx) => tx.stream(sql`SELEC 1`).next())).rejects.toMatchObject({
      code: "INVALID_SQL",
    });
    await expect(
      fixture.sessions.begin({}, (tx) => tx.stream(sql`SELECT 1`, { batchSize: 0 }).next()),
    ).rejects.toMatchObject({ code: "INVALID_INPUT" });
    await expect(fixture.sessions.begin({}, (tx) => tx.stream(5 as never).next())).rejects.toMatchObject({
      code: "INVALID_INPUT",
    });
  });

  test("an abort between rows ends the loop and leaves the unit whole", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const controller = new AbortController();
      const seen: number[] = [];
      const loop = (async () => {
        for await (const { id } of tx.stream(tx.select().from(events), { signal: controller.signal, batchSize: 10 })) {
          seen.push(id);
          if (seen.length === 15) controller.abort(new Error("enough"));
        }
      })();
      await expect(loop).rejects.toMatchObject({ code: "CANCELLED", cause: { message: "enough" } });
      expect(seen).toHaveLength(15);
      expect(await tx.$count(events)).toBe(1000);
    });
  });

  test("a stream that outlives its unit says so", async () => {
    await using fixture = await start();
    let kept: AsyncGenerator<unknown> | undefined;
    await fixture.sessions.read({}, async (tx) => {
      kept = tx.stream(tx.select().from(events), { batchSize: 1 });
      await kept.next();
    });
    await expect(kept?.next()).rejects.toMatchObject({ code: "UNIT_CLOSED" });
    await expect(fixture.sessions.run({}, (tx) => tx.stream(tx.select().from(events)) as never)).rejects.toMatchObject({
      code: "INVALID_INPUT",
    });
  });

  if (kind === "server") {
    test("an abort during a fetch cancels it on the server", async () => {
      await using fixture = await start();
      const fetching = async (): Promise<number | null> =>
        (
          await fixture.database.query(
            "SELECT FROM pg_stat_activity WHERE query LIKE '%FETCH FORWARD%' AND wait_event = 'PgSleep' AND datname = current_database()",
          )
        ).rowCount;
      const controller = new AbortController();
      const work = fixture.sessions.begin({}, async (tx) => {
        for await (const row of tx.stream(sql`SELECT pg_sleep(20)`, { signal: controller.signal }))
          expect(row).toBeDefined();
      });
      const failure = failureOf(work);
      await expect.poll(fetching).toBe(1);
      controller.abort();
      expect(await failure).toMatchObject({ code: "CANCELLED" });
      await expect.poll(fetching).toBe(0);
    });
  }

  test("memory does not grow with the number of rows", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      let bytes = 0;
      let highest = 0;
      const before = process.memoryUsage().heapUsed;
      for await (const { body } of tx.stream(
        sql<{ body: string }>`SELECT repeat('x', 1000) AS body FROM generate_series(1, 100000)`,
        { batchSize: 200 },
      )) {
        bytes += body.length;
        if (bytes % 5_000_000 === 0) highest = Math.max(highest, process.memoryUsage().heapUsed - before);
      }
      expect(bytes).toBe(100_000_000);
      expect(highest).toBeLessThan(80_000_000); // what was garbage already is not collected at once
    });
  });
});
