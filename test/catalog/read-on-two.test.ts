// A large catalog is read on two connections that share one snapshot.
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readCatalog } from "../../src/catalog/index.ts";
import { testDatabase, type TestDatabase } from "../support/test-database.ts";

const shop = await readFile(new URL("fixtures/shop.sql", import.meta.url), "utf8");
// Each ALTER leaves another version of the row in pg_class, so that it gets as large as with hundreds of tables.
const LARGE = `
CREATE TABLE public.altered (id int);
DO $$ BEGIN
  FOR i IN 1..4000 LOOP EXECUTE format('ALTER TABLE public.altered SET (fillfactor = %s)', 50 + i % 50); END LOOP;
END $$;`;

describe("with a second connection", () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await testDatabase({ setup: shop + LARGE, pool: { size: 2 } });
  });
  afterAll(() => database.close());

  test("a large catalog is read on both, reads the same, and both are given back", async () => {
    const alone = await database.connect();
    const catalog = await readCatalog(alone);
    alone.release();
    const before = database.poolFigures().acquired;
    const onTwo = await readCatalog(database);
    const { acquired, total, idle } = database.poolFigures();
    expect(acquired - before).toBe(2);
    expect(idle).toBe(total);
    expect(onTwo).toEqual(catalog);
    expect(onTwo.tables.length).toBeGreaterThan(5);
  });

  test("a reading that fails leaves no transaction open on either", async () => {
    await expect(readCatalog(database, { timeoutMs: 1 })).rejects.toMatchObject({ code: "STATEMENT_TIMEOUT" });
    await expect(readCatalog(database, { schemas: ["nowhere"] })).rejects.toThrow(
      'the schema "nowhere" cannot be read',
    );
    const open = await database.query(
      "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'",
    );
    expect(open.rows).toEqual([]);
  });
});

test("without a second connection a large catalog is read on the one there is", async () => {
  await using database = await testDatabase({ setup: LARGE, pool: { size: 1 } });
  const catalog = await readCatalog(database);
  expect(catalog.tables.map(({ name }) => name)).toEqual(["altered"]);
  expect(database.poolFigures().idle).toBe(1);
});
