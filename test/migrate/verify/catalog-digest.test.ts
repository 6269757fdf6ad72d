// The digest that stands for reading the catalog: it must see every change that the catalog's reading sees.
import { expect, test } from "vitest";
import { compareCatalogs, readCatalog } from "../../../src/catalog/index.ts";
import { catalogDigest } from "../../../src/migrate/verify/catalog-digest.ts";
import { testDatabase } from "../../support/test-database.ts";

const SETUP = `
CREATE SCHEMA shop;
CREATE TYPE shop.mood AS ENUM ('calm', 'busy');
CREATE DOMAIN shop.few AS integer;
CREATE TABLE shop.items (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, weight integer DEFAULT 1, state shop.mood);
CREATE TABLE shop.parts (id bigint PRIMARY KEY, item bigint REFERENCES shop.items (id)) PARTITION BY RANGE (id);
CREATE VIEW shop.names AS SELECT name FROM shop.items;
CREATE FUNCTION shop.twice(a integer) RETURNS integer LANGUAGE sql AS 'SELECT a * 2';
CREATE FUNCTION shop.fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE SEQUENCE shop.numbers;
INSERT INTO shop.items (name) VALUES ('a');`;

/** Each with what takes it back. */
const CHANGES: readonly (readonly [string, string])[] = [
  ["CREATE TABLE shop.more (id bigint PRIMARY KEY, name text)", "DROP TABLE shop.more"],
  ["ALTER TABLE shop.items ADD COLUMN price numeric NOT NULL DEFAULT 1", "ALTER TABLE shop.items DROP COLUMN price"],
  ["ALTER TABLE shop.items ALTER COLUMN name SET DEFAULT 3", "ALTER TABLE shop.items ALTER COLUMN name DROP DEFAULT"],
  [
    "ALTER TABLE shop.items ALTER COLUMN weight SET NOT NULL",
    "ALTER TABLE shop.items ALTER COLUMN weight DROP NOT NULL",
  ],
  ["ALTER TABLE shop.items RENAME COLUMN name TO label", "ALTER TABLE shop.items RENAME COLUMN label TO name"],
  ["ALTER TABLE shop.items SET (fillfactor = 70)", "ALTER TABLE shop.items RESET (fillfactor)"],
  ["ALTER TABLE shop.items ENABLE ROW LEVEL SECURITY", "ALTER TABLE shop.items DISABLE ROW LEVEL SECURITY"],
  ["CREATE POLICY mine ON shop.items USING (true)", "DROP POLICY mine ON shop.items"],
  ["CREATE INDEX by_name ON shop.items (name)", "DROP INDEX shop.by_name"],
  ["CREATE STATISTICS shop.both ON name, weight FROM shop.items", "DROP STATISTICS shop.both"],
  ["ALTER TABLE shop.items ADD CONSTRAINT heavy CHECK (weight > 0)", "ALTER TABLE shop.items DROP CONSTRAINT heavy"],
  [
    "CREATE TRIGGER touch BEFORE UPDATE ON shop.items FOR EACH ROW EXECUTE FUNCTION shop.fire()",
    "DROP TRIGGER touch ON shop.items",
  ],
  ["CREATE RULE quiet AS ON DELETE TO shop.items DO INSTEAD NOTHING", "DROP RULE quiet ON shop.items"],
  ["CREATE TABLE shop.parts_1 PARTITION OF shop.parts FOR VALUES FROM (1) TO (9)", "DROP TABLE shop.parts_1"],
  ["CREATE VIEW shop.weights AS SELECT weight FROM shop.items", "DROP VIEW shop.weights"],
  ["ALTER TYPE shop.mood RENAME VALUE 'calm' TO 'still'", "ALTER TYPE shop.mood RENAME VALUE 'still' TO 'calm'"],
  ["ALTER DOMAIN shop.few ADD CONSTRAINT small CHECK (VALUE < 9)", "ALTER DOMAIN shop.few DROP CONSTRAINT small"],
  ["CREATE TYPE shop.pair AS (a integer, b text)", "DROP TYPE shop.pair"],
  ["ALTER FUNCTION shop.twice(integer) IMMUTABLE", "ALTER FUNCTION shop.twice(integer) VOLATILE"],
  ["ALTER SEQUENCE shop.numbers INCREMENT 5", "ALTER SEQUENCE shop.numbers INCREMENT 1"],
  ["ALTER SEQUENCE shop.numbers OWNED BY shop.items.weight", "ALTER SEQUENCE shop.numbers OWNED BY NONE"],
  ["COMMENT ON COLUMN shop.items.name IS 'what it is called'", "COMMENT ON COLUMN shop.items.name IS NULL"],
  ["COMMENT ON SCHEMA public IS 'other'", "COMMENT ON SCHEMA public IS 'standard public schema'"],
  ["COMMENT ON EXTENSION plpgsql IS 'other'", "COMMENT ON EXTENSION plpgsql IS 'PL/pgSQL procedural language'"],
  ["CREATE AGGREGATE shop.total(integer) (SFUNC = int4pl, STYPE = integer)", "DROP AGGREGATE shop.total(integer)"],
  ["CREATE CAST (shop.mood AS integer) WITH INOUT", "DROP CAST (shop.mood AS integer)"],
  ['CREATE COLLATION shop.plain FROM "C"', "DROP COLLATION shop.plain"],
  ["CREATE PUBLICATION everything FOR TABLE shop.items", "DROP PUBLICATION everything"],
  ["CREATE TEXT SEARCH DICTIONARY shop.easy (TEMPLATE = simple)", "DROP TEXT SEARCH DICTIONARY shop.easy"],
];
/** Not taken back: a REVOKE leaves a list of privileges where there was none. */
const GRANTS: readonly string[] = [
  "GRANT SELECT ON shop.items TO PUBLIC",
  "GRANT EXECUTE ON FUNCTION shop.twice(integer) TO CURRENT_USER",
  "ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO PUBLIC",
  "GRANT CREATE ON SCHEMA public TO PUBLIC",
];

test("every change of the catalog gives another digest, and what takes it back gives the old one", async () => {
  await using database = await testDatabase();
  await database.exec(SETUP);
  const digest = await catalogDigest(database);
  const first = await digest.read();
  const wrong: string[] = [];
  for (const [change, back] of CHANGES) {
    await database.exec(change);
    if ((await digest.read()) === first) wrong.push(change);
    await database.exec(back);
    if ((await digest.read()) !== first) wrong.push(back);
  }
  // Inside a transaction what was written to is read again, and gives what reading all gives.
  await using connection = await database.connect();
  const inside = await catalogDigest(connection);
  for (const change of [
    ...CHANGES.flatMap(([to, back]) => [to, `${to}; ${back}`]),
    ...GRANTS,
    "CREATE ROLE digest_role; DROP ROLE digest_role",
  ]) {
    await connection.exec("BEGIN");
    const writes = await inside.readWrites();
    expect(writes).toBeDefined();
    await connection.exec(change);
    if ((await inside.readAgain(first, writes)) !== (await inside.read())) wrong.push(`in a transaction: ${change}`);
    await connection.exec("ROLLBACK");
  }
  expect(wrong).toEqual([]);
  // Rows, positions of sequences and statistics are no schema.
  await database.exec(`INSERT INTO shop.items (name) SELECT 'b' FROM generate_series(1, 500);
    SELECT nextval('shop.numbers'); ANALYZE shop.items`);
  await database.exec("VACUUM shop.items");
  expect(await digest.read()).toBe(first);
  for (const change of GRANTS) {
    const before = await digest.read();
    await database.exec(change);
    if ((await digest.read()) === before) wrong.push(change);
  }
  expect(wrong).toEqual([]);
});

test("what is dropped and made again has another digest, though nothing differs", async () => {
  await using database = await testDatabase();
  await database.exec(SETUP);
  const digest = await catalogDigest(database);
  const [before, first] = [await readCatalog(database, { includeDependencies: false }), await digest.read()];
  await database.exec("DROP VIEW shop.names; CREATE VIEW shop.names AS SELECT name FROM shop.items");
  expect(await digest.read()).not.toBe(first);
  expect(compareCatalogs(before, await readCatalog(database, { includeDependencies: false }))).toEqual([]);
});
