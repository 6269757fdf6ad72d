// `pgsteward diff`: what differs between two schemas, and the statements that lead from the first to the second.
import { Command, Option } from "commander";
import {
  describeChange,
  idempotentSteps,
  inGroups,
  planMigration,
  readSources,
  repeatLines,
  withLockLimit,
  type NotRepeatable,
  type Plan,
  type Step,
} from "../../migrate/index.ts";
import { redactText } from "../../logging/redact.ts";
import type { Run } from "../command.ts";
import { readCommandSettings, requireValid, withCasing, type CommandContext } from "../context.ts";
import { offeredRenames, readRenames, withRenameOptions, type RenameOptions } from "../renames.ts";
import { isDatabaseUrl, openSource, SOURCE_HELP } from "../sources.ts";

interface Options extends RenameOptions {
  readonly exitCode?: boolean;
  readonly complete?: boolean;
  readonly owners?: boolean;
  readonly idempotent?: boolean;
  readonly skipMissingExtensions?: boolean;
  readonly casing?: "snake_case" | "camelCase";
}

export function diffCommand(run: Run): Command {
  const command = new Command("diff")
    .description("compare two schemas and print the SQL that leads from the first to the second")
    .argument("<from>", SOURCE_HELP)
    .argument("<to>", "the wanted schema, given the same way")
    .option("--exit-code", "exit 1 when the schemas differ")
    .option("--complete", "models say everything: what they do not mention goes")
    .option("--owners", "compare owners, too (default: what is made belongs to whoever makes it)")
    .option(
      "--idempotent",
      "statements that may run again, or where their object is there already (an object of the same name that differs stays as it is)",
    )
    .option(
      "--skip-missing-extensions",
      "leave out statements that fail for want of an extension that is not there, and name each",
    )
    .addOption(
      new Option("--casing <style>", "names of columns whose models give none").choices(["snake_case", "camelCase"]),
    )
    .addHelpText(
      "before",
      `Examples:
  pgsteward diff postgres://localhost/app schema.sql
  pgsteward diff old.sql new.sql > change.sql
  pgsteward diff postgres://localhost/app src/db/schema.ts
  pgsteward diff migrations/ src/db/schema.ts,src/db/functions.sql --exit-code
  pgsteward diff schema.sql pglite:./folder --json
  pgsteward diff old.sql new.sql --idempotent > change.sql
  pgsteward diff old.sql new.sql --rename "column shop.orders.state -> status"

Where no lock_timeout is set, a transaction that takes a lock others wait for sets it to 2s first: in psql it then fails, to be run again.
`,
    );
  withRenameOptions(command);
  return command.action((from: string, to: string, options: Options) =>
    run(command, (context) => diff(context, from, to, options)),
  );
}

async function diff(context: CommandContext, from: string, to: string, options: Options): Promise<number> {
  const settings = withCasing(await readCommandSettings(context), options.casing);
  requireValid(settings);
  const renames = await readRenames(options);
  if (![from, to].some(isDatabaseUrl)) context.leaveNothingBehind();
  await using first = await openSource(context, settings, from);
  await using second = await openSource(context, settings, to);
  const { source } = first;
  const read = await readSources(source, second.source, {
    server: source.kind === "database" ? source.database : undefined,
    isComplete: options.complete,
    skipsMissingExtensions: options.skipMissingExtensions,
    signal: context.signal,
  });
  const plan = planMigration(read.from.catalog, read.to.catalog, {
    renames,
    owners: options.owners === true ? { builder: read.to.builder } : undefined,
  });
  const again = options.idempotent === true ? idempotentSteps(plan.steps) : undefined;
  const shown = again === undefined ? plan : { ...plan, ...again };
  const offered = offeredRenames(read.from.catalog, read.to.catalog, renames);
  const notices = [...read.from.notices, ...read.to.notices, ...offered.notices];
  for (const notice of notices) context.output.note(notice);
  context.output.result(
    context.output.json
      ? { from: redactText(from), to: redactText(to), notices, ...shown, renameCandidates: offered.candidates }
      : undefined,
    () => renderPlan(shown, again?.notRepeatable),
  );
  return (options.exitCode ?? false) && plan.changes.length > 0 ? 1 : 0;
}

/** The plan as a script: psql and other runners can read it. */
function renderPlan({ changes, steps, notCovered }: Plan, notRepeatable: readonly NotRepeatable[] | undefined): string {
  if (changes.length === 0) return "-- the schemas are the same";
  const missing = notCovered.map((change) => `-- not covered: ${describeChange(change)}`);
  const hazardsOf = ({ subject, hazards }: Step): readonly string[] =>
    hazards.map(({ kind, why }) => `-- ${kind} (${subject}): ${why}`.replaceAll(/\s+/g, " "));
  const script = inGroups(steps, withLockLimit(steps, hazardsOf));
  const repeat = notRepeatable === undefined ? [] : repeatLines(notRepeatable);
  return [...repeat, ...missing, ...script].join("\n");
}
