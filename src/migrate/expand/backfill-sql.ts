// A backfill as one SQL statement, for a migration file that any tool can run: a DO block that commits after each batch. Stopped, it
// is simply run again: the condition knows what is left.
import type { BackfillDefinition } from "../backfill/definition.ts";
import { identifier } from "../../postgres/index.ts";
import type { ExpandGroup } from "./change.ts";
import { alone } from "./change.ts";

const BATCH_SIZE = 1_000;

export interface BackfillSql {
  readonly schema: string;
  readonly table: string;
  readonly key: readonly string[];
  readonly set: string;
  readonly where: string;
  /** Whether rows that still match at the end are an error. */
  readonly mustFinish: boolean;
}

/** Outside any transaction; row security that hides rows from the login is an error meanwhile. */
export function backfillGroups(work: BackfillSql): readonly ExpandGroup[] {
  return alone("SET row_security = off", backfillBlock(work), "RESET row_security");
}

function backfillBlock({ schema, table, key, set, where, mustFinish }: BackfillSql): string {
  const relation = identifier(schema, table);
  const finish = `
  IF EXISTS (SELECT FROM ${relation} WHERE ${where}) THEN
    RAISE EXCEPTION 'rows of % are still to do', '${relation.replaceAll("'", "''")}'
      USING HINT = 'something writes them in the meantime: run this again';
  END IF;`;
  const batch = (window: string): string => `UPDATE ${relation} SET ${set} WHERE ${window} AND (${where});`;
  return batchedBlock(relation, key, batch, mustFinish ? finish : "");
}

/**
 * A DO block that walks a table by key and commits after each window of it.
 *
 * @param batch - the statement for one window, which it gets as a condition over the key
 * @param finish - what is done after the last one
 */
export function batchedBlock(
  relation: string,
  key: readonly string[],
  batch: (window: string) => string,
  finish: string,
): string {
  const columns = key.map((name) => identifier(name));
  const here = key.map((_, index) => `pgsteward_here_${index + 1}`);
  const next = key.map((_, index) => `pgsteward_next_${index + 1}`);
  const declare = (names: readonly string[]): string =>
    names.map((name, index) => `  ${name} ${relation}.${columns[index] ?? ""}%TYPE;`).join("\n");
  const row = (parts: readonly string[]): string => `ROW(${parts.join(", ")})`;
  const window = `${row(columns)} >= ${row(here)}`;
  return `DO $pgsteward$
#variable_conflict use_column
DECLARE
${declare(here)}
${declare(next)}
  pgsteward_has_more boolean;
BEGIN
  SELECT ${columns.join(", ")} INTO ${here.join(", ")}
  FROM ${relation} ORDER BY ${columns.join(", ")} LIMIT 1;
  pgsteward_has_more := FOUND;
  WHILE pgsteward_has_more LOOP
    SELECT ${columns.join(", ")} INTO ${next.join(", ")}
    FROM ${relation} WHERE ${window} ORDER BY ${columns.join(", ")} OFFSET ${BATCH_SIZE} LIMIT 1;
    pgsteward_has_more := FOUND;
    IF pgsteward_has_more THEN
      ${batch(`${window} AND ${row(columns)} < ${row(next)}`)}
    ELSE
      ${batch(window)}
    END IF;
    COMMIT;
    ${here.map((name, index) => `${name} := ${next[index] ?? ""};`).join(" ")}
  END LOOP;${finish}
END
$pgsteward$`;
}

/** The same work for `runBackfill`. */
export function backfillDefinition(name: string, work: BackfillSql): BackfillDefinition {
  const { schema, table, key, set, where } = work;
  return { name, schema, table, key, set, where };
}
