import { describe, expect, test } from "vitest";
import { ruleCases, subjectsOf } from "../support.ts";

const { check, checkAfterFix, checkAgain, database } = ruleCases("timestamp-without-time-zone");
const inUtc = { rules: { "timestamp-without-time-zone": { storedTimeZone: "UTC" } } };

describe("timestamp-without-time-zone", () => {
  test("timestamp, timestamp(3), arrays and domains are reported; without the stored zone a person decides", async () => {
    const { findings } = await check(`
      CREATE DOMAIN app.moment AS timestamp;
      CREATE TABLE app.todos (a timestamp, b timestamp(3), c timestamp[], d app.moment);`);
    expect(subjectsOf(findings)).toEqual(["todos.a", "todos.b", "todos.c", "todos.d"]);
    expect(findings.every((finding) => finding.fix.sql === undefined)).toBe(true);
  });

  test("with the stored zone the fix keeps the moment and the default", async () => {
    const { findings } = await check(
      `CREATE TABLE app.todos (id int, due timestamp(3) DEFAULT now(), other timestamp DEFAULT (now() AT TIME ZONE 'UTC'));
       INSERT INTO app.todos VALUES (1, '2026-01-01 12:00:00', '2026-01-01 12:00:00')`,
      inUtc,
    );
    expect(findings).toHaveLength(2);
    for (const finding of findings) await checkAfterFix(finding, inUtc);
    expect((await checkAgain(inUtc)).findings).toEqual([]);
    const { rows } = await database().query(`
      SELECT due = '2026-01-01 12:00:00+00' AND other = due AS same FROM app.todos WHERE id = 1`);
    expect(rows).toEqual([{ same: true }]);
    // A session in another zone gets the moment of now, not a local reading of it.
    await database().exec("BEGIN; SET LOCAL TIME ZONE 'Asia/Tokyo'; INSERT INTO app.todos (id) VALUES (2); COMMIT");
    const later = await database().query(
      "SELECT abs(extract(epoch FROM now() - other)) < 60 AS is_now, abs(extract(epoch FROM now() - due)) < 60 AS due_now FROM app.todos WHERE id = 2",
    );
    expect(later.rows).toEqual([{ is_now: true, due_now: true }]);
  });

  test("a column that a view reads is left to a person, because PostgreSQL refuses the change", async () => {
    const { findings } = await check(
      "CREATE TABLE app.todos (due timestamp); CREATE VIEW app.due_todos AS SELECT due FROM app.todos",
      inUtc,
    );
    expect(findings).toHaveLength(1);
    expect(findings[0]?.fix).toMatchObject({ sql: undefined, description: expect.stringContaining("app.due_todos") });
  });

  test("timestamptz, date and the partitions of a reported table are not reported", async () => {
    const { findings, examined } = await check(`
      CREATE TABLE app.todos (a timestamptz, b date, c time);
      CREATE TABLE app.events (at timestamp) PARTITION BY RANGE (at);
      CREATE TABLE app.events_1 PARTITION OF app.events DEFAULT;`);
    expect(subjectsOf(findings)).toEqual(["events.at"]);
    expect(examined).toBe(4);
  });

  test("it can be silenced for a column", async () => {
    const { findings, silenced } = await check("CREATE TABLE app.todos (opens timestamp, closes timestamp)", {
      silence: [{ rule: "timestamp-without-time-zone", subject: "app.todos.opens", reason: "local opening time" }],
    });
    expect(subjectsOf(findings)).toEqual(["todos.closes"]);
    expect(silenced).toHaveLength(1);
  });
});
