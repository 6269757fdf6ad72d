import { describe, expect, test } from "vitest";
import { ruleCases } from "../support.ts";

const { check, checkAfterFix, checkAgain } = ruleCases("tenant-column-nullable");

describe("tenant-column-nullable", () => {
  test("a tenant column that may be null is reported, and the fix forbids null", async () => {
    const { findings } = await check("CREATE TABLE app.todos (tenant_id uuid)");
    expect(findings).toMatchObject([{ subject: { kind: "column", table: "todos", name: "tenant_id" } }]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("the fix fails while a row has no tenant", async () => {
    const { findings } = await check("CREATE TABLE app.todos (tenant_id uuid); INSERT INTO app.todos VALUES (NULL)");
    await expect(checkAfterFix(findings[0])).rejects.toThrow("null");
    expect((await checkAgain()).findings).toHaveLength(1);
  });

  test("NOT NULL is right", async () => {
    const { findings, examined } = await check("CREATE TABLE app.todos (tenant_id uuid NOT NULL)");
    expect(findings).toEqual([]);
    expect(examined).toBe(1);
  });

  test("it can be silenced", async () => {
    const { findings, silenced } = await check("CREATE TABLE app.todos (tenant_id uuid)", {
      silence: [{ rule: "tenant-column-nullable", subject: "app.todos.tenant_id", reason: "shared templates" }],
    });
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
