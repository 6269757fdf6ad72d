import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parseSqlScript } from "../../src/migrate/index.ts";
import { InvalidSqlError } from "../../src/postgres/index.ts";

const texts = async (sql: string) => (await parseSqlScript(sql, "x.sql")).statements.map((statement) => statement.text);

test("statements are split where the parser ends them, not at semicolons", async () => {
  const sql = `-- first ; comment
    CREATE FUNCTION "a;b"() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END;
    /* a /* nested ; */ comment */ SELECT 'é;😀', E'\\';', $$ ; $$, $t$ $$ ; $t$ AS "x;y";;
    SELECT 2`;
  expect(await texts(sql)).toEqual([
    'CREATE FUNCTION "a;b"() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END',
    "SELECT 'é;😀', E'\\';', $$ ; $$, $t$ $$ ; $t$ AS \"x;y\"",
    "SELECT 2",
  ]);
});

test("offsets count from the file's beginning, behind characters of several bytes", async () => {
  const sql = "SELECT '😀é';\n\n-- ü\nSELECT 2;";
  const { statements } = await parseSqlScript(sql, "x.sql");
  expect(statements.map(({ offset, text }) => sql.slice(offset, offset + text.length))).toEqual([
    "SELECT '😀é'",
    "SELECT 2",
  ]);
});

test("psql commands and COPY data are set apart; a backslash inside a string is not a command", async () => {
  const sql = [
    "\\restrict abc",
    "SELECT '\\x' AS a;",
    "COPY public.t (id, note) FROM stdin;",
    "1\tit's",
    "2\t$$",
    "\\.",
    "SELECT $$",
    "\\not a command",
    "$$;",
    "\\unrestrict abc",
  ].join("\n");
  const { statements, psqlParts } = await parseSqlScript(sql, "dump.sql");
  expect(statements.map(({ kind }) => kind)).toEqual(["SelectStmt", "CopyStmt", "SelectStmt"]);
  expect(psqlParts.map(({ kind, text }) => [kind, text])).toEqual([
    ["command", "\\restrict abc"],
    ["copy data", "1\tit's\n2\t$$\n"],
    ["command", "\\unrestrict abc"],
  ]);
});

test("COPY data without its end mark and with CRLF is taken to the end of the file", async () => {
  const { statements, psqlParts } = await parseSqlScript(
    "COPY t FROM STDIN WITH (FORMAT csv);\r\n1,'\r\n2,\r\n",
    "x.sql",
  );
  expect(statements).toHaveLength(1);
  expect(psqlParts[0]?.text).toBe("1,'\r\n2,\r\n");
  const closed = await parseSqlScript("COPY t FROM STDIN;\r\n1\r\n\\.\r\nSELECT 1;", "x.sql");
  expect(closed.statements).toHaveLength(2);
});

test("an empty file and one of comments only have no statements", async () => {
  expect(await texts("")).toEqual([]);
  expect(await texts("-- nothing\n/* here */\n;")).toEqual([]);
});

test.each([
  [
    "SELECT 1;\n\nSELECT 'ü😀' FROM a WHER b c;",
    'x.sql:3:25: syntax error at or near "b"',
    "  SELECT 'ü😀' FROM a WHER b c;\n                          ^",
  ],
  ["CREATE TABLE t (\n  id int,\n);\n", 'x.sql:3:1: syntax error at or near ")"', "  );\n  ^"],
  ["SELECT 'abc", "x.sql:1:8: unterminated quoted string", "  SELECT 'abc\n         ^"],
  [
    "SELECT 1;\nCREATE TABLE t (",
    "x.sql:2:17: syntax error at end of input",
    "  CREATE TABLE t (\n                  ^",
  ],
  ["COPY t FROM stdin;\n1\n\\.\nSELEC 1;", 'x.sql:4:1: syntax error at or near "SELEC"', "  SELEC 1;\n  ^"],
])("a syntax error shows file, line, column, the line and a caret: %j", async (sql, head, excerpt) => {
  const error: unknown = await parseSqlScript(sql, "x.sql").catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(InvalidSqlError);
  const { message } = error as InvalidSqlError;
  expect(message).toContain(head);
  expect(message).toContain(excerpt);
});

test("a very long line is shown around its fault", async () => {
  const error: unknown = await parseSqlScript(`SELECT ${"1, ".repeat(2_000)} FRO x y z`, "x.sql").catch(
    (thrown: unknown) => thrown,
  );
  const line = (error as Error).message.split("\n")[1] ?? "";
  expect(line.length).toBeLessThan(130);
  expect(line).toContain("x y z");
});

test("this project's own migrations are one set of statements each", async () => {
  const sql = readFileSync(new URL("../../migrations/0001_create_roles_and_functions.sql", import.meta.url), "utf8");
  expect((await texts(sql)).length).toBeGreaterThan(3);
});

test("a zero byte is refused: the parser would end there; a byte order mark is no SQL", async () => {
  await expect(parseSqlScript("SELECT 1;\0DROP TABLE a;", "a.sql")).rejects.toThrow("a.sql:1:10: a zero byte");
  const { statements } = await parseSqlScript("\uFEFFSELECT 1;\nSELECT 2;", "a.sql");
  expect(statements.map(({ text, offset }) => [text, offset])).toEqual([
    ["SELECT 1", 1],
    ["SELECT 2", 11],
  ]);
});
