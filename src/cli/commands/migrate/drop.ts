// `pgsteward migrate drop`: a column or table goes in two releases, and what it held is kept until it is let go.
import { resolve } from "node:path";
import { Command } from "commander";
import { readCatalog } from "../../../catalog/index.ts";
import {
  formatExpandPhase,
  planDropInTwoReleases,
  planForgetKept,
  readDropChange,
  writeExpandMigrations,
  type DropChange,
  type DropPlan,
} from "../../../migrate/index.ts";
import { InvalidInputError } from "../../../postgres/index.ts";
import type { Run } from "../../command.ts";
import { chooseDatabase, openExisting, readCommandSettings, requireValid, type CommandContext } from "../../context.ts";
import { DEFAULT_FOLDER } from "./generate.ts";

interface Options {
  readonly default?: string;
  readonly forget?: boolean;
  readonly out?: string;
  readonly dryRun?: boolean;
}

export function dropCommand(run: Run): Command {
  const command = new Command("drop")
    .description("drop a column or table in two releases, keeping what it holds until that is let go")
    .argument("<what...>", "column TABLE.COLUMN or table TABLE, names as in SQL")
    .option("--default <value>", "for rows without a value when NOT NULL comes back, as SQL")
    .option("--forget", "instead: the migration that lets go what was kept; there is no way back from it")
    .option("--out <folder>", "where the files go (default: migrations of the settings, else ./migrations)")
    .option("--dry-run", "print the migrations and write nothing")
    .addHelpText(
      "before",
      `Examples:
  pgsteward migrate drop column shop.orders.note
  pgsteward migrate drop column shop.orders.state --default "'open'"
  pgsteward migrate drop table shop.drafts --dry-run
  pgsteward migrate drop --forget column shop.orders.note

Two files: release_… lets programs leave the column or table alone, and is left out where nothing stands in their way; drop_… keeps what it
holds in the schema pgsteward_kept and drops it. Apply the first (pgsteward migrate up 1), bring out programs without it, then apply
the second. Each has its way back. The database of the settings is read and not changed.
Exit codes: 0 written, 64 wrong use, something depends on it, or it could not be brought back.
`,
    );
  return command.action((what: readonly string[], options: Options) =>
    run(command, (context) => drop(context, what.join(" "), options)),
  );
}

async function drop(context: CommandContext, words: string, options: Options): Promise<number> {
  const change = withDefault(readDropChange(words), options);
  const settings = await readCommandSettings(context);
  requireValid(settings);
  await using database = await openExisting(context, settings, chooseDatabase(context, settings));
  const plan = await (options.forget === true ? planForgetKept : planDropInTwoReleases)(
    await readCatalog(database, { signal: context.signal }),
    change,
  );
  const folder = resolve(context.cwd, options.out ?? settings.settings.migrations ?? DEFAULT_FOLDER);
  const files = options.dryRun === true ? undefined : writeExpandMigrations(folder, plan, new Date());
  for (const notice of plan.notices) context.output.note(notice);
  context.output.result(context.output.json ? { folder, files: files ?? null, ...plan } : undefined, () =>
    textOf(plan, files),
  );
  return 0;
}

function withDefault(change: DropChange, { default: value, forget }: Options): DropChange {
  if (value === undefined) return change;
  if (change.kind === "column" && forget !== true) return { ...change, default: value };
  throw new InvalidInputError("--default is for the drop of a column");
}

function textOf({ phases }: DropPlan, files: readonly string[] | undefined): string {
  return phases
    .map((phase, index) =>
      files === undefined
        ? `-- ${phase.name}\n${formatExpandPhase(phase)}`
        : `${files[index] ?? ""}\n  ${phase.why.join("\n  ")}`,
    )
    .join("\n");
}
