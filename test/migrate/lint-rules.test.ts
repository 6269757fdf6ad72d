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

test.each([
  ["ALTER TABLE t ADD CONSTRAINT u UNIQUE USING INDEX i, ADD CHECK (a > 0) NOT VALID;", []],
  ["CREATE TABLE t (a int, b int, UNIQUE (a, a));", ["duplicate-key-column"]],
  ["CREATE TABLE t (id int PRIMARY KEY, a int, FOREIGN KEY (id, a) REFERENCES r (b, b));", ["duplicate-key-column"]],
  ["CREATE TABLE t (id int PRIMARY KEY, a int, FOREIGN KEY (a, a) REFERENCES r (b, c));", ["duplicate-key-column"]],
  ["CREATE TABLE t (id int PRIMARY KEY, a int, FOREIGN KEY (id, a) REFERENCES r (b, c));", []],
  ["CREATE TABLE t (a int, b text);", ["primary-key-missing"]],
  ["CREATE TABLE t (a int, b text); ALTER TABLE t RENAME TO u;", ["primary-key-missing"]],
  ["CREATE TABLE t (a int, b text); ALTER TABLE t RENAME TO u; ALTER TABLE u ADD PRIMARY KEY (a);", []],
  ["CREATE TABLE t (a int, b text); CREATE UNIQUE INDEX i ON t (a);", []],
  ["CREATE TABLE t (a int, b text); ALTER TABLE events ATTACH PARTITION t FOR VALUES IN (1);", []],
  ["CREATE TABLE t (a int, b text); DROP TABLE t;", []],
  ["CREATE TABLE t (a int, b text) PARTITION BY LIST (a); CREATE TABLE u (LIKE t); CREATE TABLE w (a int);", []],
  ["CREATE TABLE t (a int, n bigserial); CREATE TEMP TABLE u (a int, b int); CREATE TABLE v (b_id int, c_id int);", []],
  ["INSERT INTO t VALUES (1);", ["insert-without-columns"]],
  ["CREATE TABLE t (a int); INSERT INTO t VALUES (1); INSERT INTO schema_migrations VALUES ('1');", []],
  ["SET lock_timeout = '0ms'; ALTER TABLE t ADD COLUMN a int;", ["lock-timeout-off"]],
  ["SET lock_timeout = 0; CREATE TABLE t (a int); ALTER TABLE t ADD b int; SELECT 1;", []],
  ["SET lock_timeout = 0; RESET lock_timeout; ALTER TABLE t ADD COLUMN a int;", []],
  ["SET lock_timeout = 0; SET lock_timeout = '2s'; ALTER TABLE t ADD COLUMN a int;", []],
  ["BEGIN; ALTER TYPE mood ADD VALUE 'calm'; COMMIT;", ["enum-value-in-transaction"]],
  ["BEGIN; CREATE TYPE mood AS ENUM ('ok'); ALTER TYPE mood ADD VALUE 'calm'; COMMIT;", []],
  ["ALTER SEQUENCE s MINVALUE 5;", ["sequence-change"]],
  ["ALTER SEQUENCE s NO MINVALUE;", []],
  ["ALTER INDEX i SET TABLESPACE fast;", ["rewrite-maintenance"]],
  ["CREATE TABLE t (a int PRIMARY KEY); ALTER INDEX t_pkey SET TABLESPACE fast;", []],
  ["ALTER MATERIALIZED VIEW v SET TABLESPACE fast;", ["rewrite-maintenance"]],
  ["ALTER TABLE ALL IN TABLESPACE slow SET TABLESPACE fast;", ["rewrite-maintenance"]],
  ["ALTER INDEX ALL IN TABLESPACE slow SET TABLESPACE slow;", []],
  ["ALTER TABLE t RENAME TO t;", []],
  ["MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET a = s.a;", []],
  ["MERGE INTO t USING s ON true WHEN MATCHED THEN UPDATE SET a = s.a;", ["write-without-where"]],
  ["MERGE INTO t USING s ON t.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE;", ["write-without-where"]],
  ["MERGE INTO t USING s ON t.id = s.id WHEN NOT MATCHED BY SOURCE AND t.a THEN DELETE;", []],
  ["BEGIN; SELECT FROM t FOR UPDATE; COMMIT;", ["write-without-where"]],
  ["BEGIN; SELECT FROM t WHERE a FOR UPDATE; SELECT FROM t LIMIT 1 FOR SHARE; COMMIT; SELECT FROM t FOR UPDATE;", []],
  ["CREATE TABLE u AS SELECT a FROM t;", ["table-made-by-query"]],
  ["SELECT a INTO u FROM t; DROP TABLE u;", ["table-made-by-query"]],
  ["CREATE TEMP TABLE u AS SELECT a FROM t; CREATE TABLE v AS SELECT a FROM t WITH NO DATA;", []],
  ["CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u AS SELECT id FROM t; CREATE TABLE v AS VALUES (1);", []],
  ["CREATE MATERIALIZED VIEW m AS SELECT a FROM t;", []],
  ["ALTER TABLE t ALTER a SET DEFAULT b + 1;", ["default-with-column"]],
  ["ALTER TABLE t ALTER a SET DEFAULT (SELECT max(b) FROM u);", ["default-with-column"]],
  ["CREATE TABLE t (id int PRIMARY KEY, a timestamptz DEFAULT now() + interval '1 day', b text[] DEFAULT '{}');", []],
  ["ALTER TABLE t ADD a int; ALTER TABLE t RENAME a TO b; ALTER TABLE t DROP COLUMN b;", []],
  ["ALTER TABLE t ADD a int NOT NULL DEFAULT 0; ALTER TABLE t ALTER a DROP NOT NULL, ALTER a DROP DEFAULT;", []],
  ["ALTER TABLE t ADD a int; ALTER TABLE t ALTER a TYPE bigint;", ["change-column-type"]],
  ["ALTER DOMAIN d DROP DEFAULT; ALTER VIEW v ALTER a DROP DEFAULT;", ["drop-default", "drop-default"]],
  ["CREATE DOMAIN d AS int DEFAULT 1; ALTER DOMAIN d DROP DEFAULT; ALTER DOMAIN e SET DEFAULT 1;", []],
  ["ALTER TABLE t OF u; ALTER TABLE t NOT OF;", ["inheritance-change", "inheritance-change"]],
  ["ALTER TABLE t ENABLE RULE r;", ["trigger-change"]],
  ["SET lock_timeout = '1s'; ALTER TABLE t ENABLE RULE r;", []],
  ["CREATE TABLE t (id int PRIMARY KEY, a timestamptz(0), b timestamptz(3), c timestamp(0));", ["discouraged-type"]],
  ["ALTER TABLE t DROP CONSTRAINT t_user_id_fkey;", ["drop-foreign-key-locks-referenced"]],
  ["ALTER TABLE t DROP CONSTRAINT t_age_check; ALTER TABLE t DROP CONSTRAINT t_email_key;", []],
  ["SET lock_timeout = '1s'; ALTER TABLE t DROP CONSTRAINT fk_t_user;", []],
  ["CREATE TABLE t (id int PRIMARY KEY, CONSTRAINT a_fk CHECK (id > 0)); ALTER TABLE t DROP CONSTRAINT a_fk;", []],
  ["CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a + 1) STORED);", []],
])("%s: %s", async (sql, expected) => {
  expect(await rulesIn(sql, {})).toEqual(expected);
});

test("one INSERT may write so many rows as the configuration says, else 1,000", async () => {
  const insert = (rows: number): string =>
    `INSERT INTO t (a) VALUES ${Array.from({ length: rows }, () => "(1)").join()};`;
  expect(await rulesIn(insert(1_000), {})).toEqual([]);
  expect(await rulesIn(insert(1_001), {})).toEqual(["insert-many-rows"]);
  expect(await rulesIn(insert(3), { config: { maxInsertRows: 2 } })).toEqual(["insert-many-rows"]);
  expect(await rulesIn("INSERT INTO t (a) SELECT a FROM u;", { config: { maxInsertRows: 2 } })).toEqual([]);
});

const MONTHS = "CREATE TABLE m (year int NOT NULL, month int NOT NULL, n int) PARTITION BY RANGE (year, (month + 0));";
test.each([
  ["CHECK (year = 2024 AND month < 4)", false],
  ["CHECK (year = 2024)", true],
  ["CHECK (n > 0)", true],
  ["CHECK (year = 2024), CHECK (month < 4 AND year > 0)", false],
])("a partition with %s is attached: its rows are read: %s", async (check, isRead) => {
  const applied = [{ name: "0.sql", text: `${MONTHS} CREATE TABLE p (year int, month int, n int, ${check});` }];
  const sql = "ALTER TABLE m ATTACH PARTITION p FOR VALUES FROM (2024, 1) TO (2024, 4);";
  expect(await rulesIn(sql, { applied })).toEqual(isRead ? ["attach-partition-scan"] : []);
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

test("columns that files which ran before added are in use", async () => {
  const applied = [{ name: "0.sql", text: "CREATE TABLE t (id int PRIMARY KEY); ALTER TABLE t ADD a int DEFAULT 1;" }];
  expect(await rulesIn("ALTER TABLE t ALTER a DROP DEFAULT;", { applied })).toEqual(["drop-default"]);
  expect(
    await rulesIn("ALTER TABLE t ADD COLUMN IF NOT EXISTS a int; ALTER TABLE t DROP COLUMN a;", { applied }),
  ).toEqual(["drop-column"]);
});

test.each([
  ["CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p;", true],
  ["CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (create_slot = false);", false],
  ["CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (connect = false);", false],
  ["ALTER SUBSCRIPTION s REFRESH PUBLICATION;", true],
  ["ALTER SUBSCRIPTION s ADD PUBLICATION p;", true],
  ["ALTER SUBSCRIPTION s ADD PUBLICATION p WITH (refresh = false);", false],
  ["ALTER SUBSCRIPTION s SET (failover = true);", true],
  ["ALTER SUBSCRIPTION s DISABLE;", false],
  ["DROP SUBSCRIPTION s;", true],
  ["ALTER SUBSCRIPTION s SET (slot_name = NONE); DROP SUBSCRIPTION s;", false],
  ["ALTER DATABASE d SET TABLESPACE fast;", true],
  ["DISCARD ALL;", true],
  ["DISCARD PLANS;", false],
])("%s is refused in a transaction: %s", async (sql, isRefused) => {
  const found = await rulesIn(`BEGIN; ${sql} COMMIT;`, {});
  expect(found.filter((rule) => rule === "concurrently-in-transaction")).toHaveLength(isRefused ? 1 : 0);
});
