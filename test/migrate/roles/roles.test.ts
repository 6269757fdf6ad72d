// Group roles with least privilege, and what is found about logins that own, bypass or may do too much.
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compareCatalogs, readCatalog } from "../../../src/catalog/index.ts";
import {
  checkRole,
  formatExpandPhase,
  readMigrationFolder,
  readRoles,
  revertMigrations,
  runMigrations,
  verifyMigrations,
  type AccessLevel,
  type RoleNames,
  type RoleReport,
  type RolesPlan,
} from "../../../src/migrate/index.ts";
import { identifier, openDatabase, type Database } from "../../../src/postgres/index.ts";
import { failureOf } from "../../support/failure-of.ts";
import { runOnServer, testDatabase, type TestDatabase } from "../../support/test-database.ts";
import { migrationOf, plan, refusal, rowsAs, SETUP } from "./travel.ts";

const made: string[] = [];
/** Roles belong to the whole server of the run: names of this process, dropped at the end. */
function roleName(name: string): string {
  const own = `${name}_${process.pid}`;
  made.push(own);
  return own;
}
function roleNames(of: string): RoleNames {
  return { reader: roleName(`${of}_reader`), writer: roleName(`${of}_writer`), migrator: roleName(`${of}_migrator`) };
}
afterAll(async () => {
  const drops = made.map((name) => `DROP ROLE IF EXISTS ${identifier(name)};`);
  await runOnServer(inject("serverUrl"), drops.join("\n"));
});

function urlFor(database: Database, login: string): string {
  const url = new URL(database.url);
  url.username = login;
  url.password = "x";
  return url.href;
}

test("up, down and up again lead back on a server of its own", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const names = roleNames("verified");
  const [phase] = (await plan(database, { ...names, ownsAll: true })).phases;
  if (phase === undefined) throw new Error("nothing was planned");
  const folder = mkdtempSync(join(tmpdir(), "pgsteward-roles-"));
  try {
    mkdirSync(join(folder, "migrations"));
    writeFileSync(join(folder, "migrations", "1_setup.sql"), `-- migrate:up\n${SETUP}\n`);
    writeFileSync(join(folder, "migrations", "2_create_roles.sql"), formatExpandPhase(phase));
    const report = await verifyMigrations(readMigrationFolder(join(folder, "migrations")).migrations, {
      engine: "embedded",
      last: 1,
    });
    expect(report.migrations.map(({ verdict, findings }) => ({ verdict, findings }))).toEqual([
      { verdict: "not examined", findings: [] },
      { verdict: "reversible", findings: [] },
    ]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a login that may make roles but is no superuser migrates as the migrator, and its tables are granted", async () => {
  const [creator, deploy] = [roleName("creator"), roleName("deploy")];
  const names = roleNames("by");
  await runOnServer(
    inject("serverUrl"),
    `CREATE ROLE ${creator} LOGIN CREATEROLE PASSWORD 'x'; CREATE ROLE ${deploy} LOGIN PASSWORD 'x'`,
  );
  await using database = await testDatabase();
  const { pathname } = new URL(database.url);
  await database.exec(`ALTER DATABASE ${pathname.slice(1)} OWNER TO ${creator}`);
  {
    await using mine = await openDatabase({ url: urlFor(database, creator) });
    await mine.exec(
      "CREATE SCHEMA shop; CREATE TABLE shop.orders (id int); CREATE VIEW shop.ids AS SELECT id FROM shop.orders",
    );
    const planned = await plan(mine, { ...names, ownsAll: true });
    expect(planned.notices).toEqual([
      `what ${creator} owned in these schemas belongs to ${names.migrator} then: where the application logs in as ${creator}, it has to be a member of ${names.writer}`,
    ]);
    const migration = migrationOf(planned);
    await runMigrations(mine, [migration]);
    expect((await plan(mine, { ...names, ownsAll: true })).phases).toEqual([]);
    // What a member makes belongs to that member; with this setting it is made by the group.
    await database.exec(`GRANT ${names.migrator} TO ${deploy}; ALTER ROLE ${deploy} SET role = '${names.migrator}'`);
    await using deploys = await openDatabase({ url: urlFor(database, deploy) });
    const made = [
      migration,
      {
        ...migrationOf(planned, "2"),
        up: { sql: "CREATE TABLE shop.later (id int); ALTER TABLE shop.orders ADD note text;", isTransactional: true },
      },
    ];
    await runMigrations(deploys, made);
    expect(await refusal(database, names.reader, "SELECT * FROM shop.later")).toBeUndefined();
    expect(await refusal(database, names.reader, "INSERT INTO shop.later VALUES (1)")).toBe("42501");
    await database.exec(
      "DROP TABLE shop.later; ALTER TABLE shop.orders DROP note; DELETE FROM pgsteward.schema_migrations WHERE version = '2'",
    );

    // Somebody is a member of the migrator, so that role stays when the rest is taken back.
    await revertMigrations(mine, [migration], { count: 1 });
    const left = (await readRoles(mine)).roles.map(({ name }) => name);
    expect(Object.values(names).filter((name) => left.includes(name))).toEqual([names.migrator]);
    expect((await readCatalog(mine)).tables.find(({ name }) => name === "orders")?.owner).toBe(creator);
    await runMigrations(mine, [migration]);
    await database.exec(`REVOKE ${names.migrator} FROM ${deploy}`);
    await revertMigrations(mine, [migration], { count: 1 });
    expect((await readRoles(mine)).roles.some(({ name }) => name === names.migrator)).toBe(false);
  }
});

test("an application that owned its tables becomes one that writes them, and owns them again on the way back", async () => {
  await using database = await testDatabase({ setup: "CREATE TABLE notes (id int); CREATE SEQUENCE counter" });
  const names = { ...roleNames("owner"), writer: roleName("owning_agent") };
  await database.exec(`CREATE ROLE ${names.writer} LOGIN; ALTER TABLE notes OWNER TO ${names.writer};
    ALTER SEQUENCE counter OWNER TO ${names.writer}; GRANT CREATE ON SCHEMA public TO ${names.writer}`);
  const before = await readCatalog(database);
  expect((await plan(database, names)).findings.map(({ rule, severity }) => `${severity} ${rule}`)).toEqual([
    "error role-owns",
    "warning role-creates",
    "warning not-owned-by-migrator",
  ]);
  const options = { ...names, ownsAll: true, isExact: true };
  const [phase] = (await plan(database, options)).phases;
  expect((await plan(database, options)).findings).toEqual([]);
  const run = (groups: RolesPlan["phases"][number]["up"] = []): Promise<unknown> =>
    database.exec(groups.flatMap(({ statements }) => statements).join(";\n"));
  await run(phase?.up);
  expect(await refusal(database, names.writer, "INSERT INTO notes VALUES (nextval('counter'))")).toBeUndefined();
  expect(await refusal(database, names.writer, "DROP TABLE notes")).toBe("42501");
  expect(await refusal(database, names.writer, "CREATE TABLE more ()")).toBe("42501");
  expect((await plan(database, options)).phases).toEqual([]);
  expect(checkRole(await readCatalog(database), await readRoles(database), names.writer).findings).toEqual([]);
  await run(phase?.down);
  expect(compareCatalogs(before, await readCatalog(database), { owners: {} })).toEqual([]);
});

test("a role of another database stays on the way back, and one that bypasses row security is refused", async () => {
  await using first = await testDatabase({ setup: "CREATE TABLE a (id int)" });
  await using second = await testDatabase({ setup: "CREATE TABLE b (id int)" });
  const names = roleNames("shared");
  const [one, two] = [migrationOf(await plan(first, names)), migrationOf(await plan(second, names))];
  await runMigrations(first, [one]);
  await runMigrations(second, [two]);
  const present = async (): Promise<number> =>
    (await readRoles(first)).roles.filter(({ name }) => Object.values(names).includes(name)).length;
  // The first made them, the second is granted something: neither way back drops them before the other is gone.
  await revertMigrations(first, [one], { count: 1 });
  expect(await present()).toBe(3);
  await revertMigrations(second, [two], { count: 1 });
  expect(await present()).toBe(3);
  await runMigrations(first, [one]);
  await revertMigrations(first, [one], { count: 1 });
  expect(await present()).toBe(0);

  await runOnServer(inject("serverUrl"), `CREATE ROLE ${identifier(names.writer)} BYPASSRLS`);
  expect(String(await failureOf(runMigrations(first, [one])))).toContain(
    `the role ${names.writer} exists, and is superuser, bypasses row-level security`,
  );
  expect(await present()).toBe(1);
});

describe("a login", () => {
  let database: TestDatabase;
  let names: RoleNames;
  let agent: string;
  beforeAll(async () => {
    names = roleNames("checked");
    agent = roleName("agent");
    database = await testDatabase({
      setup: `CREATE TABLE orders (id int, tenant int, total int);
CREATE TABLE events (id int, day date) PARTITION BY RANGE (day);
CREATE TABLE events_rest PARTITION OF events DEFAULT;
ALTER TABLE events ENABLE ROW LEVEL SECURITY;
CREATE FUNCTION visible(int) RETURNS bool LANGUAGE sql SECURITY DEFINER AS 'SELECT true';
REVOKE EXECUTE ON FUNCTION visible FROM PUBLIC;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON orders USING (visible(tenant));
CREATE TABLE _prisma_migrations (id int);`,
    });
    await runMigrations(database, [migrationOf(await plan(database, names))]);
    await database.exec(`CREATE ROLE ${agent} LOGIN IN ROLE ${names.writer}`);
  });
  afterAll(async () => {
    await database.exec(`DROP OWNED BY ${agent}, ${names.reader}, ${names.writer}, ${names.migrator}`);
    await database.close();
  });

  const check = async (role = agent, level: AccessLevel = "writer"): Promise<RoleReport> =>
    checkRole(await readCatalog(database), await readRoles(database), role, { level });
  /** What is found after `sql`, which is undone. */
  const found = async (sql: string): Promise<readonly string[]> => {
    await using connection = await database.connect();
    await connection.exec(`BEGIN; ${sql}`);
    const { findings } = checkRole(await readCatalog(connection), await readRoles(connection), agent);
    await connection.exec("ROLLBACK");
    return findings.map(({ rule, severity, message }) => `${severity} ${rule}: ${message}`);
  };

  test("in the writers' group owns nothing and bypasses nothing; a function that a policy calls is told, and runs", async () => {
    const report = await check();
    expect(report.findings.map(({ rule, severity }) => [rule, severity])).toEqual([["role-runs-definer", "info"]]);
    expect(report.findings[0]?.message).toContain("policies, views or conditions of tables call it");
    expect(report).toMatchObject({ counts: { error: 0, warning: 0, info: 1 }, examined: { roles: 2 } });
    expect(report.examined.objects).toBeGreaterThan(5);
    expect(await rowsAs(database, agent, "SELECT * FROM orders")).toEqual([]);
    expect((await check(names.migrator)).findings.map(({ rule }) => rule)).toContain("role-creates");
  });

  test.each([
    [
      "ALTER ROLE :agent BYPASSRLS CREATEDB",
      ["error role-attribute: :agent is BYPASSRLS", "warning role-attribute: :agent is CREATEDB"],
    ],
    ["ALTER ROLE :writer SUPERUSER", ["error role-attribute: :agent is a member of :writer, which is SUPERUSER"]],
    [
      "GRANT pg_write_all_data TO :writer",
      ["error role-membership: :agent (through :writer) is a member of pg_write_all_data"],
    ],
    ["GRANT pg_monitor TO :agent", ["warning role-membership: :agent is a member of pg_monitor"]],
    [
      "GRANT :reader TO :agent WITH ADMIN OPTION",
      ["warning role-may-grant: :agent may make others a member of :reader"],
    ],
    ["ALTER TABLE orders OWNER TO :writer", ["error role-owns: :agent (through :writer) owns table public.orders"]],
    [
      "GRANT TRUNCATE, MAINTAIN ON orders TO :agent",
      ["error role-privilege: :agent has MAINTAIN, TRUNCATE on table public.orders"],
    ],
    [
      "GRANT REFERENCES (id) ON orders TO PUBLIC",
      ["warning role-privilege: :agent (as everybody) has REFERENCES on table public.orders (id)"],
    ],
    [
      "GRANT SELECT ON orders TO :agent WITH GRANT OPTION",
      ["warning role-may-grant: :agent has SELECT on table public.orders: and may pass it on"],
    ],
    [
      "GRANT CREATE ON SCHEMA public TO PUBLIC",
      ["warning role-creates: :agent (as everybody) has CREATE on schema public"],
    ],
    [
      "GRANT SELECT ON events_rest TO :writer",
      ["error role-reads-partition: :agent (through :writer) has SELECT on table public.events_rest"],
    ],
    [
      "GRANT INSERT ON _prisma_migrations TO :writer",
      ["warning role-writes-history: :agent (through :writer) has INSERT on table public._prisma_migrations"],
    ],
    [
      "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO :agent",
      ["warning role-default-privilege: :agent has MAINTAIN, REFERENCES, TRIGGER, TRUNCATE on tables made by "],
    ],
    [
      "GRANT SET ON PARAMETER log_min_messages TO :agent",
      ["warning role-privilege: :agent has SET on parameter log_min_messages"],
    ],
    [
      "CREATE FUNCTION open() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
      ["warning role-runs-definer: :agent (as everybody) may execute public.open() with the rights of "],
    ],
  ])("%s is found", async (sql, expected) => {
    const named = (text: string): string =>
      text.replaceAll(":agent", agent).replaceAll(":writer", names.writer).replaceAll(":reader", names.reader);
    const findings = (await found(named(sql))).filter((each) => !each.includes("conditions of tables call it"));
    expect(findings.map((each, index) => each.slice(0, named(expected[index] ?? "").length))).toEqual(
      expected.map(named),
    );
  });

  test("as a reader it may write too much; the SQL of the findings takes it away", async () => {
    const { findings } = await check(agent, "reader");
    expect(findings.map(({ rule, message }) => [rule, message])).toEqual(
      expect.arrayContaining([
        [
          "role-privilege",
          `${agent} (through ${names.writer}) has DELETE, INSERT, UPDATE on table public.events, public.orders: more than its part needs`,
        ],
      ]),
    );
    await using connection = await database.connect();
    await connection.exec("BEGIN");
    for (const { fix } of findings) if (fix.sql !== undefined) await connection.exec(fix.sql);
    const left = checkRole(await readCatalog(connection), await readRoles(connection), agent, { level: "reader" });
    await connection.exec("ROLLBACK");
    expect(left.findings.map(({ rule }) => rule)).toEqual(["role-runs-definer"]);
  });

  test("what reader and writer have too much is a finding, and is taken away when that is asked", async () => {
    const own = { ...names };
    await database.exec(`GRANT ALL ON orders TO ${names.reader}; GRANT UPDATE (total) ON orders TO ${names.reader}`);
    const before = await readCatalog(database);
    const loose = await plan(database, own);
    expect(loose.phases).toEqual([]);
    expect(
      loose.findings.filter(({ role }) => role === names.reader).map(({ rule, severity }) => [rule, severity]),
    ).toEqual([
      ["role-privilege", "error"],
      ["role-privilege", "warning"],
      ["role-runs-definer", "info"],
    ]);
    const exact = await plan(database, { ...own, isExact: true });
    expect(exact.findings.filter(({ rule }) => rule === "role-privilege")).toEqual([]);
    const migration = migrationOf(exact, "2");
    await using connection = await database.connect();
    await connection.exec(`BEGIN; ${migration.up.sql}`);
    expect((await plan(connection, { ...own, isExact: true })).phases).toEqual([]);
    await connection.exec(migration.down?.sql ?? "");
    expect(compareCatalogs(before, await readCatalog(connection))).toEqual([]);
    await connection.exec("ROLLBACK");
    await database.exec(`REVOKE ALL ON orders FROM ${names.reader}; GRANT SELECT ON orders TO ${names.reader}`);
  });

  test("less than a level is told before it is widened, and left alone with except; wrong names are refused", async () => {
    await database.exec(`REVOKE UPDATE, DELETE ON orders FROM ${names.writer}`);
    const widening = await plan(database, names);
    expect(widening.notices).toEqual([
      `${names.writer} has less than its level on public.orders and gets DELETE, UPDATE: leave it as it is with --except public.orders`,
    ]);
    expect(widening.phases[0]?.name).toBe("grant_roles");
    expect((await plan(database, { ...names, except: [{ schema: "public", name: "orders" }] })).phases).toEqual([]);
    await database.exec(`GRANT UPDATE, DELETE ON orders TO ${names.writer}`);
    const refused = async (options: Parameters<typeof plan>[1]): Promise<string> =>
      String(await failureOf(plan(database, options)));
    expect(await refused({ schemas: ["shop"] })).toContain("there is no schema shop");
    expect(await refused({ schemas: ["pgsteward"] })).toContain("there is no schema pgsteward of yours");
    expect(await refused({ reader: "pg_read_all_data" })).toContain("cannot be the name of a role of yours");
    expect(await refused({ reader: "one", writer: "one" })).toContain("three roles");
    expect(await refused({ except: [{ schema: "public", name: "gone" }] })).toContain("no table or view public.gone");
    expect(String(await failureOf(check("nobody_here")))).toContain("there is no role nobody_here");
  });
});
