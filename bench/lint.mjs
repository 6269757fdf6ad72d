// node lint.mjs [--files 300] [--folder DIR] [--rounds 11] [--squawk PATH] [--json]
// The linter over a folder of migrations: whole processes (cold, with the cache filled, and squawk when its executable is given),
// interleaved in random order, and one warm process, in milliseconds for a file. Without --folder the files are generated: tables,
// columns, indexes, constraints and rows as applications have them, some safe and some not.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { lintSql } from "../dist/migrate/index.js";
import { interleave, median, medianOf, ratioOf } from "./measure.mjs";

const { values: options } = parseArgs({
  options: {
    files: { type: "string", default: "300" },
    folder: { type: "string" },
    rounds: { type: "string", default: "11" },
    squawk: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const rounds = Number(options.rounds);
const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "pgsteward-bench-lint-"));
try {
  const folder = options.folder ?? generate(Number(options.files));
  const names = readdirSync(folder).filter((name) => name.endsWith(".sql"));
  const paths = names.map((name) => join(folder, name));
  const files = names.map((name) => ({ name, text: readFileSync(join(folder, name), "utf8") }));
  const lint = [process.execPath, main, "lint", folder, "--json", "--fail-on", "never"];
  const contenders = {
    "pgsteward, cold": [...lint, "--no-cache"],
    "pgsteward, cached": lint,
    ...(options.squawk === undefined ? {} : { squawk: [options.squawk, "--reporter", "json", ...paths] }),
  };
  run(lint); // fills the cache
  const opened = Object.entries(contenders).map(([name, command]) => ({ name, command }));
  const figures = await interleave(opened, rounds, ({ command }) => run(command));
  const warm = [];
  const warmCpu = [];
  for (let round = 0; round < rounds + 10; round++) {
    const start = performance.now();
    const before = process.cpuUsage();
    await lintSql(files);
    const { user, system } = process.cpuUsage(before);
    if (round >= 10) {
      warm.push((performance.now() - start) / files.length);
      warmCpu.push((user + system) / 1000 / files.length);
    }
  }
  const bytes = files.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
  const result = {
    files: files.length,
    bytes,
    rounds,
    processes: opened.map(({ name }) => ({
      name,
      cpuMs: Math.round(medianOf(figures, name, "cpuMs")),
      wallMs: Math.round(medianOf(figures, name, "wallMs")),
      ...(figures.has("squawk") && name !== "squawk"
        ? { cpuRatio: ratioOf(figures, name, "squawk", "cpuMs"), wallRatio: ratioOf(figures, name, "squawk", "wallMs") }
        : {}),
    })),
    warmMsPerFile: Number(median(warm).toFixed(3)),
    warmCpuMsPerFile: Number(median(warmCpu).toFixed(3)),
  };
  if (options.json) console.log(JSON.stringify(result, undefined, 2));
  else print(result);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function print({ files, bytes, processes, warmMsPerFile, warmCpuMsPerFile }) {
  console.log(`${files} files, ${bytes} bytes, ${rounds} rounds, medians`);
  for (const { name, cpuMs, wallMs, cpuRatio, wallRatio } of processes) {
    const ratio =
      cpuRatio === undefined
        ? ""
        : `   ${cpuRatio.toFixed(2)} × squawk's CPU time, ${wallRatio.toFixed(2)} × its elapsed time`;
    console.log(
      `${name.padEnd(20)} ${String(cpuMs).padStart(6)} ms CPU ${String(wallMs).padStart(6)} ms elapsed${ratio}`,
    );
  }
  console.log(
    `one warm process     ${warmMsPerFile} ms for a file (goal: at most 1), ${warmCpuMsPerFile} ms of CPU time`,
  );
}

/** CPU time as the shell's `times` tells it of its children; 10 ms is the finest step of some. */
function run(command) {
  const start = performance.now();
  const { stdout, status, stderr } = spawnSync(
    "sh",
    ["-c", '"$@" >/dev/null 2>&1; code=$?; times; exit $code', "sh", ...command],
    {
      encoding: "utf8",
      env: { ...process.env, XDG_CACHE_HOME: join(scratch, "cache") },
    },
  );
  const wallMs = performance.now() - start;
  if (status === null || status > 1)
    throw new Error(`${command.join(" ").slice(0, 200)} ended with ${status}: ${stderr}`);
  const children = stdout.trim().split("\n").at(-1) ?? "";
  const cpuMs = [...children.matchAll(/(\d+)m([\d.]+)s/g)].reduce(
    (sum, [, m, s]) => sum + Number(m) * 60_000 + Number(s) * 1000,
    0,
  );
  return { cpuMs, wallMs };
}

/** Migrations of a made-up shop, always the same. */
function generate(count) {
  const folder = join(scratch, "migrations");
  mkdirSync(folder);
  for (let number = 1; number <= count; number++) {
    const table = `shop_${1 + (number % 40)}`;
    const kinds = [
      `CREATE TABLE ${table}_${number} (\n  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n  name text NOT NULL,\n  price numeric(10, 2) NOT NULL DEFAULT 0,\n  state varchar(20),\n  made_at timestamptz NOT NULL DEFAULT now(),\n  owner_id bigint REFERENCES people (id)\n);\nCREATE INDEX ${table}_${number}_name_idx ON ${table}_${number} (name);\nCOMMENT ON TABLE ${table}_${number} IS 'things number ${number}';\n`,
      `ALTER TABLE ${table} ADD COLUMN note_${number} text;\nALTER TABLE ${table} ADD COLUMN rank_${number} integer NOT NULL DEFAULT ${number};\n`,
      `CREATE INDEX CONCURRENTLY ${table}_state_${number}_idx ON ${table} (state) WHERE state <> 'done';\n`,
      `BEGIN;\nALTER TABLE ${table} ADD CONSTRAINT price_${number} CHECK (price >= 0) NOT VALID;\nCOMMIT;\nALTER TABLE ${table} VALIDATE CONSTRAINT price_${number};\n`,
      `INSERT INTO kinds (name, rank) VALUES\n${Array.from({ length: 40 }, (_, row) => `  ('kind ${number}.${row}', ${row})`).join(",\n")};\n`,
      `ALTER TABLE ${table} ALTER COLUMN state SET NOT NULL;\nUPDATE ${table} SET state = 'new' WHERE state IS NULL;\n`,
      `CREATE OR REPLACE FUNCTION stamp_${number}() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN\n  NEW.made_at := now();\n  RETURN NEW;\nEND\n$$;\nCREATE TRIGGER stamp_${number} BEFORE UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION stamp_${number}();\n`,
      `CREATE VIEW open_${number} AS\nSELECT t.id, t.name, sum(l.amount) AS total\nFROM ${table} AS t\nJOIN lines AS l ON l.thing_id = t.id\nWHERE t.state = 'open'\nGROUP BY t.id, t.name;\n`,
    ];
    const text = `-- migration ${number}\n${kinds[number % kinds.length]}${kinds[(number * 3 + 1) % kinds.length]}`;
    writeFileSync(join(folder, `${String(number).padStart(4, "0")}_change.sql`), text);
  }
  return folder;
}
