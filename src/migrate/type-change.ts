// Decides what ALTER COLUMN … TYPE costs: nothing, rebuilt indexes, or a rewrite. Measured on PostgreSQL 14 to 18, which agree:
// a statement in a transaction on a filled table, then relfilenode of the table and of its indexes compared.
import { listOf, nameOfParts, stringsOf, type Node } from "./syntax.ts";

export interface ColumnType {
  /** PostgreSQL's short name without schema, e.g. `int4`, `varchar`, `timestamptz`. */
  readonly name: string;
  /** Schema of a type that is not built in, where the SQL says it. */
  readonly schema: string | undefined;
  readonly modifiers: readonly number[];
  readonly isArray: boolean;
}

const SHORT_NAMES: Readonly<Record<string, string>> = {
  "character varying": "varchar",
  character: "bpchar",
  char: "bpchar",
  integer: "int4",
  int: "int4",
  bigint: "int8",
  smallint: "int2",
  boolean: "bool",
  decimal: "numeric",
  real: "float4",
  "double precision": "float8",
  "bit varying": "varbit",
  "timestamp without time zone": "timestamp",
  "timestamp with time zone": "timestamptz",
  "time without time zone": "time",
  "time with time zone": "timetz",
  serial: "int4",
  serial4: "int4",
  bigserial: "int8",
  serial8: "int8",
  smallserial: "int2",
  serial2: "int2",
};

const SERIALS = new Set(["serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"]);

/** Several rules ask for the type of each column. */
const TYPES = new WeakMap<Node, ColumnType>();

/** Of a TypeName node. */
export function typeOf(node: Node | undefined): ColumnType | undefined {
  if (node === undefined) return undefined;
  const known = TYPES.get(node);
  if (known !== undefined) return known;
  const { schema, name } = nameOfParts(stringsOf(node, "names"));
  const modifiers = listOf(node, "typmods").map(({ node: value }) => integerOf(value));
  const type = {
    name: SHORT_NAMES[name] ?? name,
    schema: schema === "pg_catalog" ? undefined : schema,
    modifiers,
    isArray: listOf(node, "arrayBounds").length > 0,
  };
  TYPES.set(node, type);
  return type;
}

function integerOf(node: Node): number {
  const value = node["ival"];
  if (typeof value === "object" && value !== null && "ival" in value) return Number(value.ival);
  return value === undefined ? NaN : 0; // libpg-query leaves a zero out: { ival: {} }
}

export function isSerial(node: Node | undefined): boolean {
  return SERIALS.has(stringsOf(node, "names").at(-1) ?? "");
}

/** Of `format_type`'s text, e.g. `character varying(40)`, `timestamp(3) with time zone`, `public.citext`, `text[]`. */
export function parseType(text: string): ColumnType {
  const isArray = text.endsWith("[]");
  const bare = text.replace(/(?:\[\])+$/, "");
  const modifiers = /\(([\d, -]+)\)/.exec(bare)?.[1]?.split(",").map(Number) ?? [];
  const name = bare.replace(/\([\d, -]+\)/, "").replaceAll('"', "");
  const dotted = name.includes(" ") ? undefined : /^(.*)\.([^.]+)$/.exec(name);
  const last = dotted?.[2] ?? name;
  return { name: SHORT_NAMES[last] ?? last, schema: dotted?.[1], modifiers, isArray };
}

export function typeLabel(node: Node | undefined): string {
  const type = typeOf(node);
  if (type === undefined) return "?";
  const modifiers = type.modifiers.length === 0 ? "" : `(${type.modifiers.join(", ")})`;
  return `${stringsOf(node, "names").at(-1) === type.name || isSerial(node) ? (stringsOf(node, "names").at(-1) ?? type.name) : type.name}${modifiers}${type.isArray ? "[]" : ""}`;
}

/** `nothing`: catalog only; `index`: indexes on the column are rebuilt; `rewrite`: table and all its indexes. */
export type TypeChangeCost = "nothing" | "index" | "rewrite";

/** A modifier that is not there counts as no limit. */
const limit = (type: ColumnType, index = 0): number => type.modifiers[index] ?? Infinity;

/**
 * @param isUtc - the session's TimeZone is known to be UTC: only then timestamp ⇄ timestamptz keeps the stored values
 */
export function typeChangeCost(from: ColumnType, to: ColumnType, isUtc: boolean): TypeChangeCost {
  const pair = `${from.name} ${to.name}`;
  const isSame = from.name === to.name && from.isArray === to.isArray;
  if (isSame && from.modifiers.join() === to.modifiers.join()) return "nothing";
  if (from.isArray !== to.isArray) return "rewrite";
  if (isSame) return changedModifiers(from, to);
  if (from.isArray) return "rewrite"; // text[] ⇄ varchar[] rewrites, although the elements need no change
  switch (pair) {
    case "varchar text":
    case "xml text":
    case "int4 oid":
    case "cidr inet":
    case "bit varbit":
      return pair === "bit varbit" && limit(to) < limit(from) ? "rewrite" : "nothing";
    case "text varchar":
    case "xml varchar":
      return limit(to) === Infinity ? "nothing" : "rewrite";
    case "citext text":
    case "text citext":
      return "index";
    case "citext varchar":
    case "varchar citext":
      return limit(to) === Infinity ? "index" : "rewrite";
    case "timestamp timestamptz":
    case "timestamptz timestamp":
      return isUtc && limit(to) >= Math.min(limit(from), 6) ? "index" : "rewrite";
    default:
      return "rewrite";
  }
}

function changedModifiers(from: ColumnType, to: ColumnType): TypeChangeCost {
  switch (from.name) {
    case "varchar":
    case "varbit":
      return limit(to) >= limit(from) ? "nothing" : "rewrite";
    case "numeric": {
      if (to.modifiers.length === 0) return "nothing";
      const scale = (type: ColumnType): number => type.modifiers[1] ?? 0;
      return from.modifiers.length > 0 && scale(from) === scale(to) && limit(to) >= limit(from) ? "nothing" : "rewrite";
    }
    case "timestamp":
    case "timestamptz":
    case "time":
    case "timetz":
      return Math.min(limit(to), 6) >= Math.min(limit(from), 6) ? "nothing" : "rewrite";
    case "interval":
      // (fields, precision): no modifiers at all keep everything
      return to.modifiers.length === 0 || limit(to, 1) >= limit(from, 1) ? "nothing" : "rewrite";
    default:
      return "rewrite"; // char(n) pads, bit(n) is exact, extensions decide for themselves
  }
}
