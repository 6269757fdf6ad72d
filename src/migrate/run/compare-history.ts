// Holds the folder against the history: what is applied, pending, edited, missing, out of order or half way, and what a run
// has to do. Pure.
import { InvalidInputError, MigrationEditedError, MigrationUnfinishedError } from "../../postgres/index.ts";
import type { Migration } from "../migration-files.ts";
import type { AppliedMigration } from "./history.ts";
import type { RunMigrationsOptions } from "./run-options.ts";

export type MigrationState =
  /** In the history, and the file is as it was. */
  | "applied"
  | "pending"
  /** Pending, and a migration with a higher number is applied. */
  | "outOfOrder"
  /** Applied, and the file has changed since. */
  | "edited"
  /** Applied, and the folder has no such file. */
  | "missing"
  /** Some of its statements are done; see `position` and `direction`. */
  | "unfinished";

export interface MigrationStatus {
  readonly version: string;
  readonly name: string;
  readonly state: MigrationState;
  /** `undefined` when the folder has none. */
  readonly file: string | undefined;
  /** `undefined` when it was never begun. Its `error` tells why the last try failed. */
  readonly recorded: AppliedMigration | undefined;
  /** Whether it has a way back; a reason why not. */
  readonly isReversible: boolean;
  readonly irreversible: string | undefined;
}

/** Whether anything of it, by the history, is in the database: a first try that failed as a whole left nothing. */
export function isBegun(row: AppliedMigration): boolean {
  return row.state === "done" || row.position > 0 || row.intent !== undefined || row.direction === "down";
}

/** Every migration of the folder and of the history, in the order of their numbers. */
export function compareHistory(
  migrations: readonly Migration[],
  history: readonly AppliedMigration[],
): readonly MigrationStatus[] {
  const recorded = new Map(history.map((row) => [BigInt(row.version), row]));
  const newest = newestOf(history.filter(isBegun));
  const statuses = migrations.map((migration): MigrationStatus => {
    const row = recorded.get(BigInt(migration.version));
    recorded.delete(BigInt(migration.version));
    const { version, name, file, irreversible } = migration;
    return {
      version,
      name,
      file,
      state: stateOf(migration, row, newest),
      recorded: row,
      isReversible: whyIrreversible(migration) === undefined,
      irreversible,
    };
  });
  for (const row of recorded.values()) {
    if (!isBegun(row)) continue;
    const { version, name } = row;
    const state = row.state === "done" ? "missing" : "unfinished";
    statuses.push({
      version,
      name,
      file: undefined,
      state,
      recorded: row,
      isReversible: false,
      irreversible: undefined,
    });
  }
  return statuses.sort((a, b) => (BigInt(a.version) < BigInt(b.version) ? -1 : 1));
}

function stateOf(migration: Migration, row: AppliedMigration | undefined, newest: bigint): MigrationState {
  if (row === undefined || !isBegun(row)) return BigInt(migration.version) < newest ? "outOfOrder" : "pending";
  if (row.state !== "done") return "unfinished";
  return row.checksum === migration.checksum ? "applied" : "edited";
}

function newestOf(history: readonly AppliedMigration[]): bigint {
  return history.reduce((most, row) => (BigInt(row.version) > most ? BigInt(row.version) : most), -1n);
}

/**
 * What `up` has to do, a half-done migration first.
 *
 * @throws MigrationEditedError when an applied file has changed
 * @throws MigrationUnfinishedError when one is half way back
 * @throws InvalidInputError when the database has a migration that the folder lacks, when one came later than a higher number, or
 *   when `to` is not in the folder
 */
export function pendingMigrations(
  migrations: readonly Migration[],
  history: readonly AppliedMigration[],
  options: Pick<RunMigrationsOptions, "allowOutOfOrder" | "count" | "to"> = {},
): readonly Migration[] {
  const statuses = compareHistory(migrations, history);
  const file = new Map(migrations.map((migration) => [migration.version, migration]));
  for (const status of statuses) {
    if (status.state === "missing" || (status.state === "unfinished" && status.file === undefined))
      throw missing(status);
    if (status.state === "edited") throw edited(status);
    if (status.state === "unfinished" && status.recorded?.direction === "down")
      throw new MigrationUnfinishedError(`${status.file} is half way back: ${positionOf(status)}`, {
        hint: "finish it first with pgsteward migrate down, or say what is true with pgsteward migrate repair",
      });
  }
  const late = statuses.find(({ state }) => state === "outOfOrder");
  if (late !== undefined && options.allowOutOfOrder !== true) {
    throw new InvalidInputError(
      `${late.file} is not applied, but a migration with a higher number is (${newestOf(history.filter(isBegun))})`,
      { hint: "give it a number above every applied one, or allow it with --allow-out-of-order" },
    );
  }
  const limit = options.to === undefined ? undefined : versionOf(options.to, migrations);
  const wanted = statuses.filter(
    ({ state, version }) =>
      state === "unfinished" ||
      ((state === "pending" || state === "outOfOrder") && (limit === undefined || BigInt(version) <= limit)),
  );
  return wanted
    .sort((a, b) => Number(b.state === "unfinished") - Number(a.state === "unfinished"))
    .slice(0, options.count)
    .flatMap(({ version }) => file.get(version) ?? []);
}

/**
 * What `down` has to take back, newest first, a half-done way back before all.
 *
 * @throws MigrationUnfinishedError when one is half way up
 * @throws MigrationEditedError, InvalidInputError when one of them was edited, is missing, or has no way back
 */
export function revertibleMigrations(
  migrations: readonly Migration[],
  history: readonly AppliedMigration[],
  options: Pick<RunMigrationsOptions, "allowIrreversible" | "count" | "to"> = {},
): readonly Migration[] {
  const statuses = compareHistory(migrations, history);
  const halfUp = statuses.find(({ state, recorded }) => state === "unfinished" && recorded?.direction === "up");
  if (halfUp !== undefined)
    throw new MigrationUnfinishedError(`${halfUp.file ?? halfUp.name} is half applied: ${positionOf(halfUp)}`, {
      hint: "finish it first with pgsteward migrate up, or say what is true with pgsteward migrate repair",
    });
  const stays = options.to === undefined ? undefined : options.to === "0" ? 0n : versionOf(options.to, migrations);
  const applied = statuses
    .filter(
      ({ recorded, version }) =>
        recorded !== undefined && isBegun(recorded) && (stays === undefined || BigInt(version) > stays),
    )
    .reverse()
    .sort((a, b) => Number(b.state === "unfinished") - Number(a.state === "unfinished"))
    .slice(0, options.count ?? (stays === undefined ? 1 : undefined));
  return applied.map((status) => {
    if (status.state === "edited") throw edited(status);
    const migration = migrations.find(({ version }) => version === status.version);
    if (migration === undefined) throw missing(status);
    const why = whyIrreversible(migration);
    const { up, down, irreversible, file, version, name } = migration;
    if (why === undefined) return migration;
    const isAllowed = options.allowIrreversible?.some((allowed) => isNamed({ version, name, file }, allowed)) === true;
    if (isAllowed && down !== undefined && hasStatements(down.sql)) return migration;
    throw new InvalidInputError(`${file} cannot be taken back: ${why}`, {
      hint:
        irreversible === undefined
          ? `write its ${up.code === undefined ? "-- migrate:down part" : "function down"}, or a new migration that undoes it`
          : down !== undefined && hasStatements(down.sql)
            ? `write a new migration that undoes it; its down part runs only when it is named: --confirm ${version}_${name}`
            : "write a new migration that undoes it, or restore a backup",
    });
  });
}

/** Why a migration has no way back; `undefined` when it has one. */
export function whyIrreversible(migration: Migration): string | undefined {
  if (migration.irreversible !== undefined) return migration.irreversible;
  if (migration.down === undefined)
    return migration.up.code === undefined ? 'it has no "-- migrate:down" part' : "it exports no function down";
  if (!hasStatements(migration.down.sql) && hasStatements(migration.up.sql)) return "its down part is empty";
  return undefined;
}

/** Whether a word names a migration: its number, its name, both, or its file. */
export function isNamed(
  migration: Pick<Migration, "version" | "name"> & { readonly file?: string | undefined },
  word: string,
): boolean {
  const { version, name, file } = migration;
  if (/^\d+$/.test(word)) return BigInt(word) === BigInt(version);
  return word === name || word === `${version}_${name}` || word === file;
}

function hasStatements(sql: string): boolean {
  return sql.replaceAll(/--[^\n]*|\/\*[^]*?\*\//g, "").replaceAll(/[\s;]/g, "") !== "";
}

/** The number of a version that the folder has. */
export function versionOf(word: string, migrations: readonly Migration[]): bigint {
  const found = migrations.find((migration) => isNamed(migration, word));
  if (found === undefined)
    throw new InvalidInputError(`the folder has no migration ${word}`, {
      hint: "give the number or the name of a file; pgsteward migrate status lists them",
    });
  return BigInt(found.version);
}

export function positionOf({ recorded }: Pick<MigrationStatus, "recorded">): string {
  const done = `${recorded?.position ?? 0} of ${recorded?.statements ?? 0} statements are done`;
  return recorded?.intent === undefined ? done : `${done}, and the next one may be`;
}

function missing({ version, name }: MigrationStatus): InvalidInputError {
  return new InvalidInputError(`the database has the migration ${version}_${name}, which is not in the folder`, {
    hint: `this program is older than the database, or the file was deleted: get the file back, or forget it with pgsteward migrate repair ${version} --undone`,
  });
}

function edited({ file, recorded, version }: MigrationStatus): MigrationEditedError {
  return new MigrationEditedError(
    `${file} was changed after it was applied at ${recorded?.appliedAt.toISOString() ?? "an unknown time"}`,
    {
      hint: `put the file back as it was, and write the change as a new migration; or accept the file as it is with pgsteward migrate repair ${version} --accept`,
    },
  );
}
