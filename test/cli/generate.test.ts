// `pgsteward migrate generate` and `migrate drift` as a user runs them.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseSqlScript } from "../../src/migrate/index.ts";
import { testDatabase } from "../support/test-database.ts";
import { folderWith, runCli } from "./run.ts";

const FIRST = `-- migrate:up
CREATE TABLE users (id integer PRIMARY KEY, email text NOT NULL);
-- migrate:down
DROP TABLE users;
`;

test("what may be a rename is asked for, data loss is confirmed by name, and then the file is written", async () => {
  const cwd = folderWith({
    "db/0001_users.sql": FIRST,
    "schema.ts": `import { integer, pgTable, text } from "drizzle-orm/pg-core";
export const users = pgTable("users", { id: integer().primaryKey(), mail: text().notNull() });`,
    "pgsteward.config.json": JSON.stringify({ models: "schema.ts", migrations: "db" }),
  });
  const generate = (...flags: string[]) => runCli(["migrate", "generate", "mail of users", ...flags], { cwd });
  const unasked = await generate();
  expect(unasked.code).toBe(64);
  expect(unasked.stderr).toContain('--rename "column public.users.email -> mail"');
  const unconfirmed = await generate("--no-renames");
  expect(unconfirmed.code).toBe(64);
  expect(unconfirmed.stderr).toContain("hint: to go on, confirm it by name: --confirm mail_of_users");
  expect(readdirSync(join(cwd, "db"))).toEqual(["0001_users.sql"]);

  const written = await generate("--rename", "column users.email -> mail", "--why", "shorter");
  expect(written).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("db/0002_mail_of_users.sql: ") as string,
  });
  const text = readFileSync(join(cwd, "db/0002_mail_of_users.sql"), "utf8");
  expect(text).toMatch(
    /^-- 0002_mail_of_users: shorter\n[^]*-- migrate:up\n[^]*RENAME COLUMN "email" TO "mail"[^]*-- migrate:down\n[^]*RENAME COLUMN "mail" TO "email"/,
  );
  // For whoever runs the file without our runner.
  expect(text.match(/set_config\('lock_timeout', '2s', true\) WHERE [^;]*;\nALTER TABLE/g)).toHaveLength(2);
});

test("a wrong use of generate and drift says the way out; drift lists what differs and exits 1", async () => {
  const cwd = folderWith({
    "migrations/0001_t.sql":
      "-- migrate:up\nCREATE TABLE t (id integer); CREATE TABLE u ();\n-- migrate:down\nDROP TABLE t, u;\n",
  });
  await using database = await testDatabase({ setup: "CREATE TABLE t ()" });
  const [unnamed, both, missing, drift] = await Promise.all([
    runCli(["migrate", "generate", "x"], { cwd }),
    runCli(["migrate", "generate", "x", "--models", "a.ts", "--to", "b.sql"], { cwd }),
    runCli(["migrate", "generate", "x", "--models", "a.ts"], { cwd }),
    runCli(["migrate", "drift", "--database", database.url], { cwd }),
  ]);
  expect(unnamed).toMatchObject({
    code: 64,
    stderr: expect.stringContaining("give --models src/db/schema.ts or --to") as string,
  });
  expect(both).toMatchObject({ code: 64, stderr: expect.stringContaining("give one of them") as string });
  expect(missing).toMatchObject({ code: 64, stderr: expect.stringContaining("do not exist") as string });
  expect(drift).toMatchObject({ code: 1, stdout: expect.stringContaining("missing: table public.u") as string });
  expect(drift.stdout).toMatch(/BEGIN;\n[^;]*set_config\('lock_timeout', '2s', true\)[^;]*;\n(?:[^;]*;\n)?ALTER TABLE/);
});

test("check fails when models and migrations disagree, and names the difference", async () => {
  const cwd = folderWith({
    "db/0001_users.sql": FIRST,
    "schema.ts": `import { integer, pgTable, text, timestamp } from "drizzle-orm/pg-core";
export const users = pgTable("users", { id: integer().primaryKey(), email: text(), seenAt: timestamp("seen_at") });`,
    "pgsteward.config.json": JSON.stringify({ models: ["schema.ts"], migrations: "db" }),
  });
  const { code, stdout } = await runCli(["check", "--json"], { cwd });
  expect(code).toBe(1);
  const report = JSON.parse(stdout) as { target: string; findings: { rule: string; message: string; fix: object }[] };
  expect(report.target).toBe("db");
  const found = report.findings.filter(({ rule }) => rule === "models-and-migrations-differ");
  expect(found.map(({ message }) => message)).toEqual([
    "column public.users.email is another in the models than the migrations make it (isNullable)",
    "column public.users.seen_at is in the models and in no migration",
  ]);
  expect(found[1]).toMatchObject({
    subject: { kind: "column", schema: "public", table: "users", name: "seen_at" },
    fix: { sql: expect.stringContaining('ADD COLUMN "seen_at"') as string },
  });
});

test("an idempotent migration runs twice, names what must not, and leaves an object of the same name as it is", async () => {
  const cwd = folderWith({
    "migrations/0001_users.sql": FIRST,
    "before.sql": "CREATE TABLE t (a integer, b text);",
    "after.sql": "CREATE TABLE t (a text, b integer);",
    "schema.sql": `CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE users (id integer PRIMARY KEY, email text NOT NULL, mood mood, CONSTRAINT users_email_check CHECK (email <> ''));
CREATE INDEX users_mood ON users (mood);`,
  });
  const [generated, compared] = await Promise.all([
    runCli(["migrate", "generate", "moods", "--to", "schema.sql", "--idempotent", "--json"], { cwd }),
    runCli(
      ["diff", "before.sql", "after.sql", "--idempotent", "--rename", "column t.a -> b", "--rename", "column t.b -> a"],
      { cwd },
    ),
  ]);
  expect(JSON.parse(generated.stdout)).toMatchObject({ file: "migrations/0002_moods.sql", notRepeatable: [] });
  expect(compared.stdout).toMatch(/^-- may run again: [^]*-- not repeatable: ALTER TABLE .*: names are exchanged/);

  const text = readFileSync(join(cwd, "migrations/0002_moods.sql"), "utf8");
  expect(text).toMatch(/^-- may run again: /m);
  const [up = "", down = ""] = text.split(/^-- migrate:.*$/m).slice(1);
  await using database = await testDatabase({ setup: FIRST.split("-- migrate:down", 1)[0] ?? "" });
  const runPart = async (part: string): Promise<void> => {
    const { statements } = await parseSqlScript(part, "part.sql");
    await using connection = await database.connect();
    for (const { text: sql } of statements) await connection.exec(sql);
  };
  const built = async (): Promise<unknown> => {
    const { rows } = await database.query(
      `SELECT (SELECT count(*)::int FROM pg_catalog.pg_index AS i WHERE i.indexrelid = to_regclass('users_mood') AND i.indisvalid) AS indexes,
         (SELECT count(*)::int FROM pg_catalog.pg_constraint WHERE conname = 'users_email_check' AND convalidated) AS checks,
         (SELECT count(*)::int FROM pg_catalog.pg_type WHERE typname = 'mood') AS types`,
    );
    return rows[0];
  };
  await runPart(up);
  // As a failed build leaves it.
  await database.exec("UPDATE pg_catalog.pg_index SET indisvalid = false WHERE indexrelid = 'users_mood'::regclass");
  await runPart(up);
  expect(await built()).toEqual({ indexes: 1, checks: 1, types: 1 });
  await runPart(down);
  await runPart(down);
  expect(await built()).toEqual({ indexes: 0, checks: 0, types: 0 });

  await database.exec("CREATE TYPE mood AS ENUM ('other')");
  await runPart(up);
  expect(await built()).toEqual({ indexes: 1, checks: 1, types: 1 });
});
