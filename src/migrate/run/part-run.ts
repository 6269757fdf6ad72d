// One migration on its way in one direction: how far it is, writing that down, and telling whoever listens.
import { identifier, type Connection, type Statement } from "../../postgres/index.ts";
import type { Migration } from "../migration-files.ts";
import { deletionOf, lineOf, type HistoryEntry, type StatementIntent } from "./history.ts";
import type { HistoryTable, MigrationDirection, MigrationEvent, RunMigrationsOptions } from "./run-options.ts";
import type { GroupedPart, RunStatement } from "./statement-groups.ts";

/** How far a migration is. */
export interface Progress {
  position: number;
  durationMs: number;
  intent: StatementIntent | undefined;
}

/** One migration in one direction, on the connection that holds the runner's lock. */
export interface PartRun {
  readonly connection: Connection;
  readonly history: HistoryTable;
  readonly options: RunMigrationsOptions;
  readonly migration: Migration;
  /** The version as the history writes it. */
  readonly version: string;
  readonly direction: MigrationDirection;
  readonly part: GroupedPart;
  readonly progress: Progress;
  /** How many migrations of this run come after it. */
  readonly remaining: number;
  /** The role that the connection began with; `none`: that of the login. */
  readonly role: string;
}

export function advance(progress: Progress, position: number, tookMs: number): void {
  progress.position = position;
  progress.durationMs += tookMs;
}

/** Writes that `position` statements are done, in the transaction that is open or in its own. */
export async function record(run: PartRun, position: number, tookMs: number): Promise<void> {
  const { history, version, direction, part } = run;
  const isDone = position >= part.statements.length;
  await asRunner(
    run,
    isDone && direction === "down"
      ? deletionOf(history, version)
      : lineOf(history, entryOf(run, isDone ? "done" : "running", position, tookMs)),
  );
}

/** The file may have taken another role, which the history is not open to: its own comes back with the end of the transaction. */
async function asRunner({ connection, role }: PartRun, write: Statement): Promise<void> {
  const isOpen = connection.transactionStatus === "open";
  if (!isOpen) await connection.exec("BEGIN");
  const setRole = role === "none" ? [] : [{ text: `SET LOCAL ROLE ${identifier(role)}` }];
  await connection.batch([{ text: "SET LOCAL SESSION AUTHORIZATION DEFAULT" }, ...setRole, write]);
  if (!isOpen) await connection.exec("COMMIT");
}

/** Writes how far the migration is, outside any group. */
export async function writeProgress(run: PartRun, state: "running" | "failed", error?: string): Promise<void> {
  const { history, progress } = run;
  await asRunner(run, lineOf(history, { ...entryOf(run, state, progress.position, 0), error }));
}

function entryOf(run: PartRun, state: HistoryEntry["state"], position: number, tookMs: number): HistoryEntry {
  const { migration, version, direction, part, progress, options } = run;
  const { name, checksum } = migration;
  return {
    version,
    name,
    checksum,
    durationMs: Math.round(progress.durationMs + tookMs),
    state,
    direction,
    position,
    statements: part.statements.length,
    doneChecksum: state === "done" ? undefined : part.doneChecksums[position],
    intent: progress.intent,
    actor: options.actor,
  };
}

type OfThisRun = "version" | "name" | "direction";
type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

export function tell(run: PartRun, event: DistributiveOmit<MigrationEvent, OfThisRun>): void {
  const { version, name } = run.migration;
  run.options.onEvent?.({ version, name, direction: run.direction, ...event } as MigrationEvent);
}

type OfThisStatement = OfThisRun | "statement" | "statements" | "line";

export function tellStatement(
  run: PartRun,
  statement: RunStatement,
  event: DistributiveOmit<Extract<MigrationEvent, { line: number }>, OfThisStatement>,
): void {
  const { number, line } = statement;
  tell(run, { statement: number, statements: run.part.statements.length, line, ...event });
}
