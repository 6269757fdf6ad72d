// The same migrations for many tenants: schemas of one database, or databases.
import { expect, test } from "vitest";
import {
  migrateTenants,
  parseMigration,
  readMigrationHistory,
  readTenantSchemas,
  revertMigrations,
  runMigrations,
} from "../../../src/migrate/index.ts";
import { InvalidInputError } from "../../../src/postgres/index.ts";
import { testDatabase } from "../../support/test-database.ts";

const files = [
  parseMigration(
    "1_orders.sql",
    "-- migrate:up\nCREATE TABLE orders (id int, shared int REFERENCES public.shared);\n-- migrate:down\nDROP TABLE orders;\n",
  ),
  parseMigration(
    "2_index.sql",
    "-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY orders_id ON orders (id);\n-- migrate:down\nDROP INDEX orders_id;\n",
  ),
];

test("each tenant's schema is migrated by itself; one that fails does not stop the others", async () => {
  await using database = await testDatabase({
    setup: `CREATE TABLE shared (id int PRIMARY KEY);
CREATE SCHEMA tenant_1; CREATE SCHEMA tenant_2; CREATE SCHEMA "tenant_3 x"; CREATE SCHEMA other;
CREATE TABLE tenant_2.orders (surprise int);`,
  });
  const tenants = await readTenantSchemas(database, ["tenant_*"]);
  expect(tenants.map(({ name }) => name)).toEqual(["tenant_1", "tenant_2", "tenant_3 x"]);
  const told: string[] = [];
  const report = await migrateTenants(tenants, (each, options) => runMigrations(each, files, options), {
    concurrency: 2,
    onTenant: (tenant, outcome) => told.push(`${tenant} ${outcome?.kind ?? "begun"}`),
  });
  expect(report).toMatchObject([
    { tenant: "tenant_1", outcome: { kind: "done", result: { done: [{ version: "1" }, { version: "2" }] } } },
    {
      tenant: "tenant_2",
      outcome: { kind: "failed", error: { message: expect.stringContaining('"orders" already exists') } },
    },
    { tenant: "tenant_3 x", outcome: { kind: "done" } },
  ]);
  expect(told.toSorted()).toEqual(
    ["tenant_1", "tenant_2", "tenant_3 x"].flatMap((name) => [
      `${name} begun`,
      `${name} ${name === "tenant_2" ? "failed" : "done"}`,
    ]),
  );
  const { rows } = await database.query("SELECT schemaname FROM pg_indexes WHERE indexname = 'orders_id' ORDER BY 1");
  expect(rows).toEqual([{ schemaname: "tenant_1" }, { schemaname: "tenant_3 x" }]);

  // A tenant that is dropped takes its history along.
  await database.exec("DROP SCHEMA tenant_1 CASCADE; CREATE SCHEMA tenant_1");
  expect(await readMigrationHistory(database, { schema: "tenant_1" })).toEqual([]);
  await runMigrations(database, files, { schema: "tenant_1" });
  await revertMigrations(database, files, { schema: "tenant_1", count: 2 });
  expect(await readMigrationHistory(database, { schema: "tenant_3 x" })).toHaveLength(2);
  expect(await readMigrationHistory(database)).toEqual([]);

  const stopped = await migrateTenants(tenants.slice(1), (each, options) => runMigrations(each, files, options), {
    concurrency: 1,
    stopOnFailure: true,
  });
  expect(stopped.map(({ outcome }) => outcome.kind)).toEqual(["failed", "notRun"]);
  await expect(readTenantSchemas(database, ["nobody_*"])).rejects.toThrow(InvalidInputError);
  await expect(runMigrations(database, files, { schema: "nobody" })).rejects.toThrow(/there is no schema nobody/);
});

test("tenants may be databases; one that cannot be reached is in the report", async () => {
  await using a = await testDatabase({ setup: "CREATE TABLE shared (id int PRIMARY KEY)" });
  await using b = await testDatabase({ setup: "CREATE TABLE shared (id int PRIMARY KEY)" });
  const urls = [a.url, b.url].map((url) => `${url}?application_name=tenant`);
  const tenants = [...urls, "postgres://nobody@127.0.0.1:1/none"].map(
    (url, index) => ({ kind: "database", name: `tenant ${index}`, url }) as const,
  );
  const report = await migrateTenants(tenants, (each, options) => runMigrations(each, files, options));
  expect(report).toMatchObject([
    { tenant: "tenant 0", outcome: { kind: "done" } },
    { tenant: "tenant 1", outcome: { kind: "done" } },
    { tenant: "tenant 2", outcome: { kind: "failed", error: { code: "CONNECTION_REFUSED" } } },
  ]);
  expect(await readMigrationHistory(b)).toHaveLength(2);
});
