import { eq, sql } from "drizzle-orm";
import {
  bigint,
  bigserial,
  boolean,
  char,
  customType,
  date,
  doublePrecision,
  integer,
  interval,
  json,
  jsonb,
  numeric,
  pgTable,
  point,
  primaryKey,
  real,
  text,
  timestamp,
  uuid,
} from "drizzle-orm/pg-core";
import { expect, expectTypeOf, test } from "vitest";
import { createSessionFactory, defineTable, type UnitDatabase } from "../../src/session/index.ts";
import { openDatabase } from "../../src/postgres/index.ts";
import { describeDatabases, testDatabase } from "../support/test-database.ts";
import { startWireProxy } from "../support/wire-proxy.ts";

interface State {
  owner: { id: string | null; name?: string };
  tasks: { title: string; done: boolean }[];
  notes?: Record<string, unknown>;
}
const docs = pgTable("docs", {
  id: integer().primaryKey(),
  title: text().notNull(),
  count: integer().notNull().default(0),
  state: jsonb().$type<State>(),
});
const bytea = customType<{ data: Buffer }>({ dataType: () => "bytea" });
const kinds = pgTable("kinds", {
  id: uuid().primaryKey().defaultRandom(),
  big: bigint({ mode: "bigint" }),
  bigNumber: bigint("big_number", { mode: "number" }),
  amount: numeric(),
  at: timestamp({ withTimezone: true }),
  atText: timestamp("at_text", { withTimezone: true, mode: "string" }),
  day: date({ mode: "date" }),
  span: interval(),
  tags: text().array(),
  grid: integer().array().array(),
  raw: bytea(),
  plain: json().$type<{ a: number; b?: string }>(),
  list: jsonb().array().$type<{ a: number }[]>(),
  ratio: doublePrecision(),
  small: real(),
  flag: boolean(),
  code: char({ length: 5 }),
  spot: point(),
});
const parts = pgTable(
  "parts",
  {
    doc: integer().notNull(),
    number: integer().notNull(),
    body: text().notNull(),
    createdAt: timestamp("created_at", { withTimezone: true }).notNull().defaultNow(),
  },
  (table) => [primaryKey({ columns: [table.doc, table.number] })],
);
const versioned = defineTable(
  pgTable("versioned", {
    id: integer().primaryKey(),
    title: text().notNull(),
    state: jsonb().$type<Record<string, number>>(),
    version: integer().notNull().default(1),
    deleted_at: timestamp({ withTimezone: true }),
  }),
  { version: "version", softDelete: "deleted_at" },
);
const made = pgTable("made", {
  id: bigserial({ mode: "number" }).primaryKey(),
  title: text().notNull(),
  slug: text().generatedAlwaysAs(sql`lower(title)`),
  token: uuid().notNull().defaultRandom(),
  updatedAt: timestamp("updated_at", { withTimezone: true }).notNull().defaultNow(),
  touched: integer().$onUpdate(() => 42),
  state: jsonb().$type<{ a: number; byTrigger?: boolean }>(),
});
const keyless = pgTable("keyless", { n: integer() });

const SETUP = `
CREATE TABLE docs (id int PRIMARY KEY, title text NOT NULL, count int NOT NULL DEFAULT 0, state jsonb);
INSERT INTO docs VALUES (1, 'one', 0, '{"owner": {"id": "a"}, "tasks": [{"title": "x", "done": false}]}'), (2, 'two', 0, NULL), (3, 'three', 0, 'null');
CREATE TABLE kinds (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), big bigint, big_number bigint, amount numeric, at timestamptz, at_text timestamptz,
  day date, span interval, tags text[], grid int[][], raw bytea, plain json, list jsonb[], ratio float8, small float4, flag bool, code char(5), spot point);
INSERT INTO kinds VALUES ('00000000-0000-4000-8000-00000000000a', 9007199254740993, 42, 1.500, '2026-01-02 03:04:05.678901+02', '2026-01-02 03:04:05.678901+02',
  '2026-01-02', '1 day 02:00', '{a,"b c",NULL,"\\"q"}', '{{1,2},{3,4}}', '\\x00ff', '{"b": "x",  "a": 1}', ARRAY['{"a": 1}'::jsonb], 'NaN', 1.1, true, 'ab', '(1,2.5)'),
  ('00000000-0000-4000-8000-00000000000b', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE parts (doc int, number int, body text NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (doc, number));
INSERT INTO parts VALUES (1, 1, 'a'), (1, 2, 'b');
CREATE TABLE versioned (id int PRIMARY KEY, title text NOT NULL, state jsonb, version int NOT NULL DEFAULT 1, deleted_at timestamptz);
INSERT INTO versioned VALUES (1, 'one', '{"a": 1}', 1, NULL), (2, 'gone', NULL, 1, now());
CREATE TABLE made (id bigserial PRIMARY KEY, title text NOT NULL, slug text GENERATED ALWAYS AS (lower(title)) STORED, token uuid NOT NULL DEFAULT gen_random_uuid(),
  updated_at timestamptz NOT NULL DEFAULT '2000-01-01', touched int, state jsonb);
CREATE FUNCTION made_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  NEW.updated_at := '2026-01-01 00:00:00Z'; NEW.state := NEW.state || '{"byTrigger": true}'; RETURN NEW; END $$;
CREATE TRIGGER made_trigger BEFORE UPDATE ON made FOR EACH ROW EXECUTE FUNCTION made_trigger();`;
const K1 = "00000000-0000-4000-8000-00000000000a";
const K2 = "00000000-0000-4000-8000-00000000000b";

describeDatabases((_kind, open) => {
  const start = async () => {
    const database = await open({ setup: SETUP });
    const texts: string[] = [];
    const sessions = createSessionFactory(database, {
      schema: { docs },
      guard: "off",
      observers: [{ flushed: ({ statements }) => texts.push(...statements.map(({ statement }) => statement.text)) }],
    });
    return {
      database,
      sessions,
      /** Texts of the statements that units sent, BEGIN and COMMIT left out. */
      texts,
      rows: async (query: string) => (await database.query(query)).rows as unknown[],
      [Symbol.asyncDispose]: () => database.close(),
    };
  };
  type Tx = Parameters<Parameters<Awaited<ReturnType<typeof start>>["sessions"]["begin"]>[1]>[0];

  test("a stored document that is nested too deep to be compared is named when its row is flushed", async () => {
    await using fixture = await start();
    await fixture.database.exec(
      `UPDATE docs SET state = ('{"a":' || repeat('[', 6000) || repeat(']', 6000) || '}')::jsonb`,
    );
    const change = fixture.sessions.begin({}, async (tx) => {
      (await tx.loadOrThrow(docs, 1)).title = "deep";
    });
    await expect(change).rejects.toMatchObject({ code: "INVALID_INPUT", message: expect.stringContaining("state") });
  });

  test("assignments to columns and inside documents are written before COMMIT", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const doc = await tx.loadOrThrow(docs, 1, { lock: "update" });
      expect(doc).toEqual({
        id: 1,
        title: "one",
        count: 0,
        state: { owner: { id: "a" }, tasks: [{ title: "x", done: false }] },
      });
      doc.title = "new";
      if (doc.state === null) throw new Error("no state");
      doc.state.owner.id = null;
      doc.state.tasks.push({ title: "y", done: true });
      doc.state.notes = { "a.b": { "": 1 } };
    });
    expect(await fixture.rows("SELECT * FROM docs WHERE id = 1")).toEqual([
      {
        id: 1,
        title: "new",
        count: 0,
        state: {
          owner: { id: null },
          tasks: [
            { title: "x", done: false },
            { title: "y", done: true },
          ],
          notes: { "a.b": { "": 1 } },
        },
      },
    ]);
    expect(fixture.texts).toHaveLength(2);
    expect(fixture.texts[1]).not.toContain('count" =');
  });

  test("a missing row is undefined, or an error when it must be there", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      expect(await tx.load(docs, 99)).toBeUndefined();
      await expect(tx.loadOrThrow(docs, 99)).rejects.toMatchObject({ code: "ROW_NOT_FOUND" });
    });
    expect(await fixture.sessions.run({}, (tx) => tx.load(docs, 2))).toMatchObject({ title: "two" });
  });

  test("columns of every kind are read as Drizzle reads them, and nothing changed sends nothing", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const [selected] = await tx.select().from(kinds).where(eq(kinds.id, K1));
      const loaded = await tx.loadOrThrow(kinds, K1.toUpperCase());
      expect(loaded).toEqual(selected);
      const empty = await tx.loadOrThrow(kinds, { id: K2 });
      expect(Object.values(empty).filter((value) => value !== null)).toEqual([K2]);
      for (const id of [1, 2, 3]) await tx.loadOrThrow(docs, id);
      await tx.loadOrThrow(parts, { doc: 1, number: 2 });
      const sent = fixture.texts.length;
      expect(await tx.flush()).toEqual({ inserted: [], updated: [] });
      // The same values in new objects are no change either.
      Object.assign(
        loaded,
        structuredClone({
          at: loaded.at,
          day: loaded.day,
          tags: loaded.tags,
          grid: loaded.grid,
          plain: loaded.plain,
          list: loaded.list,
          spot: loaded.spot,
        }),
        { raw: Buffer.from([0, 255]) },
      );
      expect(await tx.flush()).toEqual({ inserted: [], updated: [] });
      expect(fixture.texts).toHaveLength(sent);
    });
  });

  test("columns of every kind are written and come back as they were assigned", async () => {
    await using fixture = await start();
    const values = {
      big: -9007199254740995n,
      bigNumber: 7,
      amount: "0.10",
      at: new Date("2030-05-06T07:08:09.123Z"),
      day: new Date("2030-05-06T00:00:00.000Z"),
      span: "3 days",
      tags: ["x", 'q"uo,te', "", "NULL", "{}"],
      grid: [[5], [6]],
      raw: Buffer.from("\0\x01binary"),
      plain: { a: 2 },
      list: [{ a: 2 }, { a: 3 }],
      ratio: -0.5,
      small: 2.5,
      flag: false,
      spot: [3, 4] as [number, number],
    };
    await fixture.sessions.begin({}, async (tx) => {
      const row = await tx.loadOrThrow(kinds, K2);
      Object.assign(row, structuredClone({ ...values, raw: null }), { raw: values.raw });
      await tx.flush();
      expect(row).toMatchObject(values);
      row.tags?.push("more");
      row.raw = null;
      row.at?.setFullYear(2031);
    });
    const row = await fixture.sessions.run({}, (tx) => tx.load(kinds, K2));
    expect(row).toMatchObject({
      ...values,
      tags: [...values.tags, "more"],
      raw: null,
      at: new Date("2031-05-06T07:08:09.123Z"),
    });
  });

  test("NULL, JSON null and documents change into each other", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const [one, two, three] = [
        await tx.loadOrThrow(docs, 1),
        await tx.loadOrThrow(docs, 2),
        await tx.loadOrThrow(docs, 3),
      ];
      expect([two.state, three.state]).toEqual([null, null]);
      one.state = null;
      two.state = { owner: { id: "b" }, tasks: [] };
      three.state = { owner: { id: "c" }, tasks: [] };
    });
    expect(await fixture.rows("SELECT state FROM docs ORDER BY id")).toEqual([
      { state: null },
      { state: { owner: { id: "b" }, tasks: [] } },
      { state: { owner: { id: "c" }, tasks: [] } },
    ]);
    expect(await fixture.rows("SELECT id FROM docs WHERE state IS NULL")).toEqual([{ id: 1 }]);
  });

  test("a row of a composite key is loaded and written", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const part = await tx.loadOrThrow(parts, { doc: 1, number: 2 });
      part.body = "changed";
    });
    expect(await fixture.rows("SELECT body FROM parts ORDER BY number")).toEqual([{ body: "a" }, { body: "changed" }]);
  });

  test("what the server makes is in the object after a flush", async () => {
    await using fixture = await start();
    const row = await fixture.sessions.begin({}, async (tx) => {
      const first = tx.add(made, { title: "First", state: { a: 1 } });
      const second = tx.add(made, { title: "Second" });
      expect(() => first.id).toThrow(expect.objectContaining({ code: "INVALID_INPUT" }));
      expect(JSON.stringify(first)).toBe('{"title":"First","state":{"a":1}}');
      first.title = "FIRST";
      const { inserted } = await tx.flush();
      expect(inserted).toEqual([first, second]);
      expect(first).toMatchObject({
        id: 1,
        slug: "first",
        touched: 42,
        state: { a: 1 },
        updatedAt: new Date("2000-01-01"),
      });
      expect(second).toMatchObject({ id: 2, slug: "second", state: null });
      expect(first.token).toMatch(/^[0-9a-f-]{36}$/);
      first.title = "again";
      const { updated } = await tx.flush();
      expect(updated).toEqual([first]);
      expect(first).toMatchObject({
        slug: "again",
        touched: 42,
        state: { a: 1, byTrigger: true },
        updatedAt: new Date("2026-01-01"),
      });
      if (first.state !== null) first.state.a = 2;
      return first;
    });
    expect(row.state).toEqual({ a: 2, byTrigger: true });
    expect(await fixture.rows("SELECT id::int, title, touched, state FROM made ORDER BY id")).toEqual([
      { id: 1, title: "again", touched: 42, state: { a: 2, byTrigger: true } },
      { id: 2, title: "Second", touched: 42, state: null },
    ]);
  });

  test("a row that cannot be inserted fails the unit with the server's error", async () => {
    await using fixture = await start();
    const work = fixture.sessions.begin({}, (tx) => {
      tx.add(docs, { id: 1, title: "double" });
    });
    await expect(work).rejects.toMatchObject({ code: "UNIQUE_VIOLATION", table: "docs" });
  });

  test("keys, versions and generated columns cannot be assigned", async () => {
    await using fixture = await start();
    const refused = async (change: (tx: Tx) => Promise<void>, message: string) => {
      const work = fixture.sessions.begin({}, change);
      await expect(work).rejects.toMatchObject({
        code: "INVALID_INPUT",
        message: expect.stringContaining(message) as string,
      });
    };
    await refused(async (tx) => void ((await tx.loadOrThrow(docs, 1)).id = 5), "docs.id");
    await refused(async (tx) => void ((await tx.loadOrThrow(parts, { doc: 1, number: 1 })).number = 5), "parts.number");
    await refused(async (tx) => void ((await tx.loadOrThrow(versioned, 1)).version = 5), "versioned.version");
    await refused(async (tx) => {
      const row = tx.add(made, { title: "x" });
      await tx.flush();
      row.slug = "y";
    }, "made.slug");
    await refused(async (tx) => void tx.add(made, { title: "x", slug: "y" } as never), "made.slug");
    expect(await fixture.rows("SELECT id FROM docs ORDER BY id")).toEqual([{ id: 1 }, { id: 2 }, { id: 3 }]);
  });

  test("what cannot be stored is refused with its path, and nothing of the flush is sent", async () => {
    await using fixture = await start();
    const circular: Record<string, unknown> = {};
    circular["self"] = circular;
    const bad = [Number.NaN, 1n, () => 1, "a\0b", "\ud800", new Map(), circular];
    for (const value of bad) {
      const work = fixture.sessions.begin({}, async (tx) => {
        const [one, two] = [await tx.loadOrThrow(docs, 1), await tx.loadOrThrow(docs, 2)];
        two.title = "never";
        if (one.state !== null) one.state.notes = { deep: [value] };
        const sent = fixture.texts.length;
        await expect(tx.flush()).rejects.toMatchObject({
          code: "INVALID_INPUT",
          message: expect.stringContaining("state.notes.deep[0]") as string,
        });
        expect(fixture.texts).toHaveLength(sent);
      });
      await expect(work).rejects.toMatchObject({ code: "INVALID_INPUT" });
    }
    const wrong: ((tx: Tx) => unknown)[] = [
      async (tx) => void ((await tx.loadOrThrow(docs, 1)).title = undefined as never),
      async (tx) => void ((await tx.loadOrThrow(docs, 1)).title = "a\0b"),
      async (tx) => void ((await tx.loadOrThrow(docs, 1)).state = undefined as never),
      async (tx) => void ((await tx.loadOrThrow(kinds, K1)).at = new Date(Number.NaN)),
      (tx) => tx.add(docs, { id: 9, title: "x", state: { tasks: Number.NaN } as never }),
      (tx) => tx.add(docs, { id: 9, title: "x", nothing: 1 } as never),
      (tx) => tx.add(keyless, { n: 1 }),
      (tx) => tx.load(keyless, 1),
      (tx) => tx.load(docs, undefined as never),
      (tx) => tx.load(docs, null as never),
      (tx) => tx.load(docs, {}),
      (tx) => tx.load(docs, { id: 1, title: "x" }),
      (tx) => tx.load(parts, 1),
      (tx) => tx.load(parts, { doc: 1 }),
      (tx) => tx.load({} as never, 1),
      (tx) => tx.load(docs, 1, { lock: "exclusive" as never }),
      (tx) => tx.load(docs, 1, { lock: "update", wait: "maybe" as never }),
      (tx) => tx.load(docs, 1, { wait: "nowait" }),
      (tx) => tx.load(docs, 1, { guard: ["nothing.a" as never] }),
      (tx) => tx.load(docs, 1, { guard: ["title.a"] }),
      (tx) => tx.refresh({}),
      (tx) => tx.refresh(tx.add(docs, { id: 9, title: "x" })),
    ];
    for (const work of wrong)
      await expect(fixture.sessions.begin({}, async (tx) => void (await work(tx)))).rejects.toMatchObject({
        code: "INVALID_INPUT",
      });
    expect(await fixture.rows("SELECT title FROM docs ORDER BY id")).toEqual([
      { title: "one" },
      { title: "two" },
      { title: "three" },
    ]);
  });

  test("refresh reads the row again and drops what was not flushed", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const doc = await tx.loadOrThrow(docs, 1);
      const { state } = doc;
      doc.title = "dropped";
      await tx.update(docs).set({ count: 7 }).where(eq(docs.id, 1));
      await tx.refresh(doc, { lock: "update" });
      expect(doc).toMatchObject({ title: "one", count: 7 });
      expect(doc.state).toBe(state);
      doc.count++;
      await tx.delete(docs).where(eq(docs.id, 2));
    });
    expect(await fixture.rows("SELECT title, count FROM docs ORDER BY id")).toEqual([
      { title: "one", count: 8 },
      { title: "three", count: 0 },
    ]);
  });

  test("a row that was deleted meanwhile is stale", async () => {
    await using fixture = await start();
    const work = fixture.sessions.begin({}, async (tx) => {
      const doc = await tx.loadOrThrow(docs, 1);
      await tx.delete(docs).where(eq(docs.id, 1));
      await expect(tx.refresh(doc)).rejects.toMatchObject({ code: "STALE_ROW" });
      doc.title = "x";
    });
    await expect(work).rejects.toMatchObject({ code: "STALE_ROW" });
    expect(await fixture.rows("SELECT title FROM docs WHERE id = 1")).toEqual([{ title: "one" }]);
  });

  test("the version grows with each write and a stale write is refused", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const row = await tx.loadOrThrow(versioned, 1);
      row.title = "a";
      await tx.flush();
      expect(row.version).toBe(2);
      await tx.flush();
      if (row.state !== null) row.state["b"] = 1;
      await tx.flush();
      expect(row).toMatchObject({ version: 3, state: { a: 1, b: 1 } });
      await tx.update(versioned).set({ version: 10 });
      row.title = "stale";
      await expect(tx.flush()).rejects.toMatchObject({ code: "STALE_ROW" });
      await tx.refresh(row);
      expect(row).toMatchObject({ title: "a", version: 10 });
      row.title = "decided anew";
    });
    expect(await fixture.rows("SELECT title, version FROM versioned WHERE id = 1")).toEqual([
      { title: "decided anew", version: 11 },
    ]);
  });

  test("a guarded value that changed meanwhile makes the write stale, another does not", async () => {
    await using fixture = await start();
    const change = (statement: string) =>
      fixture.sessions.begin({}, async (tx) => {
        const doc = await tx.loadOrThrow(docs, 1, { guard: ["state.owner.id", ["state", "notes", "a.b"], "count"] });
        await tx.execute(sql.raw(`${statement} WHERE id = 1`));
        if (doc.state !== null) doc.state.owner.name = "x";
        await tx.flush();
        doc.title = `${doc.title}!`;
      });
    await change("UPDATE docs SET title = 'two', state = jsonb_set(state, '{tasks}', '[]')");
    await expect(change(`UPDATE docs SET state = jsonb_set(state, '{owner,id}', '"b"')`)).rejects.toMatchObject({
      code: "STALE_ROW",
    });
    await expect(change(`UPDATE docs SET state = state || '{"notes": {"a.b": null}}'`)).rejects.toMatchObject({
      code: "STALE_ROW",
    });
    await expect(change("UPDATE docs SET count = 1")).rejects.toMatchObject({ code: "STALE_ROW" });
    expect(await fixture.rows("SELECT title, state FROM docs WHERE id = 1")).toEqual([
      { title: "two!", state: { owner: { id: "a", name: "x" }, tasks: [] } },
    ]);
  });

  test("a row loaded twice is one object with both changes", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const first = await tx.loadOrThrow(docs, 1, { guard: ["count"] });
      first.count = 1;
      const second = await tx.loadOrThrow(docs, 1, { lock: "update" });
      expect(second).toBe(first);
      expect(second.count).toBe(1);
      second.count++;
      await Promise.all([tx.flush(), tx.flush(), tx.load(docs, 1)]);
      expect(first.count).toBe(2);
    });
    expect(await fixture.rows("SELECT count FROM docs WHERE id = 1")).toEqual([{ count: 2 }]);
  });

  test("what is assigned while a flush is under way is written by the next", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const doc = await tx.loadOrThrow(docs, 1);
      doc.count = 1;
      if (doc.state !== null) doc.state.owner.id = "first";
      const flushed = tx.flush();
      await Promise.resolve();
      await Promise.resolve();
      doc.count = 2;
      doc.title = "later";
      if (doc.state !== null) doc.state.owner.name = "later";
      await flushed;
      expect(doc).toMatchObject({ count: 2, title: "later", state: { owner: { id: "first", name: "later" } } });
    });
    expect(await fixture.rows("SELECT count, title, state->'owner' AS owner FROM docs WHERE id = 1")).toEqual([
      { count: 2, title: "later", owner: { id: "first", name: "later" } },
    ]);
  });

  test("a nested unit that fails takes its changes of tracked rows with it, and only those", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const doc = await tx.loadOrThrow(docs, 1);
      doc.count = 1;
      doc.title = "before";
      const failure = new Error("stop");
      let leaked: unknown;
      await expect(
        tx.begin(async (inner) => {
          doc.count = 2;
          await inner.flush();
          doc.title = "inside";
          leaked = inner.add(docs, { id: 9, title: "never" });
          await inner.flush();
          (await inner.loadOrThrow(docs, 2)).title = "never";
          inner.add(docs, { id: 10, title: "never" });
          throw failure;
        }),
      ).rejects.toBe(failure);
      expect(leaked).toMatchObject({ id: 9 });
      expect(doc).toMatchObject({ count: 1, title: "before" });
      expect(await tx.flush()).toEqual({ inserted: [], updated: [] });
      expect(await tx.load(docs, 9)).toBeUndefined();
      expect(await tx.load(docs, 2)).toMatchObject({ title: "two" });
      await tx.begin((inner) => {
        doc.count = 3;
        return inner.begin(() => void (doc.title = "after"));
      });
    });
    expect(await fixture.rows("SELECT id, count, title FROM docs ORDER BY id")).toEqual([
      { id: 1, count: 3, title: "after" },
      { id: 2, count: 0, title: "two" },
      { id: 3, count: 0, title: "three" },
    ]);
  });

  test("a row of a nested unit that was rolled back cannot be written afterwards", async () => {
    await using fixture = await start();
    const work = fixture.sessions.begin({}, async (tx) => {
      const leaked: { title: string }[] = [];
      await expect(
        tx.begin(async (inner) => {
          leaked.push(await inner.loadOrThrow(docs, 2), await inner.loadOrThrow(docs, 3));
          throw new Error("stop");
        }),
      ).rejects.toThrow("stop");
      for (const row of leaked) row.title = "late";
      await expect(tx.refresh(leaked[0] ?? {})).rejects.toMatchObject({ code: "INVALID_INPUT" });
    });
    await expect(work).rejects.toMatchObject({ code: "INVALID_INPUT" });
    expect(await fixture.rows("SELECT title FROM docs ORDER BY id")).toEqual([
      { title: "one" },
      { title: "two" },
      { title: "three" },
    ]);
  });

  test("a stale row inside a nested unit fails that nested unit", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const row = await tx.loadOrThrow(versioned, 1);
      await tx.update(versioned).set({ version: 5 });
      await expect(tx.begin(() => void (row.title = "stale"))).rejects.toMatchObject({ code: "STALE_ROW" });
      expect(row.title).toBe("one");
    });
    expect(await fixture.rows("SELECT title FROM versioned WHERE id = 1")).toEqual([{ title: "one" }]);
  });

  test("soft-deleted rows are found only when asked for", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      expect(await tx.load(versioned, 2)).toBeUndefined();
      const row = await tx.loadOrThrow(versioned, 2, { withDeleted: true });
      row.deleted_at = null;
      await tx.flush();
      expect(await tx.load(versioned, 2)).toBe(row);
    });
  });

  test("locks are taken, and tracking does not outlive the unit", async () => {
    await using fixture = await start();
    const { sessions } = fixture;
    for (const lock of ["update", "no key update", "share", "key share"] as const)
      for (const wait of ["block", "nowait", "skip"] as const)
        expect(await sessions.run({}, (tx) => tx.load(docs, 1, { lock, wait }))).toMatchObject({ id: 1 });
    await expect(sessions.read({}, (tx) => tx.load(docs, 1, { lock: "update" }))).rejects.toMatchObject({
      code: "READ_ONLY",
    });
    const doc = await sessions.begin({}, (tx) => tx.loadOrThrow(docs, 1));
    doc.title = "nobody looks";
    await sessions.begin({}, async (tx) => {
      await expect(tx.refresh(doc)).rejects.toMatchObject({ code: "INVALID_INPUT" });
    });
    expect(await fixture.rows("SELECT title FROM docs WHERE id = 1")).toEqual([{ title: "one" }]);
  });

  test("what is written with COMMIT is refused with it", async () => {
    await using fixture = await start();
    const { sessions } = fixture;
    const refused = (work: (doc: { title: string; count: number }, tx: Tx) => unknown) =>
      sessions.begin({}, async (tx) => {
        tx.add(docs, { id: 9, title: "never" });
        await work(await tx.loadOrThrow(docs, 1, { lock: "update" }), tx);
      });
    const stale = refused(async (doc, tx) => {
      doc.title = "gone";
      await tx.delete(docs).where(eq(docs.id, 1));
    });
    await expect(stale).rejects.toMatchObject({ code: "STALE_ROW" });
    const full = refused((doc, tx) => {
      doc.title = "full";
      tx.add(docs, { id: 2, title: "double" });
    });
    await expect(full).rejects.toMatchObject({ code: "UNIQUE_VIOLATION", constraint: "docs_pkey" });
    const wrong = refused((doc) => {
      doc.count = 2 ** 40;
    });
    await expect(wrong).rejects.toMatchObject({ code: "INVALID_VALUE" });
    expect(await fixture.rows("SELECT id, title FROM docs ORDER BY id")).toEqual([
      { id: 1, title: "one" },
      { id: 2, title: "two" },
      { id: 3, title: "three" },
    ]);
    expect(fixture.database.leases()).toEqual([]);
    const [first, second] = await sessions.begin({}, async (tx) => {
      const doc = await tx.loadOrThrow(docs, 1, { lock: "update" });
      doc.title = "written";
      return [doc, tx.add(made, { title: "Added" })] as const;
    });
    expect([first.title, second.slug]).toEqual(["written", "added"]);
    expect(await fixture.rows("SELECT title FROM docs WHERE id = 1")).toEqual([{ title: "written" }]);
  });

  test("a big document that changed in many places is written whole", async () => {
    await using fixture = await start();
    const notes: Record<string, unknown> = {};
    for (let index = 0; index < 500; index++) notes[`k${index}`] = { a: { b: index } };
    await fixture.sessions.begin({}, async (tx) => {
      const doc = await tx.loadOrThrow(docs, 1);
      if (doc.state !== null) doc.state.notes = notes;
    });
    expect(await fixture.rows("SELECT state->'notes' AS notes FROM docs WHERE id = 1")).toEqual([{ notes }]);
  });
});

test("a locked row is changed in two flushes: one to lock it, one to write and commit", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const { hostname, port } = new URL(database.url);
  await using proxy = await startWireProxy({ targetHost: hostname, targetPort: Number(port) });
  await using proxied = await openDatabase({ url: proxy.url(database.url) });
  const sessions = createSessionFactory(proxied, { guard: "off" });
  const change = (lock?: "update") =>
    sessions.begin({}, async (tx) => {
      const doc = await tx.loadOrThrow(docs, 1, lock === undefined ? {} : { lock });
      doc.count++;
    });
  await change("update");
  proxy.resetCount();
  await change("update");
  expect(proxy.flushes).toBe(2);
  proxy.resetCount();
  await change();
  expect(proxy.flushes).toBe(3);
  expect((await database.query("SELECT count FROM docs WHERE id = 1")).rows).toEqual([{ count: 3 }]);
});

test("rows are typed by their table", () => {
  const typed = async (tx: UnitDatabase): Promise<void> => {
    const doc = await tx.load(docs, 1);
    expectTypeOf(doc).toEqualTypeOf<typeof docs.$inferSelect | undefined>();
    const sure = await tx.loadOrThrow(docs, 1);
    expectTypeOf(sure.state).toEqualTypeOf<State | null>();
    expectTypeOf(tx.add(docs, { id: 1, title: "x" })).toEqualTypeOf<typeof docs.$inferSelect>();
    // @ts-expect-error a column is missing
    tx.add(docs, { id: 1 });
    // @ts-expect-error no such column
    await tx.load(docs, 1, { guard: ["nothing"] });
    // @ts-expect-error a relation that was not loaded
    expect(sure.author).toBeUndefined();
  };
  expectTypeOf(typed).returns.resolves.toBeVoid();
});
