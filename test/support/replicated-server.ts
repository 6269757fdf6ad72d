// A primary and its streaming replicas, made from the embedded binaries. They bring no pg_basebackup, so the data folder is
// copied between pg_backup_start() and pg_backup_stop().
import { execFile } from "node:child_process";
import { chmod, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";
import { startEmbeddedServer, type EmbeddedServer } from "../../src/postgres/index.ts";
import { ownPort } from "./own-port.ts";

const run = promisify(execFile);

export interface ReplicatedServer extends AsyncDisposable {
  readonly primary: EmbeddedServer;
  readonly replicas: readonly EmbeddedServer[];
  /** Holds a replica back, or lets it go on. Resolves when it does. */
  pauseReplay(replica: EmbeddedServer, isPaused: boolean): Promise<void>;
  /** Makes a replica a primary of its own, on the next timeline. */
  promote(replica: EmbeddedServer): Promise<void>;
  ask<T extends pg.QueryResultRow>(server: EmbeddedServer, sql: string): Promise<T[]>;
}

export async function startReplicatedServer(
  replicaCount = 1,
  settings: Readonly<Record<string, string>> = {},
): Promise<ReplicatedServer> {
  const parent = await mkdtemp(join(tmpdir(), "pgsteward-test-"));
  await chmod(parent, 0o755); // as root, another user runs the servers
  const servers: EmbeddedServer[] = [];
  const end = async (): Promise<void> => {
    for (const server of servers.toReversed()) await server.stop();
    await rm(parent, { recursive: true, force: true });
  };
  try {
    const primary = await startEmbeddedServer({
      dataDir: join(parent, "primary"),
      port: await ownPort(),
      settings: { fsync: "off", wal_level: "replica", max_wal_senders: "8", max_connections: "60", ...settings },
    });
    servers.push(primary);
    for (let number = 1; number <= replicaCount; number++)
      servers.push(await startReplica(primary, join(parent, `replica${number}`), settings));
    // A replica answers before it has found its primary.
    const streaming = "SELECT FROM pg_stat_replication WHERE state = 'streaming'";
    while ((await ask(primary, streaming)).length < replicaCount) await sleep(20);
    return {
      primary,
      replicas: servers.slice(1),
      ask,
      async pauseReplay(replica, isPaused) {
        await ask(replica, isPaused ? "SELECT pg_wal_replay_pause()" : "SELECT pg_wal_replay_resume()");
        // Asking for the pause is not yet having it.
        const state = `SELECT FROM (SELECT pg_get_wal_replay_pause_state()) AS s (now) WHERE now = '${isPaused ? "paused" : "not paused"}'`;
        while ((await ask(replica, state)).length === 0) await sleep(5);
      },
      async promote(replica) {
        await ask(replica, "SELECT pg_promote(true, 30)");
      },
      [Symbol.asyncDispose]: end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

async function startReplica(
  primary: EmbeddedServer,
  dataDir: string,
  settings: Readonly<Record<string, string>>,
): Promise<EmbeddedServer> {
  const client = new pg.Client({ connectionString: primary.url });
  await client.connect();
  try {
    await client.query("SELECT pg_backup_start('replica', true)");
    await copyFolder(primary.dataDir, dataDir);
    const { rows } = await client.query<{ labelfile: string }>("SELECT labelfile FROM pg_backup_stop(false)");
    const { uid, gid } = await stat(join(dataDir, "PG_VERSION"));
    for (const [name, content] of [
      ["backup_label", rows[0]?.labelfile ?? ""],
      ["standby.signal", ""],
    ] as const) {
      await writeFile(join(dataDir, name), content, { mode: 0o600 });
      await run("chown", [`${uid}:${gid}`, join(dataDir, name)]);
    }
    await rm(join(dataDir, "postmaster.pid"), { force: true });
  } finally {
    await client.end();
  }
  const { hostname, port, username, password } = new URL(primary.url);
  return startEmbeddedServer({
    dataDir,
    port: await ownPort(),
    settings: {
      fsync: "off",
      max_connections: "60",
      max_wal_senders: "8",
      ...settings,
      hot_standby: "on",
      primary_conninfo: `host=${hostname} port=${port} user=${username} password=${decodeURIComponent(password)}`,
    },
  });
}

/** Of a server that runs: a file that goes away meanwhile (a cache that is written anew) is no loss, the log has what it meant. */
async function copyFolder(from: string, to: string): Promise<void> {
  await run("cp", ["-a", from, to], { env: { ...process.env, LC_ALL: "C" } }).catch((error: { stderr?: string }) => {
    const complaints = (error.stderr ?? "").trim().split("\n");
    if (!complaints.every((line) => line.endsWith("No such file or directory"))) throw error;
  });
}

async function ask<T extends pg.QueryResultRow>(server: EmbeddedServer, sql: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    return (await client.query<T>(sql)).rows;
  } finally {
    await client.end();
  }
}
