// The way of the group roles on any kind and version of server: what they may do, that nothing is planned twice, and the way back.
import { expect } from "vitest";
import { compareCatalogs, readCatalog } from "../../../src/catalog/index.ts";
import {
  formatExpandPhase,
  parseMigration,
  planRoles,
  readRoles,
  revertMigrations,
  runMigrations,
  type Migration,
  type PlanRolesOptions,
  type RoleNames,
  type RolesPlan,
} from "../../../src/migrate/index.ts";
import { identifier, type Connection, type Database } from "../../../src/postgres/index.ts";

/** Roles belong to the whole server: names that no other test has. */
export function namesToQuote(of: string): RoleNames {
  const named = (part: string): string => `${part} of "${of}" ${process.pid}`;
  return { reader: named("Reader"), writer: named("Writer"), migrator: named("Migrator") };
}

export async function plan(database: Database | Connection, options: PlanRolesOptions): Promise<RolesPlan> {
  return planRoles(await readCatalog(database), await readRoles(database), options);
}

export function migrationOf({ phases: [phase] }: RolesPlan, version = "1"): Migration {
  if (phase === undefined) throw new Error("nothing was planned");
  return parseMigration(`${version}_${phase.name}.sql`, formatExpandPhase(phase));
}

/** The SQLSTATE with which a role is refused; `undefined` when it is not. */
export async function refusal(database: Database, role: string, sql: string): Promise<string | undefined> {
  await using connection = await database.connect();
  await connection.exec("BEGIN");
  try {
    await connection.exec(`SET LOCAL ROLE ${identifier(role)}`);
    await connection.exec(sql);
    return undefined;
  } catch (error) {
    return (error as { sqlState?: string }).sqlState ?? String(error);
  } finally {
    await connection.exec("ROLLBACK");
  }
}

export async function rowsAs(database: Database, role: string, sql: string): Promise<readonly unknown[]> {
  await using connection = await database.connect();
  await connection.exec(`SET ROLE ${identifier(role)}`);
  const { rows } = await connection.query(sql);
  await connection.exec("RESET ROLE");
  return rows;
}

export const SETUP = `
CREATE SCHEMA "My Shop";
CREATE TABLE "My Shop"."Orders" (id serial PRIMARY KEY, tenant int NOT NULL, note text);
INSERT INTO "My Shop"."Orders" (tenant) VALUES (1), (2);
ALTER TABLE "My Shop"."Orders" ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON "My Shop"."Orders" USING (tenant = 1);
CREATE TABLE "My Shop".items (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text);
GRANT SELECT, TRUNCATE ON "My Shop".items TO PUBLIC;
CREATE VIEW "My Shop".names AS SELECT name FROM "My Shop".items;
CREATE MATERIALIZED VIEW "My Shop".kept AS SELECT 1 AS one;
CREATE SEQUENCE "My Shop".numbers;
CREATE TABLE "My Shop".events (id int, day date) PARTITION BY RANGE (day);
CREATE TABLE "My Shop".events_old PARTITION OF "My Shop".events DEFAULT;
CREATE FUNCTION "My Shop".twice(n int, OUT doubled int) LANGUAGE sql AS 'SELECT n * 2';
CREATE PROCEDURE "My Shop".nothing() LANGUAGE sql AS '';
REVOKE EXECUTE ON FUNCTION "My Shop".twice FROM PUBLIC;
GRANT CREATE ON SCHEMA public TO PUBLIC;
CREATE TABLE public.settings (key text PRIMARY KEY);`;

/** @param database - with SETUP */
export async function travelWithRoles(database: Database, names: RoleNames): Promise<void> {
  const { reader, writer, migrator } = names;
  const before = await readCatalog(database);
  const first = await plan(database, names);
  expect(first).toMatchObject({ created: [reader, writer, migrator], schemas: ["My Shop", "public"] });
  const migration = migrationOf(first);
  await runMigrations(database, [migration]);

  const reads = [
    '"My Shop"."Orders"',
    '"My Shop".items',
    '"My Shop".names',
    '"My Shop".kept',
    '"My Shop".events',
    "public.settings",
  ];
  for (const table of reads) {
    for (const role of [reader, writer])
      expect([table, role, await refusal(database, role, `SELECT * FROM ${table}`)]).toEqual([table, role, undefined]);
    expect(await refusal(database, reader, `DELETE FROM ${table}`)).toMatch(/^42501$|^42809$|^55000$/);
  }
  for (const sql of [
    'INSERT INTO "My Shop".items (name) VALUES (1)',
    'UPDATE "My Shop"."Orders" SET note = NULL',
    `SELECT nextval('"My Shop".numbers')`,
    'SELECT "My Shop".twice(1)',
    "CREATE TABLE public.mine ()",
    'SELECT * FROM "My Shop".events_old',
  ])
    expect([sql, await refusal(database, reader, sql)]).toEqual([sql, "42501"]);
  for (const sql of [
    `INSERT INTO "My Shop"."Orders" (tenant) VALUES (1)`,
    'INSERT INTO "My Shop".items (name) VALUES (1); DELETE FROM "My Shop".items',
    `UPDATE "My Shop"."Orders" SET note = 'x'`,
    `SELECT nextval('"My Shop".numbers'), "My Shop".twice(1); CALL "My Shop".nothing()`,
    `INSERT INTO "My Shop".events VALUES (1, '2026-01-01')`,
  ])
    expect([sql, await refusal(database, writer, sql)]).toEqual([sql, undefined]);
  for (const sql of [
    'TRUNCATE "My Shop".items',
    'ALTER TABLE "My Shop".items ADD COLUMN more int',
    'CREATE TABLE "My Shop".mine ()',
    "CREATE TABLE public.mine ()",
    'CREATE INDEX ON "My Shop".items (name)',
    'DROP TABLE "My Shop".items',
    'ALTER TABLE "My Shop"."Orders" DISABLE ROW LEVEL SECURITY',
    `INSERT INTO "My Shop"."Orders" (tenant) VALUES (2)`,
    `SELECT setval('"My Shop".numbers', 1)`,
  ])
    expect([sql, await refusal(database, writer, sql)]).toEqual([sql, "42501"]);
  expect(await rowsAs(database, writer, 'SELECT tenant FROM "My Shop"."Orders"')).toEqual([{ tenant: 1 }]);

  const later = `CREATE TABLE "My Shop".later (id serial PRIMARY KEY); CREATE FUNCTION "My Shop".more() RETURNS int LANGUAGE sql AS 'SELECT 1';
      REVOKE EXECUTE ON FUNCTION "My Shop".more FROM PUBLIC; CREATE TYPE "My Shop".mood AS ENUM ('calm')`;
  await database.exec(`BEGIN; SET LOCAL ROLE ${identifier(migrator)}; ${later}; COMMIT`);
  expect(await refusal(database, reader, 'SELECT * FROM "My Shop".later')).toBeUndefined();
  expect(await refusal(database, reader, 'INSERT INTO "My Shop".later DEFAULT VALUES')).toBe("42501");
  expect(
    await refusal(database, writer, 'INSERT INTO "My Shop".later DEFAULT VALUES; SELECT "My Shop".more()'),
  ).toBeUndefined();
  expect(await refusal(database, writer, 'TRUNCATE "My Shop".later')).toBe("42501");
  expect((await plan(database, names)).phases).toEqual([]);

  await database.exec('DROP TABLE "My Shop".later; DROP FUNCTION "My Shop".more; DROP TYPE "My Shop".mood');
  await revertMigrations(database, [migration], { count: 1 });
  const after = await readCatalog(database);
  const own = <T extends { readonly name: string }>(list: readonly T[]): readonly T[] =>
    list.filter(({ name }) => name !== "pgsteward");
  expect(
    compareCatalogs(before, {
      ...after,
      schemas: own(after.schemas),
      tables: after.tables.filter(({ schema }) => schema !== "pgsteward"),
    }),
  ).toEqual([]);
  expect((await readRoles(database)).roles.filter(({ name }) => Object.values(names).includes(name))).toEqual([]);
}
