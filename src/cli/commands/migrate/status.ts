// `pgsteward migrate status`: what is applied, pending, edited, missing, out of order or half way.
import { Command } from "commander";
import {
  readMigrationStatus,
  type MigrationsReport,
  type MigrationState,
  type MigrationStatus,
} from "../../../migrate/index.ts";
import type { Run } from "../../command.ts";
import { alignColumns, printable, type Paint, type Style } from "../../output.ts";
import { addTargetOptions, withMigrations, type TargetFlags } from "./run-flags.ts";
import { durationText, printTargets } from "./run-text.ts";

const STATES: Readonly<Record<MigrationState, { readonly text: string; readonly style: Style }>> = {
  applied: { text: "applied", style: "green" },
  pending: { text: "pending", style: "yellow" },
  outOfOrder: { text: "out of order", style: "red" },
  edited: { text: "edited", style: "red" },
  missing: { text: "file missing", style: "red" },
  unfinished: { text: "half done", style: "red" },
};

export function statusCommand(run: Run): Command {
  const command = new Command("status")
    .description("what is applied, pending, edited, missing, out of order or half done")
    .option("--exit-code", "exit 1 when a migration is anything else than applied")
    .addHelpText(
      "before",
      `Examples:
  pgsteward migrate status
  pgsteward migrate status --exit-code --json
  pgsteward migrate status --schemas 'tenant_*'

Exit codes: 0 looked, 1 with --exit-code: not everything is applied, or a tenant cannot be read.
`,
    );
  addTargetOptions(command);
  return command.action((flags: TargetFlags & { readonly exitCode?: boolean }) =>
    run(command, (context) =>
      withMigrations(context, flags, async ({ migrations, onTargets }) => {
        const { paint } = context.output;
        const targets = await onTargets((database, { schema }) =>
          readMigrationStatus(database, migrations, { schema }),
        );
        const code = printTargets(context.output, targets, (report) => statusText(report, paint));
        const reports =
          targets.kind === "one"
            ? [targets.result]
            : targets.reports.flatMap(({ outcome }) => (outcome.kind === "done" ? [outcome.result] : []));
        const isComplete = reports.every((report) => report.migrations.every(({ state }) => state === "applied"));
        return flags.exitCode === true && !isComplete ? 1 : code;
      }),
    ),
  );
}

function statusText({ migrations, runner }: MigrationsReport, paint: Paint): string {
  const lines: string[] = [];
  if (runner !== undefined)
    lines.push(
      `running now: ${printable([`process ${runner.pid}`, runner.application, runner.role].filter((part) => part !== undefined).join(", "))}`,
    );
  if (migrations.length === 0) lines.push("there is no migration, neither in the folder nor in the database");
  else
    lines.push(
      alignColumns(
        migrations.map((migration) => {
          const { text, style } = STATES[migration.state];
          return [
            paint(style, text),
            `${migration.version}_${printable(migration.name)}`,
            printable(detailOf(migration)),
          ];
        }),
      ),
    );
  return lines.join("\n");
}

function detailOf({ state, recorded, irreversible }: MigrationStatus): string {
  if (recorded === undefined) return irreversible === undefined ? "" : `irreversible: ${irreversible}`;
  const { appliedAt, appliedBy, actor, durationMs, position, statements, direction, error, isBaseline } = recorded;
  const parts: string[] = [];
  if (state === "unfinished") parts.push(`${direction}: ${position} of ${statements} statements done`);
  else if (state !== "pending" && state !== "outOfOrder") {
    const by = [appliedBy, actor].filter((who) => who !== undefined).join(" for ");
    parts.push(appliedAt.toISOString(), ...(by === "" ? [] : [by]), isBaseline ? "baseline" : durationText(durationMs));
  }
  if (error !== undefined) parts.push(`last try failed: ${error}`);
  return parts.join("  ");
}
