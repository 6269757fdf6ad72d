// Indexes and their keys.
import type { Index, IndexKey } from "../model.ts";
import {
  CATALOG_OIDS,
  collationUnless,
  groupByOwner,
  inSchemas,
  joinComment,
  optional,
  printed,
  rowsOf,
  schemaValues,
  type Part,
  type Scope,
} from "./family.ts";

// pg_stat_get_numscans instead of pg_stat_all_indexes: the view joins four catalogs that are joined here already.
function indexesSql(serverVersion: number): string {
  return `
SELECT i.indrelid AS relation, i.indexrelid AS oid, c.relname AS name, am.amname AS method,
  pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS predicate,
  i.indisunique AS "isUnique",
  ${serverVersion >= 150000 ? "i.indnullsnotdistinct" : "false"} AS "nullsNotDistinct",
  i.indisprimary AS "isPrimary", con.conname AS constraint,
  i.indisvalid AS "isValid", i.indisready AS "isReady",
  building.index_relid IS NOT NULL AS "isBeingBuilt",
  parent.relname AS "partitionOf", c.relkind = 'I' AS "isPartitioned",
  i.indisreplident AS "isReplicaIdentity", i.indisclustered AS "isClustered",
  c.reloptions AS options, ts.spcname AS tablespace,
  CASE c.relkind WHEN 'i' THEN pg_catalog.pg_table_size(c.oid)::float8 ELSE 0 END AS "sizeBytes",
  CASE WHEN c.relkind = 'i' AND pg_catalog.current_setting('track_counts')::bool
    THEN pg_catalog.pg_stat_get_numscans(c.oid)::float8 END AS scans,
  pg_catalog.pg_get_indexdef(c.oid) AS definition,
  description.description AS comment
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_am AS am ON am.oid = c.relam
LEFT JOIN pg_catalog.pg_constraint AS con
  ON con.conindid = c.oid AND con.conrelid = i.indrelid AND con.contype IN ('p', 'u', 'x')
LEFT JOIN pg_catalog.pg_inherits AS inheritance ON inheritance.inhrelid = c.oid
LEFT JOIN pg_catalog.pg_class AS parent ON parent.oid = inheritance.inhparent
LEFT JOIN pg_catalog.pg_tablespace AS ts ON ts.oid = c.reltablespace
LEFT JOIN (
  SELECT DISTINCT p.index_relid FROM pg_catalog.pg_stat_progress_create_index AS p
  WHERE p.datname = pg_catalog.current_database()
) AS building ON building.index_relid = c.oid
${joinComment("pg_class", "c.oid")}
WHERE ${inSchemas("n")}
ORDER BY i.indrelid, c.relname`;
}

interface IndexRow {
  readonly relation: number;
  readonly oid: number;
  readonly name: string;
  readonly method: string;
  readonly predicate: string | null;
  readonly isUnique: boolean;
  readonly nullsNotDistinct: boolean;
  readonly isPrimary: boolean;
  readonly constraint: string | null;
  readonly isValid: boolean;
  readonly isReady: boolean;
  readonly isBeingBuilt: boolean;
  readonly partitionOf: string | null;
  readonly isPartitioned: boolean;
  readonly isReplicaIdentity: boolean;
  readonly isClustered: boolean;
  readonly options: readonly string[] | null;
  readonly tablespace: string | null;
  readonly sizeBytes: number | null;
  readonly scans: number | null;
  readonly definition: string | null;
  readonly comment: string | null;
}

/** An index with the oid of its table and its own, still without its keys. */
export interface BareIndex {
  readonly oid: number;
  readonly relation: number;
  readonly index: Omit<Index, "keys" | "include">;
}

export function indexes(scope: Scope): Part<readonly BareIndex[]> {
  return {
    statement: { text: indexesSql(scope.serverVersion), values: schemaValues(scope) },
    map: (result) =>
      rowsOf<IndexRow>(result).map((row) => ({ oid: row.oid, relation: row.relation, index: toIndex(row) })),
    names: (result) =>
      rowsOf<IndexRow>(result).map(({ oid, relation, name, constraint }) => ({
        catalog: CATALOG_OIDS.pg_class,
        oid,
        kind: constraint === null ? "index" : "constraint",
        relation,
        part: constraint ?? name,
      })),
  };
}

function toIndex(row: IndexRow): BareIndex["index"] {
  return {
    name: row.name,
    method: row.method,
    predicate: optional(row.predicate),
    isUnique: row.isUnique,
    nullsNotDistinct: row.nullsNotDistinct,
    isPrimary: row.isPrimary,
    constraint: optional(row.constraint),
    isValid: row.isValid,
    isReady: row.isReady,
    isBeingBuilt: row.isBeingBuilt,
    partitionOf: optional(row.partitionOf),
    isPartitioned: row.isPartitioned,
    isReplicaIdentity: row.isReplicaIdentity,
    isClustered: row.isClustered,
    sizeBytes: optional(row.sizeBytes),
    scans: optional(row.scans),
    definition: printed(row.definition),
    comment: optional(row.comment),
    storageParameters: row.options ?? [],
    tablespace: optional(row.tablespace),
  };
}

// Bits of indoption: 1 = DESC, 2 = NULLS FIRST. INCLUDE columns have no entry in indclass, indcollation and indoption.
// An expression's own collation is not stored; it is compared with that of its type. A type that borrows another one's
// operators (citext those of text) makes the other's default class a choice. pg_get_indexdef would give plain columns as
// well, at the price of parsing the index for each of them.
const KEYS_SQL = `
SELECT ia.attrelid AS index,
  ia.attnum > i.indnkeyatts AS "isIncluded",
  ta.attname AS column,
  CASE WHEN ta.attname IS NOT NULL THEN pg_catalog.quote_ident(ta.attname)
    ELSE pg_catalog.pg_get_indexdef(ia.attrelid, ia.attnum, false) END AS expression,
  opc.opcname AS "operatorClass", opn.nspname AS "operatorClassSchema",
  opc.opcdefault AND own.oid IS NULL AS "isDefaultOperatorClass",
  ia.attoptions AS "operatorClassOptions",
  NULLIF(ia.attstattarget, -1) AS "statisticsTarget",
  ${collationUnless("ia.attcollation", "coalesce(ta.attcollation, kt.typcollation)")} AS collation,
  coalesce(i.indoption[ia.attnum - 1] & 1 <> 0, false) AS "isDescending",
  coalesce(i.indoption[ia.attnum - 1] & 2 <> 0, false) AS "isNullsFirst"
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS ia ON ia.attrelid = i.indexrelid AND ia.attnum > 0
JOIN pg_catalog.pg_type AS kt ON kt.oid = ia.atttypid
LEFT JOIN pg_catalog.pg_attribute AS ta ON ta.attrelid = i.indrelid AND ta.attnum = i.indkey[ia.attnum - 1] AND ta.attnum > 0
LEFT JOIN pg_catalog.pg_opclass AS opc ON opc.oid = i.indclass[ia.attnum - 1] AND ia.attnum <= i.indnkeyatts
LEFT JOIN pg_catalog.pg_namespace AS opn ON opn.oid = opc.opcnamespace
LEFT JOIN pg_catalog.pg_opclass AS own
  ON own.opcmethod = opc.opcmethod AND own.opcintype = coalesce(ta.atttypid, ia.atttypid) AND own.opcdefault AND own.oid <> opc.oid
WHERE ${inSchemas("n")}
ORDER BY ia.attrelid, ia.attnum`;

interface KeyRow {
  readonly index: number;
  readonly isIncluded: boolean;
  readonly column: string | null;
  readonly expression: string;
  readonly operatorClass: string | null;
  readonly operatorClassSchema: string | null;
  readonly isDefaultOperatorClass: boolean | null;
  readonly operatorClassOptions: readonly string[] | null;
  readonly statisticsTarget: number | null;
  readonly collation: string | null;
  readonly isDescending: boolean;
  readonly isNullsFirst: boolean;
}

export interface KeysRead {
  readonly keys: readonly IndexKey[];
  readonly include: readonly string[];
}

/** By the index's `pg_class.oid`. */
export function indexKeys(scope: Scope): Part<ReadonlyMap<number, KeysRead>> {
  return {
    statement: { text: KEYS_SQL, values: schemaValues(scope) },
    map: (result) => {
      const byIndex = groupByOwner(
        rowsOf<KeyRow>(result),
        (row) => row.index,
        (row) => row,
      );
      return new Map(
        [...byIndex].map(([oid, rows]) => [
          oid,
          {
            keys: rows.filter((row) => !row.isIncluded).map(toKey),
            include: rows.filter((row) => row.isIncluded).map((row) => row.column ?? row.expression),
          },
        ]),
      );
    },
  };
}

function toKey(row: KeyRow): IndexKey {
  return {
    column: optional(row.column),
    expression: row.expression,
    operatorClass: row.operatorClass ?? "",
    operatorClassSchema: row.operatorClassSchema ?? "",
    isDefaultOperatorClass: row.isDefaultOperatorClass ?? false,
    operatorClassOptions: row.operatorClassOptions ?? [],
    statisticsTarget: optional(row.statisticsTarget),
    collation: optional(row.collation),
    direction: row.isDescending ? "desc" : "asc",
    nulls: row.isNullsFirst ? "first" : "last",
  };
}
