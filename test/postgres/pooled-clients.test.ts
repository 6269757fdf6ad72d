// Connections that were in use a moment ago, and are taken again without the pool.
import { expect, test } from "vitest";
import { openDatabase, type Connection, type Database } from "../../src/postgres/index.ts";
import { testDatabase } from "../support/test-database.ts";

async function processOf(source: Connection | Database): Promise<number | undefined> {
  const { rows } = await source.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
  return rows[0]?.pid;
}

/** Another engine: its pool is not the one of `database`. */
function beside(database: Database, name: string, onConnectionError?: (error: Error) => void): Promise<Database> {
  const url = new URL(database.url);
  url.searchParams.set("application_name", name);
  return openDatabase({ url: url.href, ...(onConnectionError === undefined ? {} : { onConnectionError }) });
}

test("the connection that was given back last is the next one, and the figures count it as idle", async () => {
  await using database = await testDatabase();
  const first = await database.connect();
  const second = await database.connect();
  const pids = [await processOf(first), await processOf(second)];
  first.release();
  second.release();
  expect(database.poolFigures()).toMatchObject({ total: 2, idle: 2, waiting: 0 });
  const again = await database.connect();
  expect(await processOf(again)).toBe(pids[1]);
  expect(database.poolFigures()).toMatchObject({ total: 2, idle: 1 });
  again.release();
});

test("who waits for a connection gets it before one who comes later", async () => {
  await using database = await testDatabase({ pool: { size: 2 } });
  const order: string[] = [];
  const held = [await database.connect(), await database.connect()];
  const ask = async (name: string): Promise<void> => {
    const connection = await database.connect();
    order.push(name);
    connection.release();
  };
  const waiting = [ask("first"), ask("second")];
  await expect.poll(() => database.poolFigures().waiting).toBe(2);
  for (const connection of held) connection.release();
  const later = ask("later");
  await Promise.all([...waiting, later]);
  expect(order).toEqual(["first", "second", "later"]);
});

test("one that dies right after its use is not handed out again, and somebody is told once", async () => {
  await using keep = await testDatabase();
  const told: Error[] = [];
  await using database = await beside(keep, "dies", (error) => told.push(error));
  const pid = await processOf(database);
  await keep.query("SELECT pg_terminate_backend($1)", [pid]);
  await expect.poll(() => told.length).toBe(1);
  expect(await processOf(database)).not.toBe(pid);
  expect(told).toHaveLength(1);
  expect(database.poolFigures()).toMatchObject({ total: 1, idle: 1 });
});

test("closing right after a use ends the connection", async () => {
  await using keep = await testDatabase();
  const database = await beside(keep, "closed at once");
  await database.query("SELECT 1");
  await database.close();
  const left = async (): Promise<number> =>
    (await keep.query("SELECT FROM pg_stat_activity WHERE application_name = 'closed at once'")).rows.length;
  await expect.poll(left).toBe(0);
});

test("an unused connection goes back to the pool, which closes it when it is idle for long", async () => {
  await using database = await testDatabase({ pool: { idleTimeoutMs: 50 } });
  await database.query("SELECT 1");
  await expect.poll(() => database.poolFigures().total).toBe(0);
});
