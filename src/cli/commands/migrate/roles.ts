// `pgsteward migrate roles`: group roles with least privilege as a migration, and whether a login owns, bypasses or may do too much.
import { resolve } from "node:path";
import { Command, Option } from "commander";
import { readCatalog } from "../../../catalog/index.ts";
import {
  checkRole,
  formatExpandPhase,
  planRoles,
  readRoles,
  writeExpandMigrations,
  type AccessLevel,
  type RoleFinding,
  type RoleReport,
  type RolesPlan,
  type RoleSeverity,
} from "../../../migrate/index.ts";
import { InvalidInputError, type Database } from "../../../postgres/index.ts";
import { qualifiedName } from "../../arguments.ts";
import type { Run } from "../../command.ts";
import { chooseDatabase, openExisting, readCommandSettings, requireValid, type CommandContext } from "../../context.ts";
import { counted, countsText } from "../../counts-text.ts";
import { printable, type Paint, type Style } from "../../output.ts";
import { DEFAULT_FOLDER } from "./generate.ts";

interface Options {
  readonly reader?: string;
  readonly writer?: string;
  readonly migrator?: string;
  readonly schema?: readonly string[];
  readonly except?: readonly string[];
  readonly own?: boolean;
  readonly exact?: boolean;
  readonly out?: string;
  readonly dryRun?: boolean;
  readonly check?: boolean;
  readonly role?: string;
  readonly as?: AccessLevel;
}

export function rolesCommand(run: Run): Command {
  const command = new Command("roles")
    .description("write the migration that makes roles for reading, writing and migrating, or check a login's rights")
    .option("--reader <name>", "the role that reads (default: app_reader)")
    .option("--writer <name>", "the role that also writes rows (default: app_writer)")
    .option("--migrator <name>", "the role that makes and alters tables (default: app_migrator)")
    .option("--schema <name...>", "only these schemas (default: all)")
    .option("--except <table...>", "grant reader and writer nothing on these tables and views, names as in SQL")
    .option("--own", "give what is in the schemas to the migrator")
    .option("--exact", "take from reader and writer what they have beyond their part")
    .option("--out <folder>", "where the file goes (default: migrations of the settings, else ./migrations)")
    .option("--dry-run", "print the migration and write nothing")
    .option("--check", "instead: what a login owns, bypasses and may do beyond its part")
    .option("--role <name>", "with --check: the login (default: the one of the database's URL)")
    .addOption(
      new Option("--as <level>", "with --check: what the login is for (default: writer)").choices(["reader", "writer"]),
    )
    .addHelpText(
      "before",
      `Examples:
  pgsteward migrate roles --dry-run
  pgsteward migrate roles --schema shop --schema billing --own
  pgsteward migrate roles --reader agent_reader --writer agent_writer --migrator deploy
  pgsteward migrate roles --check --role agent --database postgres://localhost/app

The roles cannot log in. Logins are made by a person, and no file holds their password:
  CREATE ROLE agent LOGIN IN ROLE app_writer;    then in psql: \\password agent

The database of the settings is read and not changed. Run again after new tables or schemas, it writes only what is missing.
Exit codes: 0 written, or nothing to do, or nothing found; 1 --check found something; 64 wrong use.
`,
    );
  return command.action((options: Options) => run(command, (context) => roles(context, options)));
}

async function roles(context: CommandContext, options: Options): Promise<number> {
  refuseMixed(options);
  const settings = await readCommandSettings(context);
  requireValid(settings);
  const url = chooseDatabase(context, settings);
  await using database = await openExisting(context, settings, url);
  if (options.check === true) return await check(context, database, options);
  const { signal, output, cwd } = context;
  const plan = planRoles(await readCatalog(database, { signal }), await readRoles(database, { signal }), {
    reader: options.reader,
    writer: options.writer,
    migrator: options.migrator,
    schemas: options.schema,
    except: options.except?.map((name) => ({ schema: qualifiedName(name).schema, name: qualifiedName(name).table })),
    isExact: options.exact,
    ownsAll: options.own,
  });
  const folder = resolve(cwd, options.out ?? settings.settings.migrations ?? DEFAULT_FOLDER);
  const files =
    options.dryRun === true || plan.phases.length === 0 ? undefined : writeExpandMigrations(folder, plan, new Date());
  for (const notice of plan.notices) output.note(printable(notice));
  if (plan.findings.length > 0) output.note(plan.findings.map((finding) => findingText(finding, plainText)).join("\n"));
  output.result(output.json ? { folder, files: files ?? null, ...plan } : undefined, () => planText(plan, files));
  return 0;
}

function refuseMixed(options: Options): void {
  const ofCheck = (["role", "as"] as const).filter((name) => options[name] !== undefined);
  const ofPlan = (
    ["reader", "writer", "migrator", "schema", "except", "own", "exact", "out", "dryRun"] as const
  ).filter((name) => options[name] !== undefined);
  const [wrong] = options.check === true ? ofPlan : ofCheck;
  if (wrong === undefined) return;
  const flag = `--${wrong === "dryRun" ? "dry-run" : wrong}`;
  throw new InvalidInputError(
    options.check === true ? `--check writes no migration, for which ${flag} is` : `${flag} is for --check`,
    { hint: "pgsteward migrate roles --check --role agent --as writer" },
  );
}

async function check(context: CommandContext, database: Database, options: Options): Promise<number> {
  const { signal, output } = context;
  const server = await readRoles(database, { signal });
  const level = options.as ?? "writer";
  const report = checkRole(await readCatalog(database, { signal }), server, options.role ?? server.currentRole, {
    level,
  });
  output.result({ database: server.databaseName, level, ...report }, () =>
    reportText(report, level, server.databaseName, output.paint),
  );
  return report.counts.error + report.counts.warning > 0 ? 1 : 0;
}

const STYLES: Readonly<Record<RoleSeverity, Style>> = { error: "red", warning: "yellow", info: "cyan" };
/** A longer script is for --json; here it would hide the findings. */
const SHOWN_LINES = 2;
const plainText: Paint = (_, text) => text;

function findingText({ severity, message, rule, fix }: RoleFinding, paint: Paint): string {
  const label = paint(STYLES[severity], (severity === "info" ? "note" : severity).padEnd(7));
  const isShort = fix.sql !== undefined && fix.sql.split("\n").length <= SHOWN_LINES;
  const lines = (isShort ? `${fix.description}\n${fix.sql}` : fix.description).split("\n");
  return [
    `  ${label}  ${printable(message)}  ${paint("dim", rule)}`,
    ...lines.map((line, index) => paint("dim", `           ${index === 0 ? "fix: " : "     "}${printable(line)}`)),
  ].join("\n");
}

function planText({ phases, roles: names, created }: RolesPlan, files: readonly string[] | undefined): string {
  const [phase] = phases;
  if (phase === undefined)
    return `nothing to write: ${printable(`${names.reader}, ${names.writer} and ${names.migrator}`)} have what they are to have`;
  if (files === undefined) return formatExpandPhase(phase);
  const made = created.length === 0 ? [] : [printable(`makes ${created.join(", ")}`)];
  return [files.join("\n"), ...[...made, ...phase.why.map(printable)].map((line) => `  ${line}`)].join("\n");
}

function reportText(
  { role, findings, counts, examined }: RoleReport,
  level: AccessLevel,
  database: string,
  paint: Paint,
): string {
  const total = counts.error + counts.warning + counts.info;
  const style: Style = counts.error > 0 ? "red" : counts.warning > 0 ? "yellow" : "green";
  return [
    paint("bold", printable(`Rights of ${role} as ${level} in ${database}`)),
    ...findings.map((finding) => findingText(finding, paint)),
    paint(style, total === 0 ? "Nothing was found" : countsText(counts)),
    `Examined: ${counted(examined.roles, "role")} it can act as, ${counted(examined.objects, "object")}, ${counted(examined.grants, "grant")}`,
  ].join("\n");
}
