// What verifying does about what migrations take from where they run: roles, extensions, schemas and tables of others.
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseSqlFiles, verifyMigrations, type VerifyOptions, type VerifyReport } from "../../../src/migrate/index.ts";
import type { Database } from "../../../src/postgres/index.ts";
import { testDatabase } from "../../support/test-database.ts";
import { brief, history, type Given } from "./given-history.ts";

let database: Database;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(async () => {
  await database.close();
});

const verify = (given: readonly Given[], options: VerifyOptions = {}): Promise<VerifyReport> =>
  verifyMigrations(history(given), { database, engine: "scratch", ...options });

test("roles of a server that is not ours are left alone, and nothing of ours stays there", async () => {
  const before = "CREATE ROLE pgsteward_verify_probe; CREATE SCHEMA s;";
  const report = await verify(
    [
      {
        up: `CREATE ROLE pgsteward_verify_probe LOGIN; CREATE TABLE t (id int);
             DO $$ BEGIN CREATE ROLE pgsteward_verify_probe; EXCEPTION WHEN duplicate_object THEN NULL; END $$;`,
        down: "DROP TABLE t;",
      },
    ],
    { setup: await parseSqlFiles([{ name: "before.sql", text: before }]) },
  );
  expect(report.notices).toEqual(["statements about roles were not run: roles belong to the whole server"]);
  const { rows } = await database.query(`
    SELECT rolname FROM pg_roles WHERE rolname = 'pgsteward_verify_probe'
    UNION ALL SELECT datname FROM pg_database WHERE datname LIKE 'pgsteward_shadow_%' AND datname LIKE '%\\_' || ${process.pid} || '\\_%'`);
  expect(rows).toEqual([]);
});

test("on a server of our own roles are made, for each database anew", async () => {
  const report = await verifyMigrations(
    history([
      {
        up: "CREATE ROLE app LOGIN; CREATE TABLE t (id int); GRANT SELECT ON t TO app, reporting;",
        down: "DROP TABLE t; DROP ROLE app;",
      },
      { up: "CREATE INDEX CONCURRENTLY i ON t (id);", down: "SELECT 1;", transaction: "statement" },
      {
        up: "CREATE EXTENSION IF NOT EXISTS no_such_extension; REVOKE ALL ON t FROM reporting;",
        down: "GRANT SELECT ON t TO reporting;",
      },
      { up: "SET ROLE owners; CREATE TABLE of_owners (id int);", down: "SET ROLE owners; DROP TABLE of_owners;" },
    ]),
    { engine: "embedded", setup: await parseSqlFiles([{ name: "before.sql", text: "CREATE SCHEMA before;" }]) },
  );
  expect(brief(report)).toEqual([
    ["reversible"],
    ["not reversible", "down-does-not-restore error", "up-again-fails error"],
    ["reversible"],
    ["reversible"],
  ]);
  expect(report.notices).toEqual([
    "roles made for the check: owners, reporting",
    "the extension no_such_extension is not available in the throw-away database: it was left out",
  ]);
});

test("what migrations take from Supabase is made for them, unless they make it or it is given", async () => {
  const ups = [
    `CREATE TABLE profiles (id uuid PRIMARY KEY REFERENCES auth.users ON DELETE CASCADE, avatar uuid DEFAULT uuid_generate_v4());
     ALTER TABLE profiles ENABLE ROW LEVEL SECURITY;
     CREATE POLICY own ON profiles TO authenticated USING (auth.uid() = id);
     CREATE FUNCTION welcome() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
       $$ BEGIN INSERT INTO profiles (id) VALUES (NEW.id) ON CONFLICT DO NOTHING; RETURN NEW; END $$;
     CREATE TRIGGER welcome AFTER INSERT ON auth.users FOR EACH ROW EXECUTE FUNCTION welcome();`,
    `INSERT INTO storage.buckets (id, name, public) VALUES ('a', 'a', true);
     CREATE POLICY own ON storage.objects FOR INSERT TO authenticated
       WITH CHECK ((storage.foldername(name))[1] = auth.uid()::text AND auth.role() = 'authenticated');
     ALTER PUBLICATION supabase_realtime ADD TABLE profiles;
     REVOKE ALL ON profiles FROM anon;`,
  ];
  // A server of its own: Supabase's roles are made there.
  const report = await verifyMigrations(history(ups.map((up) => ({ up }))), { engine: "embedded" });
  expect(report.migrations.map(({ verdict }) => verdict)).toEqual(["no way back", "no way back"]);
  expect(report.notices.join()).toContain("as Supabase has them");
  const own = await verify([
    { up: "CREATE SCHEMA auth; CREATE TABLE auth.users (id int);" },
    ...ups.map((up) => ({ up })),
  ]);
  expect(own.notices.join()).not.toContain("Supabase");
});

test("Hasura's pgcrypto is there before its first migration", async () => {
  const given = history([{ up: "CREATE TABLE a (id uuid DEFAULT public.gen_random_uuid());" }]);
  const ofHasura = given.map((migration) => ({ ...migration, tool: "hasura" as const }));
  const report = await verifyMigrations(ofHasura, { database, engine: "scratch" });
  expect(brief(report)).toEqual([["no way back", "down-missing info"]]);
});

test("what needs an extension that is not there is not examined, and says how it can be", async () => {
  const report = await verify([
    {
      up: "CREATE EXTENSION nowhere; COMMENT ON EXTENSION nowhere IS 'a'; CREATE TABLE a (id int);",
      down: "DROP TABLE a; DROP EXTENSION nowhere;",
    },
    { up: "CREATE TABLE b (at nowhere_point);", down: "DROP TABLE b;" },
    { up: "CREATE TABLE c (id int);", down: "DROP TABLE c;" },
    { up: "CREATE TABLE ${prefix}_d (id int);" },
    { up: "CREATE TABLE e (id int);\nCREATE TABLE :APP_SCHEMA.f (id int);" },
    { up: "CREATE TABLE ${flyway:user}_g (id int);" },
    { up: "CREATE TABLE h (id INT NOT NULL AUTO_INCREMENT, PRIMARY KEY (id)) ENGINE=INNODB;" },
    { up: "CREATE TABLE `i` (`id` INTEGER PRIMARY KEY) WITHOUT ROWID;" },
    {
      up: `DO $$ BEGIN CREATE EXTENSION IF NOT EXISTS "no-where"; EXCEPTION WHEN OTHERS THEN NULL; END $$;
           CREATE TABLE j (at no_where_point);`,
    },
  ]);
  expect(brief(report)).toEqual([
    ["reversible"],
    ["not examined", "needs-extension warning"],
    ["reversible"],
    ["failed", "up-fails error"],
    ["failed", "up-fails error"],
    ["failed", "up-fails error"],
    ["failed", "up-fails error"],
    ["failed", "up-fails error"],
    ["not examined", "needs-extension warning"],
  ]);
  expect(report.migrations[8]?.findings[0]?.message).toContain("this server lacks nowhere, no-where");
  expect(report.migrations[7]?.findings[0]?.message).toContain(
    "WITHOUT ROWID is not PostgreSQL's: it seems to be for SQLite",
  );
  expect(report.migrations[6]?.findings[0]?.message).toContain(
    "AUTO_INCREMENT is not PostgreSQL's: it seems to be for MySQL",
  );
  expect(report.migrations[1]?.findings[0]?.message).toContain(
    "this server lacks nowhere: name one that has it with --database",
  );
  const skipping = await verify(
    [
      { up: "CREATE EXTENSION IF NOT EXISTS nowhere; CREATE TABLE a (id int);", down: "DROP TABLE a;" },
      { up: "CREATE TABLE b (id int);\nSELECT nowhere.plan('b');", down: "SELECT nowhere.drop('b');\nDROP TABLE b;" },
    ],
    { skipsMissingExtensions: true },
  );
  expect(brief(skipping)).toEqual([["reversible"], ["reversible"]]);
  for (const place of ["2.up.sql:2: schema", "2.down.sql:1: schema"])
    expect(skipping.notices.join()).toContain(
      `not examined, as nowhere is not there: ${place} "nowhere" does not exist`,
    );
  for (const [index, name] of ["prefix", "APP_SCHEMA", "flyway:user"].entries())
    expect(report.migrations[3 + index]?.findings[0]?.message).toContain(`--set ${name}=VALUE`);
});

test("what is missing and is no role is not said to be one, and temporary tables are gone before the way back", async () => {
  const report = await verify([
    {
      up: "CREATE TYPE tone AS ENUM ('low'); CREATE TABLE song (tone tone); CREATE TEMPORARY TABLE kept AS SELECT 'low'::tone AS tone",
      down: "DROP TABLE song; DROP TYPE tone",
    },
    { up: "CREATE TABLE book (); ALTER TABLE book DROP CONSTRAINT none" },
  ]);
  expect(brief(report)).toEqual([["reversible"], ["failed", "up-fails error"]]);
  expect(report.migrations[1]?.findings[0]?.message).not.toContain("role");
});

test("an extension or a schema that was made IF NOT EXISTS may stay, other things may not", async () => {
  const report = await verify([
    {
      up: "CREATE EXTENSION IF NOT EXISTS citext; CREATE SCHEMA IF NOT EXISTS shop; COMMENT ON SCHEMA shop IS 'a'; CREATE TABLE shop.a (id citext)",
      down: "DROP TABLE shop.a",
    },
    { up: "CREATE EXTENSION hstore", down: "SELECT 1" },
    { up: "CREATE SCHEMA IF NOT EXISTS other; CREATE TABLE IF NOT EXISTS other.b (id int)", down: "SELECT 1" },
    // Left once, but not the same when it is applied again.
    {
      up: "CREATE SCHEMA IF NOT EXISTS third; DO $$ BEGIN IF to_regnamespace('third') IS NOT NULL AND to_regclass('public.seen') IS NOT NULL THEN CREATE TABLE third.c (id int); END IF; END $$; CREATE TABLE IF NOT EXISTS seen (id int)",
      down: "DROP TABLE IF EXISTS third.c",
    },
  ]);
  expect(brief(report)).toEqual([
    ["reversible", "down-leaves-shared info"],
    ["not reversible", "down-does-not-restore error", "up-again-fails error"],
    ["not reversible", "down-leaves-shared info", "down-does-not-restore error"],
    ["not reversible", "down-leaves-shared info", "down-does-not-restore error", "up-again-differs error"],
  ]);
  expect(report.migrations[0]?.findings[0]?.message).toBe(
    "its way back leaves the schema shop, the extension citext, made IF NOT EXISTS: others may use it",
  );
});
