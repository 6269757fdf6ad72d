import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { readCatalog } from "../../../src/catalog/index.ts";
import { planPartitionConversion, readPartitions, type PartitionConversion } from "../../../src/migrate/index.ts";
import type { Database } from "../../../src/postgres/index.ts";
import { failureOf } from "../../support/failure-of.ts";
import { testDatabase } from "../../support/test-database.ts";
import { differences, lintPhases, runPhase, shopCatalog } from "../expand/support.ts";

const now = new Date("2026-11-22T10:00:00Z");
const SETUP = `
DROP SCHEMA IF EXISTS shop CASCADE;
CREATE SCHEMA shop;
CREATE TABLE shop.kinds (name text PRIMARY KEY);
INSERT INTO shop.kinds VALUES ('a'), ('b');
CREATE TABLE shop.counts (n integer);
INSERT INTO shop.counts VALUES (0);
CREATE FUNCTION shop.count_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE shop.counts SET n = n + 1; RETURN NULL; END $$;
CREATE TABLE shop.events (
  id integer GENERATED ALWAYS AS IDENTITY (START WITH 3 INCREMENT BY 2) CONSTRAINT pk_events PRIMARY KEY,
  number serial,
  tenant text NOT NULL DEFAULT 'acme',
  at timestamptz NOT NULL DEFAULT now(),
  kind text CONSTRAINT fk_kind REFERENCES shop.kinds ON DELETE SET NULL,
  amount integer CONSTRAINT ck_amount CHECK (amount > 0),
  day date GENERATED ALWAYS AS ((at AT TIME ZONE 'UTC')::date) STORED,
  CONSTRAINT uq_number UNIQUE (tenant, number, at)
) WITH (fillfactor = 80);
CREATE INDEX idx_kind ON shop.events (lower(kind), amount DESC) WHERE amount > 1;
CREATE UNIQUE INDEX uq_amount ON shop.events (amount);
COMMENT ON TABLE shop.events IS 'What happened';
COMMENT ON COLUMN shop.events.kind IS 'Of what kind';
ALTER TABLE shop.events ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON shop.events USING (tenant = current_setting('app.tenant', true));
GRANT SELECT, INSERT ON shop.events TO PUBLIC;
CREATE TRIGGER counted AFTER INSERT ON shop.events FOR EACH ROW EXECUTE FUNCTION shop.count_up();
COMMENT ON TRIGGER counted ON shop.events IS 'Counts';
CREATE VIEW shop.recent WITH (security_invoker = true) AS SELECT id, at, kind FROM shop.events WHERE amount > 3;
CREATE TABLE shop.notes (id integer PRIMARY KEY, tenant text, number integer, at timestamptz,
  CONSTRAINT fk_notes FOREIGN KEY (tenant, number, at) REFERENCES shop.events (tenant, number, at) ON DELETE CASCADE);
ALTER TABLE shop.notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON shop.notes USING (EXISTS (SELECT FROM shop.events AS e WHERE e.number = notes.number));
INSERT INTO shop.events (at, kind, amount) SELECT '2026-01-01'::timestamptz + i * interval '1 day', CASE i % 2 WHEN 0 THEN 'a' END, i FROM generate_series(1, 320) AS i;
INSERT INTO shop.notes SELECT id, tenant, number, at FROM shop.events WHERE id % 5 = 0;
UPDATE shop.counts SET n = 0;`;

let database: Database;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(async () => {
  await database.close();
});
beforeEach(() => database.exec(SETUP));

const range: PartitionConversion = {
  schema: "shop",
  table: "events",
  by: { kind: "range", column: "at", every: "month", ahead: 2 },
  weakerKeys: true,
};

const plan = async (conversion: PartitionConversion): ReturnType<typeof planPartitionConversion> =>
  planPartitionConversion(await readCatalog(database, { schemas: ["shop"] }), conversion, now);

test("a table becomes partitioned by time with all that it has, and plain again with what came meanwhile", async () => {
  const start = await shopCatalog(database);
  const { phases, notices } = await plan(range);
  expect(phases.map(({ phase }) => phase)).toEqual(["prepare", "switch"]);
  expect(notices).toEqual([
    "pk_events is unique only together with at afterwards",
    "uq_amount is unique only together with at afterwards",
  ]);
  expect(await lintPhases(phases, start)).toEqual([]);
  const [prepare, change] = phases;
  if (prepare === undefined || change === undefined) throw new Error("a phase is missing");
  await runPhase(database, prepare, "up");
  await runPhase(database, prepare, "down");
  expect(differences(start, await shopCatalog(database))).toEqual([]);
  await runPhase(database, prepare, "up");
  const prepared = await shopCatalog(database);
  const told: string[] = [];
  await runPhase(database, change, "up", (message) => told.push(message));
  // The check that was validated before spares ATTACH the scan, and the indexes that are there the builds.
  expect(told).toContain('partition constraint for table "events_p_before" is implied by existing constraints');

  const [status] = await readPartitions(database, { schema: "shop", table: "events" }, now);
  expect(status?.partitions.map(({ name, bound }) => [name, bound])).toEqual([
    ["events_p2027_01", "FOR VALUES FROM ('2027-01-01 00:00:00+00') TO ('2027-02-01 00:00:00+00')"],
    ["events_p2027_02", "FOR VALUES FROM ('2027-02-01 00:00:00+00') TO ('2027-03-01 00:00:00+00')"],
    ["events_p_before", "FOR VALUES FROM (MINVALUE) TO ('2027-01-01 00:00:00+00')"],
  ]);
  await database.exec(
    "INSERT INTO shop.events (at, kind, amount) VALUES ('2027-01-15', 'b', 1000), ('2026-11-22', 'a', 1001)",
  );
  const { rows } = await database.query(`
    SELECT (SELECT count(*)::int4 FROM shop.events) AS rows, (SELECT count(*)::int4 FROM shop.recent) AS recent, (SELECT n FROM shop.counts) AS n,
      (SELECT array_agg(id ORDER BY id) FROM shop.events WHERE amount >= 1000) AS ids, (SELECT max(number) FROM shop.events) AS number`);
  expect(rows).toEqual([{ rows: 322, recent: 319, n: 2, ids: [643, 645], number: 322 }]);
  const partitioned = await shopCatalog(database);
  const table = partitioned.tables.find(({ name }) => name === "events");
  expect(table).toMatchObject({ kind: "partitioned", comment: "What happened", rowSecurity: { enabled: true } });
  expect(table?.indexes.map(({ name, isValid }) => [name, isValid])).toEqual([
    ["idx_kind", true],
    ["pk_events", true],
    ["uq_amount", true],
    ["uq_number", true],
  ]);
  const part = partitioned.tables.find(({ name }) => name === "events_p_before");
  expect(part?.indexes.map(({ name, partitionOf }) => [name, partitionOf])).toEqual([
    ["idx_kind_before", "idx_kind"],
    ["pk_events_before", "pk_events"],
    ["uq_amount_before", "uq_amount"],
    ["uq_number_before", "uq_number"],
  ]);
  expect(table?.policies.map(({ name }) => name)).toEqual(["own"]);
  expect(partitioned.grants.filter(({ object, grantee }) => object === "events" && grantee === "public")).toMatchObject(
    [{ privileges: ["INSERT", "SELECT"] }],
  );
  expect(await failureOf(database.exec("INSERT INTO shop.notes VALUES (1, 'acme', 1, '2001-01-01')"))).toMatchObject({
    code: "FOREIGN_KEY_VIOLATION",
  });

  await runPhase(database, change, "down");
  expect(differences(prepared, await shopCatalog(database))).toEqual([]);
  const { rows: back } = await database.query(
    "SELECT count(*)::int4 AS rows, (SELECT count(*)::int4 FROM shop.recent) AS recent, (SELECT n FROM shop.counts) AS n FROM shop.events",
  );
  expect(back).toEqual([{ rows: 322, recent: 319, n: 2 }]);
  await database.exec("INSERT INTO shop.events (amount) VALUES (5000)");
  expect((await database.query("SELECT id, number FROM shop.events WHERE amount = 5000")).rows).toEqual([
    { id: 647, number: 323 },
  ]);
});

test("a table becomes a list by tenant, whose default partition it is", async () => {
  await database.exec("DROP TABLE shop.notes; ALTER TABLE shop.events DROP CONSTRAINT uq_number");
  const { phases } = await plan({ ...range, by: { kind: "list", column: "tenant" } });
  const before = await shopCatalog(database);
  for (const phase of phases) await runPhase(database, phase, "up");
  const [status] = await readPartitions(database, { schema: "shop", table: "events" });
  expect(status).toMatchObject({
    strategy: "list",
    key: ["tenant"],
    defaultPartition: { name: "events_default", hasRows: true },
  });
  for (const phase of phases.toReversed()) await runPhase(database, phase, "down");
  expect(differences(before, await shopCatalog(database))).toEqual([]);
});

test("a table becomes partitioned by hash through a copy that is kept equal, and plain again", async () => {
  await database.exec(
    "DROP TABLE shop.notes; ALTER TABLE shop.events DROP CONSTRAINT uq_number; ALTER TABLE shop.events ADD COLUMN doc json",
  );
  const start = await shopCatalog(database);
  const { phases } = await plan({ ...range, by: { kind: "hash", column: "id", modulus: 3 } });
  expect(phases.map(({ phase }) => phase)).toEqual(["expand", "backfill", "switch", "contract"]);
  expect(await lintPhases(phases, start)).toEqual([]);
  const [expand, backfill, change, contract] = phases;
  if (expand === undefined || backfill === undefined || change === undefined || contract === undefined)
    throw new Error("a phase is missing");
  await runPhase(database, expand, "up");
  await runPhase(database, expand, "down");
  expect(differences(start, await shopCatalog(database))).toEqual([]);
  await runPhase(database, expand, "up");
  await database.exec(`
    INSERT INTO shop.events (at, kind, amount) VALUES ('2027-01-15', 'b', 1000);
    UPDATE shop.events SET amount = amount + 2000 WHERE amount <= 3;
    DELETE FROM shop.events WHERE amount = 10;`);
  await runPhase(database, backfill, "up");
  const copied = await shopCatalog(database);
  await runPhase(database, change, "up");
  await database.exec(
    "INSERT INTO shop.events (kind, amount) VALUES ('a', 1002); DELETE FROM shop.events WHERE amount = 11; UPDATE shop.events SET amount = 5000 WHERE amount = 12",
  );
  const content = async (table: string): Promise<unknown> =>
    (
      await database.query(
        `SELECT count(*)::int4 AS rows, sum(amount)::int4 AS sum, max(id) AS id, md5(string_agg(e::text, ';' ORDER BY id)) AS all FROM shop.${table} AS e`,
      )
    ).rows;
  expect(await content("events")).toMatchObject([{ rows: 320, id: 645 }]);
  expect(await content("events_old")).toEqual(await content("events"));
  expect((await database.query("SELECT count(*)::int4 AS rows FROM shop.recent")).rows).toEqual([{ rows: 320 }]);
  const rows = await content("events");
  await runPhase(database, change, "down");
  expect(differences(copied, await shopCatalog(database))).toEqual([]);
  expect(await content("events")).toEqual(rows);
  await runPhase(database, change, "up");
  await runPhase(database, contract, "up");
  expect(await content("events")).toEqual(rows);
  const [status] = await readPartitions(database, { schema: "shop" });
  expect(status).toMatchObject({
    strategy: "hash",
    problems: [],
    partitions: [{ name: "events_p0" }, { name: "events_p1" }, { name: "events_p2" }],
  });
});

test("what a partitioned table cannot have is refused with the way out", async () => {
  const messages: string[] = [];
  const refuse = async (conversion: PartitionConversion, setup = ""): Promise<void> => {
    await database.exec(`${SETUP} ${setup}`);
    const error = await failureOf(plan(conversion));
    expect(error).toMatchObject({ code: "INVALID_INPUT" });
    messages.push((error as Error).message);
  };
  await refuse({ ...range, weakerKeys: false });
  await refuse(
    { ...range, by: { kind: "list", column: "tenant" } },
    "ALTER TABLE shop.notes ADD FOREIGN KEY (id) REFERENCES shop.events (id) NOT VALID",
  );
  await refuse({ ...range, by: { ...range.by, kind: "range", every: "month", column: "kind" } });
  await refuse({ ...range, by: { kind: "range", every: "month", column: "tenant" } }, "DROP TABLE shop.notes");
  await refuse({ ...range, by: { kind: "range", every: "month", column: "at", boundary: new Date("2027-01-02") } });
  await refuse(range, "CREATE MATERIALIZED VIEW shop.kept AS SELECT * FROM shop.events");
  await refuse(range, "ALTER TABLE shop.events ADD CHECK (amount < 9000) NOT VALID");
  await refuse({ ...range, table: "nothing" });
  expect(messages).toEqual([
    "pk_events, uq_amount of shop.events would be unique only together with at: a partitioned table knows no other",
    expect.stringMatching(/refers to columns without tenant$/),
    "shop.events.kind may be NULL",
    "shop.events.tenant is text: periods need a date, a timestamp or a uuid of version 7",
    "the boundary 2027-01-02T00:00:00.000Z is not the beginning of a month to come",
    "view shop.kept depends on shop.events",
    expect.stringContaining("is not validated or not enforced"),
    "there is no table shop.nothing",
  ]);
});

test.each<PartitionConversion["by"]>([range.by, { kind: "hash", column: "id", modulus: 2 }])(
  "programs write through the whole conversion, there and back, and no write is lost: $kind",
  async (by) => {
    await database.exec(
      "ALTER TABLE shop.events DROP COLUMN day; DROP TABLE shop.notes; ALTER TABLE shop.events DROP CONSTRAINT uq_number",
    );
    const all = (await plan({ ...range, by })).phases;
    const phases = all.filter(({ phase }) => phase !== "contract");
    let isRunning = true;
    const written: number[] = [];
    const errors: unknown[] = [];
    const writer = (async () => {
      for (let amount = 10_000; isRunning; amount++) {
        const at = amount % 3 === 0 ? "2026-12-30" : "2026-11-22";
        await database
          .query("INSERT INTO shop.events (at, amount) VALUES ($1, $2)", [at, amount])
          .then(() =>
            database.query("UPDATE shop.events SET kind = 'b' WHERE amount IN ($1, $2)", [amount, amount % 320]),
          )
          .then(
            () => written.push(amount),
            (error: unknown) => errors.push(error),
          );
      }
    })();
    const steps = [
      ...phases.map((phase) => [phase, "up"] as const),
      ...phases.toReversed().map((phase) => [phase, "down"] as const),
    ];
    for (const [phase, direction] of steps) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      await runPhase(database, phase, direction);
    }
    isRunning = false;
    await writer;
    expect(errors).toEqual([]);
    const { rows } = await database.query(
      "SELECT amount FROM shop.events WHERE amount >= 10000 AND kind = 'b' ORDER BY amount",
    );
    expect(rows.map((row) => row["amount"] as number)).toEqual(written);
  },
);
