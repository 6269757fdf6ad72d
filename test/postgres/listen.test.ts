// LISTEN: what is heard, when, on which connection, and what happens when that one breaks.
import { once, EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { InvalidInputError, NestedCheckoutError, openDatabase, type Database } from "../../src/postgres/index.ts";
import { createSessionFactory } from "../../src/session/index.ts";
import { describeDatabases, testDatabase } from "../support/test-database.ts";

/** What was heard, and a way to wait for it. */
class Heard extends EventEmitter {
  readonly payloads: string[] = [];
  readonly hear = ({ payload }: { readonly payload: string }): void => {
    this.payloads.push(payload);
    this.emit("heard");
  };
  async until(payload: string): Promise<readonly string[]> {
    while (!this.payloads.includes(payload)) await once(this, "heard");
    return this.payloads;
  }
}

const notify = (database: Database, channel: string, payload: string) =>
  database.query("SELECT pg_notify($1, $2)", [channel, payload]);

const nameOf = ({ url }: Database): string => new URL(url).pathname.slice(1);
const LISTENING_SQL = `SELECT a.pid FROM pg_stat_activity AS a
WHERE a.datname = $1 AND a.pid <> pg_backend_pid() AND a.query LIKE '%LISTEN%'`;

describeDatabases((kind, open) => {
  test("what units send is heard when they commit, in their order, and not when they are undone", async () => {
    await using database = await open();
    const heard = new Heard();
    await using subscription = await database.listen(`Tasks "of" all`, heard.hear);
    expect(subscription.channel).toBe(`Tasks "of" all`);
    const sessions = createSessionFactory(database);
    const send = (payload: string) => ({ text: "SELECT pg_notify($1, $2)", values: [`Tasks "of" all`, payload] });
    const undone = sessions.begin({}, async () => {
      await database.batch([send("undone")]);
      throw new Error("enough");
    });
    await expect(undone).rejects.toThrow("enough");
    await sessions.begin({}, async () => {
      await database.batch([send("one"), send("two")]);
      expect(heard.payloads).toEqual([]);
    });
    await notify(database, "tasks", "another channel");
    await notify(database, `Tasks "of" all`, "");
    await notify(database, `Tasks "of" all`, "last");
    expect(await heard.until("last")).toEqual(["one", "two", "", "last"]);
    expect(database.poolFigures()).toMatchObject({ waiting: 0, total: database.poolFigures().idle });
  });

  test("channels share what listens; one that is closed hears no more, the others do", async () => {
    await using database = await open();
    const [first, second, other] = [new Heard(), new Heard(), new Heard()];
    await using subscription = await database.listen("tasks", first.hear);
    const abort = new AbortController();
    await Promise.all([
      database.listen("tasks", second.hear, { signal: abort.signal }),
      database.listen("chats", other.hear),
    ]);
    expect((await database.query(LISTENING_SQL, [nameOf(database)])).rowCount).toBe(kind === "server" ? 1 : 0);
    await notify(database, "tasks", "one");
    await Promise.all([first.until("one"), second.until("one")]);
    await subscription.close();
    await notify(database, "tasks", "two");
    await second.until("two");
    abort.abort();
    await notify(database, "tasks", "three");
    await notify(database, "chats", "end");
    await other.until("end");
    expect([first.payloads, second.payloads, other.payloads]).toEqual([["one"], ["one", "two"], ["end"]]);
  });

  test("what a listener throws keeps the others from nothing", async () => {
    await using database = await open();
    const heard = new Heard();
    const thrown: unknown[] = [];
    const previous = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    process.on("uncaughtException", (error) => thrown.push(error));
    try {
      const bad = (): void => {
        throw new Error("bad listener");
      };
      await database.listen("tasks", bad);
      await database.listen("tasks", heard.hear);
      await notify(database, "tasks", "one");
      await heard.until("one");
      await new Promise((resolve) => setImmediate(resolve));
    } finally {
      process.removeAllListeners("uncaughtException");
      for (const listener of previous) process.on("uncaughtException", listener);
    }
    expect(thrown).toMatchObject([{ message: "bad listener" }]);
  });

  test("inside a unit of work, and on a closed database, it is refused", async () => {
    await using database = await open();
    const unit = createSessionFactory(database).begin({}, async () => {
      await database.query("SELECT 1");
      await database.listen("tasks", () => undefined);
    });
    await expect(unit).rejects.toBeInstanceOf(NestedCheckoutError);
    await expect(database.listen("x".repeat(64), () => undefined)).rejects.toBeInstanceOf(InvalidInputError);
  });
});

test("a listener whose connection was ended listens again, and is told that it may have missed something", async () => {
  const errors: unknown[] = [];
  await using database = await testDatabase({ onConnectionError: (error) => errors.push(error) });
  const heard = new Heard();
  const events = new EventEmitter();
  const again = once(events, "again");
  await database.listen("tasks", heard.hear, { onReconnect: () => void events.emit("again") });
  const { rows } = await database.query<{ pid: number }>(LISTENING_SQL, [nameOf(database)]);
  await database.query("SELECT pg_terminate_backend($1)", [rows[0]?.pid]);
  await again;
  await notify(database, "tasks", "after");
  expect(await heard.until("after")).toEqual(["after"]);
  expect(errors).toMatchObject([{ code: expect.stringMatching(/^(?:CONNECTION_LOST|SERVER_SHUTTING_DOWN)$/) }]);
});

test("with the last channel the connection that listens goes, and with the handle that asked, too", async () => {
  await using database = await testDatabase();
  const listening = async (): Promise<number> =>
    (await database.query(LISTENING_SQL, [nameOf(database)])).rowCount ?? 0;
  const untilGone = async (): Promise<void> => {
    while ((await listening()) > 0) await new Promise((resolve) => setImmediate(resolve));
  };
  const tasks = await database.listen("tasks", () => undefined);
  const chats = await database.listen("chats", () => undefined);
  await tasks.close();
  expect(await listening()).toBe(1);
  await chats.close();
  await untilGone();
  const handle = await openDatabase(database.url);
  await handle.listen("tasks", () => undefined);
  expect(await listening()).toBe(1);
  await handle.close();
  await untilGone();
  await expect(handle.listen("tasks", () => undefined)).rejects.toMatchObject({ code: "DATABASE_CLOSED" });
});
