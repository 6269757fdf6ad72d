import { describe, expect, test } from "vitest";
import { ruleCases, subjectsOf } from "../support.ts";

const { check, checkAfterFix } = ruleCases("row-security-not-forced");
const ENABLE = "ALTER TABLE app.todos ENABLE ROW LEVEL SECURITY;";

describe("row-security-not-forced", () => {
  test("a table whose owner is exempt is reported, and the fix forces it", async () => {
    const { findings } = await check(`CREATE TABLE app.todos (id int); ${ENABLE}`);
    expect(findings).toMatchObject([{ severity: "error", subject: { kind: "table", name: "todos" } }]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("partitions are reported with their parent, and alone when only they are not forced", async () => {
    const partitions = `
      CREATE TABLE app.todos (at int) PARTITION BY RANGE (at);
      CREATE TABLE app.todos_1 PARTITION OF app.todos DEFAULT; ${ENABLE} ALTER TABLE app.todos_1 ENABLE ROW LEVEL SECURITY;`;
    const { findings } = await check(partitions);
    expect(subjectsOf(findings)).toEqual(["todos"]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
    const alone = await check(`${partitions} ALTER TABLE app.todos FORCE ROW LEVEL SECURITY;`);
    expect(subjectsOf(alone.findings)).toEqual(["todos_1"]);
  });

  test("forced tables are right, and tables without row-level security are not examined", async () => {
    const { findings, examined } = await check(`
      CREATE TABLE app.todos (id int); ALTER TABLE app.todos FORCE ROW LEVEL SECURITY; ${ENABLE}
      CREATE TABLE app.notes (id int);`);
    expect(findings).toEqual([]);
    expect(examined).toBe(1);
  });

  test("it can be silenced", async () => {
    const { findings, silenced } = await check(`CREATE TABLE app.todos (id int); ${ENABLE}`, {
      silence: [{ rule: "row-security-not-forced", subject: "app.todos", reason: "the owner cannot log in" }],
    });
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
