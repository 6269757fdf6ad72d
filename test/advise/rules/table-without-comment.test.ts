import { describe, expect, test } from "vitest";
import { ruleCases, subjectsOf } from "../support.ts";

const { check } = ruleCases("table-without-comment");

describe("table-without-comment", () => {
  test("tables without a comment, or with an empty one, are reported", async () => {
    const { findings } = await check(
      "CREATE TABLE app.todos (id int); CREATE TABLE app.notes (id int); COMMENT ON TABLE app.notes IS ' '",
    );
    expect(subjectsOf(findings)).toEqual(["notes", "todos"]);
    expect(findings[0]?.severity).toBe("info");
  });

  test("a comment is enough, and partitions need none of their own", async () => {
    const { findings, examined } = await check(`
      CREATE TABLE app.events (id int) PARTITION BY RANGE (id);
      CREATE TABLE app.events_1 PARTITION OF app.events DEFAULT;
      COMMENT ON TABLE app.events IS 'One row per event.';`);
    expect(findings).toEqual([]);
    expect(examined).toBe(1);
  });

  test("it can be silenced", async () => {
    const { findings, silenced } = await check("CREATE TABLE app.todos (id int)", {
      silence: [{ rule: "table-without-comment", subject: "app.todos", reason: "the name says it" }],
    });
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
