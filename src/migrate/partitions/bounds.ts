// Bounds of partitions: as the server prints them, as times, and as the SQL of a key's type.
import { literal } from "../../catalog/index.ts";
import { InvalidInputError } from "../../postgres/index.ts";
import type { Interval } from "./policy.ts";

export type PartitionBound =
  | { readonly kind: "default" }
  | { readonly kind: "range"; readonly from: readonly string[]; readonly to: readonly string[] }
  | { readonly kind: "list"; readonly values: readonly string[] }
  | { readonly kind: "hash"; readonly modulus: number; readonly remainder: number };

/** Ends of a range that are words, not values. */
const WORDS: ReadonlySet<string> = new Set(["MINVALUE", "MAXVALUE", "NULL"]);

/** Reads `pg_get_expr(relpartbound)`; values come without quotes, MINVALUE, MAXVALUE and NULL as these words. */
export function parseBound(text: string): PartitionBound {
  if (text === "DEFAULT") return { kind: "default" };
  const hash = /^FOR VALUES WITH \(modulus (\d+), remainder (\d+)\)$/i.exec(text);
  if (hash !== null) return { kind: "hash", modulus: Number(hash[1]), remainder: Number(hash[2]) };
  const [lists] = [readLists(text)];
  const [first = [], second] = lists;
  if (second !== undefined) return { kind: "range", from: first, to: second };
  return { kind: "list", values: first };
}

/** The values of each parenthesised list. */
function readLists(text: string): readonly (readonly string[])[] {
  const lists: string[][] = [];
  let current: string[] | undefined;
  // A backslash stands for itself: the server prints no E'…' here.
  const token = /\(|\)|'((?:[^']|'')*)'|[^\s(),']+/g;
  for (const match of text.matchAll(token)) {
    const [whole, quoted] = match;
    if (whole === "(") lists.push((current = []));
    else if (whole === ")") current = undefined;
    else if (quoted !== undefined) current?.push(quoted.replaceAll("''", "'"));
    else if (current !== undefined && !whole.startsWith("::")) current.push(whole);
  }
  return lists;
}

/** Types of keys whose ranges are times. A uuid is taken to be version 7, which begins with the milliseconds. */
const TIME_TYPES: ReadonlySet<string> = new Set([
  "date",
  "timestamp without time zone",
  "timestamp with time zone",
  "uuid",
]);

export function isTimeType(type: string): boolean {
  return TIME_TYPES.has(type.replace(/\(\d\)/, ""));
}

/** A bound's text as milliseconds since 1970; `undefined` when it is no time. */
export function timeOf(text: string, type: string): number | undefined {
  if (text === "MINVALUE" || text === "-infinity") return -Infinity;
  if (text === "MAXVALUE" || text === "infinity") return Infinity;
  if (type === "uuid") return Number.parseInt(text.replaceAll("-", "").slice(0, 12), 16);
  const [, date, time = "00:00:00", zone = "+00"] =
    /^(\d{4,}-\d\d-\d\d)(?: (\d\d:\d\d:\d\d(?:\.\d+)?))?([+-]\d\d(?::?\d\d)?)?$/.exec(text) ?? [];
  if (date === undefined) return undefined;
  const offset = zone.length === 3 ? `${zone}:00` : zone;
  const parsed = Date.parse(`${date}T${time.slice(0, 12)}${offset}`);
  return Number.isNaN(parsed) ? undefined : parsed;
}

/** A range's interval; `undefined` when its key is no time or has several columns. */
export function intervalOf(bound: PartitionBound, type: string): Interval | undefined {
  if (bound.kind !== "range" || bound.from.length !== 1 || bound.to.length !== 1) return undefined;
  const from = timeOf(bound.from[0] ?? "", type);
  const to = timeOf(bound.to[0] ?? "", type);
  return from === undefined || to === undefined ? undefined : { from, to };
}

/** A time as a bound of the key's type. */
export function timeLiteral(time: number, type: string): string {
  if (time === -Infinity) return "MINVALUE";
  if (time === Infinity) return "MAXVALUE";
  const iso = new Date(time).toISOString();
  if (type === "uuid") {
    const hex = time.toString(16).padStart(12, "0");
    return `'${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000'`;
  }
  if (type === "date") return `'${iso.slice(0, 10)}'`;
  const text = `${iso.slice(0, 10)} ${iso.slice(11, 19)}`;
  return type.endsWith("with time zone") ? `'${text}+00'` : `'${text}'`;
}

export function rangeSql({ from, to }: Interval, type: string): string {
  return `FOR VALUES FROM (${timeLiteral(from, type)}) TO (${timeLiteral(to, type)})`;
}

export function listSql(value: string): string {
  if (WORDS.has(value) && value !== "NULL") {
    throw new InvalidInputError(`${value} is no value of a list`);
  }
  return `FOR VALUES IN (${value === "NULL" ? "NULL" : literal(value)})`;
}
