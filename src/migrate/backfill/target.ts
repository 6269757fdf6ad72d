// The table of a backfill as the server has it: its key with the types, its size, and the relations whose locks matter.
import type { AskedRight } from "../run/asked-rights.ts";
import { identifier, InvalidInputError, type Connection } from "../../postgres/index.ts";

export interface KeyColumn {
  readonly name: string;
  /** `format_type`, e.g. `bigint`. */
  readonly type: string;
  /** The column's value as a text that reads back equal under every DateStyle. */
  readonly asText: string;
}

export interface BackfillTarget {
  /** Quoted and qualified. */
  readonly sqlName: string;
  readonly key: readonly KeyColumn[];
  /** The table and its partitions. */
  readonly oids: readonly number[];
  /** `reltuples` of the table or its partitions; `undefined` when one was never analyzed. */
  readonly rowEstimate: number | undefined;
}

const TABLE_SQL = `
SELECT c.oid::int8::int4 AS oid, c.relkind AS kind
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1::text
  AND c.relname = $2::text`;

const KEYS_SQL = `
SELECT i.indisprimary AS is_primary,
  pg_catalog.array_agg(a.attname::text ORDER BY k.place) AS columns,
  pg_catalog.array_agg(pg_catalog.format_type(a.atttypid, a.atttypmod) ORDER BY k.place) AS types,
  pg_catalog.array_agg(t.typcategory::text ORDER BY k.place) AS categories
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
CROSS JOIN LATERAL pg_catalog.unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) WITH ORDINALITY AS k (attnum, place)
LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND a.attnum > 0
LEFT JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
WHERE i.indrelid = $1::oid
  AND i.indisunique
  AND i.indisvalid
  AND i.indpred IS NULL
  AND m.amname = 'btree'    -- that of WITHOUT OVERLAPS has no order
GROUP BY i.indexrelid, i.indisprimary
HAVING pg_catalog.bool_and(COALESCE(a.attnotnull, false))
ORDER BY i.indisprimary DESC, pg_catalog.count(*), i.indexrelid`;

const FAMILY_SQL = `
SELECT pg_catalog.array_agg(f.relid::oid::int8) AS oids,
  CASE WHEN pg_catalog.bool_or(f.isleaf AND c.reltuples < 0) THEN NULL
    ELSE pg_catalog.sum(c.reltuples) FILTER (WHERE f.isleaf) END::float8 AS rows
FROM (
  SELECT p.relid, p.isleaf
  FROM pg_catalog.pg_partition_tree($1::oid::regclass) AS p
  UNION
  SELECT $1::oid::regclass, NOT EXISTS (SELECT FROM pg_catalog.pg_partition_tree($1::oid::regclass))
) AS f
JOIN pg_catalog.pg_class AS c ON c.oid = f.relid`;

interface KeyRow {
  readonly is_primary: boolean;
  readonly columns: readonly string[];
  readonly types: readonly string[];
  readonly categories: readonly string[];
}

/**
 * Finds the table and the key to walk it by.
 *
 * @throws InvalidInputError when there is no such table, or no unique key of NOT NULL columns (the hint lists the keys)
 */
export async function readTarget(
  connection: Connection,
  schema: string,
  table: string,
  wanted: readonly string[] | undefined,
): Promise<BackfillTarget> {
  const { rows: found } = await connection.query<{ oid: number; kind: string }>(TABLE_SQL, [schema, table]);
  const [relation] = found;
  if (relation === undefined) {
    throw new InvalidInputError(`there is no table ${schema}.${table}`, { hint: "write it as schema.table" });
  }
  if (!["r", "p"].includes(relation.kind)) throw new InvalidInputError(`${schema}.${table} is not a table`);
  const { rows: keys } = await connection.query<KeyRow & Record<string, unknown>>(KEYS_SQL, [relation.oid]);
  const key = keys.find(({ columns }) => wanted === undefined || isSameSet(columns, wanted));
  if (key === undefined) {
    const known = keys.map(({ columns }) => `(${columns.join(", ")})`).join(", ");
    throw new InvalidInputError(
      wanted === undefined
        ? `${schema}.${table} has no primary key and no unique index of NOT NULL columns`
        : `(${wanted.join(", ")}) is not a unique key of NOT NULL columns of ${schema}.${table}`,
      {
        hint:
          known === ""
            ? "make one first with CREATE UNIQUE INDEX CONCURRENTLY: without it a run could repeat or miss rows"
            : `its keys are: ${known}`,
      },
    );
  }
  const { rows: family } = await connection.query<{ oids: readonly string[]; rows: number | null }>(FAMILY_SQL, [
    relation.oid,
  ]);
  return {
    sqlName: identifier(schema, table),
    key: key.columns.map((name, index) => {
      const quoted = identifier(name);
      // Dates and times as text follow DateStyle, as JSON they are always ISO 8601.
      const isDate = key.categories[index] === "D";
      return {
        name,
        type: key.types[index] ?? "text",
        asText: isDate ? `(pg_catalog.to_jsonb(${quoted}) #>> '{}')` : `${quoted}::text`,
      };
    }),
    oids: (family[0]?.oids ?? []).map(Number),
    rowEstimate: family[0]?.rows ?? undefined,
  };
}

function isSameSet(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && right.every((name) => left.includes(name));
}

/** What a backfill asks of the server, in the order in which it looks. */
export function rightsOf({
  schema,
  table,
}: {
  readonly schema: string;
  readonly table: string;
}): readonly AskedRight[] {
  return [
    { on: "schema", name: schema, rights: ["USAGE"] },
    { on: "relation", name: { schema, name: table }, rights: ["SELECT", "UPDATE"] },
    { on: "schema", name: "pgsteward", rights: ["USAGE", "CREATE"] },
    { on: "relation", name: { schema: "pgsteward", name: "backfill" }, rights: ["SELECT", "INSERT", "UPDATE"] },
  ];
}
