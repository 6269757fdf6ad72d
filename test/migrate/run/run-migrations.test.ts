import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import {
  migrateTenants,
  parseMigration,
  PLATFORM_HISTORY,
  pendingMigrations,
  readMigrationHistory,
  readMigrations,
  readTenantSchemas,
  revertMigrations,
  runMigrations,
} from "../../../src/migrate/index.ts";
import {
  InvalidInputError,
  InvalidSqlError,
  MigrationEditedError,
  openDatabase,
  type Database,
} from "../../../src/postgres/index.ts";

const own = readMigrations(fileURLToPath(new URL("../../../migrations", import.meta.url)));
const platform = { history: PLATFORM_HISTORY };
let database: Database;
beforeAll(async () => {
  database = await openDatabase("pglite:");
});
afterAll(async () => {
  await database.close();
});
beforeEach(async () => {
  await database.exec("DROP SCHEMA IF EXISTS pgsteward, agents, messaging, tasks, shop CASCADE");
});

const migration = (file: string, up: string, down?: string) =>
  parseMigration(file, `-- migrate:up\n${up}\n${down === undefined ? "" : `-- migrate:down\n${down}\n`}`);

async function schemaText(): Promise<string> {
  const { rows } = await database.query(`
    SELECT c.oid::regclass::text AS name, a.attname, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull,
      pg_get_expr(d.adbin, d.adrelid) AS "default", c.relrowsecurity, c.relforcerowsecurity, c.relacl::text,
      (SELECT array_agg(pg_get_constraintdef(k.oid) ORDER BY k.conname) FROM pg_constraint AS k WHERE k.conrelid = c.oid) AS constraints,
      (SELECT array_agg(pg_get_indexdef(i.indexrelid) ORDER BY i.indexrelid::regclass::text) FROM pg_index AS i WHERE i.indrelid = c.oid) AS indexes,
      (SELECT array_agg(p.polname || pg_get_expr(p.polqual, p.polrelid) ORDER BY p.polname) FROM pg_policy AS p WHERE p.polrelid = c.oid) AS policies,
      (SELECT array_agg(pg_get_triggerdef(t.oid) ORDER BY t.tgname) FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) AS triggers
    FROM pg_class AS c
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relkind = 'r' AND c.relnamespace::regnamespace::text IN ('agents', 'messaging', 'tasks')
    ORDER BY 1, a.attnum`);
  return JSON.stringify(rows, undefined, 1);
}

test("the platform's migrations run up, down and up again, and make the same tables", async () => {
  const first = await runMigrations(database, own, platform);
  expect(first.done.map(({ version }) => version)).toEqual(own.map(({ version }) => version));
  const before = await schemaText();
  expect(before).toContain("agents.executions");
  await revertMigrations(database, own, { ...platform, count: own.length });
  expect(await schemaText()).toBe("[]");
  expect(await readMigrationHistory(database, platform)).toEqual([]);
  const { rows } = await database.query("SELECT proname FROM pg_proc WHERE pronamespace = 'pgsteward'::regnamespace");
  expect(rows).toEqual([]);
  await runMigrations(database, own, platform);
  expect(await schemaText()).toBe(before);
});

test("a backslash in a file stands for itself, as for the parser, whatever the server's setting is", async () => {
  await database.exec("SET standard_conforming_strings = off");
  await runMigrations(database, [
    migration("0001_a.sql", String.raw`CREATE TABLE public.kept AS SELECT 'a\b;\n' AS said`),
  ]);
  expect((await database.query("TABLE public.kept")).rows).toEqual([{ said: String.raw`a\b;\n` }]);
  await database.exec("DROP TABLE public.kept");
});

test("a second run does nothing and knows what was applied", async () => {
  await runMigrations(database, own, platform);
  expect(await runMigrations(database, own, platform)).toEqual({ done: [], appliedBefore: own.length });
  const history = await readMigrationHistory(database, platform);
  expect(history.map(({ version }) => version)).toEqual(own.map(({ version }) => version));
  expect(history[0]?.appliedAt).toBeInstanceOf(Date);
});

test("a tenant's rows are visible to that tenant only, and to nobody without a tenant", async () => {
  await runMigrations(database, own, platform);
  const { rows } = await database.query<{ id: string }>(
    "INSERT INTO agents.tenants (name) VALUES ('a'), ('b') RETURNING id",
  );
  const [a = { id: "" }, b = { id: "" }] = rows;
  const asTenant = async (tenant: string, text: string, values: readonly unknown[] = []) => {
    const results = await database.batch([
      { text: "SELECT set_config('role', 'app', true), set_config('app.tenant_id', $1, true)", values: [tenant] },
      { text, values },
    ]);
    return results[1]?.rows ?? [];
  };
  await asTenant(a.id, "INSERT INTO tasks.todos (tenant_id, title) VALUES ($1, 'mine')", [a.id]);
  expect(await asTenant(a.id, "SELECT title FROM tasks.todos")).toEqual([{ title: "mine" }]);
  expect(await asTenant(b.id, "SELECT title FROM tasks.todos")).toEqual([]);
  expect(await asTenant("", "SELECT title FROM tasks.todos")).toEqual([]);
  expect(await asTenant(b.id, "SELECT name FROM agents.tenants")).toEqual([{ name: "b" }]);
  await expect(
    asTenant(b.id, "INSERT INTO tasks.todos (tenant_id, title) VALUES ($1, 'theirs')", [a.id]),
  ).rejects.toThrow(/row-level security/);
});

test("updated_at follows every update; a key is a UUID of version 7", async () => {
  await runMigrations(database, own, platform);
  await database.query("INSERT INTO agents.tenants (name, updated_at) VALUES ('a', '2020-01-01')");
  const { rows } = await database.query<{ id: string; isNew: boolean }>(
    `UPDATE agents.tenants SET name = 'b' RETURNING id, updated_at > '2021-01-01' AS "isNew"`,
  );
  expect(rows[0]?.isNew).toBe(true);
  expect(rows[0]?.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab]/);
});

test("a failing migration leaves nothing behind, names file, line and caret, and keeps the ones before it", async () => {
  const good = migration("1_create_shop.sql", "CREATE SCHEMA shop;");
  const bad = migration(
    "2_create_items.sql",
    "CREATE TABLE shop.items (id int);\nCREATE TABLE shop.other (\n  x no_such_type\n);",
  );
  const error: unknown = await runMigrations(database, [good, bad]).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(InvalidSqlError);
  const { message } = error as Error;
  expect(message).toContain('2_create_items.sql:4:5: type "no_such_type" does not exist');
  expect(message).toContain("\n    x no_such_type\n      ^");
  const { rows } = await database.query(
    "SELECT to_regclass('shop.items') AS items, to_regnamespace('shop')::text AS shop",
  );
  expect(rows).toEqual([{ items: null, shop: "shop" }]);
  expect(await readMigrationHistory(database)).toMatchObject([
    { name: "create_shop", state: "done", error: undefined },
    { name: "create_items", state: "failed", position: 0, error: expect.stringContaining("2_create_items.sql:4:5") },
  ]);
});

test("a lock_timeout of 0 waits without an end, also in files that set a limit where there is none", async () => {
  const limit = "SELECT set_config('lock_timeout', '2s', true) WHERE current_setting('lock_timeout') = '0'";
  const kept = migration(
    "1_kept.sql",
    `CREATE SCHEMA shop; ${limit}; CREATE TABLE shop.seen AS SELECT current_setting('lock_timeout') AS waits;`,
  );
  await runMigrations(database, [kept], { lockTimeoutMs: 0 });
  expect((await database.query("SELECT waits FROM shop.seen")).rows).toEqual([{ waits: "2147483647ms" }]);
});

test("a file that was edited after it ran is refused", async () => {
  await runMigrations(database, [migration("1_create_shop.sql", "CREATE SCHEMA shop;")]);
  const edited = migration("1_create_shop.sql", "CREATE SCHEMA shop; CREATE TABLE shop.items ();");
  await expect(runMigrations(database, [edited])).rejects.toThrow(MigrationEditedError);
});

test("a migration of the database that the folder lacks, and one that comes too late, are refused", async () => {
  const [one, two, three] = ["1_a.sql", "2_b.sql", "10_c.sql"].map((file) => migration(file, "SELECT 1;"));
  if (one === undefined || two === undefined || three === undefined) throw new Error("made above");
  await runMigrations(database, [one, three]);
  await expect(runMigrations(database, [one])).rejects.toThrow(/10_c, which is not in the folder/);
  await expect(runMigrations(database, [one, two, three])).rejects.toThrow(/2_b.sql is not applied/);
  expect((await readMigrationHistory(database)).map(({ version }) => version)).toEqual(["1", "10"]);
});

test("a table of that name that another tool keeps is refused, and stays as it is", async () => {
  await database.exec(
    "CREATE SCHEMA shop; CREATE TABLE shop.schema_migrations (version bigint PRIMARY KEY, dirty boolean)",
  );
  const history = { schema: "shop", table: "schema_migrations" };
  await expect(runMigrations(database, [migration("1_a.sql", "SELECT 1;")], { history })).rejects.toMatchObject({
    code: "INVALID_INPUT",
    message:
      "the table shop.schema_migrations is no history of pgsteward: it lacks name, checksum, applied_at, duration",
    hint: expect.stringContaining("pgsteward migrate baseline") as unknown,
  });
  const { rows } = await database.query("SELECT * FROM information_schema.columns WHERE table_schema = 'shop'");
  expect(rows).toHaveLength(2);
});

test("a migration without a way back stays applied; one with its own COMMIT is refused", async () => {
  const one = migration("1_a.sql", "CREATE SCHEMA shop;");
  await runMigrations(database, [one]);
  await expect(revertMigrations(database, [one])).rejects.toThrow(/no "-- migrate:down"/);
  expect(await readMigrationHistory(database)).toHaveLength(1);
  await expect(runMigrations(database, [one, migration("2_b.sql", "CREATE TABLE shop.t (); COMMIT;")])).rejects.toThrow(
    InvalidInputError,
  );
});

test("transaction:false runs each statement on its own", async () => {
  const one = parseMigration(
    "1_a.sql",
    "-- migrate:up transaction:false\nCREATE SCHEMA shop; CREATE TABLE shop.t (id int);\nCREATE INDEX CONCURRENTLY idx_t_id ON shop.t (id);\n",
  );
  expect((await runMigrations(database, [one])).done).toHaveLength(1);
  expect(pendingMigrations([one], await readMigrationHistory(database))).toEqual([]);
});

test("tenants' schemas of the embedded database are migrated one after the other", async () => {
  await database.exec("DROP SCHEMA IF EXISTS one, two CASCADE; CREATE SCHEMA one; CREATE SCHEMA two");
  const files = [migration("1_a.sql", "CREATE TABLE items ();", "DROP TABLE items;")];
  const report = await migrateTenants(await readTenantSchemas(database, ["one", "two"]), (each, options) =>
    runMigrations(each, files, options),
  );
  expect(report.map(({ tenant, outcome }) => `${tenant} ${outcome.kind}`)).toEqual(["one done", "two done"]);
  await revertMigrations(database, files, { schema: "two" });
  const { rows } = await database.query("SELECT to_regclass('one.items') AS one, to_regclass('two.items') AS two");
  expect(rows).toEqual([{ one: "one.items", two: null }]);
});

test("folders with misnamed files, a number used twice, or no up part are refused", () => {
  const cases: readonly [Record<string, string>, RegExp][] = [
    [{ "first.sql": "-- migrate:up\n" }, /not named like a migration/],
    [{ "1_a.sql": "-- migrate:up\n", "001_b.sql": "-- migrate:up\n" }, /same number/],
    [{ "1_a.sql": "CREATE TABLE t ();" }, /no "-- migrate:up"/],
  ];
  for (const [files, expected] of cases) {
    const folder = mkdtempSync(join(tmpdir(), "pgsteward-migrations-"));
    try {
      for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
      expect(() => readMigrations(folder)).toThrow(expected);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
  expect(() => readMigrations("/no/such/folder")).toThrow(InvalidInputError);
});
