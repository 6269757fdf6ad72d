// `pgsteward partitions convert`: a plain table becomes a partitioned one while it is in use, as migrations.
import { resolve } from "node:path";
import { Command, Option } from "commander";
import { readCatalog } from "../../../catalog/index.ts";
import {
  formatExpandPhase,
  planPartitionConversion,
  writeExpandMigrations,
  type PartitionBy,
  type Period,
} from "../../../migrate/index.ts";
import { InvalidInputError } from "../../../postgres/index.ts";
import { qualifiedName, wholeNumber } from "../../arguments.ts";
import type { Run } from "../../command.ts";
import { chooseDatabase, openExisting, readCommandSettings, requireValid, type CommandContext } from "../../context.ts";
import { DEFAULT_FOLDER } from "../migrate/generate.ts";

interface Options {
  readonly range?: string;
  readonly list?: string;
  readonly every: Period;
  readonly ahead?: number;
  readonly boundary?: string;
  readonly weakerKeys?: boolean;
  readonly out?: string;
  readonly dryRun?: boolean;
}

export function convertCommand(run: Run): Command {
  const command = new Command("convert")
    .description("write the migrations that make a partitioned table of a plain one, without copying it")
    .argument("<table>", "the table; without a schema: public")
    .option("--range <column>", "partition by this time")
    .option("--list <column>", "partition by this value, e.g. the tenant; the table becomes the default partition")
    .addOption(
      new Option("--every <period>", "length of the ranges, in UTC")
        .choices(["day", "week", "month", "year"])
        .default("month"),
    )
    .option("--ahead <periods>", "partitions from the boundary on (default: 3)", wholeNumber)
    .option(
      "--boundary <date>",
      "what is older stays in the old table, e.g. 2027-01-01 (default: the end of the next period)",
    )
    .option("--weaker-keys", "keys without the column become unique only together with it")
    .option("--out <folder>", "where the files go (default: migrations of the settings, else ./migrations)")
    .option("--dry-run", "print the migrations and write nothing")
    .addHelpText(
      "before",
      `Examples:
  pgsteward partitions convert shop.events --range created_at --every month --weaker-keys
  pgsteward partitions convert messaging.chats --list tenant_id --dry-run

The database of the settings is read and not changed. Exit codes: 0 written, 64 wrong use, or something that a partitioned table
cannot have.
`,
    );
  return command.action((table: string, options: Options) =>
    run(command, (context) => convert(context, table, options)),
  );
}

async function convert(context: CommandContext, table: string, options: Options): Promise<number> {
  const conversion = { ...qualifiedName(table), by: partitionBy(options), weakerKeys: options.weakerKeys };
  const settings = await readCommandSettings(context);
  requireValid(settings);
  await using database = await openExisting(context, settings, chooseDatabase(context, settings));
  const plan = await planPartitionConversion(await readCatalog(database, { signal: context.signal }), conversion);
  const folder = resolve(context.cwd, options.out ?? settings.settings.migrations ?? DEFAULT_FOLDER);
  const files = options.dryRun === true ? undefined : writeExpandMigrations(folder, plan, new Date());
  for (const notice of plan.notices) context.output.note(notice);
  context.output.result(context.output.json ? { folder, files: files ?? null, ...plan } : undefined, () =>
    plan.phases
      .map((phase, index) =>
        files === undefined
          ? `-- ${phase.name}\n${formatExpandPhase(phase)}`
          : `${files[index] ?? ""}\n  ${phase.why.join("\n  ")}`,
      )
      .join("\n"),
  );
  return 0;
}

function partitionBy({ range, list, every, ahead, boundary }: Options): PartitionBy {
  if ((range === undefined) === (list === undefined))
    throw new InvalidInputError("give --range or --list, with the column", {
      hint: "--range created_at for time, --list tenant_id for tenants",
    });
  if (list !== undefined) return { kind: "list", column: list };
  if (boundary === undefined) return { kind: "range", column: range ?? "", every, ahead };
  const date = new Date(boundary);
  if (!/^\d{4}-\d\d-\d\d$/.test(boundary) || Number.isNaN(date.getTime()))
    throw new InvalidInputError(`--boundary ${boundary} is no date`, { hint: "write it as 2027-01-01" });
  return { kind: "range", column: range ?? "", every, ahead, boundary: date };
}
