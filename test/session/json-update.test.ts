import { eq, sql } from "drizzle-orm";
import { integer, json, jsonb, pgTable, text } from "drizzle-orm/pg-core";
import type { SQL } from "drizzle-orm";
import { expect, expectTypeOf, test } from "vitest";
import {
  createSessionFactory,
  jsonAppend,
  jsonIncrement,
  jsonMerge,
  jsonRemove,
  jsonSet,
} from "../../src/session/index.ts";
import { describeDatabases } from "../support/test-database.ts";

interface State {
  step: number;
  note?: string | null;
  nested?: { a?: { b?: number | null }; list: string[] };
  tasks: { title: string; done: boolean }[];
  byName: Record<string, { hits: number }>;
}
const docs = pgTable("docs", {
  id: integer().primaryKey(),
  state: jsonb().$type<State>(),
  tags: jsonb().$type<string[]>(),
  plain: json().$type<{ n: number; list?: number[] }>(),
  free: jsonb(),
  title: text(),
});
const SETUP = "CREATE TABLE docs (id int PRIMARY KEY, state jsonb, tags jsonb, plain json, free jsonb, title text)";
const base = { step: 1, tasks: [{ title: "x", done: false }], byName: {} };

describeDatabases((_kind, open) => {
  const start = async (state?: unknown) => {
    const database = await open({ setup: SETUP });
    await database.query("INSERT INTO docs (id, state, plain) VALUES (1, $1, $2)", [
      state === undefined ? null : JSON.stringify(state),
      '{"n": 1}',
    ]);
    const sessions = createSessionFactory(database, { guard: "off" });
    const set = async (values: Partial<Record<"state" | "tags" | "plain" | "free", SQL>>) => {
      const [row] = await sessions.run({}, (tx) => tx.update(docs).set(values).where(eq(docs.id, 1)).returning());
      return row;
    };
    return { database, sessions, set, [Symbol.asyncDispose]: () => database.close() };
  };

  test("jsonMerge puts keys in, one level deep, and leaves the others", async () => {
    await using fixture = await start({ ...base, nested: { list: ["a"], a: { b: 1 } } });
    const state = jsonMerge(docs.state, {
      step: 2,
      nested: { list: [] },
      note: null,
      tasks: undefined as never,
    });
    expect((await fixture.set({ state }))?.state).toEqual({ ...base, step: 2, nested: { list: [] }, note: null });
  });

  test("jsonSet changes one value", async () => {
    await using fixture = await start(base);
    expect((await fixture.set({ state: jsonSet(docs.state, ["step"], 7) }))?.state).toEqual({ ...base, step: 7 });
    const done = await fixture.set({ state: jsonSet(docs.state, ["tasks", 0, "done"], true) });
    expect(done?.state?.tasks).toEqual([{ title: "x", done: true }]);
    const whole = await fixture.set({ state: jsonSet(docs.state, [], base) });
    expect(whole?.state).toEqual(base);
  });

  test("parents that are missing, null or scalar are made", async () => {
    for (const found of [{}, { nested: null }, { nested: { a: null } }, { nested: "x" }, { nested: { a: [1] } }]) {
      await using fixture = await start(found);
      expect((await fixture.set({ state: jsonSet(docs.state, ["nested", "a", "b"], 1) }))?.state).toEqual({
        nested: { a: { b: 1 } },
      });
    }
    await using fixture = await start({ nested: { list: ["kept"] }, tasks: null });
    const row = await fixture.set({
      state: jsonSet(jsonSet(docs.state, ["nested", "a", "b"], 1), ["tasks", 0], { title: "t", done: false }),
    });
    expect(row?.state).toEqual({ nested: { list: ["kept"], a: { b: 1 } }, tasks: [{ title: "t", done: false }] });
  });

  test("a column that is NULL starts from an empty document", async () => {
    await using fixture = await start();
    const reset = () => fixture.database.query("UPDATE docs SET state = NULL, tags = NULL");
    expect(
      await fixture.set({ state: jsonSet(docs.state, ["step"], 1), tags: jsonAppend(docs.tags, "a") }),
    ).toMatchObject({ state: { step: 1 }, tags: ["a"] });
    await reset();
    expect((await fixture.set({ state: jsonMerge(docs.state, { step: 2 }) }))?.state).toEqual({ step: 2 });
    await reset();
    expect((await fixture.set({ state: jsonIncrement(docs.state, ["step"], 3) }))?.state).toEqual({ step: 3 });
    await reset();
    expect((await fixture.set({ state: jsonAppend(docs.state, ["nested", "list"], "x", "y") }))?.state).toEqual({
      nested: { list: ["x", "y"] },
    });
    await reset();
    await fixture.set({ state: jsonRemove(docs.state, ["nested", "a"]) });
    expect((await fixture.database.query("SELECT state FROM docs")).rows).toEqual([{ state: null }]);
  });

  test("null is written as JSON null and the column does not become NULL", async () => {
    await using fixture = await start(base);
    const row = await fixture.set({ state: jsonSet(docs.state, ["note"], null), tags: jsonSet(docs.tags, [], ["a"]) });
    expect(row).toMatchObject({ state: { ...base, note: null }, tags: ["a"] });
    const { rows } = await fixture.database.query("SELECT jsonb_typeof(state->'note') AS kind FROM docs");
    expect(rows).toEqual([{ kind: "null" }]);
  });

  test("jsonRemove takes a key or an element out and ignores what is not there", async () => {
    await using fixture = await start({ ...base, note: "x", nested: { a: { b: 1 }, list: ["a", "b", "c"] } });
    const state = jsonRemove(
      jsonRemove(jsonRemove(jsonRemove(docs.state, ["note"]), ["nested", "a", "b"]), ["nested", "list", 1]),
      ["byName", "nobody", "hits"],
    );
    expect((await fixture.set({ state }))?.state).toEqual({ ...base, nested: { a: {}, list: ["a", "c"] } });
  });

  test("jsonAppend appends one value after the other and keeps arrays whole", async () => {
    await using fixture = await start({ ...base, free: 1 });
    await fixture.set({ free: jsonAppend(docs.free, ["rows"], [1, 2], "x", null, { a: [] }) });
    const row = await fixture.set({
      free: jsonAppend(docs.free, ["rows"], [3]),
      plain: jsonAppend(docs.plain, ["list"], 5),
    });
    expect(row?.free).toEqual({ rows: [[1, 2], "x", null, { a: [] }, [3]] });
    expect(row?.plain).toEqual({ n: 1, list: [5] });
  });

  test("jsonIncrement adds exactly, from nothing and from null", async () => {
    await using fixture = await start({ step: 0.1, nested: { a: { b: null }, list: [] }, byName: {} });
    const state = jsonIncrement(
      jsonIncrement(jsonIncrement(docs.state, ["step"], 0.2), ["nested", "a", "b"], -2),
      ["byName", 'we"ird.key', "hits"],
      10n,
    );
    expect((await fixture.set({ state }))?.state).toEqual({
      step: 0.3,
      nested: { a: { b: -2 }, list: [] },
      byName: { 'we"ird.key': { hits: 10 } },
    });
  });

  test("jsonIncrement of something that is no number fails and changes nothing", async () => {
    await using fixture = await start({ step: "5" });
    await expect(fixture.set({ state: jsonIncrement(docs.state, ["step"], 1) })).rejects.toMatchObject({
      sqlState: "22023",
    });
    expect((await fixture.database.query("SELECT state FROM docs")).rows).toEqual([{ state: { step: "5" } }]);
  });

  test("many changes nest on one column", async () => {
    await using fixture = await start({});
    let free = jsonSet(docs.free, ["start"], 0);
    for (let index = 0; index < 12; index++) free = jsonIncrement(jsonAppend(free, ["log"], index), ["count"], 1);
    const row = await fixture.set({ free });
    expect(row?.free).toEqual({ start: 0, count: 12, log: Array.from({ length: 12 }, (_, index) => index) });
  });

  test("keys may hold anything", async () => {
    await using fixture = await start();
    const keys = ["", "0", "a.b", '"', "'", "{}", "NULL", "\\", "$1", "__proto__", "ключ", "a,b"];
    let free: SQL<unknown> = sql`${docs.free}`;
    for (const key of keys) free = jsonSet(free, ["at", key], key);
    const row = await fixture.set({ free });
    const { at } = (row?.free ?? {}) as { at: object };
    expect(Object.keys(at).toSorted()).toEqual(keys.toSorted());
  });

  test("they work in an upsert", async () => {
    await using fixture = await start({ step: 1 });
    const [row] = await fixture.sessions.run({}, (tx) =>
      tx
        .insert(docs)
        .values({ id: 1, title: "again" })
        .onConflictDoUpdate({ target: docs.id, set: { state: jsonIncrement(docs.state, ["step"], 1) } })
        .returning(),
    );
    expect(row?.state).toEqual({ step: 2 });
  });
});

test("bad input is refused before anything is sent", () => {
  const bad: (() => unknown)[] = [
    () => jsonSet(docs.title as never, ["a"] as never, 1 as never),
    () => jsonSet({} as never, ["a"] as never, 1 as never),
    () => jsonSet(docs.free, "a.b" as never, 1 as never),
    () => jsonSet(docs.free, [1.5], 1),
    () => jsonSet(docs.free, [{}] as never, 1 as never),
    () => jsonSet(docs.free, ["a\0"], 1),
    () => jsonSet(docs.free, ["\ud800"], 1),
    () => jsonSet(docs.free, ["a"], undefined as never),
    () => jsonSet(docs.free, ["a"], { b: [Number.NaN] }),
    () => jsonSet(docs.free, ["a"], 1n),
    () => jsonSet(docs.free, ["a"], "x\0"),
    () => jsonMerge(docs.free, [1] as never),
    () => jsonMerge(docs.free, "x" as never),
    () => jsonMerge(docs.free, { a: () => 1 }),
    () => jsonRemove(docs.free, []),
    () => jsonAppend(docs.free, ["a"], undefined),
    () => jsonAppend(docs.free, ["a"] as never),
    () => jsonAppend(docs.tags, undefined as never),
    () => jsonIncrement(docs.free, ["a"], Number.NaN),
    () => jsonIncrement(docs.free, ["a"], "1" as never),
    () => jsonIncrement(docs.state, ["step"], Number.POSITIVE_INFINITY),
  ];
  for (const attempt of bad) expect(attempt).toThrow(expect.objectContaining({ code: "INVALID_INPUT" }));
  expect(() => jsonSet(docs.free, ["a"], { b: [Number.NaN] })).toThrow("free.a.b[0]");
});

test("paths and values are checked against the column's declared type", () => {
  expectTypeOf(jsonSet(docs.state, ["step"], 1)).toEqualTypeOf<SQL<State>>();
  expectTypeOf(jsonSet(jsonAppend(docs.state, ["nested", "list"], "x"), ["nested", "a", "b"], null)).toEqualTypeOf<
    SQL<State>
  >();
  expectTypeOf(jsonIncrement(docs.state, ["byName", "anyone", "hits"], 1n)).toEqualTypeOf<SQL<State>>();
  expectTypeOf(jsonSet(docs.free, ["a", 0, "b"], { c: 1 })).toEqualTypeOf<SQL<unknown>>();
  expectTypeOf(jsonAppend(docs.tags, "x", "y")).toEqualTypeOf<SQL<string[]>>();
  expectTypeOf(jsonSet(docs.tags, [0], "x")).toEqualTypeOf<SQL<string[]>>();
  const wrong = (): unknown[] => [
    // @ts-expect-error a key that does not exist
    jsonSet(docs.state, ["stepp"], 1),
    // @ts-expect-error a key that does not exist further down
    jsonSet(docs.state, ["nested", "a", "c"], 1),
    // @ts-expect-error a name where an array has positions
    jsonSet(docs.state, ["tasks", "0", "done"], true),
    // @ts-expect-error a number where an object has names
    jsonRemove(docs.state, [0]),
    // @ts-expect-error nothing is below a number
    jsonRemove(docs.state, ["step", "x"]),
    // @ts-expect-error a value of another type
    jsonSet(docs.state, ["tasks", 0, "done"], "yes"),
    // @ts-expect-error null where the type has none
    jsonSet(docs.state, ["step"], null),
    // @ts-expect-error not the type of the elements
    jsonAppend(docs.state, ["nested", "list"], 1),
    // @ts-expect-error no array there
    jsonAppend(docs.state, ["step"], 1),
    // @ts-expect-error no number there
    jsonIncrement(docs.state, ["note"], 1),
    // @ts-expect-error a key that the document does not have
    jsonMerge(docs.state, { stepp: 1 }),
    // @ts-expect-error a value of another type
    jsonMerge(docs.state, { step: "1" }),
  ];
  expectTypeOf(wrong).returns.toEqualTypeOf<unknown[]>();
});
