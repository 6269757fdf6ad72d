// What the rules of object kinds hand to the planner: statements, how each may run, and what it may do to a live server.
import type { CatalogObject, CatalogObjects } from "../../catalog/index.ts";
import { identifier, literal } from "../../postgres/index.ts";
import type { BackfillDefinition } from "../backfill/definition.ts";
import type { StepLock } from "../plan-locks.ts";

export interface Hazard {
  /** `incompatible`: code that runs now fails from here on; `irreversible`: nothing is lost, but no statement undoes it. */
  readonly kind:
    | "data loss"
    | "rewrite"
    | "scan"
    | "blocks writes"
    | "authorisation"
    | "incompatible"
    | "irreversible"
    | "may fail"
    | "not covered";
  readonly why: string;
}

export interface PlannedStatement {
  readonly sql: string;
  /** `shared`: with its neighbours in one transaction; `own`: alone in one; `outside`: PostgreSQL refuses it inside one. */
  readonly transaction: "shared" | "own" | "outside";
  readonly hazards: readonly Hazard[];
  /** Undoes it when what came after is undone: "" when there is nothing to undo. Left out: the planner finds it by the object. */
  readonly reversal?: string;
  /** `early`: before what it holds goes; `late`: when what it waits for has come. Left out: with the rest of the alteration. */
  readonly moment?: "early" | "late";
  /** It writes rows: the same work for `runBackfill`, which goes slower when the server is busy. */
  readonly backfill?: BackfillDefinition;
  /** Of a block whose statements cannot be read from its text. */
  readonly locks?: readonly StepLock[];
}

/** How an object gets from one state to the other: in place, or by being dropped and made again. */
export type Alteration =
  | "recreate"
  | {
      readonly statements: readonly PlannedStatement[];
      /** Ids of objects whose dependants have to be dropped before, and made again after. */
      readonly rebuilds: readonly string[];
      /** A type that another takes the name of: types made of it need the same. */
      readonly isSwap?: true;
    };

export interface RuleContext {
  readonly serverVersion: number;
  readonly before: CatalogObjects;
  readonly after: CatalogObjects;
  /** Whether a table or materialized view was there before and stays: others are using it. */
  readonly isLive: (id: string | undefined) => boolean;
  /** Whether an expression may have another value for each row. */
  readonly isVolatile: (expression: string) => boolean;
  /** Whether an object is dropped, for good or to be made again. Left out: none is. */
  readonly isGone?: (id: string) => boolean;
  /** Whether a partition is detached for a while, so that nothing comes down to it. Left out: none is. */
  readonly isDetached?: (table: { readonly schema: string | undefined; readonly name: string }) => boolean;
}

export function statement(
  sql: string,
  hazards: readonly Hazard[] = [],
  transaction: PlannedStatement["transaction"] = "shared",
): PlannedStatement {
  return { sql, transaction, hazards };
}

/** The same statement with the one that undoes it. */
export function undoneBy(reversal: string, planned: PlannedStatement): PlannedStatement {
  return { ...planned, reversal };
}

/** The same statement at another moment. */
export function at(moment: "early" | "late", planned: PlannedStatement): PlannedStatement {
  return { ...planned, moment };
}

export function inPlace(
  statements: readonly (string | PlannedStatement)[],
  rebuilds: readonly string[] = [],
): Alteration {
  return { statements: statements.map((item) => (typeof item === "string" ? statement(item) : item)), rebuilds };
}

/** The table, view or domain that an object is a part of, at any depth. */
export function ownerOf(object: CatalogObject, objects: CatalogObjects): CatalogObject {
  const parent = object.parent === undefined ? undefined : objects.get(object.parent);
  return parent === undefined || parent.kind === "schema" ? object : ownerOf(parent, objects);
}

/** `setval` past the highest value of a column; a sequence that is ahead already stays. */
export function setToHighest(schema: string, table: string, column: string): string {
  const name = identifier(schema, table);
  const sequence = `pg_catalog.pg_get_serial_sequence(${literal(name)}, ${literal(column)})`;
  return `SELECT pg_catalog.setval(${sequence}, highest.value) FROM (SELECT max(${identifier(column)}) AS value FROM ${name}) AS highest WHERE highest.value > 0`;
}
