// The same unit of work in each library, written as its documentation shows it, with a pool of 4 connections.
// Each: { name, version, open(url) → { name, unit(tenantId, id) → rows, close() } }.
import { drizzle } from "drizzle-orm/node-postgres";
import { eq, sql as drizzleSql } from "drizzle-orm";
import { jsonb, pgTable, text, timestamp, uuid } from "drizzle-orm/pg-core";
import { Kysely, PostgresDialect, sql as kyselySql } from "kysely";
import pg from "pg";
import { createSessionFactory, openDatabase } from "pgsteward";
import postgres from "postgres";
import { DataSource, EntitySchema } from "typeorm";
// The models of a program come from the same copy of Drizzle that pgsteward uses: npm installs one for both. Here the link
// to the parent folder would make it two.
import { eq as equals } from "../node_modules/drizzle-orm/index.js";
import * as model from "../node_modules/drizzle-orm/pg-core/index.js";
import { installedVersion } from "./workload.mjs";

export const POOL_SIZE = 4;

function itemsTable({ jsonb, pgTable, text, timestamp, uuid }) {
  return pgTable("items", {
    id: uuid("id").primaryKey(),
    tenantId: uuid("tenant_id").notNull(),
    title: text("title").notNull(),
    payload: jsonb("payload").notNull(),
    createdAt: timestamp("created_at", { withTimezone: true }).notNull(),
  });
}

const pgsteward = {
  name: "pgsteward run",
  version: installedVersion("pgsteward"),
  async open(url) {
    const items = itemsTable(model);
    const db = await openDatabase({ url, pool: { size: POOL_SIZE } });
    const sessions = createSessionFactory(db, { role: "app", guard: "throw" });
    return {
      unit: (tenantId, id) => sessions.run({ tenantId }, (tx) => tx.select().from(items).where(equals(items.id, id))),
      close: () => db.close(),
    };
  },
};

const pgstewardInteractive = {
  name: "pgsteward begin",
  version: installedVersion("pgsteward"),
  async open(url) {
    const items = itemsTable(model);
    const db = await openDatabase({ url, pool: { size: POOL_SIZE } });
    const sessions = createSessionFactory(db, { role: "app", guard: "throw" });
    return {
      unit: (tenantId, id) =>
        sessions.begin({ tenantId }, async (tx) => await tx.select().from(items).where(equals(items.id, id))),
      close: () => db.close(),
    };
  },
};

const drizzleOrm = {
  name: "drizzle + pg",
  version: installedVersion("drizzle-orm"),
  async open(url) {
    const items = itemsTable({ jsonb, pgTable, text, timestamp, uuid });
    const pool = new pg.Pool({ connectionString: url, max: POOL_SIZE });
    const db = drizzle(pool);
    return {
      unit: (tenantId, id) =>
        db.transaction(async (tx) => {
          await tx.execute(drizzleSql`select set_config('app.tenant_id', ${tenantId}, true)`);
          return tx.select().from(items).where(eq(items.id, id));
        }),
      close: () => pool.end(),
    };
  },
};

const kysely = {
  name: "kysely + pg",
  version: installedVersion("kysely"),
  async open(url) {
    const pool = new pg.Pool({ connectionString: url, max: POOL_SIZE });
    const db = new Kysely({ dialect: new PostgresDialect({ pool }) });
    return {
      unit: (tenantId, id) =>
        db.transaction().execute(async (tx) => {
          await kyselySql`select set_config('app.tenant_id', ${tenantId}, true)`.execute(tx);
          return tx.selectFrom("items").selectAll().where("id", "=", id).execute();
        }),
      close: () => db.destroy(),
    };
  },
};

const postgresJs = {
  name: "postgres.js begin(fn)",
  version: installedVersion("postgres"),
  async open(url) {
    const sql = postgres(url, { max: POOL_SIZE });
    return {
      unit: (tenantId, id) =>
        sql.begin(async (tx) => {
          await tx`select set_config('app.tenant_id', ${tenantId}, true)`;
          return tx`select * from items where id = ${id}`;
        }),
      close: () => sql.end(),
    };
  },
};

// Its fastest form: both statements are sent without waiting for each other.
const postgresJsArray = {
  name: "postgres.js begin([..])",
  version: installedVersion("postgres"),
  async open(url) {
    const sql = postgres(url, { max: POOL_SIZE });
    return {
      unit: async (tenantId, id) => {
        const [, rows] = await sql.begin((tx) => [
          tx`select set_config('app.tenant_id', ${tenantId}, true)`,
          tx`select * from items where id = ${id}`,
        ]);
        return rows;
      },
      close: () => sql.end(),
    };
  },
};

const typeorm = {
  name: "typeorm + pg",
  version: installedVersion("typeorm"),
  async open(url) {
    const Item = new EntitySchema({
      name: "items",
      columns: {
        id: { type: "uuid", primary: true },
        tenantId: { type: "uuid", name: "tenant_id" },
        title: { type: "text" },
        payload: { type: "jsonb" },
        createdAt: { type: "timestamptz", name: "created_at" },
      },
    });
    const source = await new DataSource({ type: "postgres", url, entities: [Item], poolSize: POOL_SIZE }).initialize();
    return {
      unit: (tenantId, id) =>
        source.transaction(async (manager) => {
          await manager.query("select set_config('app.tenant_id', $1, true)", [tenantId]);
          return manager.getRepository(Item).findBy({ id });
        }),
      close: () => source.destroy(),
    };
  },
};

export const OURS = pgsteward.name;
/** Forms of pgsteward; all others are peers. */
export const OWN_FORMS = [pgsteward.name, pgstewardInteractive.name];
export const libraries = [pgsteward, pgstewardInteractive, drizzleOrm, kysely, postgresJs, postgresJsArray, typeorm];
