// Folders of other tools are read as those tools read them: which files, in which order, which part of each leads where.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { readMigrationFolder, readSqlFiles, type AdoptedMigration } from "../../../src/migrate/index.ts";
import { InvalidInputError } from "../../../src/postgres/index.ts";
import { A, B, DROP, FOLDERS } from "./tool-folders.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), "pgsteward-adopt-"));
  folders.push(folder);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

function brief({ version, name, up, down, irreversible }: AdoptedMigration) {
  return [
    version,
    name,
    up.sql.trim(),
    down?.sql.trim(),
    up.transaction,
    ...(irreversible === undefined ? [] : [irreversible]),
  ];
}

test.each(Object.entries(FOLDERS))("%s", (_, { files, tool, migrations }) => {
  const below = tool === "supabase" ? "supabase/migrations/" : "";
  const folder = folderOf(Object.fromEntries(Object.entries(files).map(([name, text]) => [below + name, text])));
  const read = readMigrationFolder(join(folder, below));
  expect(read.migrations.map(brief)).toEqual(migrations);
  expect(read.tool).toBe(tool);
});

test("positions in a part are those of the file", () => {
  const text = `-- +goose Up\n${A}\n-- +goose Down\n${DROP}\n`;
  const [migration] = readMigrationFolder(folderOf({ "1_a.sql": text })).migrations;
  expect(migration?.down?.sql.indexOf("DROP")).toBe(text.indexOf("DROP"));
  expect(migration?.down?.text).toBe(text);
});

test("lines may end in a CR alone", () => {
  const text = `-- +goose Up\r${A}\r-- +goose Down\r${DROP}\r`;
  const [migration] = readMigrationFolder(folderOf({ "1_a.sql": text })).migrations;
  expect([migration?.up.sql.trim(), migration?.down?.sql.trim()]).toEqual([
    `-- +goose Up\r${A}`,
    `-- +goose Down\r${DROP}`,
  ]);
});

test.each([
  ["Play", "# --- !Ups", "# --- !Downs"],
  ["Play in SQL's comments", "-- !Ups", "-- !Downs"],
  ["rambler", "-- rambler up", "-- rambler down"],
  ["words alone", "-- Up", "-- Down"],
  ["MyBatis", "-- // first", "-- //@UNDO"],
  ["shmig", "-- ====  UP  ====", "-- ==== DOWN ===="],
  ["micrate", "-- +micrate Up", "-- +micrate Down"],
])("marks of %s", (_, up, down) => {
  const [migration] = readMigrationFolder(folderOf({ "1_a.sql": `${up}\n${A}\n${down}\n${DROP}\n` })).migrations;
  expect(migration?.up.sql.replace(/^--.*$/gm, "").trim()).toBe(A);
  expect(migration?.down?.sql.replace(/^--.*$/gm, "").trim()).toBe(DROP);
});

test("goose and sql-migrate end a statement without a semicolon where they are told to", () => {
  const block = (...lines: readonly string[]): string =>
    ["-- +goose StatementBegin", ...lines, "-- +goose StatementEnd"].join("\n");
  const up = [
    block("CREATE TABLE a ()"),
    block("CREATE TABLE b ();", "-- done"),
    block("CREATE TABLE c ()", "-- done"),
  ];
  const text = `-- +goose Up\n${up.join("\n")}\n-- +goose Down\n${block(DROP.replace(";", ""))}\n`;
  const [migration] = readMigrationFolder(folderOf({ "1_a.sql": text })).migrations;
  const sql = (part: string | undefined): string | undefined =>
    part?.replace(/--.*$/gm, "").replace(/\s+/g, " ").trim();
  expect(sql(migration?.up.sql)).toBe("CREATE TABLE a () ; CREATE TABLE b (); CREATE TABLE c () ;");
  expect(sql(migration?.down?.sql)).toBe("DROP TABLE a ;");
  expect(migration?.down?.sql).toHaveLength(text.length);
});

test("tern puts files and variables in, and a variable without a value is its own name", () => {
  const folder = folderOf({
    "001_a.sql": `${A}\nGRANT SELECT ON a TO {{.app_user}};\n---- create above / drop below ----\n${DROP}\n`,
    "002_b.sql": `{{ template "views/b.sql" . }}\n---- create above / drop below ----\nDROP VIEW {{ .prefix }}_b;\n`,
    "views/b.sql": `CREATE VIEW {{ .prefix }}_b AS SELECT * FROM a;`,
  });
  const { migrations, notices } = readMigrationFolder(folder, { variables: { prefix: "app" } });
  expect(migrations.map(({ up, down }) => [up.sql.trim(), down?.sql.trim()])).toEqual([
    [`${A}\nGRANT SELECT ON a TO app_user;`, expect.stringContaining(DROP)],
    ["CREATE VIEW app_b AS SELECT * FROM a;", expect.stringContaining("DROP VIEW app_b;")],
  ]);
  expect(notices).toContain("variables without a value stand for their own names: app_user");
});

test("psql's included files stand where they are included, beside the file or where psql is started", () => {
  const folder = folderOf({
    "sqitch.plan": "%project=x\na 2024-01-01T00:00:00Z A <a@x> # a\n",
    "deploy/a.sql": "BEGIN;\n\\ir ../functions/f.sql\n\\i sql/deploy/g.sql\n\\i nowhere.sql\nCOMMIT;\n",
    "deploy/g.sql": B,
    "functions/f.sql": "\\include_relative 'h.sql';\n",
    "functions/h.sql": A,
  });
  expect(readMigrationFolder(folder).migrations[0]?.up.sql).toBe(`BEGIN;\n${A}\n\n${B}\n\\i nowhere.sql\nCOMMIT;\n`);
});

test("options of soda's templates are put in, in both directions", () => {
  const folder = folderOf({
    "1_a.up.sql": `CREATE TABLE {{ index .Options "Namespace" }}.a ();`,
    "1_a.down.sql": `DROP TABLE {{ index .Options "Namespace" }}.{{ index .Options "table" }};`,
  });
  const { migrations, notices } = readMigrationFolder(folder, { variables: { Namespace: "auth" } });
  expect(migrations.map(({ up, down }) => [up.sql, down?.sql])).toEqual([
    ["CREATE TABLE auth.a ();", "DROP TABLE auth.table;"],
  ]);
  expect(notices).toEqual(["variables without a value stand for their own names: table"]);
});

test("goose puts the environment in where it is told to", () => {
  const text = `-- +goose Up
-- +goose StatementBegin
-- +goose ENVSUB ON
CREATE USER \${APP_USER} PASSWORD '$APP_WORD';
CREATE TABLE \${PREFIX:-my_}a (\${COLUMN} int);
-- +goose ENVSUB OFF
DO $body$ BEGIN RAISE NOTICE '$APP_WORD'; END $body$;
-- +goose StatementEnd
-- +goose Down
${DROP}`;
  const { migrations, notices } = readMigrationFolder(folderOf({ "1_a.sql": text }), {
    variables: { APP_USER: "app", APP_WORD: "word" },
  });
  const lines = (migrations[0]?.up.sql ?? "").split("\n").filter((line) => !/^--|^\s*$/.test(line));
  expect(lines).toEqual([
    "CREATE USER app PASSWORD 'word';",
    "CREATE TABLE my_a (COLUMN int);",
    "DO $body$ BEGIN RAISE NOTICE '$APP_WORD'; END $body$;",
  ]);
  expect(notices).toEqual(["variables without a value stand for their own names: COLUMN"]);
});

test("a date with its time is one version", () => {
  const folder = folderOf({
    "2021.08.16T17.02.53.a.sql": A,
    "2021.08.16T17.03.28.b.sql": B,
    "down/2021.08.16T17.02.53.a.sql": DROP,
  });
  const { migrations, notices } = readMigrationFolder(folder);
  expect(migrations.map(({ version, name, down }) => [version, name, down?.sql])).toEqual([
    ["2021.08.16T17.02.53", "a", DROP],
    ["2021.08.16T17.03.28", "b", undefined],
  ]);
  expect(notices).toEqual([]);
});

test("remarks with the word down are no marks", () => {
  const text = `-- set up\n${A}\n-- Down\n${DROP}\n`;
  expect(readMigrationFolder(folderOf({ "1_a.sql": text })).migrations[0]?.down).toBeUndefined();
  const prose = `-- the name of this file is no claim that a\n-- down migration exists somewhere\n${A}`;
  const { tool, migrations } = readMigrationFolder(folderOf({ "1_a.up.sql": prose }));
  expect([tool, migrations[0]?.up.sql, migrations[0]?.down]).toEqual(["golang-migrate", prose, undefined]);
  const both = `-- Up Migration: a\n${A}\n-- Down Migration: takes it back\n${DROP}`;
  expect(readMigrationFolder(folderOf({ "1_a.sql": both })).migrations[0]?.down?.sql).toContain(DROP);
});

test("files for other databases are passed over, and general ones where PostgreSQL has its own", () => {
  const names = [
    "mysql/1_a.up.sql",
    "postgres/1_a.up.sql",
    "2_b.up.sql",
    "2_b.postgres.up.sql",
    "2_b.sqlite3.up.sql",
    "3_add_mysql_id.up.sql",
  ];
  const { migrations, notices } = readMigrationFolder(folderOf(Object.fromEntries(names.map((name) => [name, A]))));
  expect(migrations.map(({ up }) => up.file)).toEqual([
    "postgres/1_a.up.sql",
    "2_b.postgres.up.sql",
    "3_add_mysql_id.up.sql",
  ]);
  expect(notices).toEqual([
    "passed over, because they are for other databases: 2_b.sqlite3.up.sql, 2_b.up.sql, mysql/1_a.up.sql",
  ]);
  expect(readMigrationFolder(folderOf({ "mysql/1_a.up.sql": A })).migrations).toHaveLength(1);
});

test.each<[string, readonly string[], readonly (readonly [string, string, string | undefined])[]]>([
  [
    "postgrator's do and undo",
    ["001.do.users.sql", "001.undo.users.sql", "002.do.sql", "002.undo.sql"],
    [
      ["001", "001.do.users.sql", "001.undo.users.sql"],
      ["002", "002.do.sql", "002.undo.sql"],
    ],
  ],
  [
    "a word at the end, beside the way there",
    ["1_a.sql", "1_a-reverse.sql", "2_b.sql", "2_b_rollback.sql", "3_add_rollback.sql"],
    [
      ["1", "1_a.sql", "1_a-reverse.sql"],
      ["2", "2_b.sql", "2_b_rollback.sql"],
      ["3", "3_add_rollback.sql", undefined],
    ],
  ],
  [
    "folders with numbers",
    ["v1.10/more.sql", "v1.2/add.sql", "v1.0/schema.sql"],
    [
      ["1.0", "v1.0/schema.sql", undefined],
      ["1.2", "v1.2/add.sql", undefined],
      ["1.10", "v1.10/more.sql", undefined],
    ],
  ],
])("names: %s", (_, names, expected) => {
  const { migrations } = readMigrationFolder(folderOf(Object.fromEntries(names.map((name) => [name, A]))));
  expect(migrations.map(({ version, up, down }) => [version, up.file, down?.file])).toEqual(expected);
});

test("a Cargo.toml above the folder tells sqlx from golang-migrate", () => {
  const files = { "app/migrations/1_a.up.sql": A, "app/migrations/1_a.down.sql": DROP };
  const plain = folderOf({ "app/migrations/1_a.sql": A, "Cargo.toml": '[dependencies]\nsqlx = "0.8"\n' });
  expect(readMigrationFolder(join(plain, "app/migrations")).tool).toBe("sqlx");
  for (const [cargo, tool] of [
    ['[dependencies]\nsqlx = { version = "0.8" }\n', "sqlx"],
    ["[workspace.dependencies.sqlx]\n", "sqlx"],
    ['[dependencies]\ntokio = "1"\n', "golang-migrate"],
  ] as const) {
    const folder = folderOf({ ...files, "Cargo.toml": cargo });
    expect(readMigrationFolder(join(folder, "app/migrations")).tool).toBe(tool);
  }
});

test("hasura orders by number, and its config.yaml tells its folders from Diesel's", () => {
  const files = { "migrations/default/1734482265331_b/up.sql": B, "migrations/default/1_a/up.sql": A };
  const { tool, migrations } = readMigrationFolder(join(folderOf(files), "migrations/default"));
  expect([tool, ...migrations.map(({ version }) => version)]).toEqual(["hasura", "1", "1734482265331"]);
  const first = { "config.yaml": "version: 3\nmetadata_directory: metadata\n", "migrations/default/1_a/up.sql": A };
  expect(readMigrationFolder(join(folderOf(first), "migrations/default")).tool).toBe("hasura");
});

test("a plan, journal or sum is taken where it lies nearest, as other projects' may lie below", () => {
  const files = {
    "sqitch.plan": "%project=x\na 2024-01-01T00:00:00Z A <a@x> # a\n",
    "deploy/a.sql": A,
    "before/sqitch.plan": "%project=y\nb 2024-01-01T00:00:00Z A <a@x> # b\n",
    "before/deploy/b.sql": B,
  };
  expect(readMigrationFolder(folderOf(files)).migrations.map(({ up }) => up.file)).toEqual(["deploy/a.sql"]);
  expect(readMigrationFolder(folderOf({ "db/atlas.sum": "h1:x", "db/1_a.sql": A })).tool).toBe("atlas");
});

test("changesets for other databases and ignored ones are passed over and told", () => {
  const heads = ["dbms:mysql,h2", 'dbms:"!oracle, !h2"', "dbms:postgresql,h2", "ignore:true", "dbms:!postgresql", ""];
  const text = heads.map((head, index) => `-- changeset "a b": ${index} ${head}\nSELECT ${index};\n`).join("");
  const folder = folderOf({ "a.sql": `-- liquibase formatted.sql\n${text}` });
  const { tool, migrations, notices } = readMigrationFolder(folder);
  expect([tool, ...migrations.map(({ version }) => version)]).toEqual(["liquibase", "a b:1", "a b:2", "a b:5"]);
  expect(notices).toEqual(["passed over in a.sql, by dbms or ignore: a b:0, a b:3, a b:4"]);
  expect(readSqlFiles(folder)[0]?.text.match(/SELECT \d/g)).toEqual(["SELECT 1", "SELECT 2", "SELECT 5"]);
});

test("Flyway's own schema is put in, and files that are no migrations of its are told", () => {
  const files = { "V1__a.sql": "CREATE TABLE ${flyway:defaultSchema}.a ();", "afterMigrate.sql": "SELECT 1;" };
  const { migrations, notices } = readMigrationFolder(folderOf(files));
  expect(migrations.map(({ up }) => up.sql)).toEqual(["CREATE TABLE public.a ();"]);
  expect(notices).toEqual(["passed over, because their names are not those of migrations: afterMigrate.sql"]);
  const given = { variables: { "flyway:defaultSchema": "app" } };
  expect(readMigrationFolder(folderOf(files), given).migrations[0]?.up.sql).toBe("CREATE TABLE app.a ();");
});

test("what a layout does not run is told", () => {
  const noticesOf = (files: Readonly<Record<string, string>>) => readMigrationFolder(folderOf(files)).notices;
  expect(noticesOf({ "1_a/up.sql": A, "1_a/down.sql": DROP, "seed.sql": B, "2_b/down.sql": DROP })).toEqual([
    "passed over, because up.sql is the file that is run: 2_b/down.sql, seed.sql",
  ]);
  expect(noticesOf({ "001.do.sql": A, "002.b.sql": B })).toEqual([
    "passed over, because their names say neither do nor undo: 002.b.sql",
  ]);
  const changelog = "databaseChangeLog:\n- changeSet:\n    changes:\n    - sqlFile: {path: a.sql}\n";
  expect(noticesOf({ "changelog.yaml": changelog, "a.sql": A, "b.sql": B })).toEqual([
    "passed over, because the changelog does not name them: b.sql",
  ]);
  const formatted = `--liquibase formatted sql\n--changeset anna:1\n${A}`;
  expect(noticesOf({ "a.sql": formatted, "b.sql": "-- liquibase formatted sql\n" })).toEqual([
    "passed over, because they hold no changeset: b.sql",
  ]);
  expect(noticesOf({ "1_a.sql": "-- depends: 0_code\n", "2_b.rollback.sql": DROP })).toEqual([
    "what they depend on is not there as SQL: 1_a on 0_code",
    "these lead back from a migration that is not there: 2_b.rollback.sql",
  ]);
});

test("equal numbers are told of tools that count by them", () => {
  const marked = `-- +migrate Up\n${A}`;
  expect(readMigrationFolder(folderOf({ "1-a.sql": marked, "1-b.sql": marked })).notices).toEqual([]);
  const changeset = `--liquibase formatted sql\n--changeset anna:1\n${A}`;
  expect(readMigrationFolder(folderOf({ "a.sql": changeset, "b.sql": changeset })).notices).toEqual([]);
});

test("two files of one version, and a way back without a migration, are told", () => {
  const { notices } = readMigrationFolder(folderOf({ "1_a.up.sql": A, "1_b.up.sql": B, "2_c.down.sql": DROP }));
  expect(notices).toEqual([
    "these lead back from a migration that is not there: 2_c.down.sql",
    "1_a.up.sql and 1_b.up.sql have the same version",
  ]);
});

test("a folder without SQL, a missing one, and a plan whose file is gone are refused with what to do", () => {
  expect(() => readMigrationFolder(folderOf({ "a.ts": "" }))).toThrow(InvalidInputError);
  expect(() => readMigrationFolder("/nowhere/at/all")).toThrow("/nowhere/at/all does not exist");
  expect(() =>
    readMigrationFolder(folderOf({ "migration_lock.toml": 'provider = "mysql"', "1_a/migration.sql": A })),
  ).toThrow("these migrations are for mysql, not PostgreSQL");
  const journal = JSON.stringify({ dialect: "postgresql", entries: [{ idx: 0, tag: "0000_gone" }] });
  expect(() => readMigrationFolder(folderOf({ "meta/_journal.json": journal, "0001_a.sql": A }))).toThrow(
    /0000_gone\.sql cannot be read/,
  );
});

test("links are followed, but not round and round, and one to nothing is refused", () => {
  const folder = folderOf({ "sql/1_a.sql": A, "other/2_b.sql": B });
  symlinkSync("..", join(folder, "sql/again"));
  symlinkSync("../other", join(folder, "sql/more"));
  symlinkSync("../other/2_b.sql", join(folder, "sql/3_c.sql"));
  const files = ["1_a.sql", "more/2_b.sql", "3_c.sql"];
  const inside = (name: string): boolean => !name.startsWith("again");
  const { migrations } = readMigrationFolder(join(folder, "sql"));
  expect(migrations.map(({ up }) => up.file).filter(inside)).toEqual(files);
  expect(
    readSqlFiles(join(folder, "sql"))
      .map(({ name }) => name)
      .filter(inside),
  ).toEqual(["1_a.sql", "3_c.sql", "more/2_b.sql"]);
  symlinkSync("gone.sql", join(folder, "sql/4_d.sql"));
  for (const read of [readMigrationFolder, readSqlFiles])
    expect(() => read(join(folder, "sql"))).toThrow("4_d.sql is a symbolic link to a file that is not there");
});

test("the tool may be named", () => {
  const folder = folderOf({ "1_a.up.sql": A, "1_a.down.sql": DROP });
  expect(readMigrationFolder(folder, { tool: "sqlx" }).migrations.map(brief)).toEqual([["1", "a", A, DROP, "file"]]);
});

test("variables are put in, in each tool's form", () => {
  const text = `CREATE TABLE \${schema}.a (b text DEFAULT :'schema', c text DEFAULT 'x:schema', d {{ .schema }}.t, e :"schema".t, f int8::schema, g int DEFAULT (1):::schema.t);`;
  const [migration] = readMigrationFolder(folderOf({ "1_a.sql": text }), { variables: { schema: "app" } }).migrations;
  expect(migration?.up.sql).toBe(
    `CREATE TABLE app.a (b text DEFAULT 'app', c text DEFAULT 'x:schema', d app.t, e "app".t, f int8::schema, g int DEFAULT (1)::app.t);`,
  );
});

test("each part says for itself whether it takes a transaction", () => {
  const scopes = (text: string) => {
    const [migration] = readMigrationFolder(folderOf({ "1_a.sql": text })).migrations;
    return [migration?.up.transaction, migration?.down?.transaction];
  };
  expect(scopes(`-- migrate:up\n${A}\n-- migrate:down transaction:false\n${DROP}`)).toEqual(["file", "statement"]);
  expect(scopes(`-- +migrate Up notransaction\n${A}\n-- +migrate Down\n${DROP}`)).toEqual(["statement", "file"]);
  expect(scopes(`-- +goose NO TRANSACTION\n-- +goose Up\n${A}\n-- +goose Down\n${DROP}`)).toEqual([
    "statement",
    "statement",
  ]);
});
