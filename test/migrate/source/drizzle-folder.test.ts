// A project of drizzle-kit as it is: its models say what its migrations make.
import { join } from "node:path";
import { expect, test } from "vitest";
import { compareCatalogs } from "../../../src/catalog/index.ts";
import { readSources } from "../../../src/migrate/index.ts";
import { filesOf } from "./support.ts";

const MODELS = `
import { relations, sql } from "drizzle-orm";
import { boolean, check, foreignKey, geometry, index, integer, jsonb, pgEnum, pgPolicy, pgRole, pgSchema, pgTable, pgView, primaryKey, serial, text, timestamp, unique, uniqueIndex, uuid, varchar, vector } from "drizzle-orm/pg-core";
export const role = pgEnum("role", ["admin", "user"]);
export const auth = pgSchema("auth");
export const reader = pgRole("reader");
export const users = pgTable("users", {
  id: serial("id").primaryKey(),
  email: varchar("email", { length: 256 }).notNull().unique(),
  role: role("role").default("user").notNull(),
  settings: jsonb("settings").$type<{ a: number }>().default({ a: 1 }).notNull(),
  embedding: vector("embedding", { dimensions: 3 }),
  createdAt: timestamp("created_at", { withTimezone: true }).defaultNow().notNull(),
}, (table) => [
  uniqueIndex("users_email_lower").on(sql\`lower(\${table.email})\`),
  index("users_created").on(table.createdAt.desc()),
  index("users_embedding").using("hnsw", table.embedding.op("vector_cosine_ops")),
  check("email_check", sql\`\${table.email} like '%@%'\`),
  pgPolicy("read_own", { as: "restrictive", for: "select", to: reader, using: sql\`\${table.id} = 1\` }),
]);
export const sessions = auth.table("sessions", {
  id: uuid("id").defaultRandom().primaryKey(),
  userId: integer("user_id").notNull().references(() => users.id, { onDelete: "cascade" }),
  isOpen: boolean("is_open").default(false),
});
export const members = pgTable("members", {
  userId: integer("user_id").notNull(),
  teamId: integer("team_id").notNull(),
  parent: integer("parent"),
}, (table) => [
  primaryKey({ columns: [table.userId, table.teamId] }),
  unique().on(table.teamId, table.parent),
  foreignKey({ columns: [table.userId], foreignColumns: [users.id], name: "custom_fk" }),
]);
export const admins = pgView("admins").as((qb) => qb.select({ id: users.id, email: users.email }).from(users).where(sql\`\${users.role} = 'admin'\`));
export const usersRelations = relations(users, ({ many }) => ({ sessions: many(sessions) }));
`;

const MIGRATION = `CREATE SCHEMA "auth";
--> statement-breakpoint
CREATE TYPE "public"."role" AS ENUM('admin', 'user');--> statement-breakpoint
CREATE ROLE "reader";--> statement-breakpoint
CREATE EXTENSION vector;--> statement-breakpoint
CREATE TABLE "auth"."sessions" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"user_id" integer NOT NULL,
	"is_open" boolean DEFAULT false
);
--> statement-breakpoint
CREATE TABLE "members" (
	"user_id" integer NOT NULL,
	"team_id" integer NOT NULL,
	"parent" integer,
	CONSTRAINT "members_user_id_team_id_pk" PRIMARY KEY("user_id","team_id"),
	CONSTRAINT "members_team_id_parent_unique" UNIQUE("team_id","parent")
);
--> statement-breakpoint
CREATE TABLE "users" (
	"id" serial PRIMARY KEY NOT NULL,
	"email" varchar(256) NOT NULL,
	"role" "role" DEFAULT 'user' NOT NULL,
	"settings" jsonb DEFAULT '{"a":1}'::jsonb NOT NULL,
	"embedding" vector(3),
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "users_email_unique" UNIQUE("email"),
	CONSTRAINT "email_check" CHECK ("users"."email" like '%@%')
);
--> statement-breakpoint
ALTER TABLE "users" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "auth"."sessions" ADD CONSTRAINT "sessions_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "members" ADD CONSTRAINT "custom_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "users_email_lower" ON "users" USING btree (lower("email"));--> statement-breakpoint
CREATE INDEX "users_created" ON "users" USING btree ("created_at" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "users_embedding" ON "users" USING hnsw ("embedding" vector_cosine_ops);--> statement-breakpoint
CREATE VIEW "public"."admins" AS (select "id", "email" from "users" where "users"."role" = 'admin');--> statement-breakpoint
CREATE POLICY "read_own" ON "users" AS RESTRICTIVE FOR SELECT TO "reader" USING ("users"."id" = 1);
`;

test("models and the migrations that drizzle-kit made of them are the same schema", async () => {
  const folder = filesOf({
    "schema.ts": MODELS,
    "drizzle/0000_first.sql": MIGRATION,
    "drizzle/meta/_journal.json": JSON.stringify({
      version: "7",
      dialect: "postgresql",
      entries: [{ idx: 0, version: "7", when: 1, tag: "0000_first", breakpoints: true }],
    }),
  });
  const models = { kind: "models", paths: [join(folder, "schema.ts")] } as const;
  const migrations = { kind: "migrations", path: join(folder, "drizzle") } as const;
  // Complete: nothing is taken over from the other side.
  const { from, to } = await readSources(migrations, models, { engine: "pglite", isComplete: true });
  expect(compareCatalogs(from.catalog, to.catalog)).toEqual([]);
  expect(to.notices).toEqual([]);
});
