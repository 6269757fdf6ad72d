// Whether a type, or the type of a column, is already what a statement makes of it. In doubt it is not: then the work is done again.
import { identifier, literal } from "../../postgres/index.ts";
import type { ScriptStatement } from "../sql-script.ts";
import { childOf, listOf, stringsOf, textOf, type Node } from "../syntax.ts";
import { columnRow, namedRef, relationRef, rowOf, typeSql } from "./objects.ts";

/** The modifiers of a type where all are whole numbers. */
function modifiersOf(type: Node): readonly number[] | undefined {
  if (stringsOf(type, "names").at(-1) === "interval") return undefined;
  const modifiers = listOf(type, "typmods").map(({ node }) => node["ival"]);
  const numbers = modifiers.flatMap((value) =>
    typeof value === "object" && value !== null ? ["ival" in value ? Number(value.ival) : 0] : [],
  );
  return numbers.length === modifiers.length ? numbers : undefined;
}

function modified(oid: string, modifier: string, numbers: readonly number[]): string {
  return numbers.length === 0
    ? `${modifier} = -1`
    : `pg_catalog.strpos(pg_catalog.format_type(${oid}, ${modifier}), ${literal(`(${numbers.join(",")})`)}) > 0`;
}

function collated(definition: Node, collation: string, oid: string): string {
  const names = stringsOf(childOf(definition, "collClause"), "collname").map((name) => identifier(name));
  return names.length === 0
    ? `${collation} = (SELECT t.typcollation FROM pg_catalog.pg_type AS t WHERE t.oid = ${oid})`
    : `${collation} = pg_catalog.to_regcollation(${literal(names.join("."))})`;
}

/** Of a column in the row `a`; `undefined` where the modifiers of the type cannot be compared. */
export function hasType(definition: Node | undefined): string | undefined {
  const type = childOf(definition, "typeName");
  const numbers = type === undefined ? undefined : modifiersOf(type);
  if (definition === undefined || type === undefined || numbers === undefined) return undefined;
  return [
    `a.atttypid = pg_catalog.to_regtype(${literal(typeSql(type))})`,
    modified("a.atttypid", "a.atttypmod", numbers),
    collated(definition, "a.attcollation", "a.atttypid"),
  ].join(" AND ");
}

/** A condition that holds only where the type of this name is what the statement makes; `undefined` where that cannot be told. */
export function isAsMade({ kind, node }: Pick<ScriptStatement, "kind" | "node">): string | undefined {
  if (kind === "CreateEnumStmt") {
    const row = rowOf("type", namedRef("type", stringsOf(node, "typeName")).path);
    const labels = stringsOf(node, "vals").map(literal).join(", ");
    return `ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = (SELECT o.oid FROM ${row}) ORDER BY e.enumsortorder) = ARRAY[${labels}]::text[]`;
  }
  if (kind === "CompositeTypeStmt") return isComposite(node);
  // A domain changes in place before another takes its name, and a type made of types that do so looks like the new one.
  return undefined;
}

function isComposite(node: Node): string | undefined {
  const path = relationRef(childOf(node, "typevar"))?.path;
  const columns = listOf(node, "coldeflist").map(({ node: column }) => column);
  const isOwnType = (column: Node): boolean => {
    const names = stringsOf(childOf(column, "typeName"), "names");
    return names.length > 1 && names[0] !== "pg_catalog";
  };
  if (path === undefined || columns.some(isOwnType)) return undefined;
  const each = columns.flatMap((column) => {
    const type = hasType(column);
    return type === undefined
      ? []
      : [`EXISTS (SELECT FROM ${columnRow([...path, textOf(column, "colname") ?? ""])} AND ${type})`];
  });
  if (each.length !== columns.length) return undefined;
  const names = columns.map((column) => literal(textOf(column, "colname") ?? "")).join(", ");
  const row = rowOf("type", path);
  const inOrder = `ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = (SELECT o.typrelid FROM ${row}) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) = ARRAY[${names}]::text[]`;
  return [inOrder, ...each].join(" AND ");
}
