// One of each kind of object: none is unknown, all are printed and planned, and what the model does not have is reported.
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { expect, inject, test } from "vitest";
import { compareCatalogs, MASKED, printCatalog, readCatalog, type Catalog } from "../../src/catalog/index.ts";
import { planMigration } from "../../src/migrate/index.ts";
import { identifier, openDatabase } from "../../src/postgres/index.ts";
import { applyPlan } from "../migrate/corpus.ts";
import { runOnServer, testDatabase, testPglite, type TestDatabase } from "../support/test-database.ts";

const everyKind = await readFile(new URL("fixtures/every-kind.sql", import.meta.url), "utf8");
const SUBSCRIPTION = `
CREATE SUBSCRIPTION every_kind CONNECTION 'host=nowhere password=top_secret dbname=x' PUBLICATION a, "B"
  WITH (connect = false, slot_name = every_kind, binary = true);
COMMENT ON SUBSCRIPTION every_kind IS 'from elsewhere'`;

/** A database with a subscription cannot be dropped. */
async function withoutSubscription<T>(database: TestDatabase, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } finally {
    const { rows } = await database.query(
      "SELECT FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
    );
    if (rows.length > 0) {
      await database.exec("ALTER SUBSCRIPTION every_kind SET (slot_name = NONE)");
      await database.exec("DROP SUBSCRIPTION every_kind");
    }
  }
}

const LISTS = [
  "collations",
  "conversions",
  "casts",
  "operators",
  "operatorFamilies",
  "operatorClasses",
  "accessMethods",
  "languages",
  "transforms",
  "baseTypes",
  "textSearchParsers",
  "textSearchTemplates",
  "textSearchDictionaries",
  "textSearchConfigurations",
  "foreignDataWrappers",
  "foreignServers",
  "userMappings",
  "publications",
] as const satisfies readonly (keyof Catalog)[];

test("of one of each kind nothing is unknown, and what is printed reads back equal", async () => {
  let original: Catalog;
  {
    await using database = await testDatabase({ setup: everyKind });
    original = await readCatalog(database);
  }
  expect(original.unknownObjects).toEqual([]);
  expect(LISTS.filter((list) => original[list].length === 0)).toEqual([]);
  await using copy = await testDatabase({ setup: printCatalog(original) });
  expect(compareCatalogs(original, await readCatalog(copy))).toEqual([]);
});

test("all of it is made by a plan from nothing, taken away again, and made again", async () => {
  await using database = await testDatabase({ setup: everyKind });
  const full = await readCatalog(database);
  await using other = await testDatabase();
  const empty = await readCatalog(other);
  await applyPlan(other, planMigration(empty, full));
  const reached = await readCatalog(other);
  expect(compareCatalogs(reached, full)).toEqual([]);
  await applyPlan(other, planMigration(reached, empty));
  const back = await readCatalog(other);
  expect(compareCatalogs(back, empty)).toEqual([]);
  expect(back.unknownObjects).toEqual([]);
  await applyPlan(other, planMigration(back, full));
  expect(compareCatalogs(await readCatalog(other), full)).toEqual([]);
});

test("no password is read: the catalog, the SQL and the plan hold a placeholder and say so", async () => {
  await using database = await testDatabase({ setup: everyKind });
  await withoutSubscription(database, async () => {
    await database.exec(SUBSCRIPTION);
    const catalog = await readCatalog(database);
    const sql = printCatalog(catalog);
    await using other = await testDatabase();
    const plan = planMigration(await readCatalog(other), catalog);
    for (const text of [JSON.stringify(catalog), sql, JSON.stringify(plan)]) {
      expect(text).not.toMatch(/top.secret/);
      expect(text).toContain(MASKED);
    }
    expect(catalog.userMappings).toEqual([
      expect.objectContaining({ user: "postgres", options: ["password_required=false", `password=${MASKED}`] }),
      expect.objectContaining({ user: "public", options: ["user=anybody", `password=${MASKED}`] }),
    ]);
    expect(catalog.foreignServers[0]?.options).toEqual(["host=example", `access_token=${MASKED}`]);
    expect(sql).toContain(`-- to be filled in, a password is never read: ${MASKED} in subscription every_kind`);
    expect(
      plan.steps
        .filter(({ hazards }) => hazards.some(({ kind }) => kind === "not covered"))
        .map(({ subject }) => subject),
    ).toEqual([
      "foreign data wrapper files",
      "foreign server Far away",
      "user mapping Far away.postgres",
      "user mapping Far away.public",
      "table kinds.far",
      "subscription every_kind",
    ]);
  });
});

test("a subscription is made without asking the publisher, altered, and dropped without its slot", async () => {
  await using database = await testDatabase();
  await withoutSubscription(database, async () => {
    const empty = await readCatalog(database);
    await database.exec(SUBSCRIPTION);
    const full = await readCatalog(database);
    expect(full.subscriptions).toMatchObject([
      { name: "every_kind", isEnabled: false, slotName: "every_kind", publications: ["a", "B"], isBinary: true },
    ]);
    await database.exec(`ALTER SUBSCRIPTION every_kind SET (binary = false, streaming = on, slot_name = NONE);
      ALTER SUBSCRIPTION every_kind SET PUBLICATION c WITH (refresh = false)`);
    const altered = await readCatalog(database);
    await applyPlan(database, planMigration(altered, full));
    expect(compareCatalogs(await readCatalog(database), full)).toEqual([]);
    const drop = planMigration(full, empty);
    expect(drop.steps.flatMap(({ hazards }) => hazards.map(({ why }) => why)).join("\n")).toContain(
      "the replication slot every_kind stays on the publisher",
    );
    await applyPlan(database, drop);
    expect(compareCatalogs(await readCatalog(database), empty)).toEqual([]);
    await applyPlan(database, planMigration(empty, full));
    expect(compareCatalogs(await readCatalog(database), full)).toEqual([]);
  });
});

test("a login without rights reads the same, but for the options of user mappings that are not its own", async () => {
  await using database = await testDatabase({ setup: everyKind });
  const role = `poor_${randomBytes(5).toString("hex")}`;
  const serverUrl = inject("serverUrl");
  await runOnServer(serverUrl, `CREATE ROLE ${identifier(role)} LOGIN PASSWORD 'poor'`);
  try {
    await withoutSubscription(database, async () => {
      await database.exec(SUBSCRIPTION);
      const owned = await readCatalog(database);
      const url = new URL(database.url);
      url.username = role;
      url.password = "poor";
      await using poor = await openDatabase(url.href);
      const catalog = await readCatalog(poor);
      expect(catalog.userMappings.map(({ options }) => options)).toEqual([undefined, undefined]);
      expect({ ...catalog, userMappings: [] }).toEqual({ ...owned, userMappings: [] });
    });
  } finally {
    await runOnServer(serverUrl, `DROP ROLE ${identifier(role)}`);
  }
});

test("what the model does not have is reported: objects in the system's schemas, operators in name only, newer kinds", async () => {
  await using database = await testDatabase({
    setup: `
      CREATE FUNCTION pg_catalog.mine(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';
      CREATE OPERATOR public.<<< (LEFTARG = integer, RIGHTARG = integer, FUNCTION = int4lt,
        COMMUTATOR = OPERATOR(public.>>>));`,
  });
  const role = `newer_${randomBytes(5).toString("hex")}`;
  const serverUrl = inject("serverUrl");
  await runOnServer(serverUrl, `CREATE ROLE ${role}`);
  try {
    // What depends on something in a catalog that no statement reads stands for a kind that a newer server adds.
    await database.exec(`
      SET allow_system_table_mods = on;
      INSERT INTO pg_depend (classid, objid, objsubid, refclassid, refobjid, refobjsubid, deptype)
      VALUES ('pg_authid'::regclass, '${role}'::regrole, 0, 'pg_namespace'::regclass, 'public'::regnamespace, 0, 'n');
      RESET allow_system_table_mods`);
    const catalog = await readCatalog(database);
    expect(catalog.unknownObjects).toEqual([
      { kind: "function", schema: "pg_catalog", name: "mine(integer)" },
      { kind: "operator", schema: "public", name: ">>>(integer,integer)" },
      { kind: "role", schema: undefined, name: role },
    ]);
    expect(printCatalog(catalog)).toContain("-- not written: function pg_catalog.mine(integer)\n");
    await using other = await testDatabase();
    const { notCovered } = planMigration(await readCatalog(other), catalog);
    expect(notCovered).toHaveLength(3);
  } finally {
    await runOnServer(serverUrl, `DROP ROLE ${role}`);
  }
});

test("security labels are read, printed and compared", async () => {
  // No label provider is loaded, so the server would refuse the statement.
  await using database = await testDatabase({
    setup: `
      CREATE TABLE people (id int, "Name" text);
      CREATE FUNCTION one(a integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';`,
  });
  const before = await readCatalog(database);
  await database.exec(`
    SET allow_system_table_mods = on;
    INSERT INTO pg_seclabel VALUES
      ('people'::regclass, 'pg_class'::regclass, 2, 'anon', 'MASKED WITH VALUE ''x'''),
      ('one'::regproc, 'pg_proc'::regclass, 0, 'anon', 'TRUSTED');`);
  const after = await readCatalog(database);
  expect(after.securityLabels).toEqual([
    { provider: "anon", on: "FUNCTION public.one(integer)", label: "TRUSTED" },
    { provider: "anon", on: 'COLUMN public.people."Name"', label: "MASKED WITH VALUE 'x'" },
  ]);
  expect(planMigration(before, after).steps.map(({ sql }) => sql)).toEqual([
    `SECURITY LABEL FOR "anon" ON COLUMN public.people."Name" IS 'MASKED WITH VALUE ''x'''`,
    `SECURITY LABEL FOR "anon" ON FUNCTION public.one(integer) IS 'TRUSTED'`,
  ]);
  expect(planMigration(after, before).steps.map(({ sql }) => sql)).toContain(
    `SECURITY LABEL FOR "anon" ON FUNCTION public.one(integer) IS NULL`,
  );
  expect(printCatalog(after)).toContain(`ON FUNCTION public.one(integer) IS 'TRUSTED';`);
});

test("settings of the database are known and named, and those that may be keys are not read", async () => {
  await using database = await testDatabase();
  const { rows } = await database.query<{ name: string }>("SELECT current_database() AS name");
  const name = identifier(rows[0]?.name ?? "");
  await database.exec(`
    ALTER DATABASE ${name} SET work_mem = '7MB';
    ALTER DATABASE ${name} SET app.jwt_secret = 'top secret';
    ALTER ROLE CURRENT_USER IN DATABASE ${name} SET lock_timeout = '2s';`);
  const catalog = await readCatalog(database);
  expect(catalog.settings).toEqual([
    { role: undefined, name: "app.jwt_secret", value: undefined },
    { role: undefined, name: "work_mem", value: "7MB" },
    { role: "postgres", name: "lock_timeout", value: "2s" },
  ]);
  expect(JSON.stringify(catalog)).not.toContain("top secret");
  expect(printCatalog(catalog)).toContain("-- not written: the setting work_mem of the database\n");
});

test("on the embedded database, too, what it can have of each kind reads back equal", async () => {
  let original: Catalog;
  {
    await using database = await testPglite({ setup: everyKind });
    original = await readCatalog(database);
  }
  expect(original.unknownObjects).toEqual([]);
  await using copy = await testPglite({ setup: printCatalog(original) });
  expect(compareCatalogs(original, await readCatalog(copy))).toEqual([]);
});
