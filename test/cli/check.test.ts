import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { testDatabase } from "../support/test-database.ts";
import { folderWith, runCli } from "./run.ts";

interface Report {
  readonly target: string;
  readonly notices: string[];
  readonly findings: {
    readonly rule: string;
    readonly severity: string;
    readonly subject: { readonly name: string };
  }[];
  readonly examined: { readonly tables: number };
  readonly counts: { readonly error: number; readonly warning: number; readonly info: number };
}

const BAD_SQL = `CREATE TABLE orders (id serial, placed timestamp);`;

test("a SQL file is checked without a server; --fail-on decides the exit code", async () => {
  const cwd = folderWith({ "schema.sql": BAD_SQL });
  const warned = await runCli(["check", "schema.sql", "--json", "--fail-on", "warning"], { cwd });
  const report = JSON.parse(warned.stdout) as Report;
  expect(warned.code).toBe(1);
  expect(report.examined.tables).toBe(1);
  expect(report.findings.map(({ rule }) => rule)).toEqual(
    expect.arrayContaining(["timestamp-without-time-zone", "primary-key-missing"]),
  );
  const never = await runCli(["check", "schema.sql", "--fail-on", "never"], { cwd });
  expect(never.code).toBe(0);
  expect(never.stdout).toContain("public.orders");
  expect(never.stdout).toContain("Examined: ");
  expect(never.stdout).toContain("To silence: ");
});

test("a folder's files run in the order of their numbers, up parts only, in subfolders too", async () => {
  const cwd = folderWith({
    "migrations/10_use.sql":
      "-- migrate:up\nCREATE TABLE shop.b (a_id int REFERENCES shop.a (id));\n-- migrate:down\nDROP TABLE shop.b;\n",
    "migrations/2_make.sql":
      "-- +goose Up\nCREATE TABLE shop.a (id int PRIMARY KEY);\n-- +goose Down\nDROP TABLE shop.a;\n",
    "migrations/1_schema/migration.sql": "CREATE SCHEMA shop;",
    "migrations/3_x.down.sql": "DROP SCHEMA shop CASCADE;",
    "migrations/notes.txt": "not SQL",
  });
  const { code, stdout } = await runCli(["check", "migrations", "--json", "--fail-on", "never"], { cwd });
  expect(code).toBe(0);
  expect((JSON.parse(stdout) as Report).examined.tables).toBe(2);
});

test("a dump of pg_dump is understood: psql commands, COPY data, owners and grantees that do not exist here", async () => {
  const cwd = folderWith({
    "dump.sql": [
      "\\restrict x",
      "SET transaction_timeout = 0;",
      "SET no_such_setting = 1;",
      "SELECT pg_catalog.set_config('search_path', '', false);",
      "CREATE DATABASE shop;",
      "\\connect shop",
      "CREATE SCHEMA public;",
      "CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;",
      "CREATE EXTENSION no_such_extension;",
      "COMMENT ON EXTENSION no_such_extension IS 'x';",
      'CREATE TABLE public."Bestellung „ä""" (id integer NOT NULL, note text);',
      'ALTER TABLE public."Bestellung „ä""" OWNER TO "Müller; DROP";',
      'GRANT SELECT ON public."Bestellung „ä""" TO reader;',
      'COPY public."Bestellung „ä""" (id, note) FROM stdin;',
      "1\tit's; $$ \\\\x",
      "\\.",
      'CREATE INDEX ON public."Bestellung „ä""" USING gin (note public.gin_trgm_ops);',
      "\\unrestrict x",
    ].join("\n"),
  });
  const { code, stdout, stderr } = await runCli(["check", "dump.sql", "--json", "--fail-on", "never"], { cwd });
  expect(stderr).toBe("");
  expect(code).toBe(0);
  const report = JSON.parse(stdout) as Report;
  expect(report.findings.some(({ subject }) => subject.name === 'Bestellung „ä"')).toBe(true);
  expect(report.notices.join("\n")).toContain("no_such_extension is not available");
  expect(report.notices.join("\n")).toContain("the data of 1 COPY statements (1 rows) was not loaded");
  expect(report.notices.join("\n")).toContain("Müller; DROP, reader");
});

test.each([
  [
    "SELECT 1;\nCREATE TABEL t (id int);\n",
    'schema.sql:2:8: syntax error at or near "TABEL"',
    "  CREATE TABEL t (id int);\n         ^",
    65,
  ],
  [
    "CREATE TABLE t (id int);\nALTER TABLE t ADD x nosuchtype;",
    'schema.sql:2:21: type "nosuchtype" does not exist',
    "  ALTER TABLE t ADD x nosuchtype;\n                      ^",
    65,
  ],
  ["\\i other.sql\n", "schema.sql:1:1: the psql command \\i cannot be followed here", "hint: give the folder", 64],
  [Buffer.from("PGDMP\0\u0001"), "custom format", "pg_restore", 64],
  [Buffer.from([0x53, 0xe4, 0xff]), "not valid UTF-8", "hint: save it as UTF-8", 64],
])(
  "a broken SQL file tells file, line and column, the line and a caret",
  async (content, message, excerpt, exitCode) => {
    const { code, stdout, stderr } = await runCli(["check", "schema.sql"], {
      cwd: folderWith({ "schema.sql": content }),
    });
    expect(stdout).toBe("");
    expect(stderr).toContain(message);
    expect(stderr).toContain(excerpt);
    expect(code).toBe(exitCode);
  },
);

test("an empty folder is an error; an empty file is a schema without tables, and the report says so", async () => {
  const cwd = folderWith({ "empty/readme.txt": "", "nothing.sql": "-- nothing yet\n" });
  const folder = await runCli(["check", "empty"], { cwd });
  expect(folder.code).toBe(64);
  expect(folder.stderr).toContain("holds no .sql file");
  const file = await runCli(["check", "nothing.sql"], { cwd });
  expect(file.code).toBe(0);
  expect(file.stdout).toContain("nothing: there are no tables");
});

test("a server is checked and left as it was; --schema narrows it down; an unknown schema is told with the known ones", async () => {
  await using database = await testDatabase({
    setup: `CREATE SCHEMA shop; CREATE TABLE shop.orders (id serial); CREATE TABLE public.other (id serial);`,
  });
  const { code, stdout } = await runCli(["check", database.url, "--json", "--schema", "shop", "--fail-on", "never"]);
  expect(code).toBe(0);
  const report = JSON.parse(stdout) as Report;
  expect(report.examined.tables).toBe(1);
  expect(report.target).not.toContain(new URL(database.url).password);
  const unknown = await runCli(["check", "--database", database.url, "--schema", "shpo"]);
  expect(unknown.code).toBe(64);
  expect(unknown.stderr).toMatch(/hint: .*\bshop\b/);
});

test("a finding is silenced with a reason, and a rule's severity is set, in pgsteward.config.ts", async () => {
  const cwd = folderWith({
    "schema.sql": BAD_SQL,
    "pgsteward.config.ts": `export default { check: {
      rules: { "timestamp-without-time-zone": "error" },
      silence: [{ rule: "primary-key-missing", subject: "public.orders", reason: "a staging table" }],
    } };`,
  });
  const { code, stdout } = await runCli(["check", "schema.sql", "--json"], { cwd });
  const report = JSON.parse(stdout) as Report;
  expect(code).toBe(1);
  expect(report.findings.find(({ rule }) => rule === "timestamp-without-time-zone")?.severity).toBe("error");
  expect(report.findings.map(({ rule }) => rule)).not.toContain("primary-key-missing");
});

test("a wrong password, an unknown database and a server that is down are told apart, without the password", async () => {
  await using database = await testDatabase();
  const wrong = new URL(database.url);
  wrong.password = "wr0ng-secret";
  const password = await runCli(["check", wrong.href]);
  expect([password.code, password.stderr.split(":")[0]]).toEqual([77, "error AUTHENTICATION_FAILED"]);
  const missing = new URL(database.url);
  missing.pathname = "/no_such_database";
  const unknown = await runCli(["check", missing.href]);
  expect([unknown.code, unknown.stderr.split(":")[0]]).toEqual([69, "error DATABASE_NOT_FOUND"]);
  const down = await runCli(["check", "postgres://u:wr0ng-secret@127.0.0.1:1/x"]);
  expect([down.code, down.stderr.split(":")[0]]).toEqual([69, "error CONNECTION_REFUSED"]);
  for (const { stderr } of [password, unknown, down]) expect(stderr).not.toContain("wr0ng-secret");
});

test("the public sample schema is loaded whole", async () => {
  const path = new URL("../data/pagila/schema.sql", import.meta.url);
  expect(readFileSync(path, "utf8").length).toBeGreaterThan(50_000);
  const { code, stdout } = await runCli(["check", path.pathname, "--json", "--fail-on", "never"]);
  expect(code).toBe(0);
  expect((JSON.parse(stdout) as Report).examined.tables).toBeGreaterThan(10);
});
