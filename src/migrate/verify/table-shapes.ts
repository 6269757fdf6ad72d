// The tables and their columns by name: what comparing rows needs of a schema, for a twentieth of what reading the catalog costs.
import type { Catalog } from "../../catalog/index.ts";
import type { Queryable } from "../../postgres/index.ts";

export interface TableShape {
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly string[];
  /**
   * The same for two readings in one transaction: so are the rows in between, as far as the columns are the same ones. `undefined`
   * where nothing is counted.
   */
  readonly content: string | undefined;
}

/** What of a schema has rows, and what rows could be made for. */
export interface SchemaShapes {
  /** Tables with rows of their own, without foreign and temporary ones and those of extensions. */
  readonly tables: readonly TableShape[];
  /** Partitioned tables that are no partition themselves. */
  readonly roots: readonly TableShape[];
  /** `schema.table` of the partitions among `tables`. */
  readonly partitions: ReadonlySet<string>;
}

const SHAPES_SQL = `
SELECT n.nspname AS schema, c.relname AS name, c.relkind = 'p' AS "isPartitioned", c.relispartition AS "isPartition",
  ARRAY(
    SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum) AS columns,
  -- A rewritten table has another file, a truncated one too.
  CASE WHEN pg_catalog.current_setting('track_counts')::bool THEN pg_catalog.concat_ws(' ', c.oid, c.relfilenode,
    pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid), pg_catalog.pg_stat_get_xact_tuples_updated(c.oid),
    pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid)) END AS content
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p')
  AND c.oid >= 16384
  AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend AS m
    WHERE m.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND m.objid = c.oid AND m.deptype = 'e')
ORDER BY n.nspname, c.relname`;
const LIMIT_MS = 10_000;

interface ShapeRow extends TableShape {
  readonly isPartitioned: boolean;
  readonly isPartition: boolean;
}

export async function readShapes(reads: Queryable): Promise<SchemaShapes> {
  const [result] = await reads.batch([{ text: SHAPES_SQL }], { timeoutMs: LIMIT_MS });
  const rows = (result?.rows ?? []) as unknown as readonly ShapeRow[];
  return {
    tables: rows.filter(({ isPartitioned }) => !isPartitioned),
    roots: rows.filter(({ isPartitioned, isPartition }) => isPartitioned && !isPartition),
    partitions: new Set(rows.filter(({ isPartition }) => isPartition).map(({ schema, name }) => `${schema}.${name}`)),
  };
}

/** The tables with rows of their own, of a catalog that was read anyway. */
export function tablesOf(catalog: Catalog): readonly TableShape[] {
  return catalog.tables
    .filter(
      ({ kind, persistence, extension }) => kind === "table" && persistence !== "temporary" && extension === undefined,
    )
    .map(({ schema, name, columns }) => ({
      schema,
      name,
      columns: columns.map((column) => column.name),
      content: undefined,
    }));
}

/** The tables whose rows may be other than at an earlier reading in the same transaction, or that have other columns. */
export function touchedTables(before: readonly TableShape[], now: readonly TableShape[]): readonly TableShape[] {
  const known = new Map(before.map((table) => [`${table.schema}.${table.name}`, table]));
  return now.filter((table) => {
    const old = known.get(`${table.schema}.${table.name}`);
    return (
      old === undefined ||
      table.content === undefined ||
      old.content !== table.content ||
      old.columns.join("\0") !== table.columns.join("\0")
    );
  });
}
