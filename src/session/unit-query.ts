// Drizzle's prepared query on a unit of work. Besides running it, our own features ask it for its statement and let it map
// rows that came another way (a cursor, a page with extra columns).
import { is, SQL } from "drizzle-orm";
import { NodePgPreparedQuery, type NodePgClient } from "drizzle-orm/node-postgres";
import { NoopCache } from "drizzle-orm/cache/core";
import { NoopLogger } from "drizzle-orm/logger";
import type { PreparedQueryConfig, SelectedFieldsOrdered } from "drizzle-orm/pg-core";
import type { Query } from "drizzle-orm/sql";
import { InvalidInputError, type QueryResult, type Statement } from "../postgres/index.ts";

/** What carries a statement to the server: a unit of work, or something that has its result already. */
export interface StatementSender {
  query(config: Statement, values: readonly unknown[]): Promise<QueryResult>;
}

interface SwitchableSender extends StatementSender {
  current: StatementSender;
}

const logger = new NoopLogger();
const cache = new NoopCache();

/** Drizzle wraps each error in one whose message holds all parameters; ours are passed on as they are. */
export class UnitQuery<T extends PreparedQueryConfig = PreparedQueryConfig> extends NodePgPreparedQuery<T> {
  readonly selectedFields: SelectedFieldsOrdered | undefined;
  readonly #sender: SwitchableSender;
  readonly #isMapped: boolean;

  constructor(
    sender: StatementSender,
    query: Query,
    fields: SelectedFieldsOrdered | undefined,
    name: string | undefined,
    isResponseInArrayMode: boolean,
    customResultMapper: ((rows: unknown[][]) => T["execute"]) | undefined,
  ) {
    const switchable: SwitchableSender = {
      current: sender,
      query: (config, values) => switchable.current.query(config, values),
    };
    super(
      switchable as unknown as NodePgClient, // Drizzle calls nothing but query(config, values) on it
      query.sql,
      query.params,
      logger,
      cache,
      undefined,
      undefined,
      fields,
      name,
      isResponseInArrayMode,
      customResultMapper,
    );
    this.selectedFields = fields;
    this.#sender = switchable;
    this.#isMapped = fields !== undefined || customResultMapper !== undefined;
  }

  queryWithCache<R>(_text: string, _params: unknown[], query: () => Promise<R>): Promise<R> {
    return query();
  }

  /** The statement it would send. */
  get statement(): Statement {
    const { sql: text, params: values } = this.getQuery();
    const { types } = (this as unknown as { rawQueryConfig: Pick<Statement, "types"> }).rawQueryConfig;
    return { text, values, types, ...(this.#isMapped ? { rowMode: "array" } : {}) };
  }

  /** Maps a result of this statement, or of one that has the same leading columns. */
  decode(result: QueryResult): Promise<T["execute"]> {
    const { current } = this.#sender;
    this.#sender.current = { query: () => Promise.resolve(result) };
    try {
      return this.execute(); // asks its sender before it first waits
    } finally {
      this.#sender.current = current;
    }
  }

  /** The rows of a decoded result: Drizzle gives raw SQL's as the driver does. */
  async decodeRows(result: QueryResult): Promise<readonly unknown[]> {
    const decoded: unknown = await this.decode(result);
    return this.#isMapped ? (decoded as readonly unknown[]) : (decoded as QueryResult).rows;
  }
}

/** One row of a query: a builder's, or what `sql<Row>` says. */
export type RowOfQuery<Q> = Q extends SQL<infer R> ? R : Q extends PromiseLike<readonly (infer R)[]> ? R : never;

/**
 * The prepared form of a builder that was made on a unit.
 *
 * @throws InvalidInputError for what is no query, or was made elsewhere
 */
export function preparedQuery(query: unknown): UnitQuery {
  const { prepare } = (query ?? {}) as { prepare?: unknown };
  if (typeof prepare !== "function" || is(query, SQL)) throw noQuery();
  const prepared: unknown = prepare.call(query, "");
  if (!(prepared instanceof UnitQuery)) throw noQuery();
  return prepared;
}

function noQuery(): InvalidInputError {
  return new InvalidInputError("a query is needed that was made on a unit's tx", {
    hint: "pass e.g. tx.select().from(table), without await",
  });
}
