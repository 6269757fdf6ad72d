// Tables that lack one of the columns every table should have.
import { z } from "zod";
import type { Catalog, Table } from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import { columnOf, count, foreignKeysOf, nameOf, primaryKeyOf, sqlNameOf, wholeTables } from "../objects.ts";
import { defineRuleWithOptions } from "../rule.ts";

const STANDARD_COLUMNS = ["id", "created_at", "updated_at"];
const NOW = "timestamp with time zone NOT NULL DEFAULT now()";

const columnSchema = z.union([
  z.string().min(1),
  z.strictObject({
    name: z.string().min(1),
    /** Type and constraints for the fix, e.g. `uuid NOT NULL`. */
    definition: z.string().min(1),
  }),
]);

export const standardColumnsMissing = defineRuleWithOptions({
  id: "standard-columns-missing",
  title: "Standard columns missing",
  severity: "warning",
  why: "A name for the row and the times it was made and changed are needed by nearly every later question: paging, synchronising, auditing, finding out what an agent did.",
  examines: "tables",
  options: z.strictObject({
    /** Columns each table must have; a name, or a name with the definition the fix adds. */
    columns: z.array(columnSchema).default(STANDARD_COLUMNS),
  }),
  check(catalog, _settings, { columns }) {
    const wanted = columns.map((column) =>
      typeof column === "string" ? { name: column, definition: undefined } : column,
    );
    const tables = wholeTables(catalog);
    return {
      examined: tables.length,
      findings: tables.flatMap((table) => {
        const missing = wanted.filter(
          (column) =>
            columnOf(table, column.name) === undefined && !(column.name === "id" && isNamedByReferences(table)),
        );
        if (missing.length === 0) return [];
        const names = missing.map((column) => column.name);
        return [
          {
            subject: { kind: "table", schema: table.schema, name: table.name },
            columns: names,
            message: `${nameOf(table)} has no ${names.join(", no ")}.`,
            examined: `the ${count(table.columns.length, "column")} of ${nameOf(table)}`,
            fix: fixFor(catalog, table, missing),
          },
        ];
      }),
    };
  },
});

/** A row of a join table, or of a table that extends another, is named by the rows it references: it needs no `id`. */
function isNamedByReferences(table: Table): boolean {
  const key = primaryKeyOf(table)?.columns ?? [];
  const referencing = new Set(foreignKeysOf(table).flatMap((constraint) => constraint.columns));
  return key.length > 0 && key.every((column) => referencing.has(column));
}

function fixFor(
  catalog: Catalog,
  table: Table,
  missing: readonly { readonly name: string; readonly definition: string | undefined }[],
): { description: string; sql: string | undefined } {
  const hasKey = primaryKeyOf(table) !== undefined;
  const additions = missing.map(({ name, definition }) => ({
    name,
    definition: definition ?? usualDefinition(catalog, name, hasKey),
  }));
  const unknown = additions.filter((column) => column.definition === undefined).map((column) => column.name);
  const trigger = missing.some((column) => column.name === "updated_at")
    ? " updated_at also needs a trigger that sets it on UPDATE."
    : "";
  if (unknown.includes("id") && hasKey) {
    return {
      description: `The primary key is called ${(primaryKeyOf(table)?.columns ?? []).join(", ")}: rename it to id together with the code that reads it, or silence this rule for the table.${trigger}`,
      sql: undefined,
    };
  }
  if (unknown.length > 0)
    return { description: `Add ${unknown.join(", ")} with a type that fits.${trigger}`, sql: undefined };
  return {
    description: `Add the columns. Rows that exist already get the moment of the change as their times.${trigger}`,
    sql: `ALTER TABLE ${sqlNameOf(table)}\n${additions.map((column) => `  ADD COLUMN IF NOT EXISTS ${identifier(column.name)} ${column.definition}`).join(",\n")};`,
  };
}

function usualDefinition(catalog: Catalog, name: string, hasKey: boolean): string | undefined {
  if (name === "created_at" || name === "updated_at") return NOW;
  // Not the primary key at once: on a partitioned table it would have to hold the partition key.
  if (name === "id" && !hasKey)
    return `uuid NOT NULL DEFAULT ${catalog.serverVersion >= 180_000 ? "uuidv7()" : "gen_random_uuid()"}`;
  return undefined;
}
