// The history table: making it, reading it, and the one statement that records how far a migration is.
import {
  identifier,
  InsufficientPrivilegeError,
  InvalidInputError,
  type Connection,
  type Row,
  type Statement,
} from "../../postgres/index.ts";
import type { HistoryTable, MigrationDirection } from "./run-options.ts";

/** `done`: all of it; `running`: a runner is, or was when it ended, half way; `failed`: half way, stopped by an error. */
export type RecordedState = "running" | "done" | "failed";

/** A line of the history. */
export interface AppliedMigration {
  readonly version: string;
  readonly name: string;
  /** SHA-256 of the file when it ran. */
  readonly checksum: string;
  readonly appliedAt: Date;
  readonly durationMs: number;
  readonly state: RecordedState;
  readonly direction: MigrationDirection;
  /** How many statements of the part are done; of `statements`. */
  readonly position: number;
  readonly statements: number;
  /** Stands for the text of the statements that are done; `undefined` for a migration that is done as a whole. */
  readonly doneChecksum: string | undefined;
  /** The statement outside a transaction that was about to run, when the run ended before it was known to be done. */
  readonly intent: StatementIntent | undefined;
  /** Why the last try failed; without values of rows. */
  readonly error: string | undefined;
  /** The role. `undefined` in a history that an older version made. */
  readonly appliedBy: string | undefined;
  /** Who asked for it, where the program told. */
  readonly actor: string | undefined;
  /** It was marked as applied without being run. */
  readonly isBaseline: boolean;
}

/** Written before a statement that cannot share a transaction with its line of history. */
export interface StatementIntent {
  readonly sql: string;
  /** Oids of the indexes its table had before. */
  readonly indexes?: readonly string[] | undefined;
}

export interface HistoryEntry {
  readonly version: string;
  readonly name: string;
  readonly checksum: string;
  readonly durationMs: number;
  readonly state: RecordedState;
  readonly direction: MigrationDirection;
  readonly position: number;
  readonly statements: number;
  readonly doneChecksum?: string | undefined;
  readonly intent?: StatementIntent | undefined;
  readonly error?: string | undefined;
  readonly actor?: string | undefined;
  readonly isBaseline?: boolean | undefined;
}

// Histories of the first version had the first five columns only.
const ADDED_COLUMNS: Readonly<Record<string, string>> = {
  state: "text NOT NULL DEFAULT 'done'",
  direction: "text NOT NULL DEFAULT 'up'",
  position: "integer NOT NULL DEFAULT 0",
  statements: "integer NOT NULL DEFAULT 0",
  done_checksum: "text",
  intent: "jsonb",
  error: "text",
  applied_by: "text",
  actor: "text",
  is_baseline: "boolean NOT NULL DEFAULT false",
};

const FIRST_COLUMNS = ["version", "name", "checksum", "applied_at", "duration"];

const COLUMNS_SQL = `
SELECT a.attname AS name
FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid = pg_catalog.to_regclass($1)
  AND a.attnum > 0
  AND NOT a.attisdropped`;

// Two histories in one schema may be made at the same time; CREATE SCHEMA IF NOT EXISTS fails for the second one.
const BOOTSTRAP_LOCK_SQL = "SELECT pg_catalog.pg_advisory_xact_lock(7420001807042)";

/** A table of that name that somebody else keeps, e.g. another migration tool: nothing may be added to it. */
function refuseOtherTable({ schema, table }: HistoryTable, present: ReadonlySet<string>): void {
  const missing = FIRST_COLUMNS.filter((name) => !present.has(name));
  if (present.size === 0 || missing.length === 0) return;
  throw new InvalidInputError(
    `the table ${schema}.${table} is no history of pgsteward: it lacks ${missing.join(", ")}`,
    {
      hint: "rename it, or keep the history under another name; what another tool applied is marked with pgsteward migrate baseline",
    },
  );
}

/** Makes the history table, or brings one of an older version up to date; changes nothing when it is as it should be. */
export async function ensureHistory(connection: Connection, history: HistoryTable): Promise<void> {
  const table = quoted(history);
  const { rows } = await connection.query<{ name: string }>(COLUMNS_SQL, [table]);
  const present = new Set(rows.map(({ name }) => name));
  refuseOtherTable(history, present);
  if (present.size > 0 && Object.keys(ADDED_COLUMNS).every((name) => present.has(name))) return;
  const columns = Object.entries(ADDED_COLUMNS);
  try {
    await connection.exec(`BEGIN; ${BOOTSTRAP_LOCK_SQL}`);
    // CREATE SCHEMA IF NOT EXISTS asks for the right to make one also where it is there.
    const { rows: schemas } = await connection.query("SELECT FROM pg_catalog.pg_namespace AS n WHERE n.nspname = $1", [
      history.schema,
    ]);
    const schema = identifier(history.schema);
    if (schemas.length === 0)
      await connection.exec(
        `CREATE SCHEMA ${schema}; COMMENT ON SCHEMA ${schema} IS 'Records and functions of pgsteward'`,
      );
    await connection.exec(`
CREATE TABLE IF NOT EXISTS ${table} (
  version text NOT NULL,
  name text NOT NULL,
  checksum text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now(),
  duration integer NOT NULL,
  CONSTRAINT ${identifier(`pk_${history.table}`)} PRIMARY KEY (version)
);
ALTER TABLE ${table} ${columns.map(([name, type]) => `ADD COLUMN IF NOT EXISTS ${name} ${type}`).join(", ")};
COMMENT ON TABLE ${table} IS 'Migrations that are applied to this database, or half way';
COMMENT ON COLUMN ${table}.checksum IS 'SHA-256 of the file as it was when it ran';
COMMENT ON COLUMN ${table}.duration IS 'In milliseconds';
COMMENT ON COLUMN ${table}.position IS 'How many statements are done';
COMMENT ON COLUMN ${table}.intent IS 'A statement outside a transaction that was begun and is not known to be done';
COMMIT`);
  } catch (error) {
    if (connection.transactionStatus !== "idle") await connection.exec("ROLLBACK");
    if (!(error instanceof InsufficientPrivilegeError)) throw error;
    const { rows: facts } = await connection.query<{ database: string; role: string; exists: boolean }>(
      `SELECT pg_catalog.current_database() AS database, CURRENT_USER AS role, pg_catalog.to_regnamespace($1) IS NOT NULL AS exists`,
      [identifier(history.schema)],
    );
    const { database = "", role = "", exists = false } = facts[0] ?? {};
    const grant = exists
      ? `GRANT USAGE, CREATE ON SCHEMA ${identifier(history.schema)} TO ${identifier(role)}`
      : `GRANT CREATE ON DATABASE ${identifier(database)} TO ${identifier(role)}`;
    const owner = present.size > 0 ? `, or run it once as the owner of ${table}` : "";
    throw new InsufficientPrivilegeError(
      `the history ${history.schema}.${history.table} cannot be made: ${error.message}`,
      { sqlState: error.sqlState },
      { cause: error, hint: `${grant}${owner}` },
    );
  }
}

/**
 * What is applied or half way, oldest first; empty when there is no history.
 *
 * @param history - default: `pgsteward.schema_migrations`
 */
export async function readHistory(
  database: Pick<Connection, "query">,
  history: HistoryTable,
): Promise<readonly AppliedMigration[]> {
  const table = quoted(history);
  const { rows: found } = await database.query<{ exists: boolean }>(
    "SELECT pg_catalog.to_regclass($1) IS NOT NULL AS exists",
    [table],
  );
  if (found[0]?.exists !== true) return [];
  // As JSON, because a history of an older version lacks columns, and reading must not change it.
  const { rows } = await database.query<HistoryRow>(`
SELECT m.version, m.applied_at, pg_catalog.to_jsonb(m) AS fields
FROM ${table} AS m
ORDER BY length(ltrim(m.version, '0')), ltrim(m.version, '0')`);
  return rows.map(({ version, applied_at: appliedAt, fields }) => ({
    version,
    name: fields.name,
    checksum: fields.checksum,
    appliedAt,
    durationMs: fields.duration,
    state: fields.state ?? "done",
    direction: fields.direction ?? "up",
    position: fields.position ?? 0,
    statements: fields.statements ?? 0,
    doneChecksum: fields.done_checksum ?? undefined,
    intent: fields.intent ?? undefined,
    error: fields.error ?? undefined,
    appliedBy: fields.applied_by ?? undefined,
    actor: fields.actor ?? undefined,
    isBaseline: fields.is_baseline ?? false,
  }));
}

interface HistoryRow extends Row {
  readonly version: string;
  readonly applied_at: Date;
  readonly fields: {
    readonly name: string;
    readonly checksum: string;
    readonly duration: number;
    readonly state?: RecordedState;
    readonly direction?: MigrationDirection;
    readonly position?: number;
    readonly statements?: number;
    readonly done_checksum?: string | null;
    readonly intent?: StatementIntent | null;
    readonly error?: string | null;
    readonly applied_by?: string | null;
    readonly actor?: string | null;
    readonly is_baseline?: boolean;
  };
}

/** Writes the line of a migration, in the transaction that is open or in one of its own. */
export async function writeHistory(connection: Connection, history: HistoryTable, entry: HistoryEntry): Promise<void> {
  await connection.batch([lineOf(history, entry)]);
}

/** The statement that writes the line of a migration. */
export function lineOf(history: HistoryTable, entry: HistoryEntry): Statement {
  return {
    text: `
INSERT INTO ${quoted(history)} AS m
  (version, name, checksum, duration, state, direction, position, statements, done_checksum, intent, error, actor, is_baseline, applied_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb, $11, $12, $13, CURRENT_USER)
ON CONFLICT (version) DO UPDATE SET
  name = excluded.name, checksum = excluded.checksum, applied_at = now(), duration = excluded.duration,
  state = excluded.state, direction = excluded.direction, position = excluded.position, statements = excluded.statements,
  done_checksum = excluded.done_checksum, intent = excluded.intent, error = excluded.error, actor = excluded.actor,
  is_baseline = excluded.is_baseline, applied_by = excluded.applied_by`,
    values: [
      entry.version,
      entry.name,
      entry.checksum,
      entry.durationMs,
      entry.state,
      entry.direction,
      entry.position,
      entry.statements,
      entry.doneChecksum ?? null,
      entry.intent === undefined ? null : JSON.stringify(entry.intent),
      entry.error ?? null,
      entry.actor ?? null,
      entry.isBaseline ?? false,
    ],
  };
}

/** Notes why a try failed, and leaves the line as it is otherwise. */
export async function noteFailure(
  connection: Connection,
  history: HistoryTable,
  version: string,
  error: string,
): Promise<void> {
  await connection.query(`UPDATE ${quoted(history)} SET error = $2 WHERE version = $1`, [version, error]);
}

export async function deleteHistory(connection: Connection, history: HistoryTable, version: string): Promise<void> {
  await connection.batch([deletionOf(history, version)]);
}

/** The statement that takes the line of a migration away. */
export function deletionOf(history: HistoryTable, version: string): Statement {
  return { text: `DELETE FROM ${quoted(history)} WHERE version = $1`, values: [version] };
}

function quoted({ schema, table }: HistoryTable): string {
  return `${identifier(schema)}.${identifier(table)}`;
}
