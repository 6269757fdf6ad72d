import { describe, expect, test } from "vitest";
import { ruleCases, subjectsOf } from "../support.ts";

const { check, checkAfterFix } = ruleCases("tenant-policy-without-check");
const TENANT = "tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)";
const TABLE =
  "CREATE TABLE app.todos (tenant_id uuid, owner text); ALTER TABLE app.todos ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;";

describe("tenant-policy-without-check", () => {
  test("WITH CHECK (true) beside a tenant USING is an error, and the fix checks the tenant", async () => {
    const { findings } = await check(`${TABLE} CREATE POLICY tenant ON app.todos USING (${TENANT}) WITH CHECK (true)`);
    expect(findings).toMatchObject([
      { severity: "error", subject: { kind: "policy", table: "todos", name: "tenant" } },
    ]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("no WITH CHECK at all is a warning, also on a restrictive policy, and the fix writes it out", async () => {
    const { findings } = await check(`${TABLE}
      CREATE POLICY a ON app.todos AS RESTRICTIVE USING (${TENANT});
      CREATE POLICY b ON app.todos FOR UPDATE USING (${TENANT});`);
    expect(findings.map((finding) => [finding.subject.name, finding.severity])).toEqual([
      ["a", "warning"],
      ["b", "warning"],
    ]);
    for (const finding of findings) await checkAfterFix(finding);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("a check on something else keeps that when the fix adds the tenant", async () => {
    const { findings } = await check(
      `${TABLE} CREATE POLICY tenant ON app.todos FOR UPDATE USING (${TENANT}) WITH CHECK (owner = current_user)`,
    );
    expect(findings).toHaveLength(1);
    expect(findings[0]?.fix.sql).toContain("CURRENT_USER");
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("an INSERT policy that checks nothing is an error when no other policy looks at the tenant", async () => {
    const { findings } = await check(
      `${TABLE} CREATE POLICY read ON app.todos FOR SELECT USING (${TENANT}); CREATE POLICY add ON app.todos FOR INSERT WITH CHECK (true)`,
    );
    expect(subjectsOf(findings)).toEqual(["todos.add"]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("full policies, reading policies and permissive ones under a restrictive check are right", async () => {
    const { findings, examined } = await check(`${TABLE}
      CREATE POLICY tenant ON app.todos AS RESTRICTIVE USING (${TENANT}) WITH CHECK (${TENANT});
      CREATE POLICY add ON app.todos FOR INSERT WITH CHECK (true);
      CREATE POLICY change ON app.todos FOR UPDATE USING (${TENANT}) WITH CHECK (true);
      CREATE POLICY read ON app.todos FOR SELECT USING (${TENANT});
      CREATE POLICY remove ON app.todos FOR DELETE USING (${TENANT});`);
    expect(findings).toEqual([]);
    expect(examined).toBe(3);
  });

  test("it can be silenced", async () => {
    const { findings, silenced } = await check(`${TABLE} CREATE POLICY tenant ON app.todos USING (${TENANT})`, {
      silence: [{ rule: "tenant-policy-without-check", subject: "app.todos.tenant", reason: "USING says it all" }],
    });
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
