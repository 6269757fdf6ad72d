// Two schemas read one after the other, of every kind of source, and the migrations written from their difference.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { compareCatalogs, readCatalog } from "../../../src/catalog/index.ts";
import {
  draftMigration,
  planMigration,
  readMigrationFolder,
  readMigrations,
  readSource,
  readSources,
  summaryOf,
  withoutRecords,
  writeMigration,
  type Source,
  type Step,
} from "../../../src/migrate/index.ts";
import { testDatabase } from "../../support/test-database.ts";
import { filesOf } from "./support.ts";

const AT = new Date("2026-03-04T05:06:07.089Z");

test("migrations written from models one after the other make the models", async () => {
  const folder = filesOf({});
  const migrations = join(folder, "migrations");
  await using database = await testDatabase();
  const shadow = { engine: "scratch", server: database } as const;
  const versions = [
    `export const users = pgTable("users", { id: integer().primaryKey(), email: text() });`,
    `export const state = pgEnum("state", ["on", "off"]);
     export const users = pgTable("users", { id: integer().primaryKey(), email: text().notNull().unique(), state: state().notNull().default("on") },
       (t) => [index("users_state").on(t.state), check("users_email", sql\`length(\${t.email}) > 3\`)]);
     export const posts = pgTable("posts", { id: integer().primaryKey(), author: integer().notNull().references(() => users.id) });`,
    `export const users = pgTable("users", { id: bigint({ mode: "number" }).primaryKey() });`,
  ];
  let before: Source = { kind: "empty" };
  for (const [position, text] of versions.entries()) {
    const module = join(folder, `schema${position}.ts`);
    writeFileSync(
      module,
      `import { sql } from "drizzle-orm"; import { bigint, check, index, integer, pgEnum, pgTable, text } from "drizzle-orm/pg-core"; ${text}`,
    );
    const models: Source = { kind: "models", paths: [module] };
    const { from, to } = await readSources(before, models, shadow);
    const draft = draftMigration(
      migrations,
      {
        name: `step ${position}`,
        why: "to see\nhow",
        up: planMigration(from.catalog, to.catalog),
        down: planMigration(to.catalog, from.catalog),
      },
      AT,
    );
    writeMigration(migrations, draft);
    before = { kind: "migrations", path: migrations };
    const again = await readSources(before, models, shadow);
    expect(compareCatalogs(again.from.catalog, again.to.catalog)).toEqual([]);
  }
  expect(readdirSync(migrations)).toEqual(["0001_step_0.sql", "0002_step_1.sql", "0003_step_2.sql"]);
  const [, second, third] = readMigrations(migrations);
  expect(second?.text).toMatch(/^-- 0002_step_1: to see how\n/);
  expect(second?.up.isTransactional).toBe(false);
  expect(second?.irreversible).toBeUndefined();
  expect(readMigrationFolder(migrations).migrations[1]?.down?.transaction).toBe("statement");
  expect(third?.irreversible).toContain("gone");
});

test("an equal schema from SQL, from migrations and from a database differs in nothing; records of tools are not part of it", async () => {
  const sql = "CREATE TABLE t (id integer PRIMARY KEY); CREATE VIEW v AS SELECT id FROM t;";
  const folder = filesOf({
    "schema.sql": sql,
    "m/0001_t.sql": "-- migrate:up\nCREATE TABLE t (id integer PRIMARY KEY);\n-- migrate:down\nDROP TABLE t;\n",
    "m/0002_v.sql": "-- migrate:up\nCREATE VIEW v AS SELECT id FROM t;\n-- migrate:down\nDROP VIEW v;\n",
  });
  await using database = await testDatabase({
    setup: `${sql} CREATE SCHEMA pgsteward CREATE TABLE schema_migrations (version text); CREATE TABLE _prisma_migrations (id serial);`,
  });
  const shadow = { engine: "scratch", server: database } as const;
  const { from, to } = await readSources(
    { kind: "sql", path: join(folder, "schema.sql") },
    { kind: "migrations", path: join(folder, "m") },
    shadow,
  );
  expect(compareCatalogs(from.catalog, to.catalog)).toEqual([]);
  const live = await readSource({ kind: "database", database });
  expect(compareCatalogs(live.catalog, to.catalog)).toEqual([]);
  const whole = await readSource({ kind: "database", database }, { includeRecords: true });
  expect(compareCatalogs(whole.catalog, to.catalog).length).toBeGreaterThan(3);
  expect(compareCatalogs(withoutRecords(whole.catalog), withoutRecords(await readCatalog(database)))).toEqual([]);
});

test("what a plan changes is said in words, comments and privileges by what they are on", async () => {
  const folder = filesOf({
    "a.sql": "CREATE TABLE t (id integer);",
    "b.sql": `CREATE TABLE t (id integer); COMMENT ON TABLE t IS 'x'; GRANT SELECT ON t TO PUBLIC; CREATE VIEW v AS SELECT 1 AS one;`,
  });
  await using database = await testDatabase();
  const { from, to } = await readSources(
    { kind: "sql", path: join(folder, "a.sql") },
    { kind: "sql", path: join(folder, "b.sql") },
    { engine: "scratch", server: database },
  );
  expect(summaryOf(planMigration(from.catalog, to.catalog).changes)).toEqual([
    "creates comment on TABLE public.t, view public.v, privileges on TABLE public.t",
  ]);
});

test("a throw-away database that cannot be emptied is not used again", async () => {
  const folder = filesOf({
    "a.sql": `CREATE EXTENSION citext; CREATE TABLE t (id citext); SELECT lo_create(4711); CREATE PUBLICATION p FOR TABLE t;`,
    "b.sql": "CREATE TABLE t (id integer);",
  });
  await using database = await testDatabase();
  const { from, to } = await readSources(
    { kind: "sql", path: join(folder, "a.sql") },
    { kind: "sql", path: join(folder, "b.sql") },
    { engine: "scratch", server: database },
  );
  expect(from.catalog.tables[0]?.columns[0]?.type).toBe("public.citext");
  expect(to.catalog.tables[0]?.columns[0]?.type).toBe("integer");
  expect(to.catalog.extensions.map(({ name }) => name)).not.toContain("citext");
});

describe("the next migration", () => {
  const empty = { changes: [], steps: [], notCovered: [] };
  const step = {
    sql: "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1' -- one",
    transactionGroup: 1,
    inTransaction: true,
    kind: "create",
    subject: "function public.f()",
    locks: [],
    hazards: [],
    reversal: "",
    authorisation: false,
  } as unknown as Step;
  const draft = { name: "addOwner to Agents!", up: { ...empty, steps: [step] }, down: empty };

  test.for([
    [[], "0001_add_owner_to_agents.sql"],
    [["0001_a.sql", "0009_b.sql"], "0010_add_owner_to_agents.sql"],
    [["7_a.sql"], "8_add_owner_to_agents.sql"],
    [["20250101000000_a.sql"], "20260304050607_add_owner_to_agents.sql"],
    [["20300101000000_a.sql"], "20300101000001_add_owner_to_agents.sql"],
    [["1700000000_a.sql"], "1772600767_add_owner_to_agents.sql"],
  ] as const)("goes on with the numbers of %j", ([names, file]) => {
    const folder = filesOf(Object.fromEntries(names.map((name) => [name, "-- migrate:up\nSELECT 1;\n"])));
    expect(draftMigration(folder, draft, AT)).toMatchObject({ file });
  });

  test("puts a semicolon where a comment at the end does not hide it, and never writes over a file", () => {
    const folder = join(filesOf({}), "new");
    const written = draftMigration(folder, draft, AT);
    const path = writeMigration(folder, written);
    expect(readFileSync(path, "utf8")).toContain("'SELECT 1' -- one\n;\n");
    expect(() => writeMigration(folder, written)).toThrow("is there already");
  });

  test("is refused in the folder of another tool, without a name, and with a mark inside a body", () => {
    const folder = filesOf({});
    mkdirSync(join(folder, "20240101_init"));
    writeFileSync(join(folder, "20240101_init/migration.sql"), "SELECT 1;");
    expect(() => draftMigration(folder, draft, AT)).toThrow("are of another tool");
    expect(() => draftMigration(filesOf({ "V1__a.sql": "SELECT 1;" }), draft, AT)).toThrow("are of another tool");
    expect(() => draftMigration(filesOf({}), { ...draft, name: "?!" }, AT)).toThrow("cannot be the name");
    const marked = { ...step, sql: "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$\n-- migrate:down\nSELECT 1$$" };
    expect(() => draftMigration(filesOf({}), { ...draft, up: { ...empty, steps: [marked] } }, AT)).toThrow(
      "like a mark",
    );
  });
});

test("a folder of Supabase is compared as others are, with what each project has on both sides", async () => {
  const folder = filesOf({
    "supabase/migrations/20240101000000_a.sql": `CREATE TABLE profiles (id uuid PRIMARY KEY REFERENCES auth.users (id) DEFAULT extensions.uuid_generate_v4());
      ALTER TABLE profiles ENABLE ROW LEVEL SECURITY;
      CREATE POLICY own ON profiles USING (auth.uid() = id);
      CREATE POLICY read ON storage.objects FOR SELECT USING (bucket_id = 'avatars');`,
    "supabase/migrations/20240102000000_b.sql": `ALTER PUBLICATION supabase_realtime ADD TABLE profiles;
      CREATE EXTENSION IF NOT EXISTS pg_cron;
      SELECT cron.schedule('job', '* * * * *', 'SELECT 1');
      CREATE TABLE jobs (id int);`,
  });
  const migrations: Source = { kind: "migrations", path: join(folder, "supabase/migrations") };
  await using project = await testDatabase();
  const shadow = { engine: "scratch", server: project } as const;
  await expect(readSources({ kind: "empty" }, migrations, shadow)).rejects.toMatchObject({
    message: expect.stringContaining("20240102000000_b.sql:3:"),
    hint: expect.stringContaining("lacks pg_cron"),
  });
  const { from, to } = await readSources({ kind: "empty" }, migrations, { ...shadow, skipsMissingExtensions: true });
  expect(to.notices.join("\n")).toContain("not examined, as pg_cron is not there: 20240102000000_b.sql:3: schema");
  const plan = planMigration(from.catalog, to.catalog);
  const sql = plan.steps.map((step) => step.sql).join("\n");
  expect(sql).toContain('CREATE TABLE "public"."jobs"');
  expect(sql).toMatch(/CREATE POLICY "read" ON "storage"."objects"/);
  expect(sql).not.toContain('CREATE TABLE "auth"');
  // A project's own database has more than the stand-in, and other versions of it.
  await project.exec(`CREATE SCHEMA auth; CREATE TABLE auth.users (id uuid PRIMARY KEY, more text); CREATE SCHEMA vault; CREATE TABLE vault.secrets ();
    CREATE TABLE profiles (id uuid PRIMARY KEY REFERENCES auth.users (id) DEFAULT gen_random_uuid()); CREATE TABLE jobs (id bigint);`);
  const against = await readSources({ kind: "database", database: project }, migrations, {
    ...shadow,
    skipsMissingExtensions: true,
  });
  const changes = compareCatalogs(against.from.catalog, against.to.catalog);
  const names = changes.map((change) =>
    change.kind === "unknown" ? "unknown" : change.kind === "create" ? change.after.id : change.before.id,
  );
  expect(names).toContain("column public.jobs.id");
  expect(names.filter((name) => /\b(?:auth|vault|storage|extensions)\b/.test(name))).toEqual([]);
  expect(against.to.notices.join()).toContain("not compared, as Supabase makes them");
});
