// A SQL file or folder as a database: parsed, built in a throw-away one, gone when the work is done.
import { openDatabase, type Database } from "../postgres/index.ts";
import { loadSqlFiles, parseSqlFiles, readSqlFiles, requiredExtensions, type LoadedSql } from "../migrate/index.ts";
import type { CommandContext } from "./context.ts";

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
  const files = await parseSqlFiles(readSqlFiles(path));
  void requiredExtensions(files);
  context.signal.throwIfAborted();
  await using database = await openDatabase("pglite:");
  const loaded = await load(database, files, context.signal);
  return await work(database, loaded); // awaited here: the database must outlive the work
}

async function load(
  database: Database,
  files: Parameters<typeof loadSqlFiles>[1],
  signal: AbortSignal,
): Promise<LoadedSql> {
  await using connection = await database.connect();
  return await loadSqlFiles(connection, files, { signal });
}
