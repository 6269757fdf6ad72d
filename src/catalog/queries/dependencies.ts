// Which objects the server says need which: pg_depend as bare numbers. What the objects are called is known from the rows of the
// other statements, and from one more for those that have none there. The server took longer to join the names than for all the rest.
import type { ObjectReference } from "../model.ts";
import { inSchemas, optional, rowsOf, schemaValues, type NamedObject, type Part, type Scope } from "./family.ts";
import { memberNames } from "./other-objects.ts";

// Everything needs its schema, which nothing asks for here. One text instead of a row for each saves most of the transport.
const DEPENDENCIES_SQL = `
SELECT
  pg_catalog.string_agg(pg_catalog.concat_ws(
    ',', d.classid, d.objid, d.objsubid, d.refclassid, d.refobjid, d.refobjsubid), ',') FILTER (WHERE d.deptype <> 'e') AS needs,
  pg_catalog.string_agg(pg_catalog.concat_ws(
    ',', d.classid, d.objid, d.refobjid), ',') FILTER (WHERE d.deptype = 'e' AND d.objsubid = 0) AS members
FROM pg_catalog.pg_depend AS d
WHERE d.deptype IN ('n', 'a', 'e')
  AND d.refclassid <> 'pg_catalog.pg_namespace'::pg_catalog.regclass`;

/** Rows of pg_depend one after the other. */
export interface DependenciesRead {
  /** classid, objid, objsubid, refclassid, refobjid, refobjsubid of each. */
  readonly needs: readonly number[];
  /** classid and objid of what an extension brought along, and the extension's oid. */
  readonly members: readonly number[];
}

export function dependencies(): Part<DependenciesRead> {
  return {
    statement: { text: DEPENDENCIES_SQL },
    map: (result) => {
      const row = rowsOf<{ needs: string | null; members: string | null }>(result)[0];
      return { needs: numbersOf(row?.needs ?? ""), members: numbersOf(row?.members ?? "") };
    },
  };
}

function numbersOf(text: string): readonly number[] {
  return JSON.parse(`[${text}]`) as readonly number[];
}

const RELATION_KIND = `CASE WHEN c.relkind IN ('v', 'm') THEN 'view' WHEN c.relkind = 'S' THEN 'sequence'
    WHEN c.relkind = 'c' THEN 'type' ELSE 'table' END`;

// An array, a multirange and a row type stand for what they were made from, the rule of a view for the view.
const namesSql = (serverVersion: number): string => `
SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::oid AS catalog, c.oid, ${RELATION_KIND} AS kind,
  NULL::oid AS relation, n.nspname AS schema, c.relname::text AS name, NULL::text AS part
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE ${inSchemas("n")}
  AND (c.relkind = 'c' OR (c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S') AND ${madeFor("pg_class", "c.oid", "'e'")}))
UNION ALL
SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid, CASE WHEN c.oid IS NULL THEN 'type' END,
  c.oid, n.nspname, target.typname, NULL
FROM pg_catalog.pg_type AS t
LEFT JOIN pg_catalog.pg_range AS multi ON multi.rngmultitypid = t.oid
JOIN pg_catalog.pg_type AS target ON target.oid = CASE
  WHEN t.typcategory = 'A' AND t.typelem <> 0 THEN t.typelem ELSE coalesce(multi.rngtypid, t.oid) END
JOIN pg_catalog.pg_namespace AS n ON n.oid = target.typnamespace
LEFT JOIN pg_catalog.pg_class AS c ON c.oid = target.typrelid
WHERE ${inSchemas("n")}
UNION ALL
SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, 'function', NULL, n.nspname, p.proname,
  pg_catalog.pg_get_function_identity_arguments(p.oid)
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE ${inSchemas("n")}
  AND ${madeFor("pg_proc", "p.oid", "'e', 'i'")}
UNION ALL
SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, con.oid, 'domain constraint', NULL, n.nspname, t.typname, con.conname
FROM pg_catalog.pg_constraint AS con
JOIN pg_catalog.pg_namespace AS n ON n.oid = con.connamespace
JOIN pg_catalog.pg_type AS t ON t.oid = con.contypid
UNION ALL
SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, con.oid, 'constraint', con.conrelid, NULL, NULL, con.conname
FROM pg_catalog.pg_constraint AS con
JOIN pg_catalog.pg_constraint AS parent ON parent.oid = con.conparentid AND parent.conrelid = con.conrelid
WHERE con.contype <> 't'
UNION ALL
SELECT 'pg_catalog.pg_trigger'::pg_catalog.regclass, t.oid, 'trigger', t.tgrelid, NULL, NULL, t.tgname
FROM pg_catalog.pg_trigger AS t
WHERE NOT t.tgisinternal
UNION ALL
SELECT 'pg_catalog.pg_rewrite'::pg_catalog.regclass, w.oid, CASE WHEN w.rulename <> '_RETURN' THEN 'rule' END,
  w.ev_class, NULL, NULL, NULLIF(w.rulename, '_RETURN')
FROM pg_catalog.pg_rewrite AS w
UNION ALL
SELECT 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, s.oid, 'statistics', NULL, n.nspname, s.stxname, NULL
FROM pg_catalog.pg_statistic_ext AS s
JOIN pg_catalog.pg_namespace AS n ON n.oid = s.stxnamespace
WHERE ${inSchemas("n")}
UNION ALL
SELECT 'pg_catalog.pg_event_trigger'::pg_catalog.regclass, e.oid, 'event trigger', NULL, NULL, e.evtname, NULL
FROM pg_catalog.pg_event_trigger AS e
UNION ALL
SELECT 'pg_catalog.pg_extension'::pg_catalog.regclass, e.oid, 'extension', NULL, NULL, e.extname, NULL
FROM pg_catalog.pg_extension AS e
UNION ALL
${memberNames(serverVersion).join("\nUNION ALL\n")}`;

/** What an extension brought along, or the server made for another object: no other statement has it. */
function madeFor(catalog: string, oid: string, types: string): string {
  return `EXISTS (
    SELECT FROM pg_catalog.pg_depend AS maker
    WHERE maker.classid = 'pg_catalog.${catalog}'::pg_catalog.regclass AND maker.objid = ${oid} AND maker.objsubid = 0
      AND maker.deptype IN (${types}))`;
}

interface NameRow {
  readonly catalog: number;
  readonly oid: number;
  readonly kind: ObjectReference["kind"] | null;
  readonly relation: number | null;
  readonly schema: string | null;
  readonly name: string | null;
  readonly part: string | null;
}

/** Objects that no other statement names. */
export function otherNames(scope: Scope): Part<readonly NamedObject[]> {
  return {
    statement: { text: namesSql(scope.serverVersion), values: schemaValues(scope) },
    map: (result) =>
      rowsOf<NameRow>(result).map(({ catalog, oid, kind, relation, schema, name, part }) => ({
        catalog,
        oid,
        kind: optional(kind),
        relation: optional(relation),
        schema: optional(schema),
        name: optional(name),
        part: optional(part),
      })),
  };
}
