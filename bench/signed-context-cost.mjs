// node signed-context-cost.mjs [--units 200] [--rounds 40] [--server URL of a superuser] [--json]
// What a signed tenant context costs: the same read by key with the plain policy and with the signed one, interleaved in
// slices in random order; elapsed time per unit and per query inside a unit, and their ratio.
import { randomBytes } from "node:crypto";
import { parseArgs } from "node:util";
import pg from "pg";
import { sql } from "../node_modules/drizzle-orm/index.js";
import { openDatabase } from "../dist/postgres/index.js";
import { createSessionFactory, createSignedContextFunctions, signedTenantCondition } from "../dist/session/index.js";
import { startEmbeddedServer } from "../dist/postgres/embedded-server.js";
import { median } from "./measure.mjs";

const { values: options } = parseArgs({
  options: {
    units: { type: "string", default: "200" },
    rounds: { type: "string", default: "40" },
    server: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const units = Number(options.units);
const rounds = Number(options.rounds);
const PLAIN = "tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)";
const QUERIES_PER_UNIT = 20;

const server =
  options.server === undefined ? await startEmbeddedServer() : { url: options.server, stop: async () => {} };
const admin = new pg.Client({ connectionString: server.url });
await admin.connect();
await admin.query("DROP DATABASE IF EXISTS pgsteward_bench");
await admin.query("CREATE DATABASE pgsteward_bench");
await admin.query("DO $$ BEGIN CREATE ROLE app; EXCEPTION WHEN duplicate_object THEN NULL; END $$");
await admin.end();
const url = new URL(server.url);
url.pathname = "/pgsteward_bench";

const key = randomBytes(32);
const db = await openDatabase({ url: url.href, pool: { size: 2 } });
try {
  await createSignedContextFunctions(db, { key });
  for (const [name, condition] of [
    ["plain_items", PLAIN],
    ["signed_items", signedTenantCondition()],
  ]) {
    await db.exec(`
CREATE TABLE ${name} (id int PRIMARY KEY, tenant_id uuid NOT NULL, title text NOT NULL);
INSERT INTO ${name} SELECT n, ('00000000-0000-4000-8000-' || lpad((n % 50)::text, 12, '0'))::uuid, 'item ' || n FROM generate_series(1, 2000) AS n;
ALTER TABLE ${name} ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON ${name} USING (${condition});
GRANT SELECT ON ${name} TO app;
ANALYZE ${name};`);
  }
  const tenantId = "00000000-0000-4000-8000-000000000007";
  const plain = createSessionFactory(db, { role: "app", guard: "off" });
  const signed = createSessionFactory(db, { role: "app", guard: "off", signedContext: { key } });
  const read = (name) => sql`SELECT title FROM ${sql.raw(name)} WHERE id = ${57}`;
  const works = {
    "one query in a unit (run)": (sessions, name) => sessions.run({ tenantId }, (tx) => tx.execute(read(name))),
    "each of 20 queries in a unit": (sessions, name) =>
      sessions.begin({ tenantId }, async (tx) => {
        let last;
        for (let count = 0; count < QUERIES_PER_UNIT; count++) last = await tx.execute(read(name));
        return last;
      }),
  };
  const report = {};
  for (const [name, work] of Object.entries(works)) {
    const perUnit = name.startsWith("each") ? QUERIES_PER_UNIT : 1;
    const count = Math.ceil(units / perUnit);
    const slice = async (sessions, table) => {
      const started = performance.now();
      for (let unit = 0; unit < count; unit++) {
        const { rows } = await work(sessions, table);
        if (rows.length !== 1) throw new Error(`${table} shows ${rows.length} rows`);
      }
      return ((performance.now() - started) * 1_000) / (count * perUnit);
    };
    const pairs = [];
    for (let round = -3; round < rounds; round++) {
      const isFirst = Math.random() < 0.5;
      const first = isFirst ? await slice(signed, "signed_items") : await slice(plain, "plain_items");
      const second = isFirst ? await slice(plain, "plain_items") : await slice(signed, "signed_items");
      if (round >= 0) pairs.push(isFirst ? { signed: first, plain: second } : { signed: second, plain: first });
    }
    report[name] = {
      plainMicros: median(pairs.map((pair) => pair.plain)),
      signedMicros: median(pairs.map((pair) => pair.signed)),
      ratio: median(pairs.map((pair) => pair.signed / pair.plain)),
    };
  }
  const lines = Object.entries(report).map(
    ([name, { plainMicros, signedMicros, ratio }]) =>
      `  ${name.padEnd(30)} plain ${plainMicros.toFixed(0)} us   signed ${signedMicros.toFixed(0)} us   ${ratio.toFixed(2)} x`,
  );
  console.log(
    options.json ? JSON.stringify(report, undefined, 2) : [`median of ${rounds} pairs of slices`, ...lines].join("\n"),
  );
} finally {
  await db.close();
  await server.stop();
}
