// Decides which changes of a column's type lose values in silence: rounded, cut, or replaced. A change that the server refuses when a value
// does not fit loses nothing.
import { childOf, isNode, listOf, stringsOf, unwrap, walk, type Node } from "./syntax.ts";
import type { ColumnType } from "./type-change.ts";

const INTEGERS: ReadonlySet<string> = new Set(["int2", "int4", "int8"]);
const TEXTS: ReadonlySet<string> = new Set(["text", "varchar", "bpchar", "citext", "name"]);
const TIMES: ReadonlySet<string> = new Set(["time", "timetz", "timestamp", "timestamptz"]);
const BITS: ReadonlySet<string> = new Set(["bit", "varbit"]);
/** Functions whose result is a part of what they are given. */
const CUTTING: ReadonlySet<string> = new Set(
  "left right substr substring round trunc floor ceil ceiling date_trunc date abs sign split_part".split(" "),
);
/** Digits that a floating-point number keeps, against those of an integer. */
const EXACT_IN: Readonly<Record<string, ReadonlySet<string>>> = {
  float8: new Set(["int2", "int4", "float4"]),
  float4: new Set(["int2"]),
};

/** How the new values are made of the old ones. */
export type TypeChangeForm =
  /** Without USING: values that do not fit are refused, what rounds is rounded. */
  | "assigned"
  /** `USING column::type`: values that do not fit are cut. */
  | "cast"
  /** USING over the column, with a function that keeps a part. */
  | "cut"
  /** USING over the column, in another way. */
  | "computed"
  /** USING without the column: nothing of the old values is left. */
  | "replaced";

/** @param action - the `def` of AT_AlterColumnType */
export function typeChangeForm(action: Node, column: string): TypeChangeForm {
  const wrapped = action["raw_default"];
  if (!isNode(wrapped)) return "assigned";
  let { kind, node } = unwrap(wrapped);
  while (kind === "TypeCast" && isNode(node["arg"])) ({ kind, node } = unwrap(node["arg"]));
  if (kind === "ColumnRef" && stringsOf(node, "fields").at(-1) === column) return "cast";
  let isMentioned = false;
  let cuts = false;
  walk([wrapped], (inner, item) => {
    if (inner === "ColumnRef" && stringsOf(item, "fields").at(-1) === column) isMentioned = true;
    if (inner === "FuncCall" && CUTTING.has(stringsOf(item, "funcname").at(-1) ?? "")) cuts = true;
  });
  return isMentioned ? (cuts ? "cut" : "computed") : "replaced";
}

/** @param from - `undefined` when the present type is not known */
export function losesValues(from: ColumnType | undefined, to: ColumnType | undefined, form: TypeChangeForm): boolean {
  if (form === "cut" || form === "replaced") return true;
  if (from === undefined || to === undefined || from.isArray !== to.isArray) return false;
  const limit = (type: ColumnType, index = 0): number => type.modifiers[index] ?? Infinity;
  if (form === "cast") {
    if (TEXTS.has(from.name) && (to.name === "varchar" || to.name === "bpchar") && limit(to) < limit(from)) return true;
    if (BITS.has(from.name) && BITS.has(to.name) && limit(to) < limit(from)) return true;
  }
  if (to.name === "bool") return INTEGERS.has(from.name);
  if (INTEGERS.has(to.name)) return ["numeric", "float4", "float8", "money"].includes(from.name);
  if (to.name === "float4" || to.name === "float8") {
    const isNumber = INTEGERS.has(from.name) || ["numeric", "float4", "float8"].includes(from.name);
    return isNumber && from.name !== to.name && EXACT_IN[to.name]?.has(from.name) !== true;
  }
  if (from.name === "numeric" && to.name === "numeric") {
    const scale = (type: ColumnType): number => (type.modifiers.length === 0 ? Infinity : (type.modifiers[1] ?? 0));
    return scale(to) < scale(from);
  }
  if (["float4", "float8"].includes(from.name) && to.name === "numeric") return to.modifiers.length > 0;
  const isMoment = from.name === "timestamp" || from.name === "timestamptz";
  if (isMoment && (to.name === "date" || to.name === "time" || to.name === "timetz")) return true;
  if (from.name === "timetz" && to.name === "time") return true;
  if (TIMES.has(from.name) && TIMES.has(to.name)) return Math.min(limit(to), 6) < Math.min(limit(from), 6);
  return false;
}

/** Whether a WHERE is there that may leave rows out. */
export function isSelective(statement: Node): boolean {
  const where = childOf(statement, "whereClause");
  if (where === undefined) return false;
  const value = where["boolval"];
  return !(isNode(value) && value["boolval"] === true && listOf(where, "args").length === 0);
}
