// What belongs to a role in one database, and the statements that give the objects of schemas to another.
import { compareCatalogs, type Catalog } from "../../catalog/index.ts";
import { identifier, printedIdentifier } from "../../postgres/index.ts";

interface Named {
  readonly schema?: string | undefined;
  readonly name: string;
  readonly owner: string;
  readonly extension?: string | undefined;
}

/** Objects that the role owns, e.g. `table shop.orders`; sequences of columns go with their table. */
export function ownedObjects(catalog: Catalog, role: string): readonly string[] {
  const lists: readonly (readonly [string, readonly Named[]])[] = [
    ["schema", catalog.schemas],
    ["table", catalog.tables],
    ["view", catalog.views],
    ["sequence", catalog.sequences.filter(({ ownedBy }) => ownedBy === undefined)],
    ["function", catalog.functions],
    [
      "type",
      [...catalog.enums, ...catalog.domains, ...catalog.compositeTypes, ...catalog.ranges, ...catalog.baseTypes],
    ],
    ["statistics", catalog.statistics],
    ["collation", catalog.collations],
    ["conversion", catalog.conversions],
    ["operator", catalog.operators],
    ["operator class", catalog.operatorClasses],
    ["operator family", catalog.operatorFamilies],
    ["text search dictionary", catalog.textSearchDictionaries],
    ["text search configuration", catalog.textSearchConfigurations],
    ["language", catalog.languages],
    ["foreign data wrapper", catalog.foreignDataWrappers],
    ["foreign server", catalog.foreignServers],
    ["publication", catalog.publications],
    ["subscription", catalog.subscriptions],
    ["event trigger", catalog.eventTriggers],
  ];
  return lists.flatMap(([kind, list]) =>
    list
      .filter(({ owner, extension }) => owner === role && extension === undefined)
      .map(({ schema, name }) =>
        [kind, [schema, name].flatMap((part) => (part === undefined ? [] : [printedIdentifier(part)])).join(".")].join(
          " ",
        ),
      ),
  );
}

export interface OwnerChange {
  /** For people. */
  readonly object: string;
  readonly from: string;
  readonly up: string;
  readonly down: string;
}

/** Since PostgreSQL 15 the schema public belongs to it, and so to whoever owns the database. */
const DATABASE_OWNER = "pg_database_owner";

/** The catalog as it is when what is in the schemas belongs to the role. */
export function withOwner(catalog: Catalog, schemas: ReadonlySet<string>, role: string): Catalog {
  const given = <T extends Named & { readonly schema: string }>(list: readonly T[]): readonly T[] =>
    list.map((each) => (schemas.has(each.schema) && each.extension === undefined ? { ...each, owner: role } : each));
  return {
    ...catalog,
    schemas: catalog.schemas.map((each) =>
      schemas.has(each.name) && each.owner !== DATABASE_OWNER ? { ...each, owner: role } : each,
    ),
    tables: given(catalog.tables),
    views: given(catalog.views),
    sequences: given(catalog.sequences),
    functions: given(catalog.functions),
    enums: given(catalog.enums),
    domains: given(catalog.domains),
    compositeTypes: given(catalog.compositeTypes),
    ranges: given(catalog.ranges),
    collations: given(catalog.collations),
    conversions: given(catalog.conversions),
    textSearchDictionaries: given(catalog.textSearchDictionaries),
    textSearchConfigurations: given(catalog.textSearchConfigurations),
    statistics: given(catalog.statistics),
  };
}

/** What is in the schemas and does not belong to the role, with the statements there and back. */
export function ownerChanges(catalog: Catalog, schemas: ReadonlySet<string>, role: string): readonly OwnerChange[] {
  const wanted = withOwner(catalog, schemas, role);
  return compareCatalogs(catalog, wanted, { owners: {} }).flatMap((change): readonly OwnerChange[] => {
    if (change.kind !== "alter" || change.after.kind !== "owner" || change.before.kind !== "owner") return [];
    const { on } = change.after.facts;
    const from = change.before.facts.role;
    return [
      {
        object: on.replaceAll('"', ""),
        from,
        up: `ALTER ${on} OWNER TO ${identifier(role)}`,
        down: `ALTER ${on} OWNER TO ${identifier(from)}`,
      },
    ];
  });
}
