// The bound of a partition as a condition over its rows, in the words in which the server itself checks it: a valid CHECK that says so spares
// ATTACH from reading the table (measured on PostgreSQL 18: "is implied by existing constraints").
import { literal } from "../../postgres/index.ts";

const COLUMN = /^(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)$/;

/**
 * Types whose values have no collation. The server compares a hashed text without one; what a CHECK says always has one, and proves nothing.
 */
const WITHOUT_COLLATION =
  /^(?:smallint|integer|bigint|numeric(?:\(.*\))?|real|double precision|boolean|uuid|date|(?:timestamp|time)(?:\(\d\))? with(?:out)? time zone|interval|bytea|inet|cidr|oid)$/;

export interface PartitionedTable {
  /** As SQL. */
  readonly name: string;
  /** `pg_get_partkeydef`, e.g. `RANGE (tenant, day)`. */
  readonly key: string;
  /** Type of a column, as `format_type` has it. */
  readonly typeOf: (column: string) => string | undefined;
}

/**
 * @param bound - e.g. `FOR VALUES FROM (1, '2024-01-01') TO (1, '2025-01-01')`
 * @returns `undefined` for DEFAULT, for keys with an operator class or collation of their own, and for a hash of texts or expressions
 */
export function boundCondition({ name, key, typeOf }: PartitionedTable, bound: string): string | undefined {
  const [, kind = "", list = ""] = /^(RANGE|LIST|HASH) \((.*)\)$/s.exec(key) ?? [];
  const keys = splitList(list);
  const known = keys.flatMap((part) => (COLUMN.test(part) ? [part] : part.endsWith(")") ? [`(${part})`] : []));
  if (kind === "" || known.length === 0 || known.length < keys.length) return undefined;
  if (kind !== "HASH") return kind === "RANGE" ? rangeCondition(known, bound) : listCondition(known, bound);
  const isPlain = keys.every((part) => {
    const column = part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part;
    return COLUMN.test(part) && WITHOUT_COLLATION.test(typeOf(column) ?? "");
  });
  return isPlain ? hashCondition(known, bound, name) : undefined;
}

function hashCondition(keys: readonly string[], bound: string, parent: string): string | undefined {
  const found = /^FOR VALUES WITH \(modulus (\d+), remainder (\d+)\)$/i.exec(bound);
  if (found === null) return undefined;
  const [, modulus = "", remainder = ""] = found;
  const table = `${literal(parent)}::pg_catalog.regclass`;
  return `pg_catalog.satisfies_hash_partition(${[table, modulus, remainder, ...keys].join(", ")})`;
}

function listCondition([column = ""]: readonly string[], bound: string): string | undefined {
  const list = /^FOR VALUES IN \((.*)\)$/s.exec(bound)?.[1];
  if (list === undefined) return undefined;
  const all = splitList(list);
  const values = all.filter((value) => value !== "NULL");
  const [first = ""] = values;
  const one = values.length === 1 ? `(${column} = ${first})` : `(${column} IN (${values.join(", ")}))`;
  if (values.length === all.length) return `(${column} IS NOT NULL) AND ${one}`;
  return values.length === 0 ? `(${column} IS NULL)` : `(${column} IS NULL) OR ${one}`;
}

function rangeCondition(keys: readonly string[], bound: string): string | undefined {
  const found = /^FOR VALUES FROM \((.*)\) TO \((.*)\)$/s.exec(bound);
  if (found === null) return undefined;
  const [from, to] = [splitList(found[1] ?? ""), splitList(found[2] ?? "")];
  if (from.length !== keys.length || to.length !== keys.length) return undefined;
  if (from.includes("MAXVALUE") || to.includes("MINVALUE")) return undefined;
  // Columns at the front that have one value only.
  let same = 0;
  while (same < keys.length - 1 && from[same] === to[same] && !isOpen(from[same])) same++;
  return [
    ...keys.map((key) => `(${key} IS NOT NULL)`),
    ...keys.slice(0, same).map((key, position) => `(${key} = ${from[position] ?? ""})`),
    ...sideCondition(keys.slice(same), from.slice(same), { open: ">", closed: ">=", last: ">=" }),
    ...sideCondition(keys.slice(same), to.slice(same), { open: "<", closed: "<=", last: "<" }),
  ].join(" AND ");
}

/** `(a > 1) OR ((a = 1) AND (b >= 2))`: what comes after an open end does not count. */
function sideCondition(
  keys: readonly string[],
  ends: readonly string[],
  words: { readonly open: string; readonly closed: string; readonly last: string },
): readonly string[] {
  const openAt = ends.findIndex((end) => isOpen(end));
  const count = openAt === -1 ? keys.length : openAt;
  if (count === 0) return [];
  const arms = keys.slice(0, count).map((key, position) => {
    const equal = keys.slice(0, position).map((each, at) => `(${each} = ${ends[at] ?? ""})`);
    const isLast = position === count - 1;
    const word = !isLast ? words.open : openAt === -1 ? words.last : words.closed;
    const own = `(${key} ${word} ${ends[position] ?? ""})`;
    return equal.length === 0 ? own : `(${[...equal, own].join(" AND ")})`;
  });
  return [arms.length === 1 ? (arms[0] ?? "") : `(${arms.join(" OR ")})`];
}

function isOpen(end: string | undefined): boolean {
  return end === "MINVALUE" || end === "MAXVALUE";
}

/** At commas outside of quotes and parentheses. */
function splitList(text: string): readonly string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  let quote = "";
  for (let index = 0; index < text.length; index++) {
    const character = text.charAt(index);
    if (quote !== "") {
      if (character === quote) quote = "";
    } else if (character === "'" || character === '"') quote = character;
    else if (character === "(" || character === "[") depth++;
    else if (character === ")" || character === "]") depth--;
    else if (character === "," && depth === 0) {
      parts.push(text.slice(start, index).trim());
      start = index + 1;
    }
  }
  return [...parts, text.slice(start).trim()].filter((part) => part !== "");
}
