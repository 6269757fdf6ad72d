// A digest of the catalog's own rows: whether a way back led to the very schema that was there before, for a tenth of what reading
// and comparing the catalog costs.
import type { Queryable } from "../../postgres/index.ts";

/** Not a schema: statistics, contents, what other databases of the server do. Roles are read where everyone may read them. */
const LEFT_OUT = [
  "pg_authid",
  "pg_largeobject",
  "pg_replication_origin",
  "pg_shdepend",
  "pg_statistic",
  "pg_statistic_ext_data",
  "pg_subscription_rel",
  "pg_user_mapping",
];
/** What changes without a statement about it, or only repeats what other rows say. */
const LEFT_OUT_COLUMNS = [
  "relpages",
  "reltuples",
  "relallvisible",
  "relallfrozen",
  "relfilenode",
  "relfrozenxid",
  "relminmxid",
  "relhasindex",
  "relhasrules",
  "relhastriggers",
  "relhassubclass",
  "relnatts",
  "relrewrite",
  "attcacheoff",
  "atthasmissing",
  "attmissingval",
  "indcheckxmin",
  "datfrozenxid",
  "datminmxid",
];
/** Catalogs with thousands of rows of the system's own, which no migration can change as far as the catalog is read. */
const OWNED_BY: Readonly<Record<string, string>> = {
  pg_aggregate: "aggfnoid::oid",
  pg_amop: "oid",
  pg_amproc: "oid",
  pg_attrdef: "oid",
  pg_attribute: "attrelid",
  pg_class: "oid",
  pg_collation: "oid",
  pg_constraint: "oid",
  pg_conversion: "oid",
  pg_depend: "objid",
  pg_index: "indexrelid",
  pg_init_privs: "objoid",
  pg_opclass: "oid",
  pg_operator: "oid",
  pg_opfamily: "oid",
  pg_proc: "oid",
  pg_rewrite: "oid",
  pg_ts_config_map: "mapcfg",
  pg_type: "oid",
};
/** Types whose values are hashed as they are, in a third of the time; others have no hash function, e.g. pg_node_tree, or are rare. */
const HASHED_TYPES = [
  '"char"',
  "aclitem[]",
  "boolean",
  "integer",
  "name",
  "oid",
  "oidvector",
  "real",
  "regproc",
  "smallint",
  "text",
  "text[]",
];
/** FirstNormalObjectId: what people make has this oid or a higher one. */
const FIRST_OID = 16_384;
const LIMIT_MS = 60_000;

const COLUMNS_SQL = `
SELECT c.relname AS catalog, pg_catalog.array_agg(
  pg_catalog.concat(pg_catalog.quote_ident(a.attname),
    CASE WHEN pg_catalog.format_type(a.atttypid, NULL) <> ALL ($3::text[]) THEN '::text' END)
  ORDER BY a.attnum) AS columns
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'pg_catalog'::pg_catalog.regnamespace
  AND (c.relkind = 'r' AND c.relname <> ALL ($1::text[]) OR c.relname IN ('pg_roles', 'pg_user_mappings'))
  AND a.attname <> ALL ($2::text[])
  AND pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT')
GROUP BY c.relname
ORDER BY c.relname`;

export type CatalogDigest = () => Promise<string>;

/**
 * Two equal digests of one database mean the same rows in its catalogs, oids included, so the same schema. Two that differ mean
 * nothing yet: what is dropped and made again has another oid.
 *
 * @returns what reads the digest, also inside an open transaction
 */
export async function catalogDigest(database: Queryable): Promise<CatalogDigest> {
  const { rows } = await database.query<{ catalog: string; columns: readonly string[] }>(
    COLUMNS_SQL,
    [LEFT_OUT, LEFT_OUT_COLUMNS, HASHED_TYPES],
    { timeoutMs: LIMIT_MS },
  );
  const parts = rows.map(({ catalog, columns }) => {
    const condition = conditionOn(catalog);
    const row = `ROW (${columns.join(", ")})`;
    return `SELECT '${catalog}' AS catalog, pg_catalog.count(*) AS rows, pg_catalog.sum(pg_catalog.hash_record_extended(${row}, 0)) AS sum
FROM pg_catalog.${catalog}${condition === undefined ? "" : `\nWHERE ${condition}`}`;
  });
  const text = `SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', d.catalog, d.rows, d.sum), ',' ORDER BY d.catalog) AS digest
FROM (
${parts.join("\nUNION ALL\n")}
) AS d`;
  return async () => {
    const [result] = await database.batch([{ text }], { timeoutMs: LIMIT_MS });
    return String(result?.rows[0]?.["digest"]);
  };
}

function conditionOn(catalog: string): string | undefined {
  const oid = OWNED_BY[catalog];
  // A dropped column stays as a row.
  if (catalog === "pg_attribute") return `${oid} >= ${FIRST_OID} AND NOT attisdropped`;
  if (oid !== undefined) return `${oid} >= ${FIRST_OID}`;
  if (catalog === "pg_description") {
    const large = Object.keys(OWNED_BY).map((name) => `'pg_catalog.${name}'::pg_catalog.regclass`);
    return `objoid >= ${FIRST_OID} OR classoid NOT IN (${large.join(", ")})`;
  }
  if (catalog === "pg_database") return "datname = pg_catalog.current_database()";
  return undefined;
}
