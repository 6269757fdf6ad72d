// The linter's report as text with a caret, as SARIF 2.1.0 and as GitHub annotations.
import type { LintFile, LintFinding, LintReport } from "../migrate/index.ts";
import { LINT_RULES } from "../migrate/linter.ts";
import { packageVersion } from "./command.ts";
import { countsText } from "./counts-text.ts";
import { printable, type Paint, type Style } from "./output.ts";

const STYLES: Readonly<Record<LintFinding["severity"], Style>> = { error: "red", warning: "yellow", info: "cyan" };
const LONGEST_LINE = 160;

export function lintText(report: LintReport, files: readonly LintFile[], paint: Paint): string {
  const texts = new Map(files.map(({ name, text }) => [name, text]));
  const blocks = report.findings.map((finding) => findingText(finding, texts.get(finding.file) ?? "", paint));
  const total = report.findings.length;
  const silenced = report.ignored.length === 0 ? "" : `, ${report.ignored.length} ignored`;
  const style: Style = report.counts.error > 0 ? "red" : report.counts.warning > 0 ? "yellow" : "green";
  const { files: fileCount, statements, rules } = report.examined;
  const lines = [
    paint(style, `${total === 0 ? "Nothing was found" : countsText(report.counts)}${silenced}`),
    `Examined: ${fileCount} ${fileCount === 1 ? "file" : "files"}, ${statements} ${statements === 1 ? "statement" : "statements"}, ${rules} rules, PostgreSQL ${report.serverVersion}${report.hasCatalog ? "" : "; without --database or --schema, present types and constraints are not known"}`,
  ];
  if (statements === 0) lines.push("nothing: there are no statements");
  if (report.alsoSeen.length > 0) {
    const seen = report.alsoSeen.map(({ rule, count }) => `${count} ${rule}`).join(", ");
    lines.push(`Not reported one by one: ${seen}; --on RULE does.`);
  }
  if (total > 0)
    lines.push("To ignore one: -- pgsteward:ignore RULE reason, before its statement. docs/lint.md says why.");
  return [...blocks, lines.join("\n")].join("\n\n");
}

function findingText(finding: LintFinding, text: string, paint: Paint): string {
  const place = `${finding.file}:${finding.line}:${finding.column}`;
  const line = (text.split("\n")[finding.line - 1] ?? "").replace(/\r$/, "").replaceAll("\t", " ");
  const from = Math.max(0, finding.column - 60);
  const shown = Array.from(line)
    .slice(from, from + LONGEST_LINE)
    .join("");
  const number = String(finding.line);
  const first = finding.statement.split("\n", 1)[0] ?? "";
  const caret =
    " ".repeat(finding.column - 1 - from) +
    "^".repeat(Math.max(1, Math.min(Array.from(first).length, Array.from(shown).length - finding.column + 1 + from)));
  const lines = [
    `${paint("bold", printable(place))}  ${paint(STYLES[finding.severity], finding.severity)}  ${printable(finding.message)}  ${paint("dim", finding.rule)}`,
    `  ${number} | ${printable(shown)}`,
    `  ${" ".repeat(number.length)} | ${paint(STYLES[finding.severity], caret)}`,
  ];
  if (finding.lock !== undefined) {
    const work = finding.lock.rewrites ? ", rewrites it" : finding.lock.scans ? ", reads all of it" : "";
    lines.push(paint("dim", `  lock: ${finding.lock.mode} on ${printable(finding.lock.relation)}${work}`));
  }
  lines.push(paint("dim", `  why:  ${finding.why}`));
  for (const [index, part] of finding.rewrite.split("\n").entries())
    lines.push(paint("dim", `  ${index === 0 ? "safe: " : "      "}${printable(part)}`));
  return lines.join("\n");
}

const SARIF_LEVELS = { error: "error", warning: "warning", info: "note" } as const;

/** @see https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html */
export function lintSarif(report: LintReport): unknown {
  const used = LINT_RULES.filter(({ id }) =>
    [...report.findings, ...report.ignored.map(({ finding }) => finding)].some(({ rule }) => rule === id),
  );
  const index = new Map(used.map(({ id }, position) => [id, position]));
  const result = (finding: LintFinding): Record<string, unknown> => ({
    ruleId: finding.rule,
    ruleIndex: index.get(finding.rule),
    level: SARIF_LEVELS[finding.severity],
    message: { text: `${finding.message}. ${finding.why}\n\nSafe form:\n${finding.rewrite}` },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: encodeURI(finding.file.replaceAll("\\", "/")) },
          region: { startLine: finding.line, startColumn: finding.column, snippet: { text: finding.statement } },
        },
      },
    ],
  });
  return {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: {
            name: "pgsteward",
            version: packageVersion(),
            rules: used.map(({ id, title, why, severity }) => ({
              id,
              shortDescription: { text: title },
              fullDescription: { text: why },
              help: { text: `docs/lint.md#${id}` },
              defaultConfiguration: { level: SARIF_LEVELS[severity] },
            })),
          },
        },
        columnKind: "unicodeCodePoints",
        results: [
          ...report.findings.map(result),
          ...report.ignored.map(({ finding, reason }) => ({
            ...result(finding),
            suppressions: [{ kind: "inSource", justification: reason }],
          })),
        ],
      },
    ],
  };
}

const GITHUB_LEVELS = { error: "error", warning: "warning", info: "notice" } as const;

/** One workflow command a line; see GitHub's "Workflow commands". */
export function lintGithub(report: LintReport): string {
  const value = (text: string): string => text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
  const property = (text: string): string => value(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
  return report.findings
    .map(
      ({ severity, file, line, column, rule, message, why, rewrite }) =>
        `::${GITHUB_LEVELS[severity]} file=${property(file)},line=${line},col=${column},title=${property(rule)}::${value(`${message}. ${why}\n${rewrite}`)}`,
    )
    .join("\n");
}
