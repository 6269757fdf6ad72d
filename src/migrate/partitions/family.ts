// A partitioned table and its partitions as the server has them.
import {
  identifier,
  InvalidInputError,
  type Connection,
  type Queryable,
  type QueryResult,
  type Row,
} from "../../postgres/index.ts";
import { parseBound, type PartitionBound } from "./bounds.ts";

export interface Partition {
  readonly schema: string;
  readonly name: string;
  readonly bound: PartitionBound;
  /** As the server prints it, under TimeZone UTC. */
  readonly boundText: string;
  /** A DETACH … CONCURRENTLY was interrupted. */
  readonly isDetachPending: boolean;
  readonly isPartitioned: boolean;
  /** `reltuples`; `undefined` when never analyzed. */
  readonly rowEstimate: number | undefined;
  readonly totalBytes: number;
}

export interface PartitionFamily {
  readonly schema: string;
  readonly table: string;
  readonly owner: string;
  readonly strategy: "range" | "list" | "hash";
  /** Columns of the key, with `format_type`; a key with an expression has `undefined` as its name. */
  readonly key: readonly { readonly name: string | undefined; readonly type: string }[];
  readonly partitions: readonly Partition[];
  /** Relations of the table's schema, for names that are free. */
  readonly takenNames: readonly string[];
  /** Tables that were partitions and are being retired: the run that did it was interrupted. */
  readonly retired: readonly { readonly schema: string; readonly name: string }[];
  readonly hasDefaultRows: boolean;
}

const TABLES_SQL = `
SELECT c.oid::int8::text AS oid, n.nspname AS schema, c.relname AS table, pg_catalog.pg_get_userbyid(c.relowner) AS owner,
  CASE p.partstrat WHEN 'r' THEN 'range' WHEN 'l' THEN 'list' ELSE 'hash' END AS strategy,
  ARRAY(
    SELECT a.attname::text
    FROM pg_catalog.unnest(p.partattrs::int2[]) WITH ORDINALITY AS k (attnum, place)
    LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum AND k.attnum > 0
    ORDER BY k.place
  ) AS columns,
  ARRAY(
    SELECT coalesce(pg_catalog.format_type(a.atttypid, a.atttypmod), '')
    FROM pg_catalog.unnest(p.partattrs::int2[]) WITH ORDINALITY AS k (attnum, place)
    LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum AND k.attnum > 0
    ORDER BY k.place
  ) AS types
FROM pg_catalog.pg_partitioned_table AS p
JOIN pg_catalog.pg_class AS c ON c.oid = p.partrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE ($1::text IS NULL OR n.nspname = $1)
  AND ($2::text IS NULL OR c.relname = $2)
  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
ORDER BY n.nspname, c.relname
LIMIT 1000`;

const PARTITIONS_SQL = `
SELECT i.inhparent::int8::text AS parent, n.nspname AS schema, c.relname AS name,
  pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound,
  i.inhdetachpending AS pending, c.relkind = 'p' AS partitioned, c.reltuples::float8 AS rows,
  pg_catalog.pg_total_relation_size(c.oid)::float8 AS bytes
FROM pg_catalog.pg_inherits AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE i.inhparent = ANY ($1::int8[]::oid[])
ORDER BY n.nspname, c.relname
LIMIT 100000`;

const NAMES_SQL = `
SELECT c.relname AS name
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1::text
LIMIT 1000000`;

const RETIRED_SQL = `
SELECT n.nspname AS schema, c.relname AS name
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p')
  AND NOT c.relispartition
  AND n.nspname = $1::text
  AND pg_catalog.obj_description(c.oid, 'pg_class') = $2::text
ORDER BY c.relname
LIMIT 1000`;

const UNSEEN_SQL = `
SELECT
FROM pg_catalog.pg_namespace AS n
WHERE n.nspname = $1::text
  AND NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE')`;

/** The comment of a partition from before its DETACH until what follows is done. */
export function retiredComment(schema: string, table: string): string {
  return `pgsteward: being retired from ${identifier(schema, table)}`;
}

interface TableRow extends Row {
  readonly oid: string;
  readonly schema: string;
  readonly table: string;
  readonly owner: string;
  readonly strategy: PartitionFamily["strategy"];
  readonly columns: readonly (string | null)[];
  readonly types: readonly string[];
}

interface PartitionRow extends Row {
  readonly parent: string;
  readonly schema: string;
  readonly name: string;
  readonly bound: string | null;
  readonly pending: boolean;
  readonly partitioned: boolean;
  readonly rows: number;
  readonly bytes: number;
}

/** Every partitioned table, or that of a schema and name. */
export async function readFamilies(
  connection: Connection,
  schema?: string,
  table?: string,
): Promise<readonly PartitionFamily[]> {
  const { rows: tables } = await connection.query<TableRow>(TABLES_SQL, [schema ?? null, table ?? null]);
  const [, bounds] = await connection.batch([
    // Bounds are printed by the session's settings.
    {
      text: `SELECT pg_catalog.set_config('TimeZone', 'UTC', true), pg_catalog.set_config('DateStyle', 'ISO, MDY', true),
        pg_catalog.set_config('standard_conforming_strings', 'on', true)`,
    },
    { text: PARTITIONS_SQL, values: [tables.map(({ oid }) => oid)] },
  ]);
  const partitions = (bounds as QueryResult<PartitionRow> | undefined)?.rows ?? [];
  const families: PartitionFamily[] = [];
  for (const row of tables) {
    const own = partitions.filter(({ parent }) => parent === row.oid).map(partitionOf);
    const byDefault = own.find(({ bound }) => bound.kind === "default");
    const { rows: names } = await connection.query<{ name: string }>(NAMES_SQL, [row.schema]);
    const { rows: retired } = await connection.query<{ schema: string; name: string }>(RETIRED_SQL, [
      row.schema,
      retiredComment(row.schema, row.table),
    ]);
    families.push({
      schema: row.schema,
      table: row.table,
      owner: row.owner,
      strategy: row.strategy,
      key: row.columns.map((name, index) => ({ name: name ?? undefined, type: row.types[index] ?? "" })),
      partitions: own,
      takenNames: names.map(({ name }) => name),
      retired,
      hasDefaultRows: byDefault !== undefined && (await hasRows(connection, byDefault)),
    });
  }
  return families;
}

async function hasRows(connection: Queryable, { schema, name }: Partition): Promise<boolean> {
  const { rows } = await connection.query<{ found: boolean }>(
    `SELECT EXISTS (SELECT FROM ${identifier(schema, name)}) AS found`,
  );
  return rows[0]?.found === true;
}

function partitionOf(row: PartitionRow): Partition {
  const boundText = row.bound ?? "DEFAULT";
  return {
    schema: row.schema,
    name: row.name,
    bound: parseBound(boundText),
    boundText,
    isDetachPending: row.pending,
    isPartitioned: row.partitioned,
    rowEstimate: row.rows < 0 ? undefined : row.rows,
    totalBytes: row.bytes,
  };
}

/** @throws InvalidInputError when there is no such table, or it is not partitioned */
export async function readFamily(connection: Connection, schema: string, table: string): Promise<PartitionFamily> {
  const [family] = await readFamilies(connection, schema, table);
  if (family !== undefined) return family;
  // One that may not be seen is asked for, so that the server says what is missing.
  const { rows } = await connection.query(UNSEEN_SQL, [schema]);
  if (rows.length > 0) await connection.query(`SELECT FROM ${identifier(schema, table)} LIMIT 0`);
  throw new InvalidInputError(`there is no partitioned table ${schema}.${table}`, {
    hint: "pgsteward partitions status lists those that there are; pgsteward partitions convert makes one of a plain table",
  });
}
