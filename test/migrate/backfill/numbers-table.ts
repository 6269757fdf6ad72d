// A table of 5,000 rows, two backfills of it, and what they have made of it.
import type { Database } from "../../../src/postgres/index.ts";

export const TABLE_SQL = `
DROP SCHEMA IF EXISTS pgsteward CASCADE;
DROP TABLE IF EXISTS numbers, pairs CASCADE;
CREATE TABLE numbers (id integer PRIMARY KEY, n integer NOT NULL DEFAULT 0, doubled integer, note text);
INSERT INTO numbers (id) SELECT generate_series(1, 5000);
ANALYZE numbers;`;

export const increment = { name: "increment", schema: "public", table: "numbers", set: "n = n + 1" };
export const doubling = {
  ...increment,
  name: "doubling",
  set: "doubled = id * 2 -- exactly",
  where: "doubled IS NULL -- still",
};

export async function figures(database: Database): Promise<Record<string, unknown> | undefined> {
  const { rows } = await database.query(
    `SELECT count(*)::int4 AS rows, min(n) AS least, max(n) AS most, count(doubled)::int4 AS doubled FROM numbers`,
  );
  return rows[0];
}
