// Says in the files what the linter would ask about them: each statement of a plan that looks dangerous by itself carries the reason why it is
// not there. Only the hazards that these plans are made to avoid are answered; any other stays a finding.
import type { Catalog } from "../../catalog/index.ts";
import type { LintFinding } from "../lint-report.ts";
import { lintSql } from "../lint.ts";
import type { ExpandGroup, ExpandPhase } from "./change.ts";
import { formatExpandPhase } from "./format-phase.ts";

const CATALOG_ONLY = "it changes the catalog only: what it needs was built and validated before";
const LAST_PHASE = "the last phase: nothing uses it any more when it is run";
const EXCHANGED = "the names are exchanged in one transaction, so programs always find theirs";

const CARRIED_OVER = "as it was before, for what takes the old one's place";

const REASONS: Readonly<Record<string, string>> = {
  "lock-table": "one short lock for all that follows, which changes the catalog only",
  "statement-after-access-exclusive": CATALOG_ONLY,
  "primary-key-using-nullable-index": CATALOG_ONLY,
  "rename-column": EXCHANGED,
  "rename-table": EXCHANGED,
  "drop-not-null": "the old column only follows from here on",
  "drop-column": LAST_PHASE,
  "drop-table": LAST_PHASE,
  "drop-function": "the trigger that called it goes with it",
  "drop-index-non-concurrent": CATALOG_ONLY,
  "add-column-generated-stored":
    "nothing else makes a column generated: run this when the table may stand still, or leave the column to its trigger",
  "identity-change": "the identity goes over with its sequence and the number that was reached",
  "grant-to-public": CARRIED_OVER,
  "authorization-change": CARRIED_OVER,
};

/**
 * @param catalog - what there is before the plan
 * @param own - reasons that are others than those of expand and contract
 */
export async function acknowledgeHazards(
  phases: readonly ExpandPhase[],
  catalog: Catalog,
  own: Readonly<Record<string, string>> = {},
): Promise<readonly ExpandPhase[]> {
  const reasons = { ...REASONS, ...own };
  const files = phases.map((phase, index) => ({
    name: `${String(index + 1).padStart(4, "0")}_${phase.name}.sql`,
    text: formatExpandPhase(phase),
  }));
  const { findings } = await lintSql(files, { catalog });
  return phases.map((phase, index) => {
    const known = findings.filter(({ file, rule }) => file === files[index]?.name && rule in reasons);
    const mark = (statement: string): string => {
      const rules = [
        ...new Set(
          known.filter((finding) => holds(files[index]?.text ?? "", statement, finding)).map(({ rule }) => rule),
        ),
      ];
      const marks = rules.map((rule) => `-- pgsteward:ignore ${rule} ${reasons[rule] ?? ""}`);
      return [...marks, statement].join("\n");
    };
    const up = phase.up.map((group): ExpandGroup => ({ ...group, statements: group.statements.map(mark) }));
    return { ...phase, up };
  });
}

/** The statement itself, or one inside a DO block: that is told by its line, because its text is not quite what stands there. */
function holds(file: string, statement: string, finding: LintFinding): boolean {
  if (statement === finding.statement) return true;
  if (!statement.startsWith("DO ")) return false;
  const before = file.slice(0, file.indexOf(statement)).split("\n").length;
  return finding.line >= before && finding.line < before + statement.split("\n").length;
}
