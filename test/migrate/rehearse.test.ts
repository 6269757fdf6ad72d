// Plans tried on a sample of the rows.
import { expect, test } from "vitest";
import { readCatalog } from "../../src/catalog/index.ts";
import { planMigration, rehearsePlan } from "../../src/migrate/index.ts";
import { testDatabase } from "../support/test-database.ts";

const BEFORE = `
CREATE TABLE owners (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, n text NOT NULL UNIQUE, raw bytea, tags text[], doc jsonb,
  upper text GENERATED ALWAYS AS (upper(n)) STORED);
CREATE TABLE notes (id integer PRIMARY KEY, owner_id bigint REFERENCES owners, reviewer_id bigint, size integer);
CREATE TABLE parts (id integer, at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2020-01-01') TO ('2030-01-01');
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not here'; END $$;
CREATE TRIGGER no_insert BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION refuse();`;
const ROWS = `
INSERT INTO owners (n, raw, tags, doc) SELECT 'it''s ' || g, '\\x00ff', ARRAY['a', NULL], '{"n": 9007199254740993}' FROM generate_series(1, 3000) AS g;
ALTER TABLE notes DISABLE TRIGGER no_insert;
INSERT INTO notes SELECT g, 1 + g % 3000, 1 + g % 2999, g FROM generate_series(1, 3000) AS g;
ALTER TABLE notes ENABLE TRIGGER no_insert;
ALTER TABLE notes ADD CONSTRAINT small CHECK (size <= 2990) NOT VALID;
INSERT INTO parts SELECT g, DATE '2021-01-01' + g % 900 FROM generate_series(1, 800) AS g;
ANALYZE;`;

test("a plan is run on sampled rows with their parents, measured, and scaled to all rows", async () => {
  await using database = await testDatabase({ setup: `${BEFORE} ${ROWS}` });
  await using other = await testDatabase({
    setup: `${BEFORE.replace("reviewer_id bigint, size integer", "reviewer_id bigint REFERENCES owners, size bigint CONSTRAINT small CHECK (size <= 2990)")} CREATE INDEX ON notes (owner_id);`,
  });
  const present = await readCatalog(database);
  const wanted = await readCatalog(other);
  const plan = planMigration(present, wanted);
  const { copied, steps, failure, engine } = await rehearsePlan(database, plan, { present, wanted }, present, {
    rowsPerTable: 500,
    engine: "scratch",
  });
  expect(failure).toBeUndefined();
  expect(engine).toMatch(/^scratch 18/);
  expect(copied.map(({ table, of }) => [table, of])).toEqual([
    ["public.notes", 3_000],
    ["public.owners", 3_000],
    ["public.parts_1", 800],
  ]);
  for (const { rows } of copied) expect(rows).toBeGreaterThan(0);
  // Notes have two owners each, which are copied beside the sampled ones.
  for (const { rows } of copied) expect(rows).toBeLessThanOrEqual(1_500);
  expect(steps).toHaveLength(plan.steps.length);
  const rewrite = plan.steps.findIndex(({ sql }) => /TYPE bigint/.test(sql));
  expect(steps[rewrite]?.scaledMs).toBeGreaterThan(steps[rewrite]?.tookMs ?? Infinity);
  expect((await database.query("SELECT count(*)::int4 AS n FROM notes")).rows).toEqual([{ n: 3_000 }]);
});

test("chance that takes no row of a table leaves its first rows", async () => {
  await using database = await testDatabase({ setup: `${BEFORE} ${ROWS}` });
  const present = await readCatalog(database);
  const plan = planMigration(present, present);
  const { copied } = await rehearsePlan(database, plan, { present, wanted: present }, present, {
    rowsPerTable: 1,
    engine: "scratch",
  });
  expect(copied.map(({ table }) => table)).toEqual(["public.notes", "public.owners", "public.parts_1"]);
  for (const { rows } of copied) expect(rows).toBeGreaterThan(0);
});

test("a step that the rows refuse is named, and nothing after it is run", async () => {
  await using database = await testDatabase({ setup: "CREATE TABLE t (a text); INSERT INTO t VALUES ('x'); ANALYZE;" });
  await using other = await testDatabase({ setup: "CREATE TABLE t (a text NOT NULL CHECK (a <> 'x'));" });
  const present = await readCatalog(database);
  const wanted = await readCatalog(other);
  const plan = planMigration(present, wanted);
  const rehearsal = await rehearsePlan(database, plan, { present, wanted }, present, { engine: "scratch" });
  expect(rehearsal.failure?.message).toContain("violated by some row");
  expect(rehearsal.steps).toHaveLength((rehearsal.failure?.step ?? 0) - 1);
  await expect(rehearsePlan(database, plan, { present, wanted }, present, { rowsPerTable: 0 })).rejects.toThrow(
    "at least one row",
  );
});
