// Tables with row-level security and no policy: nobody but exempt roles gets a row.
import { nameOf, wholeTables } from "../objects.ts";
import { defineRule } from "../rule.ts";

export const rowSecurityWithoutPolicy = defineRule({
  id: "row-security-without-policy",
  title: "Row-level security without a policy",
  severity: "info",
  why: "Without a permissive policy nobody gets a row, except superusers and roles that bypass row-level security. If that is meant, rights would say it more clearly; often a policy was forgotten.",
  examines: "tables with row-level security",
  check(catalog) {
    const tables = wholeTables(catalog).filter((table) => table.rowSecurity.enabled);
    return {
      examined: tables.length,
      findings: tables
        .filter((table) => !table.policies.some((policy) => policy.isPermissive))
        .map((table) => ({
          subject: { kind: "table", schema: table.schema, name: table.name },
          columns: [],
          message: `Row-level security of ${nameOf(table)} is on, but it has no permissive policy.`,
          examined: `the policies of ${nameOf(table)}`,
          fix: {
            description: "Add the policies that say who gets which rows, or silence this when nobody is to get any.",
            sql: undefined,
          },
        })),
    };
  },
});
