// `pgsteward migrate plan`: the way from one schema to another as a table, with locks and times by the sizes of a real database.
import { resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import {
  describeChange,
  estimatePlan,
  planMigration,
  readSources,
  tableSizes,
  type PlanEstimate,
  type Source,
} from "../../../migrate/index.ts";
import { readCatalog } from "../../../catalog/index.ts";
import { InvalidInputError, type Database } from "../../../postgres/index.ts";
import type { Run } from "../../command.ts";
import {
  openExisting,
  readCommandSettings,
  requireValid,
  withCasing,
  type CommandContext,
  type CommandSettings,
} from "../../context.ts";
import { renderPlanTable } from "../../plan-table.ts";
import { withDecidedRenameOptions, decideRenames, type DecidedRenameOptions } from "../../renames.ts";
import { isDatabaseUrl, sourceOfPath } from "../../sources.ts";
import { DEFAULT_FOLDER, openWanted, presentSource, wantedSource } from "./generate.ts";

interface Options extends DecidedRenameOptions {
  readonly models?: readonly string[];
  readonly to?: string;
  readonly from?: string;
  readonly complete?: boolean;
  readonly casing?: "snake_case" | "camelCase";
  readonly maxLock: number;
}

export function planCommand(run: Run): Command {
  const command = new Command("plan")
    .description(
      "show the plan of a migration: statements, transactions, locks, rows, how long locks are held, hazards",
    )
    .option(
      "--models <paths...>",
      "modules that export Drizzle models; .sql files beside them (default: models of the settings)",
    )
    .option("--to <source>", "the wanted schema instead: a .sql file, a folder of migrations or a database URL")
    .option(
      "--from <source>",
      "the schema there is: a folder, a file or `database` (default: the folder of migrations)",
    )
    .option("--complete", "the models say everything: drop what they do not mention")
    .addOption(
      new Option("--casing <style>", "names of columns whose models give none").choices(["snake_case", "camelCase"]),
    )
    .option("--max-lock <duration>", "warn when writers are held up for longer, e.g. 500ms, 2s", duration, 2_000)
    .addHelpText(
      "before",
      `Examples:
  pgsteward migrate plan --models src/db/schema.ts
  pgsteward migrate plan --to schema.sql --database postgres://localhost/app --max-lock 500ms
  pgsteward migrate plan --from database --to schema.sql --json

Sizes come from the database of --database or the settings; without one they are unknown. Nothing is written anywhere.
Exit codes: 0 nothing holds up writers for longer than --max-lock, 1 something does or cannot be planned, 64 wrong use.
`,
    );
  return withDecidedRenameOptions(command).action((options: Options) =>
    run(command, (context) => plan(context, options)),
  );
}

async function plan(context: CommandContext, options: Options): Promise<number> {
  const settings = withCasing(await readCommandSettings(context), options.casing);
  requireValid(settings);
  const wanted = wantedSource(settings, options);
  const { url } = settings.settings.database;
  await using database = url === undefined ? undefined : await openExisting(context, settings, url);
  await using to = await openWanted(context, settings, wanted);
  const from = fromSource(context, settings, options.from, database);
  const read = await readSources(from, to.source, {
    server: from.kind === "database" ? from.database : undefined,
    isComplete: options.complete,
    signal: context.signal,
  });
  for (const notice of [...read.from.notices, ...read.to.notices]) context.output.note(notice);
  const serverVersion = database === undefined ? undefined : (await database.serverFacts()).version.number;
  const renames = await decideRenames(context, options, read.from.catalog, read.to.catalog);
  const planned = planMigration(read.from.catalog, read.to.catalog, { serverVersion, renames });
  const estimate =
    database === undefined
      ? undefined
      : estimatePlan(planned, tableSizes(await readCatalog(database, { signal: context.signal })), {
          maxLockMs: options.maxLock,
        });
  const notCovered = planned.notCovered.map(describeChange);
  context.output.result(context.output.json ? { ...planned, estimate: estimate ?? null } : undefined, () =>
    planned.changes.length === 0
      ? "no changes"
      : [
          ...notCovered.map((line) => `not planned: ${line}`),
          renderPlanTable({ plan: planned, estimate, paint: context.output.paint }),
          ...(estimate === undefined ? ["", "No database is named, so sizes are unknown: give --database."] : []),
        ].join("\n"),
  );
  return notCovered.length > 0 || isTooLong(estimate) ? 1 : 0;
}

function isTooLong(estimate: PlanEstimate | undefined): boolean {
  return (estimate?.warnings.length ?? 0) > 0;
}

function fromSource(
  context: CommandContext,
  settings: CommandSettings,
  given: string | undefined,
  database: Database | undefined,
): Source {
  if (given === "database") {
    if (database !== undefined) return { kind: "database", database };
    throw new InvalidInputError("no database is named", { hint: "give --database postgres://user@host/name" });
  }
  if (given !== undefined && isDatabaseUrl(given))
    throw new InvalidInputError("--from takes no URL", { hint: "write --from database --database postgres://…" });
  if (given !== undefined) return sourceOfPath(context, settings, given);
  return presentSource(resolve(context.cwd, settings.settings.migrations ?? DEFAULT_FOLDER));
}

/** `500ms`, `2s`, `1min`, or milliseconds. */
function duration(text: string): number {
  const [, number = "", unit = "ms"] = /^(\d+(?:\.\d+)?)\s*(ms|s|min)?$/.exec(text) ?? [];
  if (number === "") throw new InvalidArgumentError("It must be a time such as 500ms or 2s.");
  return Number(number) * ({ ms: 1, s: 1_000, min: 60_000 }[unit] ?? 1);
}
