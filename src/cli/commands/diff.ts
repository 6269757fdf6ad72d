// `pgsteward diff`: what differs between two schemas, and the statements that lead from the first to the second.
import { Command } from "commander";
import { readCatalog, type Catalog, type Change } from "../../catalog/index.ts";
import { planMigration, type Plan } from "../../migrate/index.ts";
import type { Run } from "../command.ts";
import {
  openExisting,
  readCommandSettings,
  requireValid,
  type CommandContext,
  type CommandSettings,
} from "../context.ts";
import { withLoadedSql } from "../loaded-sql.ts";
import { pathOf } from "./check.ts";

export function diffCommand(run: Run): Command {
  const command = new Command("diff")
    .description("compare two schemas and print the SQL that leads from the first to the second")
    .argument("<from>", "a database URL, a .sql file or a folder of .sql files")
    .argument("<to>", "the wanted schema, given the same way")
    .option("--exit-code", "exit 1 when the schemas differ")
    .addHelpText(
      "before",
      `Examples:
  pgsteward diff postgres://localhost/app schema.sql
  pgsteward diff old.sql new.sql > change.sql
  pgsteward diff schema.sql pglite:./folder --json
`,
    );
  return command.action((from: string, to: string, options: { exitCode?: boolean }) =>
    run(command, (context) => diff(context, from, to, options.exitCode ?? false)),
  );
}

async function diff(context: CommandContext, from: string, to: string, failWhenDifferent: boolean): Promise<number> {
  const settings = await readCommandSettings(context);
  requireValid(settings);
  const before = await readTarget(context, settings, from);
  const after = await readTarget(context, settings, to);
  const plan = planMigration(before.catalog, after.catalog);
  const notices = [...before.notices, ...after.notices];
  for (const notice of notices) context.output.note(notice);
  context.output.result(context.output.json ? { from, to, notices, ...plan } : undefined, () => renderPlan(plan));
  return failWhenDifferent && plan.changes.length > 0 ? 1 : 0;
}

interface TargetRead {
  readonly catalog: Catalog;
  readonly notices: readonly string[];
}

async function readTarget(context: CommandContext, settings: CommandSettings, target: string): Promise<TargetRead> {
  const path = pathOf(context, target);
  if (path !== undefined) {
    return withLoadedSql(path, context, async (database, { notices }) => ({
      catalog: await readCatalog(database),
      notices,
    }));
  }
  await using database = await openExisting(context, settings, target);
  return { catalog: await readCatalog(database, { signal: context.signal }), notices: [] };
}

/** The plan as a script: psql and other runners can read it. */
function renderPlan({ changes, steps, notCovered }: Plan): string {
  if (changes.length === 0) return "-- the schemas are the same";
  const lines = notCovered.map((change) => `-- not covered: ${describe(change)}`);
  let open: number | undefined;
  const close = (): void => {
    if (open !== undefined) lines.push("COMMIT;", "");
    open = undefined;
  };
  for (const { sql, transactionGroup, inTransaction, subject, hazards } of steps) {
    if (open !== transactionGroup) close();
    if (inTransaction && open === undefined) {
      lines.push("BEGIN;");
      open = transactionGroup;
    }
    for (const { kind, why } of hazards) lines.push(`-- ${kind} (${subject}): ${why}`.replaceAll(/\s+/g, " "));
    lines.push(`${sql};`);
    if (!inTransaction) lines.push("");
  }
  close();
  return lines.join("\n").trimEnd();
}

function describe(change: Change): string {
  if (change.kind === "unknown") {
    const { kind, schema, name } = change.object;
    return `${change.what} ${kind} ${schema === undefined ? "" : `${schema}.`}${name}`;
  }
  return `${change.kind} ${change.kind === "drop" ? change.before.id : change.after.id}`;
}
