// Foreign keys whose columns have another type than the columns they reference.
import { columnOf, foreignKeysOf, keyOf, nameOf } from "../objects.ts";
import { defineRule } from "../rule.ts";

/** `character varying(40)` → `character varying`: lengths and precisions do not matter for comparing. */
const withoutModifier = (type: string): string => type.replace(/\([\d,\s-]*\)/, "");

export const foreignKeyTypeMismatch = defineRule({
  id: "foreign-key-type-mismatch",
  title: "Foreign key of another type",
  severity: "warning",
  why: "Values that fit one column do not fit the other (an integer that references a bigint ends at 2,147,483,647), and each check and join converts.",
  examines: "foreign keys",
  check(catalog) {
    const tables = new Map(catalog.tables.map((table) => [keyOf(table.schema, table.name), table]));
    const foreignKeys = catalog.tables.flatMap((table) =>
      foreignKeysOf(table)
        .filter((foreignKey) => foreignKey.isLocal)
        .map((foreignKey) => ({ table, foreignKey })),
    );
    return {
      examined: foreignKeys.length,
      findings: foreignKeys.flatMap(({ table, foreignKey }) => {
        const { references } = foreignKey;
        const target = references === undefined ? undefined : tables.get(keyOf(references.schema, references.table));
        if (references === undefined || target === undefined) return [];
        const differing = foreignKey.columns.flatMap((name, at) => {
          const column = columnOf(table, name);
          const referenced = columnOf(target, references.columns[at] ?? "");
          if (
            column === undefined ||
            referenced === undefined ||
            withoutModifier(column.baseType) === withoutModifier(referenced.baseType)
          )
            return [];
          return [
            { name, text: `${name} is ${column.type}, ${nameOf(target)}.${referenced.name} is ${referenced.type}` },
          ];
        });
        if (differing.length === 0) return [];
        return [
          {
            subject: { kind: "constraint" as const, schema: table.schema, table: table.name, name: foreignKey.name },
            columns: differing.map((column) => column.name),
            message: `The foreign key ${foreignKey.name} of ${nameOf(table)} joins two types: ${differing.map((column) => column.text).join("; ")}.`,
            examined: `the column types on both sides of ${foreignKey.name}`,
            fix: {
              description:
                "Give both the wider type. Changing it rewrites the table under ACCESS EXCLUSIVE: on a large one add a new column, fill it in batches and swap.",
              sql: undefined,
            },
          },
        ];
      }),
    };
  },
});
