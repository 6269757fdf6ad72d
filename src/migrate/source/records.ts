// Tables in which tools keep what they did: they are in a database, and in no schema that anybody wants.
import type { Catalog, ObjectReference } from "../../catalog/index.ts";
import { KEPT_SCHEMA } from "../drop/kept-names.ts";

/** Schemas that hold nothing but records. */
const RECORD_SCHEMAS: ReadonlySet<string> = new Set([
  "pgsteward",
  KEPT_SCHEMA,
  "drizzle",
  "graphile_migrate",
  "atlas_schema_revisions",
  "hdb_catalog",
  "supabase_migrations",
  "sqitch",
  "pgroll",
]);

/** Tables of history of migration tools, wherever they stand. */
const RECORD_TABLES: ReadonlySet<string> = new Set([
  "pgsteward_migrations",
  "__drizzle_migrations",
  "_prisma_migrations",
  "schema_migrations",
  "flyway_schema_history",
  "goose_db_version",
  "gorp_migrations",
  "__diesel_schema_migrations",
  "_sqlx_migrations",
  "pgmigrations",
  "knex_migrations",
  "knex_migrations_lock",
  "databasechangelog",
  "databasechangeloglock",
  "alembic_version",
  "atlas_schema_revisions",
  "SequelizeMeta",
  "ar_internal_metadata",
]);

/** A catalog without the records of pgsteward and of migration tools, and without what is on them. */
export function withoutRecords(catalog: Catalog): Catalog {
  const isRecord = (schema: string | undefined, name: string): boolean =>
    (schema !== undefined && RECORD_SCHEMAS.has(schema)) || RECORD_TABLES.has(name);
  const isGone = ({ schema, name }: { readonly schema: string; readonly name: string }): boolean =>
    isRecord(schema, name);
  const sequences = catalog.sequences.filter(
    (sequence) =>
      RECORD_SCHEMAS.has(sequence.schema) ||
      (sequence.ownedBy !== undefined && isRecord(sequence.ownedBy.schema, sequence.ownedBy.table)),
  );
  const goneSequences = new Set(sequences.map(({ schema, name }) => `${schema}.${name}`));
  const isReferenceGone = ({ schema, name }: ObjectReference): boolean =>
    isRecord(schema, name) || goneSequences.has(`${schema ?? ""}.${name}`);
  const inRecordSchema = ({ schema }: { readonly schema: string | undefined }): boolean =>
    schema !== undefined && RECORD_SCHEMAS.has(schema);
  return {
    ...catalog,
    schemas: catalog.schemas.filter(({ name }) => !RECORD_SCHEMAS.has(name)),
    tables: catalog.tables
      .filter((table) => !isGone(table))
      .map((table) => {
        const triggers = table.triggers.filter(({ functionSchema }) => functionSchema !== KEPT_SCHEMA);
        return triggers.length === table.triggers.length ? table : { ...table, triggers };
      }),
    views: catalog.views.filter((view) => !inRecordSchema(view)),
    functions: catalog.functions.filter((fn) => !inRecordSchema(fn)),
    enums: catalog.enums.filter((type) => !inRecordSchema(type)),
    domains: catalog.domains.filter((type) => !inRecordSchema(type)),
    compositeTypes: catalog.compositeTypes.filter((type) => !inRecordSchema(type)),
    ranges: catalog.ranges.filter((type) => !inRecordSchema(type)),
    sequences: catalog.sequences.filter((sequence) => !sequences.includes(sequence)),
    grants: catalog.grants.filter(({ objectKind, schema, object }) => {
      const name = objectKind === "schema" ? "" : object.split(".", 1)[0];
      const isOf = objectKind === "schema" ? RECORD_SCHEMAS.has(object) : isRecord(schema, name ?? "");
      return !isOf && !goneSequences.has(`${schema ?? ""}.${object}`);
    }),
    statistics: catalog.statistics.filter(({ table }) => !isGone(table)),
    unknownObjects: catalog.unknownObjects.filter((object) => !inRecordSchema(object)),
    dependencies: catalog.dependencies.filter(({ from, to }) => !isReferenceGone(from) && !isReferenceGone(to)),
  };
}
