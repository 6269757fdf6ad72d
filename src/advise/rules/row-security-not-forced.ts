// Tables with row-level security that does not hold for their owner.
import { nameOf, partitionsOf, sqlNameOf } from "../objects.ts";
import { defineRule } from "../rule.ts";

export const rowSecurityNotForced = defineRule({
  id: "row-security-not-forced",
  title: "Row-level security not forced",
  severity: "error",
  why: "Policies do not hold for the table's owner unless they are forced. An application or a job that connects as the owner sees and changes every tenant's rows.",
  examines: "tables with row-level security",
  check(catalog) {
    const partitions = partitionsOf(catalog);
    const tables = catalog.tables.filter((table) => table.rowSecurity.enabled);
    return {
      examined: tables.length,
      findings: tables
        .filter((table) => !table.rowSecurity.forced)
        // A partition is reported with its parent, unless it alone is not forced.
        .filter((table) => {
          const parent = partitions.parentOf(table);
          return parent === undefined || !parent.rowSecurity.enabled || parent.rowSecurity.forced;
        })
        .map((table) => ({
          subject: { kind: "table", schema: table.schema, name: table.name },
          columns: [],
          message: `Row-level security of ${nameOf(table)} does not hold for its owner ${table.owner}.`,
          examined: `row-level security of ${nameOf(table)}`,
          fix: {
            description: "Force it. Jobs that must see all rows connect as a role with BYPASSRLS.",
            sql: [
              table,
              ...catalog.tables.filter(
                (child) =>
                  partitions.parentOf(child) === table && child.rowSecurity.enabled && !child.rowSecurity.forced,
              ),
            ]
              .map((each) => `ALTER TABLE ${sqlNameOf(each)} FORCE ROW LEVEL SECURITY;`)
              .join("\n"),
          },
        })),
    };
  },
});
