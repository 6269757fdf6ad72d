import { describe, expect, test } from "vitest";
import { ruleCases, subjectsOf } from "../support.ts";

const { check, checkAfterFix, checkAgain, database } = ruleCases("json-instead-of-jsonb");

describe("json-instead-of-jsonb", () => {
  test("a json column is reported, and the fix keeps its documents and default", async () => {
    const { findings } = await check(`
      CREATE TABLE app.todos (id int, data json NOT NULL DEFAULT '{}');
      CREATE INDEX ON app.todos ((data ->> 'kind'));
      INSERT INTO app.todos (id, data) VALUES (1, '{"b": 1, "a": [1, 2]}');`);
    expect(findings).toMatchObject([{ subject: { kind: "column", table: "todos", name: "data" } }]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
    const { rows } = await database().query("SELECT data FROM app.todos WHERE id = 1");
    expect(rows).toEqual([{ data: { a: [1, 2], b: 1 } }]);
  });

  test("the fix refuses when a document has equal keys, because jsonb would lose one", async () => {
    const { findings } = await check(
      `CREATE TABLE app.todos (data json); INSERT INTO app.todos VALUES ('{"a": 1, "a": 2}')`,
    );
    await expect(checkAfterFix(findings[0])).rejects.toThrow("equal keys");
    expect((await checkAgain()).findings).toHaveLength(1);
  });

  test("arrays and domains of json are reported, and left to a person", async () => {
    const { findings } = await check("CREATE DOMAIN app.doc AS json; CREATE TABLE app.todos (a json[], b app.doc)");
    expect(subjectsOf(findings)).toEqual(["todos.a", "todos.b"]);
    expect(findings.map((finding) => finding.fix.sql)).toEqual([undefined, undefined]);
  });

  test("jsonb is right", async () => {
    const { findings, examined } = await check("CREATE TABLE app.todos (a jsonb, b jsonb[], c text)");
    expect(findings).toEqual([]);
    expect(examined).toBe(3);
  });

  test("it can be silenced for a column", async () => {
    const { findings, silenced } = await check("CREATE TABLE app.todos (raw json)", {
      silence: [
        { rule: "json-instead-of-jsonb", subject: "app.todos.raw", reason: "kept as received, for signatures" },
      ],
    });
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
