// How a batch of one Sync ends: for every way it can fail, what was kept, what the caller hears, and what becomes of the
// connection and the pool.
import pg from "pg";
import { expect, test } from "vitest";
import type { Database, Statement } from "../../src/postgres/index.ts";
import { failureOf } from "../support/failure-of.ts";
import { proxiedDatabase } from "../support/proxied-database.ts";
import { testDatabase } from "../support/test-database.ts";

const SETUP = `
CREATE TABLE items (id int PRIMARY KEY, name text, CONSTRAINT items_name_key UNIQUE (name) DEFERRABLE INITIALLY IMMEDIATE);
INSERT INTO items VALUES (0, 'zero');`;

const insert = (id: number, name: string): Statement => ({
  text: "INSERT INTO items VALUES ($1, $2) RETURNING id",
  values: [id, name],
});
const ids = async (database: Database): Promise<number[]> =>
  (await database.query<{ id: number }>("SELECT id FROM items ORDER BY id")).rows.map(({ id }) => id);

/** The pool is as it was: nothing is out, nobody waits, and the same backend answers outside a transaction. */
async function expectUnchanged(database: Database, pid: number): Promise<void> {
  expect(database.leases()).toEqual([]);
  expect(database.poolFigures()).toMatchObject({ total: 1, idle: 1, waiting: 0 });
  await using connection = await database.connect();
  expect(connection.transactionStatus).toBe("idle");
  const { rows } = await connection.query<{ pid: number; timeout: string }>(
    "SELECT pg_backend_pid() AS pid, current_setting('app.left_over', true) AS timeout",
  );
  expect(rows[0]?.pid).toBe(pid);
  expect(rows[0]?.timeout ?? "").toBe("");
}
async function backend(database: Database): Promise<number> {
  return (await database.query<{ pid: number }>("SELECT pg_backend_pid() AS pid")).rows[0]?.pid ?? 0;
}

for (const position of [0, 1, 2]) {
  test(`a server error in statement ${position + 1} of 3 is told by its index, and nothing of the batch is kept`, async () => {
    await using database = await testDatabase({ setup: SETUP });
    const pid = await backend(database);
    const statements = [insert(1, "a"), insert(2, "b"), insert(3, "c")];
    statements[position] = insert(0, "again");
    await expect(database.batch(statements)).rejects.toMatchObject({
      code: "UNIQUE_VIOLATION",
      constraint: "items_pkey",
      statementIndex: position,
    });
    expect(await ids(database)).toEqual([0]);
    await expectUnchanged(database, pid);
  });
}

test("a syntax error keeps nothing of the statements before it", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const pid = await backend(database);
  await expect(database.batch([insert(1, "a"), { text: "SELEC 1" }, insert(2, "b")])).rejects.toMatchObject({
    code: "INVALID_SQL",
    sqlState: "42601",
    statementIndex: 1,
    position: 1,
  });
  expect(await ids(database)).toEqual([0]);
  await expectUnchanged(database, pid);
});

test("a deferred constraint is checked at the Sync, and undoes the whole batch", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const pid = await backend(database);
  const work = database.batch([{ text: "SET CONSTRAINTS ALL DEFERRED" }, insert(1, "zero"), insert(2, "b")]);
  await expect(work).rejects.toMatchObject({ code: "UNIQUE_VIOLATION", constraint: "items_name_key" });
  expect(await ids(database)).toEqual([0]);
  await expectUnchanged(database, pid);
});

test("settings of a batch are gone after it, whether it succeeds or fails", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const pid = await backend(database);
  const set: Statement = { text: "SELECT set_config('app.left_over', 'yes', true)" };
  const [, seen] = await database.batch([set, { text: "SELECT current_setting('app.left_over') AS value" }]);
  expect(seen?.rows).toEqual([{ value: "yes" }]);
  await expectUnchanged(database, pid);
  await expect(database.batch([set, { text: "SELECT 1 / 0" }])).rejects.toMatchObject({ sqlState: "22012" });
  await expectUnchanged(database, pid);
});

test("a named statement that was parsed before a later statement failed can be used again", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const pid = await backend(database);
  const named: Statement = { text: "SELECT $1::int AS value", values: [7], name: "seven" };
  await expect(database.batch([named, { text: "SELECT 1 / 0" }])).rejects.toMatchObject({ sqlState: "22012" });
  const [result] = await database.batch([named]);
  expect(result?.rows).toEqual([{ value: 7 }]);
  await expectUnchanged(database, pid);
});

test("a named statement whose own Parse failed is parsed anew the next time", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const pid = await backend(database);
  const named: Statement = { text: "SELECT value FROM later", name: "later" };
  await expect(database.batch([named, named])).rejects.toMatchObject({ sqlState: "42P01", statementIndex: 0 });
  await database.exec("CREATE TABLE later (value int); INSERT INTO later VALUES (5)");
  const [first, second] = await database.batch([named, named]);
  expect([first?.rows, second?.rows]).toEqual([[{ value: 5 }], [{ value: 5 }]]);
  await expectUnchanged(database, pid);
});

test("a name whose Parse stood behind a failed statement is closed before it is parsed again", async () => {
  await using proxied = await proxiedDatabase({ setup: SETUP });
  await using connection = await proxied.database.connect();
  const behind: Statement = { text: "SELECT $1::int4 AS n", values: [7], name: "behind" };
  await expect(connection.batch([{ text: "SELECT 1 / $1::int4", values: [0] }, behind])).rejects.toMatchObject({
    statementIndex: 0,
  });
  for (const sequence of ["PBDECPBDES", "PBDEBES"]) {
    proxied.proxy.resetCount();
    const [result] = await connection.batch([behind]);
    expect(result?.rows).toEqual([{ n: 7 }]);
    expect(proxied.proxy.sequence).toBe(sequence);
  }
});

test("one name for two texts is refused before anything is sent", async () => {
  await using proxied = await proxiedDatabase({ setup: SETUP });
  const pid = await backend(proxied.database);
  proxied.proxy.resetCount();
  const work = proxied.database.batch([
    { text: "SELECT 1", name: "same" },
    { text: "SELECT 2", name: "same" },
  ]);
  await expect(work).rejects.toMatchObject({ code: "INVALID_INPUT" });
  expect(proxied.proxy.sequence).toBe("");
  await expectUnchanged(proxied.database, pid);
});

test("a value that cannot be sent is named by its position, and nothing is written", async () => {
  await using proxied = await proxiedDatabase({ setup: SETUP });
  const pid = await backend(proxied.database);
  proxied.proxy.resetCount();
  const circular: Record<string, unknown> = { secret: "do not show" };
  circular["self"] = circular;
  const error = await proxied.database
    .batch([insert(1, "a"), { text: "SELECT $1::jsonb, $2::jsonb", values: [1, circular] }])
    .catch((failure: unknown) => failure);
  expect(error).toMatchObject({ code: "INVALID_INPUT", message: expect.stringContaining("$2") as string });
  expect(proxied.proxy.sequence).toBe("");
  expect(await ids(proxied.direct)).toEqual([0]);
  await expectUnchanged(proxied.database, pid);
});

test("a type parser that throws fails its batch, which is committed, and leaves its neighbours readable in a transaction", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const pid = await backend(database);
  const broken: Statement = {
    text: "SELECT 'x'::text AS value",
    types: {
      getTypeParser: () => () => {
        throw new Error("this parser is broken");
      },
    },
  };
  await expect(database.batch([insert(1, "a"), broken, insert(2, "b")])).rejects.toMatchObject({
    code: "DECODE_FAILED",
    cause: { message: "this parser is broken" },
  });
  expect(await ids(database)).toEqual([0, 1, 2]);
  await expectUnchanged(database, pid);
});

test("a connection that is lost before the Sync was written left nothing there", async () => {
  await using proxied = await proxiedDatabase({ setup: SETUP });
  await using connection = await proxied.database.connect();
  proxied.proxy.cutAll();
  await expect.poll(() => proxied.proxy.connections.every(({ isOpen }) => !isOpen)).toBe(true);
  // The loss may be noticed before the batch is written, or by the write itself; only what the server saw counts.
  await expect(connection.batch([insert(1, "a")])).rejects.toMatchObject({ code: "CONNECTION_LOST" });
  connection.release();
  expect(await ids(proxied.direct)).toEqual([0]);
  expect(await ids(proxied.database)).toEqual([0]);
  expect(proxied.database.leases()).toEqual([]);
});

for (const { fault, outcomes } of [
  { fault: "cutBefore", outcomes: [[0]] },
  { fault: "cutAfter", outcomes: [[0], [0, 1, 2]] },
  { fault: "swallowReply", outcomes: [[0, 1, 2]] },
] as const) {
  test(`a connection that is lost after the Sync was written (${fault}) has an unknown outcome, and the pool goes on`, async () => {
    await using proxied = await proxiedDatabase({ setup: SETUP });
    proxied.proxy.inject(fault, /INSERT INTO items/);
    await expect(proxied.database.batch([insert(1, "a"), insert(2, "b")])).rejects.toMatchObject({
      code: "COMMIT_OUTCOME_UNKNOWN",
      cause: { code: "CONNECTION_LOST" },
    });
    expect(proxied.proxy.faultsStruck).toBe(1);
    expect(proxied.database.leases()).toEqual([]);
    // All or nothing; after a swallowed reply the server has certainly finished.
    await expect.poll(() => proxied.proxy.connections.every(({ isOpen }) => !isOpen)).toBe(true);
    expect(outcomes).toContainEqual(await ids(proxied.direct));
    await proxied.database.query("SELECT 1");
    expect(proxied.database.poolFigures()).toMatchObject({ total: 1, idle: 1, waiting: 0 });
  });
}

test("a backend that is terminated in the middle of a batch undid it, and says so", async () => {
  await using database = await testDatabase({ setup: SETUP });
  await using killer = await testKiller(database);
  const pid = await backend(database);
  const work = database.batch([insert(1, "a"), { text: "SELECT pg_sleep(30)" }]);
  const failure = failureOf(work);
  await killer.whenRunning(pid, "pg_sleep");
  await killer.client.query("SELECT pg_terminate_backend($1)", [pid]);
  expect(await failure).toMatchObject({ code: "CONNECTION_LOST" });
  expect(await ids(database)).toEqual([0]);
  expect(database.leases()).toEqual([]);
});

test("an aborted batch is cancelled on the server, keeps nothing, and its connection is used again", async () => {
  await using database = await testDatabase({ setup: SETUP });
  await using killer = await testKiller(database);
  const pid = await backend(database);
  const stop = new AbortController();
  const work = database.batch([insert(1, "a"), { text: "SELECT pg_sleep(30)" }, insert(2, "b")], {
    signal: stop.signal,
  });
  const failure = failureOf(work);
  await killer.whenRunning(pid, "pg_sleep");
  stop.abort();
  expect(await failure).toMatchObject({ code: "CANCELLED" });
  expect(await ids(database)).toEqual([0]);
  await expectUnchanged(database, pid);
});

test("a batch over its limit is ended by the server", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const pid = await backend(database);
  await expect(
    database.batch([insert(1, "a"), { text: "SELECT pg_sleep(30)" }], { timeoutMs: 50 }),
  ).rejects.toMatchObject({ code: "STATEMENT_TIMEOUT", sqlState: "57014", statementIndex: expect.toBeOneOf([0, 1]) });
  expect(await ids(database)).toEqual([0]);
  await expectUnchanged(database, pid);
});

test("an empty batch sends nothing, and an empty text is a statement without rows", async () => {
  await using proxied = await proxiedDatabase({ setup: SETUP });
  expect(await proxied.database.batch([])).toEqual([]);
  expect(proxied.proxy.flushes).toBe(0);
  const [empty, one] = await proxied.database.batch([{ text: "" }, { text: "SELECT 1 AS value" }]);
  expect(empty?.rows).toEqual([]);
  expect(one?.rows).toEqual([{ value: 1 }]);
});

for (const text of [
  "COPY items FROM STDIN",
  " /* rows */ copy items from stdin (FORMAT csv)",
  "COPY items TO STDOUT",
]) {
  test(`${text} is refused before anything is sent`, async () => {
    await using proxied = await proxiedDatabase({ setup: SETUP });
    const pid = await backend(proxied.database);
    proxied.proxy.resetCount();
    await expect(proxied.database.batch([insert(1, "a"), { text }])).rejects.toMatchObject({ code: "INVALID_INPUT" });
    expect(proxied.proxy.sequence).toBe("");
    await expectUnchanged(proxied.database, pid);
  });
}

test("COPY that hides in a batch as its last statement fails, keeps nothing and leaves the connection usable", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const pid = await backend(database);
  const hidden: Statement = { text: "COPY items FROM/**/STDIN" };
  await expect(database.batch([insert(1, "a"), hidden])).rejects.toMatchObject({ statementIndex: 1 });
  expect(await ids(database)).toEqual([0]);
  await expectUnchanged(database, pid);
});

test("COPY that hides in the middle of a batch costs the connection, and nothing is kept", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const hidden: Statement = { text: "COPY items FROM/**/STDIN" };
  await expect(database.batch([insert(1, "a"), hidden, insert(2, "b")])).rejects.toMatchObject({
    code: "CONNECTION_LOST",
  });
  expect(await ids(database)).toEqual([0]);
  expect(database.leases()).toEqual([]);
});

test("an explicit transaction that fails is rolled back before its connection is used again", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const before = await backend(database);
  {
    await using connection = await database.connect();
    await connection.query("BEGIN");
    await connection.query("INSERT INTO items VALUES (1, 'a')");
    await expect(connection.query("SELECT 1 / 0")).rejects.toMatchObject({ sqlState: "22012" });
    expect(connection.transactionStatus).toBe("failed");
  }
  expect(await backend(database)).not.toBe(before);
  expect(await ids(database)).toEqual([0]);
});

/** A second connection that watches and ends backends. */
async function testKiller(database: Database) {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  return {
    client,
    async whenRunning(pid: number, text: string): Promise<void> {
      await expect
        .poll(async () => {
          const { rows } = await client.query<{ query: string }>(
            "SELECT query FROM pg_stat_activity WHERE pid = $1 AND state = 'active'",
            [pid],
          );
          return rows[0]?.query ?? "";
        })
        .toContain(text);
    },
    [Symbol.asyncDispose]: () => client.end(),
  };
}
