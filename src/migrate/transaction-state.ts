// What a transaction has done so far, for the rules that ask what it holds while a later statement works.
import type { BatchState } from "./batch-state.ts";
import type { LintedStatement } from "./lint-batch.ts";
import { newlyReferenced } from "./lint-rules/constraints.ts";
import type { TransactionState } from "./lint-rules/rule.ts";
import type { LockEffect } from "./locks.ts";
import { stringsOf, textOf } from "./syntax.ts";

/** What the transaction has done when the statement is over. */
export function noteDone(
  transaction: TransactionState,
  { statement, actions }: LintedStatement,
  effects: readonly LockEffect[],
  state: BatchState,
): void {
  const by = (statement.text.split("\n", 1)[0] ?? "").slice(0, 80);
  for (const { table, mode } of effects) transaction.held.push({ table, mode, by });
  for (const action of actions) {
    const value =
      action.kind === "AlterEnumStmt" && action.node["oldVal"] === undefined
        ? textOf(action.node, "newVal")
        : undefined;
    // A type that the same transaction made may use its values at once.
    if (value !== undefined && !state.newTypes.has(stringsOf(action.node, "typeName").at(-1) ?? ""))
      transaction.addedEnumValues.add(value);
    for (const referenced of newlyReferenced(action))
      if (!state.table(referenced).isNew) transaction.referencedTables.add(state.table(referenced));
  }
}
