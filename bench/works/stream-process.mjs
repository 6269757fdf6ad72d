// Started with: fork("stream-process.mjs", [form, url, rows]); sends { rowsPerSecond, growthMb } and ends.
import { sql } from "../../node_modules/drizzle-orm/index.js";
import { pgsteward, postgresJs } from "../clients.mjs";

const BATCH = 1_000;
const SAMPLE_EVERY = 10_000;

const forms = {
  async pgsteward(url, rowCount, see) {
    const limits = { unitTimeoutMs: 0, statementTimeoutMs: 0, unitWarningMs: 0 };
    const { client: sessions, close } = await pgsteward.connect(url, { limits });
    await sessions.begin({}, async (tx) => {
      const query = sql`SELECT generate_series(1, ${rowCount}::int) AS n, repeat('x', 40) AS title, '{"a": 1}'::jsonb AS payload`;
      for await (const row of tx.stream(query, { batchSize: BATCH })) see(row);
    });
    await close();
  },
  async postgresJs(url, rowCount, see) {
    const { client: db, close } = await postgresJs.connect(url);
    const query = db`SELECT generate_series(1, ${rowCount}::int) AS n, repeat('x', 40) AS title, '{"a": 1}'::jsonb AS payload`;
    for await (const rows of query.cursor(BATCH)) for (const row of rows) see(row);
    await close();
  },
};

const [form, url, rows] = process.argv.slice(2);
const rowCount = Number(rows);
let seen = 0;
let baseline = 0;
let peak = 0;
const started = performance.now();
await forms[form](url, rowCount, (row) => {
  // From the first row on: modules and the connection are there.
  if (seen === 0) baseline = process.memoryUsage.rss();
  seen++;
  if (row.n !== seen || row.payload.a !== 1) throw new Error(`row ${seen} is another: ${JSON.stringify(row)}`);
  if (seen % SAMPLE_EVERY === 0) peak = Math.max(peak, process.memoryUsage.rss());
});
if (seen !== rowCount) throw new Error(`${seen} rows came instead of ${rowCount}`);
process.send({
  rowsPerSecond: (rowCount * 1000) / (performance.now() - started),
  growthMb: (peak - baseline) / (1024 * 1024),
});
process.disconnect();
