// GRANT, REVOKE and ALTER DEFAULT PRIVILEGES: the statements between two lists of privileges.
import { identifier } from "../postgres/index.ts";
import type { CatalogObject, FactsOfKind, PrivilegeEntry } from "./object-facts.ts";
import { builtInPrivileges, OWNER, publicSchemaPrivileges } from "./privileges.ts";

/** What holds for an object before its list is set: who has what for sure, and who may have what. */
export interface InitialPrivileges {
  readonly certain: readonly PrivilegeEntry[];
  readonly possible: readonly PrivilegeEntry[];
}

/**
 * Statements that turn one list of privileges into another.
 *
 * @param possible - what may hold before: it is taken away where `after` does not have it. Default: `before`
 */
export function privilegeStatements(
  facts: FactsOfKind["privileges"],
  before: readonly PrivilegeEntry[],
  after: readonly PrivilegeEntry[],
  possible: readonly PrivilegeEntry[] = before,
): readonly string[] {
  const columns = facts.column === undefined ? "" : ` (${identifier(facts.column)})`;
  const list = (privileges: readonly string[]): string =>
    privileges.map((privilege) => `${privilege}${columns}`).join(", ");
  return changesOf(before, after, possible).flatMap(({ grantee, revoked, granted, grantable, unGrantable }) => [
    ...(revoked.length === 0 ? [] : [`REVOKE ${list(revoked)} ON ${facts.on} FROM ${role(grantee)}`]),
    ...(unGrantable.length === 0
      ? []
      : [`REVOKE GRANT OPTION FOR ${list(unGrantable)} ON ${facts.on} FROM ${role(grantee)}`]),
    ...(granted.length === 0 ? [] : [`GRANT ${list(granted)} ON ${facts.on} TO ${role(grantee)}`]),
    ...(grantable.length === 0
      ? []
      : [`GRANT ${list(grantable)} ON ${facts.on} TO ${role(grantee)} WITH GRANT OPTION`]),
  ]);
}

/** The same for default privileges. */
export function defaultPrivilegeStatements(
  facts: FactsOfKind["default privileges"],
  before: readonly PrivilegeEntry[],
  after: readonly PrivilegeEntry[],
): readonly string[] {
  const inSchema = facts.schema === undefined ? "" : ` IN SCHEMA ${identifier(facts.schema)}`;
  const start = `ALTER DEFAULT PRIVILEGES FOR ROLE ${identifier(facts.role)}${inSchema}`;
  const on = facts.of.toUpperCase();
  const who = (grantee: string): string => (grantee === OWNER ? identifier(facts.role) : role(grantee));
  return changesOf(before, after).flatMap(({ grantee, revoked, granted, grantable, unGrantable }) => [
    ...(revoked.length === 0 ? [] : [`${start} REVOKE ${revoked.join(", ")} ON ${on} FROM ${who(grantee)}`]),
    ...(unGrantable.length === 0
      ? []
      : [`${start} REVOKE GRANT OPTION FOR ${unGrantable.join(", ")} ON ${on} FROM ${who(grantee)}`]),
    ...(granted.length === 0 ? [] : [`${start} GRANT ${granted.join(", ")} ON ${on} TO ${who(grantee)}`]),
    ...(grantable.length === 0
      ? []
      : [`${start} GRANT ${grantable.join(", ")} ON ${on} TO ${who(grantee)} WITH GRANT OPTION`]),
  ]);
}

const DEFAULTS_OF: Readonly<Record<string, "table" | "sequence" | "function" | "type" | "schema">> = {
  tables: "table",
  sequences: "sequence",
  functions: "function",
  types: "type",
  schemas: "schema",
};

/** What default privileges hold before anybody alters them: for all schemas PostgreSQL's own, within one schema nothing. */
export function initialDefaults(
  facts: FactsOfKind["default privileges"],
  serverVersion: number,
): readonly PrivilegeEntry[] {
  if (facts.schema === undefined && facts.of === "large objects")
    return [{ grantee: OWNER, privileges: ["SELECT", "UPDATE"], grantable: [] }];
  const of = DEFAULTS_OF[facts.of];
  return facts.schema !== undefined || of === undefined ? [] : builtInPrivileges(of, serverVersion);
}

/** What a list of privileges is where nothing was granted or revoked. */
export function initialPrivileges(
  object: CatalogObject<"privileges">,
  serverVersion: number,
): readonly PrivilegeEntry[] {
  const { of, on } = object.facts;
  if (object.initialEntries !== undefined) return object.initialEntries;
  return of === "schema" && on === 'SCHEMA "public"'
    ? publicSchemaPrivileges(serverVersion)
    : builtInPrivileges(of, serverVersion);
}

function role(grantee: string): string {
  if (grantee === OWNER) return "CURRENT_USER";
  return grantee === "public" ? "PUBLIC" : identifier(grantee);
}

interface EntryChange {
  readonly grantee: string;
  readonly revoked: readonly string[];
  readonly granted: readonly string[];
  readonly grantable: readonly string[];
  readonly unGrantable: readonly string[];
}

const NOTHING: Omit<PrivilegeEntry, "grantee"> = { privileges: [], grantable: [] };

function changesOf(
  before: readonly PrivilegeEntry[],
  after: readonly PrivilegeEntry[],
  possible: readonly PrivilegeEntry[] = before,
): readonly EntryChange[] {
  const grantees = [...new Set([...before, ...possible, ...after].map(({ grantee }) => grantee))];
  return grantees.map((grantee) => {
    const old = before.find((entry) => entry.grantee === grantee) ?? NOTHING;
    const most = possible.find((entry) => entry.grantee === grantee) ?? NOTHING;
    const wanted = after.find((entry) => entry.grantee === grantee) ?? NOTHING;
    const grantable = wanted.grantable.filter((privilege) => !old.grantable.includes(privilege));
    return {
      grantee,
      revoked: most.privileges.filter((privilege) => !wanted.privileges.includes(privilege)),
      unGrantable: most.grantable.filter(
        (privilege) => wanted.privileges.includes(privilege) && !wanted.grantable.includes(privilege),
      ),
      granted: wanted.privileges.filter(
        (privilege) => !old.privileges.includes(privilege) && !grantable.includes(privilege),
      ),
      grantable,
    };
  });
}
