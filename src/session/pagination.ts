// Pages by position in an order (keyset), which cost the same at any depth, and by number for people who want numbers.
import { sql, type SQL, type SQLWrapper } from "drizzle-orm";
import type { PgColumn, PgSelectConfig } from "drizzle-orm/pg-core";
import { InvalidInputError, type QueryResult, type Statement } from "../postgres/index.ts";
import { readCursor, writeCursor } from "./cursor-token.ts";
import { dialect } from "./dialect.ts";
import { countStatement, estimateStatement, readCount, readEstimate } from "./estimates.ts";
import { checkCount } from "./locking.ts";
import {
  beyond,
  keyColumns,
  opposite,
  orderOf,
  refuseNullable,
  sortKeys,
  tieBreakers,
  type Key,
  type SortKey,
} from "./page-order.ts";
import { PlannedQuery } from "./planned-query.ts";
import type { UnitOfWork } from "./unit-of-work.ts";
import { preparedQuery } from "./unit-query.ts";

export type TotalKind = "exact" | "estimated" | "none";

export interface PageOptions {
  /**
   * What the pages are ordered by. The primary key is added by itself, in the direction of the last key, so that the order
   * has no ties; an index on these columns makes every page cheap. When directions differ the index finds the first column
   * only: let it be one whose values few rows share. Columns must be NOT NULL, and expressions must never be. Default: the
   * primary key alone.
   */
  readonly orderBy?: SortKey | readonly SortKey[];
  /** A page's `nextCursor`: the page after it. */
  readonly after?: string | null | undefined;
  /** A page's `previousCursor`: the page before it. */
  readonly before?: string | null | undefined;
  /** Rows per page, 1 to 10,000. */
  readonly limit: number;
  /** Counted in the same flush (`"exact"`), guessed by the planner (`"estimated"`), or not at all (`"none"`, default). */
  readonly total?: TotalKind;
  /** What makes the order unique when the query does not read from tables with primary keys. */
  readonly tieBreaker?: PgColumn | SQL | SQL.Aliased | readonly (PgColumn | SQL | SQL.Aliased)[];
}

export interface Page<R> {
  /** In the order asked for, whichever way the page was reached. */
  readonly rows: R[];
  /** For `after`; undefined on the last page. */
  readonly nextCursor: string | undefined;
  /** For `before`; undefined on the first page. */
  readonly previousCursor: string | undefined;
  readonly hasNext: boolean;
  readonly hasPrevious: boolean;
  readonly total: number | undefined;
}

export interface OffsetPageOptions {
  /** From 1. */
  readonly page: number;
  /** Rows per page, 1 to 10,000. */
  readonly pageSize: number;
  /** Default `"exact"`. */
  readonly total?: TotalKind;
  /** Default: the query's own order, else the primary key. */
  readonly orderBy?: SortKey | readonly SortKey[];
}

export interface OffsetPage<R> {
  readonly rows: R[];
  readonly page: number;
  readonly pageSize: number;
  readonly total: number | undefined;
  readonly pageCount: number | undefined;
  readonly hasNext: boolean;
  readonly hasPrevious: boolean;
}

const MAX_LIMIT = 10_000;

/** `tx.page()`; described there. */
export function keysetPage<R>(
  unit: UnitOfWork,
  query: unknown,
  options: PageOptions,
  cursorKey: Buffer,
): PlannedQuery<Page<R>> {
  return new PlannedQuery(unit, () => {
    const { limit, total = "none" } = options;
    const after = options.after ?? undefined; // JSON has no undefined
    const before = options.before ?? undefined;
    checkCount("limit", limit, 1, MAX_LIMIT);
    checkTotal(total);
    if (after !== undefined && before !== undefined) {
      throw new InvalidInputError("a page is after a cursor or before one, not both", { hint: "pass one of them" });
    }
    const prepared = preparedQuery(query);
    const config = plainConfig(query);
    const keys = sortKeys(options.orderBy);
    const ordered = [...keys, ...tieBreakers(config, options.tieBreaker, keys)];
    for (const key of ordered) refuseNullable(config, key);
    const scope = scopeOf(unit, config, ordered);
    const isBackwards = before !== undefined;
    const cursor = after ?? before;
    const position = cursor === undefined ? undefined : readCursor(cursor, scope, cursorKey);
    const walked = isBackwards ? ordered.map((key) => ({ ...key, direction: opposite(key.direction) })) : ordered;
    const where = position === undefined ? config.where : both(config.where, beyond(walked, position));
    const extra = ordered.map(({ expression }) => ({ path: ["cursor"], field: sql`(${expression})::text` }));
    const text = dialect.buildSelectQuery({
      ...config,
      fieldsFlat: [...(prepared.selectedFields ?? []), ...extra],
      ...(where === undefined ? {} : { where }),
      orderBy: walked.map(orderOf),
      limit: limit + 1,
    });
    const statements: Statement[] = [{ ...prepared.statement, ...rendered(text) }, ...totalStatement(query, total)];
    return {
      statements,
      read: async ([result, counted]) => {
        const found = prepared.decodeRows(result as QueryResult) as R[];
        const raw = (result?.rows ?? []) as unknown as unknown[][]; // rowMode "array"
        const positions = raw.map((cells) => keyTexts(cells.slice(-ordered.length)));
        const hasMore = found.length > limit;
        const rows = hasMore ? found.slice(0, limit) : found;
        const places = positions.slice(0, limit);
        if (isBackwards) {
          rows.reverse();
          places.reverse();
        }
        const hasNext = isBackwards || hasMore;
        const hasPrevious = isBackwards ? hasMore : position !== undefined;
        const cursorAt = (keysOfRow: readonly string[] | undefined): string | undefined => {
          // Beyond the last row there is no row to start from: the way back begins at the cursor, its own row included.
          const from = keysOfRow === undefined ? position : { keys: keysOfRow, isInclusive: false };
          if (from === undefined) return undefined;
          return writeCursor(
            keysOfRow === undefined ? { ...from, isInclusive: !from.isInclusive } : from,
            scope,
            cursorKey,
          );
        };
        return {
          rows,
          hasNext,
          hasPrevious,
          nextCursor: hasNext ? cursorAt(places.at(-1)) : undefined,
          previousCursor: hasPrevious ? cursorAt(places[0]) : undefined,
          total: totalOf(total, counted),
        };
      },
    };
  });
}

/** `tx.offsetPage()`; described there. */
export function offsetPage<R>(
  unit: UnitOfWork,
  query: unknown,
  options: OffsetPageOptions,
): PlannedQuery<OffsetPage<R>> {
  return new PlannedQuery(unit, () => {
    const { page, pageSize, total = "exact", orderBy } = options;
    checkCount("page", page, 1, 2 ** 31 - 1);
    checkCount("pageSize", pageSize, 1, MAX_LIMIT);
    checkTotal(total);
    const prepared = preparedQuery(query);
    const config = configOf(query);
    if (config.limit !== undefined || config.offset !== undefined) throw ownLimit();
    const isPlain =
      config.setOperators.length === 0 && config.distinct === undefined && (config.groupBy?.length ?? 0) === 0;
    const keys = sortKeys(orderBy);
    const own = keys.length > 0 ? keys.map(orderOf) : (config.orderBy ?? []);
    // Without a unique order a row can be on two pages, or on none.
    const order = isPlain
      ? [...own, ...keyColumns(config).filter((column) => !keys.some((key) => key.column === column))]
      : own;
    if (!isPlain && keys.length > 0) {
      throw new InvalidInputError("a query with set operators, DISTINCT or GROUP BY brings its own order", {
        hint: "call .orderBy() on the query, and leave orderBy out here",
      });
    }
    const text =
      config.setOperators.length > 0
        ? sql`SELECT * FROM (${(query as SQLWrapper).getSQL()}) AS pgsteward_page LIMIT ${pageSize + 1} OFFSET ${(page - 1) * pageSize}`
        : dialect.buildSelectQuery({ ...config, orderBy: order, limit: pageSize + 1, offset: (page - 1) * pageSize });
    return {
      statements: [{ ...prepared.statement, ...rendered(text) }, ...totalStatement(query, total)],
      read: async ([result, counted]) => {
        const found = prepared.decodeRows(result as QueryResult) as R[];
        const count = totalOf(total, counted);
        return {
          rows: found.slice(0, pageSize),
          page,
          pageSize,
          total: count,
          pageCount: count === undefined ? undefined : Math.ceil(count / pageSize),
          hasNext: found.length > pageSize,
          hasPrevious: page > 1,
        };
      },
    };
  });
}

/** What a cursor holds for: the query without its page, the order, and the tenant. */
function scopeOf(unit: UnitOfWork, config: PgSelectConfig, keys: readonly Key[]): readonly unknown[] {
  const { sql: text, params } = dialect.sqlToQuery(dialect.buildSelectQuery({ ...config, orderBy: keys.map(orderOf) }));
  return [
    text,
    params.map((param) => (typeof param === "bigint" ? `${param}n` : param)),
    unit.settings.context.tenantId ?? null,
  ];
}

function both(first: SQL | undefined, second: SQL): SQL {
  return first === undefined ? second : sql`(${first}) AND ${second}`;
}

function keyTexts(cells: readonly unknown[]): string[] {
  return cells.map((cell) => {
    if (typeof cell === "string") return cell;
    throw new InvalidInputError("a sort expression gave NULL, so its row has no place among the pages", {
      hint: "wrap it in coalesce() with a value it never has",
    });
  });
}

function configOf(query: unknown): PgSelectConfig {
  const config = (query as { _?: { config?: PgSelectConfig } } | undefined)?._?.config;
  if (config === undefined)
    throw new InvalidInputError("pages are made of a select", { hint: "pass tx.select().from(table)" });
  return config;
}

function plainConfig(query: unknown): PgSelectConfig {
  const config = configOf(query);
  if (config.limit !== undefined || config.offset !== undefined) throw ownLimit();
  if (config.orderBy !== undefined && config.orderBy.length > 0) {
    throw new InvalidInputError("the order of pages is given to page(), because their cursors are made from it", {
      hint: "take .orderBy() off the query and pass { orderBy }",
    });
  }
  if (config.setOperators.length > 0 || config.distinct !== undefined || (config.groupBy?.length ?? 0) > 0) {
    throw new InvalidInputError("a query with set operators, DISTINCT or GROUP BY has no rows of its own to point at", {
      hint: 'page a subquery: tx.select().from(query.as("q")), with tieBreaker',
    });
  }
  return config;
}

function ownLimit(): InvalidInputError {
  return new InvalidInputError("the query has a LIMIT or OFFSET of its own", { hint: "leave them to the page" });
}

function checkTotal(total: unknown): void {
  if (total === "exact" || total === "estimated" || total === "none") return;
  throw new InvalidInputError(`total cannot be ${JSON.stringify(total)}`, {
    hint: 'use "exact", "estimated" or "none"',
  });
}

function totalStatement(query: unknown, total: TotalKind): Statement[] {
  if (total === "none") return [];
  return [total === "exact" ? countStatement(counted(query)) : estimateStatement(counted(query))];
}

/** Order does not change a count, and column names may repeat, which a subquery does not allow. */
function counted(query: unknown): SQLWrapper {
  const config = configOf(query);
  if (config.setOperators.length > 0 || config.distinct !== undefined || (config.groupBy?.length ?? 0) > 0)
    return query as SQLWrapper;
  return dialect.buildSelectQuery({ ...config, fieldsFlat: [{ path: ["one"], field: sql`1` }], orderBy: [] });
}

function totalOf(total: TotalKind, result: QueryResult | undefined): number | undefined {
  if (total === "none") return undefined;
  return total === "exact" ? readCount(result) : readEstimate(result);
}

function rendered(query: SQL): Pick<Statement, "text" | "values"> {
  const { sql: text, params } = dialect.sqlToQuery(query);
  return { text, values: params };
}
