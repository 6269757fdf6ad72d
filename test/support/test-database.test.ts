// The harness is what every other test believes, so it is tested itself.
import { expect, inject, test } from "vitest";
import { Client } from "pg";
import { describeDatabases, testDatabase } from "./test-database.ts";

describeDatabases((kind, open) => {
  test("each use gets an empty database", async () => {
    for (let use = 0; use < 2; use++) {
      await using database = await open({
        setup: "CREATE SCHEMA extra; CREATE TABLE public.mark (id int); CREATE EXTENSION citext;",
      });
      const { rows } = await database.query(
        "SELECT count(*)::int AS tables FROM pg_catalog.pg_class WHERE relname = 'mark'",
      );
      expect(rows).toEqual([{ tables: 1 }]);
      expect(database.kind).toBe(kind);
    }
  });
});

test("the database is gone after its use, and its URL opens it with a password before", async () => {
  const database = await testDatabase();
  const client = new Client(database.url);
  await client.connect();
  const { rows } = await client.query<{ name: string }>("SELECT current_database() AS name");
  await client.end();
  await database.close();
  const admin = new Client(inject("serverUrl"));
  await admin.connect();
  const left = await admin.query("SELECT FROM pg_catalog.pg_database WHERE datname = $1", [rows[0]?.name]);
  await admin.end();
  expect(left.rowCount).toBe(0);
});

test("the run's server preloads pg_stat_statements and does logical decoding", async () => {
  await using database = await testDatabase({ setup: "CREATE EXTENSION pg_stat_statements" });
  const { rows } = await database.query(
    "SELECT current_setting('wal_level') AS wal, current_setting('track_io_timing') AS timing, count(*) > 0 AS recorded FROM pg_stat_statements",
  );
  expect(rows).toEqual([{ wal: "logical", timing: "on", recorded: true }]);
});
