import { describe, expect, test } from "vitest";
import { ruleCases, subjectsOf } from "../support.ts";

const { check, checkAfterFix, checkAgain } = ruleCases("duplicate-index");

describe("duplicate-index", () => {
  test("of two equal indexes one is reported, and the fix drops it", async () => {
    const { findings } = await check(
      "CREATE TABLE app.todos (a int, b int); CREATE INDEX one ON app.todos (a, b); CREATE INDEX two ON app.todos (a, b)",
    );
    expect(findings).toMatchObject([
      {
        subject: { kind: "index", table: "todos", name: "two" },
        columns: ["a", "b"],
        message: expect.stringContaining("one"),
      },
    ]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("of three equal indexes two are reported", async () => {
    const { findings } = await check(
      "CREATE TABLE app.todos (a int); CREATE INDEX x ON app.todos (a); CREATE INDEX y ON app.todos (a); CREATE INDEX z ON app.todos (a)",
    );
    expect(subjectsOf(findings)).toEqual(["todos.y", "todos.z"]);
    for (const finding of findings) await checkAfterFix(finding);
    expect((await checkAgain()).findings).toEqual([]);
  });

  test("beside a primary key or a unique index the plain one is the duplicate", async () => {
    const { findings } = await check(`
      CREATE TABLE app.todos (id int PRIMARY KEY, a int);
      CREATE INDEX a_plain ON app.todos (id);
      CREATE INDEX b_plain ON app.todos (a); CREATE UNIQUE INDEX z_unique ON app.todos (a);`);
    expect(subjectsOf(findings)).toEqual(["todos.a_plain", "todos.b_plain"]);
  });

  test("a unique constraint beside the primary key is a duplicate, unless foreign keys rely on it", async () => {
    const { findings } = await check("CREATE TABLE app.todos (id int PRIMARY KEY, UNIQUE (id))");
    expect(findings).toEqual([]);
    const other = await check(`
      CREATE TABLE app.todos (id int NOT NULL, CONSTRAINT first UNIQUE (id));
      CREATE TABLE app.parts (todo_id int REFERENCES app.todos (id));
      ALTER TABLE app.todos ADD CONSTRAINT second PRIMARY KEY (id);`);
    expect(subjectsOf(other.findings)).toEqual(["todos.first"]);
    expect(other.findings[0]?.fix.sql).toBeUndefined();
    const free = await check(
      "CREATE TABLE app.todos (id int NOT NULL, CONSTRAINT first UNIQUE (id)); ALTER TABLE app.todos ADD CONSTRAINT second PRIMARY KEY (id)",
    );
    expect(subjectsOf(free.findings)).toEqual(["todos.first"]);
    expect((await checkAfterFix(free.findings[0])).findings).toEqual([]);
  });

  test("different order, direction, operator class, predicate, method, INCLUDE or collation make another index", async () => {
    const { findings, examined } = await check(`
      CREATE TABLE app.todos (a text, b int);
      CREATE INDEX ON app.todos (a, b); CREATE INDEX ON app.todos (b, a);
      CREATE INDEX ON app.todos (a); CREATE INDEX ON app.todos (a DESC); CREATE INDEX ON app.todos (a NULLS FIRST);
      CREATE INDEX ON app.todos (a text_pattern_ops); CREATE INDEX ON app.todos (a COLLATE "C");
      CREATE INDEX ON app.todos (a) WHERE b > 0; CREATE INDEX ON app.todos USING hash (a);
      CREATE INDEX ON app.todos (a) INCLUDE (b); CREATE INDEX ON app.todos (lower(a)); CREATE INDEX ON app.todos (upper(a));`);
    expect(findings).toEqual([]);
    expect(examined).toBe(12);
  });

  test("equal expressions, predicates and INCLUDE columns make the same index", async () => {
    const { findings } = await check(`
      CREATE TABLE app.todos (a text, b int, c int);
      CREATE INDEX e1 ON app.todos (lower(a)); CREATE INDEX e2 ON app.todos (lower(a));
      CREATE INDEX p1 ON app.todos (a) WHERE b > 0; CREATE INDEX p2 ON app.todos (a) WHERE b > 0;
      CREATE INDEX i1 ON app.todos (a) INCLUDE (b, c); CREATE INDEX i2 ON app.todos (a) INCLUDE (c, b);`);
    expect(subjectsOf(findings)).toEqual(["todos.e2", "todos.i2", "todos.p2"]);
  });

  test("unique indexes that treat nulls differently: the stricter one stays", async () => {
    const { findings } = await check(`
      CREATE TABLE app.todos (a int);
      CREATE UNIQUE INDEX one ON app.todos (a); CREATE UNIQUE INDEX two ON app.todos (a) NULLS NOT DISTINCT;`);
    expect(subjectsOf(findings)).toEqual(["todos.one"]);
  });

  test("an immediate unique index is no duplicate of a deferrable constraint", async () => {
    const { findings } = await check(
      "CREATE TABLE app.todos (a int, CONSTRAINT later UNIQUE (a) DEFERRABLE); CREATE UNIQUE INDEX at_once ON app.todos (a)",
    );
    expect(subjectsOf(findings)).not.toContain("todos.at_once");
  });

  test("on a partitioned table the pair is reported once; a pair that one partition has, there", async () => {
    const { findings } = await check(`
      CREATE TABLE app.events (a int, b int) PARTITION BY RANGE (a);
      CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES FROM (0) TO (10);
      CREATE TABLE app.events_2 PARTITION OF app.events FOR VALUES FROM (10) TO (20);
      CREATE INDEX one ON app.events (a); CREATE INDEX two ON app.events (a);
      CREATE INDEX own_1 ON app.events_1 (b); CREATE INDEX own_2 ON app.events_1 (b);`);
    expect(subjectsOf(findings)).toEqual(["events.two", "events_1.own_2"]);
    for (const finding of findings) await checkAfterFix(finding);
    expect((await checkAgain()).findings).toEqual([]);
  });

  test("an index being invalid, and exclusion constraints, are not compared", async () => {
    const { findings } = await check(`
      CREATE TABLE app.todos (a int, EXCLUDE USING btree (a WITH =)); CREATE INDEX one ON app.todos (a); CREATE INDEX two ON app.todos (a);
      UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.two'::regclass;`);
    expect(findings).toEqual([]);
  });

  test("it can be silenced by the index's name", async () => {
    const { findings, silenced } = await check(
      "CREATE TABLE app.todos (a int); CREATE INDEX one ON app.todos (a); CREATE INDEX two ON app.todos (a)",
      {
        silence: [{ rule: "duplicate-index", subject: "app.todos.two", reason: "being rebuilt" }],
      },
    );
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
