// Foreign keys of partitions. The server makes one for each that the parent has, or takes an equal one that the table has for itself;
// DETACH leaves it behind as the table's own.
import { objectId, type CatalogObject, type CatalogObjects } from "../catalog/index.ts";

type Partition = CatalogObject<"partition">;
type ForeignKey = NonNullable<Partition["foreignKeys"]>[number];

interface Catalogs {
  readonly before: CatalogObjects;
  readonly after: CatalogObjects;
}

/** Ids of the foreign keys that partitions keep while they join or leave: nobody drops those, and nobody makes them. */
export function keptKeys(
  { before, after }: Catalogs,
  dropped: ReadonlySet<string>,
  created: ReadonlySet<string>,
): ReadonlySet<string> {
  const kept = new Set<string>();
  const stays = ({ parent = "" }: Partition): boolean => before.has(parent) && !dropped.has(parent);
  for (const id of dropped) {
    const partition = before.get(id);
    if (partition?.kind !== "partition" || !stays(partition)) continue;
    for (const key of partition.foreignKeys ?? []) if (isOwn(partition, key, after)) kept.add(idOf(partition, key));
  }
  for (const id of created) {
    const partition = after.get(id);
    if (partition?.kind !== "partition" || !stays(partition)) continue;
    for (const key of partition.foreignKeys ?? []) {
      const own = idOf(partition, key);
      if (isOwn(partition, key, before) && dropped.has(own) && !created.has(own)) kept.add(own);
    }
  }
  return kept;
}

/** Whether a detached table keeps a foreign key that it has from its parent. */
export function takesKeysAlong(partition: Partition, after: CatalogObjects): boolean {
  return (partition.foreignKeys ?? []).some((key) => isOwn(partition, key, after));
}

/** Foreign keys that a detached table has from its parent and is not to have. */
export function keysLeftBehind(partition: Partition, after: CatalogObjects): readonly ForeignKey[] {
  if (!after.has(partition.parent ?? "")) return [];
  const again = after.get(partition.id);
  const known = again?.kind === "partition" ? (again.foreignKeys ?? []) : [];
  return (partition.foreignKeys ?? []).filter(
    (key) =>
      !isOwn(partition, key, after) &&
      !known.some(({ name, definition }) => name === key.name && definition === key.definition),
  );
}

function idOf({ schema, name }: Partition, key: ForeignKey): string {
  return objectId("constraint", schema, name, key.name);
}

function isOwn(partition: Partition, key: ForeignKey, objects: CatalogObjects): boolean {
  const own = objects.get(idOf(partition, key));
  return own?.kind === "constraint" && own.facts.definition === key.definition;
}
