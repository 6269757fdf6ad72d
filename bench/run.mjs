// npm run bench -- [--passes 300] [--only drizzle,kysely] [--delay 1] [--server URL of a superuser] [--json]
// Runs pgsteward beside other libraries on PostgreSQL 18, directly and with added latency, and says whether the goals are met.
import { fork } from "node:child_process";
import { once } from "node:events";
import { availableParallelism, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { libraries, OURS, OWN_FORMS, POOL_SIZE } from "./libraries.mjs";
import { measureLatency, measureThroughput, median, medianRatio } from "./measure.mjs";
import { checkIsolation, openBenchDatabase, randomItem, runUnit } from "./workload.mjs";

const WARM_UP_UNITS = 200;
const COUNTED_UNITS = 20;

const { values: options } = parseArgs({
  options: {
    passes: { type: "string", default: "300" },
    only: { type: "string" },
    delay: { type: "string", default: "1" },
    server: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const passes = Number(options.passes);
const delayMs = Number(options.delay);
if (!Number.isInteger(passes) || passes < 1) throw new Error("--passes takes a whole number of at least 1");
if (!Number.isInteger(delayMs) || delayMs < 1) throw new Error("--delay takes whole milliseconds of at least 1");
const rounds = Math.max(3, Math.round(passes / 25));
const chosen = chooseLibraries(options.only);

const database = await openBenchDatabase(options.server);
try {
  const direct = await measureAt("direct", database.url, database.items);
  const proxy = await startDelayProxy(database.url);
  const delayed = await measureAt(`+${delayMs} ms`, proxy.url, database.items, proxy.readFlushes);
  proxy.stop();
  const report = {
    node: process.version,
    postgres: database.version,
    processors: availableParallelism(),
    loadAverage: loadavg()[0],
    passes,
    rounds,
    poolSize: POOL_SIZE,
    settings: [delayed, direct],
    goals: goals(delayed, direct),
  };
  console.log(options.json ? JSON.stringify(report, undefined, 2) : printReport(report));
} finally {
  await database.stop();
}

function chooseLibraries(only) {
  if (only === undefined) return libraries;
  const words = only.split(",").map((word) => word.trim().toLowerCase());
  for (const word of words) {
    if (libraries.some(({ name }) => name.includes(word))) continue;
    throw new Error(
      `--only: no library is called "${word}"; there are: ${libraries.map(({ name }) => name).join(", ")}`,
    );
  }
  return libraries.filter(({ name }) => name === OURS || words.some((word) => name.includes(word)));
}

async function measureAt(setting, url, items, readFlushes) {
  const opened = [];
  try {
    for (const { name, version, open } of chosen) opened.push({ name, version, ...(await open(url)) });
    const flushes = new Map();
    for (const library of opened) {
      await checkIsolation(library, items);
      for (let unit = 0; unit < WARM_UP_UNITS; unit++) await runUnit(library, randomItem(items));
      if (readFlushes !== undefined) flushes.set(library.name, await countFlushes(library, items, readFlushes));
    }
    const latency = await measureLatency(opened, items, passes);
    const throughput = await measureThroughput(opened, items, rounds);
    const results = opened.map(({ name, version }) => ({
      name,
      version,
      flushes: flushes.get(name),
      latencyMs: median(latency.get(name)),
      latencyRatio: medianRatio(latency.get(name), latency.get(OURS)),
      unitsPerSecond: median(throughput.get(name).unitsPerSecond),
      throughputRatio: medianRatio(throughput.get(name).unitsPerSecond, throughput.get(OURS).unitsPerSecond),
      cpuMicrosPerUnit: median(throughput.get(name).cpuMicros),
    }));
    return { setting, results };
  } finally {
    await Promise.all(opened.map(({ close }) => close()));
  }
}

async function countFlushes(library, items, readFlushes) {
  const before = await readFlushes();
  for (let unit = 0; unit < COUNTED_UNITS; unit++) await runUnit(library, randomItem(items));
  return ((await readFlushes()) - before) / COUNTED_UNITS;
}

async function startDelayProxy(url) {
  const target = new URL(url);
  const file = new URL("./delay-proxy.mjs", import.meta.url);
  const child = fork(file, [target.hostname, target.port, String(delayMs)]);
  const [{ port }] = await once(child, "message");
  target.hostname = "127.0.0.1";
  target.port = String(port);
  return {
    url: target.href,
    async readFlushes() {
      const answer = once(child, "message");
      child.send("flushes");
      return (await answer)[0].flushes;
    },
    stop: () => child.disconnect(),
  };
}

/** Ratios of the other libraries to pgsteward are turned round here, to read as the goals do. */
function goals(delayed, direct) {
  const peersOf = ({ results }) => results.filter(({ name }) => !OWN_FORMS.includes(name));
  const drizzleOf = (setting) => peersOf(setting).find(({ name }) => name.startsWith("drizzle"));
  const made = [];
  const drizzleDelayed = drizzleOf(delayed);
  if (drizzleDelayed !== undefined) {
    const value = 1 / drizzleDelayed.latencyRatio;
    made.push({ goal: `latency at ${delayed.setting}: at most 0.35 x drizzle's`, value, isMet: value <= 0.35 });
  }
  const [best] = peersOf(delayed).toSorted((a, b) => b.throughputRatio - a.throughputRatio);
  if (best !== undefined) {
    const value = 1 / best.throughputRatio;
    made.push({
      goal: `throughput at ${delayed.setting}: at least 2 x the best peer's (${best.name})`,
      value,
      isMet: value >= 2,
    });
  }
  const drizzleDirect = drizzleOf(direct);
  if (drizzleDirect !== undefined) {
    const value = 1 / drizzleDirect.throughputRatio;
    made.push({ goal: "throughput direct: at least 1.2 x drizzle's", value, isMet: value >= 1.2 });
  }
  return made;
}

function printReport({ node, postgres, processors, loadAverage, settings, goals: checked }) {
  const lines = [
    `tenant-scoped unit: context + one row by key under row-level security. Node ${node}, PostgreSQL ${postgres}, ${processors} processors`,
    `latency: one unit at a time, median of ${passes} passes. throughput: 16 workers on a pool of ${POOL_SIZE}, median of ${rounds} rounds. x = relative to ${OURS}`,
  ];
  // Client, server and proxy want a processor each; what others take away falls on the throughput first.
  if (loadAverage > 2 * processors)
    lines.push(`the machine is busy (load ${loadAverage.toFixed(1)}): do not trust these figures`);
  for (const { setting, results } of settings) {
    lines.push("", setting, row(["library", "version", "flushes", "latency ms", "x", "units/s", "x", "CPU us/unit"]));
    for (const result of results) {
      lines.push(
        row([
          result.name,
          result.version,
          result.flushes?.toFixed(1) ?? "",
          result.latencyMs.toFixed(2),
          result.latencyRatio.toFixed(2),
          result.unitsPerSecond.toFixed(0),
          result.throughputRatio.toFixed(2),
          result.cpuMicrosPerUnit.toFixed(0),
        ]),
      );
    }
  }
  lines.push("", "goals");
  for (const { goal, value, isMet } of checked)
    lines.push(`  ${isMet ? "met    " : "NOT MET"} ${goal}: ${value.toFixed(2)}`);
  return lines.join("\n");
}

function row([name, version, ...figures]) {
  return `  ${name.padEnd(24)}${version.padEnd(10)}${figures.map((figure) => figure.padStart(12)).join("")}`;
}
