// The statements that a reading of the catalog is made of, and the catalog that is put together from their results.
import { InternalError, InvalidInputError, type QueryResult } from "../postgres/index.ts";
import { extensionMembers, resolveDependencies } from "./dependencies.ts";
import type { Catalog, CompositeType, Domain, Index, Table, View } from "./model.ts";
import { columns } from "./queries/columns.ts";
import { constraints } from "./queries/constraints.ts";
import { dependencies, otherNames } from "./queries/dependencies.ts";
import { databaseName, extensions, schemas } from "./queries/database.ts";
import { extensionParts } from "./queries/extension-parts.ts";
import type { NamedObject, Part, Scope } from "./queries/family.ts";
import { functions } from "./queries/functions.ts";
import { grants } from "./queries/grants.ts";
import { memberGrants } from "./queries/member-grants.ts";
import { indexes, indexKeys, type BareIndex, type KeysRead } from "./queries/indexes.ts";
import { otherObjects } from "./queries/other-objects.ts";
import { eventTriggers, statistics } from "./queries/others.ts";
import { relations } from "./queries/relations.ts";
import { sequences } from "./queries/sequences.ts";
import { policies, rules, triggers } from "./queries/triggers.ts";
import { types } from "./queries/types.ts";
import { databaseSettings, securityLabels, unknownObjects } from "./queries/unknown-objects.ts";

/** Every statement of a reading, in the order they are sent. What is below the line takes the server as long as what is above. */
export function partsOf(scope: Scope, includeDependencies: boolean) {
  return {
    databaseName: databaseName(),
    schemas: schemas(),
    extensions: extensions(),
    relations: relations(scope),
    columns: columns(scope),
    constraints: constraints(scope),
    triggers: triggers(scope),
    policies: policies(scope),
    rules: rules(scope),
    functions: functions(scope),
    types: types(scope),
    // ----
    indexes: indexes(scope),
    indexKeys: indexKeys(scope),
    sequences: sequences(scope),
    statistics: statistics(scope),
    eventTriggers: eventTriggers(scope),
    grants: grants(scope),
    memberGrants: memberGrants(scope),
    extensionParts: extensionParts(scope),
    others: otherObjects(scope),
    securityLabels: securityLabels(scope),
    settings: databaseSettings(),
    unknownObjects: unknownObjects(scope),
    ...(includeDependencies ? { dependencies: dependencies(), otherNames: otherNames(scope) } : {}),
  } satisfies Record<string, Part<unknown>>;
}

/** How many of them are above the line. */
export const FIRST_BESIDE = 11;

export type Parts = ReturnType<typeof partsOf>;
type PartsRead = { readonly [K in keyof Parts]: Exclude<Parts[K], undefined> extends Part<infer T> ? T : never };

/**
 * @param results - of all parts, in their order
 * @param asked - the schemas that were asked for
 * @throws InvalidInputError when one of them does not exist
 */
export function assemble(
  serverVersion: number,
  parts: Parts,
  results: readonly QueryResult[],
  asked: readonly string[] | undefined,
): Catalog {
  const read = mapParts(parts, results);
  checkSchemas(asked, read);
  const indexesOf = indexesByRelation(read.indexes, read.indexKeys);
  const tables: Table[] = [];
  const views: View[] = [];
  for (const relation of read.relations) {
    const { oid } = relation;
    const shared = {
      columns: read.columns.get(oid) ?? [],
      indexes: indexesOf.get(oid) ?? [],
      triggers: read.triggers.get(oid) ?? [],
      rules: read.rules.get(oid) ?? [],
    };
    if (relation.kind === "view") {
      views.push({ ...relation.view, ...shared });
    } else {
      tables.push({
        ...relation.table,
        ...shared,
        totalBytes: totalBytes(relation.table.sizeBytes, shared.indexes),
        constraints: read.constraints.ofTables.get(oid) ?? [],
        policies: read.policies.get(oid) ?? [],
      });
    }
  }
  const named = read.dependencies === undefined ? [] : namedObjects(read, parts, results);
  const members = extensionMembers(read.dependencies?.members ?? [], named);
  return {
    serverVersion,
    databaseName: read.databaseName,
    schemas: asked === undefined ? read.schemas : read.schemas.filter(({ name }) => asked.includes(name)),
    tables,
    views,
    functions: read.functions,
    enums: read.types.enums,
    domains: read.types.domains.map(({ oid, domain }): Domain => ({
      ...domain,
      constraints: read.constraints.ofDomains.get(oid) ?? [],
    })),
    compositeTypes: read.types.compositeTypes.map(({ oid, type }): CompositeType => ({
      ...type,
      attributes: (read.columns.get(oid) ?? []).map(({ name, type: attributeType, collation, comment }) => ({
        name,
        type: attributeType,
        collation,
        comment,
      })),
    })),
    ranges: read.types.ranges,
    sequences: read.sequences,
    extensions: read.extensions.map((extension) => ({
      ...extension,
      grants: read.memberGrants.get(extension.name) ?? [],
      members: members.get(extension.name) ?? [],
      ...read.extensionParts(extension.name),
    })),
    grants: read.grants,
    statistics: read.statistics,
    eventTriggers: read.eventTriggers,
    ...read.others,
    securityLabels: read.securityLabels,
    settings: read.settings,
    unknownObjects: read.unknownObjects,
    dependencies: read.dependencies === undefined ? [] : resolveDependencies(read.dependencies, named, read.columns),
  };
}

function mapParts(parts: Parts, results: readonly QueryResult[]): PartsRead {
  const entries = Object.entries<Part<unknown>>(parts).map(([name, part], position) => {
    const result = results[position];
    if (result === undefined) throw new InternalError(`the reading has no result for ${name}`);
    return [name, part.map(result)] as const;
  });
  return Object.fromEntries(entries) as PartsRead;
}

function namedObjects(
  read: PartsRead,
  parts: Parts,
  results: readonly QueryResult[],
): readonly (readonly NamedObject[])[] {
  const named = Object.values<Part<unknown>>(parts).map((part, position) => {
    const result = results[position];
    return result === undefined ? [] : (part.names?.(result) ?? []);
  });
  return [...named, read.otherNames ?? []];
}

function checkSchemas(asked: readonly string[] | undefined, read: PartsRead): void {
  const existing = read.schemas.map(({ name }) => name);
  const missing = (asked ?? []).filter((name) => !existing.includes(name));
  if (missing.length === 0) return;
  const names = missing.map((name) => JSON.stringify(name)).join(", ");
  throw new InvalidInputError(
    `${missing.length === 1 ? "the schema" : "the schemas"} ${names} cannot be read: not in the database ${JSON.stringify(read.databaseName)}, or the system's own`,
    { hint: existing.length === 0 ? "the database has no schemas" : `it has the schemas ${existing.join(", ")}` },
  );
}

function indexesByRelation(
  bare: readonly BareIndex[],
  keysOf: ReadonlyMap<number, KeysRead>,
): ReadonlyMap<number, readonly Index[]> {
  const byRelation = new Map<number, Index[]>();
  for (const { oid, relation, index } of bare) {
    const full = { ...index, ...(keysOf.get(oid) ?? { keys: [], include: [] }) };
    const group = byRelation.get(relation);
    if (group === undefined) byRelation.set(relation, [full]);
    else group.push(full);
  }
  return byRelation;
}

function totalBytes(sizeBytes: number | undefined, ofTable: readonly Index[]): number | undefined {
  let total = sizeBytes;
  for (const index of ofTable) {
    if (total === undefined || index.sizeBytes === undefined) return undefined;
    total += index.sizeBytes;
  }
  return total;
}
