// Teams, their agents, and notes that only their tenant may see.
import { integer, jsonb, pgTable, text, uuid } from "drizzle-orm/pg-core";
import { relations } from "drizzle-orm/relations";
import type { Database } from "../../src/postgres/index.ts";
import { createSessionFactory } from "../../src/session/index.ts";

export const teams = pgTable("teams", { id: integer().primaryKey(), name: text().notNull() });
export const agents = pgTable("agents", {
  id: integer().primaryKey(),
  name: text().notNull().unique(),
  team_id: integer(),
  state: jsonb().$type<{ step: number }>(),
});
const teamRelations = relations(teams, ({ many }) => ({ agents: many(agents) }));
const agentRelations = relations(agents, ({ one }) => ({
  team: one(teams, { fields: [agents.team_id], references: [teams.id] }),
}));
export const notes = pgTable("notes", {
  id: integer().primaryKey(),
  tenant_id: uuid().notNull(),
  body: text().notNull(),
});
export const TEAM_SCHEMA = { teams, agents, notes, teamRelations, agentRelations };

const TEAMS_SQL = `
CREATE TABLE teams (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE agents (id int PRIMARY KEY, name text NOT NULL CONSTRAINT agents_name_key UNIQUE DEFERRABLE INITIALLY IMMEDIATE,
  team_id int REFERENCES teams, state jsonb);
CREATE TABLE notes (id int PRIMARY KEY, tenant_id uuid NOT NULL, body text NOT NULL);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE notes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON notes USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid));
DO $$ BEGIN CREATE ROLE unit_test_app NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON notes, agents, teams TO unit_test_app;
INSERT INTO teams VALUES (1, 'red'), (2, 'blue');
INSERT INTO agents VALUES (1, 'ada', 1, '{"step": 1}'), (2, 'bob', 1, NULL);
INSERT INTO notes VALUES (1, '00000000-0000-4000-8000-00000000000a', 'of a'), (2, '00000000-0000-4000-8000-00000000000b', 'of b');`;
export const A = "00000000-0000-4000-8000-00000000000a";
export const B = "00000000-0000-4000-8000-00000000000b";

/** A database with these tables, and a factory of units in it. */
export async function startTeams(open: (options: { readonly setup: string }) => Promise<Database>) {
  const database = await open({ setup: TEAMS_SQL });
  return {
    database,
    sessions: createSessionFactory(database, { schema: TEAM_SCHEMA, guard: "off" }),
    [Symbol.asyncDispose]: () => database.close(),
  };
}

export async function namesOf(database: Database): Promise<string[]> {
  return (await database.query<{ name: string }>("SELECT name FROM agents ORDER BY id")).rows.map(({ name }) => name);
}
