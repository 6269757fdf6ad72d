// Partitioned tables, parents with heirs, and what else is dropped in two releases with others beside it: there, back, and for good.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readCatalog } from "../../../src/catalog/index.ts";
import {
  lintSql,
  planForgetKept,
  readDropChange,
  readMigrations,
  revertMigrations,
  runMigrations,
  withoutRecords,
  writeExpandMigrations,
} from "../../../src/migrate/index.ts";
import { testDatabase } from "../../support/test-database.ts";
import { differences, inFolder, plan, rowsOf } from "./dropping.ts";

interface Family {
  readonly name: string;
  readonly setup: string;
  readonly words: string;
  readonly value?: string;
  readonly rows: string;
}

const PARTITIONED = `CREATE TABLE shop.c (id int PRIMARY KEY); INSERT INTO shop.c SELECT generate_series(1, 50);
  CREATE TABLE shop.e (id int, day date, note text NOT NULL CHECK (note <> ''), c int REFERENCES shop.c, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
  CREATE TABLE shop.e1 PARTITION OF shop.e FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
  CREATE TABLE shop.e2 PARTITION OF shop.e FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY LIST (id);
  CREATE TABLE shop.e2_rest PARTITION OF shop.e2 DEFAULT; CREATE TABLE shop.e_rest PARTITION OF shop.e DEFAULT;
  CREATE INDEX e_note ON shop.e (note); CREATE UNIQUE INDEX e_all ON shop.e (day, id, note); CREATE INDEX e1_only ON shop.e1 (lower(note));
  COMMENT ON COLUMN shop.e1.note IS 'one'; GRANT UPDATE (note) ON shop.e1 TO PUBLIC; ALTER TABLE shop.e1 ALTER note SET STATISTICS 300;
  ALTER TABLE shop.e1 ADD CONSTRAINT e1_long CHECK (length(note) < 1000); ALTER TABLE shop.e1 ALTER note SET DEFAULT 'first';
  CREATE STATISTICS shop.e_stat ON note, c FROM shop.e;
  INSERT INTO shop.e SELECT i, '2025-01-01'::date + i % 1000, 'n' || i, i % 50 + 1 FROM generate_series(1, 1500) AS i;`;
const INHERITED = `CREATE TABLE shop.p (id int PRIMARY KEY, note text DEFAULT 'd', CONSTRAINT not_empty CHECK (note <> ''));
  CREATE TABLE shop.h (more int, PRIMARY KEY (id)) INHERITS (shop.p); CREATE TABLE shop.own (note text) INHERITS (shop.p);
  CREATE TABLE shop.hh (PRIMARY KEY (id)) INHERITS (shop.h); CREATE INDEX h_note ON shop.h (note);
  ALTER TABLE shop.h ALTER note SET DEFAULT 'h'; ALTER TABLE shop.hh ALTER note SET NOT NULL; COMMENT ON COLUMN shop.hh.note IS 'deep';
  INSERT INTO shop.p SELECT i, 'p' || i FROM generate_series(1, 20) AS i; INSERT INTO shop.h SELECT i, 'h' || i, i FROM generate_series(1, 20) AS i;
  INSERT INTO shop.own SELECT i, 'o' || i FROM generate_series(1, 20) AS i; INSERT INTO shop.hh SELECT i, 'd' || i, i FROM generate_series(1, 20) AS i;`;
const FAMILIES: readonly Family[] = [
  {
    name: "a column of a partitioned table",
    setup: PARTITIONED,
    words: "column shop.e.note",
    value: "'none'",
    rows: "SELECT id, day, note, c FROM shop.e",
  },
  {
    name: "a column of a parent with heirs",
    setup: INHERITED,
    words: "column shop.p.note",
    rows: "SELECT tableoid::regclass, id, note FROM shop.p",
  },
  { name: "a partition", setup: PARTITIONED, words: "table shop.e1", rows: "SELECT * FROM shop.e" },
  { name: "a default partition", setup: PARTITIONED, words: "table shop.e_rest", rows: "SELECT * FROM shop.e" },
  {
    name: "a parent with heirs",
    setup: INHERITED,
    words: "table shop.p",
    rows: "SELECT tableoid::regclass, * FROM shop.p",
  },
  {
    name: "an heir whose columns are all its own",
    setup: `CREATE TABLE shop.p (id int); CREATE TABLE shop.h (id int); ALTER TABLE shop.h INHERIT shop.p; INSERT INTO shop.h VALUES (1)`,
    words: "table shop.h",
    rows: "SELECT * FROM shop.p",
  },
  {
    name: "a column of a domain with a default",
    setup: `CREATE DOMAIN shop.d AS text NOT NULL DEFAULT 'dd' CHECK (VALUE <> ''); CREATE TABLE shop.t (id int PRIMARY KEY, d shop.d);
      INSERT INTO shop.t SELECT i, 'c' || i FROM generate_series(1, 20) AS i;`,
    words: "column shop.t.d",
    rows: "SELECT id, d FROM shop.t",
  },
  {
    name: "a published column",
    setup: `CREATE TABLE shop.t (id int PRIMARY KEY, c text); INSERT INTO shop.t VALUES (1, 'x');
      CREATE PUBLICATION shop_columns FOR TABLE shop.t (id, c) WHERE (id > 0);`,
    words: "column shop.t.c",
    rows: "SELECT id, c FROM shop.t",
  },
  {
    name: "a published table",
    setup: `CREATE TABLE shop.t (id int PRIMARY KEY, c text); INSERT INTO shop.t VALUES (1, 'x');
      CREATE PUBLICATION shop_tables FOR TABLE shop.t (id) WHERE (id > 0);`,
    words: "table shop.t",
    rows: "SELECT id, c FROM shop.t",
  },
  {
    name: "a column of an exclusion constraint",
    setup: `CREATE TABLE shop.t (id int PRIMARY KEY, r int4range, EXCLUDE USING gist (r WITH &&)); INSERT INTO shop.t VALUES (1, '[1,2)')`,
    words: "column shop.t.r",
    rows: "SELECT id, r FROM shop.t",
  },
];

test.each(FAMILIES)("$name goes, comes back as it was, and can be let go", async ({ setup, words, value, rows }) => {
  await using database = await testDatabase({ setup: `CREATE SCHEMA shop; ${setup}` });
  const before = await readCatalog(database);
  const printed = await rowsOf(database, rows);
  const made = await plan(database, words, value);
  await inFolder(made, async (folder) => {
    const migrations = readMigrations(folder);
    const files = migrations.map(({ file }) => ({ name: file, text: readFileSync(join(folder, file), "utf8") }));
    const { findings } = await lintSql(files, { catalog: before });
    expect(findings.map(({ rule, message }) => `${rule}: ${message}`)).toEqual([]);
    await runMigrations(database, migrations);
    await revertMigrations(database, migrations, { count: migrations.length });
    expect(await differences(before, database)).toEqual([]);
    expect(await rowsOf(database, rows)).toBe(printed);
    await runMigrations(database, migrations);
    const forget = await planForgetKept(await readCatalog(database), readDropChange(words));
    writeExpandMigrations(folder, forget, new Date());
    await runMigrations(database, readMigrations(folder));
  });
  const { rows: kept } = await database.query("SELECT to_regnamespace('pgsteward_kept') AS kept");
  expect(kept).toEqual([{ kept: null }]);
});

test("a value of a partitioned table follows its row to another partition, and goes with it", async () => {
  await using database = await testDatabase({ setup: `CREATE SCHEMA shop; ${PARTITIONED}` });
  const present = withoutRecords(await readCatalog(database));
  await inFolder(await plan(database, "column shop.e.c"), async (folder) => {
    const migrations = readMigrations(folder);
    await runMigrations(database, migrations);
    expect(withoutRecords(await readCatalog(database)).tables.flatMap(({ triggers }) => triggers)).toEqual([]);
    await database.exec(`UPDATE shop.e SET day = '2026-03-03' WHERE id = 5; UPDATE shop.e SET id = 7000 WHERE id = 7;
      DELETE FROM shop.e WHERE id = 6; INSERT INTO shop.e (id, day, note) VALUES (6, '2025-01-07', 'new');
      CREATE TABLE shop.e9 PARTITION OF shop.e FOR VALUES FROM ('2029-01-01') TO ('2030-01-01'); DROP TABLE shop.e9`);
    await revertMigrations(database, migrations);
    const { rows } = await database.query(
      "SELECT id, tableoid::regclass::text AS place, c FROM shop.e WHERE id IN (5, 6, 7, 8, 7000) ORDER BY id",
    );
    expect(rows).toEqual([
      { id: 5, place: "shop.e2_rest", c: 6 },
      { id: 6, place: "shop.e1", c: null },
      { id: 8, place: "shop.e1", c: 9 },
      { id: 7_000, place: "shop.e1", c: 8 },
    ]);
  });
  expect(await differences(present, database)).toEqual([]);
});
