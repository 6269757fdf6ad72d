// The queries that the function of run() returns, before any of them is sent.
import { QueryPromise } from "drizzle-orm/query-promise";
import { InvalidInputError } from "../postgres/index.ts";
import { PlannedQuery } from "./planned-query.ts";
import type { Declared, DeclaredResult } from "./session-types.ts";

/** How many statements a declared query sends. */
export function statementCount(query: Declared): number {
  return query instanceof PlannedQuery ? query.statementCount : 1;
}

/** @throws InvalidInputError for anything but queries that were not started */
export function declaredQueries(declared: Declared | readonly Declared[]): readonly Declared[] {
  const queries = Array.isArray(declared) ? (declared as readonly Declared[]) : [declared as Declared];
  for (const query of queries) {
    if (query instanceof QueryPromise) continue;
    const isThenable = typeof (query as { then?: unknown } | null | undefined)?.then === "function";
    if (isThenable && !(query instanceof Promise)) continue;
    if (query instanceof Promise) query.catch(() => undefined); // its failure is that it was started at all
    throw new InvalidInputError(
      query instanceof Promise
        ? "run() takes queries that are not awaited yet, not a promise"
        : "run() takes a query or an array of queries",
      {
        hint: "return the query without await and from a function that is not async; use begin() when one depends on another's result",
      },
    );
  }
  return queries;
}

/** Runs declared queries in a unit that is open. */
export async function settleDeclared<Q extends Declared | readonly Declared[]>(
  declared: Q,
): Promise<DeclaredResult<Q>> {
  if (!Array.isArray(declared)) return (await (declared as Declared)) as DeclaredResult<Q>;
  return (await Promise.all(declared as readonly Declared[])) as DeclaredResult<Q>;
}
