// What a project may set about the check: severities and options of rules, silenced findings, tenant and naming settings.
import { z } from "zod";
import { InvalidConfigurationError } from "../postgres/index.ts";
import type { Severity } from "./finding.ts";
import { NAMING_PRESETS, type Rule } from "./rule.ts";
import { rules } from "./rules.ts";

const ruleLevel = z.enum(["off", "info", "warning", "error"]);
const ruleSetting = z.union([ruleLevel, z.looseObject({ severity: ruleLevel.optional() })], {
  error: 'must be "off", "info", "warning", "error", or an object with severity and the rule\'s options',
});

/** What a project says about one rule. */
export type RuleSetting = z.output<typeof ruleSetting>;

const silence = z.strictObject({
  rule: z.string().superRefine((id, context) => {
    if (findRule(id) === undefined) context.addIssue({ code: "custom", message: unknownRule(id) });
  }),
  /** `schema.table`, `schema.table.part`, or a pattern with `*` (any characters) and `?` (one). */
  subject: z.string().min(1),
  /** Why this is right as it is; the report shows it. */
  reason: z.string().trim().min(1, "say why the finding is right as it is"),
});

/** Schema of the section `check` of a configuration; all faults are reported at once. */
export const checkConfigSchema = z.strictObject({
  // Checked entry by entry here: zod runs a refinement of the whole only when no part has a fault, which would hide some.
  rules: z
    .record(z.string(), z.unknown())
    .superRefine((settings, context) => {
      for (const [id, setting] of Object.entries(settings)) {
        for (const { path, message } of faultsOfRule(id, setting)) {
          context.addIssue({ code: "custom", path: [id, ...path], message });
        }
      }
    })
    .default({}),
  silence: z.array(silence).default([]),
  tenantColumn: z.string().min(1).default("tenant_id"),
  tenantSetting: z
    .string()
    .regex(/^[A-Za-z_][\w$]*(\.[A-Za-z_][\w$]*)+$/, "must be a setting name with a dot, such as app.tenant_id")
    .default("app.tenant_id"),
  naming: z.enum(NAMING_PRESETS).default("pgsteward"),
  /** Schemas to leave out; patterns with `*` and `?`. */
  ignoreSchemas: z.array(z.string().min(1)).default([]),
});

/** As a project writes it; everything is optional. */
export type CheckConfig = Omit<z.input<typeof checkConfigSchema>, "rules"> & {
  readonly rules?: Readonly<Record<string, RuleSetting>> | undefined;
};
/** With all defaults filled in. */
export type CompleteCheckConfig = z.output<typeof checkConfigSchema>;

/** What is set for a rule: its severity, if set, and its own options. */
export function settingOf(
  config: CompleteCheckConfig,
  id: string,
): { readonly severity: Severity | "off" | undefined; readonly options: unknown } {
  const setting = ruleSetting.optional().parse(config.rules[id]);
  if (setting === undefined || typeof setting === "string") return { severity: setting, options: {} };
  const { severity, ...options } = setting;
  return { severity, options };
}

const findRule = (id: string): Rule | undefined => rules.find((rule) => rule.id === id);

function faultsOfRule(
  id: string,
  setting: unknown,
): readonly { readonly path: readonly PropertyKey[]; readonly message: string }[] {
  const rule = findRule(id);
  if (rule === undefined) return [{ path: [], message: unknownRule(id) }];
  const parsed = ruleSetting.safeParse(setting);
  if (!parsed.success) return parsed.error.issues;
  if (typeof parsed.data === "string") return [];
  const { severity: _severity, ...options } = parsed.data;
  return rule.options.safeParse(options).error?.issues ?? [];
}

/** @throws InvalidConfigurationError that lists every fault with its place */
export function parseCheckConfig(config: unknown): CompleteCheckConfig {
  const parsed = checkConfigSchema.safeParse(config);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(
    (issue) => `${issue.path.length === 0 ? "check" : issue.path.map(String).join(".")}: ${issue.message}`,
  );
  throw new InvalidConfigurationError(
    `the configuration of the check has ${faults.length === 1 ? "a fault" : `${faults.length} faults`}:\n  ${faults.join("\n  ")}`,
    {
      hint: "docs/rules/README.md lists the rules and how to set them",
      cause: parsed.error,
    },
  );
}

function unknownRule(id: string): string {
  const nearest = rules
    .map((rule) => ({ id: rule.id, distance: editDistance(id, rule.id) }))
    .toSorted((a, b) => a.distance - b.distance)[0];
  // A third of the name wrong: closer to a typing error than to another idea.
  const isNear = nearest !== undefined && nearest.distance <= Math.max(3, Math.floor(id.length / 3));
  return `there is no rule ${JSON.stringify(id)}${isNear ? `; did you mean ${JSON.stringify(nearest.id)}?` : `; the rules are ${rules.map((rule) => rule.id).join(", ")}`}`;
}

/** Levenshtein distance: insertions, deletions and replacements of one character. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const current = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replace = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(replace, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
