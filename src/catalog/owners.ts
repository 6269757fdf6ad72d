// Owners as objects. They are compared only when that is asked for: a copy of a schema belongs to whoever made it.
import { identifier } from "../postgres/index.ts";
import type { Catalog } from "./model.ts";
import type { CatalogObject, ObjectKind } from "./object-facts.ts";
import { objectId, qualified } from "./object-id.ts";
import { catalogObjects, type CatalogObjects } from "./objects.ts";
import { routineArguments } from "./spelling.ts";

export interface OwnerOptions {
  /** Who built the wanted schema, where it was built to be read: what belongs to that role says nothing of who is to own it. */
  readonly builder?: string | undefined;
}

export interface ObjectsToCompare {
  readonly before: CatalogObjects;
  readonly after: CatalogObjects;
}

/**
 * The objects of two catalogs, and with them the objects `owner` of what is to belong to somebody in the second. Operators, their
 * classes and families, and extensions are left out, and sequences of columns, which belong to whoever owns the table.
 */
export function withOwners(before: Catalog, after: Catalog, options: OwnerOptions): ObjectsToCompare {
  const objects: ObjectsToCompare = { before: catalogObjects(before), after: catalogObjects(after) };
  const old = ownerObjects(before, objects.before);
  const wanted = ownerObjects(after, objects.after);
  const compared = [...wanted.values()].filter(({ facts }) => facts.role !== options.builder);
  const add = (to: CatalogObjects, owners: readonly (Owner | undefined)[]): CatalogObjects =>
    new Map([...to, ...owners.flatMap((owner) => (owner === undefined ? [] : [[owner.id, owner] as const]))]);
  return {
    before: add(
      objects.before,
      compared.map(({ id }) => old.get(id)),
    ),
    after: add(objects.after, compared),
  };
}

type Owner = CatalogObject<"owner">;

function ownerObjects(catalog: Catalog, objects: CatalogObjects): ReadonlyMap<string, Owner> {
  const owners = new Map<string, Owner>();
  const add = (kind: ObjectKind, named: Named, on: string, part?: string): void => {
    const parent = objects.get(objectId(kind, named.schema, named.name, part));
    if (parent === undefined) return;
    const owner: Owner = {
      kind: "owner",
      id: `owner ${parent.id}`,
      schema: parent.schema,
      name: parent.name,
      part: parent.part,
      facts: { on, role: named.owner },
      parent: parent.id,
      needs: [parent.id],
      inheritedFrom: undefined,
      notNullName: undefined,
    };
    owners.set(owner.id, owner);
  };
  const addAll = (kind: ObjectKind, word: string, found: readonly Named[]): void => {
    for (const named of found)
      add(
        kind,
        named,
        `${word} ${named.schema === undefined ? identifier(named.name) : identifier(named.schema, named.name)}`,
      );
  };
  addAll("schema", "SCHEMA", catalog.schemas);
  for (const table of catalog.tables)
    add("table", table, `${table.kind === "foreign" ? "FOREIGN TABLE" : "TABLE"} ${qualified(table)}`);
  for (const view of catalog.views)
    add("view", view, `${view.kind === "view" ? "VIEW" : "MATERIALIZED VIEW"} ${qualified(view)}`);
  addAll(
    "sequence",
    "SEQUENCE",
    catalog.sequences.filter(({ ownedBy }) => ownedBy === undefined),
  );
  for (const fn of catalog.functions)
    add("function", fn, `ROUTINE ${qualified(fn)}(${routineArguments(fn.arguments)})`, fn.arguments);
  addAll("enum", "TYPE", catalog.enums);
  addAll("composite", "TYPE", catalog.compositeTypes);
  addAll("range", "TYPE", catalog.ranges);
  addAll("base type", "TYPE", catalog.baseTypes);
  addAll("domain", "DOMAIN", catalog.domains);
  addAll("collation", "COLLATION", catalog.collations);
  addAll("conversion", "CONVERSION", catalog.conversions);
  addAll("text search dictionary", "TEXT SEARCH DICTIONARY", catalog.textSearchDictionaries);
  addAll("text search configuration", "TEXT SEARCH CONFIGURATION", catalog.textSearchConfigurations);
  addAll("language", "LANGUAGE", catalog.languages);
  addAll("foreign data wrapper", "FOREIGN DATA WRAPPER", catalog.foreignDataWrappers);
  addAll("foreign server", "SERVER", catalog.foreignServers);
  addAll("publication", "PUBLICATION", catalog.publications);
  addAll("subscription", "SUBSCRIPTION", catalog.subscriptions);
  addAll("event trigger", "EVENT TRIGGER", catalog.eventTriggers);
  addAll("statistics", "STATISTICS", catalog.statistics);
  return owners;
}

interface Named {
  readonly schema?: string | undefined;
  readonly name: string;
  readonly owner: string;
}
