// Which objects the server says need which: pg_depend, with the catalog's own names instead of oids.
import type { Dependency, ObjectReference } from "../model.ts";
import { inSchemas, optional, rowsOf, schemaValues, type Part, type Scope } from "./family.ts";
import { otherReferences } from "./other-objects.ts";

// An array, a multirange and a row type stand for what they were made from; the rule of a view for the view; the default of a
// column for a thing of its own; the index of a constraint for the constraint. A member of an extension stands for the extension.
const dependenciesSql = (serverVersion: number): string => `
WITH relation AS (
  SELECT c.oid, c.relkind AS kind, n.nspname AS schema, c.relname AS name
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE ${inSchemas("n")}
), object (class, oid, kind, schema, name, part) AS (
  SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::oid, r.oid,
    CASE WHEN r.kind IN ('v', 'm') THEN 'view' WHEN r.kind = 'S' THEN 'sequence' WHEN r.kind = 'c' THEN 'type' ELSE 'table' END,
    r.schema::text, r.name::text, NULL::text
  FROM relation AS r
  WHERE r.kind IN ('r', 'p', 'f', 'v', 'm', 'S', 'c')
  UNION ALL
  SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, i.indexrelid,
    CASE WHEN con.oid IS NULL THEN 'index' ELSE 'constraint' END, r.schema, r.name, coalesce(con.conname, ic.relname)
  FROM pg_catalog.pg_index AS i
  JOIN pg_catalog.pg_class AS ic ON ic.oid = i.indexrelid
  JOIN relation AS r ON r.oid = i.indrelid
  LEFT JOIN pg_catalog.pg_constraint AS con
    ON con.conindid = i.indexrelid AND con.conrelid = i.indrelid AND con.contype IN ('p', 'u', 'x')
  UNION ALL
  SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid,
    CASE WHEN r.kind IS NULL OR r.kind = 'c' THEN 'type' WHEN r.kind IN ('v', 'm') THEN 'view' ELSE 'table' END,
    n.nspname, target.typname, NULL
  FROM pg_catalog.pg_type AS t
  LEFT JOIN pg_catalog.pg_range AS multi ON multi.rngmultitypid = t.oid
  JOIN pg_catalog.pg_type AS target ON target.oid = CASE
    WHEN t.typcategory = 'A' AND t.typelem <> 0 THEN t.typelem ELSE coalesce(multi.rngtypid, t.oid) END
  JOIN pg_catalog.pg_namespace AS n ON n.oid = target.typnamespace
  LEFT JOIN relation AS r ON r.oid = target.typrelid
  WHERE ${inSchemas("n")}
  UNION ALL
  SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, 'function', n.nspname, p.proname,
    pg_catalog.pg_get_function_identity_arguments(p.oid)
  FROM pg_catalog.pg_proc AS p
  JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
  WHERE ${inSchemas("n")}
  UNION ALL
  SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, con.oid,
    CASE WHEN r.oid IS NULL THEN 'domain constraint' ELSE 'constraint' END,
    coalesce(r.schema, n.nspname), coalesce(r.name, t.typname), con.conname
  FROM pg_catalog.pg_constraint AS con
  JOIN pg_catalog.pg_namespace AS n ON n.oid = con.connamespace
  LEFT JOIN relation AS r ON r.oid = con.conrelid
  LEFT JOIN pg_catalog.pg_type AS t ON t.oid = con.contypid
  WHERE con.contype <> 't' AND (r.oid IS NOT NULL OR t.oid IS NOT NULL)
  UNION ALL
  SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass, d.oid,
    CASE a.attgenerated WHEN '' THEN 'default' ELSE 'column' END, r.schema, r.name, a.attname
  FROM pg_catalog.pg_attrdef AS d
  JOIN relation AS r ON r.oid = d.adrelid
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  UNION ALL
  SELECT 'pg_catalog.pg_trigger'::pg_catalog.regclass, t.oid, 'trigger', r.schema, r.name, t.tgname
  FROM pg_catalog.pg_trigger AS t
  JOIN relation AS r ON r.oid = t.tgrelid
  WHERE NOT t.tgisinternal
  UNION ALL
  SELECT 'pg_catalog.pg_policy'::pg_catalog.regclass, p.oid, 'policy', r.schema, r.name, p.polname
  FROM pg_catalog.pg_policy AS p
  JOIN relation AS r ON r.oid = p.polrelid
  UNION ALL
  SELECT 'pg_catalog.pg_rewrite'::pg_catalog.regclass, w.oid,
    CASE w.rulename WHEN '_RETURN' THEN 'view' ELSE 'rule' END, r.schema, r.name,
    CASE w.rulename WHEN '_RETURN' THEN NULL ELSE w.rulename END
  FROM pg_catalog.pg_rewrite AS w
  JOIN relation AS r ON r.oid = w.ev_class
  UNION ALL
  SELECT 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, s.oid, 'statistics', n.nspname, s.stxname, NULL
  FROM pg_catalog.pg_statistic_ext AS s
  JOIN pg_catalog.pg_namespace AS n ON n.oid = s.stxnamespace
  WHERE ${inSchemas("n")}
  UNION ALL
  SELECT 'pg_catalog.pg_event_trigger'::pg_catalog.regclass, e.oid, 'event trigger', NULL, e.evtname, NULL
  FROM pg_catalog.pg_event_trigger AS e
  UNION ALL
  ${otherReferences(serverVersion).join("\n  UNION ALL\n  ")}
)
SELECT DISTINCT
  f.kind COLLATE "C" AS "fromKind", f.schema COLLATE "C" AS "fromSchema", f.name COLLATE "C" AS "fromName",
  coalesce(f.part, fa.attname) COLLATE "C" AS "fromPart", fa.attname IS NOT NULL AND f.part IS NULL AS "fromColumn",
  CASE WHEN ext.oid IS NULL THEN t.kind ELSE 'extension' END COLLATE "C" AS "toKind",
  CASE WHEN ext.oid IS NULL THEN t.schema END COLLATE "C" AS "toSchema",
  coalesce(ext.extname, t.name) COLLATE "C" AS "toName",
  CASE WHEN ext.oid IS NULL THEN coalesce(t.part, ta.attname) END COLLATE "C" AS "toPart",
  ext.oid IS NULL AND ta.attname IS NOT NULL AND t.part IS NULL AS "toColumn"
FROM pg_catalog.pg_depend AS d
JOIN object AS f ON f.class = d.classid AND f.oid = d.objid
LEFT JOIN object AS t ON t.class = d.refclassid AND t.oid = d.refobjid
LEFT JOIN pg_catalog.pg_depend AS m
  ON m.classid = d.refclassid AND m.objid = d.refobjid AND m.objsubid = 0 AND m.deptype = 'e'
LEFT JOIN pg_catalog.pg_extension AS ext ON ext.oid = m.refobjid
LEFT JOIN pg_catalog.pg_attribute AS fa
  ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objsubid > 0
  AND fa.attrelid = d.objid AND fa.attnum = d.objsubid AND f.kind IN ('table', 'view', 'type')
LEFT JOIN pg_catalog.pg_attribute AS ta
  ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0
  AND ta.attrelid = d.refobjid AND ta.attnum = d.refobjsubid AND t.kind IN ('table', 'view', 'type')
WHERE d.deptype IN ('n', 'a')
  AND (t.oid IS NOT NULL OR ext.oid IS NOT NULL)
ORDER BY 1, 2, 3, 4, 6, 7, 8, 9`;

interface DependencyRow {
  readonly fromKind: string;
  readonly fromSchema: string | null;
  readonly fromName: string;
  readonly fromPart: string | null;
  readonly fromColumn: boolean;
  readonly toKind: string;
  readonly toSchema: string | null;
  readonly toName: string;
  readonly toPart: string | null;
  readonly toColumn: boolean;
}

export function dependencies(scope: Scope): Part<readonly Dependency[]> {
  return {
    statement: { text: dependenciesSql(scope.serverVersion), values: schemaValues(scope) },
    map: (result) =>
      rowsOf<DependencyRow>(result).map((row) => ({
        from: reference(row.fromColumn ? "column" : row.fromKind, row.fromSchema, row.fromName, row.fromPart),
        to: reference(row.toColumn ? "column" : row.toKind, row.toSchema, row.toName, row.toPart),
      })),
  };
}

function reference(kind: string, schema: string | null, name: string, part: string | null): ObjectReference {
  return { kind: kind as ObjectReference["kind"], schema: optional(schema), name, part: optional(part) };
}
