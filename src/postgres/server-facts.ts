// What the server is and what it lets this login do: version, role, extensions, rights, pooler. One query.
import type { Connection, ServerFacts } from "./database.ts";
import { AuthenticationFailedError } from "./errors.ts";

// Everything here is readable by any login; `pg_roles` hides only passwords. A superuser may do what its flags do not say.
const SERVER_FACTS_SQL = `
SELECT
  pg_catalog.current_setting('server_version_num')::int AS version_number,
  pg_catalog.current_setting('server_version') AS version_text,
  pg_catalog.current_database() AS database_name,
  pg_catalog.pg_is_in_recovery() AS is_replica,
  pg_catalog.pg_backend_pid() AS backend_pid,
  r.rolname AS user_name,
  r.rolsuper AS is_superuser,
  r.rolsuper OR r.rolbypassrls AS bypasses_row_security,
  r.rolsuper OR r.rolcreatedb AS can_create_database,
  r.rolsuper OR r.rolcreaterole AS can_create_role,
  pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS can_create_schema,
  ARRAY (
    SELECT pg_catalog.json_build_object('name', e.extname, 'version', e.extversion, 'schema', n.nspname)
    FROM pg_catalog.pg_extension AS e
    JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
    ORDER BY e.extname
  ) AS extensions
FROM pg_catalog.pg_roles AS r
WHERE r.rolname = CURRENT_USER`;

interface FactsRow {
  readonly version_number: number;
  readonly version_text: string;
  readonly database_name: string;
  readonly is_replica: boolean;
  readonly backend_pid: number;
  readonly user_name: string;
  readonly is_superuser: boolean;
  readonly bypasses_row_security: boolean;
  readonly can_create_database: boolean;
  readonly can_create_role: boolean;
  readonly can_create_schema: boolean;
  readonly extensions: readonly { readonly name: string; readonly version: string; readonly schema: string }[];
}

/** Reads the facts with one query. Works for any login, on PostgreSQL 14 to 18 and on PGlite. */
export async function readServerFacts(connection: Connection): Promise<ServerFacts> {
  const { rows } = await connection.query<FactsRow>(SERVER_FACTS_SQL);
  const [row] = rows;
  if (row === undefined)
    throw new AuthenticationFailedError("the server does not know the role of this connection any more", {
      hint: "it was dropped meanwhile: log in as another one",
    });
  const { kind } = connection.database;
  return {
    // Distributions add to it: "17.11 (Debian 17.11-0+deb13u1)".
    version: { number: row.version_number, text: row.version_text.split(" ", 1)[0] ?? row.version_text },
    kind,
    databaseName: row.database_name,
    role: row.is_replica ? "replica" : "primary",
    // A pooler makes up the process id it tells its clients. PGlite has no processes.
    behindPooler: kind === "server" && row.backend_pid !== announcedProcessId(connection),
    extensions: row.extensions,
    rights: {
      user: row.user_name,
      isSuperuser: row.is_superuser,
      bypassesRowSecurity: row.bypasses_row_security,
      canCreateDatabase: row.can_create_database,
      canCreateRole: row.can_create_role,
      canCreateSchema: row.can_create_schema,
    },
  };
}

/** What the server said in BackendKeyData when the connection was made; not in the driver's types. */
function announcedProcessId(connection: Connection): number | null {
  return (connection.client as unknown as { readonly processID: number | null }).processID;
}
