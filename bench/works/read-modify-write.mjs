// Read-modify-write: lock a row of a tenant, change two places of its JSON document in JavaScript, commit. pgsteward writes
// what changed in the tracked row; the others write the document back, which under the lock has the same effect.
import { randomUUID } from "node:crypto";
import { eq, sql as drizzleSql } from "drizzle-orm";
import { sql as kyselySql } from "kysely";
import { contender, drizzle, kysely, pg, pgsteward, pgTransaction, postgresJs, typeorm } from "../clients.mjs";
import { goal, interleave, medianOf, ratioOf, timed, withOpened } from "../measure.mjs";
import { Document, own, peer } from "../models.mjs";
import { tenantPolicy } from "../workload.mjs";

const OURS = "pgsteward begin, load";
const WARM_UP_UNITS = 60;
const CHECKED_UNITS = 5;

function change(body) {
  body.done += 1;
  body.state.step = `step ${body.done}`;
  return body;
}

const contenders = [
  contender(OURS, pgsteward, (sessions) => ({
    unit: (tenantId, id) =>
      sessions.begin({ tenantId }, async (tx) => {
        const row = await tx.loadOrThrow(own.documents, id, { lock: "update" });
        change(row.body);
      }),
  })),
  contender("drizzle + pg", drizzle, (db) => ({
    unit: (tenantId, id) =>
      db.transaction(async (tx) => {
        await tx.execute(drizzleSql`select set_config('app.tenant_id', ${tenantId}, true)`);
        const [row] = await tx.select().from(peer.documents).where(eq(peer.documents.id, id)).for("update");
        await tx
          .update(peer.documents)
          .set({ body: change(row.body) })
          .where(eq(peer.documents.id, id));
      }),
  })),
  contender("kysely + pg", kysely, (db) => ({
    unit: (tenantId, id) =>
      db.transaction().execute(async (tx) => {
        await kyselySql`select set_config('app.tenant_id', ${tenantId}, true)`.execute(tx);
        const row = await tx
          .selectFrom("documents")
          .selectAll()
          .where("id", "=", id)
          .forUpdate()
          .executeTakeFirstOrThrow();
        await tx
          .updateTable("documents")
          .set({ body: change(row.body) })
          .where("id", "=", id)
          .execute();
      }),
  })),
  contender("postgres.js begin(fn)", postgresJs, (sql) => ({
    unit: (tenantId, id) =>
      sql.begin(async (tx) => {
        await tx`select set_config('app.tenant_id', ${tenantId}, true)`;
        const [row] = await tx`select * from documents where id = ${id} for update`;
        await tx`update documents set body = ${tx.json(change(row.body))} where id = ${id}`;
      }),
  })),
  contender(
    "typeorm + pg",
    typeorm,
    (source) => ({
      unit: (tenantId, id) =>
        source.transaction(async (manager) => {
          await manager.query("select set_config('app.tenant_id', $1, true)", [tenantId]);
          const row = await manager.findOneOrFail(Document, { where: { id }, lock: { mode: "pessimistic_write" } });
          await manager.update(Document, { id }, { body: change(row.body) });
        }),
    }),
    { entities: [Document] },
  ),
  contender("pg by hand", pg, (pool) => ({
    unit: (tenantId, id) =>
      pgTransaction(pool, async (connection) => {
        await connection.query("select set_config('app.tenant_id', $1, true)", [tenantId]);
        const { rows } = await connection.query("select * from documents where id = $1 for update", [id]);
        await connection.query("update documents set body = $2 where id = $1", [id, change(rows[0].body)]);
      }),
  })),
];

export const readModifyWrite = {
  name: "change",
  title: "read-modify-write: lock a row, change its JSON document, commit",
  contenders,
  async measure({ database, proxy, chosen, passes }) {
    const tenantId = randomUUID();
    const documents = await makeDocuments(database, tenantId, chosen);
    const { figures, flushes } = await withOpened(chosen, proxy.url, async (opened) => {
      const counted = new Map();
      for (const library of opened) {
        const run = () => library.unit(tenantId, documents.get(library.name));
        for (let unit = 0; unit < WARM_UP_UNITS; unit++) await run();
        await checkEffect(database, library.name, documents.get(library.name), run);
        counted.set(library.name, await proxy.countFlushes(CHECKED_UNITS, run));
      }
      const measured = await interleave(opened, passes, (library) =>
        timed(() => library.unit(tenantId, documents.get(library.name))),
      );
      return { figures: measured, flushes: counted };
    });
    const rows = chosen.map(({ name, version }) => ({
      library: name,
      version,
      flushes: flushes.get(name),
      latencyMs: medianOf(figures, name, "elapsedMs"),
      latencyRatio: ratioOf(figures, name, OURS, "elapsedMs"),
    }));
    const beside = rows.find(({ library }) => library.startsWith("drizzle"));
    return {
      tables: [{ title: `+${proxy.delayMs} ms, document of 1.5 KB, ${passes} passes. x: relative to ${OURS}`, rows }],
      goals:
        beside === undefined
          ? []
          : [goal(`time at +${proxy.delayMs} ms / drizzle's`, 1 / beside.latencyRatio, "at most", 0.65)],
    };
  },
};

/** One document for each library, so that none waits for the lock of another. */
async function makeDocuments(database, tenantId, chosen) {
  await database.asOwner(`
CREATE TABLE documents (id uuid PRIMARY KEY, tenant_id uuid NOT NULL, body jsonb NOT NULL);
${tenantPolicy("documents")}
GRANT SELECT, UPDATE ON documents TO app;`);
  const body = {
    done: 0,
    state: { step: "step 0", agent: "one" },
    log: Array.from({ length: 20 }, (_, n) => ({ n, at: "2026-01-01T00:00:00Z", note: "what the agent saw" })),
  };
  const documents = new Map();
  for (const { name } of chosen) {
    const id = randomUUID();
    documents.set(name, id);
    await database.asOwner("INSERT INTO documents VALUES ($1, $2, $3)", [id, tenantId, body]);
  }
  return documents;
}

async function checkEffect(database, name, id, run) {
  const readBody = async () => (await database.asOwner("SELECT body FROM documents WHERE id = $1", [id]))[0].body;
  const before = await readBody();
  for (let unit = 0; unit < CHECKED_UNITS; unit++) await run();
  const after = await readBody();
  if (
    after.done !== before.done + CHECKED_UNITS ||
    after.state.step !== `step ${after.done}` ||
    after.log.length !== 20
  )
    throw new Error(`${name} did not change the document: ${JSON.stringify(after)}`);
}
