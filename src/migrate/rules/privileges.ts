// GRANT and REVOKE between two lists of privileges of one object, and what a REVOKE takes along that others say.
import { privilegeStatements, type CatalogObject, type PrivilegeEntry } from "../../catalog/index.ts";
import { statement, type PlannedStatement, type RuleContext } from "./statement.ts";

/** Marks a GRANT or REVOKE. */
export function authorisation(sql: string): PlannedStatement {
  return statement(sql, [{ kind: "authorisation", why: "who may do what changes" }]);
}

type Entries = readonly PrivilegeEntry[];

/**
 * From one list to the other. What is revoked on a table is revoked on each of its columns too: columns that had it for themselves
 * and are to have it get it back.
 */
export function privilegeSteps(
  object: CatalogObject<"privileges">,
  old: Entries,
  wanted: Entries,
  { before, after }: Pick<RuleContext, "before" | "after">,
): readonly PlannedStatement[] {
  const { on, column } = object.facts;
  const steps = privilegeStatements(object.facts, old, wanted);
  const columns = column === undefined ? [...after.values()] : [];
  const again = columns.flatMap((other) => {
    const had = before.get(other.id);
    if (other.kind !== "privileges" || had?.kind !== "privileges") return [];
    if (other.facts.on !== on || other.facts.column === undefined) return [];
    const kept = inBoth(had.facts.entries, other.facts.entries);
    return privilegeStatements(other.facts, withoutRevoked(kept, old, wanted), kept);
  });
  return [...steps, ...again].map(authorisation);
}

function inBoth(some: Entries, others: Entries): Entries {
  return some.map(({ grantee, privileges, grantable }) => {
    const other = others.find((entry) => entry.grantee === grantee);
    return {
      grantee,
      privileges: privileges.filter((privilege) => other?.privileges.includes(privilege) === true),
      grantable: grantable.filter((privilege) => other?.grantable.includes(privilege) === true),
    };
  });
}

/** What is left of the list of a column when that of its table got from one state to the other. */
function withoutRevoked(ofColumn: Entries, old: Entries, wanted: Entries): Entries {
  return ofColumn.map(({ grantee, privileges, grantable }) => {
    const [had, has] = [old, wanted].map((entries) => entries.find((entry) => entry.grantee === grantee));
    const stays = (of: "privileges" | "grantable") => (privilege: string) =>
      had?.[of].includes(privilege) !== true || has?.[of].includes(privilege) === true;
    const left = privileges.filter(stays("privileges"));
    return {
      grantee,
      privileges: left,
      grantable: grantable.filter((one) => left.includes(one) && stays("grantable")(one)),
    };
  });
}
