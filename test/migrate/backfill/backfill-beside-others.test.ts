// Backfills that are killed, and those that wait for others: on a real server only.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ensurePartitions, readBackfills, runBackfill } from "../../../src/migrate/index.ts";
import {
  LockNotAvailableError,
  openDatabase,
  RetriesExhaustedError,
  type Database,
} from "../../../src/postgres/index.ts";
import { startChild } from "../../support/child-process.ts";
import { failureOf } from "../../support/failure-of.ts";
import { testDatabase } from "../../support/test-database.ts";
import { figures, increment, TABLE_SQL } from "./numbers-table.ts";

describe("on a server with others", () => {
  let database: Database;
  beforeAll(async () => {
    database = await testDatabase();
  });
  afterAll(async () => {
    await database.close();
  });
  beforeEach(() => database.exec(TABLE_SQL));

  test("killed at any moment, it repeats and misses no row", async () => {
    let kills = 0;
    await runBackfill(database, { ...increment, name: "nothing", set: "note = NULL", filter: "false" }); // makes the record's table
    for (;;) {
      await using child = await startChild(
        `import { openDatabase } from "SRC/postgres/index.ts";
         import { runBackfill } from "SRC/migrate/index.ts";
         const database = await openDatabase(process.env.TEST_URL);
         const onProgress = () => console.log('"batch"');
         const options = { batchSize: 100, targetMs: 0, waitMs: 30000, onProgress };
         await runBackfill(database, ${JSON.stringify(increment)}, options);
         console.log('"done"');
         await database.close();`,
        { TEST_URL: database.url },
      );
      // By batches, not by time: so a busy machine needs no more rounds than an idle one.
      let line: unknown = "batch";
      for (let batches = 9 + Math.random() * 6; batches > 0 && line !== "done"; batches--)
        line = await child.readJson();
      if (line === "done") break;
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 10));
      await child.kill("SIGKILL");
      kills++;
      // In between, each row is done or not, and the record agrees with the table.
      const { rows } = await database.query(
        "SELECT max(n) AS most, sum(n)::int4 AS sum, (SELECT sum(rows_changed)::int4 FROM pgsteward.backfill) AS recorded FROM numbers",
      );
      const { most, sum, recorded } = rows[0] as { most: number; sum: number; recorded: number | null };
      expect(most).toBeLessThanOrEqual(1);
      expect(recorded ?? 0).toBe(sum);
    }
    expect(kills).toBeGreaterThan(0);
    expect(await figures(database)).toMatchObject({ rows: 5_000, least: 1, most: 1 });
    expect(await readBackfills(database)).toMatchObject([
      { name: "nothing", rowsChanged: 0 },
      { name: "increment", state: "done", rowsVisited: 5_000, rowsChanged: 5_000 },
    ]);
  });

  test("two at once: the second is told who runs it", async () => {
    // A held row keeps the first from coming to its end meanwhile.
    await using other = await database.connect();
    await other.exec("BEGIN; UPDATE numbers SET note = 'held' WHERE id = 4500");
    let first: unknown;
    const second = new Promise((resolve) => {
      let isAsked = false;
      first = runBackfill(database, increment, {
        batchSize: 1_000,
        targetMs: 0,
        onProgress: ({ rowsVisited }) => {
          if (rowsVisited === 1_000 && !isAsked) resolve(failureOf(runBackfill(database, increment, { waitMs: 0 })));
          isAsked ||= rowsVisited >= 1_000;
        },
      });
    });
    const error = await second;
    await other.exec("COMMIT");
    expect(error).toBeInstanceOf(LockNotAvailableError);
    expect((error as LockNotAvailableError).holders).toHaveLength(1);
    expect((error as LockNotAvailableError).message).toMatch(/increment is running already; it is held by process \d+/);
    expect(await first).toMatchObject({ state: "done", rowsChanged: 5_000 });
    expect(await figures(database)).toMatchObject({ least: 1, most: 1 });
  });

  test("a row that somebody holds is waited for and not passed over", async () => {
    await using other = await database.connect();
    await other.exec("BEGIN; UPDATE numbers SET note = 'held' WHERE id = 1500");
    let failures = 0;
    const result = await runBackfill(database, increment, {
      batchSize: 1_000,
      targetMs: 0,
      lockTimeoutMs: 50,
      onProgress: ({ heldBackBy }) => {
        if (heldBackBy === undefined) return;
        failures++;
        if (failures === 2) void other.exec("COMMIT");
      },
    });
    expect(failures).toBeGreaterThanOrEqual(2);
    expect(result).toMatchObject({ rowsVisited: 5_000, rowsChanged: 5_000 });
    expect(await figures(database)).toMatchObject({ least: 1, most: 1 });
  });

  test("while it waits for a row that somebody holds, it holds no other", async () => {
    await using first = await database.connect();
    await using second = await database.connect();
    await using reader = await database.connect();
    await first.exec("BEGIN; UPDATE numbers SET note = 'held' WHERE id = 1500");
    await second.exec("BEGIN; SELECT FROM numbers WHERE id IN (1501, 1700) FOR UPDATE");
    const running = runBackfill(database, increment, { batchSize: 1_000, targetMs: 0, lockTimeoutMs: 60_000 });
    const waiting = async (): Promise<number> => {
      for (;;) {
        const { rows } = await reader.query<{ xid: number }>(
          // Those of several rows are given up after 10 ms.
          `SELECT transactionid::text::int AS xid FROM pg_locks
           WHERE locktype = 'transactionid' AND NOT granted AND waitstart < clock_timestamp() - interval '100 ms'
             AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())`,
        );
        if (rows[0] !== undefined) return rows[0].xid;
        await sleep(5);
      }
    };
    // A busy machine may end the short wait of a batch late: that it waits so long while it holds others is seen, but passes.
    const freeWhileWaiting = async (): Promise<readonly unknown[]> => {
      await waiting();
      return (
        await reader.query(
          "SELECT count(*)::int4 AS free FROM (SELECT FROM numbers WHERE id NOT IN (1500, 1501, 1700) FOR UPDATE SKIP LOCKED) AS f",
        )
      ).rows;
    };
    await expect.poll(freeWhileWaiting).toEqual([{ free: 4_997 }]);
    const waits = await waiting();
    await first.exec("COMMIT");
    while ((await waiting()) === waits) await sleep(5);
    await expect.poll(freeWhileWaiting).toEqual([{ free: 4_997 }]);
    await second.exec("COMMIT");
    expect(await running).toMatchObject({ rowsVisited: 5_000, rowsChanged: 5_000 });
    expect(await figures(database)).toMatchObject({ least: 1, most: 1 });
  });

  test("a row that is never let go ends the run with the reason, and what is done stays", async () => {
    await using other = await database.connect();
    await other.exec("BEGIN; UPDATE numbers SET note = 'held' WHERE id = 2500");
    const error = await failureOf(
      runBackfill(database, increment, { batchSize: 1_000, targetMs: 0, lockTimeoutMs: 20, retries: 2 }),
    );
    await other.exec("ROLLBACK");
    expect(error).toBeInstanceOf(RetriesExhaustedError);
    expect((error as Error).cause).toBeInstanceOf(LockNotAvailableError);
    const [record] = await readBackfills(database);
    expect(record).toMatchObject({
      state: "failed",
      lastError: expect.stringContaining("RETRIES_EXHAUSTED") as string,
    });
    expect(record?.rowsChanged).toBeGreaterThanOrEqual(2_000);
    await runBackfill(database, increment);
    expect(await figures(database)).toMatchObject({ least: 1, most: 1 });
  });

  test("it holds back while a session waits for a lock on the table", async () => {
    await using holder = await database.connect();
    await using waiter = await database.connect();
    // The held row keeps the run from coming to its end before the other session waits.
    await holder.exec("BEGIN; UPDATE numbers SET note = 'held' WHERE id = 4500");
    const reason = "1 session waits for a lock on the table";
    let waiting: Promise<void> | undefined;
    let isHeldBack = false;
    await runBackfill(database, increment, {
      batchSize: 1_000,
      targetMs: 0,
      checkEveryMs: 0,
      lockTimeoutMs: 100,
      retries: 1_000,
      onProgress: ({ rowsVisited, heldBackBy }) => {
        if (rowsVisited === 2_000)
          waiting ??= waiter.exec("BEGIN; LOCK TABLE numbers IN ACCESS EXCLUSIVE MODE; COMMIT", { timeoutMs: 0 });
        if (heldBackBy !== reason) return;
        isHeldBack = true;
        if (holder.transactionStatus !== "idle") void holder.exec("COMMIT");
      },
    });
    await waiting;
    expect(isHeldBack).toBe(true);
    expect(await figures(database)).toMatchObject({ least: 1, most: 1 });
  });

  test("it holds back while too many others are active, and gives up with the reason when that does not end", async () => {
    await using busy = await database.connect();
    const abort = new AbortController();
    const sleeping = failureOf(busy.query("SELECT pg_sleep(60)", [], { timeoutMs: 70_000, signal: abort.signal }));
    const isBusy = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    await expect.poll(async () => (await database.query(isBusy)).rowCount).toBe(1);
    const error = await failureOf(runBackfill(database, increment, { maxActive: 0, maxHeldBackMs: 50 }));
    abort.abort();
    await sleeping;
    expect(error).toBeInstanceOf(RetriesExhaustedError);
    expect((error as Error).message).toContain("held back too long: 1 other session is active");
  });

  test("what a login lacks is said as a GRANT, for partitions too, and nothing is left", async () => {
    const role = `lacking_${process.pid}`;
    await database.exec(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'; CREATE SCHEMA hidden;
      CREATE TABLE hidden.numbers (id int PRIMARY KEY, n int); INSERT INTO hidden.numbers VALUES (1);
      CREATE TABLE hidden.events (at date) PARTITION BY RANGE (at);`);
    const url = new URL(database.url);
    url.username = role;
    url.password = "secret";
    const name = url.pathname.slice(1);
    const told = async (work: Promise<unknown>, hint: string): Promise<void> => {
      expect(await failureOf(work)).toMatchObject({ code: "INSUFFICIENT_PRIVILEGE", hint });
    };
    try {
      await using lacking = await openDatabase(url.href);
      const fill = { ...increment, schema: "hidden" };
      const ensure = { kind: "range", schema: "hidden", table: "events", every: "month" } as const;
      await told(runBackfill(lacking, fill), `GRANT CREATE ON DATABASE "${name}" TO "${role}"`);
      await database.exec(`GRANT CREATE ON DATABASE ${name} TO ${role}`);
      await told(runBackfill(lacking, fill), `GRANT USAGE ON SCHEMA "hidden" TO "${role}"`);
      const missing = await failureOf(ensurePartitions(lacking, ensure));
      expect(missing).toMatchObject({ hint: expect.stringContaining("ON SCHEMA") as string });
      await database.exec(`GRANT USAGE ON SCHEMA hidden TO ${role}; GRANT SELECT ON hidden.numbers TO ${role}`);
      expect(await readBackfills(lacking)).toEqual([]);
      await told(
        runBackfill(lacking, { ...fill, where: "n IS NULL" }),
        `GRANT UPDATE ON "hidden"."numbers" TO "${role}"`,
      );
      const others = await failureOf(ensurePartitions(lacking, ensure));
      expect(others).toMatchObject({ hint: expect.stringMatching(/^GRANT "postgres" TO "lacking_/) as string });
    } finally {
      await database.exec(
        `DROP SCHEMA hidden CASCADE; DROP SCHEMA IF EXISTS pgsteward CASCADE; DROP OWNED BY ${role}; DROP ROLE ${role}`,
      );
    }
  });

  test("a login that may not see the load is told so, and one that rows are hidden from gets an error", async () => {
    await database.exec(`
      CREATE ROLE backfill_${process.pid} LOGIN PASSWORD 'secret' IN ROLE pg_write_all_data, pg_read_all_data;
      GRANT CREATE ON DATABASE ${new URL(database.url).pathname.slice(1)} TO backfill_${process.pid};`);
    const url = new URL(database.url);
    url.username = `backfill_${process.pid}`;
    url.password = "secret";
    try {
      await using limited = await openDatabase(url.href);
      expect(await runBackfill(limited, { ...increment, name: "before" })).toMatchObject({
        rowsChanged: 5_000,
        notices: ["the load of others is not visible to this login: GRANT pg_monitor TO it"],
      });
      await database.exec(`
        ALTER TABLE numbers ENABLE ROW LEVEL SECURITY;
        ALTER TABLE numbers FORCE ROW LEVEL SECURITY;
        CREATE POLICY few ON numbers USING (id < 10);`);
      expect(await failureOf(runBackfill(limited, increment))).toMatchObject({ code: "INSUFFICIENT_PRIVILEGE" });
    } finally {
      await database.exec(
        `DROP SCHEMA pgsteward CASCADE; DROP OWNED BY backfill_${process.pid}; DROP ROLE backfill_${process.pid}`,
      );
    }
  });
});
