import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { readCatalog } from "../../../src/catalog/index.ts";
import {
  formatExpandPhase,
  parseMigration,
  planExpandContract,
  runBackfill,
  type ExpandChange,
} from "../../../src/migrate/index.ts";
import type { Database } from "../../../src/postgres/index.ts";
import { failureOf } from "../../support/failure-of.ts";
import { testDatabase } from "../../support/test-database.ts";
import { differences, planOn, runPhase, shopCatalog } from "./support.ts";

const SETUP = `
DROP SCHEMA IF EXISTS shop CASCADE;
CREATE SCHEMA shop;
CREATE TABLE shop.orders (id integer PRIMARY KEY, state text, total integer NOT NULL DEFAULT 0, UNIQUE (state, id));
INSERT INTO shop.orders SELECT i, CASE WHEN i % 2 = 0 THEN 'open' END, i FROM generate_series(1, 2100) AS i;
GRANT SELECT, INSERT, TRUNCATE ON shop.orders TO PUBLIC;`;

let database: Database;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(async () => {
  await database.close();
});
beforeEach(() => database.exec(SETUP));

const total: ExpandChange = { kind: "column type", schema: "shop", table: "orders", column: "total", type: "bigint" };

test("after the switch the new type takes values that the old one cannot hold, and the way back names them", async () => {
  const { phases } = await planOn(database, total);
  const [expand, backfill, validate, change] = phases;
  if (expand === undefined || backfill === undefined || validate === undefined || change === undefined)
    throw new Error("a phase is missing");
  for (const phase of [expand, backfill, validate, change]) await runPhase(database, phase, "up");
  await database.exec(
    "INSERT INTO shop.orders (id, total) VALUES (5000, 5000000000); UPDATE shop.orders SET total = 6000000000 WHERE id = 1",
  );
  const { rows } = await database.query(
    "SELECT id, total, total_old FROM shop.orders WHERE id IN (1, 2, 5000) ORDER BY id",
  );
  expect(rows).toEqual([
    { id: 1, total: "6000000000", total_old: null },
    { id: 2, total: "2", total_old: 2 },
    { id: 5000, total: "5000000000", total_old: null },
  ]);
  expect(await failureOf(runPhase(database, change, "down"))).toMatchObject({
    message: expect.stringContaining("rows whose value the old column cannot hold") as string,
  });
  await database.exec("UPDATE shop.orders SET total = 1 WHERE total > 2000000000");
  await runPhase(database, change, "down");
  const { rows: back } = await database.query("SELECT id, total FROM shop.orders WHERE id IN (1, 5000) ORDER BY id");
  expect(back).toEqual([
    { id: 1, total: 1 },
    { id: 5000, total: 1 },
  ]);
});

test("a value that the new type cannot hold ends the backfill, and a program that writes one is told", async () => {
  const { phases } = await planOn(database, { ...total, type: "smallint" });
  await database.exec("UPDATE shop.orders SET total = 40000 WHERE id = 7");
  await runPhase(database, phases[0] ?? never(), "up");
  expect(await failureOf(runPhase(database, phases[1] ?? never(), "up"))).toMatchObject({ code: "INVALID_VALUE" });
  expect(await failureOf(database.query("UPDATE shop.orders SET total = 50000 WHERE id = 8"))).toMatchObject({
    code: "INVALID_VALUE",
  });
});

test("the backfill of a plan can be run in batches beforehand, and the file then has nothing to do", async () => {
  const { phases } = await planOn(database, total);
  await runPhase(database, phases[0] ?? never(), "up");
  const definition = phases[1]?.backfill ?? never();
  expect(definition).toMatchObject({ schema: "shop", table: "orders", key: ["id"] });
  expect(await runBackfill(database, definition)).toMatchObject({ rowsChanged: 2_100, rowsLeft: 0 });
  const ids = "SELECT sum(xmin::text::bigint)::text AS versions FROM shop.orders";
  const { rows: before } = await database.query(ids);
  await runPhase(database, phases[1] ?? never(), "up");
  expect((await database.query(ids)).rows).toEqual(before);
  await database.exec("DROP SCHEMA pgsteward CASCADE");
});

test("a lock_timeout that is set stays while a phase runs; where there is none the file has its own", async () => {
  const { phases } = await planOn(database, total);
  const up = phases[0]?.up[0]?.statements ?? never();
  await using connection = await database.connect();
  for (const [limit, expected] of [
    ["700ms", "700ms"],
    ["0", "2s"],
  ] as const) {
    await connection.exec(`SET lock_timeout = '${limit}'; BEGIN`);
    for (const statement of up) await connection.exec(statement);
    expect((await connection.query("SHOW lock_timeout")).rows).toEqual([{ lock_timeout: expected }]);
    await connection.exec("ROLLBACK; RESET lock_timeout");
  }
});

test("a row that somebody holds costs the backfill's batch and not its walk, and is waited for while no other is held", async () => {
  const { phases } = await planOn(database, total);
  const [expand, backfill] = phases;
  await runPhase(database, expand ?? never(), "up");
  const block = backfill?.up[1]?.statements[0] ?? never();
  await using holder = await database.connect();
  await using connection = await database.connect();
  await holder.exec("BEGIN; UPDATE shop.orders SET state = 'held' WHERE id = 1500");
  await connection.exec("SET lock_timeout = '60s'");
  const walk = connection.exec(block, { timeoutMs: 100_000 });
  // The rows before the held one are committed while it is still held.
  const filled = async (): Promise<number> =>
    (await database.query<{ n: number }>("SELECT count(total_new)::int4 AS n FROM shop.orders")).rows[0]?.n ?? 0;
  while ((await filled()) < 1_250) await Promise.race([sleep(20), walk]);
  // While the walk waits for the held row, all others can be locked; before, it tries batches that hold others for a moment.
  const others =
    "SELECT count(*)::int4 AS n FROM (SELECT FROM shop.orders WHERE id <> 1500 FOR UPDATE SKIP LOCKED) AS free";
  const waiting = `SELECT FROM pg_locks WHERE NOT granted AND waitstart < clock_timestamp() - interval '100 ms'
    AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())`;
  const free = async (): Promise<readonly unknown[]> =>
    (await database.query(waiting)).rows.length === 0 ? [] : (await database.query(others)).rows;
  await expect.poll(free).toEqual([{ n: 2_099 }]);
  await holder.exec("COMMIT");
  await walk;
  await connection.exec("RESET lock_timeout");
  expect(await filled()).toBe(2_100);
});

test("before PostgreSQL 18 a check stands in for NOT NULL until it is validated", async () => {
  const catalog = { ...(await readCatalog(database, { schemas: ["shop"] })), serverVersion: 170_000 };
  const { phases } = await planExpandContract(catalog, total);
  expect(formatExpandPhase(phases[0] ?? never())).toContain('CHECK ("total_new" IS NOT NULL) NOT VALID');
  expect(formatExpandPhase(phases[2] ?? never())).toContain('ALTER COLUMN "total_new" SET NOT NULL');
  for (const phase of phases) await runPhase(database, phase, "up");
  const column = (await shopCatalog(database)).tables[0]?.columns.find(({ name }) => name === "total");
  expect(column).toMatchObject({ type: "bigint", isNullable: false, default: expect.stringContaining("0") as string });
});

test("a table gets a new name while the old one is read and written through a view", async () => {
  const start = await shopCatalog(database);
  const { phases } = await planOn(database, { kind: "table rename", schema: "shop", table: "orders", to: "sales" });
  const [rename, contract] = phases;
  await runPhase(database, rename ?? never(), "up");
  await database.exec(`
    INSERT INTO shop.orders (id, state) VALUES (9000, 'new') ON CONFLICT (id) DO NOTHING;
    INSERT INTO shop.orders (id, state) VALUES (9000, 'again') ON CONFLICT (id) DO UPDATE SET state = excluded.state;
    UPDATE shop.orders SET total = 1 WHERE id = 9000;
    DELETE FROM shop.sales WHERE id = 1;`);
  const { rows } = await database.query("SELECT id, state, total FROM shop.sales WHERE id IN (1, 9000)");
  expect(rows).toEqual([{ id: 9000, state: "again", total: 1 }]);
  const renamed = await shopCatalog(database);
  expect(renamed.views).toMatchObject([{ name: "orders", options: ["security_invoker=true"] }]);
  await runPhase(database, contract ?? never(), "up");
  await runPhase(database, contract ?? never(), "down");
  expect(differences(renamed, await shopCatalog(database))).toEqual([]);
  await runPhase(database, rename ?? never(), "down");
  expect(differences(start, await shopCatalog(database))).toEqual([]);
});

test("NOT NULL with a default comes in three migrations, each with its way back", async () => {
  const start = await shopCatalog(database);
  const change: ExpandChange = {
    kind: "column not null",
    schema: "shop",
    table: "orders",
    column: "state",
    default: "'open'::text",
  };
  const { phases } = await planOn(database, change);
  expect(phases.map(({ phase }) => phase)).toEqual(["expand", "backfill", "validate"]);
  for (const phase of phases) {
    const before = await shopCatalog(database);
    await runPhase(database, phase, "up");
    await runPhase(database, phase, "down");
    expect(differences(before, await shopCatalog(database))).toEqual([]);
    await runPhase(database, phase, "up");
  }
  const { rows } = await database.query("SELECT DISTINCT state FROM shop.orders");
  expect(rows).toEqual([{ state: "open" }]);
  expect(await failureOf(planOn(database, change))).toMatchObject({ code: "INVALID_INPUT" });
  for (const phase of phases.toReversed()) await runPhase(database, phase, "down");
  expect(differences(start, await shopCatalog(database))).toEqual([]);
});

test("what cannot be carried over without a lock is refused with its name", async () => {
  await database.exec(`
    CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA shop;
    CREATE TABLE shop.bare (a integer, a_new integer, g integer GENERATED ALWAYS AS (a + 1) VIRTUAL, b integer, EXCLUDE USING gist (b WITH =));
    CREATE TABLE shop.split (id integer PRIMARY KEY, a integer) PARTITION BY RANGE (id);
    CREATE TABLE shop.keyed (id integer PRIMARY KEY, a integer, a_new integer, b integer, EXCLUDE USING gist (b WITH =));
    CREATE VIEW shop.seen AS SELECT a FROM shop.keyed;
    CREATE MATERIALIZED VIEW shop.sums AS SELECT sum(a) FROM shop.seen;
    CREATE FUNCTION shop.all_seen() RETURNS SETOF shop.seen LANGUAGE sql AS 'SELECT * FROM shop.seen';
    CREATE RULE also AS ON DELETE TO shop.bare DO ALSO UPDATE shop.keyed SET a = 0;
    CREATE DOMAIN shop.positive AS bigint CHECK (VALUE > 0);
    CREATE TABLE shop.booked (id integer, during daterange, CONSTRAINT pk_booked PRIMARY KEY (id, during WITHOUT OVERLAPS));
    CREATE TABLE shop.paid (id integer PRIMARY KEY, booked_id integer, during daterange,
      CONSTRAINT fk_paid FOREIGN KEY (booked_id, PERIOD during) REFERENCES shop.booked (id, PERIOD during));`);
  const type = (table: string, column: string): ExpandChange => ({
    kind: "column type",
    schema: "shop",
    table,
    column,
    type: "bigint",
  });
  const messages: string[] = [];
  for (const change of [
    type("nothing", "a"),
    type("bare", "nothing"),
    type("bare", "g"),
    type("bare", "a"),
    type("split", "a"),
    type("keyed", "b"),
    type("keyed", "a"),
    type("booked", "id"),
    type("paid", "booked_id"),
    { kind: "table rename", schema: "shop", table: "bare", to: "keyed" } as const,
    { ...total, using: "(total * 2)" },
    { ...total, type: "shop.positive" },
  ]) {
    const error = await failureOf(planOn(database, change));
    expect(error).toMatchObject({ code: "INVALID_INPUT" });
    messages.push((error as Error).message);
  }
  expect(messages).toEqual([
    "there is no table shop.nothing",
    "shop.bare has no column nothing",
    "shop.bare.g is virtual: no value of it is stored",
    "shop.bare has no primary key and no unique index of NOT NULL columns",
    expect.stringContaining("shop.split is part of a family of tables"),
    expect.stringMatching(/the exclusion constraint \S+ covers shop\.keyed\.b/),
    "function shop.all_seen(), materialized view shop.sums, rule shop.bare.also depend on shop.keyed.a",
    "the constraint pk_booked is over a period of time",
    "the constraint fk_paid is over a period of time",
    "there is a relation shop.keyed already",
    "the default 0 of total must be said for the new type",
    "the table is rewritten under a lock to get a column of the domain shop.positive",
  ]);
});

test("what a stored column is made from changes, and it is right after every phase for every row that is written", async () => {
  await database.exec(`CREATE TABLE shop.cents (id serial PRIMARY KEY, price integer, twice integer GENERATED ALWAYS AS (price * 2) STORED);
    INSERT INTO shop.cents (price) SELECT i FROM generate_series(1, 1200) AS i;`);
  const { phases } = await planOn(database, {
    kind: "column type",
    schema: "shop",
    table: "cents",
    column: "price",
    type: "bigint",
    using: "(price * 100)::bigint",
    back: "(price / 100)::integer",
  });
  const wrong = async (): Promise<readonly unknown[]> => {
    await database.exec(
      "UPDATE shop.cents SET price = price + 100 WHERE id % 100 = 7; INSERT INTO shop.cents (price) VALUES (700)",
    );
    const { rows } = await database.query(
      "SELECT id, price, twice FROM shop.cents WHERE twice IS DISTINCT FROM price * 2",
    );
    return rows;
  };
  for (const phase of phases) {
    await runPhase(database, phase, "up");
    expect(await wrong(), `after ${phase.phase}`).toEqual([]);
  }
  const { rows } = await database.query(
    "SELECT attgenerated AS generated FROM pg_attribute WHERE attrelid = 'shop.cents'::regclass AND attname = 'twice'",
  );
  expect(rows).toEqual([{ generated: "s" }]);
  for (const phase of phases.toReversed()) {
    await runPhase(database, phase, "down");
    expect(await wrong(), `before ${phase.phase}`).toEqual([]);
  }
});

test("a column of a key over a period of time gets another name as any other does", async () => {
  await database.exec(`
    CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA shop;
    CREATE TABLE shop.booked (id integer, during daterange, CONSTRAINT pk_booked PRIMARY KEY (id, during WITHOUT OVERLAPS));
    INSERT INTO shop.booked SELECT i, daterange('2026-01-01', '2026-01-01'::date + i) FROM generate_series(1, 20) AS i;
    ALTER TABLE shop.booked ADD COLUMN number integer UNIQUE`);
  const change = { kind: "column rename", schema: "shop", table: "booked", column: "id", to: "room" } as const;
  const refused = await failureOf(planOn(database, change));
  expect(refused).toMatchObject({ code: "INVALID_INPUT" });
  await database.exec("UPDATE shop.booked SET number = id; ALTER TABLE shop.booked ALTER COLUMN number SET NOT NULL");
  for (const phase of (await planOn(database, change)).phases) await runPhase(database, phase, "up");
  const columns = (await shopCatalog(database)).tables.find(({ name }) => name === "booked")?.columns;
  expect(columns?.map(({ name }) => name)).toEqual(["room", "during", "number"]);
});

test("a phase that needs several transactions says so in its file", async () => {
  const { phases } = await planOn(database, total);
  const files = phases.map((phase) => parseMigration(`0001_${phase.name}.sql`, formatExpandPhase(phase)));
  expect(files.map(({ up, down }) => [up.isTransactional, down?.isTransactional])).toEqual([
    [true, true],
    [false, true],
    [false, true],
    [true, false],
    [true, false],
  ]);
  expect(files[0]?.text).toMatch(/^-- Adds total_new beside total\./);
});

function never(): never {
  throw new Error("the plan has fewer phases");
}
