// `pgsteward migrate backfill`: a large UPDATE in batches, which can be stopped and continued at any time.
import { createHash } from "node:crypto";
import { Command } from "commander";
import {
  readBackfills,
  runBackfill,
  type BackfillDefinition,
  type BackfillProgress,
  type BackfillRecord,
  type BackfillResult,
} from "../../../migrate/index.ts";
import { InvalidInputError } from "../../../postgres/index.ts";
import { qualifiedName, wholeNumber } from "../../arguments.ts";
import type { Run } from "../../command.ts";
import { chooseDatabase, openExisting, readCommandSettings, requireValid, type CommandContext } from "../../context.ts";
import { alignColumns, printable } from "../../output.ts";

interface Options {
  readonly table?: string;
  readonly set?: string;
  readonly where?: string;
  readonly filter?: string;
  readonly key?: string;
  readonly name?: string;
  readonly batchSize?: number;
  readonly targetTime?: number;
  readonly pause?: number;
  readonly lockTimeout?: number;
  readonly maxLag?: number;
  readonly maxActive?: number;
  readonly maxLockWaits?: number;
  readonly restart?: boolean;
  readonly status?: boolean;
}

export function backfillCommand(run: Run): Command {
  const command = new Command("backfill")
    .description("update the rows of a large table in batches; stopped or killed, the same command continues")
    .option("--table <schema.table>", "the table; without a schema: public")
    .option("--set <assignments>", 'what stands after SET, e.g. "total_cents = total * 100"')
    .option("--where <condition>", "rows that are still to do; the update must make it false; counted at the end")
    .option("--filter <condition>", "rows that are meant at all; the update may leave it true")
    .option("--key <columns>", "columns of a unique key, with commas between (default: the primary key)")
    .option("--name <name>", "name under which the run is recorded (default: made from the table and the expressions)")
    .option("--batch-size <rows>", "rows of the first batch (default: 1000)", wholeNumber)
    .option(
      "--target-time <ms>",
      "batches grow and shrink towards this time; 0 keeps their size (default: 200)",
      wholeNumber,
    )
    .option("--pause <ms>", "rest after each batch (default: 0)", wholeNumber)
    .option("--lock-timeout <ms>", "longest wait of a batch for a lock (default: 1000)", wholeNumber)
    .option("--max-lag <ms>", "hold back while a replica is further behind (default: 5000)", wholeNumber)
    .option(
      "--max-active <sessions>",
      "hold back while more others are active (default: half of max_connections)",
      wholeNumber,
    )
    .option(
      "--max-lock-waits <sessions>",
      "hold back while more sessions wait for a lock on the table (default: 0)",
      wholeNumber,
    )
    .option("--restart", "forget what is recorded under the name and begin at the first row")
    .option("--status", "show the recorded backfills, or the one of --name, and change nothing")
    .addHelpText(
      "before",
      `Examples:
  pgsteward migrate backfill --table shop.orders --set "total_cents = total * 100" --where "total_cents IS NULL"
  pgsteward migrate backfill --table shop.orders --set "state = lower(state)" --where "state <> lower(state)" --pause 50
  pgsteward migrate backfill --status

Ctrl-C stops after the current batch. Exit codes: 0 done, 64 wrong expression or key, 75 held back or locked too long,
130 stopped.
`,
    );
  return command.action((options: Options) => run(command, (context) => backfill(context, options)));
}

async function backfill(context: CommandContext, options: Options): Promise<number> {
  const settings = await readCommandSettings(context);
  requireValid(settings);
  const definition = options.status === true ? undefined : definitionOf(options);
  await using database = await openExisting(context, settings, chooseDatabase(context, settings));
  if (definition === undefined) {
    const records = await readBackfills(database);
    const wanted = records.filter(({ name }) => options.name === undefined || name === options.name);
    if (options.name !== undefined && wanted.length === 0)
      throw new InvalidInputError(`there is no backfill with the name ${options.name}`, {
        hint: "pgsteward migrate backfill --status lists all of them",
      });
    context.output.result({ backfills: wanted }, () => statusText(wanted));
    return 0;
  }
  context.output.note(`backfill ${printable(definition.name)}`);
  const result = await runBackfill(database, definition, {
    batchSize: options.batchSize,
    targetMs: options.targetTime,
    pauseMs: options.pause,
    lockTimeoutMs: options.lockTimeout,
    maxLagMs: options.maxLag,
    maxActive: options.maxActive,
    maxLockWaits: options.maxLockWaits,
    restart: options.restart,
    signal: context.signal,
    onProgress: noteProgress(context),
  });
  for (const notice of result.notices) context.output.note(notice);
  context.output.result(result, () => resultText(result));
  return 0;
}

function definitionOf(options: Options): BackfillDefinition {
  const { table, set, where, filter, key, name } = options;
  if (table === undefined || set === undefined) {
    throw new InvalidInputError(`${table === undefined ? "--table" : "--set"} is missing`, {
      hint: 'e.g. pgsteward migrate backfill --table shop.orders --set "total_cents = total * 100" --where "total_cents IS NULL"',
    });
  }
  const names = qualifiedName(table);
  const digest = createHash("sha256")
    .update(JSON.stringify([set, where ?? null, filter ?? null]))
    .digest("hex");
  return {
    ...names,
    set,
    where,
    filter,
    key: key?.split(",").map((column) => column.trim()),
    name: name ?? `${names.schema}.${names.table} ${digest.slice(0, 8)}`,
  };
}

/** At most one line a second, and one when the run is held back for another reason. */
function noteProgress({ output }: CommandContext): (progress: BackfillProgress) => void {
  let notedAt = -Infinity;
  let reason: string | undefined;
  return (progress) => {
    const now = performance.now();
    if (now - notedAt < 1_000 && progress.heldBackBy === reason) return;
    notedAt = now;
    reason = progress.heldBackBy;
    output.progress(progress, () =>
      reason === undefined ? progressText(progress) : `waiting: ${progress.heldBackBy}`,
    );
  };
}

function progressText(progress: BackfillProgress): string {
  const { pass, rowsVisited, rowEstimate, rowsPerSecond, timeLeftMs, batchSize } = progress;
  const of = rowEstimate === undefined ? "" : ` of about ${rowEstimate}`;
  const left = timeLeftMs === undefined ? "" : `, about ${Math.ceil(timeLeftMs / 1_000)} s left`;
  const inPass = pass === 1 ? "" : `pass ${pass}: `;
  return `${inPass}${rowsVisited} rows${of}, ${Math.round(rowsPerSecond)} rows/s${left}, next batch ${batchSize}`;
}

function resultText(result: BackfillResult): string {
  const { name, state, wasDone, rowsChanged, rowsVisited, batches, passes, rowsLeft, tookMs } = result;
  if (wasDone) return `${printable(name)}: was done already, nothing is left`;
  const figures = `${rowsChanged} of ${rowsVisited} rows changed in ${batches} batches, ${(tookMs / 1_000).toFixed(1)} s`;
  if (state === "stopped") return `${printable(name)}: stopped; ${figures}; the same command continues it`;
  const more = passes === 1 ? "" : `, ${passes} passes`;
  const counted = rowsLeft === undefined ? "" : `; ${rowsLeft} rows are left to do`;
  return `${printable(name)}: done; ${figures}${more}${counted}`;
}

function statusText(records: readonly BackfillRecord[]): string {
  if (records.length === 0) return "no backfill is recorded in this database";
  return alignColumns([
    ["NAME", "STATE", "CHANGED", "VISITED", "BATCHES", "LAST", "ERROR"],
    ...records.map((record) => [
      printable(record.name),
      record.state,
      String(record.rowsChanged),
      String(record.rowsVisited),
      String(record.batches),
      record.updatedAt.toISOString(),
      printable(record.lastError ?? ""),
    ]),
  ]);
}
