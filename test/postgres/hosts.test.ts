// Several hosts in one URL, with a real primary and replica: the primary is found in any order, followed through a failover,
// and of two primaries the one that was promoted last is taken.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDatabase, type Database } from "../../src/postgres/index.ts";
import { createSessionFactory } from "../../src/session/index.ts";
import { sql } from "drizzle-orm";
import { failureOf } from "../support/failure-of.ts";
import { startReplicatedServer, type ReplicatedServer } from "../support/replicated-server.ts";
import { startWireProxy } from "../support/wire-proxy.ts";

let servers: ReplicatedServer;
beforeAll(async () => {
  servers = await startReplicatedServer(1);
});
afterAll(() => servers?.[Symbol.asyncDispose]());

function ports(of: ReplicatedServer): { primary: number; replica: number } {
  return { primary: of.primary.port, replica: of.replicas[0]?.port ?? 0 };
}

/** One URL with these ports of this machine, in this order. */
function several(of: ReplicatedServer, order: readonly number[], parameters = ""): string {
  const url = new URL(of.primary.url);
  const hosts = order.map((port) => `127.0.0.1:${port}`).join(",");
  return `postgres://${url.username}:${url.password}@${hosts}/postgres${parameters}`;
}

const where = "SELECT inet_server_port() AS port, pg_is_in_recovery() AS replica";

describe("which host is chosen", () => {
  for (const { target, isReplica } of [
    { target: "", isReplica: false },
    { target: "?target_session_attrs=read-write", isReplica: false },
    { target: "?target_session_attrs=primary", isReplica: false },
    { target: "?target_session_attrs=standby", isReplica: true },
    { target: "?target_session_attrs=read-only", isReplica: true },
    { target: "?target_session_attrs=prefer-standby", isReplica: true },
  ]) {
    test(`${target === "" ? "nothing said" : target} finds the ${isReplica ? "replica" : "primary"} in either order, past hosts that are down`, async () => {
      const { primary, replica } = ports(servers);
      for (const order of [
        [primary, replica, 1],
        [1, replica, primary],
      ]) {
        await using database = await openDatabase(several(servers, order, target));
        expect((await database.query(where)).rows).toEqual([
          { port: isReplica ? replica : primary, replica: isReplica },
        ]);
        expect(await database.health()).toMatchObject({
          ok: true,
          server: { role: isReplica ? "replica" : "primary" },
        });
      }
    });
  }

  test("any takes the first that answers", async () => {
    const { primary, replica } = ports(servers);
    await using database = await openDatabase(several(servers, [1, replica, primary], "?target_session_attrs=any"));
    expect((await database.query(where)).rows).toMatchObject([{ port: replica }]);
  });

  test("without a primary the error names each host and what it is", async () => {
    const { replica } = ports(servers);
    await using database = await openDatabase({ url: several(servers, [replica, 1]), pool: { acquireTimeoutMs: 500 } });
    const error = await failureOf(database.query("SELECT 1"));
    expect(error).toMatchObject({ code: "CONNECTION_REFUSED" });
    expect(String(error)).toContain(`127.0.0.1:${replica} is a replica`);
    expect(String(error)).toContain("127.0.0.1:1 (");
  });

  test("a wrong password is told as such", async () => {
    const { primary, replica } = ports(servers);
    const url = several(servers, [primary, replica]).replace(/:[^:@/]+@/, ":wrong@");
    await using database = await openDatabase(url);
    expect(await failureOf(database.query("SELECT 1"))).toMatchObject({ code: "AUTHENTICATION_FAILED" });
  });

  test("the URL is shown with all hosts and without its password", async () => {
    const { primary, replica } = ports(servers);
    await using database = await openDatabase(several(servers, [primary, replica]));
    expect(database.url).toContain(`127.0.0.1:${primary},127.0.0.1:${replica}`);
    expect(database.url).not.toContain(new URL(servers.primary.url).password);
  });

  for (const url of [
    "postgres://u:s3cret@a,,b/x",
    "postgres://u:s3cret@a,:5432/x",
    "postgres://u:s3cret@a,b:99999/x",
    "postgres://u:s3cret@a/x?target_session_attrs=fastest",
  ]) {
    test(`${url.replace("s3cret", "…")} is refused`, async () => {
      const error = await failureOf(openDatabase(url));
      expect(error).toMatchObject({ code: "INVALID_INPUT" });
      expect(String(error)).not.toContain("s3cret");
    });
  }
});

// These two wait for most of their time, each for servers of its own.
test.concurrent("a failover is followed: units are run again and find the new primary", async ({ expect }) => {
  await using pair = await startReplicatedServer(1);
  const { primary, replica } = ports(pair);
  const [standby] = pair.replicas;
  if (standby === undefined) throw new Error("no replica");
  await using database = await openDatabase({
    url: several(pair, [primary, replica]),
    pool: { acquireTimeoutMs: 60_000 },
  });
  const sessions = createSessionFactory(database, { guard: "off" });
  await database.exec("CREATE TABLE notes (id int PRIMARY KEY)");
  await sessions.run({}, (tx) => tx.execute(sql`INSERT INTO notes VALUES (1)`));
  await expect
    .poll(
      async () =>
        (
          await pair.ask<{ count: number }>(
            standby,
            "SELECT count(*)::int AS count FROM pg_class WHERE relname = 'notes'",
          )
        )[0]?.count,
    )
    .toBe(1);
  await pair.primary.stop();
  const waiting = sessions.begin({}, (tx) => tx.execute(sql`INSERT INTO notes VALUES (2)`));
  await pair.promote(standby);
  await waiting;
  expect((await database.query(where)).rows).toEqual([{ port: replica, replica: false }]);
  expect((await database.query("SELECT id FROM notes ORDER BY id")).rows).toEqual([{ id: 1 }, { id: 2 }]);
  expect(database.leases()).toEqual([]);
});

test.concurrent("of two primaries the one that was promoted last is written to, without a connection being lost", async ({
  expect,
}) => {
  await using pair = await startReplicatedServer(1);
  const { primary, replica } = ports(pair);
  const [standby] = pair.replicas;
  if (standby === undefined) throw new Error("no replica");
  await using database = await openDatabase(several(pair, [primary, replica]));
  expect((await database.query(where)).rows).toEqual([{ port: primary, replica: false }]);
  await pair.promote(standby);
  await expect
    .poll(async () => (await database.query(where)).rows, { interval: 200 })
    .toEqual([{ port: replica, replica: false }]);
  for (let round = 0; round < 5; round++) expect((await database.query(where)).rows).toMatchObject([{ port: replica }]);
});

test("what is known of a server is asked again when the address leads elsewhere, a replica is promoted, or a write is refused", async () => {
  await using pair = await startReplicatedServer(1);
  const { primary } = pair;
  const [standby] = pair.replicas;
  if (standby === undefined) throw new Error("no replica");
  const target = { targetHost: "127.0.0.1", targetPort: primary.port };
  await using proxy = await startWireProxy(target);
  await using moved = await openDatabase(proxy.url(primary.url));
  await using promoted = await openDatabase(standby.url);
  const knownOf = async (database: Database) => [(await database.serverFacts()).role, database.backend.listen];
  expect(await knownOf(moved)).toEqual(["primary", true]);
  expect(await knownOf(promoted)).toEqual(["replica", false]);

  const question = expect.stringContaining("pg_is_in_recovery") as string;
  proxy.resetCount();
  expect(await knownOf(moved)).toEqual(["primary", true]);
  await moved.query("SELECT 1");
  expect(proxy.texts).not.toContainEqual(question);
  expect(await failureOf(moved.exec("BEGIN READ ONLY; CREATE TABLE t ()"))).toMatchObject({ code: "READ_ONLY" });
  await moved.query("SELECT 1");
  expect(proxy.texts).toContainEqual(question);

  target.targetPort = standby.port;
  proxy.cutAll();
  await expect.poll(async () => (await moved.health()).server?.role).toBe("replica");
  expect(await knownOf(moved)).toEqual(["replica", false]);

  await pair.promote(standby);
  for (const database of [moved, promoted]) {
    await database.query("SELECT 1");
    expect(await knownOf(database)).toEqual(["primary", true]);
  }
});
