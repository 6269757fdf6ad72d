// npm run bench -- [--only change,bulk,drizzle] [--passes 300] [--delay 1] [--server URL of a superuser] [--long] [--json]
// Runs pgsteward beside other libraries on PostgreSQL 18, work by work, and says whether the goals are met.
import { availableParallelism, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { startDelayProxy } from "./delay.mjs";
import { printReport } from "./report.mjs";
import { openBenchDatabase } from "./workload.mjs";
import { agents } from "./works/agents.mjs";
import { bulkInsert } from "./works/bulk-insert.mjs";
import { children } from "./works/children.mjs";
import { pages } from "./works/pages.mjs";
import { processor } from "./works/processor.mjs";
import { read } from "./works/read.mjs";
import { readModifyWrite } from "./works/read-modify-write.mjs";
import { stream } from "./works/stream.mjs";

const WORKS = [read, readModifyWrite, processor, bulkInsert, children, agents, pages, stream];

const { values: options } = parseArgs({
  options: {
    only: { type: "string" },
    passes: { type: "string", default: "300" },
    delay: { type: "string", default: "1" },
    server: { type: "string" },
    long: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const passes = Number(options.passes);
const delayMs = Number(options.delay);
if (!Number.isInteger(passes) || passes < 1) throw new Error("--passes takes a whole number of at least 1");
if (!Number.isInteger(delayMs) || delayMs < 1) throw new Error("--delay takes whole milliseconds of at least 1");
const { works, isChosen } = choose(options.only);

const database = await openBenchDatabase(options.server);
const proxy = await startDelayProxy(database.url, delayMs);
try {
  const measured = [];
  for (const work of works) {
    const chosen = work.contenders.filter(isChosen);
    if (!options.json) process.stderr.write(`${work.name} …\n`);
    const figures = await work.measure({ database, proxy, chosen, passes, isLong: options.long });
    measured.push({ work: work.name, title: work.title, loadAverage: loadavg()[0], ...figures });
  }
  const report = {
    node: process.version,
    postgres: database.version,
    processors: availableParallelism(),
    passes,
    works: measured,
  };
  console.log(options.json ? JSON.stringify(report, undefined, 2) : printReport(report));
} finally {
  proxy.stop();
  await database.stop();
}

/** Words of `--only` are names of works, or parts of names of libraries; pgsteward always takes part. */
function choose(only) {
  const words = only === undefined ? [] : only.split(",").map((word) => word.trim().toLowerCase());
  const isWork = (word) => WORKS.some(({ name }) => name === word);
  const names = [...new Set(WORKS.flatMap(({ contenders }) => contenders.map(({ name }) => name.toLowerCase())))];
  for (const word of words) {
    if (isWork(word) || names.some((name) => name.includes(word))) continue;
    throw new Error(
      `--only: no work and no library is called "${word}"; works: ${WORKS.map(({ name }) => name).join(", ")}; libraries: ${names.join(", ")}`,
    );
  }
  const wanted = words.filter((word) => !isWork(word));
  return {
    works: words.some(isWork) ? WORKS.filter(({ name }) => words.includes(name)) : WORKS,
    isChosen: ({ name }) =>
      wanted.length === 0 || name.startsWith("pgsteward") || wanted.some((word) => name.toLowerCase().includes(word)),
  };
}
