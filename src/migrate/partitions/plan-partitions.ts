// What a policy asks for and a table does not have yet, and which partitions have had their time. Pure.
import { identifier, InvalidInputError } from "../../postgres/index.ts";
import { intervalOf, isTimeType, listSql, rangeSql, timeLiteral } from "./bounds.ts";
import type { Partition, PartitionFamily } from "./family.ts";
import {
  periodAt,
  periodFrom,
  periodName,
  uncovered,
  valueName,
  withSuffix,
  type HashPolicy,
  type Interval,
  type ListPolicy,
  type PartitionPolicy,
  type RangePolicy,
} from "./policy.ts";

export interface PartitionCreation {
  readonly name: string;
  /** e.g. `FOR VALUES IN ('acme')`. */
  readonly bound: string;
  /** Which rows of the default partition belong into it, as SQL; `undefined` where there can be no default partition. */
  readonly condition: string | undefined;
}

export interface PartitionPlan {
  readonly create: readonly PartitionCreation[];
  /** Oldest first. */
  readonly retire: readonly Partition[];
  readonly notDone: readonly PartitionObstacle[];
}

export interface PartitionObstacle {
  /** Name of the partition that was not made or retired. */
  readonly name: string;
  readonly why: string;
}

export const DEFAULT_AHEAD = 3;

/** @throws InvalidInputError when the policy does not fit the table */
export function planPartitions(family: PartitionFamily, policy: PartitionPolicy, now: number): PartitionPlan {
  if (family.strategy !== policy.kind) {
    throw new InvalidInputError(
      `${family.schema}.${family.table} is partitioned by ${family.strategy}, not by ${policy.kind}`,
    );
  }
  switch (policy.kind) {
    case "range":
      return planRange(family, policy, now);
    case "list":
      return planList(family, policy);
    case "hash":
      return planHash(family, policy);
  }
}

/** Interval of each partition of a table that is partitioned by time. */
export function intervalsOf(
  family: PartitionFamily,
): readonly { readonly partition: Partition; readonly interval: Interval }[] {
  const type = family.key[0]?.type ?? "";
  return family.partitions.flatMap((partition) => {
    const interval = intervalOf(partition.bound, type);
    return interval === undefined ? [] : [{ partition, interval }];
  });
}

function planRange(family: PartitionFamily, policy: RangePolicy, now: number): PartitionPlan {
  const { name: column, type } = singleKey(family);
  if (!isTimeType(type)) {
    throw new InvalidInputError(
      `the key of ${family.schema}.${family.table} is ${type}: periods need a date, a timestamp or a uuid of version 7`,
    );
  }
  const ahead = whole(policy.ahead ?? DEFAULT_AHEAD, "ahead");
  const present = intervalsOf(family).map(({ interval }) => interval);
  const create: PartitionCreation[] = [];
  const notDone: PartitionObstacle[] = [];
  let period = periodAt(policy.every, now);
  for (let step = 0; step <= ahead; step++, period = periodAt(policy.every, period.to)) {
    const name = periodName(family.table, policy.every, period.from);
    const gaps = uncovered(period, present);
    const [gap] = gaps;
    if (gap === undefined) continue;
    if (gaps.length > 1)
      notDone.push({ name, why: "other partitions cover parts of its time, with gaps between them" });
    else if (family.takenNames.includes(name))
      notDone.push({ name, why: `there is a relation ${family.schema}.${name}, and it is no partition for this time` });
    else
      create.push({
        name,
        bound: rangeSql(gap, type),
        condition: `${column} >= ${timeLiteral(gap.from, type)} AND ${column} < ${timeLiteral(gap.to, type)}`,
      });
  }
  return { create, retire: overdue(family, policy, now), notDone };
}

function overdue(family: PartitionFamily, policy: RangePolicy, now: number): readonly Partition[] {
  if (policy.keep === undefined) return [];
  const oldest = periodFrom(policy.every, now, -whole(policy.keep, "keep")).from;
  return intervalsOf(family)
    .filter(({ interval }) => interval.to <= oldest)
    .sort((left, right) => left.interval.to - right.interval.to)
    .map(({ partition }) => partition);
}

function planList(family: PartitionFamily, policy: ListPolicy): PartitionPlan {
  const { name: column } = singleKey(family);
  const present = new Set(family.partitions.flatMap(({ bound }) => (bound.kind === "list" ? bound.values : [])));
  const taken = new Set(family.takenNames);
  const create = [...new Set(policy.values)]
    .filter((value) => !present.has(value))
    .map((value) => {
      const name = valueName(family.table, value, (candidate) => taken.has(candidate));
      taken.add(name);
      const bound = listSql(value);
      const condition =
        value === "NULL" ? `${column} IS NULL` : `${column} = ${bound.slice("FOR VALUES IN (".length, -1)}`;
      return { name, bound, condition };
    });
  return { create, retire: [], notDone: [] };
}

function planHash(family: PartitionFamily, policy: HashPolicy): PartitionPlan {
  const modulus = whole(policy.modulus, "modulus");
  if (modulus < 1 || modulus > 10_000) throw new InvalidInputError(`modulus must be 1 to 10000, not ${modulus}`);
  const present = family.partitions.flatMap(({ bound }) => (bound.kind === "hash" ? [bound] : []));
  const other = present.find((bound) => bound.modulus !== modulus);
  if (other !== undefined) {
    throw new InvalidInputError(
      `${family.schema}.${family.table} has partitions of modulus ${other.modulus}, not ${modulus}`,
      {
        hint: "the number of hash partitions cannot be changed in place: make a new table and copy",
      },
    );
  }
  const remainders = new Set(present.map(({ remainder }) => remainder));
  const create: PartitionCreation[] = [];
  const notDone: PartitionObstacle[] = [];
  for (let remainder = 0; remainder < modulus; remainder++) {
    if (remainders.has(remainder)) continue;
    const name = withSuffix(family.table, `_p${remainder}`);
    if (family.takenNames.includes(name)) notDone.push({ name, why: `there is a relation ${family.schema}.${name}` });
    else
      create.push({
        name,
        bound: `FOR VALUES WITH (MODULUS ${modulus}, REMAINDER ${remainder})`,
        condition: undefined,
      });
  }
  return { create, retire: [], notDone };
}

function singleKey(family: PartitionFamily): { readonly name: string; readonly type: string } {
  const [only, ...others] = family.key;
  if (only?.name === undefined || others.length > 0) {
    throw new InvalidInputError(`the partition key of ${family.schema}.${family.table} is not one column`, {
      hint: "make partitions of such a table by hand, in a migration",
    });
  }
  return { name: identifier(only.name), type: only.type };
}

function whole(value: number, name: string): number {
  if (!Number.isInteger(value) || value < 0 || value > 10_000)
    throw new InvalidInputError(`${name} must be a whole number of 0 to 10000, not ${value}`);
  return value;
}
