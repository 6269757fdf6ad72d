// pg_partman, where it is installed, keeps the partitions: a policy then becomes its configuration.
import { literal } from "../../catalog/index.ts";
import { identifier, InvalidInputError } from "../../postgres/index.ts";
import type { PartitionFamily } from "./family.ts";
import { DEFAULT_AHEAD } from "./plan-partitions.ts";
import type { RangePolicy } from "./policy.ts";

export interface Partman {
  /** Schema it was installed into. */
  readonly schema: string;
  /** e.g. `5.2.4`. */
  readonly version: string;
  /** Whether its configuration has the table. */
  readonly isConfigured: boolean;
}

/**
 * Statements that bring pg_partman's configuration of a table to the policy, and let it work once.
 *
 * @throws InvalidInputError for versions before 5, whose functions take other arguments
 * @see https://github.com/pgpartman/pg_partman/blob/development/doc/pg_partman.md
 */
export function partmanStatements(family: PartitionFamily, policy: RangePolicy, partman: Partman): readonly string[] {
  const major = Number(/^\d+/.exec(partman.version)?.[0] ?? 0);
  if (major < 5) {
    throw new InvalidInputError(
      `pg_partman ${partman.version} keeps partitions here; pgsteward writes the configuration of version 5 and later`,
      {
        hint: "ALTER EXTENSION pg_partman UPDATE, or set its part_config by hand",
      },
    );
  }
  const parent = literal(`${family.schema}.${family.table}`);
  const ahead = policy.ahead ?? DEFAULT_AHEAD;
  const config = identifier(partman.schema, "part_config");
  const create = `SELECT ${identifier(partman.schema, "create_parent")}(p_parent_table := ${parent}, p_control := ${literal(family.key[0]?.name ?? "")}, p_interval := '1 ${policy.every}', p_premake := ${ahead})`;
  const retire = policy.retire ?? "detach";
  const settings = [
    `premake = ${ahead}`,
    `retention = ${policy.keep === undefined ? "NULL" : `'${policy.keep} ${policy.every}s'`}`,
    `retention_keep_table = ${retire === "drop" ? "false" : "true"}`,
    `retention_schema = ${typeof retire === "object" ? literal(retire.moveTo) : "NULL"}`,
    "infinite_time_partitions = true",
  ];
  return [
    ...(partman.isConfigured ? [] : [create]),
    `UPDATE ${config} SET ${settings.join(", ")} WHERE parent_table = ${parent}`,
    `SELECT ${identifier(partman.schema, "run_maintenance")}(p_parent_table := ${parent})`,
  ];
}
