// Where a schema can come from: models, SQL, a folder of migrations, a database, nothing. Each becomes a catalog: it is built in a
// throw-away database and read back, so that all of them are compared in one form.
import { readCatalog, type Catalog } from "../../catalog/index.ts";
import {
  NoShadowError,
  withShadow,
  type Database,
  type ShadowInfo,
  type ShadowKind,
  type ShadowOptions,
} from "../../postgres/index.ts";
import { readMigrationFolder } from "../adopt/folder.ts";
import { loadSqlFiles, parseSqlFiles, requiredExtensions, type LoadedSql, type ParsedSqlFile } from "../load-sql.ts";
import { readSqlFiles, type SqlFile } from "../sql-files.ts";
import type { ModelCasing } from "./model-text.ts";

export type Source =
  /** A new database. */
  | { readonly kind: "empty" }
  /** A `.sql` file, or a folder of them that says how the schema is, in the order of names. */
  | { readonly kind: "sql"; readonly path: string }
  /** A folder of migrations of any tool: what they make when all have run. A folder without any is a new database. */
  | { readonly kind: "migrations"; readonly path: string }
  /** Modules that export Drizzle models, or folders of them; `.sql` files among the paths say what models cannot. */
  | { readonly kind: "models"; readonly paths: readonly string[]; readonly casing?: ModelCasing | undefined }
  /** A database as it is. */
  | { readonly kind: "database"; readonly database: Database };

export interface ReadSourceOptions {
  /** The server that the schema is for: throw-away databases are made in its version, where they can be. */
  readonly server?: Database | undefined;
  /** For models: the schema there is. What models cannot say, or do not speak of, stays as it is there. */
  readonly present?: Catalog | undefined;
  readonly engine?: ShadowOptions["engine"];
  readonly signal?: AbortSignal | undefined;
}

export interface SourceRead {
  readonly catalog: Catalog;
  /** What was left out or made up while it was built, one sentence each. */
  readonly notices: readonly string[];
}

/**
 * Reads the schema of a source.
 *
 * @throws InvalidInputError for a path that holds none, InvalidSqlError with file, line and caret, NoShadowError
 */
export async function readSource(source: Source, options: ReadSourceOptions = {}): Promise<SourceRead> {
  switch (source.kind) {
    case "database":
      return { catalog: await readCatalog(source.database, { signal: options.signal }), notices: [] };
    case "models": {
      // Loaded on use: a linter in an editor has no need of Drizzle and of a TypeScript loader.
      const { readModels } = await import("./read-models.ts");
      return readModels(source, options);
    }
    case "empty":
    case "sql":
    case "migrations":
      return withLoadedSource(source, options, async (database, { notices }) => ({
        catalog: await readCatalog(database, { signal: options.signal }),
        notices,
      }));
  }
}

export type SqlSource = Extract<Source, { readonly kind: "empty" | "sql" | "migrations" }>;

/** Builds a schema that is given as SQL in a throw-away database, and runs `work` on it. */
export async function withLoadedSource<T>(
  source: SqlSource,
  options: ReadSourceOptions,
  work: (database: Database, loaded: LoadedSql, info: ShadowInfo) => Promise<T>,
): Promise<T> {
  const { files, notices } = filesOf(source);
  const parsed = await parseSqlFiles(files);
  return withFittingShadow(requiredExtensions(parsed), options, async (database, info) => {
    const loaded = await load(database, parsed, options.signal);
    return work(database, { ...loaded, notices: [...notices, ...loaded.notices] }, info);
  });
}

function filesOf(source: SqlSource): { readonly files: readonly SqlFile[]; readonly notices: readonly string[] } {
  if (source.kind === "empty") return { files: [], notices: [] };
  if (source.kind === "sql") return { files: readSqlFiles(source.path), notices: [] };
  const { tool, migrations, notices } = readMigrationFolder(source.path);
  // Plain files may lie in folders of folders; readers of SQL know those.
  if (tool === "plain") return { files: readSqlFiles(source.path), notices };
  return { files: migrations.map(({ up }) => ({ name: up.file, text: up.sql })), notices };
}

async function load(
  database: Database,
  files: readonly ParsedSqlFile[],
  signal: AbortSignal | undefined,
): Promise<LoadedSql> {
  await using connection = await database.connect();
  return await loadSqlFiles(connection, files, { signal }); // awaited here: the connection is given back after it
}

/** The version of the embedded database in this process. */
const PGLITE_MAJOR = 18;

/**
 * A throw-away database with the wanted extensions; where no engine has all of them, one without, so that the rest can be looked
 * at: what is missing is told by whoever fills it.
 */
export async function withFittingShadow<T>(
  extensions: readonly string[],
  { engine, server, signal }: ReadSourceOptions,
  work: (database: Database, info: ShadowInfo) => Promise<T>,
): Promise<T> {
  const options: ShadowOptions = { engine: engine ?? (await enginesFor(server)), signal };
  if (extensions.length === 0) return withShadow(server, options, work);
  try {
    return await withShadow(server, { ...options, extensions }, work);
  } catch (error) {
    if (!(error instanceof NoShadowError)) throw error;
    return withShadow(server, options, work);
  }
}

/**
 * The embedded database starts fastest and is always there; a real server is started for extensions it lacks. A server of another
 * version prints definitions in its own way: then a scratch database on that server comes first.
 */
async function enginesFor(server: Database | undefined): Promise<readonly ShadowKind[]> {
  if (server === undefined) return ["pglite", "embedded"];
  const { version } = await server.serverFacts();
  const isSameMajor = Math.floor(version.number / 10_000) === PGLITE_MAJOR;
  return isSameMajor ? ["pglite", "embedded", "scratch"] : ["scratch", "embedded", "pglite"];
}
