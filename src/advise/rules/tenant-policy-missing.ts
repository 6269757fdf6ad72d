// Tenant tables with row-level security whose policies never look at the tenant.
import { identifier } from "../../postgres/index.ts";
import {
  appliesTo,
  coversRoles,
  decidingExpression,
  isolatesByTenant,
  rolesSql,
  tenantPredicate,
  WRITE_COMMANDS,
  type PolicyCommand,
} from "../expressions.ts";
import { freeName, nameOf, sqlNameOf, tenantTables } from "../objects.ts";
import { defineRule } from "../rule.ts";

const COMMANDS: readonly PolicyCommand[] = ["select", ...WRITE_COMMANDS];

export const tenantPolicyMissing = defineRule({
  id: "tenant-policy-missing",
  title: "No policy about the tenant",
  severity: "error",
  why: "Row-level security is on, but no policy compares the tenant column: the rows of all tenants are let through all the same.",
  examines: "tenant tables with row-level security",
  check(catalog, settings) {
    const tables = tenantTables(catalog, settings.tenantColumn).filter(({ table }) => table.rowSecurity.enabled);
    return {
      examined: tables.length,
      findings: tables.flatMap(({ table, column }) => {
        const open = table.policies
          .filter((policy) => policy.isPermissive)
          .flatMap((policy) =>
            COMMANDS.filter((command) => {
              const expression = decidingExpression(policy, command);
              if (
                !appliesTo(policy, command) ||
                expression === undefined ||
                isolatesByTenant(expression, settings.tenantColumn)
              )
                return false;
              // Any policy about the tenant for these roles: a permissive one beside this one is permissive-policy-widens-tenant's subject.
              return !table.policies.some(
                (other) =>
                  appliesTo(other, command) &&
                  coversRoles(other, policy.roles) &&
                  isolatesByTenant(decidingExpression(other, command), settings.tenantColumn),
              );
            }).map((command) => ({ policy, command })),
          );
        if (open.length === 0) return [];
        const commands = COMMANDS.filter((command) => open.some((each) => each.command === command));
        const predicate = tenantPredicate(column, settings.tenantSetting);
        const name = freeName(`${table.name}_tenant`, new Set(table.policies.map((policy) => policy.name)));
        const roles = [...new Set(open.flatMap(({ policy }) => policy.roles))];
        return [
          {
            subject: { kind: "table" as const, schema: table.schema, name: table.name },
            columns: [column.name],
            message: `No policy of ${nameOf(table)} compares ${column.name} for ${commands.map((command) => command.toUpperCase()).join(", ")}; ${[...new Set(open.map(({ policy }) => policy.name))].join(", ")} lets rows of every tenant through.`,
            examined: `the ${table.policies.length} policies of ${nameOf(table)}`,
            fix: {
              description: `Add a restrictive policy for the tenant. Each transaction must then set ${settings.tenantSetting}.`,
              sql: `CREATE POLICY ${identifier(name)} ON ${sqlNameOf(table)} AS RESTRICTIVE FOR ALL TO ${rolesSql(roles)}\n  USING (${predicate})\n  WITH CHECK (${predicate});`,
            },
          },
        ];
      }),
    };
  },
});
