// Brings a database forward and back by numbered SQL migrations: one runner at a time, each group in one transaction together
// with its place in the history, and no file that was edited after it ran.
import {
  ConnectionLostError,
  InvalidInputError,
  MigrationEditedError,
  ReadOnlyError,
  SQLSTATE,
  type Connection,
  type Database,
  type LockHolder,
} from "../../postgres/index.ts";
import type { Migration } from "../migration-files.ts";
import {
  compareHistory,
  isBegun,
  pendingMigrations,
  revertibleMigrations,
  versionOf,
  whyIrreversible,
  type MigrationStatus,
} from "./compare-history.ts";
import { deleteHistory, ensureHistory, readHistory, writeHistory, type AppliedMigration } from "./history.ts";
import { tell, type PartRun } from "./part-run.ts";
import {
  historyOf,
  type HistoryTable,
  type MigrationDirection,
  type MigrationRun,
  type RanMigration,
  type RunMigrationsOptions,
} from "./run-options.ts";
import { runPart } from "./run-part.ts";
import { readRunner, releaseRunnerLock, takeRunnerLock } from "./runner-lock.ts";
import { checksumOf, groupStatements, type GroupedPart } from "./statement-groups.ts";

const OLDEST_SERVER = 140_000;

/** What is applied or half way, oldest first; empty when the database was never migrated. */
export function readMigrationHistory(
  database: Pick<Connection, "query">,
  options: Pick<RunMigrationsOptions, "history" | "schema"> = {},
): Promise<readonly AppliedMigration[]> {
  return readHistory(database, historyOf(options));
}

/**
 * Applies the migrations that are not applied yet, in order, a half-done one first. What succeeded stays when a later one fails.
 *
 * @throws MigrationEditedError when an applied file has changed
 * @throws MigrationUnfinishedError when a person has to say what became of a statement, or one is half way back
 * @throws InvalidInputError when the database has a migration that the folder lacks, or one that came later than a missing one; when
 *   the server is older than PostgreSQL 14
 * @throws InvalidSqlError and its like with file, line and caret when a statement fails; the hint says what is done and how to go on
 * @throws LockNotAvailableError when another process migrates for longer than `runnerWaitMs`, or a lock was not to be had
 */
export async function runMigrations(
  database: Database,
  migrations: readonly Migration[],
  options: RunMigrationsOptions = {},
): Promise<MigrationRun> {
  return withRunner(database, options, async (runner) => {
    const rows = await readHistory(runner.connection, runner.history);
    const done = await runTasks(runner, pendingMigrations(migrations, rows, options), "up", rows);
    return { done, appliedBefore: countApplied(rows) };
  });
}

/**
 * Takes back the newest applied migrations, newest first: `options.count`, 1 by default, or all after `options.to`.
 *
 * @throws InvalidInputError when one of them has no way back; the message says why. Nothing is done then
 */
export async function revertMigrations(
  database: Database,
  migrations: readonly Migration[],
  options: RunMigrationsOptions = {},
): Promise<MigrationRun> {
  return withRunner(database, options, async (runner) => {
    const rows = await readHistory(runner.connection, runner.history);
    const done = await runTasks(runner, revertibleMigrations(migrations, rows, options), "down", rows);
    return { done, appliedBefore: countApplied(rows) };
  });
}

/** Takes back the newest `options.count` (default 1) migrations and applies them again. */
export async function redoMigrations(
  database: Database,
  migrations: readonly Migration[],
  options: RunMigrationsOptions = {},
): Promise<MigrationRun> {
  return withRunner(database, options, async (runner) => {
    const rows = await readHistory(runner.connection, runner.history);
    const tasks = revertibleMigrations(migrations, rows, options);
    const back = await runTasks(runner, tasks, "down", rows);
    const after = await readHistory(runner.connection, runner.history);
    const forth = await runTasks(runner, tasks.toReversed(), "up", after);
    return { done: [...back, ...forth], appliedBefore: countApplied(rows) };
  });
}

/**
 * Marks the migrations up to and with a version as applied, without running them: for a database that has what they make.
 *
 * @param options - `force`: also when the history is not empty; what it has stays, a half-done one becomes done
 * @throws InvalidInputError when the history is not empty
 */
export async function baselineMigrations(
  database: Database,
  migrations: readonly Migration[],
  version: string,
  options: RunMigrationsOptions & { readonly force?: boolean | undefined } = {},
): Promise<readonly Migration[]> {
  const last = versionOf(version, migrations);
  return withRunner(database, options, async ({ connection, history }) => {
    const rows = (await readHistory(connection, history)).filter(isBegun);
    if (rows.length > 0 && options.force !== true)
      throw new InvalidInputError(
        `the history ${history.schema}.${history.table} has ${rows.length} migrations already`,
        { hint: "a baseline is for a database that was never migrated; --force adds what is missing to the history" },
      );
    const recorded = new Set(rows.filter(({ state }) => state === "done").map((row) => BigInt(row.version)));
    const marked = migrations.filter(
      (migration) => BigInt(migration.version) <= last && !recorded.has(BigInt(migration.version)),
    );
    await connection.exec("BEGIN");
    for (const migration of marked) await writeDone(connection, history, migration, options, true);
    await connection.exec("COMMIT");
    return marked;
  });
}

/** What `repairMigration` writes: the migration is applied, is not applied, or is applied and its file is right as it is. */
export type Repair = "done" | "undone" | "accept";

/**
 * Writes into the history what a person knows to be true, and runs nothing. `accept` also takes a half-done migration whose
 * statements that are done were edited.
 *
 * @param version - number, name or file; of a file that is gone: its number
 */
export async function repairMigration(
  database: Database,
  migrations: readonly Migration[],
  version: string,
  repair: Repair,
  options: RunMigrationsOptions = {},
): Promise<void> {
  return withRunner(database, options, async ({ connection, history }) => {
    const rows = await readHistory(connection, history);
    const status = compareHistory(migrations, rows).find(({ version: known, name, file }) =>
      /^\d+$/.test(version) ? BigInt(known) === BigInt(version) : [name, `${known}_${name}`, file].includes(version),
    );
    if (status === undefined)
      throw new InvalidInputError(`neither the folder nor the history has a migration ${version}`, {
        hint: "pgsteward migrate status lists them",
      });
    const { recorded } = status;
    if (repair === "undone") {
      if (recorded === undefined) throw notRecorded(status);
      await deleteHistory(connection, history, recorded.version);
      return;
    }
    const migration = migrations.find((candidate) => candidate.version === status.version);
    if (migration === undefined)
      throw new InvalidInputError(`the folder has no file for the migration ${status.version}_${status.name}`, {
        hint: "get the file back, or forget the migration with --undone",
      });
    if (repair === "done")
      return writeDone(connection, history, migration, options, recorded?.isBaseline ?? true, recorded);
    if (recorded === undefined || !isBegun(recorded)) throw notRecorded(status);
    const direction = recorded.direction;
    const grouped = await groupsOf(migration, direction);
    await writeHistory(connection, history, {
      ...recorded,
      checksum: migration.checksum,
      statements: grouped.statements.length,
      doneChecksum: recorded.state === "done" ? undefined : checksumOf(grouped.statements.slice(0, recorded.position)),
    });
  });
}

function notRecorded({ version, name }: MigrationStatus): InvalidInputError {
  return new InvalidInputError(`the migration ${version}_${name} is not in the history`, {
    hint: "it is pending: pgsteward migrate up applies it, --done says that it is applied already",
  });
}

export interface MigrationsReport {
  readonly migrations: readonly MigrationStatus[];
  /** The session that runs migrations of this history now. */
  readonly runner: LockHolder | undefined;
}

/** Holds the folder against the database; changes nothing. */
export async function readMigrationStatus(
  database: Database,
  migrations: readonly Migration[],
  options: Pick<RunMigrationsOptions, "history" | "schema"> = {},
): Promise<MigrationsReport> {
  await using connection = await database.connect();
  const history = historyOf(options);
  const rows = await readHistory(connection, history);
  return { migrations: compareHistory(migrations, rows), runner: await readRunner(connection, history) };
}

/** What a run would do, in its order. */
export interface PlannedMigration {
  readonly version: string;
  readonly name: string;
  readonly file: string;
  readonly direction: MigrationDirection;
  /** Statements that an earlier run has done already. */
  readonly position: number;
  readonly groups: readonly {
    readonly inTransaction: boolean;
    readonly statements: readonly { readonly line: number; readonly sql: string }[];
  }[];
}

/** What `runMigrations` (up) or `revertMigrations` (down) would do now. Reads only; refuses what they refuse. */
export async function previewMigrations(
  database: Database,
  migrations: readonly Migration[],
  direction: MigrationDirection,
  options: RunMigrationsOptions = {},
): Promise<readonly PlannedMigration[]> {
  await using connection = await database.connect({ signal: options.signal });
  await checkServer(connection);
  const rows = await readHistory(connection, historyOf(options));
  const tasks =
    direction === "up" ? pendingMigrations(migrations, rows, options) : revertibleMigrations(migrations, rows, options);
  return Promise.all(
    tasks.map(async (migration) => {
      const { groups, statements } = await groupsOf(migration, direction);
      const recorded = rows.find((row) => BigInt(row.version) === BigInt(migration.version));
      const position = startOf(recorded, direction);
      checkDonePart(migration, recorded, { groups, statements }, direction);
      return {
        version: migration.version,
        name: migration.name,
        file: migration.file,
        direction,
        position,
        groups: groups
          .filter((group) => group.first + group.statements.length > position)
          .map((group) => ({
            inTransaction: group.begin !== undefined || group.alone === undefined,
            statements: group.statements.map(({ line, text }) => ({ line, sql: text })),
          })),
      };
    }),
  );
}

interface Runner {
  readonly connection: Connection;
  readonly history: HistoryTable;
  readonly options: RunMigrationsOptions;
}

async function withRunner<T>(
  database: Database,
  options: RunMigrationsOptions,
  work: (runner: Runner) => Promise<T>,
): Promise<T> {
  checkOptions(options);
  const history = historyOf(options);
  const connection = await database.connect({ signal: options.signal });
  try {
    await checkServer(connection);
    await checkSchema(connection, options.schema);
    const { runnerWaitMs: waitMs = 60_000, signal, onEvent } = options;
    await takeRunnerLock(connection, history, { waitMs, signal, onEvent });
    await ensureHistory(connection, history);
    return await work({ connection, history, options });
  } finally {
    await leave(connection, history);
  }
}

/** Gives up the lock and the session's settings. */
async function leave(connection: Connection, history: HistoryTable): Promise<void> {
  try {
    if (connection.transactionStatus !== "idle") await connection.exec("ROLLBACK");
    await connection.exec("RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL");
    await releaseRunnerLock(connection, history);
    // Temporary tables, prepared statements and the like of the files end with the session.
    connection.release(connection.database.kind === "server" ? new Error("used for migrations") : undefined);
  } catch (error) {
    connection.release(error instanceof Error ? error : new Error(String(error)));
    // A lost connection holds nothing any more, and its loss is told by what was running.
    if (!(error instanceof ConnectionLostError)) throw error;
  }
}

function checkOptions({ count, to }: RunMigrationsOptions): void {
  if (count !== undefined && (!Number.isSafeInteger(count) || count < 1))
    throw new InvalidInputError(`the number of migrations must be a whole number from 1, got ${count}`);
  if (count !== undefined && to !== undefined)
    throw new InvalidInputError("a number of migrations and a version to go to exclude each other", {
      hint: "give one of them",
    });
}

async function checkServer(connection: Connection): Promise<void> {
  const { rows } = await connection.query<{ number: number; version: string; is_replica: boolean }>(
    `SELECT pg_catalog.current_setting('server_version_num')::int AS number,
       pg_catalog.current_setting('server_version') AS version, pg_catalog.pg_is_in_recovery() AS is_replica`,
  );
  const { number = 0, version = "", is_replica: isReplica = false } = rows[0] ?? {};
  refuseOldServer(number, version);
  if (isReplica)
    throw new ReadOnlyError(
      "this server is a replica: migrations run on the primary",
      { sqlState: SQLSTATE.readOnlyTransaction },
      { hint: "give the primary's URL, or several hosts with target_session_attrs=primary" },
    );
}

/** @throws InvalidInputError below PostgreSQL 14 */
export function refuseOldServer(versionNumber: number, version: string): void {
  if (versionNumber >= OLDEST_SERVER) return;
  throw new InvalidInputError(`the server is PostgreSQL ${version}; migrations need 14 or newer`, {
    hint: "upgrade the server: https://www.postgresql.org/support/versioning/",
  });
}

async function checkSchema(connection: Connection, schema: string | undefined): Promise<void> {
  if (schema === undefined) return;
  const { rows } = await connection.query("SELECT FROM pg_catalog.pg_namespace AS n WHERE n.nspname = $1", [schema]);
  if (rows.length === 0)
    throw new InvalidInputError(`there is no schema ${schema}`, { hint: `make it first: CREATE SCHEMA ${schema}` });
}

async function runTasks(
  { connection, history, options }: Runner,
  tasks: readonly Migration[],
  direction: MigrationDirection,
  rows: readonly AppliedMigration[],
): Promise<RanMigration[]> {
  // All are read before the first one runs: a syntax error in the last file stops the run before anything is done.
  const parts = await Promise.all(tasks.map((migration) => groupsOf(migration, direction)));
  const { rows: roles } = await connection.query<{ role: string }>("SELECT pg_catalog.current_setting('role') AS role");
  const done: RanMigration[] = [];
  for (const [index, migration] of tasks.entries()) {
    const part = parts[index] ?? { groups: [], statements: [] };
    const recorded = rows.find((row) => BigInt(row.version) === BigInt(migration.version));
    checkDonePart(migration, recorded, part, direction);
    const isContinued = recorded !== undefined && recorded.state !== "done" && recorded.direction === direction;
    const run: PartRun = {
      connection,
      history,
      options,
      migration,
      version: recorded?.version ?? migration.version,
      direction,
      part,
      progress: {
        position: startOf(recorded, direction),
        durationMs: isContinued ? recorded.durationMs : 0,
        intent: isContinued ? recorded.intent : undefined,
      },
      remaining: tasks.length - index - 1,
      role: roles[0]?.role ?? "none",
    };
    tell(run, { kind: "migrationStarted", position: run.progress.position, statements: part.statements.length });
    await runPart(run);
    const durationMs = Math.round(run.progress.durationMs);
    tell(run, { kind: "migrationDone", durationMs });
    done.push({ version: migration.version, name: migration.name, direction, durationMs });
  }
  return done;
}

function startOf(recorded: AppliedMigration | undefined, direction: MigrationDirection): number {
  return recorded !== undefined && recorded.state !== "done" && recorded.direction === direction
    ? recorded.position
    : 0;
}

/** A half-done migration goes on only when what is done of it stands in the file as it ran; the rest may have been corrected. */
function checkDonePart(
  migration: Migration,
  recorded: AppliedMigration | undefined,
  part: GroupedPart,
  direction: MigrationDirection,
): void {
  const position = startOf(recorded, direction);
  if (recorded === undefined || position === 0) return;
  const isGroupEnd = position >= part.statements.length || part.groups.some(({ first }) => first === position);
  if (isGroupEnd && checksumOf(part.statements.slice(0, position)) === recorded.doneChecksum) return;
  throw new MigrationEditedError(
    `${migration.file} is half done, and its first ${position} statements, which are done, were changed since`,
    {
      hint: `put them back as they were (what follows may be corrected), or accept the file as it is with pgsteward migrate repair ${migration.version} --accept`,
    },
  );
}

async function groupsOf(migration: Migration, direction: MigrationDirection): Promise<GroupedPart> {
  const part = direction === "up" ? migration.up : migration.down;
  if (part === undefined)
    throw new InvalidInputError(
      `${migration.file} cannot be taken back: ${whyIrreversible(migration) ?? "it has no down part"}`,
    );
  return groupStatements(migration, part);
}

async function writeDone(
  connection: Connection,
  history: HistoryTable,
  migration: Migration,
  { actor }: RunMigrationsOptions,
  isBaseline: boolean,
  recorded?: AppliedMigration,
): Promise<void> {
  const { statements } = await groupsOf(migration, "up");
  await writeHistory(connection, history, {
    version: recorded?.version ?? migration.version,
    name: migration.name,
    checksum: migration.checksum,
    durationMs: recorded?.durationMs ?? 0,
    state: "done",
    direction: "up",
    position: statements.length,
    statements: statements.length,
    actor,
    isBaseline,
  });
}

function countApplied(rows: readonly AppliedMigration[]): number {
  return rows.filter(({ state }) => state === "done").length;
}
