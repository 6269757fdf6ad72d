// Models in which something has another name.
import { expect, test } from "vitest";
import { compareCatalogs, readCatalog } from "../../../src/catalog/index.ts";
import { parseRename, planMigration, readRenamed, readSource, reverseRenames } from "../../../src/migrate/index.ts";
import { testDatabase } from "../../support/test-database.ts";
import { applyPlan } from "../corpus.ts";
import { filesOf } from "./support.ts";

test("a renamed table keeps its rows, and the triggers and grants that models are silent about", async () => {
  const folder = filesOf({
    "schema.ts": `import { integer, pgTable, text } from "drizzle-orm/pg-core";
export const people = pgTable("people", { id: integer().primaryKey(), fullName: text("full_name") });`,
  });
  await using database = await testDatabase({
    setup: `
CREATE TABLE users (id integer PRIMARY KEY, name text);
INSERT INTO users VALUES (1, 'Ada');
COMMENT ON TABLE users IS 'who writes';
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER users_touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
GRANT SELECT ON users TO PUBLIC;`,
  });
  const present = await readCatalog(database);
  const models = { kind: "models", paths: [folder] } as const;
  const options = { engine: "scratch", server: database } as const;
  const first = await readSource(models, { ...options, present });
  const renames = ["table users -> people", "column users.name -> full_name"].map(parseRename);
  const draft = planMigration(present, first.catalog, { renames });
  const { catalog: wanted } = await readRenamed(models, present, draft, options);
  const plan = planMigration(present, wanted, { renames });
  await applyPlan(database, plan);
  const reached = await readCatalog(database);
  expect(compareCatalogs(reached, wanted)).toEqual([]);
  const [people] = reached.tables;
  expect(people).toMatchObject({ name: "people", comment: "who writes", triggers: [{ name: "users_touch" }] });
  expect((await database.query("SELECT id, full_name FROM people")).rows).toEqual([{ id: 1, full_name: "Ada" }]);
  await applyPlan(database, planMigration(wanted, present, { renames: reverseRenames(plan.renames, present) }));
  expect(compareCatalogs(await readCatalog(database), present)).toEqual([]);
  expect((await database.query("SELECT id, name FROM users")).rows).toEqual([{ id: 1, name: "Ada" }]);
});
