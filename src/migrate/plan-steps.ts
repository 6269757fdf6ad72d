// The nodes of a plan as steps: transactions, locks, what each may do to a live server, what undoes it.
import type { BackfillDefinition } from "./backfill/definition.ts";
import { blocksWrites } from "./locks.ts";
import type { PlanLocks, StepLock } from "./plan-locks.ts";
import type { PlanNode } from "./plan-nodes.ts";
import type { Hazard } from "./rules/statement.ts";

/** One statement of a plan. */
export interface Step {
  readonly sql: string;
  /** Counted from 1; steps of one group run in one transaction, one group after the other. */
  readonly transactionGroup: number;
  /** False: it stands alone in its group, and PostgreSQL refuses it inside a transaction block. */
  readonly inTransaction: boolean;
  readonly kind: PlanNode["kind"] | "backfill";
  /** The object, e.g. `index shop.orders.orders_state_idx`. */
  readonly subject: string;
  /** On relations that were there before the plan; those that it makes nobody else uses yet. */
  readonly locks: readonly StepLock[];
  readonly hazards: readonly Hazard[];
  /**
   * SQL that undoes the step once the steps after it are undone: "" when there is nothing to undo (a validation, or the step before it
   * undoes both). `undefined` when nothing does: a hazard says what is lost, or why.
   */
  readonly reversal: string | undefined;
  /** Who may do or see what changes: privileges, policies, row security, rights of an owner lent to callers. */
  readonly authorisation: boolean;
  /** For a `backfill`: the same work for `runBackfill`. The statement here does it too, in pieces that it commits one by one. */
  readonly backfill: BackfillDefinition | undefined;
}

export function stepsOf(nodes: readonly PlanNode[], locks: PlanLocks): readonly Step[] {
  const steps: Step[] = [];
  let group = 0;
  let isOpen = false;
  let isAuthorisation = false;
  for (const node of nodes) {
    // The first statement that does not say itself what undoes it is undone with all of the node.
    let isUndone = false;
    for (const { sql, transaction, hazards: said, reversal: own, backfill, locks: known } of node.statements) {
      if (transaction !== "shared" || !isOpen || isAuthorisation !== node.isAuthorisation) group++;
      isOpen = transaction === "shared";
      isAuthorisation = node.isAuthorisation;
      const taken = known ?? locks.of(sql);
      const hazards = withLocks(lendsRights(sql) ? [...said, OWNERS_RIGHTS] : said, taken);
      const isFinal = hazards.some(({ kind }) => kind === "data loss" || kind === "irreversible");
      const isSetting = sql.startsWith("SET LOCAL ");
      const reversal = isFinal ? undefined : (own ?? (isUndone || isSetting ? "" : node.reversal()));
      if (reversal === undefined && !isFinal) hazards.push(ONLY_BY_A_PLAN);
      if (own === undefined && !isSetting) isUndone = true;
      steps.push({
        sql,
        transactionGroup: group,
        inTransaction: transaction !== "outside",
        kind: backfill === undefined ? node.kind : "backfill",
        subject: node.subject,
        locks: taken,
        hazards,
        reversal,
        authorisation: hazards.some(({ kind }) => kind === "authorisation"),
        backfill,
      });
    }
  }
  return steps;
}

const ONLY_BY_A_PLAN: Hazard = {
  kind: "irreversible",
  why: "no statement alone undoes it: what needs the object has to go and come back, as the plan of the way back does",
};

const OWNERS_RIGHTS: Hazard = { kind: "authorisation", why: "it runs with its owner's rights, whoever calls it" };

/** Whether a function is made SECURITY DEFINER; its body may say the words too. */
function lendsRights(sql: string): boolean {
  const head = /^CREATE OR REPLACE (?:FUNCTION|PROCEDURE) [\s\S]*?(?=\n(?:AS |BEGIN ATOMIC|RETURN )|$)/.exec(sql)?.[0];
  return head !== undefined && /\bSECURITY DEFINER\b/.test(head);
}

/** What the locks tell of rewriting and reading counts more than what a rule had to assume. */
function withLocks(said: readonly Hazard[], locks: readonly StepLock[]): Hazard[] {
  const hazards = said.filter(({ kind }) => kind !== "rewrite" || locks.some(({ rewrite }) => rewrite));
  const isSaid = (...kinds: readonly Hazard["kind"][]): boolean => hazards.some(({ kind }) => kinds.includes(kind));
  for (const { relation, mode, rewrite, scan } of locks) {
    if (rewrite && !isSaid("rewrite"))
      hazards.push({ kind: "rewrite", why: `${relation} is rewritten while it is locked` });
    else if (!rewrite && scan && blocksWrites(mode) && !isSaid("rewrite", "blocks writes"))
      hazards.push({ kind: "blocks writes", why: `${relation} is read while it is locked (${mode})` });
  }
  return hazards;
}
