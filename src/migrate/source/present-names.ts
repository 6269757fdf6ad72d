// Names that nobody chose: where a model leaves the name of a constraint to Drizzle, the one that it has at present stays.
import type { Constraint, Table } from "../../catalog/index.ts";

export interface Reference {
  readonly schema: string;
  readonly table: string;
  readonly columns: readonly string[];
}

/** The name of the table's constraint of this kind over these columns, in this order; `undefined` when there is none. */
export function presentName(
  table: Table | undefined,
  kind: Constraint["kind"],
  columns: readonly string[],
  references?: Reference,
): string | undefined {
  return table?.constraints.find(
    (constraint) =>
      constraint.kind === kind &&
      sameList(constraint.columns, columns) &&
      (references === undefined ||
        (constraint.references?.schema === references.schema &&
          constraint.references.table === references.table &&
          sameList(constraint.references.columns, references.columns))),
  )?.name;
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, position) => item === b[position]);
}
