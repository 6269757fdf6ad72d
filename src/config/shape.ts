// What can be set, as one zod shape, and the names it has in the environment.
import { z } from "zod";

const port = z
  .number("a whole number from 0 to 65535")
  .int("a whole number from 0 to 65535")
  .min(0, "0 to 65535")
  .max(65_535, "0 to 65535");
const path = z.string("a path").min(1, "a path");
const logLevel = z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]);
const positive = (unit: string) => z.number(`a whole number of ${unit}, 1 or more`).int().min(1, `1 ${unit} or more`);

/** The configuration file's shape. `check` is passed through: the check engine validates it, because it knows its rules. */
export const configFileShape = z.strictObject({
  database: z
    .strictObject({
      url: z.string().min(1, "a URL: postgres://user@host:5432/name, pglite: or pglite:./folder").optional(),
      poolSize: positive("connections").optional(),
      acquireTimeoutMs: positive("milliseconds").optional(),
      statementTimeoutMs: positive("milliseconds").optional(),
    })
    .optional(),
  check: z.unknown().optional(),
  /** Modules (or folders of them) that export the Drizzle models, and `.sql` files that say what models cannot. */
  models: z.union([path, z.array(path).min(1, "a path or a list of paths")], "a path or a list of paths").optional(),
  /** Folder of the migrations. */
  migrations: path.optional(),
  /** How properties of models become names of columns, as `drizzle({ casing })` says it. */
  casing: z.enum(["snake_case", "camelCase"]).optional(),
  log: z.strictObject({ level: logLevel.optional(), pretty: z.boolean("true or false").optional() }).optional(),
  server: z
    .strictObject({ host: z.string().min(1, "a host name or address").optional(), port: port.optional() })
    .optional(),
});

export type ConfigFile = z.infer<typeof configFileShape>;

/** Everything that can be set outside the configuration file: its path in the settings, its names in the environment, and how text becomes a value. */
export interface VariableShape {
  readonly key: SettingKey;
  readonly names: readonly [string, ...string[]];
  readonly parse: (text: string) => unknown;
  readonly schema: z.ZodType;
}

export type SettingKey =
  | "database.url"
  | "database.poolSize"
  | "database.acquireTimeoutMs"
  | "database.statementTimeoutMs"
  | "log.level"
  | "log.pretty"
  | "server.host"
  | "server.port";

// Number("") is 0 and Number(" 5 ") is 5; only plain digits count as a number here.
const asNumber = (text: string): unknown => (/^\d+$/.test(text) ? Number(text) : text);
const asBoolean = (text: string): unknown => {
  const word = text.toLowerCase();
  if (["1", "true", "yes", "on"].includes(word)) return true;
  return ["0", "false", "no", "off"].includes(word) ? false : text;
};
const asText = (text: string): unknown => text;

/** For each setting its variables, the one that wins first. */
export const VARIABLES: readonly VariableShape[] = [
  { key: "database.url", names: ["PGSTEWARD_DATABASE_URL", "DATABASE_URL"], parse: asText, schema: z.string() },
  {
    key: "database.poolSize",
    names: ["PGSTEWARD_DATABASE_POOL_SIZE"],
    parse: asNumber,
    schema: positive("connections"),
  },
  {
    key: "database.acquireTimeoutMs",
    names: ["PGSTEWARD_DATABASE_ACQUIRE_TIMEOUT_MS"],
    parse: asNumber,
    schema: positive("milliseconds"),
  },
  {
    key: "database.statementTimeoutMs",
    names: ["PGSTEWARD_DATABASE_STATEMENT_TIMEOUT_MS"],
    parse: asNumber,
    schema: positive("milliseconds"),
  },
  { key: "log.level", names: ["PGSTEWARD_LOG_LEVEL"], parse: asText, schema: logLevel },
  { key: "log.pretty", names: ["PGSTEWARD_LOG_PRETTY"], parse: asBoolean, schema: z.boolean("true or false") },
  { key: "server.host", names: ["PGSTEWARD_SERVER_HOST"], parse: asText, schema: z.string() },
  { key: "server.port", names: ["PGSTEWARD_SERVER_PORT"], parse: asNumber, schema: port },
];

/** Used when nothing else says so. */
export const DEFAULTS = {
  "log.level": "info",
  "server.host": "127.0.0.1",
  "server.port": 7420,
} as const satisfies Partial<Record<SettingKey, unknown>>;
