// Advice: findings, the schema rules and the check that runs them.
export { checkCatalog, runCheck, subjectPath, type CheckReport, type RuleReport } from "./check.ts";
export {
  checkConfigSchema,
  parseCheckConfig,
  type CheckConfig,
  type CompleteCheckConfig,
  type RuleSetting,
} from "./check-config.ts";
export type { Finding, Severity, Subject } from "./finding.ts";
export {
  NAMING_PRESETS,
  type NamingPreset,
  type Rule,
  type RuleFinding,
  type RuleResult,
  type RuleSettings,
} from "./rule.ts";
export { rules } from "./rules.ts";
