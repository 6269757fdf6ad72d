// The examples run from their sources, with "pgsteward" meaning this checkout (examples/tsconfig.json).
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { expect, test } from "vitest";

const folder = fileURLToPath(new URL("../../examples", import.meta.url));
const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;

const EXPECTED: Readonly<Record<string, { readonly code: number; readonly stdout: RegExp }>> = {
  "first-unit.ts": {
    code: 0,
    stdout: /^red sees \[ 'red: call the painter', 'red: paint bought' \]\nblue sees \[\]\n$/,
  },
  "check-in-ci.ts": {
    code: 1,
    stdout: /^error: .*placed_at.*\n {2}.*timestamp with time zone[\s\S]*\ntables: 1, errors: 1\n$/,
  },
};

test("every example is run here", () => {
  expect(
    readdirSync(folder)
      .filter((name) => name.endsWith(".ts"))
      .sort(),
  ).toEqual(Object.keys(EXPECTED).sort());
});

test.each(Object.entries(EXPECTED))("%s does what it says", { timeout: 240_000 }, async (name, expected) => {
  const child = spawn(process.execPath, ["--import", tsx, name], {
    cwd: folder,
    env: { ...process.env, TSX_TSCONFIG_PATH: `${folder}/tsconfig.json` },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const code = await new Promise((resolve) => child.on("close", resolve));
  expect(stderr).toBe("");
  expect(stdout).toMatch(expected.stdout);
  expect(code).toBe(expected.code);
});
