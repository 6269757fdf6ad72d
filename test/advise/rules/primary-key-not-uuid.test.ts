import { describe, expect, test } from "vitest";
import { ruleCases, subjectsOf } from "../support.ts";

const { check } = ruleCases("primary-key-not-uuid");

describe("primary-key-not-uuid", () => {
  test("integer and text keys are reported with their columns", async () => {
    const { findings } = await check(`
      CREATE TABLE app.todos (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
      CREATE TABLE app.countries (code text PRIMARY KEY);`);
    expect(findings).toMatchObject([
      { subject: { kind: "constraint", table: "countries", name: "countries_pkey" }, columns: ["code"] },
      { subject: { table: "todos" }, columns: ["id"], message: expect.stringContaining("bigint") },
    ]);
  });

  test("a UUID key is right, also behind a domain, beside the tenant, and beside the partition key", async () => {
    const { findings, examined } = await check(`
      CREATE DOMAIN app.key AS uuid;
      CREATE TABLE app.todos (id uuid PRIMARY KEY);
      CREATE TABLE app.notes (id app.key PRIMARY KEY);
      CREATE TABLE app.chats (tenant_id bigint, id uuid, PRIMARY KEY (tenant_id, id));
      CREATE TABLE app.events (id uuid, at timestamptz, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);`);
    expect(findings).toEqual([]);
    expect(examined).toBe(4);
  });

  test("a key made of foreign keys is judged where the columns come from", async () => {
    const { findings } = await check(`
      CREATE TABLE app.a (id int PRIMARY KEY);
      CREATE TABLE app.b (id uuid PRIMARY KEY);
      CREATE TABLE app.a_b (a_id int REFERENCES app.a, b_id uuid REFERENCES app.b, PRIMARY KEY (a_id, b_id));
      CREATE TABLE app.a_detail (a_id int PRIMARY KEY REFERENCES app.a);
      CREATE TABLE app.a_line (a_id int REFERENCES app.a, line int, PRIMARY KEY (a_id, line));`);
    expect(subjectsOf(findings)).toEqual(["a.a_pkey", "a_line.a_line_pkey"]);
    expect(findings[1]?.columns).toEqual(["line"]);
  });

  test("further types can be allowed", async () => {
    const { findings } = await check("CREATE TABLE app.countries (code text PRIMARY KEY)", {
      rules: { "primary-key-not-uuid": { allow: ["text"] } },
    });
    expect(findings).toEqual([]);
  });

  test("it can be silenced by table with a pattern", async () => {
    const { findings, silenced } = await check("CREATE TABLE app.countries (code text PRIMARY KEY)", {
      silence: [{ rule: "primary-key-not-uuid", subject: "app.countr*", reason: "ISO codes" }],
    });
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
