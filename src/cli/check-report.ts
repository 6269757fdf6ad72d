// The check's report as text for people: grouped by table, then what the rules are about, then the sum.
import { subjectPath, type CheckReport, type Finding, type Severity } from "../advise/index.ts";
import { countsText } from "./counts-text.ts";
import { alignColumns, printable, type Paint, type Style } from "./output.ts";

export interface CheckReportView {
  readonly report: CheckReport;
  /** What was checked, e.g. `schema.sql` or `postgres://localhost/app`. */
  readonly target: string;
  readonly notices: readonly string[];
  readonly paint: Paint;
}

const STYLES: Readonly<Record<Severity, Style>> = { error: "red", warning: "yellow", info: "cyan" };

export function renderCheckReport({ report, target, notices, paint }: CheckReportView): string {
  const blocks: string[] = [paint("bold", `Check of ${printable(target)}`)];
  if (notices.length > 0) blocks.push(notices.map((notice) => paint("dim", `note: ${printable(notice)}`)).join("\n"));
  for (const [name, findings] of byTable(report.findings)) {
    blocks.push([paint("bold", printable(name)), ...findings.map((finding) => findingText(finding, paint))].join("\n"));
  }
  const spoken = report.rules.filter((rule) => rule.findings > 0);
  if (spoken.length > 0) {
    const rows = spoken.map((rule) => [
      `  ${rule.rule}`,
      String(rule.findings),
      rule.title,
      paint("dim", report.findings.find((finding) => finding.rule === rule.rule)?.documentation ?? ""),
    ]);
    blocks.push(`${paint("bold", "Rules")}\n${alignColumns(rows)}`);
  }
  if (report.silenced.length > 0) {
    const lines = report.silenced.map(
      ({ finding, reason }) => `  ${printable(`${subjectPath(finding)}  ${finding.rule}: ${reason}`)}`,
    );
    blocks.push(`${paint("bold", "Silenced")}\n${lines.join("\n")}`);
  }
  if (report.unusedSilences.length > 0) {
    const lines = report.unusedSilences.map((entry) => `  ${printable(`${entry.subject}  ${entry.rule}`)}`);
    blocks.push(`${paint("bold", "Silences that match nothing (mistyped, or no longer needed)")}\n${lines.join("\n")}`);
  }
  blocks.push(summary(report, paint));
  return blocks.join("\n\n");
}

/** e.g. `21 rules over 15 tables, 128 columns, 31 indexes`. */
export function examinedText(report: CheckReport): string {
  const active = report.rules.filter((rule) => rule.severity !== "off").length;
  const { examined } = report;
  const parts = (
    ["tables", "partitions", "columns", "constraints", "indexes", "policies", "views", "functions"] as const
  )
    .filter((kind) => examined[kind] > 0)
    .map((kind) => `${examined[kind]} ${examined[kind] === 1 ? singular(kind) : kind}`);
  return `${active} rules over ${parts.length === 0 ? "nothing: there are no tables" : parts.join(", ")}`;
}

function singular(kind: string): string {
  if (kind === "indexes") return "index";
  return kind === "policies" ? "policy" : kind.slice(0, -1);
}

function byTable(findings: readonly Finding[]): Map<string, Finding[]> {
  const groups = new Map<string, Finding[]>();
  for (const finding of findings) {
    const { schema, table, name } = finding.subject;
    const key = `${schema}.${table ?? name}`;
    groups.set(key, [...(groups.get(key) ?? []), finding]);
  }
  return new Map([...groups].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function findingText(finding: Finding, paint: Paint): string {
  const label = finding.severity === "info" ? "note" : finding.severity;
  const message = printable(finding.message);
  const lines = [`  ${paint(STYLES[finding.severity], label.padEnd(7))}  ${message}  ${paint("dim", finding.rule)}`];
  const { sql, description } = finding.fix;
  // A longer script is for --json and for a migration; here it would hide the findings.
  const fix = sql !== undefined && sql.trim().split("\n").length <= 2 ? sql : description;
  for (const [index, line] of fix.trim().split("\n").entries()) {
    lines.push(paint("dim", `           ${index === 0 ? "fix: " : "     "}${printable(line)}`));
  }
  return lines.join("\n");
}

function summary(report: CheckReport, paint: Paint): string {
  const { counts } = report;
  const style: Style = counts.error > 0 ? "red" : counts.warning > 0 ? "yellow" : "green";
  const total = counts.error + counts.warning + counts.info;
  const silent = report.silenced.length === 0 ? "" : `, ${report.silenced.length} silenced`;
  const lines = [
    paint(style, `${total === 0 ? "Nothing was found" : countsText(counts)}${silent}`),
    `Examined: ${examinedText(report)}`,
  ];
  if (total > 0) {
    const [first] = report.findings;
    lines.push(
      "To fix: run a finding's SQL through your migrations; its page under docs/rules says why. --json holds every detail.",
      `To silence: in pgsteward.config.ts, check: { silence: [{ rule: ${JSON.stringify(first?.rule)}, subject: ${JSON.stringify(first === undefined ? "" : subjectPath(first))}, reason: "…" }] }`,
    );
  }
  return lines.join("\n");
}
