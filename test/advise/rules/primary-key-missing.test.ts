import { describe, expect, test } from "vitest";
import { ruleCases, subjectsOf } from "../support.ts";

const { check, checkAfterFix, database } = ruleCases("primary-key-missing");

describe("primary-key-missing", () => {
  test("a table without a primary key is reported, and the fix gives each row a key", async () => {
    const { findings } = await check("CREATE TABLE app.notes (body text); INSERT INTO app.notes VALUES ('a'), ('a')");
    expect(findings).toMatchObject([
      {
        severity: "error",
        subject: { kind: "table", schema: "app", name: "notes" },
        documentation: "docs/rules/primary-key-missing.md",
      },
    ]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
    const { rows } = await database().query("SELECT count(DISTINCT id)::int AS ids FROM app.notes");
    expect(rows).toEqual([{ ids: 2 }]);
  });

  test("a unique index on columns that are never null becomes the primary key", async () => {
    const { findings } = await check(
      "CREATE TABLE app.notes (code text NOT NULL, body text); CREATE UNIQUE INDEX notes_code ON app.notes (code)",
    );
    expect(findings[0]?.fix.sql).toContain("USING INDEX");
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("a unique index on a nullable column is no key", async () => {
    const { findings } = await check(
      "CREATE TABLE app.notes (code text, body text); CREATE UNIQUE INDEX ON app.notes (code)",
    );
    expect(findings[0]?.fix.sql).not.toContain("USING INDEX");
  });

  test("a table whose id is no key is left to a person", async () => {
    const { findings } = await check("CREATE TABLE app.notes (id int)");
    expect(findings).toHaveLength(1);
    expect(findings[0]?.fix.sql).toBeUndefined();
  });

  test("a partitioned table is reported once, and its new key holds the partition key", async () => {
    const { findings } = await check(`
      CREATE TABLE app.events (at timestamptz NOT NULL, body text) PARTITION BY RANGE (at);
      CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES FROM ('2026-01-01+00') TO ('2026-02-01+00');
      CREATE TABLE app.events_2 PARTITION OF app.events DEFAULT;`);
    expect(subjectsOf(findings)).toEqual(["events"]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("a table with a primary key, a view and a foreign table are not reported", async () => {
    const { findings, examined } = await check(`
      CREATE TABLE app.notes (id uuid PRIMARY KEY);
      CREATE VIEW app.all_notes AS SELECT * FROM app.notes;`);
    expect(findings).toEqual([]);
    expect(examined).toBe(1);
  });

  test("a silenced table is listed with its reason", async () => {
    const { findings, silenced } = await check("CREATE TABLE app.notes (body text)", {
      silence: [{ rule: "primary-key-missing", subject: "app.notes", reason: "append-only log" }],
    });
    expect(findings).toEqual([]);
    expect(silenced).toMatchObject([{ reason: "append-only log", finding: { subject: { name: "notes" } } }]);
  });
});
