// A client reads and writes a large table all the time while the plans of several changes run on it, and somebody else's
// transaction has the table in use. bench/waiting-client.mjs measures the same; here is only what holds however slow the machine is.
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readCatalog } from "../../src/catalog/index.ts";
import {
  formatExpandPhase,
  inGroups,
  parseMigration,
  planExpandContract,
  planMigration,
  runMigrations,
  type ExpandChange,
  type Migration,
} from "../../src/migrate/index.ts";
import { LockNotAvailableError } from "../../src/postgres/index.ts";
import { testDatabase, type TestDatabase } from "../support/test-database.ts";

interface Recipe {
  readonly name: string;
  /** As one writes it without thinking of those who use the table. */
  readonly sql: string;
  readonly expand?: ExpandChange;
}

const { schema, rows, recipes } = JSON.parse(
  readFileSync(new URL("waiting-recipes.json", import.meta.url), "utf8"),
) as { readonly schema: string; readonly rows: string; readonly recipes: readonly Recipe[] };

const ROWS = 200_000;
const RUNNER_LOCK_TIMEOUT_MS = 300;
/** A client that has waited so much longer gives up with SQLSTATE 55P03. As long as a busy machine may be late with the runner's limit. */
const MARGIN_MS = 900;

/** A statement outside a transaction waits without a limit, in nobody's way: the holder ends so long after that was seen. */
const HELD_MS = 2_000;

let database: TestDatabase;
let scratch: TestDatabase;
beforeAll(async () => {
  database = await testDatabase({ setup: schema });
  scratch = await testDatabase();
  await database.exec(rows.replace("ROWS", String(ROWS)), { timeoutMs: 0 });
  await database.exec("ANALYZE");
}, 120_000);
afterAll(async () => {
  await database.close();
  await scratch.close();
});

test.each(recipes)(
  "$name: a client gives up on the plain statement, and never waits so long for the plan",
  async (recipe) => {
    const migrations = await migrationsOf(recipe);
    const client = await startClient(RUNNER_LOCK_TIMEOUT_MS + MARGIN_MS);
    try {
      const holder = await hold();
      const plain = runPlain(recipe.sql);
      await client.untilGivenUp();
      await holder.release();
      await plain;
      // What it had given up before the end may not be counted yet.
      await client.untilDone(client.done() + 2);

      const givenUp = client.givenUp();
      const done = client.done();
      await runUnderHolder(recipe.name, migrations);
      await client.untilDone(client.done() + 1);
      expect(client.givenUp()).toBe(givenUp);
      expect(client.done()).toBeGreaterThan(done);
    } finally {
      await client.stop();
    }
  },
  120_000,
);

async function migrationsOf({ sql, expand }: Recipe): Promise<readonly Migration[]> {
  await scratch.exec(`DROP TABLE IF EXISTS events, owners; ${schema}`);
  const before = await readCatalog(scratch);
  if (expand !== undefined) {
    const { phases } = await planExpandContract(before, expand);
    return phases.map((phase, index) => parseMigration(`${index + 1}_${phase.name}.sql`, formatExpandPhase(phase)));
  }
  await scratch.exec(sql);
  const { steps } = planMigration(before, await readCatalog(scratch));
  return [parseMigration("1_change.sql", `-- migrate:up transaction:false\n${inGroups(steps).join("\n")}\n`)];
}

async function runPlain(sql: string): Promise<void> {
  await using connection = await database.connect();
  await connection.exec("BEGIN");
  await connection.exec(sql, { timeoutMs: 60_000 });
  await connection.exec("ROLLBACK");
}

/** The holder lets go when the runner has given way once, or waits where it is in nobody's way. */
async function runUnderHolder(name: string, migrations: readonly Migration[]): Promise<void> {
  const holder = await hold();
  let timer: NodeJS.Timeout | undefined;
  try {
    await runMigrations(database, migrations, {
      history: { schema: "pgsteward", table: name },
      lockTimeoutMs: RUNNER_LOCK_TIMEOUT_MS,
      retryWaitMs: 100,
      onEvent: ({ kind }) => {
        if (kind === "lockRetry") void holder.release();
        if (kind === "blocked") timer ??= setTimeout(() => void holder.release(), HELD_MS);
      },
    });
  } finally {
    clearTimeout(timer);
    await holder.release();
  }
}

/** Somebody else's transaction that has written one row, and does nothing more. */
async function hold(): Promise<{ release(): Promise<void> }> {
  const connection = await database.connect();
  await connection.exec("BEGIN; UPDATE events SET touched = touched + 1 WHERE id = 1");
  let released: Promise<void> | undefined;
  const release = async (): Promise<void> => {
    await connection.exec("COMMIT");
    await connection[Symbol.asyncDispose]();
  };
  return { release: () => (released ??= release()) };
}

interface Client {
  givenUp(): number;
  done(): number;
  untilGivenUp(): Promise<void>;
  untilDone(count: number): Promise<void>;
  stop(): Promise<void>;
}

/** Writes a row and reads another, over and over, each statement on its own. */
async function startClient(lockTimeoutMs: number): Promise<Client> {
  const connection = await database.connect();
  await connection.exec(`SET lock_timeout = ${lockTimeoutMs}`);
  let isRunning = true;
  let done = 0;
  let givenUp = 0;
  const work = (async () => {
    for (let round = 0; isRunning; round++) {
      const id = 2 + ((round * 7_919) % (ROWS - 1));
      try {
        await connection.query("UPDATE events SET touched = touched + 1 WHERE id = $1::int8", [id]);
        await connection.query("SELECT owner_id, touched FROM events WHERE id = $1::int8", [ROWS - id + 2]);
        done++;
      } catch (error) {
        if (!(error instanceof LockNotAvailableError)) throw error;
        givenUp++;
      }
    }
  })();
  // A client that fails otherwise ends the waits for it, too.
  const until = async (isReached: () => boolean): Promise<void> => {
    while (!isReached()) await Promise.race([sleep(10), work]);
  };
  return {
    givenUp: () => givenUp,
    done: () => done,
    untilGivenUp: () => until(() => givenUp > 0),
    untilDone: (count) => until(() => done >= count),
    async stop() {
      isRunning = false;
      await work;
      await connection.exec("RESET lock_timeout");
      await connection[Symbol.asyncDispose]();
    },
  };
}
