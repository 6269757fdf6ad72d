// `pgsteward partitions` as a user runs it.
import { join } from "node:path";
import { expect, test } from "vitest";
import { readMigrations } from "../../src/migrate/index.ts";
import { testDatabase } from "../support/test-database.ts";
import { folderWith, runCli } from "./run.ts";

const SETUP = `
CREATE SCHEMA shop;
CREATE TABLE shop.events (id integer, at timestamptz NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE shop.events_old PARTITION OF shop.events FOR VALUES FROM ('2001-01-01 00:00+00') TO ('2001-02-01 00:00+00');
CREATE TABLE shop.chats (tenant text) PARTITION BY LIST (tenant);
CREATE TABLE shop.chats_rest PARTITION OF shop.chats DEFAULT;
INSERT INTO shop.chats VALUES ('acme'), ('other');`;

test("partitions are made ahead, old ones dropped by name only, and status tells what wants attention", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const env = { DATABASE_URL: database.url };
  const status = await runCli(["partitions", "status", "--exit-code"], { env });
  expect(status.code).toBe(1);
  expect(status.stdout).toContain("shop.events  range (at)");
  expect(status.stdout).toContain("! there is no partition for now: rows are refused");
  expect(status.stdout).toContain("! chats_rest holds rows");

  const ensure = ["partitions", "ensure", "shop.events", "--every", "month", "--keep", "12", "--drop"];
  const [unconfirmed, dry] = await Promise.all([runCli(ensure, { env }), runCli([...ensure, "--dry-run"], { env })]);
  expect(unconfirmed).toMatchObject({ code: 64, stderr: expect.stringContaining("--confirm shop.events") as string });
  expect(dry).toMatchObject({ code: 0, stdout: expect.stringContaining('DROP TABLE "shop"."events_old";') as string });
  const done = await runCli([...ensure, "--confirm", "shop.events", "--json"], { env });
  expect(done.code).toBe(0);
  expect(JSON.parse(done.stdout)).toMatchObject({
    managedBy: "pgsteward",
    retired: [{ name: "events_old", how: "dropped" }],
    notDone: [],
  });

  const tenants = await runCli(["partitions", "ensure", "shop.chats", "--values", "acme"], { env });
  expect(tenants).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("made chats_p_acme FOR VALUES IN ('acme'), 1 rows moved into it") as string,
  });
});

test("wrong use of partitions is told with the way out", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const env = { DATABASE_URL: database.url };
  const runs = await Promise.all([
    runCli(["partitions", "ensure", "shop.events"], { env }),
    runCli(["partitions", "ensure", "shop.events", "--every", "fortnight"], { env }),
    runCli(["partitions", "ensure", "shop.events", "--every", "month", "--drop"], { env }),
    runCli(["partitions", "ensure", "shop.nothing", "--hash", "4"], { env }),
  ]);
  expect(runs.map(({ code }) => code)).toEqual([64, 64, 64, 64]);
  expect(runs.map(({ stderr }) => stderr)).toEqual([
    expect.stringContaining("--every, --values and --hash"),
    expect.stringContaining("month"),
    expect.stringContaining("need --keep"),
    expect.stringContaining("partitions status lists"),
  ]);
});

test("the conversion of a table is written as migrations, or printed", async () => {
  await using database = await testDatabase({
    setup: "CREATE TABLE orders (id integer PRIMARY KEY, at timestamptz NOT NULL)",
  });
  const env = { DATABASE_URL: database.url };
  const cwd = folderWith();
  const convert = ["partitions", "convert", "orders", "--range", "at"];
  const [refused, neither, written, dry] = await Promise.all([
    runCli(convert, { env }),
    runCli(["partitions", "convert", "orders"], { env }),
    runCli([...convert, "--weaker-keys", "--json"], { cwd, env }),
    runCli([...convert, "--weaker-keys", "--dry-run", "--every", "year"], { env }),
  ]);
  expect(refused).toMatchObject({ code: 64, stderr: expect.stringContaining("--weaker-keys") as string });
  expect(neither).toMatchObject({ code: 64, stderr: expect.stringContaining("--range, --list and --hash") as string });
  expect(JSON.parse(written.stdout)).toMatchObject({
    files: ["0001_prepare_partitions_of_orders_by_at.sql", "0002_partition_orders_by_at.sql"],
  });
  expect(readMigrations(join(cwd, "migrations"))).toHaveLength(2);
  expect(dry.stdout).toContain('PARTITION BY RANGE ("at")');
});
