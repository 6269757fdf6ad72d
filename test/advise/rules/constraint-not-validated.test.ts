import { describe, expect, test } from "vitest";
import { ruleCases, subjectsOf } from "../support.ts";

const { check, checkAfterFix, checkAgain } = ruleCases("constraint-not-validated");
const NOT_VALID =
  "CREATE TABLE app.todos (a int); ALTER TABLE app.todos ADD CONSTRAINT positive CHECK (a > 0) NOT VALID;";

describe("constraint-not-validated", () => {
  test("checks, foreign keys and not-null constraints that were never validated are reported, and validated by the fixes", async () => {
    const { findings } = await check(`${NOT_VALID} CREATE TABLE app.parents (id int PRIMARY KEY);
      ALTER TABLE app.todos ADD CONSTRAINT filled NOT NULL a NOT VALID;
      ALTER TABLE app.todos ADD CONSTRAINT parent FOREIGN KEY (a) REFERENCES app.parents NOT VALID;`);
    expect(subjectsOf(findings)).toEqual(["todos.filled", "todos.parent", "todos.positive"]);
    for (const finding of findings) await checkAfterFix(finding);
    expect((await checkAgain()).findings).toEqual([]);
  });

  test("the fix fails and changes nothing while a row breaks the constraint", async () => {
    const { findings } = await check(
      `CREATE TABLE app.todos (a int); INSERT INTO app.todos VALUES (-1); ALTER TABLE app.todos ADD CONSTRAINT positive CHECK (a > 0) NOT VALID;`,
    );
    await expect(checkAfterFix(findings[0])).rejects.toThrow("violated");
    expect((await checkAgain()).findings).toHaveLength(1);
  });

  test("validated constraints, and those that are not enforced, are right", async () => {
    const { findings, examined } = await check(
      "CREATE TABLE app.todos (a int CHECK (a > 0), b int CHECK (b > 0) NOT ENFORCED)",
    );
    expect(findings).toEqual([]);
    expect(examined).toBe(2);
  });

  test("it can be silenced", async () => {
    const { findings, silenced } = await check(NOT_VALID, {
      silence: [{ rule: "constraint-not-validated", subject: "app.todos.positive", reason: "old rows stay" }],
    });
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
