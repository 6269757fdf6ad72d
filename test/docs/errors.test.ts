import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ERROR_CODES } from "../../src/postgres/index.ts";

const page = readFileSync(new URL("../../docs/errors.md", import.meta.url), "utf8");
const rows = page.split("\n").flatMap((line) => {
  const [, code, meaning, remedy, status, exitCode] =
    /^\| `([A-Z_]+)` \| (.+) \| (.+) \| (\d+) \| (\d+) \|$/.exec(line) ?? [];
  return code === undefined ? [] : [{ code, meaning, remedy, httpStatus: Number(status), exitCode: Number(exitCode) }];
});

test("docs/errors.md lists every code with its HTTP status and exit code, and no other", () => {
  const documented = Object.fromEntries(rows.map(({ code, httpStatus, exitCode }) => [code, { httpStatus, exitCode }]));
  expect(documented).toEqual(ERROR_CODES);
  expect(rows).toHaveLength(Object.keys(ERROR_CODES).length);
});

test("docs/cli.md explains every exit code that an error can end with", () => {
  const cli = readFileSync(new URL("../../docs/cli.md", import.meta.url), "utf8");
  for (const { exitCode } of rows) expect(cli).toMatch(new RegExp(`^\\| (?:\\d+, )?${exitCode}\\b`, "m"));
});
