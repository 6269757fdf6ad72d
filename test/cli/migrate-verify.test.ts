// `pgsteward migrate verify` as a user runs it.
import { expect, test } from "vitest";
import { folderWith, runCli } from "./run.ts";

test("what a way back does not restore is told, as text and as JSON", async () => {
  const cwd = folderWith({
    "db/migrations/1_users.sql": `-- +goose Up\nCREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, note text);\nCOMMENT ON COLUMN users.note IS 'a';\n-- +goose Down\nDROP TABLE users;`,
    "db/migrations/2_names.sql": `-- +goose Up\nALTER TABLE users DROP COLUMN note;\nCREATE INDEX users_name ON users (name);\n-- +goose Down\nALTER TABLE users ADD COLUMN note text;`,
  });
  const [text, json, up] = await Promise.all([
    runCli(["migrate", "verify"], { cwd }),
    runCli(["migrate", "verify", "db/migrations", "--json", "--last", "1"], { cwd }),
    runCli(["migrate", "verify", "--up-only", "--rows", "0"], { cwd }),
  ]);
  expect(text.stdout).toContain("1  users  reversible\n2  names  not reversible\n");
  expect(text.stdout).toContain(
    "error down-does-not-restore db/migrations/2_names.sql (names)".replace("db/migrations/", ""),
  );
  expect(text.stdout).toContain("  too much: index public.users.users_name\n");
  expect(text.stdout).toContain('  missing: comment on COLUMN "public"."users"."note"\n');
  expect(text.stdout).toContain("  public.users: other values in note\n");
  expect(text.code).toBe(1);
  expect(JSON.parse(json.stdout)).toMatchObject({
    tool: "goose",
    migrations: [{ verdict: "not examined" }, { verdict: "not reversible", file: "2_names.sql" }],
    counts: { error: 2, warning: 1, info: 0 },
    examined: { ups: 1, downs: 1, seededRows: 3 },
  });
  expect(up).toMatchObject({ code: 0 });
});

test("a folder that is not there, one without SQL, and no folder at all are wrong use", async () => {
  const cwd = folderWith({ "a/readme.md": "" });
  const [missing, empty, none] = await Promise.all([
    runCli(["migrate", "verify", "gone"], { cwd }),
    runCli(["migrate", "verify", "a"], { cwd }),
    runCli(["migrate", "verify"], { cwd }),
  ]);
  expect([missing.code, empty.code, none.code]).toEqual([64, 64, 64]);
  expect(missing.stderr).toContain("does not exist");
  expect(empty.stderr).toContain("holds no .sql file");
  expect(none.stderr).toContain("give their folder");
});
