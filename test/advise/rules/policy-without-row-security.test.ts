import { describe, expect, test } from "vitest";
import { ruleCases } from "../support.ts";

const { check, checkAfterFix } = ruleCases("policy-without-row-security");
const BAD = "CREATE TABLE app.todos (id int); CREATE POLICY p ON app.todos USING (true)";

describe("policy-without-row-security", () => {
  test("policies that nothing applies are reported, and the fix turns row-level security on", async () => {
    const { findings } = await check(BAD);
    expect(findings).toMatchObject([{ severity: "error", subject: { kind: "table", name: "todos" } }]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("a table without policies is not examined", async () => {
    const { findings, examined } = await check(
      `${BAD}; ALTER TABLE app.todos ENABLE ROW LEVEL SECURITY; CREATE TABLE app.notes (id int)`,
    );
    expect(findings).toEqual([]);
    expect(examined).toBe(1);
  });

  test("it can be silenced", async () => {
    const { findings, silenced } = await check(BAD, {
      silence: [{ rule: "policy-without-row-security", subject: "app.todos", reason: "turned on next week" }],
    });
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
