// `pgsteward partitions ensure`: partitions ahead of time, rows of the default partition where they belong, old partitions retired.
import { Command, Option } from "commander";
import { ensurePartitions, type PartitionPolicy, type PartitionRun, type Period } from "../../../migrate/index.ts";
import { InvalidInputError } from "../../../postgres/index.ts";
import { qualifiedName, wholeNumber } from "../../arguments.ts";
import type { Run } from "../../command.ts";
import { confirmByName } from "../../confirm.ts";
import { chooseDatabase, openExisting, readCommandSettings, requireValid, type CommandContext } from "../../context.ts";
import { printable } from "../../output.ts";

interface Options {
  readonly every?: Period;
  readonly ahead?: number;
  readonly keep?: number;
  readonly drop?: boolean;
  readonly moveTo?: string;
  readonly values?: readonly string[];
  readonly hash?: number;
  readonly maxRowsMoved?: number;
  readonly lockTimeout?: number;
  readonly dryRun?: boolean;
  readonly confirm?: string;
}

export function ensureCommand(run: Run): Command {
  const command = new Command("ensure")
    .description("make the partitions that a table should have by now, and retire those past their time; run it daily")
    .argument("<table>", "the partitioned table; without a schema: public")
    .addOption(
      new Option("--every <period>", "ranges of this length, in UTC").choices(["day", "week", "month", "year"]),
    )
    .option("--ahead <periods>", "partitions after the current one (default: 3)", wholeNumber)
    .option(
      "--keep <periods>",
      "whole past periods that stay; older ones are detached (default: all stay)",
      wholeNumber,
    )
    .option("--move-to <schema>", "move what was detached into this schema")
    .option("--drop", "drop what was detached; needs --confirm")
    .option("--values <values...>", "list: values, e.g. large tenants, that get a partition of their own")
    .option("--hash <modulus>", "hash: so many partitions", wholeNumber)
    .option(
      "--max-rows-moved <rows>",
      "most rows that one new partition takes out of the default (default: 100000)",
      wholeNumber,
    )
    .option("--lock-timeout <ms>", "longest wait of a step for a lock; 0: without an end (default: 2000)", wholeNumber)
    .option("--dry-run", "print the statements and change nothing")
    .option("--confirm <table>", "the table's name again: required with --drop")
    .addHelpText(
      "before",
      `Examples:
  pgsteward partitions ensure shop.events --every month --ahead 3
  pgsteward partitions ensure shop.events --every month --keep 12 --move-to archive
  pgsteward partitions ensure shop.events --every day --keep 90 --drop --confirm shop.events
  pgsteward partitions ensure messaging.chats --values 7f0c… 91ab… --dry-run
  pgsteward partitions ensure shop.parts --hash 16

Where pg_partman keeps the table, or is installed and the table has no partitions yet, its configuration is written instead.
Exit codes: 0 done; 1 some partition could not be made or retired; 64 wrong use; 75 a lock was not free.
`,
    );
  return command.action((table: string, options: Options) =>
    run(command, (context) => ensure(context, table, options)),
  );
}

async function ensure(context: CommandContext, table: string, options: Options): Promise<number> {
  const policy = policyOf(table, options);
  if (options.drop === true && options.dryRun !== true)
    await confirmByName(context, table, options.confirm, [
      `partitions of ${table} older than ${options.keep ?? 0} periods are dropped`,
    ]);
  const settings = await readCommandSettings(context);
  requireValid(settings);
  await using database = await openExisting(context, settings, chooseDatabase(context, settings));
  const done = await ensurePartitions(database, policy, {
    dryRun: options.dryRun,
    maxRowsMoved: options.maxRowsMoved,
    lockTimeoutMs: options.lockTimeout,
    signal: context.signal,
  }).catch((error: unknown) => {
    if (context.signal.aborted)
      context.output.note("what was made or retired stays, the step that ran was undone: the same command goes on");
    throw error;
  });
  context.output.result(done, () => textOf(done));
  return done.notDone.length > 0 ? 1 : 0;
}

function policyOf(text: string, options: Options): PartitionPolicy {
  const name = qualifiedName(text);
  const { every, ahead, keep, drop, moveTo, values, hash } = options;
  const kinds = [every, values, hash].filter((kind) => kind !== undefined);
  if (kinds.length !== 1) {
    throw new InvalidInputError(
      kinds.length === 0 ? "what partitions should there be?" : "a table has one kind of partitions",
      {
        hint: "give one of --every, --values and --hash",
      },
    );
  }
  if (every === undefined && [ahead, keep, drop, moveTo].some((option) => option !== undefined))
    throw new InvalidInputError("--ahead, --keep, --drop and --move-to go with --every");
  if ((drop !== undefined || moveTo !== undefined) && keep === undefined)
    throw new InvalidInputError("--drop and --move-to need --keep", {
      hint: "say how many whole periods stay, e.g. --keep 12",
    });
  if (drop === true && moveTo !== undefined) throw new InvalidInputError("give --drop or --move-to, not both");
  if (every !== undefined) {
    const retire = drop === true ? "drop" : moveTo === undefined ? "detach" : { moveTo };
    return { kind: "range", ...name, every, ahead, keep, retire };
  }
  if (values !== undefined) return { kind: "list", ...name, values };
  return { kind: "hash", ...name, modulus: hash ?? 0 };
}

function textOf(run: PartitionRun): string {
  if (run.isDryRun) {
    const statements = run.statements.map((statement) => `${statement};`);
    return [...(statements.length === 0 ? ["-- nothing to do"] : statements), ...obstacles(run)].join("\n");
  }
  const lines = [
    ...(run.managedBy === "pg_partman" ? ["pg_partman keeps the partitions: its configuration was written"] : []),
    ...run.created.map(
      ({ name, bound, rowsMoved }) =>
        `made ${printable(name)} ${printable(bound)}${rowsMoved === 0 ? "" : `, ${rowsMoved} rows moved into it`}`,
    ),
    ...run.retired.map(({ name, how }) => `${how}: ${printable(name)}`),
    ...obstacles(run),
    ...(run.defaultPartition?.hasRows === true
      ? [`! ${run.defaultPartition.name} holds rows that no other partition takes`]
      : []),
  ];
  return lines.length === 0 ? "nothing to do" : lines.join("\n");
}

function obstacles(run: PartitionRun): readonly string[] {
  return run.notDone.map(({ name, why }) => `! ${printable(name)}: ${printable(why)}`);
}
