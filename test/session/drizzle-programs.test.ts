// Programs written for drizzle() itself do the same on a unit's tx.
import { eq, inArray, sql, TransactionRollbackError } from "drizzle-orm";
import { integer, pgTable, text } from "drizzle-orm/pg-core";
import { expect, expectTypeOf, test } from "vitest";
import { createSessionFactory } from "../../src/session/index.ts";
import { describeDatabases } from "../support/test-database.ts";

const tasks = pgTable("tasks", { id: integer().primaryKey(), title: text().notNull() });
const SETUP = `CREATE TABLE tasks (id int PRIMARY KEY, title text NOT NULL); INSERT INTO tasks VALUES (1, 'read');`;

describeDatabases((_kind, open) => {
  const start = async (setup = SETUP) => {
    const database = await open({ setup });
    return {
      database,
      sessions: createSessionFactory(database, { guard: "off" }),
      [Symbol.asyncDispose]: () => database.close(),
    };
  };

  test("rollback() undoes the innermost transaction, and the unit when there is no inner one", async () => {
    await using fixture = await start();
    const titles = await fixture.sessions.begin({}, async (tx) => {
      const inner = tx.transaction(async (nested) => {
        await nested.insert(tasks).values({ id: 2, title: "undone" });
        expectTypeOf(nested.select().from(tasks)).resolves.toEqualTypeOf<{ id: number; title: string }[]>();
        return nested.rollback();
      });
      await expect(inner).rejects.toThrow(TransactionRollbackError);
      await tx.insert(tasks).values({ id: 3, title: "kept" });
      return tx.select({ title: tasks.title }).from(tasks).orderBy(tasks.id);
    });
    expect(titles).toEqual([{ title: "read" }, { title: "kept" }]);
    const whole = fixture.sessions.begin({}, async (tx) => {
      await tx.delete(tasks);
      tx.rollback();
    });
    await expect(whole).rejects.toThrow(TransactionRollbackError);
    expect(await fixture.sessions.run({}, (tx) => tx.$count(tasks))).toBe(2);
  });

  test("all() of a prepared query gives the driver's rows, and errors without values", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const byId = tx
        .select({ name: tasks.title })
        .from(tasks)
        .where(eq(tasks.id, sql.placeholder("id")))
        .prepare("by_id");
      expect(await (byId as unknown as { all(values: object): Promise<unknown> }).all({ id: 1 })).toEqual([
        { title: "read" },
      ]);
      const wrong = (byId as unknown as { all(values: object): Promise<unknown> }).all({ id: "secret" });
      await expect(tx.begin(() => wrong)).rejects.toThrow(/^(?!.*secret)/);
    });
  });

  test("more parameters than a statement can have are refused before anything is sent, and the unit goes on", async () => {
    await using fixture = await start();
    const many = Array.from({ length: 65_536 }, (_, index) => index);
    const count = await fixture.sessions.begin({}, async (tx) => {
      await tx.insert(tasks).values({ id: 2, title: "write" });
      await expect(tx.select().from(tasks).where(inArray(tasks.id, many))).rejects.toMatchObject({
        code: "INVALID_INPUT",
        hint: expect.stringContaining("ANY"),
      });
      return tx.$count(tasks, inArray(tasks.id, many.slice(1)));
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
