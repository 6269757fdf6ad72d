// Runs the tests and prints one closing line. A run that executed nothing, or skipped anything, fails.
//   node tools/test.mjs [vitest arguments, e.g. a file name or -t "part of a name"]
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { closingLine, forgetWholeRun, rememberWholeRun } from "./test-summary.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const report = join(root, ".test-results", "report.json");
const selected = process.argv.slice(2);
rmSync(report, { force: true });
mkdirSync(join(root, ".test-results"), { recursive: true });
if (selected.length === 0) forgetWholeRun();

const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
const run = spawnSync(
  process.execPath,
  [vitest, "run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`, ...selected],
  {
    cwd: root,
    stdio: "inherit",
  },
);
if (!existsSync(report)) {
  console.error("tests: the runner wrote no report");
  process.exit(run.status || 1);
}

const {
  numPassedTests: passed,
  numFailedTests: failed,
  numPendingTests: pending,
  numTodoTests: todo,
  success,
} = JSON.parse(readFileSync(report, "utf8"));
const skipped = pending + todo;
console.log(closingLine({ passed, failed, skipped }));
if (passed === 0) console.error("tests: nothing was executed");
const isWholeRun = selected.length === 0;
if (isWholeRun && skipped > 0) console.error("tests: a whole run must skip nothing");
const isGreen = run.status === 0 && success && passed > 0 && !(isWholeRun && skipped > 0);
if (isWholeRun && isGreen) rememberWholeRun({ passed, failed, skipped });
process.exit(isGreen ? 0 : 1);
