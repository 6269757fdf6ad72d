// Tables of every shape that rows are tracked in, with some rows.
import { sql } from "drizzle-orm";
import {
  bigint,
  bigserial,
  boolean,
  char,
  customType,
  date,
  doublePrecision,
  integer,
  interval,
  json,
  jsonb,
  numeric,
  pgTable,
  point,
  primaryKey,
  real,
  text,
  timestamp,
  uuid,
} from "drizzle-orm/pg-core";
import { createSessionFactory, defineTable } from "../../src/session/index.ts";
import type { Database } from "../../src/postgres/index.ts";

export interface State {
  owner: { id: string | null; name?: string };
  tasks: { title: string; done: boolean }[];
  notes?: Record<string, unknown>;
}
export const docs = pgTable("docs", {
  id: integer().primaryKey(),
  title: text().notNull(),
  count: integer().notNull().default(0),
  state: jsonb().$type<State>(),
});
const bytea = customType<{ data: Buffer }>({ dataType: () => "bytea" });
export const kinds = pgTable("kinds", {
  id: uuid().primaryKey().defaultRandom(),
  big: bigint({ mode: "bigint" }),
  bigNumber: bigint("big_number", { mode: "number" }),
  amount: numeric(),
  at: timestamp({ withTimezone: true }),
  atText: timestamp("at_text", { withTimezone: true, mode: "string" }),
  day: date({ mode: "date" }),
  span: interval(),
  tags: text().array(),
  grid: integer().array().array(),
  raw: bytea(),
  plain: json().$type<{ a: number; b?: string }>(),
  list: jsonb().array().$type<{ a: number }[]>(),
  ratio: doublePrecision(),
  small: real(),
  flag: boolean(),
  code: char({ length: 5 }),
  spot: point(),
});
export const parts = pgTable(
  "parts",
  {
    doc: integer().notNull(),
    number: integer().notNull(),
    body: text().notNull(),
    createdAt: timestamp("created_at", { withTimezone: true }).notNull().defaultNow(),
  },
  (table) => [primaryKey({ columns: [table.doc, table.number] })],
);
export const versioned = defineTable(
  pgTable("versioned", {
    id: integer().primaryKey(),
    title: text().notNull(),
    state: jsonb().$type<Record<string, number>>(),
    version: integer().notNull().default(1),
    deleted_at: timestamp({ withTimezone: true }),
  }),
  { version: "version", softDelete: "deleted_at" },
);
export const made = pgTable("made", {
  id: bigserial({ mode: "number" }).primaryKey(),
  title: text().notNull(),
  slug: text().generatedAlwaysAs(sql`lower(title)`),
  token: uuid().notNull().defaultRandom(),
  updatedAt: timestamp("updated_at", { withTimezone: true }).notNull().defaultNow(),
  touched: integer().$onUpdate(() => 42),
  state: jsonb().$type<{ a: number; byTrigger?: boolean }>(),
});
export const keyless = pgTable("keyless", { n: integer() });

export const TRACKED_SQL = `
CREATE TABLE docs (id int PRIMARY KEY, title text NOT NULL, count int NOT NULL DEFAULT 0, state jsonb);
INSERT INTO docs VALUES (1, 'one', 0, '{"owner": {"id": "a"}, "tasks": [{"title": "x", "done": false}]}'), (2, 'two', 0, NULL), (3, 'three', 0, 'null');
CREATE TABLE kinds (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), big bigint, big_number bigint, amount numeric, at timestamptz, at_text timestamptz,
  day date, span interval, tags text[], grid int[][], raw bytea, plain json, list jsonb[], ratio float8, small float4, flag bool, code char(5), spot point);
INSERT INTO kinds VALUES ('00000000-0000-4000-8000-00000000000a', 9007199254740993, 42, 1.500, '2026-01-02 03:04:05.678901+02', '2026-01-02 03:04:05.678901+02',
  '2026-01-02', '1 day 02:00', '{a,"b c",NULL,"\\"q"}', '{{1,2},{3,4}}', '\\x00ff', '{"b": "x",  "a": 1}', ARRAY['{"a": 1}'::jsonb], 'NaN', 1.1, true, 'ab', '(1,2.5)'),
  ('00000000-0000-4000-8000-00000000000b', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE parts (doc int, number int, body text NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (doc, number));
INSERT INTO parts VALUES (1, 1, 'a'), (1, 2, 'b');
CREATE TABLE versioned (id int PRIMARY KEY, title text NOT NULL, state jsonb, version int NOT NULL DEFAULT 1, deleted_at timestamptz);
INSERT INTO versioned VALUES (1, 'one', '{"a": 1}', 1, NULL), (2, 'gone', NULL, 1, now());
CREATE TABLE made (id bigserial PRIMARY KEY, title text NOT NULL, slug text GENERATED ALWAYS AS (lower(title)) STORED, token uuid NOT NULL DEFAULT gen_random_uuid(),
  updated_at timestamptz NOT NULL DEFAULT '2000-01-01', touched int, state jsonb);
CREATE FUNCTION made_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  NEW.updated_at := '2026-01-01 00:00:00Z'; NEW.state := NEW.state || '{"byTrigger": true}'; RETURN NEW; END $$;
CREATE TRIGGER made_trigger BEFORE UPDATE ON made FOR EACH ROW EXECUTE FUNCTION made_trigger();`;
export const K1 = "00000000-0000-4000-8000-00000000000a";
export const K2 = "00000000-0000-4000-8000-00000000000b";

/** A database with these tables, and what units sent to it. */
export async function startTracked(open: (options: { readonly setup: string }) => Promise<Database>) {
  const database = await open({ setup: TRACKED_SQL });
  const texts: string[] = [];
  const sessions = createSessionFactory(database, {
    schema: { docs },
    guard: "off",
    observers: [{ flushed: ({ statements }) => texts.push(...statements.map(({ statement }) => statement.text)) }],
  });
  return {
    database,
    sessions,
    /** Texts of the statements that units sent, BEGIN and COMMIT left out. */
    texts,
    rows: async (query: string) => (await database.query(query)).rows as unknown[],
    [Symbol.asyncDispose]: () => database.close(),
  };
}

export type Tx = Parameters<Parameters<Awaited<ReturnType<typeof startTracked>>["sessions"]["begin"]>[1]>[0];
