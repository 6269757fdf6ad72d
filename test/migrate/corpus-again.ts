// Pairs of the corpus with plans that may run again: each way twice, and up where a part of it was done before.
import { compareCatalogs, type Catalog, type Change } from "../../src/catalog/index.ts";
import {
  idempotentSteps,
  planMigration,
  reverseRenames,
  type NotRepeatable,
  type Step,
} from "../../src/migrate/index.ts";
import type { Database } from "../../src/postgres/index.ts";
import { applyPlan, buildCase, read, type CorpusCase } from "./corpus.ts";

export interface JourneyAgain {
  /** Of both ways. */
  readonly notRepeatable: readonly NotRepeatable[];
  /** What differs from what is wanted, by the run after which it does. */
  readonly left: Readonly<Record<string, readonly Change[]>>;
}

/** Runs each way twice; a way that holds statements which may not run again, once. Throws with the statement that the server refuses. */
export async function travelAgain(database: Database, pair: CorpusCase): Promise<JourneyAgain> {
  const { before, after, renames } = pair;
  const wanted = await buildCase(database, after);
  const original = await buildCase(database, before);
  const left: Record<string, readonly Change[]> = {};
  const run = async (name: string, steps: readonly Step[], goal: Catalog): Promise<Catalog> => {
    await apply(database, steps);
    const reached = await read(database);
    left[name] = compareCatalogs(reached, goal);
    return reached;
  };
  const plan = planMigration(original, wanted, { renames });
  const up = idempotentSteps(plan.steps);
  const reached = await run("up", up.steps, wanted);
  if (up.notRepeatable.length === 0) await run("up again", up.steps, wanted);
  const back = planMigration(reached, original, { renames: reverseRenames(renames, original) });
  const down = idempotentSteps(back.steps);
  await run("down", down.steps, original);
  if (down.notRepeatable.length === 0) await run("down again", down.steps, original);
  return { notRepeatable: [...up.notRepeatable, ...down.notRepeatable], left };
}

/** Stops the plan after each of its transactions, and runs all of it in the form that may run again. */
export async function travelFromHalfway(database: Database, pair: CorpusCase): Promise<JourneyAgain["left"]> {
  const wanted = await buildCase(database, pair.after);
  const left: Record<string, readonly Change[]> = {};
  const last = (steps: readonly Step[]): number => steps.at(-1)?.transactionGroup ?? 0;
  for (let done = 1, groups = 2; done < groups; done++) {
    const original = await buildCase(database, pair.before);
    const { steps } = planMigration(original, wanted, { renames: pair.renames });
    groups = last(steps);
    await apply(
      database,
      steps.filter(({ transactionGroup }) => transactionGroup <= done),
    );
    await apply(database, idempotentSteps(steps).steps);
    left[`after ${done}`] = compareCatalogs(await read(database), wanted);
  }
  return left;
}

function apply(database: Database, steps: readonly Step[]): Promise<void> {
  return applyPlan(database, { changes: [], steps, renames: [], notCovered: [] });
}
