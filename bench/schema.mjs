// node schema.mjs [--tables 1000] [--differences 50] [--rounds 9] [--pg-dump COMMAND] [--json]
// The catalog of a large schema is read beside `pg_dump -s` of the same database, and two catalogs are compared and planned.
// pg_dump dumps no server newer than itself, so the server is of its version: 18 as installed with the package, older ones from
// test/versions. Its whole process counts; of ours the connection and the reading in a running process, and a whole one beside it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { readCatalog } from "../dist/catalog/index.js";
import { planMigration } from "../dist/migrate/index.js";
import { startEmbeddedServer } from "../dist/postgres/embedded-server.js";
import { openDatabase } from "../dist/postgres/index.js";
import { generatedSchema } from "./generated-schema.mjs";
import { goal, interleave, median, medianOf, ratioOf } from "./measure.mjs";

const RUNNING = "pgsteward readCatalog, running process";
const WHOLE = "pgsteward readCatalog, whole process";
const PG_DUMP = "pg_dump -s";

const { values: options } = parseArgs({
  options: {
    tables: { type: "string", default: "1000" },
    differences: { type: "string", default: "50" },
    rounds: { type: "string", default: "9" },
    "pg-dump": { type: "string", default: "pg_dump" },
    json: { type: "boolean", default: false },
  },
});
const [tables, differences, rounds] = [options.tables, options.differences, options.rounds].map(Number);
const pgDump = options["pg-dump"].split(" ");

const dumpVersion = await versionOf(pgDump);
const major = dumpVersion === undefined ? 18 : Math.min(18, Number.parseInt(dumpVersion, 10));
const binaries = binariesOf(major);
const server = await startEmbeddedServer(binaries === undefined ? {} : { binaries });
try {
  const before = await build("before", generatedSchema(tables));
  const after = await build("after", generatedSchema(tables, differences));
  const reading = await measureReading(before);
  const planning = await measurePlanning(before, after);
  const report = {
    node: process.version,
    postgres: server.version,
    pgDump: dumpVersion,
    tables,
    ...reading,
    ...planning,
  };
  console.log(options.json ? JSON.stringify(report, undefined, 2) : text(report));
} finally {
  await server.stop();
}

/** `undefined` when there is no such program: then nothing is compared, and the report says so. */
async function versionOf([command, ...args]) {
  const child = spawn(command, [...args, "--version"], { stdio: ["ignore", "pipe", "inherit"] });
  const failed = once(child, "error").then(() => undefined);
  const printed = child.stdout.toArray().then((parts) => /(\d+\.\d+)/.exec(Buffer.concat(parts).toString())?.[1]);
  return Promise.race([failed, printed]);
}

function binariesOf(wanted) {
  if (wanted === 18) return undefined;
  const folder = fileURLToPath(new URL(`../test/versions/node_modules/pg${wanted}`, import.meta.url));
  if (!existsSync(folder))
    throw new Error(`pg_dump is of PostgreSQL ${wanted}, and its server is not there: npm ci --prefix test/versions`);
  return folder;
}

async function build(name, sql) {
  await withDatabase(server.url, (maintenance) => maintenance.exec(`CREATE DATABASE ${name}`));
  const url = new URL(server.url);
  url.pathname = `/${name}`;
  await withDatabase(url.href, async (database) => {
    await database.exec(sql, { timeoutMs: 0 });
    await database.exec("ANALYZE", { timeoutMs: 0 });
  });
  return url.href;
}

async function measureReading(url) {
  const contenders = [
    { name: RUNNING, run: () => readHere(url) },
    {
      name: WHOLE,
      run: () => runProcess([process.execPath, fileURLToPath(new URL("read-catalog.mjs", import.meta.url)), url]),
    },
    ...(dumpVersion === undefined ? [] : [{ name: PG_DUMP, run: () => runProcess([...pgDump, "-s", url]) }]),
  ];
  for (const { run } of contenders) await run();
  const figures = await interleave(contenders, rounds, async ({ name, run }) => {
    const started = performance.now();
    await run();
    const elapsedMs = performance.now() - started;
    if (!options.json) process.stderr.write(`${name}: ${elapsedMs.toFixed(0)} ms\n`);
    return { elapsedMs };
  });
  const rows = contenders.map(({ name }) => ({
    name,
    elapsedMs: medianOf(figures, name, "elapsedMs"),
    ratio: dumpVersion === undefined ? undefined : ratioOf(figures, name, PG_DUMP, "elapsedMs"),
  }));
  const goals = dumpVersion === undefined ? [] : [goal(`${RUNNING} / ${PG_DUMP}`, rows[0].ratio, "at most", 0.7)];
  return { reading: rows, readingGoals: goals };
}

async function readHere(url) {
  const catalog = await withDatabase(url, (database) => readCatalog(database));
  if (catalog.tables.length !== tables) throw new Error(`${catalog.tables.length} tables were read`);
  return catalog;
}

async function withDatabase(url, work) {
  const database = await openDatabase(url);
  try {
    return await work(database);
  } finally {
    await database.close();
  }
}

async function runProcess([command, ...args]) {
  const child = spawn(command, args, { stdio: ["ignore", "ignore", "inherit"] });
  const [code] = await once(child, "exit");
  if (code !== 0) throw new Error(`${command} ${args[0]} ended with ${code}`);
}

/** What is known of a catalog is kept with the object, so every round plans catalogs that were never seen. */
async function measurePlanning(beforeUrl, afterUrl) {
  const before = await readHere(beforeUrl);
  const after = await readHere(afterUrl);
  const times = [];
  let plan;
  for (let round = 0; round < rounds; round++) {
    const [from, to] = [structuredClone(before), structuredClone(after)];
    const started = performance.now();
    plan = planMigration(from, to);
    times.push(performance.now() - started);
  }
  const changes = plan.changes.length;
  if (changes < differences) throw new Error(`${changes} differences were found of ${differences}`);
  return {
    planning: { changes, steps: plan.steps.length, firstMs: times[0], elapsedMs: median(times) },
    planningGoals: [goal("compare and plan in ms, first time in the process", times[0], "at most", 1_000)],
  };
}

function text({ node, postgres, pgDump: version, reading, readingGoals, planning, planningGoals }) {
  const lines = [`Node ${node}, PostgreSQL ${postgres}, ${tables} tables, ${rounds} rounds, medians`];
  if (version === undefined) lines.push("  pg_dump not found: nothing is compared with it (--pg-dump COMMAND)");
  for (const { name, elapsedMs, ratio } of reading)
    lines.push(
      `  ${name.padEnd(42)}${elapsedMs.toFixed(0).padStart(8)} ms${ratio === undefined ? "" : `${ratio.toFixed(2).padStart(8)} x pg_dump`}`,
    );
  lines.push(
    `  ${"planMigration".padEnd(42)}${planning.elapsedMs.toFixed(0).padStart(8)} ms, ${planning.firstMs.toFixed(0)} ms the first time: ${planning.changes} changes, ${planning.steps} steps`,
  );
  for (const { goal: about, value, isMet } of [...readingGoals, ...planningGoals])
    lines.push(`  ${isMet ? "met    " : "NOT MET"} ${about}: ${value.toFixed(2)}`);
  return lines.join("\n");
}
