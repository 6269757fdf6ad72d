// Reads libpg-query's parse trees, which are plain JSON: children, lists, names, types as text. No knowledge of rules or locks.
import type { ScriptStatement } from "./sql-script.ts";

export type Node = Readonly<Record<string, unknown>>;

/** Names as the server folds them; `schema` is undefined where the SQL leaves it to search_path. */
export interface Name {
  readonly schema: string | undefined;
  readonly name: string;
}

export function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A field that is a node itself, e.g. `relation`; a wrapped one (`{ ColumnDef: … }`) comes unwrapped. */
export function childOf(node: Node | undefined, key: string): Node | undefined {
  const value = node?.[key];
  return isNode(value) ? unwrap(value).node : undefined;
}

const NOTHING: readonly never[] = [];

/** Kinds of nodes begin with a capital, fields do not. Every node of every statement is asked: no regular expression. */
function isKind(key: string): boolean {
  const first = key.charCodeAt(0);
  return first >= 65 && first <= 90;
}

/** A list of wrapped nodes, unwrapped. */
export function listOf(node: Node | undefined, key: string): readonly { readonly kind: string; readonly node: Node }[] {
  const value: unknown = node?.[key];
  if (!Array.isArray(value)) return NOTHING;
  const found: { readonly kind: string; readonly node: Node }[] = [];
  for (const item of value) if (isNode(item)) found.push(unwrap(item));
  return found;
}

/** `{ ColumnDef: {…} }` as its kind and node; a node that is not wrapped has the kind "". */
export function unwrap(value: Node): { readonly kind: string; readonly node: Node } {
  let kind: string | undefined;
  for (const key in value) {
    if (kind !== undefined) return { kind: "", node: value };
    kind = key;
  }
  const inner = kind === undefined ? undefined : value[kind];
  return kind !== undefined && isKind(kind) && isNode(inner) ? { kind, node: inner } : { kind: "", node: value };
}

export function textOf(node: Node | undefined, key: string): string | undefined {
  const value = node?.[key];
  return typeof value === "string" ? value : undefined;
}

export function flagOf(node: Node | undefined, key: string): boolean {
  return node?.[key] === true;
}

/** The texts of a list of String nodes. */
export function stringsOf(node: Node | undefined, key: string): readonly string[] {
  return listOf(node, key).flatMap(({ node: item }) => textOf(item, "sval") ?? []);
}

/** Of a RangeVar. */
export function relationName(node: Node | undefined): Name | undefined {
  const name = textOf(node, "relname");
  return name === undefined ? undefined : { schema: textOf(node, "schemaname"), name };
}

/** Of a dotted name's parts. */
export function nameOfParts(parts: readonly string[]): Name {
  return { schema: parts.at(-2), name: parts.at(-1) ?? "" };
}

/** Names of what DROP drops. */
export function droppedNames(node: Node): readonly Name[] {
  return listOf(node, "objects").map(({ kind, node: item }) => {
    if (kind === "List") return nameOfParts(stringsOf(item, "items"));
    if (kind === "TypeName") return nameOfParts(stringsOf(item, "names"));
    if (kind === "ObjectWithArgs") return nameOfParts(stringsOf(item, "objname"));
    return { schema: undefined, name: textOf(item, "sval") ?? "" };
  });
}

/** The table of a trigger that DROP names by schema, table and trigger; `droppedNames` gives the last two. */
export function tableOfTrigger(node: Node, trigger: Name): Name | undefined {
  const parts = listOf(node, "objects")
    .map(({ node: item }) => stringsOf(item, "items"))
    .find((item) => item.at(-1) === trigger.name && item.at(-2) === trigger.schema);
  return parts === undefined || parts.length < 2 ? undefined : nameOfParts(parts.slice(0, -1));
}

/** How deep one call follows a tree: a sum of thousands of terms is as deep as it is long, and the stack is not. */
const WALK_DEPTH = 500;

/** Visits every node below and at `value`, with its kind ("" for a field that is not wrapped), parents before what is in them. */
export function walk(value: unknown, visit: (kind: string, node: Node) => void): void {
  const rest: unknown[] = [];
  walkTo(value, visit, WALK_DEPTH, rest);
  for (const item of rest) walkTo(item, visit, WALK_DEPTH, rest);
}

function walkTo(value: unknown, visit: (kind: string, node: Node) => void, depth: number, rest: unknown[]): void {
  if (depth === 0) rest.push(value);
  else if (Array.isArray(value)) for (const item of value) walkTo(item, visit, depth - 1, rest);
  else if (isNode(value)) {
    for (const key in value) {
      const item = value[key];
      if (typeof item !== "object" || item === null) continue;
      if (isNode(item)) visit(isKind(key) ? key : "", item);
      walkTo(item, visit, depth - 1, rest);
    }
  }
}

/** Whether a statement or utility has an option such as `concurrently` or `full` that is not switched off. */
export function hasOption(node: Node, list: string, name: string): boolean {
  return listOf(node, list).some(({ node: option }) => {
    if (textOf(option, "defname") !== name) return false;
    const value = childOf(option, "arg");
    const said = value === undefined ? "true" : (textOf(value, "sval") ?? String(flagOf(value, "boolval")));
    return !["false", "off", "0"].includes(said);
  });
}

export function constraintsOf(column: Node): readonly Node[] {
  return listOf(column, "constraints").map(({ node }) => node);
}

export function constraintOf(column: Node, type: string): Node | undefined {
  return constraintsOf(column).find((constraint) => constraint["contype"] === type);
}

/** Columns of a CREATE TABLE. */
export function tableColumns(node: Node): readonly Node[] {
  return listOf(node, "tableElts").flatMap(({ kind, node: element }) => (kind === "ColumnDef" ? [element] : []));
}

/** One thing a statement does. ALTER TABLE has one for each of its commands. */
export interface Action {
  /** `AT_AddColumn` … for ALTER TABLE; else the statement's node: `IndexStmt`, `DropStmt`, `RenameStmt` … */
  readonly kind: string;
  /** The table that is altered, indexed, or written. */
  readonly table: Name | undefined;
  /** The command's `def`, or the statement's node. */
  readonly node: Node;
  /** The command's `name`: a column or a constraint. */
  readonly name: string | undefined;
  readonly cascades: boolean;
}

const TABLE_OBJECTS: ReadonlySet<unknown> = new Set(["OBJECT_TABLE", "OBJECT_FOREIGN_TABLE"]);

export function actionsOf({ kind, node }: Pick<ScriptStatement, "kind" | "node">): readonly Action[] {
  if (kind === "AlterTableStmt") {
    const isTable = TABLE_OBJECTS.has(node["objtype"]);
    return listOf(node, "cmds").map(({ node: command }) => ({
      // Commands on an index, view or sequence share the node, not the locks.
      kind: `${isTable ? "" : `${String(node["objtype"])} `}${textOf(command, "subtype") ?? ""}`,
      table: relationName(childOf(node, "relation")),
      node: childOf(command, "def") ?? {},
      name: textOf(command, "name"),
      cascades: command["behavior"] === "DROP_CASCADE",
    }));
  }
  const relation = childOf(node, "relation") ?? childOf(node, "table");
  return [
    { kind, table: relationName(relation), node, name: undefined, cascades: node["behavior"] === "DROP_CASCADE" },
  ];
}
