import { describe, expect, test } from "vitest";
import { ruleCases } from "../support.ts";

const { check, checkAfterFix, database } = ruleCases("policy-setting-without-missing-ok");
const policy = (using: string, check = ""): string =>
  `CREATE TABLE app.todos (tenant_id uuid, owner text, big bigint); CREATE POLICY mine ON app.todos USING (${using}) ${check}`;

describe("policy-setting-without-missing-ok", () => {
  test("a setting read without missing_ok and cast without nullif gives two findings, and either fix removes both", async () => {
    const setup = policy("tenant_id = current_setting('app.tenant_id')::uuid");
    for (const at of [0, 1]) {
      const { findings } = await check(setup);
      expect(findings).toHaveLength(2);
      expect(findings.some((finding) => finding.message.includes("without missing_ok"))).toBe(true);
      expect(findings.some((finding) => finding.message.includes("without nullif"))).toBe(true);
      expect((await checkAfterFix(findings[at])).findings).toEqual([]);
    }
  });

  test("missing_ok without nullif around the cast is one finding, about the empty setting", async () => {
    const { findings } = await check(policy("tenant_id = (SELECT current_setting('app.tenant_id', true)::uuid)"));
    expect(findings).toMatchObject([
      { subject: { kind: "policy", table: "todos", name: "mine" }, message: expect.stringContaining("nullif") },
    ]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("text needs no nullif, but missing_ok", async () => {
    const { findings } = await check(
      policy("owner = current_setting('app.user', true)", "WITH CHECK (owner = current_setting('app.user', false))"),
    );
    expect(findings).toMatchObject([{ message: expect.stringContaining("missing_ok") }]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("all calls of a policy are rewritten by one fix, and the policy keeps its meaning", async () => {
    const { findings } = await check(
      policy(
        "(tenant_id = (current_setting('app.tenant_id'::text))::uuid AND owner <> 'current_setting(''x.y'')') OR big = current_setting('app.big')::bigint",
        "WITH CHECK (tenant_id = current_setting('app.tenant_id', true)::uuid)",
      ),
    );
    expect(findings).toHaveLength(2);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
    const { rows } = await database().query("SELECT qual FROM pg_policies WHERE schemaname = 'app'");
    expect(rows[0]?.["qual"]).toContain("'current_setting(''x.y'')'");
  });

  test("the safe form, settings of the server, and policies without settings are right", async () => {
    const { findings, examined } = await check(`
      CREATE TABLE app.todos (tenant_id uuid, owner text);
      CREATE POLICY a ON app.todos USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid));
      CREATE POLICY b ON app.todos USING (owner = current_setting('role'));
      CREATE POLICY c ON app.todos USING (owner = current_user);`);
    expect(findings).toEqual([]);
    expect(examined).toBe(1);
  });

  test("it can be silenced by the policy's name", async () => {
    const { findings, silenced } = await check(policy("owner = current_setting('app.user')"), {
      silence: [{ rule: "policy-setting-without-missing-ok", subject: "app.todos.mine", reason: "an error is wanted" }],
    });
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
