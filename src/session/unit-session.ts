// Drizzle's seam: its session, whose queries are carried by a unit of work, and its description of a program's tables.
import { NodePgSession, type NodePgClient, type NodePgQueryResultHKT } from "drizzle-orm/node-postgres";
import type { PgPreparedQuery, PgTransaction, PreparedQueryConfig } from "drizzle-orm/pg-core";
import {
  createTableRelationsHelpers,
  extractTablesRelationalConfig,
  type ExtractTablesWithRelations,
  type RelationalSchemaConfig,
  type TablesRelationalConfig,
} from "drizzle-orm/relations";
import { dialect } from "./dialect.ts";
import type { UnitOfWork } from "./unit-of-work.ts";
import { UnitQuery } from "./unit-query.ts";

export type Schema = Record<string, unknown>;
export type Relations<TSchema extends Schema> = ExtractTablesWithRelations<TSchema>;

export type DrizzleTransaction<TSchema extends Schema> = PgTransaction<
  NodePgQueryResultHKT,
  TSchema,
  Relations<TSchema>
>;

/** Drizzle's description of the tables and relations of a program, made once per factory. */
export type SchemaConfig = RelationalSchemaConfig<TablesRelationalConfig> | undefined;

export function schemaConfig(schema: Schema | undefined): SchemaConfig {
  if (schema === undefined) return undefined;
  const { tables, tableNamesMap } = extractTablesRelationalConfig(schema, createTableRelationsHelpers);
  return { fullSchema: schema, schema: tables, tableNamesMap };
}

export class UnitSession extends NodePgSession<Schema, TablesRelationalConfig> {
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
