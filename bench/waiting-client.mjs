// node waiting-client.mjs [--rows 1000000] [--lock-timeout 500] [--only check,unique] [--json]
// How long a client that reads and writes a large table all the time waits at most, while the plan of a change runs on it, and
// while the plain statement does, each with another transaction that has the table in use for some seconds at the start. The plan
// has the goal: no wait is longer than the runner's lock_timeout and 200 ms.
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import pg from "pg";
import { readCatalog } from "../dist/catalog/index.js";
import {
  formatExpandPhase,
  inGroups,
  parseMigration,
  planExpandContract,
  planMigration,
  runMigrations,
} from "../dist/migrate/index.js";
import { startEmbeddedServer } from "../dist/postgres/embedded-server.js";
import { openDatabase } from "../dist/postgres/index.js";
import { goal } from "./measure.mjs";

const HELD_MS = 3_000;
const MARGIN_MS = 200;

const { values: options } = parseArgs({
  options: {
    rows: { type: "string", default: "1000000" },
    "lock-timeout": { type: "string", default: "500" },
    only: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const rowCount = Number(options.rows);
const lockTimeoutMs = Number(options["lock-timeout"]);
const source = new URL("../test/migrate/waiting-recipes.json", import.meta.url);
const { schema, rows, recipes } = JSON.parse(readFileSync(source, "utf8"));
const only = options.only?.split(",");
const chosen = recipes.filter(({ name }) => only === undefined || only.some((word) => name.includes(word)));

const server = await startEmbeddedServer();
try {
  const template = await makeDatabase("template_of_all");
  await exec(template, `${schema}\n${rows.replace("ROWS", String(rowCount))}`);
  await exec(template, "ANALYZE");
  const results = [];
  for (const [index, recipe] of chosen.entries()) {
    const migrations = await migrationsOf(recipe, `scratch_${index}`);
    const plan = await worstWait(`plan_${index}`, (url) => runPlan(url, migrations));
    const plain = await worstWait(`plain_${index}`, (url) => exec(url, recipe.sql));
    results.push({ recipe: recipe.name, plan, plain });
    if (!options.json) process.stderr.write(`${line(results.at(-1))}\n`);
  }
  const worst = Math.max(...results.map((result) => result.plan.worstMs)) - lockTimeoutMs;
  const goals = [goal("longest wait in ms beyond lock_timeout while a plan runs", worst, "at most", MARGIN_MS)];
  const report = { node: process.version, postgres: server.version, rowCount, lockTimeoutMs, results, goals };
  console.log(options.json ? JSON.stringify(report, undefined, 2) : text(report));
} finally {
  await server.stop();
}

async function makeDatabase(name, template) {
  await exec(server.url, `CREATE DATABASE ${name}${template === undefined ? "" : ` TEMPLATE ${template}`}`);
  const url = new URL(server.url);
  url.pathname = `/${name}`;
  return url.href;
}

async function exec(url, sql) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

async function migrationsOf({ sql, expand }, scratch) {
  const url = await makeDatabase(scratch);
  const database = await openDatabase(url);
  try {
    await database.exec(schema);
    const before = await readCatalog(database);
    if (expand !== undefined) {
      const { phases } = await planExpandContract(before, expand);
      return phases.map((phase, index) => parseMigration(`${index + 1}_${phase.name}.sql`, formatExpandPhase(phase)));
    }
    await database.exec(sql);
    const { steps } = planMigration(before, await readCatalog(database));
    return [parseMigration("1_change.sql", `-- migrate:up transaction:false\n${inGroups(steps).join("\n")}\n`)];
  } finally {
    await database.close();
  }
}

async function runPlan(url, migrations) {
  const database = await openDatabase(url);
  try {
    await runMigrations(database, migrations, { lockTimeoutMs, lockAttempts: 50, retryWaitMs: 100 });
  } finally {
    await database.close();
  }
}

/** A copy of the filled database; the holder and the client are there before `work` begins. */
async function worstWait(name, work) {
  const url = await makeDatabase(name, "template_of_all");
  const holder = new pg.Client({ connectionString: url });
  await holder.connect();
  await holder.query("BEGIN");
  await holder.query("UPDATE events SET touched = touched + 1 WHERE id = 1");
  const client = await startClient(url);
  const started = performance.now();
  const [, tookMs] = await Promise.all([
    sleep(HELD_MS).then(() => holder.query("COMMIT")),
    work(url).then(() => performance.now() - started),
  ]);
  const { worstMs, statements } = await client.stop();
  await holder.end();
  await exec(server.url, `DROP DATABASE ${name} WITH (FORCE)`);
  return { worstMs, statements, tookMs };
}

/** Writes a row and reads another, over and over. */
async function startClient(url) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  let isRunning = true;
  let worstMs = 0;
  let statements = 0;
  const timed = async (sql, values) => {
    const started = performance.now();
    await client.query(sql, values);
    worstMs = Math.max(worstMs, performance.now() - started);
    statements++;
  };
  const work = (async () => {
    for (let round = 0; isRunning; round++) {
      const id = 2 + ((round * 7_919) % (rowCount - 1));
      await timed("UPDATE events SET touched = touched + 1 WHERE id = $1", [id]);
      await timed("SELECT owner_id, touched FROM events WHERE id = $1", [rowCount - id + 2]);
    }
  })();
  return {
    async stop() {
      isRunning = false;
      await work;
      await client.end();
      return { worstMs, statements };
    },
  };
}

function line({ recipe, plan, plain }) {
  const figures = [plan.worstMs, plan.tookMs, plain.worstMs, plain.tookMs].map((ms) => ms.toFixed(0).padStart(10));
  return `  ${recipe.padEnd(40)}${figures.join("")}`;
}

function text({ node, postgres, results, goals }) {
  const heads = ["plan: wait", "took ms", "plain:wait", "took ms"].map((head) => head.padStart(10));
  const lines = [
    `Node ${node}, PostgreSQL ${postgres}, ${rowCount} rows, lock_timeout ${lockTimeoutMs} ms, a holder for ${HELD_MS} ms`,
    `  ${"longest wait of the client, ms".padEnd(40)}${heads.join("")}`,
    ...results.map(line),
  ];
  for (const { goal: about, value, isMet } of goals)
    lines.push(`  ${isMet ? "met    " : "NOT MET"} ${about}: ${value.toFixed(0)}`);
  return lines.join("\n");
}
