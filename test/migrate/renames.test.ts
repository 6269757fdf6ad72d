// Renames: how they are written, which are offered, and that rows stay where they are.
import { afterAll, beforeAll, expect, test } from "vitest";
import { compareCatalogs, readCatalog } from "../../src/catalog/index.ts";
import {
  parseRename,
  planMigration,
  readRenameHints,
  renameCandidates,
  reverseRenames,
  type Rename,
} from "../../src/migrate/index.ts";
import { testDatabase, type TestDatabase } from "../support/test-database.ts";
import { applyPlan } from "./corpus.ts";
import { catalogOf } from "./recipes.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.close());

async function rowsOf(sql: string): Promise<readonly unknown[]> {
  return (await database.query(sql)).rows;
}

test("a rename is read from a line, with quoted names, arguments and an end-of-line comment", () => {
  expect(
    readRenameHints(`
# what changed in May
column shop.orders.state -> status
TABLE "Shop"."Old orders" -> orders -- since the merger
function shop.total(integer, text) -> total_of
enum value shop.state."New one" -> fresh
`),
  ).toEqual([
    { kind: "column", from: "shop.orders.state", to: "status" },
    { kind: "table", from: '"Shop"."Old orders"', to: "orders" },
    { kind: "function", from: "shop.total(integer, text)", to: "total_of" },
    { kind: "enum value", from: 'shop.state."New one"', to: "fresh" },
  ]);
});

test("a line that is no rename is refused with its number and with how to write one", () => {
  expect(() => readRenameHints("column a.b -> c\ncolumn a.b = c")).toThrow(/^line 2: not a rename: column a\.b = c$/);
  expect(() => parseRename("tabel a -> b")).toThrow(
    expect.objectContaining({ code: "INVALID_INPUT", hint: expect.stringContaining("the kinds are schema, table") }),
  );
});

test("a rename of what is not there is refused, and so is a new name with too many parts", async () => {
  const catalog = await catalogOf(database, "CREATE TABLE t (id integer)");
  const plan = (rename: Rename) => () => planMigration(catalog, catalog, { renames: [rename] });
  expect(plan(parseRename("column t.no -> yes"))).toThrow("there is no column t.no before");
  expect(plan(parseRename("table u -> v"))).toThrow("there is no table u before");
  expect(plan(parseRename("column t.id -> t.key"))).toThrow("t.key is no new name for a column");
});

test("a renamed column keeps its rows, index, check and view, and only a renamed column is a step", async () => {
  const before = `CREATE TABLE orders (id integer PRIMARY KEY, state text CHECK (state <> ''));
    CREATE INDEX orders_state ON orders (lower(state)) WHERE state <> 'gone';
    CREATE VIEW open_orders AS SELECT id, state FROM orders WHERE state = 'open';
    INSERT INTO orders VALUES (1, 'open'), (2, 'closed');`;
  const after = await catalogOf(
    database,
    `CREATE TABLE orders (id integer PRIMARY KEY, status text CONSTRAINT orders_state_check CHECK (status <> ''));
    CREATE INDEX orders_state ON orders (lower(status)) WHERE status <> 'gone';
    CREATE VIEW open_orders AS SELECT id, status AS state FROM orders WHERE status = 'open';`,
  );
  const original = await catalogOf(database, before);
  const renames = [parseRename("column orders.state -> status")];
  const plan = planMigration(original, after, { renames });
  expect(plan.steps.map(({ sql, kind, reversal }) => ({ sql, kind, reversal }))).toEqual([
    {
      sql: 'ALTER TABLE "public"."orders" RENAME COLUMN "state" TO "status"',
      kind: "rename",
      reversal: 'ALTER TABLE "public"."orders" RENAME COLUMN "status" TO "state"',
    },
  ]);
  expect(plan.steps[0]?.hazards).toEqual([
    { kind: "incompatible", why: "code that says orders.state fails from here on" },
  ]);
  await applyPlan(database, plan);
  expect(compareCatalogs(await readCatalog(database), after)).toEqual([]);
  expect(await rowsOf("SELECT id, status FROM orders ORDER BY id")).toEqual([
    { id: 1, status: "open" },
    { id: 2, status: "closed" },
  ]);
  await applyPlan(database, planMigration(after, original, { renames: reverseRenames(renames, original) }));
  expect(compareCatalogs(await readCatalog(database), original)).toEqual([]);
});

test("a check that means another column after two columns exchanged their names is made again", async () => {
  const before = await catalogOf(database, "CREATE TABLE t (a integer, b integer, CONSTRAINT ck CHECK (a > 0))");
  const after = await catalogOf(database, "CREATE TABLE t (a integer, b integer, CONSTRAINT ck CHECK (a > 0))");
  const plan = planMigration(before, after, {
    renames: [parseRename("column t.a -> b"), parseRename("column t.b -> a")],
  });
  expect(plan.steps.map(({ sql }) => sql).filter((sql) => sql.includes("CONSTRAINT"))).toEqual([
    'ALTER TABLE "public"."t" DROP CONSTRAINT "ck"',
    'ALTER TABLE "public"."t" ADD CONSTRAINT "ck" CHECK ((a > 0)) NOT VALID',
    'ALTER TABLE "public"."t" VALIDATE CONSTRAINT "ck"',
  ]);
});

test("the body of a function is text: it is written anew where it names what was renamed", async () => {
  const define = (table: string): string => `CREATE TABLE ${table} (id integer);
    CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM ${table}';`;
  const before = await catalogOf(database, define("old"));
  const plan = planMigration(before, await catalogOf(database, define("fresh")), {
    renames: [parseRename("table old -> fresh")],
  });
  expect(plan.steps.map(({ kind, subject }) => `${kind} ${subject}`)).toContain("alter function public.f.");
});

test("new names that need quotes, and sequences with backslashes, are followed in what refers to them", async () => {
  const define = (table: string, column: string, sequence: string): string => `CREATE SEQUENCE "${sequence}";
    CREATE TABLE "${table}" (id integer DEFAULT nextval('"${sequence.replaceAll("'", "''")}"'), "${column}" text CHECK ("${column}" <> '\\' OR id > 0));
    CREATE VIEW seen AS SELECT id, "${column}" AS said FROM "${table}";`;
  const before = await catalogOf(database, define("orders", "state", "old\\it's"));
  const after = await catalogOf(
    database,
    define("order", "position", "new\\it's").replace("CHECK", "CONSTRAINT orders_state_check CHECK"),
  );
  const renames = ["table orders -> order", "column orders.state -> position", `sequence "old\\it's" -> "new\\it's"`];
  const plan = planMigration(before, after, { renames: renames.map((line) => parseRename(line)) });
  expect(plan.steps.map(({ kind, subject }) => `${kind} ${subject}`)).toEqual([
    "rename column public.orders.state",
    "rename constraint public.orders.orders_check",
    "rename sequence public.old\\it's",
    "rename table public.orders",
  ]);
});

test("without being said, a table is dropped and made, and the rename is offered with a reason", async () => {
  const before = await catalogOf(
    database,
    `CREATE TABLE orders (id bigint PRIMARY KEY, state text NOT NULL, total numeric, note text);
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE TABLE people (id integer, mail text, age integer);
    CREATE FUNCTION add(a integer, b integer) RETURNS integer LANGUAGE sql RETURN a + b;`,
  );
  const after = await catalogOf(
    database,
    `CREATE TABLE purchases (id bigint PRIMARY KEY, status text NOT NULL, total numeric, note text);
    CREATE TYPE mood AS ENUM ('unhappy', 'ok');
    CREATE TABLE people (id integer, email text, age integer, height real);
    CREATE FUNCTION plus(a integer, b integer) RETURNS integer LANGUAGE sql RETURN a + b;`,
  );
  expect(planMigration(before, after).renames).toEqual([]);
  const offers = renameCandidates(before, after);
  expect(offers.map(({ rename: { kind, from, to }, reason }) => `${kind} ${from} -> ${to}: ${reason}`).sort()).toEqual([
    "column public.orders.state -> status: the same type text, NOT NULL both, the same default, names 62 % alike",
    "column public.people.mail -> email: the same type text, nullable both, the same default, names 73 % alike",
    "enum value public.mood.sad -> unhappy: the same place among the values",
    "function public.add(a integer, b integer) -> plus: the same but for the name",
    "table public.orders -> purchases: 3 of 5 columns are the same",
  ]);
  const all = offers.map(({ rename }) => rename);
  expect(
    planMigration(before, after, { renames: all }).steps.flatMap(({ hazards }) => hazards.map(({ kind }) => kind)),
  ).not.toContain("data loss");
});

test("nothing is offered where nothing is gone", async () => {
  const before = await catalogOf(database, "CREATE TABLE t (id integer)");
  const after = await catalogOf(database, "CREATE TABLE t (id integer, name text); CREATE TABLE u (id integer)");
  expect(renameCandidates(before, after)).toEqual([]);
});

test("an index and a constraint that are the same but for their names are renamed unasked", async () => {
  const before = await catalogOf(
    database,
    "CREATE TABLE t (a integer CONSTRAINT one UNIQUE, b integer); CREATE INDEX two ON t (b)",
  );
  const after = await catalogOf(
    database,
    "CREATE TABLE t (a integer CONSTRAINT uno UNIQUE, b integer); CREATE INDEX dos ON t (b)",
  );
  const plan = planMigration(before, after);
  expect(plan.steps.map(({ sql }) => sql)).toEqual([
    'ALTER TABLE "public"."t" RENAME CONSTRAINT "one" TO "uno"',
    'ALTER INDEX "public"."two" RENAME TO "dos"',
  ]);
  expect(plan.renames.map(({ kind, from, to }) => `${kind} ${from} -> ${to}`)).toEqual([
    "constraint public.t.one -> uno",
    "index public.two -> dos",
  ]);
});
