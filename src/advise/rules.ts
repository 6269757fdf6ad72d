// All rules, in the order of the reference: keys and columns, indexes, tenants, names.
import type { Rule } from "./rule.ts";
import { duplicateIndex } from "./rules/duplicate-index.ts";
import { foreignKeyWithoutIndex } from "./rules/foreign-key-without-index.ts";
import { indexCoveredByAnother } from "./rules/index-covered-by-another.ts";
import { invalidIndex } from "./rules/invalid-index.ts";
import { jsonInsteadOfJsonb } from "./rules/json-instead-of-jsonb.ts";
import { naming } from "./rules/naming.ts";
import { permissivePolicyWidensTenant } from "./rules/permissive-policy-widens-tenant.ts";
import { policySettingWithoutMissingOk } from "./rules/policy-setting-without-missing-ok.ts";
import { primaryKeyMissing } from "./rules/primary-key-missing.ts";
import { primaryKeyNotUuid } from "./rules/primary-key-not-uuid.ts";
import { rowSecurityNotForced } from "./rules/row-security-not-forced.ts";
import { serialKey } from "./rules/serial-key.ts";
import { standardColumnsMissing } from "./rules/standard-columns-missing.ts";
import { tableWithoutComment } from "./rules/table-without-comment.ts";
import { tenantPolicyMissing } from "./rules/tenant-policy-missing.ts";
import { tenantPolicyWithoutCheck } from "./rules/tenant-policy-without-check.ts";
import { tenantTableWithoutRowSecurity } from "./rules/tenant-table-without-row-security.ts";
import { timestampWithoutTimeZone } from "./rules/timestamp-without-time-zone.ts";

export const rules: readonly Rule[] = [
  primaryKeyMissing,
  primaryKeyNotUuid,
  serialKey,
  standardColumnsMissing,
  timestampWithoutTimeZone,
  jsonInsteadOfJsonb,
  foreignKeyWithoutIndex,
  duplicateIndex,
  indexCoveredByAnother,
  invalidIndex,
  tenantTableWithoutRowSecurity,
  rowSecurityNotForced,
  tenantPolicyMissing,
  permissivePolicyWidensTenant,
  tenantPolicyWithoutCheck,
  policySettingWithoutMissingOk,
  naming,
  tableWithoutComment,
];
