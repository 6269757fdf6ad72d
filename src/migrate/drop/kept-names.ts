// Where what is dropped in two releases is kept until it is let go: a schema of its own, which nobody but its owner may look into.
import { suffixed } from "../expand/names.ts";

export const KEPT_SCHEMA = "pgsteward_kept";

/** The table that keeps the values of a dropped column: `orders__note`; for a schema other than public `shop__orders__note`. */
export function keptColumnTable({ schema, table, column }: KeptColumn): string {
  return suffixed(schema === "public" ? table : `${schema}__${table}`, `__${column}`);
}

export interface KeptColumn {
  readonly schema: string;
  readonly table: string;
  readonly column: string;
}
