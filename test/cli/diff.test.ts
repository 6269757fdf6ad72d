// `pgsteward diff` as a user runs it.
import { expect, test } from "vitest";
import { folderWith, runCli, startCli } from "./run.ts";

test("two SQL files are compared, and the SQL between them is printed, with a limit on waiting for locks", async () => {
  const cwd = folderWith({
    "old.sql": "CREATE TABLE users (id integer PRIMARY KEY, name text);",
    "new.sql":
      "CREATE TABLE users (id integer PRIMARY KEY, name text, email text); CREATE INDEX users_email ON users (email);",
  });
  const { code, stdout } = await runCli(["diff", "old.sql", "new.sql", "--exit-code"], { cwd });
  expect(stdout).toBe(`BEGIN;
SELECT pg_catalog.set_config('lock_timeout', '2s', true) WHERE pg_catalog.current_setting('lock_timeout') = '0';
ALTER TABLE "public"."users" ADD COLUMN "email" text;
COMMIT;

CREATE INDEX CONCURRENTLY users_email ON public.users USING btree (email);
`);
  expect(code).toBe(1);
});

test("Ctrl-C ends what works in memory at once, also while nothing hears a handler", async () => {
  const cwd = folderWith({ "models.ts": 'console.log("imported"); for (;;);' });
  const diff = startCli(["diff", "empty", "models.ts"], { cwd });
  await diff.waitFor(/imported/);
  diff.child.kill("SIGINT");
  await diff.ended;
  expect(diff.child.signalCode).toBe("SIGINT");
});

test("equal schemas differ in nothing, and a plan is data with --json", async () => {
  const cwd = folderWith({
    "a.sql": "CREATE TABLE t (id integer);",
    "m/0001_t.sql": "-- migrate:up\nCREATE TABLE t (id integer);\n-- migrate:down\nDROP TABLE t;\n",
    "schema.ts": `import { integer, pgTable } from "drizzle-orm/pg-core"; export const t = pgTable("t", { id: integer().notNull() });`,
  });
  const [same, other, wrong] = await Promise.all([
    runCli(["diff", "a.sql", "m", "--exit-code"], { cwd }),
    runCli(["diff", "empty", "schema.ts", "--json"], { cwd }),
    runCli(["diff", "a.sql", "nowhere"], { cwd }),
  ]);
  expect(same).toMatchObject({ code: 0, stdout: "-- the schemas are the same\n" });
  expect(JSON.parse(other.stdout)).toMatchObject({
    changes: [{ kind: "create" }, { kind: "create" }],
    steps: [{ subject: "table public.t", transactionGroup: 1 }],
    notCovered: [],
  });
  expect(wrong).toMatchObject({
    code: 64,
    stderr: expect.stringContaining("Drizzle models (.ts, .js) or empty") as string,
  });
});

test("owners that a file names are compared when that is asked for", async () => {
  const cwd = folderWith({
    "old.sql": "CREATE TABLE users (id integer); CREATE TABLE others (id integer);",
    "new.sql":
      "CREATE TABLE users (id integer); ALTER TABLE users OWNER TO pg_monitor; CREATE TABLE others (id integer);",
  });
  const { stdout } = await runCli(["diff", "old.sql", "new.sql", "--owners"], { cwd });
  expect(stdout).toContain('ALTER TABLE "public"."users" OWNER TO "pg_monitor"');
  expect(stdout).not.toContain("others");
});
