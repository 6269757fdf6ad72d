// node migrations.mjs [--files 500] [--rounds 10] [--json]
// Migrations applied by our runner and by node-pg-migrate: one process for each file, as deployments and tests call it, and its
// whole run in one process with a client that stays open. Each round applies the next files in each contender's own database.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { runner } from "node-pg-migrate";
import pg from "pg";
import { compareCatalogs, readCatalog } from "../dist/catalog/index.js";
import { readMigrations, runMigrations } from "../dist/migrate/index.js";
import { startEmbeddedServer } from "../dist/postgres/embedded-server.js";
import { openDatabase } from "../dist/postgres/index.js";
import { goal, interleave, medianOf, ratioOf } from "./measure.mjs";

const OURS = "pgsteward runMigrations";
const PROCESSES = "node-pg-migrate, one process per file";
const IN_PROCESS = "node-pg-migrate, all in one process";

const { values: options } = parseArgs({
  options: {
    files: { type: "string", default: "500" },
    rounds: { type: "string", default: "10" },
    json: { type: "boolean", default: false },
  },
});
const [files, rounds] = [options.files, options.rounds].map(Number);
if (files % rounds !== 0) throw new Error("--files is a multiple of --rounds");
const perRound = files / rounds;

const scratch = mkdtempSync(join(tmpdir(), "pgsteward-bench-migrations-"));
const server = await startEmbeddedServer();
try {
  const folders = writeFolders();
  const urls = await makeDatabases(["ours", "processes", "in_process"]);
  const contenders = [
    { name: OURS, apply: (round) => applyOurs(urls.ours, folders.ours, round) },
    { name: IN_PROCESS, apply: () => applyInProcess(urls.in_process, folders.theirs) },
    { name: PROCESSES, apply: () => applyByProcesses(urls.processes, folders.theirs) },
  ].map((contender) => ({ ...contender, round: 0 }));
  const figures = await interleave(contenders, rounds, async (contender) => {
    const started = performance.now();
    await contender.apply(++contender.round);
    return { elapsedMs: performance.now() - started };
  });
  await checkEqual(urls);
  const rows = contenders.map(({ name }) => ({
    name,
    msPerFile: medianOf(figures, name, "elapsedMs") / perRound,
    totalMs: figures.get(name).reduce((sum, { elapsedMs }) => sum + elapsedMs, 0),
    ratio: ratioOf(figures, name, OURS, "elapsedMs"),
  }));
  const goals = [goal(`${PROCESSES} / ${OURS}`, rows[2].ratio, "at least", 3)];
  const report = { node: process.version, postgres: server.version, files, rounds, rows, goals };
  console.log(options.json ? JSON.stringify(report, undefined, 2) : text(report));
} finally {
  await server.stop();
  rmSync(scratch, { recursive: true, force: true });
}

/** The same SQL in the form of each tool. */
function writeFolders() {
  const folders = { ours: join(scratch, "ours"), theirs: join(scratch, "theirs") };
  for (const folder of Object.values(folders)) mkdirSync(folder);
  for (let number = 1; number <= files; number++) {
    const [up, down] = statements(number);
    const name = `${String(number).padStart(4, "0")}_change.sql`;
    writeFileSync(join(folders.ours, name), `-- ${name}\n-- migrate:up\n${up}\n-- migrate:down\n${down}\n`);
    writeFileSync(join(folders.theirs, name), `-- ${name}\n-- Up Migration\n${up}\n-- Down Migration\n${down}\n`);
  }
  return folders;
}

function statements(number) {
  const table = `thing_${number - ((number - 1) % 5)}`;
  const kinds = [
    [
      `CREATE TABLE ${table} (\n  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n  label text NOT NULL,\n  made_at timestamptz NOT NULL DEFAULT now()\n);`,
      `DROP TABLE ${table};`,
    ],
    [
      `ALTER TABLE ${table} ADD COLUMN ranking integer NOT NULL DEFAULT 0;`,
      `ALTER TABLE ${table} DROP COLUMN ranking;`,
    ],
    [`CREATE INDEX ${table}_made_at ON ${table} (made_at);`, `DROP INDEX ${table}_made_at;`],
    [
      `ALTER TABLE ${table} ADD CONSTRAINT ${table}_ranking CHECK (ranking >= 0);\nCOMMENT ON TABLE ${table} IS 'things';`,
      `ALTER TABLE ${table} DROP CONSTRAINT ${table}_ranking;`,
    ],
    [`INSERT INTO ${table} (label, ranking) VALUES ('first', 1), ('second', 2);`, `DELETE FROM ${table};`],
  ];
  return kinds[(number - 1) % kinds.length];
}

async function makeDatabases(names) {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  for (const name of names) await client.query(`CREATE DATABASE ${name}`);
  await client.end();
  return Object.fromEntries(
    names.map((name) => {
      const url = new URL(server.url);
      url.pathname = `/${name}`;
      return [name, url.href];
    }),
  );
}

/** Opening the database and reading the folder belong to it. */
async function applyOurs(url, folder, round) {
  await withDatabase(url, async (database) => {
    const { done } = await runMigrations(database, readMigrations(folder), { count: perRound });
    if (done.length !== perRound) throw new Error(`${done.length} migrations were applied in round ${round}`);
  });
}

async function applyInProcess(databaseUrl, dir) {
  const done = await runner({
    databaseUrl,
    dir,
    direction: "up",
    count: perRound,
    migrationsTable: "pgmigrations",
    log: () => undefined,
  });
  if (done.length !== perRound) throw new Error(`${done.length} migrations were applied`);
}

async function applyByProcesses(url, folder) {
  const manifest = createRequire(import.meta.url).resolve("node-pg-migrate/package.json");
  const program = join(dirname(manifest), "bin", "node-pg-migrate.js");
  for (let file = 0; file < perRound; file++) {
    const child = spawn(process.execPath, [program, "up", "1", "-m", folder], {
      stdio: ["ignore", "ignore", "inherit"],
      env: { ...process.env, DATABASE_URL: url },
      cwd: dirname(fileURLToPath(import.meta.url)),
    });
    const [code] = await once(child, "exit");
    if (code !== 0) throw new Error(`node-pg-migrate ended with ${code}`);
  }
}

/** All must have made the same tables, with the same rows. */
async function checkEqual(urls) {
  const made = await Promise.all(
    Object.values(urls).map((url) =>
      withDatabase(url, async (database) => {
        const { rows } = await database.query("SELECT count(*)::int AS n FROM thing_1");
        const catalog = await readCatalog(database, { schemas: ["public"] });
        const isMade = ({ name }) => name.startsWith("thing_");
        return { rows: rows[0].n, catalog: { ...catalog, tables: catalog.tables.filter(isMade) } };
      }),
    ),
  );
  const isHistory = ({ after, before }) => (after ?? before)?.id?.includes("pgmigrations");
  for (const other of made.slice(1)) {
    const differences = compareCatalogs(made[0].catalog, other.catalog).filter((change) => !isHistory(change));
    if (differences.length > 0 || other.rows !== made[0].rows || other.catalog.tables.length !== Math.ceil(files / 5))
      throw new Error(`the contenders made different tables: ${JSON.stringify(differences).slice(0, 500)}`);
  }
}

async function withDatabase(url, work) {
  const database = await openDatabase(url);
  try {
    return await work(database);
  } finally {
    await database.close();
  }
}

function text({ node, postgres, rows, goals }) {
  const lines = [`Node ${node}, PostgreSQL ${postgres}, ${files} migrations in ${rounds} rounds, medians`];
  for (const { name, msPerFile, totalMs, ratio } of rows)
    lines.push(
      `  ${name.padEnd(42)}${msPerFile.toFixed(1).padStart(8)} ms a file${(totalMs / 1_000).toFixed(1).padStart(8)} s in all${ratio.toFixed(2).padStart(8)} x`,
    );
  for (const { goal: about, value, isMet } of goals)
    lines.push(`  ${isMet ? "met    " : "NOT MET"} ${about}: ${value.toFixed(2)}`);
  return lines.join("\n");
}
