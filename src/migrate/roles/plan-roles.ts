// Group roles with least privilege for a database: who reads, who writes, who migrates. Only what is missing is planned, and beside it stands
// what the roles have too much of.
import type { Catalog } from "../../catalog/index.ts";
import { InvalidInputError, printedIdentifier } from "../../postgres/index.ts";
import { inTransaction, type ExpandGroup, type ExpandPhase } from "../expand/change.ts";
import { withoutRecords } from "../source/records.ts";
import { roleFindings } from "./check-role.ts";
import { attributeFindings, membershipFindings } from "./attributes.ts";
import { missingDefaults } from "./default-privileges.ts";
import { excessPrivileges, type Excess } from "./excess.ts";
import { bySeverity, named, type RoleFinding } from "./finding.ts";
import {
  grantStatements,
  missingGrants,
  hasRunner,
  missingOnSchemas,
  runnerGrants,
  type MissingGrant,
  type ThereAndBack,
} from "./grants.ts";
import type { AccessLevel } from "./levels.ts";
import { ownerChanges, withOwner, type OwnerChange } from "./owned.ts";
import { newRole, reachableRoles, type ServerRole, type ServerRoles } from "./read-roles.ts";
import { createRole, dropRole } from "./role-statements.ts";
import { handedOver, securablesOf, type Securable } from "./securables.ts";

export interface RoleNames {
  readonly reader: string;
  readonly writer: string;
  readonly migrator: string;
}

export interface PlanRolesOptions {
  /** Default `app_reader`. */
  readonly reader?: string | undefined;
  /** Default `app_writer`. */
  readonly writer?: string | undefined;
  /** Who makes and alters tables: a group role, or the login that owns them already. Default `app_migrator`. */
  readonly migrator?: string | undefined;
  /** Default: all of people, without those of extensions and those in which migration tools keep what they did. */
  readonly schemas?: readonly string[] | undefined;
  /** Tables and views, `schema.name` as in the catalog, on which reader and writer are granted nothing. */
  readonly except?: readonly { readonly schema: string; readonly name: string }[] | undefined;
  /** Also takes from reader and writer what they have beyond their level. Default false: it is a finding. */
  readonly isExact?: boolean | undefined;
  /** Also gives what is in the schemas to the migrator. Default false: it is a finding. */
  readonly ownsAll?: boolean | undefined;
}

export interface RolesPlan {
  readonly roles: RoleNames;
  /** Roles that the server does not have yet. */
  readonly created: readonly string[];
  readonly schemas: readonly string[];
  /** One phase, or none when the roles have what they are to have. */
  readonly phases: readonly ExpandPhase[];
  readonly findings: readonly RoleFinding[];
  /** What a person has to know. */
  readonly notices: readonly string[];
}

const DEFAULT_NAMES: RoleNames = { reader: "app_reader", writer: "app_writer", migrator: "app_migrator" };
const LEVELS = ["reader", "writer"] as const;

/**
 * Plans a migration that makes the roles where there are none and grants what is missing: with every statement the one that takes it back.
 * A role is dropped on the way back only where the migration made it and nothing depends on it.
 *
 * @param catalog - with dependencies, all schemas
 * @throws InvalidInputError for names that cannot be those of roles, and for schemas and tables that do not exist
 */
export function planRoles(catalog: Catalog, server: ServerRoles, options: PlanRolesOptions = {}): RolesPlan {
  const roles = namesOf(options);
  const schemas = schemasOf(catalog, options.schemas);
  const all = securablesOf(catalog);
  const chosen = all.filter((each) => schemas.includes(each.schema) && each.nature !== "record");
  const created = [roles.reader, roles.writer, roles.migrator].filter(
    (name) => !server.roles.some((role) => role.name === name),
  );
  const owners = ownerChanges(catalog, new Set(schemas), roles.migrator);
  const wanted = options.ownsAll === true ? withOwner(catalog, new Set(schemas), roles.migrator) : catalog;
  const given = options.ownsAll === true ? handedOver(all, securablesOf(wanted)) : all;
  const granted = withoutExceptions(
    given.filter((each) => schemas.includes(each.schema) && each.nature !== "record"),
    options.except ?? [],
  );
  const missing = {
    reader: missingGrants(granted, "reader", roles.reader),
    writer: missingGrants(granted, "writer", roles.writer),
  };
  const revoked = revokedPrivileges(catalog, chosen, roles, schemas, options.isExact ?? false);
  const forRunner = runnerGrants(all, roles.migrator);
  const steps: readonly ThereAndBack[] = [
    ...created.map((name) => ({
      up: createRole(name, { joinsRunner: name === roles.migrator }),
      down: dropRole(name),
    })),
    ...revoked.map(({ revoke, grantAgain }) => ({ up: revoke, down: grantAgain })),
    ...grantStatements(missingOnSchemas(chosen, roles.migrator), roles.migrator),
    ...(hasRunner(all) ? forRunner : []),
    ...(options.ownsAll === true ? owners : []),
    ...LEVELS.flatMap((level) => grantStatements(missing[level], roles[level])),
    ...missingDefaults(catalog, schemas, roles.migrator, roles),
  ];
  // A database without a history gets one when the file runs: the grant goes with a file that is written anyway.
  const planned = steps.length === 0 || hasRunner(all) ? steps : [...steps, ...forRunner];
  const isRevoked = new Set(revoked.map(({ revoke }) => revoke));
  const moved = options.ownsAll === true ? owners : [];
  return {
    roles,
    created,
    schemas,
    phases:
      steps.length === 0
        ? []
        : [phaseOf(planned, roles, created, schemas, options.ownsAll === true && owners.length > 0)],
    findings: bySeverity([
      ...LEVELS.flatMap((level) => [
        ...roleFindings(wanted, server, given, roleOf(server, roles[level]), level, ({ revoke }) =>
          isRevoked.has(revoke),
        ),
      ]),
      ...migratorFindings(server, roles.migrator, options.ownsAll === true ? [] : owners),
      ...partitionDefaults(catalog, schemas, roles),
    ]),
    notices: noticesOf(roles, missing, moved, revoked),
  };
}

function namesOf(options: PlanRolesOptions): RoleNames {
  const roles: RoleNames = {
    reader: options.reader ?? DEFAULT_NAMES.reader,
    writer: options.writer ?? DEFAULT_NAMES.writer,
    migrator: options.migrator ?? DEFAULT_NAMES.migrator,
  };
  const names = Object.values(roles) as readonly string[];
  for (const name of names) {
    if (name === "" || name === "public" || name === "none" || name.startsWith("pg_"))
      throw new InvalidInputError(`${JSON.stringify(name)} cannot be the name of a role of yours`, {
        hint: "public, none and names that begin with pg_ are PostgreSQL's own",
      });
  }
  if (new Set(names).size < names.length)
    throw new InvalidInputError("reader, writer and migrator are three roles", {
      hint: "who writes must not own the tables: row security would not hold for it",
    });
  return roles;
}

function schemasOf(catalog: Catalog, wanted: readonly string[] | undefined): readonly string[] {
  const own = withoutRecords(catalog)
    .schemas.filter(({ extension }) => extension === undefined)
    .map(({ name }) => name);
  const unknown = wanted?.find((name) => !own.includes(name));
  if (unknown !== undefined)
    throw new InvalidInputError(`there is no schema ${unknown} of yours in ${catalog.databaseName}`, {
      hint: `it has ${own.join(", ")}`,
    });
  return wanted === undefined ? own : own.filter((name) => wanted.includes(name));
}

function withoutExceptions(
  securables: readonly Securable[],
  except: NonNullable<PlanRolesOptions["except"]>,
): readonly Securable[] {
  const names = new Set(except.map(({ schema, name }) => `${printedIdentifier(schema)}.${printedIdentifier(name)}`));
  const known = new Set(securables.filter(({ kind }) => kind === "table").map(({ name }) => name));
  const unknown = [...names].find((name) => !known.has(name));
  if (unknown !== undefined)
    throw new InvalidInputError(`there is no table or view ${unknown} in these schemas`, {
      hint: "give it as schema.table; names as in SQL",
    });
  return securables.filter(({ kind, name }) => kind !== "table" || !names.has(name));
}

function roleOf(server: ServerRoles, name: string): ServerRole {
  return server.roles.find((role) => role.name === name) ?? newRole(name);
}

/** What everybody may do with rows, and where everybody may make things; with `isExact` also what reader and writer have too much of. */
function revokedPrivileges(
  catalog: Catalog,
  chosen: readonly Securable[],
  roles: RoleNames,
  schemas: readonly string[],
  isExact: boolean,
): readonly Excess[] {
  const isOurs = ({ schema, on, isByOwner }: Excess): boolean =>
    isByOwner && (on === "default" ? schema === undefined || schemas.includes(schema) : schema !== undefined);
  const ofPublic = excessPrivileges(catalog, chosen, new Set(["public"]), "public").filter(
    (each) => isOurs(each) && (each.on !== "default" || each.grantor === roles.migrator),
  );
  const own = isExact
    ? LEVELS.flatMap((level) => excessPrivileges(catalog, chosen, new Set([roles[level]]), level)).filter(isOurs)
    : [];
  return [...ofPublic, ...own];
}

function migratorFindings(
  server: ServerRoles,
  migrator: string,
  owners: readonly OwnerChange[],
): readonly RoleFinding[] {
  const role = roleOf(server, migrator);
  const reached = reachableRoles(server, role);
  const owned = owners.map(({ object }) => object);
  const from = [...new Set(owners.map((each) => each.from))].sort();
  return [
    ...attributeFindings(server, role, reached),
    ...membershipFindings(server, role, reached),
    ...(owned.length === 0
      ? []
      : [
          {
            rule: "not-owned-by-migrator" as const,
            severity: "warning" as const,
            role: migrator,
            via: [migrator],
            message: `${named(owned)} ${owned.length === 1 ? "belongs" : "belong"} to ${from.join(", ")}: ${migrator} cannot alter it, and what ${from.join(", ")} makes later is granted to nobody`,
            objects: owned,
            fix: {
              description: `give it to ${migrator} with --own, or name who owns it: --migrator ${from[0] ?? ""}`,
              sql: owners.map(({ up }) => `${up};`).join("\n"),
            },
          },
        ]),
  ];
}

/** Default privileges are for partitions, too, and a parent's row security is not asked where a partition is read by its own name. */
function partitionDefaults(catalog: Catalog, schemas: readonly string[], roles: RoleNames): readonly RoleFinding[] {
  const parents = catalog.tables.filter(
    ({ kind, schema, rowSecurity }) => kind === "partitioned" && rowSecurity.enabled && schemas.includes(schema),
  );
  if (parents.length === 0) return [];
  const names = parents.map(({ schema, name }) => `${printedIdentifier(schema)}.${printedIdentifier(name)}`);
  return [
    {
      rule: "partition-defaults",
      severity: "info",
      role: roles.writer,
      via: [roles.writer],
      message: `partitions that ${roles.migrator} makes later of ${named(names)} are granted like tables, and row security of the parent does not hold for who reads them by name`,
      objects: names,
      fix: {
        description:
          "enable row security on each partition where it is made (without a policy only the way through the parent is open), or revoke there",
        sql: undefined,
      },
    },
  ];
}

function noticesOf(
  roles: RoleNames,
  missing: Readonly<Record<AccessLevel, readonly MissingGrant[]>>,
  given: readonly OwnerChange[],
  revoked: readonly Excess[],
): readonly string[] {
  const widened = LEVELS.flatMap((level) =>
    missing[level]
      .filter(({ widens }) => widens)
      .map(
        ({ securable, privileges }) =>
          `${roles[level]} has less than its level on ${securable.name} and gets ${privileges.join(", ")}: leave it as it is with --except ${securable.name}`,
      ),
  );
  const from = [...new Set(given.map((each) => each.from))].sort();
  const open = revoked.filter(({ grantee }) => grantee === "public").map(({ object }) => object);
  return [
    ...widened,
    ...from.map(
      (owner) =>
        `what ${owner} owned in these schemas belongs to ${roles.migrator} then: where the application logs in as ${owner}, it has to be a member of ${roles.writer}`,
    ),
    ...(open.length === 0
      ? []
      : [
          `everybody loses what PUBLIC has on ${named([...new Set(open)])}: other roles that need it have to be granted it`,
        ]),
  ];
}

function phaseOf(
  steps: readonly ThereAndBack[],
  { reader, writer, migrator }: RoleNames,
  created: readonly string[],
  schemas: readonly string[],
  takesLocks: boolean,
): ExpandPhase {
  const expected = [reader, writer, migrator].filter((name) => !created.includes(name));
  // A list of privileges is written without a lock on the table; a change of owner takes the strongest.
  const group = (statements: readonly string[]): readonly ExpandGroup[] =>
    takesLocks ? inTransaction(...statements) : [{ inTransaction: true, statements }];
  const line = (text: string): string => text.replaceAll(/\s+/g, " ").trim();
  return {
    phase: "roles",
    name: created.length > 0 ? "create_roles" : "grant_roles",
    why: [
      `${reader} reads, ${writer} also writes rows, ${migrator} makes and alters tables; nobody of the application owns anything.`,
      `In ${schemas.join(", ")}; what ${migrator} makes there later is granted too.`,
      "Logins are made by a person, who gives them a password, and are members of one of the roles.",
      ...(expected.length === 0 ? [] : [`Not made here, they have to be there: ${expected.join(", ")}.`]),
    ].map(line),
    up: group(steps.map(({ up }) => up)),
    down: group(steps.map(({ down }) => down).toReversed()),
    backfill: undefined,
  };
}
