// Reads the whole catalog in one snapshot with a fixed number of statements, whatever the number of tables.
import { setTimeout as sleep } from "node:timers/promises";
import {
  currentUnit,
  InvalidInputError,
  isSameEngine,
  ServerError,
  type Connection,
  type Database,
  type Queryable,
  type QueryOptions,
  type QueryResult,
  type Statement,
} from "../postgres/index.ts";
import type { Catalog } from "./model.ts";
import { GoneMeanwhileError } from "./queries/family.ts";
import { batchOnTwo, hasFreeConnection } from "./read-beside.ts";
import { assemble, FIRST_BESIDE, partsOf } from "./read-parts.ts";

export interface ReadCatalogOptions {
  /** Only these schemas. Default: all but the system's. Extensions, event triggers and rights on the database are always read. */
  readonly schemas?: readonly string[] | undefined;
  /**
   * Also reads what extensions brought along (functions by the hundred with pgvector or PostGIS), marked with `extension`.
   * Default false: the extension itself stands for its members.
   */
  readonly includeExtensionObjects?: boolean | undefined;
  /** False leaves `dependencies` empty, which saves some of the time; comparing two catalogs needs none. Default true. */
  readonly includeDependencies?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Limit of the reading in milliseconds; definitions of views wait for whoever alters their tables. Default 60_000. */
  readonly timeoutMs?: number | undefined;
}

const DEFAULT_TIMEOUT_MS = 60_000;
/** Oldest supported server. */
const OLDEST_VERSION = 140000;
/** Readings before a catalog that changes all the time is given up, and the pause after the first; each later one is longer. */
const ATTEMPTS = 6;
const PAUSE_MS = 50;

const BEGIN_SQL = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/** A second connection pays from about 300 tables on; opening it takes as long as reading a small catalog. */
const LARGE_CATALOG_BYTES = 700_000;
const VERSION_SQL = `
SELECT pg_catalog.current_setting('server_version_num')::int4 AS version,
  pg_catalog.pg_relation_size('pg_catalog.pg_class')::float8 AS "catalogBytes"`;

// Definitions print the same whoever asks: an empty search_path qualifies every name, the others decide how constants look
// (bounds of partitions, defaults). JIT compiles the longer statements here for many times what it saves.
const SETTINGS: Readonly<Record<string, string>> = {
  search_path: "",
  TimeZone: "UTC",
  DateStyle: "ISO, MDY",
  IntervalStyle: "postgres",
  extra_float_digits: "1",
  bytea_output: "hex",
  quote_all_identifiers: "off",
  standard_conforming_strings: "on",
  jit: "off",
};
const NAMES = Object.keys(SETTINGS);
const APPLY_SQL = `
SELECT pg_catalog.set_config(s.name, s.value, true)
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS s (name, value)`;
const SAVE_SQL = `
SELECT pg_catalog.set_config(pg_catalog.concat('pgsteward_saved.', s.name), pg_catalog.current_setting(s.name), true)
FROM pg_catalog.unnest($1::text[]) AS s (name)`;
const RESTORE_SQL = `
SELECT pg_catalog.set_config(s.name, pg_catalog.current_setting(pg_catalog.concat('pgsteward_saved.', s.name)), true)
FROM pg_catalog.unnest($1::text[]) AS s (name)`;

interface ServerRead {
  readonly version: number;
  readonly isLarge: boolean;
}

/** The version of a server does not change under an open database; whether its catalog is large is only a guess. */
const servers = new WeakMap<object, ServerRead>();

/**
 * Reads what exists, in one read-only REPEATABLE READ transaction of its own: BEGIN, then everything in one flush. A large catalog
 * is read on two connections in one snapshot when `db` is a database that has a second one free. On a unit of work or a connection inside a transaction it reads as part of that, sees its uncommitted changes, and leaves its
 * settings as they were; one snapshot is then up to the isolation level of that transaction.
 *
 * Needs no rights beyond connecting. What a login may not see (last value of a sequence) is `undefined`.
 *
 * @throws InvalidInputError for a schema that does not exist or is the system's (the hint lists those that exist), and for a
 *   server older than PostgreSQL 14
 * @throws StatementTimeoutError when `timeoutMs` passes, CancelledError when `signal` fires
 */
export async function readCatalog(
  db: Queryable | Database | Connection,
  options: ReadCatalogOptions = {},
): Promise<Catalog> {
  // The functions that print definitions look at the newest catalog, not at the snapshot: when something is dropped while we
  // read, they fail with an internal error or print nothing. Reading again is what helps.
  for (let attempt = 1; ; attempt++) {
    try {
      return await readOnce(db, options);
    } catch (error) {
      const isMovingTarget =
        error instanceof GoneMeanwhileError || (error instanceof ServerError && error.sqlState === "XX000");
      if (!isMovingTarget || attempt === ATTEMPTS || !ownsTransaction(db)) throw error;
      await sleep(attempt * PAUSE_MS);
    }
  }
}

async function readOnce(db: Queryable | Database | Connection, options: ReadCatalogOptions): Promise<Catalog> {
  if (!ownsTransaction(db)) return readInOpenTransaction(db, options);
  if (!isDatabase(db)) return readInOwnTransaction(db, undefined, options);
  await using connection = await db.connect({ signal: options.signal });
  return await readInOwnTransaction(connection, db, options);
}

/** Whether nobody's transaction is open on `db`, so that the reading can have its own. */
function ownsTransaction(db: Queryable | Database | Connection): db is Database | Connection {
  if (isDatabase(db)) {
    const unit = currentUnit();
    return unit === undefined || (unit.database !== db && !isSameEngine(unit.database, db));
  }
  return "transactionStatus" in db && db.transactionStatus === "idle";
}

function isDatabase(db: Queryable | Database | Connection): db is Database {
  return "connect" in db;
}

async function readInOwnTransaction(
  connection: Connection,
  database: Database | undefined,
  options: ReadCatalogOptions,
): Promise<Catalog> {
  // exec and not part of the batch: before a batch outside a transaction goes the statement that sets its time limit, and
  // after that one PostgreSQL no longer lets the isolation level be chosen.
  await connection.exec(BEGIN_SQL, { signal: options.signal });
  try {
    const server = await readServer(connection, database ?? connection);
    const catalog = await readParts(server.version, options, (statements, besides, queryOptions) =>
      database !== undefined && server.isLarge && hasFreeConnection(database)
        ? batchOnTwo(
            { connection, database, beginSql: BEGIN_SQL, settings: applySettings() },
            statements,
            besides,
            queryOptions,
          )
        : batchBetween(connection, [applySettings()], [...statements, ...besides], [], queryOptions),
    );
    await connection.exec("COMMIT");
    return catalog;
  } catch (error) {
    // A connection that is lost cannot roll back; the first error says more than this one.
    await connection.exec("ROLLBACK").catch(() => undefined);
    throw error;
  }
}

async function readInOpenTransaction(db: Queryable, options: ReadCatalogOptions): Promise<Catalog> {
  const save = { text: SAVE_SQL, values: [NAMES] };
  const restore = { text: RESTORE_SQL, values: [NAMES] };
  const { version } = await readServer(db, db);
  return readParts(version, options, (statements, besides, queryOptions) =>
    batchBetween(db, [save, applySettings()], [...statements, ...besides], [restore], queryOptions),
  );
}

function applySettings(): Statement {
  return { text: APPLY_SQL, values: [NAMES, Object.values(SETTINGS)] };
}

async function batchBetween(
  db: Queryable,
  before: readonly Statement[],
  statements: readonly Statement[],
  after: readonly Statement[],
  options: QueryOptions,
): Promise<readonly QueryResult[]> {
  const results = await db.batch([...before, ...statements, ...after], options);
  return results.slice(before.length, before.length + statements.length);
}

/** @param run - gives the results of the statements, then those of `besides`, which may run at the same time */
async function readParts(
  serverVersion: number,
  options: ReadCatalogOptions,
  run: (
    statements: readonly Statement[],
    besides: readonly Statement[],
    options: QueryOptions,
  ) => Promise<readonly QueryResult[]>,
): Promise<Catalog> {
  const scope = {
    serverVersion,
    schemas: options.schemas,
    includeExtensionObjects: options.includeExtensionObjects ?? false,
  };
  const parts = partsOf(scope, options.includeDependencies ?? true);
  const statements = Object.values(parts).map((part) => part.statement);
  const results = await run(statements.slice(0, FIRST_BESIDE), statements.slice(FIRST_BESIDE), {
    timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    signal: options.signal,
  });
  return assemble(serverVersion, parts, results, options.schemas);
}

async function readServer(db: Queryable, owner: object): Promise<ServerRead> {
  const known = servers.get(owner);
  if (known !== undefined) return known;
  const { rows } = await db.query<{ version: number; catalogBytes: number }>(VERSION_SQL);
  const { version = 0, catalogBytes = 0 } = rows[0] ?? {};
  if (version < OLDEST_VERSION) {
    throw new InvalidInputError(`the server's version ${Math.floor(version / 10_000)} is not supported`, {
      hint: "use PostgreSQL 14 or newer",
    });
  }
  const server = { version, isLarge: catalogBytes >= LARGE_CATALOG_BYTES };
  servers.set(owner, server);
  return server;
}
