// Whether a role owns nothing, bypasses nothing and may do no more than its level asks for: its attributes, memberships, objects and
// privileges, with those of every role it can act as and of PUBLIC.
import type { Catalog } from "../../catalog/index.ts";
import { identifier, InvalidInputError, printedIdentifier } from "../../postgres/index.ts";
import { attributeFindings, membershipFindings } from "./attributes.ts";
import { excessPrivileges, type Excess } from "./excess.ts";
import {
  bySeverity,
  countFindings,
  named,
  reachedThrough,
  type RoleFinding,
  type RoleReport,
  type RoleRule,
} from "./finding.ts";
import type { AccessLevel } from "./levels.ts";
import { ownedObjects } from "./owned.ts";
import { reachableRoles, type ServerRole, type ServerRoles } from "./read-roles.ts";
import { securablesOf, type Securable } from "./securables.ts";

export interface CheckRoleOptions {
  /** What the role is for. Default `writer`. */
  readonly level?: AccessLevel | undefined;
}

/**
 * Finds what a role of the application owns, bypasses and may do beyond its level, in this database. It counts what the role can reach:
 * by inheritance, by SET ROLE, and by granting a role to itself.
 *
 * @param catalog - with dependencies, all schemas
 * @throws InvalidInputError when the server has no such role
 */
export function checkRole(
  catalog: Catalog,
  server: ServerRoles,
  name: string,
  options: CheckRoleOptions = {},
): RoleReport {
  const role = server.roles.find((each) => each.name === name);
  if (role === undefined) {
    const known = server.roles.filter((each) => !each.name.startsWith("pg_")).map((each) => each.name);
    throw new InvalidInputError(`there is no role ${name} on this server`, { hint: `it has ${named(known)}` });
  }
  const securables = securablesOf(catalog);
  const findings = roleFindings(catalog, server, securables, role, options.level ?? "writer");
  return {
    role: name,
    findings: bySeverity(findings),
    counts: countFindings(findings),
    examined: {
      roles: reachableRoles(server, role).size,
      objects: securables.length,
      grants: catalog.grants.length,
    },
  };
}

/** @param isMended - privileges that are taken away anyway */
export function roleFindings(
  catalog: Catalog,
  server: ServerRoles,
  securables: readonly Securable[],
  role: ServerRole,
  level: AccessLevel,
  isMended: (excess: Excess) => boolean = () => false,
): readonly RoleFinding[] {
  const reached = reachableRoles(server, role);
  const ways = new Map([...reached, ["public", [role.name, "public"]] as const]);
  const beyond = excessPrivileges(catalog, securables, new Set(ways.keys()), level);
  return [
    ...attributeFindings(server, role, reached),
    ...membershipFindings(server, role, reached),
    ...ownerFindings(catalog, server, role, reached),
    ...excessFindings(
      role,
      ways,
      beyond.filter((each) => !isMended(each)),
    ),
    ...definerFindings(server, securables, role, ways),
  ];
}

function ownerFindings(
  catalog: Catalog,
  server: ServerRoles,
  role: ServerRole,
  reached: ReadonlyMap<string, readonly string[]>,
): readonly RoleFinding[] {
  return [...reached].flatMap(([name, via]): readonly RoleFinding[] => {
    const owned = [
      ...(server.databaseOwner === name ? [`database ${printedIdentifier(server.databaseName)}`] : []),
      ...ownedObjects(catalog, name),
    ];
    const elsewhere =
      (name === role.name ? role : server.roles.find((each) => each.name === name))?.ownsElsewhere ?? [];
    const shown = name.startsWith("pg_") ? [] : elsewhere;
    const sayOwner = (what: string): string => `${reachedThrough(via)} owns ${what}`;
    return [
      ...(owned.length === 0
        ? []
        : [
            {
              rule: "role-owns" as const,
              severity: "error" as const,
              role: role.name,
              via,
              message: `${sayOwner(named(owned))}: an owner may drop and alter it, and row security does not hold for the owner of a table without FORCE`,
              objects: owned,
              fix: {
                description:
                  "give it to the role that migrates: pgsteward migrate roles --own, or REASSIGN OWNED for all of this database at once",
                sql: undefined,
              },
            },
          ]),
      ...(shown.length === 0
        ? []
        : [
            {
              rule: "role-owns" as const,
              severity: "warning" as const,
              role: role.name,
              via,
              message: sayOwner(
                shown
                  .map(
                    ({ database, objects }) =>
                      `${objects} ${objects === 1 ? "object" : "objects"} ${database === undefined ? "of the server" : `in the database ${printedIdentifier(database)}`}`,
                  )
                  .join(", "),
              ),
              objects: [],
              fix: { description: "look at it there: pgsteward migrate roles --check --database URL", sql: undefined },
            },
          ]),
    ];
  });
}

interface RuleOf {
  readonly rule: RoleRule;
  readonly severity: RoleFinding["severity"];
  readonly why: string;
}

function ruleOf({ kind, on, privileges }: Excess): RuleOf {
  if (kind === "exposed partition")
    return { rule: "role-reads-partition", severity: "error", why: "row security of the parent does not hold there" };
  if (kind === "record")
    return { rule: "role-writes-history", severity: "warning", why: "that is what migration tools go by" };
  if (kind === "default") return { rule: "role-default-privilege", severity: "warning", why: "on what is made later" };
  if (kind === "grant option") return { rule: "role-may-grant", severity: "warning", why: "and may pass it on" };
  if (privileges.includes("CREATE")) {
    const why = on === "schema" ? "what is made there may stand before what others mean" : "and owns what it makes";
    return { rule: "role-creates", severity: "warning", why };
  }
  if (privileges.includes("TRUNCATE"))
    return { rule: "role-privilege", severity: "error", why: "row security is not asked for TRUNCATE" };
  return { rule: "role-privilege", severity: "warning", why: "more than its part needs" };
}

/** One finding for what is the same on many objects. */
function excessFindings(
  role: ServerRole,
  ways: ReadonlyMap<string, readonly string[]>,
  beyond: readonly Excess[],
): readonly RoleFinding[] {
  const groups = new Map<string, Excess[]>();
  for (const each of beyond) {
    const key = JSON.stringify([each.kind, each.on, each.grantee, each.privileges, each.isByOwner]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [each]);
    else group.push(each);
  }
  return [...groups.values()].flatMap((group): readonly RoleFinding[] => {
    const [first] = group;
    if (first === undefined) return [];
    const { rule, severity, why } = ruleOf(first);
    const via = ways.get(first.grantee) ?? [role.name];
    const objects = group.map(({ object }) => object);
    const isForeign = !first.isByOwner;
    return [
      {
        rule,
        severity,
        role: role.name,
        via,
        message: `${reachedThrough(via)} has ${first.privileges.join(", ")} on ${first.on === "default" ? "" : `${first.on} `}${named(objects)}: ${why}`,
        objects,
        fix: {
          description: isForeign
            ? `${first.grantor} granted it, who is not the owner: it is revoked by that role`
            : first.grantee === "public"
              ? "take it from everybody, and give it to those who need it"
              : "take it back",
          sql: group
            .map(({ revoke, grantor }) =>
              isForeign ? `SET ROLE ${identifier(grantor)}; ${revoke}; RESET ROLE;` : `${revoke};`,
            )
            .join("\n"),
        },
      },
    ];
  });
}

function definerFindings(
  server: ServerRoles,
  securables: readonly Securable[],
  role: ServerRole,
  ways: ReadonlyMap<string, readonly string[]>,
): readonly RoleFinding[] {
  const unbound = new Set(
    server.roles.filter((each) => each.isSuperuser || each.bypassesRowSecurity).map((each) => each.name),
  );
  const findings = new Map<string, { readonly via: readonly string[]; readonly functions: Securable[] }>();
  for (const fn of securables.filter(({ kind, nature }) => kind === "function" && nature === "definer")) {
    if (ways.has(fn.owner)) continue;
    const holder = fn.grants.find(({ grantee, privileges }) => privileges.includes("EXECUTE") && ways.has(grantee));
    if (holder === undefined) continue;
    const key = JSON.stringify([holder.grantee, fn.owner, fn.isNeeded]);
    const group = findings.get(key) ?? { via: ways.get(holder.grantee) ?? [], functions: [] };
    group.functions.push(fn);
    findings.set(key, group);
  }
  return [...findings.values()].flatMap(({ via, functions }): readonly RoleFinding[] => {
    const [first] = functions;
    if (first === undefined) return [];
    const objects = functions.map(({ name }) => name);
    const isUnbound = unbound.has(first.owner);
    const needed = first.isNeeded ? "; policies, views or conditions of tables call it" : "";
    const holder = via.at(-1) ?? role.name;
    return [
      {
        rule: "role-runs-definer",
        severity: isUnbound && !first.isNeeded ? "warning" : "info",
        role: role.name,
        via,
        message: `${reachedThrough(via)} may execute ${named(objects)} with the rights of ${first.owner}${isUnbound ? ", for whom row security does not hold" : ""}${needed}`,
        objects,
        fix: {
          description: first.isNeeded
            ? "see that it does no more than they need"
            : "let only those execute it who are meant to; what is meant for everybody is to check who asks",
          sql: first.isNeeded
            ? undefined
            : functions
                .map(
                  ({ sqlName }) =>
                    `REVOKE EXECUTE ON ROUTINE ${sqlName} FROM ${holder === "public" ? "PUBLIC" : identifier(holder)};`,
                )
                .join("\n"),
        },
      },
    ];
  });
}
