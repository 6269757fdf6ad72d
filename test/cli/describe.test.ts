// What `describe` prints of a catalog that the login may not see all of.
import { expect, test } from "vitest";
import { describeTable, readCatalog } from "../../src/catalog/index.ts";
import { describeText } from "../../src/cli/commands/describe.ts";
import { testDatabase } from "../support/test-database.ts";

test("a last value that the login may not read is not called none", async () => {
  await using database = await testDatabase({
    setup: `CREATE TABLE notes (id integer GENERATED ALWAYS AS IDENTITY, body text);
      INSERT INTO notes (body) VALUES ('a'), ('b');
      CREATE TABLE empty (id serial);`,
  });
  await using connection = await database.connect();
  const textOf = async (table: string) =>
    describeText(describeTable(await readCatalog(connection), table), (_, text) => text);
  expect(await textOf("notes")).toContain("integer, last value 2 of 2147483647");
  expect(await textOf("empty")).toContain("integer, last value none yet of 2147483647");
  await connection.exec("SET ROLE pg_monitor");
  expect(await textOf("notes")).toContain("integer, last value not readable by this login of 2147483647");
  await connection.exec("RESET ROLE");
});
