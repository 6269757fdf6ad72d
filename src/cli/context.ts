// What every command gets: its settings with their origin, its output, a signal that Ctrl-C aborts.
import { existsSync } from "node:fs";
import { basename, resolve } from "node:path";
import { checkConfigSchema, type CheckConfig } from "../advise/index.ts";
import { describeFault, nearestWord, readSettings, type Fault, type ReadSettings } from "../config/index.ts";
import { createLogger, type Logger } from "../logging/index.ts";
import { InvalidConfigurationError, InvalidInputError, openDatabase, type Database } from "../postgres/index.ts";
import type { Output } from "./output.ts";

/** The embedded database that `start` makes and the other commands find. */
export const EMBEDDED_DATABASE_URL = "pglite:./.pgsteward/database";

export interface GlobalOptions {
  readonly json?: boolean;
  readonly verbose?: boolean;
  readonly color?: boolean;
  readonly database?: string;
  readonly config?: string;
}

export interface CommandContext {
  readonly output: Output;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
  /**
   * Says that the command works in memory and in throw-away servers only: a signal then ends the process at once, as there is nothing
   * to put in order. A parser or PGlite at work hears no handler: Ctrl-C over 3,000 tables was obeyed after two minutes.
   */
  readonly leaveNothingBehind: () => void;
  readonly options: GlobalOptions;
}

export interface CommandSettings extends ReadSettings {
  readonly checkConfig: CheckConfig;
}

/** Settings with every fault of theirs, the check's section included. Nothing is thrown. */
export async function readCommandSettings(
  context: CommandContext,
  flags: NonNullable<Parameters<typeof readSettings>[2]>["flags"] = {},
): Promise<CommandSettings> {
  const { options, env, cwd } = context;
  const read = await readSettings(env, cwd, {
    configFile: options.config,
    flags: {
      ...(options.database === undefined ? {} : { "database.url": { flag: "--database", value: options.database } }),
      ...flags,
    },
  });
  const raw = read.settings.check ?? {};
  const checked = checkConfigSchema.safeParse(raw);
  const configFile = read.files.find((file) => !file.endsWith(".env"));
  const source = configFile === undefined ? "check" : basename(configFile);
  const faults: Fault[] = checked.success
    ? []
    : checked.error.issues.flatMap((issue) => {
        const path = ["check", ...issue.path.map(String)];
        if (issue.code !== "unrecognized_keys")
          return [{ source, key: path.join("."), message: issue.message.replace("Invalid input: ", "") }];
        const known = Object.keys(checkConfigSchema.shape);
        return issue.keys.map((key) => {
          const nearest = path.length === 1 ? nearestWord(key, known) : undefined;
          return {
            source,
            key: [...path, key].join("."),
            message: `unknown setting${nearest === undefined ? "" : `; did you mean ${nearest}?`}`,
          };
        });
      });
  return { ...read, faults: [...read.faults, ...faults], checkConfig: checked.success ? raw : {} };
}

/** The settings with the value of `--casing`. */
export function withCasing(settings: CommandSettings, casing: CommandSettings["settings"]["casing"]): CommandSettings {
  return casing === undefined ? settings : { ...settings, settings: { ...settings.settings, casing } };
}

/** @throws InvalidConfigurationError with one line for each fault */
export function requireValid(settings: CommandSettings): void {
  if (settings.faults.length === 0) return;
  const lines = settings.faults.map((fault) => `  ${describeFault(fault)}`);
  throw new InvalidConfigurationError(
    `${lines.length} ${lines.length === 1 ? "fault" : "faults"} in the settings\n${lines.join("\n")}`,
    {
      hint: "docs/configuration.md lists every setting; pgsteward doctor shows which value comes from where",
    },
  );
}

/** The database a command looks at: its argument, then the settings, then what `start` made in this folder. */
export function chooseDatabase(context: CommandContext, settings: ReadSettings, target?: string): string {
  const url = target ?? settings.settings.database.url;
  if (url !== undefined) return url;
  if (hasEmbedded(context)) return EMBEDDED_DATABASE_URL;
  throw new InvalidInputError("no database is named", {
    hint: "give a URL (postgres://user@host/name, pglite:./folder), set DATABASE_URL, or make a database with: pgsteward start",
  });
}

/** Whether `start` made a database in this folder. */
export function hasEmbedded(context: CommandContext): boolean {
  return existsSync(resolve(context.cwd, EMBEDDED_DATABASE_URL.slice("pglite:".length)));
}

/** Opens a database for looking at it: an embedded folder that does not exist is an error, not a new database. */
export async function openExisting(context: CommandContext, settings: ReadSettings, url: string): Promise<Database> {
  const folder = url.startsWith("pglite:") ? url.slice("pglite:".length) : "";
  if (!["", "memory", "//"].includes(folder) && !existsSync(resolve(context.cwd, folder))) {
    throw new InvalidInputError(`there is no embedded database at ${folder}`, {
      hint: "check the path, or make one with: pgsteward start",
    });
  }
  return openWith(settings, url);
}

export function openWith(settings: ReadSettings, url: string): Promise<Database> {
  const { poolSize, acquireTimeoutMs, statementTimeoutMs } = settings.settings.database;
  return openDatabase({
    url,
    pool: {
      ...(poolSize === undefined ? {} : { size: poolSize }),
      ...(acquireTimeoutMs === undefined ? {} : { acquireTimeoutMs }),
    },
    ...(statementTimeoutMs === undefined ? {} : { statementTimeoutMs }),
    applicationName: "pgsteward",
  });
}

export function loggerFor(context: CommandContext, settings: ReadSettings): Logger {
  const { level, pretty } = settings.settings.log;
  return createLogger({
    level: context.output.verbose ? "debug" : level,
    pretty,
    colors: context.output.colorsOnStderr,
  });
}
