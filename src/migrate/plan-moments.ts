// The order of what leaves a parent table early, of what joins one late, and of types that go when nothing is made of them any more.
import { objectId, type CatalogObject, type CatalogObjects } from "../catalog/index.ts";
import { columnsAndChecks, dependantsOf, linkedOperator } from "./object-lookups.ts";
import { takesKeysAlong } from "./partition-keys.ts";
import type { Actions } from "./plan-actions.ts";
import type { RuleContext } from "./rules/statement.ts";

interface Links {
  readonly dropKey: (id: string) => string;
  readonly createKey: (id: string) => string;
  /** Puts the node `earlier` before the node `key`, where both exist. */
  readonly link: (key: string, earlier: string) => unknown;
}

export function connectMoments(context: RuleContext, actions: Actions, links: Links): void {
  const { before, after } = context;
  for (const id of actions.altered.keys()) {
    const object = after.get(id);
    links.link(`late ${id}`, `alter ${id}`);
    if (object?.kind === "domain")
      for (const need of before.get(id)?.needs ?? [])
        if (actions.dropped.has(need)) links.link(links.dropKey(need), `early ${id}`);
    if (actions.swapped.has(id))
      for (const need of before.get(id)?.needs ?? [])
        if (actions.dropped.has(need)) links.link(links.dropKey(need), `late ${id}`);
    if (object?.kind === "column" && object.inheritedFrom !== undefined) {
      const old = before.get(id);
      const [heir, parent] = [`alter ${id}`, `alter ${object.inheritedFrom}`];
      // A parent passes NOT NULL down to heirs that do so too; an heir loses it as soon as its parent passes it down no more.
      if (old?.kind === "column" && old.facts.isNotNullNoInherit && !object.facts.isNotNullNoInherit)
        links.link(parent, heir);
      else if (object.facts.isNullable || object.facts.isNotNullNoInherit) links.link(heir, parent);
    }
    if (object?.kind === "column" || object?.kind === "function")
      for (const need of before.get(id)?.needs ?? []) links.link(`late ${need}`, `alter ${id}`);
    if (object?.kind === "operator")
      for (const word of ["commutator", "negator"] as const) {
        const other = linkedOperator(object, word, after);
        if (other !== undefined && actions.created.has(other.id)) links.link(`alter ${id}`, links.createKey(other.id));
      }
    if (object?.kind === "table") connectHeir(object, context, actions, links);
    if (object?.kind === "composite" || object?.kind === "domain" || object?.kind === "range")
      for (const need of before.get(id)?.needs ?? []) {
        links.link(`late ${need}`, `alter ${id}`);
        links.link(`late ${need}`, `late ${id}`);
      }
  }
  for (const id of actions.dropped) {
    const object = before.get(id);
    if (object?.kind === "column") followParents(object, context, actions, links);
    if (object?.kind === "partition" && takesKeysAlong(object, after)) connectLeaving(object, context, actions, links);
    const partition = objectId("partition", object?.schema, object?.name ?? "");
    if (object?.inheritedFrom === undefined || !actions.dropped.has(partition)) continue;
    // First it is detached: then each of the two can drop its own.
    links.link(links.dropKey(id), links.dropKey(partition));
    if (actions.dropped.has(object.inheritedFrom))
      links.link(links.dropKey(object.inheritedFrom), links.dropKey(partition));
  }
  for (const id of [...actions.created, ...actions.altered.keys()]) {
    const object = after.get(id);
    if (object?.kind === "view") connectRows(object, context, actions, links);
    if (object?.kind !== "table" || !actions.created.has(id)) continue;
    // An heir gets what its parents have when it is made.
    for (const { schema, name } of object.facts.inherits)
      followRelation(links.createKey(id), schema, name, context, actions, links);
  }
  for (const id of actions.created) {
    const key = after.get(id);
    if (key?.kind === "constraint" && key.facts.kind === "foreign key") followOldKeys(key, context, actions, links);
  }
  followTableLists(context, actions, links);
  connectParts(context, actions, links);
  for (const id of actions.created) {
    const partition = after.get(id);
    if (partition?.kind !== "partition") continue;
    // A table is attached to one that has its columns already, in the same form.
    if (before.has(partition.parent ?? ""))
      for (const need of partition.needs) links.link(links.createKey(id), `validate ${need}`);
    const { parentSchema, parentTable } = partition.facts;
    for (const part of passedDown(after, parentSchema, parentTable)) {
      if (part.kind !== "column") continue;
      links.link(links.createKey(id), `alter ${part.id}`);
      if (actions.created.has(part.id)) links.link(links.createKey(id), links.createKey(part.id));
    }
  }
}

/** The index of a partitioned table that joins another is found by that when it has its parts, and is valid. */
function connectParts({ after }: RuleContext, { created }: Actions, { link, createKey }: Links): void {
  for (const id of created) {
    const part = after.get(id);
    if (part?.kind !== "index partition") continue;
    let above = after.get(after.get(part.parent ?? "")?.inheritedFrom ?? "");
    while (above !== undefined && created.has(above.id)) {
      const attached = objectId("partition", above.schema, above.name);
      if (above.inheritedFrom !== undefined && !created.has(above.inheritedFrom) && created.has(attached))
        link(createKey(attached), createKey(id));
      above = after.get(above.inheritedFrom ?? "");
    }
  }
}

/** A foreign key leads to any unique index of its columns: to the one that is to go as well, as long as that is there. */
function followOldKeys(
  foreignKey: CatalogObject,
  { before, after }: RuleContext,
  { dropped, created }: Actions,
  { link, createKey, dropKey }: Links,
): void {
  const tables = new Set(foreignKey.needs.flatMap((id) => [id, after.get(id)?.parent ?? id]));
  for (const id of dropped) {
    const key = before.get(id);
    const isUnique =
      key?.kind === "index"
        ? key.facts.definition.startsWith("CREATE UNIQUE ")
        : key?.kind === "constraint" && (key.facts.kind === "primary key" || key.facts.kind === "unique");
    const isTableKept = tables.has(key?.parent ?? "") && !dropped.has(key?.parent ?? "");
    if (isUnique && isTableKept && !created.has(id)) link(createKey(foreignKey.id), dropKey(id));
  }
}

/** What is revoked on a table is revoked on its columns too, so theirs comes after that. */
function followTableLists({ before, after }: RuleContext, actions: Actions, { link, createKey, dropKey }: Links): void {
  const { dropped, created, altered } = actions;
  const ids = [...new Set([...dropped, ...created, ...altered.keys()])];
  const lists = ids.flatMap((id) => {
    const object = after.get(id) ?? before.get(id);
    return object?.kind === "privileges" ? [object] : [];
  });
  const tables = new Map(
    lists.filter(({ facts }) => facts.column === undefined).map(({ id, facts }) => [facts.on, id]),
  );
  for (const { id, facts } of lists) {
    const table = facts.column === undefined ? undefined : tables.get(facts.on);
    if (table === undefined) continue;
    for (const key of [`alter ${id}`, ...(created.has(id) ? [createKey(id)] : [])])
      for (const earlier of [dropKey(table), `alter ${table}`, createKey(table)]) link(key, earlier);
  }
}

/** A partition takes its foreign keys along as long as its parent has them. */
function connectLeaving(
  { id, facts }: CatalogObject<"partition">,
  { before }: RuleContext,
  { dropped }: Actions,
  { link, dropKey }: Links,
): void {
  const table = objectId("table", facts.parentSchema, facts.parentTable);
  for (const dependant of dependantsOf(before).get(table) ?? []) {
    const key = before.get(dependant);
    const isForeignKey = key?.kind === "constraint" && key.facts.kind === "foreign key" && key.parent === table;
    if (isForeignKey && dropped.has(dependant)) link(dropKey(dependant), dropKey(id));
  }
}

/** A column that a table has for itself and from a parent can be dropped when the parent's is gone. */
function followParents(
  { id, parent, schema, part }: CatalogObject,
  { before }: RuleContext,
  { dropped }: Actions,
  { link, dropKey }: Links,
): void {
  const table = before.get(parent ?? "");
  if (table?.kind !== "table" || dropped.has(table.id)) return;
  for (const above of table.facts.inherits) {
    const column = before.get(objectId("column", above.schema ?? schema, above.name, part));
    if (column !== undefined && dropped.has(column.id) && !dropped.has(column.parent ?? ""))
      link(dropKey(id), dropKey(column.id));
  }
}

/** The text of a view over a function names all columns of the rows that the function gives. */
function connectRows(view: CatalogObject<"view">, context: RuleContext, actions: Actions, links: Links): void {
  const key = actions.created.has(view.id) ? links.createKey(view.id) : `alter ${view.id}`;
  for (const called of view.needs) {
    const source = context.after.get(called);
    if (source?.kind !== "function") continue;
    for (const need of source.needs) {
      const rows = context.after.get(need);
      if (rows?.kind === "table") followRelation(key, rows.schema ?? "", rows.name, context, actions, links);
    }
  }
}

/** Puts a node after everything that happens to the columns of a table and to their defaults. */
function followRelation(
  key: string,
  schema: string,
  name: string,
  { before, after }: RuleContext,
  actions: Actions,
  { dropKey, createKey, link }: Links,
): void {
  for (const part of columnsAndChecks(schema, name, after)) {
    if (part.kind === "constraint") continue;
    link(key, `alter ${part.id}`);
    if (actions.created.has(part.id)) link(key, createKey(part.id));
  }
  for (const part of columnsAndChecks(schema, name, before))
    if (part.kind !== "constraint" && actions.dropped.has(part.id)) link(key, dropKey(part.id));
}

function connectHeir(
  table: CatalogObject<"table">,
  { before, after }: RuleContext,
  actions: Actions,
  { dropKey, createKey, link }: Links,
): void {
  const { id, schema, name } = table;
  const old = before.get(id);
  if (old?.kind !== "table") return;
  const early = `early ${id}`;
  for (const type of old.needs.filter((need) => before.get(need)?.kind === "composite")) {
    if (actions.dropped.has(type)) link(dropKey(type), early);
    link(`alter ${type}`, early);
  }
  for (const type of table.needs.filter((need) => after.get(need)?.kind === "composite")) {
    if (actions.created.has(type)) link(`late ${id}`, createKey(type));
    link(`late ${id}`, `alter ${type}`);
  }
  for (const part of passedDown(before, schema, name)) {
    if (actions.dropped.has(part.id)) link(dropKey(part.id), early);
    link(`alter ${part.id}`, early);
  }
  for (const parent of old.facts.inherits) {
    const parentId = objectId("table", parent.schema, parent.name);
    if (actions.dropped.has(parentId)) link(dropKey(parentId), early);
    for (const part of passedDown(before, parent.schema, parent.name)) {
      if (actions.dropped.has(part.id)) link(dropKey(part.id), early);
      link(`alter ${part.id}`, early);
    }
  }
  const parts = [{ schema, name }, ...table.facts.inherits].flatMap((of) => passedDown(after, of.schema, of.name));
  for (const part of parts) {
    for (const word of ["create", "alter", "validate"]) link(`late ${id}`, `${word} ${part.id}`);
    if (actions.created.has(part.id)) link(`late ${id}`, createKey(part.id));
  }
}

/** Without defaults. */
function passedDown(objects: CatalogObjects, schema: string | undefined, name: string): readonly CatalogObject[] {
  return columnsAndChecks(schema, name, objects).filter(({ kind }) => kind !== "default");
}
