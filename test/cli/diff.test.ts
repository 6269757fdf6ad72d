// `pgsteward diff` as a user runs it.
import { expect, test } from "vitest";
import { folderWith, runCli } from "./run.ts";

test("two SQL files are compared, and the SQL between them is printed", async () => {
  const cwd = folderWith({
    "old.sql": "CREATE TABLE users (id integer PRIMARY KEY, name text);",
    "new.sql":
      "CREATE TABLE users (id integer PRIMARY KEY, name text, email text); CREATE INDEX users_email ON users (email);",
  });
  const { code, stdout } = await runCli(["diff", "old.sql", "new.sql", "--exit-code"], { cwd });
  expect(stdout).toBe(`BEGIN;
ALTER TABLE "public"."users" ADD COLUMN "email" text;
COMMIT;

CREATE INDEX CONCURRENTLY users_email ON public.users USING btree (email);
`);
  expect(code).toBe(1);
});

test("equal schemas differ in nothing, and kinds that cannot be planned are named in the JSON", async () => {
  const cwd = folderWith({
    "a.sql": "CREATE TABLE t (id integer);",
    "b.sql": `CREATE TABLE t (id integer); CREATE COLLATION plain FROM "C";`,
  });
  const [same, other] = await Promise.all([
    runCli(["diff", "a.sql", "a.sql", "--exit-code"], { cwd }),
    runCli(["diff", "a.sql", "b.sql", "--json"], { cwd }),
  ]);
  expect(same).toMatchObject({ code: 0, stdout: "-- the schemas are the same\n" });
  expect(JSON.parse(other.stdout)).toMatchObject({
    steps: [],
    notCovered: [{ kind: "unknown", what: "create", object: { kind: "collation", name: "plain" } }],
  });
});
