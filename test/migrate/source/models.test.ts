// Drizzle models as a source of a schema.
import { expect, test } from "vitest";
import { compareCatalogs, readCatalog, type Catalog, type Change } from "../../../src/catalog/index.ts";
import { planMigration, readSource } from "../../../src/migrate/index.ts";
import type { Database } from "../../../src/postgres/index.ts";
import { testDatabase } from "../../support/test-database.ts";
import { applyPlan } from "../corpus.ts";
import { filesOf } from "./support.ts";

const EVERYTHING = `
import { sql } from "drizzle-orm";
import * as d from "drizzle-orm/pg-core";
export const shop = d.pgSchema("shop");
export const mood = d.pgEnum("mood", ["glad", "it's fine"]);
export const state = shop.enum("state", ["open", "done"]);
export const ticket = shop.sequence("ticket", { startWith: 100, increment: 5, cycle: true });
const bytes = d.customType<{ data: Uint8Array }>({ dataType: () => "bytea" });
export const users = shop.table("users", {
  id: d.uuid().primaryKey().defaultRandom(),
  email: d.varchar({ length: 200 }).notNull().unique(),
  mood: mood().default("it's fine").notNull(),
  moods: mood().array().default(["glad"]),
  state: state().notNull().default("open"),
  ticket: d.integer().default(sql\`nextval('shop.ticket')\`),
  balance: d.numeric({ precision: 12, scale: 2 }).default("0.50"),
  score: d.doublePrecision().default(1.5),
  big: d.bigint({ mode: "bigint" }).default(9007199254740993n),
  isActive: d.boolean("is_active").notNull().default(true),
  tags: d.text().array().notNull().default([]),
  grid: d.integer().array(3).array(3),
  settings: d.jsonb().notNull().default({ theme: "it's dark", n: [1, 2] }),
  at: d.timestamp({ withTimezone: true, precision: 3 }).notNull().defaultNow(),
  born: d.date(),
  raw: bytes(),
  full: d.text().generatedAlwaysAs((): any => sql\`lower(\${users.email})\`),
  seq: d.integer().generatedAlwaysAsIdentity({ startWith: 7 }),
}, (t) => [
  d.index().on(t.state, t.at.desc().nullsFirst()),
  d.index("users_lower").on(sql\`lower(\${t.email})\`).where(sql\`\${t.isActive} AND \${t.score} > \${0}\`),
  d.index("users_tags").using("gin", t.tags),
  d.index("users_email_pattern").on(t.email.op("text_pattern_ops")).with({ fillfactor: 70 }),
  d.uniqueIndex("users_born").on(t.born),
  d.unique("users_pair").on(t.balance, t.score).nullsNotDistinct(),
  d.check("users_score", sql\`\${t.score} >= \${0} AND \${t.email} <> \${"it's"}\`),
  d.pgPolicy("users_read", { for: "select", to: ["public"], using: sql\`\${t.isActive}\` }),
]);
export const a_table_with_a_rather_long_name_of_its_own = d.pgTable("a_table_with_a_rather_long_name_of_its_own", {
  left_hand_side_identifier: d.serial(),
  right_hand_side_identifier: d.uuid().references(() => users.id, { onDelete: "cascade", onUpdate: "restrict" }),
}, (t) => [d.primaryKey({ columns: [t.left_hand_side_identifier, t.right_hand_side_identifier] })]);
export const active = d.pgView("active", { id: d.uuid(), email: d.text() })
  .with({ securityInvoker: true }).as(sql\`select id, email from \${users} where \${users.isActive}\`);
export const totals = d.pgMaterializedView("totals").withNoData().as((qb) => qb.select({ state: users.state }).from(users));
`;

async function migrateTo(database: Database, present: Catalog, wanted: Catalog): Promise<Catalog> {
  await applyPlan(database, planMigration(present, wanted));
  return readCatalog(database);
}

const shown = (changes: readonly Change[]): readonly string[] =>
  changes.map((change) =>
    change.kind === "unknown"
      ? `${change.what} ${change.object.name}`
      : change.kind === "alter"
        ? `alter ${change.after.id}: ${JSON.stringify(change.facts)}`
        : `${change.kind} ${change.kind === "create" ? change.after.id : change.before.id}`,
  );

test("every kind of thing that Drizzle can say is built, and reached by a migration from nothing", async () => {
  const folder = filesOf({ "schema.ts": EVERYTHING });
  await using database = await testDatabase();
  const { catalog: wanted } = await readSource(
    { kind: "models", paths: [`${folder}/schema.ts`] },
    { engine: "scratch", server: database },
  );
  const users = wanted.tables.find(({ name }) => name === "users");
  const columns = new Map(users?.columns.map((column) => [column.name, column]));
  expect(columns.get("moods")).toMatchObject({ type: "public.mood[]", default: "'{glad}'::public.mood[]" });
  expect(columns.get("settings")?.default).toBe(`'{"n": [1, 2], "theme": "it''s dark"}'::jsonb`);
  expect(columns.get("big")?.default).toBe("'9007199254740993'::bigint");
  expect(columns.get("full")?.generated).toEqual({ kind: "stored", expression: "lower((email)::text)" });
  expect(users?.indexes.map(({ definition }) => definition.replace(/^CREATE /, ""))).toEqual(
    expect.arrayContaining([
      "INDEX users_state_at_index ON shop.users USING btree (state, at DESC)",
      "INDEX users_lower ON shop.users USING btree (lower((email)::text)) WHERE (is_active AND (score > (0)::double precision))",
      "INDEX users_email_pattern ON shop.users USING btree (email text_pattern_ops) WITH (fillfactor='70')",
    ]),
  );
  expect(users?.policies).toMatchObject([{ name: "users_read", command: "select", using: "is_active" }]);
  expect(users?.rowSecurity).toEqual({ enabled: true, forced: false });
  expect(wanted.views.map(({ name, options, isPopulated }) => [name, options, isPopulated])).toEqual([
    ["active", ["security_invoker=true"], true],
    ["totals", [], false],
  ]);

  const reached = await migrateTo(database, await readCatalog(database), wanted);
  expect(shown(compareCatalogs(reached, wanted))).toEqual([]);
  const again = await readSource(
    { kind: "models", paths: [`${folder}/schema.ts`] },
    { engine: "scratch", server: database, present: reached },
  );
  expect(shown(compareCatalogs(reached, again.catalog))).toEqual([]);
});

test("what defineTable says beside a table becomes part of the schema", async () => {
  const folder = filesOf({
    "db/tables.ts": `
import { pgTable, integer, text, timestamp, index, unique, primaryKey } from "drizzle-orm/pg-core";
import { defineTable } from "pgsteward/session";
export const rooms = defineTable(pgTable("rooms", { id: integer().primaryKey(), roomName: text("room_name").notNull(), size: integer() },
  (t) => [index("rooms_size").on(t.size), unique("rooms_name").on(t.roomName)]), {
  comment: "Where people meet", columnComments: { roomName: "As on the door" }, forceRowSecurity: true,
  include: { rooms_size: ["roomName"] }, deferrable: { rooms_name: "initially deferred" },
  exclude: { rooms_no_twins: "USING btree (size WITH =) WHERE (size > 100)" },
  triggers: { rooms_touch: "BEFORE UPDATE OF room_name FOR EACH ROW WHEN (OLD.room_name <> NEW.room_name) EXECUTE FUNCTION touch('FOR')" },
  storageParameters: { fillfactor: "80" },
});
export const events = defineTable(pgTable("events", { id: integer().notNull(), at: timestamp({ withTimezone: true }).notNull() },
  (t) => [primaryKey({ columns: [t.id, t.at] })]), {
  partitionBy: "RANGE (at)",
  partitions: { events_2026: "FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')", events_rest: "DEFAULT" },
});`,
    "db/functions.sql": `CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;`,
  });
  await using database = await testDatabase();
  const { catalog } = await readSource(
    { kind: "models", paths: [`${folder}/db/tables.ts`, `${folder}/db/functions.sql`] },
    { engine: "scratch", server: database },
  );
  const rooms = catalog.tables.find(({ name }) => name === "rooms");
  expect(rooms).toMatchObject({
    comment: "Where people meet",
    rowSecurity: { enabled: true, forced: true },
    storageParameters: ["fillfactor=80"],
    triggers: [{ name: "rooms_touch", updateColumns: ["room_name"] }],
  });
  expect(rooms?.columns.find(({ name }) => name === "room_name")?.comment).toBe("As on the door");
  expect(rooms?.indexes.find(({ name }) => name === "rooms_size")?.include).toEqual(["room_name"]);
  expect(rooms?.constraints).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ name: "rooms_name", isDeferrable: true, isInitiallyDeferred: true }),
      expect.objectContaining({ name: "rooms_no_twins", kind: "exclusion" }),
    ]),
  );
  expect(catalog.tables.filter(({ partitionOf }) => partitionOf !== undefined)).toMatchObject([
    { name: "events_2026" },
    { name: "events_rest", partitionOf: { bound: "DEFAULT" } },
  ]);
});

test("what models do not speak of stays as it is", async () => {
  const folder = filesOf({
    "schema.ts": `
import { pgTable, integer, text, timestamp, foreignKey, index, primaryKey, unique } from "drizzle-orm/pg-core";
export const users = pgTable("users", { id: integer().primaryKey(), email: text().notNull().unique(), note: text() }, (t) => [index("users_note").on(t.note)]);
export const posts = pgTable("posts", { id: integer().primaryKey(), author: integer().references(() => users.id) });
export const events = pgTable("events", { id: integer().notNull(), at: timestamp().notNull(), kind: text() }, (t) => [primaryKey({ columns: [t.id, t.at] }), index("events_kind").on(t.kind)]);
export const fresh = pgTable("fresh", { id: integer().primaryKey() });
`,
  });
  await using database = await testDatabase({
    setup: `
CREATE EXTENSION pg_trgm;
CREATE SCHEMA other CREATE TABLE kept (id integer PRIMARY KEY, n serial);
CREATE DOMAIN short AS text CHECK (length(VALUE) < 9);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TABLE users (id integer CONSTRAINT users_primary PRIMARY KEY, email text COLLATE "C" NOT NULL CONSTRAINT users_mail UNIQUE DEFERRABLE, note text);
CREATE INDEX users_note ON users (note) INCLUDE (email);
ALTER TABLE users ALTER COLUMN note SET STATISTICS 500, ALTER COLUMN note SET STORAGE EXTERNAL;
ALTER TABLE users SET (fillfactor = 70);
COMMENT ON COLUMN users.note IS 'free text';
CREATE TRIGGER users_touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY users_all ON users USING (true);
CREATE TABLE posts (id integer PRIMARY KEY, author integer CONSTRAINT written_by REFERENCES users);
CREATE VIEW mails AS SELECT email FROM users;
CREATE TABLE events (id integer NOT NULL, at timestamp NOT NULL, kind text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE INDEX events_kind ON events (kind);
CREATE TABLE events_old PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
ALTER INDEX events_old_kind_idx RENAME TO kinds_of_old;
CREATE TABLE gone (id integer PRIMARY KEY);
CREATE VIEW of_gone AS SELECT id FROM gone;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
GRANT SELECT ON users TO PUBLIC;`,
  });
  const present = await readCatalog(database);
  const { catalog, notices } = await readSource(
    { kind: "models", paths: [`${folder}/schema.ts`] },
    { engine: "scratch", server: database, present },
  );
  const changes = compareCatalogs(present, catalog);
  expect(shown(changes).filter((change) => !/ (?:public\.)?(?:gone|fresh)/.test(change))).toEqual([
    "drop view public.of_gone",
  ]);
  expect(shown(changes)).toContain("drop table public.gone");
  expect(notices).toEqual([expect.stringContaining("view public.of_gone is not kept")]);
  await applyPlan(database, planMigration(present, catalog));
  expect(shown(compareCatalogs(await readCatalog(database), catalog))).toEqual([]);
});

test("a property without a name follows the casing", async () => {
  const folder = filesOf({
    "schema.ts": `
import { pgTable, integer, uniqueIndex } from "drizzle-orm/pg-core";
export const t = pgTable("t", { theKey: integer().primaryKey(), someValue: integer() }, (t) => [uniqueIndex().on(t.someValue)]);`,
  });
  await using database = await testDatabase();
  const { catalog } = await readSource(
    { kind: "models", paths: [folder], casing: "snake_case" },
    { engine: "scratch", server: database },
  );
  const [table] = catalog.tables;
  expect(table?.columns.map(({ name }) => name)).toEqual(["the_key", "some_value"]);
  expect(table?.indexes.map(({ name }) => name)).toContain("t_some_value_index");
});

test.for([
  ["export const x = 1;", "no Drizzle table is exported by schema.ts"],
  [`import "./nowhere";`, "schema.ts cannot be imported: Cannot find module './nowhere'"],
  [`export const x = ;`, "schema.ts cannot be imported"],
  [`throw new Error("needs DATABASE_URL");`, "schema.ts cannot be imported: needs DATABASE_URL"],
  [
    `import { pgTable, integer, text } from "drizzle-orm/pg-core";
     export const a = pgTable("t", { id: integer() }); export const b = pgTable("t", { id: text() });`,
    "two models have the name public.t: a in schema.ts and b in schema.ts",
  ],
  [
    `import { mysqlTable, int } from "drizzle-orm/mysql-core"; export const t = mysqlTable("t", { id: int() });`,
    "t in schema.ts is not a PostgreSQL table",
  ],
  [
    `import { pgTable, customType } from "drizzle-orm/pg-core";
     const odd = customType<{ data: string }>({ dataType: () => "" }); export const t = pgTable("t", { id: odd() });`,
    "the column public.t.id has a type that cannot be written as SQL",
  ],
  [
    `import { pgTable, customType } from "drizzle-orm/pg-core";
     const odd = customType<{ data: string }>({ dataType: () => "no_such" }); export const t = pgTable("t", { id: odd() });`,
    `the table public.t cannot be built: type "no_such" does not exist`,
  ],
  [
    `import { pgTable, integer } from "drizzle-orm/pg-core";
     const a = pgTable("a", { id: integer().primaryKey() }); export const b = pgTable("b", { id: integer().references(() => a.id) });`,
    `relation "public.a" does not exist`,
  ],
] as const)("models that cannot be used say why: %s", async ([source, message]) => {
  const folder = filesOf({ "schema.ts": source });
  await using database = await testDatabase();
  await expect(
    readSource({ kind: "models", paths: [`${folder}/schema.ts`] }, { engine: "scratch", server: database }),
  ).rejects.toThrow(message);
});
