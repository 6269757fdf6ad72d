// How the partitioned tables of a database stand: their partitions, what the default partition holds, and until when there is room.
import type { Database } from "../../postgres/index.ts";
import { readFamilies, type PartitionFamily } from "./family.ts";
import { intervalsOf } from "./plan-partitions.ts";

export interface PartitionStatus {
  readonly schema: string;
  readonly table: string;
  readonly strategy: "range" | "list" | "hash";
  /** Columns of the key. */
  readonly key: readonly string[];
  readonly partitions: readonly {
    readonly schema: string;
    readonly name: string;
    readonly bound: string;
    readonly rowEstimate: number | undefined;
    readonly totalBytes: number;
    /** A DETACH … CONCURRENTLY was interrupted. */
    readonly isDetachPending: boolean;
  }[];
  readonly defaultPartition: { readonly name: string; readonly hasRows: boolean } | undefined;
  /** For periods: from now on there is a partition for every time before this; `undefined` when there is none for now. */
  readonly coveredUntil: Date | "always" | undefined;
  /** What wants attention. */
  readonly problems: readonly string[];
}

/**
 * Reads every partitioned table, or one.
 *
 * @param now - the time from which on there should be partitions
 */
export async function readPartitions(
  database: Database,
  table: { readonly schema?: string; readonly table?: string } = {},
  now: Date = new Date(),
): Promise<readonly PartitionStatus[]> {
  await using connection = await database.connect();
  const families = await readFamilies(connection, table.schema, table.table);
  return families.map((family) => statusOf(family, now.getTime()));
}

function statusOf(family: PartitionFamily, now: number): PartitionStatus {
  const byDefault = family.partitions.find(({ bound }) => bound.kind === "default");
  const covered = coverage(family, now);
  const isByTime = intervalsOf(family).length > 0;
  const hash = family.partitions.flatMap(({ bound }) => (bound.kind === "hash" ? [bound] : []));
  const modulus = Math.max(0, ...hash.map((bound) => bound.modulus));
  const share = hash.reduce((sum, bound) => sum + 1 / bound.modulus, 0);
  const problems = [
    byDefault !== undefined && family.hasDefaultRows
      ? `${byDefault.name} holds rows: no other partition takes them, and each new one is checked against them`
      : undefined,
    isByTime && covered === undefined && byDefault === undefined
      ? "there is no partition for now: rows are refused"
      : undefined,
    family.strategy === "hash" && share < 1 - 1e-9
      ? `partitions of modulus ${modulus} are missing: rows of their remainders are refused`
      : undefined,
    family.partitions.length === 0 ? "there are no partitions: every row is refused" : undefined,
    ...family.partitions
      .filter(({ isDetachPending }) => isDetachPending)
      .map(({ name }) => `the detaching of ${name} was interrupted: ALTER TABLE … DETACH PARTITION … FINALIZE`),
    ...family.retired.map(({ name }) => `${name} was detached and not put away yet`),
  ].filter((problem) => problem !== undefined);
  return {
    schema: family.schema,
    table: family.table,
    strategy: family.strategy,
    key: family.key.map(({ name }) => name ?? "(expression)"),
    partitions: family.partitions.map(({ schema, name, boundText, rowEstimate, totalBytes, isDetachPending }) => ({
      schema,
      name,
      bound: boundText,
      rowEstimate,
      totalBytes,
      isDetachPending,
    })),
    defaultPartition: byDefault === undefined ? undefined : { name: byDefault.name, hasRows: family.hasDefaultRows },
    coveredUntil: covered,
    problems,
  };
}

function coverage(family: PartitionFamily, now: number): PartitionStatus["coveredUntil"] {
  const intervals = intervalsOf(family)
    .map(({ interval }) => interval)
    .sort((left, right) => left.from - right.from);
  let until = now;
  for (const { from, to } of intervals) if (from <= until && to > until) until = to;
  if (until === now) return undefined;
  return until === Infinity ? "always" : new Date(until);
}
