// The completeness check: whatever exists although no other statement reads it. And what is read only to be known: security
// labels, settings of the database.
import type { DatabaseSetting, SecurityLabel } from "../model-others.ts";
import type { UnknownObject } from "../model.ts";
import { inSchemas, optional, rowsOf, schemaValues, type Part, type Scope } from "./family.ts";
import { FIRST_USER_OID } from "./other-objects.ts";

/**
 * Catalogs whose objects other statements read. Data are no objects of a schema, so large objects count as known; so do the
 * catalogs that several databases share.
 */
const KNOWN_CATALOGS = [
  "pg_class",
  "pg_type",
  "pg_proc",
  "pg_constraint",
  "pg_attrdef",
  "pg_trigger",
  "pg_policy",
  "pg_rewrite",
  "pg_statistic_ext",
  "pg_event_trigger",
  "pg_namespace",
  "pg_extension",
  "pg_default_acl",
  "pg_collation",
  "pg_conversion",
  "pg_cast",
  "pg_operator",
  "pg_opfamily",
  "pg_opclass",
  "pg_amop",
  "pg_amproc",
  "pg_am",
  "pg_language",
  "pg_transform",
  "pg_ts_parser",
  "pg_ts_template",
  "pg_ts_dict",
  "pg_ts_config",
  "pg_foreign_data_wrapper",
  "pg_foreign_server",
  "pg_user_mapping",
  "pg_publication",
  "pg_publication_rel",
  "pg_publication_namespace",
  "pg_subscription",
  "pg_largeobject",
] as const;

/** Catalogs with a schema column, for what a person put into a schema of the system's. */
const SYSTEM_SCHEMA_SOURCES: readonly (readonly [catalog: string, schema: string, condition: string])[] = [
  ["pg_class", "relnamespace", "o.relkind NOT IN ('i', 'I', 't')"],
  ["pg_proc", "pronamespace", "true"],
  [
    "pg_type",
    "typnamespace",
    "o.typrelid = 0 AND NOT EXISTS (SELECT FROM pg_catalog.pg_type AS element WHERE element.typarray = o.oid)",
  ],
  ["pg_operator", "oprnamespace", "true"],
  ["pg_opclass", "opcnamespace", "true"],
  ["pg_opfamily", "opfnamespace", "true"],
  ["pg_conversion", "connamespace", "true"],
  ["pg_ts_config", "cfgnamespace", "true"],
  ["pg_ts_dict", "dictnamespace", "true"],
  ["pg_ts_parser", "prsnamespace", "true"],
  ["pg_ts_template", "tmplnamespace", "true"],
];

/** Letters of kinds that the other statements read, for catalogs that hold several kinds. */
const LETTERS: readonly (readonly [catalog: string, schema: string, column: string, letters: string])[] = [
  ["pg_class", "relnamespace", "relkind", "rpfvmSciIt"],
  ["pg_type", "typnamespace", "typtype", "bcdemrp"],
  ["pg_proc", "pronamespace", "prokind", "fpaw"],
];

const notMember = (catalog: string, oid: string): string => `NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend AS m
    WHERE m.classid = 'pg_catalog.${catalog}'::pg_catalog.regclass AND m.objid = ${oid} AND m.deptype IN ('e', 'i'))`;

// A kind that a newer server added has its objects in a catalog of its own: pg_depend tells, and the server names them.
const UNKNOWN_OBJECTS_SQL = `
WITH known AS MATERIALIZED (
  SELECT ARRAY(SELECT pg_catalog.to_regclass('pg_catalog.' || k.name)::oid
    FROM pg_catalog.unnest('{${KNOWN_CATALOGS.join(",")}}'::text[]) AS k (name)
    WHERE pg_catalog.to_regclass('pg_catalog.' || k.name) IS NOT NULL) AS catalogs
), found (catalog, oid) AS (
  SELECT d.classid, d.objid
  FROM pg_catalog.pg_depend AS d
  WHERE d.classid <> ALL ((SELECT k.catalogs FROM known AS k)::oid[])
    AND d.objid >= ${FIRST_USER_OID}
    AND d.deptype NOT IN ('e', 'i')
  UNION
  SELECT d.classid, d.objid
  FROM pg_catalog.pg_shdepend AS d
  WHERE d.dbid = (SELECT b.oid FROM pg_catalog.pg_database AS b WHERE b.datname = pg_catalog.current_database())
    AND d.classid <> ALL ((SELECT k.catalogs FROM known AS k)::oid[])
    AND d.objid >= ${FIRST_USER_OID}
${SYSTEM_SCHEMA_SOURCES.map(
  ([catalog, schema, condition]) => `  UNION ALL
  SELECT 'pg_catalog.${catalog}'::pg_catalog.regclass, o.oid
  FROM pg_catalog.${catalog} AS o
  WHERE o.oid >= ${FIRST_USER_OID}
    AND o.${schema} IN ('pg_catalog'::pg_catalog.regnamespace, 'information_schema'::pg_catalog.regnamespace)
    AND ${condition}
    AND ${notMember(catalog, "o.oid")}`,
).join("\n")}
${LETTERS.map(
  ([catalog, schema, column, letters]) => `  UNION ALL
  SELECT 'pg_catalog.${catalog}'::pg_catalog.regclass, o.oid
  FROM pg_catalog.${catalog} AS o
  JOIN pg_catalog.pg_namespace AS n ON n.oid = o.${schema}
  WHERE o.oid >= ${FIRST_USER_OID}
    AND pg_catalog.strpos('${letters}', o.${column}::text) = 0
    AND ${inSchemas("n")}`,
).join("\n")}
  UNION ALL
  SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, o.oid
  FROM pg_catalog.pg_operator AS o
  JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace
  WHERE o.oid >= ${FIRST_USER_OID}
    AND o.oprcode = 0
    AND ${inSchemas("n")}
    AND ${notMember("pg_operator", "o.oid")}
)
SELECT i.type AS kind, i.schema,
  CASE WHEN pg_catalog.strpos(i.identity, pg_catalog.quote_ident(i.schema) || '.') = 1
    THEN pg_catalog.substr(i.identity, pg_catalog.length(pg_catalog.quote_ident(i.schema)) + 2) ELSE i.identity END AS name
FROM found AS f
CROSS JOIN LATERAL pg_catalog.pg_identify_object(f.catalog, f.oid, 0) AS i
WHERE i.type IS NOT NULL
  AND (i.schema IS NULL OR $1::text[] IS NULL OR i.schema = ANY ($1::text[]) OR i.schema IN ('pg_catalog', 'information_schema'))
ORDER BY i.type COLLATE "C", i.schema COLLATE "C" NULLS FIRST, 3`;

/**
 * What no other statement reads, under the server's own names for it: kinds of objects that a newer server has, objects that
 * somebody put into a schema of the system's, operators that exist in name only.
 */
export function unknownObjects(scope: Scope): Part<readonly UnknownObject[]> {
  return {
    statement: { text: UNKNOWN_OBJECTS_SQL, values: schemaValues(scope) },
    map: (result) =>
      rowsOf<{ kind: string; schema: string | null; name: string }>(result).map((row) => ({
        ...row,
        schema: optional(row.schema),
      })),
  };
}

const SECURITY_LABELS_SQL = `
SELECT l.provider, pg_catalog.upper(CASE i.type WHEN 'table column' THEN 'column' ELSE i.type END) || ' ' || i.identity AS on, l.label
FROM pg_catalog.pg_seclabel AS l
CROSS JOIN LATERAL pg_catalog.pg_identify_object(l.classoid, l.objoid, l.objsubid) AS i
WHERE i.type IS NOT NULL
  AND (i.schema IS NULL OR $1::text[] IS NULL OR i.schema = ANY ($1::text[]))
ORDER BY l.provider COLLATE "C", (i.type || i.identity) COLLATE "C"`;

export function securityLabels(scope: Scope): Part<readonly SecurityLabel[]> {
  return {
    statement: { text: SECURITY_LABELS_SQL, values: schemaValues(scope) },
    map: (result) => rowsOf<SecurityLabel>(result),
  };
}

// A dot in the name: a setting of an extension or of the application, which may be a key.
const SETTINGS_SQL = `
SELECT CASE s.setrole WHEN 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(s.setrole) END AS role,
  pg_catalog.split_part(c.setting, '=', 1) COLLATE "C" AS name,
  CASE WHEN pg_catalog.split_part(c.setting, '=', 1) NOT LIKE '%.%'
    THEN pg_catalog.substr(c.setting, pg_catalog.strpos(c.setting, '=') + 1) END AS value
FROM pg_catalog.pg_db_role_setting AS s
CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c (setting)
WHERE s.setdatabase = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
ORDER BY role NULLS FIRST, name`;

export function databaseSettings(): Part<readonly DatabaseSetting[]> {
  return {
    statement: { text: SETTINGS_SQL },
    map: (result) =>
      rowsOf<{ role: string | null; name: string; value: string | null }>(result).map(({ role, name, value }) => ({
        role: optional(role),
        name,
        value: optional(value),
      })),
  };
}
