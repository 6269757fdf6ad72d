// A backfill as one statement that any runner can run: a DO block that commits after each piece of the table. Stopped, it is simply
// run again: the condition knows what is left.
import { identifier } from "../../postgres/index.ts";
import { literal } from "../../catalog/index.ts";
import type { BackfillDefinition } from "../backfill/definition.ts";

/** Of 8 kB each: some thousand rows, a lock on them for a moment. */
const PAGES_AT_ONCE = 64;

/**
 * Walks by `ctid`, so a table needs no key; PostgreSQL reads a range of it without the rest (14 and newer). Rows that move behind the
 * end were written by this, or have the default already.
 */
export function backfillBlock({ schema, table, set, where }: BackfillDefinition, isPartitioned: boolean): string {
  const relation = identifier(schema, table);
  const isLeft = where === undefined ? "true" : `(${where})`;
  const parts = isPartitioned
    ? `SELECT relid AS part FROM pg_catalog.pg_partition_tree(${literal(relation)}::regclass) WHERE isleaf`
    : `SELECT ${literal(relation)}::regclass AS part`;
  const update = `UPDATE %s SET ${set.replaceAll("%", "%%")} WHERE ${isLeft.replaceAll("%", "%%")} AND ctid >= $1 AND ctid < $2`;
  return `DO $pgsteward$
DECLARE
  part regclass;
  page bigint;
  pages bigint;
BEGIN
  FOR part IN ${parts} LOOP
    pages := pg_catalog.pg_relation_size(part) / current_setting('block_size')::bigint;
    FOR page IN 0 .. pages BY ${PAGES_AT_ONCE} LOOP
      EXECUTE format(${literal(update)}, part)
        USING format('(%s,0)', page)::tid, format('(%s,0)', page + ${PAGES_AT_ONCE})::tid;
      COMMIT;
    END LOOP;
  END LOOP;
END
$pgsteward$`;
}
