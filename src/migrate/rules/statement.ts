// What the rules of object kinds hand to the planner: statements, how each may run, and what it may do to a live server.
import type { CatalogObject, CatalogObjects } from "../../catalog/index.ts";

export interface Hazard {
  readonly kind: "data loss" | "rewrite" | "scan" | "blocks writes" | "authorisation" | "may fail" | "not covered";
  readonly why: string;
}

export interface PlannedStatement {
  readonly sql: string;
  /** `shared`: with its neighbours in one transaction; `own`: alone in one; `outside`: PostgreSQL refuses it inside one. */
  readonly transaction: "shared" | "own" | "outside";
  readonly hazards: readonly Hazard[];
}

/** How an object gets from one state to the other: in place, or by being dropped and made again. */
export type Alteration =
  | "recreate"
  | {
      readonly statements: readonly PlannedStatement[];
      /** Ids of objects whose dependants have to be dropped before, and made again after. */
      readonly rebuilds: readonly string[];
    };

export interface RuleContext {
  readonly serverVersion: number;
  readonly before: CatalogObjects;
  readonly after: CatalogObjects;
  /** Whether a table or materialized view was there before and stays: others are using it. */
  readonly isLive: (id: string | undefined) => boolean;
}

export function statement(
  sql: string,
  hazards: readonly Hazard[] = [],
  transaction: PlannedStatement["transaction"] = "shared",
): PlannedStatement {
  return { sql, transaction, hazards };
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
