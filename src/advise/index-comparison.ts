// Comparing indexes: equal, covered by another, usable for a foreign key. Pure; sizes and use do not matter here.
import type { Constraint, Index, IndexKey, Table } from "../catalog/index.ts";
import { keyOf } from "./objects.ts";

function isSameKey(one: IndexKey, other: IndexKey): boolean {
  return (
    one.column === other.column &&
    one.expression === other.expression &&
    one.operatorClass === other.operatorClass &&
    one.operatorClassSchema === other.operatorClassSchema &&
    isSameSet(one.operatorClassOptions, other.operatorClassOptions) &&
    one.collation === other.collation &&
    one.direction === other.direction &&
    one.nulls === other.nulls
  );
}

/** Whether `short` is the beginning of `long`, or all of it. */
export function isKeyPrefix(short: readonly IndexKey[], long: readonly IndexKey[]): boolean {
  return (
    short.length <= long.length &&
    short.every((key, at) => {
      const other = long[at];
      return other !== undefined && isSameKey(key, other);
    })
  );
}

export function isSameSet(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((name) => other.includes(name));
}

/** Same method, keys, INCLUDE columns (in any order) and predicate. Uniqueness is not compared. */
export function isSameIndex(one: Index, other: Index): boolean {
  return (
    one.method === other.method &&
    one.predicate === other.predicate &&
    one.keys.length === other.keys.length &&
    isKeyPrefix(one.keys, other.keys) &&
    isSameSet(one.include, other.include)
  );
}

/**
 * Whether everything `one` forbids is forbidden by `other`, which has the same keys: a plain index forbids nothing; NULLS NOT
 * DISTINCT forbids more than the default; a deferrable constraint forbids later than an immediate one.
 */
export function enforcesAtLeast(table: Table, other: Index, one: Index): boolean {
  if (!one.isUnique) return true;
  if (!other.isUnique || (one.nullsNotDistinct && !other.nullsNotDistinct)) return false;
  return isDeferrable(table, one) || !isDeferrable(table, other);
}

const isDeferrable = (table: Table, index: Index): boolean =>
  index.constraint !== undefined &&
  table.constraints.some((constraint) => constraint.name === index.constraint && constraint.isDeferrable);

/** An exclusion constraint's operators are not in the catalog, so such an index is never compared. */
export function isComparable(table: Table, index: Index): boolean {
  if (!index.isValid || index.isBeingBuilt) return false;
  return !table.constraints.some(
    (constraint) => constraint.kind === "exclusion" && constraint.name === index.constraint,
  );
}

/** Order in which equal indexes deserve to stay: the higher first. */
export function worthKeeping(index: Index, schema: string, behindForeignKeys: ReadonlySet<string>): number {
  return (
    (index.isPrimary ? 64 : 0) +
    (behindForeignKeys.has(keyOf(schema, index.name)) ? 32 : 0) +
    (index.isReplicaIdentity ? 16 : 0) +
    (index.partitionOf === undefined ? 0 : 8) +
    (index.constraint === undefined ? 0 : 4) +
    (index.isUnique ? 2 : 0) +
    (index.isClustered ? 1 : 0)
  );
}

/**
 * Whether the index serves the lookups a foreign key causes on its own table (`WHERE fk = $1` for each DELETE or UPDATE of a
 * referenced row): valid, the columns lead it in any order, B-tree, or hash for a single column. A partial index counts only when
 * its predicate is `IS NOT NULL` of those columns, because `=` implies that; every other predicate the planner cannot prove.
 */
export function servesForeignKey(index: Index, foreignKey: Constraint): boolean {
  const wanted = foreignKey.columns;
  // A partitioned table's index may be unfinished; then its partitions are asked one by one.
  if (!index.isValid) return false;
  const isTemporal = /,\s*PERIOD\s/.test(foreignKey.definition);
  const isUsableMethod =
    index.method === "btree" ||
    (index.method === "hash" && wanted.length === 1) ||
    (index.method === "gist" && isTemporal);
  if (!isUsableMethod || !impliesPredicate(wanted, index.predicate)) return false;
  const leading = index.keys.slice(0, wanted.length);
  // With another collation than the column's the planner cannot use the index for `=`.
  const columns = leading.flatMap((key) =>
    key.column === undefined || key.collation !== undefined ? [] : [key.column],
  );
  return new Set(columns).size === wanted.length && columns.every((column) => wanted.includes(column));
}

function impliesPredicate(columns: readonly string[], predicate: string | undefined): boolean {
  if (predicate === undefined) return true;
  return predicate.split(/\s+AND\s+/).every((part) => {
    const name = /^\(*("(?:[^"]|"")+"|[\w$\u0080-\uffff]+) IS NOT NULL\)*$/u.exec(part.trim())?.[1];
    if (name === undefined) return false;
    return columns.includes(name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name);
  });
}
