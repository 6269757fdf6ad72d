// Every lint rule by its own examples: the bad one is reported, the good one is not, an ignore with a reason silences it.
import { describe, expect, test } from "vitest";
import { LINT_RULES, lintSql, type LintOptions } from "../../src/migrate/index.ts";

const everything: LintOptions = {
  config: { rules: Object.fromEntries(LINT_RULES.map(({ id }) => [id, "on" as const])) },
};
const rulesIn = async (sql: string, options: LintOptions = everything): Promise<string[]> => {
  const report = await lintSql([{ name: "change.sql", text: sql }], options);
  return report.findings.map(({ rule }) => rule);
};
// What needs a catalog is tested with real databases in lint-catalog.test.ts.
const rules = LINT_RULES.filter(({ bad }) => !bad.startsWith("-- given"));
const NEVER_IGNORED = new Set(["ignore-without-reason", "unused-ignore", "syntax-error"]);

describe.each(rules.map((rule) => [rule.id, rule] as const))("%s", (id, rule) => {
  test("its bad example is reported, its good one is not", async () => {
    expect(await rulesIn(rule.bad)).toContain(id);
    expect(await rulesIn(rule.good)).not.toContain(id);
  });
});

test.each(rules.filter(({ id }) => !NEVER_IGNORED.has(id)).map(({ id, bad }) => [id, bad]))(
  "%s is silenced on the statement that is named, with its reason",
  async (id, bad) => {
    const first = await lintSql([{ name: "change.sql", text: bad }], everything);
    const lines = bad.split("\n");
    const at = first.findings.filter(({ rule }) => rule === id).map(({ line }) => line - 1);
    const text = lines.map((line, index) => (at.includes(index) ? `-- pgsteward:ignore ${id} agreed\n${line}` : line));
    const report = await lintSql([{ name: "change.sql", text: text.join("\n") }], everything);
    expect(report.findings.map(({ rule }) => rule)).not.toContain(id);
    expect(report.findings.map(({ rule }) => rule)).not.toContain("unused-ignore");
    expect(report.ignored.find(({ finding }) => finding.rule === id)?.reason).toBe("agreed");
  },
);

test("ids are unique and kebab-case, texts are there", () => {
  expect(new Set(LINT_RULES.map(({ id }) => id)).size).toBe(LINT_RULES.length);
  for (const rule of LINT_RULES) {
    expect(rule.id).toMatch(/^[a-z]+(-[a-z]+)*$/);
    expect(rule.title).not.toMatch(/\.$/);
    expect(rule.why).toMatch(/\.$/);
  }
});

test.each([
  ["a constant default", "ALTER TABLE t ADD COLUMN a int NOT NULL DEFAULT 0;"],
  ["now() and other STABLE defaults", "ALTER TABLE t ADD COLUMN a timestamptz NOT NULL DEFAULT now();"],
  ["CURRENT_TIMESTAMP", "ALTER TABLE t ADD COLUMN a timestamptz DEFAULT CURRENT_TIMESTAMP;"],
  [
    "an expression of constants",
    "ALTER TABLE t ADD COLUMN a jsonb DEFAULT '{}'::jsonb, ADD COLUMN b text[] DEFAULT ARRAY[]::text[];",
  ],
  ["a virtual generated column", "ALTER TABLE t ADD COLUMN a int GENERATED ALWAYS AS (b * 2) VIRTUAL;"],
  ["a nullable column", "ALTER TABLE IF EXISTS t ADD COLUMN IF NOT EXISTS a text;"],
  ["a default for new rows", "ALTER TABLE t ALTER COLUMN a SET DEFAULT gen_random_uuid();"],
  ["a key NOT VALID", "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES r (id) NOT VALID;"],
  ["a validation of its own", "ALTER TABLE t VALIDATE CONSTRAINT f;"],
  ["NOT NULL NOT VALID", "ALTER TABLE t ADD CONSTRAINT n NOT NULL a NOT VALID;"],
  ["a unique constraint from an index", "ALTER TABLE t ADD CONSTRAINT u UNIQUE USING INDEX i;"],
  ["renaming a constraint or an index", "ALTER TABLE t RENAME CONSTRAINT a TO b; ALTER INDEX i RENAME TO j;"],
  ["an index ON ONLY the parent", "CREATE INDEX i ON ONLY t (a);"],
  ["comments and statistics", "COMMENT ON TABLE t IS 'x'; ALTER TABLE t ALTER COLUMN a SET STATISTICS 500; ANALYZE t;"],
  ["a new enum value", "ALTER TYPE mood ADD VALUE 'calm';"],
  ["a new view", "CREATE OR REPLACE VIEW v AS SELECT 1 AS one;"],
  ["rows of a lookup table", "INSERT INTO kinds (name) VALUES ('a'), ('b');"],
  [
    "NOT NULL after a validated CHECK, also one part of an AND",
    "ALTER TABLE t ADD CONSTRAINT c CHECK (a IS NOT NULL AND a > 0) NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT c; ALTER TABLE t ALTER a SET NOT NULL; ALTER TABLE t DROP CONSTRAINT c;",
  ],
])("nothing is said about %s", async (_, sql) => {
  expect(await rulesIn(sql, {})).toEqual([]);
});

test.each([
  [
    "a CHECK that is not validated",
    "ALTER TABLE t ADD CONSTRAINT c CHECK (a IS NOT NULL) NOT VALID; ALTER TABLE t ALTER a SET NOT NULL;",
  ],
  [
    "a CHECK with OR",
    "ALTER TABLE t ADD CONSTRAINT c CHECK (a IS NOT NULL OR b) NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT c; ALTER TABLE t ALTER a SET NOT NULL;",
  ],
])("SET NOT NULL still reads the table after %s", async (_, sql) => {
  expect(await rulesIn(sql, {})).toEqual(["set-not-null"]);
});

test("the answer follows the server version", async () => {
  const sql = "ALTER TABLE t ALTER a SET NOT NULL;";
  const rewriteOn = async (serverVersion: number): Promise<string | undefined> =>
    (await lintSql([{ name: "a.sql", text: sql }], { serverVersion })).findings[0]?.rewrite;
  expect(await rewriteOn(17)).toContain("CHECK (a IS NOT NULL) NOT VALID");
  expect(await rewriteOn(18)).toContain("ADD CONSTRAINT t_a_not_null NOT NULL a NOT VALID");
});

test("unknown rules and versions are refused", async () => {
  const lint = (options: LintOptions): Promise<unknown> => lintSql([], options);
  await expect(lint({ config: { rules: { "no-such-rule": "off" } } })).rejects.toThrow(
    "there is no lint rule no-such-rule",
  );
  await expect(lint({ serverVersion: 13 })).rejects.toThrow("13 is not a major version");
  await expect(lint({ serverVersion: NaN })).rejects.toThrow("NaN is not a major version");
});
