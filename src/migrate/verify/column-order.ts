// Tells a difference that nobody can avoid: a column that is dropped and added again stands last, and so do the columns of views that
// take all of a table's.
import type { Catalog, Change } from "../../catalog/index.ts";

/** Splits changes into those that only follow from another order of columns, and the rest. */
export function separateColumnOrder(
  before: Catalog,
  after: Catalog,
  changes: readonly Change[],
): { readonly order: readonly Change[]; readonly rest: readonly Change[] } {
  if (!changes.some(isView) || !hasOtherOrder(before, after)) return { order: [], rest: changes };
  const order = changes.filter((change) => isView(change) && change.facts.every(isRearranged));
  return { order, rest: changes.filter((change) => !order.includes(change)) };
}

function isView(change: Change): change is Extract<Change, { kind: "alter" }> {
  return change.kind === "alter" && change.after.kind === "view";
}

/** Whether a table has the same columns in another order. */
function hasOtherOrder(before: Catalog, after: Catalog): boolean {
  const names = ({ tables }: Catalog): ReadonlyMap<string, readonly string[]> =>
    new Map(tables.map(({ schema, name, columns }) => [`${schema}.${name}`, columns.map((column) => column.name)]));
  const now = names(after);
  return [...names(before)].some(([table, columns]) => {
    const others = now.get(table) ?? [];
    return others.join("\0") !== columns.join("\0") && isSame(others, columns);
  });
}

/** The same words, or the same columns, in another order. */
function isRearranged({ before, after }: { readonly before: unknown; readonly after: unknown }): boolean {
  if (typeof before === "string" && typeof after === "string") return isSame(wordsOf(before), wordsOf(after));
  if (!Array.isArray(before) || !Array.isArray(after)) return false;
  const texts = (list: readonly unknown[]): readonly string[] => list.map((item) => JSON.stringify(item));
  return isSame(texts(before), texts(after));
}

function wordsOf(sql: string): readonly string[] {
  return sql.split(/[\s,;]+/);
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.toSorted().join("\0") === b.toSorted().join("\0");
}
