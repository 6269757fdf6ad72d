// A database of Supabase against files: what Supabase manages in it is not theirs to make, and the stand-in for it is not exact.
import type { Catalog } from "../../catalog/index.ts";
import { SUPABASE_EXTENSIONS } from "../adopt/supabase.ts";
import type { SourceRead } from "./source.ts";

/** Schemas that Supabase or its extensions make. */
const MANAGED: ReadonlySet<string> = new Set([
  "_analytics",
  "_realtime",
  "auth",
  "cron",
  "extensions",
  "graphql",
  "graphql_public",
  "net",
  "pgbouncer",
  "pgsodium",
  "pgsodium_masks",
  "realtime",
  "storage",
  "supabase_functions",
  "supabase_migrations",
  "vault",
]);
/** Extensions that each of its databases has. */
const USUAL_EXTENSIONS: ReadonlySet<string> = new Set([
  ...SUPABASE_EXTENSIONS,
  "pg_graphql",
  "pg_stat_statements",
  "pgjwt",
  "pgsodium",
  "supabase_vault",
]);

/** Said once for both sides. */
export const NOT_COMPARED =
  "not compared, as Supabase makes them: the schemas auth, extensions, realtime, storage, vault and alike with all that stands on their tables, the extensions and event triggers of every project, and default privileges";

export function withoutSupabase(read: SourceRead): SourceRead {
  return { ...read, catalog: withoutManaged(read.catalog) };
}

function withoutManaged(catalog: Catalog): Catalog {
  const isOwn = ({ schema }: { readonly schema?: string | undefined }): boolean => !MANAGED.has(schema ?? "");
  return {
    ...catalog,
    schemas: catalog.schemas.filter(({ name }) => !MANAGED.has(name)),
    tables: catalog.tables.filter(isOwn),
    views: catalog.views.filter(isOwn),
    functions: catalog.functions.filter(isOwn),
    enums: catalog.enums.filter(isOwn),
    domains: catalog.domains.filter(isOwn),
    compositeTypes: catalog.compositeTypes.filter(isOwn),
    ranges: catalog.ranges.filter(isOwn),
    sequences: catalog.sequences.filter(isOwn),
    statistics: catalog.statistics.filter(isOwn),
    extensions: catalog.extensions.filter(({ name }) => !USUAL_EXTENSIONS.has(name)),
    eventTriggers: catalog.eventTriggers.filter(({ functionSchema }) => !MANAGED.has(functionSchema)),
    grants: catalog.grants.filter(
      ({ objectKind, schema, object }) =>
        objectKind !== "default" &&
        objectKind !== "database" &&
        !MANAGED.has(objectKind === "schema" ? object : (schema ?? "")),
    ),
    unknownObjects: catalog.unknownObjects.filter(isOwn),
    dependencies: catalog.dependencies.filter(({ from, to }) => isOwn(from) && isOwn(to)),
  };
}
