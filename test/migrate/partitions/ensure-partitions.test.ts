import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ensurePartitions, readPartitions, type RangePolicy } from "../../../src/migrate/index.ts";
import { InvalidInputError, LockNotAvailableError, type Database } from "../../../src/postgres/index.ts";
import { failureOf } from "../../support/failure-of.ts";
import { describeDatabases, testDatabase } from "../../support/test-database.ts";

const now = new Date("2026-11-22T10:00:00Z");
const SETUP = `
DROP SCHEMA IF EXISTS shop, archive CASCADE;
CREATE SCHEMA shop;
CREATE TABLE shop.kinds (name text PRIMARY KEY);
INSERT INTO shop.kinds VALUES ('a');
CREATE FUNCTION shop.count_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE shop.counts SET n = n + 1; RETURN NULL; END $$;
CREATE TABLE shop.counts (n integer);
INSERT INTO shop.counts VALUES (0);
CREATE TABLE shop.events (
  id bigint GENERATED ALWAYS AS IDENTITY,
  at timestamptz NOT NULL,
  kind text DEFAULT 'a' REFERENCES shop.kinds,
  day date GENERATED ALWAYS AS ((at AT TIME ZONE 'UTC')::date) STORED,
  amount integer CHECK (amount > 0),
  PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE INDEX ON shop.events (kind, amount);
CREATE TRIGGER counted AFTER INSERT OR DELETE ON shop.events FOR EACH ROW EXECUTE FUNCTION shop.count_up();`;
const monthly: RangePolicy = { kind: "range", schema: "shop", table: "events", every: "month", ahead: 2 };

async function tablesOf(database: Database, sql: string): Promise<readonly unknown[]> {
  const { rows } = await database.query<{ name: string }>(sql);
  return rows.map(({ name }) => name);
}

describeDatabases((_, open) => {
  let database: Database;
  beforeAll(async () => {
    database = await open();
  });
  afterAll(async () => {
    await database.close();
  });
  beforeEach(() => database.exec(SETUP));

  test("months are made ahead, with indexes, keys, identity and triggers of the table, and once only", async () => {
    const run = await ensurePartitions(database, monthly, { now });
    expect(run.created).toEqual([
      {
        name: "events_p2026_11",
        bound: "FOR VALUES FROM ('2026-11-01 00:00:00+00') TO ('2026-12-01 00:00:00+00')",
        rowsMoved: 0,
      },
      {
        name: "events_p2026_12",
        bound: "FOR VALUES FROM ('2026-12-01 00:00:00+00') TO ('2027-01-01 00:00:00+00')",
        rowsMoved: 0,
      },
      {
        name: "events_p2027_01",
        bound: "FOR VALUES FROM ('2027-01-01 00:00:00+00') TO ('2027-02-01 00:00:00+00')",
        rowsMoved: 0,
      },
    ]);
    await database.exec(
      "INSERT INTO shop.events (at, amount) VALUES ('2026-11-30 23:59:59.999+00', 1), ('2026-12-01 00:00:00+00', 2)",
    );
    const { rows } = await database.query(
      "SELECT tableoid::regclass::text AS place, id, day::text, (SELECT n FROM shop.counts) AS n FROM shop.events ORDER BY id",
    );
    expect(rows).toEqual([
      { place: "shop.events_p2026_11", id: "1", day: "2026-11-30", n: 2 },
      { place: "shop.events_p2026_12", id: "2", day: "2026-12-01", n: 2 },
    ]);
    expect(
      await failureOf(database.query("INSERT INTO shop.events (at, kind) VALUES ('2026-12-01', 'unknown')")),
    ).toMatchObject({
      code: "FOREIGN_KEY_VIOLATION",
    });
    expect(await ensurePartitions(database, monthly, { now })).toMatchObject({
      created: [],
      retired: [],
      statements: [],
    });
    const [status] = await readPartitions(database, { schema: "shop" }, now);
    expect(status).toMatchObject({
      table: "events",
      strategy: "range",
      key: ["at"],
      coveredUntil: new Date("2027-02-01T00:00:00Z"),
      problems: [],
    });
  });

  test("a dry run tells the statements and changes nothing", async () => {
    const dry = await ensurePartitions(database, monthly, { now, dryRun: true });
    expect(dry.statements.filter((statement) => statement.includes("ATTACH PARTITION"))).toHaveLength(3);
    const [status] = await readPartitions(database, { schema: "shop" }, now);
    expect(status).toMatchObject({ partitions: [], problems: ["there are no partitions: every row is refused"] });
    const real = await ensurePartitions(database, monthly, { now });
    expect(real.statements).toEqual(dry.statements);
  });

  test("rows that wait in the default partition move into the new one, and no trigger takes them for new", async () => {
    await database.exec(`
      CREATE TABLE shop.events_default PARTITION OF shop.events DEFAULT;
      INSERT INTO shop.events (at, amount) SELECT '2026-11-20'::timestamptz + i * interval '1 day', i FROM generate_series(1, 40) AS i;
      UPDATE shop.counts SET n = 0;`);
    const [before] = await readPartitions(database, { schema: "shop" }, now);
    expect(before).toMatchObject({ defaultPartition: { name: "events_default", hasRows: true } });
    expect(before?.problems).toContain(
      "events_default holds rows: no other partition takes them, and each new one is checked against them",
    );
    const run = await ensurePartitions(database, monthly, { now });
    expect(run.created.map(({ rowsMoved }) => rowsMoved)).toEqual([10, 30, 0]);
    expect(run.defaultPartition).toEqual({ name: "events_default", hasRows: false });
    const { rows } = await database.query(
      "SELECT count(*)::int4 AS rows, sum(amount)::int4 AS sum, count(DISTINCT id)::int4 AS ids, (SELECT n FROM shop.counts) AS n FROM shop.events",
    );
    expect(rows).toEqual([{ rows: 40, sum: 820, ids: 40, n: 0 }]);
    await database.exec("INSERT INTO shop.events (at, amount) VALUES ('2026-11-25', 7)");
    expect((await database.query("SELECT n FROM shop.counts")).rows).toEqual([{ n: 1 }]);
  });

  test("more rows than the limit stay where they are, and are reported", async () => {
    await database.exec(`
      CREATE TABLE shop.events_default PARTITION OF shop.events DEFAULT;
      INSERT INTO shop.events (at, amount) SELECT '2026-11-23', i FROM generate_series(1, 20) AS i;`);
    const run = await ensurePartitions(database, monthly, { now, maxRowsMoved: 19 });
    expect(run.notDone).toEqual([
      { name: "events_p2026_11", why: "more than 19 rows of the default partition belong into it" },
    ]);
    expect(run.created.map(({ name }) => name)).toEqual(["events_p2026_12", "events_p2027_01"]);
    expect((await database.query("SELECT count(*)::int4 AS rows FROM shop.events_default")).rows).toEqual([
      { rows: 20 },
    ]);
  });

  test("what existing partitions cover is left out, and a name that is taken is reported", async () => {
    await database.exec(`
      CREATE TABLE shop.events_before PARTITION OF shop.events FOR VALUES FROM (MINVALUE) TO ('2026-11-20 00:00:00+00');
      CREATE TABLE shop.events_p2026_12 (a integer);
      CREATE TABLE shop.odd PARTITION OF shop.events FOR VALUES FROM ('2027-01-10') TO ('2027-01-20');`);
    const run = await ensurePartitions(database, monthly, { now });
    expect(run.created).toMatchObject([
      { name: "events_p2026_11", bound: "FOR VALUES FROM ('2026-11-20 00:00:00+00') TO ('2026-12-01 00:00:00+00')" },
    ]);
    expect(run.notDone.map(({ name }) => name)).toEqual(["events_p2026_12", "events_p2027_01"]);
  });

  test("partitions past their time are detached, moved or dropped, oldest first, after they were archived", async () => {
    const months = ["2026_07", "2026_08", "2026_09", "2026_10"];
    for (const [index, month] of months.entries()) {
      const next = months[index + 1] ?? "2026_11";
      const day = (name: string): string => `${name.replace("_", "-")}-01`;
      await database.exec(`
        CREATE TABLE shop.events_p${month} PARTITION OF shop.events FOR VALUES FROM ('${day(month)} 00:00+00') TO ('${day(next)} 00:00+00');
        INSERT INTO shop.events (at, amount) VALUES ('${day(month)} 12:00+00', 5);`);
    }
    // The embedded database has one connection, which the run holds: its archive could ask nothing.
    const seen: unknown[] = [];
    const archive = async ({ schema, name }: { schema: string; name: string }): Promise<void> => {
      const { rows } = await database.query(
        `SELECT relname AS name, relispartition AS attached FROM pg_class WHERE oid = '${schema}.${name}'::regclass`,
      );
      seen.push(...rows);
    };
    const options = database.kind === "server" ? { now, archive } : { now };
    const detached = await ensurePartitions(database, { ...monthly, keep: 3 }, options);
    expect(detached.retired).toEqual([{ schema: "shop", name: "events_p2026_07", how: "detached" }]);
    const moved = await ensurePartitions(database, { ...monthly, keep: 2, retire: { moveTo: "archive" } }, options);
    expect(moved.retired).toEqual([{ schema: "shop", name: "events_p2026_08", how: "moved to archive" }]);
    const dropped = await ensurePartitions(database, { ...monthly, keep: 0, retire: "drop" }, options);
    expect(dropped.retired.map(({ name, how }) => [name, how])).toEqual([
      ["events_p2026_09", "dropped"],
      ["events_p2026_10", "dropped"],
    ]);
    expect(
      await tablesOf(
        database,
        "SELECT oid::regclass::text AS name FROM pg_class WHERE relname ~ '^events_p2026' AND relkind = 'r' ORDER BY 1",
      ),
    ).toEqual(["archive.events_p2026_08", "shop.events_p2026_07", "shop.events_p2026_11", "shop.events_p2026_12"]);
    const archived = months.map((month) => ({ name: `events_p${month}`, attached: false }));
    expect(seen).toEqual(database.kind === "server" ? archived : []);
    expect((await database.query("SELECT count(*)::int4 AS rows FROM archive.events_p2026_08")).rows).toEqual([
      { rows: 1 },
    ]);
  });

  test("days, weeks and years, of dates, times without zone and uuids of version 7", async () => {
    await database.exec(`
      CREATE TABLE shop.d (at date) PARTITION BY RANGE (at);
      CREATE TABLE shop.w (at timestamp) PARTITION BY RANGE (at);
      CREATE TABLE shop.y (id uuid PRIMARY KEY) PARTITION BY RANGE (id);`);
    const run = async (table: string, every: RangePolicy["every"]): Promise<unknown> =>
      (await ensurePartitions(database, { ...monthly, table, every, ahead: 1 }, { now })).created.map(
        ({ name, bound }) => [name, bound],
      );
    expect(await run("d", "day")).toEqual([
      ["d_p2026_11_22", "FOR VALUES FROM ('2026-11-22') TO ('2026-11-23')"],
      ["d_p2026_11_23", "FOR VALUES FROM ('2026-11-23') TO ('2026-11-24')"],
    ]);
    expect(await run("w", "week")).toEqual([
      ["w_p2026_11_16", "FOR VALUES FROM ('2026-11-16 00:00:00') TO ('2026-11-23 00:00:00')"],
      ["w_p2026_11_23", "FOR VALUES FROM ('2026-11-23 00:00:00') TO ('2026-11-30 00:00:00')"],
    ]);
    expect(await run("y", "year")).toEqual([
      [
        "y_p2026",
        "FOR VALUES FROM ('019b76da-a800-0000-0000-000000000000') TO ('01a2ce8b-d400-0000-0000-000000000000')",
      ],
      [
        "y_p2027",
        "FOR VALUES FROM ('01a2ce8b-d400-0000-0000-000000000000') TO ('01aa263d-0000-0000-0000-000000000000')",
      ],
    ]);
    await database.exec("INSERT INTO shop.y VALUES ('01a00000-0000-7000-8000-000000000000')");
    for (const [table, every] of [
      ["d", "day"],
      ["w", "week"],
      ["y", "year"],
    ] as const)
      expect(await run(table, every)).toEqual([]);
  });

  test("large tenants leave the default partition of a list, one by one", async () => {
    await database.exec(`
      CREATE TABLE shop.chats (tenant text, id integer, PRIMARY KEY (tenant, id)) PARTITION BY LIST (tenant);
      CREATE TABLE shop.chats_rest PARTITION OF shop.chats DEFAULT;
      INSERT INTO shop.chats SELECT CASE WHEN i % 3 = 0 THEN 'Acme, Inc.' ELSE 'o''small ' || i END, i FROM generate_series(1, 30) AS i;`);
    const policy = {
      kind: "list",
      schema: "shop",
      table: "chats",
      values: ["Acme, Inc.", "o'small 4", "ACME inc", "Acme, Inc.", "c:\\new\\"],
    } as const;
    const run = await ensurePartitions(database, policy);
    expect(run.created).toEqual([
      { name: "chats_p_acme_inc", bound: "FOR VALUES IN ('Acme, Inc.')", rowsMoved: 10 },
      { name: "chats_p_o_small_4", bound: "FOR VALUES IN ('o''small 4')", rowsMoved: 1 },
      { name: "chats_p_acme_inc_2", bound: "FOR VALUES IN ('ACME inc')", rowsMoved: 0 },
      { name: "chats_p_c_new", bound: "FOR VALUES IN (E'c:\\\\new\\\\')", rowsMoved: 0 },
    ]);
    expect(await ensurePartitions(database, policy)).toMatchObject({ created: [] });
    expect((await database.query("SELECT count(*)::int4 AS rows FROM shop.chats")).rows).toEqual([{ rows: 30 }]);
  });

  test("hash partitions are completed, and never mixed", async () => {
    await database.exec(`
      CREATE TABLE shop.parts (id integer) PARTITION BY HASH (id);
      CREATE TABLE shop.parts_p1 PARTITION OF shop.parts FOR VALUES WITH (MODULUS 4, REMAINDER 1);`);
    const [before] = await readPartitions(database, { schema: "shop", table: "parts" });
    expect(before?.problems).toEqual(["partitions of modulus 4 are missing: rows of their remainders are refused"]);
    const run = await ensurePartitions(database, { kind: "hash", schema: "shop", table: "parts", modulus: 4 });
    expect(run.created.map(({ name }) => name)).toEqual(["parts_p0", "parts_p2", "parts_p3"]);
    await database.exec("INSERT INTO shop.parts SELECT generate_series(1, 100)");
    expect(
      await failureOf(ensurePartitions(database, { kind: "hash", schema: "shop", table: "parts", modulus: 8 })),
    ).toBeInstanceOf(InvalidInputError);
  });

  test("a policy that does not fit is refused", async () => {
    for (const policy of [
      { ...monthly, table: "nothing" },
      { ...monthly, table: "kinds" },
      { ...monthly, ahead: -1 },
      { kind: "hash", schema: "shop", table: "events", modulus: 4 } as const,
    ])
      expect(await failureOf(ensurePartitions(database, policy, { now }))).toBeInstanceOf(InvalidInputError);
    for (const options of [{ lockTimeoutMs: -1 }, { timeoutMs: 0.5 }, { retries: Number.NaN }, { waitMs: 2 ** 31 }])
      expect(await failureOf(ensurePartitions(database, monthly, { now, ...options }))).toMatchObject({
        code: "INVALID_INPUT",
        message: expect.stringContaining(Object.keys(options)[0] ?? "") as string,
      });
  });
});

describe("with others on the server", () => {
  let database: Database;
  beforeAll(async () => {
    database = await testDatabase();
  });
  afterAll(async () => {
    await database.close();
  });
  beforeEach(() => database.exec(SETUP));

  test("an archive that fails leaves the detached table, and the next run goes on with it", async () => {
    await database.exec(
      "CREATE TABLE shop.events_p2026_01 PARTITION OF shop.events FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2026-02-01 00:00+00')",
    );
    const policy: RangePolicy = { ...monthly, keep: 3, retire: "drop" };
    const failing = ensurePartitions(database, policy, {
      now,
      archive: () => Promise.reject(new Error("the disk is full")),
    });
    expect(await failureOf(failing)).toMatchObject({ message: "the disk is full" });
    const [status] = await readPartitions(database, { schema: "shop", table: "events" }, now);
    expect(status?.problems).toContain("events_p2026_01 was detached and not put away yet");
    const run = await ensurePartitions(database, policy, { now });
    expect(run.retired).toEqual([{ schema: "shop", name: "events_p2026_01", how: "dropped" }]);
  });

  test("a new partition is made while transactions that write the table are open", async () => {
    await ensurePartitions(database, monthly, { now });
    await using reader = await database.connect();
    await reader.exec("BEGIN; INSERT INTO shop.events (at, amount) VALUES ('2026-11-23', 1)");
    const run = await ensurePartitions(database, { ...monthly, ahead: 4 }, { now, lockTimeoutMs: 200, retries: 1 });
    expect(run.created.map(({ name }) => name)).toEqual(["events_p2027_02", "events_p2027_03"]);
    await reader.exec("ROLLBACK");
  });

  test("a second run on the table is refused and told who works on it", async () => {
    let second: unknown;
    await database.exec(
      "CREATE TABLE shop.events_p2025_01 PARTITION OF shop.events FOR VALUES FROM ('2025-01-01 00:00+00') TO ('2025-02-01 00:00+00')",
    );
    await ensurePartitions(
      database,
      { ...monthly, keep: 3 },
      {
        now,
        archive: async () => {
          second = await failureOf(ensurePartitions(database, monthly, { now, waitMs: 0 }));
        },
      },
    );
    expect(second).toBeInstanceOf(LockNotAvailableError);
    expect((second as LockNotAvailableError).holders).toHaveLength(1);
  });
});
