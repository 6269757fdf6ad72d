// Turns the difference of two catalogs into ordered statements: what depends on what decides the order, and what PostgreSQL allows
// inside a transaction decides the groups.
import { catalogObjects, compareCatalogs, type Catalog, type Change } from "../catalog/index.ts";
import { decideActions } from "./plan-actions.ts";
import { PlanLocks } from "./plan-locks.ts";
import { PlanNodes } from "./plan-nodes.ts";
import { stepsOf, type Step } from "./plan-steps.ts";
import type { RuleContext } from "./rules/statement.ts";

export interface Plan {
  readonly changes: readonly Change[];
  readonly steps: readonly Step[];
  /** Differences that no step covers: kinds of objects the catalog only names. */
  readonly notCovered: readonly Change[];
}

export interface PlanOptions {
  /** `server_version_num` of the server the plan is for. Default: that of `before`. */
  readonly serverVersion?: number | undefined;
}

/**
 * Plans the way from one schema to another. The way back is the plan with the two exchanged.
 *
 * Pure: nothing is asked of a server. Tables that exist before are taken to be in use: their indexes are built CONCURRENTLY, their
 * checks and foreign keys are added NOT VALID and validated in a transaction of their own, their keys take a finished index.
 */
export function planMigration(before: Catalog, after: Catalog, options: PlanOptions = {}): Plan {
  const changes = compareCatalogs(before, after);
  const old = catalogObjects(before);
  const wanted = catalogObjects(after);
  const serverVersion = options.serverVersion ?? before.serverVersion;
  const isLive = (id: string | undefined): boolean => id !== undefined && old.has(id) && wanted.has(id);
  const context: RuleContext = { serverVersion, before: old, after: wanted, isLive };
  const actions = decideActions(old, wanted, context);
  const isStillLive = (id: string | undefined): boolean => isLive(id) && id !== undefined && !actions.dropped.has(id);
  const nodes = new PlanNodes({ ...context, isLive: isStillLive }, actions).nodes();
  const steps = stepsOf(nodes, new PlanLocks(before, serverVersion));
  return { changes, steps, notCovered: changes.filter(({ kind }) => kind === "unknown") };
}
