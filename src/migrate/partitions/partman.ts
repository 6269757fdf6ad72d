// pg_partman, where it is installed, keeps the partitions of the tables that are handed to it: a policy then becomes its configuration.
import { literal } from "../../catalog/index.ts";
import { identifier, InvalidInputError, type Connection, type Row } from "../../postgres/index.ts";
import type { PartitionFamily } from "./family.ts";
import { DEFAULT_AHEAD } from "./plan-partitions.ts";
import { periodAt, type RangePolicy } from "./policy.ts";

export interface Partman {
  /** Schema it was installed into. */
  readonly schema: string;
  /** e.g. `5.2.4`. */
  readonly version: string;
  /** What its configuration says of the table; `undefined` when it does not have it. */
  readonly configured: { readonly interval: string; readonly fits: boolean } | undefined;
  /** Whether the column of the table's key is NOT NULL. */
  readonly isKeyNotNull: boolean;
}

const EXTENSION_SQL = `
SELECT n.nspname AS schema, e.extversion AS version
FROM pg_catalog.pg_extension AS e
JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_partman'`;

const NOT_NULL_SQL = `
SELECT a.attnotnull AS is_not_null
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1::text
  AND c.relname = $2::text
  AND a.attname = $3::text`;

/** pg_partman as it is installed and knows the table; `undefined` without it. */
export async function readPartman(
  connection: Connection,
  { schema, table, key }: PartitionFamily,
  { every }: RangePolicy,
): Promise<Partman | undefined> {
  const { rows } = await connection.query<{ schema: string; version: string }>(EXTENSION_SQL);
  const [found] = rows;
  if (found === undefined) return undefined;
  const { rows: configured } = await connection.query<Row & { interval: string; fits: boolean }>(
    `SELECT partition_interval::text AS interval, partition_interval::interval = $2::text::interval AS fits
     FROM ${identifier(found.schema, "part_config")} WHERE parent_table = $1::text`,
    [`${schema}.${table}`, `1 ${every}`],
  );
  const column = key[0]?.name ?? "";
  const { rows: columns } = await connection.query<{ is_not_null: boolean }>(NOT_NULL_SQL, [schema, table, column]);
  return { ...found, configured: configured[0], isKeyNotNull: columns[0]?.is_not_null === true };
}

/** Partitions that are there already have other names than pg_partman's, and stand where it would make its own: it cannot take them over. */
export function isKeptByPartman({ partitions }: PartitionFamily, partman: Partman): boolean {
  return partman.configured !== undefined || partitions.length === 0;
}

/**
 * Statements that bring pg_partman's configuration of a table to the policy, and let it work once; in one transaction.
 *
 * @param now - in milliseconds since 1970; the period of it is that of the first partition
 * @throws InvalidInputError for versions before 4, for a table that it has with another interval, and for a key that may be NULL
 * @see https://github.com/pgpartman/pg_partman/blob/development/doc/pg_partman.md
 */
export function partmanStatements(
  family: PartitionFamily,
  policy: RangePolicy,
  partman: Partman,
  now: number,
): readonly string[] {
  const name = `${family.schema}.${family.table}`;
  const major = Number(/^\d+/.exec(partman.version)?.[0] ?? 0);
  if (major < 4) {
    throw new InvalidInputError(
      `pg_partman ${partman.version} keeps partitions here; pgsteward writes the configuration of version 4 and later`,
      { hint: "ALTER EXTENSION pg_partman UPDATE, or set its part_config by hand" },
    );
  }
  if (partman.configured?.fits === false) {
    throw new InvalidInputError(
      `pg_partman makes partitions of ${partman.configured.interval} for ${name}, not of 1 ${policy.every}`,
      { hint: "give the period that it has, or take the table out of its part_config first" },
    );
  }
  const column = family.key[0]?.name ?? "";
  // Version 4 asks for it only of tables with inheritance.
  if (partman.configured === undefined && major >= 5 && !partman.isKeyNotNull) {
    throw new InvalidInputError(`pg_partman takes ${name} only when ${column} is NOT NULL`, {
      hint: `ALTER TABLE ${identifier(family.schema, family.table)} ALTER COLUMN ${identifier(column)} SET NOT NULL`,
    });
  }
  const parent = literal(name);
  const ahead = policy.ahead ?? DEFAULT_AHEAD;
  const config = identifier(partman.schema, "part_config");
  // Without a start, weeks would begin on the day of the week that it is.
  const start = new Date(periodAt(policy.every, now).from).toISOString().slice(0, 10);
  const create = `SELECT ${identifier(partman.schema, "create_parent")}(p_parent_table := ${parent}, p_control := ${literal(column)}, ${major < 5 ? "p_type := 'native', " : ""}p_interval := '1 ${policy.every}', p_premake := ${ahead}, p_start_partition := '${start}')`;
  const retire = policy.retire ?? "detach";
  const settings = [
    `premake = ${ahead}`,
    `retention = ${policy.keep === undefined ? "NULL" : `'${policy.keep} ${policy.every}s'`}`,
    `retention_keep_table = ${retire === "drop" ? "false" : "true"}`,
    `retention_schema = ${typeof retire === "object" ? literal(retire.moveTo) : "NULL"}`,
    "infinite_time_partitions = true",
  ];
  return [
    // It makes bounds in the time zone of the session.
    "SET LOCAL TimeZone = 'UTC'",
    ...(partman.configured === undefined ? [create] : []),
    `UPDATE ${config} SET ${settings.join(", ")} WHERE parent_table = ${parent}`,
    ...(typeof retire === "object" ? [`CREATE SCHEMA IF NOT EXISTS ${identifier(retire.moveTo)}`] : []),
    `SELECT ${identifier(partman.schema, "run_maintenance")}(p_parent_table := ${parent})`,
  ];
}
