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
SELECT c.oid::int8::float8 AS oid, c.relname AS catalog, pg_catalog.array_agg(
  pg_catalog.concat(pg_catalog.quote_ident(a.attname),
    CASE WHEN pg_catalog.format_type(a.atttypid, NULL) <> ALL ($3::text[]) THEN '::text' END)
  ORDER BY a.attnum) AS columns
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'pg_catalog'::pg_catalog.regnamespace
  AND (c.relkind = 'r' AND c.relname <> ALL ($1::text[]) OR c.relname IN ('pg_roles', 'pg_user_mappings'))
  AND a.attname <> ALL ($2::text[])
  AND pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT')
GROUP BY c.oid, c.relname
ORDER BY c.relname`;

// Written in this transaction, and in earlier ones of the session that were not reported yet: only a difference of two readings counts.
const WRITES_SQL = `
SELECT CASE WHEN pg_catalog.current_setting('track_counts')::bool THEN ARRAY(
  SELECT (pg_catalog.pg_stat_get_xact_tuples_inserted(t.oid) + pg_catalog.pg_stat_get_xact_tuples_updated(t.oid)
    + pg_catalog.pg_stat_get_xact_tuples_deleted(t.oid))::float8
  FROM pg_catalog.unnest($1::oid[]) WITH ORDINALITY AS t (oid, position)
  ORDER BY t.position) END AS writes`;

/** The catalogs that a view shows. */
const SHOWN_BY: Readonly<Record<string, readonly number[]>> = {
  pg_roles: [1260, 2964], // pg_authid, pg_db_role_setting
  pg_user_mappings: [1418, 1417, 1260], // pg_user_mapping, pg_foreign_server, pg_authid
};

/** How often each catalog was written to; `undefined` where the server does not count. */
export type CatalogWrites = readonly number[] | undefined;

/**
 * Two equal digests of one database mean the same rows in its catalogs, oids included, so the same schema. Two that differ mean
 * nothing yet: what is dropped and made again has another oid.
 */
export interface CatalogDigest {
  /** Also inside an open transaction. */
  readonly read: () => Promise<string>;
  readonly readWrites: () => Promise<CatalogWrites>;
  /**
   * The same as `read`, for what one transaction did.
   *
   * @param known - the digest of the moment at which `writes` were read, in the transaction that is open
   */
  readonly readAgain: (known: string, writes: CatalogWrites) => Promise<string>;
}

interface CatalogPart {
  readonly catalog: string;
  readonly text: string;
  /** The places of its counters. */
  readonly counters: readonly number[];
}

export async function catalogDigest(database: Queryable): Promise<CatalogDigest> {
  const { rows } = await database.query<{ oid: number; catalog: string; columns: readonly string[] }>(
    COLUMNS_SQL,
    [LEFT_OUT, LEFT_OUT_COLUMNS, HASHED_TYPES],
    { timeoutMs: LIMIT_MS },
  );
  const counted: number[] = [];
  const parts = rows.map(({ oid, catalog, columns }): CatalogPart => {
    const condition = conditionOn(catalog);
    const row = `ROW (${columns.join(", ")})`;
    const oids = SHOWN_BY[catalog] ?? [oid];
    return {
      catalog,
      text: `SELECT '${catalog}' AS catalog, pg_catalog.count(*) AS rows, pg_catalog.sum(pg_catalog.hash_record_extended(${row}, 0)) AS sum
FROM pg_catalog.${catalog}${condition === undefined ? "" : `\nWHERE ${condition}`}`,
      counters: oids.map((shown) => counted.push(shown) - 1),
    };
  });
  const whole = `SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', d.catalog, d.rows, d.sum), ',' ORDER BY d.catalog) AS digest
FROM (
${parts.map(({ text }) => text).join("\nUNION ALL\n")}
) AS d`;
  const read = async (): Promise<string> => {
    const [result] = await database.batch([{ text: whole }], { timeoutMs: LIMIT_MS });
    return String(result?.rows[0]?.["digest"]);
  };
  const readWrites = async (): Promise<CatalogWrites> => {
    const [result] = await database.batch([{ text: WRITES_SQL, values: [counted] }], { timeoutMs: LIMIT_MS });
    return (result?.rows[0]?.["writes"] ?? undefined) as CatalogWrites;
  };
  const readAgain = async (known: string, writes: CatalogWrites): Promise<string> => {
    const now = writes === undefined ? undefined : await readWrites();
    if (writes === undefined || now === undefined) return read();
    const written = parts.filter(({ counters }) => counters.some((at) => now[at] !== writes[at]));
    if (written.length === 0) return known;
    const results = await database.batch(
      written.map(({ text }) => ({ text })),
      { timeoutMs: LIMIT_MS },
    );
    const digests = new Map(known.split(",").map((part) => [part.slice(0, part.indexOf(" ")), part]));
    for (const [index, { catalog }] of written.entries()) {
      const row = results[index]?.rows[0];
      digests.set(catalog, [catalog, row?.["rows"], row?.["sum"]].filter((value) => value !== null).join(" "));
    }
    return [...digests.values()].join(",");
  };
  return { read, readWrites, readAgain };
}

function conditionOn(catalog: string): string | undefined {
  const oid = OWNED_BY[catalog];
  // A dropped column stays as a row, and the system's columns are the same in every table.
  if (catalog === "pg_attribute") return `${oid} >= ${FIRST_OID} AND attnum > 0 AND NOT attisdropped`;
  if (oid !== undefined) return `${oid} >= ${FIRST_OID}`;
  if (catalog === "pg_description") {
    const large = Object.keys(OWNED_BY).map((name) => `'pg_catalog.${name}'::pg_catalog.regclass`);
    return `objoid >= ${FIRST_OID} OR classoid NOT IN (${large.join(", ")})`;
  }
  if (catalog === "pg_database") return "datname = pg_catalog.current_database()";
  return undefined;
}
