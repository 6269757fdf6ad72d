// Every lint rule, in the order of their families.
import { authorizationRules } from "./authorization.ts";
import { columnRules } from "./columns.ts";
import { compatibilityRules } from "./compatibility.ts";
import { constraintRules } from "./constraints.ts";
import { functionRules } from "./functions.ts";
import { houseColumnRules } from "./house-columns.ts";
import { houseStatementRules } from "./house-statements.ts";
import { houseRules } from "./house.ts";
import { indexRules } from "./indexes.ts";
import { keyRules } from "./keys.ts";
import { operationRules } from "./operations.ts";
import { otherObjectRules } from "./other-objects.ts";
import { renameRules } from "./renames.ts";
import { schemaRules } from "./schema.ts";
import { transactionRules } from "./transactions.ts";
import { wholeBatchRules } from "./whole-batch.ts";
import type { LintRule } from "./rule.ts";

export const LINT_RULES: readonly LintRule[] = [
  ...columnRules,
  ...constraintRules,
  ...keyRules,
  ...indexRules,
  ...transactionRules,
  ...compatibilityRules,
  ...authorizationRules,
  ...functionRules,
  ...renameRules,
  ...operationRules,
  ...otherObjectRules,
  ...schemaRules,
  ...houseRules,
  ...houseColumnRules,
  ...houseStatementRules,
  ...wholeBatchRules,
];
