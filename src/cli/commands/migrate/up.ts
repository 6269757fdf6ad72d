// `pgsteward migrate up`: applies what is pending.
import { Command } from "commander";
import { previewMigrations, runMigrations } from "../../../migrate/index.ts";
import { wholeNumber } from "../../arguments.ts";
import type { Run } from "../../command.ts";
import { addRunOptions, runOptionsOf, withMigrations, type RunFlags } from "./run-flags.ts";
import { plannedText, printTargets, runText } from "./run-text.ts";

interface UpFlags extends RunFlags {
  readonly to?: string;
  readonly allowOutOfOrder?: boolean;
  readonly dryRun?: boolean;
}

export function upCommand(run: Run): Command {
  const command = new Command("up")
    .description("apply pending migrations; one that was interrupted goes on where it stopped")
    .argument("[count]", "at most so many (default: all)", wholeNumber)
    .option("--to <version>", "up to and with this one: its number or name")
    .option("--allow-out-of-order", "also those with a lower number than one that is applied")
    .option("--dry-run", "print what would run, and run nothing")
    .addHelpText(
      "before",
      `Examples:
  pgsteward migrate up
  pgsteward migrate up --dry-run
  pgsteward migrate up --to 0007 --lock-timeout 500
  pgsteward migrate up --schemas 'tenant_*' --concurrency 8
  pgsteward migrate up --databases tenants.txt --json

Ctrl-C cancels the statement that runs. What is done stays, and the same command goes on there.
Exit codes: 0 done, 1 a tenant failed, 64 folder and history disagree, 65 a statement failed or a file was edited,
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
        const done = await onTargets((database, target) =>
          runMigrations(database, migrations, { ...options, ...target }),
        );
        return printTargets(context.output, done, runText);
      }),
    ),
  );
}
