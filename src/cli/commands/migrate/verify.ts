// `pgsteward migrate verify`: whether each migration of a folder, of any tool, can be gone back and applied again, tried on a copy.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { Command, Option } from "commander";
import type { CatalogObject, Change } from "../../../catalog/index.ts";
import {
  MIGRATION_TOOLS,
  parseSqlFiles,
  readMigrationFolder,
  readSqlFiles,
  verifyMigrations,
  type LostData,
  type MigrationFolder,
  type MigrationTool,
  type Verdict,
  type VerifiedMigration,
  type VerifyFinding,
  type VerifyReport,
  type VerifySeverity,
} from "../../../migrate/index.ts";
import { InvalidInputError } from "../../../postgres/index.ts";
import { wholeNumber } from "../../arguments.ts";
import type { Run } from "../../command.ts";
import {
  openExisting,
  readCommandSettings,
  requireValid,
  type CommandContext,
  type CommandSettings,
} from "../../context.ts";
import { counted } from "../../counts-text.ts";
import { alignColumns, printable, type Paint, type Style } from "../../output.ts";
import { USUAL_FOLDERS } from "../lint.ts";

const FAIL_LEVELS = ["error", "warning", "info", "never"] as const;
const SEVERITIES: readonly VerifySeverity[] = ["info", "warning", "error"];
/** Differences of one finding that are listed; `--json` has all. */
const SHOWN_CHANGES = 8;

interface Options {
  readonly tool?: MigrationTool;
  readonly last?: number;
  readonly upOnly?: boolean;
  readonly rows?: number;
  readonly schema?: string;
  readonly skipMissingExtensions?: boolean;
  readonly set?: readonly string[];
  readonly failOn: (typeof FAIL_LEVELS)[number];
}

export function verifyCommand(run: Run): Command {
  const command = new Command("verify")
    .description("run each migration up, down and up again in a throw-away database with rows, and compare")
    .argument(
      "[folder]",
      `migrations of any tool; default: those of the settings, else the first of ${USUAL_FOLDERS.join(", ")}`,
    )
    .addOption(new Option("--tool <tool>", "whose folder it is, where its files do not tell").choices(MIGRATION_TOOLS))
    .option("--last <n>", "examine the last n; those before are applied only", wholeNumber)
    .option("--up-only", "examine only that each applies")
    .option("--rows <n>", "rows made up for each empty table; 0 for none (default: 3)", wholeNumber)
    .option("--set <name=value...>", "put in place of ${name}, :name and {{.name}}")
    .option("--schema <path>", "SQL file or folder of what exists before the first migration")
    .option(
      "--skip-missing-extensions",
      "leave out statements that fail for want of an extension that is not there, and name each",
    )
    .addOption(
      new Option("--fail-on <severity>", "exit 1 when there is a finding of this severity or a worse one")
        .choices(FAIL_LEVELS)
        .default("warning"),
    )
    .addHelpText(
      "before",
      `Examples:
  pgsteward migrate verify
  pgsteward migrate verify db/migrations --last 3
  pgsteward migrate verify prisma/migrations --up-only --json
  pgsteward migrate verify --database postgres://localhost/app    in databases of its own on that server

Exit codes: 0 nothing found, 1 findings at or above --fail-on, 64 wrong use, 69 no place for a throw-away database.
`,
    );
  return command.action((folder: string | undefined, options: Options) =>
    run(command, (context) => verify(context, folder, options)),
  );
}

async function verify(context: CommandContext, given: string | undefined, options: Options): Promise<number> {
  const settings = await readCommandSettings(context);
  requireValid(settings);
  const folder = readMigrationFolder(folderOf(context, given ?? settings.settings.migrations), {
    tool: options.tool,
    variables: Object.fromEntries((options.set ?? []).map(variableOf)),
  });
  const report = await verifyFolder(context, settings, folder, options);
  const notices = [...folder.notices, ...report.notices];
  for (const notice of notices) context.output.note(printable(notice));
  context.output.result({ tool: folder.tool, ...report, notices }, () => verifyText(report, context.output.paint));
  if (options.failOn === "never") return 0;
  const failing = SEVERITIES.slice(SEVERITIES.indexOf(options.failOn));
  return failing.some((severity) => report.counts[severity] > 0) ? 1 : 0;
}

function folderOf(context: CommandContext, given: string | undefined): string {
  const found = given ?? USUAL_FOLDERS.find((folder) => existsSync(resolve(context.cwd, folder)));
  if (found === undefined) {
    throw new InvalidInputError("there are no migrations here", {
      hint: `give their folder; without one these are tried: ${USUAL_FOLDERS.join(", ")}`,
    });
  }
  return resolve(context.cwd, found);
}

function variableOf(text: string): readonly [string, string] {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidInputError(`${text} is not NAME=VALUE`, { hint: "write e.g. --set schema=app" });
  return [text.slice(0, at), text.slice(at + 1)];
}

async function verifyFolder(
  context: CommandContext,
  settings: CommandSettings,
  { migrations }: MigrationFolder,
  { last, upOnly, rows, schema, skipMissingExtensions }: Options,
): Promise<VerifyReport> {
  const { signal, output, options } = context;
  const setup = schema === undefined ? undefined : await parseSqlFiles(readSqlFiles(resolve(context.cwd, schema)));
  const verifyOptions = {
    signal,
    setup,
    last,
    rowsPerTable: rows,
    skipsMissingExtensions: skipMissingExtensions,
    direction: upOnly === true ? ("up" as const) : ("both" as const),
    onProgress: ({ done, total, file }: { done: number; total: number; file: string | undefined }) => {
      if (output.verbose && file !== undefined) output.note(printable(`${done + 1} of ${total}: ${file}`));
    },
  };
  // Only a server that is named here: DATABASE_URL may be one on which nothing should be made.
  if (options.database === undefined) {
    context.leaveNothingBehind();
    return verifyMigrations(migrations, verifyOptions);
  }
  await using database = await openExisting(context, settings, options.database);
  return await verifyMigrations(migrations, { ...verifyOptions, database });
}

const VERDICT_STYLES: Readonly<Record<Verdict, Style>> = {
  reversible: "green",
  "data lost": "yellow",
  irreversible: "dim",
  "no way back": "yellow",
  "not reversible": "red",
  applied: "green",
  failed: "red",
  "not examined": "dim",
};

function verifyText({ migrations, examined, shadow, tookMs }: VerifyReport, paint: Paint): string {
  const rows = migrations.map(({ version, name, verdict, irreversible }) => [
    printable(version),
    printable(name),
    paint(VERDICT_STYLES[verdict], verdict) + (irreversible === undefined ? "" : `: ${printable(irreversible)}`),
  ]);
  // Of tools that know no way back it is said once.
  const isToldOnce = ({ rule, severity }: VerifyFinding): boolean => rule === "down-missing" && severity === "info";
  const hasNoDowns = migrations.some(({ findings }) => findings.some(isToldOnce));
  const details = migrations.flatMap((migration) =>
    migration.findings
      .filter((finding) => !isToldOnce(finding))
      .map((finding) => findingText(migration, finding, paint)),
  );
  const unseeded = examined.unseededTables.map(({ table, why }) => `  ${printable(table)}: ${printable(why)}`);
  const counts = new Map<Verdict, number>();
  for (const { verdict } of migrations) counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
  const summary = [...counts].map(([verdict, count]) => `${count} ${verdict}`).join(", ");
  return [
    alignColumns(rows),
    ...details,
    ...(hasNoDowns ? ["no migration has a way back: only that each applies was examined"] : []),
    ...(unseeded.length === 0 ? [] : [`without rows, so that none could be lost:\n${unseeded.join("\n")}`]),
    `${summary}; ${examined.ups} applied, ${examined.downs} taken back, ${counted(examined.seededRows, "row")} in ${counted(examined.seededTables, "table")}, PostgreSQL ${shadow.version} (${shadow.kind}), ${(tookMs / 1_000).toFixed(1)} s`,
  ].join("\n\n");
}

function findingText({ file, name }: VerifiedMigration, finding: VerifyFinding, paint: Paint): string {
  const { rule, severity, message, place, changes = [], lost = [] } = finding;
  const style = severity === "error" ? "red" : severity === "warning" ? "yellow" : "dim";
  const head = `${paint(style, `${severity} ${rule}`)} ${printable(place?.file ?? file)} (${printable(name)})`;
  const more = changes.length - SHOWN_CHANGES;
  const lines = [
    ...printable(message).split("\n"),
    ...changes.slice(0, SHOWN_CHANGES).map((change) => printable(differenceText(change))),
    ...(more > 0 ? [`and ${more} more`] : []),
    ...lost.map((item) => printable(lostText(item))),
  ];
  return [head, ...lines.map((line) => `  ${line}`)].join("\n");
}

/** A change from how it should be to how it is. */
function differenceText(change: Change): string {
  if (change.kind === "unknown") {
    const { kind, schema, name } = change.object;
    return `${change.what === "create" ? "too much" : "missing"}: ${kind} ${schema === undefined ? "" : `${schema}.`}${name}`;
  }
  if (change.kind === "create") return `too much: ${shown(change.after)}`;
  if (change.kind === "drop") return `missing: ${shown(change.before)}`;
  return `other: ${shown(change.after)} (${change.facts.map(({ fact }) => fact).join(", ")})`;
}

/** The name of a comment is what it is on. */
function shown({ kind, name, id }: CatalogObject): string {
  return kind === "comment" ? `comment on ${name}` : id;
}

function lostText({ table, rowsBefore, rowsAfter, columns }: LostData): string {
  if (rowsAfter < rowsBefore) return `${table}: ${rowsBefore - rowsAfter} of ${rowsBefore} rows are gone`;
  if (rowsAfter > rowsBefore) return `${table}: ${rowsAfter - rowsBefore} rows too many stay`;
  return `${table}: other values in ${columns.join(", ")}`;
}
