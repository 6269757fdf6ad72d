// Tables, views and materialized views without their parts.
import type { Table, View } from "../model.ts";
import { maskedOptions } from "./database-sources.ts";
import {
  CATALOG_OIDS,
  EXTENSION_FILTER,
  PERSISTENCE,
  inSchemas,
  joinComment,
  joinExtension,
  optional,
  printed,
  rowsOf,
  schemaAndExtensionValues,
  wordOf,
  type Part,
  type Scope,
} from "./family.ts";

// pg_total_relation_size is not asked for: it would stat every file of every index again, which the indexes' own rows hold.
const RELATIONS_SQL = `
SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind,
  pg_catalog.pg_get_userbyid(c.relowner) AS owner,
  description.description AS comment,
  extension.extname AS extension,
  c.relpersistence AS persistence,
  CASE c.relkind WHEN 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END AS "partitionKey",
  CASE WHEN c.relispartition THEN pg_catalog.pg_get_expr(c.relpartbound, c.oid) END AS bound,
  parents.list AS parents,
  c.relrowsecurity AS "rowSecurity", c.relforcerowsecurity AS "forcedRowSecurity",
  CASE WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_table_size(c.oid)::float8 ELSE 0 END AS "sizeBytes",
  c.reltuples AS "rowEstimate",
  c.reloptions AS options, toast.reloptions AS "toastOptions",
  ts.spcname AS tablespace, am.amname AS "accessMethod", c.relreplident AS "replicaIdentity",
  c.relispopulated AS "isPopulated",
  CASE WHEN c.relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(c.oid) END AS definition,
  fs.srvname AS server, ${maskedOptions("ft.ftoptions")} AS "foreignOptions",
  CASE WHEN c.reloftype <> 0 THEN pg_catalog.format_type(c.reloftype, NULL) END AS "ofType"
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_class AS toast ON toast.oid = c.reltoastrelid
LEFT JOIN pg_catalog.pg_tablespace AS ts ON ts.oid = c.reltablespace
LEFT JOIN pg_catalog.pg_am AS am ON am.oid = c.relam
LEFT JOIN pg_catalog.pg_foreign_table AS ft ON ft.ftrelid = c.oid
LEFT JOIN pg_catalog.pg_foreign_server AS fs ON fs.oid = ft.ftserver
LEFT JOIN (
  SELECT i.inhrelid, pg_catalog.json_agg(pg_catalog.json_build_object(
    'schema', pn.nspname, 'name', p.relname, 'isDetachPending', i.inhdetachpending) ORDER BY i.inhseqno) AS list
  FROM pg_catalog.pg_inherits AS i
  JOIN pg_catalog.pg_class AS p ON p.oid = i.inhparent
  JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.relnamespace
  GROUP BY i.inhrelid
) AS parents ON parents.inhrelid = c.oid
${joinComment("pg_class", "c.oid")}
${joinExtension("pg_class", "c.oid")}
WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm')
  AND ${inSchemas("n")}
  AND ${EXTENSION_FILTER}
ORDER BY n.nspname, c.relname`;

interface RelationRow {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: "r" | "p" | "f" | "v" | "m";
  readonly owner: string;
  readonly comment: string | null;
  readonly extension: string | null;
  readonly persistence: string;
  readonly partitionKey: string | null;
  readonly bound: string | null;
  readonly parents: readonly { schema: string; name: string; isDetachPending: boolean }[] | null;
  readonly rowSecurity: boolean;
  readonly forcedRowSecurity: boolean;
  readonly sizeBytes: number | null;
  readonly rowEstimate: number;
  readonly options: readonly string[] | null;
  readonly toastOptions: readonly string[] | null;
  readonly tablespace: string | null;
  readonly accessMethod: string | null;
  readonly replicaIdentity: string;
  readonly isPopulated: boolean;
  readonly definition: string | null;
  readonly server: string | null;
  readonly foreignOptions: readonly string[] | null;
  readonly ofType: string | null;
}

/** A table without what other statements bring. */
export type BareTable = Omit<
  Table,
  "columns" | "constraints" | "indexes" | "triggers" | "policies" | "rules" | "totalBytes"
>;
export type BareView = Omit<View, "columns" | "indexes" | "triggers" | "rules">;

export type BareRelation =
  | { readonly kind: "table"; readonly oid: number; readonly table: BareTable }
  | { readonly kind: "view"; readonly oid: number; readonly view: BareView };

export function relations(scope: Scope): Part<readonly BareRelation[]> {
  return {
    statement: { text: RELATIONS_SQL, values: schemaAndExtensionValues(scope) },
    map: (result) =>
      rowsOf<RelationRow>(result).map((row) =>
        row.kind === "v" || row.kind === "m"
          ? { kind: "view", oid: row.oid, view: toView(row) }
          : { kind: "table", oid: row.oid, table: toTable(row) },
      ),
    names: (result) =>
      rowsOf<RelationRow>(result).map(({ oid, kind, schema, name }) => ({
        catalog: CATALOG_OIDS.pg_class,
        oid,
        kind: kind === "v" || kind === "m" ? "view" : "table",
        schema,
        name,
      })),
  };
}

const TABLE_KIND = { r: "table", p: "partitioned", f: "foreign" } as const;
const REPLICA_IDENTITY = { d: "default", n: "nothing", f: "full", i: "index" } as const;

function toTable(row: RelationRow): BareTable {
  const parents = row.parents ?? [];
  const [parent] = parents;
  return {
    schema: row.schema,
    name: row.name,
    owner: row.owner,
    comment: optional(row.comment),
    extension: optional(row.extension),
    kind: wordOf(TABLE_KIND, row.kind),
    persistence: wordOf(PERSISTENCE, row.persistence),
    partitionKey: optional(row.partitionKey),
    partitionOf: row.bound === null || parent === undefined ? undefined : { ...parent, bound: row.bound },
    inherits: row.bound === null ? parents.map(({ schema, name }) => ({ schema, name })) : [],
    rowSecurity: { enabled: row.rowSecurity, forced: row.forcedRowSecurity },
    sizeBytes: optional(row.sizeBytes),
    rowEstimate: row.rowEstimate < 0 ? undefined : row.rowEstimate,
    storageParameters: [...(row.options ?? []), ...(row.toastOptions ?? []).map((option) => `toast.${option}`)],
    tablespace: optional(row.tablespace),
    accessMethod: optional(row.accessMethod),
    replicaIdentity: wordOf(REPLICA_IDENTITY, row.replicaIdentity),
    foreign: row.server === null ? undefined : { server: row.server, options: row.foreignOptions ?? [] },
    ofType: optional(row.ofType),
  };
}

function toView(row: RelationRow): BareView {
  return {
    schema: row.schema,
    name: row.name,
    owner: row.owner,
    comment: optional(row.comment),
    extension: optional(row.extension),
    kind: row.kind === "m" ? "materialized view" : "view",
    definition: printed(row.definition),
    options: row.options ?? [],
    isPopulated: row.isPopulated,
    tablespace: optional(row.tablespace),
    accessMethod: optional(row.accessMethod),
  };
}
