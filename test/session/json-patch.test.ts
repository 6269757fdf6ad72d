import { sql } from "drizzle-orm";
import { PgDialect } from "drizzle-orm/pg-core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { diffJson, MAX_PATCH_OBJECTS, patchExpression } from "../../src/session/json-patch.ts";
import { describeDatabases, type TestDatabase } from "../support/test-database.ts";

const dialect = new PgDialect();

/** The `UPDATE` of one document of the table `docs`. */
function patchStatement(id: number, base: unknown, current: unknown): { text: string; values: unknown[] } {
  const operations = diffJson(base, current, "state");
  const expression = patchExpression(sql`state`, operations) ?? sql`${JSON.stringify(current)}::jsonb`;
  const query = dialect.sqlToQuery(sql`UPDATE docs SET state = ${expression} WHERE id = ${id}`);
  return { text: query.sql, values: query.params };
}

const key = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom("a", "b", "c", "list", "deep") },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      "",
      "0",
      "1",
      "-1",
      "01",
      "a.b",
      'q"u"ote',
      "it's",
      "{x}",
      "[0]",
      "a,b",
      "NULL",
      "null",
      "\\",
      "$1",
      "__proto__",
      "constructor",
      "toString",
      "über",
      "💡",
      " ",
      "\n",
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .string({ unit: "grapheme", maxLength: 6 })
      .filter((text) => !text.includes("\0") && text.isWellFormed()),
  },
);
const scalar = fc.oneof(
  fc.constantFrom(
    null,
    true,
    false,
    0,
    1,
    -1,
    1.5,
    1e21,
    1e-7,
    0.1 + 0.2,
    "",
    "x",
    "null",
    "{}",
    '"',
    "a\\b",
    "☃",
    "\u0001",
  ),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e300, max: 1e300 }),
);
const { document } = fc.letrec<{ value: unknown; document: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: "small", withCrossShrink: true },
    scalar,
    fc.array(tie("value"), { maxLength: 4 }),
    fc.array(fc.tuple(key, tie("value")), { maxLength: 5 }).map(fromEntries),
  ),
  document: fc.oneof(
    { weight: 8, arbitrary: fc.array(fc.tuple(key, tie("value")), { maxLength: 6 }).map(fromEntries) },
    { weight: 1, arbitrary: tie("value") },
  ),
}));

/** JSON.parse makes `__proto__` a property of its own; an object literal would not. */
function fromEntries(entries: readonly (readonly [string, unknown])[]): unknown {
  return JSON.parse(
    `{${entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",")}}`,
  );
}

/** Changes a copy in a few places, as an agent would; the choices come from fast-check. */
function mutated(base: unknown, edits: readonly (readonly [number, string, unknown])[]): unknown {
  const copy = structuredClone(base);
  for (const [choice, name, value] of edits) {
    let at: unknown = copy;
    for (let depth = choice % 4; depth > 0; depth--) {
      const children: unknown[] = Object.values(at ?? {}).filter(
        (child) => typeof child === "object" && child !== null,
      );
      const child = children[choice % Math.max(1, children.length)];
      if (child !== undefined) at = child;
    }
    if (Array.isArray(at)) {
      if (choice % 3 === 0) at.push(value);
      else if (choice % 3 === 1) at[choice % (at.length + 1)] = value;
      else at.pop();
    } else if (typeof at === "object" && at !== null) {
      const keys = Object.keys(at);
      const existing = keys[choice % Math.max(1, keys.length)] ?? name;
      if (choice % 3 === 0) delete (at as Record<string, unknown>)[existing];
      else
        Object.defineProperty(at, choice % 3 === 1 ? existing : name, {
          value,
          enumerable: true,
          writable: true,
          configurable: true,
        });
    }
  }
  return copy;
}

const pair = fc
  .tuple(
    fc.option(document, { freq: 8, nil: undefined }),
    document,
    fc.array(fc.tuple(fc.nat(97), key, document), { maxLength: 5 }),
    fc.boolean(),
  )
  .map(([base, other, edits, isEdited]) => ({
    base,
    current: isEdited && base !== undefined ? mutated(base, edits) : other,
  }))
  .filter(({ current }) => current !== null);

async function resultsOf(
  database: TestDatabase,
  pairs: readonly { base: unknown; current: unknown }[],
): Promise<unknown[]> {
  await database.query("TRUNCATE docs");
  await database.query(
    "INSERT INTO docs SELECT (e->>'id')::int, CASE WHEN e ? 'state' THEN e->'state' END FROM jsonb_array_elements($1::jsonb) AS e",
    [JSON.stringify(pairs.map(({ base }, id) => ({ id, state: base })))],
  );
  await database.batch(pairs.map(({ base, current }, id) => patchStatement(id, base, current)));
  const { rows } = await database.query<{ state: string }>("SELECT state::text AS state FROM docs ORDER BY id");
  return rows.map(({ state }) => JSON.parse(state) as unknown);
}

describeDatabases((_kind, open) => {
  const start = () => open({ setup: "CREATE TABLE docs (id int PRIMARY KEY, state jsonb)" });

  test("1,000 random documents equal the JavaScript result", async () => {
    await using database = await start();
    await fc.assert(
      fc.asyncProperty(fc.array(pair, { minLength: 100, maxLength: 100 }), async (pairs) => {
        const results = await resultsOf(database, pairs);
        expect(results).toEqual(pairs.map(({ current }) => JSON.parse(JSON.stringify(current)) as unknown));
      }),
      { numRuns: 10, endOnFailure: true },
    );
  });

  test("the difference of a document to itself is empty, also after a way through the database", async () => {
    await using database = await start();
    const documents = fc.sample(document, 200);
    const results = await resultsOf(
      database,
      documents.map((current) => ({ base: undefined, current: current ?? 0 })),
    );
    for (const [index, stored] of results.entries())
      expect(diffJson(stored, documents[index] ?? 0, "state")).toEqual([]);
  });

  test("as many changed objects as are allowed run in bounded time and memory", async () => {
    await using database = await start();
    const base: Record<string, unknown> = {};
    const current: Record<string, unknown> = {};
    for (let index = 0; index < MAX_PATCH_OBJECTS - 1; index++) {
      base[`k${index}`] = { a: 1 };
      current[`k${index}`] = { a: 1, b: index };
    }
    expect(patchExpression(sql`state`, diffJson(base, current, "state"))).toBeDefined();
    expect(await resultsOf(database, [{ base, current }])).toEqual([current]);
    const removals = Object.fromEntries(Object.keys(base).map((name) => [name, {}]));
    expect(await resultsOf(database, [{ base, current: removals }])).toEqual([removals]);
    const lists = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`l${index}`, [index]]));
    expect(await resultsOf(database, [{ base: {}, current: lists }])).toEqual([lists]);
    current["one"] = { too: { many: 1 } };
    expect(patchExpression(sql`state`, diffJson(base, current, "state"))).toBeUndefined();
  });

  test("documents of any depth are written", async () => {
    await using database = await start();
    const nest = (depth: number, leaf: unknown): unknown => {
      let value = leaf;
      for (let level = 0; level < depth; level++) value = { n: value };
      return value;
    };
    const pairs = [5, 39, 40, 41, 42, 200].flatMap((depth) => [
      { base: undefined, current: nest(depth, { leaf: 1 }) },
      { base: {}, current: { a: nest(depth, []) } },
      { base: nest(depth, { leaf: 1 }), current: nest(depth, { leaf: 2, more: {} }) },
      { base: nest(depth, { leaf: 1, keep: 1 }), current: nest(depth, { keep: 1 }) },
    ]);
    expect(await resultsOf(database, pairs)).toEqual(pairs.map(({ current }) => current));
  });

  test("a patch meets whatever another writer left in its way", async () => {
    await using database = await start();
    const base = { a: { b: 1, gone: 1 }, list: [1] };
    const current = { a: { b: 2, c: { d: [3] } }, list: [1, 2], fresh: { x: { y: 1 } } };
    const cases: [found: unknown, result: unknown][] = [
      [base, current],
      [
        { a: { b: 1, z: 9 }, list: [1, 7], fresh: { x: { w: 0 } } },
        { a: { b: 2, c: { d: [3] }, z: 9 }, list: [1, 7, 2], fresh: { x: { w: 0, y: 1 } } },
      ],
      [
        { a: null, list: null, fresh: null },
        { a: { b: 2, c: { d: [3] } }, list: [2], fresh: { x: { y: 1 } } },
      ],
      [
        { a: "text", list: {}, fresh: [1] },
        { a: { b: 2, c: { d: [3] } }, list: [2], fresh: { x: { y: 1 } } },
      ],
      [[1, 2], { a: { b: 2, c: { d: [3] } }, list: [2], fresh: { x: { y: 1 } } }],
      ["text", { a: { b: 2, c: { d: [3] } }, list: [2], fresh: { x: { y: 1 } } }],
      [undefined, { a: { b: 2, c: { d: [3] } }, list: [2], fresh: { x: { y: 1 } } }],
    ];
    await database.query(
      "INSERT INTO docs SELECT (e->>'id')::int, CASE WHEN e ? 'state' THEN e->'state' END FROM jsonb_array_elements($1::jsonb) AS e",
      [JSON.stringify(cases.map(([state], id) => ({ id, state })))],
    );
    await database.batch(cases.map((_, id) => patchStatement(id, base, current)));
    const { rows } = await database.query("SELECT state FROM docs ORDER BY id");
    expect(rows.map((row) => row["state"] as unknown)).toEqual(cases.map(([, result]) => result));
  });

  test("a key is taken out of what is still an object and of nothing else", async () => {
    await using database = await start();
    await database.query("INSERT INTO docs VALUES (0, '{\"a\": [1]}'), (1, '{\"a\": 5}'), (2, '{}'), (3, NULL)");
    await database.batch([0, 1, 2, 3].map((id) => patchStatement(id, { a: { "0": 1 } }, { a: {} })));
    const { rows } = await database.query("SELECT state FROM docs ORDER BY id");
    expect(rows.map((row) => row["state"] as unknown)).toEqual([{ a: [1] }, { a: 5 }, {}, {}]);
  });
});

test("only what changed is among the operations", () => {
  const base = { keep: { a: [1, 2] }, n: 1, gone: true, list: [1], other: [1, 2] };
  const current = { keep: { a: [1, 2] }, n: 2, list: [1, 2, 3], other: [2], fresh: { x: { y: 1 }, z: [], o: {} } };
  expect(diffJson(base, current, "state")).toEqual([
    { kind: "remove", path: ["gone"] },
    { kind: "set", path: ["n"], json: "2" },
    { kind: "append", path: ["list"], json: "[2,3]" },
    { kind: "set", path: ["other"], json: "[2]" },
    { kind: "set", path: ["fresh", "x", "y"], json: "1" },
    { kind: "append", path: ["fresh", "z"], json: "[]" },
    { kind: "object", path: ["fresh", "o"] },
  ]);
});

test("undefined counts as absent, null is a value", () => {
  expect(diffJson({ a: 1 }, { a: undefined }, "state")).toEqual([{ kind: "remove", path: ["a"] }]);
  expect(diffJson({ a: 1 }, { a: null }, "state")).toEqual([{ kind: "set", path: ["a"], json: "null" }]);
  expect(diffJson({}, { a: undefined }, "state")).toEqual([]);
  expect(diffJson({ a: [null] }, { a: [undefined] }, "state")).toEqual([]);
});

test("values are seen as JSON.stringify sees them", () => {
  const at = new Date("2026-01-02T03:04:05.678Z");
  expect(diffJson({ at: at.toJSON(), zero: 0, n: 1 }, { at, zero: -0, n: Object(1) as unknown }, "state")).toEqual([]);
  expect(diffJson({}, { at }, "state")).toEqual([{ kind: "set", path: ["at"], json: JSON.stringify(at) }]);
  class Task {
    title = "x";
  }
  expect(diffJson({ task: { title: "x" } }, { task: new Task() }, "state")).toEqual([]);
});

test("what jsonb cannot hold is refused with its path", () => {
  const circular: Record<string, unknown> = {};
  circular["self"] = circular;
  const bad: [value: unknown, at: string, what: string][] = [
    [{ a: { "b c": [1, Number.NaN] } }, 'state.a["b c"][1]', "NaN"],
    [{ a: Number.POSITIVE_INFINITY }, "state.a", "Infinity"],
    [{ a: 1n }, "state.a", "bigint"],
    [{ a: () => 1 }, "state.a", "function"],
    [{ a: [Symbol("s")] }, "state.a[0]", "symbol"],
    [{ a: "x\0y" }, "state.a", "U+0000"],
    [{ a: { "x\0": 1 } }, "state.a", "U+0000"],
    [{ a: "\ud800" }, "state.a", "surrogate"],
    [{ "\udc00": 1 }, "state", "surrogate"],
    [{ a: new Map([[1, 2]]) }, "state.a", "Map"],
    [{ a: [new Set([1])] }, "state.a[0]", "Set"],
    [{ a: new Date(Number.NaN) }, "state.a", "date"],
    [{ a: /x/ }, "state.a", "RegExp"],
    [{ a: new Uint8Array(2) }, "state.a", "Uint8Array"],
    [circular, "state.self", "circle"],
    [{ a: [circular] }, "state.a[0]", "circle"],
    [undefined, "state", "undefined"],
  ];
  for (const [value, at, what] of bad) {
    for (const base of [undefined, {}, { a: [] }, { a: 1 }, { a: { b: 2 } }]) {
      const attempt = (): unknown => diffJson(base, value, "state");
      expect(attempt).toThrow(
        expect.objectContaining({ code: "INVALID_INPUT", message: expect.stringContaining(at) as string }),
      );
      expect(attempt).toThrow(what);
    }
  }
});

test("__proto__ is a key like others and changes no prototype", () => {
  const current: unknown = JSON.parse('{"__proto__": {"polluted": true}, "a": {"__proto__": 1}}');
  expect(diffJson({}, current, "state")).toEqual([
    { kind: "set", path: ["__proto__", "polluted"], json: "true" },
    { kind: "set", path: ["a", "__proto__"], json: "1" },
  ]);
  expect(diffJson(current, {}, "state").map(({ path }) => path)).toEqual([["__proto__"], ["a"]]);
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
});
