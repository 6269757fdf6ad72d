import { describe, expect, test } from "vitest";
import { ruleCases, subjectsOf } from "../support.ts";

const { check, checkAfterFix, database } = ruleCases("nullable-composite-foreign-key");
const PARENT = "CREATE TABLE app.parents (a int, b int, PRIMARY KEY (a, b));";

describe("nullable-composite-foreign-key", () => {
  test("two nullable columns are reported, and the fix refuses rows with only one of them", async () => {
    const { findings } = await check(
      `${PARENT} CREATE TABLE app.children (a int, b int, FOREIGN KEY (a, b) REFERENCES app.parents)`,
    );
    expect(findings).toMatchObject([
      { subject: { table: "children", name: "children_a_b_fkey" }, columns: ["a", "b"] },
    ]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
    await expect(database().query("INSERT INTO app.children (a) VALUES (7)")).rejects.toThrow("check constraint");
  });

  test("one nullable column, MATCH FULL, keys of one column and a check are right", async () => {
    const { findings, examined } = await check(`${PARENT} CREATE TABLE app.single (id int PRIMARY KEY);
      CREATE TABLE app.a (a int NOT NULL, b int, FOREIGN KEY (a, b) REFERENCES app.parents);
      CREATE TABLE app.b (a int, b int, FOREIGN KEY (a, b) REFERENCES app.parents MATCH FULL);
      CREATE TABLE app.c (a int REFERENCES app.single);
      CREATE TABLE app.d (a int, b int, FOREIGN KEY (a, b) REFERENCES app.parents, CHECK (num_nonnulls(a, b) IN (0, 2)));`);
    expect(subjectsOf(findings)).toEqual([]);
    expect(examined).toBe(3);
  });

  test("it can be silenced", async () => {
    const { findings, silenced } = await check(
      `${PARENT} CREATE TABLE app.children (a int, b int, FOREIGN KEY (a, b) REFERENCES app.parents)`,
      {
        silence: [{ rule: "nullable-composite-foreign-key", subject: "app.children", reason: "the importer checks" }],
      },
    );
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
