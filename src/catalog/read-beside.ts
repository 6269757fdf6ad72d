// A second connection that reads in the snapshot of the first: half of the time for a large catalog, most of which the server
// spends on printing definitions, one processor for each connection.
import {
  literal,
  type Connection,
  type Database,
  type QueryOptions,
  type QueryResult,
  type Statement,
} from "../postgres/index.ts";

/** Nobody waits long for what only saves time. */
const ACQUIRE_LIMIT_MS = 1_000;
const EXPORT_SQL = "SELECT pg_catalog.pg_export_snapshot() AS snapshot";

/** Whether a connection is free now. A reader that waited for its second one might wait for another that does the same. */
export function hasFreeConnection(database: Database): boolean {
  if (database.kind === "pglite") return false;
  const { idle, total, size, waiting } = database.poolFigures();
  return waiting === 0 && (idle > 0 || total < size);
}

/**
 * Runs `statements` on `connection`, in whose transaction nothing was read yet, and `besides` on a second one; on the first as well
 * where no second one is to be had.
 *
 * @param beginSql - begins a transaction like the one that `connection` is in
 * @param settings - goes before both
 * @returns the results of `statements`, then those of `besides`
 */
export async function batchOnTwo(
  {
    connection,
    database,
    beginSql,
    settings,
  }: {
    readonly connection: Connection;
    readonly database: Database;
    readonly beginSql: string;
    readonly settings: Statement;
  },
  statements: readonly Statement[],
  besides: readonly Statement[],
  options: QueryOptions,
): Promise<readonly QueryResult[]> {
  const { rows } = await connection.query<{ snapshot: string }>(EXPORT_SQL, [], options);
  const failed = new AbortController();
  const signal = AbortSignal.any([failed.signal, ...(options.signal === undefined ? [] : [options.signal])]);
  const stopOther = (error: unknown): never => {
    failed.abort(error);
    throw error;
  };
  const beginBeside = `${beginSql}; SET TRANSACTION SNAPSHOT ${literal(rows[0]?.snapshot ?? "")}`;
  const beside = async (): Promise<readonly QueryResult[] | undefined> => {
    await using second = await begin(database, beginBeside, signal);
    if (second === undefined) return undefined;
    const results = await second.batch([settings, ...besides], { ...options, signal });
    await second.exec("COMMIT");
    return results.slice(1);
  };
  const both = await Promise.allSettled([
    connection.batch([settings, ...statements], { ...options, signal }).catch(stopOther),
    beside().catch(stopOther),
  ]);
  // The one that failed first is the reason of the signal that stopped the other.
  failed.signal.throwIfAborted();
  const [first, second] = both.map((outcome) => (outcome.status === "fulfilled" ? outcome.value : undefined));
  return [...(first ?? []).slice(1), ...(second ?? (await connection.batch(besides, options)))];
}

/** `undefined` without a free connection, and where it leads to another server than the first one. */
async function begin(database: Database, beginSql: string, signal: AbortSignal): Promise<Connection | undefined> {
  const connection = await database
    .connect({ besideUnit: true, timeoutMs: ACQUIRE_LIMIT_MS, signal })
    .catch(() => undefined);
  if (connection === undefined) return undefined;
  try {
    await connection.exec(beginSql, { signal });
    return connection;
  } catch {
    connection.release();
    return undefined;
  }
}
