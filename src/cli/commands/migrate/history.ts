// `pgsteward migrate baseline` and `repair`: write into the history what is true, and run nothing.
import { Command, Option } from "commander";
import { baselineMigrations, repairMigration, type Repair } from "../../../migrate/index.ts";
import { InvalidInputError } from "../../../postgres/index.ts";
import type { Run } from "../../command.ts";
import { addTargetOptions, withMigrations, type TargetFlags } from "./run-flags.ts";
import { printTargets } from "./run-text.ts";

export function baselineCommand(run: Run): Command {
  const command = new Command("baseline")
    .description("mark the migrations up to a version as applied without running them: the database has them already")
    .argument("<version>", "number or name of the last one")
    .option("--force", "also when the history is not empty: adds what is missing, and makes a half-done one done")
    .option("--actor <name>", "who asked for it, for the history")
    .addHelpText(
      "before",
      `Examples:
  pgsteward migrate baseline 0001
  pgsteward migrate baseline 0007_add_owner --force

Exit codes: 0 marked, 64 the history is not empty, or there is no such version.
`,
    );
  addTargetOptions(command);
  return command.action((version: string, flags: TargetFlags & { readonly force?: boolean; readonly actor?: string }) =>
    run(command, (context) =>
      withMigrations(context, flags, async ({ migrations, onTargets }) => {
        const { force, actor } = flags;
        const targets = await onTargets(async (database, target) => {
          const marked = await baselineMigrations(database, migrations, version, { ...target, force, actor });
          return { marked: marked.map(({ version: number, name }) => ({ version: number, name })) };
        });
        return printTargets(context.output, targets, ({ marked }) =>
          marked.length === 0
            ? "nothing to mark: all of them are in the history"
            : `marked as applied: ${marked.map(({ version: number, name }) => `${number}_${name}`).join(", ")}`,
        );
      }),
    ),
  );
}

interface RepairFlags extends TargetFlags {
  readonly done?: boolean;
  readonly undone?: boolean;
  readonly accept?: boolean;
  readonly actor?: string;
}

export function repairCommand(run: Run): Command {
  const command = new Command("repair")
    .description("say what is true of one migration, where folder, history and database disagree; runs nothing")
    .argument("<version>", "its number or name")
    .addOption(new Option("--done", "it is applied").conflicts(["undone", "accept"]))
    .addOption(new Option("--undone", "it is not applied, or shall be forgotten").conflicts(["done", "accept"]))
    .addOption(new Option("--accept", "it is applied, and its edited file is right").conflicts(["done", "undone"]))
    .option("--actor <name>", "who says so, for the history")
    .addHelpText(
      "before",
      `Examples:
  pgsteward migrate repair 0007 --accept    a comment in an applied file was corrected
  pgsteward migrate repair 0007 --done      the rest of a half-done migration was done by hand
  pgsteward migrate repair 0007 --undone    a half-done migration was taken back by hand, or its file is gone

Exit codes: 0 written, 64 there is no such migration.
`,
    );
  addTargetOptions(command);
  return command.action((version: string, flags: RepairFlags) =>
    run(command, (context) => {
      const repair: Repair | undefined =
        flags.done === true ? "done" : flags.undone === true ? "undone" : flags.accept === true ? "accept" : undefined;
      if (repair === undefined)
        throw new InvalidInputError("nothing was said about the migration", {
          hint: "say --done, --undone or --accept",
        });
      return withMigrations(context, flags, async ({ migrations, onTargets }) => {
        const targets = await onTargets(async (database, target) => {
          await repairMigration(database, migrations, version, repair, { ...target, actor: flags.actor });
          return { version, repair };
        });
        return printTargets(context.output, targets, () => `the history of ${version} was corrected: ${repair}`);
      });
    }),
  );
}
