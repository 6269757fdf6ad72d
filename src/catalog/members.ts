// What is to be compared of two catalogs. Members of extensions are no objects of their own; where one side has an object to itself
// that the other has as a member, both have it, and the membership is the difference.
import { identifier } from "../postgres/index.ts";
import type { Catalog, ObjectReference } from "./model.ts";
import type { CatalogObject, ObjectKind } from "./object-facts.ts";
import { objectId } from "./object-id.ts";
import { catalogObjects, type CatalogObjects } from "./objects.ts";
import { withOwners, type ObjectsToCompare, type OwnerOptions } from "./owners.ts";
import { nameOf, routineArguments } from "./spelling.ts";

type Extension = Catalog["extensions"][number];

/**
 * The objects of both catalogs, with what is said of members of extensions: that something became one, and comments on them. Of a
 * comment that the extension's own script wrote on one side only, nothing: it comes and goes with that.
 *
 * @param owners - adds the owners of what is to belong to somebody in `after`
 */
export function objectsToCompare(before: Catalog, after: Catalog, owners: OwnerOptions | undefined): ObjectsToCompare {
  const objects =
    owners === undefined
      ? { before: catalogObjects(before), after: catalogObjects(after) }
      : withOwners(before, after, owners);
  const old = new Map(before.extensions.map((extension) => [extension.name, extension]));
  const toBefore: CatalogObject[] = [];
  const toAfter: CatalogObject[] = [];
  for (const wanted of after.extensions) {
    const known = old.get(wanted.name);
    toAfter.push(...joining(wanted, known, after, objects.before, objects.after));
    if (known !== undefined) toBefore.push(...joining(known, wanted, before, objects.after, objects.before));
  }
  const kept = new Set(after.extensions.map(({ name }) => name));
  for (const gone of before.extensions)
    if (!kept.has(gone.name)) toBefore.push(...joining(gone, undefined, before, objects.after, objects.before));
  return { before: withMore(objects.before, toBefore), after: withMore(objects.after, toAfter) };
}

/** The same map where nothing is added: what was found out about it is kept with it. */
function withMore(objects: CatalogObjects, more: readonly CatalogObject[]): CatalogObjects {
  return more.length === 0 ? objects : new Map([...objects, ...more.map((object) => [object.id, object] as const)]);
}

/** Members here that are none on the other side, with their parts as they are there: nothing else is known of a member. */
function joining(
  extension: Extension,
  other: Extension | undefined,
  { schemas }: Catalog,
  there: CatalogObjects,
  here: CatalogObjects,
): readonly CatalogObject[] {
  const { name, members } = extension;
  const id = objectId("extension", undefined, name);
  if (other === undefined || !here.has(id) || !there.has(id)) return commentsOf(extension, other);
  const ids = [
    ...members.flatMap((member) => idsOf(member)),
    ...schemas.flatMap((schema) => (schema.extension === name ? [objectId("schema", undefined, schema.name)] : [])),
  ];
  const joined = ids.flatMap((member) => {
    const object = there.get(member);
    return object === undefined || here.has(member) ? [] : [object];
  });
  if (joined.length === 0) return commentsOf(extension, other);
  const copied = new Map(joined.map((object) => [object.id, object]));
  for (const object of there.values()) {
    if (here.has(object.id)) continue;
    const isPart = object.parent !== undefined && copied.has(object.parent);
    if (isPart || (object.kind === "sequence owner" && object.needs.some((need) => copied.has(need))))
      copied.set(object.id, object);
  }
  // The comments on a member are those it has here.
  const known = new Set([...copied.values()].flatMap(({ kind, name: on }) => (kind === "comment" ? [plain(on)] : [])));
  const comments = new Map(extension.comments.map(({ on, text }) => [plain(on), text]));
  const parts = [...copied.values()].flatMap((object) => {
    const isOfMember = object.kind === "comment" && joined.some((member) => isCommentOn(object, member));
    if (object.kind !== "comment" || !isOfMember) return [object];
    const text = comments.get(plain(object.name));
    return text === undefined ? [] : [{ ...object, facts: { ...object.facts, text } }];
  });
  return [
    ...parts,
    ...joined.map((object) =>
      part("extension member", object.id, name, { extension: name, on: spelled(object) }, [object.id, id]),
    ),
    ...commentsOf({ ...extension, comments: extension.comments.filter(({ on }) => !known.has(plain(on))) }, other),
  ];
}

/** Also on a column. */
function isCommentOn(comment: CatalogObject<"comment">, member: CatalogObject): boolean {
  return comment.parent === member.id || comment.name.startsWith("COLUMN ");
}

/** Names in quotes and without them are the same here. */
function plain(on: string): string {
  return on.replaceAll('"', "");
}

const TYPE_KINDS: readonly ObjectKind[] = ["enum", "composite", "domain", "range", "base type"];

function idsOf({ kind, schema, name, part: of }: ObjectReference): readonly string[] {
  if (kind === "type") return TYPE_KINDS.map((type) => objectId(type, schema, name));
  return kind === "table" || kind === "view" || kind === "sequence" || kind === "function"
    ? [objectId(kind, schema, name, of)]
    : [];
}

/** As ALTER EXTENSION names it. */
function spelled(object: CatalogObject): string {
  const name = nameOf(object);
  if (object.kind === "table") return `${object.facts.kind === "foreign" ? "FOREIGN TABLE" : "TABLE"} ${name}`;
  if (object.kind === "view") return `${object.facts.kind === "view" ? "VIEW" : "MATERIALIZED VIEW"} ${name}`;
  if (object.kind === "function") return `ROUTINE ${name}(${routineArguments(object.part ?? "")})`;
  if (object.kind === "sequence") return `SEQUENCE ${name}`;
  if (object.kind === "schema") return `SCHEMA ${identifier(object.name)}`;
  return `${object.kind === "domain" ? "DOMAIN" : "TYPE"} ${name}`;
}

/** Scripts of one version write the same: what differs then was written by somebody. */
function commentsOf({ name, version, comments }: Extension, other: Extension | undefined): readonly CatalogObject[] {
  const extension = objectId("extension", undefined, name);
  return comments.flatMap(({ on, text, isInitial }) => {
    const isScripts =
      isInitial &&
      other?.version !== version &&
      other?.comments.some((comment) => comment.on === on && !comment.isInitial) !== true;
    return isScripts ? [] : [part("comment", on, undefined, { on, text }, [extension])];
  });
}

function part<K extends "comment" | "extension member">(
  kind: K,
  name: string,
  of: string | undefined,
  facts: CatalogObject<K>["facts"],
  needs: readonly [parent: string, ...others: string[]],
): CatalogObject {
  const object = { kind, id: objectId(kind, undefined, name, of), schema: undefined, name, part: of, facts, needs };
  return { ...object, parent: needs[0], inheritedFrom: undefined, notNullName: undefined } as unknown as CatalogObject;
}
