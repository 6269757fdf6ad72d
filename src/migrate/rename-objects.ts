// The objects of the catalog before as they are once renames are done: PostgreSQL itself carries a new name into everything that
// depends on it, except into the bodies of functions, which are text.
import { objectId, type CatalogObject, type CatalogObjects } from "../catalog/index.ts";
import { printedIdentifier } from "../postgres/index.ts";
import { NewNames } from "./rename-names.ts";
import type { ResolvedRename } from "./renames.ts";
import { tokensOf, type Token } from "./sql-tokens.ts";

export interface RenamedObjects {
  readonly objects: CatalogObjects;
  /** By the id that an object has now: what it was before. */
  readonly originals: CatalogObjects;
}

/** @param after - the wanted objects: SQL of `before` that differs from theirs by followed names only is taken to be theirs */
export function renamedObjects(
  before: CatalogObjects,
  after: CatalogObjects,
  renames: readonly ResolvedRename[],
): RenamedObjects {
  if (renames.length === 0) return { objects: before, originals: before };
  const names = new NewNames(renames);
  const ids = new Map<string, string>();
  for (const object of before.values()) ids.set(object.id, newId(object, before, names, ids));
  const objects = new Map<string, CatalogObject>();
  const originals = new Map<string, CatalogObject>();
  for (const object of before.values()) {
    const id = ids.get(object.id) ?? object.id;
    const idOf = (old: string): string => ids.get(old) ?? old;
    const pairs = pairsFor(object, before, renames);
    const counterpart = after.get(id);
    const facts = renamedFacts(object, before, names, pairs, counterpart);
    const { schema, name, part } = identity(object, before, names);
    originals.set(id, object);
    objects.set(id, {
      ...object,
      id,
      schema,
      name,
      part,
      facts,
      parent: object.parent === undefined ? undefined : idOf(object.parent),
      needs: object.needs.map(idOf),
      inheritedFrom: object.inheritedFrom === undefined ? undefined : idOf(object.inheritedFrom),
    } as CatalogObject);
  }
  return { objects, originals };
}

function identity(object: CatalogObject, before: CatalogObjects, names: NewNames): ReturnType<NewNames["of"]> {
  const parent = before.get(object.parent ?? "");
  if (object.kind === "comment") {
    const schema = object.schema === undefined ? undefined : names.schema(object.schema);
    return { schema, name: names.target(object.name, parent), part: undefined };
  }
  if (object.kind === "privileges" && parent !== undefined) return names.of(parent);
  return names.of(object);
}

function newId(
  object: CatalogObject,
  before: CatalogObjects,
  names: NewNames,
  ids: ReadonlyMap<string, string>,
): string {
  if (object.kind === "privileges") {
    const parent = before.get(object.parent ?? "");
    return parent === undefined ? object.id : `privileges ${ids.get(parent.id) ?? newId(parent, before, names, ids)}`;
  }
  if (object.kind === "default privileges") {
    const { role, schema, of } = object.facts;
    const written = schema === undefined ? "" : names.schema(schema);
    return `default privileges ${JSON.stringify([role, written, of])}`;
  }
  const { schema, name, part } = identity(object, before, names);
  const plain = objectId(object.kind, object.schema, object.name, object.part);
  return plain === object.id ? objectId(object.kind, schema, name, part) : object.id;
}

/** Names that a text of the object may have under their new form. */
interface Pairs {
  /** Columns and their new names; a text must not have the old one any more. */
  readonly columns: ReadonlyMap<string, string>;
  /** The same, where another relation has a column of that name too. */
  readonly unsure: ReadonlySet<string>;
  /** Relations, indexes, schemas: by themselves they stand in facts, and before the names of columns. */
  readonly others: ReadonlyMap<string, string>;
}

function pairsFor(object: CatalogObject, before: CatalogObjects, renames: readonly ResolvedRename[]): Pairs {
  const columns = new Map<string, string>();
  const unsure = new Set<string>();
  const others = new Map<string, string>();
  const own = [object.id, ...object.needs, ...(object.parent === undefined ? [] : [object.parent])];
  const near = new Set([...own, ...own.flatMap((id) => before.get(id)?.needs ?? [])]);
  for (const { object: target, newName } of renames) {
    if (target.kind !== "column") {
      others.set(target.part ?? target.name, newName);
      continue;
    }
    const { part: old = "" } = target;
    if (!near.has(target.id) && !near.has(target.parent ?? "")) continue;
    columns.set(old, newName);
    const isElsewhere = [...near].some((id) => {
      const other = before.get(id);
      return other?.kind === "column" && other.part === old && other.id !== target.id;
    });
    if (isElsewhere) unsure.add(old);
  }
  return { columns, unsure, others };
}

function renamedFacts(
  object: CatalogObject,
  before: CatalogObjects,
  names: NewNames,
  pairs: Pairs,
  counterpart: CatalogObject | undefined,
): unknown {
  const parent = before.get(object.parent ?? "");
  if (object.kind === "comment") return { ...object.facts, on: names.target(object.facts.on, parent) };
  if (object.kind === "privileges") {
    const { column, on } = object.facts;
    const isColumn = column !== undefined && parent?.schema !== undefined;
    return {
      ...object.facts,
      on: isColumn ? names.target(on, before.get(parent.parent ?? "")) : names.target(on, parent),
      column: isColumn ? names.part("column", parent.schema, parent.name, column) : column,
    };
  }
  if (object.kind === "partition") {
    const { parentSchema, parentTable, bound } = object.facts;
    const above = names.named("relation", { schema: parentSchema, name: parentTable });
    return { parentSchema: above.schema, parentTable: above.name, bound: names.sql(bound) };
  }
  if (object.kind === "sequence owner") {
    const { schema, table, column } = object.facts;
    const owner = names.named("relation", { schema, name: table });
    return { schema: owner.schema, table: owner.name, column: names.part("column", schema, table, column) };
  }
  if (object.kind === "enum") {
    const { schema = "", name } = object;
    return { labels: object.facts.labels.map((label) => names.label(schema, name, label)) };
  }
  const wanted: unknown = counterpart?.facts;
  // What a view calls its columns stays.
  if (object.kind === "view") {
    const { columns, defaults, ...rest } = object.facts;
    return {
      ...(mapTexts(rest, wanted, (text, other) => follow(text, other, names, pairs)) as object),
      columns: columns.map((column) => ({ ...column, type: names.sql(column.type) })),
      defaults: defaults.map(({ column, expression }) => ({ column, expression: names.sql(expression) })),
    };
  }
  if (object.kind === "function") return functionFacts(object, names, pairs, wanted);
  return mapTexts(object.facts, wanted, (text, other) => follow(text, other, names, pairs));
}

/** A body in quotes is kept as it was written; one after BEGIN ATOMIC or RETURN is kept as a parse tree, and follows. */
function functionFacts({ facts }: CatalogObject<"function">, names: NewNames, pairs: Pairs, wanted: unknown): unknown {
  const at = /\nAS (?:\$|E?')/.exec(facts.definition)?.index;
  if (at === undefined) return mapTexts(facts, wanted, (text, other) => follow(text, other, names, pairs));
  const header = names.sql(facts.header);
  return { ...facts, header, definition: `${names.sql(facts.definition.slice(0, at))}${facts.definition.slice(at)}` };
}

/** Every text in a value, with the text in the same place of another. */
function mapTexts(value: unknown, other: unknown, map: (text: string, other: string | undefined) => string): unknown {
  if (typeof value === "string") return map(value, typeof other === "string" ? other : undefined);
  if (Array.isArray(value)) {
    const others: readonly unknown[] = Array.isArray(other) ? other : [];
    return value.map((item, index) => mapTexts(item, others[index], map));
  }
  if (typeof value !== "object" || value === null) return value;
  const others = new Map(typeof other === "object" && other !== null ? Object.entries(other) : []);
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, mapTexts(item, others.get(name), map)]));
}

function follow(text: string, other: string | undefined, names: NewNames, pairs: Pairs): string {
  const qualified = names.sql(text);
  if (other !== undefined && isFollowed(tokensOf(qualified), tokensOf(other), pairs)) return other;
  if (pairs.columns.size === 0) return qualified;
  return tokensOf(qualified)
    .map(({ kind, value, raw, space }) => {
      const renamed = kind === "name" ? pairs.columns.get(value) : undefined;
      return `${space}${renamed === undefined ? raw : printedIdentifier(renamed)}`;
    })
    .join("");
}

/** Whether one SQL is the other once names are followed. */
function isFollowed(old: readonly Token[], wanted: readonly Token[], { columns, unsure, others }: Pairs): boolean {
  let at = 0;
  for (let index = 0; index < old.length; index++) {
    const token = old[index];
    const other = wanted[at++];
    if (token === undefined || other === undefined || token.kind !== other.kind) return false;
    const isSame = token.value === other.value;
    if (token.kind !== "name") {
      if (!isSame) return false;
      continue;
    }
    const renamed = columns.get(token.value);
    // What a view calls its column stays: `state` is printed as `status AS state` from then on.
    const isAlias = old[index - 1]?.value === "AS";
    if (renamed === undefined || (isSame && (isAlias || unsure.has(token.value)))) {
      if (!isSame && others.get(token.value) !== other.value) return false;
      continue;
    }
    if (renamed !== other.value) return false;
    const saysName = old[index + 1]?.value === "AS";
    if (!saysName && wanted[at]?.value === "AS" && wanted[at + 1]?.value === token.value) at += 2;
    // The other way round, a column has the name again that the view calls it.
    else if (saysName && old[index + 2]?.value === renamed && wanted[at]?.value !== "AS") index += 2;
  }
  return at === wanted.length;
}
