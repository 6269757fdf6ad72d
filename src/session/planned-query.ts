// A query of ours that starts when it is awaited, as Drizzle's builders do, so that run() can put it into one flush
// beside others. A plan may need several statements; they travel together.
import { QueryPromise } from "drizzle-orm/query-promise";
import type { QueryResult, Statement } from "../postgres/index.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

export interface Plan<T> {
  readonly statements: readonly Statement[];
  /** From the results of all statements, in their order. */
  read(results: readonly QueryResult[]): T | Promise<T>;
  /** Last chance to say more about a failure before the caller sees it. Must not throw anything else instead. */
  explain?(error: unknown): Promise<unknown>;
}

export class PlannedQuery<T> extends QueryPromise<T> {
  readonly #unit: UnitOfWork;
  readonly #make: () => Plan<T>;
  #plan: Plan<T> | undefined;

  /** @param make - called once; what it throws rejects the query */
  constructor(unit: UnitOfWork, make: () => Plan<T>) {
    super();
    unit.observation?.noteBuilt();
    this.#unit = unit;
    this.#make = make;
  }

  /** How many statements it sends: a declared unit waits for all of them before it flushes. */
  get statementCount(): number {
    try {
      return this.#planned().statements.length;
    } catch {
      return 1; // the same error rejects the query when it is started
    }
  }

  async execute(): Promise<T> {
    const plan = this.#planned();
    const sent = plan.statements.map((statement) => this.#unit.query(statement));
    let results: readonly QueryResult[];
    try {
      results = await Promise.all(sent);
    } catch (error) {
      throw plan.explain === undefined ? error : await plan.explain(error);
    }
    return plan.read(results);
  }

  #planned(): Plan<T> {
    this.#plan ??= this.#make();
    return this.#plan;
  }
}
