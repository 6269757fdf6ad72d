// Tenant isolation by a permissive policy beside other permissive policies: PostgreSQL joins those with OR.
import type { Policy, Table } from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import {
  appliesTo,
  commonRoles,
  coversRoles,
  decidingExpression,
  isolatesByTenant,
  rolesSql,
  WRITE_COMMANDS,
  type PolicyCommand,
} from "../expressions.ts";
import { takeName, nameOf, sqlNameOf, tenantTables } from "../objects.ts";
import { defineRule, type RuleFinding } from "../rule.ts";

const COMMANDS: readonly PolicyCommand[] = ["select", ...WRITE_COMMANDS];

export const permissivePolicyWidensTenant = defineRule({
  id: "permissive-policy-widens-tenant",
  title: "Permissive policy widens the tenant policy",
  severity: "error",
  why: "Permissive policies are joined with OR: a row that any one of them allows is allowed, whatever the tenant policy says. Only a restrictive policy is joined with AND.",
  examines: "policies of tenant tables",
  check(catalog, settings) {
    const tables = tenantTables(catalog, settings.tenantColumn).filter(({ table }) => table.rowSecurity.enabled);
    return {
      examined: tables.flatMap(({ table }) => table.policies).length,
      findings: tables.flatMap(({ table }) =>
        wideningPolicies(table, settings.tenantColumn).map((widening) => findingFor(table, widening)),
      ),
    };
  },
});

interface Widening {
  readonly policy: Policy;
  readonly tenantPolicies: readonly Policy[];
  readonly commands: readonly PolicyCommand[];
  /** The tenant policy holds for everybody and this one for named roles only: possibly meant (an administrator). */
  readonly isForNamedRoles: boolean;
}

function wideningPolicies(table: Table, tenantColumn: string): Widening[] {
  const isolates = (policy: Policy, command: PolicyCommand): boolean =>
    isolatesByTenant(decidingExpression(policy, command), tenantColumn);
  return table.policies
    .filter((policy) => policy.isPermissive)
    .flatMap((policy) => {
      const commands: PolicyCommand[] = [];
      const tenantPolicies = new Set<Policy>();
      for (const command of COMMANDS) {
        if (!appliesTo(policy, command) || isolates(policy, command)) continue;
        // An INSERT policy without WITH CHECK lets nothing in.
        if (decidingExpression(policy, command) === undefined) continue;
        for (const other of table.policies) {
          if (!other.isPermissive || !appliesTo(other, command) || !isolates(other, command)) continue;
          if (decidingExpression(other, command)?.toLowerCase() === "false") continue;
          const roles = commonRoles(policy, other);
          const isGuarded = table.policies.some(
            (guard) =>
              !guard.isPermissive && appliesTo(guard, command) && coversRoles(guard, roles) && isolates(guard, command),
          );
          if (roles.length === 0 || isGuarded) continue;
          if (!commands.includes(command)) commands.push(command);
          tenantPolicies.add(other);
        }
      }
      if (commands.length === 0) return [];
      const isForNamedRoles =
        !policy.roles.includes("public") && [...tenantPolicies].every((other) => other.roles.includes("public"));
      return [{ policy, tenantPolicies: [...tenantPolicies], commands, isForNamedRoles }];
    });
}

function findingFor(table: Table, { policy, tenantPolicies, commands, isForNamedRoles }: Widening): RuleFinding {
  const taken = new Set(table.policies.map((each) => each.name));
  const names = tenantPolicies.map((each) => each.name).join(", ");
  return {
    severity: isForNamedRoles ? "warning" : undefined,
    subject: { kind: "policy", schema: table.schema, table: table.name, name: policy.name },
    columns: [],
    message:
      `The permissive policy ${policy.name} of ${nameOf(table)} lets rows of every tenant through for ${commands.map((command) => command.toUpperCase()).join(", ")}` +
      `${isForNamedRoles ? ` to ${policy.roles.join(", ")}` : ""}, because it is joined by OR with ${names}.`,
    examined: `the ${table.policies.length} policies of ${nameOf(table)}`,
    fix: {
      description: `Say the tenant condition of ${names} in a restrictive policy too: it is joined with AND. Roles that must see all tenants need BYPASSRLS afterwards.`,
      sql: tenantPolicies
        .map((tenantPolicy) =>
          restrictiveCopy(table, tenantPolicy, takeName(`${tenantPolicy.name}_restrictive`, taken)),
        )
        .join("\n"),
    },
  };
}

function restrictiveCopy(table: Table, policy: Policy, name: string): string {
  const check =
    policy.withCheck ?? (policy.command === "all" || policy.command === "update" ? policy.using : undefined);
  const clauses = [
    ...(policy.using === undefined ? [] : [`USING (${policy.using})`]),
    ...(check === undefined ? [] : [`WITH CHECK (${check})`]),
  ];
  return `CREATE POLICY ${identifier(name)} ON ${sqlNameOf(table)} AS RESTRICTIVE FOR ${policy.command.toUpperCase()} TO ${rolesSql(policy.roles)}\n  ${clauses.join("\n  ")};`;
}
