// Databases for tests: a fresh one on the run's PostgreSQL server, or an embedded PGlite that is emptied between uses.
import { randomBytes } from "node:crypto";
import { Client } from "pg";
import { afterAll, describe, inject } from "vitest";
import {
  openDatabase,
  identifier,
  type Database,
  type DatabaseKind,
  type DatabaseOptions,
} from "../../src/postgres/index.ts";
import { emptyDatabase } from "./empty-database.ts";

/** A Database whose `url` holds the password, and that is gone when it is closed. */
export type TestDatabase = Database;

export interface TestDatabaseOptions extends Omit<DatabaseOptions, "url"> {
  /** Script that is run first. */
  readonly setup?: string;
}

/** A fresh, empty database on the run's server, dropped on dispose: `await using database = await testDatabase()`. */
export async function testDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const { setup, ...openOptions } = options;
  const name = `test_${process.pid}_${randomBytes(5).toString("hex")}`;
  const serverUrl = inject("serverUrl");
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  await runOnServer(serverUrl, `CREATE DATABASE ${identifier(name)} TEMPLATE template0`);
  const drop = (): Promise<void> => dropDatabase(serverUrl, name);
  try {
    const database = await openDatabase({ ...openOptions, url: url.href });
    if (setup !== undefined) await database.exec(setup);
    return withEnd(database, url.href, async (close) => {
      await close();
      await drop();
    });
  } catch (error) {
    await drop();
    throw error;
  }
}

let sharedPglite: Promise<Database> | undefined;
let closeShared: (() => Promise<void>) | undefined;
let isPgliteTaken = false;

/** The PGlite of this test file, in memory, emptied. Making one costs seconds, so a second one at the same time is refused. */
export async function testPglite(options: { readonly setup?: string } = {}): Promise<TestDatabase> {
  if (isPgliteTaken) throw new Error("the PGlite of this test file is in use: dispose of it first");
  isPgliteTaken = true;
  try {
    sharedPglite ??= openDatabase({ url: "pglite:" });
    const database = await sharedPglite;
    await emptyDatabase(database);
    if (options.setup !== undefined) await database.exec(options.setup);
    closeShared ??= database.close.bind(database);
    return withEnd(database, "pglite:", () => {
      isPgliteTaken = false;
      return Promise.resolve();
    });
  } catch (error) {
    isPgliteTaken = false;
    throw error;
  }
}

afterAll(async () => {
  await closeShared?.();
  sharedPglite = undefined;
  closeShared = undefined;
});

/** Declares the same tests for both kinds of database; `open` gives an empty one. */
export function describeDatabases(
  define: (kind: DatabaseKind, open: (options?: { readonly setup?: string }) => Promise<TestDatabase>) => void,
): void {
  describe("on PostgreSQL", () => {
    define("server", testDatabase);
  });
  describe("on PGlite", () => {
    define("pglite", testPglite);
  });
}

/** The server waits for 5 s until those that it ended are gone; a busy machine may need longer. */
async function dropDatabase(serverUrl: string, name: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await runOnServer(serverUrl, `DROP DATABASE IF EXISTS ${identifier(name)} WITH (FORCE)`);
      return;
    } catch (error) {
      if ((error as { code?: string }).code !== "55006" || attempt === 10) throw error;
    }
  }
}

/** Runs a script as superuser on the run's server, outside any test database (roles, settings). */
export async function runOnServer(serverUrl: string, script: string): Promise<void> {
  const client = new Client({ connectionString: serverUrl });
  await client.connect();
  try {
    await client.query(script);
  } finally {
    await client.end();
  }
}

/** The object stays the one that openDatabase() made: units of work compare databases by identity. */
function withEnd(database: Database, url: string, end: (close: () => Promise<void>) => Promise<void>): TestDatabase {
  const close = database.close.bind(database);
  let ending: Promise<void> | undefined;
  const endOnce = (): Promise<void> => (ending ??= end(close));
  return Object.defineProperties(database, {
    url: { value: url, configurable: true },
    close: { value: endOnce, configurable: true },
    [Symbol.asyncDispose]: { value: endOnce, configurable: true },
  });
}
