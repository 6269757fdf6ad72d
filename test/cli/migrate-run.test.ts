// `pgsteward migrate up|down|redo|status|baseline|repair` as a user runs them, on a real server.
import { expect, test } from "vitest";
import { testDatabase } from "../support/test-database.ts";
import { folderWith, runCli, startCli } from "./run.ts";

const FILES = {
  "migrations/0001_users.sql": `-- migrate:up
CREATE TABLE users (id int, email text);
-- migrate:down
DROP TABLE users;
`,
  "migrations/0002_users_index.sql": `-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY users_id ON users (id);
-- migrate:down transaction:false
DROP INDEX CONCURRENTLY users_id;
`,
};

test("up, status, down and redo; data loss is confirmed by name only", async () => {
  await using database = await testDatabase();
  const cwd = folderWith(FILES);
  const run = (...args: string[]) => runCli(["migrate", ...args], { cwd, env: { DATABASE_URL: database.url } });

  const dry = await run("up", "--dry-run");
  expect(dry).toMatchObject({
    code: 0,
    stdout: `-- up 0001_users.sql
BEGIN;
CREATE TABLE users (id int, email text);
COMMIT;

-- up 0002_users_index.sql
CREATE INDEX CONCURRENTLY users_id ON users (id);
`,
  });
  expect(
    (await database.query("SELECT to_regclass('users') AS users, to_regnamespace('pgsteward') AS own")).rows,
  ).toEqual([{ users: null, own: null }]);

  const up = await run("up", "--json", "--actor", "release 7");
  expect(JSON.parse(up.stdout)).toMatchObject({
    done: [{ version: "0001", direction: "up" }, { version: "0002" }],
    appliedBefore: 0,
  });
  const status = await run("status", "--exit-code");
  expect(status.code).toBe(0);
  expect(status.stdout).toMatch(
    /^applied {2}0001_users {8}\d{4}-\S+Z {2}postgres for release 7 {2}\d+ ms\napplied {2}0002_users_index /,
  );

  const [first, second] = await Promise.all([run("redo"), run("down", "--to", "0", "--yes")]);
  expect(first.stdout + first.stderr).toMatch(/down {2}0002_users_index .*\nup {4}0002_users_index/);
  expect(second.code).toBe(64);
  expect(second.stderr).toContain("data will be lost\n  0001_users.sql:4: ");
  expect(second.stderr).toContain("hint: to go on, confirm it by name: --confirm 0001_users");
  const down = await run("down", "--to", "0", "--confirm", "0001_users");
  expect(down).toMatchObject({ code: 0 });
  expect(down.stdout).toMatch(/^down {2}0002_users_index .*\ndown {2}0001_users /);
});

test("what applying loses is confirmed by name where rows are there; --confirm names all that do", async () => {
  await using database = await testDatabase({
    setup: "CREATE TABLE users (id int, email text); CREATE TABLE drafts (id int); INSERT INTO users VALUES (1, 'a')",
  });
  const cwd = folderWith({
    "migrations/1_drafts.sql": "-- migrate:up\nDROP TABLE drafts;\n",
    "migrations/2_email.sql": "-- migrate:up\nALTER TABLE users DROP COLUMN email;\n",
    "migrations/3_all.sql": "-- migrate:up\nDELETE FROM users;\n",
  });
  const env = { DATABASE_URL: database.url };
  const asked = await runCli(["migrate", "up", "--confirm", "1_drafts"], { cwd, env });
  expect(asked).toMatchObject({ code: 64, stdout: "" });
  expect(asked.stderr).toContain(`data will be lost
  2_email.sql:2: users holds rows, and their email is dropped
  3_all.sql:2: users holds rows, and all of them are deleted
hint: to go on, confirm it by name: --confirm 2_email 3_all`);
  const up = await runCli(["migrate", "up", "--confirm", "2", "3_all.sql"], { cwd, env });
  expect(up).toMatchObject({ code: 0 });
});

test("a statement that fails is shown with file, line and caret, what is done, and how to go on", async () => {
  await using database = await testDatabase();
  const cwd = folderWith({
    ...FILES,
    "migrations/0003_wrong.sql":
      "-- migrate:up transaction:false\nCREATE TABLE a ();\nALTER TABLE a\n  ADD COLUMN x no_such_type;\n",
  });
  const env = { DATABASE_URL: database.url };
  const up = await runCli(["migrate", "up"], { cwd, env });
  expect(up.code).toBe(65);
  expect(up.stderr).toContain(`0003_wrong.sql:4:16: type "no_such_type" does not exist (SQLSTATE 42704)
    ADD COLUMN x no_such_type;
                 ^
hint: correct line 3; statement 1 of 2 of 0003_wrong.sql is done and stays: pgsteward migrate up goes on at line 3`);
  const status = await runCli(["migrate", "status", "--exit-code"], { cwd, env });
  expect(status.code).toBe(1);
  expect(status.stdout).toMatch(
    /half done {2}0003_wrong +up: 1 of 2 statements done {2}last try failed: 0003_wrong.sql:4:16/,
  );
});

test("Ctrl-C cancels the statement that runs, and says how to go on", async () => {
  await using database = await testDatabase();
  const cwd = folderWith({ "migrations/1_slow.sql": "-- migrate:up\nCREATE TABLE a ();\nSELECT pg_sleep(60);\n" });
  const sleeping = async (): Promise<number | null> =>
    (await database.query("SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"))
      .rowCount;
  const interrupted = async (...flags: readonly string[]): Promise<string> => {
    const cli = startCli(["migrate", "up", ...flags], { cwd, env: { DATABASE_URL: database.url } });
    await expect.poll(sleeping).toBe(1);
    cli.child.kill("SIGINT");
    const { code, stderr } = await cli.ended;
    expect(code).toBe(130);
    await expect.poll(sleeping).toBe(0);
    return stderr;
  };
  const how = "nothing of 1_slow.sql was kept: pgsteward migrate up begins with it again";
  expect(await interrupted()).toContain(`1_slow.sql:3: cancelled in statement 2 of 2; ${how}`);
  expect(JSON.parse(await interrupted("--json"))).toMatchObject({
    error: { code: "CANCELLED", message: "1_slow.sql:3: cancelled in statement 2 of 2", hint: how, exitCode: 130 },
  });
  expect((await database.query("SELECT to_regclass('a') AS a")).rows).toEqual([{ a: null }]);
});

test("tenants: a report for each, exit 1 when one failed; a baseline; wrong use is answered", async () => {
  await using database = await testDatabase({
    setup: "CREATE SCHEMA t_1; CREATE SCHEMA t_2; CREATE SCHEMA t_3; CREATE TABLE t_2.users (id int);",
  });
  const cwd = folderWith({ ...FILES, "tenants.txt": `# the only one\n${database.url}\n` });
  const env = { DATABASE_URL: database.url };
  const up = await runCli(["migrate", "up", "--schemas", "t_*"], { cwd, env });
  expect(up.code).toBe(1);
  expect(up.stdout).toMatch(
    /^t_1\n {2}up {2}0001_users .*\n {2}up {2}0002_users_index .*\nt_2\n {2}INVALID_SQL 0001_users.sql:2:1: relation "users" already exists/,
  );
  expect(up.stdout).toContain("\n3 tenants: 2 done, 1 failed, 0 not run\n");
  expect(up.stderr).toMatch(/\[#{20}\] 3\/3 t_\d: /);
  const baseline = await runCli(["migrate", "baseline", "1", "--schemas", "t_2"], { cwd, env });
  expect(baseline.stdout).toContain("marked as applied: 0001_users");
  const [again, listed, both] = await Promise.all([
    runCli(["migrate", "up", "--schemas", "t_1", "t_2", "--json"], { cwd, env }),
    runCli(["migrate", "status", "--databases", "tenants.txt", "--json"], { cwd, env: {} }),
    runCli(["migrate", "up", "--schemas", "a", "--databases", "b"], { cwd, env }),
  ]);
  expect(JSON.parse(again.stdout)).toMatchObject({
    counts: { done: 2, failed: 0, notRun: 0 },
    tenants: [{ tenant: "t_1" }, { tenant: "t_2", outcome: { result: { done: [{ version: "0002" }] } } }],
  });
  const { host, pathname } = new URL(database.url);
  expect(JSON.parse(listed.stdout)).toMatchObject({
    tenants: [{ tenant: `${host}${pathname}`, outcome: { kind: "done" } }],
  });
  expect(both).toMatchObject({ code: 64, stderr: expect.stringContaining("exclude each other") });
});
