// How each library is opened: one pool on a URL. Whatever is measured gets what its programs would hold (a session factory,
// a Drizzle database, …). Each: { name, version, connect(url, options) → { client, close() } }.
import { readFileSync } from "node:fs";
import { drizzle as openDrizzle } from "drizzle-orm/node-postgres";
import { Kysely, PostgresDialect } from "kysely";
import pgDriver from "pg";
import { createSessionFactory, openDatabase } from "pgsteward";
import openPostgresJs from "postgres";
import { DataSource } from "typeorm";

export const POOL_SIZE = 4;

function installedVersion(name) {
  const file = name === "pgsteward" ? "../package.json" : `./node_modules/${name}/package.json`;
  return JSON.parse(readFileSync(new URL(file, import.meta.url), "utf8")).version;
}

export const pgsteward = {
  name: "pgsteward",
  version: installedVersion("pgsteward"),
  async connect(url, { poolSize = POOL_SIZE, schema, limits } = {}) {
    const db = await openDatabase({ url, pool: { size: poolSize } });
    const sessions = createSessionFactory(db, { role: "app", guard: "throw", schema, limits });
    return { client: sessions, close: () => db.close() };
  },
};

export const drizzle = {
  name: "drizzle",
  version: installedVersion("drizzle-orm"),
  async connect(url, { poolSize = POOL_SIZE, schema } = {}) {
    const pool = new pgDriver.Pool({ connectionString: url, max: poolSize });
    return { client: openDrizzle(pool, { schema }), close: () => pool.end() };
  },
};

export const kysely = {
  name: "kysely",
  version: installedVersion("kysely"),
  async connect(url, { poolSize = POOL_SIZE } = {}) {
    const pool = new pgDriver.Pool({ connectionString: url, max: poolSize });
    const client = new Kysely({ dialect: new PostgresDialect({ pool }) });
    return { client, close: () => client.destroy() };
  },
};

export const postgresJs = {
  name: "postgres.js",
  version: installedVersion("postgres"),
  async connect(url, { poolSize = POOL_SIZE } = {}) {
    const client = openPostgresJs(url, { max: poolSize });
    return { client, close: () => client.end() };
  },
};

export const typeorm = {
  name: "typeorm",
  version: installedVersion("typeorm"),
  async connect(url, { poolSize = POOL_SIZE, entities } = {}) {
    const client = await new DataSource({ type: "postgres", url, entities, poolSize }).initialize();
    return { client, close: () => client.destroy() };
  },
};

/** The driver under most of them, by hand. */
export const pg = {
  name: "pg",
  version: installedVersion("pg"),
  async connect(url, { poolSize = POOL_SIZE } = {}) {
    const client = new pgDriver.Pool({ connectionString: url, max: poolSize });
    return { client, close: () => client.end() };
  },
};

/** `work` in a transaction of the driver, by hand. */
export async function pgTransaction(pool, work) {
  const connection = await pool.connect();
  try {
    await connection.query("BEGIN");
    const value = await work(connection);
    await connection.query("COMMIT");
    return value;
  } catch (error) {
    await connection.query("ROLLBACK");
    throw error;
  } finally {
    connection.release();
  }
}

/**
 * One way to do a work, with the tool it is done with.
 *
 * @param make - from the library's client to what the work measures, e.g. `(db) => ({ unit: (id) => … })`
 * @param options - for `connect`
 */
export function contender(name, library, make, options) {
  return {
    name,
    version: library.version,
    async open(url, more) {
      const { client, close } = await library.connect(url, { ...options, ...more });
      return { name, version: library.version, ...make(client), close };
    },
  };
}
