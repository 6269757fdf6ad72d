// The runner on the oldest server it takes. It comes from test/versions (npm ci --prefix test/versions) and is tested where it is
// installed there; PGSTEWARD_TEST_VERSIONS=14 makes a missing one a failure.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { parseMigration, readMigrationStatus, revertMigrations, runMigrations } from "../../../src/migrate/index.ts";
import { openDatabase, UniqueViolationError } from "../../../src/postgres/index.ts";
import { startEmbeddedServer } from "../../../src/postgres/embedded-server.ts";
import { failureOf } from "../../support/failure-of.ts";

const folder = fileURLToPath(new URL("../../versions/node_modules/pg14", import.meta.url));
const isAsked = (process.env["PGSTEWARD_TEST_VERSIONS"] ?? "").split(",").includes("14");

test.runIf(isAsked || existsSync(folder))("PostgreSQL 14: groups, an invalid index, a way back", async () => {
  await using server = await startEmbeddedServer({ binaries: folder });
  await using database = await openDatabase(server.url);
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
