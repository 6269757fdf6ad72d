import { describe, expect, test } from "vitest";
import { ruleCases, subjectsOf } from "../support.ts";

const { check, checkAfterFix, checkAgain } = ruleCases("index-covered-by-another");

describe("index-covered-by-another", () => {
  test("an index that begins another is reported, and the fix drops the shorter one", async () => {
    const { findings } = await check(
      "CREATE TABLE app.todos (a int, b int, c int); CREATE INDEX short ON app.todos (a); CREATE INDEX middle ON app.todos (a, b); CREATE INDEX long ON app.todos (a, b, c)",
    );
    expect(subjectsOf(findings)).toEqual(["todos.middle", "todos.short"]);
    expect(findings.every((finding) => finding.message.includes("long"))).toBe(true);
    for (const finding of findings) await checkAfterFix(finding);
    expect((await checkAgain()).findings).toEqual([]);
  });

  test("a primary key or unique constraint covers too", async () => {
    const { findings } = await check(
      "CREATE TABLE app.todos (a int, b int, PRIMARY KEY (a, b)); CREATE INDEX short ON app.todos (a)",
    );
    expect(subjectsOf(findings)).toEqual(["todos.short"]);
  });

  test("the end of another index, another direction, class, collation or predicate is not covered", async () => {
    const { findings } = await check(`
      CREATE TABLE app.todos (a text, b int);
      CREATE INDEX ON app.todos (a, b); CREATE INDEX ON app.todos (b);
      CREATE INDEX ON app.todos (a DESC); CREATE INDEX ON app.todos (a text_pattern_ops); CREATE INDEX ON app.todos (a COLLATE "C");
      CREATE INDEX ON app.todos (a) WHERE b > 0; CREATE INDEX ON app.todos USING hash (a);`);
    expect(findings).toEqual([]);
  });

  test("a unique index is not covered by a longer one, nor is a constraint", async () => {
    const { findings } = await check(`
      CREATE TABLE app.todos (id int PRIMARY KEY, a int UNIQUE, b int);
      CREATE INDEX ON app.todos (id, b); CREATE UNIQUE INDEX ON app.todos (a, b); CREATE UNIQUE INDEX ON app.todos (b); CREATE INDEX ON app.todos (b, a);`);
    expect(findings).toEqual([]);
  });

  test("INCLUDE columns must be found in the wider index", async () => {
    const { findings } = await check(`
      CREATE TABLE app.todos (a int, b int, c int);
      CREATE INDEX one ON app.todos (a) INCLUDE (b); CREATE INDEX two ON app.todos (a, b);
      CREATE TABLE app.notes (a int, b int, c int);
      CREATE INDEX three ON app.notes (a) INCLUDE (c); CREATE INDEX four ON app.notes (a, b);
      CREATE TABLE app.chats (a int, b int);
      CREATE UNIQUE INDEX five ON app.chats (a); CREATE UNIQUE INDEX six ON app.chats (a) INCLUDE (b);`);
    expect(subjectsOf(findings)).toEqual(["chats.five", "todos.one"]);
  });

  test("equal partial indexes are compared, and a duplicate is reported by the other rule only", async () => {
    const { findings } = await check(`
      CREATE TABLE app.todos (a int, b int, gone boolean);
      CREATE INDEX one ON app.todos (a) WHERE NOT gone; CREATE INDEX two ON app.todos (a, b) WHERE NOT gone;
      CREATE INDEX three ON app.todos (a, b) WHERE NOT gone;`);
    expect(subjectsOf(findings)).toEqual(["todos.one"]);
  });

  test("a partitioned table is reported once and fixed at its root", async () => {
    const { findings } = await check(`
      CREATE TABLE app.events (a int, b int) PARTITION BY RANGE (a);
      CREATE TABLE app.events_1 PARTITION OF app.events DEFAULT;
      CREATE INDEX short ON app.events (a); CREATE INDEX long ON app.events (a, b);`);
    expect(subjectsOf(findings)).toEqual(["events.short"]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("it can be silenced", async () => {
    const { findings, silenced } = await check(
      "CREATE TABLE app.todos (a int, b text); CREATE INDEX short ON app.todos (a); CREATE INDEX long ON app.todos (a, b)",
      {
        silence: [{ rule: "index-covered-by-another", subject: "app.todos.sh?rt", reason: "small and hot" }],
      },
    );
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
