// Tables without a primary key.
import type { Catalog, Table } from "../../catalog/index.ts";
import {
  columnList,
  columnOf,
  count,
  freeName,
  nameOf,
  partitionColumnsOf,
  primaryKeyOf,
  relationNames,
  sqlNameOf,
  wholeTables,
} from "../objects.ts";
import { identifier } from "../../postgres/index.ts";
import { defineRule, type RuleSettings } from "../rule.ts";

export const primaryKeyMissing = defineRule({
  id: "primary-key-missing",
  title: "Table without a primary key",
  severity: "error",
  why: "Without a primary key a row cannot be named: two equal rows cannot be told apart, nothing can reference the table, and logical replication cannot apply an UPDATE or DELETE.",
  examines: "tables",
  check(catalog, settings) {
    const tables = wholeTables(catalog);
    return {
      examined: tables.length,
      findings: tables
        .filter((table) => primaryKeyOf(table) === undefined)
        .map((table) => ({
          subject: { kind: "table", schema: table.schema, name: table.name },
          columns: [],
          message: `${nameOf(table)} has no primary key.`,
          examined: `the ${count(table.constraints.length, "constraint")} and ${count(table.indexes.length, "index", "indexes")} of ${nameOf(table)}`,
          fix: fixFor(catalog, table, settings),
        })),
    };
  },
});

function fixFor(
  catalog: Catalog,
  table: Table,
  settings: RuleSettings,
): { description: string; sql: string | undefined } {
  const name = settings.naming === "pgsteward" ? `pk_${table.name}` : `${table.name}_pkey`;
  const taken = relationNames(catalog, table.schema);
  const usable = table.indexes.find(
    (index) =>
      index.isUnique &&
      index.isValid &&
      !index.isPartitioned &&
      index.method === "btree" &&
      index.constraint === undefined &&
      index.predicate === undefined &&
      index.keys.every(
        (key) =>
          key.column !== undefined &&
          key.isDefaultOperatorClass &&
          key.direction === "asc" &&
          key.nulls === "last" &&
          columnOf(table, key.column)?.isNullable === false,
      ),
  );
  if (usable !== undefined) {
    return {
      description: `The unique index ${usable.name} is on columns that are never null: make it the primary key. The index is kept and renamed.`,
      sql: `ALTER TABLE ${sqlNameOf(table)} ADD CONSTRAINT ${identifier(freeName(name, taken))} PRIMARY KEY USING INDEX ${identifier(usable.name)};`,
    };
  }
  const partitionColumns = partitionColumnsOf(table);
  if (columnOf(table, "id") !== undefined || partitionColumns === undefined) {
    return {
      description: "Choose the columns that name a row, remove duplicates, and add a primary key on them.",
      sql: undefined,
    };
  }
  const generate = catalog.serverVersion >= 180_000 ? "uuidv7()" : "gen_random_uuid()";
  return {
    description:
      "Add a generated key, unless existing columns already name a row. Existing rows get a value each: the table is rewritten under ACCESS EXCLUSIVE, so plan this for a large table.",
    sql:
      `ALTER TABLE ${sqlNameOf(table)}\n  ADD COLUMN "id" uuid NOT NULL DEFAULT ${generate},\n` +
      `  ADD CONSTRAINT ${identifier(freeName(name, taken))} PRIMARY KEY (${columnList(["id", ...partitionColumns])});`,
  };
}
