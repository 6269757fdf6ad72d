import { describe, expect, test } from "vitest";
import { ruleCases, subjectsOf } from "../support.ts";

const { check } = ruleCases("foreign-key-type-mismatch");
const PARENT = "CREATE TABLE app.parents (id bigint PRIMARY KEY, code varchar(10) UNIQUE);";

describe("foreign-key-type-mismatch", () => {
  test("a column of another type than the one it references is reported", async () => {
    const { findings } = await check(
      `${PARENT} CREATE TABLE app.children (a int REFERENCES app.parents, b text REFERENCES app.parents (code))`,
    );
    expect(subjectsOf(findings)).toEqual(["children.children_a_fkey", "children.children_b_fkey"]);
    expect(findings[0]).toMatchObject({
      columns: ["a"],
      message: expect.stringContaining("a is integer, app.parents.id is bigint"),
    });
  });

  test("equal types, other lengths and domains of the type are right", async () => {
    const { findings, examined } = await check(`${PARENT} CREATE DOMAIN app.key AS bigint;
      CREATE TABLE app.children (a bigint REFERENCES app.parents, b varchar(20) REFERENCES app.parents (code), c app.key REFERENCES app.parents)`);
    expect(findings).toEqual([]);
    expect(examined).toBe(3);
  });

  test("it can be silenced", async () => {
    const { findings, silenced } = await check(`${PARENT} CREATE TABLE app.children (a int REFERENCES app.parents)`, {
      silence: [{ rule: "foreign-key-type-mismatch", subject: "app.children.a", reason: "never more than a thousand" }],
    });
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
