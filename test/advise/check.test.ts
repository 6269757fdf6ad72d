// The engine: severities, silencing, order, what was examined, and faults of the configuration.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  checkCatalog,
  checkConfigSchema,
  parseCheckConfig,
  rules,
  runCheck,
  subjectPath,
  type CheckConfig,
} from "../../src/advise/index.ts";
import { readCatalog } from "../../src/catalog/index.ts";
import { InvalidConfigurationError } from "../../src/postgres/index.ts";
import { testDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(async () => {
  await database.close();
});
beforeEach(async () => {
  await database.exec(
    "DROP SCHEMA IF EXISTS app, other, pgsteward CASCADE; DROP EXTENSION IF EXISTS pg_stat_statements; CREATE SCHEMA app",
  );
});

function faultsOf(config: unknown): string {
  try {
    parseCheckConfig(config);
  } catch (error) {
    if (error instanceof InvalidConfigurationError) return error.message;
    throw error;
  }
  throw new Error("the configuration was taken");
}

describe("a report", () => {
  test("over an empty database examines nothing and says so for each rule", async () => {
    const report = await runCheck(database);
    expect(report.findings).toEqual([]);
    expect(report.examined).toMatchObject({ tables: 0, columns: 0, indexes: 0 });
    expect(report.rules.map((rule) => rule.rule)).toEqual(rules.map((rule) => rule.id));
    for (const rule of report.rules)
      expect(rule).toMatchObject({ examined: 0, findings: 0, note: expect.stringMatching(/^there are no /) });
  });

  test("has errors first, then the order of subjects", async () => {
    await database.exec("CREATE TABLE app.b (data json); CREATE TABLE app.a (at timestamp)");
    const { findings, counts } = await runCheck(database);
    const severities = findings.map((finding) => finding.severity);
    expect(severities).toEqual(
      [...severities].toSorted(
        (a, b) => ["error", "warning", "info"].indexOf(a) - ["error", "warning", "info"].indexOf(b),
      ),
    );
    expect(findings.filter((finding) => finding.severity === "warning").map(subjectPath)).toEqual([
      "app.a",
      "app.a.at",
      "app.b",
      "app.b.data",
    ]);
    expect(counts).toEqual({ error: 2, warning: 4, info: findings.length - 6 });
  });

  test("is the same for a catalog that was kept as JSON", async () => {
    await database.exec("CREATE TABLE app.todos (data json)");
    const catalog = await readCatalog(database);
    // JSON drops what is undefined; rules must not tell that apart.
    expect(checkCatalog(JSON.parse(JSON.stringify(catalog)) as typeof catalog)).toEqual(checkCatalog(catalog));
  });

  test("leaves out extensions, pgsteward's own records, and schemas that are to be ignored", async () => {
    await database.exec(`
      CREATE EXTENSION pg_stat_statements SCHEMA app;
      CREATE SCHEMA pgsteward; CREATE TABLE pgsteward.records (data json);
      CREATE SCHEMA other; CREATE TABLE other.things (data json);`);
    const { findings, examined } = await runCheck(database, { ignoreSchemas: ["oth*"] });
    expect(findings).toEqual([]);
    expect(examined.tables).toBe(0);
    expect((await runCheck(database)).findings.every((finding) => finding.subject.schema === "other")).toBe(true);
  });

  test("counts what was examined, partitions apart", async () => {
    await database.exec(`
      CREATE TABLE app.events (id int, at int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
      CREATE TABLE app.events_1 PARTITION OF app.events DEFAULT;
      CREATE VIEW app.v AS SELECT 1 AS one;`);
    expect((await runCheck(database)).examined).toMatchObject({
      tables: 1,
      partitions: 1,
      columns: 4,
      indexes: 2,
      views: 1,
      policies: 0,
    });
  });
});

describe("the configuration", () => {
  const setup = "CREATE TABLE app.todos (data json, at timestamp)";

  test("turns a rule off and changes severities", async () => {
    await database.exec(setup);
    const config: CheckConfig = {
      rules: {
        "json-instead-of-jsonb": "off",
        "timestamp-without-time-zone": { severity: "error", storedTimeZone: "UTC" },
        naming: { severity: "off" },
      },
    };
    const report = await runCheck(database, config);
    expect(report.findings.map((finding) => finding.rule)).not.toContain("json-instead-of-jsonb");
    expect(report.rules.find((rule) => rule.rule === "json-instead-of-jsonb")).toMatchObject({
      severity: "off",
      note: "the rule is off",
    });
    expect(report.rules.find((rule) => rule.rule === "naming")).toMatchObject({ severity: "off" });
    expect(report.findings.find((finding) => finding.rule === "timestamp-without-time-zone")).toMatchObject({
      severity: "error",
    });
  });

  test("a silence that matched nothing is reported", async () => {
    await database.exec(setup);
    const used = { rule: "json-instead-of-jsonb", subject: "app.todos.data", reason: "kept as received" };
    const unused = { rule: "json-instead-of-jsonb", subject: "app.todo.data", reason: "mistyped" };
    const report = await runCheck(database, { silence: [used, unused] });
    expect(report.unusedSilences).toEqual([unused]);
    expect(report.silenced.map(({ reason }) => reason)).toEqual(["kept as received"]);
    expect(report.rules.find((rule) => rule.rule === "json-instead-of-jsonb")).toMatchObject({
      examined: 2,
      findings: 0,
      note: undefined,
    });
  });

  test("a pattern's other characters stand for themselves", async () => {
    await database.exec('CREATE TABLE app.todos (data json); CREATE TABLE app."a.c" (data json)');
    const silence = [{ rule: "json-instead-of-jsonb", subject: "app.todos.dat.", reason: "a dot is a dot" }];
    expect((await runCheck(database, { silence })).silenced).toEqual([]);
  });

  test("reports all faults at once, with places", () => {
    const message = faultsOf({
      rules: {
        "foreign-key-without-indx": "error",
        "json-instead-of-jsonb": "fatal",
        "primary-key-not-uuid": { allow: "text" },
        naming: { plural: true },
      },
      silence: [
        { rule: "naming", subject: "app.*", reason: " " },
        { rule: "namming", subject: "app.*", reason: "x" },
      ],
      naming: "oracle",
      tenantSetting: "tenant",
      colour: "blue",
    });
    expect(message).toContain("silence.0.reason: say why");
    expect(message).toContain("naming: ");
    expect(message).toContain("tenantSetting: must be a setting name with a dot");
    expect(message).toContain("rules.json-instead-of-jsonb: must be");
    expect(message).toContain('"colour"');
    expect(message).toContain(
      'rules.foreign-key-without-indx: there is no rule "foreign-key-without-indx"; did you mean "foreign-key-without-index"?',
    );
    expect(message).toContain("rules.primary-key-not-uuid.allow: ");
    expect(message).toContain("rules.naming: ");
    expect(message).toContain('silence.1.rule: there is no rule "namming"; did you mean "naming"?');
  });

  test("a rule name that resembles none gets the list", () => {
    expect(faultsOf({ rules: { xyzzy: "off" } })).toContain(`the rules are ${rules.map((rule) => rule.id).join(", ")}`);
  });

  test("is empty by default and takes the defaults", () => {
    expect(checkConfigSchema.parse({})).toEqual({
      rules: {},
      silence: [],
      tenantColumn: "tenant_id",
      tenantSetting: "app.tenant_id",
      naming: "pgsteward",
      ignoreSchemas: [],
    });
  });
});
