// Reads the settings of all modules from the command line's flags, the environment, `.env` and the configuration file, and
// remembers where each came from. Nothing is thrown: all faults come back together.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse as parseDotenv } from "dotenv";
import { loadConfigFile } from "./config-file.ts";
import { faultsOf, type Fault } from "./fault.ts";
import { nearestWord } from "./nearest.ts";
import { DEFAULTS, VARIABLES, type SettingKey } from "./shape.ts";

export interface Settings {
  readonly database: {
    /** `undefined` when nothing names a database. */
    readonly url: string | undefined;
    readonly poolSize: number | undefined;
    readonly acquireTimeoutMs: number | undefined;
    readonly statementTimeoutMs: number | undefined;
  };
  /** The check engine's configuration as it stands in the file, not validated here. */
  readonly check: unknown;
  /** Paths of the Drizzle models and of SQL beside them; empty when the file names none. */
  readonly models: readonly string[];
  /** Folder of the migrations; `undefined` when the file names none. */
  readonly migrations: string | undefined;
  readonly casing: "snake_case" | "camelCase" | undefined;
  readonly log: {
    readonly level: "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
    readonly pretty: boolean | undefined;
  };
  readonly server: { readonly host: string; readonly port: number };
}

/** Where a setting's value came from; `place` is the flag, the variable or the file. */
export interface Origin {
  readonly kind: "flag" | "environment" | ".env" | "config file" | "default" | "unset";
  readonly place: string;
}

export interface ReadSettings {
  readonly settings: Settings;
  readonly origins: Readonly<Record<SettingKey, Origin>>;
  /** Files that were read, absolute. */
  readonly files: readonly string[];
  /** Everything that is wrong. When it is not empty the settings must not be used. */
  readonly faults: readonly Fault[];
}

export interface ReadSettingsOptions {
  /** Configuration file to use instead of `pgsteward.config.*` in `cwd`. */
  readonly configFile?: string | undefined;
  /** Values that win over everything, with the flag's name, e.g. `{ "database.url": { flag: "--database", value } }`. */
  readonly flags?: Partial<Record<SettingKey, { readonly flag: string; readonly value: unknown }>> | undefined;
}

/**
 * Reads settings; the order of precedence is flag, environment, `.env`, configuration file, default. An empty variable
 * counts as not set.
 *
 * @param env - e.g. `process.env`; it is not changed
 * @param cwd - folder of `.env` and of `pgsteward.config.{ts,mts,js,mjs,json}`
 */
export async function readSettings(
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
  options: ReadSettingsOptions = {},
): Promise<ReadSettings> {
  const faults: Fault[] = [];
  const dotenv = readDotenv(cwd, faults);
  faults.push(...unknownVariables(env, "environment"), ...unknownVariables(dotenv.values, ".env"));
  const file = await loadConfigFile(cwd, options.configFile);
  faults.push(...file.faults);

  const values: Partial<Record<SettingKey, unknown>> = {};
  const origins = {} as Record<SettingKey, Origin>;
  const fromFile = file.content as Readonly<Record<string, unknown>>;
  for (const variable of VARIABLES) {
    const [value, origin] = choose(variable.key);
    values[variable.key] = value;
    origins[variable.key] = origin;
  }
  const text = (key: SettingKey) => values[key] as string | undefined;
  const number = (key: SettingKey) => values[key] as number | undefined;

  return {
    settings: {
      database: {
        url: text("database.url"),
        poolSize: number("database.poolSize"),
        acquireTimeoutMs: number("database.acquireTimeoutMs"),
        statementTimeoutMs: number("database.statementTimeoutMs"),
      },
      check: file.content.check,
      models: typeof file.content.models === "string" ? [file.content.models] : (file.content.models ?? []),
      migrations: file.content.migrations,
      casing: file.content.casing,
      log: {
        level: (values["log.level"] ?? DEFAULTS["log.level"]) as Settings["log"]["level"],
        pretty: values["log.pretty"] as boolean | undefined,
      },
      server: {
        host: text("server.host") ?? DEFAULTS["server.host"],
        port: number("server.port") ?? DEFAULTS["server.port"],
      },
    },
    origins,
    files: [dotenv.path, file.path].filter((path) => path !== undefined),
    faults,
  };

  function choose(key: SettingKey): [unknown, Origin] {
    const variable = VARIABLES.find((candidate) => candidate.key === key);
    const flag = options.flags?.[key];
    if (flag !== undefined && variable !== undefined) {
      const checked = variable.schema.safeParse(
        typeof flag.value === "string" ? variable.parse(flag.value) : flag.value,
      );
      if (checked.success) return [checked.data, { kind: "flag", place: flag.flag }];
      faults.push(...faultsOf("command line", checked.error).map((fault) => ({ ...fault, key: flag.flag })));
    }
    for (const [kind, source, place] of [
      ["environment", env, ""],
      [".env", dotenv.values, " in .env"],
    ] as const) {
      for (const name of variable?.names ?? []) {
        const raw = source[name];
        if (raw === undefined || raw === "" || variable === undefined) continue;
        const checked = variable.schema.safeParse(variable.parse(raw));
        if (checked.success) return [checked.data, { kind, place: `${name}${place}` }];
        faults.push(...faultsOf(kind, checked.error).map((fault) => ({ ...fault, key: name })));
      }
    }
    const [section = "", name = ""] = key.split(".");
    const inFile = (fromFile[section] as Readonly<Record<string, unknown>> | undefined)?.[name];
    if (inFile !== undefined) return [inFile, { kind: "config file", place: file.path ?? "" }];
    const fallback = (DEFAULTS as Partial<Record<SettingKey, unknown>>)[key];
    return fallback === undefined
      ? [undefined, { kind: "unset", place: "" }]
      : [fallback, { kind: "default", place: "" }];
  }
}

function readDotenv(cwd: string, faults: Fault[]): { path: string | undefined; values: Record<string, string> } {
  const path = join(cwd, ".env");
  if (!existsSync(path)) return { path: undefined, values: {} };
  try {
    return { path, values: parseDotenv(readFileSync(path, "utf8")) };
  } catch (error) {
    faults.push({
      source: ".env",
      key: "",
      message: `cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    });
    return { path, values: {} };
  }
}

/** A mistyped PGSTEWARD_ name would be ignored in silence otherwise. PGSTEWARD_TEST_ and PGSTEWARD_BENCH_ belong to this project's own tools. */
function unknownVariables(source: Readonly<Record<string, string | undefined>>, place: string): Fault[] {
  const known = VARIABLES.flatMap((variable) => variable.names);
  return Object.keys(source)
    .filter((name) => name.startsWith("PGSTEWARD_") && !/^PGSTEWARD_(TEST|BENCH)_/.test(name) && !known.includes(name))
    .map((name) => {
      const nearest = nearestWord(name, known);
      const help = nearest === undefined ? `known: ${known.join(", ")}` : `did you mean ${nearest}?`;
      return { source: place, key: name, message: `unknown variable; ${help}` };
    });
}
