// `pgsteward migrate drop` as a user runs it, up to the end of what was kept.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  findDataLoss,
  previewMigrations,
  readDataLoss,
  readMigrations,
  runMigrations,
} from "../../src/migrate/index.ts";
import { testDatabase } from "../support/test-database.ts";
import { folderWith, runCli } from "./run.ts";

test("a column goes in two files without a question, comes back, and is let go only when its name is given", async () => {
  await using database = await testDatabase({
    setup: `CREATE TABLE orders (id int PRIMARY KEY, note text NOT NULL); INSERT INTO orders VALUES (1, 'a');
      CREATE VIEW ids AS SELECT id FROM orders;`,
  });
  const cwd = folderWith({ "migrations/0007_before.sql": "-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 1;\n" });
  const run = (...args: string[]) => runCli(["migrate", ...args], { cwd, env: { DATABASE_URL: database.url } });
  const [dry, refused, wrong, early] = await Promise.all([
    run("drop", "column", "orders.note", "--dry-run"),
    run("drop", "table", "orders"),
    run("drop", "orders"),
    run("drop", "--forget", "column", "orders.note"),
  ]);
  expect(dry).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('ALTER COLUMN "note" DROP NOT NULL') as string,
  });
  expect(refused).toMatchObject({
    code: 64,
    stderr: expect.stringContaining("view public.ids depends on public.orders") as string,
  });
  expect(wrong).toMatchObject({
    code: 64,
    stderr: expect.stringContaining("column shop.orders.note | table shop.drafts") as string,
  });
  expect(early).toMatchObject({
    code: 64,
    stderr: expect.stringContaining("nothing is kept of public.orders.note") as string,
  });
  const written = await run("drop", "column orders.note", "--json");
  expect(JSON.parse(written.stdout)).toMatchObject({
    files: ["0008_release_orders_note.sql", "0009_drop_orders_note.sql"],
    change: { kind: "column", schema: "public", table: "orders", column: "note" },
  });
  expect(readdirSync(join(cwd, "migrations"))).toHaveLength(3);

  // Nothing of it loses anything, there or back, until what is kept is let go.
  const folder = join(cwd, "migrations");
  const lossesOf = async (direction: "up" | "down"): Promise<readonly string[]> => {
    const planned = await previewMigrations(database, readMigrations(folder), direction, {
      count: direction === "up" ? 3 : 2,
    });
    const found =
      direction === "up"
        ? (await readDataLoss(database, planned)).flatMap(({ losses }) => losses)
        : (await Promise.all(planned.map((each) => findDataLoss(each)))).flat();
    return found.map(({ what }) => what);
  };
  expect(await lossesOf("up")).toEqual([]);
  await runMigrations(database, readMigrations(folder));
  expect(await lossesOf("down")).toEqual([]);
  expect(await run("drop", "--forget", "column", "orders.note")).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("0010_forget_orders_note.sql") as string,
  });
  expect(await lossesOf("up")).toEqual(["pgsteward_kept.orders__note holds rows, and is dropped"]);
});
