// What verifying says about migrations that are right, and about those that are wrong in one way each.
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  parseSqlFiles,
  verifyMigrations,
  type AdoptedMigration,
  type MigrationScript,
  type VerifyOptions,
  type VerifyReport,
} from "../../../src/migrate/index.ts";
import { CancelledError, type Database } from "../../../src/postgres/index.ts";
import { testDatabase } from "../../support/test-database.ts";

let database: Database;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(async () => {
  await database.close();
});

interface Given {
  readonly up: string;
  readonly down?: string;
  readonly irreversible?: string;
  readonly transaction?: MigrationScript["transaction"];
}

function history(given: readonly Given[]): readonly AdoptedMigration[] {
  return given.map(({ up, down, irreversible, transaction = "file" }, index) => {
    const version = String(index + 1);
    const script = (sql: string, kind: string): MigrationScript => ({
      file: `${version}.${kind}.sql`,
      text: sql,
      sql,
      transaction,
    });
    return {
      version,
      name: `m${version}`,
      tool: "golang-migrate",
      up: script(up, "up"),
      down: down === undefined ? undefined : script(down, "down"),
      irreversible,
    };
  });
}

const verify = (given: readonly Given[], options: VerifyOptions = {}): Promise<VerifyReport> =>
  verifyMigrations(history(given), { database, engine: "scratch", ...options });

const brief = ({ migrations }: VerifyReport) =>
  migrations.map(({ verdict, findings }) => [verdict, ...findings.map(({ rule, severity }) => `${rule} ${severity}`)]);

const USERS = {
  up: `CREATE TYPE mood AS ENUM ('calm', 'busy');
       CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, mood mood, note text);`,
  down: "DROP TABLE users; DROP TYPE mood;",
};

test("each way in which a migration is wrong has its finding, and the ones after it are examined all the same", async () => {
  const cases: (Given & { readonly says: readonly string[] })[] = [
    { ...USERS, says: ["reversible"] },
    {
      up: "CREATE TABLE notes (id int PRIMARY KEY, user_id bigint NOT NULL REFERENCES users);",
      down: "DROP TABLE notes;",
      says: ["reversible"],
    },
    {
      up: "CREATE INDEX notes_user ON notes (user_id);",
      down: "SELECT 1;",
      says: ["not reversible", "down-does-not-restore error", "up-again-fails error"],
    },
    {
      up: "ALTER TABLE users ADD COLUMN age int;",
      down: "ALTER TABLE users DROP COLUMN years;",
      says: ["not reversible", "down-fails error"],
    },
    {
      up: "ALTER TABLE users DROP COLUMN note;",
      down: "ALTER TABLE users ADD COLUMN note text;",
      says: ["data lost", "data-not-restored warning"],
    },
    {
      up: "UPDATE users SET name = upper(name);",
      down: "SELECT 1;",
      says: ["data lost", "data-not-restored warning"],
    },
    {
      up: "ALTER TABLE users ADD COLUMN email text NOT NULL;",
      down: "ALTER TABLE users DROP COLUMN email;",
      says: ["reversible", "up-fails-on-rows warning"],
    },
    {
      up: "ALTER TABLE users DROP COLUMN email;",
      down: "ALTER TABLE users ADD COLUMN email text NOT NULL;",
      says: ["not reversible", "down-fails-on-rows warning"],
    },
    {
      up: "INSERT INTO users (name) VALUES ('root');",
      down: "DELETE FROM users WHERE name = 'root';",
      says: ["reversible"],
    },
    { up: "CREATE TABLE plain (id int);", says: ["no way back", "down-missing warning"] },
    { up: "CREATE TABLE more (id int);", down: "-- nothing", says: ["no way back", "down-missing warning"] },
    { up: "ALTER TABLE users DROP COLUMN mood;", irreversible: "moods are gone", says: ["irreversible"] },
    {
      up: "ALTER TYPE mood ADD VALUE 'tired';",
      down: "SELECT 1;",
      irreversible: "labels stay",
      says: ["irreversible", "down-does-not-restore info", "up-again-fails info"],
    },
    {
      up: "CREATE TABLE IF NOT EXISTS kept (id int);",
      down: "ALTER TABLE kept ADD COLUMN IF NOT EXISTS x int;",
      says: ["not reversible", "down-does-not-restore error", "up-again-differs error"],
    },
    { up: "CREATE TABLE bad (id int,);", says: ["failed", "up-fails error"] },
    { up: "ALTER TABLE bad ADD COLUMN more int;", says: ["not examined", "needs-failed info"] },
    { up: "INSERT INTO users (id, name) VALUES (1, 1);", says: ["failed", "up-fails error"] },
    { up: "CREATE TABLE good (id int);", down: "DROP TABLE good;", says: ["reversible"] },
    { up: "-- nothing", says: ["reversible"] },
  ];
  const report = await verify(cases);
  expect(brief(report)).toEqual(cases.map(({ says }) => says));
  expect(report.examined).toMatchObject({ ups: 16, downs: 12, unseededTables: [] });
  const [lost] = report.migrations[4]?.findings ?? [];
  expect(lost?.lost).toEqual([{ table: "public.users", rowsBefore: 3, rowsAfter: 3, columns: ["note"] }]);
  const [missing] = report.migrations[2]?.findings ?? [];
  expect(missing?.changes).toMatchObject([{ kind: "create", after: { id: "index public.notes.notes_user" } }]);
  expect(report.migrations[3]?.findings[0]).toMatchObject({
    place: { file: "4.down.sql", line: 1, column: 1 },
    sqlState: "42703",
  });
  expect(report.migrations[14]?.findings[0]?.message).toContain("15.up.sql:1:26: ");
});

test("what runs outside of a transaction is verified too, and a database that it spoiled is replaced", async () => {
  const report = await verify([
    USERS,
    {
      up: "CREATE INDEX CONCURRENTLY a ON users (name);",
      down: "DROP INDEX CONCURRENTLY a;",
      transaction: "statement",
    },
    { up: "CREATE INDEX CONCURRENTLY b ON users (name);", down: "SELECT 1;", transaction: "statement" },
    { up: "CREATE INDEX c ON users (name);", down: "DROP INDEX c;" },
    {
      up: "CREATE TABLE half (id int); CREATE INDEX CONCURRENTLY half_none ON half (none);",
      down: "DROP TABLE half;",
      transaction: "statement",
    },
    { up: "CREATE TABLE half (id int);", down: "DROP TABLE half;" },
    {
      up: "ALTER TABLE users ADD COLUMN d int; CREATE INDEX CONCURRENTLY d ON users (d);",
      down: "ALTER TABLE users DROP COLUMN d;",
      transaction: "implicit",
    },
    {
      up: "ALTER TYPE mood ADD VALUE 'tired'; ALTER TABLE users ALTER mood SET DEFAULT 'tired';",
      down: `ALTER TABLE users ALTER mood DROP DEFAULT; ALTER TYPE mood RENAME TO old_mood; CREATE TYPE mood AS ENUM ('calm', 'busy');
             ALTER TABLE users ALTER mood TYPE mood USING mood::text::mood; DROP TYPE old_mood;`,
      transaction: "statement",
    },
    {
      up: "BEGIN; ALTER TABLE users ADD e int; COMMIT; CREATE INDEX CONCURRENTLY e ON users (e); BEGIN; ALTER TABLE users ADD f int NOT NULL; COMMIT;",
      down: "ALTER TABLE users DROP e, DROP f;",
      transaction: "statement",
    },
  ]);
  expect(brief(report)).toEqual([
    ["reversible"],
    ["reversible"],
    ["not reversible", "down-does-not-restore error", "up-again-fails error"],
    ["reversible"],
    ["failed", "up-fails error"],
    ["reversible"],
    ["reversible", "refused-in-transaction warning"],
    ["reversible"],
    ["reversible", "up-fails-on-rows warning"],
  ]);
});

test("deferred constraints are checked where COMMIT would check them", async () => {
  const report = await verify([
    {
      up: "CREATE TABLE a (id int PRIMARY KEY, next int REFERENCES a DEFERRABLE INITIALLY DEFERRED);",
      down: "DROP TABLE a;",
    },
    // The events that wait after the way back would refuse the ALTER TABLE that follows.
    {
      up: "ALTER TABLE a ADD COLUMN b int; UPDATE a SET next = id;",
      down: "ALTER TABLE a DROP COLUMN b; UPDATE a SET next = NULL;",
    },
    { up: "INSERT INTO a VALUES (1, 2);", down: "DELETE FROM a WHERE id = 1;" },
  ]);
  expect(report.migrations.map(({ verdict }) => verdict)).toEqual(["reversible", "data lost", "failed"]);
});

test("a view whose columns stand in another order after a column came back is a note, any other difference is not", async () => {
  const view = (more = "") => `CREATE VIEW v AS SELECT t.*, 1 AS one${more} FROM t;`;
  const report = await verify([
    { up: `CREATE TABLE t (id int, a int, b int); ${view()}`, down: "DROP VIEW v; DROP TABLE t;" },
    {
      up: `DROP VIEW v; ALTER TABLE t DROP COLUMN a; ${view()}`,
      down: `DROP VIEW v; ALTER TABLE t ADD COLUMN a int; ${view()}`,
    },
    {
      up: `DROP VIEW v; ALTER TABLE t DROP COLUMN b; ${view()}`,
      down: `DROP VIEW v; ALTER TABLE t ADD COLUMN b int; ${view(", 2 AS two")}`,
    },
  ]);
  expect(brief(report)).toEqual([
    ["reversible"],
    ["data lost", "down-does-not-restore info", "data-not-restored warning"],
    ["not reversible", "down-does-not-restore error", "data-not-restored warning"],
  ]);
});

test("trying the way back takes no ids away from the migrations that follow", async () => {
  const report = await verify([
    {
      up: "CREATE TABLE roles (id serial PRIMARY KEY, name text UNIQUE); CREATE TABLE grants (role_id int REFERENCES roles, n text NOT NULL DEFAULT '');",
      down: "DROP TABLE grants; DROP TABLE roles;",
    },
    { up: "INSERT INTO roles (name) VALUES ('first');", down: "DELETE FROM roles WHERE name = 'first';" },
    {
      up: "INSERT INTO roles (name) VALUES ('second'); ALTER TABLE grants ADD COLUMN must int NOT NULL;",
      down: "DELETE FROM roles WHERE name = 'second'; ALTER TABLE grants DROP COLUMN must;",
    },
    {
      up: "INSERT INTO roles (name) VALUES ('third'); INSERT INTO grants VALUES (2, '', 0), (3, '', 0);",
      down: "DELETE FROM grants WHERE role_id IN (2, 3); DELETE FROM roles WHERE name = 'third';",
    },
  ]);
  expect(brief(report)).toEqual([
    ["reversible"],
    ["reversible"],
    ["reversible", "up-fails-on-rows warning"],
    ["not reversible", "up-again-fails error"],
  ]);
});

test("the last ones alone, and the way there alone", async () => {
  const given: Given[] = [USERS, { up: "CREATE INDEX i ON users (name);", down: "SELECT 1;" }, { up: "SELECT 1;" }];
  const [last, up] = [await verify(given, { last: 2 }), await verify(given, { direction: "up", rowsPerTable: 0 })];
  expect(last.migrations.map(({ verdict }) => verdict)).toEqual(["not examined", "not reversible", "no way back"]);
  expect(last.examined).toMatchObject({ ups: 2, downs: 1, seededTables: 1, seededRows: 3 });
  expect(up.migrations.map(({ verdict }) => verdict)).toEqual(["applied", "applied", "applied"]);
  expect(up.examined).toMatchObject({ ups: 3, downs: 0, seededRows: 0 });
});

test("a history without any way back is no fault, and says so", async () => {
  const report = await verify([{ up: "CREATE TABLE t (id int);" }]);
  expect(brief(report)).toEqual([["no way back", "down-missing info"]]);
  expect(report.examined.downs).toBe(0);
});

test("roles of a server that is not ours are left alone, and nothing of ours stays there", async () => {
  const report = await verify([
    {
      up: `CREATE ROLE pgsteward_verify_probe LOGIN; CREATE TABLE t (id int);
           DO $$ BEGIN CREATE ROLE pgsteward_verify_probe; EXCEPTION WHEN duplicate_object THEN NULL; END $$;`,
      down: "DROP TABLE t;",
    },
  ]);
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
    ]),
    { engine: "embedded", setup: await parseSqlFiles([{ name: "before.sql", text: "CREATE SCHEMA before;" }]) },
  );
  expect(brief(report)).toEqual([
    ["reversible"],
    ["not reversible", "down-does-not-restore error", "up-again-fails error"],
    ["reversible"],
  ]);
  expect(report.notices).toEqual([
    "roles made for the check: reporting",
    "the extension no_such_extension is not available in the throw-away database: it was left out",
  ]);
});

test("an abort ends it, and progress is told", async () => {
  const abort = new AbortController();
  const seen: (string | undefined)[] = [];
  const running = verify([USERS, { up: "SELECT 1;" }, { up: "SELECT 2;" }], {
    signal: abort.signal,
    onProgress: ({ done, file }) => {
      seen.push(file);
      if (done === 1) abort.abort();
    },
  });
  await expect(running).rejects.toThrow(CancelledError);
  expect(seen).toEqual(["1.up.sql", "2.up.sql"]);
});

test("a migration that fails on rows and without them has the failure that no row explains", async () => {
  const up = `ALTER TYPE mood ADD VALUE 'glad'; ALTER TABLE users ADD COLUMN age int NOT NULL, ALTER COLUMN mood SET DEFAULT 'glad';`;
  const { migrations } = await verify([USERS, { up: "CREATE TABLE shop.t (id int);" }, { up }]);
  expect(migrations[2]?.findings.map(({ rule, sqlState }) => [rule, sqlState])).toEqual([["up-fails", "55P04"]]);
  // What is not there may have been before the first migration.
  expect(migrations[1]?.findings[0]?.message).toMatch(/schema "shop" does not exist .* can be given with --schema\n/);
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
    { up: "CREATE TABLE i (id INTEGER PRIMARY KEY AUTOINCREMENT);" },
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
  ]);
  expect(report.migrations[7]?.findings[0]?.message).toContain(
    "AUTOINCREMENT is not PostgreSQL's: it seems to be for SQLite",
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

test("a way back without effect is none, also of what changes rows that nobody made up", async () => {
  const report = await verify([
    { up: "CREATE TABLE coin (face text); INSERT INTO coin VALUES ('head')", down: "DROP TABLE coin" },
    { up: "UPDATE coin SET face = 'tail' WHERE face = 'number'", down: "SELECT 'down SQL query';" },
    { up: "ALTER TABLE coin ADD COLUMN weight int", down: "" },
    { up: "ANALYZE coin", down: "" },
    { up: "UPDATE coin SET face = 'tail' WHERE face = 'number'", down: "SELECT count(*) FROM coin" },
  ]);
  expect(brief(report)).toEqual([
    ["reversible"],
    ["no way back", "down-missing warning"],
    ["no way back", "down-missing warning"],
    ["reversible"],
    ["reversible"],
  ]);
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
