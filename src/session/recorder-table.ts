// Where recorders write to: `pgsteward.statement`, one row for each statement shape, summed over processes and restarts.
import { SQLSTATE, driverIO, InvalidInputError, type Database, type DatabaseError } from "../postgres/index.ts";

/** One key for everybody who makes these tables: IF NOT EXISTS alone lets two at the same time run into a unique violation. */
const CREATE_LOCK_SQL =
  "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('pgsteward.statement', 0))";

const CREATE_SQL = [
  CREATE_LOCK_SQL,
  "CREATE SCHEMA IF NOT EXISTS pgsteward",
  `
CREATE TABLE IF NOT EXISTS pgsteward.statement (
  fingerprint text PRIMARY KEY,
  text text NOT NULL,
  command text NOT NULL,
  tables text[] NOT NULL,
  predicates jsonb NOT NULL,
  calls bigint NOT NULL,
  rows bigint NOT NULL,
  errors bigint NOT NULL,
  total_ms double precision NOT NULL,
  mean_ms double precision GENERATED ALWAYS AS (total_ms / greatest(calls, 1)) STORED,
  max_ms double precision NOT NULL,
  waited_ms double precision NOT NULL,
  units text[] NOT NULL,
  callers text[] NOT NULL,
  parameter_samples jsonb NOT NULL,
  first_seen timestamptz NOT NULL,
  last_seen timestamptz NOT NULL
)`,
  // Says which writes have arrived: one whose answer was lost is sent again and must not count twice.
  `
CREATE TABLE IF NOT EXISTS pgsteward.statement_write (
  id uuid PRIMARY KEY,
  written_at timestamptz NOT NULL DEFAULT now()
)`,
];

/**
 * Makes the tables that `recorder.persist()` writes to, in the schema `pgsteward`. Does nothing where they are already.
 * Their owner is the login; grant others INSERT, SELECT and UPDATE on `statement`, and INSERT, SELECT and DELETE on `statement_write`.
 */
export async function createRecorderTables(database: Database): Promise<void> {
  await driverIO(() => database.batch(CREATE_SQL.map((text) => ({ text }))));
}

/** One row of what is added to the table. */
export interface StatementRow {
  readonly fingerprint: string;
  readonly text: string;
  readonly command: string;
  readonly tables: readonly string[];
  readonly predicates: readonly unknown[];
  readonly calls: number;
  readonly rows: number;
  readonly errors: number;
  readonly total_ms: number;
  readonly max_ms: number;
  readonly waited_ms: number;
  readonly units: readonly string[];
  readonly callers: readonly string[];
  readonly parameter_samples: readonly (readonly string[])[];
  readonly first_seen: string;
  readonly last_seen: string;
}

// Rows in key order, so that two processes that write at the same time never wait for each other in a circle.
const WRITE_SQL = `
WITH arrived AS (
  INSERT INTO pgsteward.statement_write (id) VALUES ($1::uuid)
  ON CONFLICT DO NOTHING
  RETURNING id
), forgotten AS (
  DELETE FROM pgsteward.statement_write WHERE written_at < now() - interval '1 day'
)
INSERT INTO pgsteward.statement AS s (
  fingerprint, text, command, tables, predicates, calls, rows, errors, total_ms, max_ms, waited_ms, units, callers,
  parameter_samples, first_seen, last_seen
)
SELECT
  r.fingerprint, r.text, r.command, r.tables, r.predicates, r.calls, r.rows, r.errors, r.total_ms, r.max_ms, r.waited_ms,
  r.units, r.callers, r.parameter_samples, r.first_seen, r.last_seen
FROM arrived
CROSS JOIN jsonb_to_recordset($2::jsonb) AS r (
  fingerprint text, text text, command text, tables text[], predicates jsonb, calls bigint, rows bigint, errors bigint,
  total_ms double precision, max_ms double precision, waited_ms double precision, units text[], callers text[],
  parameter_samples jsonb, first_seen timestamptz, last_seen timestamptz
)
ORDER BY r.fingerprint
ON CONFLICT (fingerprint) DO UPDATE SET
  calls = s.calls + excluded.calls,
  rows = s.rows + excluded.rows,
  errors = s.errors + excluded.errors,
  total_ms = s.total_ms + excluded.total_ms,
  max_ms = greatest(s.max_ms, excluded.max_ms),
  waited_ms = s.waited_ms + excluded.waited_ms,
  units = ARRAY(SELECT name FROM unnest(s.units || excluded.units) AS name GROUP BY name ORDER BY name LIMIT 16),
  callers = ARRAY(SELECT place FROM unnest(s.callers || excluded.callers) AS place GROUP BY place ORDER BY place LIMIT 8),
  parameter_samples = CASE
    WHEN excluded.parameter_samples = '[]' THEN s.parameter_samples ELSE excluded.parameter_samples END,
  first_seen = least(s.first_seen, excluded.first_seen),
  last_seen = greatest(s.last_seen, excluded.last_seen)`;

/**
 * Adds rows to the table, once: a repeated `id` adds nothing.
 *
 * @throws InvalidInputError when the tables are not there
 */
export async function writeStatements(database: Database, id: string, rows: readonly StatementRow[]): Promise<void> {
  try {
    // In a flow without a unit: inside one it would be part of it, and undone with it.
    await driverIO(() => database.query(WRITE_SQL, [id, JSON.stringify(rows)]));
  } catch (error) {
    const { sqlState } = error as Partial<DatabaseError>;
    if (sqlState !== SQLSTATE.undefinedTable) throw error;
    throw new InvalidInputError("the table pgsteward.statement does not exist", {
      cause: error,
      hint: "call createRecorderTables(db) once, as a login that may create a schema",
    });
  }
}
