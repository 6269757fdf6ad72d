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
import { surroundingsOfHasura } from "../adopt/hasura.ts";
import {
  makesSupabase,
  makeSupabase,
  needsSupabase,
  reliesOnSupabase,
  SUPABASE_EXTENSIONS,
  SUPABASE_MADE,
  SUPABASE_SEARCH_PATH,
} from "../adopt/supabase.ts";
import { emptied, offersAll } from "./emptied.ts";
import { loadSqlFiles, parseSqlFiles, requiredExtensions, type LoadedSql, type ParsedSqlFile } from "../load-sql.ts";
import { readSqlFiles, type SqlFile } from "../sql-files.ts";
import type { ModelCasing } from "./model-text.ts";
import { withoutRecords } from "./records.ts";
import { NOT_COMPARED, withoutSupabase } from "./without-supabase.ts";

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
  /** Of a database, also the schema `pgsteward` and the tables of history of migration tools. Default false. */
  readonly includeRecords?: boolean | undefined;
  readonly engine?: ShadowOptions["engine"];
  /** Leaves out statements that fail for want of an extension that no throw-away database has; the notices name each. Default false. */
  readonly skipsMissingExtensions?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The other side of a comparison stands on what Supabase makes, or this one does. */
interface BuildOptions extends ReadSourceOptions {
  readonly isOnSupabase?: boolean | undefined;
}

export interface SourceRead {
  readonly catalog: Catalog;
  /** What was left out or made up while it was built, one sentence each. */
  readonly notices: readonly string[];
  /** Who owns what was built to be read, unless the source says otherwise; `undefined` for a database. */
  readonly builder?: string | undefined;
}

/** A source made ready: what it needs, and how it is built. */
export interface PreparedSource {
  readonly extensions: readonly string[];
  /** Builds it in a database that is empty, and reads it. */
  readonly build: (database: Database, info: ShadowInfo) => Promise<SourceRead>;
}

/**
 * Reads the schema of a source.
 *
 * @throws InvalidInputError for a path that holds none, InvalidSqlError with file, line and caret, NoShadowError
 */
export async function readSource(source: Source, options: ReadSourceOptions = {}): Promise<SourceRead> {
  if (source.kind === "database") return readDatabase(source.database, options);
  const { extensions, build } = await prepare(source, options);
  return withFittingShadow(extensions, options, build);
}

/** A schema and the one that is wanted instead. */
export interface SourcesRead {
  readonly from: SourceRead;
  readonly to: SourceRead;
}

/**
 * Reads two schemas, where it can in one throw-away database, one after the other: making one costs seconds.
 *
 * @param options - without `isComplete`, models leave what they do not speak of as it is on the other side
 */
export async function readSources(
  from: Source,
  to: Source,
  options: Omit<ReadSourceOptions, "present"> & { readonly isComplete?: boolean | undefined } = {},
): Promise<SourcesRead> {
  if (from.kind === "models" && to.kind !== "models") {
    // What the models are silent about is as it is on the other side.
    const swapped = await readSources(to, from, options);
    return { from: swapped.to, to: swapped.from };
  }
  const withPresent = ({ catalog }: SourceRead): ReadSourceOptions =>
    options.isComplete === true ? options : { ...options, present: catalog };
  if (from.kind === "database" || to.kind === "database") {
    const first = await readSource(from, options);
    const second = await readSource(to, withPresent(first));
    const isOnSupabase = [from, to].some(standsOnSupabase);
    return isOnSupabase
      ? { from: withoutSupabase(first), to: withoutSupabase({ ...second, notices: [...second.notices, NOT_COMPARED] }) }
      : { from: first, to: second };
  }
  const build = { ...options, isOnSupabase: [from, to].some(standsOnSupabase) };
  const prepared = await prepare(from, build);
  const shared = await withFittingShadow(prepared.extensions, options, async (database, info) => {
    const empty = await readCatalog(database, { signal: options.signal });
    const first = await prepared.build(database, info);
    const second = await prepare(to, { ...withPresent(first), isOnSupabase: build.isOnSupabase });
    const isUsable = (await offersAll(database, second.extensions)) && (await emptied(database, empty, options.signal));
    return { first, second, read: isUsable ? await second.build(database, info) : undefined };
  });
  const { first, second, read } = shared;
  return { from: first, to: read ?? (await withFittingShadow(second.extensions, options, second.build)) };
}

async function readDatabase(database: Database, options: ReadSourceOptions): Promise<SourceRead> {
  const catalog = await readCatalog(database, { signal: options.signal });
  return { catalog: options.includeRecords === true ? catalog : withoutRecords(catalog), notices: [] };
}

async function prepare(source: Exclude<Source, { kind: "database" }>, options: BuildOptions): Promise<PreparedSource> {
  const { extensions, build } = await prepareBuild(source, options);
  return {
    extensions,
    build: async (database, info) => {
      const read = await build(database, info);
      const { rows } = await database.query<{ name: string }>("SELECT current_user::text AS name");
      return { ...read, builder: rows[0]?.name };
    },
  };
}

async function prepareBuild(
  source: Exclude<Source, { kind: "database" }>,
  options: BuildOptions,
): Promise<PreparedSource> {
  if (source.kind === "models") {
    // Loaded on use: a linter in an editor has no need of Drizzle and of a TypeScript loader.
    const { prepareModels } = await import("./read-models.ts");
    return prepareModels(source, options);
  }
  const { files, notices, standsOn } = filesOf(source);
  const isOnSupabase = standsOn || (options.isOnSupabase === true && !makesSupabase(files));
  const parsed = await parseSqlFiles(files);
  return {
    extensions: [...new Set([...requiredExtensions(parsed), ...(isOnSupabase ? SUPABASE_EXTENSIONS : [])])],
    build: async (database, info) => {
      const loaded = await load(database, info, parsed, isOnSupabase, options);
      return {
        catalog: await readCatalog(database, { signal: options.signal }),
        notices: [...notices, ...loaded.notices],
      };
    },
  };
}

export type SqlSource = Extract<Source, { readonly kind: "empty" | "sql" | "migrations" }>;

/** Builds a schema that is given as SQL in a throw-away database, and runs `work` on it. */
export async function withLoadedSource<T>(
  source: SqlSource,
  options: ReadSourceOptions,
  work: (database: Database, loaded: LoadedSql, info: ShadowInfo) => Promise<T>,
): Promise<T> {
  const { files, notices, standsOn } = filesOf(source);
  const parsed = await parseSqlFiles(files);
  return withFittingShadow(requiredExtensions(parsed), options, async (database, info) => {
    const loaded = await load(database, info, parsed, standsOn, options);
    return work(database, { ...loaded, notices: [...notices, ...loaded.notices] }, info);
  });
}

interface SourceFiles {
  readonly files: readonly SqlFile[];
  readonly notices: readonly string[];
  /** They need what Supabase has in each of its databases. */
  readonly standsOn: boolean;
}

function filesOf(source: SqlSource): SourceFiles {
  if (source.kind === "empty") return { files: [], notices: [], standsOn: false };
  if (source.kind === "sql") {
    const files = readSqlFiles(source.path);
    return { files, notices: [], standsOn: needsSupabase(files) };
  }
  const { tool, migrations, notices } = readMigrationFolder(source.path);
  const standsOn = reliesOnSupabase(migrations);
  // Plain files may lie in folders of folders; readers of SQL know those.
  if (tool === "plain") return { files: readSqlFiles(source.path), notices, standsOn };
  const onHasura = surroundingsOfHasura(migrations);
  const files = migrations.map(({ up }): SqlFile => ({ name: up.file, text: up.sql, code: up.code }));
  return {
    files: onHasura === undefined ? files : [{ name: "what Hasura makes", text: onHasura }, ...files],
    notices,
    standsOn,
  };
}

function standsOnSupabase(source: Source): boolean {
  return source.kind !== "database" && source.kind !== "models" && filesOf(source).standsOn;
}

async function load(
  database: Database,
  info: ShadowInfo,
  files: readonly ParsedSqlFile[],
  isOnSupabase: boolean,
  { signal, skipsMissingExtensions }: ReadSourceOptions,
): Promise<LoadedSql> {
  await using connection = await database.connect();
  const ownsServer = info.kind !== "scratch";
  if (isOnSupabase) await makeSupabase(connection, ownsServer);
  const searchPath = isOnSupabase ? SUPABASE_SEARCH_PATH : undefined;
  const loaded = await loadSqlFiles(connection, files, { signal, searchPath, skipsMissingExtensions, ownsServer });
  return isOnSupabase ? { ...loaded, notices: [SUPABASE_MADE, ...loaded.notices] } : loaded;
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
