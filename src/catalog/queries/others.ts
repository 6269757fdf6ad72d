// Extended statistics, event triggers, and the completeness check: what exists although no other statement reads it.
import type { EventTrigger, Statistics, UnknownObject } from "../model.ts";
import {
  EXTENSION_FILTER,
  FIRING,
  inSchemas,
  joinComment,
  joinExtension,
  notFromExtension,
  notInternal,
  optional,
  printed,
  rowsOf,
  schemaAndExtensionValues,
  wordOf,
  type Part,
  type Scope,
} from "./family.ts";

const STATISTICS_SQL = `
SELECT n.nspname AS schema, s.stxname AS name, pg_catalog.pg_get_userbyid(s.stxowner) AS owner,
  description.description AS comment, extension.extname AS extension,
  tn.nspname AS "tableSchema", c.relname AS "table",
  pg_catalog.pg_get_statisticsobjdef(s.oid) AS definition,
  NULLIF(s.stxstattarget, -1) AS "statisticsTarget"
FROM pg_catalog.pg_statistic_ext AS s
JOIN pg_catalog.pg_namespace AS n ON n.oid = s.stxnamespace
JOIN pg_catalog.pg_class AS c ON c.oid = s.stxrelid
JOIN pg_catalog.pg_namespace AS tn ON tn.oid = c.relnamespace
${joinComment("pg_statistic_ext", "s.oid")}
${joinExtension("pg_statistic_ext", "s.oid")}
WHERE ${inSchemas("n")}
  AND ${EXTENSION_FILTER}
ORDER BY n.nspname, s.stxname`;

interface StatisticsRow {
  readonly schema: string;
  readonly name: string;
  readonly owner: string;
  readonly comment: string | null;
  readonly extension: string | null;
  readonly tableSchema: string;
  readonly table: string;
  readonly definition: string | null;
  readonly statisticsTarget: number | null;
}

export function statistics(scope: Scope): Part<readonly Statistics[]> {
  return {
    statement: { text: STATISTICS_SQL, values: schemaAndExtensionValues(scope) },
    map: (result) =>
      rowsOf<StatisticsRow>(result).map(({ tableSchema, table, ...row }) => ({
        ...row,
        definition: printed(row.definition),
        comment: optional(row.comment),
        extension: optional(row.extension),
        table: { schema: tableSchema, name: table },
        statisticsTarget: optional(row.statisticsTarget),
      })),
  };
}

const EVENT_TRIGGERS_SQL = `
SELECT t.evtname AS name, pg_catalog.pg_get_userbyid(t.evtowner) AS owner, t.evtevent AS event, t.evttags AS tags,
  n.nspname AS "functionSchema", f.proname AS "functionName", t.evtenabled AS enabled,
  description.description AS comment, extension.extname AS extension
FROM pg_catalog.pg_event_trigger AS t
JOIN pg_catalog.pg_proc AS f ON f.oid = t.evtfoid
JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
${joinComment("pg_event_trigger", "t.oid")}
${joinExtension("pg_event_trigger", "t.oid")}
WHERE ($1::bool OR extension.oid IS NULL)
ORDER BY t.evtname`;

interface EventTriggerRow {
  readonly name: string;
  readonly owner: string;
  readonly event: string;
  readonly tags: readonly string[] | null;
  readonly functionSchema: string;
  readonly functionName: string;
  readonly enabled: string;
  readonly comment: string | null;
  readonly extension: string | null;
}

/** They belong to the database, so a choice of schemas does not narrow them. */
export function eventTriggers(scope: Scope): Part<readonly EventTrigger[]> {
  return {
    statement: { text: EVENT_TRIGGERS_SQL, values: [scope.includeExtensionObjects] },
    map: (result) =>
      rowsOf<EventTriggerRow>(result).map((row) => ({
        ...row,
        tags: row.tags ?? [],
        enabled: wordOf(FIRING, row.enabled),
        comment: optional(row.comment),
        extension: optional(row.extension),
      })),
  };
}

/** Objects below this oid were made by initdb (FirstNormalObjectId). */
const FIRST_USER_OID = 16384;

interface UnknownSource {
  readonly kind: string;
  readonly catalog: string;
  /** Column that holds the schema; without it the object belongs to the database. */
  readonly schemaColumn?: string;
  /** SQL of the name, over the alias `o`. */
  readonly name: string;
  readonly condition?: string;
}

const type = (column: string): string => `pg_catalog.format_type(o.${column}, NULL)`;
const UNKNOWN_SOURCES: readonly UnknownSource[] = [
  { kind: "access method", catalog: "pg_am", name: "o.amname" },
  {
    kind: "base type",
    catalog: "pg_type",
    schemaColumn: "typnamespace",
    name: "o.typname",
    condition: `o.typtype IN ('b', 'p') AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_type AS element WHERE element.typarray = o.oid)`,
  },
  { kind: "cast", catalog: "pg_cast", name: `${type("castsource")} || ' AS ' || ${type("casttarget")}` },
  { kind: "collation", catalog: "pg_collation", schemaColumn: "collnamespace", name: "o.collname" },
  { kind: "conversion", catalog: "pg_conversion", schemaColumn: "connamespace", name: "o.conname" },
  { kind: "foreign data wrapper", catalog: "pg_foreign_data_wrapper", name: "o.fdwname" },
  { kind: "foreign server", catalog: "pg_foreign_server", name: "o.srvname" },
  { kind: "language", catalog: "pg_language", name: "o.lanname" },
  {
    kind: "operator",
    catalog: "pg_operator",
    schemaColumn: "oprnamespace",
    name: `o.oprname || '(' || CASE o.oprleft WHEN 0 THEN 'NONE' ELSE ${type("oprleft")} END || ', ' || ${type("oprright")} || ')'`,
  },
  {
    kind: "operator class",
    catalog: "pg_opclass",
    schemaColumn: "opcnamespace",
    name: "o.opcname || ' USING ' || (SELECT am.amname FROM pg_catalog.pg_am AS am WHERE am.oid = o.opcmethod)",
  },
  {
    kind: "operator family",
    catalog: "pg_opfamily",
    schemaColumn: "opfnamespace",
    name: "o.opfname || ' USING ' || (SELECT am.amname FROM pg_catalog.pg_am AS am WHERE am.oid = o.opfmethod)",
  },
  { kind: "publication", catalog: "pg_publication", name: "o.pubname" },
  {
    kind: "subscription",
    catalog: "pg_subscription",
    name: "o.subname",
    condition:
      "o.subdbid = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())",
  },
  { kind: "text search configuration", catalog: "pg_ts_config", schemaColumn: "cfgnamespace", name: "o.cfgname" },
  { kind: "text search dictionary", catalog: "pg_ts_dict", schemaColumn: "dictnamespace", name: "o.dictname" },
  { kind: "text search parser", catalog: "pg_ts_parser", schemaColumn: "prsnamespace", name: "o.prsname" },
  { kind: "text search template", catalog: "pg_ts_template", schemaColumn: "tmplnamespace", name: "o.tmplname" },
  {
    kind: "transform",
    catalog: "pg_transform",
    name: `${type("trftype")} || ' LANGUAGE ' || (SELECT l.lanname FROM pg_catalog.pg_language AS l WHERE l.oid = o.trflang)`,
  },
];

function unknownSql({ kind, catalog, schemaColumn, name, condition }: UnknownSource): string {
  return `
SELECT '${kind}' AS kind, ${schemaColumn === undefined ? "NULL::name" : "n.nspname"} AS schema, (${name})::text COLLATE "C" AS name
FROM pg_catalog.${catalog} AS o
${schemaColumn === undefined ? "" : `JOIN pg_catalog.pg_namespace AS n ON n.oid = o.${schemaColumn}`}
WHERE o.oid >= ${FIRST_USER_OID}
  ${schemaColumn === undefined ? "" : `AND ${inSchemas("n")}`}
  ${condition === undefined ? "" : `AND ${condition}`}
  AND ${notFromExtension(catalog, "o.oid")}
  AND ${notInternal(catalog, "o.oid")}`;
}

// The base table of user mappings is the superuser's; the view shows names to everybody.
const USER_MAPPINGS_SQL = `
SELECT 'user mapping', NULL::name, (m.usename || ' SERVER ' || m.srvname)::text COLLATE "C"
FROM pg_catalog.pg_user_mappings AS m`;

const UNKNOWN_OBJECTS_SQL = `${[...UNKNOWN_SOURCES.map(unknownSql), USER_MAPPINGS_SQL].join("\nUNION ALL\n")}
ORDER BY kind, schema NULLS FIRST, name`;

/** Those of the chosen schemas, and those that belong to the database. Members of extensions count only when asked for. */
export function unknownObjects(scope: Scope): Part<readonly UnknownObject[]> {
  return {
    statement: { text: UNKNOWN_OBJECTS_SQL, values: schemaAndExtensionValues(scope) },
    map: (result) =>
      rowsOf<{ kind: string; schema: string | null; name: string }>(result).map((row) => ({
        ...row,
        schema: optional(row.schema),
      })),
  };
}
