// 100,000 rows of five columns (uuid, int, text, timestamptz, jsonb) from JavaScript objects, all or none.
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { finished } from "node:stream/promises";
import { contender, drizzle, kysely, pg, pgsteward, pgTransaction, postgresJs, typeorm } from "../clients.mjs";
import { goal, interleave, medianOf, ratioOf, timed, withOpened } from "../measure.mjs";
import { Event, own, peer } from "../models.mjs";

const ROWS = 100_000;
/** Rows per statement of those that send one parameter per value; 65,535 parameters is the protocol's limit. */
const CHUNK = 1_000;
const OURS = "pgsteward bulkInsert";
const COPY = "pgsteward copyIn, lines by hand";
const POSTGRES_JS_COPY = "postgres.js COPY, lines by hand";
const DRIZZLE = `drizzle values(), ${CHUNK} a time`;
const COLUMNS = ["id", "position", "title", "createdAt", "payload"];

function makeRows() {
  return Array.from({ length: ROWS }, (_, position) => ({
    id: randomUUID(),
    position,
    title: `event ${position} of an agent`,
    createdAt: new Date(1_780_000_000_000 + position * 1_000),
    payload: { position, tags: ["a", "b"], note: "what the agent saw" },
  }));
}

function* chunks(rows) {
  for (let start = 0; start < rows.length; start += CHUNK) yield rows.slice(start, start + CHUNK);
}

/** Only the column that may hold such characters is escaped; a program that knows its data would do the same. */
function* copyLines(rows) {
  let piece = "";
  for (const { id, position, title, createdAt, payload } of rows) {
    piece += `${id}\t${position}\t${title}\t${createdAt.toISOString()}\t${JSON.stringify(payload).replaceAll("\\", "\\\\")}\n`;
    if (piece.length < 64 * 1024) continue;
    yield piece;
    piece = "";
  }
  yield piece;
}

const named = ({ id, position, title, createdAt, payload }) => ({
  id,
  position,
  title,
  created_at: createdAt,
  payload,
});

const contenders = [
  contender(OURS, pgsteward, (sessions) => ({
    insert: (rows) => sessions.begin({}, (tx) => tx.bulkInsert(own.events, rows)),
  })),
  contender(`${OURS}, json`, pgsteward, (sessions) => ({
    insert: (rows) => sessions.begin({}, (tx) => tx.bulkInsert(own.events, rows, { method: "json" })),
  })),
  contender(COPY, pgsteward, (sessions) => ({
    insert: (rows) => sessions.begin({}, (tx) => tx.copyIn(own.events, COLUMNS, copyLines(rows))),
  })),
  contender(DRIZZLE, drizzle, (db) => ({
    insert: (rows) =>
      db.transaction(async (tx) => {
        for (const chunk of chunks(rows)) await tx.insert(peer.events).values(chunk);
      }),
  })),
  contender("kysely values()", kysely, (db) => ({
    insert: (rows) =>
      db.transaction().execute(async (tx) => {
        for (const chunk of chunks(rows)) await tx.insertInto("events").values(chunk.map(named)).execute();
      }),
  })),
  contender("postgres.js sql(rows)", postgresJs, (sql) => ({
    insert: (rows) =>
      sql.begin(async (tx) => {
        for (const chunk of chunks(rows)) await tx`insert into events ${tx(chunk.map(named))}`;
      }),
  })),
  contender(POSTGRES_JS_COPY, postgresJs, (sql) => ({
    insert: (rows) =>
      sql.begin(async (tx) => {
        const copy = await tx`copy events (id, position, title, created_at, payload) from stdin`.writable();
        for (const piece of copyLines(rows)) if (!copy.write(piece)) await once(copy, "drain");
        copy.end();
        await finished(copy);
      }),
  })),
  contender(
    "typeorm insert()",
    typeorm,
    (source) => ({
      insert: (rows) =>
        source.transaction(async (manager) => {
          for (const chunk of chunks(rows))
            await manager.createQueryBuilder().insert().into(Event).values(chunk).updateEntity(false).execute();
        }),
    }),
    { entities: [Event] },
  ),
  contender("pg unnest by hand", pg, (pool) => ({
    insert: (rows) =>
      pgTransaction(pool, async (connection) => {
        for (const chunk of chunks(rows)) {
          await connection.query(
            "INSERT INTO events SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::timestamptz[], $5::jsonb[])",
            [
              chunk.map(({ id }) => id),
              chunk.map(({ position }) => position),
              chunk.map(({ title }) => title),
              chunk.map(({ createdAt }) => createdAt),
              chunk.map(({ payload }) => JSON.stringify(payload)),
            ],
          );
        }
      }),
  })),
];

export const bulkInsert = {
  name: "bulk",
  title: `insert of ${ROWS} rows: uuid, int, text, timestamptz, jsonb`,
  contenders,
  async measure({ database, chosen, passes }) {
    const rounds = Math.max(1, Math.round(passes / 60));
    await database.asOwner(`
CREATE TABLE events (id uuid PRIMARY KEY, position int NOT NULL, title text NOT NULL, created_at timestamptz NOT NULL, payload jsonb NOT NULL);
GRANT SELECT, INSERT ON events TO app;`);
    const rows = makeRows();
    const last = rows.at(-1);
    const figures = await withOpened(chosen, database.url, async (opened) => {
      for (const { insert } of opened)
        await insert(rows.slice(0, CHUNK)).finally(() => database.asOwner("TRUNCATE events"));
      return interleave(opened, rounds, async ({ name, insert }) => {
        await database.asOwner("CHECKPOINT");
        const figure = await timed(() => insert(rows));
        const [found] = await database.asOwner("SELECT count(*)::int AS count FROM events");
        const [row] = await database.asOwner(
          'SELECT position, title, created_at AS "createdAt", payload FROM events WHERE id = $1',
          [last.id],
        );
        const { id: _, ...wanted } = last;
        if (
          found.count !== ROWS ||
          JSON.stringify(row) !== JSON.stringify({ ...wanted, payload: row.payload }) ||
          row.payload.position !== last.position
        )
          throw new Error(`${name} inserted ${found.count} rows, the last: ${JSON.stringify(row)}`);
        await database.asOwner("TRUNCATE events");
        return figure;
      });
    });
    const table = chosen.map(({ name, version }) => ({
      library: name,
      version,
      elapsedMs: medianOf(figures, name, "elapsedMs"),
      elapsedRatio: ratioOf(figures, name, OURS, "elapsedMs"),
      cpuMs: medianOf(figures, name, "cpuMs"),
    }));
    const goals = [];
    if (figures.has(DRIZZLE))
      goals.push(goal("speed / drizzle values()", ratioOf(figures, DRIZZLE, OURS, "elapsedMs"), "at least", 3));
    // The faster of the two that were measured counts.
    const copies = table.filter(({ library }) => library === COPY || library === POSTGRES_JS_COPY);
    const [fastest] = copies.toSorted((a, b) => a.elapsedMs - b.elapsedMs);
    goals.push(goal(`time / ${fastest.library}`, ratioOf(figures, OURS, fastest.library, "elapsedMs"), "at most", 1.3));
    return { tables: [{ title: `direct, ${rounds} rounds. x: relative to ${OURS}`, rows: table }], goals };
  },
};
