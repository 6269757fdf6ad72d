// `pgsteward migrate generate` and `migrate drift` as a user runs them.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { folderWith, runCli } from "./run.ts";

const MODEL = `import { integer, pgTable, text } from "drizzle-orm/pg-core";
export const users = pgTable("users", { id: integer().primaryKey(), email: text().notNull() });`;

test("a migration is generated from models, and one that loses data only when it is confirmed by name", async () => {
  const cwd = folderWith({
    "schema.ts": MODEL,
    "pgsteward.config.json": JSON.stringify({ models: "schema.ts", migrations: "db" }),
  });
  const first = await runCli(["migrate", "generate", "create users", "--why", "people write"], { cwd });
  expect(first).toMatchObject({ code: 0, stdout: expect.stringContaining("db/0001_create_users.sql: ") as string });
  const text = readFileSync(join(cwd, "db/0001_create_users.sql"), "utf8");
  expect(text).toMatch(
    /^-- 0001_create_users: people write\n[^]*-- migrate:up\nCREATE TABLE "public"."users"[^]*-- migrate:down\nDROP TABLE "public"."users";\n$/,
  );

  writeFileSync(join(cwd, "schema.ts"), MODEL.replace(", email: text().notNull()", ""));
  const refused = await runCli(["migrate", "generate", "drop_email"], { cwd });
  expect(refused.code).toBe(64);
  expect(refused.stderr).toContain("hint: to go on, confirm it by name: --confirm drop_email");
  expect(readdirSync(join(cwd, "db"))).toEqual(["0001_create_users.sql"]);
  const dropped = await runCli(["migrate", "generate", "drop_email", "--confirm", "drop_email", "--json"], { cwd });
  expect(JSON.parse(dropped.stdout)).toMatchObject({
    file: "db/0002_drop_email.sql",
    irreversible: expect.any(String) as string,
  });
});

test("a wrong use of generate and drift says the way out; drift lists what differs and exits 1", async () => {
  const cwd = folderWith({
    "migrations/0001_t.sql": "-- migrate:up\nCREATE TABLE t (id integer);\n-- migrate:down\nDROP TABLE t;\n",
  });
  const [unnamed, both, missing, drift] = await Promise.all([
    runCli(["migrate", "generate", "x"], { cwd }),
    runCli(["migrate", "generate", "x", "--models", "a.ts", "--to", "b.sql"], { cwd }),
    runCli(["migrate", "generate", "x", "--models", "a.ts"], { cwd }),
    runCli(["migrate", "drift", "--database", "pglite:"], { cwd }),
  ]);
  expect(unnamed).toMatchObject({
    code: 64,
    stderr: expect.stringContaining("give --models src/db/schema.ts or --to") as string,
  });
  expect(both).toMatchObject({ code: 64, stderr: expect.stringContaining("give one of them") as string });
  expect(missing).toMatchObject({ code: 64, stderr: expect.stringContaining("do not exist") as string });
  expect(drift).toMatchObject({ code: 1, stdout: expect.stringContaining("missing: table public.t") as string });
});
