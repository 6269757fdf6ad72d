// Loads the modules that hold a project's models, TypeScript or JavaScript, whatever Node runs them, and hands out their exports.
import { existsSync, readdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, extname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { createJiti, type Jiti, type JitiOptions } from "jiti";
import { InvalidInputError } from "../../postgres/index.ts";

/** One thing that a module exports. */
export interface ModuleExport {
  /** As it is shown in messages. */
  readonly file: string;
  readonly name: string;
  readonly value: unknown;
}

const MODELS_HINT =
  "models are imported to be read: they must not open connections or need variables of the environment";

export const MODULE_EXTENSIONS: ReadonlySet<string> = new Set([".ts", ".mts", ".cts", ".js", ".mjs", ".cjs"]);

/**
 * The exports of a module, or of every module of a folder and the folders in it; tests (`….test.ts`, `….spec.ts`) and declarations
 * (`….d.ts`) are passed over. The modules run: what they do when imported is done.
 *
 * @param hint - the way out when a module fails while it is imported
 * @throws InvalidInputError when a path is missing, holds no module, or a module cannot be imported; the message names the file
 */
export async function loadModules(paths: readonly string[], hint = MODELS_HINT): Promise<readonly ModuleExport[]> {
  const files = paths.flatMap(moduleFiles);
  const [first] = files;
  if (first === undefined) return [];
  // One loader for all: a table that two modules import must be one table.
  const jiti = createJiti(first.file, {
    fsCache: false,
    moduleCache: true,
    interopDefault: false,
    ...(await fallbacks(first.file)),
    ...(hasTsconfig(first.file) ? { tsconfigPaths: true } : {}),
  });
  const cachedBefore = new Set(Object.keys(jiti.cache));
  const exports: ModuleExport[] = [];
  try {
    for (const { file, shown } of files) {
      for (const [name, value] of Object.entries(await importModule(jiti, file, shown, hint)))
        exports.push({ file: shown, name, value });
    }
  } finally {
    // A long-lived process that reads its models again must see them as they are then.
    for (const path of Object.keys(jiti.cache))
      if (!cachedBefore.has(path) && !/[\\/]node_modules[\\/]/.test(path)) delete jiti.cache[path];
  }
  return exports;
}

interface ModuleFile {
  readonly file: string;
  readonly shown: string;
}

function moduleFiles(path: string): readonly ModuleFile[] {
  const info = statSync(path, { throwIfNoEntry: false });
  if (info === undefined) {
    throw new InvalidInputError(`the models ${path} do not exist`, {
      hint: "give a TypeScript or JavaScript module, or a folder of them, e.g. --models src/db/schema.ts",
    });
  }
  if (!info.isDirectory()) return [{ file: path, shown: basename(path) }];
  const names = readdirSync(path, { recursive: true, encoding: "utf8" }).filter(isModule).sort();
  if (names.length === 0) {
    throw new InvalidInputError(`the folder ${path} holds no TypeScript or JavaScript module`, {
      hint: "give the module that exports the tables, e.g. --models src/db/schema.ts",
    });
  }
  return names.map((name) => ({ file: join(path, name), shown: relative(path, join(path, name)) }));
}

function isModule(name: string): boolean {
  if (name.split(/[\\/]/).some((part) => part.startsWith(".") || part === "node_modules")) return false;
  return MODULE_EXTENSIONS.has(extname(name)) && !/\.(?:test|spec|d)\.[cm]?[jt]s$/.test(name);
}

async function importModule(
  jiti: Jiti,
  file: string,
  shown: string,
  hint: string,
): Promise<Readonly<Record<string, unknown>>> {
  let module: unknown;
  try {
    module = await jiti.import(file);
  } catch (cause) {
    throw new InvalidInputError(
      `${shown} cannot be imported: ${cause instanceof Error ? firstLines(cause.message) : String(cause)}`,
      { cause, hint: hintFor(cause, hint) },
    );
  }
  return typeof module === "object" && module !== null ? (module as Readonly<Record<string, unknown>>) : {};
}

function firstLines(message: string): string {
  return message.split("\n", 4).join("\n").trim();
}

function hintFor(cause: unknown, otherwise: string): string {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : "";
  if (["MODULE_NOT_FOUND", "ERR_MODULE_NOT_FOUND", "ERR_PACKAGE_PATH_NOT_EXPORTED"].includes(code))
    return "install what it imports, or import less";
  return otherwise;
}

const OWN_FOLDERS: Readonly<Record<string, string>> = {
  pgsteward: "",
  "pgsteward/migrate": "migrate/",
  "pgsteward/postgres": "postgres/",
  "pgsteward/session": "session/",
};

/** What models import, from this package, where the project itself has none (`npx pgsteward` in a plain folder). */
async function fallbacks(file: string): Promise<Pick<JitiOptions, "alias" | "virtualModules">> {
  const theirs = createRequire(file);
  const own = createRequire(import.meta.url);
  const alias: Record<string, string> = {};
  const virtualModules: Record<string, unknown> = {};
  if (!resolves(theirs, "drizzle-orm")) alias["drizzle-orm"] = packageFolder(own.resolve("drizzle-orm"), "drizzle-orm");
  if (!resolves(theirs, "pgsteward")) {
    const extension = extname(fileURLToPath(import.meta.url));
    for (const [name, folder] of Object.entries(OWN_FOLDERS))
      virtualModules[name] = await import(new URL(`../../${folder}index${extension}`, import.meta.url).href);
  }
  return { alias, virtualModules };
}

function resolves(require: NodeJS.Require, name: string): boolean {
  try {
    require.resolve(name);
    return true;
  } catch (error) {
    // Found, but without an entry for require(): an ESM-only package.
    return error instanceof Error && "code" in error && error.code === "ERR_PACKAGE_PATH_NOT_EXPORTED";
  }
}

function packageFolder(entry: string, name: string): string {
  const at = entry.lastIndexOf(join("node_modules", name));
  return entry.slice(0, at + join("node_modules", name).length);
}

function hasTsconfig(file: string): boolean {
  for (let folder = join(file, ".."); ; folder = join(folder, "..")) {
    if (existsSync(join(folder, "tsconfig.json"))) return true;
    if (existsSync(join(folder, "package.json")) || folder === join(folder, "..")) return false;
  }
}
