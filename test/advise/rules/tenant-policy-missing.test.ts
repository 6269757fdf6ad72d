import { describe, expect, test } from "vitest";
import { ruleCases } from "../support.ts";

const { check, checkAfterFix } = ruleCases("tenant-policy-missing");
const TENANT = "tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)";
const TABLE =
  "CREATE TABLE app.todos (tenant_id uuid, owner text); ALTER TABLE app.todos ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;";

describe("tenant-policy-missing", () => {
  test("a tenant table whose policies never compare the tenant is reported, and the fix adds a restrictive policy", async () => {
    const { findings } = await check(`${TABLE} CREATE POLICY own ON app.todos USING (owner = current_user)`);
    expect(findings).toMatchObject([
      { severity: "error", subject: { kind: "table", name: "todos" }, message: expect.stringContaining("own") },
    ]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("a command that no tenant policy covers is named", async () => {
    const { findings } = await check(
      `${TABLE} CREATE POLICY a ON app.todos FOR SELECT USING (${TENANT}); CREATE POLICY b ON app.todos FOR DELETE USING (true)`,
    );
    expect(findings).toHaveLength(1);
    expect(findings[0]?.message).toContain("for DELETE;");
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("tenant policies of either kind are right, and so is a table that lets nothing through", async () => {
    const { findings, examined } = await check(`${TABLE} CREATE POLICY a ON app.todos USING (${TENANT});
      CREATE TABLE app.closed (tenant_id uuid); ALTER TABLE app.closed ENABLE ROW LEVEL SECURITY;
      CREATE TABLE app.notes (tenant_id uuid); ALTER TABLE app.notes ENABLE ROW LEVEL SECURITY;
      CREATE POLICY a ON app.notes AS RESTRICTIVE USING (${TENANT}); CREATE POLICY b ON app.notes USING (true);`);
    expect(findings).toEqual([]);
    expect(examined).toBe(3);
  });

  test("it can be silenced", async () => {
    const { findings, silenced } = await check(`${TABLE} CREATE POLICY own ON app.todos USING (owner = current_user)`, {
      silence: [{ rule: "tenant-policy-missing", subject: "app.todos", reason: "one login role per tenant" }],
    });
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
