// `pgsteward migrate drift`: what a live database has that its migrations do not make, and the reverse.
import { existsSync } from "node:fs";
import { relative, resolve } from "node:path";
import { Command } from "commander";
import {
  describeChange,
  describeObject,
  inGroups,
  planMigration,
  readSources,
  withLockLimit,
  withoutRecords,
  type Plan,
} from "../../../migrate/index.ts";
import { InvalidInputError } from "../../../postgres/index.ts";
import type { Run } from "../../command.ts";
import { chooseDatabase, openExisting, readCommandSettings, requireValid, type CommandContext } from "../../context.ts";
import { printable } from "../../output.ts";
import { DEFAULT_FOLDER, presentSource } from "./generate.ts";

interface Options {
  readonly from?: string;
  readonly includeRecords?: boolean;
  readonly owners?: boolean;
}

export function driftCommand(run: Run): Command {
  const command = new Command("drift")
    .description("compare a live database with what its migrations make; exit 1 when they differ")
    .option("--from <folder>", "the migrations, of any tool (default: migrations of the settings, else ./migrations)")
    .option("--include-records", "also the schema pgsteward and the tables of history of migration tools")
    .option("--owners", "compare owners, too, of what the migrations give one")
    .addHelpText(
      "before",
      `Examples:
  pgsteward migrate drift --database postgres://localhost/app
  pgsteward migrate drift --from prisma/migrations --json

Nothing is written to the database. The statements that are printed wait at most 2s for a lock where no lock_timeout is set. Exit codes: 0 they are the same, 1 they differ, 69 not reachable.
`,
    );
  return command.action((options: Options) => run(command, (context) => drift(context, options)));
}

async function drift(context: CommandContext, options: Options): Promise<number> {
  const settings = await readCommandSettings(context);
  requireValid(settings);
  const folder = resolve(context.cwd, options.from ?? settings.settings.migrations ?? DEFAULT_FOLDER);
  if (!existsSync(folder)) {
    throw new InvalidInputError(`there are no migrations at ${relative(context.cwd, folder)}`, {
      hint: "name their folder: --from db/migrations",
    });
  }
  await using database = await openExisting(context, settings, chooseDatabase(context, settings));
  const { from, to } = await readSources({ kind: "database", database }, presentSource(folder), {
    server: database,
    includeRecords: true,
    signal: context.signal,
  });
  for (const notice of to.notices) context.output.note(notice);
  const sides = [from.catalog, to.catalog] as const;
  const [live, made] = options.includeRecords === true ? sides : [withoutRecords(sides[0]), withoutRecords(sides[1])];
  const plan = planMigration(live, made, { owners: options.owners === true ? { builder: to.builder } : undefined });
  const shown = relative(context.cwd, folder) || ".";
  context.output.result(
    context.output.json ? { database: database.url, migrations: shown, notices: to.notices, ...plan } : undefined,
    () => renderDrift(plan, database.url, shown),
  );
  return plan.changes.length > 0 ? 1 : 0;
}

/** From the live database to what the migrations make: what would be created is missing, what would be dropped is too much. */
function renderDrift(plan: Plan, url: string, folder: string): string {
  const { changes, steps } = plan;
  if (changes.length === 0) return `no drift: ${url} is what ${folder} makes`;
  const words = { create: "missing", drop: "not in the migrations", alter: "different", unknown: "" } as const;
  const gone = new Set(changes.flatMap((change) => (change.kind === "drop" ? [change.before.id] : [])));
  const created = new Set(changes.flatMap((change) => (change.kind === "create" ? [change.after.id] : [])));
  const lines = changes.flatMap((change) => {
    if (change.kind === "unknown")
      return [`  ${change.what === "create" ? words.create : words.drop}: ${describeChange(change)}`];
    const object = change.kind === "drop" ? change.before : change.after;
    const isPart = object.parent !== undefined && (change.kind === "drop" ? gone : created).has(object.parent);
    if (change.kind !== "alter" && isPart) return [];
    const facts =
      change.kind === "alter"
        ? change.facts.map(
            ({ fact, before, after }) =>
              `\n      ${fact}: ${shownFact(before)} in the database, ${shownFact(after)} by the migrations`,
          )
        : [];
    return [`  ${words[change.kind]}: ${describeObject(object)}${facts.join("")}`];
  });
  return printable(
    [
      `${url} differs from what ${folder} makes`,
      ...lines,
      "",
      "-- to make the database what the migrations say:",
      ...inGroups(steps, withLockLimit(steps)),
    ].join("\n"),
  );
}

function shownFact(value: unknown): string {
  return value === undefined ? "nothing" : typeof value === "string" ? value : JSON.stringify(value);
}
