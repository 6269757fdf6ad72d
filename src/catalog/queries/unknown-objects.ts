// The completeness check: whatever exists although no other statement reads it. And what is read only to be known: security
// labels, settings of the database.
import type { DatabaseSetting, SecurityLabel } from "../model-others.ts";
import type { UnknownObject } from "../model.ts";
import { inSchemas, notInternal, optional, rowsOf, schemaValues, type Part, type Scope } from "./family.ts";
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

const madeForOther = (oid: string): string => `NOT (${notInternal("pg_proc", oid)})`;

const commentOn = (what: string, catalog: string, from: string, condition: string): string => `
  SELECT 'comment', n.nspname::text, ${what} || ': ' || c.description
  FROM pg_catalog.pg_description AS c
  ${from}
  JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace
  WHERE c.classoid = 'pg_catalog.${catalog}'::pg_catalog.regclass AND ${condition} AND ${inSchemas("n")}`;

/**
 * What people can say of objects that the server makes for others, and the model has no place for: comments and rights on row types,
 * comments on the rule of a view and on what comes down to partitions and heirs, foreign keys that are switched off.
 */
const STATES_SQL = [
  commentOn(
    "'on the row type of ' || r.relname",
    "pg_type",
    `JOIN pg_catalog.pg_type AS t ON t.oid = c.objoid
  LEFT JOIN pg_catalog.pg_type AS element ON element.typarray = t.oid
  JOIN pg_catalog.pg_class AS r ON r.oid = coalesce(element.typrelid, t.typrelid)`,
    "(r.relkind <> 'c' OR element.oid IS NOT NULL)",
  ),
  commentOn(
    "'on the rule _RETURN of ' || r.relname",
    "pg_rewrite",
    `JOIN pg_catalog.pg_rewrite AS w ON w.oid = c.objoid
  JOIN pg_catalog.pg_class AS r ON r.oid = w.ev_class`,
    "w.rulename = '_RETURN'",
  ),
  commentOn(
    "'on the constraint ' || con.conname || ' of ' || r.relname",
    "pg_constraint",
    `JOIN pg_catalog.pg_constraint AS con ON con.oid = c.objoid
  JOIN pg_catalog.pg_class AS r ON r.oid = con.conrelid`,
    "(con.contype = 't' OR (con.contype = 'f' AND con.conparentid <> 0) OR (con.contype = 'n' AND NOT con.conislocal))",
  ),
  `
  SELECT 'comment', n.nspname::text, 'on the constraint NOT NULL of the domain ' || t.typname || ': ' || c.description
  FROM pg_catalog.pg_description AS c
  JOIN pg_catalog.pg_constraint AS con ON con.oid = c.objoid AND con.contype = 'n'
  JOIN pg_catalog.pg_type AS t ON t.oid = con.contypid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
  WHERE c.classoid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND ${inSchemas("n")}`,
  `
  SELECT 'comment', n.nspname::text, 'on the array of ' || element.typname || ': ' || c.description
  FROM pg_catalog.pg_description AS c
  JOIN pg_catalog.pg_type AS element ON element.typarray = c.objoid AND element.typrelid = 0
  JOIN pg_catalog.pg_namespace AS n ON n.oid = element.typnamespace
  WHERE c.classoid = 'pg_catalog.pg_type'::pg_catalog.regclass AND ${inSchemas("n")}`,
  `
  SELECT 'comment', n.nspname::text, 'on the function ' || p.proname || ' of a range type: ' || c.description
  FROM pg_catalog.pg_description AS c
  JOIN pg_catalog.pg_proc AS p ON p.oid = c.objoid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
  WHERE c.classoid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND ${madeForOther("p.oid")} AND ${inSchemas("n")}`,
  `
  SELECT 'privileges', n.nspname::text, 'on the function ' || p.proname || ' of a range type: ' || p.proacl::text
  FROM pg_catalog.pg_proc AS p
  JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
  WHERE p.proacl IS NOT NULL AND ${madeForOther("p.oid")} AND ${inSchemas("n")}`,
  `
  SELECT 'privileges', n.nspname::text, 'on the row type of ' || r.relname || ': ' || t.typacl::text
  FROM pg_catalog.pg_type AS t
  JOIN pg_catalog.pg_class AS r ON r.oid = t.typrelid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace
  WHERE t.typacl IS NOT NULL AND r.relkind <> 'c' AND ${inSchemas("n")}`,
  `
  SELECT DISTINCT 'foreign key', n.nspname::text, con.conname || ' of ' || owner.relname || ' on ' || r.relname
    || CASE t.tgenabled WHEN 'D' THEN ': not enforced, its triggers are disabled' WHEN 'R' THEN ': enforced in a replica only'
      ELSE ': enforced in a replica, too' END
  FROM pg_catalog.pg_trigger AS t
  JOIN pg_catalog.pg_constraint AS con ON con.oid = t.tgconstraint AND con.contype = 'f'
  JOIN pg_catalog.pg_class AS owner ON owner.oid = con.conrelid
  JOIN pg_catalog.pg_class AS r ON r.oid = t.tgrelid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace
  WHERE t.tgisinternal AND t.tgenabled <> 'O' AND ${inSchemas("n")}`,
].join("\n  UNION ALL");

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
SELECT s.kind, s.schema, s.name
FROM (
  SELECT i.type AS kind, i.schema,
    CASE WHEN pg_catalog.strpos(i.identity, pg_catalog.quote_ident(i.schema) || '.') = 1
      THEN pg_catalog.substr(i.identity, pg_catalog.length(pg_catalog.quote_ident(i.schema)) + 2) ELSE i.identity END AS name
  FROM found AS f
  CROSS JOIN LATERAL pg_catalog.pg_identify_object(f.catalog, f.oid, 0) AS i
  WHERE i.type IS NOT NULL
    AND (i.schema IS NULL OR $1::text[] IS NULL OR i.schema = ANY ($1::text[]) OR i.schema IN ('pg_catalog', 'information_schema'))
  UNION ALL
${STATES_SQL}
) AS s
ORDER BY s.kind COLLATE "C", s.schema COLLATE "C" NULLS FIRST, s.name COLLATE "C"`;

/**
 * What no other statement reads, under the server's own names for it: kinds of objects that a newer server has, objects that
 * somebody put into a schema of the system's, operators that exist in name only, and what is said of objects that have no place.
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
