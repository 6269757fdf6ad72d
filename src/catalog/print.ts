// Writes a catalog as SQL that builds it in an empty database.
import type { Catalog } from "./model.ts";
import { createStatements, type CreateContext } from "./create.ts";
import { holdsSecret } from "./create-others.ts";
import { MASKED } from "./masked.ts";
import type { CatalogObject, ObjectKind } from "./object-facts.ts";
import { objectId } from "./object-id.ts";
import { catalogObjects, type CatalogObjects } from "./objects.ts";
import { inOrder } from "./order.ts";

const KINDS: readonly ObjectKind[] = [
  "schema",
  "extension",
  "language",
  "access method",
  "collation",
  "shell type",
  "enum",
  "range",
  "composite",
  "domain",
  "domain constraint",
  "sequence",
  "base type",
  "function",
  "conversion",
  "cast",
  "transform",
  "operator",
  "operator family",
  "operator class",
  "text search parser",
  "text search template",
  "text search dictionary",
  "text search configuration",
  "foreign data wrapper",
  "foreign server",
  "user mapping",
  "table",
  "column",
  "default",
  "sequence owner",
  "partition",
  "constraint",
  "index",
  "index partition",
  "clustering",
  "replica identity",
  "statistics",
  "view",
  "rule",
  "trigger",
  "trigger state",
  "row security",
  "policy",
  "publication",
  "publication table",
  "publication schema",
  "subscription",
  "event trigger",
  "extension dependency",
  "extension member",
  "comment",
  "security label",
  "privileges",
  "default privileges",
  "owner",
];
const RANKS = new Map(KINDS.map((kind, rank) => [kind, rank]));

/** Where a kind stands among those that could come next: types before tables, tables before views. */
export function rankOf(kind: ObjectKind): number {
  return RANKS.get(kind) ?? KINDS.length;
}

/** One object to be created, after others. */
interface Creation {
  readonly key: string;
  readonly rank: number;
  readonly after: Set<string>;
  readonly object: CatalogObject;
}

/**
 * The object in whose CREATE an object is written: a column, and its default where that can be, in that of the table or column.
 * Otherwise the object's own id.
 */
export function writtenIn(
  object: CatalogObject,
  objects: CatalogObjects,
  isCreated: (id: string) => boolean,
  separate: ReadonlySet<string>,
): string {
  // The checks of its parents come with CREATE TABLE … INHERITS.
  const comes =
    object.kind === "constraint" &&
    object.facts.kind === "check" &&
    object.inheritedFrom !== undefined &&
    !objects.has(objectId("partition", object.schema, object.name));
  if (object.kind !== "column" && object.kind !== "default" && !comes) return object.id;
  if (object.parent === undefined || separate.has(object.id) || !isCreated(object.parent)) return object.id;
  const parent = objects.get(object.parent);
  return parent === undefined ? object.id : writtenIn(parent, objects, isCreated, separate);
}

/** Defaults that need, by way of other objects, the table they belong to. */
export function separateDefaults(objects: CatalogObjects): ReadonlySet<string> {
  const separate = new Set<string>();
  for (const object of objects.values()) {
    if (object.kind !== "default" || object.parent === undefined) continue;
    const table = objects.get(object.parent)?.parent;
    const open = object.needs.filter((id) => id !== object.parent && id !== table && !id.startsWith("schema "));
    if (open.length === 0) continue;
    const seen = new Set<string>();
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      if (id === table) {
        separate.add(object.id);
        break;
      }
      if (seen.has(id)) continue;
      seen.add(id);
      open.push(...(objects.get(id)?.needs ?? []));
    }
  }
  return separate;
}

/**
 * DDL in the order of dependencies that builds the catalog in an empty database: loaded there and read back, nothing compares as
 * changed. Owners are not written (everything belongs to whoever runs it), nor are rows and roles. `unknownObjects` and settings of the
 * database are not written either, and values that may be secrets stand as `MASKED`: each of these is named in a comment at the top.
 */
export function printCatalog(catalog: Catalog): string {
  const objects = catalogObjects(catalog);
  const separate = separateDefaults(objects);
  const context: CreateContext = { serverVersion: catalog.serverVersion, objects, separateDefaults: separate };
  const creations = new Map<string, Creation>();
  const placeOf = (object: CatalogObject): string => writtenIn(object, objects, () => true, separate);
  for (const object of objects.values()) {
    if (placeOf(object) !== object.id) continue;
    creations.set(object.id, { key: object.id, rank: rankOf(object.kind), after: new Set(), object });
  }
  for (const object of objects.values()) {
    const creation = creations.get(placeOf(object));
    for (const id of object.needs) {
      const needed = objects.get(id);
      if (needed !== undefined) creation?.after.add(placeOf(needed));
    }
  }
  for (const [earlier, later] of attachOrder(objects)) creations.get(later)?.after.add(earlier);
  const statements = inOrder([...creations.values()]).flatMap(({ object }) => createStatements(object, context));
  const left = notWritten(catalog, objects);
  return `${left.join("")}SET check_function_bodies = off;\n\n${statements.map((sql) => `${sql};\n`).join("\n")}`;
}

/** One comment a line. */
function notWritten(catalog: Catalog, objects: CatalogObjects): readonly string[] {
  const unknown = catalog.unknownObjects.map(
    ({ kind, schema, name }) => `-- not written: ${kind} ${schema === undefined ? "" : `${schema}.`}${name}`,
  );
  const settings = catalog.settings.map(
    ({ role, name }) =>
      `-- not written: the setting ${name} of the database${role === undefined ? "" : ` for ${role}`}`,
  );
  const secrets = [...objects.values()].flatMap((object) =>
    holdsSecret(object) ? [`-- to be filled in, a password is never read: ${MASKED} in ${object.id}`] : [],
  );
  const comments = catalog.extensions.flatMap(({ name, comments: ofMembers }) =>
    ofMembers.flatMap(({ on, isInitial }) =>
      isInitial ? [] : [`-- not written: the comment on ${on}, a member of the extension ${name}`],
    ),
  );
  return [...unknown, ...settings, ...comments, ...secrets].map((line) => `${line.replaceAll(/\s+/g, " ")}\n`);
}

/**
 * For tables that are new, pairs of ids in the order of their creation. A partition needs the checks of its parent before it can be
 * attached; keys and indexes come after that, or ATTACH would make some of its own choice on partitions that have none.
 */
export function attachOrder(objects: CatalogObjects): readonly (readonly [earlier: string, later: string])[] {
  const partitionsOf = new Map<string, string[]>();
  for (const object of objects.values()) {
    if (object.kind !== "partition") continue;
    const parent = objectId("table", object.facts.parentSchema, object.facts.parentTable);
    partitionsOf.set(parent, [...(partitionsOf.get(parent) ?? []), object.id]);
  }
  const pairs: (readonly [string, string])[] = [...keysBeforeReferences(objects)];
  for (const object of objects.values()) {
    if (object.kind !== "constraint" && object.kind !== "index") continue;
    if (object.kind === "constraint" && object.facts.kind === "check") {
      // A new heir proves a check that its parent has not proven, unless the heir was there first.
      const above = objects.get(object.inheritedFrom ?? "");
      const table = objects.get(object.parent ?? "");
      if (above !== undefined && isUnproven(above) && table?.kind === "table" && table.facts.inherits.length > 0)
        pairs.push(isUnproven(object) ? [table.id, above.id] : [above.id, table.id]);
      if (object.inheritedFrom !== undefined)
        pairs.push([object.id, objectId("partition", object.schema, object.name)]);
      // The parent's check must not come down to a partition that is about to get it itself.
      for (const partition of partitionsOf.get(object.parent ?? "") ?? []) pairs.push([partition, object.id]);
      continue;
    }
    for (const partition of partitionsOf.get(object.parent ?? "") ?? []) pairs.push([partition, object.id]);
  }
  return pairs;
}

/** The key of a partitioned table can be referenced when those of all its partitions are attached. */
function keysBeforeReferences(objects: CatalogObjects): readonly (readonly [string, string])[] {
  const attachedTo = new Map<string, string[]>();
  for (const object of objects.values()) {
    if (object.kind !== "index partition") continue;
    let above = objects.get(object.parent ?? "")?.inheritedFrom;
    for (; above !== undefined; above = objects.get(above)?.inheritedFrom) {
      attachedTo.set(above, [...(attachedTo.get(above) ?? []), object.id]);
    }
  }
  const pairs: (readonly [string, string])[] = [];
  for (const object of objects.values()) {
    if (object.kind !== "constraint" || object.facts.kind !== "foreign key") continue;
    for (const key of object.needs) for (const part of attachedTo.get(key) ?? []) pairs.push([part, object.id]);
  }
  return pairs;
}

function isUnproven(object: CatalogObject): boolean {
  return object.kind === "constraint" && object.facts.definition.endsWith(" NOT VALID");
}
