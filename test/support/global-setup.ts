// One real PostgreSQL 18 per test run. Tests get its address by inject("serverUrl") and their own database from it by
// testDatabase(). `PGSTEWARD_TEST_URL` runs them on another server (a superuser's URL) instead, `PGSTEWARD_TEST_POOLER=1`
// through PgBouncer in transaction mode (for the tests of test/session; others need a connection of their own).
// And the sources, compiled once, for the tests that start processes.
import type { TestProject } from "vitest/node";
import { startEmbeddedServer } from "../../src/postgres/embedded-server.ts";
import { preparePgliteImage } from "../../src/postgres/pglite.ts";
import { compileSources } from "./compiled-sources.ts";
import { startPgBouncer } from "./pgbouncer.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** URL of a superuser on the run's server, database `postgres`. */
    serverUrl: string;
    /** Folder that looks like the installed package, made from the sources of this run. */
    packageFolder: string;
  }
}

export default async function globalSetup(project: TestProject): Promise<() => Promise<void>> {
  const running: AsyncDisposable[] = [];
  const end = async (): Promise<void> => {
    for (const part of running.splice(0).reverse()) await part[Symbol.asyncDispose]();
  };
  try {
    const sources = await compileSources();
    running.push(sources);
    project.onTestsRerun(() => sources.compile());
    project.provide("packageFolder", sources.folder);
    // On a machine that never made one: several test files making it at the same time outlast a test's time limit.
    await preparePgliteImage();
    project.provide("serverUrl", process.env["PGSTEWARD_TEST_URL"] ?? (await startServer(running)));
    return end;
  } catch (error) {
    await end();
    throw error;
  }
}

async function startServer(running: AsyncDisposable[]): Promise<string> {
  const server = await startEmbeddedServer({
    settings: {
      shared_preload_libraries: "pg_stat_statements",
      track_io_timing: "on",
      wal_level: "logical",
      max_connections: "200",
      max_prepared_transactions: "10",
      // Else its workers come whenever they like: an ANALYZE changes row counts and plans in the middle of a test.
      autovacuum_naptime: "2000000",
    },
  });
  running.push(server);
  if (process.env["PGSTEWARD_TEST_POOLER"] !== "1") return server.url;
  const pooler = await startPgBouncer(server.url, { poolSize: 20 });
  running.push(pooler);
  return pooler.url;
}
