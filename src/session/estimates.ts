// Questions about a query that do not need its rows: whether there are any, how many, and how many the planner expects.
import { is, SQL, sql, type SQLWrapper } from "drizzle-orm";
import { InvalidInputError, type QueryResult, type Statement } from "../postgres/index.ts";
import { dialect } from "./dialect.ts";
import { PlannedQuery } from "./planned-query.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

/** `tx.exists()`; described there. */
export function existsQuery(unit: UnitOfWork, query: SQLWrapper): PlannedQuery<boolean> {
  return new PlannedQuery(unit, () => ({
    statements: [statementOf(sql`SELECT EXISTS (${innerQuery(query)}) AS found`)],
    read: ([result]) => (result?.rows[0] as { found: boolean } | undefined)?.found === true,
  }));
}

/** `tx.countEstimate()`; described there. */
export function countEstimate(unit: UnitOfWork, query: SQLWrapper): PlannedQuery<number> {
  return new PlannedQuery(unit, () => ({
    statements: [estimateStatement(query)],
    read: ([result]) => readEstimate(result),
  }));
}

export function estimateStatement(query: SQLWrapper): Statement {
  return statementOf(sql`EXPLAIN (FORMAT JSON) ${innerQuery(query)}`);
}

export function readEstimate(result: QueryResult | undefined): number {
  const [row] = (result?.rows ?? []) as Record<string, unknown>[];
  const plan = Object.values(row ?? {})[0];
  const [top] = (typeof plan === "string" ? JSON.parse(plan) : plan) as [{ Plan: { "Plan Rows": number } }];
  return top.Plan["Plan Rows"];
}

export function countStatement(query: SQLWrapper): Statement {
  return statementOf(sql`SELECT count(*) AS total FROM (${innerQuery(query)}) AS pgsteward_counted`);
}

export function readCount(result: QueryResult | undefined): number {
  return Number((result?.rows[0] as { total: string } | undefined)?.total ?? 0);
}

/** A query as part of another one, without the brackets that Drizzle puts around a builder. */
function innerQuery(query: SQLWrapper): SQL {
  if (is(query, SQL)) return query;
  if (typeof (query as Partial<SQLWrapper> | undefined)?.getSQL !== "function") {
    throw new InvalidInputError("a query is needed: a builder that was not awaited, or sql`…`");
  }
  return query.getSQL();
}

function statementOf(query: SQL): Statement {
  const { sql: text, params } = dialect.sqlToQuery(query);
  return { text, values: params };
}
