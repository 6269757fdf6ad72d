// Brings a database forward and back by numbered SQL migrations: one runner at a time, each group in one transaction together
// with its place in the history, and no file that was edited after it ran.
import { MigrationEditedError, type Connection, type Database, type LockHolder } from "../../postgres/index.ts";
import type { Migration } from "../migration-files.ts";
import { compareHistory, pendingMigrations, revertibleMigrations, type MigrationStatus } from "./compare-history.ts";
import { readHistory, type AppliedMigration } from "./history.ts";
import { withGrantNamed } from "./missing-grant.ts";
import { tell, type PartRun } from "./part-run.ts";
import {
  historyOf,
  type MigrationDirection,
  type MigrationRun,
  type RanMigration,
  type RunMigrationsOptions,
} from "./run-options.ts";
import { runPart } from "./run-part.ts";
import { readRunner } from "./runner-lock.ts";
import { checkServer, withRunner, type Runner } from "./runner-session.ts";
import { groupsOf, type GroupedPart } from "./statement-groups.ts";

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
  const rows = await withGrantNamed(connection, history, () => readHistory(connection, history));
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
  const history = historyOf(options);
  const rows = await withGrantNamed(connection, history, () => readHistory(connection, history));
  const tasks =
    direction === "up" ? pendingMigrations(migrations, rows, options) : revertibleMigrations(migrations, rows, options);
  return Promise.all(
    tasks.map(async (migration) => {
      const part = await groupsOf(migration, direction);
      const recorded = rows.find((row) => BigInt(row.version) === BigInt(migration.version));
      const position = startOf(recorded, direction);
      checkDonePart(migration, recorded, part, direction);
      return {
        version: migration.version,
        name: migration.name,
        file: migration.file,
        direction,
        position,
        groups: part.groups
          .filter((group) => group.first + group.statements.length > position)
          .map((group) => ({
            inTransaction: group.begin !== undefined || group.alone === undefined,
            statements: group.statements.map(({ line, text }) => ({ line, sql: text })),
          })),
      };
    }),
  );
}

async function runTasks(
  { connection, history, options }: Runner,
  tasks: readonly Migration[],
  direction: MigrationDirection,
  rows: readonly AppliedMigration[],
): Promise<RanMigration[]> {
  // All are read before the first one runs: a syntax error in the last file stops the run before anything is done.
  const parts = await Promise.all(tasks.map((migration) => groupsOf(migration, direction)));
  for (const { statements } of parts) await statements[0]?.code?.load();
  const { rows: roles } = await connection.query<{ role: string }>("SELECT pg_catalog.current_setting('role') AS role");
  const done: RanMigration[] = [];
  for (const [index, migration] of tasks.entries()) {
    const part = parts[index] ?? (await groupsOf(migration, direction));
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
  if (isGroupEnd && part.doneChecksums[position] === recorded.doneChecksum) return;
  throw new MigrationEditedError(
    `${migration.file} is half done, and its first ${position} statements, which are done, were changed since`,
    {
      hint: `put them back as they were (what follows may be corrected), or accept the file as it is with pgsteward migrate repair ${migration.version} --accept`,
    },
  );
}

function countApplied(rows: readonly AppliedMigration[]): number {
  return rows.filter(({ state }) => state === "done").length;
}
