import { eq, sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  customType,
  date,
  doublePrecision,
  integer,
  json,
  jsonb,
  numeric,
  pgEnum,
  pgTable,
  text,
  timestamp,
  uuid,
  varchar,
  vector,
} from "drizzle-orm/pg-core";
import { expect, expectTypeOf, test } from "vitest";
import { createSessionFactory } from "../../src/session/index.ts";
import { describeDatabases, testDatabase, testPglite } from "../support/test-database.ts";

const bytes = customType<{ data: Buffer }>({ dataType: () => "bytea" });
const rating = customType<{ data: number }>({ dataType: () => "rating" });
const mood = pgEnum("mood", ["calm", 'it\'s "odd"']);
const everything = pgTable("everything", {
  id: integer().primaryKey(),
  key: uuid().notNull(),
  body: text(),
  short: varchar({ length: 5 }),
  flag: boolean(),
  big: bigint({ mode: "bigint" }),
  amount: numeric(),
  ratio: doublePrecision(),
  at: timestamp({ withTimezone: true, mode: "string" }),
  when: timestamp({ withTimezone: true }),
  day: date(),
  doc: jsonb(),
  raw: json(),
  names: text().array(),
  grid: integer().array().array(),
  data: bytes(),
  feeling: mood(),
  stars: rating(),
  place: vector({ dimensions: 3 }),
});
const items = pgTable("items", {
  id: integer().primaryKey(),
  name: text().notNull().default("none"),
  rank: integer().notNull().default(7),
  parent_id: integer(),
});
const made = pgTable("made", {
  id: integer().primaryKey().generatedAlwaysAsIdentity(),
  n: integer(),
  twice: integer().generatedAlwaysAs(sql`n * 2`),
});
const notes = pgTable("notes", { id: integer().primaryKey(), tenant_id: uuid().notNull(), body: text() });

const A = "00000000-0000-4000-8000-00000000000a";
const B = "00000000-0000-4000-8000-00000000000b";
const SETUP = `
CREATE EXTENSION IF NOT EXISTS vector;`;
const TABLES = `
CREATE TYPE mood AS ENUM ('calm', 'it''s "odd"');
CREATE DOMAIN rating AS int CHECK (VALUE BETWEEN 1 AND 5);
CREATE TABLE everything (id int PRIMARY KEY, key uuid NOT NULL, body text, short varchar(5), flag boolean, big bigint, amount numeric, ratio float8,
  at timestamptz, "when" timestamptz, day date, doc jsonb, raw json, names text[], grid int[][], data bytea, feeling mood, stars rating, place PLACE);
CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL DEFAULT 'none', rank int NOT NULL DEFAULT 7 CHECK (rank < 100), parent_id int REFERENCES items DEFERRABLE INITIALLY IMMEDIATE);
CREATE TABLE made (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED);
CREATE TABLE notes (id int PRIMARY KEY, tenant_id uuid NOT NULL, body text);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE notes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON notes USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid));
DO $$ BEGIN CREATE ROLE bulk_test_app NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON notes, items TO bulk_test_app;`;

describeDatabases((kind, open) => {
  const start = async () => {
    // The test server has no pgvector: text stands for the type there, which the same encoding must fit.
    const setup = kind === "pglite" ? SETUP + TABLES.replace("PLACE", "vector(3)") : TABLES.replace("PLACE", "text");
    const database = await open({ setup });
    return {
      database,
      sessions: createSessionFactory(database, { guard: "off" }),
      [Symbol.asyncDispose]: () => database.close(),
    };
  };
  const methods = kind === "server" ? (["json", "copy"] as const) : (["json"] as const);

  test.each(methods)("every type comes back as it was given, by %s", async (method) => {
    await using fixture = await start();
    const rows = [
      {
        id: 1,
        key: A,
        body: "a\tb\nc\\d\r'\"\\N",
        short: "ab",
        flag: true,
        big: 9007199254740993n,
        amount: "1234567890.123456789",
        ratio: 0.1,
        at: "2024-01-02 03:04:05.123456+00",
        when: new Date("2024-01-02T03:04:05.678Z"),
        day: "2024-02-29",
        doc: { a: [1, "x", null, { b: '\\"\n' }] },
        raw: { z: 1, a: 2 },
        names: ["a,b", 'q"uote', "back\\slash", "null", ""],
        grid: [
          [1, 2],
          [3, 4],
        ],
        data: Buffer.from([0, 1, 92, 255]),
        feeling: 'it\'s "odd"' as const,
        stars: 5,
        place: [1, 2.5, -3] as [number, number, number],
      },
      { id: 2, key: B, body: "\\.", doc: "text", raw: [1], names: [], ratio: -1e300, short: "" },
      { id: 3, key: B, body: null, doc: null, flag: false },
    ];
    await fixture.sessions.begin({}, async (tx) => {
      expect(await tx.bulkInsert(everything, rows, { method })).toMatchObject({ count: 3, rows: [] });
      const read = await tx.select().from(everything).orderBy(everything.id);
      expect(read[0]).toEqual(rows[0]);
      expect(read[1]).toMatchObject(rows[1] ?? {});
      expect(read[2]).toMatchObject({ body: null, doc: null, flag: false, names: null });
      expect((await tx.execute<{ raw: string }>(sql`SELECT raw::text FROM everything WHERE id = 1`)).rows).toEqual([
        { raw: '{"z":1,"a":2}' },
      ]);
    });
  });

  test("no rows, one row, and columns left out", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      expect(await tx.bulkInsert(items, [])).toMatchObject({ count: 0, rows: [], method: "json" });
      const result = await tx.bulkInsert(
        items,
        [{ id: 3, name: "c" }, { id: 1 }, { id: 2, rank: 1 }, { id: 4, name: undefined }],
        {
          returning: { id: items.id, label: items.name },
        },
      );
      expectTypeOf(result.rows).toEqualTypeOf<{ id: number; label: string }[]>();
      expect(result).toMatchObject({
        count: 4,
        rows: [
          { id: 3, label: "c" },
          { id: 1, label: "none" },
          { id: 2, label: "none" },
          { id: 4, label: "none" },
        ],
      });
      const whole = await tx.bulkInsert(made, [{}, { n: 4 }, {}], { returning: true });
      expect(whole.rows.map(({ n, twice }) => [n, twice])).toEqual([
        [null, null],
        [4, 8],
        [null, null],
      ]);
    });
  });

  test.each(methods)("a bad row is named by its position and nothing stays, by %s", async (method) => {
    await using fixture = await start();
    const good = Array.from({ length: 3000 }, (_, id) => ({
      id,
      rank: 1,
      name: `n${id}`,
      parent_id: null as number | null,
    }));
    const cases: [Partial<(typeof good)[0]>, number, string][] = [
      [{ rank: 100 }, 2501, "CHECK_VIOLATION"],
      [{ id: 7 }, 1700, "UNIQUE_VIOLATION"],
      [{ name: null as unknown as string }, 0, "NOT_NULL_VIOLATION"],
      [{ rank: "many" as unknown as number }, 2999, "INVALID_VALUE"],
      [{ parent_id: 99_999 }, 1234, "FOREIGN_KEY_VIOLATION"],
    ];
    for (const [fault, index, code] of cases) {
      const rows = good.with(index, { ...(good[index] as (typeof good)[0]), ...fault });
      await fixture.sessions.begin({}, async (tx) => {
        await tx.insert(items).values({ id: -1 });
        await expect(tx.bulkInsert(items, rows, { method, batchSize: 1000 })).rejects.toMatchObject({
          code,
          rowIndex: index,
        });
        expect(await tx.$count(items)).toBe(1); // and the unit goes on
        await tx.delete(items).where(eq(items.id, -1));
      });
    }
  });

  test("half a surrogate pair is stored as insert() stores it, and a JSON null is not taken for NULL", async () => {
    await using fixture = await start();
    const body = "a\ud800b";
    await fixture.sessions.begin({}, async (tx) => {
      await tx.insert(everything).values({ id: 1, key: A, body });
      await tx.bulkInsert(everything, [{ id: 2, key: A, body }]);
      const bodies = await tx.select({ body: everything.body }).from(everything);
      expect(bodies).toEqual([{ body: "a\ufffdb" }, { body: "a\ufffdb" }]);
      const nothing = tx.bulkInsert(everything, [
        { id: 3, key: A },
        { id: 4, key: A, doc: Number.NaN },
      ]);
      await expect(nothing).rejects.toMatchObject({ code: "INVALID_INPUT", rowIndex: 1 });
    });
  });

  test("a value that cannot be sent is named before anything is sent", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      await expect(tx.bulkInsert(items, [{ id: 1 }, { id: 2, nothing: 3 } as never])).rejects.toMatchObject({
        code: "INVALID_INPUT",
        rowIndex: 1,
      });
      await expect(tx.bulkInsert(items, [{ id: sql`1` as never }])).rejects.toMatchObject({
        code: "INVALID_INPUT",
        rowIndex: 0,
      });
      await expect(tx.bulkInsert(made, [{ n: 1 }, { twice: 3 } as never])).rejects.toMatchObject({
        code: "INVALID_INPUT",
        rowIndex: 1,
      });
      await expect(tx.bulkInsert(items, [{ id: 1 }], { batchSize: 0 })).rejects.toMatchObject({
        code: "INVALID_INPUT",
      });
      await expect(tx.bulkInsert(items, [{ id: 1 }], { method: "fast" as never })).rejects.toMatchObject({
        code: "INVALID_INPUT",
      });
      await expect(tx.bulkInsert(items, { id: 1 } as never)).rejects.toMatchObject({ code: "INVALID_INPUT" });
      await expect(tx.bulkInsert(items, [{ id: 1, name: "a\0b" }])).rejects.toMatchObject({ rowIndex: 0 });
      expect(await tx.$count(items)).toBe(0);
    });
  });

  test("70,000 rows go in by themselves, progress is told, and conflicts are handled", async () => {
    await using fixture = await start();
    const rows = Array.from({ length: 70_000 }, (_, id) => ({ id, name: `row ${id}` }));
    await fixture.sessions.begin({}, async (tx) => {
      const told: number[] = [];
      const first = await tx.bulkInsert(items, rows, { onProgress: ({ done, total }) => told.push(done / total) });
      expect(first).toMatchObject({ count: 70_000, method: kind === "server" ? "copy" : "json" });
      expect(told.at(-1)).toBe(1);
      const again = [{ id: 70_001 }, { id: 1, name: "new" }, { id: 70_002 }];
      expect(await tx.bulkInsert(items, again, { onConflict: "nothing", returning: { id: items.id } })).toMatchObject({
        count: 2,
        rows: [{ id: 70_001 }, { id: 70_002 }],
      });
      const updated = await tx.bulkInsert(
        items,
        [
          { id: 1, name: "new" },
          { id: 70_003, name: "x" },
        ],
        { onConflict: { target: items.id } },
      );
      expect(updated.count).toBe(2);
      expect(await tx.$count(items, eq(items.name, "new"))).toBe(1);
    });
  });

  test("more values than 65,535 parameters could hold go in one statement", async () => {
    await using fixture = await start();
    const rows = Array.from({ length: 20_000 }, (_, id) => ({ id, name: "n", rank: 1, parent_id: null }));
    await fixture.sessions.begin({}, async (tx) => {
      expect(await tx.bulkInsert(items, rows, { batchSize: 20_000, method: "json" })).toMatchObject({ count: 20_000 });
      const moved = await tx.bulkUpdate(
        items,
        rows.map(({ id }) => ({ id, name: `m${id}`, rank: id % 100, parent_id: null })),
      );
      expect(moved).toEqual({ count: 20_000, missing: [] });
    });
  });

  test("bulkUpdate gives each row its own values and tells which rows are missing", async () => {
    await using fixture = await start();
    await fixture.sessions.run({}, (tx) => tx.insert(items).values([{ id: 1 }, { id: 2 }, { id: 3 }]));
    const result = await fixture.sessions.run({}, (tx) =>
      tx.bulkUpdate(items, [
        { id: 3, name: "c" },
        { id: 9, name: "x" },
        { id: 1, rank: 50 },
        { id: 2, name: "b" },
      ]),
    );
    expect(result).toEqual({ count: 3, missing: [1] });
    await fixture.sessions.begin({}, async (tx) => {
      expect(await tx.select().from(items).orderBy(items.id)).toEqual([
        { id: 1, name: "none", rank: 50, parent_id: null },
        { id: 2, name: "b", rank: 7, parent_id: null },
        { id: 3, name: "c", rank: 7, parent_id: null },
      ]);
      expect(
        await tx.bulkUpdate(items, [{ name: "b", rank: 1, id: 8 }], { key: items.name, columns: ["rank"] }),
      ).toEqual({ count: 1, missing: [] });
      expect(await tx.bulkUpdate(items, [])).toEqual({ count: 0, missing: [] });
      const bad = { code: "INVALID_INPUT" };
      await expect(
        tx.bulkUpdate(items, [
          { id: 1, rank: 1 },
          { id: 1, rank: 2 },
        ]),
      ).rejects.toMatchObject({ ...bad, rowIndex: 1 });
      await expect(tx.bulkUpdate(items, [{ id: 1, rank: 1 }, { rank: 2 }])).rejects.toMatchObject({
        ...bad,
        rowIndex: 1,
      });
      await expect(tx.bulkUpdate(items, [{ id: 1 }])).rejects.toMatchObject(bad);
      await expect(tx.bulkUpdate(items, [{ id: 1, rank: 1 }], { columns: ["nothing"] })).rejects.toMatchObject(bad);
      expect((await tx.lock(items, 2))[0]).toMatchObject({ rank: 1 });
    });
  });

  test("rows of another tenant are refused, whatever way they travel", async () => {
    await using fixture = await start();
    const sessions = createSessionFactory(fixture.database, { guard: "off", role: "bulk_test_app" });
    for (const method of methods) {
      await sessions.begin({ tenantId: A }, async (tx) => {
        const own = [{ id: 1, tenant_id: A, body: "x" }];
        expect(await tx.bulkInsert(notes, own, { method })).toMatchObject({
          count: 1,
          method: method === "copy" ? "copy through a temporary table" : "json",
        });
        const foreign = [
          { id: 2, tenant_id: A },
          { id: 3, tenant_id: B },
        ];
        await expect(tx.bulkInsert(notes, foreign, { method })).rejects.toMatchObject({
          code: "INSUFFICIENT_PRIVILEGE",
          rowIndex: 1,
        });
        await tx.delete(notes);
      });
    }
  });
});

test("COPY into the embedded database is refused", async () => {
  await using database = await testPglite({ setup: SETUP + TABLES.replace("PLACE", "vector(3)") });
  const sessions = createSessionFactory(database, { guard: "off" });
  const work = sessions.begin({}, (tx) => tx.bulkInsert(items, [{ id: 1 }], { method: "copy" }));
  await expect(work).rejects.toMatchObject({ code: "INVALID_INPUT" });
});

test("bulk updates of the same rows in opposite order do not deadlock", async () => {
  await using database = await testDatabase({ setup: TABLES.replace("PLACE", "text") });
  const sessions = createSessionFactory(database, { guard: "off", retry: false });
  const ids = Array.from({ length: 200 }, (_, id) => id);
  await sessions.begin({}, (tx) =>
    tx.bulkInsert(
      items,
      ids.map((id) => ({ id })),
    ),
  );
  const move = (order: number[], rank: number) =>
    sessions.run({}, (tx) =>
      tx.bulkUpdate(
        items,
        order.map((id) => ({ id, rank })),
      ),
    );
  for (let round = 0; round < 40; round++) {
    await Promise.all([move(ids, 1), move(ids.toReversed(), 2), move(ids, 3), move(ids.toReversed(), 4)]);
  }
  expect(await sessions.run({}, (tx) => tx.selectDistinct({ rank: items.rank }).from(items))).toHaveLength(1);
});
