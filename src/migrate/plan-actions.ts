// Decides what happens to each object: created, dropped, altered, or dropped and made again because something below it changes.
import {
  type compareObjects,
  objectId,
  type CatalogObject,
  type CatalogObjects,
  type ObjectKind,
} from "../catalog/index.ts";
import { identifier } from "../postgres/index.ts";
import { dependantsOf } from "./object-lookups.ts";
import { keptKeys } from "./partition-keys.ts";
import { alterObject, changeOfType } from "./rules/alter.ts";
import { alterDomain, isInsideOthers, swap, type TypeObject } from "./rules/alter-type.ts";
import type { Alteration, PlannedStatement, RuleContext } from "./rules/statement.ts";

export interface Actions {
  /** Ids of the catalog before. An object in both sets is made again. */
  readonly dropped: ReadonlySet<string>;
  /** Ids of the catalog after. */
  readonly created: ReadonlySet<string>;
  readonly altered: ReadonlyMap<string, readonly PlannedStatement[]>;
  /** Types among the altered that another takes the name of; their constraints come with it. */
  readonly swapped: ReadonlySet<string>;
}

/** Kinds that hold no rows of their own: they can go and come back when what they need changes. */
const REBUILT: ReadonlySet<ObjectKind> = new Set<ObjectKind>([
  "domain constraint",
  "function",
  "default",
  "constraint",
  "index",
  "index partition",
  "partition",
  "replica identity",
  "clustering",
  "view",
  "rule",
  "trigger",
  "trigger state",
  "policy",
  "statistics",
  "event trigger",
  "sequence owner",
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
  "user mapping",
  "publication table",
  "publication schema",
]);
/** What a column's type stands in the way of; the server itself sees to indexes, keys and checks. */
const REFUSING_TYPE_CHANGE: ReadonlySet<ObjectKind> = new Set<ObjectKind>([
  "view",
  "rule",
  "policy",
  "trigger",
  "default",
  "function",
]);

/**
 * @param changes - what compareObjects() says of the two
 * @param again - ids of what is made again although it could be altered in place
 */
export function decideActions(
  changes: ReturnType<typeof compareObjects>,
  context: RuleContext,
  again: ReadonlySet<string> = new Set(),
): Actions {
  const { before, after } = context;
  const dropped = new Set<string>();
  const created = new Set<string>();
  const altered = new Map<string, readonly PlannedStatement[]>();
  const dependants = dependantsOf(before);
  const queue: (() => void)[] = [];
  const swapped = new Set<string>();
  const isDetached: RuleContext["isDetached"] = ({ schema, name }) => dropped.has(objectId("partition", schema, name));

  const remake = (id: string): void => {
    if (dropped.has(id) || !after.has(id)) return;
    dropped.add(id);
    created.add(id);
    altered.delete(id);
    queue.push(() => release(id, () => true));
    const of = before.get(id)?.kind === "domain constraint" ? before.get(id)?.parent : undefined;
    if (of !== undefined) queue.push(() => swapHeld(of));
  };
  /** What needs an object that goes away, or is made again. */
  const release = (id: string, isConcerned: (object: CatalogObject) => boolean): void => {
    for (const dependant of dependants.get(id) ?? []) {
      const object = before.get(dependant);
      if (object === undefined || !isConcerned(object)) continue;
      const wanted = after.get(dependant);
      const isLetGo = altered.has(dependant) && wanted !== undefined && !wanted.needs.includes(id) && !after.has(id);
      // A column goes from partitions with that of their table.
      if (isLetGo || (object.kind === "partition" && before.get(id)?.kind === "column")) continue;
      if (swapped.has(id) && isMadeOfTypes(object) && wanted !== undefined && isMadeOfTypes(wanted)) {
        if (!swapped.has(dependant) && !dropped.has(dependant)) settle(dependant, swap(object, wanted, context));
        continue;
      }
      // Parts are lost with their object, whatever their kind.
      if (object.parent === id || isRebuilt(object)) remake(dependant);
    }
  };

  /** To a domain that others are made of, no constraint can be added in place. */
  const swapHeld = (id: string): void => {
    const domain = before.get(id);
    const wanted = after.get(id);
    if (domain?.kind !== "domain" || wanted?.kind !== "domain" || swapped.has(id)) return;
    if (isInsideOthers(domain, before)) settle(id, swap(domain, wanted, context));
  };
  const settle = (id: string, alteration: Alteration): void => {
    if (alteration === "recreate") {
      remake(id);
      return;
    }
    if (dropped.has(id)) return;
    altered.set(id, alteration.statements);
    if (alteration.isSwap === true) swapped.add(id);
    for (const rebuilt of alteration.rebuilds) {
      const isColumn = before.get(rebuilt)?.kind === "column";
      queue.push(() => release(rebuilt, (object) => !isColumn || standsInTheWay(object)));
    }
  };
  const drain = (): void => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) next();
  };

  for (const change of changes) {
    if (change.kind === "drop") dropped.add(change.before.id);
    else if (change.kind === "create") created.add(change.after.id);
  }
  for (const id of again) remake(id);
  // Tables first: what comes down to a partition depends on whether it stays attached.
  for (const change of changes) {
    if (change.kind !== "alter") continue;
    const { kind } = change.before;
    if (kind === "table" || kind === "partition")
      settle(change.after.id, alterObject(change.before, change.after, context));
    else if (isKeyOfPartitions(change.before, change.after, before) && change.after.parent !== undefined)
      remake(change.after.parent);
  }
  drain();
  for (const change of changes) {
    if (change.kind !== "alter" || change.before.kind === "table" || change.before.kind === "partition") continue;
    settle(change.after.id, alterObject(change.before, change.after, { ...context, isDetached }));
  }
  for (const change of changes) {
    const constraint = change.kind === "drop" ? change.before : change.after;
    const id = constraint.kind === "domain constraint" ? (constraint.parent ?? "") : "";
    if (change.kind !== "drop") swapHeld(id);
  }
  for (const change of changes) if (change.kind === "drop") queue.push(() => release(change.before.id, () => true));
  for (const id of created) for (const index of indexesInTheWay(after.get(id), before, after)) remake(index);
  for (;;) {
    drain();
    const heldBy = [...dropped].flatMap((id) => indexThatHolds(before.get(id), before, dropped));
    if (heldBy.length === 0) break;
    for (const id of heldBy) remake(id);
  }
  const isGone = (id: string): boolean => dropped.has(id);
  for (const id of swapped) {
    const type = before.get(id);
    const wanted = after.get(id);
    const again =
      type === undefined || wanted === undefined
        ? "recreate"
        : swap(type as TypeObject, wanted as TypeObject, { ...context, isGone });
    if (again !== "recreate") altered.set(id, again.statements);
  }
  for (const [id, domain] of before) {
    const wanted = after.get(id);
    if (domain.kind !== "domain" || wanted?.kind !== "domain" || dropped.has(id) || swapped.has(id)) continue;
    if (domain.facts.default === undefined || !domain.needs.some(isGone)) continue;
    const again = alterDomain(domain, wanted, { ...context, isGone });
    if (again !== "recreate") altered.set(id, again.statements);
  }
  for (const [id, table] of before) {
    const wanted = after.get(id);
    if (table.kind !== "table" || wanted?.kind !== "table" || dropped.has(id)) continue;
    const { ofType } = table.facts;
    if (ofType === undefined || ofType !== wanted.facts.ofType) continue;
    const isConcerned = table.needs.some(
      (type) => before.get(type)?.kind === "composite" && (altered.has(type) || dropped.has(type)),
    );
    if (isConcerned) altered.set(id, [...(altered.get(id) ?? []), ...changeOfType(table, wanted)]);
  }
  for (const id of keptKeys(context, dropped, created)) {
    dropped.delete(id);
    created.delete(id);
  }
  return { dropped, created, altered, swapped };
}

/** A partition's index cannot leave its parent's; while the partition stays, only the parent's index can be made again. */
function indexThatHolds(
  object: CatalogObject | undefined,
  before: CatalogObjects,
  dropped: ReadonlySet<string>,
): readonly string[] {
  if (object?.kind !== "index partition" || dropped.has(objectId("partition", object.schema, object.name))) return [];
  const parent = before.get(object.parent ?? "")?.inheritedFrom;
  return parent === undefined || dropped.has(parent) ? [] : [parent];
}

/** Indexes of a table that joins another as its partition: ATTACH would take one that looks like an index of the parent's. */
function indexesInTheWay(
  partition: CatalogObject | undefined,
  before: CatalogObjects,
  after: CatalogObjects,
): readonly string[] {
  if (partition?.kind !== "partition" || partition.parent === undefined || !before.has(partition.parent)) return [];
  const parent = objectId("table", partition.facts.parentSchema, partition.facts.parentTable);
  const indexesOf = (objects: CatalogObjects, table: string): readonly CatalogObject<"index">[] =>
    [...objects.values()].filter(
      (object): object is CatalogObject<"index"> => object.kind === "index" && object.parent === table,
    );
  const formOf = ({ facts: { definition } }: CatalogObject<"index">): string =>
    definition.slice(definition.indexOf(" USING "));
  const taken = new Set(indexesOf(before, parent).map((index) => formOf(index)));
  return indexesOf(before, partition.parent)
    .filter(
      (index) => taken.has(formOf(index)) && after.has(index.id) && after.get(index.id)?.inheritedFrom === undefined,
    )
    .map(({ id }) => id);
}

/** Whether a column's type changes that rows are divided by: only a table without partitions, which has no rows, can be made anew. */
function isKeyOfPartitions(column: CatalogObject, wanted: CatalogObject, before: CatalogObjects): boolean {
  if (column.kind !== "column" || wanted.kind !== "column" || column.part === undefined) return false;
  const table = before.get(column.parent ?? "");
  if (table?.kind !== "table" || table.facts.partitionKey === undefined) return false;
  if (column.facts.type === wanted.facts.type && column.facts.collation === wanted.facts.collation) return false;
  const names = table.facts.partitionKey.match(/"(?:[^"]|"")*"|[\w$]+/g) ?? [];
  return names.some((name) => name === column.part || name === identifier(column.part ?? ""));
}

function isMadeOfTypes(object: CatalogObject): object is TypeObject {
  return object.kind === "composite" || object.kind === "domain" || object.kind === "range";
}

/** Whether it can go and come back, where altering it in place stands in the way of its own dependencies. */
export function canBeMadeAgain(object: CatalogObject | undefined): boolean {
  return object !== undefined && isRebuilt(object);
}

function isRebuilt(object: CatalogObject): boolean {
  if (object.kind === "table" && object.facts.kind === "foreign") return true;
  return REBUILT.has(object.kind) || (object.kind === "column" && object.facts.generated !== undefined);
}

function standsInTheWay(object: CatalogObject): boolean {
  if (object.kind === "constraint") return object.facts.kind === "foreign key";
  return REFUSING_TYPE_CHANGE.has(object.kind) || (object.kind === "column" && object.facts.generated !== undefined);
}
