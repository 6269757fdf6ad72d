// What a partitioned table should look like over time: policies, the periods of a calendar, and the names of partitions.
import { MAX_IDENTIFIER_BYTES } from "../../postgres/index.ts";

export type Period = "day" | "week" | "month" | "year";

export interface RangePolicy {
  readonly kind: "range";
  readonly schema: string;
  readonly table: string;
  /** Periods are those of UTC; weeks begin on Monday. */
  readonly every: Period;
  /** Partitions after the current one. Default 3. */
  readonly ahead?: number | undefined;
  /** Whole past periods that stay; older partitions are retired. Default: all stay. */
  readonly keep?: number | undefined;
  /** What becomes of a retired partition: a table of its own where it is, in another schema, or nothing. Default `"detach"`. */
  readonly retire?: "detach" | "drop" | { readonly moveTo: string } | undefined;
}

export interface ListPolicy {
  readonly kind: "list";
  readonly schema: string;
  readonly table: string;
  /** Values that get a partition of their own, e.g. the ids of large tenants; their rows leave the default partition. */
  readonly values: readonly string[];
}

export interface HashPolicy {
  readonly kind: "hash";
  readonly schema: string;
  readonly table: string;
  /** Number of partitions. */
  readonly modulus: number;
}

export type PartitionPolicy = RangePolicy | ListPolicy | HashPolicy;

/** Half open, in milliseconds since 1970; infinite at the ends of MINVALUE and MAXVALUE. */
export interface Interval {
  readonly from: number;
  readonly to: number;
}

const DAY_MS = 86_400_000;

/** The period that a time lies in. */
export function periodAt(every: Period, time: number): Interval {
  const date = new Date(time);
  const year = date.getUTCFullYear();
  const month = date.getUTCMonth();
  switch (every) {
    case "year":
      return { from: Date.UTC(year), to: Date.UTC(year + 1) };
    case "month":
      return { from: Date.UTC(year, month), to: Date.UTC(year, month + 1) };
    case "week": {
      const day = Date.UTC(year, month, date.getUTCDate());
      const from = day - ((date.getUTCDay() + 6) % 7) * DAY_MS;
      return { from, to: from + 7 * DAY_MS };
    }
    case "day": {
      const from = Date.UTC(year, month, date.getUTCDate());
      return { from, to: from + DAY_MS };
    }
  }
}

/** The period `count` before (negative) or after the one that holds `time`. */
export function periodFrom(every: Period, time: number, count: number): Interval {
  let period = periodAt(every, time);
  for (let step = 0; step < Math.abs(count); step++) period = periodAt(every, count > 0 ? period.to : period.from - 1);
  return period;
}

/** `orders_p2026`, `orders_p2026_11`, `orders_p2026_11_22`; a week is named by its Monday, as a day is. */
export function periodName(table: string, every: Period, from: number): string {
  const day = new Date(from).toISOString().slice(0, 10).replaceAll("-", "_");
  const length = { year: 4, month: 7, week: 10, day: 10 }[every];
  return withSuffix(table, `_p${day.slice(0, length)}`);
}

/** `orders_p_acme`, of a value that may hold anything; `taken` says whether a name is in use. */
export function valueName(table: string, value: string, taken: (name: string) => boolean): string {
  const words = value
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, "_")
    .replaceAll(/^_+|_+$/g, "");
  const base = withSuffix(table, `_p_${cut(words === "" ? "value" : words, 40)}`);
  if (!taken(base)) return base;
  for (let number = 2; ; number++) {
    const name = withSuffix(base, `_${number}`);
    if (!taken(name)) return name;
  }
}

/** What is cut to fit is cut from the front part. */
export function withSuffix(name: string, suffix: string): string {
  return cut(name, MAX_IDENTIFIER_BYTES - Buffer.byteLength(suffix)) + suffix;
}

function cut(text: string, bytes: number): string {
  const characters = Array.from(text);
  while (Buffer.byteLength(characters.join("")) > bytes) characters.pop();
  return characters.join("");
}

/** Parts of `whole` that none of `covered` covers, in order. */
export function uncovered(whole: Interval, covered: readonly Interval[]): readonly Interval[] {
  let left: readonly Interval[] = [whole];
  for (const { from, to } of covered) {
    left = left.flatMap((part) => {
      if (to <= part.from || from >= part.to) return [part];
      return [
        ...(part.from < from ? [{ from: part.from, to: from }] : []),
        ...(to < part.to ? [{ from: to, to: part.to }] : []),
      ];
    });
  }
  return left;
}
