// Runs numbered migrations: one process at a time, each file in one transaction together with its line of history, and no
// file that was edited after it ran.
import {
  DatabaseError,
  InvalidInputError,
  MigrationEditedError,
  type Connection,
  type Database,
} from "../postgres/index.ts";
import type { Migration, MigrationPart } from "./migration-files.ts";
import { parseSqlScript, sqlErrorAt, unitsOf } from "./sql-script.ts";

export interface AppliedMigration {
  readonly version: string;
  readonly name: string;
  readonly checksum: string;
  readonly appliedAt: Date;
  readonly durationMs: number;
}

export interface MigrationRun {
  /** What this run did, in the order in which it did it. */
  readonly done: readonly { readonly version: string; readonly name: string; readonly durationMs: number }[];
  /** How many were applied before this run. */
  readonly appliedBefore: number;
}

export interface RunMigrationsOptions {
  /** How long to wait for another process that migrates, in milliseconds. Default 60_000. */
  readonly lockTimeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

// One number for every pgsteward: two processes with different folders must not migrate one database at once either.
const ADVISORY_LOCK = 7_420_001_807_042;

const CREATE_HISTORY_SQL = `
CREATE SCHEMA IF NOT EXISTS pgsteward;
CREATE TABLE IF NOT EXISTS pgsteward.migration (
  version text NOT NULL,
  name text NOT NULL,
  checksum text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now(),
  duration integer NOT NULL,
  CONSTRAINT pk_migration PRIMARY KEY (version)
);
COMMENT ON SCHEMA pgsteward IS 'Records and functions of pgsteward';
COMMENT ON TABLE pgsteward.migration IS 'Migrations that are applied to this database';
COMMENT ON COLUMN pgsteward.migration.checksum IS 'SHA-256 of the file as it was when it ran';
COMMENT ON COLUMN pgsteward.migration.duration IS 'In milliseconds';`;

const HISTORY_EXISTS_SQL = `SELECT pg_catalog.to_regclass('pgsteward.migration') IS NOT NULL AS exists`;
const HISTORY_SQL = `
SELECT version, name, checksum, applied_at, duration
FROM pgsteward.migration
ORDER BY length(ltrim(version, '0')), ltrim(version, '0')`;
const INSERT_SQL = `INSERT INTO pgsteward.migration (version, name, checksum, duration) VALUES ($1, $2, $3, $4)`;
const DELETE_SQL = `DELETE FROM pgsteward.migration WHERE version = $1`;

/** What is applied, oldest first; empty when the database was never migrated. */
export async function readMigrationHistory(database: Pick<Connection, "query">): Promise<readonly AppliedMigration[]> {
  const { rows: found } = await database.query<{ exists: boolean }>(HISTORY_EXISTS_SQL);
  if (found[0]?.exists !== true) return [];
  const { rows } = await database.query<{
    version: string;
    name: string;
    checksum: string;
    applied_at: Date;
    duration: number;
  }>(HISTORY_SQL);
  return rows.map((row) => ({
    version: row.version,
    name: row.name,
    checksum: row.checksum,
    appliedAt: row.applied_at,
    durationMs: row.duration,
  }));
}

/**
 * Applies every migration that is not applied yet, in order. What succeeded stays when a later one fails.
 *
 * @throws MigrationEditedError when an applied file has changed
 * @throws InvalidInputError when the database has a migration that the folder lacks, or one that came later than a missing one
 * @throws InvalidSqlError with file, line and caret when a statement fails; that migration left nothing behind
 * @throws LockNotAvailableError when another process migrates for longer than `lockTimeoutMs`
 */
export async function runMigrations(
  database: Database,
  migrations: readonly Migration[],
  options: RunMigrationsOptions = {},
): Promise<MigrationRun> {
  return withMigrationLock(database, options, async (connection) => {
    const { rows } = await connection.query<{ exists: boolean }>(HISTORY_EXISTS_SQL);
    if (rows[0]?.exists !== true) await connection.exec(CREATE_HISTORY_SQL);
    const history = await readMigrationHistory(connection);
    const pending = pendingMigrations(migrations, history);
    const done: { version: string; name: string; durationMs: number }[] = [];
    for (const migration of pending) {
      const { version, name, checksum } = migration;
      const durationMs = await runPart(connection, migration, migration.up, options, (took) => [
        INSERT_SQL,
        [version, name, checksum, took],
      ]);
      done.push({ version, name, durationMs });
    }
    return { done, appliedBefore: history.length };
  });
}

/**
 * Takes back the newest `count` applied migrations, newest first.
 *
 * @throws InvalidInputError when one of them has no `-- migrate:down` or is not in the folder
 */
export async function revertMigrations(
  database: Database,
  migrations: readonly Migration[],
  count: number,
  options: RunMigrationsOptions = {},
): Promise<MigrationRun> {
  return withMigrationLock(database, options, async (connection) => {
    const history = await readMigrationHistory(connection);
    pendingMigrations(migrations, history);
    const done: { version: string; name: string; durationMs: number }[] = [];
    for (const { version } of history.toReversed().slice(0, count)) {
      const migration = migrations.find((candidate) => candidate.version === version);
      if (migration?.down === undefined) {
        throw new InvalidInputError(
          `${migration?.file ?? version} has no "-- migrate:down" part: it cannot be taken back`,
        );
      }
      const durationMs = await runPart(connection, migration, migration.down, options, () => [DELETE_SQL, [version]]);
      done.push({ version, name: migration.name, durationMs });
    }
    return { done, appliedBefore: history.length };
  });
}

/** Pure: what is still to do, after the folder and the history were compared. */
export function pendingMigrations(
  migrations: readonly Migration[],
  history: readonly AppliedMigration[],
): readonly Migration[] {
  const byVersion = new Map(migrations.map((migration) => [BigInt(migration.version), migration]));
  const applied = new Set<bigint>();
  for (const row of history) {
    const migration = byVersion.get(BigInt(row.version));
    if (migration === undefined) {
      throw new InvalidInputError(
        `the database has the migration ${row.version}_${row.name}, which is not in the folder`,
        {
          hint: "this program is older than the database, or the file was deleted: get the file back",
        },
      );
    }
    if (migration.checksum !== row.checksum) {
      throw new MigrationEditedError(
        `${migration.file} was changed after it was applied at ${row.appliedAt.toISOString()}`,
        {
          hint: "put the file back as it was, and write the change as a new migration",
        },
      );
    }
    applied.add(BigInt(row.version));
  }
  const pending = migrations.filter((migration) => !applied.has(BigInt(migration.version)));
  const newest = [...applied].reduce((most, version) => (version > most ? version : most), -1n);
  const late = pending.find((migration) => BigInt(migration.version) < newest);
  if (late !== undefined) {
    throw new InvalidInputError(`${late.file} is not applied, but a migration with a higher number is (${newest})`, {
      hint: "give it a number above every applied one",
    });
  }
  return pending;
}

async function withMigrationLock<T>(
  database: Database,
  options: RunMigrationsOptions,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  await using connection = await database.connect({ signal: options.signal });
  // The lock belongs to the session, because a migration with transaction:false has no transaction to hold it.
  await connection.exec(
    `BEGIN; SET LOCAL lock_timeout = ${options.lockTimeoutMs ?? 60_000}; SELECT pg_catalog.pg_advisory_lock(${ADVISORY_LOCK}); COMMIT`,
    { timeoutMs: (options.lockTimeoutMs ?? 60_000) + 5_000, signal: options.signal },
  );
  try {
    return await work(connection);
  } finally {
    if (connection.transactionStatus !== "idle") await connection.exec("ROLLBACK");
    await connection.exec(`SELECT pg_catalog.pg_advisory_unlock(${ADVISORY_LOCK})`);
  }
}

async function runPart(
  connection: Connection,
  migration: Migration,
  part: MigrationPart,
  options: RunMigrationsOptions,
  record: (durationMs: number) => readonly [string, readonly unknown[]],
): Promise<number> {
  const script = await parseSqlScript(part.sql, migration.file);
  const forbidden = script.statements.find(({ kind }) => kind === "TransactionStmt");
  if (forbidden !== undefined && part.isTransactional) {
    throw new InvalidInputError(
      `${migration.file} holds ${forbidden.text.split(/\s/, 1)[0]}: the runner opens and commits the transaction itself`,
      {
        hint: "take it out, or write -- migrate:up transaction:false",
      },
    );
  }
  const started = performance.now();
  if (part.isTransactional) await connection.exec("BEGIN");
  for (const statement of script.statements) {
    try {
      await connection.exec(statement.text, { signal: options.signal });
    } catch (error) {
      if (part.isTransactional) await connection.exec("ROLLBACK");
      if (!(error instanceof DatabaseError)) throw error;
      const inStatement = error.position === undefined ? 0 : unitsOf(statement.text, error.position - 1);
      throw sqlErrorAt(migration.text, statement.offset + inStatement, migration.file, error.message, {
        sqlState: error.sqlState,
        cause: error,
        hint: error.hint,
      });
    }
  }
  const durationMs = Math.round(performance.now() - started);
  const [sql, values] = record(durationMs);
  await connection.query(sql, values);
  if (part.isTransactional) await connection.exec("COMMIT");
  return durationMs;
}
