import { expect, test } from "vitest";
import { runBackfill } from "../../../src/migrate/index.ts";
import { openDatabase } from "../../../src/postgres/index.ts";
import { startReplicatedServer } from "../../support/replicated-server.ts";

test("a backfill holds back while a replica lags, and goes on when it has caught up", async () => {
  await using server = await startReplicatedServer(1);
  const [replica] = server.replicas;
  if (replica === undefined) throw new Error("there is no replica");
  await using database = await openDatabase(server.primary.url);
  await database.exec(`
    CREATE TABLE numbers (id integer PRIMARY KEY, n integer NOT NULL DEFAULT 0, filler text DEFAULT repeat('x', 100));
    INSERT INTO numbers (id) SELECT generate_series(1, 3000);`);
  await server.pauseReplay(replica, true);
  const reasons: string[] = [];
  let resumed: Promise<void> | undefined;
  const result = await runBackfill(
    database,
    { name: "increment", schema: "public", table: "numbers", set: "n = n + 1" },
    {
      batchSize: 1_000,
      targetMs: 0,
      checkEveryMs: 0,
      maxLagBytes: 20_000,
      onProgress: ({ heldBackBy }) => {
        if (heldBackBy === undefined) return;
        reasons.push(heldBackBy);
        resumed ??= server.pauseReplay(replica, false);
      },
    },
  );
  await resumed;
  expect(reasons.length).toBeGreaterThan(0);
  expect(reasons[0]).toMatch(/^a replica is \d+ (?:MiB of WAL|ms) behind$/);
  expect(result).toMatchObject({ state: "done", rowsChanged: 3_000, notices: [] });
});
