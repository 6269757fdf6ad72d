// Turns pg_depend's numbers into names: which object needs which.
import type { Column, Dependency, ObjectReference } from "./model.ts";
import { CATALOG_OIDS, type NamedObject } from "./queries/family.ts";
import type { DependenciesRead } from "./queries/dependencies.ts";

/** An object as others refer to it. */
interface Reference {
  readonly reference: ObjectReference;
  /** Kind it is sorted under: a column stands with its table. */
  readonly kind: string;
  /** Place among all references; those of one name share it. */
  rank: number;
}

/** No table has more columns (MaxHeapAttributeNumber is 1,600), so that an oid and a column's number make one key. */
const COLUMNS_LIMIT = 2048;

/**
 * @param named - all objects of the schemas that were read, in lists; a later one replaces an earlier one of the same oid
 * @param columns - by `pg_class.oid`
 * @returns each once, sorted by kind, schema, name and part of both ends
 */
export function resolveDependencies(
  { needs, members }: DependenciesRead,
  named: readonly (readonly NamedObject[])[],
  columns: ReadonlyMap<number, readonly Column[]>,
): readonly Dependency[] {
  const references = new References(named, members, columns);
  const ends: Reference[] = [];
  for (let at = 0; at < needs.length; at += 6) {
    const from = references.get(needs[at] ?? 0, needs[at + 1] ?? 0, needs[at + 2] ?? 0);
    if (from === undefined) continue;
    const to = references.needed(needs[at + 3] ?? 0, needs[at + 4] ?? 0, needs[at + 5] ?? 0);
    if (to !== undefined) ends.push(from, to);
  }
  const ranked = references.rank();
  // Both ends as one number: a typed array sorts numbers many times as fast as an array sorts objects.
  const pairs = new Float64Array(ends.length / 2);
  for (let place = 0; place < pairs.length; place++) {
    pairs[place] = (ends[2 * place]?.rank ?? 0) * ranked.length + (ends[2 * place + 1]?.rank ?? 0);
  }
  pairs.sort();
  const dependencies: Dependency[] = [];
  for (const [place, pair] of pairs.entries()) {
    if (pair === pairs[place - 1]) continue;
    const from = ranked[Math.floor(pair / ranked.length)];
    const to = ranked[pair % ranked.length];
    if (from !== undefined && to !== undefined) dependencies.push({ from, to });
  }
  return dependencies;
}

/**
 * @param members - classid and objid of what an extension brought along, and the extension's oid
 * @returns by the extension's name its members that are relations, types or functions
 */
export function extensionMembers(
  members: readonly number[],
  named: readonly (readonly NamedObject[])[],
): ReadonlyMap<string, readonly ObjectReference[]> {
  const extensions = new Map<number, Map<number, number>>();
  for (let at = 0; at < members.length; at += 3)
    within(extensions, members[at] ?? 0).set(members[at + 1] ?? 0, members[at + 2] ?? 0);
  const names = new Map<number, string>();
  const found: { readonly extension: number; readonly member: ObjectReference }[] = [];
  if (extensions.size === 0) return new Map();
  for (const list of named) {
    for (const { catalog, oid, kind, schema, name, part } of list) {
      if (name === undefined) continue;
      if (catalog === CATALOG_OIDS.pg_extension) names.set(oid, name);
      const extension = extensions.get(catalog)?.get(oid);
      if (extension !== undefined && kind !== undefined)
        found.push({ extension, member: { kind, schema, name, part } });
    }
  }
  const byName = new Map<string, ObjectReference[]>();
  for (const { extension, member } of found) {
    const name = names.get(extension);
    if (name === undefined) continue;
    const list = byName.get(name);
    if (list === undefined) byName.set(name, [member]);
    else list.push(member);
  }
  return byName;
}

class References {
  /** By the oid of the catalog they stand in, then by their own. */
  readonly #objects = new Map<number, Map<number, NamedObject>>();
  readonly #extensions = new Map<number, Map<number, number>>();
  readonly #columns: ReadonlyMap<number, readonly Column[]>;
  readonly #resolved = new Map<number, Map<number, Reference | undefined>>();
  readonly #found: Reference[] = [];

  constructor(
    named: readonly (readonly NamedObject[])[],
    members: readonly number[],
    columns: ReadonlyMap<number, readonly Column[]>,
  ) {
    for (const list of named) for (const object of list) within(this.#objects, object.catalog).set(object.oid, object);
    for (let at = 0; at < members.length; at += 3) {
      within(this.#extensions, members[at] ?? 0).set(members[at + 1] ?? 0, members[at + 2] ?? 0);
    }
    this.#columns = columns;
  }

  /** @returns `undefined` for what is in no schema that was read */
  get(catalog: number, oid: number, column: number): Reference | undefined {
    const resolved = within(this.#resolved, catalog);
    const key = oid * COLUMNS_LIMIT + column;
    const known = resolved.get(key);
    if (known !== undefined || resolved.has(key)) return known;
    const reference = this.#resolve(catalog, oid, column);
    resolved.set(key, reference);
    return reference;
  }

  /** The same, and an extension for what it brought along. */
  needed(catalog: number, oid: number, column: number): Reference | undefined {
    const extension = this.#extensions.get(catalog)?.get(oid);
    return extension === undefined ? this.get(catalog, oid, column) : this.get(CATALOG_OIDS.pg_extension, extension, 0);
  }

  /** Gives all that were found their ranks. @returns one reference for each rank */
  rank(): readonly ObjectReference[] {
    const ranked: ObjectReference[] = [];
    let last: Reference | undefined;
    for (const found of this.#found.sort(inOrder)) {
      if (last === undefined || inOrder(last, found) !== 0) ranked.push(found.reference);
      found.rank = ranked.length - 1;
      last = found;
    }
    return ranked;
  }

  #resolve(catalog: number, oid: number, column: number): Reference | undefined {
    const object = this.#objects.get(catalog)?.get(oid);
    if (object === undefined) return undefined;
    const relation =
      object.relation === undefined ? object : this.#objects.get(CATALOG_OIDS.pg_class)?.get(object.relation);
    if (relation === undefined) return undefined;
    const kind = object.kind ?? relation.kind ?? "table";
    const { schema, name = "" } = relation;
    const columnName = column > 0 && catalog === CATALOG_OIDS.pg_class ? this.#columnName(oid, column) : undefined;
    return columnName === undefined
      ? this.#named(kind, kind, schema, name, object.part)
      : this.#named(kind, "column", schema, name, columnName);
  }

  #columnName(relation: number, position: number): string | undefined {
    return this.#columns.get(relation)?.find((column) => column.position === position)?.name;
  }

  #named(
    sortedAs: string,
    kind: ObjectReference["kind"],
    schema: string | undefined,
    name: string,
    part: string | undefined,
  ): Reference {
    const made = { reference: { kind, schema, name, part }, kind: sortedAs, rank: 0 };
    this.#found.push(made);
    return made;
  }
}

function within<T>(maps: Map<number, Map<number, T>>, catalog: number): Map<number, T> {
  const known = maps.get(catalog);
  if (known !== undefined) return known;
  const made = new Map<number, T>();
  maps.set(catalog, made);
  return made;
}

function inOrder(a: Reference, b: Reference): number {
  return (
    byBytes(a.kind, b.kind) ||
    byBytes(a.reference.schema, b.reference.schema) ||
    byBytes(a.reference.name, b.reference.name) ||
    byBytes(a.reference.part, b.reference.part)
  );
}

/** As `COLLATE "C"` has it; what is not there comes last. */
function byBytes(a: string | undefined, b: string | undefined): number {
  if (a === b) return 0;
  if (a === undefined) return 1;
  if (b === undefined) return -1;
  return a < b ? -1 : 1;
}
