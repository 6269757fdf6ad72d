// All rules, in the order of the reference: keys and columns, constraints, indexes, tenants and rights, names.
import type { Rule } from "./rule.ts";
import { constraintNotValidated } from "./rules/constraint-not-validated.ts";
import { definerFunctionWithoutSearchPath } from "./rules/definer-function-without-search-path.ts";
import { duplicateIndex } from "./rules/duplicate-index.ts";
import { foreignKeyTypeMismatch } from "./rules/foreign-key-type-mismatch.ts";
import { foreignKeyWithoutIndex } from "./rules/foreign-key-without-index.ts";
import { indexCoveredByAnother } from "./rules/index-covered-by-another.ts";
import { invalidIndex } from "./rules/invalid-index.ts";
import { jsonInsteadOfJsonb } from "./rules/json-instead-of-jsonb.ts";
import { naming } from "./rules/naming.ts";
import { nullableCompositeForeignKey } from "./rules/nullable-composite-foreign-key.ts";
import { permissivePolicyWidensTenant } from "./rules/permissive-policy-widens-tenant.ts";
import { policySettingWithoutMissingOk } from "./rules/policy-setting-without-missing-ok.ts";
import { policyWithoutRowSecurity } from "./rules/policy-without-row-security.ts";
import { primaryKeyMissing } from "./rules/primary-key-missing.ts";
import { primaryKeyNotUuid } from "./rules/primary-key-not-uuid.ts";
import { rowSecurityNotForced } from "./rules/row-security-not-forced.ts";
import { rowSecurityWithoutPolicy } from "./rules/row-security-without-policy.ts";
import { serialKey } from "./rules/serial-key.ts";
import { standardColumnsMissing } from "./rules/standard-columns-missing.ts";
import { tableWithoutComment } from "./rules/table-without-comment.ts";
import { tenantColumnNullable } from "./rules/tenant-column-nullable.ts";
import { tenantForeignKeyWithoutTenant } from "./rules/tenant-foreign-key-without-tenant.ts";
import { tenantPolicyMissing } from "./rules/tenant-policy-missing.ts";
import { tenantPolicyWithoutCheck } from "./rules/tenant-policy-without-check.ts";
import { tenantTableWithoutRowSecurity } from "./rules/tenant-table-without-row-security.ts";
import { tenantUniqueWithoutTenant } from "./rules/tenant-unique-without-tenant.ts";
import { timestampWithoutTimeZone } from "./rules/timestamp-without-time-zone.ts";
import { unsuitableColumnType } from "./rules/unsuitable-column-type.ts";
import { viewBypassesRowSecurity } from "./rules/view-bypasses-row-security.ts";

export const rules: readonly Rule[] = [
  primaryKeyMissing,
  primaryKeyNotUuid,
  serialKey,
  standardColumnsMissing,
  timestampWithoutTimeZone,
  jsonInsteadOfJsonb,
  unsuitableColumnType,
  foreignKeyWithoutIndex,
  foreignKeyTypeMismatch,
  nullableCompositeForeignKey,
  constraintNotValidated,
  duplicateIndex,
  indexCoveredByAnother,
  invalidIndex,
  tenantTableWithoutRowSecurity,
  rowSecurityNotForced,
  rowSecurityWithoutPolicy,
  policyWithoutRowSecurity,
  tenantPolicyMissing,
  permissivePolicyWidensTenant,
  tenantPolicyWithoutCheck,
  policySettingWithoutMissingOk,
  tenantColumnNullable,
  tenantForeignKeyWithoutTenant,
  tenantUniqueWithoutTenant,
  viewBypassesRowSecurity,
  definerFunctionWithoutSearchPath,
  naming,
  tableWithoutComment,
];
