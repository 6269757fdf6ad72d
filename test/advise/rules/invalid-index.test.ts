import { describe, expect, test } from "vitest";
import { ruleCases, subjectsOf } from "../support.ts";

const { check, checkAfterFix, checkAgain, database } = ruleCases("invalid-index");
const DUPLICATES = "CREATE TABLE app.todos (a int); INSERT INTO app.todos VALUES (1), (1)";

async function failedBuild(): Promise<void> {
  await expect(database().exec("CREATE UNIQUE INDEX CONCURRENTLY broken ON app.todos (a)")).rejects.toThrow(
    "could not create unique index",
  );
}

describe("invalid-index", () => {
  test("what a failed concurrent build leaves behind is reported, and rebuilt by the fix once the duplicates are gone", async () => {
    await check(DUPLICATES);
    await failedBuild();
    const { findings } = await checkAgain();
    expect(findings).toMatchObject([
      { severity: "error", subject: { kind: "index", table: "todos", name: "broken" }, columns: ["a"] },
    ]);
    await database().exec("DELETE FROM app.todos WHERE ctid = (SELECT min(ctid) FROM app.todos)");
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("the left-over of a failed REINDEX CONCURRENTLY is dropped by the fix", async () => {
    await check(DUPLICATES);
    await failedBuild();
    await expect(database().exec("REINDEX INDEX CONCURRENTLY app.broken")).rejects.toThrow(
      "could not create unique index",
    );
    const { findings } = await checkAgain();
    expect(subjectsOf(findings)).toEqual(["todos.broken", "todos.broken_ccnew"]);
    expect(findings[1]?.fix.sql).toMatch(/^DROP INDEX CONCURRENTLY/);
    expect(subjectsOf((await checkAfterFix(findings[1])).findings)).toEqual(["todos.broken"]);
  });

  test("an index on a partitioned table that waits for its partitions is not a failed one", async () => {
    const { findings, examined } = await check(`
      CREATE TABLE app.events (a int) PARTITION BY RANGE (a);
      CREATE TABLE app.events_1 PARTITION OF app.events DEFAULT;
      CREATE INDEX waiting ON ONLY app.events (a);`);
    expect(findings).toEqual([]);
    expect(examined).toBe(1);
  });

  test("an index that is being built is not reported", async () => {
    await check("CREATE TABLE app.todos (a int)");
    const writer = await database().connect();
    const builder = await database().connect();
    try {
      // The concurrent build waits for this transaction, so it stands at a known place while the catalog is read.
      await writer.exec("BEGIN; INSERT INTO app.todos VALUES (1)");
      const build = builder.exec("CREATE INDEX CONCURRENTLY slow ON app.todos (a)");
      for (;;) {
        const { rows } = await database().query(
          "SELECT FROM pg_stat_progress_create_index AS p JOIN pg_index AS i ON i.indexrelid = p.index_relid WHERE NOT i.indisvalid",
        );
        if (rows.length > 0) break;
      }
      const during = await checkAgain();
      await writer.exec("COMMIT");
      await build;
      expect(during.findings).toEqual([]);
      expect(during.examined).toBe(1);
    } finally {
      writer.release();
      builder.release();
    }
  });

  test("valid indexes are right", async () => {
    const { findings, examined } = await check("CREATE TABLE app.todos (a int PRIMARY KEY)");
    expect(findings).toEqual([]);
    expect(examined).toBe(1);
  });

  test("it can be silenced", async () => {
    await check(DUPLICATES);
    await failedBuild();
    const { findings, silenced } = await checkAgain({
      silence: [{ rule: "invalid-index", subject: "app.todos.broken", reason: "rebuilt tonight" }],
    });
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
