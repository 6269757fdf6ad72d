import { and, asc, eq, gt, sql } from "drizzle-orm";
import { integer, pgTable, primaryKey, text, uuid } from "drizzle-orm/pg-core";
import { expect, expectTypeOf, test } from "vitest";
import { LockNotAvailableError } from "../../src/postgres/index.ts";
import { createSessionFactory } from "../../src/session/index.ts";
import { failureOf } from "../support/failure-of.ts";
import { describeDatabases, testDatabase } from "../support/test-database.ts";

const tasks = pgTable("tasks", { id: integer().primaryKey(), state: text().notNull(), worker: text() });
const members = pgTable("members", { tenant_id: uuid(), name: text(), points: integer().notNull() }, (t) => [
  primaryKey({ columns: [t.tenant_id, t.name] }),
]);
const keyless = pgTable("keyless", { name: text() });

const SETUP = `
CREATE TABLE tasks (id int PRIMARY KEY, state text NOT NULL, worker text);
CREATE TABLE members (tenant_id uuid, name text, points int NOT NULL, PRIMARY KEY (tenant_id, name));
CREATE TABLE keyless (name text);
INSERT INTO tasks SELECT n, 'ready', NULL FROM generate_series(1, 20) AS n;
INSERT INTO members VALUES ('00000000-0000-4000-8000-00000000000a', 'ada', 1), ('00000000-0000-4000-8000-00000000000a', 'bob', 2),
  ('00000000-0000-4000-8000-00000000000b', 'ada', 3);`;
const A = "00000000-0000-4000-8000-00000000000a";
const B = "00000000-0000-4000-8000-00000000000b";

describeDatabases((kind, open) => {
  const start = async () => {
    const database = await open({ setup: SETUP });
    return {
      database,
      sessions: createSessionFactory(database, { guard: "off", retry: false }),
      [Symbol.asyncDispose]: () => database.close(),
    };
  };

  test("lock returns typed rows in key order, without those that do not exist", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const rows = await tx.lock(tasks, [3, 99, 1, 3]);
      expectTypeOf(rows).toEqualTypeOf<{ id: number; state: string; worker: string | null }[]>();
      expect(rows).toEqual([
        { id: 1, state: "ready", worker: null },
        { id: 3, state: "ready", worker: null },
      ]);
      expect(await tx.lock(tasks, 2)).toEqual([{ id: 2, state: "ready", worker: null }]);
      expect(await tx.lock(tasks, [])).toEqual([]);
      expect((await tx.lock(tasks, gt(tasks.id, 18))).map(({ id }) => id)).toEqual([19, 20]);
    });
  });

  test("a key of several columns is locked by an object", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const rows = await tx.lock(members, [
        { tenant_id: B, name: "ada" },
        { tenant_id: A, name: "bob" },
      ]);
      expect(rows.map(({ points }) => points)).toEqual([2, 3]);
      await expect(tx.lock(members, { tenant_id: A })).rejects.toMatchObject({ code: "INVALID_INPUT" });
    });
  });

  test("lock and claim are declared queries too, with and without a limit of their own", async () => {
    await using fixture = await start();
    const [one, two, claimed] = await fixture.sessions.run({}, (tx) => [
      tx.lock(tasks, 1),
      tx.lock(tasks, 2, { timeoutMs: 50, mode: "no key update" }),
      tx.claim(tasks, { orderBy: [asc(tasks.id)], limit: 2 }),
    ]);
    expect([one[0]?.id, two[0]?.id]).toEqual([1, 2]);
    expect(claimed.map(({ id }) => id)).toEqual([1, 2]); // a unit's own locks do not keep it out
  });

  test.each(["update", "no key update", "share", "key share"] as const)(
    "mode %s is what PostgreSQL takes",
    async (mode) => {
      await using fixture = await start();
      const rows = await fixture.sessions.run({}, (tx) => tx.lock(tasks, 1, { mode, of: tasks }));
      expect(rows).toHaveLength(1);
    },
  );

  test("timeoutMs holds for one statement, and what the unit had set comes back", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      await tx.execute(sql`SELECT set_config('lock_timeout', '1234', true)`);
      await tx.lock(tasks, 1, { timeoutMs: 77 });
      const { rows } = await tx.execute<{ limit: string }>(sql`SELECT current_setting('lock_timeout') AS limit`);
      expect(rows).toEqual([{ limit: "1234ms" }]);
    });
  });

  test("what cannot be locked is refused before it is sent", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const bad = { code: "INVALID_INPUT" };
      await expect(tx.lock(keyless, "x")).rejects.toMatchObject(bad);
      await expect(tx.lock(tasks, 1, { mode: "exclusive" as never })).rejects.toMatchObject(bad);
      await expect(tx.lock(tasks, 1, { wait: "forever" as never })).rejects.toMatchObject(bad);
      await expect(tx.lock(tasks, 1, { timeoutMs: -1 })).rejects.toMatchObject(bad);
      await expect(tx.lock("tasks" as never, 1)).rejects.toMatchObject(bad);
      await expect(tx.lock(tasks, undefined as never)).rejects.toMatchObject(bad);
      await expect(tx.lock(tasks, [{}])).rejects.toMatchObject(bad);
      await expect(tx.claim(tasks, { limit: 1.5 })).rejects.toMatchObject(bad);
      expect(await tx.lock(tasks, 1)).toHaveLength(1);
    });
  });

  test("a key of the wrong type is the server's error, and text in a key stays a value", async () => {
    await using fixture = await start();
    await expect(fixture.sessions.run({}, (tx) => tx.lock(tasks, "1); DROP TABLE tasks; --"))).rejects.toMatchObject({
      code: "INVALID_VALUE",
    });
    expect(await fixture.sessions.run({}, (tx) => tx.lock(members, { tenant_id: A, name: `a'"}],x` }))).toEqual([]);
  });

  test("a read-only unit takes no locks", async () => {
    await using fixture = await start();
    await expect(fixture.sessions.read({}, (tx) => tx.lock(tasks, 1))).rejects.toMatchObject({ code: "READ_ONLY" });
  });

  test("rows deleted by the unit itself are gone for lock", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      await tx.delete(tasks).where(and(eq(tasks.id, 1)));
      expect(await tx.lock(tasks, [1, 2])).toHaveLength(1);
    });
  });

  if (kind === "server") {
    /** Opens a unit that holds `ids` until `end()`. */
    const hold = async (
      fixture: Awaited<ReturnType<typeof start>>,
      ids: number[],
      mode: "update" | "share" = "update",
    ) => {
      let end: () => void = () => undefined;
      const ended = new Promise<void>((resolve) => {
        end = resolve;
      });
      let locked: () => void = () => undefined;
      const isLocked = new Promise<void>((resolve) => {
        locked = resolve;
      });
      const unit = fixture.sessions.begin({}, async (tx) => {
        await tx.lock(tasks, ids, { mode });
        locked();
        await ended;
      });
      await isLocked;
      return {
        end: async () => {
          end();
          await unit;
        },
      };
    };

    /** Who holds it is asked with a short limit, which a busy machine may miss: then another refusal names them. */
    const refusedBySomebody = async (work: () => Promise<unknown>): Promise<LockNotAvailableError> => {
      for (;;) {
        const error = await failureOf(work());
        if (!(error instanceof LockNotAvailableError)) throw error;
        if (error.holders.length > 0) return error;
      }
    };

    test("nowait fails at once and names the process that holds the row", async () => {
      await using fixture = await start();
      const holder = await hold(fixture, [5]);
      const refused = () => fixture.sessions.begin({}, (tx) => tx.lock(tasks, [4, 5], { wait: "nowait" }));
      expect(await refusedBySomebody(refused)).toMatchObject({
        code: "LOCK_NOT_AVAILABLE",
        sqlState: "55P03",
        holders: [{ pid: expect.any(Number), application: "pgsteward", state: "idle in transaction" }],
        message: expect.stringContaining("held by process"),
      });
      await holder.end();
    });

    test("lock_timeout names the holders of a row that several share", async () => {
      await using fixture = await start();
      const first = await hold(fixture, [5], "share");
      const second = await hold(fixture, [5], "share");
      const refused = () => fixture.sessions.run({}, (tx) => tx.lock(tasks, 5, { timeoutMs: 30 }));
      const error = await refusedBySomebody(refused);
      expect(error).toMatchObject({ code: "LOCK_NOT_AVAILABLE" });
      expect(error.holders).toHaveLength(2);
      await first.end();
      await second.end();
    });

    test("a locked table is named by its holder, without waiting for it", async () => {
      await using fixture = await start();
      await using other = await fixture.database.connect();
      await other.query("BEGIN");
      await other.query("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE");
      const { rows } = await other.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
      const refused = () => fixture.sessions.run({}, (tx) => tx.lock(tasks, 5, { timeoutMs: 30 }));
      expect(await refusedBySomebody(refused)).toMatchObject({
        code: "LOCK_NOT_AVAILABLE",
        holders: [{ pid: rows[0]?.pid }],
      });
      await other.query("ROLLBACK");
    });

    test("a refused lock stays a refused lock when nobody can be asked who has it", async () => {
      await using database = await testDatabase({ setup: SETUP, pool: { size: 2 } });
      const sessions = createSessionFactory(database, { guard: "off" });
      const holder = await hold({ database, sessions, [Symbol.asyncDispose]: () => Promise.resolve() }, [5]);
      await expect(sessions.begin({}, (tx) => tx.lock(tasks, 5, { wait: "nowait" }))).rejects.toMatchObject({
        code: "LOCK_NOT_AVAILABLE",
        holders: [],
      });
      await holder.end();
    });

    test("skip leaves locked rows out", async () => {
      await using fixture = await start();
      const holder = await hold(fixture, [2, 3]);
      const rows = await fixture.sessions.run({}, (tx) => tx.lock(tasks, [1, 2, 3, 4], { wait: "skip" }));
      expect(rows.map(({ id }) => id)).toEqual([1, 4]);
      await holder.end();
    });

    test("workers that claim never get the same row", async () => {
      await using fixture = await start();
      const taken: number[] = [];
      const work = async (worker: string): Promise<void> => {
        for (;;) {
          const claimed = await fixture.sessions.begin({}, async (tx) => {
            const rows = await tx.claim(tasks, { where: eq(tasks.state, "ready"), orderBy: tasks.id, limit: 2 });
            for (const { id } of rows) await tx.update(tasks).set({ state: "taken", worker }).where(eq(tasks.id, id));
            return rows;
          });
          if (claimed.length === 0) return;
          taken.push(...claimed.map(({ id }) => id));
        }
      };
      await Promise.all(["a", "b", "c", "d", "e", "f"].map(work));
      expect(taken.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, n) => n + 1));
    });

    test("two units that lock the same rows in opposite order never deadlock through lock, and do one by one", async () => {
      await using fixture = await start();
      const up = Array.from({ length: 20 }, (_, n) => n + 1);
      const down = up.toReversed();
      const together = async (ids: number[]): Promise<void> => {
        await fixture.sessions.begin({}, async (tx) => {
          await tx.lock(tasks, ids);
          await tx.update(tasks).set({ worker: "x" }).where(eq(tasks.id, 1));
        });
      };
      for (let round = 0; round < 60; round++)
        await Promise.all([together(up), together(down), together(up), together(down)]);

      const oneByOne = async (ids: number[]): Promise<void> => {
        await fixture.sessions.begin({}, async (tx) => {
          for (const id of ids) {
            await tx.lock(tasks, id);
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
        });
      };
      const codes: unknown[] = [];
      for (let round = 0; round < 5 && codes.length === 0; round++) {
        const ends = await Promise.allSettled([oneByOne(up), oneByOne(down)]);
        for (const end of ends) if (end.status === "rejected") codes.push((end.reason as { code: string }).code);
      }
      expect(codes).toEqual(["DEADLOCK"]);
    });
  }
});
