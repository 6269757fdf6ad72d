// What a role may do by itself, whatever is granted on objects: its attributes, and those of the server's own roles it is a member of.
import { identifier } from "../../postgres/index.ts";
import { reachedThrough, type RoleFinding, type RoleSeverity } from "./finding.ts";
import type { ServerRole, ServerRoles } from "./read-roles.ts";

type Attribute = "isSuperuser" | "bypassesRowSecurity" | "createsRoles" | "replicates" | "createsDatabases";

interface Power {
  readonly severity: RoleSeverity;
  readonly why: string;
}

const ATTRIBUTES: Readonly<Record<Attribute, Power & { readonly word: string }>> = {
  isSuperuser: { word: "SUPERUSER", severity: "error", why: "nothing that is granted or revoked holds for it" },
  bypassesRowSecurity: { word: "BYPASSRLS", severity: "error", why: "no policy holds for it" },
  createsRoles: { word: "CREATEROLE", severity: "error", why: "it makes roles and may be let into others" },
  replicates: { word: "REPLICATION", severity: "error", why: "it reads every row of every database of the server" },
  createsDatabases: { word: "CREATEDB", severity: "warning", why: "it makes databases, which it then owns" },
};
const NAMES: readonly Attribute[] = [
  "isSuperuser",
  "bypassesRowSecurity",
  "createsRoles",
  "replicates",
  "createsDatabases",
];

/**
 * Roles that the server has by itself.
 * @see https://www.postgresql.org/docs/18/predefined-roles.html
 */
const PREDEFINED: Readonly<Record<string, Power>> = {
  pg_write_all_data: { severity: "error", why: "it writes every table, whatever is granted" },
  pg_execute_server_program: {
    severity: "error",
    why: "it runs programs as the server does, and so becomes superuser",
  },
  pg_write_server_files: { severity: "error", why: "it writes the server's files, and so becomes superuser" },
  pg_read_server_files: { severity: "error", why: "it reads the server's files, those of the tables too" },
  pg_read_all_data: { severity: "warning", why: "it reads every table, whatever is granted" },
  pg_maintain: { severity: "warning", why: "it locks every table: VACUUM FULL, REINDEX, LOCK TABLE" },
  pg_create_subscription: { severity: "warning", why: "it lets another server write tables" },
  pg_signal_backend: { severity: "warning", why: "it ends the sessions of others" },
  pg_signal_autovacuum_worker: { severity: "warning", why: "it ends autovacuum" },
  pg_checkpoint: { severity: "warning", why: "it makes the server write everything at once" },
  pg_use_reserved_connections: {
    severity: "warning",
    why: "it takes the connections kept for those who look after it",
  },
  pg_monitor: { severity: "warning", why: "it sees the statements of all sessions, with the values in them" },
  pg_read_all_stats: { severity: "warning", why: "it sees the statements of all sessions, with the values in them" },
  pg_stat_scan_tables: { severity: "warning", why: "it runs functions that lock tables while they read them" },
  pg_read_all_settings: { severity: "info", why: "it reads every setting of the server" },
};
const UNKNOWN: Power = { severity: "warning", why: "what that role may do is up to the server" };

/** @param reached - the role and all it can act as, with the way to each */
export function attributeFindings(
  server: ServerRoles,
  role: ServerRole,
  reached: ReadonlyMap<string, readonly string[]>,
): readonly RoleFinding[] {
  return [...reached].flatMap(([name, via]) => {
    const each = name === role.name ? role : server.roles.find((known) => known.name === name);
    if (each === undefined) return [];
    // A superuser has all of them.
    const held = each.isSuperuser ? NAMES.slice(0, 1) : NAMES.filter((attribute) => each[attribute]);
    return held.map((attribute): RoleFinding => {
      const { word, severity, why } = ATTRIBUTES[attribute];
      return {
        rule: "role-attribute",
        severity,
        role: role.name,
        via,
        message: `${via.length === 1 ? name : `${holder(via)} is a member of ${name}, which`} is ${word}: ${why}`,
        objects: [],
        fix:
          via.length === 1
            ? { description: "take it away", sql: `ALTER ROLE ${identifier(name)} NO${word};` }
            : leave(via),
      };
    });
  });
}

export function membershipFindings(
  server: ServerRoles,
  role: ServerRole,
  reached: ReadonlyMap<string, readonly string[]>,
): readonly RoleFinding[] {
  const isPredefined = (name: string): boolean => name.startsWith("pg_");
  const powers = [...reached].flatMap(([name, via]): readonly RoleFinding[] => {
    // What one of them brings along is said by the first; the owner of a database is told as that.
    const isSaid = via.slice(1, -1).some(isPredefined) || name === "pg_database_owner";
    if (via.length === 1 || !isPredefined(name) || isSaid) return [];
    const { severity, why } = PREDEFINED[name] ?? UNKNOWN;
    return [
      {
        rule: "role-membership",
        severity,
        role: role.name,
        via,
        message: `${holder(via)} is a member of ${name}: ${why}`,
        objects: [],
        fix: leave(via),
      },
    ];
  });
  const passable = [...reached].flatMap(([name, via]): readonly RoleFinding[] => {
    const each = name === role.name ? role : server.roles.find((known) => known.name === name);
    const roles = (each?.memberOf ?? []).filter(({ mayGrant }) => mayGrant).map((member) => member.role);
    if (roles.length === 0 || isPredefined(name)) return [];
    return [
      {
        rule: "role-may-grant",
        severity: "warning",
        role: role.name,
        via,
        message: `${reachedThrough(via)} may make others a member of ${roles.join(", ")}`,
        objects: roles,
        fix: {
          description: "take the option away, and keep the membership where it is meant",
          sql: roles
            .map((member) => `REVOKE ADMIN OPTION FOR ${identifier(member)} FROM ${identifier(name)};`)
            .join("\n"),
        },
      },
    ];
  });
  return [...powers, ...passable];
}

/** Who is the member that the last of them is reached by. */
function holder(via: readonly string[]): string {
  return reachedThrough(via.slice(0, -1));
}

function leave(via: readonly string[]): RoleFinding["fix"] {
  const [member = "", group = ""] = via.slice(-2);
  return {
    description: "end the membership",
    sql: `REVOKE ${identifier(group)} FROM ${identifier(member)};`,
  };
}
