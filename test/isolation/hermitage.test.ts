// The Hermitage cases played at each isolation level, on a connection of the server's and through PgBouncer.
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDatabase, type Database } from "../../src/postgres/index.ts";
import { createSessionFactory, type IsolationLevel } from "../../src/session/index.ts";
import { findPgBouncer, startPgBouncer } from "../support/pgbouncer.ts";
import { testDatabase } from "../support/test-database.ts";
import { ALL, CASES, type Case, type Seen, type Stage } from "./hermitage-cases.ts";
import { steppedUnit, type SteppedUnit } from "./stepped-unit.ts";

const LEVELS: readonly IsolationLevel[] = ["read committed", "repeatable read", "serializable"];

const ROUTES = findPgBouncer() === undefined ? (["direct"] as const) : (["direct", "PgBouncer"] as const);

describe.each(ROUTES)("on a %s connection", (route) => {
  let database: Database;
  let watcher: pg.Client;
  let end: () => Promise<void>;
  beforeAll(async () => {
    const server = await testDatabase({ setup: "CREATE TABLE test (id int PRIMARY KEY, value int)" });
    const pooler = route === "PgBouncer" ? await startPgBouncer(server.url, { poolSize: 6 }) : undefined;
    database = pooler === undefined ? server : await openDatabase(pooler.url);
    watcher = new pg.Client({ connectionString: server.url });
    await watcher.connect();
    end = async () => {
      await watcher.end();
      await database.close();
      await pooler?.[Symbol.asyncDispose]();
      await server.close();
    };
  });
  afterAll(() => end());

  for (const [level, isolation] of LEVELS.entries()) {
    for (const { name, play, seen } of CASES) {
      test(`${name} (${isolation})`, async () => {
        await watcher.query("TRUNCATE test; INSERT INTO test VALUES (1, 10), (2, 20)");
        expect(await record(database, watcher, isolation, play)).toEqual(seen[level]);
        expect(database.leases()).toEqual([]);
      });
    }
  }
});

async function record(
  database: Database,
  watcher: pg.Client,
  isolation: IsolationLevel,
  play: Case["play"],
): Promise<Seen[]> {
  const sessions = createSessionFactory(database, { guard: "off", limits: { gapWarningMs: 0 } });
  const seen: Seen[] = [];
  const units = new Map<number, SteppedUnit>();
  const waiting = new Map<number, Promise<Seen>>();
  const unitOf = (number: number): SteppedUnit => {
    const unit = units.get(number) ?? steppedUnit(sessions, isolation);
    units.set(number, unit);
    return unit;
  };
  const ask = (number: number, text: string): Promise<Seen> =>
    unitOf(number)
      .query(text)
      .then((rows) => rows.map((row) => `${String(row["id"])}:${String(row["value"])}`).join(" "))
      .catch(codeOf);
  const stage: Stage = {
    async run(number, text) {
      seen.push(await ask(number, text));
    },
    async blocked(number, text) {
      const result = ask(number, text);
      waiting.set(number, result);
      await expect
        .poll(async () => {
          const { rowCount } = await watcher.query(
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
          );
          return rowCount;
        })
        .toBe(1);
    },
    async unblocked(number) {
      seen.push((await waiting.get(number)) ?? "was not blocked");
    },
    async commit(number) {
      seen.push(
        await unitOf(number)
          .commit()
          .then(() => "committed", codeOf),
      );
    },
    async abort(number) {
      await unitOf(number).abort();
      seen.push("aborted");
    },
    async outside() {
      const { rows } = await watcher.query<{ id: number; value: number }>(ALL);
      seen.push(rows.map(({ id, value }) => `${id}:${value}`).join(" "));
    },
  };
  try {
    await play(stage);
  } finally {
    for (const unit of units.values()) await unit.abort();
  }
  return seen;
}

function codeOf(error: { readonly sqlState?: string; readonly code?: string }): Seen {
  return error.sqlState ?? error.code ?? "another error";
}
