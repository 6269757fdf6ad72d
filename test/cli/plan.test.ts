// `pgsteward migrate plan` as a user runs it.
import { expect, test } from "vitest";
import { testDatabase } from "../support/test-database.ts";
import { folderWith, runCli } from "./run.ts";

test("a plan is drawn with the rows of the database, and exits 1 when a lock is held for too long", async () => {
  await using database = await testDatabase({
    setup: `CREATE TABLE orders (id integer PRIMARY KEY, total integer);
INSERT INTO orders SELECT g, g FROM generate_series(1, 5000) AS g; ANALYZE;`,
  });
  const cwd = folderWith({
    "wanted.sql":
      "CREATE TABLE orders (id integer PRIMARY KEY, total bigint); CREATE INDEX orders_total ON orders (total);",
  });
  const { code, stdout } = await runCli(
    ["migrate", "plan", "--from", "database", "--to", "wanted.sql", "--max-lock", "1ms", "--database", database.url],
    { cwd },
  );
  expect(stdout).toMatch(/^step {2}tx +statement +lock +table +rows +size +reads +held\n/);
  expect(stdout).toMatch(/ACCESS EXCLUSIVE +public\.orders +5,000 +\d+ kB +rewrite +\d+ ms/);
  expect(stdout).toContain("warning: step ");
  expect(stdout).toContain("Assumed: tables are read at 250 MB/s");
  expect(code).toBe(1);
  expect(await runCli(["migrate", "plan", "--to", "wanted.sql", "--max-lock", "soon"], { cwd })).toMatchObject({
    code: 64,
  });

  const { password } = new URL(database.url);
  const diff = await runCli(["diff", database.url, "empty", "--json"], { cwd });
  expect(password.length).toBeGreaterThan(5);
  expect(diff.stdout).toContain('"from": "postgres://');
  expect(diff.stdout).not.toContain(password);
});
