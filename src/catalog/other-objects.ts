// The objects beside tables, views, functions and common types: from the catalog's lists to flat objects.
import { identifier } from "../postgres/index.ts";
import type { Catalog } from "./model.ts";
import type { OtherKind, OtherObjects } from "./model-others.ts";
import type { FactsOfKind } from "./object-facts.ts";
import { objectId } from "./object-id.ts";
import type { ObjectSink } from "./relation-objects.ts";
import { spellingOf } from "./spelling.ts";

interface Listed {
  readonly schema?: string | undefined;
  readonly name: string;
  readonly owner?: string | undefined;
  readonly comment: string | undefined;
  readonly extension: string | undefined;
}

/** What tells objects of one name apart, as the dependencies have it. */
const PARTS: { readonly [K in OtherKind]?: (object: OtherObjects[K]) => string } = {
  operator: ({ left, right }) => `${left ?? "NONE"}, ${right}`,
  "operator family": ({ method }) => method,
  "operator class": ({ method }) => method,
  transform: ({ language }) => language,
  "user mapping": ({ user }) => user,
};

export function addOtherObjects(catalog: Catalog, sink: ObjectSink): void {
  const add = <K extends Exclude<OtherKind, "base type" | "publication" | "subscription">>(
    kind: K,
    list: readonly OtherObjects[K][],
  ): void => {
    for (const object of list) addOne(kind, object, factsOf(object) as unknown as FactsOfKind[K], sink);
  };
  add("language", catalog.languages);
  add("access method", catalog.accessMethods);
  add("collation", catalog.collations);
  add("conversion", catalog.conversions);
  for (const type of catalog.baseTypes) {
    const { schema, name, extension } = type;
    if (extension !== undefined) continue;
    sink.add("shell type", schema, name, undefined, {}, []);
    const parent = objectId("shell type", schema, name);
    if (type.isDefined) {
      const { isDefined: _, ...facts } = factsOf(type);
      addOne("base type", type, facts, sink, parent);
    } else {
      sink.comment("shell type", type, undefined, spellingOf("shell type", { ...type, part: undefined }), type.comment);
    }
  }
  add("cast", catalog.casts);
  add("operator", catalog.operators);
  add("operator family", catalog.operatorFamilies);
  add("operator class", catalog.operatorClasses);
  add("transform", catalog.transforms);
  add("text search parser", catalog.textSearchParsers);
  add("text search template", catalog.textSearchTemplates);
  add("text search dictionary", catalog.textSearchDictionaries);
  add("text search configuration", catalog.textSearchConfigurations);
  add("foreign data wrapper", catalog.foreignDataWrappers);
  add("foreign server", catalog.foreignServers);
  add("user mapping", catalog.userMappings);
  for (const publication of catalog.publications) addPublication(publication, sink);
  for (const subscription of catalog.subscriptions) {
    const { isEnabled: _, ...facts } = factsOf(subscription);
    addOne("subscription", subscription, facts, sink);
  }
  for (const { provider, on, label } of catalog.securityLabels) {
    sink.add("security label", undefined, on, provider, { provider, on, label }, []);
  }
}

function addPublication(publication: OtherObjects["publication"], sink: ObjectSink): void {
  if (publication.extension !== undefined) return;
  const { tables, schemas, ...facts } = factsOf(publication);
  addOne("publication", publication, facts, sink);
  const parent = objectId("publication", undefined, publication.name);
  for (const { schema, name, columns, where } of tables) {
    const table = identifier(schema, name);
    const part = `${schema}.${name}`;
    const needs = [
      objectId("table", schema, name),
      ...(columns ?? []).map((column) => objectId("column", schema, name, column)),
    ];
    sink.add("publication table", undefined, publication.name, part, { table, columns, where }, needs, { parent });
  }
  for (const schema of schemas) {
    const needs = [objectId("schema", undefined, schema)];
    sink.add("publication schema", undefined, publication.name, schema, { schema }, needs, { parent });
  }
}

function addOne<K extends OtherKind>(
  kind: K,
  object: OtherObjects[K] & Listed,
  facts: FactsOfKind[K],
  sink: ObjectSink,
  parent?: string,
): void {
  if (object.extension !== undefined) return;
  const { schema, name } = object;
  const part = PARTS[kind]?.(object);
  sink.add(kind, schema, name, part, facts, [], { parent });
  if (kind === "user mapping") return; // PostgreSQL keeps no comment on it
  sink.comment(kind, { schema, name }, part, spellingOf(kind, { schema, name, part }), object.comment);
}

function factsOf<T extends Listed>(object: T): Omit<T, keyof Listed> {
  const { schema: _schema, name: _name, owner: _owner, comment: _comment, extension: _extension, ...facts } = object;
  return facts;
}
