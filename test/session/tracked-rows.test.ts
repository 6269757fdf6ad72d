// Tracked rows: what is read, what of it is written and when, and what is refused before it is sent.
import { eq } from "drizzle-orm";
import { expect, expectTypeOf, test } from "vitest";
import { createSessionFactory, type UnitDatabase } from "../../src/session/index.ts";
import { openDatabase } from "../../src/postgres/index.ts";
import { describeDatabases, testDatabase } from "../support/test-database.ts";
import { startWireProxy } from "../support/wire-proxy.ts";
import {
  docs,
  kinds,
  K1,
  K2,
  keyless,
  made,
  parts,
  startTracked,
  TRACKED_SQL,
  versioned,
  type State,
  type Tx,
} from "./tracked-tables.ts";

describeDatabases((_kind, open) => {
  const start = () => startTracked(open);

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
  await using database = await testDatabase({ setup: TRACKED_SQL });
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
