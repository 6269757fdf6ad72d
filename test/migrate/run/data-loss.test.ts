// What applying pending migrations would lose: told by the statements, and by what the database holds.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { previewMigrations, readDataLoss, readMigrations } from "../../../src/migrate/index.ts";
import { identifier, openDatabase, type Database } from "../../../src/postgres/index.ts";
import { testDatabase } from "../../support/test-database.ts";

async function lossesOf(database: Database, files: readonly string[], schema?: string): Promise<readonly string[]> {
  const folder = mkdtempSync(join(tmpdir(), "pgsteward-losses-"));
  try {
    for (const [index, sql] of files.entries())
      writeFileSync(join(folder, `${index + 1}_m.sql`), `-- migrate:up\n${sql}\n`);
    const planned = await previewMigrations(database, readMigrations(folder), "up", { schema });
    const found = await readDataLoss(database, planned, { schema });
    return found.flatMap(({ migration, losses }) =>
      losses.map(({ line, what }) => `${migration.version}:${line}: ${what}`),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("rows that are there are lost by DROP, TRUNCATE and DELETE; empty tables and what the batch made lose nothing", async () => {
  await using database = await testDatabase({
    setup: `CREATE SCHEMA shop; CREATE SCHEMA old; CREATE SCHEMA tenant; CREATE TYPE mood AS ENUM ('well');
      CREATE TABLE users (id int PRIMARY KEY, email text, twice int GENERATED ALWAYS AS (id * 2) STORED, moods mood[]);
      CREATE TABLE drafts (id int); CREATE TABLE shop.logs (id int); CREATE TABLE old.kept (id int);
      CREATE TABLE visits (user_id int REFERENCES users); CREATE TABLE tenant.notes (id int);
      INSERT INTO users (id, email) VALUES (1, 'a'); INSERT INTO shop.logs VALUES (1); INSERT INTO old.kept VALUES (1);
      INSERT INTO visits VALUES (1); INSERT INTO tenant.notes VALUES (1);`,
  });
  const harmless = `CREATE TABLE fresh (id int, gone text);
INSERT INTO fresh VALUES (1, 'x');
ALTER TABLE fresh DROP COLUMN gone;
DELETE FROM fresh;
DROP TABLE fresh, drafts;
DROP TABLE IF EXISTS nowhere, notes;
ALTER TABLE users DROP COLUMN twice, DROP COLUMN IF EXISTS nothing;
UPDATE users SET email = 'c';
DELETE FROM users WHERE id = 2;
CREATE TABLE users_new (id int);
ALTER TABLE users_new RENAME TO people;
TRUNCATE people;`;
  expect(await lossesOf(database, [harmless])).toEqual([]);
  const losing = [
    `ALTER TABLE users RENAME TO people;
ALTER TABLE people RENAME COLUMN email TO mail;
-- pgsteward:ignore drop-column nobody uses it
ALTER TABLE people DROP COLUMN mail;
DO $$ BEGIN
  TRUNCATE shop.logs;
END $$;`,
    `DROP SCHEMA old CASCADE;
TRUNCATE people CASCADE;
SET search_path = shop;
DELETE FROM logs WHERE true;
DROP TYPE public.mood CASCADE;
DROP OWNED BY nobody;
CREATE TABLE IF NOT EXISTS logs ();
DROP TABLE logs;`,
  ];
  expect(await lossesOf(database, losing)).toEqual([
    "1:5: users holds rows, and their email (mail by then) is dropped",
    "1:7: shop.logs holds rows, and is emptied",
    "2:2: old.kept holds rows, and is dropped",
    "2:3: users holds rows, and is emptied",
    "2:3: visits holds rows, and is emptied",
    "2:5: shop.logs holds rows, and all of them are deleted",
    "2:6: users holds rows, and their moods is dropped",
    "2:7: everything that a role owns is dropped",
    "2:9: shop.logs holds rows, and is dropped",
  ]);
  expect(await lossesOf(database, ["DROP TABLE notes;"], "tenant")).toEqual([
    "1:2: tenant.notes holds rows, and is dropped",
  ]);
});

test("a type change loses values when they are rounded, cut or replaced, not when the server refuses what does not fit", async () => {
  const changes: readonly (readonly [string, string, boolean])[] = [
    ["varchar(20)", "varchar(40)", false],
    ["varchar(20)", "varchar(3)", false],
    ["varchar(20)", "varchar(3) USING c::varchar(3)", true],
    ["text", "varchar(3) USING left(c, 3)", true],
    ["text", "uuid USING c::uuid", false],
    ["text", "int USING 0", true],
    ["bigint", "int", false],
    ["int", "bigint", false],
    ["int", "boolean USING c::boolean", true],
    ["numeric(12,4)", "numeric(10,2)", true],
    ["numeric(12,2)", "numeric", false],
    ["numeric", "numeric(12,2)", true],
    ["numeric", "int", true],
    ["bigint", "double precision", true],
    ["int", "double precision", false],
    ["timestamptz", "date", true],
    ["timestamp", "timestamp(3)", true],
    ["timestamp(3)", "timestamptz", false],
    ["int", "bigint USING (c * 100)::bigint", false],
  ];
  await using database = await testDatabase({
    setup: changes
      .map(([type], index) => `CREATE TABLE t_${index} (c ${type}); INSERT INTO t_${index} VALUES (NULL);`)
      .join("\n"),
  });
  const sql = changes.map(([, to], index) => `ALTER TABLE t_${index} ALTER COLUMN c TYPE ${to};`).join("\n");
  const found = (await lossesOf(database, [sql])).map((loss) => Number(/: t_(\d+) holds/.exec(loss)?.[1]));
  expect(found).toEqual(changes.flatMap(([, , isLost], index) => (isLost ? [index] : [])));
});

test("a table that the role may not read, or that row-level security hides, is taken to hold rows", async () => {
  const role = `pgsteward_reader_${process.pid}`;
  await using database = await testDatabase({
    setup: `CREATE TABLE secret (id int); CREATE TABLE hidden (id int, owner text); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
      CREATE ROLE ${identifier(role)} LOGIN PASSWORD 'reader'; GRANT SELECT ON hidden TO ${identifier(role)};`,
  });
  try {
    const url = new URL(database.url);
    url.username = role;
    url.password = "reader";
    await using reader = await openDatabase({ url: url.href });
    expect(await lossesOf(reader, ["DROP TABLE secret;\nTRUNCATE hidden;"])).toEqual([
      "1:2: secret holds rows, and is dropped",
      "1:3: hidden holds rows, and is emptied",
    ]);
  } finally {
    await database.exec(`DROP OWNED BY ${identifier(role)}; DROP ROLE ${identifier(role)}`);
  }
});
