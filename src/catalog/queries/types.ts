// Types that a person made: enums, domains, composite types, ranges.
import type { CompositeType, Domain, Enum, ObjectBase, RangeType } from "../model.ts";
import {
  collationUnless,
  EXTENSION_FILTER,
  inSchemas,
  joinComment,
  joinExtension,
  optional,
  rowsOf,
  schemaAndExtensionValues,
  type Part,
  type Scope,
} from "./family.ts";

// The row type of a table is a composite type too; only those made by CREATE TYPE have a pg_class row of kind c.
const TYPES_SQL = `
WITH RECURSIVE domain_base (oid, type, modifier) AS (
  SELECT d.oid, d.typbasetype, d.typtypmod FROM pg_catalog.pg_type AS d WHERE d.typtype = 'd'
  UNION ALL
  SELECT b.oid, d.typbasetype, d.typtypmod
  FROM domain_base AS b
  JOIN pg_catalog.pg_type AS d ON d.oid = b.type AND d.typtype = 'd'
)
SELECT t.oid, t.typrelid AS relation, n.nspname AS schema, t.typname AS name,
  pg_catalog.pg_get_userbyid(t.typowner) AS owner,
  description.description AS comment, extension.extname AS extension,
  t.typtype AS kind,
  CASE t.typtype WHEN 'e' THEN ARRAY(
    SELECT e.enumlabel::text FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder) END AS labels,
  CASE t.typtype WHEN 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END AS type,
  (SELECT pg_catalog.format_type(b.type, b.modifier)
    FROM domain_base AS b
    JOIN pg_catalog.pg_type AS bt ON bt.oid = b.type AND bt.typtype <> 'd'
    WHERE b.oid = t.oid) AS "baseType",
  NOT t.typnotnull AS "isNullable",
  coalesce(pg_catalog.pg_get_expr(t.typdefaultbin, 'pg_catalog.pg_type'::pg_catalog.regclass), t.typdefault) AS default,
  ${collationUnless("t.typcollation", "base.typcollation")} AS collation,
  pg_catalog.format_type(r.rngsubtype, NULL) AS subtype,
  pg_catalog.quote_ident(opn.nspname) || '.' || pg_catalog.quote_ident(opc.opcname) AS "operatorClass",
  opc.opcdefault AS "isDefaultOperatorClass",
  ${collationUnless("r.rngcollation", "sub.typcollation")} AS "rangeCollation",
  NULLIF(r.rngcanonical::text, '-') AS "canonicalFunction", NULLIF(r.rngsubdiff::text, '-') AS "differenceFunction",
  mt.typname AS "multirangeName", pg_catalog.obj_description(r.rngmultitypid, 'pg_type') AS "multirangeComment"
FROM pg_catalog.pg_type AS t
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid
LEFT JOIN pg_catalog.pg_type AS base ON base.oid = t.typbasetype
LEFT JOIN pg_catalog.pg_range AS r ON r.rngtypid = t.oid
LEFT JOIN pg_catalog.pg_type AS sub ON sub.oid = r.rngsubtype
LEFT JOIN pg_catalog.pg_type AS mt ON mt.oid = r.rngmultitypid
LEFT JOIN pg_catalog.pg_opclass AS opc ON opc.oid = r.rngsubopc
LEFT JOIN pg_catalog.pg_namespace AS opn ON opn.oid = opc.opcnamespace
${joinComment("pg_type", "t.oid")}
${joinExtension("pg_type", "t.oid")}
WHERE (t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND c.relkind = 'c'))
  AND ${inSchemas("n")}
  AND ${EXTENSION_FILTER}
ORDER BY n.nspname, t.typname`;

interface TypeRow {
  readonly oid: number;
  readonly relation: number;
  readonly schema: string;
  readonly name: string;
  readonly owner: string;
  readonly comment: string | null;
  readonly extension: string | null;
  readonly kind: string;
  readonly labels: readonly string[] | null;
  readonly type: string | null;
  readonly baseType: string | null;
  readonly isNullable: boolean;
  readonly default: string | null;
  readonly collation: string | null;
  readonly subtype: string | null;
  readonly operatorClass: string | null;
  readonly isDefaultOperatorClass: boolean | null;
  readonly rangeCollation: string | null;
  readonly canonicalFunction: string | null;
  readonly differenceFunction: string | null;
  readonly multirangeName: string | null;
  readonly multirangeComment: string | null;
}

export interface TypesRead {
  readonly enums: readonly Enum[];
  /** With the `pg_type.oid`, without the checks. */
  readonly domains: readonly { readonly oid: number; readonly domain: Omit<Domain, "constraints"> }[];
  /** With the `pg_class.oid` its attributes are found under. */
  readonly compositeTypes: readonly { readonly oid: number; readonly type: Omit<CompositeType, "attributes"> }[];
  readonly ranges: readonly RangeType[];
}

export function types(scope: Scope): Part<TypesRead> {
  return {
    statement: { text: TYPES_SQL, values: schemaAndExtensionValues(scope) },
    map: (result) => {
      const rows = rowsOf<TypeRow>(result);
      const ofKind = (kind: string): readonly TypeRow[] => rows.filter((row) => row.kind === kind);
      return {
        enums: ofKind("e").map((row) => ({ ...baseOf(row), labels: row.labels ?? [] })),
        domains: ofKind("d").map((row) => ({ oid: row.oid, domain: toDomain(row) })),
        compositeTypes: ofKind("c").map((row) => ({ oid: row.relation, type: baseOf(row) })),
        ranges: ofKind("r").map(toRange),
      };
    },
  };
}

function toDomain(row: TypeRow): Omit<Domain, "constraints"> {
  return {
    ...baseOf(row),
    type: row.type ?? "",
    baseType: row.baseType ?? row.type ?? "",
    isNullable: row.isNullable,
    default: optional(row.default),
    collation: optional(row.collation),
  };
}

function toRange(row: TypeRow): RangeType {
  return {
    ...baseOf(row),
    subtype: row.subtype ?? "",
    operatorClass: row.operatorClass ?? "",
    isDefaultOperatorClass: row.isDefaultOperatorClass ?? false,
    collation: optional(row.rangeCollation),
    canonicalFunction: optional(row.canonicalFunction),
    differenceFunction: optional(row.differenceFunction),
    multirangeName: row.multirangeName ?? "",
    multirangeComment: optional(row.multirangeComment),
  };
}

function baseOf(row: TypeRow): ObjectBase {
  return {
    schema: row.schema,
    name: row.name,
    owner: row.owner,
    comment: optional(row.comment),
    extension: optional(row.extension),
  };
}
