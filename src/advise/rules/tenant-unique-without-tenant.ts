// Unique constraints and indexes of tenant tables that hold for all tenants together.
import type { Index, Table } from "../../catalog/index.ts";
import { columnOf, escapeRegExp, nameOf, tenantTables } from "../objects.ts";
import { defineRule } from "../rule.ts";

export const tenantUniqueWithoutTenant = defineRule({
  id: "tenant-unique-without-tenant",
  title: "Unique across tenants",
  severity: "warning",
  why: "One tenant cannot use a value another one has, and the error tells it that the value exists there.",
  examines: "unique indexes of tenant tables",
  check(catalog, settings) {
    const indexes = tenantTables(catalog, settings.tenantColumn).flatMap(({ table }) =>
      table.indexes.filter((index) => index.isUnique && !index.isPrimary).map((index) => ({ table, index })),
    );
    return {
      examined: indexes.length,
      findings: indexes
        .filter(({ table, index }) => !namesTenant(index, settings.tenantColumn) && !isOfUuids(table, index))
        .map(({ table, index }) => {
          const keys = index.keys.map((key) => key.column ?? key.expression);
          return {
            subject: { kind: "index", schema: table.schema, table: table.name, name: index.name },
            columns: index.keys.flatMap((key) => key.column ?? []),
            message: `${index.name} of ${nameOf(table)} makes ${keys.join(", ")} unique across all tenants.`,
            examined: `the keys of ${index.name}`,
            fix: {
              description: `Make (${[settings.tenantColumn, ...keys].join(", ")}) unique instead, then drop ${index.name}. INSERT … ON CONFLICT must name the new columns, so change the programs at the same time.`,
              sql: undefined,
            },
          };
        }),
    };
  },
});

const namesTenant = (index: Index, tenantColumn: string): boolean =>
  index.keys.some(
    (key) =>
      key.column === tenantColumn ||
      (key.column === undefined &&
        new RegExp(`(?<![\\w$])${escapeRegExp(tenantColumn)}(?![\\w$])`).test(key.expression)),
  );

/** UUIDs do not meet by chance, and one cannot be guessed: nothing is taken away and nothing told. */
const isOfUuids = (table: Table, index: Index): boolean =>
  index.keys.every((key) => key.column !== undefined && columnOf(table, key.column)?.baseType === "uuid");
