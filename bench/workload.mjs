// The server that is measured on, and the smallest unit on it: one row of one tenant, found by its key under row-level security.
import { randomUUID } from "node:crypto";
import pg from "pg";
import { startEmbeddedServer } from "../dist/postgres/embedded-server.js";

const TENANTS = 50;
const ITEMS_PER_TENANT = 40;

/**
 * Starts PostgreSQL 18, or uses the one at `serverUrl` (a superuser's URL), and fills the database `pgsteward_bench`.
 *
 * @returns `url` of the role `app`, which owns nothing, and `asOwner(text, values)` for tables and checks
 */
export async function openBenchDatabase(serverUrl) {
  const server = serverUrl === undefined ? await startEmbeddedServer() : { url: serverUrl, stop: async () => {} };
  const owner = new pg.Client({ connectionString: server.url });
  await owner.connect();
  await owner.query("DROP DATABASE IF EXISTS pgsteward_bench");
  await owner.query("CREATE DATABASE pgsteward_bench");
  const password = randomUUID();
  await owner.query(`DO $$ BEGIN CREATE ROLE app; EXCEPTION WHEN duplicate_object THEN NULL; END $$`);
  await owner.query(`ALTER ROLE app LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD '${password}'`);
  const { rows } = await owner.query("SELECT current_setting('server_version') AS version");
  await owner.end();

  const target = new URL(server.url);
  target.pathname = "/pgsteward_bench";
  const filler = new pg.Client({ connectionString: target.href });
  await filler.connect();
  const asOwner = async (text, values) => (await filler.query(text, values)).rows;
  await asOwner(`
CREATE TABLE items (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  title text NOT NULL,
  payload jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
${tenantPolicy("items")}
GRANT SELECT ON items TO app;`);
  await asOwner(
    `INSERT INTO items (id, tenant_id, title, payload)
SELECT gen_random_uuid(), tenant.id, 'item ' || n, jsonb_build_object('n', n, 'tags', jsonb_build_array('a', 'b'))
FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, $1)) AS tenant
CROSS JOIN generate_series(1, $2) AS n`,
    [TENANTS, ITEMS_PER_TENANT],
  );
  await asOwner("VACUUM ANALYZE items");
  const items = await asOwner('SELECT id, tenant_id AS "tenantId" FROM items');

  target.username = "app";
  target.password = password;
  const stop = async () => {
    await filler.end();
    await server.stop();
  };
  return { url: target.href, version: rows[0].version, items, asOwner, stop };
}

/** Row-level security as a program with tenants has it. */
export function tenantPolicy(table) {
  return `
ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY;
ALTER TABLE ${table} FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON ${table} USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid));`;
}

export function randomItem(items) {
  return items[Math.floor(Math.random() * items.length)];
}

/** Runs one unit and checks that it found its row, whole. */
export async function runUnit(library, item) {
  const rows = await library.unit(item.tenantId, item.id);
  const [row] = rows;
  const tenantId = row?.tenantId ?? row?.tenant_id;
  if (rows.length !== 1 || row.id !== item.id || tenantId !== item.tenantId || row.payload.n < 1) {
    throw new Error(`${library.name} returned the wrong rows: ${JSON.stringify(rows)}`);
  }
}

/** A row of another tenant must stay invisible: else the library did not do the work that is measured. */
export async function checkIsolation(library, items) {
  const [own] = items;
  const foreign = items.find(({ tenantId }) => tenantId !== own.tenantId);
  const rows = await library.unit(own.tenantId, foreign.id);
  if (rows.length !== 0) throw new Error(`${library.name} shows a row of another tenant`);
}
