// Rights: access control lists of objects and columns, and default privileges.
import type { Grant } from "../model.ts";
import {
  inSchemas,
  isMadeLater,
  notFromExtension,
  optional,
  rowsOf,
  schemaAndExtensionValues,
  type Part,
  type Scope,
} from "./family.ts";

// The LEFT JOIN keeps a list that REVOKE emptied: it says more than no list, which means PostgreSQL's defaults.
const grantsSql = (serverVersion: number): string => `
WITH lists (kind, schema, object, owner, acl) AS (
  SELECT 'database', NULL::name, d.datname::text, d.datdba, d.datacl
  FROM pg_catalog.pg_database AS d
  WHERE d.datname = pg_catalog.current_database()
  UNION ALL
  SELECT 'schema', NULL, n.nspname::text, n.nspowner, n.nspacl
  FROM pg_catalog.pg_namespace AS n
  WHERE ${inSchemas("n")}
  UNION ALL
  SELECT CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, n.nspname, c.relname::text, c.relowner, c.relacl
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
    AND c.relacl IS NOT NULL
    AND ${isMadeLater("c.oid")}
    AND ${inSchemas("n")}
    AND ${notFromExtension("pg_class", "c.oid")}
  UNION ALL
  SELECT 'column', n.nspname, c.relname || '.' || a.attname, c.relowner, a.attacl
  FROM pg_catalog.pg_attribute AS a
  JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE a.attacl IS NOT NULL
    AND ${isMadeLater("a.attrelid")}
    AND NOT a.attisdropped
    AND ${inSchemas("n")}
    AND ${notFromExtension("pg_class", "c.oid")}
  UNION ALL
  SELECT 'function', n.nspname,
    p.proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')', p.proowner, p.proacl
  FROM pg_catalog.pg_proc AS p
  JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
  WHERE p.proacl IS NOT NULL
    AND ${isMadeLater("p.oid")}
    AND ${inSchemas("n")}
    AND ${notFromExtension("pg_proc", "p.oid")}
  UNION ALL
  SELECT 'type', n.nspname, t.typname::text, t.typowner, t.typacl
  FROM pg_catalog.pg_type AS t
  JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
  WHERE t.typacl IS NOT NULL
    AND ${isMadeLater("t.oid")}
    AND ${inSchemas("n")}
    AND ${notFromExtension("pg_type", "t.oid")}
  UNION ALL
  SELECT 'language', NULL, l.lanname::text, l.lanowner, l.lanacl
  FROM pg_catalog.pg_language AS l
  WHERE l.lanacl IS NOT NULL
    AND ${notFromExtension("pg_language", "l.oid")}
  UNION ALL
  SELECT 'foreign data wrapper', NULL, w.fdwname::text, w.fdwowner, w.fdwacl
  FROM pg_catalog.pg_foreign_data_wrapper AS w
  WHERE w.fdwacl IS NOT NULL
    AND ${notFromExtension("pg_foreign_data_wrapper", "w.oid")}
  UNION ALL
  SELECT 'foreign server', NULL, s.srvname::text, s.srvowner, s.srvacl
  FROM pg_catalog.pg_foreign_server AS s
  WHERE s.srvacl IS NOT NULL
    AND ${notFromExtension("pg_foreign_server", "s.oid")}
  ${
    serverVersion < 150000
      ? ""
      : `UNION ALL
  SELECT 'parameter', NULL, p.parname, 10::oid, p.paracl
  FROM pg_catalog.pg_parameter_acl AS p`
  }
  UNION ALL
  SELECT 'default', n.nspname,
    CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions'
      WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' WHEN 'L' THEN 'large objects' ELSE d.defaclobjtype::text END,
    d.defaclrole, d.defaclacl
  FROM pg_catalog.pg_default_acl AS d
  LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = d.defaclnamespace
  WHERE n.oid IS NULL OR (${inSchemas("n")})
)
SELECT l.kind AS "objectKind", l.schema, l.object COLLATE "C" AS object,
  (CASE WHEN e.grantee = 0 THEN 'public' ELSE pg_catalog.pg_get_userbyid(coalesce(e.grantee, l.owner)) END)::text
    COLLATE "C" AS grantee,
  pg_catalog.pg_get_userbyid(CASE l.kind WHEN 'default' THEN l.owner ELSE coalesce(e.grantor, l.owner) END)::text
    COLLATE "C" AS grantor,
  coalesce(pg_catalog.array_agg(e.privilege_type ORDER BY e.privilege_type COLLATE "C")
    FILTER (WHERE e.privilege_type IS NOT NULL), '{}') AS privileges,
  coalesce(pg_catalog.array_agg(e.privilege_type ORDER BY e.privilege_type COLLATE "C")
    FILTER (WHERE e.is_grantable), '{}') AS grantable
FROM lists AS l
LEFT JOIN LATERAL pg_catalog.aclexplode(l.acl) AS e ON true
WHERE l.acl IS NOT NULL
GROUP BY 1, 2, 3, 4, 5
ORDER BY l.kind COLLATE "C", 2 NULLS FIRST, 3, 4, 5`;

type GrantRow = Omit<Grant, "schema"> & { readonly schema: string | null };

/**
 * Default privileges that hold in every schema, and lists of what has no schema, are read whichever schemas are asked for. Those on
 * the database and on parameters of the server (PostgreSQL 15) are read to be known; they belong to no schema.
 */
export function grants(scope: Scope): Part<readonly Grant[]> {
  return {
    statement: { text: grantsSql(scope.serverVersion), values: schemaAndExtensionValues(scope) },
    map: (result) => rowsOf<GrantRow>(result).map((row) => ({ ...row, schema: optional(row.schema) })),
  };
}
