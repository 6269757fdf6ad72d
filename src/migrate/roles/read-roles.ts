// The roles of a server: their attributes, who is a member of which, and what they own in other databases. The catalog has none of it,
// because roles belong to the whole server and not to a database.
import type { Connection, Database, Queryable } from "../../postgres/index.ts";

export interface ServerRole {
  readonly name: string;
  readonly isSuperuser: boolean;
  readonly bypassesRowSecurity: boolean;
  readonly createsRoles: boolean;
  readonly createsDatabases: boolean;
  readonly replicates: boolean;
  readonly canLogin: boolean;
  /** Roles that it is a direct member of; with or without INHERIT and SET. */
  readonly memberOf: readonly { readonly role: string; readonly mayGrant: boolean }[];
  /** What it owns outside this database; `database` is `undefined` for what belongs to the whole server, as a database does. */
  readonly ownsElsewhere: readonly { readonly database: string | undefined; readonly objects: number }[];
}

export interface ServerRoles {
  /** In the order of names. */
  readonly roles: readonly ServerRole[];
  /** Who reads, after SET ROLE. */
  readonly currentRole: string;
  readonly databaseName: string;
  readonly databaseOwner: string;
}

export interface ReadRolesOptions {
  readonly signal?: AbortSignal | undefined;
  /** Default 60_000. */
  readonly timeoutMs?: number | undefined;
}

const SERVER_SQL = `
SELECT CURRENT_USER::text AS "currentRole", d.datname::text AS "databaseName",
  pg_catalog.pg_get_userbyid(d.datdba)::text AS "databaseOwner"
FROM pg_catalog.pg_database AS d
WHERE d.datname = pg_catalog.current_database()`;

// One membership may be granted by several roles from 16 on.
const ROLES_SQL = `
SELECT r.rolname::text COLLATE "C" AS name, r.rolsuper AS "isSuperuser", r.rolbypassrls AS "bypassesRowSecurity",
  r.rolcreaterole AS "createsRoles", r.rolcreatedb AS "createsDatabases", r.rolreplication AS replicates,
  r.rolcanlogin AS "canLogin",
  coalesce(membership.roles, '[]') AS "memberOf", coalesce(owned.databases, '[]') AS "ownsElsewhere"
FROM pg_catalog.pg_roles AS r
LEFT JOIN LATERAL (
  SELECT pg_catalog.json_agg(pg_catalog.json_build_object('role', m.role, 'mayGrant', m.may_grant) ORDER BY m.role) AS roles
  FROM (
    SELECT g.rolname::text COLLATE "C" AS role, pg_catalog.bool_or(a.admin_option) AS may_grant
    FROM pg_catalog.pg_auth_members AS a
    JOIN pg_catalog.pg_roles AS g ON g.oid = a.roleid
    WHERE a.member = r.oid
    GROUP BY 1
  ) AS m
) AS membership ON true
LEFT JOIN LATERAL (
  SELECT pg_catalog.json_agg(pg_catalog.json_build_object('database', o.name, 'objects', o.objects) ORDER BY o.name) AS databases
  FROM (
    SELECT d.datname::text COLLATE "C" AS name, pg_catalog.count(*) AS objects
    FROM pg_catalog.pg_shdepend AS s
    LEFT JOIN pg_catalog.pg_database AS d ON d.oid = s.dbid
    WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
      AND s.refobjid = r.oid
      AND s.deptype = 'o'
      AND d.datname IS DISTINCT FROM pg_catalog.current_database()
      -- The database itself is told by its owner.
      AND NOT (s.dbid = 0 AND s.classid = 'pg_catalog.pg_database'::pg_catalog.regclass
        AND s.objid = (SELECT c.oid FROM pg_catalog.pg_database AS c WHERE c.datname = pg_catalog.current_database()))
    GROUP BY 1
  ) AS o
) AS owned ON true
ORDER BY 1`;

type RoleRow = Omit<ServerRole, "ownsElsewhere"> & {
  readonly ownsElsewhere: readonly { readonly database: string | null; readonly objects: number }[];
};

/** Reads the roles of a server. Needs no rights beyond connecting: `pg_roles`, memberships and dependencies are open to everybody. */
export async function readRoles(
  db: Queryable | Database | Connection,
  options: ReadRolesOptions = {},
): Promise<ServerRoles> {
  const limits = { timeoutMs: options.timeoutMs ?? 60_000, signal: options.signal };
  const { rows: servers } = await db.query<Omit<ServerRoles, "roles">>(SERVER_SQL, [], limits);
  const { rows: roles } = await db.query<RoleRow>(ROLES_SQL, [], limits);
  const { currentRole = "", databaseName = "", databaseOwner = "" } = servers[0] ?? {};
  return {
    currentRole,
    databaseName,
    databaseOwner,
    roles: roles.map((role) => ({
      ...role,
      ownsElsewhere: role.ownsElsewhere.map(({ database, objects }) => ({ database: database ?? undefined, objects })),
    })),
  };
}

/** A role as it is right after it was made: a member of nothing, owner of nothing. */
export function newRole(name: string): ServerRole {
  return {
    name,
    isSuperuser: false,
    bypassesRowSecurity: false,
    createsRoles: false,
    createsDatabases: false,
    replicates: false,
    canLogin: false,
    memberOf: [],
    ownsElsewhere: [],
  };
}

/**
 * A role and all that it can act as, each with the way there: `["agent", "app_writer"]`. Whether a membership is inherited, needs SET ROLE
 * or only lets it grant the role to itself makes no difference to what can be reached.
 */
export function reachableRoles(server: ServerRoles, role: ServerRole): ReadonlyMap<string, readonly string[]> {
  const byName = new Map(server.roles.map((each) => [each.name, each]));
  const found = new Map<string, readonly string[]>([[role.name, [role.name]]]);
  for (const [name, path] of found) {
    const parents = (name === role.name ? role : byName.get(name))?.memberOf ?? [];
    // Its only member is the owner of the database, which is written down nowhere.
    const implied = name === server.databaseOwner && byName.has("pg_database_owner") ? ["pg_database_owner"] : [];
    for (const parent of [...parents.map((each) => each.role), ...implied])
      if (!found.has(parent)) found.set(parent, [...path, parent]);
  }
  return found;
}
