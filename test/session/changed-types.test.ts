// Columns whose type changes under a running program: prepared statements hold the types that parameters had when they were
// parsed, and the server refuses values that would do today. Units go on all the same, and mistakes stay mistakes.
import { eq, sql } from "drizzle-orm";
import { bigint, integer, pgEnum, pgTable, text } from "drizzle-orm/pg-core";
import { expect, test } from "vitest";
import { createSessionFactory, type SessionFactory, type UnitDatabase } from "../../src/session/index.ts";
import { describeDatabases } from "../support/test-database.ts";

const counters = pgTable("counters", { id: integer().primaryKey(), n: bigint({ mode: "number" }) });
const mood = pgEnum("mood", ["low", "high"]);
const moods = pgTable("moods", { id: integer().primaryKey(), mood: mood() });
const codes = pgTable("codes", { code: text() });
const SETUP = `CREATE TABLE counters (id int PRIMARY KEY, n int); CREATE TABLE codes (code int);
CREATE TYPE mood AS ENUM ('low'); CREATE TABLE moods (id int PRIMARY KEY, mood mood);`;
const BIG = 3_000_000_000;

type Way = <T>(work: (tx: UnitDatabase) => PromiseLike<T>) => Promise<T>;
type Ways = Readonly<Record<string, Way>>;
const waysOf = (sessions: SessionFactory): Ways => ({
  run: async (work) => {
    const [result] = await sessions.run({}, (tx) => [work(tx)]);
    return result;
  },
  begin: (work) => sessions.begin({}, async (tx) => work(tx)),
  "a later statement of begin": (work) =>
    sessions.begin({}, async (tx) => {
      await tx.execute(sql`SELECT 1`);
      return work(tx);
    }),
  "a unit that says its COMMIT": (work) => sessions.begin({}, async (tx) => work(tx), { isolation: "repeatable read" }),
});

describeDatabases((_kind, open) => {
  test("values of a wider, a newer or another type are taken by every kind of unit", async () => {
    await using database = await open({ setup: SETUP });
    const sessions = createSessionFactory(database, { guard: "off" });
    let id = 0;
    for (const [name, unit] of Object.entries(waysOf(sessions))) {
      await database.exec(`DROP TABLE counters, codes, moods; DROP TYPE mood; ${SETUP}`);
      const count = (n: number) => unit((tx) => tx.insert(counters).values({ id: ++id, n }));
      const feel = (value: "low" | "high") => unit((tx) => tx.insert(moods).values({ id: ++id, mood: value }));
      const find = (code: string) => unit((tx) => tx.select().from(codes).where(eq(codes.code, code)));
      await count(1);
      await feel("low");
      expect([name, await find("7")]).toEqual([name, []]);
      await database.exec(`ALTER TABLE counters ALTER n TYPE bigint; ALTER TABLE codes ALTER code TYPE text;
        INSERT INTO codes VALUES ('x'); ALTER TABLE moods DROP mood; DROP TYPE mood;
        CREATE TYPE mood AS ENUM ('low', 'high'); ALTER TABLE moods ADD mood mood;`);
      await count(BIG);
      await feel("high");
      expect([name, await find("x")]).toEqual([name, [{ code: "x" }]]);
      const [written] = await sessions.run({}, (tx) => [tx.select().from(counters).where(eq(counters.n, BIG))]);
      expect([name, written?.length]).toEqual([name, 1]);
    }
  });

  test("a unit that makes a type again uses it", async () => {
    await using database = await open({ setup: SETUP });
    const sessions = createSessionFactory(database, { guard: "off" });
    for (let round = 1; round <= 2; round++) {
      await sessions.begin({}, async (tx) => {
        await tx.execute(sql`DROP TABLE moods`);
        await tx.execute(sql`DROP TYPE mood`);
        await tx.execute(sql`CREATE TYPE mood AS ENUM ('low', 'high')`);
        await tx.execute(sql`CREATE TABLE moods (id int PRIMARY KEY, mood mood)`);
        await tx.insert(moods).values({ id: round, mood: "high" });
      });
      expect(await sessions.run({}, (tx) => tx.select().from(moods))).toEqual([{ id: round, mood: "high" }]);
    }
  });

  test("what is refused for another reason is refused once, and its unit is not run again", async () => {
    await using database = await open({ setup: SETUP });
    const sessions = createSessionFactory(database, { guard: "off" });
    let calls = 0;
    const count = (n: unknown) =>
      sessions.begin({}, async (tx) => {
        calls++;
        await tx.insert(counters).values({ id: calls, n: n as number });
      });
    await count(1);
    await expect(count(BIG)).rejects.toMatchObject({ sqlState: "22003" });
    await expect(count("x")).rejects.toMatchObject({ sqlState: "22P02" });
    expect(calls).toBe(3);
    await count(2);
    await expect(
      sessions.run({}, (tx) => tx.insert(counters).values({ id: 9, n: "x" as never })),
    ).rejects.toMatchObject({ sqlState: "22P02" });
    expect(await sessions.run({}, (tx) => tx.$count(counters))).toBe(2);
  });

  test("a nested unit that met it and was given up does not spoil the next unit", async () => {
    await using database = await open({ setup: SETUP });
    const sessions = createSessionFactory(database, { guard: "off" });
    const count = (id: number, n: number) =>
      sessions.begin({}, async (tx) => {
        await tx.execute(sql`SELECT 1`);
        return tx
          .begin(() => tx.insert(counters).values({ id, n }))
          .then(
            () => "kept",
            () => "given up",
          );
      });
    expect(await count(1, 1)).toBe("kept");
    await database.exec("ALTER TABLE counters ALTER n TYPE bigint");
    await count(2, BIG);
    expect(await count(3, BIG)).toBe("kept");
  });
});
