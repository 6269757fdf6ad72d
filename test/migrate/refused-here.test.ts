// A throw-away database that lacks what a file needs says so, with file and line, instead of passing on a bare message.
import { expect, test } from "vitest";
import { loadSqlFiles, parseSqlFiles } from "../../src/migrate/load-sql.ts";
import { failureOf } from "../support/failure-of.ts";
import { testDatabase } from "../support/test-database.ts";

test.each([
  ["CREATE FUNCTION f() RETURNS int LANGUAGE c AS '$libdir/nothing', 'f'", "does not have the library"],
  ["CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'plpgsql', 'nothing'", "does not have the library"],
  ["CREATE FUNCTION f() RETURNS int LANGUAGE internal AS 'nothing'", "does not have the internal function"],
  ["CREATE FUNCTION f() RETURNS int LANGUAGE plv8 AS 'return 1'", "does not have the language"],
  ["CREATE COLLATION c (lc_collate = 'xx_YY.utf8', lc_ctype = 'xx_YY.utf8')", "does not have the locale"],
  ["CREATE TABLE p (id uuid REFERENCES auth.users)", "Supabase makes that in each of its databases"],
  ["SET ROLE pg_monitor; CREATE FOREIGN DATA WRAPPER w", "lets only a superuser do this"],
  [
    "SET ROLE pg_monitor; CREATE ACCESS METHOD m TYPE TABLE HANDLER heap_tableam_handler",
    "lets only a superuser do this",
  ],
])("%s", async (sql, hint) => {
  await using database = await testDatabase();
  await using connection = await database.connect();
  const files = await parseSqlFiles([{ name: "schema.sql", text: `SELECT 1;\n${sql};` }]);
  expect(await failureOf(loadSqlFiles(connection, files))).toMatchObject({
    message: expect.stringMatching(/^schema\.sql:2:/),
    hint: expect.stringContaining(hint),
  });
});
