// `pgsteward doctor`: which setting comes from where, whether the database answers, what this login may do, what is wrong.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { Command } from "commander";
import { describeFault, VARIABLES, type Origin } from "../../config/index.ts";
import { redactText } from "../../logging/index.ts";
import { ERROR_CODES, StewardError, type ErrorCode, type Health } from "../../postgres/index.ts";
import {
  EMBEDDED_DATABASE_URL,
  openExisting,
  readCommandSettings,
  type CommandContext,
  type CommandSettings,
} from "../context.ts";
import { alignColumns, printable, type Paint } from "../output.ts";
import type { Run } from "../command.ts";

export interface DoctorReport {
  readonly settings: readonly {
    readonly key: string;
    readonly value: string | number | boolean | undefined;
    readonly origin: Origin;
  }[];
  readonly files: readonly string[];
  readonly database: string | undefined;
  readonly health: Health | undefined;
  readonly problems: readonly Problem[];
}

export interface Problem {
  /** `error`: nothing works until it is mended. */
  readonly severity: "error" | "warning" | "info";
  readonly code: ErrorCode | undefined;
  readonly what: string;
  readonly whatToDo: string;
}

export function doctorCommand(run: Run): Command {
  const command = new Command("doctor")
    .description("show settings with their origin, the connection, rights and extensions, and what is wrong")
    .addHelpText(
      "before",
      "Examples:\n  pgsteward doctor\n  pgsteward doctor --database postgres://localhost/app --json\n",
    );
  return command.action(() => run(command, doctor));
}

async function doctor(context: CommandContext): Promise<number> {
  const settings = await readCommandSettings(context);
  const problems: Problem[] = settings.faults.map((fault) => ({
    severity: "error",
    code: "INVALID_CONFIGURATION",
    what: describeFault(fault),
    whatToDo: "correct it; docs/configuration.md lists every setting",
  }));
  const embedded = existsSync(resolve(context.cwd, EMBEDDED_DATABASE_URL.slice("pglite:".length)))
    ? EMBEDDED_DATABASE_URL
    : undefined;
  const url = settings.settings.database.url ?? embedded;
  const health = url === undefined ? undefined : await examine(context, settings, url, problems);
  if (url === undefined) {
    problems.push({
      severity: "info",
      code: undefined,
      what: "no database is named",
      whatToDo: "set DATABASE_URL, give --database, or run: pgsteward start",
    });
  }
  if (health?.server !== undefined) problems.push(...serverProblems(health.server));

  const report: DoctorReport = {
    settings: VARIABLES.map(({ key }) => ({ key, value: settingValue(settings, key), origin: settings.origins[key] })),
    files: settings.files,
    database: url === undefined ? undefined : redactText(url),
    health,
    problems,
  };
  context.output.result(report, () => render(report, context.output.paint));
  const worst = problems.find((problem) => problem.severity === "error");
  return worst === undefined ? 0 : ERROR_CODES[worst.code ?? "INTERNAL"].exitCode;
}

async function examine(
  context: CommandContext,
  settings: CommandSettings,
  url: string,
  problems: Problem[],
): Promise<Health | undefined> {
  try {
    await using database = await openExisting(context, settings, url);
    const health = await database.health();
    if (health.error !== undefined) {
      const { code, message, hint } = health.error;
      problems.push({
        severity: "error",
        code: isErrorCode(code) ? code : undefined,
        what: redactText(message),
        whatToDo: hint ?? "check the URL and that the server runs",
      });
    }
    return health;
  } catch (error) {
    if (!(error instanceof StewardError)) throw error;
    problems.push({
      severity: "error",
      code: error.code,
      what: redactText(error.message),
      whatToDo: error.hint ?? "check the database URL",
    });
    return undefined;
  }
}

function isErrorCode(code: string): code is ErrorCode {
  return code in ERROR_CODES;
}

/** The oldest server the catalog reader and the runner are tested on. */
const OLDEST_VERSION = 140_000;

function serverProblems(server: NonNullable<Health["server"]>): Problem[] {
  const problems: Problem[] = [];
  const add = (severity: Problem["severity"], what: string, whatToDo: string): void => {
    problems.push({ severity, code: undefined, what, whatToDo });
  };
  if (server.version.number < OLDEST_VERSION)
    add(
      "warning",
      `PostgreSQL ${server.version.text} is older than 14`,
      "upgrade the server: nothing here is tested on it",
    );
  const { rights } = server;
  if (server.kind === "server" && (rights.isSuperuser || rights.bypassesRowSecurity)) {
    add(
      "warning",
      `the login ${rights.user} ${rights.isSuperuser ? "is a superuser" : "bypasses row-level security"}: no tenant policy holds for it`,
      "let the application connect as a role that owns nothing and cannot bypass (see migrations/0001)",
    );
  }
  if (server.role === "replica")
    add(
      "info",
      "this server is a replica: it cannot be written to",
      "use the primary's URL for start and for migrations",
    );
  if (server.behindPooler)
    add(
      "info",
      "a connection pooler stands between: named prepared statements are off",
      "nothing, unless the pooler supports them (PgBouncer 1.21 or newer)",
    );
  if (server.kind === "server" && !server.extensions.some((extension) => extension.name === "pg_stat_statements")) {
    add(
      "info",
      "pg_stat_statements is not installed: statements' times are not recorded",
      "CREATE EXTENSION pg_stat_statements (it must be in shared_preload_libraries)",
    );
  }
  return problems;
}

function settingValue(
  settings: CommandSettings,
  key: (typeof VARIABLES)[number]["key"],
): string | number | boolean | undefined {
  const [section, name = ""] = key.split(".");
  const values: Readonly<Record<string, unknown>> =
    section === "database"
      ? settings.settings.database
      : section === "log"
        ? settings.settings.log
        : settings.settings.server;
  const value = values[name];
  if (typeof value === "string") return redactText(value);
  return typeof value === "number" || typeof value === "boolean" ? value : undefined;
}

function render(report: DoctorReport, paint: Paint): string {
  const blocks = [
    `${paint("bold", "Settings")}\n${alignColumns(
      report.settings.map(({ key, value, origin }) => [
        key,
        printable(String(value ?? "-")),
        paint("dim", origin.place === "" ? origin.kind : `${origin.kind} ${origin.place}`),
      ]),
      "  ",
    )}`,
    `${paint("bold", "Files read")}\n${report.files.map((file) => `  ${printable(file)}`).join("\n") || "  none"}`,
  ];
  const { health } = report;
  const connection: string[][] = [["database", printable(report.database ?? "-")]];
  if (health !== undefined) {
    connection.push([
      "answers",
      health.ok ? paint("green", `yes, in ${health.latencyMs?.toFixed(2) ?? "?"} ms`) : paint("red", "no"),
    ]);
    const { pool, server } = health;
    if (server !== undefined) {
      const { rights } = server;
      const may = [
        rights.isSuperuser ? "is superuser" : "",
        rights.bypassesRowSecurity ? "bypasses row security" : "",
        rights.canCreateDatabase ? "creates databases" : "",
        rights.canCreateRole ? "creates roles" : "",
        rights.canCreateSchema ? "creates schemas" : "",
      ].filter((right) => right !== "");
      connection.push(
        ["server", `PostgreSQL ${server.version.text} (${server.kind === "pglite" ? "embedded" : server.role})`],
        ["name", printable(server.databaseName)],
        ["pooler", server.behindPooler ? "between us and the server" : "none seen"],
        ["login", printable(`${rights.user}: ${may.join(", ") || "no special rights"}`)],
        [
          "extensions",
          printable(
            server.extensions.map((extension) => `${extension.name} ${extension.version}`).join(", ") || "none",
          ),
        ],
      );
    }
    connection.push(["pool", `${pool.total} open, ${pool.idle} idle, ${pool.waiting} waiting, at most ${pool.size}`]);
  }
  blocks.push(`${paint("bold", "Connection")}\n${alignColumns(connection, "  ")}`);
  const styles = { error: "red", warning: "yellow", info: "cyan" } as const;
  const problems = report.problems.map(
    ({ severity, code, what, whatToDo }) =>
      `  ${paint(styles[severity], severity === "info" ? "note" : severity)}${code === undefined ? "" : ` ${code}`}: ${printable(what)}\n    ${paint("dim", `what to do: ${printable(whatToDo)}`)}`,
  );
  blocks.push(`${paint("bold", "What is wrong")}\n${problems.join("\n") || paint("green", "  nothing")}`);
  return blocks.join("\n\n");
}
