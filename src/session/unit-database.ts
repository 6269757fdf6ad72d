// What a unit's function gets as `tx`: Drizzle's typed statements, carried by the unit of work instead of Drizzle's own
// transaction (which leaks its client when BEGIN fails and reports success after a silent rollback).
import { NodePgSession, type NodePgClient, type NodePgQueryResultHKT } from "drizzle-orm/node-postgres";
import { PgDatabase, type PgPreparedQuery, type PgTable, type PreparedQueryConfig } from "drizzle-orm/pg-core";
import {
  createTableRelationsHelpers,
  extractTablesRelationalConfig,
  type ExtractTablesWithRelations,
  type RelationalSchemaConfig,
  type TablesRelationalConfig,
} from "drizzle-orm/relations";
import { dialect } from "./dialect.ts";
import { claimRows, lockRows, type ClaimOptions, type LockOptions } from "./locking.ts";
import type { PlannedQuery } from "./planned-query.ts";
import type { RowOf, RowSelection } from "./table-columns.ts";
import type { UnitOfWork } from "./unit-of-work.ts";
import { upsertRows, type Upserted, type UpsertedRow, type UpsertOptions } from "./upsert.ts";
import { UnitQuery } from "./unit-query.ts";

export type Schema = Record<string, unknown>;
type Relations<TSchema extends Schema> = ExtractTablesWithRelations<TSchema>;

/** Drizzle's description of the tables and relations of a program, made once per factory. */
export type SchemaConfig = RelationalSchemaConfig<TablesRelationalConfig> | undefined;

export function schemaConfig(schema: Schema | undefined): SchemaConfig {
  if (schema === undefined) return undefined;
  const { tables, tableNamesMap } = extractTablesRelationalConfig(schema, createTableRelationsHelpers);
  return { fullSchema: schema, schema: tables, tableNamesMap };
}

export { dialect };

class UnitSession extends NodePgSession<Schema, TablesRelationalConfig> {
  readonly #unit: UnitOfWork;

  constructor(unit: UnitOfWork, schema: SchemaConfig) {
    super(unit as unknown as NodePgClient, dialect, schema);
    this.#unit = unit;
  }

  override prepareQuery<T extends PreparedQueryConfig = PreparedQueryConfig>(
    ...[query, fields, name, isResponseInArrayMode, customResultMapper]: Parameters<
      NodePgSession<Schema, TablesRelationalConfig>["prepareQuery"]
    >
  ): PgPreparedQuery<T> {
    return new UnitQuery<T>(this.#unit, query, fields, name, isResponseInArrayMode, customResultMapper);
  }
}

/**
 * Typed select, insert, update, delete, relational queries (`tx.query.…`, when the factory was given a schema) and raw
 * `tx.execute(sql`…`)`. Queries start when they are awaited; those started in the same tick travel in one flush.
 */
export class UnitDatabase<TSchema extends Schema = Record<string, never>> extends PgDatabase<
  NodePgQueryResultHKT,
  TSchema,
  Relations<TSchema>
> {
  readonly #unit: UnitOfWork;

  constructor(unit: UnitOfWork, schema: SchemaConfig) {
    super(dialect, new UnitSession(unit, schema), schema as RelationalSchemaConfig<Relations<TSchema>> | undefined);
    this.#unit = unit;
  }

  /** A nested unit: a savepoint, sent with the next statement. Its failure undoes its own statements only. */
  begin<T>(work: (tx: this) => Promise<T> | T): Promise<T> {
    return this.#unit.nested(() => work(this));
  }

  /** Drizzle's name for `begin`. The options of a transaction belong to the outermost unit. */
  override transaction<T>(work: (tx: never) => Promise<T>): Promise<T> {
    return this.begin(work as unknown as (tx: this) => Promise<T>);
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
    return lockRows(this, this.#unit, table, rows, options);
  }

  /**
   * Takes work from a table that is used as a queue: locks up to `limit` rows that nobody else has locked, and returns them.
   * Mark them as taken in the same unit; until it ends, no other `claim` gets them.
   *
   * @example const [job] = await tx.claim(jobs, { where: eq(jobs.state, "ready"), orderBy: jobs.created_at });
   */
  claim<T extends PgTable>(table: T, options: ClaimOptions = {}): PlannedQuery<RowOf<T>[]> {
    return claimRows(this, this.#unit, table, options);
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
}
