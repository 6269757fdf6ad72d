// `pgsteward migrate up`: applies what is pending. What loses data is confirmed by name.
import { Command } from "commander";
import { previewMigrations, readDataLoss, runMigrations, type MigrationLosses } from "../../../migrate/index.ts";
import { wholeNumber } from "../../arguments.ts";
import type { Run } from "../../command.ts";
import { confirmLosses } from "./confirm-losses.ts";
import { addRunOptions, runOptionsOf, withMigrations, type RunFlags, type Targets } from "./run-flags.ts";
import { plannedText, printTargets, runText } from "./run-text.ts";

interface UpFlags extends RunFlags {
  readonly to?: string;
  readonly allowOutOfOrder?: boolean;
  readonly dryRun?: boolean;
  readonly confirm?: readonly string[];
}

export function upCommand(run: Run): Command {
  const command = new Command("up")
    .description("apply pending migrations; one that was interrupted goes on where it stopped")
    .argument("[count]", "at most so many (default: all)", wholeNumber)
    .option("--to <version>", "up to and with this one: its number or name")
    .option("--allow-out-of-order", "also those with a lower number than one that is applied")
    .option("--dry-run", "print what would run, and run nothing")
    .option("--confirm <names...>", "the names of the migrations that may lose data")
    .addHelpText(
      "before",
      `Examples:
  pgsteward migrate up
  pgsteward migrate up --dry-run
  pgsteward migrate up --to 0007 --lock-timeout 500
  pgsteward migrate up --schemas 'tenant_*' --concurrency 8
  pgsteward migrate up --databases tenants.txt --json
  pgsteward migrate up --confirm 0007_drop_drafts

What loses rows or values that are there is confirmed by the migration's name: asked for on a terminal, else --confirm.
Ctrl-C cancels the statement that runs. What is done stays, and the same command goes on there.
Exit codes: 0 done, 1 a tenant failed, 64 not confirmed, or folder and history disagree, 65 a statement failed or a file was edited,
75 a lock was not to be had, 77 a right is missing, 130 stopped.
`,
    );
  addRunOptions(command);
  return command.action((count: number | undefined, flags: UpFlags) =>
    run(command, (context) =>
      withMigrations(context, { ...flags, mayCreate: true }, async ({ migrations, onTargets }) => {
        const { to, allowOutOfOrder } = flags;
        const options = { ...runOptionsOf(flags), count, to, allowOutOfOrder };
        if (flags.dryRun === true) {
          const planned = await onTargets((database, target) =>
            previewMigrations(database, migrations, "up", { ...options, ...target }),
          );
          return printTargets(context.output, planned, plannedText);
        }
        const losses = await onTargets(
          async (database, target) =>
            readDataLoss(
              database,
              await previewMigrations(database, migrations, "up", { ...options, ...target }),
              target,
            ),
          { isQuiet: true },
        );
        await confirmLosses(context, losingOf(losses), flags.confirm ?? []);
        const done = await onTargets((database, target) =>
          runMigrations(database, migrations, { ...options, ...target }),
        );
        return printTargets(context.output, done, runText);
      }),
    ),
  );
}

/** Each migration once; with tenants each loss says whose it is. A tenant that cannot be asked fails in its run, with the reason. */
function losingOf(targets: Targets<readonly MigrationLosses[]>): readonly MigrationLosses[] {
  if (targets.kind === "one") return targets.result;
  const byVersion = new Map<string, MigrationLosses>();
  for (const { tenant, outcome } of targets.reports) {
    if (outcome.kind !== "done") continue;
    for (const { migration, losses } of outcome.result) {
      const known = byVersion.get(migration.version);
      const own = losses.map(({ line, what }) => ({ line, what: `${tenant}: ${what}` }));
      byVersion.set(migration.version, { migration, losses: [...(known?.losses ?? []), ...own] });
    }
  }
  return [...byVersion.values()];
}
