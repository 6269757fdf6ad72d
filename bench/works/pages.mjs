// Page 10,000 beside the first one: blocks of the table and its indexes that the server touches (its own count,
// pg_statio_user_tables), and time. LIMIT and OFFSET, as the peers page, stand beside it. Near the end of an index the planner
// looks at the last entry itself, so the very last page costs some blocks more, at any number of rows.
import { asc } from "drizzle-orm";
import { sql } from "../../node_modules/drizzle-orm/index.js";
import { contender, drizzle, pgsteward } from "../clients.mjs";
import { goal, interleave, median, medianOf, timed, withOpened } from "../measure.mjs";
import { own, peer } from "../models.mjs";

const ROWS = 1_000_000;
const PAGE_SIZE = 50;
const DEEP = 10_000;
const LAST = ROWS / PAGE_SIZE;
const LARGEST_PAGE = 10_000;
const KEYSET = "pgsteward page()";
const OFFSET = "drizzle limit().offset()";
const COUNTED_RUNS = 10;

const contenders = [
  contender(KEYSET, pgsteward, (sessions) => {
    const page = (after, limit = PAGE_SIZE) =>
      sessions.begin({}, async (tx) => {
        const found = await tx.page(own.messages, { orderBy: own.messages.createdAt, after, limit });
        await tx.execute(sql`SELECT pg_stat_force_next_flush()`);
        return found;
      });
    const cursors = new Map();
    return {
      /** Cursors do not depend on the size of a page, so the way to the deep ones goes in large steps. */
      async walk() {
        let cursor;
        let row = 0;
        for (const number of [DEEP, LAST]) {
          for (const end = (number - 1) * PAGE_SIZE; row < end;) {
            const limit = Math.min(LARGEST_PAGE, end - row);
            cursor = (await page(cursor, limit)).nextCursor;
            row += limit;
          }
          cursors.set(number, cursor);
        }
      },
      page: async (number) => (await page(cursors.get(number))).rows,
    };
  }),
  contender(OFFSET, drizzle, (db) => ({
    walk: async () => undefined,
    page: (number) =>
      db.transaction(async (tx) => {
        const { createdAt, id } = peer.messages;
        const rows = await tx
          .select()
          .from(peer.messages)
          .orderBy(asc(createdAt), asc(id))
          .limit(PAGE_SIZE)
          .offset((number - 1) * PAGE_SIZE);
        await tx.execute("SELECT pg_stat_force_next_flush()");
        return rows;
      }),
  })),
];

export const pages = {
  name: "pages",
  title: `page ${DEEP} of ${ROWS} rows beside page 1`,
  contenders,
  async measure({ database, chosen, passes }) {
    const rounds = Math.max(3, Math.round(passes / 30));
    await database.asOwner(`
CREATE TABLE messages (id bigint PRIMARY KEY, title text NOT NULL, created_at timestamptz NOT NULL);
INSERT INTO messages SELECT n, 'message ' || n, timestamptz '2026-01-01' + (n / 10) * interval '1 microsecond' FROM generate_series(1, ${ROWS}) AS n;
CREATE INDEX ON messages (created_at, id);
GRANT SELECT ON messages TO app;`);
    await database.asOwner("VACUUM ANALYZE messages");
    const readBlocks = async () => {
      const [{ blocks }] = await database.asOwner(
        "SELECT (heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read)::int AS blocks FROM pg_statio_user_tables WHERE relname = 'messages'",
      );
      return blocks;
    };
    const rows = await withOpened(chosen, database.url, async (opened) => {
      const made = [];
      for (const { walk } of opened) await walk();
      for (const number of [1, DEEP, LAST]) {
        const buffers = new Map();
        for (const { name, page } of opened) {
          check(name, number, await page(number));
          const counts = [];
          for (let run = 0; run < COUNTED_RUNS; run++) {
            const before = await readBlocks();
            await page(number);
            counts.push((await readBlocks()) - before);
          }
          buffers.set(name, median(counts));
        }
        const figures = await interleave(opened, rounds, ({ page }) => timed(() => page(number)));
        for (const { name, version } of opened)
          made.push({
            library: `${name}: page ${number}`,
            name,
            version,
            buffers: buffers.get(name),
            pageMs: medianOf(figures, name, "elapsedMs"),
          });
      }
      return made.toSorted((a, b) => b.name.localeCompare(a.name));
    });
    const [first, deep] = rows.filter(({ name }) => name === KEYSET);
    return {
      tables: [{ title: `direct, ${rounds} rounds, ${PAGE_SIZE} rows a page, ordered by created_at, id`, rows }],
      goals: [goal(`shared buffers of page ${DEEP} / page 1`, deep.buffers / first.buffers, "at most", 1.5)],
    };
  },
};

function check(name, number, rows) {
  const first = (number - 1) * PAGE_SIZE + 1;
  if (rows.length !== PAGE_SIZE || rows[0].id !== first || rows.at(-1).id !== first + PAGE_SIZE - 1)
    throw new Error(`${name}: page ${number} is another: ${JSON.stringify(rows[0])}`);
}
