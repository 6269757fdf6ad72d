// The same unit of work in each library, written as its documentation shows it: set the tenant, read one row by its key.
// Each: { name, version, open(url, options) → { name, unit(tenantId, id) → rows, close() } }.
import { eq, sql as drizzleSql } from "drizzle-orm";
import { sql as kyselySql } from "kysely";
import { eq as equals, sql as ownSql } from "../node_modules/drizzle-orm/index.js";
import { contender, drizzle, kysely, pg, pgsteward, pgTransaction, postgresJs, typeorm } from "./clients.mjs";
import { Item, own, peer } from "./models.mjs";

export const OURS = "pgsteward run";
export const PREPARED = "pgsteward prepare";
const INTERACTIVE = "pgsteward begin";
/** Forms of pgsteward; all others are peers, but for the driver by hand. */
export const OWN_FORMS = [OURS, PREPARED, INTERACTIVE];
export const BY_HAND = "pg by hand";

export const libraries = [
  contender(OURS, pgsteward, (sessions) => ({
    unit: (tenantId, id) =>
      sessions.run({ tenantId }, (tx) => tx.select().from(own.items).where(equals(own.items.id, id))),
  })),
  contender(PREPARED, pgsteward, (sessions) => {
    const itemById = sessions.prepare((tx) =>
      tx
        .select()
        .from(own.items)
        .where(equals(own.items.id, ownSql.placeholder("id"))),
    );
    return { unit: (tenantId, id) => itemById({ tenantId }, { id }) };
  }),
  contender(INTERACTIVE, pgsteward, (sessions) => ({
    unit: (tenantId, id) =>
      sessions.begin({ tenantId }, async (tx) => await tx.select().from(own.items).where(equals(own.items.id, id))),
  })),
  contender("drizzle + pg", drizzle, (db) => ({
    unit: (tenantId, id) =>
      db.transaction(async (tx) => {
        await tx.execute(drizzleSql`select set_config('app.tenant_id', ${tenantId}, true)`);
        return tx.select().from(peer.items).where(eq(peer.items.id, id));
      }),
  })),
  contender("kysely + pg", kysely, (db) => ({
    unit: (tenantId, id) =>
      db.transaction().execute(async (tx) => {
        await kyselySql`select set_config('app.tenant_id', ${tenantId}, true)`.execute(tx);
        return tx.selectFrom("items").selectAll().where("id", "=", id).execute();
      }),
  })),
  contender("postgres.js begin(fn)", postgresJs, (sql) => ({
    unit: (tenantId, id) =>
      sql.begin(async (tx) => {
        await tx`select set_config('app.tenant_id', ${tenantId}, true)`;
        return tx`select * from items where id = ${id}`;
      }),
  })),
  // Its fastest form: both statements are sent without waiting for each other.
  contender("postgres.js begin([..])", postgresJs, (sql) => ({
    unit: async (tenantId, id) => {
      const [, rows] = await sql.begin((tx) => [
        tx`select set_config('app.tenant_id', ${tenantId}, true)`,
        tx`select * from items where id = ${id}`,
      ]);
      return rows;
    },
  })),
  contender(
    "typeorm + pg",
    typeorm,
    (source) => ({
      unit: (tenantId, id) =>
        source.transaction(async (manager) => {
          await manager.query("select set_config('app.tenant_id', $1, true)", [tenantId]);
          return manager.getRepository(Item).findBy({ id });
        }),
    }),
    { entities: [Item] },
  ),
  contender(BY_HAND, pg, (pool) => ({
    unit: (tenantId, id) =>
      pgTransaction(pool, async (connection) => {
        await connection.query("select set_config('app.tenant_id', $1, true)", [tenantId]);
        return (await connection.query("select * from items where id = $1", [id])).rows;
      }),
  })),
];
