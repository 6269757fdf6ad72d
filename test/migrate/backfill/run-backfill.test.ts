// Backfills of a table that nobody else uses.
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { readBackfills, runBackfill, type BackfillOptions, type BackfillProgress } from "../../../src/migrate/index.ts";
import { InvalidInputError, InvalidSqlError, type Database } from "../../../src/postgres/index.ts";
import { failureOf } from "../../support/failure-of.ts";
import { describeDatabases } from "../../support/test-database.ts";
import { doubling, figures, increment, TABLE_SQL } from "./numbers-table.ts";

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
    // On a server a held row keeps the run from coming to its end before the new ones are there.
    const other = database.kind === "server" ? await database.connect() : undefined;
    await other?.exec("BEGIN; UPDATE numbers SET note = 'held' WHERE id = 4500");
    let added = false;
    const result = await runBackfill(database, doubling, {
      batchSize: 1_000,
      targetMs: 0,
      onProgress: ({ rowsVisited }) => {
        if (added || rowsVisited < 2_000) return;
        added = true;
        const adding = database.query("INSERT INTO numbers (id) SELECT generate_series(-9, 0)");
        void adding.catch(() => undefined).then(() => other?.exec("COMMIT"));
      },
    });
    other?.release();
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
