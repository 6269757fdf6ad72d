// What the rules say of sequences of statements: replacements, swaps, several foreign keys, what is switched off.
import { expect, test } from "vitest";
import { lintSql, type LintOptions, type LintRule } from "../../src/migrate/index.ts";

const lint = async (sql: string, options: LintOptions & { readonly inOne?: boolean } = {}): Promise<string[]> => {
  const { inOne = false, ...rest } = options;
  const report = await lintSql([{ name: "a.sql", text: sql, transaction: inOne ? "file" : undefined }], rest);
  return report.findings.map(({ rule, severity }) => (severity === "info" ? `${rule} (info)` : rule));
};
const after = (text: string): LintOptions => ({ applied: [{ name: "0.sql", text }] });

const BOOKS = "CREATE TABLE books (id bigint PRIMARY KEY, shelf int, title text, sold bool);";
test.each([
  ["its columns lead the new one", "CREATE INDEX i ON books (shelf);", "books (shelf, title)", true],
  ["its expression leads the new one", "CREATE INDEX i ON books (lower(title));", "books (lower(title), id)", true],
  ["the new one is about other columns", "CREATE INDEX i ON books (shelf);", "books (title)", false],
  [
    "a third one answers meanwhile",
    "CREATE INDEX i ON books (shelf); CREATE INDEX j ON books (shelf, id);",
    "books (shelf, title)",
    false,
  ],
  [
    "a third one is partial",
    "CREATE INDEX i ON books (shelf); CREATE INDEX j ON books (shelf, id) WHERE sold;",
    "books (shelf, title)",
    true,
  ],
])("an index dropped before its replacement of another name: %s", async (_, present, next, isReported) => {
  const options = after(BOOKS + present);
  const sql = `DROP INDEX CONCURRENTLY i; CREATE INDEX CONCURRENTLY k ON ${next};`;
  expect((await lint(sql, options)).includes("replace-index-gap")).toBe(isReported);
  const inOrder = `CREATE INDEX CONCURRENTLY k ON ${next}; DROP INDEX CONCURRENTLY i;`;
  expect(await lint(inOrder, options)).toEqual([]);
});

test("a validation waits under ACCESS EXCLUSIVE that the transaction holds on another table", async () => {
  const sql = "ALTER TABLE shelves ADD COLUMN room int; ALTER TABLE books VALIDATE CONSTRAINT f;";
  expect(await lint(sql, { inOne: true })).toEqual(["statement-after-access-exclusive"]);
  expect(await lint(sql)).toEqual([]);
});

test("foreign keys to several live tables in one transaction, by ALTER, in a new column, of a new table", async () => {
  const inOne = { inOne: true };
  const created = "CREATE TABLE loans (book_id bigint REFERENCES books, reader_id bigint REFERENCES readers);";
  expect(await lint(created, inOne)).toEqual(["multiple-foreign-keys (info)"]);
  expect(await lint(created)).toEqual([]);
  expect(await lint("CREATE TABLE loans (book_id bigint REFERENCES books);", inOne)).toEqual([]);
  expect(await lint("CREATE TABLE loans (a_id bigint REFERENCES books, b_id bigint REFERENCES books);", inOne)).toEqual(
    [],
  );
  expect(await lint(`CREATE TABLE books (id bigint PRIMARY KEY); ${created}`, inOne)).toEqual([]);
  const later = `CREATE TABLE loans (book_id bigint REFERENCES books, reader_id bigint); ALTER TABLE loans ADD FOREIGN KEY (reader_id) REFERENCES readers;`;
  expect(await lint(later, inOne)).toEqual(["multiple-foreign-keys (info)"]);
  const inline = "ALTER TABLE loans ADD COLUMN a bigint REFERENCES books, ADD COLUMN b bigint REFERENCES readers;";
  expect(await lint(inline, inOne)).toContain("add-column-inline-foreign-key");
});

test("renames of views, types and functions are reported; swaps, new ones and indexes are not", async () => {
  for (const kind of ["VIEW v", "MATERIALIZED VIEW v", "TYPE t", "DOMAIN d", "FUNCTION f(int)", "SEQUENCE s"])
    expect([kind, ...(await lint(`ALTER ${kind} RENAME TO other;`))]).toEqual([kind, "rename-type"]);
  expect(await lint("ALTER TYPE t RENAME TO t_old; CREATE TYPE t AS ENUM ('a');")).toEqual([]);
  expect(await lint("CREATE VIEW v AS SELECT 1 AS one; ALTER VIEW v RENAME TO w;")).toEqual([]);
  expect(await lint("ALTER INDEX i RENAME TO j; ALTER TABLE books RENAME CONSTRAINT a TO b;")).toEqual([]);
});

test("a view, type or sequence that is made again is not dropped for good", async () => {
  for (const [drop, make] of [
    ["DROP VIEW v;", "CREATE VIEW v AS SELECT 1 AS one;"],
    ["DROP MATERIALIZED VIEW v;", "CREATE MATERIALIZED VIEW v AS SELECT 1 AS one;"],
    ["DROP TYPE v;", "CREATE TYPE v AS ENUM ('a');"],
    ["DROP DOMAIN v;", "CREATE DOMAIN v AS int;"],
    ["DROP SEQUENCE v;", "CREATE SEQUENCE v;"],
  ] as const) {
    expect([drop, ...(await lint(drop))]).toEqual([drop, "drop-view"]);
    expect([drop, ...(await lint(drop + make))]).toEqual([drop]);
  }
  expect(await lint("ALTER TYPE t RENAME TO t_old; CREATE TYPE t AS ENUM ('a'); DROP TYPE t_old;")).toEqual([]);
});

test("a precision of time types that is not said is six digits", async () => {
  const alter = (type: string): Promise<string[]> =>
    lint(`ALTER TABLE e ALTER at TYPE ${type};`, after("CREATE TABLE e (at timestamp);"));
  expect(await alter("timestamp(6)")).toEqual([]);
  expect(await alter("timestamp(3)")).toEqual(["change-column-type", "narrowing-type"]);
});

test("a column is named twice in INSERT, ON CONFLICT, CREATE TABLE and CREATE VIEW", async () => {
  for (const sql of [
    "INSERT INTO t (a, b, a) VALUES (1, 2, 3);",
    "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 1, b = 2;",
    "CREATE TABLE t (a int PRIMARY KEY, b int, a text);",
    "CREATE VIEW v (a, a) AS SELECT 1, 2;",
    "UPDATE t SET (a, b) = (1, 2), a = 3 WHERE c;",
  ])
    expect([sql, ...(await lint(sql))]).toEqual([sql, "duplicate-assignment"]);
  expect(await lint("UPDATE t SET a.x = 1, a.y = 2, b[1] = 3, b[2] = 4 WHERE c;")).toEqual([]);
});

test("rights: roles and their members, default privileges, functions made SECURITY DEFINER", async () => {
  for (const sql of [
    "ALTER ROLE app NOLOGIN;",
    "GRANT admin TO app;",
    "CREATE ROLE app BYPASSRLS;",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO app;",
  ])
    expect([sql, ...(await lint(sql))]).toEqual([sql, "authorization-change"]);
  expect(await lint("CREATE ROLE app LOGIN NOSUPERUSER;")).toEqual([]);
  expect(await lint("ALTER FUNCTION f() SECURITY DEFINER;")).toEqual([
    "security-definer-search-path",
    "function-rights",
  ]);
  expect(await lint("ALTER FUNCTION f() SECURITY DEFINER SET search_path = pg_catalog;")).toEqual(["function-rights"]);
  expect(await lint("ALTER ROUTINE f() SECURITY INVOKER;")).toEqual(["function-rights"]);
  for (const promise of ["IMMUTABLE", "VOLATILE", "STRICT", "CALLED ON NULL INPUT", "LEAKPROOF", "PARALLEL SAFE"])
    expect([promise, ...(await lint(`ALTER FUNCTION f() ${promise};`))]).toEqual([promise, "function-promise"]);
  expect(await lint("ALTER FUNCTION f() COST 10 ROWS 5;")).toEqual([]);
});

test("a function in use gets another search_path or loses its own; an empty or usual one is a hardening", async () => {
  for (const change of [
    "SET search_path = private",
    "SET search_path TO public, audit",
    "RESET search_path",
    "RESET ALL",
  ])
    expect([change, ...(await lint(`ALTER PROCEDURE f() ${change};`))]).toEqual([change, "function-search-path"]);
  for (const change of ["SET search_path = ''", "SET search_path = public, pg_temp", "SET work_mem = '64MB'"])
    expect([change, ...(await lint(`ALTER FUNCTION f() ${change};`))]).toEqual([change]);
  const made = "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';";
  expect(
    await lint(`${made} ALTER FUNCTION f() SET search_path = private; ALTER FUNCTION f() SECURITY INVOKER;`),
  ).toEqual([]);
});

test("a WHERE that holds for every row is none", async () => {
  for (const condition of ["true", "1 = 1", "NOT false", "NULL IS NULL", "'a' <> 'b'", "id = id", "false OR true"])
    expect([condition, ...(await lint(`DELETE FROM books WHERE ${condition};`))]).toEqual([
      condition,
      "write-without-where",
    ]);
  for (const condition of ["false", "1 = 0", "true AND id > 5", "id = shelf", "NULL IS NOT NULL", "id IS NOT NULL"])
    expect([condition, ...(await lint(`UPDATE books SET shelf = 1 WHERE ${condition};`))]).toEqual([condition]);
});

test("work on rows waits for nobody while a trigger or key keeps everybody from writing", async () => {
  const trigger =
    "SET lock_timeout = '1s'; CREATE TRIGGER g BEFORE UPDATE ON books FOR EACH ROW EXECUTE FUNCTION g(); ";
  const after = async (sql: string): Promise<string[]> => lint(trigger + sql, { inOne: true });
  expect(await after("UPDATE books SET shelf = 1 WHERE id > 5;")).toEqual(["statement-after-write-lock"]);
  expect(await after("SELECT count(*) FROM shelves;")).toEqual(["statement-after-write-lock"]);
  expect(await after("INSERT INTO books (id) SELECT id FROM old_books;")).toEqual(["statement-after-write-lock"]);
  expect(await after("INSERT INTO books (id) VALUES (1); SELECT set_config('a.b', 'c', true);")).toEqual([]);
  expect(await after("CREATE TABLE t (a int); UPDATE t SET a = 1;")).toEqual([]);
  expect(await lint(`${trigger}UPDATE books SET shelf = 1 WHERE id > 5;`)).toEqual([]);
});

test("the notes of migration tools and the server's catalogs are no long work", async () => {
  const after = async (sql: string): Promise<string[]> =>
    lint(`ALTER TABLE books ADD COLUMN room int; ${sql}`, { inOne: true });
  for (const sql of [
    "UPDATE alembic_version SET version_num = 'b' WHERE alembic_version.version_num = 'a';",
    'INSERT INTO "__EFMigrationsHistory" SELECT 1;',
    "SELECT count(*) FROM pg_catalog.pg_attribute;",
    "SELECT 1 FROM information_schema.columns;",
    "SELECT setval('books_id_seq', 5);",
  ])
    expect([sql, ...(await after(sql))]).toEqual([sql]);
  expect(await after("SELECT count(*) FROM loans;")).toEqual(["statement-after-access-exclusive"]);
});

test("numbers: other steps, a restart of an identity, a new identity that begins at 1", async () => {
  for (const [sql, rules] of [
    ["ALTER SEQUENCE s INCREMENT BY 10;", ["sequence-change"]],
    ["ALTER TABLE t ALTER id RESTART WITH 1;", ["sequence-change"]],
    ["ALTER TABLE t ALTER id SET INCREMENT BY 10;", ["sequence-change"]],
    ["ALTER TABLE t ALTER id SET CACHE 20;", []],
    ["ALTER TABLE t ALTER id ADD GENERATED BY DEFAULT AS IDENTITY;", ["identity-change"]],
    ["ALTER TABLE t ALTER id ADD GENERATED ALWAYS AS IDENTITY (START WITH 900);", ["identity-change"]],
    ["ALTER TABLE t ALTER id ADD GENERATED BY DEFAULT AS IDENTITY (START WITH 900);", []],
    ["ALTER TABLE t ALTER id ADD GENERATED BY DEFAULT AS IDENTITY; SELECT setval('t_id_seq', 900);", []],
    ["CREATE TABLE t (id int NOT NULL); ALTER TABLE t ALTER id ADD GENERATED ALWAYS AS IDENTITY;", []],
  ] as const)
    expect([sql, ...(await lint(sql))]).toEqual([sql, ...rules]);
});

test("a default is gone for programs where the column was there before and gets no other", async () => {
  const drop = "ALTER TABLE t ALTER plan DROP DEFAULT;";
  expect(await lint(drop)).toEqual(["drop-default"]);
  expect(await lint(`ALTER TABLE t ADD COLUMN plan text DEFAULT 'x'; ${drop}`)).toEqual([]);
  expect(await lint(`${drop} ALTER TABLE t ALTER plan SET DEFAULT 'y';`)).toEqual([]);
  expect(await lint(`ALTER TABLE t ALTER plan SET DEFAULT 'y'; UPDATE t SET a = 1 WHERE b; ${drop}`)).toEqual([]);
});

test("a CHECK that an earlier migration made is taken for a proof where its name says so", async () => {
  const set = "ALTER TABLE t ALTER email SET NOT NULL;";
  for (const name of ["t_email_not_null", "email_nn", "email_present"])
    expect([name, ...(await lint(`ALTER TABLE t VALIDATE CONSTRAINT ${name}; ${set}`))]).toEqual([name]);
  for (const name of ["t_name_not_null", "email_check"])
    expect([name, ...(await lint(`ALTER TABLE t VALIDATE CONSTRAINT ${name}; ${set}`))]).toEqual([
      name,
      "set-not-null",
    ]);
  const known = after("CREATE TABLE t (email text, CONSTRAINT email_nn CHECK (email <> '') NOT VALID);");
  expect(await lint(`ALTER TABLE t VALIDATE CONSTRAINT email_nn; ${set}`, known)).toEqual(["set-not-null"]);
});

test("a CHECK that asks for the time or the session is told; one with a function that nobody knows is not", async () => {
  const made = (check: string): Promise<string[]> =>
    lint(`CREATE TABLE t (a timestamptz, b int UNIQUE, CHECK (${check}));`);
  for (const check of ["a <= now()", "a < CURRENT_TIMESTAMP", "b < random()", "b::text <> current_setting('x.y')"])
    expect([check, ...(await made(check))]).toEqual([check, "check-with-changing-function"]);
  for (const check of ["b > 0", "is_valid(b)", "lower(b::text) = 'a'"])
    expect([check, ...(await made(check))]).toEqual([check]);
});

test("CREATE TABLE IF NOT EXISTS of a known table is told where it would leave columns out", async () => {
  const known = after("CREATE TABLE t (id int, name text);");
  expect(await lint("CREATE TABLE IF NOT EXISTS t (id int, email text);", known)).toEqual(["create-table-ignored"]);
  expect(await lint("CREATE TABLE IF NOT EXISTS t (id int);", known)).toEqual([]);
  expect(await lint("DROP TABLE t; CREATE TABLE IF NOT EXISTS t (email text);", known)).not.toContain(
    "create-table-ignored",
  );
  expect(await lint("CREATE TABLE IF NOT EXISTS u (id int);", known)).toEqual([]);
});

test("an index that leaves rows out serves a foreign key only where they are null", async () => {
  const options: LintOptions = { config: { rules: { "foreign-key-without-index": "on" } } };
  const made = "CREATE TABLE s (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, s int REFERENCES s);";
  expect(await lint(`${made} CREATE INDEX ON b (s) WHERE s IS NOT NULL;`, options)).toEqual([]);
  expect(await lint(`${made} CREATE INDEX ON b (s) WHERE s = 1;`, options)).toEqual([
    "foreign-key-without-index (info)",
  ]);
});

test("triggers that run in replication too, whole rows as identity, keys checked at once, views without rows", async () => {
  for (const [sql, rule] of [
    ["ALTER TABLE t ENABLE ALWAYS TRIGGER g;", "disable-trigger"],
    ["ALTER TABLE t ENABLE ALWAYS RULE r;", "disable-trigger"],
    ["ALTER TABLE t REPLICA IDENTITY FULL;", "replica-identity-full"],
    ["ALTER TABLE t ALTER CONSTRAINT f NOT DEFERRABLE;", "constraint-timing"],
    ["REFRESH MATERIALIZED VIEW v WITH NO DATA;", "refresh-view-non-concurrent"],
  ] as const)
    expect([sql, ...(await lint(sql))]).toEqual([sql, rule]);
  expect(await lint("ALTER TABLE t ALTER CONSTRAINT f DEFERRABLE;")).toEqual([]);
});

test("what is new may be locked, its triggers switched off and its key dropped", async () => {
  const made = "CREATE TABLE t (id int PRIMARY KEY); ";
  for (const sql of [
    "ALTER TABLE t DISABLE TRIGGER ALL;",
    "ALTER TABLE t REPLICA IDENTITY NOTHING;",
    "ALTER TABLE t DROP CONSTRAINT t_pkey;",
    "LOCK TABLE t;",
  ]) {
    expect((await lint(sql)).length).toBe(1);
    expect(await lint(`BEGIN; ${made} ${sql} COMMIT;`)).toEqual([]);
  }
  expect(await lint("SET session_replication_role = replica;")).toEqual(["disable-trigger"]);
  expect(await lint("SET session_replication_role = origin;")).toEqual([]);
});

test("a primary key or unique constraint with another name is known from what ran before", async () => {
  const options = after(
    "CREATE TABLE t (id int, code int, CONSTRAINT k PRIMARY KEY (id), CONSTRAINT u UNIQUE (code), CONSTRAINT c CHECK (id > 0));",
  );
  expect(await lint("ALTER TABLE t DROP CONSTRAINT k;", options)).toEqual(["drop-primary-key"]);
  expect(await lint("ALTER TABLE t DROP CONSTRAINT u;", options)).toEqual(["drop-primary-key"]);
  expect(await lint("ALTER TABLE t DROP CONSTRAINT c;", options)).toEqual([]);
});

test("rules of one's own are asked, configured and ignored like ours", async () => {
  const own: LintRule = {
    id: "no-forbidden-column",
    on: ["AT_AddColumn"],
    title: "A column of a forbidden name",
    severity: "warning",
    isRecommended: true,
    why: "The house says so.",
    bad: "ALTER TABLE t ADD COLUMN forbidden int;",
    good: "ALTER TABLE t ADD COLUMN allowed int;",
    check: ({ action }) =>
      action.node["colname"] === "forbidden" ? { message: "it is forbidden", rewrite: "-- another name" } : undefined,
  };
  const options: LintOptions = { ownRules: [own] };
  expect(await lint(own.bad, options)).toEqual([own.id]);
  expect(await lint(own.good, options)).toEqual([]);
  expect(await lint(`-- pgsteward:ignore ${own.id} agreed\n${own.bad}`, options)).toEqual([]);
  expect(await lint(own.bad, { ...options, config: { rules: { [own.id]: "off" } } })).toEqual([]);
  await expect(lint("SELECT 1;", { ownRules: [{ ...own, id: "drop-table" }] })).rejects.toThrow("the same id");
});

test("foreign keys of another number type are told from the tables that are known", async () => {
  const options = after("CREATE TABLE shops (id bigint PRIMARY KEY, code int UNIQUE); CREATE TABLE carts (id int);");
  const found = ["foreign-key-type-mismatch"];
  const key = "FOREIGN KEY (shop_id) REFERENCES shops";
  expect(
    await lint(`ALTER TABLE carts ADD shop_id int; ALTER TABLE carts ADD CONSTRAINT f ${key} NOT VALID;`, options),
  ).toEqual(found);
  expect(await lint(`CREATE TABLE orders (shop_id int, ${key});`, options)).toEqual(found);
  expect(await lint("CREATE TABLE orders (shop_id int REFERENCES shops (code));", options)).toEqual([]);
  expect(await lint("CREATE TABLE orders (shop_id bigserial REFERENCES shops);", options)).toEqual([]);
  expect(await lint("CREATE TABLE orders (shop_id int REFERENCES unknown);", options)).toEqual([]);
});

test("a partitioned table's keys hold its partition key", async () => {
  const create = (keys: string, by: string): Promise<string[]> =>
    lint(`CREATE TABLE e (id bigint, at date NOT NULL, ${keys}) PARTITION BY RANGE (${by});`);
  expect(await create("PRIMARY KEY (at, id)", "at")).toEqual([]);
  expect(await create("UNIQUE (id)", "at")).toEqual(["partition-key-not-in-key"]);
  expect(await create("UNIQUE (id, at)", "(at + 1)")).toEqual(["partition-key-not-in-key"]);
  expect(await create("CHECK (id > 0)", "at")).toEqual([]);
});

test("a vector column may be widened nowhere: only its first declaration and other types are silent", async () => {
  const options = after("CREATE TABLE notes (a vector(3), b text);");
  expect(await lint("ALTER TABLE notes ALTER a TYPE vector(4);", options)).toContain("vector-dimension");
  expect(await lint("ALTER TABLE notes ALTER a TYPE vector(3);", options)).toEqual([]);
  expect(await lint("CREATE TABLE n (a vector(3)); ALTER TABLE n ALTER a TYPE vector(4);", options)).toEqual([]);
});

test("writes of every row are found in WITH, too", async () => {
  expect(await lint("WITH gone AS (DELETE FROM t RETURNING *) INSERT INTO kept (a) SELECT a FROM gone;")).toEqual([
    "write-without-where",
  ]);
  expect(await lint("WITH gone AS (DELETE FROM t WHERE old RETURNING *) SELECT count(*) FROM gone;")).toEqual([]);
});

test("columns of views are renamed for their programs, too", async () => {
  expect(await lint("ALTER VIEW v RENAME COLUMN a TO b;")).toEqual(["rename-column"]);
  expect(await lint("ALTER MATERIALIZED VIEW v RENAME COLUMN a TO b;")).toEqual(["rename-column"]);
  expect(await lint("CREATE VIEW v AS SELECT 1 AS a; ALTER VIEW v RENAME COLUMN a TO b;")).toEqual([]);
});

test("a required column is not filled by DEFAULT NULL", async () => {
  expect(await lint("ALTER TABLE t ADD COLUMN a int NOT NULL DEFAULT NULL;")).toEqual(["required-column"]);
});

test("rights that are revoked and roles that are dropped; a new function may be closed", async () => {
  expect(await lint("REVOKE USAGE ON SCHEMA shop FROM app;")).toEqual(["authorization-change"]);
  expect(await lint("REVOKE EXECUTE ON FUNCTION f() FROM app;")).toEqual(["authorization-change"]);
  expect(await lint("DROP ROLE app;")).toEqual(["authorization-change"]);
  const made = "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';";
  expect(await lint(`${made} REVOKE ALL ON FUNCTION f() FROM PUBLIC; GRANT EXECUTE ON FUNCTION f() TO app;`)).toEqual(
    [],
  );
});

test("a policy belongs to no preset; the columns that every table needs can be said", async () => {
  const sql = "CREATE TABLE notes (id bigint PRIMARY KEY, user_id bigint REFERENCES users) PARTITION BY RANGE (id);";
  const rulesOf = async (config: LintOptions["config"]) =>
    (await lintSql([{ name: "a.sql", text: sql }], { config })).findings.map(
      ({ rule, message }) => `${rule}: ${message}`,
    );
  const all = await rulesOf({ preset: "all", requiredColumns: ["id", "tenant_id"] });
  expect(all.filter((text) => text.startsWith("no-"))).toEqual([]);
  expect(all).toContain("required-columns: notes has no tenant_id");
  const asked = await rulesOf({ rules: { "no-foreign-keys": "on", "no-partitions": "on" } });
  expect(asked.filter((text) => text.startsWith("no-"))).toEqual([
    "no-foreign-keys: user_id of notes refers to users",
    "no-partitions: notes is partitioned",
  ]);
});

test.each([
  ["ALTER SEQUENCE s RESTART WITH 1;", true],
  ["CREATE SEQUENCE s; ALTER SEQUENCE s RESTART WITH 1;", false],
  ["CREATE TABLE t (id serial); ALTER SEQUENCE t_id_seq RESTART WITH 1000;", false],
  ["ALTER SEQUENCE s AS integer;", true],
  ["ALTER SEQUENCE s AS bigint NO MAXVALUE NO CYCLE OWNED BY t.id;", false],
  ["ALTER TABLE t ALTER id SET GENERATED ALWAYS;", true],
  ["ALTER TABLE t ALTER id SET GENERATED BY DEFAULT;", false],
  ["CREATE TYPE p AS (a int); ALTER TYPE p DROP ATTRIBUTE a;", false],
  ["ALTER TYPE p ALTER ATTRIBUTE a TYPE text;", true],
  ["ALTER FUNCTION f() SET SCHEMA s;", true],
  ["ALTER FOREIGN TABLE f RENAME TO g;", true],
  ["ALTER VIEW v SET (security_invoker = true);", true],
  ["CREATE VIEW v AS SELECT 1; ALTER VIEW v SET (security_invoker = true);", false],
  ["ALTER DOMAIN d DROP NOT NULL;", true],
  ["ALTER TABLE t DISABLE RULE r;", true],
  ["ALTER TABLE t ENABLE RULE r;", true],
  ["ALTER EXTENSION e DROP FUNCTION f();", true],
  ["ALTER EXTENSION e ADD FUNCTION f();", false],
  ["DROP RULE r ON t;", true],
  ["DROP RULE r ON t; CREATE RULE r AS ON DELETE TO v DO INSTEAD NOTHING;", true],
])("%s: reported %s", async (sql, isReported) => {
  const report = await lintSql([{ name: "a.sql", text: sql }]);
  expect([sql, report.findings.length > 0]).toEqual([sql, isReported]);
});
