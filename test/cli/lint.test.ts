import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { testDatabase } from "../support/test-database.ts";
import { folderWith, runCli } from "./run.ts";

interface Report {
  readonly findings: readonly {
    readonly rule: string;
    readonly file: string;
    readonly line: number;
    readonly statement: string;
  }[];
  readonly examined: { readonly files: number };
  readonly hasCatalog: boolean;
  readonly files: readonly { readonly tool: string; readonly transaction: string }[];
}

const CREATE = "CREATE TABLE users (id bigint PRIMARY KEY, name varchar(20));";
const ALTER =
  "-- names grow\n  ALTER TABLE users ALTER COLUMN name TYPE varchar(40);\nALTER TABLE users ALTER name SET NOT NULL;\n";
const rulesOf = (stdout: string): string[] => (JSON.parse(stdout) as Report).findings.map(({ rule }) => rule);

test("text shows place, caret, lock, reason and the safe form; --fail-on decides the exit code", async () => {
  const cwd = folderWith({ "change.sql": ALTER });
  const { code, stdout, stderr } = await runCli(["lint", "change.sql", "--no-cache"], { cwd });
  expect(stderr).toBe("");
  expect(code).toBe(1);
  expect(stdout).toContain("change.sql:2:3  error");
  expect(stdout).toContain("  2 |   ALTER TABLE users ALTER COLUMN name TYPE varchar(40);\n    |   ^^^^^");
  expect(stdout).toContain("lock: ACCESS EXCLUSIVE on public.users, rewrites it");
  expect(stdout).toContain("safe: ALTER TABLE users ADD CONSTRAINT users_name_not_null NOT NULL name NOT VALID;");
  expect(stdout).toContain("Examined: 1 file, 2 statements");
  expect(stdout).toContain("Not reported one by one: 2 missing-lock-timeout; --on RULE does.");
  expect((await runCli(["lint", "change.sql", "--fail-on", "never", "--no-cache"], { cwd })).code).toBe(0);
});

test("what exists is told by --schema, --since or --database, and the answers are exact", async () => {
  const cwd = folderWith({ "schema.sql": CREATE, "migrations/1.sql": CREATE, "migrations/2.sql": ALTER });
  const lint = async (...args: string[]): Promise<Report> =>
    JSON.parse(
      (await runCli(["lint", ...args, "--json", "--no-cache", "--fail-on", "never"], { cwd })).stdout,
    ) as Report;
  const bySchema = await lint("migrations/2.sql", "--schema", "schema.sql");
  expect(bySchema.findings.map(({ rule }) => rule)).toEqual(["set-not-null"]);
  expect(bySchema.hasCatalog).toBe(true);
  const since = await lint("--since", "2.sql");
  expect(since.findings).toMatchObject([{ rule: "set-not-null", file: join("migrations", "2.sql"), line: 3 }]);
  expect(since.examined.files).toBe(1);
  expect((await lint()).findings).toEqual([]);
  await using database = await testDatabase({ setup: CREATE });
  const byDatabase = await lint("migrations/2.sql", "--database", database.url);
  expect(byDatabase.findings.map(({ rule }) => rule)).toEqual(["set-not-null"]);
});

test("SARIF 2.1.0 has rules, results with places, and suppressions with their reason", async () => {
  const cwd = folderWith({ "a b.sql": "DROP TABLE a;\n-- pgsteward:ignore drop-table empty since May\nDROP TABLE b;" });
  const { stdout, code } = await runCli(["lint", "a b.sql", "--sarif", "--no-cache"], { cwd });
  expect(code).toBe(1);
  const text = expect.stringMatching(/./) as string;
  const location = (startLine: number): unknown => ({
    physicalLocation: {
      artifactLocation: { uri: "a%20b.sql" },
      region: { startLine, startColumn: 1, snippet: { text } },
    },
  });
  const result = { ruleId: "drop-table", ruleIndex: 0, level: "error", message: { text } };
  expect(JSON.parse(stdout)).toEqual({
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: {
            name: "pgsteward",
            version: text,
            rules: [
              {
                id: "drop-table",
                shortDescription: { text },
                fullDescription: { text },
                help: { text },
                defaultConfiguration: { level: "error" },
              },
            ],
          },
        },
        columnKind: "unicodeCodePoints",
        results: [
          { ...result, locations: [location(1)] },
          {
            ...result,
            locations: [location(3)],
            suppressions: [{ kind: "inSource", justification: "empty since May" }],
          },
        ],
      },
    ],
  });
});

test("GitHub annotations are one escaped line each", async () => {
  const cwd = folderWith({ "a.sql": "SELECT 1;\nDROP TABLE a;" });
  const { stdout } = await runCli(["lint", "a.sql", "--github", "--no-cache"], { cwd });
  expect(stdout).toMatch(/^::error file=a\.sql,line=2,col=1,title=drop-table::a is dropped\. .*%0A.*\n$/);
});

test("rules are switched by name; an unknown one names the nearest", async () => {
  const cwd = folderWith({ "a.sql": "CREATE TABLE a (n int);\nDROP TABLE b;" });
  const lint = (...args: string[]): ReturnType<typeof runCli> =>
    runCli(["lint", "a.sql", "--json", "--no-cache", ...args], { cwd });
  expect(rulesOf((await lint("--on", "small-integer", "--off", "drop-table")).stdout)).toEqual(["small-integer"]);
  expect(rulesOf((await lint("--all")).stdout)).toEqual(
    expect.arrayContaining(["small-integer", "table-without-comment", "drop-table"]),
  );
  const wrong = await lint("--off", "drop-tabel");
  expect(wrong.code).toBe(64);
  expect(wrong.stderr).toContain("did you mean drop-table?");
});

test("folders of other tools are recognised by their names and marks", async () => {
  const cwd = folderWith({
    "prisma/migrations/2026_a/migration.sql": "SELECT 1;",
    "drizzle/0000_a.sql": "SELECT 1;",
    "drizzle/meta/_journal.json": "{}",
    "migrations/2026_a/up.sql": "CREATE INDEX CONCURRENTLY i ON t (a);",
    "migrations/2026_a/down.sql": "DROP INDEX i;",
    "migrations/2026_a/metadata.toml": "run_in_transaction = false\n",
    "one/2026_a/migration.sql": "SELECT 1;",
    "one/2026_a/snapshot.json": "{}",
    "rust/Cargo.toml": '[dependencies]\nsqlx = "0.8"\n',
    "rust/migrations/1_a.up.sql": "SELECT 1;",
    "rust/migrations/2_b.sql": "SELECT 1;",
    "java/V1__a.sql": "SELECT 1;",
    "java/V1__a.sql.conf": "executeInTransaction=false\n",
    "go/atlas.sum": "h1:x\n",
    "go/1_a.sql": "SELECT 1;",
  });
  const folders = ["prisma/migrations", "drizzle", "migrations", "one", "rust/migrations", "java", "go"];
  const { stdout } = await runCli(["lint", ...folders, "--json", "--no-cache"], { cwd });
  const { files, findings } = JSON.parse(stdout) as Report;
  expect(findings).toEqual([]);
  expect(files.map(({ tool, transaction }) => `${tool} ${transaction}`)).toEqual([
    "prisma implicit",
    "drizzle batch",
    "diesel implicit",
    "drizzle batch",
    "sqlx file",
    "sqlx file",
    "flyway statement",
    "atlas file",
  ]);
  const index = "CREATE INDEX CONCURRENTLY i ON t (a);";
  const lone = folderWith({ "20260101_a.up.sql": index });
  const told = await runCli(["lint", ".", "--tool", "sqlx", "--json", "--no-cache"], { cwd: lone });
  expect(JSON.parse(told.stdout)).toMatchObject({
    files: [{ tool: "sqlx", transaction: "file" }],
    findings: [{ rule: "concurrently-in-transaction", rewrite: "-- no-transaction" }],
  });
});

test("a report is kept by its content; a folder that cannot be written and a broken entry change nothing", async () => {
  const cwd = folderWith({ "a.sql": "DROP TABLE a;" });
  const cache = join(cwd, "cache");
  const lint = (): ReturnType<typeof runCli> =>
    runCli(["lint", "a.sql", "--json"], { cwd, env: { XDG_CACHE_HOME: cache } });
  const first = await lint();
  const folder = join(cache, "pgsteward", "lint");
  const [entry = ""] = readdirSync(folder);
  expect((await lint()).stdout).toBe(first.stdout);
  writeFileSync(join(folder, entry), '{"report": {}, "hash": "x"}');
  expect((await lint()).stdout).toBe(first.stdout);
  writeFileSync(join(cwd, "a.sql"), "DROP TABLE b;");
  expect((JSON.parse((await lint()).stdout) as Report).findings[0]?.statement).toBe("DROP TABLE b");
  writeFileSync(join(cwd, "file"), "");
  const blocked = await runCli(["lint", "a.sql", "--json"], { cwd, env: { XDG_CACHE_HOME: join(cwd, "file") } });
  expect(blocked.code).toBe(1);
  expect(blocked.stderr).toBe("");
  expect(existsSync(join(cwd, ".pgsteward"))).toBe(false);
});

test("a syntax error is shown at its place, the other files are linted, and the exit code says that something was not", async () => {
  const cwd = folderWith({ "1.sql": "SELECT 1;\nALTER TABEL t;\n", "2.sql": "DROP TABLE a;" });
  const { code, stdout, stderr } = await runCli(["lint", ".", "--no-cache", "--fail-on", "never"], { cwd });
  expect(stderr).toBe("");
  expect(code).toBe(65);
  expect(stdout).toContain('1.sql:2:7  error  syntax error at or near "TABEL"  syntax-error');
  expect(stdout).toContain("  2 | ALTER TABEL t;\n    |       ^^^^^^^^");
  expect(stdout).toContain("2.sql:1:1  error");
});

test("stdin is linted under a given name, in the transaction that is told", async () => {
  const text = "\uFEFFALTER TABLE t ADD COLUMN a int;\r\nUPDATE t SET a = 1 WHERE b;\r\n";
  const lint = (...args: string[]): ReturnType<typeof runCli> =>
    runCli(["lint", "-", "--no-cache", "--json", ...args], { stdin: text });
  const plain = JSON.parse((await lint()).stdout) as Report;
  expect(plain.findings).toEqual([]);
  expect(plain.files).toMatchObject([{ name: "stdin.sql", tool: "plain" }]);
  const inOne = JSON.parse((await lint("--transaction", "file", "--stdin-name", "db/7.sql")).stdout) as Report;
  expect(inOne.findings).toMatchObject([{ rule: "statement-after-access-exclusive", file: "db/7.sql", line: 2 }]);
  const binary = await runCli(["lint", "-", "--no-cache"], { stdin: Buffer.from([0xff, 0x41]) });
  expect(binary.stderr).toContain("stdin.sql is not valid UTF-8");
  expect(binary.code).toBe(64);
});

test.each([
  ["an empty folder", ["empty"], 64, "holds no .sql file"],
  ["a missing path", ["nothing.sql"], 64, "does not exist"],
  ["a file that is not among them", ["a.sql", "--since", "b.sql"], 64, "b.sql is not among the 1 files"],
  ["a version that is too old", ["a.sql", "--server-version", "12"], 64, "12 is not a major version"],
  ["a version that is no number", ["a.sql", "--server-version", "x"], 64, "must be a whole number"],
  ["two tellings of what exists", ["a.sql", "--schema", "a.sql", "--database", "pglite:"], 64, "cannot both"],
])("refused: %s", async (_, args, exitCode, message) => {
  const cwd = folderWith({ "a.sql": "SELECT 1;", "empty/readme.txt": "" });
  const { code, stderr, stdout } = await runCli(["lint", ...args, "--no-cache"], { cwd });
  expect(stderr).toContain(message);
  expect(code).toBe(exitCode);
  expect(stdout).toBe("");
});
