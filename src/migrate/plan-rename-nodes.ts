// Renames as nodes of a plan: one after the other, before everything else.
import type { PlanNode } from "./plan-nodes.ts";
import type { PlannedStatement } from "./rules/statement.ts";

export type RenameSteps = readonly { readonly subject: string; readonly statements: readonly PlannedStatement[] }[];

const RENAME_RANK = -1_000_000;

export function renameNodes(renames: RenameSteps): readonly PlanNode[] {
  return renames.map(({ subject, statements }, position) => ({
    key: `rename ${position}`,
    rank: RENAME_RANK + position,
    after: new Set([`rename ${position - 1}`]),
    subject,
    kind: "rename",
    statements,
    isAuthorisation: false,
    reversal: () => "",
  }));
}
