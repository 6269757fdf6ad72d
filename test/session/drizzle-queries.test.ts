// Programs written for drizzle() do the same on a unit's tx, and helpers of ours have the types of their queries.
import { and, desc, eq, gt, inArray, sql, TransactionRollbackError } from "drizzle-orm";
import { integer, pgTable, text, type AnyPgColumn } from "drizzle-orm/pg-core";
import { expect, expectTypeOf, test } from "vitest";
import { createSessionFactory } from "../../src/session/index.ts";
import { describeDatabases } from "../support/test-database.ts";

const tasks = pgTable("tasks", {
  id: integer().primaryKey(),
  parent_id: integer().references((): AnyPgColumn => tasks.id),
  owner: text().notNull(),
  points: integer().notNull(),
});
const SETUP = `
CREATE TABLE tasks (id int PRIMARY KEY, parent_id int REFERENCES tasks, owner text NOT NULL, points int NOT NULL);
INSERT INTO tasks VALUES (1, NULL, 'ada', 5), (2, 1, 'bob', 3), (3, 1, 'ada', 8), (4, 2, 'bob', 1), (5, NULL, 'cat', 2);
ANALYZE tasks;`;

const list = pgTable("list", { id: integer().primaryKey(), title: text().notNull() });
const LIST_SQL = `CREATE TABLE list (id int PRIMARY KEY, title text NOT NULL); INSERT INTO list VALUES (1, 'read');`;

describeDatabases((_, open) => {
  const start = async (setup = SETUP) => {
    const database = await open({ setup });
    return {
      database,
      sessions: createSessionFactory(database, { guard: "off" }),
      [Symbol.asyncDispose]: () => database.close(),
    };
  };

  test("exists tells whether a query has rows, alone and beside others in one flush", async () => {
    await using fixture = await start();
    const [some, none, raw] = await fixture.sessions.run({}, (tx) => [
      tx.exists(tx.select().from(tasks).where(eq(tasks.owner, "ada"))),
      tx.exists(tx.select({ id: tasks.id }).from(tasks).where(gt(tasks.points, 100)).orderBy(tasks.id).limit(3)),
      tx.exists(sql`SELECT FROM tasks WHERE owner = ${"bob"}`),
    ]);
    expectTypeOf(some).toEqualTypeOf<boolean>();
    expect([some, none, raw]).toEqual([true, false, true]);
    await expect(fixture.sessions.begin({}, (tx) => tx.exists(5 as never))).rejects.toMatchObject({
      code: "INVALID_INPUT",
    });
  });

  test("countEstimate asks the planner, with the values of the query", async () => {
    await using fixture = await start();
    const [all, one] = await fixture.sessions.run({}, (tx) => [
      tx.countEstimate(tx.select().from(tasks)),
      tx.countEstimate(tx.select().from(tasks).where(eq(tasks.id, 1))),
    ]);
    expectTypeOf(all).toEqualTypeOf<number>();
    expect([all, one]).toEqual([5, 1]);
  });

  test("DISTINCT ON keeps its row type", async () => {
    await using fixture = await start();
    const best = await fixture.sessions.run({}, (tx) =>
      tx
        .selectDistinctOn([tasks.owner], { owner: tasks.owner, points: tasks.points })
        .from(tasks)
        .orderBy(tasks.owner, desc(tasks.points)),
    );
    expectTypeOf(best).toEqualTypeOf<{ owner: string; points: number }[]>();
    expect(best).toEqual([
      { owner: "ada", points: 8 },
      { owner: "bob", points: 3 },
      { owner: "cat", points: 2 },
    ]);
  });

  test("a window function is a typed column", async () => {
    await using fixture = await start();
    const rows = await fixture.sessions.run({}, (tx) =>
      tx
        .select({
          id: tasks.id,
          place: sql<number>`row_number() OVER (PARTITION BY ${tasks.owner} ORDER BY ${tasks.points} DESC)`.mapWith(
            Number,
          ),
        })
        .from(tasks)
        .orderBy(tasks.id),
    );
    expectTypeOf(rows).toEqualTypeOf<{ id: number; place: number }[]>();
    expect(rows.map(({ place }) => place)).toEqual([2, 1, 1, 2, 1]);
  });

  test("a CTE is selected from with the types of its columns", async () => {
    await using fixture = await start();
    const rows = await fixture.sessions.run({}, (tx) => {
      const sums = tx.$with("sums").as(
        tx
          .select({ owner: tasks.owner, total: sql<number>`sum(${tasks.points})`.mapWith(Number).as("total") })
          .from(tasks)
          .groupBy(tasks.owner),
      );
      return tx.with(sums).select().from(sums).where(gt(sums.total, 2)).orderBy(sums.owner);
    });
    expectTypeOf(rows).toEqualTypeOf<{ owner: string; total: number }[]>();
    expect(rows).toEqual([
      { owner: "ada", total: 13 },
      { owner: "bob", total: 4 },
    ]);
  });

  test("a recursive CTE walks a tree, typed, with its root as a parameter", async () => {
    await using fixture = await start();
    const rows = await fixture.sessions.begin({}, async (tx) => {
      const tree = tx
        .$with("tree", { id: tasks.id, depth: sql<number>`depth`.as("depth") })
        .as(
          sql`SELECT id, 0 AS depth FROM tasks WHERE id = ${1} UNION ALL SELECT c.id, t.depth + 1 FROM tasks AS c JOIN tree AS t ON c.parent_id = t.id`,
        );
      const query = tx.select({ id: tree.id, depth: tree.depth }).from(tree);
      expectTypeOf<Awaited<typeof query>>().toEqualTypeOf<{ id: number; depth: number }[]>();
      const found = await tx.execute<{ id: number; depth: number }>(
        sql`WITH RECURSIVE tree AS (
          SELECT id, 0 AS depth FROM ${tasks} WHERE id = ${1}
          UNION ALL
          SELECT c.id, t.depth + 1 FROM ${tasks} AS c JOIN tree AS t ON c.parent_id = t.id)
        SELECT id, depth FROM tree ORDER BY id`,
      );
      return found.rows;
    });
    expectTypeOf(rows).toEqualTypeOf<{ id: number; depth: number }[]>();
    expect(rows).toEqual([
      { id: 1, depth: 0 },
      { id: 2, depth: 1 },
      { id: 3, depth: 1 },
      { id: 4, depth: 2 },
    ]);
  });

  test.each(["'; DROP TABLE tasks; --", "$1", "\\", 'a"b', "' OR '1'='1", "%", '{"$ne":1}', "é\u{1F600}"])(
    "what is interpolated stays a value: %s",
    async (text) => {
      await using fixture = await start();
      await fixture.sessions.begin({}, async (tx) => {
        await tx.insert(tasks).values({ id: 9, owner: text, points: 1 });
        const where = and(sql`${tasks.owner} = ${text}`, eq(tasks.id, 9));
        expect(await tx.exists(tx.select().from(tasks).where(where))).toBe(true);
        expect(await tx.countEstimate(sql`SELECT FROM tasks WHERE owner = ${text}`)).toBeGreaterThan(0);
        expect(
          (await tx.page(tasks, { where, limit: 5, orderBy: sql`coalesce(${tasks.owner}, ${text})` })).rows,
        ).toHaveLength(1);
        expect(await tx.lock(tasks, sql`${tasks.owner} = ${text}`)).toHaveLength(1);
        for await (const { owner } of tx.stream(sql<{ owner: string }>`SELECT ${text}::text AS owner`))
          expect(owner).toBe(text);
        expect(await tx.bulkUpdate(tasks, [{ id: 9, owner: `${text}!` }])).toEqual({ count: 1, missing: [] });
        expect(await tx.$count(tasks)).toBe(6);
      });
    },
  );

  test("rollback() undoes the innermost transaction, and the unit when there is no inner one", async () => {
    await using fixture = await start(LIST_SQL);
    const titles = await fixture.sessions.begin({}, async (tx) => {
      const inner = tx.transaction(async (nested) => {
        await nested.insert(list).values({ id: 2, title: "undone" });
        expectTypeOf(nested.select().from(list)).resolves.toEqualTypeOf<{ id: number; title: string }[]>();
        return nested.rollback();
      });
      await expect(inner).rejects.toThrow(TransactionRollbackError);
      await tx.insert(list).values({ id: 3, title: "kept" });
      return tx.select({ title: list.title }).from(list).orderBy(list.id);
    });
    expect(titles).toEqual([{ title: "read" }, { title: "kept" }]);
    const whole = fixture.sessions.begin({}, async (tx) => {
      await tx.delete(list);
      tx.rollback();
    });
    await expect(whole).rejects.toThrow(TransactionRollbackError);
    expect(await fixture.sessions.run({}, (tx) => tx.$count(list))).toBe(2);
  });

  test("all() of a prepared query gives the driver's rows, and errors without values", async () => {
    await using fixture = await start(LIST_SQL);
    await fixture.sessions.begin({}, async (tx) => {
      const byId = tx
        .select({ name: list.title })
        .from(list)
        .where(eq(list.id, sql.placeholder("id")))
        .prepare("by_id");
      expect(await (byId as unknown as { all(values: object): Promise<unknown> }).all({ id: 1 })).toEqual([
        { title: "read" },
      ]);
      const wrong = (byId as unknown as { all(values: object): Promise<unknown> }).all({ id: "secret" });
      await expect(tx.begin(() => wrong)).rejects.toThrow(/^(?!.*secret)/);
    });
  });

  test("more parameters than a statement can have are refused before anything is sent, and the unit goes on", async () => {
    await using fixture = await start(LIST_SQL);
    const many = Array.from({ length: 65_536 }, (_, index) => index);
    const count = await fixture.sessions.begin({}, async (tx) => {
      await tx.insert(list).values({ id: 2, title: "write" });
      await expect(tx.select().from(list).where(inArray(list.id, many))).rejects.toMatchObject({
        code: "INVALID_INPUT",
        hint: expect.stringContaining("ANY"),
      });
      return tx.$count(list, inArray(list.id, many.slice(1)));
    });
    expect(count).toBe(2);
  });

  test("two tables of one name in a process keep their own columns", async () => {
    await using fixture = await start(`CREATE TABLE notes (id int PRIMARY KEY, "firstText" text, "lastText" text);
INSERT INTO notes VALUES (1, 'a', 'b');`);
    const older = pgTable("notes", { id: integer().primaryKey(), firstText: text() });
    const newer = pgTable("notes", { id: integer().primaryKey(), lastText: text() });
    for (let round = 0; round < 2; round++) {
      const rows = await fixture.sessions.run({}, (tx) => [
        tx.select().from(older).where(eq(older.firstText, "a")),
        tx.select().from(newer).where(eq(newer.lastText, "b")),
        tx.select({ both: sql<string>`${older.firstText} || ${newer.lastText}` }).from(newer),
      ]);
      expect(rows).toEqual([[{ id: 1, firstText: "a" }], [{ id: 1, lastText: "b" }], [{ both: "ab" }]]);
    }
  });
});
