// Concurrent clients, with connections and the server killed in between: no acknowledged write is lost, no unit is half done,
// and at SERIALIZABLE the history has a serial order. The checker must find what READ COMMITTED lets through.
import { setTimeout as sleep } from "node:timers/promises";
import { sql } from "drizzle-orm";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDatabase, type Database } from "../../src/postgres/index.ts";
import { createSessionFactory, type IsolationLevel, type SessionFactory } from "../../src/session/index.ts";
import { startRestartableServer, type RestartableServer } from "../support/restartable-server.ts";
import { testDatabase } from "../support/test-database.ts";
import { findAnomalies, type CommittedUnit, type Operation } from "./history-checker.ts";

const ACCOUNTS = 6;
const LISTS = 4;
const SETUP = `
CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL CHECK (balance >= 0));
INSERT INTO accounts SELECT g, 100 FROM generate_series(1, ${ACCOUNTS}) AS g;
CREATE TABLE transfers (id int PRIMARY KEY, source int, target int, amount int);
CREATE TABLE lists (id int PRIMARY KEY, items int[] NOT NULL DEFAULT '{}');
INSERT INTO lists SELECT g FROM generate_series(1, ${LISTS}) AS g;`;

const RETRY = { attempts: 100, baseDelayMs: 2, maxDelayMs: 50 };
const pick = (count: number): number => 1 + Math.floor(Math.random() * count);
/** Gives other units a turn between a read and the write that depends on it. */
const hesitate = (): Promise<void> => sleep(Math.random() * 6);

/** How a client's unit ended: acknowledged, certainly not done, or nobody knows. */
type Ending = "committed" | "failed" | "unknown";

async function ending(work: Promise<unknown>): Promise<Ending> {
  try {
    await work;
    return "committed";
  } catch (error) {
    return (error as { code?: string }).code === "COMMIT_OUTCOME_UNKNOWN" ? "unknown" : "failed";
  }
}

interface Transfers {
  /** By the id of the row that each transfer leaves behind. */
  readonly endings: ReadonlyMap<number, Ending>;
  /** Resolves when `count` more are acknowledged. */
  untilMore(count: number): Promise<void>;
  stop(): Promise<void>;
}

/** `clients` flows that transfer money until they are stopped. */
function transferMoney(sessions: SessionFactory, clients: number): Transfers {
  const endings = new Map<number, Ending>();
  let nextId = 1;
  let isOver = false;
  const client = async (): Promise<void> => {
    while (!isOver) {
      const id = nextId++;
      const source = pick(ACCOUNTS);
      const target = 1 + (source % ACCOUNTS);
      const amount = pick(30);
      endings.set(
        id,
        await ending(
          sessions.begin({}, async (tx) => {
            // Locked in one order, so that this work at READ COMMITTED is right by locks and not by isolation.
            const { rows } = await tx.execute<{ id: number; balance: number }>(
              sql`SELECT id, balance FROM accounts WHERE id IN (${source}, ${target}) ORDER BY id FOR UPDATE`,
            );
            const money = Math.min(amount, rows.find((row) => row.id === source)?.balance ?? 0);
            await tx.execute(sql`UPDATE accounts SET balance = balance - ${money} WHERE id = ${source}`);
            await tx.execute(sql`UPDATE accounts SET balance = balance + ${money} WHERE id = ${target}`);
            await tx.execute(sql`INSERT INTO transfers VALUES (${id}, ${source}, ${target}, ${money})`);
          }),
        ),
      );
      if (endings.get(id) === "failed") await hesitate();
    }
  };
  const work = Promise.all(Array.from({ length: clients }, client));
  const committed = (): number => [...endings.values()].filter((how) => how === "committed").length;
  return {
    endings,
    async untilMore(count) {
      for (const wanted = committed() + count; committed() < wanted;) await sleep(10);
    },
    async stop() {
      isOver = true;
      await work;
    },
  };
}

/** What the database holds must follow from the transfers it holds, and hold every acknowledged one and no failed one. */
async function expectHonestBooks(database: Database, endings: ReadonlyMap<number, Ending>): Promise<void> {
  const { rows: accounts } = await database.query<{ id: number; balance: number }>(
    "SELECT id, balance FROM accounts ORDER BY id",
  );
  const { rows: transfers } = await database.query<{ id: number; source: number; target: number; amount: number }>(
    "SELECT id, source, target, amount FROM transfers",
  );
  const expected = new Map(accounts.map(({ id }) => [id, 100]));
  for (const { source, target, amount } of transfers) {
    expected.set(source, (expected.get(source) ?? 0) - amount);
    expected.set(target, (expected.get(target) ?? 0) + amount);
  }
  expect(new Map(accounts.map(({ id, balance }) => [id, balance]))).toEqual(expected);
  const stored = new Set(transfers.map(({ id }) => id));
  const of = (kind: Ending): number[] => [...endings].filter(([, how]) => how === kind).map(([id]) => id);
  expect(of("committed").filter((id) => !stored.has(id))).toEqual([]);
  expect(of("failed").filter((id) => stored.has(id))).toEqual([]);
}

/** Clients that read lists and append to others in one unit, by reading the array and writing it back. */
async function appendToLists(
  database: Database,
  isolation: IsolationLevel,
  units: number,
): Promise<ReturnType<typeof findAnomalies>> {
  const sessions = createSessionFactory(database, { guard: "off", retry: RETRY, limits: { gapWarningMs: 0 } });
  const committed: CommittedUnit[] = [];
  const failedValues = new Set<number>();
  let nextValue = 1;
  let nextUnit = 1;
  const client = async (): Promise<void> => {
    while (nextUnit <= units) {
      const id = nextUnit++;
      let operations: Operation[] = [];
      const how = await ending(
        sessions.begin(
          {},
          async (tx) => {
            operations = [];
            const read = async (list: number): Promise<readonly number[]> => {
              const { rows } = await tx.execute<{ items: number[] }>(sql`SELECT items FROM lists WHERE id = ${list}`);
              const values = rows[0]?.items ?? [];
              operations.push({ kind: "read", list, values });
              return values;
            };
            await read(pick(LISTS));
            await hesitate();
            const list = pick(LISTS);
            const before = await read(list);
            await hesitate();
            const value = nextValue++;
            await tx.execute(
              sql`UPDATE lists SET items = ${`{${[...before, value].join(",")}}`}::int[] WHERE id = ${list}`,
            );
            operations.push({ kind: "append", list, value });
          },
          { isolation },
        ),
      );
      if (how === "committed") committed.push({ id, operations });
      else for (const operation of operations) if (operation.kind === "append") failedValues.add(operation.value);
    }
  };
  await Promise.all(Array.from({ length: 8 }, client));
  const { rows } = await database.query<{ id: number; items: number[] }>("SELECT id, items FROM lists");
  expect(committed.length).toBeGreaterThan(units / 2);
  return findAnomalies({ committed, failedValues, final: new Map(rows.map(({ id, items }) => [id, items])) });
}

describe("append and read lists with 8 clients", () => {
  test("a serializable history has a serial order, and nothing is lost", async () => {
    await using database = await testDatabase({ setup: SETUP, pool: { size: 8 } });
    expect(await appendToLists(database, "serializable", 200)).toEqual([]);
  });

  test("at repeatable read no append is lost", async () => {
    await using database = await testDatabase({ setup: SETUP, pool: { size: 8 } });
    const anomalies = await appendToLists(database, "repeatable read", 200);
    expect(anomalies.filter(({ kind }) => kind !== "cycle")).toEqual([]);
  });

  test("the checker finds lost appends at read committed", async () => {
    await using database = await testDatabase({ setup: SETUP, pool: { size: 8 } });
    const anomalies = await appendToLists(database, "read committed", 200);
    expect(anomalies.map(({ kind }) => kind)).toContain("lost append");
  });
});

describe("the checker itself", () => {
  const append = (list: number, value: number): Operation => ({ kind: "append", list, value });
  const read = (list: number, ...values: number[]): Operation => ({ kind: "read", list, values });
  const kinds = (
    units: readonly (readonly Operation[])[],
    final: Record<number, readonly number[]>,
    failed: readonly number[] = [],
  ) =>
    findAnomalies({
      committed: units.map((operations, index) => ({ id: index + 1, operations })),
      failedValues: new Set(failed),
      final: new Map(Object.entries(final).map(([id, values]) => [Number(id), values])),
    }).map(({ kind }) => kind);

  test("an honest history is clean", () => {
    expect(kinds([[append(1, 1)], [read(1, 1), append(1, 2)], [read(1, 1, 2), read(2)]], { 1: [1, 2], 2: [] })).toEqual(
      [],
    );
  });
  test("lost, repeated, dirty, half and misordered are told", () => {
    expect(kinds([[append(1, 1)]], { 1: [] })).toEqual(["lost append"]);
    expect(kinds([[append(1, 1)]], { 1: [1, 1] })).toEqual(["repeated append"]);
    expect(kinds([], { 1: [7] }, [7])).toEqual(["dirty read"]);
    expect(kinds([[append(1, 1), append(2, 2)]], { 1: [1], 2: [] })).toEqual(["half a unit"]);
    expect(kinds([[append(1, 1)], [append(1, 2)], [read(1, 2)]], { 1: [1, 2] })).toContain("incompatible order");
  });
  test("write skew and read skew are cycles", () => {
    expect(
      kinds(
        [
          [read(1), append(2, 1)],
          [read(2), append(1, 2)],
        ],
        { 1: [2], 2: [1] },
      ),
    ).toEqual(["cycle"]);
    expect(
      kinds(
        [
          [append(1, 1), append(2, 2)],
          [read(1), read(2, 2)],
        ],
        { 1: [1], 2: [2] },
      ),
    ).toEqual(["cycle"]);
  });
});

test("money is neither lost nor made while connections are killed", async () => {
  await using database = await testDatabase({ setup: SETUP, pool: { size: 6 } });
  const killer = new pg.Client({ connectionString: database.url });
  await killer.connect();
  const sessions = createSessionFactory(database, { guard: "off", retry: RETRY, limits: { gapWarningMs: 0 } });
  const transfers = transferMoney(sessions, 8);
  await transfers.untilMore(20);
  for (let killed = 0; killed < 20;) {
    await sleep(40);
    const { rows } = await killer.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle' ORDER BY random() LIMIT 1`,
    );
    killed += rows.length;
  }
  await transfers.untilMore(20);
  await transfers.stop();
  await killer.end();
  const { endings } = transfers;
  await expectHonestBooks(database, endings);
  expect(database.leases()).toEqual([]);
  // Every lost COMMIT could be looked up: the server was there all the time.
  expect([...endings.values()].filter((how) => how !== "committed")).toEqual([]);
});

describe("with a server that goes down and comes back", () => {
  let server: RestartableServer;
  beforeAll(async () => {
    server = await startRestartableServer();
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  for (const how of ["stop", "crash"] as const) {
    test(`money is neither lost nor made through ${how} and start, three times`, async () => {
      await using database = await openDatabase({
        url: `${server.url}?fallback_application_name=${how}`,
        pool: { size: 6, acquireTimeoutMs: 2_000 },
      });
      await database.exec(`DROP TABLE IF EXISTS accounts, transfers, lists; ${SETUP}`);
      const sessions = createSessionFactory(database, { guard: "off", retry: RETRY, limits: { gapWarningMs: 0 } });
      const transfers = transferMoney(sessions, 6);
      for (let round = 0; round < 3; round++) {
        await transfers.untilMore(30);
        await server[how]();
        await sleep(200);
        await server.start();
      }
      await transfers.untilMore(30);
      await transfers.stop();
      await expectHonestBooks(database, transfers.endings);
      expect(database.leases()).toEqual([]);
    });
  }
});
