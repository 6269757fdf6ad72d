// Decides what happens to each object: created, dropped, altered, or dropped and made again because something below it changes.
import {
  compareObjects,
  objectId,
  type CatalogObject,
  type CatalogObjects,
  type ObjectKind,
} from "../catalog/index.ts";
import { alterObject } from "./rules/alter.ts";
import type { PlannedStatement, RuleContext } from "./rules/statement.ts";

export interface Actions {
  /** Ids of the catalog before. An object in both sets is made again. */
  readonly dropped: ReadonlySet<string>;
  /** Ids of the catalog after. */
  readonly created: ReadonlySet<string>;
  readonly altered: ReadonlyMap<string, readonly PlannedStatement[]>;
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

export function decideActions(before: CatalogObjects, after: CatalogObjects, context: RuleContext): Actions {
  const dropped = new Set<string>();
  const created = new Set<string>();
  const altered = new Map<string, readonly PlannedStatement[]>();
  const dependants = dependantsOf(before);
  const queue: (() => void)[] = [];

  const remake = (id: string): void => {
    if (dropped.has(id) || !after.has(id)) return;
    dropped.add(id);
    created.add(id);
    altered.delete(id);
    queue.push(() => release(id, () => true));
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
      // Parts are lost with their object, whatever their kind.
      if (object.parent === id || isRebuilt(object)) remake(dependant);
    }
  };

  const changes = compareObjects(before, after);
  for (const change of changes) {
    if (change.kind === "drop") dropped.add(change.before.id);
    else if (change.kind === "create") created.add(change.after.id);
  }
  for (const change of changes) {
    if (change.kind !== "alter") continue;
    const alteration = alterObject(change.before, change.after, context);
    if (alteration === "recreate") {
      remake(change.after.id);
      continue;
    }
    if (!dropped.has(change.after.id)) altered.set(change.after.id, alteration.statements);
    for (const id of alteration.rebuilds) {
      const isColumn = before.get(id)?.kind === "column";
      queue.push(() => release(id, (object) => !isColumn || standsInTheWay(object)));
    }
  }
  for (const change of changes) if (change.kind === "drop") queue.push(() => release(change.before.id, () => true));
  for (const id of created) for (const index of indexesInTheWay(after.get(id), before, after)) remake(index);
  for (;;) {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) next();
    const heldBy = [...dropped].flatMap((id) => indexThatHolds(before.get(id), before, dropped));
    if (heldBy.length === 0) break;
    for (const id of heldBy) remake(id);
  }
  return { dropped, created, altered };
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

function isRebuilt(object: CatalogObject): boolean {
  if (object.kind === "table" && object.facts.kind === "foreign") return true;
  return REBUILT.has(object.kind) || (object.kind === "column" && object.facts.generated !== undefined);
}

function standsInTheWay(object: CatalogObject): boolean {
  if (object.kind === "constraint") return object.facts.kind === "foreign key";
  return REFUSING_TYPE_CHANGE.has(object.kind) || (object.kind === "column" && object.facts.generated !== undefined);
}

function dependantsOf(objects: CatalogObjects): ReadonlyMap<string, readonly string[]> {
  const dependants = new Map<string, string[]>();
  for (const object of objects.values()) {
    for (const id of new Set([
      ...object.needs,
      ...(object.inheritedFrom === undefined ? [] : [object.inheritedFrom]),
    ])) {
      const list = dependants.get(id);
      if (list === undefined) dependants.set(id, [object.id]);
      else list.push(object.id);
    }
  }
  return dependants;
}
