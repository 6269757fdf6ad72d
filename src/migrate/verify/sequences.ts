// Positions of sequences. nextval is not undone by ROLLBACK, and migrations rely on the ids that their rows get.
import type { Queryable } from "../../postgres/index.ts";

export type SequencePositions = readonly {
  readonly name: string;
  readonly value: string;
  readonly isCalled: boolean;
}[];

// pg_sequences shows NULL for a sequence that was never called.
const READ_SQL = `
SELECT pg_catalog.format('%I.%I', s.schemaname, s.sequencename) AS name,
  coalesce(s.last_value, s.start_value)::text AS value,
  s.last_value IS NOT NULL AS "isCalled"
FROM pg_catalog.pg_sequences AS s`;
const RESTORE_SQL = `
SELECT pg_catalog.setval(s.name::regclass, s.value, s.is_called)
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::int8[]), pg_catalog.unnest($3::bool[])) AS s (name, value, is_called)
WHERE pg_catalog.to_regclass(s.name) IS NOT NULL`;
const LIMIT_MS = 10_000;

export async function readSequences(database: Queryable): Promise<SequencePositions> {
  const [result] = await database.batch([{ text: READ_SQL }], { timeoutMs: LIMIT_MS });
  return (result?.rows ?? []) as unknown as SequencePositions;
}

/** Puts those that still exist where they stood. */
export async function restoreSequences(database: Queryable, positions: SequencePositions): Promise<void> {
  if (positions.length === 0) return;
  const columns = [
    positions.map(({ name }) => name),
    positions.map(({ value }) => value),
    positions.map(({ isCalled }) => isCalled),
  ];
  await database.batch([{ text: RESTORE_SQL, values: columns }], { timeoutMs: LIMIT_MS });
}
