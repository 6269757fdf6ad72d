// Columns and tables that go in two releases: what the files do to rows and catalog, forward and back.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readCatalog } from "../../../src/catalog/index.ts";
import {
  lintSql,
  planDropInTwoReleases,
  planForgetKept,
  readDropChange,
  readMigrationFolder,
  readMigrations,
  revertMigrations,
  runMigrations,
  verifyMigrations,
  writeExpandMigrations,
  type DropPlan,
} from "../../../src/migrate/index.ts";
import { InvalidSqlError } from "../../../src/postgres/index.ts";
import { failureOf } from "../../support/failure-of.ts";
import { testDatabase, testPglite } from "../../support/test-database.ts";
import { differences, inFolder, plan, rowsOf } from "./dropping.ts";

const SETUP = `
CREATE SCHEMA shop;
CREATE TABLE shop.customers (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE shop.orders (
  id int PRIMARY KEY,
  customer_id int NOT NULL REFERENCES shop.customers,
  state text NOT NULL DEFAULT 'open',
  code text NOT NULL UNIQUE CHECK (code <> ''),
  total int,
  changes int NOT NULL DEFAULT 0,
  CONSTRAINT total_or_code CHECK (total IS NOT NULL OR code IS NOT NULL)
);
CREATE INDEX orders_by_code ON shop.orders (lower(code)) WHERE state = 'open';
CREATE TABLE shop.labels (code text REFERENCES shop.orders (code), words text);
COMMENT ON COLUMN shop.orders.code IS 'it''s printed';
COMMENT ON CONSTRAINT total_or_code ON shop.orders IS 'one of them';
COMMENT ON INDEX shop.orders_by_code IS 'for the search';
GRANT SELECT (code) ON shop.orders TO PUBLIC;
CREATE FUNCTION shop.count_change() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN NEW.changes := NEW.changes + 1; RETURN NEW; END $$;
CREATE TRIGGER counted BEFORE UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.count_change();
ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON shop.orders USING (state <> 'hidden');
INSERT INTO shop.customers SELECT i, 'name ' || i FROM generate_series(1, 50) AS i;
INSERT INTO shop.orders SELECT i, i % 50 + 1, CASE WHEN i % 9 = 0 THEN 'hidden' ELSE 'open' END, 'c' || i, i
  FROM generate_series(1, 2500) AS i;
INSERT INTO shop.labels VALUES ('c7', 'fragile');`;

test("a column goes and comes back with every value, constraint and index", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const before = await readCatalog(database);
  const made = await plan(database, "column shop.orders.code", "'none ' || id");
  expect(made.phases.map(({ name }) => name)).toEqual(["release_orders_code", "drop_orders_code"]);
  await inFolder(made, async (folder) => {
    const migrations = readMigrations(folder);
    await runMigrations(database, migrations, { count: 1 });
    // The old program and the new one, between the releases.
    await database.exec(`INSERT INTO shop.orders (id, customer_id, code) VALUES (3000, 1, 'late');
        INSERT INTO shop.orders (id, customer_id) VALUES (3001, 1)`);
    const query = "SELECT id, customer_id, state, code, total, changes FROM shop.orders";
    const rows = await rowsOf(database, query);
    const between = await readCatalog(database);

    await runMigrations(database, migrations);
    const { rows: kept } = await database.query(
      "SELECT count(*)::int AS rows, to_regclass('shop.orders_by_code') AS index FROM pgsteward_kept.shop__orders__code",
    );
    expect(kept).toEqual([{ rows: 2_501, index: null }]);
    expect(await failureOf(plan(database, "column shop.orders.code"))).toMatchObject({
      message: expect.stringContaining("has no column code") as string,
    });
    // A row that goes takes its value along; one that comes has none.
    await database.exec(`UPDATE shop.orders SET id = 9000 WHERE id = 10; DELETE FROM shop.orders WHERE id = 11;
        INSERT INTO shop.orders (id, customer_id, total) VALUES (11, 1, 1)`);

    await revertMigrations(database, migrations, { count: 1 });
    expect(await differences(between, database)).toEqual([]);
    const { rows: some } = await database.query(
      "SELECT id, code FROM shop.orders WHERE id IN (9, 11, 3000, 3001, 9000) ORDER BY id",
    );
    expect(some).toEqual([
      { id: 9, code: "c9" },
      { id: 11, code: null },
      { id: 3_000, code: "late" },
      { id: 3_001, code: null },
      { id: 9_000, code: "c10" },
    ]);
    await database.exec(`DELETE FROM shop.orders WHERE id = 11;
        INSERT INTO shop.orders (id, customer_id, code, total) VALUES (11, 12, 'c11', 11);
        ALTER TABLE shop.orders DISABLE TRIGGER counted; UPDATE shop.orders SET id = 10, changes = 0 WHERE id = 9000;
        ALTER TABLE shop.orders ENABLE TRIGGER counted`);
    expect(await rowsOf(database, query)).toBe(rows);

    await revertMigrations(database, migrations, { count: 1 });
    expect(await differences(before, database)).toEqual([]);
    expect((await database.query("SELECT code FROM shop.orders WHERE id = 3001")).rows).toEqual([
      { code: "none 3001" },
    ]);
    expect((await database.query("SELECT to_regnamespace('pgsteward_kept') AS kept")).rows).toEqual([{ kept: null }]);

    // Forward again, and then what is kept is let go.
    await runMigrations(database, migrations);
    const forget = await planForgetKept(await readCatalog(database), readDropChange("column shop.orders.code"));
    expect(forget.phases).toMatchObject([
      { name: "forget_orders_code", irreversible: expect.any(String) as string, down: [] },
    ]);
    writeExpandMigrations(folder, forget, new Date());
    await runMigrations(database, readMigrations(folder));
    expect((await database.query("SELECT to_regnamespace('pgsteward_kept') AS kept")).rows).toEqual([{ kept: null }]);
  });
});

test("a table is moved away with all that is on it, and comes back", async () => {
  await using database = await testDatabase({
    setup: `${SETUP}
        CREATE TABLE shop.drafts (id bigserial PRIMARY KEY, order_id int REFERENCES shop.orders, note text);
        CREATE TABLE shop.pages (draft_id bigint REFERENCES shop.drafts ON DELETE CASCADE, text text);
        CREATE STATISTICS shop.drafts_stat ON order_id, note FROM shop.drafts;
        ALTER TABLE shop.drafts ENABLE ROW LEVEL SECURITY; GRANT SELECT ON shop.drafts TO PUBLIC;
        CREATE POLICY own ON shop.drafts USING (note IS NOT NULL);
        INSERT INTO shop.drafts (order_id, note) SELECT i, 'n' || i FROM generate_series(1, 40) AS i;
        INSERT INTO shop.pages VALUES (1, 'one');`,
  });
  const before = await readCatalog(database);
  const made = await plan(database, "table shop.drafts");
  expect(made.phases.map(({ name }) => name)).toEqual(["release_drafts", "drop_drafts"]);
  await inFolder(made, async (folder) => {
    const migrations = readMigrations(folder);
    await runMigrations(database, migrations, { count: 1 });
    await database.exec(
      "INSERT INTO shop.drafts (order_id, note) VALUES (2, 'between'); INSERT INTO shop.pages VALUES (999, 'x')",
    );
    await database.exec("DELETE FROM shop.pages WHERE draft_id = 999");
    const rows = await rowsOf(database, "SELECT * FROM shop.drafts");
    await runMigrations(database, migrations);
    expect((await database.query("SELECT to_regclass('shop.drafts') AS gone")).rows).toEqual([{ gone: null }]);
    expect(await rowsOf(database, "SELECT * FROM pgsteward_kept.drafts")).toBe(rows);
    await revertMigrations(database, migrations, { count: 2 });
    expect(await rowsOf(database, "SELECT * FROM shop.drafts")).toBe(rows);
    expect(await differences(before, database)).toEqual([]);
    const { rows: next } = await database.query("INSERT INTO shop.drafts (note) VALUES ('new') RETURNING id::int");
    expect(next).toEqual([{ id: 42 }]);

    await database.exec("TRUNCATE shop.pages");
    await runMigrations(database, migrations);
    const forget = await planForgetKept(await readCatalog(database), readDropChange("table shop.drafts"));
    writeExpandMigrations(folder, forget, new Date());
    await runMigrations(database, readMigrations(folder));
    expect((await database.query("SELECT to_regnamespace('pgsteward_kept') AS kept")).rows).toEqual([{ kept: null }]);
  });
});

test("a partitioned table goes with its partitions, and others refer to it again when it is back", async () => {
  await using database = await testDatabase({
    setup: `CREATE SCHEMA shop; CREATE TABLE shop.events (day date PRIMARY KEY, note text) PARTITION BY RANGE (day);
      CREATE TABLE shop.events_2025 PARTITION OF shop.events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
      CREATE TABLE shop.events_rest PARTITION OF shop.events DEFAULT;
      CREATE TABLE shop.visits (day date REFERENCES shop.events);
      INSERT INTO shop.events VALUES ('2025-02-02', 'a'), ('2030-01-01', 'b'); INSERT INTO shop.visits VALUES ('2025-02-02');`,
  });
  const before = await readCatalog(database);
  await inFolder(await plan(database, "table shop.events"), async (folder) => {
    const migrations = readMigrations(folder);
    await runMigrations(database, migrations);
    expect((await database.query("SELECT count(*)::int AS rows FROM pgsteward_kept.events")).rows).toEqual([
      { rows: 2 },
    ]);
    await revertMigrations(database, migrations, { count: 2 });
  });
  expect(await differences(before, database)).toEqual([]);
});

test("what programs write while the values are copied is what is kept", async () => {
  await using database = await testDatabase({
    setup: `CREATE SCHEMA shop; CREATE TABLE shop.t (id int PRIMARY KEY, note text);
      INSERT INTO shop.t SELECT i, 'n' || i FROM generate_series(1, 20000) AS i;`,
  });
  const written = new Map<number, string | null>();
  const write = async (from: number): Promise<void> => {
    for (let turn = from; ; turn += 2) {
      const id = (turn * 7919) % 20_000;
      const note = turn % 5 === 0 ? null : `w${turn}`;
      try {
        await database.query("UPDATE shop.t SET note = $2 WHERE id = $1", [id, note]);
      } catch (error) {
        if (error instanceof InvalidSqlError) return; // the column is gone
        throw error;
      }
      written.set(id, note);
    }
  };
  await inFolder(await plan(database, "column shop.t.note"), async (folder) => {
    const writers = [write(1), write(2)];
    await runMigrations(database, readMigrations(folder));
    await Promise.all(writers);
  });
  expect(written.size).toBeGreaterThan(0);
  const ids = [...written.keys()].filter((id) => id > 0);
  const { rows } = await database.query<{ id: number; note: string | null }>(
    "SELECT t.id, k.note FROM shop.t AS t LEFT JOIN pgsteward_kept.shop__t__note AS k USING (id) WHERE t.id = ANY ($1::int[])",
    [ids],
  );
  expect(rows.filter(({ id, note }) => note !== written.get(id))).toEqual([]);
});

test("both forms on the embedded database", async () => {
  await using database = await testPglite({
    setup: `CREATE SCHEMA shop; CREATE TABLE shop.drafts (id int PRIMARY KEY, note text NOT NULL CHECK (note <> ''));
      INSERT INTO shop.drafts SELECT i, 'n' || i FROM generate_series(1, 1500) AS i;
      CREATE TABLE shop.pages (id int REFERENCES shop.drafts);
      CREATE TABLE shop.days (day date PRIMARY KEY, note text NOT NULL) PARTITION BY RANGE (day);
      CREATE TABLE shop.days_rest PARTITION OF shop.days DEFAULT; INSERT INTO shop.days VALUES ('2025-01-01', 'new year');`,
  });
  const before = await readCatalog(database);
  const rows = await rowsOf(database, "SELECT id, note FROM shop.drafts");
  for (const words of [
    "column shop.drafts.note",
    "table shop.drafts",
    "column shop.days.note",
    "table shop.days_rest",
  ]) {
    await inFolder(await planDropInTwoReleases(before, readDropChange(words)), async (folder) => {
      const migrations = readMigrations(folder);
      await runMigrations(database, migrations);
      await revertMigrations(database, migrations, { count: migrations.length });
    });
  }
  expect((await database.query("SELECT note FROM shop.days")).rows).toEqual([{ note: "new year" }]);
  expect(await rowsOf(database, "SELECT id, note FROM shop.drafts")).toBe(rows);
  expect(await differences(before, database)).toEqual([]);
});

test("the files pass verify, with rows in every table, and the linter has nothing to say", async () => {
  const setup = `${SETUP} CREATE TABLE shop.drafts (customer_id int REFERENCES shop.customers)`;
  await using database = await testDatabase({ setup });
  const folder = mkdtempSync(join(tmpdir(), "pgsteward-drop-"));
  try {
    const up = setup.replaceAll(/^INSERT INTO[^;]*;/gm, "");
    writeFileSync(join(folder, "0001_setup.sql"), `-- migrate:up\n${up}\n-- migrate:down\nDROP SCHEMA shop CASCADE;\n`);
    const catalog = await readCatalog(database);
    for (const words of ["column shop.orders.code", "column shop.customers.name", "table shop.drafts"])
      writeExpandMigrations(folder, await planDropInTwoReleases(catalog, readDropChange(words)), new Date());
    const { migrations } = readMigrationFolder(folder);
    const { migrations: verified } = await verifyMigrations(migrations, { database, engine: "scratch" });
    expect(verified.slice(1).map(({ name, verdict, findings }) => ({ name, verdict, findings }))).toEqual(
      [
        "release_orders_code",
        "drop_orders_code",
        "release_customers_name",
        "drop_customers_name",
        "release_drafts",
        "drop_drafts",
      ].map((name) => ({ name, verdict: "reversible", findings: [] })),
    );
    const files = readMigrations(folder)
      .slice(1)
      .map(({ file }) => ({ name: file, text: readFileSync(join(folder, file), "utf8") }));
    const { findings } = await lintSql(files, { catalog });
    expect(findings.map(({ rule, message }) => `${rule}: ${message}`)).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("what depends on it is named, and what would not come back is refused", async () => {
  await using database = await testDatabase({
    setup: `${SETUP}
      ALTER TABLE shop.orders ADD COLUMN number int GENERATED BY DEFAULT AS IDENTITY, ADD COLUMN twice int GENERATED ALWAYS AS (total * 2) STORED;
      GRANT SELECT ON SEQUENCE shop.orders_number_seq TO PUBLIC;
      CREATE VIEW shop.totals AS SELECT id, total FROM shop.orders;
      CREATE FUNCTION shop.sum() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT sum(total) FROM shop.orders; END;
      CREATE FUNCTION shop.text() RETURNS text LANGUAGE sql AS 'SELECT max(code) FROM shop.orders';
      CREATE TABLE shop.loose (a int, b int); CREATE TABLE shop.nulls (id int PRIMARY KEY, c int UNIQUE NULLS NOT DISTINCT, d int NOT NULL UNIQUE);
      CREATE TABLE shop.drawers (id uuid PRIMARY KEY DEFAULT gen_random_uuid());
      CREATE TABLE shop.days (day date PRIMARY KEY, note text) PARTITION BY RANGE (day); CREATE TABLE shop.days_rest PARTITION OF shop.days DEFAULT; CREATE TABLE shop.heir (b int, d int) INHERITS (shop.loose); CREATE PUBLICATION shop_news FOR TABLE shop.labels WHERE (words <> '');`,
  });
  const refused: readonly (readonly [string, string])[] = [
    [
      "column shop.orders.total",
      "column shop.orders.twice, function shop.sum, view shop.totals depend on shop.orders.total",
    ],
    ["column shop.orders.state", "policy shop.orders.everybody depends on shop.orders.state"],
    ["column shop.orders.number", "is an identity column whose sequence has rights of its own"],
    ["column shop.orders.twice", "is generated"],
    ["column shop.drawers.id", "is part of the primary key, and no other key finds its rows again"],
    ["column shop.nulls.id", "is part of the primary key: programs cannot leave it out"],
    ["column shop.loose.a", "has no primary key"],
    ["column shop.days_rest.note", "comes from shop.days"],
    ["table shop.heir", "has a from shop.loose"],
    ["column shop.nulls.c", "takes NULL for a value"],
    ["column shop.orders.nothing", "has no column nothing"],
    ["table shop.orders", "function shop.sum, view shop.totals depend on shop.orders"],
    ["column shop.labels.words", "the publication shop_news chooses rows of shop.labels by words"],
    ["table shop.nothing", "there is no table shop.nothing"],
    ["shop.orders", "does not say what is to go"],
  ];
  const catalog = await readCatalog(database);
  for (const [words, message] of refused) {
    const made = async (): Promise<DropPlan> => planDropInTwoReleases(catalog, readDropChange(words));
    expect(await failureOf(made())).toMatchObject({ message: expect.stringContaining(message) as string });
  }
  const change = readDropChange("column shop.orders.code");
  expect(await failureOf(planForgetKept(catalog, change))).toMatchObject({
    message: expect.stringContaining("nothing is kept of shop.orders.code") as string,
  });
  const { notices } = await planDropInTwoReleases(catalog, change);
  expect(notices).toEqual([
    expect.stringContaining("TRUNCATE of it then needs CASCADE"),
    expect.stringContaining("counted of shop.orders fire unless"),
    "the function shop.text says orders and code: look whether it still needs it",
  ]);
});

test("an identity column that is the primary key is that again, with what refers to it, and goes on counting where it was", async () => {
  await using database = await testDatabase({
    setup: `CREATE SCHEMA shop; CREATE TABLE shop.t (id int NOT NULL UNIQUE,
        no smallint GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME shop.counter START WITH 5 INCREMENT BY 5 MAXVALUE 900)
          CONSTRAINT pk_t PRIMARY KEY);
      CREATE TABLE shop.u (no smallint REFERENCES shop.t ON DELETE CASCADE);
      COMMENT ON SEQUENCE shop.counter IS 'by five'; INSERT INTO shop.t (id) VALUES (1), (2); DELETE FROM shop.t WHERE id = 2; INSERT INTO shop.u VALUES (5);`,
  });
  const before = await readCatalog(database);
  const made = await plan(database, "column shop.t.no");
  expect(made.phases.map(({ name }) => name)).toEqual(["drop_t_no"]);
  await inFolder(made, async (folder) => {
    const migrations = readMigrations(folder);
    await runMigrations(database, migrations);
    await database.exec("INSERT INTO shop.t (id) VALUES (3)");
    await revertMigrations(database, migrations);
    await database.exec("INSERT INTO shop.t (id) VALUES (4)");
    expect((await database.query("SELECT id, no FROM shop.t ORDER BY id")).rows).toEqual([
      { id: 1, no: 5 },
      { id: 3, no: 15 },
      { id: 4, no: 20 },
    ]);
    expect(await differences(before, database)).toEqual([]);
  });
});

test("a serial column takes its sequence along; without a default the way back refuses rows that have no value", async () => {
  await using database = await testDatabase({
    setup: `CREATE SCHEMA shop; CREATE TABLE shop.t (id int PRIMARY KEY, no serial, must int NOT NULL);
      INSERT INTO shop.t (id, must) VALUES (1, 1), (2, 2);`,
  });
  const before = await readCatalog(database);
  await inFolder(await plan(database, "column shop.t.no"), async (folder) => {
    const migrations = readMigrations(folder);
    expect(migrations).toHaveLength(1);
    await runMigrations(database, migrations);
    await database.exec("INSERT INTO shop.t (id, must) VALUES (3, 3)");
    await revertMigrations(database, migrations);
    expect(await differences(before, database)).toEqual([]);
    expect((await database.query("SELECT id, no FROM shop.t ORDER BY id")).rows).toEqual([
      { id: 1, no: 1 },
      { id: 2, no: 2 },
      { id: 3, no: 3 },
    ]);
  });
  await inFolder(await plan(database, "column shop.t.must"), async (folder) => {
    const migrations = readMigrations(folder).map((migration) => ({ ...migration, version: `9${migration.version}` }));
    await runMigrations(database, migrations, { count: 1, history: { schema: "pgsteward", table: "second" } });
    await database.exec("INSERT INTO shop.t (id) VALUES (4)");
    const back = revertMigrations(database, migrations, { history: { schema: "pgsteward", table: "second" } });
    expect(await failureOf(back)).toMatchObject({
      message: expect.stringContaining("rows without a value") as string,
    });
  });
});
