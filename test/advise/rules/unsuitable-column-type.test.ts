import { describe, expect, test } from "vitest";
import { ruleCases, subjectsOf } from "../support.ts";

const { check } = ruleCases("unsuitable-column-type");
const BAD =
  "CREATE DOMAIN app.code AS char(3); CREATE TABLE app.orders (a money, b char(2), c timetz, d app.code, e character)";

describe("unsuitable-column-type", () => {
  test("money, char and timetz are reported with their own reasons, also behind a domain", async () => {
    const { findings } = await check(BAD);
    expect(subjectsOf(findings)).toEqual(["orders.a", "orders.b", "orders.c", "orders.d", "orders.e"]);
    expect(findings[0]?.why).toContain("lc_monetary");
  });

  test("which types to look for can be set", async () => {
    expect(
      subjectsOf((await check(BAD, { rules: { "unsuitable-column-type": { types: ["money"] } } })).findings),
    ).toEqual(["orders.a"]);
  });

  test("other types are right", async () => {
    const { findings, examined } = await check(
      'CREATE TABLE app.orders (a numeric, b text, c varchar(3), d timestamptz, e time, f "char")',
    );
    expect(findings).toEqual([]);
    expect(examined).toBe(6);
  });

  test("it can be silenced for a column", async () => {
    const { findings, silenced } = await check("CREATE TABLE app.orders (a money)", {
      silence: [{ rule: "unsuitable-column-type", subject: "app.orders.a", reason: "one currency for ever" }],
    });
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
