// Roles of a throw-away database. A server of our own gets those that SQL names and does not make; on a server of others, whose roles
// are not ours to change, statements about roles are left out.
import { identifier, type Connection, type DatabaseError } from "../postgres/index.ts";
import type { Notices } from "./load-sql.ts";
import { MISSING_ROLES_SQL } from "./source/roles.ts";
import type { ScriptStatement } from "./sql-script.ts";

/** Owners and grantees are roles of the server the files come from; here they only have to exist. */
export async function createMissingRoles(
  connection: Connection,
  statements: readonly ScriptStatement[],
  notices: Notices,
): Promise<void> {
  const created = new Set(
    statements.flatMap(({ kind, node, text }) => {
      if (kind === "CreateRoleStmt") return [String(node["role"])];
      if (kind !== "DoStmt") return [];
      return [...text.matchAll(/\bcreate\s+(?:role|user)\s+(?:"([^"]+)"|(\w+))/gi)].map(
        ([, quoted, plain = ""]) => quoted ?? plain.toLowerCase(),
      );
    }),
  );
  const mentioned = new Set(statements.flatMap(({ kind, node }) => rolesIn(kind, node)));
  const wanted = [...mentioned].filter((name) => !created.has(name) && !name.startsWith("pg_"));
  if (wanted.length === 0) return;
  const { rows } = await connection.query<{ name: string }>(MISSING_ROLES_SQL, [wanted]);
  // A role that SQL takes on has rights that were given elsewhere, as a rule those of an owner.
  const taken = new Set(statements.flatMap(({ kind, node }) => roleTaken(kind, node) ?? []));
  for (const { name } of rows)
    await connection.exec(`CREATE ROLE ${identifier(name)} NOLOGIN${taken.has(name) ? " SUPERUSER" : ""}`);
  if (rows.length > 0) notices.add(`roles made for the check: ${rows.map((row) => row.name).join(", ")}`);
}

function rolesIn(kind: string, node: ScriptStatement["node"]): readonly string[] {
  if (kind !== "VariableSetStmt") return roleSpecsIn(node);
  const role = roleTaken(kind, node);
  return role === undefined ? [] : [role];
}

/** The role of SET ROLE and of SET SESSION AUTHORIZATION. */
function roleTaken(kind: string, { name, args }: ScriptStatement["node"]): string | undefined {
  if (kind !== "VariableSetStmt" || (name !== "role" && name !== "session_authorization")) return undefined;
  const role = stringIn(args);
  return role === "none" ? undefined : role;
}

function roleSpecsIn(node: unknown): string[] {
  if (Array.isArray(node)) return node.flatMap(roleSpecsIn);
  if (typeof node !== "object" || node === null) return [];
  if ("roletype" in node)
    return node.roletype === "ROLESPEC_CSTRING" && "rolename" in node ? [String(node.rolename)] : [];
  return Object.values(node).flatMap(roleSpecsIn);
}

/** The first string in a parse node. */
export function stringIn(node: unknown): string | undefined {
  if (Array.isArray(node)) return node.map(stringIn).find((found) => found !== undefined);
  if (typeof node !== "object" || node === null) return undefined;
  if ("sval" in node && typeof node.sval === "string") return node.sval;
  return Object.values(node)
    .map(stringIn)
    .find((found) => found !== undefined);
}

/** Statements about the roles of a whole server. */
const ROLE_STATEMENTS: ReadonlySet<string> = new Set([
  "CreateRoleStmt",
  "AlterRoleStmt",
  "AlterRoleSetStmt",
  "DropRoleStmt",
  "GrantRoleStmt",
  "DropOwnedStmt",
  "ReassignOwnedStmt",
]);

/** A block that makes a role where there is none would leave it to the server. */
function isBlockAboutRoles({ kind, text }: ScriptStatement): boolean {
  return kind === "DoStmt" && /\b(?:create|alter|drop)\s+(?:role|user|group)\s+(?!mapping\b)/i.test(text);
}

/** Statements that name roles. */
const NAMES_ROLES: ReadonlySet<string> = new Set([
  ...ROLE_STATEMENTS,
  "AlterDefaultPrivilegesStmt",
  "AlterOwnerStmt",
  "AlterTableStmt",
  "CreatePolicyStmt",
  "CreateSchemaStmt",
  "GrantStmt",
]);
const NO_ROLE =
  "a role has to be made on this server first, or --database left out: a server of its own makes those that are named";

/** Why a statement about roles is not run on a server of others. */
export function reasonToSkipRoles(statement: ScriptStatement): string | undefined {
  const isAboutRoles = ROLE_STATEMENTS.has(statement.kind) || isBlockAboutRoles(statement);
  return isAboutRoles ? "statements about roles were not run: roles belong to the whole server" : undefined;
}

/** The way out where such a server lacks a role; on one of our own those that the SQL names are made. */
export function hintOnRole({ sqlState, message }: DatabaseError, { kind }: ScriptStatement): string | undefined {
  return sqlState === "42704" && message.includes('role "') && NAMES_ROLES.has(kind) ? NO_ROLE : undefined;
}
