// Rights on what extensions brought along, where they are not those that the extension's script left: nothing else of a member is read.
import type { MemberGrant } from "../model.ts";
import { inSchemas, optional, rowsOf, schemaAndExtensionValues, type Part, type Scope } from "./family.ts";

const member = (catalog: string, oid: string): string =>
  `member AS m ON m.classid = 'pg_catalog.${catalog}'::pg_catalog.regclass AND m.objid = ${oid}`;

const withoutSchema = (kind: string, catalog: string, prefix: string, type: string): string => `
  SELECT m.extname, m.classid, o.oid, 0, '${kind}', NULL::name, o.${prefix}name::text, o.${prefix}owner, o.${prefix}acl,
    pg_catalog.acldefault('${type}', o.${prefix}owner)
  FROM pg_catalog.${catalog} AS o
  JOIN ${member(catalog, "o.oid")}
  WHERE o.${prefix}acl IS NOT NULL`;

// pg_init_privs has the list as it was when the extension's script ended; without a row there, PostgreSQL's own held.
const MEMBER_GRANTS_SQL = `
WITH member AS (
  SELECT d.classid, d.objid, e.extname
  FROM pg_catalog.pg_depend AS d
  JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
  WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
    AND d.deptype = 'e'
    AND NOT $2::bool
), lists (extension, classid, oid, subid, kind, schema, object, owner, acl, usual) AS (
  SELECT m.extname, m.classid, c.oid, 0, CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END,
    n.nspname, c.relname::text, c.relowner, c.relacl,
    pg_catalog.acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner)
  FROM pg_catalog.pg_class AS c
  JOIN ${member("pg_class", "c.oid")}
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
    AND c.relacl IS NOT NULL
    AND ${inSchemas("n")}
  UNION ALL
  SELECT m.extname, m.classid, c.oid, a.attnum, 'column', n.nspname, c.relname || '.' || a.attname, c.relowner, a.attacl,
    '{}'::aclitem[]
  FROM pg_catalog.pg_attribute AS a
  JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
  JOIN ${member("pg_class", "c.oid")}
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE a.attacl IS NOT NULL
    AND NOT a.attisdropped
    AND ${inSchemas("n")}
  UNION ALL
  SELECT m.extname, m.classid, p.oid, 0, 'function', n.nspname,
    p.proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')', p.proowner, p.proacl,
    pg_catalog.acldefault('f', p.proowner)
  FROM pg_catalog.pg_proc AS p
  JOIN ${member("pg_proc", "p.oid")}
  JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
  WHERE p.proacl IS NOT NULL
    AND ${inSchemas("n")}
  UNION ALL
  SELECT m.extname, m.classid, t.oid, 0, 'type', n.nspname, t.typname::text, t.typowner, t.typacl,
    pg_catalog.acldefault('T', t.typowner)
  FROM pg_catalog.pg_type AS t
  JOIN ${member("pg_type", "t.oid")}
  JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
  WHERE t.typacl IS NOT NULL
    AND ${inSchemas("n")}
  UNION ALL${withoutSchema("schema", "pg_namespace", "nsp", "n")}
  UNION ALL${withoutSchema("language", "pg_language", "lan", "l")}
  UNION ALL${withoutSchema("foreign data wrapper", "pg_foreign_data_wrapper", "fdw", "F")}
  UNION ALL${withoutSchema("foreign server", "pg_foreign_server", "srv", "S")}
)
SELECT l.extension, l.kind AS "objectKind", l.schema, l.object, pg_catalog.pg_get_userbyid(l.owner)::text AS owner,
  state.is_initial AS "isInitial",
  (CASE WHEN e.grantee = 0 THEN 'public' ELSE pg_catalog.pg_get_userbyid(coalesce(e.grantee, l.owner)) END)::text AS grantee,
  pg_catalog.pg_get_userbyid(coalesce(e.grantor, l.owner))::text AS grantor,
  coalesce(pg_catalog.array_agg(e.privilege_type ORDER BY e.privilege_type COLLATE "C")
    FILTER (WHERE e.privilege_type IS NOT NULL), '{}') AS privileges,
  coalesce(pg_catalog.array_agg(e.privilege_type ORDER BY e.privilege_type COLLATE "C")
    FILTER (WHERE e.is_grantable), '{}') AS grantable
FROM lists AS l
LEFT JOIN pg_catalog.pg_init_privs AS i
  ON i.objoid = l.oid AND i.classoid = l.classid AND i.objsubid = l.subid AND i.privtype = 'e'
CROSS JOIN LATERAL (VALUES (false, l.acl), (true, coalesce(i.initprivs, l.usual))) AS state (is_initial, acl)
LEFT JOIN LATERAL pg_catalog.aclexplode(state.acl) AS e ON true
WHERE NOT (l.acl @> coalesce(i.initprivs, l.usual) AND l.acl <@ coalesce(i.initprivs, l.usual))
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
ORDER BY 1, 2, 3 NULLS FIRST, 4, 6, 7, 8`;

type MemberGrantRow = Omit<MemberGrant, "schema"> & { readonly schema: string | null; readonly extension: string };

/** By the extension's name. Empty when the members themselves are read, with their rights among all others. */
export function memberGrants(scope: Scope): Part<ReadonlyMap<string, readonly MemberGrant[]>> {
  return {
    statement: { text: MEMBER_GRANTS_SQL, values: schemaAndExtensionValues(scope) },
    map: (result) => {
      const byExtension = new Map<string, MemberGrant[]>();
      for (const { extension, schema, ...row } of rowsOf<MemberGrantRow>(result)) {
        const grant = { ...row, schema: optional(schema) };
        const list = byExtension.get(extension);
        if (list === undefined) byExtension.set(extension, [grant]);
        else list.push(grant);
      }
      return byExtension;
    },
  };
}
