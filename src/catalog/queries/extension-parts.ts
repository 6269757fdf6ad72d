// What a person adds to an extension: comments on its members, and objects that are to go with it (DEPENDS ON EXTENSION).
import type { Extension } from "../model-others.ts";
import type { ObjectReference } from "../model.ts";
import { inSchemas, optional, rowsOf, schemaValues, type Part, type Scope } from "./family.ts";

const EXTENSION = "'pg_catalog.pg_extension'::pg_catalog.regclass";

const dependents = (catalog: string, kind: string, name: string, part: string, from: string): string => `
SELECT e.extname AS extension, ${kind} AS kind, n.nspname AS schema, ${name} AS name, ${part}::text AS part,
  NULL::text AS "on", NULL::text AS text, NULL::bool AS "isInitial"
FROM pg_catalog.pg_depend AS d
JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
${from}
WHERE d.refclassid = ${EXTENSION}
  AND d.deptype = 'x'
  AND d.classid = 'pg_catalog.${catalog}'::pg_catalog.regclass
  AND ${inSchemas("n")}`;

// A comment that came in the transaction that made the member is taken for the script's.
const EXTENSION_PARTS_SQL = `${dependents(
  "pg_proc",
  "'function'",
  "p.proname",
  "pg_catalog.pg_get_function_identity_arguments(p.oid)",
  `JOIN pg_catalog.pg_proc AS p ON p.oid = d.objid
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace`,
)}
UNION ALL${dependents(
  "pg_trigger",
  "'trigger'",
  "c.relname",
  "t.tgname",
  `JOIN pg_catalog.pg_trigger AS t ON t.oid = d.objid
JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace`,
)}
UNION ALL${dependents(
  "pg_class",
  "CASE WHEN i.indexrelid IS NULL THEN 'view' WHEN con.oid IS NULL THEN 'index' ELSE 'constraint' END",
  "coalesce(t.relname, c.relname)",
  "CASE WHEN i.indexrelid IS NOT NULL THEN c.relname END",
  `JOIN pg_catalog.pg_class AS c ON c.oid = d.objid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid
LEFT JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
LEFT JOIN pg_catalog.pg_constraint AS con ON con.conindid = c.oid AND con.contype IN ('p', 'u', 'x')`,
)}
UNION ALL
SELECT e.extname, 'comment', NULL, NULL, NULL,
  pg_catalog.upper(CASE WHEN i.type LIKE '% column' THEN 'column' ELSE pg_catalog.replace(i.type, '-', ' ') END)
    || ' ' || i.identity, c.description, c.xmin = d.xmin
FROM pg_catalog.pg_depend AS d
JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
JOIN pg_catalog.pg_description AS c ON c.classoid = d.classid AND c.objoid = d.objid
CROSS JOIN LATERAL pg_catalog.pg_identify_object(c.classoid, c.objoid, c.objsubid) AS i
WHERE d.refclassid = ${EXTENSION}
  AND d.deptype = 'e'
  AND (i.schema IS NULL OR $1::text[] IS NULL OR i.schema = ANY ($1::text[]))
ORDER BY 1, 2, 3 NULLS FIRST, 4, 5, 6`;

interface PartRow {
  readonly extension: string;
  readonly kind: ObjectReference["kind"] | "comment";
  readonly schema: string | null;
  readonly name: string | null;
  readonly part: string | null;
  readonly on: string | null;
  readonly text: string | null;
  readonly isInitial: boolean | null;
}

export type ExtensionParts = Pick<Extension, "dependents" | "comments">;

/** By the extension's name. */
export function extensionParts(scope: Scope): Part<(extension: string) => ExtensionParts> {
  return {
    statement: { text: EXTENSION_PARTS_SQL, values: schemaValues(scope) },
    map: (result) => {
      const rows = rowsOf<PartRow>(result);
      return (extension) => {
        const own = rows.filter((row) => row.extension === extension);
        return {
          dependents: own.flatMap(({ kind, schema, name, part }) =>
            kind === "comment" ? [] : [{ kind, schema: optional(schema), name: name ?? "", part: optional(part) }],
          ),
          comments: own.flatMap(({ on, text, isInitial }) =>
            on === null || text === null ? [] : [{ on, text, isInitial: isInitial === true }],
          ),
        };
      };
    },
  };
}
