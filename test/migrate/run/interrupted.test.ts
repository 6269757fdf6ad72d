// Runners that are killed, cancelled, or kept waiting by others: on a real server only.
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import {
  ensurePartitions,
  parseMigration,
  readMigrationHistory,
  readMigrationStatus,
  runBackfill,
  runMigrations,
  type MigrationEvent,
} from "../../../src/migrate/index.ts";
import {
  CancelledError,
  ConnectionLostError,
  LockNotAvailableError,
  openDatabase,
  ReplicasBehindError,
  type Database,
} from "../../../src/postgres/index.ts";
import { refuseOldServer } from "../../../src/migrate/run/runner-session.ts";
import { startChild } from "../../support/child-process.ts";
import { failureOf } from "../../support/failure-of.ts";
import { findPgBouncer, startPgBouncer } from "../../support/pgbouncer.ts";
import { startReplicatedServer } from "../../support/replicated-server.ts";
import { testDatabase } from "../../support/test-database.ts";

const phased = (file: string, up: string) => parseMigration(file, `-- migrate:up transaction:false\n${up}\n`);
const migration = (file: string, up: string) => parseMigration(file, `-- migrate:up\n${up}\n`);

/** Runs the files in a process of its own, which tells each event as a line of JSON. */
const RUNNER = `
import { openDatabase } from "SRC/postgres/index.ts";
import { parseMigration, runMigrations } from "SRC/migrate/index.ts";
const { URL_OF_DATABASE: url = "", FILES = "[]" } = process.env;
const database = await openDatabase({ url, applicationName: "deploy 1" });
const files = JSON.parse(FILES).map(([file, text]) => parseMigration(file, text));
await runMigrations(database, files, { lockTimeoutMs: 300, onEvent: (event) => console.log(JSON.stringify(event)) });
`;

const startRunner = (database: Database, files: readonly ReturnType<typeof migration>[]) =>
  startChild(RUNNER, {
    URL_OF_DATABASE: database.url,
    FILES: JSON.stringify(files.map(({ file, text }) => [file, text])),
  });

async function eventOf(child: Awaited<ReturnType<typeof startRunner>>, line: number): Promise<void> {
  for (;;) {
    const event = (await child.readJson()) as MigrationEvent;
    if (event.kind === "statementStarted" && event.line === line) return;
  }
}

const SLEEPING_SQL = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";

/** Waits until a question has the answer that the test needs to go on. */
async function until(database: Database, sql: string): Promise<void> {
  for (;;) {
    const { rows } = await database.query(sql);
    if (rows.length > 0) return;
    await sleep(20);
  }
}

test("a runner killed in the middle of group 2 of 3 has done group 1 only, and the next run does the rest once", async () => {
  await using database = await testDatabase();
  const files = [
    phased(
      "1_a.sql",
      `BEGIN; CREATE TABLE t (a int); INSERT INTO t VALUES (1); COMMIT;
BEGIN; INSERT INTO t VALUES (2);
SELECT pg_sleep(60) WHERE current_setting('application_name') = 'deploy 1';
INSERT INTO t VALUES (3); COMMIT;
BEGIN; INSERT INTO t VALUES (4); COMMIT;`,
    ),
  ];
  await using child = await startRunner(database, files);
  await eventOf(child, 4); // which is told before the statement is sent
  await until(database, SLEEPING_SQL);
  // Another runner is told who is at it, and may wait.
  const refused = await failureOf(runMigrations(database, files, { runnerWaitMs: 0 }));
  expect(refused).toBeInstanceOf(LockNotAvailableError);
  expect((refused as LockNotAvailableError).holders).toMatchObject([{ application: "deploy 1", state: "active" }]);
  expect((refused as Error).message).toMatch(
    /another run .* as role \w+, connected since .*; it is held by process \d+, deploy 1, active/,
  );
  expect((await readMigrationStatus(database, files)).runner).toMatchObject({ application: "deploy 1" });

  await child.kill("SIGKILL");
  const events: MigrationEvent[] = [];
  // The server notices the loss by itself within seconds, and rolls back.
  await runMigrations(database, files, { onEvent: (event) => events.push(event) });
  expect(events).toContainEqual(expect.objectContaining({ kind: "migrationStarted", position: 2, statements: 6 }));
  expect((await database.query("SELECT a FROM t ORDER BY a")).rows.map(({ a }) => a as number)).toEqual([1, 2, 3, 4]);
  expect(await readMigrationHistory(database)).toMatchObject([{ state: "done", position: 6 }]);
  expect((await readMigrationStatus(database, files)).runner).toBeUndefined();
});

test("a runner killed in the middle of CREATE INDEX CONCURRENTLY leaves an invalid index, which the next run builds again", async () => {
  await using database = await testDatabase({ setup: "CREATE TABLE t (a int); INSERT INTO t VALUES (1);" });
  const files = [
    phased("1_a.sql", "CREATE TABLE before ();\nCREATE INDEX CONCURRENTLY t_a ON t (a);\nCREATE TABLE after ();"),
  ];
  await using writer = await database.connect();
  await writer.exec("BEGIN; UPDATE t SET a = 2"); // the build waits for it, far longer than the runner's lock_timeout
  await using child = await startRunner(database, files);
  await eventOf(child, 3);
  await until(
    database,
    "SELECT FROM pg_stat_progress_create_index WHERE datname = current_database() AND phase = 'waiting for writers before build'",
  );
  await sleep(600);
  await child.kill("SIGKILL");
  await until(database, "SELECT WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'deploy 1')");
  await writer.exec("COMMIT");
  expect((await database.query("SELECT indisvalid FROM pg_index WHERE indexrelid = 't_a'::regclass")).rows).toEqual([
    { indisvalid: false },
  ]);
  expect(await readMigrationHistory(database)).toMatchObject([
    { state: "running", position: 1, intent: { indexes: [] } },
  ]);

  const events: MigrationEvent[] = [];
  await runMigrations(database, files, { onEvent: (event) => events.push(event) });
  expect(events).toContainEqual(
    expect.objectContaining({ kind: "recovered", what: "the invalid index public.t_a was dropped" }),
  );
  expect((await database.query("SELECT indisvalid FROM pg_index WHERE indexrelid = 't_a'::regclass")).rows).toEqual([
    { indisvalid: true },
  ]);
  expect(await readMigrationHistory(database)).toMatchObject([{ state: "done", position: 3 }]);
});

test("two runners at once: the second waits, and finds nothing left to do", async () => {
  await using database = await testDatabase();
  const files = [migration("1_a.sql", "CREATE TABLE t ();\nSELECT pg_advisory_xact_lock(1);")];
  await using gate = await database.connect();
  await gate.exec("BEGIN; SELECT pg_advisory_xact_lock(1)");
  const events: MigrationEvent[] = [];
  const onEvent = (event: MigrationEvent): void => {
    events.push(event);
    if (event.kind === "waitingForRunner" && gate.transactionStatus !== "idle") void gate.exec("COMMIT");
  };
  const runs = await Promise.all([
    runMigrations(database, files, { onEvent }),
    runMigrations(database, files, { onEvent }),
  ]);
  expect(runs.flatMap(({ done }) => done)).toHaveLength(1);
  expect(events.some(({ kind }) => kind === "waitingForRunner")).toBe(true);
});

test("two histories are made at the same time, and know nothing of each other", async () => {
  await using database = await testDatabase();
  const histories = ["a", "b", "c"].map((table) => ({ schema: "pgsteward", table }));
  await Promise.all(
    histories.map((history) =>
      runMigrations(database, [migration("1_a.sql", `CREATE TABLE ${history.table} ();`)], { history }),
    ),
  );
  for (const history of histories) expect(await readMigrationHistory(database, { history })).toHaveLength(1);
});

test("a lock that others hold is tried again and again, with growing waits, until it is free", async () => {
  await using database = await testDatabase({ setup: "CREATE TABLE t (a int)" });
  const files = [migration("1_a.sql", "CREATE TABLE new ();\nALTER TABLE t ADD COLUMN b int;")];
  const options = { lockTimeoutMs: 400, retryWaitMs: 20 }; // who holds the lock is asked half way, on a connection of its own
  await using blocker = await database.connect();
  await blocker.exec("BEGIN; LOCK TABLE t IN ACCESS SHARE MODE");
  // A busy machine may ask too late: then another run tells who held it.
  let error: unknown;
  do {
    error = await failureOf(runMigrations(database, files, { ...options, lockAttempts: 2 }));
    expect(error).toBeInstanceOf(LockNotAvailableError);
  } while ((error as LockNotAvailableError).holders.length === 0);
  expect((error as LockNotAvailableError).holders).toMatchObject([{ state: "idle in transaction" }]);
  expect((error as Error).message).toContain("1_a.sql:3:1: canceling statement due to lock timeout");
  expect((error as LockNotAvailableError).hint).toMatch(/tried 2 times.*nothing of 1_a.sql was kept/);

  const retries: Extract<MigrationEvent, { kind: "lockRetry" }>[] = [];
  const areNamed = (): boolean => retries.some(({ holders }) => holders.length > 0);
  await runMigrations(database, files, {
    ...options,
    lockAttempts: 50,
    onEvent: (event) => {
      if (event.kind !== "lockRetry") return;
      retries.push(event);
      if (retries.length >= 3 && areNamed() && blocker.transactionStatus !== "idle") void blocker.exec("COMMIT");
    },
  });
  expect(retries.slice(0, 3)).toMatchObject(
    [1, 2, 3].map((attempt) => ({ attempt, attempts: 50, line: 3, statement: 2 })),
  );
  for (const [index, { waitMs }] of retries.slice(0, 3).entries()) {
    expect(waitMs).toBeGreaterThanOrEqual(10 * 2 ** index);
    expect(waitMs).toBeLessThanOrEqual(20 * 2 ** index);
  }
  expect(retries.find(({ holders }) => holders.length > 0)?.holders).toMatchObject([{ state: "idle in transaction" }]);
});

test("aborting cancels the statement that runs and says how to go on; so does a connection that is lost", async () => {
  await using database = await testDatabase({ setup: "CREATE TABLE t (a int)" });
  const files = [
    phased(
      "1_a.sql",
      "INSERT INTO t VALUES (1);\nSELECT pg_sleep(60) WHERE NOT EXISTS (SELECT FROM t WHERE a = 9);\nINSERT INTO t VALUES (2);",
    ),
    migration("2_b.sql", "SELECT 1;"),
  ];
  const abort = new AbortController();
  const onEvent = (event: MigrationEvent): void => {
    if (event.kind === "statementStarted" && event.line === 3)
      void until(database, SLEEPING_SQL).then(() => abort.abort());
  };
  const cancelled = await failureOf(runMigrations(database, files, { signal: abort.signal, onEvent }));
  expect(cancelled).toBeInstanceOf(CancelledError);
  expect((cancelled as CancelledError).message).toBe("1_a.sql:3: cancelled in statement 2 of 3");
  expect((cancelled as CancelledError).hint).toBe(
    "statement 1 of 3 of 1_a.sql is done and stays, 1 after it was not begun: pgsteward migrate up goes on at line 3",
  );

  const lost = failureOf(
    runMigrations(database, files, {
      onEvent: (event) => {
        if (event.kind !== "statementStarted" || event.line !== 3) return;
        void until(
          database,
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'",
        );
      },
    }),
  );
  expect(await lost).toBeInstanceOf(ConnectionLostError);
  expect(((await lost) as ConnectionLostError).hint).toContain("pgsteward migrate up goes on at line 3");
  await database.exec("INSERT INTO t VALUES (9)");
  await runMigrations(database, files);
  expect((await database.query("SELECT a FROM t ORDER BY a")).rows.map(({ a }) => a as number)).toEqual([1, 2, 9]);
});

test("an interrupted DETACH PARTITION CONCURRENTLY is finished, and what REINDEX CONCURRENTLY left is dropped", async () => {
  await using database = await testDatabase({
    setup: `CREATE TABLE p (a int) PARTITION BY RANGE (a); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9);
CREATE TABLE t (a int); CREATE INDEX t_a ON t (a); INSERT INTO t VALUES (1);`,
  });
  const files = [phased("1_a.sql", "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY;\nREINDEX INDEX CONCURRENTLY t_a;")];
  await using other = await database.connect();
  const cancelAt = async (line: number, waiting: string): Promise<unknown> => {
    const abort = new AbortController();
    const onEvent = (event: MigrationEvent): void => {
      if (event.kind !== "statementStarted" || event.line !== line) return;
      void until(database, waiting).then(() => abort.abort());
    };
    await other.exec("BEGIN; SELECT FROM p; UPDATE t SET a = 2");
    const failed = await failureOf(runMigrations(database, files, { signal: abort.signal, onEvent }));
    await other.exec("ROLLBACK");
    return failed;
  };
  expect(await cancelAt(2, "SELECT FROM pg_inherits WHERE inhdetachpending")).toBeInstanceOf(CancelledError);
  expect((await database.query("SELECT inhdetachpending FROM pg_inherits")).rows).toEqual([{ inhdetachpending: true }]);
  const events: MigrationEvent[] = [];
  const abort = new AbortController();
  // The second statement is interrupted too, while its new index waits for a writer.
  await other.exec("BEGIN; UPDATE t SET a = 2");
  await failureOf(
    runMigrations(database, files, {
      signal: abort.signal,
      onEvent: (event) => {
        events.push(event);
        if (event.kind === "statementStarted" && event.line === 3)
          void until(database, "SELECT FROM pg_class WHERE relname = 't_a_ccnew'").then(() => abort.abort());
      },
    }),
  );
  await other.exec("ROLLBACK");
  expect((await database.query("SELECT FROM pg_inherits")).rows).toEqual([]);
  await runMigrations(database, files, { onEvent: (event) => events.push(event) });
  expect(events.filter((event) => event.kind === "recovered").map(({ what }) => what)).toEqual([
    "the detach of p1, which was half done, is finished",
    "the invalid index public.t_a_ccnew was dropped",
  ]);
  expect(
    (
      await database.query(
        "SELECT indexrelid::regclass::text AS name, indisvalid FROM pg_index WHERE indrelid = 't'::regclass",
      )
    ).rows,
  ).toEqual([{ name: "t_a", indisvalid: true }]);
});

test("each group waits for the replicas; one that lags is an error that leaves the group done", async () => {
  await using servers = await startReplicatedServer();
  const [replica] = servers.replicas;
  if (replica === undefined) throw new Error("asked for one");
  await using database = await openDatabase({ url: servers.primary.url });
  const files = [migration("1_a.sql", "CREATE TABLE t ();"), migration("2_b.sql", "CREATE TABLE u ();")];
  await runMigrations(database, files, { count: 1, replicaWaitMs: 20_000 });
  expect(await servers.ask(replica, "SELECT to_regclass('t') IS NOT NULL AS found")).toEqual([{ found: true }]);
  await servers.pauseReplay(replica, true);
  const behind = await failureOf(runMigrations(database, files, { replicaWaitMs: 300 }));
  await servers.pauseReplay(replica, false);
  expect(behind).toBeInstanceOf(ReplicasBehindError);
  expect((behind as ReplicasBehindError).message).toMatch(/after 300 ms the replica \S+ is \d+ bytes behind/);
  expect(await readMigrationHistory(database)).toMatchObject([{ state: "done" }, { version: "2", state: "done" }]);
  await using standby = await openDatabase({ url: replica.url });
  await expect(runMigrations(standby, files)).rejects.toThrow(/this server is a replica/);
});

test.runIf(findPgBouncer() !== undefined)(
  "a pooler is refused, because the lock belongs to a session; a backfill takes none",
  async () => {
    await using server = await testDatabase({
      setup:
        "CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1), (2); CREATE TABLE e (at date) PARTITION BY RANGE (at)",
    });
    await using pooler = await startPgBouncer(server.url);
    await using database = await openDatabase({ url: pooler.url });
    const policy = { kind: "range", schema: "public", table: "e", every: "month" } as const;
    const refusal = /need a connection of their own, and a pooler stands between/;
    await expect(runMigrations(database, [])).rejects.toThrow(refusal);
    await expect(ensurePartitions(database, policy)).rejects.toThrow(refusal);
    const filling = { name: "n", schema: "public", table: "t", set: "n = id", where: "n IS NULL" };
    expect(await runBackfill(database, filling)).toMatchObject({ state: "done", rowsChanged: 2 });
    const ours =
      "SELECT FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    expect((await server.query(ours)).rows).toEqual([]);
  },
);

test("a server older than PostgreSQL 14 is refused", () => {
  expect(() => refuseOldServer(130_021, "13.21")).toThrow(
    "the server is PostgreSQL 13.21; migrations need 14 or newer",
  );
  expect(() => refuseOldServer(140_000, "14.0")).not.toThrow();
});
