import { describe, expect, test } from "vitest";
import { ruleCases, subjectsOf } from "../support.ts";

const { check, checkAfterFix, checkAgain } = ruleCases("definer-function-without-search-path");
const definer = (name: string, rest = ""): string =>
  `CREATE FUNCTION app.${name} RETURNS int LANGUAGE sql SECURITY DEFINER ${rest} AS 'SELECT 1';`;

describe("definer-function-without-search-path", () => {
  test("functions and procedures are reported, overloads each, and the fix sets the path", async () => {
    const { findings } = await check(
      `${definer("f(a int, VARIADIC b text[])")} ${definer("f()")} CREATE PROCEDURE app.p(INOUT a int) LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';`,
    );
    expect(subjectsOf(findings)).toEqual(["f", "f", "p"]);
    for (const finding of findings) await checkAfterFix(finding);
    expect((await checkAgain()).findings).toEqual([]);
  });

  test("functions with a path, and those with their caller's rights, are right", async () => {
    const { findings, examined } = await check(
      `${definer("f()", "SET search_path = pg_catalog")} ${definer("g()", "SET search_path = ''")} CREATE FUNCTION app.h() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
    );
    expect(findings).toEqual([]);
    expect(examined).toBe(2);
  });

  test("it can be silenced", async () => {
    const { findings, silenced } = await check(definer("f()"), {
      silence: [{ rule: "definer-function-without-search-path", subject: "app.f", reason: "names no object" }],
    });
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
