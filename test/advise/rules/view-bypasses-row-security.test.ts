import { describe, expect, test } from "vitest";
import { ruleCases, subjectsOf } from "../support.ts";

const { check, checkAfterFix } = ruleCases("view-bypasses-row-security");
const TABLES =
  'CREATE TABLE app.todos (id int); ALTER TABLE app.todos ENABLE ROW LEVEL SECURITY; CREATE TABLE app.notes (id int); CREATE TABLE app."My Table" (id int); ALTER TABLE app."My Table" ENABLE ROW LEVEL SECURITY;';

describe("view-bypasses-row-security", () => {
  test("a view over a protected table is reported, wherever the table stands in it, and the fix makes it ask as its caller", async () => {
    const { findings } = await check(`${TABLES}
      CREATE VIEW app.plain AS SELECT id FROM app.todos;
      CREATE VIEW app.joined AS SELECT n.id FROM app.notes n JOIN app.todos t ON t.id = n.id;
      CREATE VIEW app.listed AS SELECT n.id FROM (SELECT id, 1 AS one FROM app.notes) n, app.todos WHERE n.id = 1;
      CREATE VIEW app.inside AS SELECT id FROM app.notes WHERE id IN (SELECT m.id FROM app."My Table" m);`);
    expect(subjectsOf(findings)).toEqual(["inside", "joined", "listed", "plain"]);
    expect(findings[0]?.subject.kind).toBe("view");
    for (const finding of findings)
      expect(subjectsOf((await checkAfterFix(finding)).findings)).not.toContain(finding.subject.name);
  });

  test("a materialized view is reported, and left to a person", async () => {
    const { findings } = await check(`${TABLES} CREATE MATERIALIZED VIEW app.copies AS SELECT id FROM app.todos`);
    expect(findings).toMatchObject([{ subject: { name: "copies" }, fix: { sql: undefined } }]);
  });

  test("invoker views, and views over other tables, are right", async () => {
    const { findings, examined } = await check(`${TABLES} CREATE TABLE app.todos_archive (id int, todos int);
      CREATE VIEW app.a WITH (security_invoker) AS SELECT id FROM app.todos;
      CREATE VIEW app.b WITH (security_invoker = on) AS SELECT id FROM app.todos;
      CREATE VIEW app.c AS SELECT id, todos, 'from app.todos' AS text FROM app.todos_archive;`);
    expect(findings).toEqual([]);
    expect(examined).toBe(3);
  });

  test("it can be silenced", async () => {
    const { findings, silenced } = await check(`${TABLES} CREATE VIEW app.plain AS SELECT id FROM app.todos`, {
      silence: [{ rule: "view-bypasses-row-security", subject: "app.plain", reason: "counts only" }],
    });
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
