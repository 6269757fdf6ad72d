// One real PostgreSQL 18 per test run. Tests get its address by inject("serverUrl") and their own database from it by
// testDatabase(). `PGSTEWARD_TEST_URL` runs them on another server (a superuser's URL) instead, `PGSTEWARD_TEST_POOLER=1`
// through PgBouncer in transaction mode (for the tests of test/session; others need a connection of their own).
import type { TestProject } from "vitest/node";
import { startEmbeddedServer } from "../../src/postgres/embedded-server.ts";
import { preparePgliteImage } from "../../src/postgres/pglite.ts";
import { startPgBouncer } from "./pgbouncer.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** URL of a superuser on the run's server, database `postgres`. */
    serverUrl: string;
  }
}

export default async function globalSetup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  // On a machine that never made one: several test files making it at the same time outlast a test's time limit.
  await preparePgliteImage();
  const given = process.env["PGSTEWARD_TEST_URL"];
  if (given !== undefined) {
    project.provide("serverUrl", given);
    return undefined;
  }
  const server = await startEmbeddedServer({
    settings: {
      shared_preload_libraries: "pg_stat_statements",
      track_io_timing: "on",
      wal_level: "logical",
      max_connections: "200",
      max_prepared_transactions: "10",
    },
  });
  const pooler = process.env["PGSTEWARD_TEST_POOLER"] === "1" ? await startPgBouncer(server.url) : undefined;
  project.provide("serverUrl", pooler?.url ?? server.url);
  return async () => {
    await pooler?.[Symbol.asyncDispose]();
    await server.stop();
  };
}
