// Policies that raise an error when the setting they read is missing or empty.
import type { Policy, Table } from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import { settingCalls, withSafeSettings } from "../expressions.ts";
import { nameOf, sqlNameOf } from "../objects.ts";
import { defineRule, type RuleFinding } from "../rule.ts";

export const policySettingWithoutMissingOk = defineRule({
  id: "policy-setting-without-missing-ok",
  title: "Policy reads a setting that may be missing",
  severity: "error",
  why: "A session that never set the value must see no rows. Instead each query on the table fails: with 42704 when the setting was never set, and with 22P02 on a connection where an earlier transaction had set it, because PostgreSQL then keeps it as an empty string.",
  examines: "policies that read a setting",
  check(catalog) {
    const policies = catalog.tables
      .flatMap((table) =>
        table.policies.map((policy) => ({
          table,
          policy,
          calls: [policy.using, policy.withCheck].flatMap((text) => settingCalls(text ?? "")),
        })),
      )
      .filter(({ calls }) => calls.length > 0);
    return {
      examined: policies.length,
      findings: policies.flatMap(({ table, policy, calls }) => {
        const findings: RuleFinding[] = [];
        const raising = calls.find((call) => call.missingOk === false);
        if (raising !== undefined) {
          findings.push(
            findingFor(
              table,
              policy,
              `calls current_setting(${raising.setting}) without missing_ok: it raises an error in a session that never set it.`,
            ),
          );
        }
        const cast = calls.find((call) => call.castTo !== undefined);
        if (cast !== undefined) {
          findings.push(
            findingFor(
              table,
              policy,
              `casts current_setting(${cast.setting}) to ${cast.castTo} without nullif(…, ''): an empty setting, which a finished transaction leaves behind, is no ${cast.castTo}.`,
            ),
          );
        }
        return findings;
      }),
    };
  },
});

function findingFor(table: Table, policy: Policy, what: string): RuleFinding {
  const clauses = [
    ...(policy.using === undefined ? [] : [`USING (${withSafeSettings(policy.using)})`]),
    ...(policy.withCheck === undefined ? [] : [`WITH CHECK (${withSafeSettings(policy.withCheck)})`]),
  ];
  return {
    subject: { kind: "policy", schema: table.schema, table: table.name, name: policy.name },
    columns: [],
    message: `The policy ${policy.name} of ${nameOf(table)} ${what}`,
    examined: `the expressions of the policy ${policy.name}`,
    fix: {
      description:
        "Read the setting as nullif(current_setting(name, true), ''): missing or empty, it is null, and no row matches.",
      sql: `ALTER POLICY ${identifier(policy.name)} ON ${sqlNameOf(table)}\n  ${clauses.join("\n  ")};`,
    },
  };
}
