// node --expose-gc rows.mjs [--rows 100000] [--pages 1000000] [--stream 10000000] [--rounds 5] [--server URL of a superuser]
// Many rows: bulk insert beside drizzle's values() and raw COPY (interleaved, median ratios), buffers read by page 1 and page
// 10,000 of a table, and how much the heap grows while a long result is streamed.
import { Readable } from "node:stream";
import { parseArgs } from "node:util";
import { drizzle } from "../node_modules/drizzle-orm/node-postgres/index.js";
import * as model from "../node_modules/drizzle-orm/pg-core/index.js";
import { sql } from "../node_modules/drizzle-orm/index.js";
import pg from "pg";
import { createSessionFactory } from "../dist/session/index.js";
import { openDatabase, startEmbeddedServer } from "../dist/postgres/index.js";
import { median } from "./measure.mjs";

const { values: options } = parseArgs({
  options: {
    rows: { type: "string", default: "100000" },
    pages: { type: "string", default: "1000000" },
    stream: { type: "string", default: "10000000" },
    rounds: { type: "string", default: "5" },
    server: { type: "string" },
  },
});

const chunks = model.pgTable("chunks", {
  id: model.uuid("id").primaryKey(),
  number: model.integer("number").notNull(),
  body: model.text("body").notNull(),
  at: model.timestamp("at", { withTimezone: true }).notNull(),
  data: model.jsonb("data").notNull(),
});
const entries = model.pgTable("entries", {
  id: model.integer("id").primaryKey(),
  at: model.timestamp("at", { withTimezone: true }).notNull(),
});

const bench =
  options.server === undefined ? await startEmbeddedServer() : { url: options.server, stop: async () => {} };
const owner = new pg.Client({ connectionString: bench.url });
await owner.connect();
await owner.query("DROP DATABASE IF EXISTS pgsteward_bench_rows");
await owner.query("CREATE DATABASE pgsteward_bench_rows");
await owner.end();
const url = new URL(bench.url);
url.pathname = "/pgsteward_bench_rows";
const db = await openDatabase({ url: url.href, pool: { size: 2 }, statementTimeoutMs: 600_000 });
const statements = [];
const observer = { flushed: (record) => statements.push(...record.statements.map(({ statement }) => statement)) };
const limits = { statementTimeoutMs: 600_000, unitTimeoutMs: 1_200_000, unitWarningMs: 0, gapWarningMs: 0 };
const sessions = createSessionFactory(db, { guard: "off", limits });
const watched = createSessionFactory(db, { guard: "off", limits, observers: [observer] });
const pool = new pg.Pool({ connectionString: url.href, max: 1 });

async function bulk() {
  await db.exec(
    "CREATE TABLE chunks (id uuid PRIMARY KEY, number int NOT NULL, body text NOT NULL, at timestamptz NOT NULL, data jsonb NOT NULL)",
  );
  const rows = Array.from({ length: Number(options.rows) }, (_, n) => ({
    id: `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`,
    number: n,
    body: `the text of chunk ${n}`,
    at: new Date(1.7e12 + n),
    data: { n, tags: ["a", "b"] },
  }));
  const lines = function* () {
    for (const { id, number, body, at, data } of rows)
      yield `${id}\t${number}\t${body}\t${at.toISOString()}\t${JSON.stringify(data)}\n`;
  };
  const plain = drizzle(pool);
  const ways = {
    "copyIn (COPY)": () => sessions.begin({}, (tx) => tx.copyIn(chunks, undefined, Readable.from(lines()))),
    "bulkInsert, auto": () => sessions.begin({}, (tx) => tx.bulkInsert(chunks, rows)),
    "bulkInsert, json": () => sessions.begin({}, (tx) => tx.bulkInsert(chunks, rows, { method: "json" })),
    "drizzle values(), 1000 at a time": () =>
      plain.transaction(async (tx) => {
        for (let start = 0; start < rows.length; start += 1000)
          await tx.insert(chunks).values(rows.slice(start, start + 1000));
      }),
  };
  const times = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const name of Object.keys(ways).toSorted(() => Math.random() - 0.5)) {
      await db.exec("TRUNCATE chunks");
      const started = performance.now();
      await ways[name]();
      times[name].push(performance.now() - started);
    }
  }
  const copy = times["copyIn (COPY)"];
  for (const [name, taken] of Object.entries(times)) {
    const ratio = median(taken.map((ms, round) => ms / copy[round]));
    console.log(`${name.padEnd(34)} ${median(taken).toFixed(0).padStart(7)} ms   ${ratio.toFixed(2)} x COPY`);
  }
}

async function pages() {
  await db.exec(`CREATE TABLE entries (id int PRIMARY KEY, at timestamptz NOT NULL);
    INSERT INTO entries SELECT n, now() + (n / 3) * interval '1 ms' FROM generate_series(1, ${Number(options.pages)}) AS n;
    CREATE INDEX ON entries (at, id)`);
  await db.exec("VACUUM ANALYZE entries");
  const ask = (limit, after) =>
    watched.run({}, (tx) => tx.page(entries, { orderBy: { column: entries.at, direction: "desc" }, limit, after }));
  const buffers = async () => {
    const { text, values } = statements.at(-1);
    const { rows } = await db.query(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${text}`, values);
    const plan = Object.values(rows[0])[0][0].Plan;
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"];
  };
  await ask(20);
  const first = await buffers();
  let after;
  for (let read = 0; read < 9_999 * 20; read += 9_999) ({ nextCursor: after } = await ask(9_999, after));
  await ask(20, after);
  const deep = await buffers();
  const { rows } = await db.query(
    "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM entries ORDER BY at DESC, id DESC LIMIT 20 OFFSET 199980",
  );
  const offset = Object.values(rows[0])[0][0].Plan;
  console.log(
    `page 1: ${first} buffers, page 10,000: ${deep} buffers (${(deep / first).toFixed(2)} x), by OFFSET: ${offset["Shared Hit Blocks"] + offset["Shared Read Blocks"]}`,
  );
}

async function stream() {
  const collect = globalThis.gc ?? (() => undefined);
  collect();
  const before = process.memoryUsage();
  const highest = { heapUsed: 0, rss: 0 };
  let count = 0;
  const started = performance.now();
  await sessions.begin({}, async (tx) => {
    const rows = tx.stream(
      sql`SELECT n, md5(n::text) AS body FROM (SELECT generate_series(1, ${Number(options.stream)}::int) AS n) AS s`,
      { batchSize: 2_000 },
    );
    for await (const row of rows) {
      if (row !== undefined) count++;
      if (count % 500_000 !== 0) continue;
      collect();
      for (const key of Object.keys(highest))
        highest[key] = Math.max(highest[key], process.memoryUsage()[key] - before[key]);
    }
  });
  const seconds = (performance.now() - started) / 1_000;
  console.log(
    `stream: ${count} rows in ${seconds.toFixed(1)} s, heap grew by ${(highest.heapUsed / 1e6).toFixed(1)} MB, the process by ${(highest.rss / 1e6).toFixed(1)} MB at most`,
  );
}

try {
  await bulk();
  await pages();
  await stream();
} finally {
  await pool.end();
  await db.close();
  await bench.stop();
}
