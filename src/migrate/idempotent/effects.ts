// What one statement makes, takes away and needs: what comes later in a script decides how an earlier statement may run again.
import type { ScriptStatement } from "../sql-script.ts";
import { childOf, listOf, stringsOf, textOf, unwrap, isNode, type Node } from "../syntax.ts";
import {
  droppedRefs,
  kindOf,
  namedRef,
  objectRef,
  operatorRef,
  relationRef,
  renamedRef,
  routineRef,
  typeSql,
  withName,
  type ObjectKind,
  type ObjectRef,
} from "./objects.ts";

type Parsed = Pick<ScriptStatement, "kind" | "node">;

export interface Effects {
  readonly makes: readonly ObjectRef[];
  readonly drops: readonly ObjectRef[];
  readonly renames: { readonly from: ObjectRef; readonly to: ObjectRef } | undefined;
  /** What has to be there, other than what it makes. */
  readonly needs: readonly ObjectRef[];
}

/** One command of ALTER TABLE and the like. */
export interface TableCommand {
  readonly subtype: string;
  /** The column, constraint, trigger or rule it names. */
  readonly name: string | undefined;
  readonly def: Node | undefined;
}

export function commandsOf(node: Node): readonly TableCommand[] {
  return listOf(node, "cmds").map(({ node: command }) => ({
    subtype: textOf(command, "subtype") ?? "",
    name: textOf(command, "name"),
    def: childOf(command, "def"),
  }));
}

const PARTS: Readonly<Record<string, ObjectKind>> = {
  AT_ValidateConstraint: "constraint",
  AT_EnableTrig: "trigger",
  AT_EnableAlwaysTrig: "trigger",
  AT_EnableReplicaTrig: "trigger",
  AT_DisableTrig: "trigger",
  AT_EnableRule: "rule",
  AT_EnableAlwaysRule: "rule",
  AT_EnableReplicaRule: "rule",
  AT_DisableRule: "rule",
};

export function effectsOf(statement: Parsed): Effects {
  const { kind, node } = statement;
  const none: Effects = { makes: [], drops: [], renames: undefined, needs: [] };
  const made = madeBy(statement);
  if (made !== undefined) return { ...none, makes: [made] };
  switch (kind) {
    case "DropStmt":
      return { ...none, drops: droppedRefs(node) };
    case "RenameStmt": {
      const from = renamedRef(node, node["renameType"]);
      return from === undefined
        ? none
        : { ...none, renames: { from, to: withName(from, textOf(node, "newname") ?? "") } };
    }
    case "AlterObjectSchemaStmt": {
      const from = renamedRef(node, node["objectType"]);
      const [, ...rest] = from?.path ?? [];
      return from === undefined
        ? none
        : {
            ...none,
            renames: { from, to: { kind: from.kind, path: [textOf(node, "newschema") ?? "", ...rest] } },
          };
    }
    case "AlterEnumStmt": {
      const type = namedRef("type", stringsOf(node, "typeName"));
      const value = (label: string): ObjectRef => ({ kind: "enum value", path: [...type.path, label] });
      const old = textOf(node, "oldVal");
      const label = textOf(node, "newVal") ?? "";
      return old === undefined
        ? { ...none, makes: [value(label)], needs: [type] }
        : { ...none, renames: { from: value(old), to: value(label) }, needs: [type] };
    }
    case "AlterTableStmt":
      return tableEffects(node);
    default:
      return { ...none, needs: neededBy(statement) };
  }
}

function tableEffects(node: Node): Effects {
  const relation = childOf(node, "relation");
  const own = relationRef(relation);
  const target: ObjectRef | undefined =
    own !== undefined && node["objtype"] === "OBJECT_TYPE" ? { kind: "type", path: own.path } : own;
  const makes: ObjectRef[] = [];
  const drops: ObjectRef[] = [];
  const needs: ObjectRef[] = target === undefined ? [] : [target];
  for (const { subtype, name, def } of commandsOf(node)) {
    const part = (kind: ObjectKind, named: string | undefined): readonly ObjectRef[] =>
      own === undefined || named === undefined ? [] : [{ kind, path: [...own.path, named] }];
    if (subtype === "AT_AddColumn") makes.push(...part("column", textOf(def, "colname")));
    else if (subtype === "AT_AddIdentity") {
      makes.push(...identitySequence(def));
      needs.push(...part("column", name));
    } else if (subtype === "AT_AddConstraint") makes.push(...part("constraint", textOf(def, "conname")));
    else if (subtype === "AT_DropColumn") drops.push(...part("column", name));
    else if (subtype === "AT_DropConstraint") drops.push(...part("constraint", name));
    else if (subtype === "AT_AlterConstraint") needs.push(...part("constraint", textOf(def, "conname")));
    else if (subtype === "AT_AttachPartition" || subtype === "AT_DetachPartition") {
      const child = relationRef(childOf(def, "name"));
      if (child !== undefined) needs.push(child);
    } else if (subtype === "AT_AddInherit" || subtype === "AT_DropInherit") {
      const parent = relationRef(def);
      if (parent !== undefined) needs.push(parent);
    } else needs.push(...part(PARTS[subtype] ?? "column", isOfColumn(subtype) || subtype in PARTS ? name : undefined));
  }
  return { makes, drops, renames: undefined, needs };
}

/** The sequence that an identity brings, where it is named. */
function identitySequence(def: Node | undefined): readonly ObjectRef[] {
  const named = listOf(def, "options").find(({ node: option }) => textOf(option, "defname") === "sequence_name");
  return named === undefined ? [] : [namedRef("relation", stringsOf(childOf(named.node, "arg"), "items"))];
}

function isOfColumn(subtype: string): boolean {
  return /Column|NotNull|Statistics|^AT_(?:Set|Reset)Options|Storage|Compression|Identity|Expression/.test(subtype);
}

/** What a CREATE statement makes. */
export function madeBy({ kind, node }: Parsed): ObjectRef | undefined {
  switch (kind) {
    case "CreateStmt":
      return relationRef(childOf(node, "relation"));
    case "CreateForeignTableStmt":
      return relationRef(childOf(childOf(node, "base"), "relation") ?? childOf(childOf(node, "baseStmt"), "relation"));
    case "ViewStmt":
      return relationRef(childOf(node, "view"));
    case "CreateTableAsStmt":
      return relationRef(childOf(childOf(node, "into"), "rel"));
    case "CreateSeqStmt":
      return relationRef(childOf(node, "sequence"));
    case "IndexStmt": {
      const table = relationRef(childOf(node, "relation"));
      const name = textOf(node, "idxname");
      return table === undefined || name === undefined
        ? undefined
        : { kind: "relation", path: [table.path[0] ?? "", name] };
    }
    case "CompositeTypeStmt": {
      const ref = relationRef(childOf(node, "typevar"));
      return ref === undefined ? undefined : { ...ref, kind: "type" };
    }
    case "CreateEnumStmt":
    case "CreateRangeStmt":
      return namedRef("type", stringsOf(node, "typeName"));
    case "CreateDomainStmt":
      return namedRef("type", stringsOf(node, "domainname"));
    case "CreateSchemaStmt":
      return { kind: "schema", path: [textOf(node, "schemaname") ?? ""] };
    case "CreateFunctionStmt": {
      const types = listOf(node, "parameters").flatMap(({ node: parameter }) =>
        ["FUNC_PARAM_OUT", "FUNC_PARAM_TABLE"].includes(String(parameter["mode"]))
          ? []
          : [typeSql(childOf(parameter, "argType"))],
      );
      return routineRef(stringsOf(node, "funcname"), types);
    }
    case "CreateTrigStmt":
      return relationRef(childOf(node, "relation"), { kind: "trigger", name: textOf(node, "trigname") ?? "" });
    case "CreatePolicyStmt":
      return relationRef(childOf(node, "table"), { kind: "policy", name: textOf(node, "policy_name") ?? "" });
    case "RuleStmt":
      return relationRef(childOf(node, "relation"), { kind: "rule", name: textOf(node, "rulename") ?? "" });
    case "CreateStatsStmt":
      return namedRef("statistics", stringsOf(node, "defnames"));
    case "CreateConversionStmt":
      return namedRef("conversion", stringsOf(node, "conversion_name"));
    case "CreateCastStmt":
      return { kind: "cast", path: [typeSql(childOf(node, "sourcetype")), typeSql(childOf(node, "targettype"))] };
    case "CreateOpClassStmt":
      return {
        kind: "operator class",
        path: [...namedRef("type", stringsOf(node, "opclassname")).path, textOf(node, "amname") ?? ""],
      };
    case "CreateOpFamilyStmt":
      return {
        kind: "operator family",
        path: [...namedRef("type", stringsOf(node, "opfamilyname")).path, textOf(node, "amname") ?? ""],
      };
    case "DefineStmt":
      return definedBy(node);
    default: {
      const [made, field] = NAMED[kind] ?? [];
      return made === undefined || field === undefined ? undefined : { kind: made, path: [textOf(node, field) ?? ""] };
    }
  }
}

const NAMED: Readonly<Record<string, readonly [ObjectKind, string]>> = {
  CreateExtensionStmt: ["extension", "extname"],
  CreateFdwStmt: ["foreign data wrapper", "fdwname"],
  CreateForeignServerStmt: ["server", "servername"],
  CreateAmStmt: ["access method", "amname"],
  CreateEventTrigStmt: ["event trigger", "trigname"],
  CreatePublicationStmt: ["publication", "pubname"],
  CreatePLangStmt: ["language", "plname"],
  CreateRoleStmt: ["role", "role"],
};

function definedBy(node: Node): ObjectRef | undefined {
  const kind = kindOf(node["kind"]);
  const parts = stringsOf(node, "defnames");
  if (kind === undefined) return undefined;
  if (kind === "operator") {
    const side = (name: string): string => {
      const found = listOf(node, "definition").find(({ node: item }) => textOf(item, "defname") === name);
      return typeSql(childOf(found?.node, "arg"));
    };
    return operatorRef(parts, side("leftarg"), side("rightarg"));
  }
  if (kind !== "routine") return namedRef(kind, parts);
  const [parameters] = Array.isArray(node["args"]) ? (node["args"] as readonly unknown[]) : [];
  const list = isNode(parameters) ? unwrap(parameters).node : undefined;
  const types = listOf(list, "items").map(({ node: parameter }) => typeSql(childOf(parameter, "argType")));
  return routineRef(parts, types);
}

function neededBy({ kind, node }: Parsed): readonly ObjectRef[] {
  const only = (ref: ObjectRef | undefined): readonly ObjectRef[] => (ref === undefined ? [] : [ref]);
  const [object] = listOf({ list: [node["object"]] }, "list");
  switch (kind) {
    case "CommentStmt":
      return object === undefined ? [] : only(objectRef(node["objtype"], object));
    case "AlterOwnerStmt":
      return object === undefined
        ? only(relationRef(childOf(node, "relation")))
        : only(objectRef(node["objectType"], object));
    case "AlterObjectDependsStmt":
    case "AlterExtensionContentsStmt": {
      const type = node["objectType"] ?? node["objtype"];
      return object === undefined ? only(relationRef(childOf(node, "relation"))) : only(objectRef(type, object));
    }
    case "GrantStmt":
      return listOf(node, "objects").flatMap((item) =>
        item.node["relname"] === undefined ? only(objectRef(node["objtype"], item)) : only(relationRef(item.node)),
      );
    case "AlterSeqStmt":
      return only(relationRef(childOf(node, "sequence")));
    case "AlterDomainStmt":
    case "AlterTypeStmt":
      return [namedRef("type", stringsOf(node, "typeName"))];
    case "AlterPolicyStmt":
      return only(relationRef(childOf(node, "table"), { kind: "policy", name: textOf(node, "policy_name") ?? "" }));
    case "RefreshMatViewStmt":
      return only(relationRef(childOf(node, "relation")));
    case "AlterPublicationStmt":
      return [{ kind: "publication", path: [textOf(node, "pubname") ?? ""] }];
    case "AlterForeignServerStmt":
      return [{ kind: "server", path: [textOf(node, "servername") ?? ""] }];
    case "AlterFdwStmt":
      return [{ kind: "foreign data wrapper", path: [textOf(node, "fdwname") ?? ""] }];
    default:
      return [];
  }
}
