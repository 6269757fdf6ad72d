// Started with: node read-catalog.mjs URL; reads the catalog once and ends.
import { readCatalog } from "../dist/catalog/index.js";
import { openDatabase } from "../dist/postgres/index.js";

const [url] = process.argv.slice(2);
const database = await openDatabase(url);
try {
  const { tables } = await readCatalog(database);
  if (tables.length === 0) throw new Error("no table was read");
} finally {
  await database.close();
}
