// Runs the rules over a catalog and reports: findings in order, what was silenced and why, and what each rule looked at.
import { readCatalog, type Catalog } from "../catalog/index.ts";
import type { Database } from "../postgres/index.ts";
import { parseCheckConfig, settingOf, type CheckConfig, type CompleteCheckConfig } from "./check-config.ts";
import type { Finding, Severity } from "./finding.ts";
import { escapeRegExp } from "./objects.ts";
import type { Rule, RuleSettings } from "./rule.ts";
import { rules } from "./rules.ts";

export interface RuleReport {
  readonly rule: string;
  readonly title: string;
  readonly severity: Severity | "off";
  /** What it looks at, e.g. "foreign keys", and how many of them there were. */
  readonly examines: string;
  readonly examined: number;
  /** Findings, silenced ones not counted. */
  readonly findings: number;
  /** Set when the rule says nothing: it is off, or there was nothing to look at. */
  readonly note: string | undefined;
}

/** What a check found, what was silenced, and what each rule looked at: a rule that looked at nothing says so. */
export interface CheckReport {
  /** Errors first, then by subject and rule. */
  readonly findings: readonly Finding[];
  readonly silenced: readonly { readonly finding: Finding; readonly reason: string }[];
  /** Entries of `silence` that matched no finding: mistyped, or no longer needed. */
  readonly unusedSilences: readonly { readonly rule: string; readonly subject: string; readonly reason: string }[];
  readonly rules: readonly RuleReport[];
  readonly counts: Readonly<Record<Severity, number>>;
  /** What was in the catalog, without what was left out (extensions, pgsteward's own records, ignored schemas). */
  readonly examined: {
    readonly schemas: number;
    readonly tables: number;
    readonly partitions: number;
    readonly columns: number;
    readonly constraints: number;
    readonly indexes: number;
    readonly policies: number;
    readonly views: number;
    readonly functions: number;
  };
}

/** Schema where pgsteward keeps its own records; never reported. */
const OWN_SCHEMA = "pgsteward";
const SEVERITIES: readonly Severity[] = ["error", "warning", "info"];

/**
 * Reads the database's catalog and checks it.
 *
 * @throws InvalidConfigurationError that lists every fault of `config`
 */
export async function runCheck(database: Database, config: CheckConfig = {}): Promise<CheckReport> {
  const complete = parseCheckConfig(config);
  return checkWith(await readCatalog(database), complete);
}

/**
 * Checks a catalog. Pure.
 *
 * @throws InvalidConfigurationError that lists every fault of `config`
 */
export function checkCatalog(catalog: Catalog, config: CheckConfig = {}): CheckReport {
  return checkWith(catalog, parseCheckConfig(config));
}

function checkWith(catalog: Catalog, config: CompleteCheckConfig): CheckReport {
  const visible = withoutForeignObjects(catalog, config.ignoreSchemas);
  const settings: RuleSettings = {
    tenantColumn: config.tenantColumn,
    tenantSetting: config.tenantSetting,
    naming: config.naming,
  };
  const findings: Finding[] = [];
  const silenced: { finding: Finding; reason: string }[] = [];
  const usedSilences = new Set<number>();
  const ruleReports = rules.map((rule) => {
    const setting = settingOf(config, rule.id);
    if (setting.severity === "off") return reportOf(rule, "off", 0, 0, "the rule is off");
    const severity = setting.severity ?? rule.severity;
    const result = rule.check(visible, settings, setting.options);
    let count = 0;
    for (const { severity: ownSeverity, why, ...seen } of result.findings) {
      const finding: Finding = {
        ...seen,
        rule: rule.id,
        // A severity from the configuration is the project's word for every finding of the rule.
        severity: setting.severity ?? ownSeverity ?? rule.severity,
        why: why ?? rule.why,
        documentation: `docs/rules/${rule.id}.md`,
      };
      const at = config.silence.findIndex((entry) => entry.rule === rule.id && matchesSubject(entry.subject, finding));
      const entry = config.silence[at];
      if (entry === undefined) {
        findings.push(finding);
        count += 1;
      } else {
        usedSilences.add(at);
        silenced.push({ finding, reason: entry.reason });
      }
    }
    return reportOf(
      rule,
      severity,
      result.examined,
      count,
      result.examined === 0 ? `there are no ${rule.examines}` : undefined,
    );
  });
  return {
    findings: findings.toSorted(byImportance),
    silenced: silenced.toSorted((a, b) => byImportance(a.finding, b.finding)),
    unusedSilences: config.silence.filter((_, at) => !usedSilences.has(at)),
    rules: ruleReports,
    counts: {
      error: findings.filter((finding) => finding.severity === "error").length,
      warning: findings.filter((finding) => finding.severity === "warning").length,
      info: findings.filter((finding) => finding.severity === "info").length,
    },
    examined: countObjects(visible),
  };
}

function reportOf(
  rule: Rule,
  severity: Severity | "off",
  examined: number,
  findings: number,
  note: string | undefined,
): RuleReport {
  return { rule: rule.id, title: rule.title, severity, examines: rule.examines, examined, findings, note };
}

/** `schema.table`, `schema.table.part` or `schema.name`: how a finding's subject is written, also for `silence`. */
export function subjectPath(finding: Pick<Finding, "subject">): string {
  const { schema, table, name } = finding.subject;
  return [schema, ...(table === undefined ? [] : [table]), name].join(".");
}

/** A pattern means the subject, the table it is a part of, or one of the finding's columns. */
function matchesSubject(pattern: string, finding: Finding): boolean {
  const { schema, table, name } = finding.subject;
  const tablePath = `${schema}.${table ?? name}`;
  return [subjectPath(finding), tablePath, ...finding.columns.map((column) => `${tablePath}.${column}`)].some((path) =>
    matchesPattern(pattern, path),
  );
}

function matchesPattern(pattern: string, text: string): boolean {
  const source = escapeRegExp(pattern).replaceAll("\\*", ".*").replaceAll("\\?", ".");
  return new RegExp(`^${source}$`, "su").test(text);
}

function byImportance(a: Finding, b: Finding): number {
  return (
    SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) ||
    compareText(subjectPath(a), subjectPath(b)) ||
    compareText(a.rule, b.rule) ||
    compareText(a.message, b.message)
  );
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** The catalog without what its owner did not write: extensions' objects, our own records, and schemas to ignore. */
function withoutForeignObjects(catalog: Catalog, ignoreSchemas: readonly string[]): Catalog {
  const extensionSchemas = catalog.schemas
    .filter((schema) => schema.extension !== undefined)
    .map((schema) => schema.name);
  const isHidden = (schema: string): boolean =>
    schema === OWN_SCHEMA ||
    extensionSchemas.includes(schema) ||
    ignoreSchemas.some((pattern) => matchesPattern(pattern, schema));
  const isOurs = (object: { readonly schema: string; readonly extension: string | undefined }): boolean =>
    object.extension === undefined && !isHidden(object.schema);
  return {
    ...catalog,
    schemas: catalog.schemas.filter((schema) => !isHidden(schema.name)),
    tables: catalog.tables.filter(isOurs),
    views: catalog.views.filter(isOurs),
    functions: catalog.functions.filter(isOurs),
    enums: catalog.enums.filter(isOurs),
    domains: catalog.domains.filter(isOurs),
    compositeTypes: catalog.compositeTypes.filter(isOurs),
    sequences: catalog.sequences.filter(isOurs),
  };
}

function countObjects(catalog: Catalog): CheckReport["examined"] {
  const partitions = catalog.tables.filter((table) => table.partitionOf !== undefined).length;
  return {
    schemas: catalog.schemas.length,
    tables: catalog.tables.length - partitions,
    partitions,
    columns: catalog.tables.flatMap((table) => table.columns).length,
    constraints: catalog.tables.flatMap((table) => table.constraints).length,
    indexes: [...catalog.tables, ...catalog.views].flatMap((relation) => relation.indexes).length,
    policies: catalog.tables.flatMap((table) => table.policies).length,
    views: catalog.views.length,
    functions: catalog.functions.length,
  };
}
