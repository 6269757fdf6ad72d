// One run: a connection of its own to a server that will do, the runner's lock, the history; and all of it given up at the end.
import {
  ConnectionLostError,
  identifier,
  InvalidInputError,
  ReadOnlyError,
  SQLSTATE,
  type Connection,
  type Database,
} from "../../postgres/index.ts";
import { ensureHistory } from "./history.ts";
import { withGrantNamed } from "./missing-grant.ts";
import { historyOf, type HistoryTable, type RunMigrationsOptions } from "./run-options.ts";
import { releaseRunnerLock, takeRunnerLock } from "./runner-lock.ts";

const OLDEST_SERVER = 140_000;

/** The server reads backslashes as the parser does that splits the files, and as the catalog prints them. */
const STANDARD_STRINGS_SQL = "SET standard_conforming_strings = on";

export interface Runner {
  readonly connection: Connection;
  readonly history: HistoryTable;
  readonly options: RunMigrationsOptions;
}

export async function withRunner<T>(
  database: Database,
  options: RunMigrationsOptions,
  work: (runner: Runner) => Promise<T>,
): Promise<T> {
  checkOptions(options);
  const history = historyOf(options);
  const connection = await database.connect({ signal: options.signal });
  try {
    await checkServer(connection);
    await checkSchema(connection, options.schema);
    const { runnerWaitMs: waitMs = 60_000, signal, onEvent } = options;
    await connection.exec(STANDARD_STRINGS_SQL);
    await takeRunnerLock(connection, history, { waitMs, signal, onEvent });
    return await withGrantNamed(connection, history, async () => {
      await ensureHistory(connection, history);
      return work({ connection, history, options });
    });
  } finally {
    await leave(connection, history);
  }
}

/** Gives up the lock and the session's settings. */
async function leave(connection: Connection, history: HistoryTable): Promise<void> {
  try {
    if (connection.transactionStatus !== "idle") await connection.exec("ROLLBACK");
    await connection.exec("RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL");
    await releaseRunnerLock(connection, history);
    // Temporary tables, prepared statements and the like of the files end with the session.
    connection.release(connection.database.kind === "server" ? new Error("used for migrations") : undefined);
  } catch (error) {
    connection.release(error instanceof Error ? error : new Error(String(error)));
    // A lost connection holds nothing any more, and its loss is told by what was running.
    if (!(error instanceof ConnectionLostError)) throw error;
  }
}

function checkOptions({ count, to }: RunMigrationsOptions): void {
  if (count !== undefined && (!Number.isSafeInteger(count) || count < 1))
    throw new InvalidInputError(`the number of migrations must be a whole number from 1, got ${count}`);
  if (count !== undefined && to !== undefined)
    throw new InvalidInputError("a number of migrations and a version to go to exclude each other", {
      hint: "give one of them",
    });
}

/** @throws InvalidInputError, ReadOnlyError when migrations cannot run on this server */
export async function checkServer(connection: Connection): Promise<void> {
  const { rows } = await connection.query<{
    number: number;
    version: string;
    is_replica: boolean;
    is_read_only: boolean;
    role: string;
  }>(
    `SELECT pg_catalog.current_setting('server_version_num')::int AS number,
       pg_catalog.current_setting('server_version') AS version, pg_catalog.pg_is_in_recovery() AS is_replica,
       pg_catalog.current_setting('default_transaction_read_only')::bool AS is_read_only, CURRENT_USER AS role`,
  );
  const { number = 0, version = "", is_replica: isReplica, is_read_only: isReadOnly, role = "" } = rows[0] ?? {};
  refuseOldServer(number, version);
  if (isReplica === true)
    throw new ReadOnlyError(
      "this server is a replica: migrations run on the primary",
      { sqlState: SQLSTATE.readOnlyTransaction },
      { hint: "give the primary's URL, or several hosts with target_session_attrs=primary" },
    );
  if (isReadOnly === true)
    throw new ReadOnlyError(
      `transactions of the role ${role} are read-only here: default_transaction_read_only is on`,
      { sqlState: SQLSTATE.readOnlyTransaction },
      {
        hint: `take a login that may write, or let this one: ALTER ROLE ${identifier(role)} SET default_transaction_read_only = off`,
      },
    );
}

/** @throws InvalidInputError below PostgreSQL 14 */
export function refuseOldServer(versionNumber: number, version: string): void {
  if (versionNumber >= OLDEST_SERVER) return;
  throw new InvalidInputError(`the server is PostgreSQL ${version}; migrations need 14 or newer`, {
    hint: "upgrade the server: https://www.postgresql.org/support/versioning/",
  });
}

async function checkSchema(connection: Connection, schema: string | undefined): Promise<void> {
  if (schema === undefined) return;
  const { rows } = await connection.query("SELECT FROM pg_catalog.pg_namespace AS n WHERE n.nspname = $1", [schema]);
  if (rows.length === 0)
    throw new InvalidInputError(`there is no schema ${schema}`, {
      hint: `make it first: CREATE SCHEMA ${identifier(schema)}`,
    });
}
