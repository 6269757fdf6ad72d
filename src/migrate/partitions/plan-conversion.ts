// Plans how a plain table becomes a partitioned one while it is in use.
import type { Catalog } from "../../catalog/index.ts";
import { InvalidInputError } from "../../postgres/index.ts";
import { acknowledgeHazards } from "../expand/acknowledge.ts";
import type { ExpandPhase } from "../expand/change.ts";
import { conversionParts } from "./conversion-parts.ts";
import { attachPhases, type AttachBy } from "./plan-attach.ts";
import { copyPhases } from "./plan-copy.ts";

export type PartitionBy =
  | AttachBy
  | {
      readonly kind: "hash";
      readonly column: string;
      /** Number of partitions. */
      readonly modulus: number;
    };

export interface PartitionConversion {
  readonly schema: string;
  readonly table: string;
  readonly by: PartitionBy;
  /** Keys without the partition column may become unique only together with it. Default false: that is refused. */
  readonly weakerKeys?: boolean | undefined;
}

export interface PartitionConversionPlan {
  readonly phases: readonly ExpandPhase[];
  readonly notices: readonly string[];
}

/**
 * Plans the conversion as migrations. By range and list the table itself is attached to a new one that takes its name, and no row is
 * copied; by hash a partitioned table is filled beside it, kept equal by a trigger, and takes its name.
 *
 * Carried over: keys, indexes, foreign keys in both directions, checks, identity and serial sequences, row-level security, policies,
 * triggers, rights, comments, and views that read the table.
 *
 * @param now - the time from which the boundary of a range is counted
 * @throws InvalidInputError for what cannot be carried over, and for keys that would become weaker unless `weakerKeys` allows it
 */
export async function planPartitionConversion(
  catalog: Catalog,
  conversion: PartitionConversion,
  now: Date = new Date(),
): Promise<PartitionConversionPlan> {
  const { by, schema, table, weakerKeys = false } = conversion;
  const suffix = { range: "_p_before", list: "_default", hash: "_new" }[by.kind];
  const parts = conversionParts(catalog, { schema, table, column: by.column }, weakerKeys, suffix);
  if (by.kind === "hash" && (!Number.isInteger(by.modulus) || by.modulus < 1 || by.modulus > 1_000))
    throw new InvalidInputError(`modulus must be a whole number of 1 to 1000, not ${by.modulus}`);
  const phases = by.kind === "hash" ? await copyPhases(parts, by.modulus) : await attachPhases(parts, by, now);
  const weaker = parts.uniques.filter(({ holdsKey }) => !holdsKey).map(({ index }) => index.name);
  return {
    phases: await acknowledgeHazards(phases, catalog),
    notices: weaker.map((name) => `${name} is unique only together with ${by.column} afterwards`),
  };
}
