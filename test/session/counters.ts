// What tests of units that are run again work on: counters, notes, and a function that fails as it is told.
import { integer, pgTable } from "drizzle-orm/pg-core";

export const counters = pgTable("counters", { id: integer().primaryKey(), value: integer().notNull() });
export const SETUP = `
CREATE TABLE counters (id int PRIMARY KEY, value int NOT NULL);
CREATE TABLE notes (id int PRIMARY KEY, body text);
INSERT INTO counters VALUES (1, 0), (2, 0);
CREATE FUNCTION fail(state text, message text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message; END $$;`;
/** Options of a retry that hardly waits. */
export const FAST = { baseDelayMs: 1, maxDelayMs: 2 };
