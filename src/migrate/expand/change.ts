// What can be asked of expand and contract, and the plan that answers it: separate named migrations, each with its way back.
import type { BackfillDefinition } from "../backfill/definition.ts";
import { LOCK_LIMIT_SQL } from "../lock-limit.ts";

export type ExpandChange =
  | {
      readonly kind: "column type";
      readonly schema: string;
      readonly table: string;
      readonly column: string;
      /** As SQL, e.g. `bigint`; a type outside pg_catalog with its schema. */
      readonly type: string;
      /** The new value, as an expression over the column under its name, e.g. `(total * 100)::bigint`. Default: a cast. */
      readonly using?: string | undefined;
      /** The old value, as an expression over the column under its name, which then has the new type. Default: a cast. */
      readonly back?: string | undefined;
      /** Default of the new column, as SQL. Default: a cast of the old one. */
      readonly default?: string | undefined;
    }
  | {
      readonly kind: "column rename";
      readonly schema: string;
      readonly table: string;
      readonly column: string;
      readonly to: string;
    }
  | { readonly kind: "table rename"; readonly schema: string; readonly table: string; readonly to: string }
  | {
      readonly kind: "column not null";
      readonly schema: string;
      readonly table: string;
      readonly column: string;
      /** For the rows that have none, and for those to come, as SQL. */
      readonly default: string;
    };

/** Statements that run in one transaction, or a single one that runs outside any. */
export interface ExpandGroup {
  readonly inTransaction: boolean;
  readonly statements: readonly string[];
}

/** One migration. Between two of them the old and the new program both work, for as long as it takes. */
export interface ExpandPhase {
  /** e.g. `expand`, `backfill`, `validate`, `switch`, `contract`. */
  readonly phase: string;
  /** For the file's name, e.g. `expand_orders_total_to_bigint`. */
  readonly name: string;
  /** One or more sentences for the file's header. */
  readonly why: readonly string[];
  /** Set when the way back does not restore what was, for the header's `-- irreversible: …`. */
  readonly irreversible?: string | undefined;
  readonly up: readonly ExpandGroup[];
  readonly down: readonly ExpandGroup[];
  /** The batched update of this phase: `runBackfill` may run it before, and the file then finds nothing to do. */
  readonly backfill: BackfillDefinition | undefined;
}

export interface ExpandPlan {
  readonly change: ExpandChange;
  readonly phases: readonly ExpandPhase[];
  /** What a person has to look after, e.g. views that read the column. */
  readonly notices: readonly string[];
}

export function inTransaction(...statements: readonly string[]): readonly ExpandGroup[] {
  return statements.length === 0 ? [] : [{ inTransaction: true, statements: [LOCK_LIMIT_SQL, ...statements] }];
}

export function alone(...statements: readonly string[]): readonly ExpandGroup[] {
  return statements.map((statement) => ({ inTransaction: false, statements: [statement] }));
}

/** For a phase whose way back has nothing to do: an empty part would mean that there is no way back. */
export function nothingToUndo(): readonly ExpandGroup[] {
  return [{ inTransaction: true, statements: ["SELECT 'the values go with their column' AS nothing_to_undo"] }];
}
