// What default privileges do to objects that a plan makes: who runs it decides which of them apply, and nobody knows who that is.
import {
  builtInPrivileges,
  initialPrivileges,
  usualPrivileges,
  type CatalogObject,
  type CatalogObjects,
  type InitialPrivileges,
  type PrivilegeEntry,
} from "../catalog/index.ts";
import type { Actions } from "./plan-actions.ts";
import type { RuleContext } from "./rules/statement.ts";

/** The list of an object when it is made by this plan. Default privileges are changed last, so those of before count. */
export function privilegesWhenMade(
  object: CatalogObject<"privileges">,
  { serverVersion, before }: RuleContext,
  created: ReadonlySet<string>,
): InitialPrivileges {
  const { of } = object.facts;
  if (of === "column" || object.initialEntries !== undefined || !created.has(object.parent ?? "")) {
    const entries = initialPrivileges(object, serverVersion);
    return { certain: entries, possible: entries };
  }
  const builtIn = builtInPrivileges(of, serverVersion);
  const defaults = defaultsFor(object, before);
  const global = defaults.filter(({ facts }) => facts.schema === undefined).map(({ facts }) => facts.entries);
  const ofSchema = defaults.filter(({ facts }) => facts.schema !== undefined).map(({ facts }) => facts.entries);
  return {
    certain: global.reduce(inBoth, builtIn),
    possible: [...global, ...ofSchema].reduce(inEither, builtIn),
  };
}

/** New objects with the usual privileges, which default privileges would give others: their lists have to be set. */
export function hiddenLists(context: RuleContext, { created }: Actions): readonly CatalogObject<"privileges">[] {
  const { after, serverVersion } = context;
  if (created.size === 0) return [];
  if (![...context.before.values()].some(({ kind }) => kind === "default privileges") && !created.has("schema public"))
    return [];
  const listed = new Set(
    [...after.values()].map((object) =>
      object.kind === "privileges" && object.facts.column === undefined ? object.facts.on : undefined,
    ),
  );
  return [...created].flatMap((id) => {
    const object = after.get(id);
    const usual = object === undefined ? undefined : usualPrivileges(object, serverVersion);
    if (usual === undefined || listed.has(usual.facts.on)) return [];
    const { certain, possible } = privilegesWhenMade(usual, context, created);
    const wanted = JSON.stringify(usual.facts.entries);
    return JSON.stringify(certain) === wanted && JSON.stringify(possible) === wanted ? [] : [usual];
  });
}

function defaultsFor(
  { facts: { of }, schema }: CatalogObject<"privileges">,
  objects: CatalogObjects,
): readonly CatalogObject<"default privileges">[] {
  return [...objects.values()].filter(
    (candidate): candidate is CatalogObject<"default privileges"> =>
      candidate.kind === "default privileges" &&
      candidate.facts.of === `${of}s` &&
      [undefined, schema].includes(candidate.facts.schema),
  );
}

type Entries = readonly PrivilegeEntry[];

function inEither(some: Entries, others: Entries): Entries {
  return combined(some, others, (a, b) => [...a, ...b.filter((privilege) => !a.includes(privilege))]);
}

function inBoth(some: Entries, others: Entries): Entries {
  return combined(some, others, (a, b) => a.filter((privilege) => b.includes(privilege)));
}

type Combine = (a: readonly string[], b: readonly string[]) => readonly string[];

function combined(some: Entries, others: Entries, combine: Combine): Entries {
  const grantees = [...new Set([...some, ...others].map(({ grantee }) => grantee))].sort();
  const of = (entries: Entries, grantee: string): PrivilegeEntry =>
    entries.find((entry) => entry.grantee === grantee) ?? { grantee, privileges: [], grantable: [] };
  return grantees
    .map((grantee) => {
      const [a, b] = [of(some, grantee), of(others, grantee)];
      return {
        grantee,
        privileges: combine(a.privileges, b.privileges).toSorted(),
        grantable: combine(a.grantable, b.grantable).toSorted(),
      };
    })
    .filter(({ privileges }) => privileges.length > 0);
}
