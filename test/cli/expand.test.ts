// `pgsteward migrate expand` as a user runs it.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readMigrations, revertMigrations, runMigrations } from "../../src/migrate/index.ts";
import { testDatabase } from "../support/test-database.ts";
import { folderWith, runCli } from "./run.ts";

const SETUP = `
CREATE SCHEMA shop;
CREATE TABLE shop.orders (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, total integer NOT NULL DEFAULT 0);
INSERT INTO shop.orders (total) SELECT generate_series(1, 100);
CREATE VIEW shop.totals AS SELECT id, total FROM shop.orders;
CREATE FUNCTION shop.sum_of_all() RETURNS bigint LANGUAGE sql AS 'SELECT sum(total) FROM shop.orders';`;

test("a change of type becomes five files after those that are there, which the runner takes forward and back", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const cwd = folderWith({ "migrations/0007_before.sql": "-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 1;\n" });
  const env = { DATABASE_URL: database.url };
  const written = await runCli(["migrate", "expand", "column shop.orders.id type bigint"], { cwd, env });
  expect(written).toMatchObject({ code: 0, stderr: "the switch makes anew what reads id: shop.totals\n" });
  expect(readdirSync(join(cwd, "migrations"))).toEqual([
    "0007_before.sql",
    "0008_expand_orders_id_to_bigint.sql",
    "0009_backfill_orders_id_to_bigint.sql",
    "0010_validate_orders_id_to_bigint.sql",
    "0011_switch_orders_id_to_bigint.sql",
    "0012_contract_orders_id_to_bigint.sql",
  ]);
  const migrations = readMigrations(join(cwd, "migrations"));
  expect((await runMigrations(database, migrations)).done).toHaveLength(6);
  const type = "SELECT pg_typeof(id)::text AS type, count(*)::int4 AS rows FROM shop.totals GROUP BY 1";
  expect((await database.query(type)).rows).toEqual([{ type: "bigint", rows: 100 }]);
  await revertMigrations(database, migrations, { count: 5 });
  expect((await database.query(type)).rows).toEqual([{ type: "integer", rows: 100 }]);
});

test("what expand cannot read, or not carry over, is told with the way out; functions that may need a change are named", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const env = { DATABASE_URL: database.url };
  const [words, missing, options, dry] = await Promise.all([
    runCli(["migrate", "expand", "make orders nicer"], { env }),
    runCli(["migrate", "expand", "column shop.orders.nothing type bigint"], { env }),
    runCli(["migrate", "expand", "table shop.orders rename to sales", "--using", "x"], { env }),
    runCli(["migrate", "expand", 'column shop.orders.total rename to "Amount"', "--dry-run"], { env }),
  ]);
  expect(words).toMatchObject({ code: 64, stderr: expect.stringContaining("rename to sales") as string });
  expect(missing).toMatchObject({ code: 64, stderr: expect.stringContaining("it has id, total") as string });
  expect(options).toMatchObject({ code: 64, stderr: expect.stringContaining("--using") as string });
  expect(dry).toMatchObject({ code: 0, stdout: expect.stringContaining('ADD COLUMN "Amount" integer') as string });
  expect(dry.stderr).toContain("the function shop.sum_of_all() says total: let it say Amount");
});
