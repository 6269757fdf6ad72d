// Owners are compared and planned when that is asked for.
import { afterAll, beforeAll, expect, test } from "vitest";
import { compareCatalogs, readCatalog, type Catalog } from "../../src/catalog/index.ts";
import { planMigration } from "../../src/migrate/index.ts";
import { testDatabase, type TestDatabase } from "../support/test-database.ts";
import { applyPlan } from "./corpus.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.close());

// Roles that every server has: a role of a test's own would be seen by all tests of the run.
const OLD = `
CREATE TABLE notes (id serial, body text);
ALTER TABLE notes OWNER TO pg_monitor;
CREATE VIEW bodies AS SELECT body FROM notes;
CREATE FUNCTION twice(n integer) RETURNS integer LANGUAGE sql AS 'SELECT n * 2';
CREATE DOMAIN amount AS integer;
CREATE SEQUENCE numbers;`;
const WANTED = `
CREATE TABLE notes (id serial, body text);
ALTER TABLE notes OWNER TO pg_read_all_data;
CREATE MATERIALIZED VIEW copies AS SELECT body FROM notes;
ALTER MATERIALIZED VIEW copies OWNER TO pg_monitor;
CREATE FUNCTION twice(n integer) RETURNS integer LANGUAGE sql AS 'SELECT n * 2';
ALTER FUNCTION twice OWNER TO pg_monitor;
CREATE DOMAIN amount AS integer;
ALTER DOMAIN amount OWNER TO pg_monitor;
CREATE SEQUENCE numbers;
ALTER SEQUENCE numbers OWNER TO pg_monitor;`;

async function catalogOf(sql: string): Promise<Catalog> {
  await database.exec(`DROP SCHEMA public CASCADE; CREATE SCHEMA public; ${sql}`);
  return readCatalog(database);
}

test("owners are reached, and those of before again, when they are asked for", async () => {
  const wanted = await catalogOf(WANTED);
  const original = await catalogOf(OLD);
  const options = { owners: {} };
  const there = planMigration(original, wanted, options);
  expect(there.steps.map(({ sql }) => sql)).toContain(
    'ALTER ROUTINE "public"."twice"(n integer) OWNER TO "pg_monitor"',
  );
  await applyPlan(database, there);
  const reached = await readCatalog(database);
  expect(compareCatalogs(reached, wanted, options)).toEqual([]);
  await applyPlan(database, planMigration(reached, original, options));
  expect(compareCatalogs(await readCatalog(database), original, options)).toEqual([]);
});

test("without that nobody's owner is a difference, and what its builder owns has none", async () => {
  const named = await catalogOf("CREATE TABLE notes (id integer); ALTER TABLE notes OWNER TO pg_monitor;");
  const built = await catalogOf("CREATE TABLE notes (id integer);");
  const { rows } = await database.query<{ name: string }>("SELECT current_user::text AS name");
  const builder = rows[0]?.name;
  expect(compareCatalogs(named, built)).toEqual([]);
  expect(compareCatalogs(named, built, { owners: { builder } })).toEqual([]);
  expect(compareCatalogs(built, named, { owners: { builder } })).toMatchObject([
    { kind: "alter", facts: [{ fact: "role", before: builder, after: "pg_monitor" }] },
  ]);
});
