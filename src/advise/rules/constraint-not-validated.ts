// Constraints that were added NOT VALID and never validated.
import { identifier } from "../../postgres/index.ts";
import { nameOf, sqlNameOf } from "../objects.ts";
import { defineRule } from "../rule.ts";

export const constraintNotValidated = defineRule({
  id: "constraint-not-validated",
  title: "Constraint not validated",
  severity: "warning",
  why: "The constraint holds for new rows only. Older rows may break it, and the planner may not rely on it.",
  examines: "constraints",
  check(catalog) {
    const constraints = catalog.tables.flatMap((table) =>
      table.constraints.filter((constraint) => constraint.isLocal).map((constraint) => ({ table, constraint })),
    );
    return {
      examined: constraints.length,
      findings: constraints
        .filter(({ table, constraint }) => !constraint.isValidated && constraint.isEnforced && table.kind !== "foreign")
        .map(({ table, constraint }) => ({
          subject: { kind: "constraint", schema: table.schema, table: table.name, name: constraint.name },
          columns: constraint.columns,
          message: `The ${constraint.kind} constraint ${constraint.name} of ${nameOf(table)} was never validated.`,
          examined: `the constraint ${constraint.name}`,
          fix: {
            description:
              "Validate it. Reads the whole table; reads and writes go on meanwhile. It fails, and changes nothing, when a row breaks the constraint: mend such rows first.",
            sql: `ALTER TABLE ${sqlNameOf(table)} VALIDATE CONSTRAINT ${identifier(constraint.name)};`,
          },
        })),
    };
  },
});
