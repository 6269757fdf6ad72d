// `pgsteward migrate roles` as a user runs it.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, inject, test } from "vitest";
import { readMigrations, revertMigrations, runMigrations } from "../../src/migrate/index.ts";
import { runOnServer, testDatabase } from "../support/test-database.ts";
import { folderWith, runCli } from "./run.ts";

const names = ["reader", "writer", "migrator"].map((part) => `cli_${part}_${process.pid}`);
const [reader = "", writer = "", migrator = ""] = names;
afterAll(() => runOnServer(inject("serverUrl"), names.map((name) => `DROP ROLE IF EXISTS ${name};`).join("\n")));

test("roles are written as a migration that up runs, then there is nothing to write; --check says what a login has too much of", async () => {
  await using database = await testDatabase({
    setup: "CREATE TABLE orders (id int); GRANT SELECT ON orders TO PUBLIC",
  });
  const cwd = folderWith({ "migrations/0007_before.sql": "-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 1;\n" });
  const run = (...args: string[]) => runCli(["migrate", ...args], { cwd, env: { DATABASE_URL: database.url } });
  const flags = ["--reader", reader, "--writer", writer, "--migrator", migrator];
  const [dry, mixed] = await Promise.all([run("roles", ...flags, "--dry-run"), run("roles", "--check", "--own")]);
  expect(dry).toMatchObject({
    code: 0,
    stdout: expect.stringContaining(`GRANT SELECT ON TABLE "public"."orders" TO "${reader}";`) as string,
    stderr: expect.stringContaining("everybody loses what PUBLIC has on public.orders") as string,
  });
  expect(dry.stderr).toContain(`fix: give it to ${migrator} with --own`);
  expect(readdirSync(join(cwd, "migrations"))).toEqual(["0007_before.sql"]);
  expect(mixed).toMatchObject({ code: 64, stderr: expect.stringContaining("for which --own is") as string });

  const written = await run("roles", ...flags, "--own", "--json");
  expect(JSON.parse(written.stdout)).toMatchObject({
    files: ["0008_create_roles.sql"],
    roles: { reader, writer, migrator },
    created: [reader, writer, migrator],
    schemas: ["public"],
    findings: [],
  });
  expect(readFileSync(join(cwd, "migrations", "0008_create_roles.sql"), "utf8")).not.toMatch(
    /LOGIN PASSWORD|PASSWORD '/,
  );
  const migrations = readMigrations(join(cwd, "migrations"));
  await runMigrations(database, migrations);
  const [again, checked] = await Promise.all([
    run("roles", ...flags, "--own"),
    run("roles", "--check", "--role", writer, "--as", "reader"),
  ]);
  expect(again).toEqual({
    code: 0,
    stdout: `nothing to write: ${reader}, ${writer} and ${migrator} have what they are to have\n`,
    stderr: "",
  });
  expect(checked).toMatchObject({
    code: 1,
    stdout: expect.stringContaining(`${writer} has DELETE, INSERT, UPDATE on table public.orders`) as string,
  });
  await revertMigrations(database, migrations, { count: 2 });
});
