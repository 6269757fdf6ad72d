// B-tree indexes whose keys are the beginning of another index.
import type { Index, Table } from "../../catalog/index.ts";
import { enforcesAtLeast, isComparable, isKeyPrefix, isSameIndex } from "../index-comparison.ts";
import { count, indexesBehindForeignKeys, nameOf, sizeText } from "../objects.ts";
import { defineRule } from "../rule.ts";
import { dropFix, duplicatesOf } from "./duplicate-index.ts";

export const indexCoveredByAnother = defineRule({
  id: "index-covered-by-another",
  title: "Index covered by another",
  severity: "warning",
  why: "The longer index answers every query the shorter one can. The shorter one is a little faster to read, but each write maintains both.",
  examines: "indexes",
  check(catalog) {
    const behindForeignKeys = indexesBehindForeignKeys(catalog);
    return {
      examined: catalog.tables.flatMap((table) => table.indexes).length,
      findings: catalog.tables.flatMap((table) => {
        const duplicates = new Set(duplicatesOf(table, behindForeignKeys).map((duplicate) => duplicate.index));
        const candidates = table.indexes.filter((index) => !duplicates.has(index));
        return candidates.flatMap((index) => {
          const wider = candidates.filter((candidate) => covers(table, candidate, index)).toSorted(byWidth)[0];
          if (wider === undefined) return [];
          return [
            {
              subject: { kind: "index" as const, schema: table.schema, table: table.name, name: index.name },
              columns: index.keys.map((key) => key.column ?? key.expression),
              message: `${index.name} (${keysText(index)}; ${sizeText(index.sizeBytes)}) is the beginning of ${wider.name} (${keysText(wider)}).`,
              examined: `the ${count(table.indexes.length, "index", "indexes")} of ${nameOf(table)}`,
              fix: dropFix(catalog, table, index, behindForeignKeys),
            },
          ];
        });
      }),
    };
  },
});

/**
 * Only B-trees: a prefix of any other method is no cheaper lookup. A unique index forbids something, so only a unique index on
 * the very same keys (with more INCLUDE columns) covers it; one that serves a constraint or is a partition's share of its
 * parent's index cannot be dropped alone and is left out.
 */
function covers(table: Table, wider: Index, index: Index): boolean {
  if (wider === index || index.method !== "btree" || wider.method !== "btree") return false;
  if (!isComparable(table, index) || !isComparable(table, wider)) return false;
  if (index.constraint !== undefined || index.isReplicaIdentity || index.partitionOf !== undefined) return false;
  if (index.predicate !== wider.predicate || !isKeyPrefix(index.keys, wider.keys) || isSameIndex(index, wider))
    return false;
  if (index.isUnique && (wider.keys.length !== index.keys.length || !enforcesAtLeast(table, wider, index)))
    return false;
  const stored = new Set([...wider.keys.map((key) => key.column), ...wider.include]);
  return index.include.every((column) => stored.has(column));
}

const keysText = (index: Index): string =>
  index.keys.map((key) => key.column ?? key.expression).join(", ") +
  (index.include.length > 0 ? ` INCLUDE ${index.include.join(", ")}` : "");

const byWidth = (a: Index, b: Index): number =>
  b.keys.length - a.keys.length || b.include.length - a.include.length || (a.name < b.name ? -1 : 1);
