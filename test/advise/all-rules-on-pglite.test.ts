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
    CREATE POLICY everybody ON app.blind USING (true);`);
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
  for (let round = 0; round < 100; round += 1) {
    const next = (await runCheck(database)).findings.find((finding) => finding.fix.sql !== undefined);
    if (next?.fix.sql === undefined) break;
    await database.exec(next.fix.sql);
    const still = (await runCheck(database)).findings.filter(
      (finding) => finding.rule === next.rule && finding.message === next.message,
    );
    expect(still.map(subjectPath)).toEqual([]);
  }
  expect(
    (await runCheck(database)).findings.filter((finding) => finding.fix.sql !== undefined).map(subjectPath),
  ).toEqual([]);
});
