// The linter's knowledge of the whole batch: new tables, settings, transactions as each tool opens them, ignores.
import { expect, test } from "vitest";
import { lintSql, type LintFile, type LintOptions } from "../../src/migrate/index.ts";

const rulesIn = async (
  files: Readonly<Record<string, string>> | string,
  options: LintOptions = {},
): Promise<string[]> => {
  const list: LintFile[] =
    typeof files === "string"
      ? [{ name: "change.sql", text: files }]
      : Object.entries(files).map(([name, text]) => ({ name, text }));
  const report = await lintSql(list, options);
  return report.findings.map(({ rule, file, line }) => (list.length > 1 ? `${file}:${line} ${rule}` : rule));
};

test("a table that an earlier statement or file makes is new: nothing there is a hazard", async () => {
  const all = {
    "1.sql":
      'CREATE TABLE shop.users (id bigint PRIMARY KEY, email text); CREATE TABLE "orders" (id int, user_id bigint);',
    "2.sql":
      "ALTER TABLE shop.users ALTER COLUMN email SET NOT NULL, ADD UNIQUE (email), ADD COLUMN n bigserial; CREATE INDEX ON shop.users (email); ALTER TABLE public.orders ADD FOREIGN KEY (user_id) REFERENCES shop.users (id); DROP TABLE orders; ALTER TABLE shop.users RENAME TO people; ALTER TABLE shop.people DROP COLUMN email; ALTER SEQUENCE shop.users_n_seq RENAME TO people_n_seq;",
  };
  expect(await rulesIn(all)).toEqual([]);
  expect((await rulesIn({ "2.sql": all["2.sql"] })).length).toBeGreaterThan(6);
});

test("CREATE TABLE AS and a new materialized view are new too; another schema's table of that name is not", async () => {
  expect(
    await rulesIn(
      "CREATE TABLE a AS SELECT 1 AS x; CREATE INDEX ON a (x); CREATE MATERIALIZED VIEW m AS SELECT 1 AS y; CREATE UNIQUE INDEX ON m (y); REFRESH MATERIALIZED VIEW m;",
    ),
  ).toEqual([]);
  expect(await rulesIn("CREATE TABLE one.a (x int); CREATE INDEX ON two.a (x);")).toEqual([
    "create-index-non-concurrent",
  ]);
  expect(await rulesIn("SET search_path = one; CREATE TABLE a (x int); CREATE INDEX ON one.a (x);")).toEqual([]);
  expect(await rulesIn("CREATE TABLE one.a (x int); DROP TRIGGER t ON one.a; DROP TRIGGER t ON two.a;")).toEqual([
    "drop-function",
  ]);
});

test("what lies in a schema that the batch makes is of the batch, what is moved there is not", async () => {
  const drops =
    "DROP TABLE IF EXISTS app.t CASCADE; CREATE TABLE app.t (id int); DROP TYPE IF EXISTS app.e CASCADE; DROP FUNCTION IF EXISTS app.f() CASCADE; DROP INDEX IF EXISTS app.i;";
  expect(await rulesIn(`CREATE SCHEMA app; ${drops}`)).toEqual([]);
  expect((await rulesIn(`CREATE SCHEMA IF NOT EXISTS app; ${drops}`)).length).toBeGreaterThan(6);
  expect(await rulesIn("CREATE SCHEMA app; ALTER VIEW v SET SCHEMA app; DROP VIEW app.v;")).toContain("drop-view");
});

test("an index that went with its constraint is not dropped again", async () => {
  const made = "CREATE TABLE r (id int CONSTRAINT k UNIQUE);";
  expect(await rulesIn(`${made} ALTER TABLE r DROP CONSTRAINT k; DROP INDEX IF EXISTS k;`)).toEqual([]);
  expect(await rulesIn(`${made} DROP INDEX IF EXISTS other;`)).toEqual(["drop-index-non-concurrent"]);
});

const INDEX = "CREATE INDEX CONCURRENTLY i ON users (email);";
const TWO = `ALTER TABLE users ADD COLUMN email text;\n${INDEX}`;
test.each([
  ["plain", "change.sql", TWO, false],
  ["SET LOCAL tells of a transaction", "change.sql", `SET LOCAL lock_timeout = '2s';\n${INDEX}`, true],
  ["BEGIN", "change.sql", `BEGIN;\n${INDEX}\nCOMMIT;`, true],
  ["dbmate", "db/20260101_a.sql", `-- migrate:up\n${INDEX}\n-- migrate:down\nDROP TABLE users;`, true],
  [
    "dbmate, transaction:false",
    "a.sql",
    `-- migrate:up transaction:false\n${INDEX}\n-- migrate:down\nDROP TABLE users;`,
    false,
  ],
  ["goose", "a.sql", `-- +goose Up\n${INDEX}`, true],
  ["goose, NO TRANSACTION", "a.sql", `-- +goose NO TRANSACTION\n-- +goose Up\n${INDEX}`, false],
  ["sql-migrate, notransaction", "a.sql", `-- +migrate Up notransaction\n${INDEX}`, false],
  ["golang-migrate, one statement", "000001_a.up.sql", INDEX, false],
  ["golang-migrate, two statements", "000001_a.up.sql", TWO, true],
  ["Prisma, one statement", "prisma/migrations/2026_a/migration.sql", INDEX, false],
  ["Prisma, two statements", "prisma/migrations/2026_a/migration.sql", TWO, true],
  ["Drizzle", "drizzle/0001_shy_hulk.sql", INDEX, true],
  ["Drizzle by its mark", "0001_a.sql", `SELECT 1;--> statement-breakpoint\n${INDEX}`, true],
  ["Flyway", "V1__a.sql", TWO, true],
  ["Flyway, nothing but such statements", "V1__a.sql", INDEX, false],
  ["Diesel", "migrations/2026_a/up.sql", INDEX, true],
  ["sqlx, one statement without a transaction", "20260101_a.sql", `-- no-transaction\n${INDEX}`, false],
  ["sqlx sends two as one query", "20260101_a.sql", `-- no-transaction\n${TWO}`, true],
  ["graphile-migrate", "committed/000001.sql", `--! Previous: -\n--! Hash: x\n\n${INDEX}`, true],
  [
    "graphile-migrate, one",
    "committed/000001.sql",
    `--! Previous: -\n--! Hash: x\n\n--! no-transaction\n${INDEX}`,
    false,
  ],
  ["graphile-migrate, two", "committed/000001.sql", `--! Previous: -\n--! Hash: x\n\n--! no-transaction\n${TWO}`, true],
  ["Hasura, one statement", "migrations/default/1612345678901_a/up.sql", INDEX, true],
  ["Supabase, one statement", "supabase/migrations/20260101_a.sql", INDEX, false],
  ["Supabase, two statements", "supabase/migrations/20260101_a.sql", TWO, true],
  ["Atlas's mark", "20260101_a.sql", `-- atlas:txmode none\n\n${TWO}`, false],
  ["tern", "001_a.sql", `${INDEX}\n---- create above / drop below ----\n`, true],
  ["tern, disable-tx", "001_a.sql", `---- tern: disable-tx ----\n${TWO}\n---- create above / drop below ----\n`, false],
  ["Liquibase", "a.sql", `--liquibase formatted sql\n--changeset a:1\n${INDEX}`, true],
  [
    "Liquibase, its changeset",
    "a.sql",
    `--liquibase formatted sql\n--changeset a:1 runInTransaction:false\n${TWO}`,
    false,
  ],
  [
    "Liquibase, another changeset",
    "a.sql",
    `--liquibase formatted sql\n--changeset a:1 runInTransaction:false\nSELECT 1;\n--changeset a:2\n${INDEX}`,
    true,
  ],
  [
    "Liquibase, statements not split",
    "a.sql",
    `--liquibase formatted sql\n--changeset a:1 splitStatements:false runInTransaction:false\n${TWO}`,
    true,
  ],
  [
    "Liquibase, for another database",
    "a.sql",
    `--liquibase formatted sql\n--changeset a:1 dbms:mysql\nALTER TABLE \`users\` ENGINE = InnoDB;`,
    false,
  ],
])("CONCURRENTLY in a transaction: %s", async (_, name, text, isReported) => {
  expect((await rulesIn({ [name]: text })).includes("concurrently-in-transaction")).toBe(isReported);
});

test("what newer versions of a tool run apart from the rest of the file is a warning that names the version", async () => {
  for (const [name, version] of [
    ["prisma/migrations/2026_a/migration.sql", "prisma before 7.4"],
    ["supabase/migrations/20260101_a.sql", "supabase before 2.109"],
  ] as const) {
    const { findings } = await lintSql([{ name, text: TWO }]);
    expect(findings).toMatchObject([
      { rule: "concurrently-in-transaction", severity: "warning", message: expect.stringContaining(version) as string },
    ]);
  }
});

test("Liquibase runs each changeset in a transaction of its own", async () => {
  const text = (between: string): string =>
    `--liquibase formatted sql\n--changeset a:1\nALTER TABLE users ADD COLUMN email text;\n${between}UPDATE users SET email = '' WHERE id < 9;`;
  expect(await rulesIn(text(""))).toEqual(["statement-after-access-exclusive"]);
  expect(await rulesIn(text("--changeset a:2\n"))).toEqual([]);
});

test("the caller may say what runs as one transaction", async () => {
  const report = await lintSql([{ name: "migrations/a/up.sql", text: INDEX, transaction: "statement" }]);
  expect(report.findings).toEqual([]);
  expect(report.files).toEqual([{ name: "migrations/a/up.sql", tool: "diesel", transaction: "statement" }]);
});

test("Drizzle's pending files share one transaction: a lock of the first is held in the second", async () => {
  const files = {
    "drizzle/0000_a_b.sql":
      "ALTER TABLE users ADD CONSTRAINT c CHECK (a > 0) NOT VALID;--> statement-breakpoint\nSELECT 1;",
    "drizzle/0001_c_d.sql": "ALTER TABLE users VALIDATE CONSTRAINT c;",
  };
  expect(await rulesIn(files)).toContain("drizzle/0001_c_d.sql:1 validate-in-adding-transaction");
});

test("a tool's own transaction makes BEGIN and COMMIT wrong; where none is open COMMIT is", async () => {
  expect(await rulesIn({ "V1__a.sql": "BEGIN; SELECT 1; COMMIT;" })).toEqual(["transaction-nesting"]);
  expect(await rulesIn("SELECT 1; COMMIT;")).toEqual(["transaction-nesting"]);
});

test("lock_timeout holds from where it is set, in its file", async () => {
  const config = { rules: { "missing-lock-timeout": "warning" } } as const;
  const files = {
    "1.sql": "ALTER TABLE a ADD x int;\nSET lock_timeout = '2s';\nALTER TABLE a ADD y int;",
    "2.sql": "ALTER TABLE a ADD z int;",
  };
  expect(await rulesIn(files, { config })).toEqual(["1.sql:1 missing-lock-timeout", "2.sql:1 missing-lock-timeout"]);
  const call = (limit: string): string =>
    `SELECT pg_catalog.set_config('lock_timeout', '${limit}', true) WHERE current_setting('lock_timeout') = '0';\nALTER TABLE a ADD x int;`;
  expect(await rulesIn(call("2s"), { config })).toEqual([]);
  expect(await rulesIn(call("0"), { config })).toEqual(["missing-lock-timeout", "lock-timeout-off"]);
});

test("a finding has place, statement, lock, reason, safe form and page", async () => {
  const { findings } = await lintSql(
    [{ name: "m/1.sql", text: "-- ä\n  ALTER TABLE shop.users\n  ALTER COLUMN email SET NOT NULL;" }],
    { serverVersion: 17 },
  );
  expect(findings).toEqual([
    {
      rule: "set-not-null",
      severity: "error",
      file: "m/1.sql",
      line: 2,
      column: 3,
      statement: "ALTER TABLE shop.users\n  ALTER COLUMN email SET NOT NULL",
      message: "all of shop.users is read for nulls in email",
      lock: { mode: "ACCESS EXCLUSIVE", relation: "shop.users", rewrites: false, scans: true },
      why: expect.stringContaining("ACCESS EXCLUSIVE") as string,
      rewrite: expect.stringContaining("VALIDATE CONSTRAINT email_present") as string,
      documentation: "docs/lint.md#set-not-null",
    },
  ]);
});

test("an ignore needs a known rule and a reason, and says when it is not needed", async () => {
  expect(await rulesIn("DROP TABLE a; -- pgsteward:ignore drop-table empty since May")).toEqual([]);
  expect(await rulesIn("DROP TABLE a CASCADE; -- pgsteward:ignore drop-table,drop-cascade empty since May")).toEqual(
    [],
  );
  expect(await rulesIn("-- pgsteward:ignore drop-table\nDROP TABLE a;")).toEqual([
    "ignore-without-reason",
    "drop-table",
  ]);
  expect(await rulesIn("-- pgsteward:ignore drop-tabel why\nDROP TABLE a;")).toEqual([
    "ignore-without-reason",
    "drop-table",
  ]);
  expect(await rulesIn("-- pgsteward:ignore drop-table why\nDROP TABLE a;\nDROP TABLE b;")).toEqual(["drop-table"]);
  expect(await rulesIn("SELECT 1; -- pgsteward:ignore drop-table why")).toEqual(["unused-ignore"]);
});

test("a syntax error in a file that ran before names file, line and column and shows the place", async () => {
  const applied = [{ name: "0.sql", text: "SELECT 1;\nALTER TABEL t;" }];
  await expect(rulesIn("SELECT 1;", { applied })).rejects.toThrow(
    '0.sql:2:7: syntax error at or near "TABEL"\n  ALTER TABEL t;\n        ^',
  );
});

test("nothing to lint is said, not passed over", async () => {
  expect((await lintSql([{ name: "a.sql", text: "-- nothing\n" }])).examined).toMatchObject({
    files: 1,
    statements: 0,
  });
});

test("files that ran before are known and in use: their tables are not new, their columns and checks are known", async () => {
  const applied = [
    {
      name: "1.sql",
      text: "CREATE TABLE users (id int PRIMARY KEY, name varchar(9), mail text CHECK (mail IS NOT NULL));",
    },
  ];
  const lint = (sql: string): Promise<string[]> => rulesIn(sql, { applied });
  expect(await lint("ALTER TABLE users ALTER name TYPE text, ALTER mail SET NOT NULL, ALTER id SET NOT NULL;")).toEqual(
    [],
  );
  expect(await lint("CREATE INDEX ON users (name);")).toEqual(["create-index-non-concurrent"]);
  expect(await lint("ALTER TABLE users ALTER name TYPE varchar(5);")).toEqual(["change-column-type", "narrowing-type"]);
});

test("a swap of two tables is not a rename that programs notice", async () => {
  expect(await rulesIn("ALTER TABLE t RENAME TO t_old; ALTER TABLE t_new RENAME TO t;")).toEqual([]);
});

test("a table that the batch makes and fills has rows: a required column fails, and as a partition it is in use", async () => {
  const made = "CREATE TABLE p (a int); ";
  const column = "ALTER TABLE p ADD COLUMN b int NOT NULL;";
  expect(await rulesIn(made + column)).toEqual([]);
  expect(await rulesIn(`${made}INSERT INTO p VALUES (1); ${column}`)).toEqual(["required-column"]);
  expect(await rulesIn(`${made}INSERT INTO p SELECT a FROM books; ${column}`)).toEqual(["required-column"]);
  expect(await rulesIn(`${made}CREATE TABLE q (a int); INSERT INTO p SELECT a FROM q; ${column}`)).toEqual([]);
  expect(await rulesIn(`${made}INSERT INTO p VALUES (1); TRUNCATE p; ${column}`)).toEqual([]);
  expect(await rulesIn(`${made}INSERT INTO p VALUES (1); DELETE FROM p; ${column}`)).toEqual([]);
  const attach = "ALTER TABLE books ATTACH PARTITION p FOR VALUES FROM (0) TO (9); CREATE INDEX ON p (a);";
  expect(await rulesIn(made + attach)).toEqual([]);
  expect(await rulesIn(`${made}COPY p FROM stdin;\n\\.\n${attach}`)).toEqual([
    "attach-partition-scan",
    "create-index-non-concurrent",
  ]);
});

test("what a team settles once is counted, not reported, unless its rule is switched on or off", async () => {
  const text =
    "ALTER TABLE t ADD a int;\nALTER TABLE t ADD b int, ADD c int;\nSET lock_timeout = '2s';\nALTER TABLE t ADD d int;";
  const lint = (config: LintOptions["config"], sql = text): ReturnType<typeof lintSql> =>
    lintSql([{ name: "a.sql", text: sql }], { config });
  const byDefault = await lint({});
  expect(byDefault).toMatchObject({
    findings: [],
    counts: { error: 0, warning: 0, info: 0 },
    alsoSeen: [{ rule: "missing-lock-timeout", count: 2 }],
  });
  const on = await lint({ rules: { "missing-lock-timeout": "on" } });
  expect(on.findings.map(({ rule, line }) => `${line} ${rule}`)).toEqual([
    "1 missing-lock-timeout",
    "2 missing-lock-timeout",
  ]);
  expect(on.alsoSeen).toEqual([]);
  expect(on.examined.rules).toBe(byDefault.examined.rules + 1);
  const off = await lint({ rules: { "missing-lock-timeout": "off" } });
  expect(off).toMatchObject({ findings: [], alsoSeen: [], examined: byDefault.examined });
  const key = "CREATE TABLE n (a int PRIMARY KEY, t int REFERENCES t);";
  expect((await lint({}, key)).alsoSeen).toContainEqual({ rule: "foreign-key-without-index", count: 1 });
  const check = "SET lock_timeout = '2s'; ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0) NOT VALID;";
  expect((await lint({}, check)).alsoSeen).toEqual([{ rule: "unvalidated-constraint", count: 1 }]);
});
