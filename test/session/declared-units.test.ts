// Units whose queries are known before anything is sent: what goes the short way, and what it must not change.
import { eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { alias, integer, jsonb, pgSchema, pgTable, pgTableCreator, text, type PgDatabase } from "drizzle-orm/pg-core";
import { expect, test } from "vitest";
import { createSessionFactory, type UnitDatabase } from "../../src/session/index.ts";
import { failureOf } from "../support/failure-of.ts";
import { describeDatabases } from "../support/test-database.ts";

const notes = pgTable("notes", { id: integer().primaryKey(), body: text(), state: jsonb().$type<{ n: number }>() });
const SETUP = `
CREATE TABLE notes (id int PRIMARY KEY, body text, state jsonb);
INSERT INTO notes VALUES (1, 'one', '{"n": 1}'), (2, NULL, NULL);`;

const named = pgTableCreator((name) => `app_${name}`)("steps", { id: integer().primaryKey(), noteId: integer() });
const other = pgSchema("other").table("notes", { id: integer().primaryKey() });
const again = alias(notes, "again");
type AnyDatabase = PgDatabase<never>;
const SELECTS: readonly ((tx: AnyDatabase) => { toSQL(): unknown })[] = [
  (tx) => tx.select().from(named).limit(1),
  (tx) => tx.select().from(other),
  (tx) => tx.select().from(again).where(eq(again.id, 1)),
  (tx) => tx.select().from(notes).leftJoin(named, eq(named.noteId, notes.id)),
  (tx) => tx.select().from(notes).innerJoin(again, eq(again.id, notes.id)),
  (tx) => tx.select({ id: notes.id, n: named.id }).from(notes).rightJoin(named, eq(named.noteId, notes.id)),
  (tx) => {
    const inner = tx.select({ id: notes.id }).from(notes).as("inner");
    return tx.select().from(inner).leftJoin(notes, eq(notes.id, inner.id));
  },
  (tx) =>
    tx
      .select({ id: notes.id })
      .from(notes)
      .union(tx.select({ id: other.id }).from(other)),
  (tx) => tx.selectDistinct().from(notes),
];

describeDatabases((_, open) => {
  test("builders, a count, raw SQL and changes in one list keep their order, and the unit is one", async () => {
    await using database = await open({ setup: SETUP });
    const sessions = createSessionFactory(database);
    const [all, raw, count, added, changed, removed, left] = await sessions.run({}, (tx) => [
      tx.select().from(notes).orderBy(notes.id),
      tx.execute(sql`SELECT txid_current()::text AS id`),
      tx.$count(notes),
      tx
        .insert(notes)
        .values({ id: 3, state: { n: 3 } })
        .returning(),
      tx.update(notes).set({ body: "two" }).where(eq(notes.id, 2)).returning({ body: notes.body }),
      tx.delete(notes).where(eq(notes.id, 1)),
      tx.select({ id: notes.id, state: notes.state }).from(notes).orderBy(notes.id),
    ]);
    expect(all).toEqual([
      { id: 1, body: "one", state: { n: 1 } },
      { id: 2, body: null, state: null },
    ]);
    expect(raw.rows).toHaveLength(1);
    expect(count).toBe(2);
    expect(added).toEqual([{ id: 3, body: null, state: { n: 3 } }]);
    expect(changed).toEqual([{ body: "two" }]);
    expect(removed.rowCount).toBe(1);
    expect(left).toEqual([
      { id: 2, state: null },
      { id: 3, state: { n: 3 } },
    ]);
  });

  test("the same select again and again maps rows of other parameters, columns and orders rightly", async () => {
    await using database = await open({ setup: SETUP });
    const sessions = createSessionFactory(database);
    for (let round = 0; round < 4; round++) {
      for (const id of [1, 2, 9]) {
        const [whole, part] = await sessions.run({}, (tx) => [
          tx.select().from(notes).where(eq(notes.id, id)),
          tx.select({ state: notes.state, key: notes.id }).from(notes).where(eq(notes.id, id)),
        ]);
        const known =
          { 1: [{ id: 1, body: "one", state: { n: 1 } }], 2: [{ id: 2, body: null, state: null }] }[id] ?? [];
        expect(whole).toEqual(known);
        expect(part).toEqual(known.map((row) => ({ state: row.state, key: row.id })));
      }
    }
  });

  test("selects of tables that are known have Drizzle's text and parameters", async () => {
    await using database = await open({ setup: SETUP });
    const sessions = createSessionFactory(database);
    const drizzleDatabase = drizzle.mock() as unknown as AnyDatabase;
    await sessions.run({}, (tx) => {
      for (const select of SELECTS) {
        const wanted = select(drizzleDatabase).toSQL();
        for (let round = 0; round < 3; round++) expect(select(tx as unknown as AnyDatabase).toSQL()).toEqual(wanted);
      }
      return tx.select().from(notes);
    });
  });

  test("a tx that outlives its unit is refused, and so is a query that was started and not returned", async () => {
    await using database = await open({ setup: SETUP });
    const sessions = createSessionFactory(database);
    let leaked: UnitDatabase | undefined;
    await sessions.run({}, (tx) => {
      leaked = tx;
      return tx.select().from(notes);
    });
    expect(await failureOf(leaked?.select().from(notes).execute() ?? Promise.resolve())).toMatchObject({
      code: "UNIT_CLOSED",
    });
    let started: Promise<unknown> | undefined;
    const refused = sessions.read({}, (tx) => {
      started = tx.update(notes).set({ body: "?" }).execute();
      started.catch(() => undefined);
      return tx.select().from(notes);
    });
    expect(await failureOf(refused)).toMatchObject({ code: "INVALID_INPUT" });
    expect(await failureOf(started ?? Promise.resolve())).toMatchObject({ code: "UNIT_CLOSED" });
  });

  test("a query that was made on another unit's tx is not run in this one", async () => {
    await using database = await open({ setup: SETUP });
    const sessions = createSessionFactory(database);
    let other: UnitDatabase | undefined;
    await sessions.run({}, (tx) => {
      other = tx;
      return tx.select().from(notes);
    });
    const foreign = sessions.run({}, (tx) => other?.select().from(notes) ?? tx.select().from(notes));
    expect(await failureOf(foreign)).toMatchObject({ code: "UNIT_CLOSED" });
    const changing = sessions.run({}, (tx) => other?.delete(notes) ?? tx.delete(notes));
    expect(await failureOf(changing)).toMatchObject({ code: "UNIT_CLOSED" });
    expect(await sessions.run({}, (tx) => tx.$count(notes))).toBe(2);
  });

  test("a wrong retry option is refused before anything is sent", async () => {
    await using database = await open({ setup: SETUP });
    const sessions = createSessionFactory(database);
    const unit = sessions.run({}, (tx) => tx.delete(notes), { retry: { attempts: 0 } });
    expect(await failureOf(unit)).toMatchObject({ code: "INVALID_INPUT" });
    expect(await sessions.run({}, (tx) => tx.$count(notes))).toBe(2);
  });

  test("a placeholder without a value, and a signal that fired before, send nothing", async () => {
    await using database = await open({ setup: SETUP });
    const sessions = createSessionFactory(database);
    const acquired = database.poolFigures().acquired;
    const unnamed = sessions.run({}, (tx) =>
      tx
        .select()
        .from(notes)
        .where(eq(notes.id, sql.placeholder("id"))),
    );
    expect(await failureOf(unnamed)).toMatchObject({ code: "INVALID_INPUT" });
    const cancelled = sessions.run({}, (tx) => tx.delete(notes), { signal: AbortSignal.abort() });
    expect(await failureOf(cancelled)).toMatchObject({ code: "CANCELLED" });
    expect(database.poolFigures().acquired).toBe(acquired);
  });

  test("the place of a unit is that of its function's text, or of the call when the function has a name", async () => {
    await using database = await open({ setup: SETUP });
    const places: string[] = [];
    const sessions = createSessionFactory(database, {
      observers: [{ ended: ({ openedAt }) => places.push(openedAt) }],
    });
    const byText = (): Promise<unknown> => sessions.run({}, (tx) => tx.select().from(notes).limit(7));
    await byText();
    await byText();
    const named = (tx: UnitDatabase) => tx.select().from(notes).limit(8);
    await sessions.run({}, named);
    await sessions.run({}, named);
    expect(places[0]).toContain("declared-units.test.ts");
    expect(places[1]).toBe(places[0]);
    expect(places[2]).toContain("declared-units.test.ts");
    expect(places[3]).not.toBe(places[2]);
  });
});
