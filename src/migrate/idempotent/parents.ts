// A table leaves parents and joins them again where their order changes: run again, that would turn the order round.
import { childOf } from "../syntax.ts";
import { commandsOf } from "./effects.ts";
import { refKey, regclass, relationRef, type ObjectRef } from "./objects.ts";
import type { PlainStatement } from "./statement.ts";

interface ParentChange {
  readonly table: ObjectRef;
  readonly parent: ObjectRef;
  readonly joins: boolean;
}

/** For NO INHERIT of a parent that the table joins again later: the others do not come first, or the joined ones not in their order. */
export function unlessInOrder(script: readonly PlainStatement[], position: number): readonly string[] {
  const [left] = changesIn(script[position]);
  if (left === undefined || left.joins) return [];
  const joined = script
    .slice(position + 1)
    .flatMap(changesIn)
    .filter(({ joins, table }) => joins && refKey(table) === refKey(left.table))
    .map(({ parent }) => parent);
  if (!joined.some((parent) => refKey(parent) === refKey(left.parent))) return [];
  const oids = joined.map(({ path }) => `${regclass(path)}::pg_catalog.oid`).join(", ");
  const order = "pg_catalog.array_agg(h.inhparent ORDER BY h.inhseqno)";
  const others = `${order} FILTER (WHERE h.inhparent <> ALL (ARRAY[${oids}]))`;
  const count = `pg_catalog.count(*) FILTER (WHERE h.inhparent = ANY (ARRAY[${oids}]))`;
  return [
    `(SELECT ${order} IS DISTINCT FROM ${others} || (ARRAY[${oids}])[1:${count}] FROM pg_catalog.pg_inherits AS h WHERE h.inhrelid = ${regclass(left.table.path)})`,
  ];
}

function changesIn(statement: PlainStatement | undefined): readonly ParentChange[] {
  if (statement?.kind !== "AlterTableStmt") return [];
  const table = relationRef(childOf(statement.node, "relation"));
  return commandsOf(statement.node).flatMap(({ subtype, def }) => {
    if (subtype !== "AT_AddInherit" && subtype !== "AT_DropInherit") return [];
    const parent = relationRef(def);
    return table === undefined || parent === undefined ? [] : [{ table, parent, joins: subtype === "AT_AddInherit" }];
  });
}
