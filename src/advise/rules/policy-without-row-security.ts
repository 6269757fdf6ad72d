// Policies on tables where row-level security is off: they do nothing.
import { count, nameOf, sqlNameOf } from "../objects.ts";
import { defineRule } from "../rule.ts";

export const policyWithoutRowSecurity = defineRule({
  id: "policy-without-row-security",
  title: "Policies without row-level security",
  severity: "error",
  why: "The policies look like protection, but nothing applies them: every role with rights on the table gets every row.",
  examines: "tables with policies",
  check(catalog) {
    const tables = catalog.tables.filter((table) => table.policies.length > 0);
    return {
      examined: tables.length,
      findings: tables
        .filter((table) => !table.rowSecurity.enabled)
        .map((table) => ({
          subject: { kind: "table", schema: table.schema, name: table.name },
          columns: [],
          message: `${nameOf(table)} has ${count(table.policies.length, "policy", "policies")}, but row-level security is off.`,
          examined: `row-level security of ${nameOf(table)}`,
          fix: {
            description:
              "Turn row-level security on, for the owner too, after reading the policies: rows they do not let through disappear for the application.",
            sql: `ALTER TABLE ${sqlNameOf(table)} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;`,
          },
        })),
    };
  },
});
