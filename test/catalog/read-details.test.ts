// What the rich schema cannot show: features of the newest server, states of indexes, rights of the login, extensions,
// transactions of others, and the number of statements.
import { randomBytes } from "node:crypto";
import { expect, inject, test } from "vitest";
import { compareCatalogs, printCatalog, readCatalog, type Catalog, type Table } from "../../src/catalog/index.ts";
import { identifier, openDatabase } from "../../src/postgres/index.ts";
import { createSessionFactory } from "../../src/session/index.ts";
import { runOnServer, testDatabase, testPglite } from "../support/test-database.ts";
import { startWireProxy } from "../support/wire-proxy.ts";

function tableOf(catalog: Catalog, name: string): Table {
  const table = catalog.tables.find((candidate) => candidate.name === name);
  if (table === undefined) throw new Error(`no table ${name}`);
  return table;
}

test("what came with PostgreSQL 15 to 18 is read", async () => {
  await using database = await testDatabase({
    setup: `
      CREATE TABLE parent (a int, b int, PRIMARY KEY (a, b));
      CREATE TABLE child (
        a int, b int, c int,
        double int GENERATED ALWAYS AS (c * 2) VIRTUAL,
        FOREIGN KEY (a, b) REFERENCES parent ON DELETE SET NULL (b),
        CONSTRAINT soft CHECK (c > 0) NOT ENFORCED,
        UNIQUE NULLS NOT DISTINCT (c)
      );
      ALTER TABLE child ADD CONSTRAINT a_there NOT NULL a NOT VALID;
      CREATE TABLE booking (id int4range, at daterange, PRIMARY KEY (id, at WITHOUT OVERLAPS));
      CREATE VIEW invoker WITH (security_invoker = true) AS SELECT 1 AS one;`,
  });
  const catalog = await readCatalog(database);
  const child = tableOf(catalog, "child");
  expect(child.columns.find(({ name }) => name === "double")?.generated).toEqual({
    kind: "virtual",
    expression: "(c * 2)",
  });
  expect(child.columns.find(({ name }) => name === "a")?.isNullable).toBe(false);
  expect(child.constraints).toMatchObject([
    { name: "a_there", kind: "not null", columns: ["a"], isValidated: false },
    { name: "child_a_b_fkey", references: { onDelete: "set null", onDeleteColumns: ["b"] } },
    { name: "child_c_key", definition: "UNIQUE NULLS NOT DISTINCT (c)" },
    { name: "soft", kind: "check", isEnforced: false },
  ]);
  expect(child.indexes).toMatchObject([{ name: "child_c_key", nullsNotDistinct: true }]);
  expect(tableOf(catalog, "booking").constraints.find(({ kind }) => kind === "primary key")).toMatchObject({
    definition: "PRIMARY KEY (id, at WITHOUT OVERLAPS)",
    columns: ["id", "at"],
  });
  expect(catalog.views[0]?.options).toEqual(["security_invoker=true"]);
});

test("foreign tables, event triggers, publications and foreign servers are read", async () => {
  await using database = await testDatabase({
    setup: `
      CREATE FOREIGN DATA WRAPPER elsewhere;
      CREATE SERVER far FOREIGN DATA WRAPPER elsewhere;
      CREATE USER MAPPING FOR PUBLIC SERVER far;
      CREATE FOREIGN TABLE remote (id int OPTIONS (name 'ID')) SERVER far OPTIONS (place 'there');
      CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
      CREATE EVENT TRIGGER watcher ON ddl_command_end WHEN tag IN ('CREATE TABLE') EXECUTE FUNCTION watch();
      ALTER EVENT TRIGGER watcher ENABLE ALWAYS;
      CREATE PUBLICATION news FOR ALL TABLES;
      CREATE TYPE shell;`,
  });
  const catalog = await readCatalog(database);
  expect(tableOf(catalog, "remote")).toMatchObject({
    kind: "foreign",
    foreign: { server: "far", options: ["place=there"] },
    columns: [{ options: [], foreignOptions: ["name=ID"] }],
    sizeBytes: 0,
  });
  expect(catalog.eventTriggers).toMatchObject([
    {
      name: "watcher",
      event: "ddl_command_end",
      tags: ["CREATE TABLE"],
      functionSchema: "public",
      functionName: "watch",
      enabled: "always",
    },
  ]);
  expect(catalog.baseTypes).toMatchObject([{ schema: "public", name: "shell", isDefined: false }]);
  expect(catalog.foreignDataWrappers).toMatchObject([{ name: "elsewhere", options: [] }]);
  expect(catalog.foreignServers).toMatchObject([{ name: "far", wrapper: "elsewhere" }]);
  expect(catalog.publications).toMatchObject([{ name: "news", allTables: true, tables: [] }]);
  expect(catalog.userMappings).toMatchObject([{ name: "far", user: "public" }]);
  expect(catalog.unknownObjects).toEqual([]);
});

test("self-referencing partitioned tables show one foreign key each", async () => {
  await using database = await testDatabase({
    setup: `
      CREATE TABLE node (id int PRIMARY KEY, parent int REFERENCES node) PARTITION BY RANGE (id);
      CREATE TABLE node_1 PARTITION OF node FOR VALUES FROM (0) TO (10);
      CREATE TABLE node_2 PARTITION OF node FOR VALUES FROM (10) TO (20);`,
  });
  const catalog = await readCatalog(database);
  const keys = catalog.tables.map((table) =>
    table.constraints
      .filter(({ kind }) => kind === "foreign key")
      .map(({ isLocal, references }) => [table.name, isLocal, references?.table]),
  );
  expect(keys).toEqual([[["node", true, "node"]], [["node_1", false, "node"]], [["node_2", false, "node"]]]);
});

test("an operator class is a default only where the column's type has no other", async () => {
  await using database = await testDatabase({
    setup: `
      CREATE TABLE t (number int, word varchar(20), many int[]);
      CREATE INDEX a_plain ON t (number, word);
      CREATE INDEX b_oid ON t (number oid_ops);
      CREATE INDEX c_pattern ON t (word text_pattern_ops);
      CREATE INDEX d_tree ON t USING gist (to_tsvector('simple', word) tsvector_ops (siglen = 64));`,
  });
  const { indexes } = tableOf(await readCatalog(database), "t");
  const classes = indexes.map(({ keys }) =>
    keys.map((key) => [key.operatorClass, key.isDefaultOperatorClass, key.operatorClassOptions]),
  );
  expect(classes).toEqual([
    [
      ["int4_ops", true, []],
      ["text_ops", true, []],
    ],
    [["oid_ops", false, []]],
    [["text_pattern_ops", false, []]],
    [["tsvector_ops", true, ["siglen=64"]]],
  ]);
});

test("columns and indexes of an extension's type carry its schema", async () => {
  await using database = await testPglite({
    setup: `
      CREATE EXTENSION vector;
      CREATE TABLE chunk (id int, at varchar(20), embedding vector(3));
      CREATE INDEX by_cosine ON chunk USING hnsw (embedding vector_cosine_ops) WITH (m = 8);
      CREATE INDEX by_at ON chunk (at);`,
  });
  const chunk = tableOf(await readCatalog(database), "chunk");
  expect(chunk.columns[2]).toMatchObject({
    type: "public.vector(3)",
    typeName: { schema: "public", name: "vector", elementOf: undefined },
  });
  expect(chunk.indexes).toMatchObject([
    { name: "by_at", keys: [{ operatorClass: "text_ops", isDefaultOperatorClass: true }] },
    {
      name: "by_cosine",
      method: "hnsw",
      storageParameters: ["m=8"],
      keys: [{ operatorClass: "vector_cosine_ops", operatorClassSchema: "public", isDefaultOperatorClass: false }],
    },
  ]);
});

test("members of extensions are left out, and marked when they are asked for", async () => {
  await using database = await testPglite({ setup: "CREATE EXTENSION vector; CREATE TABLE mine (id int);" });
  const catalog = await readCatalog(database);
  expect(catalog.functions).toEqual([]);
  expect(catalog.unknownObjects).toEqual([]);
  expect(catalog.extensions.map(({ name }) => name)).toContain("vector");
  const full = await readCatalog(database, { includeExtensionObjects: true });
  expect(full.functions.length).toBeGreaterThan(50);
  expect(new Set(full.functions.map(({ extension }) => extension))).toEqual(new Set(["vector"]));
  expect(full.tables).toMatchObject([{ name: "mine", extension: undefined }]);
  expect(full.baseTypes).toContainEqual(
    expect.objectContaining({ name: "vector", extension: "vector", input: "public.vector_in" }),
  );
});

test("an unknown schema is refused with those that exist; the system's are refused too", async () => {
  await using database = await testDatabase({ setup: "CREATE SCHEMA tasks" });
  await expect(readCatalog(database, { schemas: ["tasks", "task"] })).rejects.toMatchObject({
    code: "INVALID_INPUT",
    message: expect.stringContaining('"task"'),
    hint: "it has the schemas public, tasks",
  });
  await expect(readCatalog(database, { schemas: ["pg_catalog"] })).rejects.toMatchObject({ code: "INVALID_INPUT" });
  expect(database.poolFigures().idle).toBe(1);
  expect((await database.query<{ one: number }>("SELECT 1 AS one")).rows[0]?.one).toBe(1);
});

test("a login without rights reads everything but the last value of sequences", async () => {
  await using database = await testDatabase({
    setup: `
      CREATE SCHEMA closed;
      REVOKE ALL ON SCHEMA public FROM PUBLIC;
      CREATE TABLE closed.secret (id serial PRIMARY KEY, word text CHECK (word <> ''));
      CREATE VIEW closed.secrets AS SELECT * FROM closed.secret;
      INSERT INTO closed.secret (word) VALUES ('x');`,
  });
  const role = `poor_${randomBytes(5).toString("hex")}`;
  const serverUrl = inject("serverUrl");
  await runOnServer(serverUrl, `CREATE ROLE ${identifier(role)} LOGIN PASSWORD 'poor'`);
  try {
    const url = new URL(database.url);
    url.username = role;
    url.password = "poor";
    const owned = await readCatalog(database);
    expect(owned.sequences[0]?.lastValue).toBe("1");
    await using poor = await openDatabase(url.href);
    const catalog = await readCatalog(poor);
    expect(catalog.sequences).toMatchObject([{ lastValue: undefined, isLastValueReadable: false }]);
    expect({ ...catalog, sequences: [] }).toEqual({ ...owned, sequences: [] });
  } finally {
    await runOnServer(serverUrl, `DROP ROLE ${identifier(role)}`);
  }
});

test("an index left by a failed CREATE INDEX CONCURRENTLY is invalid", async () => {
  await using database = await testDatabase({
    setup: "CREATE TABLE t (a int); INSERT INTO t VALUES (1), (1);",
  });
  await expect(database.exec("CREATE UNIQUE INDEX CONCURRENTLY broken ON t (a)")).rejects.toMatchObject({
    code: "UNIQUE_VIOLATION",
  });
  expect(tableOf(await readCatalog(database), "t").indexes).toMatchObject([
    { name: "broken", isValid: false, isBeingBuilt: false },
  ]);
});

test("an index that is being built says so", async () => {
  await using database = await testDatabase({ setup: "CREATE TABLE t (a int)" });
  await using writer = await database.connect();
  await writer.exec("BEGIN; INSERT INTO t VALUES (1)");
  const building = database.exec("CREATE INDEX CONCURRENTLY slow ON t (a)");
  // progress is shown a moment before the new index is committed to pg_index
  const BUILD_SQL = "SELECT FROM pg_stat_progress_create_index AS p JOIN pg_index AS i ON i.indexrelid = p.index_relid";
  while ((await database.query(BUILD_SQL)).rowCount === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(tableOf(await readCatalog(database), "t").indexes).toMatchObject([
    { name: "slow", isValid: false, isBeingBuilt: true },
  ]);
  await writer.exec("COMMIT");
  await building;
  expect(tableOf(await readCatalog(database), "t").indexes).toMatchObject([
    { name: "slow", isValid: true, isBeingBuilt: false },
  ]);
});

test("inside a transaction its uncommitted changes are read and its settings stay", async () => {
  await using database = await testDatabase();
  await using connection = await database.connect();
  await connection.exec(`BEGIN; SET LOCAL search_path = pg_temp, public; SET LOCAL "TimeZone" = 'Asia/Tokyo';
    CREATE TABLE public.fresh (id int);`);
  const catalog = await readCatalog(connection);
  expect(catalog.tables.map(({ name }) => name)).toEqual(["fresh"]);
  const { rows } = await connection.query(
    "SELECT current_setting('search_path') AS path, current_setting('TimeZone') AS zone",
  );
  expect(rows).toEqual([{ path: "pg_temp, public", zone: "Asia/Tokyo" }]);
  await connection.exec("ROLLBACK");
  expect((await readCatalog(connection)).tables).toEqual([]);
  expect(connection.transactionStatus).toBe("idle");
});

test("inside a unit of work the outer handle reads what the unit made", async () => {
  await using database = await testDatabase();
  const sessions = createSessionFactory(database);
  await sessions.begin({}, async () => {
    await database.query("CREATE TABLE public.fresh (id int)");
    expect((await readCatalog(database)).tables.map(({ name }) => name)).toEqual(["fresh"]);
    await database.query("DROP TABLE public.fresh");
  });
  expect((await readCatalog(database)).tables).toEqual([]);
});

test("the session's settings change nothing in the result", async () => {
  await using database = await testDatabase({
    setup: `
      CREATE TABLE public.days (at timestamptz, amount float8 DEFAULT 0.1, path text DEFAULT 'a\\b', span interval DEFAULT '1 day 2 hours')
        PARTITION BY RANGE (at);
      CREATE TABLE public.day PARTITION OF public.days FOR VALUES FROM ('2024-06-01 00:00+00') TO ('2024-06-02 00:00+00');`,
  });
  await using connection = await database.connect();
  const plain = await readCatalog(connection);
  await connection.exec(`SET search_path = public; SET "TimeZone" = 'Asia/Tokyo'; SET "DateStyle" = 'German'; SET extra_float_digits = -10;
    SET "IntervalStyle" = 'iso_8601'; SET quote_all_identifiers = on;
    SET standard_conforming_strings = off;`);
  expect(await readCatalog(connection)).toEqual(plain);
  const { rows } = await connection.query("SELECT current_setting('search_path') AS path");
  expect(rows).toEqual([{ path: "public" }]);
  await connection.exec("RESET ALL");
});

test(
  "a schema of 1,000 tables is read with the statements of an empty one, in the same flushes",
  { timeout: 120_000 },
  async () => {
    await using database = await testDatabase();
    const address = new URL(database.url);
    await using proxy = await startWireProxy({ targetHost: address.hostname, targetPort: Number(address.port) });
    await using proxied = await openDatabase(proxy.url(database.url));
    await readCatalog(proxied);
    proxy.resetCount();
    expect((await readCatalog(proxied)).tables).toEqual([]);
    const empty = { texts: [...proxy.texts], flushes: proxy.flushes };
    await database.exec(
      `DO $$
    BEGIN
      FOR i IN 1..1000 LOOP
        EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, a int NOT NULL, b int CHECK (b > 0))', i);
      END LOOP;
    END $$`,
      { timeoutMs: 100_000 },
    );
    proxy.resetCount();
    const catalog = await readCatalog(proxied);
    expect(catalog.tables).toHaveLength(1000);
    expect(catalog.tables.every((table) => table.columns.length === 3 && table.indexes.length === 1)).toBe(true);
    expect({ texts: [...proxy.texts], flushes: proxy.flushes }).toEqual(empty);
    expect(empty.flushes).toBe(3);
  },
);

test("a table that is dropped while its view is being read makes the catalog be read again", async () => {
  await using database = await testDatabase({
    setup:
      "CREATE TABLE passing (id int); CREATE VIEW passing_view AS SELECT * FROM passing; CREATE TABLE lasting (id int);",
  });
  await using dropper = await database.connect();
  await dropper.exec("BEGIN; DROP TABLE passing CASCADE");
  // The reader's snapshot holds the view; printing it waits for the lock, and finds the table gone after the COMMIT.
  const reading = readCatalog(database);
  const BLOCKED_SQL = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
  while ((await database.query(BLOCKED_SQL)).rowCount === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  await dropper.exec("COMMIT");
  const catalog = await reading;
  expect(catalog.tables.map(({ name }) => name)).toEqual(["lasting"]);
  expect(catalog.views).toEqual([]);
  expect(database.leases()).toHaveLength(1);
});

test("inside a transaction of the caller such a failure is the caller's", async () => {
  await using database = await testDatabase({
    setup: "CREATE TABLE passing (id int); CREATE VIEW passing_view AS SELECT * FROM passing;",
  });
  await using reader = await database.connect();
  await using dropper = await database.connect();
  await reader.exec("BEGIN ISOLATION LEVEL REPEATABLE READ; CREATE TABLE mine (id int)");
  await reader.query("SELECT 1");
  await dropper.exec("DROP TABLE passing CASCADE");
  await expect(readCatalog(reader)).rejects.toMatchObject({ code: "SERVER_ERROR", sqlState: "XX000" });
  expect(reader.transactionStatus).toBe("failed");
  await reader.exec("ROLLBACK");
});

test("an aborted reading is cancelled and gives its connection back", async () => {
  await using database = await testDatabase();
  await expect(readCatalog(database, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "CANCELLED" });
  expect(database.leases()).toEqual([]);
  expect((await readCatalog(database)).tables).toEqual([]);
});

test("what is said of members of extensions, and of what the server makes for others, is a difference", async () => {
  await using database = await testDatabase({
    setup: `
      CREATE EXTENSION citext;
      CREATE TABLE shop (id int PRIMARY KEY);
      CREATE TABLE sale (shop int REFERENCES shop);
      CREATE DOMAIN amount AS int NOT NULL;
      CREATE VIEW shops AS TABLE shop;
      CREATE TYPE span AS RANGE (subtype = int);`,
  });
  const before = await readCatalog(database);
  await database.exec(`
    COMMENT ON FUNCTION citext_eq(citext, citext) IS 'mine';
    COMMENT ON TYPE shop IS 'rows';
    COMMENT ON TYPE amount[] IS 'amounts';
    COMMENT ON RULE "_RETURN" ON shops IS 'all';
    COMMENT ON FUNCTION span(int, int) IS 'makes one';
    GRANT USAGE ON TYPE shop TO pg_monitor;
    ALTER TABLE sale DISABLE TRIGGER ALL;`);
  const after = await readCatalog(database);
  const changes = compareCatalogs(before, after);
  expect(changes.filter(({ kind }) => kind !== "unknown")).toMatchObject([
    { kind: "create", after: { kind: "comment", name: "FUNCTION public.citext_eq(public.citext,public.citext)" } },
  ]);
  expect(changes.flatMap((change) => (change.kind === "unknown" ? [change.object.name] : []))).toEqual([
    "on the array of amount: amounts",
    "on the function span of a range type: makes one",
    "on the row type of shop: rows",
    "on the rule _RETURN of shops: all",
    "sale_shop_fkey of sale on sale: not enforced, its triggers are disabled",
    expect.stringMatching(/^on the row type of shop: .*pg_monitor=U/),
  ]);
  const sql = printCatalog(after);
  expect(sql).toContain("-- not written: the comment on FUNCTION public.citext_eq(public.citext,public.citext)");
  expect(sql).toContain("-- not written: foreign key public.sale_shop_fkey of sale on sale: not enforced");
});
