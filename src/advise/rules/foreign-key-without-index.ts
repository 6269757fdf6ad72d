// Foreign keys whose columns lead no usable index of the referencing table.
import type { Constraint, Table } from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import { servesForeignKey } from "../index-comparison.ts";
import {
  columnList,
  count,
  foreignKeysOf,
  takeName,
  listNames,
  nameOf,
  partitionsOf,
  relationNames,
  sqlNameOf,
} from "../objects.ts";
import { defineRule, type RuleSettings } from "../rule.ts";

export const foreignKeyWithoutIndex = defineRule({
  id: "foreign-key-without-index",
  title: "Foreign key without an index",
  severity: "warning",
  why: "Each DELETE or key change of a referenced row searches the referencing table; without an index it reads all of it, once per row, and holds its locks all the time. Joins along the key are slow too.",
  examines: "foreign keys",
  check(catalog, settings) {
    const partitions = partitionsOf(catalog);
    // One set per schema: the fixes of one report must not propose one name twice.
    const takenBySchema = new Map<string, Set<string>>();
    const takenIn = (schema: string): Set<string> => {
      const taken = takenBySchema.get(schema) ?? new Set(relationNames(catalog, schema));
      takenBySchema.set(schema, taken);
      return taken;
    };
    // A key that came from the partitioned parent is judged there; one that only a partition has is judged on the partition.
    const foreignKeys = catalog.tables
      .filter((table) => table.kind !== "foreign")
      .flatMap((table) =>
        foreignKeysOf(table)
          .filter((foreignKey) => foreignKey.isEnforced && foreignKey.isLocal)
          .map((foreignKey) => ({ table, foreignKey })),
      );
    return {
      examined: foreignKeys.length,
      findings: foreignKeys.flatMap(({ table, foreignKey }) => {
        const serves = (candidate: Table): boolean =>
          candidate.indexes.some((index) => servesForeignKey(index, foreignKey));
        const leaves = partitions.leavesOf(table);
        const lacking = leaves.filter((leaf) => !serves(leaf));
        if (leaves.length === 0 ? serves(table) : lacking.length === 0) return [];
        const where =
          table.kind === "partitioned" && lacking.length > 0
            ? ` in ${lacking.length} of ${count(leaves.length, "partition")} (${listNames(
                lacking.map((leaf) => leaf.name),
                3,
              )})`
            : "";
        const target =
          foreignKey.references === undefined
            ? ""
            : ` (to ${foreignKey.references.schema}.${foreignKey.references.table})`;
        return [
          {
            subject: { kind: "constraint", schema: table.schema, table: table.name, name: foreignKey.name },
            columns: foreignKey.columns,
            message: `No index of ${nameOf(table)} begins with ${foreignKey.columns.join(", ")} of the foreign key ${foreignKey.name}${target}${where}.`,
            examined: `the ${count(table.indexes.length, "index", "indexes")} of ${nameOf(table)}${leaves.length > 1 ? " and those of its partitions" : ""}`,
            fix: fixFor(takenIn(table.schema), table, foreignKey, settings),
          },
        ];
      }),
    };
  },
});

function fixFor(
  taken: Set<string>,
  table: Table,
  foreignKey: Constraint,
  settings: RuleSettings,
): { description: string; sql: string } {
  const columns = foreignKey.columns.join("_");
  const name = takeName(
    settings.naming === "pgsteward" ? `idx_${table.name}_${columns}` : `${table.name}_${columns}_idx`,
    taken,
  );
  const definition = `${identifier(name)} ON ${sqlNameOf(table)} (${columnList(foreignKey.columns)});`;
  if (table.kind === "partitioned") {
    // CREATE INDEX CONCURRENTLY on a partitioned table is refused (0A000).
    return {
      description:
        "Create the index on the partitioned table. Writes wait while it is built; to avoid that, first build the same index CONCURRENTLY on each partition: this statement then takes those over instead of building.",
      sql: `CREATE INDEX ${definition}`,
    };
  }
  return {
    description:
      "Create the index. CONCURRENTLY lets writes go on and must run outside a transaction, as a statement of its own.",
    sql: `CREATE INDEX CONCURRENTLY ${definition}`,
  };
}
