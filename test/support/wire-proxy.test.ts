// The proxy is what other tests believe, so its counts and its faults are checked against a plain node-postgres client.
import { Client } from "pg";
import { afterEach, beforeEach, expect, inject, test } from "vitest";
import { startWireProxy, type WireProxy } from "./wire-proxy.ts";

const serverUrl = inject("serverUrl");
const target = new URL(serverUrl);
let proxy: WireProxy;
const clients: Client[] = [];

async function connectThrough(url = proxy.url(serverUrl)): Promise<Client> {
  const client = new Client({ connectionString: url });
  client.on("error", () => undefined); // a cut connection also reports itself here; the query's own rejection is what is tested
  clients.push(client);
  await client.connect();
  return client;
}

async function connectDirectly(): Promise<Client> {
  return connectThrough(serverUrl);
}

beforeEach(async () => {
  proxy = await startWireProxy({ targetHost: target.hostname, targetPort: Number(target.port) });
});
afterEach(async () => {
  await Promise.allSettled(clients.splice(0).map((client) => client.end()));
  await proxy.close();
});

test("statements that are awaited one by one are one flush each, in the order of their message types", async () => {
  const client = await connectThrough();
  proxy.resetCount();
  await client.query("SELECT 1");
  await client.query("SELECT $1::int", [2]);
  await client.query("SELECT $1::int", [3]);
  expect(proxy.flushes).toBe(3);
  expect(proxy.sequence).toBe("QPBDESPBDES");
  expect(proxy.texts).toEqual(["SELECT 1", "SELECT $1::int", "SELECT $1::int"]);
});

test("a large statement that arrives in many pieces is still one flush", async () => {
  const client = await connectThrough();
  proxy.resetCount();
  const { rows } = await client.query<{ length: number }>("SELECT length($1::text) AS length", ["x".repeat(3_000_000)]);
  expect(rows).toEqual([{ length: 3_000_000 }]);
  expect(proxy.flushes).toBe(1);
});

test("connections are counted apart and together, and saying goodbye is no flush", async () => {
  const first = await connectThrough();
  const second = await connectThrough();
  proxy.resetCount();
  await first.query("SELECT 1");
  await second.query("SELECT 1");
  await second.query("SELECT 2");
  await first.end();
  expect(proxy.connections.map((connection) => connection.flushes)).toEqual([1, 2]);
  expect(proxy.flushes).toBe(3);
  await expect.poll(() => proxy.connections.map((connection) => connection.isOpen)).toEqual([false, true]);
});

test("a delayed connection answers after one without delay, and in order", async () => {
  await using slow = await startWireProxy({
    targetHost: target.hostname,
    targetPort: Number(target.port),
    delayMs: 300,
  });
  const delayed = await connectThrough(slow.url(serverUrl));
  const direct = await connectThrough();
  const answers: string[] = [];
  const note = (word: string) => () => answers.push(word);
  await Promise.all([
    delayed.query("SELECT 1").then(note("delayed 1")),
    delayed.query("SELECT 2").then(note("delayed 2")),
    direct.query("SELECT 3").then(note("direct")),
  ]);
  expect(answers).toEqual(["direct", "delayed 1", "delayed 2"]);
  await delayed.end();
});

test("cutBefore: the server never sees the COMMIT, and the client's connection is gone", async () => {
  const table = `cut_before_${process.pid}`;
  const direct = await connectDirectly();
  await direct.query(`CREATE TABLE ${table} (id int)`);
  try {
    const client = await connectThrough();
    proxy.cutBeforeMatch(/^commit$/i);
    await client.query("BEGIN");
    await client.query(`INSERT INTO ${table} VALUES (1)`);
    await expect(client.query("COMMIT")).rejects.toThrow(/terminated|reset/);
    expect(proxy.faultsStruck).toBe(1);
    expect((await direct.query(`SELECT FROM ${table}`)).rowCount).toBe(0);
  } finally {
    await direct.query(`DROP TABLE ${table}`);
  }
});

test.each(["cutAfter", "swallowReply"] as const)("%s: the server commits and the client is not told", async (kind) => {
  const table = `${kind.toLowerCase()}_${process.pid}`;
  const direct = await connectDirectly();
  await direct.query(`CREATE TABLE ${table} (id int)`);
  try {
    const client = await connectThrough();
    proxy.inject(kind, /^commit$/i);
    await client.query("BEGIN");
    await client.query(`INSERT INTO ${table} VALUES (1)`);
    await expect(client.query("COMMIT")).rejects.toThrow(/terminated|reset/);
    await expect.poll(async () => (await direct.query(`SELECT FROM ${table}`)).rowCount).toBe(1);
  } finally {
    await direct.query(`DROP TABLE ${table}`);
  }
});

test("swallowReply waits for the Sync of the matching statement", async () => {
  const table = `swallow_sync_${process.pid}`;
  const direct = await connectDirectly();
  await direct.query(`CREATE TABLE ${table} (id int)`);
  try {
    const client = await connectThrough();
    proxy.inject("swallowReply", /^INSERT/);
    await expect(client.query(`INSERT INTO ${table} VALUES ($1)`, [1])).rejects.toThrow(/terminated|reset/);
    expect((await direct.query(`SELECT FROM ${table}`)).rowCount).toBe(1);
  } finally {
    await direct.query(`DROP TABLE ${table}`);
  }
});

test("a fault at a message type strikes there: without its Sync an implicit transaction does not commit", async () => {
  const table = `before_sync_${process.pid}`;
  const direct = await connectDirectly();
  await direct.query(`CREATE TABLE ${table} (id int)`);
  try {
    const client = await connectThrough();
    proxy.resetCount();
    proxy.cutBeforeMatch("S");
    await expect(client.query(`INSERT INTO ${table} VALUES ($1)`, [1])).rejects.toThrow(/terminated|reset/);
    expect(proxy.sequence).toBe("PBDES");
    expect((await direct.query(`SELECT FROM ${table}`)).rowCount).toBe(0);
  } finally {
    await direct.query(`DROP TABLE ${table}`);
  }
});

test("a pattern also finds the Bind of a statement that was prepared earlier", async () => {
  const client = await connectThrough();
  const statement = { name: "later", text: "SELECT 'prepared' AS word" };
  await client.query(statement);
  proxy.cutBeforeMatch(/prepared/);
  await expect(client.query(statement)).rejects.toThrow(/terminated|reset/);
});

test("blackHole: no answer comes and the connection stays open", async () => {
  const client = await connectThrough();
  proxy.inject("blackHole", /SELECT 2/);
  await client.query("SELECT 1");
  const lost = client.query("SELECT 2").then(
    () => "answered",
    () => "rejected",
  );
  const waited = new Promise<string>((resolve) => setTimeout(() => resolve("silent"), 150));
  expect(await Promise.race([lost, waited])).toBe("silent");
  expect(proxy.connections.at(-1)?.isOpen).toBe(true);
  proxy.cutAll();
  expect(await lost).toBe("rejected");
});

test("a fault strikes once, and other connections live on", async () => {
  proxy.cutBeforeMatch(/unlucky/);
  const first = await connectThrough();
  const second = await connectThrough();
  await expect(first.query("SELECT 'unlucky'")).rejects.toThrow(/terminated|reset/);
  expect((await second.query<{ word: string }>("SELECT 'unlucky' AS word")).rows).toEqual([{ word: "unlucky" }]);
});

test("refused connections fail until they are served again", async () => {
  proxy.refuseConnections(true);
  await expect(connectThrough()).rejects.toThrow(/terminated|reset/);
  proxy.refuseConnections(false);
  const client = await connectThrough();
  expect((await client.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
});

test("url() keeps user, password, database and options", () => {
  expect(proxy.url("postgres://us%40er:p%2Fw@example.test:6543/app?application_name=a&host=/tmp")).toBe(
    `postgres://us%40er:p%2Fw@127.0.0.1:${proxy.port}/app?application_name=a`,
  );
});
