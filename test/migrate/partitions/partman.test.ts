import { expect, inject, test } from "vitest";
import { ensurePartitions, parseSqlScript } from "../../../src/migrate/index.ts";
import { partmanStatements } from "../../../src/migrate/partitions/partman.ts";
import { InvalidInputError, openDatabase } from "../../../src/postgres/index.ts";
import { failureOf } from "../../support/failure-of.ts";
import { testDatabase } from "../../support/test-database.ts";

const family = {
  schema: "shop",
  table: "events",
  owner: "app",
  strategy: "range",
  key: [{ name: "at", type: "timestamp with time zone" }],
  partitions: [],
  takenNames: [],
  retired: [],
  hasDefaultRows: false,
} as const;
const policy = { kind: "range", schema: "shop", table: "events", every: "month", ahead: 4, keep: 12 } as const;
const partman = { schema: "partman", version: "5.2.4", configured: undefined, isKeyNotNull: true };
const now = Date.UTC(2026, 10, 22, 10);

test("a policy becomes pg_partman's configuration: the table is handed over once, then its settings are written", async () => {
  const statements = partmanStatements(family, { ...policy, retire: { moveTo: "archive" } }, partman, now);
  expect(statements).toEqual([
    "SET LOCAL TimeZone = 'UTC'",
    `SELECT "partman"."create_parent"(p_parent_table := 'shop.events', p_control := 'at', p_interval := '1 month', p_premake := 4, p_start_partition := '2026-11-01')`,
    `UPDATE "partman"."part_config" SET premake = 4, retention = '12 months', retention_keep_table = true, retention_schema = 'archive', infinite_time_partitions = true WHERE parent_table = 'shop.events'`,
    `CREATE SCHEMA IF NOT EXISTS "archive"`,
    `SELECT "partman"."run_maintenance"(p_parent_table := 'shop.events')`,
  ]);
  expect((await parseSqlScript(`${statements.join(";\n")};`, "partman")).statements).toHaveLength(5);
  const configured = partmanStatements(
    family,
    { ...policy, keep: undefined, retire: "drop" },
    { ...partman, configured: { interval: "1 mon", fits: true } },
    now,
  );
  expect(configured).toEqual([
    "SET LOCAL TimeZone = 'UTC'",
    expect.stringContaining("retention = NULL, retention_keep_table = false, retention_schema = NULL"),
    expect.stringContaining("run_maintenance"),
  ]);
});

test("version 4 is told that the partitions are PostgreSQL's own; weeks begin on Monday", () => {
  const [, create] = partmanStatements(family, { ...policy, every: "week" }, { ...partman, version: "4.7.4" }, now);
  expect(create).toContain("p_type := 'native', p_interval := '1 week'");
  expect(create).toContain("p_start_partition := '2026-11-16'");
});

test("what pg_partman would not take is refused before it is asked", () => {
  const configured = { interval: "1 day", fits: false };
  for (const [found, message] of [
    [{ ...partman, version: "3.2.1" }, "version 4 and later"],
    [{ ...partman, configured }, "makes partitions of 1 day for shop.events, not of 1 month"],
    [{ ...partman, isKeyNotNull: false }, "only when at is NOT NULL"],
  ] as const) {
    const statements = (): unknown => partmanStatements(family, policy, found, now);
    expect(statements).toThrow(InvalidInputError);
    expect(statements).toThrow(message);
  }
});

// Where the server has the extension, as `PGSTEWARD_TEST_URL` may name one.
if (await hasExtension()) {
  test("the extension makes the partitions, retires the old, and leaves tables alone that have their own", async () => {
    await using server = await testDatabase({
      setup: `CREATE SCHEMA partman; CREATE EXTENSION pg_partman SCHEMA partman; CREATE SCHEMA shop;
        CREATE TABLE shop.weeks (at timestamptz NOT NULL) PARTITION BY RANGE (at);
        CREATE TABLE shop.own (at timestamptz) PARTITION BY RANGE (at);
        CREATE TABLE shop.own_rest PARTITION OF shop.own DEFAULT;
        DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET TimeZone = %L', current_database(), 'America/New_York'); END $$;`,
    });
    await using database = await openDatabase(server.url);
    const weekly = { kind: "range", schema: "shop", table: "weeks", every: "week", ahead: 2 } as const;
    const dryRun = await ensurePartitions(database, weekly, { dryRun: true });
    expect(dryRun).toMatchObject({ managedBy: "pg_partman", created: [], defaultPartition: undefined });
    const made = await ensurePartitions(database, weekly, { now: new Date(Date.now() - 10 * 7 * 86_400_000) });
    expect(made).toMatchObject({ managedBy: "pg_partman", retired: [], defaultPartition: { name: "weeks_default" } });
    // The default, ten weeks, this one and two more; its maintenance may add one.
    expect(made.created.length).toBeGreaterThanOrEqual(14);
    const starts = made.created.flatMap(({ bound }) => /FROM \('([^']*)'/.exec(bound)?.[1] ?? []);
    expect(starts.every((start) => start.endsWith(" 00:00:00+00") && new Date(start).getUTCDay() === 1)).toBe(true);
    for (const [keep, retire, how] of [
      [8, { moveTo: "archive" }, "moved to archive"],
      [6, "drop", "dropped"],
      [4, "detach", "detached"],
    ] as const) {
      const run = await ensurePartitions(database, { ...weekly, keep, retire });
      expect(run).toMatchObject({ managedBy: "pg_partman", created: [], retired: [{ how }, { how }] });
    }
    const { rows: tables } = await database.query(
      `SELECT relnamespace::regnamespace::text AS schema, count(*)::int4 AS n FROM pg_class
       WHERE starts_with(relname, 'weeks_p') AND NOT relispartition GROUP BY 1 ORDER BY 1`,
    );
    expect(tables).toEqual([
      { schema: "archive", n: 2 },
      { schema: "shop", n: 2 },
    ]);
    const own = await ensurePartitions(database, { ...weekly, table: "own" });
    expect(own).toMatchObject({ managedBy: "pgsteward", created: [{}, {}, {}] });
    const daily = ensurePartitions(database, { ...weekly, every: "day" });
    expect(await failureOf(daily)).toMatchObject({
      message: expect.stringContaining("makes partitions of 7 days for shop.weeks") as string,
    });
  });
}

async function hasExtension(): Promise<boolean> {
  await using database = await openDatabase(inject("serverUrl"));
  const { rows } = await database.query("SELECT FROM pg_available_extensions WHERE name = 'pg_partman'");
  return rows.length === 1;
}
