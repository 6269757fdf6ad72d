// What a rule is: a pure function over a catalog with its own options. The engine (check.ts) adds severity, reason and page.
import { z } from "zod";
import type { Catalog } from "../catalog/index.ts";
import type { Finding, Severity } from "./finding.ts";

export const NAMING_PRESETS = ["pgsteward", "postgresql"] as const;
export type NamingPreset = (typeof NAMING_PRESETS)[number];

/** Settings all rules share. */
export interface RuleSettings {
  /** Column that makes a table a tenant table. */
  readonly tenantColumn: string;
  /** Setting the policies read, e.g. `app.tenant_id`. */
  readonly tenantSetting: string;
  readonly naming: NamingPreset;
}

/** A finding before the engine adds the rule's id, severity, reason and page. Set `severity` or `why` only where one case differs. */
export interface RuleFinding extends Omit<Finding, "rule" | "severity" | "why" | "documentation"> {
  readonly severity?: Severity | undefined;
  readonly why?: string | undefined;
}

export interface RuleResult {
  /** How many objects were looked at; 0 means that the rule says nothing about this database. */
  readonly examined: number;
  readonly findings: readonly RuleFinding[];
}

export interface Rule {
  /** Kebab-case; also the name of its file, its test and its page. */
  readonly id: string;
  readonly title: string;
  /** Default; the configuration may set another. */
  readonly severity: Severity;
  /** Why what it finds matters, in one or two sentences. */
  readonly why: string;
  /** What it looks at, in the plural: "foreign keys". */
  readonly examines: string;
  /** Schema of its own options. */
  readonly options: z.ZodType<unknown>;
  /** @param options - as in the configuration; checked here, defaults filled in */
  check(catalog: Catalog, settings: RuleSettings, options?: unknown): RuleResult;
}

interface RuleWithOptions<Options> extends Omit<Rule, "options" | "check"> {
  readonly options: z.ZodType<Options>;
  check(catalog: Catalog, settings: RuleSettings, options: Options): RuleResult;
}

/** A rule with options of its own. */
export function defineRuleWithOptions<Options>(rule: RuleWithOptions<Options>): Rule {
  return {
    ...rule,
    check: (catalog, settings, options) => rule.check(catalog, settings, rule.options.parse(options ?? {})),
  };
}

/** A rule without options. */
export function defineRule(
  rule: Omit<Rule, "options" | "check"> & { check(catalog: Catalog, settings: RuleSettings): RuleResult },
): Rule {
  return defineRuleWithOptions({ ...rule, options: z.strictObject({}) });
}
