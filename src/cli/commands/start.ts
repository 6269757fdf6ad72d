// `pgsteward start`: a database with the platform's first tables, a sample, a report and a first page, until Ctrl-C.
import { existsSync, mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { Command } from "commander";
import { checkCatalog, subjectPath, type CheckReport } from "../../advise/index.ts";
import { readCatalog } from "../../catalog/index.ts";
import type { Logger } from "../../logging/index.ts";
import { PLATFORM_HISTORY, readMigrations, runMigrations, type MigrationRun } from "../../migrate/index.ts";
import {
  PLATFORM_MIGRATIONS_FOLDER,
  PLATFORM_TABLES,
  readOverview,
  writeSample,
  type SampleResult,
  type TableOverview,
} from "../../platform/index.ts";
import type { Database } from "../../postgres/index.ts";
import type { FirstPage } from "../../server/index.ts";
import { examinedText, renderCheckReport } from "../check-report.ts";
import {
  EMBEDDED_DATABASE_URL,
  loggerFor,
  openWith,
  readCommandSettings,
  requireValid,
  type CommandContext,
  type CommandSettings,
} from "../context.ts";
import { alignColumns, printable, type Paint } from "../output.ts";
import { packageVersion, type Run } from "../command.ts";

interface StartOptions {
  readonly port?: string;
  readonly host?: string;
  readonly sample: boolean;
}

export function startCommand(run: Run): Command {
  const command = new Command("start")
    .description("make or open a database with the platform's tables, report on it, serve a first page")
    .option("--port <number>", "port to listen on; 0 = any free one (default: 7420, or the next free one)")
    .option("--host <address>", "address to listen on (default: 127.0.0.1)")
    .option("--no-sample", "write no sample rows")
    .addHelpText(
      "before",
      "Examples:\n  pgsteward start\n  pgsteward start --database postgres://localhost/app --no-sample\n  pgsteward start --port 8080\n",
    );
  return command.action((options: StartOptions) => run(command, (context) => start(context, options)));
}

async function start(context: CommandContext, options: StartOptions): Promise<number> {
  const { output, signal } = context;
  const settings = await readCommandSettings(context, {
    ...(options.port === undefined ? {} : { "server.port": { flag: "--port", value: options.port } }),
    ...(options.host === undefined ? {} : { "server.host": { flag: "--host", value: options.host } }),
  });
  requireValid(settings);
  const logger = loggerFor(context, settings);
  const url = databaseToStart(context, settings);
  output.note(url === EMBEDDED_DATABASE_URL ? "opening the embedded database in ./.pgsteward …" : "connecting …");
  await using database = await openForStart(context, settings, url);
  if (signal.aborted) return 130;

  const run = await runMigrations(database, readMigrations(PLATFORM_MIGRATIONS_FOLDER), {
    history: PLATFORM_HISTORY,
    signal,
  });
  const sample = options.sample ? await writeSample(database) : undefined;
  const report = await checkPlatform(database, settings);
  const tables = await readOverview(database);
  // Only this command serves: loading the HTTP framework costs every other one 0.2 s.
  const { startServer } = await import("../../server/index.ts");
  const server = await startServer({
    database,
    logger,
    host: settings.settings.server.host,
    port: settings.settings.server.port,
    whenTaken: settings.origins["server.port"].kind === "default" ? "next" : "fail",
    readFirstPage: () => readFirstPage(database, settings),
  });
  try {
    output.result({ url: server.url, database: database.url, migrations: run, sample, tables, check: report }, () =>
      renderStart({ url: server.url, database: database.url, run, sample, tables, report, paint: output.paint }),
    );
    logger.debug({ url: server.url }, "listening");
    await untilStopped(database, signal, logger);
    output.note("stopping …");
  } finally {
    await server.stop();
  }
  return 0;
}

/**
 * Which database `start` may write to: one named for pgsteward. A DATABASE_URL belongs to some other program as well, so
 * it is not enough to make tables there.
 */
function databaseToStart(context: CommandContext, settings: CommandSettings): string {
  const { place } = settings.origins["database.url"];
  const url = settings.settings.database.url;
  if (url !== undefined && !place.startsWith("DATABASE_URL")) return url;
  if (url !== undefined)
    context.output.note("DATABASE_URL is not used by start; name it with --database to make the tables there");
  return EMBEDDED_DATABASE_URL;
}

async function openForStart(context: CommandContext, settings: CommandSettings, url: string): Promise<Database> {
  if (url === EMBEDDED_DATABASE_URL) {
    const folder = resolve(context.cwd, ".pgsteward");
    if (!existsSync(folder)) mkdirSync(folder);
  }
  return openWith(settings, url);
}

/** The check over the platform's own schemas; other tables of the database are for `pgsteward check`. */
async function checkPlatform(database: Database, settings: CommandSettings): Promise<CheckReport> {
  const schemas = [...new Set(PLATFORM_TABLES.map((table) => table.schema))];
  return checkCatalog(await readCatalog(database, { schemas }), settings.checkConfig);
}

/** The embedded database has one user at a time, so commands on it wait for the end of `start`. */
function nextSteps(database: Database): FirstPage["nextSteps"] {
  const after = database.kind === "pglite" ? " (after Ctrl-C: the embedded database has one user at a time)" : "";
  return [
    { command: "pgsteward describe tasks.todos", what: `everything about one table${after}` },
    { command: "pgsteward check schema.sql", what: "the same check over a dump or a folder of migrations of yours" },
    {
      command: "pgsteward check postgres://user@host/name",
      what: "the same check over a live database; nothing is changed there",
    },
    { command: "pgsteward doctor", what: `settings, connection, rights, what is wrong${after}` },
  ];
}

async function readFirstPage(database: Database, settings: CommandSettings): Promise<FirstPage> {
  const report = await checkPlatform(database, settings);
  const tables = await readOverview(database);
  const { version } = await database.serverFacts();
  return {
    version: packageVersion(),
    databaseUrl: database.url,
    serverVersion: version.text,
    tables: tables.map((table) => ({ ...table, name: `${table.schema}.${table.name}` })),
    findings: report.findings.map((finding) => ({
      severity: finding.severity,
      rule: finding.rule,
      subject: subjectPath(finding),
      message: finding.message,
    })),
    examined: examinedText(report),
    nextSteps: nextSteps(database),
  };
}

interface StartView {
  readonly url: string;
  readonly database: string;
  readonly run: MigrationRun;
  readonly sample: SampleResult | undefined;
  readonly tables: readonly TableOverview[];
  readonly report: CheckReport;
  readonly paint: Paint;
}

function renderStart({ url, database, run, sample, tables, report, paint }: StartView): string {
  const made = run.done.length;
  const migrations =
    made === 0
      ? `found: all ${run.appliedBefore} migrations are applied`
      : `${made} ${made === 1 ? "migration" : "migrations"} applied${run.appliedBefore === 0 ? "" : `, ${run.appliedBefore} were before`}`;
  const sampleText =
    sample === undefined
      ? "none wanted (--no-sample)"
      : sample.wasWritten
        ? `${sample.rows} rows of two tenants written`
        : "not written: the tables hold data already";
  return [
    alignColumns([
      [paint("bold", "database"), printable(database)],
      [paint("bold", "tables"), migrations],
      [paint("bold", "sample"), sampleText],
    ]),
    alignColumns(
      tables.map((table) => [
        `${table.schema}.${table.name}`,
        `${table.isExact ? "" : "about "}${table.rows} ${table.rows === 1 ? "row" : "rows"}`,
      ]),
      "  ",
    ),
    renderCheckReport({ report, target: "the platform's tables", notices: [], paint }),
    `${paint("green", "Ready:")} ${url}   (health: ${url}/health)   Ctrl-C ends it.`,
  ].join("\n\n");
}

/** Resolves on the signal. A database that stops answering meanwhile is logged, and again when it is back. */
async function untilStopped(database: Database, signal: AbortSignal, logger: Logger): Promise<void> {
  let wasOk = true;
  const watch = setInterval(() => {
    void database.health().then(({ ok, error }) => {
      if (ok !== wasOk) {
        if (ok) logger.info("the database answers again");
        else
          logger.error(
            { code: error?.code, hint: error?.hint },
            `the database does not answer: ${error?.message ?? ""}`,
          );
      }
      wasOk = ok;
    });
  }, 30_000);
  if (!signal.aborted) await new Promise((stop) => signal.addEventListener("abort", stop, { once: true }));
  clearInterval(watch);
}
