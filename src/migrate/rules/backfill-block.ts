// A backfill as one statement that any runner can run: a DO block that commits after each piece of the table. Stopped, it is simply
// run again: the condition knows what is left.
import { dollarQuoted, identifier } from "../../postgres/index.ts";
import { literal } from "../../catalog/index.ts";
import type { BackfillDefinition } from "../backfill/definition.ts";

/** Of 8 kB each: some thousand rows, a lock on them for a moment. */
const PAGES_AT_ONCE = 64;

/** So many rows that others moved meanwhile are done in one statement. */
const ROWS_AT_ONCE = 1_000;
/** A default that is NULL for many rows would never be done. */
const MOST_WALKS = 3;

/**
 * Walks by `ctid`, so a table needs no key; PostgreSQL reads a range of it without the rest (14 and newer). What others update during
 * the walk moves to another page, before it is done and to where the walk has been: so the walk is repeated while many are left, and
 * the last ones are done by a statement that names no pages, which follows a row to where it goes.
 */
export function backfillBlock(work: BackfillDefinition & { readonly where: string }, isPartitioned: boolean): string {
  const { schema, table, set, where } = work;
  const relation = identifier(schema, table);
  const parts = isPartitioned
    ? `SELECT relid AS part FROM pg_catalog.pg_partition_tree(${literal(relation)}::regclass) WHERE isleaf`
    : `SELECT ${literal(relation)}::regclass AS part`;
  const isLeft = `(${where.replaceAll("%", "%%")})`;
  const updateRest = `UPDATE %s SET ${set.replaceAll("%", "%%")} WHERE ${isLeft}`;
  const update = `${updateRest} AND ctid >= $1 AND ctid < $2`;
  const countRest = `SELECT count(*) FROM (SELECT FROM %s WHERE ${isLeft} LIMIT ${ROWS_AT_ONCE}) AS rest`;
  return `DO ${dollarQuoted(`
DECLARE
  part regclass;
  page bigint;
  pages bigint;
  rest bigint;
BEGIN
  FOR part IN ${parts} LOOP
    FOR walk IN 1 .. ${MOST_WALKS} LOOP
      pages := pg_catalog.pg_relation_size(part) / current_setting('block_size')::bigint;
      FOR page IN 0 .. pages BY ${PAGES_AT_ONCE} LOOP
        EXECUTE format(${literal(update)}, part)
          USING format('(%s,0)', page)::tid, format('(%s,0)', page + ${PAGES_AT_ONCE})::tid;
        COMMIT;
      END LOOP;
      EXECUTE format(${literal(countRest)}, part) INTO rest;
      EXIT WHEN rest < ${ROWS_AT_ONCE};
    END LOOP;
    IF rest < ${ROWS_AT_ONCE} THEN
      EXECUTE format(${literal(updateRest)}, part);
      COMMIT;
    END IF;
  END LOOP;
END
`)}`;
}
