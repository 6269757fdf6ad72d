// A SQL file or folder as a database: parsed, built in a throw-away one, gone when the work is done.
import { withLoadedSource, type LoadedSql } from "../migrate/index.ts";
import type { Database } from "../postgres/index.ts";
import type { CommandContext } from "./context.ts";

/**
 * Builds the schema of `path` in a throw-away database and runs `work` on it.
 *
 * @throws InvalidSqlError with file, line and caret; InvalidInputError for a path without SQL
 */
export function withLoadedSql<T>(
  path: string,
  { signal }: Pick<CommandContext, "signal">,
  work: (database: Database, loaded: LoadedSql) => Promise<T>,
): Promise<T> {
  return withLoadedSource({ kind: "sql", path }, { signal }, work);
}
