import { describe, expect, test } from "vitest";
import { ruleCases } from "../support.ts";

const { check, checkAfterFix } = ruleCases("standard-columns-missing");

describe("standard-columns-missing", () => {
  test("missing columns are reported together, and the fix adds them to rows that exist", async () => {
    const { findings } = await check("CREATE TABLE app.todos (body text); INSERT INTO app.todos VALUES ('a')");
    expect(findings).toMatchObject([
      { subject: { kind: "table", name: "todos" }, columns: ["id", "created_at", "updated_at"] },
    ]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("a partitioned table without a key gets its columns too", async () => {
    const { findings } = await check(
      "CREATE TABLE app.events (at timestamptz) PARTITION BY RANGE (at); CREATE TABLE app.events_1 PARTITION OF app.events DEFAULT;",
    );
    expect(findings).toHaveLength(1);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("a key with another name is left to a person", async () => {
    const { findings } = await check(
      "CREATE TABLE app.todos (todo_id uuid PRIMARY KEY, created_at timestamptz, updated_at timestamptz)",
    );
    expect(findings).toMatchObject([{ columns: ["id"], fix: { sql: undefined } }]);
  });

  test("a table whose key is made of foreign keys needs no id", async () => {
    const { findings } = await check(`
      CREATE TABLE app.a (id uuid PRIMARY KEY, created_at timestamptz, updated_at timestamptz);
      CREATE TABLE app.a_a (one uuid REFERENCES app.a, other uuid REFERENCES app.a, created_at timestamptz, PRIMARY KEY (one, other));`);
    expect(findings).toMatchObject([{ subject: { name: "a_a" }, columns: ["updated_at"] }]);
  });

  test("the list can be set, with definitions for the fix", async () => {
    const config = {
      rules: {
        "standard-columns-missing": {
          columns: ["id", { name: "made_by", definition: "text NOT NULL DEFAULT 'unknown'" }],
        },
      },
    };
    const { findings } = await check("CREATE TABLE app.todos (id uuid PRIMARY KEY)", config);
    expect(findings).toMatchObject([{ columns: ["made_by"] }]);
    expect((await checkAfterFix(findings[0], config)).findings).toEqual([]);
  });

  test("a table with all of them is right", async () => {
    const { findings, examined } = await check(
      "CREATE TABLE app.todos (id uuid PRIMARY KEY, created_at timestamptz, updated_at timestamptz)",
    );
    expect(findings).toEqual([]);
    expect(examined).toBe(1);
  });

  test("it can be silenced for a table", async () => {
    const { findings, silenced } = await check("CREATE TABLE app.todos (id uuid PRIMARY KEY)", {
      silence: [{ rule: "standard-columns-missing", subject: "app.todos", reason: "static list" }],
    });
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
