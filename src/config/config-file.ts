// Finds and loads pgsteward.config.*: TypeScript and JavaScript through jiti, JSON as it is.
import { existsSync, readFileSync } from "node:fs";
import { basename, extname, join, resolve } from "node:path";
import { createJiti } from "jiti";
import { configFileShape, type ConfigFile } from "./shape.ts";
import { faultsOf, type Fault } from "./fault.ts";

export const CONFIG_FILE_NAMES = ["ts", "mts", "js", "mjs", "json"].map((extension) => `pgsteward.config.${extension}`);

export interface LoadedConfigFile {
  /** Absolute path; `undefined` when there is no configuration file. */
  readonly path: string | undefined;
  readonly content: ConfigFile;
  readonly faults: readonly Fault[];
}

/** Loads the named file, or the one in `cwd`. Two files in one folder are a fault: which of them counts would be a guess. */
export async function loadConfigFile(cwd: string, named: string | undefined): Promise<LoadedConfigFile> {
  const fail = (path: string | undefined, source: string, message: string): LoadedConfigFile => ({
    path,
    content: {},
    faults: [{ source, key: "", message }],
  });

  let path: string | undefined;
  if (named !== undefined) {
    path = resolve(cwd, named);
    if (!existsSync(path)) return fail(path, named, "the file does not exist");
    if (!CONFIG_FILE_NAMES.some((name) => extname(name) === extname(named))) {
      return fail(path, named, "a configuration file ends in .ts, .mts, .js, .mjs or .json");
    }
  } else {
    const present = CONFIG_FILE_NAMES.filter((name) => existsSync(join(cwd, name)));
    const [first, ...others] = present;
    if (first === undefined) return { path: undefined, content: {}, faults: [] };
    if (others.length > 0)
      return fail(undefined, present.join(" and "), "there is more than one configuration file here: keep one");
    path = join(cwd, first);
  }

  const source = named ?? basename(path);
  let value: unknown;
  try {
    value =
      extname(path) === ".json"
        ? JSON.parse(readFileSync(path, "utf8").replace(/^\uFEFF/, ""))
        : await importDefault(path);
  } catch (error) {
    return fail(path, source, `cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (value === undefined || typeof value === "function") {
    return fail(
      path,
      source,
      "must export the configuration object as its default: export default defineConfig({ … })",
    );
  }
  const parsed = configFileShape.safeParse(value);
  if (parsed.success) return { path, content: parsed.data, faults: [] };
  // `check` is still handed on, so that its faults can be told together with the others.
  const check: unknown = typeof value === "object" && value !== null && "check" in value ? value.check : undefined;
  return { path, content: { check }, faults: faultsOf(source, parsed.error, configFileShape) };
}

async function importDefault(path: string): Promise<unknown> {
  // No cache on disk and none in memory: a long-lived process that reads its settings again must see the file as it is.
  const jiti = createJiti(import.meta.url, { fsCache: false, moduleCache: false });
  const module: unknown = await jiti.import(path);
  return typeof module === "object" && module !== null && "default" in module ? module.default : undefined;
}
