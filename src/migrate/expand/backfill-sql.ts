// A backfill as one SQL statement, for a migration file that any tool can run: a DO block that commits after each batch. Stopped, it
// is simply run again: the condition knows what is left.
import type { BackfillDefinition } from "../backfill/definition.ts";
import { dollarQuoted, identifier, literal } from "../../postgres/index.ts";
import type { ExpandGroup } from "./change.ts";
import { alone } from "./change.ts";

/** Rows of the first batch. */
const FIRST_SIZE = 1_000;
const LARGEST_SIZE = 10_000;
/** A batch holds its rows so long; a slower one is followed by a smaller one, a faster one by a larger. */
const TARGET_MS = 100;
/** Locks that are not to be had, one after the other, before the whole statement gives up. */
const MOST_FAILURES = 20;
const SHORT_WAIT_MS = 10;

export interface BackfillSql {
  readonly schema: string;
  readonly table: string;
  readonly key: readonly string[];
  readonly set: string;
  readonly where: string;
  /** Whether rows that still match at the end are an error. */
  readonly mustFinish: boolean;
  /** Without the rows of heirs. */
  readonly isOnly?: boolean;
}

/** Outside any transaction; row security that hides rows from the login is an error meanwhile. */
export function backfillGroups(work: BackfillSql): readonly ExpandGroup[] {
  return alone("SET row_security = off", backfillBlock(work), "RESET row_security");
}

function backfillBlock({ schema, table, key, set, where, mustFinish, isOnly = false }: BackfillSql): string {
  const relation = identifier(schema, table);
  const rows = `${isOnly ? "ONLY " : ""}${relation}`;
  const isLeft = `EXISTS (SELECT FROM ${rows} WHERE ${where})`;
  const finish = `
  IF ${isLeft} THEN
    RAISE EXCEPTION 'rows of % are still to do', ${literal(relation)}
      USING HINT = 'something writes them in the meantime: run this again';
  END IF;`;
  return batchedBlock(relation, key, {
    batch: (window) => `UPDATE ${rows} SET ${set} WHERE ${window} AND (${where});`,
    rows,
    isLeft,
    finish: mustFinish ? finish : "",
  });
}

export interface BatchedWork {
  /** The statement for one window of the table, which it gets as a condition over the key. */
  readonly batch: (window: string) => string;
  /** Whether there is anything to do at all, as a condition: the table is not walked otherwise. */
  readonly isLeft?: string;
  /** What is done after the last batch. */
  readonly finish: string;
  /** What is walked, e.g. `ONLY shop.orders`. Default: the table. */
  readonly rows?: string;
}

/**
 * A DO block that walks a table by key and commits after each window of it.
 *
 * A lock that is not to be had costs the batch and not the walk: it is done again, smaller, a little later. Several rows are waited for
 * hardly at all, because they are held meanwhile; a row alone by the `lock_timeout` of whoever runs it. COMMIT has no place in a block
 * that catches errors, so the batch has a block of its own.
 */
export function batchedBlock(relation: string, key: readonly string[], work: BatchedWork): string {
  const columns = key.map((name) => identifier(name));
  const here = key.map((_, index) => `pgsteward_here_${index + 1}`);
  const next = key.map((_, index) => `pgsteward_next_${index + 1}`);
  const declare = (names: readonly string[]): string =>
    names.map((name, index) => `  ${name} ${relation}.${columns[index] ?? ""}%TYPE;`).join("\n");
  const row = (parts: readonly string[]): string => `ROW(${parts.join(", ")})`;
  const window = `${row(columns)} >= ${row(here)}`;
  const rows = work.rows ?? relation;
  const nothing = work.isLeft === undefined ? "" : `  IF NOT ${work.isLeft} THEN\n    RETURN;\n  END IF;\n`;
  return `DO ${dollarQuoted(`
#variable_conflict use_column
DECLARE
${declare(here)}
${declare(next)}
  pgsteward_size integer := ${FIRST_SIZE};
  pgsteward_failures integer := 0;
  pgsteward_began timestamptz;
  pgsteward_has_more boolean;
BEGIN
${nothing}  SELECT ${columns.join(", ")} INTO ${here.join(", ")}
  FROM ${rows} ORDER BY ${columns.join(", ")} LIMIT 1;
  pgsteward_has_more := FOUND;
  WHILE pgsteward_has_more LOOP
    pgsteward_began := clock_timestamp();
    BEGIN
      IF current_setting('lock_timeout') = '0' THEN
        PERFORM set_config('lock_timeout', '2s', true);
      END IF;
      IF pgsteward_size > 1 THEN
        PERFORM set_config('lock_timeout', '${SHORT_WAIT_MS}ms', true);
      END IF;
      SELECT ${columns.join(", ")} INTO ${next.join(", ")}
      FROM ${rows} WHERE ${window} ORDER BY ${columns.join(", ")} OFFSET pgsteward_size LIMIT 1;
      pgsteward_has_more := FOUND;
      IF pgsteward_has_more THEN
        ${work.batch(`${window} AND ${row(columns)} < ${row(next)}`)}
      ELSE
        ${work.batch(window)}
      END IF;
      pgsteward_failures := 0;
    EXCEPTION WHEN lock_not_available OR deadlock_detected OR serialization_failure THEN
      IF pgsteward_failures >= ${MOST_FAILURES} THEN
        RAISE;
      END IF;
      pgsteward_failures := pgsteward_failures + 1;
      pgsteward_has_more := true;
    END;
    COMMIT;
    IF pgsteward_failures > 0 THEN
      pgsteward_size := greatest(1, pgsteward_size / 10);
      PERFORM pg_sleep(least(5, 0.05 * 2 ^ pgsteward_failures) * (0.5 + random() / 2));
    ELSE
      pgsteward_size := greatest(1, least(${LARGEST_SIZE}, pgsteward_size * least(2, greatest(0.5,
        ${TARGET_MS} / greatest(1, 1000 * extract(epoch FROM clock_timestamp() - pgsteward_began))))));
      ${here.map((name, index) => `${name} := ${next[index] ?? ""};`).join(" ")}
    END IF;
  END LOOP;${work.finish}
END
`)}`;
}

/** The same work for `runBackfill`. */
export function backfillDefinition(name: string, work: BackfillSql): BackfillDefinition {
  const { schema, table, key, set, where } = work;
  return { name, schema, table, key, set, where };
}
