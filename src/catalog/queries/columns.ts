// Columns of tables and views, and the attributes of composite types.
import type { Column } from "../model.ts";
import {
  CATALOG_OIDS,
  collationUnless,
  groupByOwner,
  inSchemas,
  isMadeLater,
  joinComment,
  optional,
  rowsOf,
  schemaValues,
  wordOf,
  type NamedObject,
  type Part,
  type Scope,
} from "./family.ts";

// attstattarget: -1 means "the default" up to 16, NULL from 17 on. A default names no column: printed without its table it costs
// a third, because the server lists the table's columns for each expression of it. The cast keeps the planner from what it knows of
// oids: where nothing was analyzed yet it expects no user's columns at all, and looks up the table of each one.
const COLUMNS_SQL = `
WITH RECURSIVE domain_base (oid, type, modifier) AS (
  SELECT d.oid, d.typbasetype, d.typtypmod FROM pg_catalog.pg_type AS d WHERE d.typtype = 'd'
  UNION ALL
  SELECT b.oid, d.typbasetype, d.typtypmod
  FROM domain_base AS b
  JOIN pg_catalog.pg_type AS d ON d.oid = b.type AND d.typtype = 'd'
), domain_bottom AS (
  SELECT b.oid, pg_catalog.format_type(b.type, b.modifier) AS type
  FROM domain_base AS b
  JOIN pg_catalog.pg_type AS t ON t.oid = b.type AND t.typtype <> 'd'
)
SELECT a.attrelid AS relation, a.attname AS name, a.attnum AS position,
  pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
  tn.nspname AS "typeSchema", t.typname AS "typeName",
  en.nspname AS "elementSchema", et.typname AS "elementName",
  bottom.type AS "baseType",
  a.attnotnull AS "isNotNull", ad.oid AS "defaultOid",
  pg_catalog.pg_get_expr(ad.adbin, CASE a.attgenerated WHEN '' THEN 0 ELSE ad.adrelid END) AS expression,
  a.attidentity AS identity, a.attgenerated AS generated,
  ${collationUnless("a.attcollation", "t.typcollation")} AS collation,
  a.attstorage AS storage, a.attstorage = t.typstorage AS "isDefaultStorage", a.attcompression AS compression,
  NULLIF(a.attstattarget, -1) AS "statisticsTarget",
  a.attislocal AS "isLocal",
  a.attoptions AS options, a.attfdwoptions AS "foreignOptions",
  description.description AS comment
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_type AS et ON et.oid = t.typelem AND et.typarray = t.oid
LEFT JOIN pg_catalog.pg_namespace AS en ON en.oid = et.typnamespace
LEFT JOIN domain_bottom AS bottom ON bottom.oid = t.oid
LEFT JOIN pg_catalog.pg_attrdef AS ad ON ad.adrelid = a.attrelid AND ad.adnum = a.attnum
${joinComment("pg_class", "a.attrelid", "a.attnum")}
WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'c')
  AND ${isMadeLater("a.attrelid::int8")}
  AND a.attnum > 0
  AND NOT a.attisdropped
  AND ${inSchemas("n")}
ORDER BY a.attrelid, a.attnum`;

interface ColumnRow {
  readonly relation: number;
  readonly name: string;
  readonly position: number;
  readonly type: string;
  readonly typeSchema: string;
  readonly typeName: string;
  readonly elementSchema: string | null;
  readonly elementName: string | null;
  readonly baseType: string | null;
  readonly isNotNull: boolean;
  readonly defaultOid: number | null;
  readonly expression: string | null;
  readonly identity: string;
  readonly generated: string;
  readonly collation: string | null;
  readonly storage: string;
  readonly isDefaultStorage: boolean;
  readonly compression: string;
  readonly statisticsTarget: number | null;
  readonly isLocal: boolean;
  readonly options: readonly string[] | null;
  readonly foreignOptions: readonly string[] | null;
  readonly comment: string | null;
}

/** By `pg_class.oid` of the table, view or composite type, in the order of their positions. */
export function columns(scope: Scope): Part<ReadonlyMap<number, readonly Column[]>> {
  return {
    statement: { text: COLUMNS_SQL, values: schemaValues(scope) },
    map: (result) => groupByOwner(rowsOf<ColumnRow>(result), (row) => row.relation, toColumn),
    names: (result) => rowsOf<ColumnRow>(result).flatMap(toNames),
  };
}

/** The default of a column is a thing of its own; what a column is generated from is the column. */
function toNames({ defaultOid, generated, relation, name }: ColumnRow): readonly NamedObject[] {
  if (defaultOid === null) return [];
  const kind = generated === "" ? "default" : "column";
  return [{ catalog: CATALOG_OIDS.pg_attrdef, oid: defaultOid, kind, relation, part: name }];
}

const IDENTITY = { a: "always", d: "by default" } as const;
const GENERATED = { s: "stored", v: "virtual" } as const;
const STORAGE = { p: "plain", e: "external", x: "extended", m: "main" } as const;
const COMPRESSION = { p: "pglz", l: "lz4" } as const;

function toColumn(row: ColumnRow): Column {
  const isGenerated = row.generated !== "";
  return {
    name: row.name,
    position: row.position,
    type: row.type,
    typeName: {
      schema: row.typeSchema,
      name: row.typeName,
      elementOf:
        row.elementSchema === null || row.elementName === null
          ? undefined
          : { schema: row.elementSchema, name: row.elementName },
    },
    baseType: row.baseType ?? row.type,
    isNullable: !row.isNotNull,
    default: isGenerated ? undefined : optional(row.expression),
    identity: row.identity === "" ? undefined : wordOf(IDENTITY, row.identity),
    generated: isGenerated ? { kind: wordOf(GENERATED, row.generated), expression: row.expression ?? "" } : undefined,
    collation: optional(row.collation),
    storage: wordOf(STORAGE, row.storage),
    isDefaultStorage: row.isDefaultStorage,
    compression: row.compression === "" ? undefined : wordOf(COMPRESSION, row.compression),
    statisticsTarget: optional(row.statisticsTarget),
    isLocal: row.isLocal,
    options: row.options ?? [],
    foreignOptions: row.foreignOptions ?? [],
    comment: optional(row.comment),
  };
}
