// `pgsteward migrate plan`: the way from one schema to another as a table, with locks and times by the sizes of a real database.
import { resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import {
  describeChange,
  durationText,
  estimatePlan,
  planMigration,
  readSources,
  rehearsePlan,
  tableSizes,
  type Plan,
  type PlanEstimate,
  type Rehearsal,
  type Source,
  type SourcesRead,
} from "../../../migrate/index.ts";
import { readCatalog, type Catalog } from "../../../catalog/index.ts";
import { InvalidInputError, type Database } from "../../../postgres/index.ts";
import { wholeNumber } from "../../arguments.ts";
import type { Run } from "../../command.ts";
import {
  openExisting,
  readCommandSettings,
  requireValid,
  withCasing,
  type CommandContext,
  type CommandSettings,
} from "../../context.ts";
import { printable } from "../../output.ts";
import { renderPlanTable } from "../../plan-table.ts";
import { withDecidedRenameOptions, decideRenames, type DecidedRenameOptions } from "../../renames.ts";
import { isDatabaseUrl, sourceOfPath } from "../../sources.ts";
import { DEFAULT_FOLDER, openWanted, presentSource, wantedSource } from "./generate.ts";

interface Options extends DecidedRenameOptions {
  readonly models?: readonly string[];
  readonly to?: string;
  readonly from?: string;
  readonly complete?: boolean;
  readonly owners?: boolean;
  readonly casing?: "snake_case" | "camelCase";
  readonly maxLock: number;
  /** Rows of each table; true for the usual number. */
  readonly rehearse?: number | true;
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
    .option("--owners", "compare owners, too (default: what is made belongs to whoever makes it)")
    .addOption(
      new Option("--casing <style>", "names of columns whose models give none").choices(["snake_case", "camelCase"]),
    )
    .addOption(
      new Option("--max-lock <duration>", "warn when writers are held up for longer, e.g. 500ms")
        .argParser(duration)
        .default(2_000, "2s"),
    )
    .option(
      "--rehearse [rows]",
      "run it on a throw-away copy of the schema with so many rows of each table (default: 10000), and measure",
      wholeNumber,
    )
    .addHelpText(
      "before",
      `Examples:
  pgsteward migrate plan --models src/db/schema.ts
  pgsteward migrate plan --to schema.sql --database postgres://localhost/app --max-lock 500ms
  pgsteward migrate plan --from database --to schema.sql --json
  pgsteward migrate plan --from database --models src/db/schema.ts --rehearse 50000

Sizes come from the database of --database or the settings; without one they are unknown. Nothing is written anywhere.
Exit codes: 0 nothing holds up writers for longer than --max-lock, 1 something does, cannot be planned or failed
in the rehearsal, 64 wrong use.
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
  const planned = planMigration(read.from.catalog, read.to.catalog, {
    serverVersion,
    renames,
    owners: options.owners === true ? { builder: read.to.builder } : undefined,
  });
  const live = database === undefined ? undefined : await readCatalog(database, { signal: context.signal });
  const estimate =
    live === undefined ? undefined : estimatePlan(planned, tableSizes(live), { maxLockMs: options.maxLock });
  const rehearsal = await rehearse(context, database, planned, read, live, options.rehearse);
  const notCovered = planned.notCovered.map(describeChange);
  context.output.result(
    context.output.json ? { ...planned, estimate: estimate ?? null, rehearsal: rehearsal ?? null } : undefined,
    () =>
      planned.changes.length === 0
        ? "no changes"
        : [
            ...notCovered.map((line) => `not planned: ${line}`),
            renderPlanTable({
              plan: planned,
              estimate,
              measured: rehearsal === undefined ? undefined : measuredTexts(planned, rehearsal),
              paint: context.output.paint,
            }),
            ...(rehearsal === undefined ? [] : ["", rehearsalText(rehearsal)]),
            ...(estimate === undefined ? ["", "No database is named, so sizes are unknown: give --database."] : []),
          ].join("\n"),
  );
  return notCovered.length > 0 || isTooLong(estimate) || rehearsal?.failure !== undefined ? 1 : 0;
}

async function rehearse(
  context: CommandContext,
  database: Database | undefined,
  planned: Plan,
  { from, to }: SourcesRead,
  live: Catalog | undefined,
  rows: Options["rehearse"],
): Promise<Rehearsal | undefined> {
  if (rows === undefined) return undefined;
  if (database === undefined || live === undefined) {
    throw new InvalidInputError("a rehearsal takes its rows from a database, and none is named", {
      hint: "give --database postgres://user@host/name",
    });
  }
  return rehearsePlan(database, planned, { present: from.catalog, wanted: to.catalog }, live, {
    rowsPerTable: rows === true ? undefined : rows,
    signal: context.signal,
  });
}

function measuredTexts({ steps }: Plan, { steps: done, failure }: Rehearsal): readonly string[] {
  return steps.map((_, index) => {
    const step = done[index];
    if (step === undefined) return failure?.step === index + 1 ? "failed" : "not run";
    const whole = step.scaledMs === undefined ? "?" : durationText(step.scaledMs);
    return step.scaledMs === step.tookMs ? whole : `${durationText(step.tookMs)}, whole ${whole}`;
  });
}

function rehearsalText({ engine, copied, failure }: Rehearsal): string {
  const rows = copied.reduce((sum, table) => sum + table.rows, 0);
  const about = `Rehearsed on ${engine} with ${rows} rows of ${copied.length} ${copied.length === 1 ? "table" : "tables"}; "whole" is the time by all rows.`;
  return failure === undefined ? about : `${about}\nstep ${failure.step} failed: ${printable(failure.message)}`;
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
