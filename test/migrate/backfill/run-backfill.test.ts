import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  ensurePartitions,
  readBackfills,
  runBackfill,
  type BackfillOptions,
  type BackfillProgress,
} from "../../../src/migrate/index.ts";
import {
  InvalidInputError,
  InvalidSqlError,
  LockNotAvailableError,
  openDatabase,
  RetriesExhaustedError,
  type Database,
} from "../../../src/postgres/index.ts";
import { startChild } from "../../support/child-process.ts";
import { failureOf } from "../../support/failure-of.ts";
import { describeDatabases, testDatabase } from "../../support/test-database.ts";

const TABLE_SQL = `
DROP SCHEMA IF EXISTS pgsteward CASCADE;
DROP TABLE IF EXISTS numbers, pairs CASCADE;
CREATE TABLE numbers (id integer PRIMARY KEY, n integer NOT NULL DEFAULT 0, doubled integer, note text);
INSERT INTO numbers (id) SELECT generate_series(1, 5000);
ANALYZE numbers;`;

const increment = { name: "increment", schema: "public", table: "numbers", set: "n = n + 1" };
const doubling = {
  ...increment,
  name: "doubling",
  set: "doubled = id * 2 -- exactly",
  where: "doubled IS NULL -- still",
};

async function figures(database: Database): Promise<Record<string, unknown> | undefined> {
  const { rows } = await database.query(
    `SELECT count(*)::int4 AS rows, min(n) AS least, max(n) AS most, count(doubled)::int4 AS doubled FROM numbers`,
  );
  return rows[0];
}

describeDatabases((_, open) => {
  let database: Database;
  beforeAll(async () => {
    database = await open();
  });
  afterAll(async () => {
    await database.close();
  });
  beforeEach(() => database.exec(TABLE_SQL));

  test("every row is updated once, in batches, and the record says so", async () => {
    const seen: BackfillProgress[] = [];
    const result = await runBackfill(database, increment, {
      batchSize: 700,
      targetMs: 0,
      onProgress: (progress) => seen.push(progress),
    });
    expect(result).toMatchObject({ state: "done", wasDone: false, batches: 8, rowsVisited: 5_000, rowsChanged: 5_000 });
    expect(result.rowsLeft).toBeUndefined();
    expect(await figures(database)).toMatchObject({ least: 1, most: 1 });
    expect(seen.map(({ rowsVisited }) => rowsVisited)).toEqual([700, 1400, 2100, 2800, 3500, 4200, 4900, 5000]);
    expect(seen.at(-1)).toMatchObject({ rowEstimate: 5_000, timeLeftMs: 0, pass: 1 });
    expect(await readBackfills(database)).toMatchObject([
      { name: "increment", state: "done", rowsVisited: 5_000, batches: 8, cursor: ["5000"] },
    ]);
    expect(await runBackfill(database, increment)).toMatchObject({ state: "done", wasDone: true });
    expect(await figures(database)).toMatchObject({ least: 1, most: 1 });
    await runBackfill(database, increment, { restart: true });
    expect(await figures(database)).toMatchObject({ least: 2, most: 2 });
  });

  test("only rows that are still to do are written, and at the end none is left", async () => {
    await database.exec("UPDATE numbers SET doubled = -1 WHERE id % 5 = 0");
    const result = await runBackfill(database, doubling);
    expect(result).toMatchObject({ state: "done", rowsVisited: 5_000, rowsChanged: 4_000, rowsLeft: 0 });
    const { rows } = await database.query(
      "SELECT count(*)::int4 AS wrong FROM numbers WHERE doubled <> CASE WHEN id % 5 = 0 THEN -1 ELSE id * 2 END",
    );
    expect(rows).toEqual([{ wrong: 0 }]);
  });

  test("rows that come behind the cursor get another pass", async () => {
    let added = false;
    const result = await runBackfill(database, doubling, {
      batchSize: 1_000,
      targetMs: 0,
      onProgress: ({ rowsVisited }) => {
        if (added || rowsVisited < 2_000) return;
        added = true;
        void database.query("INSERT INTO numbers (id) SELECT generate_series(-9, 0)").catch(() => undefined);
      },
      pauseMs: 20,
    });
    // On the embedded database the insert waits for the one connection, and comes after the run.
    const wanted =
      database.kind === "pglite" ? { passes: 1, rowsChanged: 5_000 } : { passes: 2, rowsChanged: 5_010, rowsLeft: 0 };
    expect(result).toMatchObject(wanted);
  });

  test("a finished backfill with a where is taken up again when rows are to do", async () => {
    await runBackfill(database, doubling);
    await database.exec("INSERT INTO numbers (id) VALUES (0), (6000)");
    expect(await runBackfill(database, doubling)).toMatchObject({ wasDone: false, rowsLeft: 0, rowsChanged: 5_002 });
  });

  test("the signal stops it after the batch, and the next run continues", async () => {
    const abort = new AbortController();
    const stopped = await runBackfill(database, increment, {
      batchSize: 500,
      targetMs: 0,
      signal: abort.signal,
      onProgress: ({ rowsVisited }) => rowsVisited >= 1_500 && abort.abort(),
    });
    expect(stopped).toMatchObject({ state: "stopped", rowsVisited: 1_500 });
    expect(await readBackfills(database)).toMatchObject([{ state: "stopped", rowsVisited: 1_500 }]);
    expect(await runBackfill(database, increment)).toMatchObject({ state: "done", rowsChanged: 5_000 });
    expect(await figures(database)).toMatchObject({ least: 1, most: 1 });
  });

  test("composite keys of texts, times and numbers are walked in their order", async () => {
    await database.exec(`
      CREATE TABLE pairs (tenant uuid, at timestamptz, "Name" text COLLATE "C", amount numeric, n int DEFAULT 0, PRIMARY KEY (tenant, at, "Name", amount));
      INSERT INTO pairs SELECT md5((i % 7)::text)::uuid, '2026-01-01'::timestamptz + i % 13 * interval '1 ms', chr(60 + i % 50) || '''"\\', i / 3.0 FROM generate_series(1, 900) AS i;`);
    const definition = { name: "pairs", schema: "public", table: "pairs", set: "n = n + 1" };
    const result = await runBackfill(database, definition, { batchSize: 7, targetMs: 0 });
    expect(result).toMatchObject({ batches: 129, rowsChanged: 900 });
    const { rows } = await database.query("SELECT DISTINCT n FROM pairs");
    expect(rows).toEqual([{ n: 1 }]);
  });

  test.each([
    ["bigint", "id bigint PRIMARY KEY", "9007199254740993 + i * 3"],
    ["uuid", "id uuid PRIMARY KEY", "md5(i::text)::uuid"],
    ["text", "id text PRIMARY KEY", "chr(64 + i) || ' ''é\\' || i % 7"],
    [
      "composite",
      "tenant uuid, at timestamptz, PRIMARY KEY (tenant, at)",
      "md5((i % 3)::text)::uuid, now() + i * interval '1 us'",
    ],
  ])("stopped after every batch, a run over %s keys goes on at the next row", async (_, columns, values) => {
    await database.exec(`
      CREATE TABLE pairs (${columns}, n integer NOT NULL DEFAULT 0);
      INSERT INTO pairs SELECT ${values} FROM generate_series(1, 40) AS i;`);
    const definition = { name: "keys", schema: "public", table: "pairs", set: "n = n + 1" };
    let runs = 0;
    for (;;) {
      const abort = new AbortController();
      const onProgress = (): void => abort.abort();
      runs++;
      const { state } = await runBackfill(database, definition, {
        batchSize: 9,
        targetMs: 0,
        signal: abort.signal,
        onProgress,
      });
      if (state === "done") break;
    }
    expect(runs).toBe(6);
    const { rows } = await database.query("SELECT min(n) AS least, max(n) AS most FROM pairs");
    expect(rows).toEqual([{ least: 1, most: 1 }]);
  });

  test("batches grow up to the largest size while they are faster than the target, and shrink while they are slower", async () => {
    const sizes = async (set: string, count: number, options: BackfillOptions): Promise<readonly number[]> => {
      const seen: number[] = [];
      const abort = new AbortController();
      const onProgress = ({ batchSize }: BackfillProgress): void => {
        if (seen.push(batchSize) === count) abort.abort();
      };
      await runBackfill(database, { ...increment, name: set, set }, { ...options, signal: abort.signal, onProgress });
      return seen;
    };
    const fast = await sizes("n = 1", 5, { batchSize: 100, maxBatchSize: 1_000, targetMs: 600_000 });
    expect(fast).toEqual([200, 400, 800, 1_000, 1_000]);
    const slow = await sizes("n = length(pg_sleep(0.002)::text)", 2, { batchSize: 20, targetMs: 1 });
    expect(slow).toEqual([10, 5]);
  });

  test("a where that the update leaves true is refused, and nothing is changed", async () => {
    const wrong = { ...increment, where: "id > 0" };
    expect(await failureOf(runBackfill(database, wrong))).toMatchObject({
      code: "INVALID_INPUT",
      message: expect.stringContaining("rows match where also after the update") as string,
    });
    expect(await figures(database)).toMatchObject({ most: 0 });
    const right = { ...increment, filter: "id > 10" };
    expect(await runBackfill(database, right)).toMatchObject({ rowsVisited: 5_000, rowsChanged: 4_990 });
  });

  test("what is not one expression is refused before anything runs", async () => {
    for (const definition of [
      { ...increment, set: "n = 1 WHERE true" },
      { ...increment, set: "n = 1; DROP TABLE numbers" },
      { ...increment, set: "n = 1 FROM pairs" },
      { ...increment, where: "n = 0 LIMIT 5" },
      { ...increment, where: "n = 0 UNION SELECT" },
      { ...increment, filter: "n = 0 FOR UPDATE" },
      { ...increment, set: "id = id + 1" },
      { ...increment, key: ["ctid"] },
      { ...increment, key: ["n"] },
      { ...increment, table: "nothing" },
      { ...increment, name: "" },
    ])
      expect(await failureOf(runBackfill(database, definition))).toBeInstanceOf(InvalidInputError);
    for (const definition of [
      { ...increment, where: "n = 0) OR (n = 1" },
      { ...increment, set: "n = " },
      { ...increment, set: "nothing = 1" },
    ])
      expect(await failureOf(runBackfill(database, definition))).toBeInstanceOf(InvalidSqlError);
    expect(await failureOf(runBackfill(database, increment, { batchSize: 0 }))).toBeInstanceOf(InvalidInputError);
    expect(await figures(database)).toMatchObject({ rows: 5_000, most: 0 });
  });

  test("a name whose run is not done takes no other expressions", async () => {
    const abort = new AbortController();
    const onProgress = (): void => abort.abort();
    await runBackfill(database, increment, { batchSize: 10, signal: abort.signal, onProgress });
    const other = { ...increment, set: "n = 7" };
    expect(await failureOf(runBackfill(database, other))).toBeInstanceOf(InvalidInputError);
    expect(await runBackfill(database, other, { restart: true })).toMatchObject({ rowsChanged: 5_000 });
  });

  test("a partitioned table is walked as one", async () => {
    await database.exec(`
      CREATE TABLE pairs (id int PRIMARY KEY, n int DEFAULT 0) PARTITION BY RANGE (id);
      CREATE TABLE pairs_low PARTITION OF pairs FOR VALUES FROM (0) TO (100);
      CREATE TABLE pairs_rest PARTITION OF pairs DEFAULT;
      INSERT INTO pairs SELECT generate_series(-50, 300);`);
    const definition = { name: "pairs", schema: "public", table: "pairs", set: "n = n + 1", where: "n = 0" };
    expect(await runBackfill(database, definition, { batchSize: 40, targetMs: 0 })).toMatchObject({
      rowsChanged: 351,
      rowsLeft: 0,
      batches: 9,
    });
  });
});

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
    let first: unknown;
    const second = new Promise((resolve) => {
      first = runBackfill(database, increment, {
        batchSize: 1_000,
        targetMs: 0,
        pauseMs: 100,
        onProgress: ({ rowsVisited }) => {
          if (rowsVisited === 1_000) resolve(failureOf(runBackfill(database, increment, { waitMs: 0 })));
        },
      });
    });
    const error = await second;
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
    const running = runBackfill(database, increment, { batchSize: 1_000, targetMs: 0, lockTimeoutMs: 20_000 });
    const waiting = async (): Promise<number> => {
      for (;;) {
        const { rows } = await reader.query<{ xid: number }>(
          // Those of several rows are given up after 10 ms.
          `SELECT transactionid::text::int AS xid FROM pg_locks
           WHERE locktype = 'transactionid' AND NOT granted AND waitstart < clock_timestamp() - interval '100 ms'`,
        );
        if (rows[0] !== undefined) return rows[0].xid;
        await sleep(5);
      }
    };
    const free = `SELECT count(*)::int4 AS free FROM (SELECT FROM numbers WHERE id NOT IN (1500, 1501, 1700) FOR UPDATE NOWAIT) AS f`;
    const waits = await waiting();
    expect((await reader.query(free)).rows).toEqual([{ free: 4_997 }]);
    await first.exec("COMMIT");
    while ((await waiting()) === waits) await sleep(5);
    expect((await reader.query(free)).rows).toEqual([{ free: 4_997 }]);
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
    await holder.exec("BEGIN; SELECT FROM numbers LIMIT 1");
    let waiting: Promise<void> | undefined;
    const reasons: string[] = [];
    await runBackfill(database, increment, {
      batchSize: 1_000,
      targetMs: 0,
      pauseMs: 50,
      checkEveryMs: 0,
      onProgress: ({ rowsVisited, heldBackBy }) => {
        if (rowsVisited === 2_000)
          waiting ??= waiter.exec("BEGIN; LOCK TABLE numbers IN ACCESS EXCLUSIVE MODE; COMMIT");
        if (heldBackBy === undefined) return;
        reasons.push(heldBackBy);
        void holder.exec("COMMIT");
      },
    });
    await waiting;
    expect(reasons).toContain("1 session waits for a lock on the table");
    expect(await figures(database)).toMatchObject({ least: 1, most: 1 });
  });

  test("it holds back while too many others are active, and gives up with the reason when that does not end", async () => {
    await using busy = await database.connect();
    const abort = new AbortController();
    const sleeping = failureOf(busy.query("SELECT pg_sleep(60)", [], { timeoutMs: 70_000, signal: abort.signal }));
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
