import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ruleCases, subjectsOf } from "../support.ts";

const { check, checkAfterFix, database } = ruleCases("permissive-policy-widens-tenant");
const TENANT = "tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)";
const TABLE =
  "CREATE TABLE app.todos (tenant_id uuid, owner text, is_public boolean); ALTER TABLE app.todos ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;";
const ADMIN = `admin_${process.pid}`;

beforeAll(async () => {
  await database().exec(`CREATE ROLE ${ADMIN}`);
});
afterAll(async () => {
  await database().exec(`DROP SCHEMA app CASCADE; DROP ROLE ${ADMIN}`);
});

describe("permissive-policy-widens-tenant", () => {
  test("a permissive policy beside the permissive tenant policy is reported, and the fix adds a restrictive one", async () => {
    const { findings } = await check(`${TABLE}
      CREATE POLICY tenant ON app.todos USING (${TENANT}) WITH CHECK (${TENANT});
      CREATE POLICY own ON app.todos USING (owner = current_user);`);
    expect(findings).toMatchObject([
      {
        severity: "error",
        subject: { kind: "policy", table: "todos", name: "own" },
        message: expect.stringContaining("SELECT, INSERT, UPDATE, DELETE"),
      },
    ]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("only the commands both policies hold for count", async () => {
    const { findings } = await check(`${TABLE}
      CREATE POLICY tenant ON app.todos FOR SELECT USING (${TENANT});
      CREATE POLICY remove ON app.todos FOR DELETE USING (true);
      CREATE POLICY open ON app.todos FOR SELECT USING (is_public OR ${TENANT});`);
    expect(subjectsOf(findings)).toEqual(["todos.open"]);
    expect(findings[0]?.message).toContain("for SELECT,");
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("an INSERT policy that checks nothing widens a tenant policy for all commands", async () => {
    const { findings } = await check(`${TABLE}
      CREATE POLICY tenant ON app.todos USING (${TENANT});
      CREATE POLICY add ON app.todos FOR INSERT WITH CHECK (true);`);
    expect(subjectsOf(findings)).toEqual(["todos.add"]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("a policy for a named role beside a tenant policy for everybody is a warning", async () => {
    const { findings } = await check(`${TABLE}
      CREATE POLICY tenant ON app.todos USING (${TENANT});
      CREATE POLICY all_rows ON app.todos TO ${ADMIN} USING (true);`);
    expect(findings).toMatchObject([{ severity: "warning", message: expect.stringContaining(ADMIN) }]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("policies for roles that have nothing in common do not meet", async () => {
    const { findings } = await check(`${TABLE}
      CREATE POLICY tenant ON app.todos TO ${ADMIN} USING (${TENANT});
      CREATE POLICY all_rows ON app.todos TO CURRENT_USER USING (true);`);
    expect(findings).toEqual([]);
  });

  test("a restrictive tenant policy beside permissive ones is right", async () => {
    const { findings, examined } = await check(`${TABLE}
      CREATE POLICY tenant ON app.todos AS RESTRICTIVE USING (${TENANT}) WITH CHECK (${TENANT});
      CREATE POLICY own ON app.todos USING (owner = current_user);
      CREATE POLICY shared ON app.todos FOR SELECT USING (is_public);`);
    expect(findings).toEqual([]);
    expect(examined).toBe(3);
  });

  test("permissive policies that all compare the tenant are right", async () => {
    const { findings } = await check(`${TABLE}
      CREATE POLICY own ON app.todos USING (owner = current_user AND ${TENANT});
      CREATE POLICY shared ON app.todos FOR SELECT USING (${TENANT} AND (is_public OR owner = ''));
      CREATE POLICY nothing ON app.todos FOR DELETE USING (false);`);
    expect(findings).toEqual([]);
  });

  test("asking only whether the tenant is null is no isolation", async () => {
    const { findings } = await check(`${TABLE}
      CREATE POLICY tenant ON app.todos USING (${TENANT});
      CREATE POLICY filled ON app.todos USING (tenant_id IS NOT NULL);`);
    expect(subjectsOf(findings)).toEqual(["todos.filled"]);
  });

  test("it can be silenced by the policy's name", async () => {
    const { findings, silenced } = await check(
      `${TABLE} CREATE POLICY tenant ON app.todos USING (${TENANT}); CREATE POLICY templates ON app.todos FOR SELECT USING (is_public);`,
      {
        silence: [
          {
            rule: "permissive-policy-widens-tenant",
            subject: "app.todos.templates",
            reason: "public templates are shared",
          },
        ],
      },
    );
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
