// Primary keys whose own columns are no UUID. Columns that belong to a foreign key, the partition key or the tenant are not "own".
import { z } from "zod";
import { columnOf, foreignKeysOf, nameOf, partitionColumnsOf, primaryKeyOf, wholeTables } from "../objects.ts";
import { defineRuleWithOptions } from "../rule.ts";

export const primaryKeyNotUuid = defineRuleWithOptions({
  id: "primary-key-not-uuid",
  title: "Primary key that is not a UUID",
  severity: "warning",
  why: "Counted keys can be guessed, collide when data of two systems is merged, and are known only after the INSERT. UUIDs of version 7 can be made by any agent beforehand and still fill the index in order of time.",
  examines: "primary keys",
  options: z.strictObject({
    /** Further base types to accept, e.g. `["text"]`. */
    allow: z.array(z.string().min(1)).default([]),
  }),
  check(catalog, settings, { allow }) {
    const accepted = new Set(["uuid", ...allow]);
    const keys = wholeTables(catalog).flatMap((table) => {
      const primaryKey = primaryKeyOf(table);
      return primaryKey === undefined ? [] : [{ table, primaryKey }];
    });
    return {
      examined: keys.length,
      findings: keys.flatMap(({ table, primaryKey }) => {
        const borrowed = new Set([
          ...foreignKeysOf(table).flatMap((constraint) => constraint.columns),
          ...(primaryKey.columns.length > 1 ? [...(partitionColumnsOf(table) ?? []), settings.tenantColumn] : []),
        ]);
        const wrong = primaryKey.columns.flatMap((name) => {
          const column = columnOf(table, name);
          return column === undefined || borrowed.has(name) || accepted.has(column.baseType) ? [] : [column];
        });
        if (wrong.length === 0) return [];
        return [
          {
            subject: { kind: "constraint", schema: table.schema, table: table.name, name: primaryKey.name },
            columns: wrong.map((column) => column.name),
            message: `The primary key of ${nameOf(table)} is made of ${wrong.map((column) => `${column.name} (${column.type})`).join(", ")}, not of a UUID.`,
            examined: `the primary key (${primaryKey.columns.join(", ")}) of ${nameOf(table)}`,
            fix: {
              description:
                "For a new table: id uuid PRIMARY KEY DEFAULT uuidv7() (gen_random_uuid() before PostgreSQL 18). An existing key is changed in steps, together with every column that references it.",
              sql: undefined,
            },
          },
        ];
      }),
    };
  },
});
