// identifier() against the server itself: every name that it lets through must come back as it was given.
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  identifier,
  literal,
  MAX_IDENTIFIER_BYTES,
  printedIdentifier,
  type Database,
} from "../../src/postgres/index.ts";
import { testDatabase } from "../support/test-database.ts";

let database: Database;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.close());

/** Makes tables with these names, each with one column of the same name, and reads both names back. */
async function roundTrip(names: readonly string[]): Promise<{ table: string; column: string; value: string }[]> {
  const schema = identifier(`s ${Math.random()}`);
  const tables = names.map((name) => `CREATE TABLE ${schema}.${identifier(name)} (${identifier(name)} text);`);
  const rows = names.map((name) => `INSERT INTO ${schema}.${identifier(name)} (${identifier(name)}) VALUES ('found');`);
  await database.exec(`CREATE SCHEMA ${schema}; ${tables.join("\n")} ${rows.join("\n")}`);
  const results = await database.batch(
    names.map((name) => ({
      text: `SELECT a.attrelid::regclass::oid::int AS oid, c.relname AS table, a.attname AS column,
               (SELECT ${identifier("t", name)} FROM ${schema}.${identifier(name)} AS t) AS value
             FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
             WHERE a.attrelid = to_regclass($1) AND a.attnum = 1`,
      values: [`${schema}.${identifier(name)}`],
    })),
  );
  await database.exec(`DROP SCHEMA ${schema} CASCADE`);
  return results.map(({ rows: [row] }) => ({
    table: String(row?.["table"]),
    column: String(row?.["column"]),
    value: String(row?.["value"]),
  }));
}

const asRead = (names: readonly string[]) => names.map((name) => ({ table: name, column: name, value: "found" }));

test("every word of the server's grammar can be the name of a table and of a column", async () => {
  const { rows } = await database.query<{ word: string }>("SELECT word FROM pg_get_keywords() ORDER BY word");
  const words = rows.map(({ word }) => word);
  expect(words.length).toBeGreaterThan(400);
  expect(words).toContain("select");
  expect(await roundTrip(words)).toEqual(asRead(words));
});

test("quotes, spaces, dots, capitals, comments, parameters and escapes keep their meaning", async () => {
  const names = [
    'a"b',
    '"',
    '""',
    '"; DROP TABLE x; --',
    "it's",
    "with space",
    " leading",
    "trailing ",
    "MixedCase",
    "a.b",
    "$1",
    "a\\b",
    "a\nb",
    "a\tb",
    "-- comment",
    "/* comment */",
    "%I",
    "E'x'",
    "$$",
    'U&"\\0041"',
    "1starts_with_a_digit",
    ";",
    "*",
    "?",
    ":name",
  ];
  expect(await roundTrip(names)).toEqual(asRead(names));
});

test("Unicode names come back unchanged and are not normalised", async () => {
  const names = [
    "größe",
    "e\u0301",
    "\u00e9",
    "表",
    "🐘",
    "العربية",
    "\u200b",
    "\u202e",
    "İ",
    "ß",
    "ﬁ",
    "\u00a0",
    "\ufeff",
  ];
  expect(await roundTrip(names)).toEqual(asRead(names));
});

test("63 bytes are kept whole; 64 are refused, counted in UTF-8", async () => {
  const names = ["x".repeat(63), "é".repeat(31) + "x", "表".repeat(21), "🐘".repeat(15) + "abc", '"'.repeat(63)];
  expect(names.map((name) => Buffer.byteLength(name))).toEqual([63, 63, 63, 63, 63]);
  expect(await roundTrip(names)).toEqual(asRead(names));
  expect(MAX_IDENTIFIER_BYTES).toBe(63);
  for (const name of names) expect(() => identifier(`${name}x`)).toThrow(/64 bytes/);
  expect(() => identifier("é".repeat(32))).toThrow(/64 bytes/);
});

test("names that cannot be names are refused", () => {
  for (const name of ["", "a\0b", "\0", "\ud800", "a\udc00", undefined, null, 1, {}, ["a"]]) {
    expect(() => identifier(name as string)).toThrow(expect.objectContaining({ code: "INVALID_INPUT" }));
  }
  expect(() => identifier("good", "")).toThrow(expect.objectContaining({ code: "INVALID_INPUT" }));
});

test("qualified names are quoted part by part", () => {
  expect(identifier("tasks", "todo list")).toBe('"tasks"."todo list"');
  expect(identifier("a.b")).toBe('"a.b"');
  expect(identifier('a"b', "c")).toBe('"a""b"."c"');
});

test("a name is printed as the server prints it, for every word of its grammar", async () => {
  const { rows } = await database.query<{ name: string; printed: string }>(
    "SELECT w AS name, quote_ident(w) AS printed FROM (SELECT word FROM pg_get_keywords() UNION ALL SELECT unnest($1::text[])) AS k (w)",
    [["plain", "a1_", "_a", "1a", "Mixed", "a b", "a$b", 'a"b', "é", "a\\b", "a\nb", "it's"]],
  );
  expect(rows.map(({ name }) => printedIdentifier(name))).toEqual(rows.map(({ printed }) => printed));
});

test("a literal says the same whatever standard_conforming_strings is", async () => {
  const texts = ["it's", "a\\b", "\\", "\\'", "a\n'b\\n", "''", "$1", "é"];
  await using connection = await database.connect();
  for (const setting of ["on", "off"]) {
    await connection.exec(`SET standard_conforming_strings = ${setting}`);
    const { rows } = await connection.query(`SELECT ARRAY[${texts.map((text) => literal(text)).join(", ")}] AS texts`);
    expect(rows).toEqual([{ texts }]);
  }
});

test("any text of 1 to 63 bytes names a column", async () => {
  const name = fc
    .string({ unit: "binary", minLength: 1, maxLength: 40 })
    .filter((text) => text.isWellFormed() && !text.includes("\0") && Buffer.byteLength(text) <= 63);
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(name, { minLength: 1, maxLength: 20 }), async (names) => {
      const { fields } = await database.query(`SELECT ${names.map((one) => `1 AS ${identifier(one)}`).join(", ")}`);
      expect(fields.map((field) => field.name)).toEqual(names);
    }),
    { numRuns: 50 },
  );
});
