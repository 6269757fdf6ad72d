// Foreign keys of several columns that are not checked when only some of them are null.
import { identifier } from "../../postgres/index.ts";
import { columnList, columnOf, escapeRegExp, foreignKeysOf, freeName, nameOf, sqlNameOf } from "../objects.ts";
import { defineRule } from "../rule.ts";

export const nullableCompositeForeignKey = defineRule({
  id: "nullable-composite-foreign-key",
  title: "Composite foreign key with several nullable columns",
  severity: "warning",
  why: "With MATCH SIMPLE, the default, one null among the columns turns the check off for the whole row: the other values may point nowhere.",
  examines: "foreign keys of several columns",
  check(catalog, settings) {
    const foreignKeys = catalog.tables.flatMap((table) =>
      foreignKeysOf(table)
        .filter((foreignKey) => foreignKey.columns.length > 1 && foreignKey.isLocal)
        .map((foreignKey) => ({ table, foreignKey })),
    );
    return {
      examined: foreignKeys.length,
      findings: foreignKeys.flatMap(({ table, foreignKey }) => {
        const nullable = foreignKey.columns.filter((name) => columnOf(table, name)?.isNullable === true);
        // One nullable column is the usual optional reference: null there means "none", and says nothing else.
        if (foreignKey.references?.match !== "simple" || nullable.length < 2) return [];
        const names = new RegExp(
          nullable.map((name) => `(?=.*(?<![\\w$])${escapeRegExp(name)}(?![\\w$]))`).join(""),
          "s",
        );
        const isGuarded = table.constraints.some(
          (constraint) =>
            constraint.kind === "check" &&
            /num_(non)?nulls\(/.test(constraint.definition) &&
            names.test(constraint.definition),
        );
        if (isGuarded) return [];
        const taken = new Set(table.constraints.map((constraint) => constraint.name));
        const name = freeName(
          settings.naming === "pgsteward"
            ? `ck_${table.name}_${nullable.join("_")}`
            : `${table.name}_${nullable.join("_")}_check`,
          taken,
        );
        return [
          {
            subject: { kind: "constraint" as const, schema: table.schema, table: table.name, name: foreignKey.name },
            columns: nullable,
            message: `The foreign key ${foreignKey.name} of ${nameOf(table)} is not checked when only one of ${nullable.join(", ")} is null.`,
            examined: `the columns of ${foreignKey.name}, and the checks of ${nameOf(table)}`,
            fix: {
              description:
                "Let the columns be null together only. Reads the whole table, and fails, changing nothing, when a row has only some of them.",
              sql: `ALTER TABLE ${sqlNameOf(table)} ADD CONSTRAINT ${identifier(name)} CHECK (num_nulls(${columnList(nullable)}) IN (0, ${nullable.length}));`,
            },
          },
        ];
      }),
    };
  },
});
