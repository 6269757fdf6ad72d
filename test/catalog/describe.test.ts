// describeTable(): what hangs together with a table, and how its name may be given.
import { expect, test } from "vitest";
import { describeTable, readCatalog } from "../../src/catalog/index.ts";
import { InvalidInputError } from "../../src/postgres/index.ts";
import { testDatabase } from "../support/test-database.ts";

const SETUP = `
  CREATE SCHEMA tasks;
  CREATE SCHEMA archive;
  CREATE TABLE tasks.todos (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    parent_id bigint CONSTRAINT todos_parent_fkey REFERENCES tasks.todos,
    title text
  );
  CREATE TABLE archive.todos (id bigint CONSTRAINT archived_fkey REFERENCES tasks.todos ON DELETE CASCADE);
  CREATE TABLE tasks.steps (todo_id bigint REFERENCES tasks.todos, at date) PARTITION BY RANGE (at);
  CREATE TABLE tasks.steps_2024 PARTITION OF tasks.steps FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')
    PARTITION BY LIST (todo_id);
  CREATE TABLE tasks.steps_2024_one PARTITION OF tasks.steps_2024 FOR VALUES IN (1);
  CREATE TABLE tasks.steps_rest PARTITION OF tasks.steps DEFAULT;
  CREATE TABLE tasks.animals (id int);
  CREATE TABLE tasks.cats () INHERITS (tasks.animals);
  CREATE TABLE tasks."Order Items" (id int);
  CREATE TABLE tasks."a.b" (id int);
  CREATE VIEW tasks.open_todos AS SELECT id FROM tasks.todos;
  GRANT SELECT ON tasks.todos TO pg_monitor;
  GRANT SELECT (title) ON tasks.todos TO PUBLIC;`;

test("a description holds who references the table, its sequences and its rights", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const description = describeTable(await readCatalog(database), "tasks.todos");
  expect(description.table).toMatchObject({ kind: "table", schema: "tasks", name: "todos" });
  // The foreign keys that partitions of steps have cloned from it are the same fact and not repeated.
  expect(
    description.referencedBy.map(({ schema, table, constraint }) => `${schema}.${table} ${constraint.name}`),
  ).toEqual(["archive.todos archived_fkey", "tasks.steps steps_todo_id_fkey", "tasks.todos todos_parent_fkey"]);
  expect(description.sequences).toMatchObject([{ name: "todos_id_seq", ownedBy: { isIdentity: true } }]);
  expect(description.grants.filter(({ grantee }) => grantee !== description.table.owner)).toMatchObject([
    { objectKind: "column", object: "todos.title", grantee: "public", privileges: ["SELECT"] },
    { objectKind: "table", object: "todos", grantee: "pg_monitor", privileges: ["SELECT"] },
  ]);
  expect(description).toMatchObject({ partitions: [], inheritedBy: [] });
});

test("partitions are listed with their levels, children by inheritance apart", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const catalog = await readCatalog(database);
  expect(describeTable(catalog, "steps").partitions).toMatchObject([
    { name: "steps_2024", level: 1, partitionKey: "LIST (todo_id)" },
    { name: "steps_2024_one", level: 2, bound: "FOR VALUES IN ('1')", partitionKey: undefined },
    { name: "steps_rest", level: 1, bound: "DEFAULT" },
  ]);
  expect(describeTable(catalog, "animals")).toMatchObject({
    partitions: [],
    inheritedBy: [{ schema: "tasks", name: "cats" }],
  });
  expect(describeTable(catalog, "open_todos").table.kind).toBe("view");
});

test("names are taken as they stand, quoted, or folded to lower case", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const catalog = await readCatalog(database);
  const found = (name: string): string => describeTable(catalog, name).table.name;
  for (const name of ["steps", "tasks.steps", '"tasks"."steps"', 'tasks."steps"', "STEPS", "Tasks.Steps"]) {
    expect(found(name)).toBe("steps");
  }
  for (const name of ["Order Items", "tasks.Order Items", 'tasks."Order Items"'])
    expect(found(name)).toBe("Order Items");
  for (const name of ["a.b", "tasks.a.b", 'tasks."a.b"', '"a.b"']) expect(found(name)).toBe("a.b");
});

test("a name that several tables have is refused with all of them", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const catalog = await readCatalog(database);
  expect(() => describeTable(catalog, "todos")).toThrow(InvalidInputError);
  expect(() => describeTable(catalog, "todos")).toThrow(
    expect.objectContaining({ hint: 'say which: "archive"."todos", "tasks"."todos"' }),
  );
});

test("an unknown name is refused with similar ones", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const catalog = await readCatalog(database);
  const hintFor = (name: string): string | undefined => {
    try {
      describeTable(catalog, name);
    } catch (error) {
      return error instanceof InvalidInputError ? error.hint : undefined;
    }
    return undefined;
  };
  expect(hintFor("tasks.todo")).toBe("did you mean archive.todos, tasks.todos, tasks.open_todos?");
  expect(hintFor("setps")).toBe("did you mean tasks.steps?");
  expect(hintFor("nothing_like_it")).toBe("the catalog holds 11 tables and views, none with a similar name");
  expect(hintFor("")).toContain("the catalog holds 11");
  expect(hintFor('"STEPS"')).toContain("tasks.steps");
});
