// The runner, and the keeping of partitions, on the oldest server they take. It comes from test/versions (npm ci --prefix test/versions) and is tested where it is
// installed there; PGSTEWARD_TEST_VERSIONS=14 makes a missing one a failure.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  ensurePartitions,
  parseMigration,
  readMigrationStatus,
  revertMigrations,
  runMigrations,
} from "../../../src/migrate/index.ts";
import { isThere, operatorRef, routineRef } from "../../../src/migrate/idempotent/objects.ts";
import { openDatabase, UniqueViolationError, type Database } from "../../../src/postgres/index.ts";
import { startEmbeddedServer } from "../../../src/postgres/embedded-server.ts";
import { failureOf } from "../../support/failure-of.ts";

const folder = fileURLToPath(new URL("../../versions/node_modules/pg14", import.meta.url));
const isAsked = (process.env["PGSTEWARD_TEST_VERSIONS"] ?? "").split(",").includes("14");

describe.runIf(isAsked || existsSync(folder))("PostgreSQL 14", () => {
  let server: Awaited<ReturnType<typeof startEmbeddedServer>>;
  let database: Database;
  beforeAll(async () => {
    server = await startEmbeddedServer({ binaries: folder });
    database = await openDatabase(server.url);
  });
  afterAll(async () => {
    await database.close();
    await server[Symbol.asyncDispose]();
  });

  test("groups, an invalid index, a way back", async () => {
    await database.exec("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (1)");
    const files = [
      parseMigration(
        "1_a.sql",
        `-- migrate:up transaction:false
BEGIN; CREATE TABLE u (); COMMIT;
CREATE UNIQUE INDEX CONCURRENTLY t_a ON t (a);
-- migrate:down transaction:false
DROP INDEX CONCURRENTLY t_a;
DROP TABLE u;
`,
      ),
    ];
    expect(await failureOf(runMigrations(database, files))).toBeInstanceOf(UniqueViolationError);
    await database.exec("DELETE FROM t");
    await runMigrations(database, files);
    expect((await readMigrationStatus(database, files)).migrations).toMatchObject([{ state: "applied" }]);
    await revertMigrations(database, files);
    expect((await readMigrationStatus(database, files)).migrations).toMatchObject([{ state: "pending" }]);
  });

  test("a routine and an operator over a type that is gone are not there", async () => {
    const gone = [routineRef(["f"], ["pg_catalog.int4", "nowhere.pair"]), operatorRef(["+"], "nowhere.pair", "NONE")];
    for (const ref of gone)
      expect((await database.query(`SELECT ${isThere(ref)} AS there`)).rows).toEqual([{ there: false }]);
    const there = [routineRef(["lower"], ["text"]), operatorRef(["||"], "text", "text")];
    for (const ref of there)
      expect((await database.query(`SELECT ${isThere(ref)} AS there`)).rows).toEqual([{ there: true }]);
  });

  test("rows that leave the default partition fire no trigger that came down from the table", async () => {
    await database.exec(`
      CREATE TABLE events (at timestamptz NOT NULL) PARTITION BY RANGE (at);
      CREATE TABLE events_default PARTITION OF events DEFAULT; CREATE TABLE fired (at timestamptz);
      CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO fired VALUES (now()); RETURN NULL; END $$;
      INSERT INTO events VALUES ('2026-11-23');
      CREATE TRIGGER counted AFTER INSERT OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION fire();`);
    const policy = { kind: "range", schema: "public", table: "events", every: "month", ahead: 1 } as const;
    const { created } = await ensurePartitions(database, policy, { now: new Date("2026-11-22T10:00:00Z") });
    expect(created).toMatchObject([{ rowsMoved: 1 }, { rowsMoved: 0 }]);
    expect((await database.query("SELECT FROM fired")).rows).toEqual([]);
    await database.exec("INSERT INTO events VALUES ('2026-11-24')");
    expect((await database.query("SELECT FROM fired")).rows).toHaveLength(1);
  });
});
