// Drizzle's prepared query on a unit of work. Besides running it, our own features ask it for its statement and let it map
// rows that came another way (a cursor, a page with extra columns).
import { is, Param, Placeholder, SQL } from "drizzle-orm";
import { NodePgPreparedQuery, type NodePgClient } from "drizzle-orm/node-postgres";
import { NoopCache } from "drizzle-orm/cache/core";
import { NoopLogger } from "drizzle-orm/logger";
import { QueryPromise } from "drizzle-orm/query-promise";
import { PgSelectBase, type PreparedQueryConfig, type SelectedFieldsOrdered } from "drizzle-orm/pg-core";
import type { Query } from "drizzle-orm/sql";
import { InvalidInputError, type QueryResult, type RowMapper, type Statement } from "../postgres/index.ts";
import { dialect } from "./dialect.ts";
import { rowDecoder, rowMapper } from "./row-decoder.ts";
import { field } from "./wrap-method.ts";

/** What carries a statement to the server. */
export interface StatementSender {
  query(config: Statement, values: readonly unknown[]): Promise<QueryResult>;
}

/** Values of `sql.placeholder(name)` by their names. */
export type PlaceholderValues = Readonly<Record<string, unknown>>;

/** What awaiting a builder does, unless a program has put something else in its place. */
const awaitQuery: unknown = Reflect.get(QueryPromise.prototype, "then");

const logger = new NoopLogger();
const cache = new NoopCache();
const noClient = {} as NodePgClient; // Drizzle calls it in execute() alone, which is ours

/** Drizzle makes an equal one for each query; a shared one lets the batch keep the parsers of a prepared statement. */
let types: Statement["types"];

/**
 * Drizzle wraps each error in one whose message holds all parameters; ours are passed on as they are. Running a query takes
 * one promise here, where Drizzle's own way through its tracer and its cache takes six.
 */
export class UnitQuery<T extends PreparedQueryConfig = PreparedQueryConfig> extends NodePgPreparedQuery<T> {
  readonly selectedFields: SelectedFieldsOrdered | undefined;
  readonly #sender: StatementSender;
  readonly #text: string;
  readonly #mapper: ((rows: unknown[][]) => T["execute"]) | undefined;
  readonly #isMapped: boolean;
  #slots: readonly Slot[] | undefined;
  #rowMapper: RowMapper | undefined;
  #decodeRow: ((row: readonly unknown[]) => unknown) | undefined;

  constructor(
    sender: StatementSender,
    query: Query,
    fields: SelectedFieldsOrdered | undefined,
    name: string | undefined,
    isResponseInArrayMode: boolean,
    customResultMapper: ((rows: unknown[][]) => T["execute"]) | undefined,
  ) {
    super(
      noClient,
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
    this.#sender = sender;
    this.#text = query.sql;
    this.#mapper = customResultMapper;
    this.#isMapped = fields !== undefined || customResultMapper !== undefined;
    types ??= (this as unknown as { rawQueryConfig: Pick<Statement, "types"> }).rawQueryConfig.types;
  }

  /** It was made on the tx of `unit`. */
  isOf(unit: StatementSender): boolean {
    return this.#sender === unit;
  }

  override async execute(placeholders: PlaceholderValues = {}): Promise<T["execute"]> {
    const statement = this.statementWith(placeholders);
    return this.decoded(await this.#sender.query(statement, statement.values ?? []));
  }

  /** The rows as the driver gives them, by the names of their columns. */
  override async all(placeholders: PlaceholderValues = {}): Promise<T["all"]> {
    const statement: Statement = { text: this.#text, types, values: this.#valuesWith(placeholders) };
    return (await this.#sender.query(statement, statement.values ?? [])).rows;
  }

  get #statement(): Statement {
    return this.#isMapped ? { text: this.#text, types, rowMode: "array" } : { text: this.#text, types };
  }

  /** The statement it would send, its values apart. */
  get statement(): Statement {
    return { ...this.#statement, values: this.getQuery().params };
  }

  /** @throws InvalidInputError when a placeholder has no value */
  statementWith(placeholders: PlaceholderValues): Statement {
    const values = this.#valuesWith(placeholders);
    if (this.selectedFields === undefined || this.#mapper !== undefined) return { ...this.#statement, values };
    this.#rowMapper ??= rowMapper(this.selectedFields, this.#joinsNotNull);
    return { text: this.#text, types, rowMode: "array", values, rowMapper: this.#rowMapper };
  }

  /** What the query promises, from the result of `statementWith`. */
  decoded(result: QueryResult): T["execute"] {
    if (this.#mapper !== undefined) return this.#mapper(result.rows as unknown as unknown[][]);
    return this.selectedFields === undefined ? result : result.rows;
  }

  #valuesWith(placeholders: PlaceholderValues): readonly unknown[] {
    this.#slots ??= this.getQuery().params.map(slotOf);
    return this.#slots.map((slot) => valueOf(slot, placeholders));
  }

  /** Maps a result of `statement`, or of one that has the same leading columns. */
  decode(result: QueryResult): T["execute"] {
    const rows = result.rows as unknown as unknown[][];
    if (this.#mapper !== undefined) return this.#mapper(rows);
    if (this.selectedFields === undefined) return result;
    this.#decodeRow ??= rowDecoder(this.selectedFields, this.#joinsNotNull);
    const decodeRow = this.#decodeRow;
    return rows.map((row) => decodeRow(row));
  }

  /** Set by Drizzle's select after it made this. */
  get #joinsNotNull(): Readonly<Record<string, boolean>> | undefined {
    return (this as { joinsNotNullableMap?: Record<string, boolean> }).joinsNotNullableMap;
  }

  /** The rows of a decoded result: Drizzle gives raw SQL's as the driver does. */
  decodeRows(result: QueryResult): readonly unknown[] {
    const decoded: unknown = this.decode(result);
    return this.#isMapped ? (decoded as readonly unknown[]) : (decoded as QueryResult).rows;
  }
}

/** A parameter of the text: a value, or the place of one. */
interface Slot {
  readonly name?: string;
  readonly encoder?: Pick<Param["encoder"], "mapToDriverValue">;
  readonly value?: unknown;
}

function slotOf(param: unknown): Slot {
  if (is(param, Placeholder)) return { name: param.name };
  if (is(param, Param) && is(param.value, Placeholder)) return { name: param.value.name, encoder: param.encoder };
  return { value: param };
}

/** @throws InvalidInputError when the placeholder has no value */
function valueOf(slot: Slot, placeholders: PlaceholderValues): unknown {
  if (slot.name === undefined) return slot.value;
  if (!Object.hasOwn(placeholders, slot.name)) {
    throw new InvalidInputError(`no value for the placeholder ${slot.name}`, {
      hint: `values are given for ${Object.keys(placeholders).join(", ") || "none"}`,
    });
  }
  const value = placeholders[slot.name];
  // Drizzle encodes NULL too when it fills a placeholder: a JSON null, or a crash.
  return slot.encoder === undefined || value === null ? value : slot.encoder.mapToDriverValue(value);
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

/** A query whose statement is known before it is sent. */
export interface PlainQuery {
  readonly statement: Statement;
  decoded(result: QueryResult): unknown;
}

/**
 * Queries that need nothing but their statement sent and its rows mapped; undefined when one of them is another thing that can
 * be awaited (a count, raw SQL, a plan of ours) or was not made on the tx of `unit`.
 */
export function plainQueries(unit: StatementSender, queries: readonly unknown[]): readonly PlainQuery[] | undefined {
  const plain: PlainQuery[] = [];
  for (const query of queries) {
    const { prepare, then } = (query ?? {}) as { prepare?: unknown; then?: unknown };
    if (typeof prepare !== "function" || then !== awaitQuery) return undefined;
    const known = plainSelect(unit, query);
    if (known !== undefined) plain.push(known);
    else {
      const form: unknown = prepare.call(query, "");
      if (!(form instanceof UnitQuery) || !form.isOf(unit)) return undefined;
      plain.push({ statement: form.statementWith({}), decoded: (result) => form.decoded(result) });
    }
  }
  return plain;
}

/** The same as a UnitQuery makes, without making one. */
function plainSelect(unit: StatementSender, query: unknown): PlainQuery | undefined {
  if (types === undefined || !(query instanceof PgSelectBase)) return undefined;
  if (field(field(query, "session"), "client") !== unit) return undefined;
  const select = dialect.plainSelect(query._.config);
  if (select === undefined) return undefined;
  const values = select.params.map((param) => valueOf(slotOf(param), {}));
  const statement: Statement = { text: select.text, types, rowMode: "array", values, rowMapper: select.mapRow };
  return { statement, decoded: rowsOf };
}

function rowsOf({ rows }: QueryResult): unknown {
  return rows;
}

function noQuery(): InvalidInputError {
  return new InvalidInputError("a query is needed that was made on a unit's tx", {
    hint: "pass e.g. tx.select().from(table), without await",
  });
}
