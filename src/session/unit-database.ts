// What a unit's function gets as `tx`: Drizzle's typed statements, carried by the unit of work instead of Drizzle's own
// transaction (which leaks its client when BEGIN fails and reports success after a silent rollback).
import { and, is, SQL, TransactionRollbackError, type SQLWrapper } from "drizzle-orm";
import {
  PgTable,
  type PgColumn,
  type PgSelectBase,
  type PgSelectBuilder,
  type PgSession,
  type SelectedFields,
} from "drizzle-orm/pg-core";
import { InvalidInputError } from "../postgres/index.ts";
import { bulkInsert, type BulkInserted, type BulkInsertOptions, type BulkReturned, type Returning } from "./bulk.ts";
import { bulkUpdate, type BulkUpdated, type BulkUpdateOptions } from "./bulk-update.ts";
import { copyIn, copyOut, type CopyOptions } from "./copy.ts";
import type { CopySource } from "./copy-wire.ts";
import { dialect } from "./dialect.ts";
import { countEstimate, existsQuery } from "./estimates.ts";
import { claimRows, lockRows, type ClaimOptions, type LockOptions } from "./locking.ts";
import {
  keysetPage,
  offsetPage,
  type OffsetPage,
  type OffsetPageOptions,
  type Page,
  type PageOptions,
} from "./pagination.ts";
import type { PlannedQuery } from "./planned-query.ts";
import { deleteForGood, hasSoftDelete, livingOnly, markRows, scopeRelational } from "./soft-delete.ts";
import { streamRows, type StreamOptions } from "./stream.ts";
import type { RowOf, RowSelection } from "./table-columns.ts";
import type { UnitOfWork } from "./unit-of-work.ts";
import { UnitRows } from "./unit-rows.ts";
import { UnitSelectBuilder } from "./unit-select.ts";
import { upsertRows, type Upserted, type UpsertedRow, type UpsertOptions } from "./upsert.ts";
import { preparedQuery, UnitQuery, type RowOfQuery } from "./unit-query.ts";
import { noteBuilders, noteRelational } from "./note-built.ts";
import { UnitSession, type DrizzleTransaction, type Schema, type SchemaConfig } from "./unit-session.ts";

/**
 * Typed select, insert, update, delete, relational queries (`tx.query.…`, when the factory was given a schema) and raw
 * `tx.execute(sql`…`)`. Queries start when they are awaited; those started in the same tick travel in one flush.
 */
export class UnitDatabase<TSchema extends Schema = Record<string, never>> extends UnitRows<TSchema> {
  readonly #unit: UnitOfWork;
  readonly #session: PgSession;
  readonly #schema: SchemaConfig;
  readonly #showsDeleted: boolean;

  constructor(unit: UnitOfWork, schema: SchemaConfig, { showsDeleted = false }: { showsDeleted?: boolean } = {}) {
    const session = new UnitSession(unit, schema);
    super(unit, session, schema, showsDeleted);
    this.#unit = unit;
    this.#session = session as unknown as PgSession;
    this.#schema = schema;
    this.#showsDeleted = showsDeleted;
    if (schema !== undefined && !showsDeleted && hasSoftDelete(schema.fullSchema)) scopeRelational(this.query, schema);
    if (schema !== undefined && unit.observation !== undefined) noteRelational(this, unit.observation);
  }

  static {
    noteBuilders(UnitDatabase.prototype, (tx) => (#unit in tx ? tx.#unit.observation : undefined));
  }

  override select(): PgSelectBuilder<undefined>;
  override select<TFields extends SelectedFields>(fields: TFields): PgSelectBuilder<TFields>;
  override select(fields?: SelectedFields): PgSelectBuilder<SelectedFields | undefined> {
    return new UnitSelectBuilder(fields, this.#session);
  }

  /** A nested unit: a savepoint, sent with the next statement. Its failure undoes its own statements only. */
  begin<T>(work: (tx: this) => Promise<T> | T): Promise<T> {
    return this.#unit.nested(() => work(this));
  }

  /** Drizzle's name for `begin`. The options of a transaction belong to the outermost unit. */
  override transaction<T>(work: (tx: DrizzleTransaction<TSchema> & this) => Promise<T>): Promise<T> {
    return this.begin(work as unknown as (tx: this) => Promise<T>);
  }

  /**
   * Drizzle's way to undo what it stands in: the innermost `transaction` or `begin`, or the unit.
   *
   * @throws TransactionRollbackError always
   */
  rollback(): never {
    throw new TransactionRollbackError();
  }

  /**
   * Locks rows until the unit ends and returns them as they are now, in key order. Locks are taken in key order too, so two
   * units that lock the same rows this way never deadlock. Rows that do not exist (or are not visible) are left out.
   *
   * @param rows - a primary key, an array of keys, or a condition; a key of several columns is an object
   * @example const [task] = await tx.lock(tasks, taskId, { wait: "nowait" });
   * @throws LockNotAvailableError when a lock cannot be had at once (`nowait`) or in time; `holders` says who has it
   * @throws InvalidInputError for a table without primary key, or an option that cannot be used
   */
  lock<T extends PgTable>(table: T, rows: RowSelection, options: LockOptions = {}): PlannedQuery<RowOf<T>[]> {
    return lockRows(this, this.#unit, table, rows, options, this.#livingOnly(table));
  }

  /**
   * Takes work from a table that is used as a queue: locks up to `limit` rows that nobody else has locked, and returns them.
   * Mark them as taken in the same unit; until it ends, no other `claim` gets them.
   *
   * @example const [job] = await tx.claim(jobs, { where: eq(jobs.state, "ready"), orderBy: jobs.created_at });
   */
  claim<T extends PgTable>(table: T, options: ClaimOptions = {}): PlannedQuery<RowOf<T>[]> {
    return claimRows(this, this.#unit, table, options, this.#livingOnly(table));
  }

  /**
   * Inserts rows, or updates those that are there already, and tells for each given row, in the order given, the row as it
   * is now and which of the two it was. One statement for any number of rows that name the same columns.
   *
   * @param values - a row or an array of rows; columns left out get their default
   * @example const [{ row, inserted }] = await tx.upsert(users, { email, name }, { target: users.email });
   * @throws InvalidInputError for a column the table does not have, or SQL where a value is needed
   */
  upsert<T extends PgTable, const O extends UpsertOptions<T> = Record<never, never>>(
    table: T,
    values: T["$inferInsert"] | readonly T["$inferInsert"][],
    options?: O,
  ): PlannedQuery<Upserted<UpsertedRow<T, O>>[]> {
    const upserted = upsertRows(this, this.#unit, table, values, options ?? {});
    return upserted as PlannedQuery<Upserted<UpsertedRow<T, O>>[]>;
  }

  /**
   * `COPY … FROM STDIN`: the fastest way in. What the source gives passes through untouched, at the server's pace; the
   * source must not use this unit. All rows or none. The unit's `statementTimeoutMs` is for the whole COPY.
   *
   * @param columns - in the order of the data; undefined for all
   * @returns number of rows
   * @example await tx.copyIn(events, ["id", "body"], createReadStream("events.csv"), { format: "csv", header: true });
   * @throws InvalidInputError on the embedded database
   */
  copyIn<T extends PgTable>(
    table: T,
    columns: readonly ((keyof T["_"]["columns"] & string) | PgColumn)[] | undefined,
    source: CopySource,
    options: CopyOptions = {},
  ): Promise<number> {
    return copyIn(this.#unit, table, columns, source, options);
  }

  /**
   * `COPY … TO STDOUT`, at the reader's pace. Read it to its end or leave its loop before the unit's next statement.
   *
   * @param source - a table, a query that was not awaited, or `sql`
   * @example await pipeline(tx.copyOut(events, { format: "csv" }), createWriteStream("events.csv"));
   * @throws InvalidInputError on the embedded database
   */
  copyOut(source: PgTable | SQLWrapper, options: CopyOptions = {}): AsyncGenerator<Buffer, void, undefined> {
    return copyOut(this.#unit, source, options);
  }

  /**
   * Inserts any number of rows: all or none. Columns a row leaves out get their default. A row that the server refuses is
   * named by its position: `error.rowIndex`, counted from 0.
   *
   * @example const { rows } = await tx.bulkInsert(chunks, thousands, { returning: { id: chunks.id } });
   * @throws UniqueViolationError and alike, InvalidValueError, InvalidInputError; each with `rowIndex`
   */
  bulkInsert<T extends PgTable, R extends Returning = undefined>(
    table: T,
    rows: readonly T["$inferInsert"][],
    options: BulkInsertOptions<T, R> = {},
  ): Promise<BulkInserted<BulkReturned<T, R>>> {
    return bulkInsert<BulkReturned<T, R>>(this, this.#unit, table, rows, options);
  }

  /**
   * Gives many rows different values in one statement (one for each set of columns that rows name). Rows are locked in key
   * order first, so two bulk updates of the same rows do not deadlock.
   *
   * @param rows - each with its key and the columns to change
   * @example const { missing } = await tx.bulkUpdate(tasks, [{ id: 1, rank: 9 }, { id: 2, rank: 4 }]);
   * @throws InvalidInputError when a row lacks its key, or two rows have the same one
   */
  bulkUpdate<T extends PgTable>(
    table: T,
    rows: readonly Partial<T["$inferInsert"]>[],
    options: BulkUpdateOptions = {},
  ): PlannedQuery<BulkUpdated> {
    return bulkUpdate(this.#unit, table, rows, options);
  }

  /** `select().from(table)` without deleted rows. A `where()` called on it narrows that further. */
  from<T extends PgTable>(table: T): SelectFrom<T> {
    const model: PgTable = table;
    const query = this.select().from(model);
    const living = this.#livingOnly(table);
    if (living !== undefined) {
      query.where(living);
      const { config } = query._;
      const where = query.where.bind(query);
      Object.assign(query, {
        where: (condition: Parameters<typeof where>[0]) => {
          where(condition);
          Object.assign(config, { where: and(living, config.where) });
          return query;
        },
      });
    }
    return query as unknown as SelectFrom<T>;
  }

  /** The same unit, showing rows that were soft-deleted as well. */
  withDeleted(): UnitDatabase<TSchema> {
    return new UnitDatabase<TSchema>(this.#unit, this.#schema, { showsDeleted: true });
  }

  /**
   * Marks rows as deleted, in a table that was defined with `softDelete`.
   *
   * @param rows - a primary key, an array of keys, or a condition
   * @returns number of rows that were living until now
   */
  softDelete(table: PgTable, rows: RowSelection): PlannedQuery<number> {
    return markRows(this, this.#unit, table, rows, "deleted");
  }

  /**
   * Brings soft-deleted rows back.
   *
   * @returns number of rows that were deleted until now
   * @throws UniqueViolationError when a living row has taken the place of one of them
   */
  restore(table: PgTable, rows: RowSelection): PlannedQuery<number> {
    return markRows(this, this.#unit, table, rows, "living");
  }

  /**
   * Deletes rows for good, in a table that was defined with `hardDelete: true`.
   *
   * @returns number of rows
   */
  hardDelete(table: PgTable, rows: RowSelection): PlannedQuery<number> {
    return deleteForGood(this, this.#unit, table, rows);
  }

  /**
   * One page of a select (or of a table), found by the position of its first row: page 10,000 costs what page 1 costs. The
   * primary keys of the query's tables are added to the order, so that it has no ties. Cursors are opaque, signed and hold
   * for the same query, order and tenant.
   *
   * @param source - a table, or a select without order, limit and grouping
   * @example
   * const page = await tx.page(tx.select().from(messages).where(eq(messages.chat_id, id)), {
   *   orderBy: [{ column: messages.created_at, direction: "desc" }], after: cursor, limit: 50 });
   * @throws InvalidInputError for a column that can be NULL, a cursor that is not ours or of another query
   */
  page<const Q extends PgTable | PromiseLike<readonly unknown[]>>(
    source: Q,
    options: PageOptions & { readonly where?: SQL | undefined },
  ): PlannedQuery<Page<PageRow<Q>>> {
    return keysetPage<PageRow<Q>>(
      this.#unit,
      this.#pageSource(source, options.where),
      options,
      this.#unit.settings.cursorKey,
    );
  }

  /**
   * One page by its number, for people who want numbers and a total. Deep pages read all rows before them: use `page()`
   * where you can.
   */
  offsetPage<const Q extends PgTable | PromiseLike<readonly unknown[]>>(
    source: Q,
    options: OffsetPageOptions & { readonly where?: SQL | undefined },
  ): PlannedQuery<OffsetPage<PageRow<Q>>> {
    return offsetPage<PageRow<Q>>(this.#unit, this.#pageSource(source, options.where), options);
  }

  /**
   * The rows of a query one by one, in constant memory: a cursor on the server, fetched in batches as the loop goes on.
   * Other statements of the unit may run inside the loop. Leaving the loop closes the cursor. The unit stays open
   * meanwhile, so its limits hold.
   *
   * @param query - a select that was not awaited, or `sql<Row>`…``
   * @example for await (const row of tx.stream(tx.select().from(events))) write(row);
   */
  stream<Q extends PromiseLike<readonly unknown[]> | SQL>(
    query: Q,
    options: StreamOptions = {},
  ): AsyncGenerator<RowOfQuery<Q>, void, undefined> {
    const rows = streamRows(this.#unit, () => this.#prepared(query), options);
    return rows as AsyncGenerator<RowOfQuery<Q>, void, undefined>;
  }

  /** Whether a query has any row; the server stops at the first. */
  exists(query: SQLWrapper): PlannedQuery<boolean> {
    return existsQuery(this.#unit, query);
  }

  /** How many rows the planner expects of a query, without running it; as fresh as the last ANALYZE. */
  countEstimate(query: SQLWrapper): PlannedQuery<number> {
    return countEstimate(this.#unit, query);
  }

  #livingOnly(table: PgTable): SQL | undefined {
    return this.#showsDeleted || !is(table, PgTable) ? undefined : livingOnly(table);
  }

  #pageSource(source: unknown, where: SQL | undefined): unknown {
    if (!is(source, PgTable)) {
      if (where === undefined) return source;
      throw new InvalidInputError("where is for pages of a table", { hint: "call .where() on the query" });
    }
    const query = this.from(source);
    return where === undefined ? query : query.where(where);
  }

  #prepared(query: unknown): UnitQuery {
    if (!is(query, SQL)) return preparedQuery(query);
    return new UnitQuery(this.#unit, dialect.sqlToQuery(query), undefined, undefined, false, undefined);
  }
}

type SelectFrom<T extends PgTable> = PgSelectBase<
  T["_"]["name"],
  T["_"]["columns"],
  "single",
  Record<T["_"]["name"], "not-null">
>;

/** One row of a page. */
export type PageRow<Q> = Q extends PgTable ? RowOf<Q> : RowOfQuery<Q>;
