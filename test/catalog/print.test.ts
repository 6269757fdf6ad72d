// What printCatalog() writes, loaded into an empty database, reads back as the same schema.
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { compareCatalogs, printCatalog, readCatalog, type Catalog } from "../../src/catalog/index.ts";
import { testDatabase, testPglite, type TestDatabase } from "../support/test-database.ts";

const shop = await readFile(new URL("fixtures/shop.sql", import.meta.url), "utf8");
const pagila = await readFile(new URL("../data/pagila/schema.sql", import.meta.url), "utf8");

/** Builds `setup`, prints it, and builds what was printed: the catalog before, and after. */
async function printedAndRead(
  setup: string,
  open: (options: { readonly setup: string }) => Promise<TestDatabase>,
): Promise<{ readonly original: Catalog; readonly copy: Catalog; readonly sql: string }> {
  let original: Catalog;
  {
    await using database = await open({ setup });
    original = await readCatalog(database);
  }
  const sql = printCatalog(original);
  await using database = await open({ setup: sql });
  return { original, copy: await readCatalog(database), sql };
}

test("a rich schema is printed and reads back equal", async () => {
  const { original, copy } = await printedAndRead(shop, testDatabase);
  expect(compareCatalogs(original, copy)).toEqual([]);
});

test("the sample schema pagila is printed and reads back equal", async () => {
  const { original, copy } = await printedAndRead(pagila, testPglite);
  expect(compareCatalogs(original, copy)).toEqual([]);
});
