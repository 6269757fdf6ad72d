// Tenant columns that may be null.
import { identifier } from "../../postgres/index.ts";
import { nameOf, sqlNameOf, tenantTables } from "../objects.ts";
import { defineRule } from "../rule.ts";

export const tenantColumnNullable = defineRule({
  id: "tenant-column-nullable",
  title: "Tenant column may be null",
  severity: "warning",
  why: "A row without a tenant belongs to nobody: policies that compare the column hide it from everybody, those that let null through show it to everybody, and a composite foreign key with a null in it is not checked.",
  examines: "tenant tables",
  check(catalog, settings) {
    const tables = tenantTables(catalog, settings.tenantColumn);
    return {
      examined: tables.length,
      findings: tables
        .filter(({ column }) => column.isNullable)
        .map(({ table, column }) => ({
          subject: { kind: "column", schema: table.schema, table: table.name, name: column.name },
          columns: [column.name],
          message: `${nameOf(table)}.${column.name} may be null.`,
          examined: `the column ${nameOf(table)}.${column.name}`,
          fix: {
            description:
              "Forbid null. Reads the whole table under ACCESS EXCLUSIVE, and fails, changing nothing, when a row has no tenant yet.",
            sql: `ALTER TABLE ${sqlNameOf(table)} ALTER COLUMN ${identifier(column.name)} SET NOT NULL;`,
          },
        })),
    };
  },
});
