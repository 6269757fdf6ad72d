// Whether a condition of constants holds for every row: `true`, `1 = 1`, `NOT false`, `NULL IS NULL`, `id = id`. What asks a column
// anything else is not known.
import { childOf, isNode, listOf, stringsOf, textOf, type Node } from "../syntax.ts";

/** `undefined` when it depends on the row. */
type Truth = boolean | undefined;

export function holdsForEveryRow(condition: Node | undefined): boolean {
  return condition !== undefined && truthOf(condition) === true;
}

function truthOf(node: Node): Truth {
  const operator = textOf(node, "boolop");
  if (operator !== undefined) {
    const parts = listOf(node, "args").map(({ node: part }) => truthOf(part));
    if (operator === "NOT_EXPR") return parts[0] === undefined ? undefined : !parts[0];
    const decides = operator === "OR_EXPR";
    if (parts.includes(decides)) return decides;
    return parts.includes(undefined) ? undefined : !decides;
  }
  const test = textOf(node, "nulltesttype");
  if (test !== undefined) {
    const value = childOf(node, "arg");
    if (value === undefined || constantOf(value) === undefined) return undefined;
    return (value["isnull"] === true) === (test === "IS_NULL");
  }
  if (node["typeName"] !== undefined) return truthOf(childOf(node, "arg") ?? {});
  if (node["kind"] === "AEXPR_OP") return comparison(node);
  const boolean = node["boolval"];
  return isNode(boolean) ? boolean["boolval"] === true : undefined;
}

function comparison(node: Node): Truth {
  const [left, right] = [childOf(node, "lexpr"), childOf(node, "rexpr")];
  const operator = stringsOf(node, "name").at(-1);
  if (left === undefined || right === undefined || (operator !== "=" && operator !== "<>")) return undefined;
  const [a, b] = [constantOf(left), constantOf(right)];
  if (a !== undefined && b !== undefined) return (a === b) === (operator === "=");
  const column = stringsOf(left, "fields").join(".");
  // Null is not equal to itself, but who writes this means every row.
  return operator === "=" && column !== "" && column === stringsOf(right, "fields").join(".") ? true : undefined;
}

/** A constant as text, with its kind; `undefined` for anything else. */
function constantOf(node: Node): string | undefined {
  if (node["isnull"] === true) return "null";
  const kind = ["ival", "fval", "sval", "boolval"].find((key) => isNode(node[key]));
  return kind === undefined ? undefined : `${kind} ${JSON.stringify(node[kind])}`;
}
