// The half of a unit's `tx` that follows rows: those it loads, adds and changes, and the rows related to them.
import type { NodePgQueryResultHKT } from "drizzle-orm/node-postgres";
import { PgDatabase, type PgTable } from "drizzle-orm/pg-core";
import type { RelationalSchemaConfig } from "drizzle-orm/relations";
import { dialect } from "./dialect.ts";
import type { PlannedQuery } from "./planned-query.ts";
import { loadRelations, type RelatedRows, type RowReader, type RowWith, type WithRelations } from "./relations.ts";
import { modelMapper } from "./row-model.ts";
import type { LoadOptions, RowLockOptions } from "./row-select.ts";
import type { KeyValue, RowOf } from "./table-columns.ts";
import { rowTracker, type FlushResult } from "./tracked-rows.ts";
import type { UnitOfWork } from "./unit-of-work.ts";
import type { Relations, Schema, SchemaConfig, UnitSession } from "./unit-session.ts";

export class UnitRows<TSchema extends Schema> extends PgDatabase<NodePgQueryResultHKT, TSchema, Relations<TSchema>> {
  readonly #unit: UnitOfWork;
  readonly #schema: SchemaConfig;
  readonly #showsDeleted: boolean;

  constructor(unit: UnitOfWork, session: UnitSession, schema: SchemaConfig, showsDeleted: boolean) {
    super(dialect, session, schema as RelationalSchemaConfig<Relations<TSchema>> | undefined);
    this.#unit = unit;
    this.#schema = schema;
    this.#showsDeleted = showsDeleted;
  }

  /**
   * Reads one row by its primary key and tracks it until the unit ends: what is assigned to its columns, or anywhere inside
   * its JSON documents, is written by `flush()`, which runs by itself before COMMIT. Only changed columns are written, and
   * of a jsonb document only what changed, so that writers of different keys both keep their change.
   *
   * The same row loaded twice in a unit is the same object. A column named `version` in `defineTable` is compared and
   * raised with each write. Rows of relations (`with`) are tracked too.
   *
   * @param id - the key's value; an object with one property for each column of a key of several
   * @returns undefined when there is no such row, or none that this unit may see
   * @example
   * const task = await tx.load(tasks, taskId, { lock: "update", with: { steps: { limit: 5 } } });
   * if (task !== undefined) task.state.progress.done += 1;
   * @throws InvalidInputError for a table without primary key, an incomplete key, an unknown guard or relation
   * @throws LockNotAvailableError when the lock cannot be had in time
   */
  load<T extends PgTable, const W extends WithRelations<TSchema, T> = Record<never, never>>(
    table: T,
    id: KeyValue,
    options: LoadOptions<T> & { readonly with?: W } = {},
  ): PlannedQuery<RowWith<TSchema, T, W> | undefined> {
    const query = rowTracker(this.#unit).load(
      table,
      id,
      this.#scoped(options),
      this.#relationsLoader(table, options.with),
    );
    return query as PlannedQuery<RowWith<TSchema, T, W> | undefined>;
  }

  /** As `load`, for a row that must be there. @throws RowNotFoundError when it is not */
  loadOrThrow<T extends PgTable, const W extends WithRelations<TSchema, T> = Record<never, never>>(
    table: T,
    id: KeyValue,
    options: LoadOptions<T> & { readonly with?: W } = {},
  ): PlannedQuery<RowWith<TSchema, T, W>> {
    const query = rowTracker(this.#unit).loadOrThrow(
      table,
      id,
      this.#scoped(options),
      this.#relationsLoader(table, options.with),
    );
    return query as PlannedQuery<RowWith<TSchema, T, W>>;
  }

  /**
   * Queues a row for insertion with the next flush and tracks it. Columns that the server makes (defaults, identity,
   * triggers) are filled in by then; reading one before is an error.
   *
   * @example
   * const task = tx.add(tasks, { title: "read" });
   * await tx.flush();
   * console.log(task.id);
   * @throws InvalidInputError for a column that the table does not have, or a table without primary key
   */
  add<T extends PgTable>(table: T, values: T["$inferInsert"]): RowOf<T> {
    return rowTracker(this.#unit).add(table, values);
  }

  /**
   * Sends what changed in tracked rows, in one network flush and without COMMIT: first the added rows in their order, then
   * the changed ones. Afterwards the objects hold what the server made of them. Sends nothing when nothing changed.
   *
   * When the server's document differs from the object's (somebody else changed other keys), it replaces it: go through
   * the row (`row.state.a`) after a flush instead of keeping a part of the document.
   *
   * @throws StaleRowError when a row is gone, its version moved on, or a guarded value changed
   * @throws InvalidInputError for a changed key or version, and for values that cannot be stored; nothing is sent then
   */
  flush(): Promise<FlushResult> {
    return rowTracker(this.#unit).flush();
  }

  /**
   * Reads a tracked row again, into the same object. What was assigned and not flushed is dropped.
   *
   * @throws StaleRowError when the row is gone
   * @throws InvalidInputError for an object that is not tracked in this unit
   */
  refresh(row: object, options: RowLockOptions = {}): PlannedQuery<void> {
    return rowTracker(this.#unit).refresh(row, options);
  }

  /**
   * Loads relations of rows that are there already, however they were read: one statement for each relation, whatever the
   * number of rows. The related rows are put into the same objects; they are plain rows, not tracked.
   *
   * @param relations - e.g. `{ author: true, comments: { limit: 3, orderBy: (c, { desc }) => desc(c.created_at), with: { author: true } } }`
   * @example const posts = await tx.related(postTable, await tx.select().from(postTable), { comments: true });
   * @throws InvalidInputError for an unknown relation, or rows without the columns that a relation compares
   */
  async related<T extends PgTable, R extends object, const W extends WithRelations<TSchema, T>>(
    table: T,
    rows: readonly R[],
    relations: W,
  ): Promise<(R & RelatedRows<TSchema, T, W>)[]> {
    const reader: RowReader = {
      wantsJsonAsText: false,
      mapper: modelMapper,
    };
    const plan = { unit: this.#unit, schema: this.#schema, reader, withDeleted: this.#showsDeleted };
    await loadRelations(plan, table, rows as readonly Record<string, unknown>[], relations);
    return rows as unknown as (R & RelatedRows<TSchema, T, W>)[];
  }

  #scoped<O extends { readonly withDeleted?: boolean }>(options: O): O {
    return this.#showsDeleted ? { withDeleted: true, ...options } : options;
  }

  #relationsLoader(table: PgTable, wanted: object | undefined): ((row: object) => Promise<void>) | undefined {
    if (wanted === undefined) return undefined;
    const tracker = rowTracker(this.#unit);
    const reader: RowReader = { wantsJsonAsText: true, read: (model, rows) => tracker.track(model, rows) };
    const plan = { unit: this.#unit, schema: this.#schema, reader, withDeleted: this.#showsDeleted };
    return (row) => loadRelations(plan, table, [row as Record<string, unknown>], wanted as Record<string, unknown>);
  }
}
