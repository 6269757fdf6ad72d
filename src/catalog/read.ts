// Reads the whole catalog in one snapshot with a fixed number of statements, whatever the number of tables.
import { setTimeout as sleep } from "node:timers/promises";
import {
  currentUnit,
  InternalError,
  InvalidInputError,
  isSameEngine,
  ServerError,
  type Connection,
  type Database,
  type Queryable,
  type QueryResult,
  type Statement,
} from "../postgres/index.ts";
import type { Catalog, CompositeType, Domain, Index, Table, View } from "./model.ts";
import { columns } from "./queries/columns.ts";
import { constraints } from "./queries/constraints.ts";
import { dependencies } from "./queries/dependencies.ts";
import { databaseName, extensions, schemas } from "./queries/database.ts";
import { GoneMeanwhileError, type Part, type Scope } from "./queries/family.ts";
import { functions } from "./queries/functions.ts";
import { grants } from "./queries/grants.ts";
import { indexes, indexKeys, type BareIndex, type KeysRead } from "./queries/indexes.ts";
import { otherObjects } from "./queries/other-objects.ts";
import { eventTriggers, statistics } from "./queries/others.ts";
import { relations } from "./queries/relations.ts";
import { sequences } from "./queries/sequences.ts";
import { policies, rules, triggers } from "./queries/triggers.ts";
import { types } from "./queries/types.ts";
import { databaseSettings, securityLabels, unknownObjects } from "./queries/unknown-objects.ts";

export interface ReadCatalogOptions {
  /** Only these schemas. Default: all but the system's. Extensions, event triggers and rights on the database are always read. */
  readonly schemas?: readonly string[] | undefined;
  /**
   * Also reads what extensions brought along (functions by the hundred with pgvector or PostGIS), marked with `extension`.
   * Default false: the extension itself stands for its members.
   */
  readonly includeExtensionObjects?: boolean | undefined;
  /** False leaves `dependencies` empty: a third of the time, and comparing two catalogs needs none. Default true. */
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
const VERSION_SQL = "SELECT pg_catalog.current_setting('server_version_num')::int4 AS version";

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

/** The version of a server does not change under an open database. */
const versions = new WeakMap<object, number>();

/**
 * Reads what exists, in one read-only REPEATABLE READ transaction of its own: BEGIN, then everything in one flush. On a unit
 * of work or a connection inside a transaction it reads as part of that, sees its uncommitted changes, and leaves its
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
  if (!isDatabase(db)) return readInOwnTransaction(db, db, options);
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
  connection: Queryable,
  owner: object,
  options: ReadCatalogOptions,
): Promise<Catalog> {
  // exec and not part of the batch: before a batch outside a transaction goes the statement that sets its time limit, and
  // after that one PostgreSQL no longer lets the isolation level be chosen.
  await connection.exec(BEGIN_SQL, { signal: options.signal });
  try {
    const catalog = await readParts(connection, owner, options, [applySettings()], []);
    await connection.exec("COMMIT");
    return catalog;
  } catch (error) {
    // A connection that is lost cannot roll back; the first error says more than this one.
    await connection.exec("ROLLBACK").catch(() => undefined);
    throw error;
  }
}

function readInOpenTransaction(db: Queryable, options: ReadCatalogOptions): Promise<Catalog> {
  const save = { text: SAVE_SQL, values: [NAMES] };
  const restore = { text: RESTORE_SQL, values: [NAMES] };
  return readParts(db, db, options, [save, applySettings()], [restore]);
}

function applySettings(): Statement {
  return { text: APPLY_SQL, values: [NAMES, Object.values(SETTINGS)] };
}

async function readParts(
  db: Queryable,
  owner: object,
  options: ReadCatalogOptions,
  before: readonly Statement[],
  after: readonly Statement[],
): Promise<Catalog> {
  const queryOptions = { timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS, signal: options.signal };
  const serverVersion = await readVersion(db, owner);
  const scope = {
    serverVersion,
    schemas: options.schemas,
    includeExtensionObjects: options.includeExtensionObjects ?? false,
  };
  const parts = partsOf(scope, options.includeDependencies ?? true);
  const statements = Object.values(parts).map((part) => part.statement);
  const results = await db.batch([...before, ...statements, ...after], queryOptions);
  return assemble(serverVersion, mapParts(parts, results.slice(before.length)), options.schemas);
}

async function readVersion(db: Queryable, owner: object): Promise<number> {
  const known = versions.get(owner);
  if (known !== undefined) return known;
  const { rows } = await db.query<{ version: number }>(VERSION_SQL);
  const version = rows[0]?.version ?? 0;
  if (version < OLDEST_VERSION) {
    throw new InvalidInputError(`the server's version ${Math.floor(version / 10_000)} is not supported`, {
      hint: "use PostgreSQL 14 or newer",
    });
  }
  versions.set(owner, version);
  return version;
}

const NO_DEPENDENCIES: ReturnType<typeof dependencies> = { statement: { text: "SELECT WHERE false" }, map: () => [] };

/** Every statement of a reading, in the order they are sent. */
function partsOf(scope: Scope, includeDependencies: boolean) {
  return {
    databaseName: databaseName(),
    schemas: schemas(),
    extensions: extensions(),
    relations: relations(scope),
    columns: columns(scope),
    constraints: constraints(scope),
    indexes: indexes(scope),
    indexKeys: indexKeys(scope),
    triggers: triggers(scope),
    policies: policies(scope),
    rules: rules(scope),
    functions: functions(scope),
    types: types(scope),
    sequences: sequences(scope),
    statistics: statistics(scope),
    eventTriggers: eventTriggers(scope),
    grants: grants(scope),
    others: otherObjects(scope),
    securityLabels: securityLabels(scope),
    settings: databaseSettings(),
    unknownObjects: unknownObjects(scope),
    dependencies: includeDependencies ? dependencies(scope) : NO_DEPENDENCIES,
  } satisfies Record<string, Part<unknown>>;
}

type Parts = ReturnType<typeof partsOf>;
type PartsRead = { readonly [K in keyof Parts]: Parts[K] extends Part<infer T> ? T : never };

function mapParts(parts: Parts, results: readonly QueryResult[]): PartsRead {
  const entries = Object.entries<Part<unknown>>(parts).map(([name, part], position) => {
    const result = results[position];
    if (result === undefined) throw new InternalError(`the reading has no result for ${name}`);
    return [name, part.map(result)] as const;
  });
  return Object.fromEntries(entries) as PartsRead;
}

function assemble(serverVersion: number, read: PartsRead, asked: readonly string[] | undefined): Catalog {
  checkSchemas(asked, read);
  const indexesOf = indexesByRelation(read.indexes, read.indexKeys);
  const tables: Table[] = [];
  const views: View[] = [];
  for (const relation of read.relations) {
    const { oid } = relation;
    const shared = {
      columns: read.columns.get(oid) ?? [],
      indexes: indexesOf.get(oid) ?? [],
      triggers: read.triggers.get(oid) ?? [],
      rules: read.rules.get(oid) ?? [],
    };
    if (relation.kind === "view") {
      views.push({ ...relation.view, ...shared });
    } else {
      tables.push({
        ...relation.table,
        ...shared,
        totalBytes: totalBytes(relation.table.sizeBytes, shared.indexes),
        constraints: read.constraints.ofTables.get(oid) ?? [],
        policies: read.policies.get(oid) ?? [],
      });
    }
  }
  return {
    serverVersion,
    databaseName: read.databaseName,
    schemas: asked === undefined ? read.schemas : read.schemas.filter(({ name }) => asked.includes(name)),
    tables,
    views,
    functions: read.functions,
    enums: read.types.enums,
    domains: read.types.domains.map(({ oid, domain }): Domain => ({
      ...domain,
      constraints: read.constraints.ofDomains.get(oid) ?? [],
    })),
    compositeTypes: read.types.compositeTypes.map(({ oid, type }): CompositeType => ({
      ...type,
      attributes: (read.columns.get(oid) ?? []).map(({ name, type: attributeType, collation, comment }) => ({
        name,
        type: attributeType,
        collation,
        comment,
      })),
    })),
    ranges: read.types.ranges,
    sequences: read.sequences,
    extensions: read.extensions,
    grants: read.grants,
    statistics: read.statistics,
    eventTriggers: read.eventTriggers,
    ...read.others,
    securityLabels: read.securityLabels,
    settings: read.settings,
    unknownObjects: read.unknownObjects,
    dependencies: read.dependencies,
  };
}

function checkSchemas(asked: readonly string[] | undefined, read: PartsRead): void {
  const existing = read.schemas.map(({ name }) => name);
  const missing = (asked ?? []).filter((name) => !existing.includes(name));
  if (missing.length === 0) return;
  const names = missing.map((name) => JSON.stringify(name)).join(", ");
  throw new InvalidInputError(
    `${missing.length === 1 ? "the schema" : "the schemas"} ${names} cannot be read: not in the database ${JSON.stringify(read.databaseName)}, or the system's own`,
    { hint: existing.length === 0 ? "the database has no schemas" : `it has the schemas ${existing.join(", ")}` },
  );
}

function indexesByRelation(
  bare: readonly BareIndex[],
  keysOf: ReadonlyMap<number, KeysRead>,
): ReadonlyMap<number, readonly Index[]> {
  const byRelation = new Map<number, Index[]>();
  for (const { oid, relation, index } of bare) {
    const full = { ...index, ...(keysOf.get(oid) ?? { keys: [], include: [] }) };
    const group = byRelation.get(relation);
    if (group === undefined) byRelation.set(relation, [full]);
    else group.push(full);
  }
  return byRelation;
}

function totalBytes(sizeBytes: number | undefined, ofTable: readonly Index[]): number | undefined {
  let total = sizeBytes;
  for (const index of ofTable) {
    if (total === undefined || index.sizeBytes === undefined) return undefined;
    total += index.sizeBytes;
  }
  return total;
}
