import { describe, expect, test } from "vitest";
import { ruleCases, subjectsOf } from "../support.ts";

const { check } = ruleCases("row-security-without-policy");

describe("row-security-without-policy", () => {
  test("tables without a policy, and with restrictive ones only, are reported", async () => {
    const { findings } = await check(`
      CREATE TABLE app.a (id int); ALTER TABLE app.a ENABLE ROW LEVEL SECURITY;
      CREATE TABLE app.b (id int); ALTER TABLE app.b ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON app.b AS RESTRICTIVE USING (true);`);
    expect(subjectsOf(findings)).toEqual(["a", "b"]);
  });

  test("a table with a permissive policy is right, and others are not examined", async () => {
    const { findings, examined } = await check(`
      CREATE TABLE app.a (id int); ALTER TABLE app.a ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON app.a USING (true);
      CREATE TABLE app.b (id int);`);
    expect(findings).toEqual([]);
    expect(examined).toBe(1);
  });

  test("it can be silenced", async () => {
    const { findings, silenced } = await check(
      "CREATE TABLE app.a (id int); ALTER TABLE app.a ENABLE ROW LEVEL SECURITY",
      {
        silence: [{ rule: "row-security-without-policy", subject: "app.a", reason: "functions only" }],
      },
    );
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
