// What verifying says about migrations that are right, and about those that are wrong in one way each.
import { afterAll, beforeAll, expect, test } from "vitest";
import { verifyMigrations, type VerifyOptions, type VerifyReport } from "../../../src/migrate/index.ts";
import { CancelledError, type Database } from "../../../src/postgres/index.ts";
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
    // The tool's own transaction, which the file ends.
    {
      up: "ALTER TABLE users ADD g int; COMMIT; CREATE INDEX CONCURRENTLY g ON users (g);",
      down: "ALTER TABLE users DROP g;",
    },
    { up: "ALTER TABLE users ADD h int; ROLLBACK;", down: "ALTER TABLE users DROP h;" },
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
    ["reversible"],
    ["not reversible", "down-fails error"],
  ]);
});

test("what psql would do is not passed over", async () => {
  const report = await verify([
    { up: "\\set ON_ERROR_STOP on\n\\echo begins\nCREATE TABLE a (id int);", down: "\\i a.sql\n" },
    { up: "CREATE TABLE b (id int);\n\\ir more.sql\n" },
  ]);
  expect(brief(report)).toEqual([
    ["not reversible", "down-fails error"],
    ["failed", "up-fails error"],
  ]);
  expect(report.migrations[1]?.findings[0]).toMatchObject({
    message: expect.stringContaining("2.up.sql:2:1: the psql command \\ir cannot be followed here\n"),
    place: { file: "2.up.sql", line: 2, column: 1 },
  });
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
