// What units must know of a server before they write to it, asked once per engine, and what follows from it.
import type { Backend, DatabaseKind, Row } from "./database.ts";
import type { DatabaseOptions } from "./database-options.ts";
import type { LeasedConnection } from "./connection.ts";

export interface ServerTraits {
  readonly version: number;
  readonly isBehindPooler: boolean;
  readonly isReplica: boolean;
  /** Citus. */
  readonly isDistributed: boolean;
}

const TRAITS_SQL = `
SELECT
  pg_catalog.pg_backend_pid() AS pid,
  pg_catalog.current_setting('server_version_num')::int4 AS version,
  pg_catalog.pg_is_in_recovery() AS is_replica,
  EXISTS (SELECT FROM pg_catalog.pg_extension AS e WHERE e.extname = 'citus') AS is_distributed`;

interface TraitsRow extends Row {
  readonly pid: number;
  readonly version: number;
  readonly is_replica: boolean;
  readonly is_distributed: boolean;
}

/** PgBouncer stands between when the client was told another process id than the backend has. */
export async function readServerTraits(connection: LeasedConnection, kind: DatabaseKind): Promise<ServerTraits> {
  const { rows } = await connection.query<TraitsRow>(TRAITS_SQL);
  const told = (connection.client as unknown as { processID: number | null }).processID;
  return {
    version: rows[0]?.version ?? 0,
    isBehindPooler: kind === "server" && rows[0]?.pid !== told,
    isReplica: rows[0]?.is_replica === true,
    isDistributed: rows[0]?.is_distributed === true,
  };
}

/** @param traits - undefined as long as no connection was made: then what a plain server, or the embedded database, can do */
export function backendOf(kind: DatabaseKind, traits: ServerTraits | undefined, options: DatabaseOptions): Backend {
  // A pooler in transaction mode gives the session away after each transaction; a replica takes no LISTEN.
  const hasSession = traits?.isBehindPooler !== true;
  const wanted = options.preparedStatements ?? "auto";
  return {
    tenantSetting: traits?.isDistributed === true ? "set local" : "set_config",
    copy: kind === "server",
    listen: hasSession && traits?.isReplica !== true,
    advisoryLocks: hasSession,
    multiTenantTransactions: traits?.isDistributed !== true,
    namedStatements: wanted === "auto" ? hasSession : wanted,
    ...options.backend,
  };
}
