// The examples import "pgsteward" as a user's program does, from a package made of this run's sources; the shortest one is run
// as the page about it says, with "pgsteward" meaning this checkout (examples/tsconfig.json). The guide shows parts of them and
// all that they print.
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, inject, test } from "vitest";
import { NODE_FLAGS } from "../support/child-process.ts";
import { runTsc } from "../support/compiled-sources.ts";
import { markdownBlocks } from "../support/markdown-blocks.ts";

const folder = fileURLToPath(new URL("../../examples", import.meta.url));
const compiled = join(inject("packageFolder"), "examples");
const RUN_BY_TSX = "first-unit.ts";

beforeAll(async () => {
  await runTsc([
    "-p",
    folder,
    "--noResolve",
    "--noEmit",
    "false",
    "--rootDir",
    folder,
    "--outDir",
    compiled,
    "--sourceMap",
  ]);
});

const guide = markdownBlocks("docs/guide/sessions.md");
const guidePrograms = readdirSync(folder).filter((name) => /^guide-.*\.ts$/.test(name));

const EXPECTED: Readonly<Record<string, { readonly code: number; readonly stdout: unknown }>> = {
  "first-unit.ts": {
    code: 0,
    stdout: "red sees [ 'red: call the painter', 'red: paint bought' ]\nblue sees []\n",
  },
  "check-in-ci.ts": {
    code: 1,
    stdout: expect.stringMatching(
      /^error: .*placed_at.*\n {2}.*timestamp with time zone[\s\S]*\ntables: 1, errors: 1\n$/,
    ),
  },
  ...Object.fromEntries(guidePrograms.map((name) => [name, { code: 0, stdout: shownOutput(name) }])),
};

function shownOutput(name: string): string {
  const shown = guide.filter(({ origin }) => origin === `output of examples/${name}`);
  return shown.map(({ text }) => text).join("");
}

test("every example is run here", () => {
  expect(
    readdirSync(folder)
      .filter((name) => name.endsWith(".ts"))
      .sort(),
  ).toEqual(Object.keys(EXPECTED).sort());
});

test.each(guidePrograms)("the guide shows %s as it is, part after part", (name) => {
  const source = readFileSync(`${folder}/${name}`, "utf8");
  const shown = guide.filter(({ origin }) => origin === `examples/${name}`);
  expect(shown.length).toBeGreaterThan(0);
  let position = 0;
  for (const { text, line } of shown) {
    const found = source.indexOf(text, position);
    expect(found, `docs/guide/sessions.md:${line} is not in ${name}, or not in this order`).toBeGreaterThanOrEqual(0);
    position = found + text.length;
  }
});

test("the guide's blocks come from programs that exist", () => {
  const origins = new Set(guide.flatMap(({ origin }) => origin?.replace("output of ", "") ?? []));
  expect([...origins].sort()).toEqual(guidePrograms.map((name) => `examples/${name}`).sort());
});

test.each(Object.entries(EXPECTED))("%s does what it says", { timeout: 240_000 }, async (name, expected) => {
  // Warnings about units that are open for long depend on how busy the machine is.
  const program =
    name === RUN_BY_TSX
      ? ["--import", "tsx", name]
      : ["--enable-source-maps", join(compiled, name.replace(/\.ts$/, ".js"))];
  const child = spawn(process.execPath, [...NODE_FLAGS, "--disable-warning=PGSTEWARD_UNIT_WARNING", ...program], {
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
  expect(stdout).toEqual(expected.stdout);
  expect(code).toBe(expected.code);
});
