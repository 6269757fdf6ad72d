// Units that are run again: after which failures, how often, and never when they may have been committed already.
import { eq, sql } from "drizzle-orm";
import { integer, pgTable, text } from "drizzle-orm/pg-core";
import { expect, test } from "vitest";
import { SerializationFailureError } from "../../src/postgres/index.ts";
import { createSessionFactory, type RetryNotice } from "../../src/session/index.ts";
import { failureOf } from "../support/failure-of.ts";
import { describeDatabases, testDatabase } from "../support/test-database.ts";
import { counters, FAST, SETUP } from "./counters.ts";

const notes = pgTable("notes", { id: integer().primaryKey(), body: text() });

describeDatabases((_kind, open) => {
  for (const state of ["40001", "40P01"]) {
    test(`a unit that fails with ${state} is run again from its beginning`, async () => {
      await using database = await open({ setup: SETUP });
      const sessions = createSessionFactory(database, { guard: "off", retry: FAST });
      let runs = 0;
      const value = await sessions.begin({}, async (tx) => {
        runs++;
        await tx
          .update(counters)
          .set({ value: sql`value + 1` })
          .where(eq(counters.id, 1));
        if (runs < 3) await tx.execute(sql`SELECT fail(${state}, 'again')`);
        const [row] = await tx.select().from(counters).where(eq(counters.id, 1));
        return row?.value;
      });
      expect([runs, value]).toEqual([3, 1]);
      expect(database.leases()).toEqual([]);
    });
  }

  test("declared units are declared anew for each attempt", async () => {
    await using database = await open({ setup: SETUP });
    const sessions = createSessionFactory(database, { guard: "off", retry: FAST });
    let runs = 0;
    const [, rows] = await sessions.run({}, (tx) => {
      runs++;
      return [
        runs < 3 ? tx.execute(sql`SELECT fail('40001', 'again')`) : tx.insert(notes).values({ id: runs }),
        tx.select().from(notes),
      ];
    });
    expect(rows).toEqual([{ id: 3, body: null }]);
  });

  test("after the last attempt the caller hears how often it was tried and why it failed", async () => {
    await using database = await open({ setup: SETUP });
    const retries: RetryNotice[] = [];
    const sessions = createSessionFactory(database, { guard: "off" });
    let runs = 0;
    const error = await failureOf(
      sessions.run(
        {},
        (tx) => {
          runs++;
          return tx.execute(sql`SELECT fail('40001', 'always')`);
        },
        { name: "hopeless", retry: { attempts: 4, ...FAST, onRetry: (retry) => retries.push(retry) } },
      ),
    );
    expect(runs).toBe(4);
    expect(error).toMatchObject({
      code: "RETRIES_EXHAUSTED",
      message: expect.stringContaining("4 attempts") as string,
      cause: { code: "SERIALIZATION_FAILURE", sqlState: "40001" },
    });
    expect(retries.map(({ attempt, name }) => [attempt, name])).toEqual([
      [1, "hopeless"],
      [2, "hopeless"],
      [3, "hopeless"],
    ]);
    expect(retries[0]?.error).toBeInstanceOf(SerializationFailureError);
    expect(retries[0]?.openedAt).toContain("retry.test.ts");
    for (const { delayMs } of retries) expect(delayMs).toBeLessThanOrEqual(2);
  });

  test("waits are spread between nothing and a doubling limit", async () => {
    await using database = await open({ setup: SETUP });
    const delays: number[][] = [[], [], [], []];
    const sessions = createSessionFactory(database, { guard: "off" });
    for (let round = 0; round < 12; round++) {
      await failureOf(
        sessions.run({}, (tx) => tx.execute(sql`SELECT fail('40001', 'always')`), {
          retry: {
            attempts: 5,
            baseDelayMs: 4,
            maxDelayMs: 10,
            onRetry: ({ attempt, delayMs }) => delays[attempt - 1]?.push(delayMs),
          },
        }),
      );
    }
    expect(delays.map((each) => each.length)).toEqual([12, 12, 12, 12]);
    for (const [index, limit] of [4, 8, 10, 10].entries())
      expect(delays[index]?.every((delay) => delay >= 0 && delay < limit)).toBe(true);
    expect(new Set(delays[3]).size).toBeGreaterThan(1);
  });

  test("other failures, and the function's own, are not tried again", async () => {
    await using database = await open({ setup: SETUP });
    const sessions = createSessionFactory(database, { guard: "off", retry: FAST });
    let runs = 0;
    const once = (body: string) =>
      failureOf(
        sessions.begin({}, async (tx) => {
          runs++;
          await tx.execute(sql.raw(body));
          throw new Error("of its own");
        }),
      );
    expect(await once("INSERT INTO counters VALUES (1, 1)")).toMatchObject({ code: "UNIQUE_VIOLATION" });
    expect(await once("SELECT 1")).toMatchObject({ message: "of its own" });
    expect(runs).toBe(2);
  });

  test("a failure that the function wrapped in its own error is recognised", async () => {
    await using database = await open({ setup: SETUP });
    const sessions = createSessionFactory(database, { guard: "off", retry: FAST });
    let runs = 0;
    const value = await sessions.begin({}, async (tx) => {
      runs++;
      if (runs > 1) return "done";
      try {
        await tx.execute(sql`SELECT fail('40P01', 'again')`);
      } catch (cause) {
        throw new Error("the agent's step failed", { cause });
      }
      return "not reached";
    });
    expect([runs, value]).toEqual([2, "done"]);
  });

  test("a nested unit is never repeated by itself: the outermost one is", async () => {
    await using database = await open({ setup: SETUP });
    const sessions = createSessionFactory(database, { guard: "off", retry: FAST });
    const runs: string[] = [];
    await sessions.begin({}, async (tx) => {
      runs.push("outer");
      await tx.insert(notes).values({ id: runs.length });
      await sessions.begin({}, async (inner) => {
        runs.push("inner");
        if (runs.length < 4) await inner.execute(sql`SELECT fail('40001', 'again')`);
      });
    });
    expect(runs).toEqual(["outer", "inner", "outer", "inner"]);
    expect((await database.query("SELECT id FROM notes")).rows).toEqual([{ id: 3 }]);
  });

  test("retry: false, of the factory or of the unit, runs once; a unit's own options come on top", async () => {
    await using database = await open({ setup: SETUP });
    const fails = async (
      sessions: ReturnType<typeof createSessionFactory>,
      retry?: false | { readonly attempts: number },
    ) => {
      let runs = 0;
      const error = await failureOf(
        sessions.run(
          {},
          (tx) => {
            runs++;
            return tx.execute(sql`SELECT fail('40001', 'always')`);
          },
          retry === undefined ? {} : { retry },
        ),
      );
      return { runs, error };
    };
    const off = createSessionFactory(database, { guard: "off", retry: false });
    expect(await fails(off)).toMatchObject({ runs: 1, error: { code: "SERIALIZATION_FAILURE" } });
    expect(await fails(off, { attempts: 2 })).toMatchObject({ runs: 2, error: { code: "RETRIES_EXHAUSTED" } });
    const on = createSessionFactory(database, { guard: "off", retry: { attempts: 3, ...FAST } });
    expect(await fails(on)).toMatchObject({ runs: 3, error: { code: "RETRIES_EXHAUSTED" } });
    expect(await fails(on, false)).toMatchObject({ runs: 1, error: { code: "SERIALIZATION_FAILURE" } });
    expect(await fails(on, { attempts: 1 })).toMatchObject({ runs: 1, error: { code: "SERIALIZATION_FAILURE" } });
  });

  test("options that make no sense are refused", async () => {
    await using database = await open({ setup: SETUP });
    for (const retry of [{ attempts: 0 }, { attempts: 1.5 }, { baseDelayMs: -1 }, { maxDelayMs: Number.NaN }]) {
      expect(() => createSessionFactory(database, { guard: "off", retry })).toThrow(
        expect.objectContaining({ code: "INVALID_INPUT" }),
      );
    }
  });

  test("an abort ends the waiting between attempts", async () => {
    await using database = await open({ setup: SETUP });
    const sessions = createSessionFactory(database, { guard: "off" });
    const stop = new AbortController();
    const work = sessions.run({}, (tx) => tx.execute(sql`SELECT fail('40001', 'always')`), {
      signal: stop.signal,
      retry: {
        attempts: 1_000,
        baseDelayMs: 2 ** 30,
        maxDelayMs: 2 ** 30,
        onRetry: () => setTimeout(() => stop.abort(new Error("enough"))),
      },
    });
    expect(await failureOf(work)).toMatchObject({ code: "CANCELLED", cause: { message: "enough" } });
    expect(database.leases()).toEqual([]);
  });
});

test("two units that want each other's rows both get them", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const sessions = createSessionFactory(database, { guard: "off", retry: FAST });
  const meet = meeting(2);
  const work = (first: number, second: number) =>
    sessions.begin({}, async (tx) => {
      await tx.execute(sql`SET LOCAL deadlock_timeout = '30ms'`);
      await tx
        .update(counters)
        .set({ value: sql`value + 1` })
        .where(eq(counters.id, first));
      await meet();
      await tx
        .update(counters)
        .set({ value: sql`value + 1` })
        .where(eq(counters.id, second));
    });
  await Promise.all([work(1, 2), work(2, 1)]);
  const { rows } = await database.query("SELECT value FROM counters ORDER BY id");
  expect(rows).toEqual([{ value: 2 }, { value: 2 }]);
});

test("no increment is lost when many units read and write at repeatable read", async () => {
  await using database = await testDatabase({ setup: SETUP, pool: { acquireTimeoutMs: 100_000 } });
  const sessions = createSessionFactory(database, { guard: "off", retry: { attempts: 200, ...FAST } });
  const increment = () =>
    sessions.begin(
      {},
      async (tx) => {
        const [row] = await tx.select().from(counters).where(eq(counters.id, 1));
        await tx
          .update(counters)
          .set({ value: (row?.value ?? 0) + 1 })
          .where(eq(counters.id, 1));
      },
      { isolation: "repeatable read" },
    );
  await Promise.all(Array.from({ length: 40 }, increment));
  expect((await database.query("SELECT value FROM counters WHERE id = 1")).rows).toEqual([{ value: 40 }]);
});

test("a statement prepared before its table changed is prepared anew, wherever it stands in the unit", async () => {
  await using database = await testDatabase({ setup: SETUP, pool: { size: 1 } });
  const sessions = createSessionFactory(database, { guard: "off", retry: FAST });
  const read = (isFirst: boolean) =>
    sessions.begin({}, async (tx) => {
      if (!isFirst) await tx.execute(sql`SELECT 1`);
      return (await tx.execute(sql`SELECT * FROM notes`)).rows;
    });
  for (let round = 0; round < 3; round++) await read(true);
  await database.exec("ALTER TABLE notes ADD COLUMN one int; INSERT INTO notes VALUES (1)");
  expect(await read(true)).toEqual([{ id: 1, body: null, one: null }]);
  for (let round = 0; round < 3; round++) await read(false);
  await database.exec("ALTER TABLE notes ADD COLUMN two int");
  expect(await read(false)).toEqual([{ id: 1, body: null, one: null, two: null }]);
});

/** Resolves for all when `count` have come; later ones pass. */
function meeting(count: number): () => Promise<void> {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  let came = 0;
  return () => {
    came++;
    if (came >= count) open();
    return opened;
  };
}
