// `pgsteward migrate backfill` as a user runs it.
import { expect, test } from "vitest";
import { testDatabase } from "../support/test-database.ts";
import { runCli, startCli } from "./run.ts";

const SETUP = `
CREATE SCHEMA shop;
CREATE TABLE shop.orders (id integer PRIMARY KEY, total integer NOT NULL, total_cents bigint);
INSERT INTO shop.orders SELECT i, i FROM generate_series(1, 3000) AS i;
ANALYZE shop.orders;`;
const WORK = [
  "migrate",
  "backfill",
  "--table",
  "shop.orders",
  "--set",
  "total_cents = total * 100",
  "--where",
  "total_cents IS NULL",
];

test("Ctrl-C stops a backfill after its batch, the same command continues it, and --status shows both", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const env = { DATABASE_URL: database.url };
  const running = startCli([...WORK, "--batch-size", "10", "--target-time", "0", "--pause", "30"], { env });
  const started = async (): Promise<boolean> =>
    (await database.query("SELECT FROM shop.orders WHERE total_cents IS NOT NULL LIMIT 1")).rowCount === 1;
  while (!(await started())) await new Promise((resolve) => setTimeout(resolve, 50));
  running.child.kill("SIGINT");
  const stopped = await running.ended;
  expect(stopped).toMatchObject({ code: 130, stdout: expect.stringMatching(/: stopped; \d+ of \d+ rows/) as string });
  expect((await runCli(["migrate", "backfill", "--status"], { env })).stdout).toMatch(
    /shop\.orders [0-9a-f]{8}\s+stopped/,
  );

  const done = await runCli([...WORK, "--json"], { env });
  expect(done.code).toBe(0);
  expect(JSON.parse(done.stdout)).toMatchObject({ state: "done", rowsChanged: 3_000, rowsLeft: 0 });
  const { rows } = await database.query(
    "SELECT sum(total_cents - total * 100)::int4 AS wrong, count(total_cents)::int4 AS done FROM shop.orders",
  );
  expect(rows).toEqual([{ wrong: 0, done: 3_000 }]);
  expect((await runCli(WORK, { env })).stdout).toMatch(/was done already/);
});

test("with --json each progress is a line on stderr, also what holds the run back", async () => {
  await using database = await testDatabase({ setup: SETUP });
  await using busy = await database.connect();
  const abort = new AbortController();
  const sleeping = busy
    .query("SELECT pg_sleep(120)", [], { timeoutMs: 130_000, signal: abort.signal })
    .catch(() => undefined);
  const running = startCli([...WORK, "--json", "--max-active", "0", "--batch-size", "500"], {
    env: { DATABASE_URL: database.url },
  });
  while (!running.output().stderr.includes("heldBackBy")) await new Promise((resolve) => setTimeout(resolve, 50));
  abort.abort();
  await sleeping;
  const { code, stdout, stderr } = await running.ended;
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ state: "done", rowsChanged: 3_000 });
  const lines = stderr
    .trim()
    .split("\n")
    .map((line) => (JSON.parse(line) as { progress: Record<string, unknown> }).progress);
  expect(lines[0]).toMatchObject({ heldBackBy: "1 other session is active", rowsVisited: 0, rowEstimate: 3_000 });
  expect(lines.at(-1)).not.toHaveProperty("heldBackBy");
});

test("wrong use of backfill is told with the way out", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const env = { DATABASE_URL: database.url };
  const [noTable, badTable, badNumber, badWhere, badName] = await Promise.all([
    runCli(["migrate", "backfill", "--set", "a = 1"], { env }),
    runCli(["migrate", "backfill", "--table", "a.b.c", "--set", "a = 1"], { env }),
    runCli([...WORK, "--batch-size", "many"], { env }),
    runCli([...WORK.slice(0, -1), "total_cents IS"], { env }),
    runCli(["migrate", "backfill", "--status", "--name", "nothing"], { env }),
  ]);
  expect(noTable).toMatchObject({ code: 64, stderr: expect.stringContaining("--table is missing") as string });
  expect(badTable).toMatchObject({ code: 64, stderr: expect.stringContaining("schema.table") as string });
  expect(badNumber).toMatchObject({ code: 64, stderr: expect.stringContaining("whole number") as string });
  expect(badWhere).toMatchObject({ code: 65, stderr: expect.stringContaining("^") as string });
  expect(badName).toMatchObject({ code: 64, stderr: expect.stringContaining("--status lists all") as string });
});
