// Extended statistics and event triggers.
import type { EventTrigger, Statistics } from "../model.ts";
import {
  EXTENSION_FILTER,
  FIRING,
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
