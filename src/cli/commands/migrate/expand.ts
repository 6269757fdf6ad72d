// `pgsteward migrate expand`: a change that a live table cannot take in one step, as separate migrations.
import { resolve } from "node:path";
import { Command } from "commander";
import { readCatalog } from "../../../catalog/index.ts";
import {
  formatExpandPhase,
  planExpandContract,
  readExpandChange,
  writeExpandMigrations,
  type ExpandChange,
  type ExpandPlan,
} from "../../../migrate/index.ts";
import { InvalidInputError } from "../../../postgres/index.ts";
import type { Run } from "../../command.ts";
import { chooseDatabase, openExisting, readCommandSettings, requireValid, type CommandContext } from "../../context.ts";
import { DEFAULT_FOLDER } from "./generate.ts";

interface Options {
  readonly using?: string;
  readonly back?: string;
  readonly default?: string;
  readonly out?: string;
  readonly dryRun?: boolean;
}

export function expandCommand(run: Run): Command {
  const command = new Command("expand")
    .description("change a column's type or name, or a table's name, in steps between which old and new programs work")
    .argument("<change>", "what changes, in words: see the examples")
    .option("--using <expression>", "the new value, over the column's name (default: a cast)")
    .option("--back <expression>", "the old value, over the column's name (default: a cast)")
    .option("--default <value>", "the default for the new type, as SQL (default: a cast of the old one)")
    .option("--out <folder>", "where the files go (default: migrations of the settings, else ./migrations)")
    .option("--dry-run", "print the migrations and write nothing")
    .addHelpText(
      "before",
      `Examples:
  pgsteward migrate expand "column shop.orders.id type bigint"
  pgsteward migrate expand "column shop.orders.total type numeric(12,2)" --using "total / 100.0" --back "(total * 100)::int" --default 0
  pgsteward migrate expand "column shop.orders.total rename to amount"
  pgsteward migrate expand "column shop.orders.state not null default 'open'"
  pgsteward migrate expand "table shop.orders rename to sales" --dry-run

The database of the settings is read and not changed. Exit codes: 0 written, 64 wrong use, or something that cannot be carried
over without a lock.
`,
    );
  return command.action((change: string, options: Options) =>
    run(command, (context) => expand(context, change, options)),
  );
}

async function expand(context: CommandContext, words: string, options: Options): Promise<number> {
  const change = withOptions(readExpandChange(words), options);
  const settings = await readCommandSettings(context);
  requireValid(settings);
  await using database = await openExisting(context, settings, chooseDatabase(context, settings));
  const plan = await planExpandContract(await readCatalog(database, { signal: context.signal }), change);
  const folder = resolve(context.cwd, options.out ?? settings.settings.migrations ?? DEFAULT_FOLDER);
  const files = options.dryRun === true ? undefined : writeExpandMigrations(folder, plan, new Date());
  for (const notice of plan.notices) context.output.note(notice);
  context.output.result(context.output.json ? { folder, files: files ?? null, ...plan } : undefined, () =>
    files === undefined ? scriptOf(plan) : listOf(plan, files),
  );
  return 0;
}

function withOptions(change: ExpandChange, { using, back, default: value }: Options): ExpandChange {
  if (change.kind === "column type") return { ...change, using, back, default: value };
  if (using !== undefined || back !== undefined || value !== undefined)
    throw new InvalidInputError("--using, --back and --default are for a change of a column's type");
  return change;
}

function scriptOf({ phases }: ExpandPlan): string {
  return phases.map((phase) => `-- ${phase.name}\n${formatExpandPhase(phase)}`).join("\n");
}

function listOf({ phases }: ExpandPlan, files: readonly string[]): string {
  return phases.map((phase, index) => `${files[index] ?? ""}\n  ${phase.why.join("\n  ")}`).join("\n");
}
