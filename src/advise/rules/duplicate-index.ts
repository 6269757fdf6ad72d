// Indexes that are equal to another index of the same table.
import type { Catalog, Index, Table } from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import { enforcesAtLeast, isComparable, isSameIndex, worthKeeping } from "../index-comparison.ts";
import { count, dropIndexSql, indexesBehindForeignKeys, keyOf, nameOf, sizeText, sqlNameOf } from "../objects.ts";
import { defineRule } from "../rule.ts";

export const duplicateIndex = defineRule({
  id: "duplicate-index",
  title: "Duplicate index",
  severity: "warning",
  why: "Both indexes answer the same queries, and each INSERT and most UPDATEs maintain both: time, memory and disk for nothing.",
  examines: "indexes",
  check(catalog) {
    const behindForeignKeys = indexesBehindForeignKeys(catalog);
    return {
      examined: catalog.tables.flatMap((table) => table.indexes).length,
      findings: catalog.tables.flatMap((table) =>
        duplicatesOf(table, behindForeignKeys).map(({ index, kept }) => ({
          subject: { kind: "index", schema: table.schema, table: table.name, name: index.name },
          columns: index.keys.map((key) => key.column ?? key.expression),
          message: `${index.name} (${sizeText(index.sizeBytes)}) is equal to ${kept.name}${kept.isUnique && !index.isUnique ? ", which is unique as well" : ""}.`,
          examined: `the ${count(table.indexes.length, "index", "indexes")} of ${nameOf(table)}`,
          fix: dropFix(catalog, table, index, behindForeignKeys),
        })),
      ),
    };
  },
});

/** Each index another one makes unnecessary, with the one that stays. The least worthy goes first; equal ones by name, the later first. */
export function duplicatesOf(
  table: Table,
  behindForeignKeys: ReadonlySet<string>,
): { readonly index: Index; readonly kept: Index }[] {
  const worth = (index: Index): number => worthKeeping(index, table.schema, behindForeignKeys);
  const leastWorthFirst = table.indexes
    .filter((index) => isComparable(table, index))
    .toSorted((a, b) => worth(a) - worth(b) || (a.name < b.name ? 1 : -1));
  const staying = new Set(leastWorthFirst);
  const replaces = (other: Index, index: Index): boolean =>
    other !== index && isSameIndex(other, index) && enforcesAtLeast(table, other, index);
  const dropped = leastWorthFirst.filter((index) => {
    // A partition's share goes when its parent's index goes; that pair is reported on the parent.
    if (index.isPrimary || index.partitionOf !== undefined) return false;
    return [...staying].some((other) => replaces(other, index)) && staying.delete(index);
  });
  return dropped.flatMap((index) => {
    const kept = [...staying].findLast((other) => replaces(other, index));
    return kept === undefined ? [] : [{ index, kept }];
  });
}

/** The statement that drops an index nobody needs; none when a foreign key or replication relies on it. */
export function dropFix(
  catalog: Catalog,
  table: Table,
  index: Index,
  behindForeignKeys: ReadonlySet<string>,
): { description: string; sql: string | undefined } {
  if (behindForeignKeys.has(keyOf(table.schema, index.name))) {
    return {
      description: `Foreign keys rely on ${index.name}: move them to the other index first (drop and add them again), then drop it.`,
      sql: undefined,
    };
  }
  if (index.isReplicaIdentity) {
    return {
      description: `${index.name} is the replica identity of the table: choose the other one (ALTER TABLE … REPLICA IDENTITY), then drop it.`,
      sql: undefined,
    };
  }
  if (index.constraint !== undefined) {
    return {
      description: `Drop the constraint ${index.constraint} and its index with it. INSERT … ON CONFLICT ON CONSTRAINT ${index.constraint} would fail afterwards.`,
      sql: `ALTER TABLE ${sqlNameOf(table)} DROP CONSTRAINT IF EXISTS ${identifier(index.constraint)};`,
    };
  }
  const how = index.isPartitioned
    ? "Drop it, and with it the indexes of the partitions. Takes ACCESS EXCLUSIVE for a moment."
    : "Drop it. CONCURRENTLY lets queries go on and must run outside a transaction, as a statement of its own.";
  return { description: how, sql: dropIndexSql(table.schema, index) };
}
