// ALTER TABLE and its like in a form that may run again. One statement does all its commands or none, so one of them tells whether it ran.
import { identifier } from "../../postgres/index.ts";
import { childOf, flagOf, listOf, textOf, type Node } from "../syntax.ts";
import { commandsOf, type TableCommand } from "./effects.ts";
import { hasType } from "./made-types.ts";
import { columnRow, isMissing, regclass, relationRef } from "./objects.ts";
import { isAboutTableOption } from "./option-conditions.ts";
import type { Form, PlainStatement } from "./statement.ts";
import { insertAfter } from "./words.ts";

/** Commands that do the same again, or have words for it. */
const REPEATABLE =
  /^AT_(?:ColumnDefault|(?:Set|Drop)NotNull|SetStatistics|(?:Set|Reset)(?:Rel)?Options|SetStorage|SetCompression|SetIdentity|DropIdentity|SetExpression|DropExpression|AddColumn|DropColumn|DropConstraint|ValidateConstraint|AlterConstraint|(?:Enable|Disable|Force|NoForce)\w*|ClusterOn|DropCluster|Set(?:Un)?Logged|SetTableSpace|SetAccessMethod|ReplicaIdentity|AddOf|DropOids|ChangeOwner)$/;

/** Words that make a command repeatable, and what follows them. */
const WORDS: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  AT_AddColumn: [["ADD COLUMN", "IF NOT EXISTS"]],
  AT_DropColumn: [
    ["DROP COLUMN", "IF EXISTS"],
    ["DROP ATTRIBUTE", "IF EXISTS"],
  ],
  AT_DropConstraint: [["DROP CONSTRAINT", "IF EXISTS"]],
  AT_DropIdentity: [["DROP IDENTITY", "IF EXISTS"]],
  AT_DropExpression: [["DROP EXPRESSION", "IF EXISTS"]],
};

export function tableForm({ sql, node }: PlainStatement): Form {
  const relation = relationRef(childOf(node, "relation"));
  if (relation === undefined) return { sql, notRepeatable: "the relation is not named" };
  const isIndex = node["objtype"] === "OBJECT_INDEX";
  const commands = commandsOf(node);
  const nodes = listOf(node, "cmds").map(({ node: command }) => command);
  const conditions: string[] = [];
  let otherwise: string | undefined;
  let text = sql;
  for (const [position, command] of commands.entries()) {
    const { subtype, def } = command;
    for (const [words, added] of WORDS[subtype] ?? []) text = insertAfter(text, words, added);
    // To attach an index that is attached changes nothing.
    if (isIndex && subtype === "AT_AttachPartition") continue;
    if (subtype === "AT_AddConstraint") {
      const name = textOf(def, "conname");
      if (name === undefined) return { sql, notRepeatable: "the constraint has no name to look for" };
      if (commands.some((other) => other.subtype === "AT_DropConstraint" && other.name === name)) continue;
      conditions.push(isMissing({ kind: "constraint", path: [...relation.path, name] }));
      otherwise = leftoverIndex(def, relation.path, name);
      continue;
    }
    const answer = conditionOf(command, nodes[position] ?? {}, node, relation.path);
    if (answer === undefined) return { sql, notRepeatable: `no form is known in which ${subtype} may run again` };
    if (typeof answer !== "string") return { sql, notRepeatable: answer.notRepeatable };
    if (answer !== "") conditions.push(answer);
  }
  // One condition tells: where the statement ran, all of its commands did.
  return { sql: text, conditions: conditions.slice(0, 1), otherwise };
}

/** "": none is needed; `undefined`: not known. */
function conditionOf(
  { subtype, name, def }: TableCommand,
  command: Node,
  statement: Node,
  path: readonly string[],
): string | { readonly notRepeatable: string } | undefined {
  const column = [...path, name ?? ""];
  switch (subtype) {
    case "AT_AddColumn":
      return statement["objtype"] === "OBJECT_TYPE"
        ? isMissing({ kind: "column", path: [...path, textOf(def, "colname") ?? ""] })
        : "";
    case "AT_AddIdentity":
      return `EXISTS (SELECT FROM ${columnRow(column)} AND a.attidentity = '')`;
    case "AT_AlterColumnType":
      return typeCondition(column, def);
    case "AT_AttachPartition":
      return `NOT ${isPartOf(relationRef(childOf(def, "name"))?.path ?? [], path)}`;
    case "AT_DetachPartition":
      return flagOf(def, "concurrent")
        ? { notRepeatable: "DETACH PARTITION CONCURRENTLY has no IF EXISTS and cannot stand in a DO block" }
        : isPartOf(relationRef(childOf(def, "name"))?.path ?? [], path);
    case "AT_DetachPartitionFinalize":
      return isPartOf(relationRef(childOf(def, "name"))?.path ?? [], path);
    case "AT_AddInherit":
      return `NOT ${isPartOf(path, relationRef(def)?.path ?? [])}`;
    case "AT_DropInherit":
      return isPartOf(path, relationRef(def)?.path ?? []);
    case "AT_DropOf":
      return `EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = ${regclass(path)} AND c.reloftype <> 0)`;
    case "AT_GenericOptions":
      return isAboutTableOption(command, path, undefined)[0] ?? "";
    case "AT_AlterColumnGenericOptions":
      return isAboutTableOption(command, path, name)[0] ?? "";
    default:
      return REPEATABLE.test(subtype) ? "" : undefined;
  }
}

function isPartOf(child: readonly string[], parent: readonly string[]): string {
  return `EXISTS (SELECT FROM pg_catalog.pg_inherits AS h WHERE h.inhrelid = ${regclass(child)} AND h.inhparent = ${regclass(parent)})`;
}

/** An index that a key would take has been made again where the key, under another name, is there: nobody wants it. */
function leftoverIndex(
  def: Node | undefined,
  [schema = ""]: readonly string[],
  constraint: string,
): string | undefined {
  const index = textOf(def, "indexname");
  if (index === undefined || index === constraint) return undefined;
  return `DROP INDEX IF EXISTS ${schema === "" ? identifier(index) : identifier(schema, index)}`;
}

/**
 * The values would be converted again, which is work, and with USING not always the same. "" where the modifiers of the type cannot be
 * compared.
 */
function typeCondition(column: readonly string[], def: Node | undefined): string {
  const isOfType = hasType(def);
  return isOfType === undefined ? "" : `NOT EXISTS (SELECT FROM ${columnRow(column)} AND ${isOfType})`;
}
