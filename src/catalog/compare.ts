// Compares two catalogs: which objects are new, gone, or other than before. One comparison for every kind of object.
import { InvalidInputError } from "../postgres/index.ts";
import type { Catalog } from "./model.ts";
import type { CatalogObject } from "./object-facts.ts";
import { objectsToCompare } from "./members.ts";
import type { OwnerOptions } from "./owners.ts";

export interface FactChange {
  readonly fact: string;
  readonly before: unknown;
  readonly after: unknown;
}

/** One difference between two catalogs. */
export type Change =
  | { readonly kind: "create"; readonly after: CatalogObject }
  | { readonly kind: "drop"; readonly before: CatalogObject }
  | {
      readonly kind: "alter";
      readonly before: CatalogObject;
      readonly after: CatalogObject;
      readonly facts: readonly FactChange[];
    }
  | { readonly kind: "unknown"; readonly what: "create" | "drop"; readonly object: Catalog["unknownObjects"][number] };

/**
 * The differences, in the order of the catalogs: what is gone first. Empty when both describe the same schema, whatever the
 * sizes, statistics and positions of columns. What the model does not know is compared by its name: kind `unknown`.
 *
 * @param options - `owners` compares those, too
 * @throws InvalidInputError when both sides are not catalogs
 */
export function compareCatalogs(
  before: Catalog,
  after: Catalog,
  options: { readonly owners?: OwnerOptions | undefined } = {},
): readonly Change[] {
  if (!Array.isArray(before.tables) || !Array.isArray(after.tables))
    throw new InvalidInputError("two catalogs are compared: give what readCatalog() returned");
  const objects = objectsToCompare(before, after, options.owners);
  return [...compareObjects(objects.before, objects.after), ...compareUnknown(before, after)];
}

type KnownChange = Exclude<Change, { readonly kind: "unknown" }>;

/** The same for objects that are flat already. */
export function compareObjects(
  before: ReadonlyMap<string, CatalogObject>,
  after: ReadonlyMap<string, CatalogObject>,
): readonly KnownChange[] {
  const changes: KnownChange[] = [];
  let stayed = 0;
  for (const object of after.values()) {
    const old = before.get(object.id);
    if (old === undefined) {
      changes.push({ kind: "create", after: object });
      continue;
    }
    stayed++;
    const facts = changedFacts(old, object);
    if (facts.length > 0) changes.push({ kind: "alter", before: old, after: object, facts });
  }
  if (stayed === before.size) return changes;
  const gone: KnownChange[] = [];
  for (const object of before.values()) if (!after.has(object.id)) gone.push({ kind: "drop", before: object });
  return [...gone, ...changes];
}

type Facts = Readonly<Record<string, unknown>>;

function changedFacts(before: CatalogObject, after: CatalogObject): readonly FactChange[] {
  const old = before.facts as unknown as Facts;
  const wanted = after.facts as unknown as Facts;
  if (hasSameFacts(old, wanted)) return [];
  return [...new Set([...Object.keys(old), ...Object.keys(wanted)])].flatMap((fact) => {
    const change = { fact, before: old[fact], after: wanted[fact] };
    return isSame(change.before, change.after) ? [] : [change];
  });
}

/** Nearly all objects are the same on both sides, so this makes nothing: neither texts nor lists of keys. */
function hasSameFacts(old: Facts, wanted: Facts): boolean {
  for (const fact in old) if (!isSame(old[fact], wanted[fact])) return false;
  for (const fact in wanted) if (old[fact] === undefined && wanted[fact] !== undefined) return false;
  return true;
}

function isSame(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return false;
  if (Array.isArray(one) && Array.isArray(other) && one.length !== other.length) return false;
  return hasSameFacts(one as Facts, other as Facts);
}

function compareUnknown(before: Catalog, after: Catalog): readonly Change[] {
  const keysOf = ({ unknownObjects }: Catalog): ReadonlySet<string> =>
    new Set(unknownObjects.map((object) => JSON.stringify(object)));
  const old = keysOf(before);
  const wanted = keysOf(after);
  return [
    ...before.unknownObjects
      .filter((object) => !wanted.has(JSON.stringify(object)))
      .map((object) => ({ kind: "unknown", what: "drop", object }) as const),
    ...after.unknownObjects
      .filter((object) => !old.has(JSON.stringify(object)))
      .map((object) => ({ kind: "unknown", what: "create", object }) as const),
  ];
}
