// What the last whole test run gave, so that `check --after-tests` need not run it again. A run that is older than any file it
// tested does not count.
import { readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const file = join(root, ".test-results", "whole-run.json");
const tested = [
  "src",
  "test",
  "migrations",
  "docs",
  "examples",
  "tools",
  "package.json",
  "package-lock.json",
  "vitest.config.ts",
  "tsconfig.json",
];

export function closingLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

export function forgetWholeRun() {
  rmSync(file, { force: true });
}

export function rememberWholeRun(summary) {
  writeFileSync(file, JSON.stringify(summary));
}

/** `{ summary }`, or `{ fault }` when there is no whole, green run of the files as they are. */
export function readWholeRun() {
  const ranAt = statSync(file, { throwIfNoEntry: false })?.mtimeMs;
  if (ranAt === undefined) return { fault: "there was no whole, green run: npm test" };
  const changed = tested.flatMap(filesOf).find((path) => statSync(join(root, path)).mtimeMs > ranAt);
  if (changed !== undefined) return { fault: `${changed} was changed after the tests ran: npm test` };
  return { summary: JSON.parse(readFileSync(file, "utf8")) };
}

function filesOf(path) {
  const info = statSync(join(root, path), { throwIfNoEntry: false });
  if (info === undefined) return [];
  if (!info.isDirectory()) return [path];
  return readdirSync(join(root, path), { recursive: true, encoding: "utf8" })
    .filter((name) => !name.includes("node_modules"))
    .map((name) => join(path, name))
    .filter((name) => statSync(join(root, name), { throwIfNoEntry: false })?.isFile() === true);
}
