import { describe, expect, test } from "vitest";
import { isPlural } from "../../../src/advise/plural.ts";
import { ruleCases, subjectsOf } from "../support.ts";

const { check, checkAfterFix, checkAgain } = ruleCases("naming");

describe("naming", () => {
  test("tables and columns outside the convention are reported, and left to a person", async () => {
    const { findings } = await check('CREATE TABLE app.todo ("dueDate" date); CREATE TABLE app."ToDos" (id int)');
    expect(findings.map((finding) => [finding.subject.kind, finding.subject.name, finding.fix.sql])).toEqual([
      ["table", "ToDos", undefined],
      ["table", "todo", undefined],
      ["column", "dueDate", undefined],
    ]);
    expect(findings[0]?.message).toContain("not snake_case");
    expect(findings[1]?.message).toContain("not plural");
  });

  test("constraints and indexes with PostgreSQL's own names are reported by the preset pgsteward, and renamed by the fixes", async () => {
    const { findings } = await check(`
      CREATE TABLE app.parents (id int PRIMARY KEY);
      CREATE TABLE app.children (id int PRIMARY KEY, a int UNIQUE CHECK (a > 0), x int REFERENCES app.parents, y int REFERENCES app.parents, EXCLUDE (id WITH =));
      CREATE INDEX ON app.children (x); CREATE UNIQUE INDEX ON app.children (lower('a' || y));`);
    expect(subjectsOf(findings)).toEqual([
      "children.children_a_check",
      "children.children_a_key",
      "children.children_id_excl",
      "children.children_lower_idx",
      "children.children_pkey",
      "children.children_x_fkey",
      "children.children_x_idx",
      "children.children_y_fkey",
      "parents.parents_pkey",
    ]);
    for (const finding of findings) await checkAfterFix(finding);
    expect((await checkAgain()).findings).toEqual([]);
  });

  test("the preset postgresql takes those names and singular tables, and reports the others", async () => {
    const setup = `
      CREATE TABLE app.child (id int PRIMARY KEY, a int UNIQUE CHECK (a > 0), x int REFERENCES app.child, UNIQUE (a, x));
      CREATE INDEX ON app.child (x); CREATE INDEX ON app.child (x DESC);`;
    expect((await check(setup, { naming: "postgresql" })).findings).toEqual([]);
    const { findings } = await check(
      `${setup} ALTER TABLE app.child ADD CONSTRAINT ck_child CHECK (x > 0); CREATE INDEX idx_child_a ON app.child (a);`,
      { naming: "postgresql" },
    );
    expect(subjectsOf(findings)).toEqual(["child.ck_child", "child.idx_child_a"]);
    for (const finding of findings) await checkAfterFix(finding, { naming: "postgresql" });
    expect((await checkAgain({ naming: "postgresql" })).findings).toEqual([]);
  });

  test("names by the convention are right, also those PostgreSQL would have to cut", async () => {
    const long = `${"very_long_".repeat(5)}names`;
    const { findings, examined } = await check(`
      CREATE TABLE app.${long} (first_column_name int CONSTRAINT pk_${long} PRIMARY KEY, second_column_name int);
      CREATE INDEX idx_${long}_12 ON app.${long} (first_column_name, second_column_name);
      CREATE TABLE app.users (id int CONSTRAINT pk_users PRIMARY KEY, email text CONSTRAINT uq_users_email UNIQUE CONSTRAINT ck_users_email CHECK (email <> ''));
      CREATE UNIQUE INDEX uq_users_lower_email ON app.users (lower(email));`);
    expect(findings).toEqual([]);
    expect(examined).toBe(1 + 2 + 2 + 1 + 2 + 3 + 1);
  });

  test("partitions and their constraints are not reported beside their parent", async () => {
    const { findings } = await check(`
      CREATE TABLE app.events (id int CONSTRAINT pk_events PRIMARY KEY) PARTITION BY HASH (id);
      CREATE TABLE app.event_part PARTITION OF app.events FOR VALUES WITH (MODULUS 1, REMAINDER 0);`);
    expect(findings).toEqual([]);
  });

  test("words without a plural can be accepted", async () => {
    const { findings } = await check("CREATE TABLE app.chat_log (id int); CREATE TABLE app.weather (id int)", {
      rules: { naming: { uncountable: ["log", "weather"] } },
    });
    expect(findings).toEqual([]);
  });

  test("it can be silenced", async () => {
    const { findings, silenced } = await check("CREATE TABLE app.todo (id int)", {
      silence: [{ rule: "naming", subject: "app.*", reason: "old schema" }],
    });
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });

  test.each(["todos", "addresses", "people", "news", "api_keys", "menus", "wikis", "analyses", "schemas", "metadata"])(
    "%s looks plural",
    (word) => {
      expect(isPlural(word)).toBe(true);
    },
  );

  test.each(["todo", "address", "status", "analysis", "alias", "axis", "user"])("%s looks singular", (word) => {
    expect(isPlural(word)).toBe(false);
  });
});
