// The record of a backfill in the schema pgsteward: where it stands, written in the transaction of each batch, and the lock that
// keeps a second run of the same name out.
import type { Connection, Database, Queryable, Row } from "../../postgres/index.ts";
import { withNamedLock } from "../named-lock.ts";
import type { KeyValues } from "./batch.ts";
import type { CheckedDefinition } from "./definition.ts";

/** A recorded backfill. */
export interface BackfillRecord {
  readonly name: string;
  readonly schema: string;
  readonly table: string;
  readonly set: string;
  readonly where: string | undefined;
  readonly filter: string | undefined;
  readonly fingerprint: string;
  /** `running` also when its process died: the lock tells whether one lives. */
  readonly state: "running" | "stopped" | "failed" | "done";
  /** Counted from 1; a later pass takes the rows that came behind the cursor. */
  readonly pass: number;
  /** Values of the key of the last row that is done in this pass. */
  readonly cursor: KeyValues | undefined;
  /** Where this pass ends. */
  readonly passEnd: KeyValues | undefined;
  readonly rowsVisited: number;
  readonly rowsChanged: number;
  readonly batches: number;
  readonly startedAt: Date;
  readonly updatedAt: Date;
  readonly finishedAt: Date | undefined;
  readonly lastError: string | undefined;
}

const EXISTS_SQL = `SELECT pg_catalog.to_regclass('pgsteward.backfill') IS NOT NULL AS exists`;
// CREATE … IF NOT EXISTS of two processes at once can fail with a unique violation, hence the lock.
const CREATE_SQL = `
BEGIN;
SELECT pg_catalog.pg_advisory_xact_lock(7420001807043);
CREATE SCHEMA IF NOT EXISTS pgsteward;
CREATE TABLE IF NOT EXISTS pgsteward.backfill (
  name text NOT NULL,
  table_schema text NOT NULL,
  table_name text NOT NULL,
  set_clause text NOT NULL,
  where_clause text,
  filter_clause text,
  fingerprint text NOT NULL,
  state text NOT NULL,
  pass integer NOT NULL DEFAULT 1,
  cursor_key text[],
  pass_end text[],
  rows_visited bigint NOT NULL DEFAULT 0,
  rows_changed bigint NOT NULL DEFAULT 0,
  batches bigint NOT NULL DEFAULT 0,
  started_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz,
  last_error text,
  CONSTRAINT pk_backfill PRIMARY KEY (name),
  CONSTRAINT ck_backfill_state CHECK (state IN ('running', 'stopped', 'failed', 'done'))
);
COMMENT ON TABLE pgsteward.backfill IS 'Batched updates: where each one stands';
COMMENT ON COLUMN pgsteward.backfill.cursor_key IS 'Key of the last row that is done in this pass, as texts';
COMMENT ON COLUMN pgsteward.backfill.pass_end IS 'Key at which this pass ends, as texts';
COMMIT;`;

const COLUMNS = `name, table_schema, table_name, set_clause, where_clause, filter_clause, fingerprint, state, pass, cursor_key,
  pass_end, rows_visited::float8 AS rows_visited, rows_changed::float8 AS rows_changed, batches::float8 AS batches, started_at,
  updated_at, finished_at, last_error`;
const READ_SQL = `SELECT ${COLUMNS} FROM pgsteward.backfill WHERE name = $1::text`;
const READ_ALL_SQL = `SELECT ${COLUMNS} FROM pgsteward.backfill ORDER BY started_at, name LIMIT 1000`;
const INSERT_SQL = `
INSERT INTO pgsteward.backfill (name, table_schema, table_name, set_clause, where_clause, filter_clause, fingerprint, state)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'running')
ON CONFLICT (name) DO UPDATE SET
  table_schema = excluded.table_schema, table_name = excluded.table_name, set_clause = excluded.set_clause,
  where_clause = excluded.where_clause, filter_clause = excluded.filter_clause, fingerprint = excluded.fingerprint,
  state = excluded.state, pass = 1, cursor_key = NULL, pass_end = NULL, rows_visited = 0, rows_changed = 0, batches = 0,
  started_at = now(), updated_at = now(), finished_at = NULL, last_error = NULL`;
// Only where the record stands as this process knows it: behind a pooler the session's lock may not hold, this does.
const ADVANCE_SQL = `
UPDATE pgsteward.backfill
SET cursor_key = $4::text[], rows_visited = rows_visited + $5::int8, rows_changed = rows_changed + $6::int8,
  batches = batches + 1, updated_at = now(), last_error = NULL
WHERE name = $1::text
  AND pass = $2::int4
  AND cursor_key IS NOT DISTINCT FROM $3::text[]`;
const BEGIN_PASS_SQL = `
UPDATE pgsteward.backfill
SET state = 'running', pass = $2::int4, cursor_key = NULL, pass_end = $3::text[], updated_at = now(), finished_at = NULL
WHERE name = $1::text`;
const STATE_SQL = `
UPDATE pgsteward.backfill
SET state = $2::text, last_error = $3::text, updated_at = now(),
  finished_at = CASE WHEN $2::text = 'done' THEN now() END
WHERE name = $1::text`;

/** Makes the schema and the table of the records, when they are not there. */
export async function createStore(connection: Connection): Promise<void> {
  if (!(await hasStore(connection))) await connection.exec(CREATE_SQL);
}

async function hasStore(db: Pick<Queryable, "query">): Promise<boolean> {
  const { rows } = await db.query<{ exists: boolean }>(EXISTS_SQL);
  return rows[0]?.exists === true;
}

export async function readRecord(connection: Connection, name: string): Promise<BackfillRecord | undefined> {
  const { rows } = await connection.query<RecordRow>(READ_SQL, [name]);
  return rows[0] === undefined ? undefined : recordOf(rows[0]);
}

/** Every backfill that this database knows of, oldest first; empty when there was none. */
export async function readBackfills(database: Database | Connection): Promise<readonly BackfillRecord[]> {
  if (!(await hasStore(database))) return [];
  const { rows } = await database.query<RecordRow>(READ_ALL_SQL);
  return rows.map(recordOf);
}

/** Begins a record anew, whatever was there under its name. */
export async function insertRecord(connection: Connection, definition: CheckedDefinition): Promise<void> {
  const { name, schema, table, set, where, filter, fingerprint } = definition;
  await connection.query(INSERT_SQL, [name, schema, table, set, where ?? null, filter ?? null, fingerprint]);
}

export async function beginPass(
  connection: Connection,
  name: string,
  pass: number,
  passEnd: KeyValues | undefined,
): Promise<void> {
  await connection.query(BEGIN_PASS_SQL, [name, pass, passEnd ?? null]);
}

export interface BatchDone {
  readonly name: string;
  readonly pass: number;
  readonly from: KeyValues | undefined;
  readonly to: KeyValues;
  readonly visited: number;
  readonly changed: number;
}

/** @returns false when the record stands elsewhere: another process works on it, and the transaction must be rolled back */
export async function advance(connection: Connection, batch: BatchDone): Promise<boolean> {
  const { name, pass, from, to, visited, changed } = batch;
  const { rowCount } = await connection.query(ADVANCE_SQL, [name, pass, from ?? null, to, visited, changed]);
  return rowCount === 1;
}

export async function setState(
  connection: Connection,
  name: string,
  state: BackfillRecord["state"],
  lastError?: string,
): Promise<void> {
  await connection.query(STATE_SQL, [name, state, lastError ?? null]);
}

/**
 * Runs `work` while this session holds the backfill's lock.
 *
 * @throws LockNotAvailableError that names who holds it, when it is not free within `waitMs`
 */
export function withBackfillLock<T>(
  connection: Connection,
  name: string,
  waitMs: number,
  work: () => Promise<T>,
): Promise<T> {
  const refusal = {
    message: `the backfill ${name} is running already`,
    hint: "wait for it: pgsteward migrate backfill --status shows how far it is",
  };
  return withNamedLock(connection, { name: `backfill ${name}`, waitMs, refusal }, work);
}

/** One of which nothing is recorded yet. */
export function emptyRecord(definition: CheckedDefinition): BackfillRecord {
  const { name, schema, table, set, where, filter, fingerprint } = definition;
  const now = new Date();
  return {
    name,
    schema,
    table,
    set,
    where,
    filter,
    fingerprint,
    state: "running",
    pass: 1,
    cursor: undefined,
    passEnd: undefined,
    rowsVisited: 0,
    rowsChanged: 0,
    batches: 0,
    startedAt: now,
    updatedAt: now,
    finishedAt: undefined,
    lastError: undefined,
  };
}

interface RecordRow extends Row {
  readonly name: string;
  readonly table_schema: string;
  readonly table_name: string;
  readonly set_clause: string;
  readonly where_clause: string | null;
  readonly filter_clause: string | null;
  readonly fingerprint: string;
  readonly state: BackfillRecord["state"];
  readonly pass: number;
  readonly cursor_key: readonly string[] | null;
  readonly pass_end: readonly string[] | null;
  readonly rows_visited: number;
  readonly rows_changed: number;
  readonly batches: number;
  readonly started_at: Date;
  readonly updated_at: Date;
  readonly finished_at: Date | null;
  readonly last_error: string | null;
}

function recordOf(row: RecordRow): BackfillRecord {
  return {
    name: row.name,
    schema: row.table_schema,
    table: row.table_name,
    set: row.set_clause,
    where: row.where_clause ?? undefined,
    filter: row.filter_clause ?? undefined,
    fingerprint: row.fingerprint,
    state: row.state,
    pass: row.pass,
    cursor: row.cursor_key ?? undefined,
    passEnd: row.pass_end ?? undefined,
    rowsVisited: row.rows_visited,
    rowsChanged: row.rows_changed,
    batches: row.batches,
    startedAt: row.started_at,
    updatedAt: row.updated_at,
    finishedAt: row.finished_at ?? undefined,
    lastError: row.last_error ?? undefined,
  };
}
