// A SQL file or folder as a database: parsed, built in a throw-away one, gone when the work is done.
import { loadSqlFiles, parseSqlFiles, readSqlFiles, requiredExtensions, type LoadedSql } from "../migrate/index.ts";
import { NoShadowError, withShadow, type Database, type ShadowOptions } from "../postgres/index.ts";
import type { CommandContext } from "./context.ts";

/** The embedded database starts fastest and is always installed; a real server is started for extensions it lacks. */
const ENGINES = ["pglite", "embedded"] as const;

/**
 * Builds the schema of `path` in a throw-away database and runs `work` on it.
 *
 * @throws InvalidSqlError with file, line and caret; InvalidInputError for a path without SQL
 */
export async function withLoadedSql<T>(
  path: string,
  context: CommandContext,
  work: (database: Database, loaded: LoadedSql) => Promise<T>,
): Promise<T> {
  const { signal } = context;
  const files = await parseSqlFiles(readSqlFiles(path));
  const loadAndWork = async (database: Database): Promise<T> => {
    const loaded = await load(database, files, signal);
    return await work(database, loaded);
  };
  const options: ShadowOptions = { engine: ENGINES, signal };
  const extensions = requiredExtensions(files);
  if (extensions.length === 0) return await withShadow(undefined, options, loadAndWork);
  try {
    return await withShadow(undefined, { ...options, extensions }, loadAndWork);
  } catch (error) {
    if (!(error instanceof NoShadowError)) throw error;
    // No engine here has all of them: what can be checked without the missing ones is checked, and the report names them.
    return await withShadow(undefined, options, loadAndWork);
  }
}

async function load(
  database: Database,
  files: Parameters<typeof loadSqlFiles>[1],
  signal: AbortSignal,
): Promise<LoadedSql> {
  await using connection = await database.connect();
  return await loadSqlFiles(connection, files, { signal }); // awaited here: the connection is given back after it
}
