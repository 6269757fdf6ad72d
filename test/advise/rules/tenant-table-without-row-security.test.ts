import { describe, expect, test } from "vitest";
import { runCheck } from "../../../src/advise/index.ts";
import { ruleCases, subjectsOf } from "../support.ts";

const { check, checkAfterFix, database } = ruleCases("tenant-table-without-row-security");
const A = "00000000-0000-7000-8000-00000000000a";
const B = "00000000-0000-7000-8000-00000000000b";

/** Runs statements as a role that owns nothing, then takes the role away again. */
async function asApplication<T>(tenant: string | undefined, sql: string): Promise<T[]> {
  const role = `app_user_${process.pid}`;
  await database().exec(
    `CREATE ROLE ${role}; GRANT USAGE ON SCHEMA app TO ${role}; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA app TO ${role};`,
  );
  try {
    const [, , result] = await database().batch([
      { text: "SELECT set_config('app.tenant_id', $1, true)", values: [tenant ?? ""] },
      { text: `SET LOCAL ROLE ${role}` },
      { text: sql },
    ]);
    return (result?.rows ?? []) as T[];
  } finally {
    await database().exec(`DROP OWNED BY ${role}; DROP ROLE ${role};`);
  }
}

describe("tenant-table-without-row-security", () => {
  test("a tenant table without row-level security is reported, and the fix isolates the tenants and satisfies every tenant rule", async () => {
    const { findings } = await check(`
      CREATE TABLE app.todos (tenant_id uuid NOT NULL, body text);
      INSERT INTO app.todos VALUES ('${A}', 'a'), ('${B}', 'b');`);
    expect(findings).toMatchObject([
      { severity: "error", subject: { kind: "table", name: "todos" }, columns: ["tenant_id"] },
    ]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
    const tenantRules = (await runCheck(database())).findings.filter((finding) =>
      /tenant|row-security|policy/.test(finding.rule),
    );
    expect(tenantRules).toEqual([]);
    expect(await asApplication(A, "SELECT body FROM app.todos")).toEqual([{ body: "a" }]);
    expect(await asApplication(undefined, "SELECT body FROM app.todos")).toEqual([]);
    await expect(asApplication(A, `INSERT INTO app.todos VALUES ('${B}', 'c')`)).rejects.toThrow("row-level security");
  });

  test("integer and text tenants get a fix of their type, and the configured names are used", async () => {
    const config = { tenantColumn: "account", tenantSetting: "our.account" };
    const { findings } = await check(
      "CREATE TABLE app.a (account bigint); CREATE TABLE app.b (account varchar(3)); CREATE TABLE app.c (tenant_id uuid)",
      config,
    );
    expect(subjectsOf(findings)).toEqual(["a", "b"]);
    for (const finding of findings) {
      expect(finding.fix.sql).toContain("our.account");
      await checkAfterFix(finding, config);
    }
    expect(
      (await runCheck(database(), config)).findings.filter(
        (finding) => finding.rule === "tenant-table-without-row-security",
      ),
    ).toEqual([]);
  });

  test("policies that exist are kept: the fix only turns row-level security on", async () => {
    const { findings } = await check(
      "CREATE TABLE app.todos (tenant_id uuid); CREATE POLICY mine ON app.todos USING (true)",
    );
    expect(findings[0]?.fix.sql).not.toContain("CREATE POLICY");
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("partitions are not reported, unless a role may use them directly past the policies", async () => {
    const setup = `
      CREATE TABLE app.events (tenant_id uuid, at int) PARTITION BY RANGE (at);
      CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES FROM (0) TO (10);
      CREATE TABLE app.events_2 PARTITION OF app.events DEFAULT;
      ALTER TABLE app.events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;`;
    expect((await check(setup)).findings).toEqual([]);
    const { findings } = await check(`${setup} GRANT SELECT ON app.events_2 TO PUBLIC;`);
    expect(findings).toMatchObject([{ subject: { name: "events" }, message: expect.stringContaining("events_2") }]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("tables without a tenant and protected tables are right", async () => {
    const { findings, examined } = await check(`
      CREATE TABLE app.plans (id uuid);
      CREATE TABLE app.todos (tenant_id uuid); ALTER TABLE app.todos ENABLE ROW LEVEL SECURITY;`);
    expect(findings).toEqual([]);
    expect(examined).toBe(1);
  });

  test("it can be silenced", async () => {
    const { findings, silenced } = await check("CREATE TABLE app.todos (tenant_id uuid)", {
      silence: [
        { rule: "tenant-table-without-row-security", subject: "app.todos", reason: "read by the billing job only" },
      ],
    });
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
