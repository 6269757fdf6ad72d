// Writes into the history without running anything: a baseline, and what a person knows to be true.
import { InvalidInputError, type Connection, type Database } from "../../postgres/index.ts";
import type { Migration } from "../migration-files.ts";
import { compareHistory, isBegun, versionOf, type MigrationStatus } from "./compare-history.ts";
import { deleteHistory, readHistory, writeHistory, type AppliedMigration } from "./history.ts";
import type { HistoryTable, RunMigrationsOptions } from "./run-options.ts";
import { withRunner } from "./runner-session.ts";
import { groupsOf } from "./statement-groups.ts";

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
      doneChecksum: recorded.state === "done" ? undefined : grouped.doneChecksums[recorded.position],
    });
  });
}

function notRecorded({ version, name }: MigrationStatus): InvalidInputError {
  return new InvalidInputError(`the migration ${version}_${name} is not in the history`, {
    hint: "it is pending: pgsteward migrate up applies it, --done says that it is applied already",
  });
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
