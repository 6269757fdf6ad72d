// `pgsteward check`: the schema rules over a server, an embedded database, a SQL file or a folder of them.
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { Command, Option } from "commander";
import { checkCatalog, type CheckReport, type Severity } from "../../advise/index.ts";
import { readCatalog } from "../../catalog/index.ts";
import { InvalidInputError, type Database } from "../../postgres/index.ts";
import { renderCheckReport } from "../check-report.ts";
import {
  chooseDatabase,
  hasEmbedded,
  openExisting,
  readCommandSettings,
  requireValid,
  type CommandContext,
  type CommandSettings,
} from "../context.ts";
import type { Run } from "../command.ts";
import { withLoadedSql } from "../loaded-sql.ts";
import { withOwnedModels } from "../owned-models.ts";

const FAIL_LEVELS = ["error", "warning", "info", "never"] as const;
type FailLevel = (typeof FAIL_LEVELS)[number];

export function checkCommand(run: Run): Command {
  const command = new Command("check")
    .description("check a schema: what is wrong, why it matters, the SQL that mends it")
    .argument(
      "[target]",
      "a database URL, a .sql file or a folder of .sql files; default: the database of the settings, else their migrations",
    )
    .addOption(
      new Option("--fail-on <severity>", "exit 1 when there is a finding of this severity or a worse one")
        .choices(FAIL_LEVELS)
        .default("error"),
    )
    .option("--schema <name...>", "look at these schemas only")
    .addHelpText(
      "before",
      `Examples:
  pgsteward check postgres://localhost/app
  pgsteward check migrations/ --fail-on warning
  pgsteward check dump.sql --schema public --json

Without a target, models and migrations of the settings are compared too: one without the other is an error.
`,
    );
  return command.action((target: string | undefined, options: { failOn: FailLevel; schema?: string[] }) =>
    run(command, (context) => check(context, target, options)),
  );
}

async function check(
  context: CommandContext,
  target: string | undefined,
  options: { readonly failOn: FailLevel; readonly schema?: readonly string[] },
): Promise<number> {
  const settings = await readCommandSettings(context);
  requireValid(settings);
  const { migrations } = settings.settings;
  const isNamed = target !== undefined || settings.settings.database.url !== undefined || hasEmbedded(context);
  // A project without a database at hand, as in CI, is what its migrations make.
  const chosen = isNamed ? target : migrations;
  const path = chosen === undefined ? undefined : pathOf(context, chosen);
  const schemas = options.schema ?? [];

  let shown: string;
  let notices: readonly string[] = [];
  let report: CheckReport;
  if (path === undefined) {
    await using database = await openExisting(context, settings, chooseDatabase(context, settings, target));
    shown = database.url;
    report = await checkDatabase(database, settings, schemas);
  } else {
    shown = chosen ?? "";
    context.leaveNothingBehind();
    report = await withLoadedSql(path, context, async (database, loaded) => {
      notices = loaded.notices;
      return checkDatabase(database, settings, schemas);
    });
  }
  // A target that was named need not be this project's.
  if (target === undefined) report = await withOwnedModels(context, settings, report);
  context.output.result(context.output.json ? { target: shown, notices, ...report } : undefined, () =>
    renderCheckReport({ report, target: shown, notices, paint: context.output.paint }),
  );
  return isFailure(report, options.failOn) ? 1 : 0;
}

async function checkDatabase(
  database: Database,
  settings: CommandSettings,
  schemas: readonly string[],
): Promise<CheckReport> {
  const catalog = await readCatalog(database, schemas.length === 0 ? {} : { schemas });
  return checkCatalog(catalog, settings.checkConfig);
}

/** The path a target names; `undefined` when it is a database URL. */
export function pathOf(context: CommandContext, target: string): string | undefined {
  if (/^(?:pglite:|[a-z][a-z0-9+.-]*:\/\/)/i.test(target)) return undefined;
  const path = resolve(context.cwd, target);
  if (existsSync(join(path, "PG_VERSION"))) {
    throw new InvalidInputError(`${target} is the folder of a database`, { hint: `write pglite:${target}` });
  }
  if (!existsSync(path)) {
    throw new InvalidInputError(`${target} is neither a database URL nor a file or folder that exists`, {
      hint: "give postgres://user@host/name, pglite:./folder, a .sql file or a folder of .sql files",
    });
  }
  return path;
}

const SEVERITIES: readonly Severity[] = ["info", "warning", "error"];

function isFailure(report: CheckReport, failOn: FailLevel): boolean {
  if (failOn === "never") return false;
  return SEVERITIES.slice(SEVERITIES.indexOf(failOn)).some((severity) => report.counts[severity] > 0);
}
