// Who needs, inherits from, comments on or is a part of what, found once for all objects of a catalog: the rules of one object ask
// for it again and again, and walking all 25,000 objects of a large catalog each time takes longer than planning.
import type { CatalogObject, CatalogObjects } from "../catalog/index.ts";
import { printedIdentifier } from "../postgres/index.ts";

type Lists<T> = ReadonlyMap<string, readonly T[]>;

const NONE: readonly never[] = [];

/** Kept with the objects, which nobody changes once they are made. */
function kept<T>(make: (objects: CatalogObjects) => T): (objects: CatalogObjects) => T {
  const known = new WeakMap<CatalogObjects, { readonly made: T }>();
  return (objects) => {
    const found = known.get(objects) ?? { made: make(objects) };
    known.set(objects, found);
    return found.made;
  };
}

/** By the id of an object those of all that need it or inherit from it, in the order of the catalog. */
export const dependantsOf: (objects: CatalogObjects) => Lists<string> = kept((objects) => {
  const dependants = new Map<string, string[]>();
  const note = (id: string, dependant: string): void => {
    const list = dependants.get(id);
    if (list === undefined) dependants.set(id, [dependant]);
    // Those of one dependant come one after the other.
    else if (list.at(-1) !== dependant) list.push(dependant);
  };
  for (const { id, needs, inheritedFrom } of objects.values()) {
    for (const needed of needs) note(needed, id);
    if (inheritedFrom !== undefined) note(inheritedFrom, id);
  }
  return dependants;
});

const heirs = kept((objects) => grouped(objects, ({ inheritedFrom }) => inheritedFrom));
const comments = kept((objects) => grouped(objects, ({ kind, parent }) => (kind === "comment" ? parent : undefined)));
const relationParts = kept((objects) =>
  grouped(objects, (object) => (isColumnOrCheck(object) ? placeOf(object.schema, object.name) : undefined)),
);

/** What has `inheritedFrom` an object. */
export function heirsOf(id: string, objects: CatalogObjects): readonly CatalogObject[] {
  return heirs(objects).get(id) ?? NONE;
}

export function commentsOn(id: string, objects: CatalogObjects): readonly CatalogObject[] {
  return comments(objects).get(id) ?? NONE;
}

/** Columns of a relation, their defaults, and its checks. */
export function columnsAndChecks(
  schema: string | undefined,
  name: string,
  objects: CatalogObjects,
): readonly CatalogObject[] {
  return relationParts(objects).get(placeOf(schema, name)) ?? NONE;
}

/** Whether something beside comments needs an object. */
export function isHeld(id: string, objects: CatalogObjects): boolean {
  return (dependantsOf(objects).get(id) ?? NONE).some((dependant) => {
    const object = objects.get(dependant);
    return object !== undefined && object.kind !== "comment" && object.needs.includes(id);
  });
}

/** The operator that another one names as its commutator or negator, `undefined` when it is no object of the catalog. */
export function linkedOperator(
  { facts }: CatalogObject<"operator">,
  link: "commutator" | "negator",
  objects: CatalogObjects,
): CatalogObject<"operator"> | undefined {
  const name = facts[link];
  if (name === undefined) return undefined;
  const isSwapped = link === "commutator" && facts.left !== undefined;
  const [left, right] = isSwapped ? [facts.right, facts.left] : [facts.left, facts.right];
  for (const object of objects.values()) {
    if (object.kind !== "operator" || object.facts.left !== left || object.facts.right !== right) continue;
    if (`${printedIdentifier(object.schema ?? "")}.${object.name}` === name) return object;
  }
  return undefined;
}

function isColumnOrCheck(object: CatalogObject): boolean {
  return (
    object.kind === "column" ||
    object.kind === "default" ||
    (object.kind === "constraint" && object.facts.kind === "check")
  );
}

function placeOf(schema: string | undefined, name: string): string {
  return `${schema ?? ""}\0${name}`; // no name has a zero byte
}

function grouped(
  objects: CatalogObjects,
  keyOf: (object: CatalogObject) => string | undefined,
): ReadonlyMap<string, readonly CatalogObject[]> {
  const groups = new Map<string, CatalogObject[]>();
  for (const object of objects.values()) {
    const key = keyOf(object);
    if (key === undefined) continue;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [object]);
    else group.push(object);
  }
  return groups;
}
