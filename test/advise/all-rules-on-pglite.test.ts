// Every rule finds its fault on the embedded PGlite too, and the fixes run there.
import { afterAll, beforeAll, expect, test } from "vitest";
import { rules, runCheck, subjectPath, type CheckReport } from "../../src/advise/index.ts";
import { testPglite, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let report: CheckReport;

beforeAll(async () => {
  database = await testPglite();
  await database.exec(`
    CREATE SCHEMA app;
    CREATE TABLE app.log (line text);
    CREATE TABLE app.parent (id serial PRIMARY KEY);
    CREATE TABLE app.child (id uuid PRIMARY KEY, parent_id int REFERENCES app.parent, data json, at timestamp, a int, b int);
    CREATE INDEX one ON app.child (a); CREATE INDEX two ON app.child (a); CREATE INDEX three ON app.child (a, b); CREATE INDEX broken ON app.child (b);
    UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.broken'::regclass;
    CREATE TABLE app.open (id uuid PRIMARY KEY, tenant_id uuid);
    CREATE TABLE app.loose (id uuid PRIMARY KEY, tenant_id uuid, owner text);
    ALTER TABLE app.loose ENABLE ROW LEVEL SECURITY;
    CREATE POLICY tenant ON app.loose USING (tenant_id = current_setting('app.tenant_id')::uuid);
    CREATE POLICY own ON app.loose USING (owner = current_user);
    CREATE TABLE app.blind (id uuid PRIMARY KEY, tenant_id uuid);
    ALTER TABLE app.blind ENABLE ROW LEVEL SECURITY;
    CREATE POLICY everybody ON app.blind USING (true);
    CREATE TABLE app.pairs (a int, b int, price money, UNIQUE (a, b));
    CREATE TABLE app.halves (a bigint, b bigint);
    ALTER TABLE app.halves ADD CONSTRAINT pair FOREIGN KEY (a, b) REFERENCES app.pairs (a, b) NOT VALID;
    CREATE TABLE app.members (tenant_id uuid, email text UNIQUE, loose_id uuid REFERENCES app.loose);
    CREATE POLICY idle ON app.members USING (true);
    CREATE TABLE app.closed (id uuid PRIMARY KEY); ALTER TABLE app.closed ENABLE ROW LEVEL SECURITY;
    CREATE VIEW app.every_row AS SELECT id FROM app.closed;
    CREATE FUNCTION app.risky() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';`);
  report = await runCheck(database);
});
afterAll(async () => {
  await database.close();
});

test("each rule has a finding", () => {
  const silent = rules.map((rule) => rule.id).filter((id) => !report.findings.some((finding) => finding.rule === id));
  expect(silent).toEqual([]);
});

test("each finding names its subject, what was examined, the reason, the remedy and the page", () => {
  for (const finding of report.findings) {
    expect(finding.subject.schema).toBe("app");
    expect(finding.message).toMatch(/[.)]$/);
    expect(finding.examined).not.toBe("");
    expect(finding.why).not.toBe("");
    expect(finding.fix.description).not.toBe("");
    expect(finding.documentation).toBe(`docs/rules/${finding.rule}.md`);
  }
});

test("fixes run one after the other until none is left that has a statement", async () => {
  // Renamings are many and tested with their rule.
  const config = { rules: { naming: "off" as const } };
  let current = await runCheck(database, config);
  for (;;) {
    const next = current.findings.find((finding) => finding.fix.sql !== undefined);
    if (next?.fix.sql === undefined) break;
    await database.exec(next.fix.sql);
    current = await runCheck(database, config);
    const still = current.findings.filter((finding) => finding.rule === next.rule && finding.message === next.message);
    expect(still.map(subjectPath)).toEqual([]);
  }
  expect(current.counts.error + current.counts.warning).toBeGreaterThan(0);
  expect(current.findings.every((finding) => finding.fix.sql === undefined)).toBe(true);
}, 180_000);
