// What a person writes for a schema, as a source: a database URL, a SQL file, a folder of migrations, Drizzle models, `empty`.
import { existsSync, readdirSync, statSync } from "node:fs";
import { extname, join, resolve } from "node:path";
import type { Source } from "../migrate/index.ts";
import { InvalidInputError } from "../postgres/index.ts";
import { openExisting, type CommandContext, type CommandSettings } from "./context.ts";

/** How sources are described in the help of commands. */
export const SOURCE_HELP = "a database URL, a .sql file, a folder of migrations, Drizzle models (.ts, .js) or empty";

const MODULES = new Set([".ts", ".mts", ".cts", ".js", ".mjs", ".cjs"]);

export function isDatabaseUrl(text: string): boolean {
  return /^(?:pglite:|[a-z][a-z0-9+.-]*:\/\/)/i.test(text);
}

/**
 * A source that is a path, several with commas between them, or `empty`.
 *
 * @throws InvalidInputError when it is none, with what it could be
 */
export function sourceOfPath(context: CommandContext, settings: CommandSettings, text: string): Source {
  const path = resolve(context.cwd, text);
  const info = statSync(path, { throwIfNoEntry: false });
  if (info === undefined && text === "empty") return { kind: "empty" };
  if (info === undefined && text.includes(",")) return modelsOf(context, settings, text.split(","));
  if (info === undefined) {
    throw new InvalidInputError(`${text} is neither a database URL nor a file or folder that exists`, {
      hint: `give ${SOURCE_HELP}`,
    });
  }
  if (!info.isDirectory()) {
    if (MODULES.has(extname(text))) return modelsOf(context, settings, [text]);
    return { kind: "sql", path };
  }
  if (existsSync(join(path, "PG_VERSION")))
    throw new InvalidInputError(`${text} is the folder of a database`, { hint: `write pglite:${text}` });
  const inside = readdirSync(path, { recursive: true, encoding: "utf8" }).filter(
    (name) => !name.split(/[\\/]/).some((part) => part.startsWith(".") || part === "node_modules"),
  );
  const hasModules = inside.some((name) => MODULES.has(extname(name)) && !/[\\/]/.test(name));
  const sql = inside.filter((name) => extname(name).toLowerCase() === ".sql");
  if (!hasModules || sql.some((name) => !/[\\/]/.test(name))) return { kind: "migrations", path };
  if (sql.length === 0) return modelsOf(context, settings, [text]);
  throw new InvalidInputError(`the folder ${text} holds models, and SQL below them (${sql[0] ?? ""})`, {
    hint: "give the module that exports the tables, or the folder of the migrations",
  });
}

export function modelsOf(context: CommandContext, settings: CommandSettings, paths: readonly string[]): Source {
  return {
    kind: "models",
    paths: paths.map((path) => resolve(context.cwd, path.trim())),
    casing: settings.settings.casing,
  };
}

/** A source that a person named, with its database open where it is one. */
export interface NamedSource extends AsyncDisposable {
  readonly source: Source;
}

/** @throws InvalidInputError when it is no source; what opening a database throws */
export async function openSource(
  context: CommandContext,
  settings: CommandSettings,
  text: string,
): Promise<NamedSource> {
  if (!isDatabaseUrl(text)) {
    const source = sourceOfPath(context, settings, text);
    return { source, [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  const database = await openExisting(context, settings, text);
  return { source: { kind: "database", database }, [Symbol.asyncDispose]: () => database.close() };
}
