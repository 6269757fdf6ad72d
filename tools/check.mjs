// Every gate of the project, one after the other; stops at the first red one.
//   node tools/check.mjs                 all of them
//   node tools/check.mjs --after-tests   a whole, green test run of exactly these files counts as the tests' gate
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { closingLine, readWholeRun } from "./test-summary.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const gates = [
  ["format", "npx", ["--no-install", "oxfmt", "--check", "."]],
  ["lint and types", "npx", ["--no-install", "oxlint", "--type-aware", "--type-check", "--deny-warnings"]],
  ["floors", process.execPath, ["tools/check-floors.mjs"]],
  ["dead code", "npx", ["--no-install", "knip"]],
  ["build", process.execPath, ["tools/build.mjs"]],
  ["exports", process.execPath, ["tools/check-exports.mjs"]],
  ["package", "npx", ["--no-install", "publint", "--strict"]],
  ["published types", "npx", ["--no-install", "attw", "--pack", ".", "--profile", "esm-only"]],
];
const isAfterTests = process.argv.includes("--after-tests");
if (!isAfterTests) gates.push(["tests", process.execPath, ["tools/test.mjs"]]);

for (const [name, command, args] of gates) {
  const started = performance.now();
  const result = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (result.status !== 0) {
    console.error(`check: ${name} failed after ${seconds} s`);
    process.exit(result.status ?? 1);
  }
  console.log(`check: ${name} passed in ${seconds} s`);
}

if (isAfterTests) {
  const { summary, fault } = readWholeRun();
  if (fault !== undefined) {
    console.error(`check: tests failed: ${fault}`);
    process.exit(1);
  }
  console.log(closingLine(summary));
}
