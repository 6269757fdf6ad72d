// What stands in SQL files beside plain statements: syntax errors, psql's own commands and data, blocks of PL/pgSQL, line ends.
import { expect, test } from "vitest";
import { lintSql, type LintOptions } from "../../src/migrate/index.ts";

const lint = async (text: string, options: LintOptions = {}): Promise<string[]> =>
  (await lintSql([{ name: "a.sql", text }], options)).findings.map(
    ({ rule, line, column }) => `${line}:${column} ${rule}`,
  );

test("a syntax error is a finding at its place; the other statements and files are linted", async () => {
  const text = "DROP TABLE a;\nALTER TABEL b ADD c int;\n-- ü\nDROP TABLE d;";
  expect(await lint(text)).toEqual(["1:1 drop-table", "2:7 syntax-error", "4:1 drop-table"]);
  const report = await lintSql([
    { name: "1.sql", text: "SELEC 1;" },
    { name: "2.sql", text: "DROP TABLE a;" },
  ]);
  expect(report.findings).toMatchObject([
    { file: "1.sql", rule: "syntax-error", message: 'syntax error at or near "SELEC"', statement: "SELEC 1;" },
    { file: "2.sql", rule: "drop-table" },
  ]);
  expect(await lint("SELEC 1;", { config: { rules: { "syntax-error": "off" } } })).toEqual(["1:1 syntax-error"]);
});

test.each([
  ["a string that is never closed", "DROP TABLE a;\nSELECT 'x;\nDROP TABLE b;", ["1:1 drop-table", "2:8 syntax-error"]],
  [
    "a parenthesis that is never closed",
    "CREATE TABLE a (b int;\nDROP TABLE c;",
    ["1:22 syntax-error", "2:1 drop-table"],
  ],
  [
    "the body of a function in SQL",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END;\nSELEC;\nDROP TABLE a;",
    ["2:1 syntax-error", "3:1 drop-table"],
  ],
  [
    "a rule with several statements",
    "CREATE RULE r AS ON INSERT TO a DO ALSO (DELETE FROM b; DELETE FROM c);\nSELEC;\nDROP TABLE a;",
    ["1:1 rewrite-rule", "2:1 syntax-error", "3:1 drop-table"],
  ],
  [
    "quotes, comments and dollars with semicolons",
    `SELEC;\nSELECT ';', "a;b" /* ; */ -- ;\n, $x$;$x$;\nDROP TABLE a;`,
    ["1:1 syntax-error", "4:1 drop-table"],
  ],
])("a syntax error is kept apart from %s", async (_, text, found) => {
  expect(await lint(text)).toEqual(found);
});

test("psql's variables stand for names and values", async () => {
  const text = `DROP TABLE :schema.a;\nDELETE FROM :"table" WHERE b = :'value' AND c::text = x[1:2]::text;`;
  expect(await lint(text)).toEqual(["1:1 drop-table"]);
});

test("variables and templates of migration tools stand for names, files and values", async () => {
  const sql = `{{ template "func/a.sql" . }}
CREATE TABLE {{ index .Options "Namespace" }}.users (id int);
GRANT SELECT ON \${schema}.users TO {{.app_user}};
CREATE TABLE {{ .prefix }}_a (at int DEFAULT {{.limit}}, note text DEFAULT '{{.note}}'`;
  const { findings } = await lintSql([{ name: "1.sql", text: `${sql});` }]);
  expect(findings.filter(({ rule }) => rule === "syntax-error")).toEqual([]);
  const { findings: faults } = await lintSql([{ name: "1.sql", text: `${sql}));` }]);
  expect(faults.filter(({ rule }) => rule === "syntax-error")).toMatchObject([{ line: 4 }]);
});

test("psql's commands and COPY's data are not SQL", async () => {
  const text = "\\set ON_ERROR_STOP on\nCOPY a (b) FROM stdin;\nDROP TABLE b;\n'\n\\.\n\\echo done\nDROP TABLE c;";
  expect(await lint(text)).toEqual(["7:1 drop-table"]);
  expect(await lint(`${text}\nSELEC;`)).toEqual(["7:1 drop-table", "8:1 syntax-error"]);
});

test("a zero byte and a byte order mark hide no statement", async () => {
  expect(await lint("\uFEFFDROP TABLE a;")).toEqual(["1:1 drop-table"]);
  expect(await lint("\uFEFF-- one\r\nDROP TABLE a;\r\nSELEC;")).toEqual(["2:1 drop-table", "3:1 syntax-error"]);
  expect(await lint("DROP TABLE a;\0\nDROP TABLE b;")).toEqual([
    "1:1 drop-table",
    "1:14 syntax-error",
    "2:1 drop-table",
  ]);
  const utf16 = Buffer.from("DROP TABLE a;", "utf16le").toString("latin1");
  const { findings } = await lintSql([{ name: "a.sql", text: utf16 }]);
  expect(findings.find(({ message }) => message === "a zero byte")?.rewrite).toContain("UTF-8");
});

test("psql's commands that send a statement end it", async () => {
  expect(await lint("SELECT 1 AS x \\gset\nDROP TABLE a;\nSELECT 2\\; DROP TABLE b;\n")).toEqual([
    "2:1 drop-table",
    "3:12 drop-table",
  ]);
  expect(await lint("\\gset\nDROP TABLE a \\g\nDROP TABLE b;")).toEqual(["2:1 drop-table", "3:1 drop-table"]);
});

test("psql's commands that run what does not stand in the file are told", async () => {
  const text =
    "\\set x 1\n\\i other.sql\n  \\include_relative 'b.sql'\nSELECT 'DROP TABLE a' \\gexec\n\\echo i\n\\if x\n\\endif";
  expect(await lint(text)).toEqual(["2:1 opaque-statement", "3:3 opaque-statement", "4:23 opaque-statement"]);
  expect(await lint(text, { config: { rules: { "opaque-statement": "off" } } })).toEqual([]);
});

test.each([
  ["Jinja", "{% if x %}\nDROP TABLE {{ t }};\n{% else %}\nDROP TABLE b;\n{% endif %}{# it's #}", 2],
  ["dbt's configuration", "{{ config(materialized='table') }}\nSELECT 1;\nDROP TABLE {{ ref('a') }};", 1],
  ["ERB", "<% if x -%>\nDROP TABLE <%= t %>;\n<% end %>\nDROP TABLE b;", 2],
  ["Go", "{{ if .x }}\nDROP TABLE {{.s}}.a;\n{{- end }}\nDROP TABLE b;", 2],
  ["mustache", "DROP TABLE {{{schema}}}.a;", 1],
  ["the shell", "DROP TABLE $SCHEMA.a, ${OTHER:-public}.b;\nSELECT $1, $x$ $y $x$;", 2],
  ["Python", "UPDATE a SET b = %(b)s, c = %s WHERE d = 1;\nDROP TABLE {schema}.a;", 1],
  ["drivers", "UPDATE a SET b = ?, c = #{c} WHERE d = ?;\nSELECT j ? 'k' FROM a;\nDROP TABLE @extschema@.a;", 1],
])("what %s puts values into is linted, in every branch", async (_, text, drops) => {
  const found = await lint(text);
  expect(found.filter((finding) => finding.endsWith("drop-table"))).toHaveLength(drops);
  expect(found).toHaveLength(drops);
});

test.each([
  ["CREATE TABLE `a` (b int) ENGINE=InnoDB;", "MySQL"],
  ["DELIMITER //\nCREATE PROCEDURE p() BEGIN SELECT 1; END //", "MySQL"],
  ["CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT);", "SQLite"],
  ["CREATE TABLE [dbo].[a] ([b] int);\nGO", "SQL Server"],
  ["SELECT 1\n/\n", "Oracle"],
  ["<<<<<<< HEAD\nDROP TABLE a;\n=======\nDROP TABLE b;\n>>>>>>> other", "merge conflict"],
  ["version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"],
  ["{{ my_macro() }}\nSELECT 1;", "template"],
  ['{"a": 1}', "no SQL"],
  ["DROP\u00A0TABLE a;", "U+00A0"],
  ["SELEC 1;", "correct it"],
])("a syntax error says what to do about %j", async (text, advice) => {
  const { findings } = await lintSql([{ name: "a.sql", text }]);
  expect(findings.find(({ rule }) => rule === "syntax-error")?.rewrite).toContain(advice);
});

test("a sum of thousands of terms is read, one of very many is told", async () => {
  const sum = (terms: number): string =>
    `UPDATE a SET b = ${Array(terms).fill("c").join(" || ")} WHERE d;\nDROP TABLE a;`;
  expect(await lint(sum(5_000))).toEqual(["2:1 drop-table"]);
  expect(await lint(sum(40_000))).toEqual(["1:1 syntax-error", "2:1 drop-table"]);
});

test("line ends, an empty file and a file of comments", async () => {
  const crlf = "-- one\r\nDROP TABLE a;\r\n\r\n  DROP TABLE b; -- pgsteward:ignore drop-table agreed\r\n";
  expect(await lint(crlf)).toEqual(["2:1 drop-table"]);
  for (const text of ["", "\r\n", "-- nothing\n/* at all */", ";;"]) expect(await lint(text)).toEqual([]);
});

test("a large file is read to its end", async () => {
  const rows = "INSERT INTO a (b) VALUES ('0123456789012345678901234567890123456789');\n".repeat(10_000);
  const report = await lintSql([{ name: "big.sql", text: `${rows}DROP TABLE a;` }]);
  expect(report.findings).toMatchObject([{ rule: "drop-table", line: 10_001 }]);
  expect(report.examined.statements).toBe(10_001);
}, 60_000);

test("what a DO block runs is linted at its place, also in branches, loops and constant EXECUTE", async () => {
  const text = `DO $$
DECLARE r record;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_class WHERE relname = 'x') THEN
    ALTER TABLE a ADD CONSTRAINT c CHECK (b > 0);
  ELSE
    EXECUTE 'DROP TABLE d';
  END IF;
  FOR r IN SELECT * FROM e LOOP
    UPDATE f SET g = 1 WHERE id = r.id;
  END LOOP;
EXCEPTION WHEN duplicate_object THEN
  ALTER TABLE a DROP COLUMN b;
END $$;`;
  expect(await lint(text)).toEqual(
    expect.arrayContaining(["5:5 add-check-valid", "7:13 drop-table", "13:3 drop-column"]),
  );
  const ignored = `-- pgsteward:ignore drop-table agreed\nDO $$ BEGIN DROP TABLE a; END $$;`;
  expect(await lint(ignored)).toEqual([]);
  expect(
    await lint("DO $$ BEGIN CREATE TYPE t AS ENUM ('a'); EXCEPTION WHEN duplicate_object THEN NULL; END $$;"),
  ).toEqual([]);
});

test("what a block did in a file that ran before is known", async () => {
  const text = "DO $$ BEGIN CREATE TABLE t (a varchar(9)); EXCEPTION WHEN duplicate_table THEN NULL; END $$;";
  const alter = "ALTER TABLE t ALTER a TYPE varchar(20);";
  expect(await lint(alter, { applied: [{ name: "0.sql", text }] })).toEqual([]);
  expect(await lint(alter)).toEqual(["1:1 change-column-type"]);
});

test("all that a DO block does is one transaction", async () => {
  expect(await lint("DO $$ BEGIN CREATE INDEX CONCURRENTLY i ON a (b); END $$;")).toEqual([
    "1:13 concurrently-in-transaction",
  ]);
  const both = "DO $$ BEGIN ALTER TABLE a ADD b int; UPDATE c SET d = 1 WHERE e; END $$;";
  expect(await lint(both)).toEqual(["1:38 statement-after-access-exclusive"]);
});

test("what cannot be read out of a block is said where that is asked for", async () => {
  const config = { rules: { "opaque-statement": "on" } } as const;
  const block = (body: string): Promise<string[]> => lint(`DO $$ BEGIN ${body} END $$;`, { config });
  expect(await block("EXECUTE format('DROP TABLE %I', current_user);")).toEqual(["1:1 opaque-statement"]);
  expect(await block("CALL p();")).toEqual(["1:1 opaque-statement"]);
  expect(await block("EXECUTE 'SELECT 1'; PERFORM 1;")).toEqual([]);
  expect(await lint("DO LANGUAGE plpython3u $$ pass $$; CALL p();", { config })).toEqual([
    "1:1 opaque-statement",
    "1:36 opaque-statement",
  ]);
});

test("the bodies of functions are not run by making them", async () => {
  const text = "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DROP TABLE a; END $$;";
  expect(await lint(text)).toEqual([]);
});
