// Migrations in TypeScript among those in SQL: run, taken back, verified, and what their code does wrong.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  previewMigrations,
  readMigrationFolder,
  readMigrationHistory,
  readMigrations,
  readMigrationStatus,
  readSource,
  revertMigrations,
  runMigrations,
  verifyMigrations,
} from "../../../src/migrate/index.ts";
import { CancelledError, InvalidInputError, UniqueViolationError } from "../../../src/postgres/index.ts";
import { failureOf } from "../../support/failure-of.ts";
import { describeDatabases, testDatabase } from "../../support/test-database.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "pgsteward-code-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const write = (file: string, text: string): void => writeFileSync(join(folder, file), text);
const sql = (up: string, down: string): string => `-- migrate:up\n${up}\n-- migrate:down\n${down}\n`;

const PEOPLE = sql(
  `CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL, first text, last text);
INSERT INTO people VALUES (1, 'Ada King Lovelace'), (2, 'Plato');`,
  "DROP TABLE people;",
);
const SPLIT = `// Splits names as people do, which SQL cannot.
import type { Queryable } from "pgsteward";

interface Person { readonly id: number; readonly name: string }

export async function up(connection: Queryable): Promise<void> {
  const { rows } = await connection.query<Person>("SELECT id, name FROM people ORDER BY id FOR UPDATE");
  for (const { id, name } of rows) {
    const [first, ...rest] = name.split(" ");
    await connection.query("UPDATE people SET first = $2, last = $3 WHERE id = $1", [id, first, rest.join(" ") || null]);
  }
}

export async function down(connection: Queryable): Promise<void> {
  await connection.query("UPDATE people SET first = NULL, last = NULL");
}
`;
const bad = (body: string): string =>
  `import type { Queryable } from "pgsteward";\nexport async function up(connection: Queryable) {\n${body}\n}\n`;

describeDatabases((_kind, make) => {
  test("code runs between SQL files in a transaction with its line of history, and is taken back", async () => {
    await using database = await make();
    write("0001_create_people.sql", PEOPLE);
    write("0002_split_names.ts", SPLIT);
    write("0003_add_last.sql", sql("ALTER TABLE people ADD COLUMN note text;", "ALTER TABLE people DROP COLUMN note;"));
    const migrations = readMigrations(folder);
    const preview = await previewMigrations(database, migrations.slice(0, 2), "up");
    expect(preview[1]?.groups).toEqual([
      { inTransaction: true, statements: [{ line: 1, sql: "DO LANGUAGE typescript 'up() of 0002_split_names.ts'" }] },
    ]);
    await runMigrations(database, migrations);
    const { rows } = await database.query("SELECT first, last FROM people ORDER BY id");
    expect(rows).toEqual([
      { first: "Ada", last: "King Lovelace" },
      { first: "Plato", last: null },
    ]);
    await revertMigrations(database, migrations, { count: 2 });
    expect((await database.query("SELECT FROM people WHERE first IS NOT NULL")).rowCount).toBe(0);
    expect((await readMigrationHistory(database)).map(({ version }) => version)).toEqual(["0001"]);
    const { migrations: states } = await readMigrationStatus(database, migrations);
    expect(states.map(({ state }) => state)).toEqual(["applied", "pending", "pending"]);
  });

  test.for([
    [
      "throws",
      `  await connection.query("UPDATE people SET first = 'x'");\n  throw new Error("no such thing");`,
      "INVALID_INPUT",
      "0002_bad.ts:4: up() failed: no such thing",
    ],
    [
      "sends wrong SQL",
      `  await connection.query("UPDATE people SET first = 'x'");\n  await connection.query("SELECT nothing FROM people");`,
      "INVALID_SQL",
      `0002_bad.ts:4:3: column "nothing" does not exist`,
    ],
    [
      "commits",
      `  await connection.exec("UPDATE people SET first = 'x'");\n  await connection.exec(" -- done\\n COMMIT");`,
      "INVALID_INPUT",
      "0002_bad.ts:4: a migration does not end its own transaction",
    ],
    [
      "commits inside a script",
      `  await connection.exec("UPDATE people SET first = 'x'; COMMIT; BEGIN");`,
      "INVALID_INPUT",
      "0002_bad.ts:3: a migration does not end its own transaction",
    ],
    [
      "hides a failure",
      `  await connection.query("SELECT 1/0").catch(() => undefined);`,
      "INVALID_INPUT",
      "0002_bad.ts: up() went on although one of its statements had failed",
    ],
    [
      "does not await",
      `  void connection.query("UPDATE people SET first = 'x'");`,
      "INVALID_INPUT",
      "0002_bad.ts: up() ended before 1 of its statements",
    ],
  ] as const)(
    "nothing of code that %s stays, and the error says where",
    async ([, body, code, message], { expect: expectHere }) => {
      await using database = await make();
      write("0001_create_people.sql", PEOPLE);
      write("0002_bad.ts", bad(body));
      const failure = await failureOf(runMigrations(database, readMigrations(folder)));
      expectHere(failure).toMatchObject({ code, message: expectHere.stringContaining(message) });
      expectHere((await database.query("SELECT FROM people WHERE first IS NOT NULL")).rowCount).toBe(0);
      const history = await readMigrationHistory(database);
      expectHere(history.map(({ version, state }) => [version, state])).toEqual([
        ["0001", "done"],
        ["0002", "failed"],
      ]);
      write("0002_bad.ts", bad(`  await connection.query("UPDATE people SET first = 'y'");`));
      await runMigrations(database, readMigrations(folder));
      expectHere((await database.query("SELECT FROM people WHERE first = 'y'")).rowCount).toBe(2);
    },
  );
});

test.for([
  [
    "import",
    `import type { Queryable } from "pgsteward";\nimport "./nowhere.ts";\nexport const up = () => undefined;`,
    "0002_bad.ts cannot be imported: Cannot find module",
  ],
  [
    "function",
    `import type { Queryable } from "pgsteward";\nexport const up = 1;`,
    "0002_bad.ts: what it exports as up is not a function",
  ],
] as const)("code without its %s stops the run before the first migration", async ([, text, message]) => {
  await using database = await testDatabase();
  write("0001_create_people.sql", PEOPLE);
  write("0002_bad.ts", text);
  await expect(runMigrations(database, readMigrations(folder))).rejects.toThrow(message);
  expect(await readMigrationHistory(database)).toEqual([]);
});

test("statements that are sent together run in their order, and bodies of functions may say BEGIN", async () => {
  await using database = await testDatabase();
  write(
    "0001_order.ts",
    bad(`  await Promise.all([
    connection.exec("CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ DECLARE n int; BEGIN n := 1; RETURN n; END $$"),
    connection.query("CREATE TABLE t AS SELECT f() AS n"),
    connection.exec("SAVEPOINT one; INSERT INTO t VALUES (2); ROLLBACK TO one; RELEASE one"),
  ]);`),
  );
  await runMigrations(database, readMigrations(folder));
  expect((await database.query("SELECT n FROM t")).rows).toEqual([{ n: 1 }]);
});

test("a savepoint lets code go on after a failure", async () => {
  await using database = await testDatabase();
  write(
    "0001_try.ts",
    bad(`  await connection.exec("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); SAVEPOINT one");
  await connection.query("INSERT INTO t VALUES ($1)", [1]).catch(() => connection.exec("ROLLBACK TO SAVEPOINT one"));
  await connection.batch([{ text: "INSERT INTO t VALUES ($1)", values: [2] }, { text: "RELEASE one" }]);`),
  );
  await runMigrations(database, readMigrations(folder));
  expect((await database.query("SELECT id FROM t ORDER BY id")).rows).toEqual([{ id: 1 }, { id: 2 }]);
});

test("a statement of code that is cancelled ends the migration", async () => {
  await using database = await testDatabase();
  write("0001_wait.ts", bad(`  await connection.query("SELECT pg_sleep(600)");`));
  const abort = new AbortController();
  const failure = failureOf(
    runMigrations(database, readMigrations(folder), {
      signal: abort.signal,
      onEvent: ({ kind }) => void (kind === "statementStarted" && setTimeout(() => abort.abort(), 20)),
    }),
  );
  expect(await failure).toBeInstanceOf(CancelledError);
  expect(await readMigrationHistory(database)).toMatchObject([{ version: "0001", state: "failed" }]);
});

test("code is verified with SQL: up, down, up, and what does not lead back is told", async () => {
  await using database = await testDatabase();
  write("0001_create_people.sql", PEOPLE);
  write("0002_split_names.ts", SPLIT);
  write(
    "0003_index.mjs",
    `// irreversible: nobody needs the way back
/** @import { Queryable } from "pgsteward" */
/** @param {Queryable} connection */
export const up = (connection) => connection.exec("CREATE INDEX people_last ON people (last)");
`,
  );
  write(
    "0004_lossy.ts",
    `${bad(`  await connection.exec("ALTER TABLE people DROP COLUMN last");`)}
export async function down(connection: Queryable) { await connection.exec("ALTER TABLE people ADD COLUMN last varchar"); }`,
  );
  write("0005_bad.ts", bad(`  throw new TypeError("not ready");`));
  const { tool, migrations, notices } = readMigrationFolder(folder);
  expect([tool, notices, migrations.map(({ up }) => up.file)]).toEqual([
    "dbmate",
    [],
    ["0001_create_people.sql", "0002_split_names.ts", "0003_index.mjs", "0004_lossy.ts", "0005_bad.ts"],
  ]);
  const report = await verifyMigrations(migrations, { database, engine: "scratch" });
  expect(report.migrations.map(({ name, verdict }) => [name, verdict])).toEqual([
    ["create_people", "reversible"],
    ["split_names", "reversible"],
    ["index", "irreversible"],
    ["lossy", "not reversible"],
    ["bad", "failed"],
  ]);
  expect(report.migrations[4]?.findings).toMatchObject([
    {
      rule: "up-fails",
      place: { file: "0005_bad.ts", line: 3, column: 3 },
      message: expect.stringContaining("up() failed: not ready"),
    },
  ]);
});

test("a schema is read from a folder with code, and an error in it says its line", async () => {
  await using database = await testDatabase();
  write("0001_people.ts", bad(`  await connection.exec("CREATE TABLE people (id int PRIMARY KEY)");`));
  const read = await readSource({ kind: "migrations", path: folder }, { server: database, engine: "scratch" });
  expect(read.catalog.tables.map(({ name }) => name)).toEqual(["people"]);
  write("0002_twice.ts", bad(`\n  await connection.exec("INSERT INTO people VALUES (1), (1)");`));
  const failure = await failureOf(
    readSource({ kind: "migrations", path: folder }, { server: database, engine: "scratch" }),
  );
  expect(failure).toBeInstanceOf(UniqueViolationError);
  expect(failure).toMatchObject({ message: expect.stringContaining("0002_twice.ts:4:3: duplicate key") });
});

test.for([
  [
    "0001_knex.ts",
    "import type { Knex } from 'knex';\nexport async function up(knex: Knex) {}",
    "imports nothing from it",
  ],
  ["0001_none.js", 'import { identifier } from "pgsteward";\nexport function forth() {}', "exports no function up"],
] as const)("the folder of %s is refused", ([file, text, message]) => {
  write(file, text);
  expect(() => readMigrations(folder)).toThrow(InvalidInputError);
  expect(() => readMigrations(folder)).toThrow(message);
});

test("tests, declarations and modules without a number are no migrations", () => {
  write("0001_a.sql", sql("SELECT 1;", ""));
  for (const file of ["0002_a.test.ts", "0002_a.d.ts", "helpers.ts", "0002_a.cjs"]) write(file, "export {};");
  expect(readMigrations(folder).map(({ file }) => file)).toEqual(["0001_a.sql"]);
});

test("a file of code and one of SQL cannot have the same number", () => {
  write("0001_a.sql", sql("SELECT 1;", ""));
  write("1_b.ts", SPLIT);
  expect(() => readMigrations(folder)).toThrow("0001_a.sql and 1_b.ts have the same number");
});
