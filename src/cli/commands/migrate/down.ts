// `pgsteward migrate down` and `redo`: take back the newest migrations; `redo` applies them again. What loses data is confirmed
// by name.
import { Command } from "commander";
import {
  findDataLoss,
  previewMigrations,
  redoMigrations,
  revertMigrations,
  type PlannedMigration,
} from "../../../migrate/index.ts";
import { InvalidInputError } from "../../../postgres/index.ts";
import { wholeNumber } from "../../arguments.ts";
import type { Run } from "../../command.ts";
import { ask, canAsk } from "../../confirm.ts";
import type { CommandContext } from "../../context.ts";
import { confirmLosses } from "./confirm-losses.ts";
import { addRunOptions, runOptionsOf, withMigrations, type RunFlags, type Targets } from "./run-flags.ts";
import { plannedText, printTargets, runText } from "./run-text.ts";

interface DownFlags extends RunFlags {
  readonly to?: string;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly confirm?: readonly string[];
}

const EXIT_CODES = `Without a terminal nothing is asked: data loss then needs --confirm with the migration's name; --yes is not enough.
Exit codes: 0 done, 1 a tenant failed, 64 not confirmed, or no way back, 65 a statement failed or a file was edited,
75 a lock was not to be had, 77 a right is missing, 130 stopped.
`;

export function downCommand(run: Run): Command {
  const command = new Command("down")
    .description("take back the newest applied migrations, newest first")
    .argument("[count]", "so many (default: 1)", wholeNumber)
    .option("--to <version>", "all that came after this one; 0 takes back everything")
    .addHelpText(
      "before",
      `Examples:
  pgsteward migrate down
  pgsteward migrate down 2 --dry-run
  pgsteward migrate down --to 0005 --yes
  pgsteward migrate down --confirm 0007_add_owner

${EXIT_CODES}`,
    );
  return withDownOptions(command).action((count: number | undefined, flags: DownFlags) =>
    run(command, (context) => takeBack(context, "down", { ...flags, count })),
  );
}

export function redoCommand(run: Run): Command {
  const command = new Command("redo")
    .description("take back the newest applied migrations and apply them again, e.g. while one is being written")
    .argument("[count]", "so many (default: 1)", wholeNumber)
    .addHelpText(
      "before",
      `Examples:
  pgsteward migrate redo
  pgsteward migrate redo 2 --confirm 0007_add_owner

${EXIT_CODES}`,
    );
  return withDownOptions(command).action((count: number | undefined, flags: DownFlags) =>
    run(command, (context) => takeBack(context, "redo", { ...flags, count })),
  );
}

function withDownOptions(command: Command): Command {
  return addRunOptions(
    command
      .option("--dry-run", "print what would run, and run nothing")
      .option("--yes", "do not ask; not enough where data is lost")
      .option("--confirm <names...>", "the names of the migrations whose way back may lose data"),
  );
}

async function takeBack(
  context: CommandContext,
  what: "down" | "redo",
  flags: DownFlags & { readonly count: number | undefined },
): Promise<number> {
  return withMigrations(context, flags, async ({ migrations, onTargets }) => {
    const { to, count, confirm = [] } = flags;
    const options = { ...runOptionsOf(flags), to, count, allowIrreversible: confirm };
    const preview = await onTargets((database, target) =>
      previewMigrations(database, migrations, "down", { ...options, ...target }),
    );
    if (flags.dryRun === true) return printTargets(context.output, preview, plannedText);
    await confirmAll(context, what, plannedOf(preview), flags);
    const work = what === "down" ? revertMigrations : redoMigrations;
    const done = await onTargets((database, target) => work(database, migrations, { ...options, ...target }));
    return printTargets(context.output, done, runText);
  });
}

/** Each migration once, whatever number of tenants has it. */
function plannedOf(preview: Targets<readonly PlannedMigration[]>): readonly PlannedMigration[] {
  if (preview.kind === "one") return preview.result;
  const planned = preview.reports.flatMap(({ outcome }) => (outcome.kind === "done" ? outcome.result : []));
  return [...new Map(planned.map((each) => [each.version, each])).values()];
}

async function confirmAll(
  context: CommandContext,
  what: "down" | "redo",
  planned: readonly PlannedMigration[],
  { yes, confirm = [] }: DownFlags,
): Promise<void> {
  const losing = await Promise.all(
    planned.map(async (migration) => ({ migration, losses: await findDataLoss(migration) })),
  );
  await confirmLosses(context, losing, confirm);
  const isAsked = losing.some(({ losses }) => losses.length > 0);
  if (isAsked || yes === true || planned.length === 0 || !canAsk(context)) return;
  const names = planned.map(({ version, name }) => `${version}_${name}`).join(", ");
  const answer = await ask(context, `${what === "down" ? "Take back" : "Take back and apply again"} ${names}? [y/N] `);
  if (!/^y(?:es)?$/i.test(answer))
    throw new InvalidInputError("not confirmed: nothing was done", { hint: "--yes asks nothing" });
}
