// Tenant policies for writing that do not say, or say too loosely, which new rows are allowed.
import type { Column, Policy, Table } from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import { appliesTo, coversRoles, isolatesByTenant, newRowExpression, tenantPredicate } from "../expressions.ts";
import { nameOf, sqlNameOf, tenantTables } from "../objects.ts";
import { defineRule, type RuleFinding, type RuleSettings } from "../rule.ts";

export const tenantPolicyWithoutCheck = defineRule({
  id: "tenant-policy-without-check",
  title: "Tenant policy without a check on new rows",
  severity: "error",
  why: "USING decides which rows are seen, WITH CHECK which rows may be written. With a loose check one tenant writes rows into another; without any, PostgreSQL uses USING, which nobody reads from the policy's text.",
  examines: "write policies of tenant tables",
  check(catalog, settings) {
    const policies = tenantTables(catalog, settings.tenantColumn).flatMap(({ table, column }) =>
      table.policies
        .filter((policy) => policy.command === "all" || policy.command === "insert" || policy.command === "update")
        .map((policy) => ({ table, column, policy })),
    );
    return {
      examined: policies.length,
      findings: policies.flatMap(({ table, column, policy }) => findingFor(table, column, policy, settings) ?? []),
    };
  },
});

function findingFor(table: Table, column: Column, policy: Policy, settings: RuleSettings): RuleFinding | undefined {
  const isolates = (expression: string | undefined): boolean => isolatesByTenant(expression, settings.tenantColumn);
  const usingIsolates = isolates(policy.using);
  const common = {
    subject: { kind: "policy" as const, schema: table.schema, table: table.name, name: policy.name },
    columns: [column.name],
    examined: `USING and WITH CHECK of the policy ${policy.name}`,
  };
  if (policy.withCheck === undefined) {
    if (!usingIsolates || policy.using === undefined || policy.using === "false") return undefined;
    return {
      ...common,
      severity: "warning",
      message: `The policy ${policy.name} of ${nameOf(table)} (${policy.command.toUpperCase()}) has no WITH CHECK; its USING decides about new rows too.`,
      fix: { description: "Write the check out.", sql: alterCheck(table, policy, policy.using) },
    };
  }
  if (isolates(policy.withCheck) || isGuarded(table, policy, isolates)) return undefined;
  // A policy that does not isolate at all is another rule's subject, unless it is about new rows only.
  const isAboutNewRowsOnly = policy.command === "insert" && !hasTenantInsertPolicy(table, policy, isolates);
  if (!usingIsolates && !isAboutNewRowsOnly) return undefined;
  return {
    ...common,
    message: `The policy ${policy.name} of ${nameOf(table)} (${policy.command.toUpperCase()}) checks new rows with ${policy.withCheck}, which lets a tenant write rows of another.`,
    fix: {
      description: "Check the tenant of new rows.",
      sql: alterCheck(
        table,
        policy,
        combine(
          usingIsolates && policy.using !== undefined ? policy.using : tenantPredicate(column, settings.tenantSetting),
          policy.withCheck,
        ),
      ),
    },
  };
}

/** Whether restrictive policies check the tenant of every row this one lets in. */
function isGuarded(table: Table, policy: Policy, isolates: (expression: string | undefined) => boolean): boolean {
  const commands = (["insert", "update"] as const).filter((command) => appliesTo(policy, command));
  return commands.every((command) =>
    table.policies.some(
      (guard) =>
        guard !== policy &&
        !guard.isPermissive &&
        appliesTo(guard, command) &&
        coversRoles(guard, policy.roles) &&
        isolates(newRowExpression(guard)),
    ),
  );
}

/** Beside a permissive policy for the tenant, this one widens it: permissive-policy-widens-tenant reports that. */
const hasTenantInsertPolicy = (
  table: Table,
  policy: Policy,
  isolates: (expression: string | undefined) => boolean,
): boolean =>
  policy.isPermissive &&
  table.policies.some(
    (other) =>
      other !== policy && other.isPermissive && appliesTo(other, "insert") && isolates(newRowExpression(other)),
  );

const combine = (tenant: string, check: string): string =>
  check.trim().toLowerCase() === "true" ? tenant : `(${tenant}) AND (${check})`;

const alterCheck = (table: Table, policy: Policy, check: string): string =>
  `ALTER POLICY ${identifier(policy.name)} ON ${sqlNameOf(table)} WITH CHECK (${check});`;
