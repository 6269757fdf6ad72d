// Turns the difference of two catalogs into ordered statements: what depends on what decides the order, and what PostgreSQL allows
// inside a transaction decides the groups.
import {
  compareCatalogs,
  compareObjects,
  objectsToCompare,
  type Catalog,
  type Change,
  type OwnerOptions,
} from "../catalog/index.ts";
import { volatilityIn } from "./catalog-volatility.ts";
import { canBeMadeAgain, decideActions } from "./plan-actions.ts";
import { inCircles } from "./plan-circles.ts";
import { PlanLocks } from "./plan-locks.ts";
import { PlanNodes, type PlanNode } from "./plan-nodes.ts";
import { hiddenLists } from "./plan-privileges.ts";
import { planRenames } from "./plan-renames.ts";
import { stepsOf, type Step } from "./plan-steps.ts";
import type { Rename } from "./renames.ts";
import type { RuleContext } from "./rules/statement.ts";

export interface Plan {
  readonly changes: readonly Change[];
  readonly steps: readonly Step[];
  /** Those that were asked for, and of indexes, constraints and the like that are the same but for their names. */
  readonly renames: readonly Rename[];
  /** Differences that no step covers: kinds of objects the catalog only names. */
  readonly notCovered: readonly Change[];
}

export interface PlanOptions {
  /** `server_version_num` of the server the plan is for. Default: that of `before`. */
  readonly serverVersion?: number | undefined;
  /** What has another name afterwards, and keeps its rows; `renameCandidates` offers some. Nothing is guessed. */
  readonly renames?: readonly Rename[] | undefined;
  /** Compares owners, too. Default: whatever is made belongs to whoever runs the plan. */
  readonly owners?: OwnerOptions | undefined;
}

/**
 * Plans the way from one schema to another. The way back is the plan with the two exchanged.
 *
 * Pure: nothing is asked of a server. Tables that exist before are taken to be in use: their indexes are built CONCURRENTLY, their
 * checks and foreign keys are added NOT VALID and validated in a transaction of their own, their keys take a finished index.
 *
 * @throws InvalidInputError for a rename of what is not there
 */
export function planMigration(before: Catalog, after: Catalog, options: PlanOptions = {}): Plan {
  const changes = compareCatalogs(before, after, { owners: options.owners });
  const { before: known, after: wanted } = objectsToCompare(before, after, options.owners);
  const renamed = planRenames(known, wanted, options.renames ?? [], changes);
  const old = renamed.before;
  const serverVersion = options.serverVersion ?? before.serverVersion;
  const isLive = (id: string | undefined): boolean => id !== undefined && old.has(id) && wanted.has(id);
  const context: RuleContext = { serverVersion, before: old, after: wanted, isLive, isVolatile: volatilityIn(after) };
  const differences =
    old === known ? changes.filter((change) => change.kind !== "unknown") : compareObjects(old, wanted);
  const nodes = orderedNodes(context, differences, renamed.steps);
  const steps = stepsOf(nodes, new PlanLocks(before, after, serverVersion));
  return { changes, steps, renames: renamed.renames, notCovered: changes.filter(({ kind }) => kind === "unknown") };
}

/** What is altered in place and waits for what waits for it is made again instead. */
function orderedNodes(
  context: RuleContext,
  differences: Parameters<typeof decideActions>[0],
  renames: Parameters<PlanNodes["nodes"]>[0],
): readonly PlanNode[] {
  const again = new Set<string>();
  for (;;) {
    const actions = decideActions(differences, context, again);
    const isLive = (id: string | undefined): boolean =>
      context.isLive(id) && id !== undefined && !actions.dropped.has(id);
    const lists = hiddenLists(context, actions).map((list) => [list.id, list] as const);
    const after = lists.length === 0 ? context.after : new Map([...context.after, ...lists]);
    const created = new Set([...actions.created, ...lists.map(([id]) => id)]);
    const nodes = new PlanNodes({ ...context, after, isLive }, { ...actions, created }).nodes(renames);
    const held = inCircles(nodes).filter(
      ({ kind, subject }) => kind === "alter" && !again.has(subject) && canBeMadeAgain(context.before.get(subject)),
    );
    if (held.length === 0) return nodes;
    for (const { subject } of held) again.add(subject);
  }
}
