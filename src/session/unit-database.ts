// What a unit's function gets as `tx`: Drizzle's typed statements, carried by the unit of work instead of Drizzle's own
// transaction (which leaks its client when BEGIN fails and reports success after a silent rollback).
import { NodePgSession, type NodePgClient, type NodePgQueryResultHKT } from "drizzle-orm/node-postgres";
import { PgDatabase, PgDialect, type PgPreparedQuery, type PreparedQueryConfig } from "drizzle-orm/pg-core";
import {
  createTableRelationsHelpers,
  extractTablesRelationalConfig,
  type ExtractTablesWithRelations,
  type RelationalSchemaConfig,
  type TablesRelationalConfig,
} from "drizzle-orm/relations";
import type { UnitOfWork } from "./unit-of-work.ts";
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

export const dialect = new PgDialect();
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
}
