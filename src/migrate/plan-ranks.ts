// Where a node of a plan stands among those that could come next; the lowest comes first.
import { rankOf, type CatalogObject } from "../catalog/index.ts";
import type { PlannedStatement } from "./rules/statement.ts";

/** Labels of enums: committed before anything uses them, and before anything is dropped. */
export const LABEL_RANK = -1_000;
export const EARLY_RANK = -500;
export const ALTER_RANK = 100;
export const AUTHORISATION_RANK = 800;
export const OUTSIDE_RANK = 1_000;
export const VALIDATE_RANK = 2_000;
/** Under what else is done outside of transactions. */
export const FILL_RANK = -100;
const DROP_INDEX_RANK = 500;
/** Before anything else goes: what its table and others have after that is no concern of a partition that left. */
const DETACH_RANK = -OUTSIDE_RANK - 600;

export function dropRank(object: CatalogObject, statements: readonly PlannedStatement[], isMadeAgain: boolean): number {
  if (!statements.some(({ transaction }) => transaction === "outside") || isMadeAgain) return -rankOf(object.kind);
  // An index that is built instead of one that goes is there first.
  return object.kind === "partition" ? DETACH_RANK : DROP_INDEX_RANK;
}

/** Columns are added in the order of their table. */
export function placeOf(kind: string, object: CatalogObject, number: number): string | undefined {
  const isAdded = kind === "create" && object.kind === "column";
  return isAdded ? `create ${object.parent ?? ""}.${String(number).padStart(9, "0")}` : undefined;
}
