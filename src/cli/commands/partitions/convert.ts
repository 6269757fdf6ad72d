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
  readonly hash?: string;
  readonly modulus?: number;
  readonly every: Period;
  readonly ahead?: number;
  readonly boundary?: string;
  readonly weakerKeys?: boolean;
  readonly out?: string;
  readonly dryRun?: boolean;
}

export function convertCommand(run: Run): Command {
  const command = new Command("convert")
    .description("write the migrations that make a partitioned table of a plain one, while it is in use")
    .argument("<table>", "the table; without a schema: public")
    .option("--range <column>", "partition by this time")
    .option("--list <column>", "partition by this value, e.g. the tenant; the table becomes the default partition")
    .option("--hash <column>", "partition by a hash of this column: the rows are copied")
    .option("--modulus <number>", "with --hash: number of partitions (default: 8)", wholeNumber)
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
  pgsteward partitions convert shop.parts --hash id --modulus 16

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

function partitionBy({ range, list, hash, modulus, every, ahead, boundary }: Options): PartitionBy {
  const [column, ...others] = [range, list, hash].filter((given) => given !== undefined);
  if (column === undefined || others.length > 0)
    throw new InvalidInputError("give one of --range, --list and --hash, with the column", {
      hint: "--range created_at for time, --list tenant_id for tenants, --hash id to spread rows evenly",
    });
  if (list !== undefined) return { kind: "list", column };
  if (hash !== undefined) return { kind: "hash", column, modulus: modulus ?? 8 };
  if (boundary === undefined) return { kind: "range", column, every, ahead };
  const date = new Date(boundary);
  if (!/^\d{4}-\d\d-\d\d$/.test(boundary) || Number.isNaN(date.getTime()))
    throw new InvalidInputError(`--boundary ${boundary} is no date`, { hint: "write it as 2027-01-01" });
  return { kind: "range", column, every, ahead, boundary: date };
}
