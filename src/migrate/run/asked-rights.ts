// Which rights a statement asks for, told from its parse tree alone: the server names what it refuses in its own language only.
import type { ScriptStatement } from "../sql-script.ts";
import {
  childOf,
  droppedNames,
  flagOf,
  isNode,
  listOf,
  nameOfParts,
  relationName,
  stringsOf,
  textOf,
  unwrap,
  walk,
  type Name,
  type Node,
} from "../syntax.ts";

export type OwnedKind = "relation" | "schema" | "type" | "function" | "extension" | "database";

export type AskedRight =
  /** `undefined`: the schema in which things without a schema are made. */
  | { readonly on: "schema"; readonly name: string | undefined; readonly rights: readonly ("USAGE" | "CREATE")[] }
  | { readonly on: "relation"; readonly name: Name; readonly rights: readonly string[] }
  | { readonly on: "sequence" | "function"; readonly name: Name }
  | { readonly on: "owner"; readonly kind: OwnedKind; readonly name: Name }
  | { readonly on: "language" | "role"; readonly name: string }
  | { readonly on: "database" | "extension" | "superuser" }
  | { readonly on: "attribute"; readonly attribute: "CREATEROLE" | "CREATEDB" };

type Told = Pick<ScriptStatement, "kind" | "node">;

/** In the order in which the server looks at them. Of what cannot be told from the text (DO, CALL) nothing is said. */
export function askedRights({ kind, node }: Told): readonly AskedRight[] {
  const asked = [...(READERS[kind]?.(node) ?? []), ...rightsOfParts(kind, node)];
  // What has a schema in its name needs USAGE on that first.
  const schemas = new Set(asked.flatMap((right) => schemaOf(right) ?? []));
  const creates = new Set(asked.flatMap((right) => (right.on === "schema" ? (right.name ?? []) : [])));
  const usage = [...schemas].filter((name) => !creates.has(name));
  return [...usage.map((name): AskedRight => ({ on: "schema", name, rights: ["USAGE"] })), ...asked];
}

function schemaOf(right: AskedRight): string | undefined {
  if (right.on === "owner" && (right.kind === "schema" || right.kind === "database" || right.kind === "extension"))
    return undefined;
  return "name" in right && typeof right.name === "object" ? right.name.schema : undefined;
}

type Reader = (node: Node) => readonly AskedRight[];

const makes = (name: Name | undefined): AskedRight => ({
  on: "schema",
  name: name?.schema,
  rights: ["USAGE", "CREATE"],
});
const owns = (kind: OwnedKind, name: Name | undefined): readonly AskedRight[] =>
  name === undefined ? [] : [{ on: "owner", kind, name }];
const ofRelation = (node: Node, key = "relation"): Name | undefined => relationName(childOf(node, key));
const ownsRelation: Reader = (node) => owns("relation", ofRelation(node) ?? ofRelation(node, "table"));
const makesNamed =
  (key: string): Reader =>
  (node) => [makes(nameOfParts(stringsOf(node, key)))];
const always =
  (right: AskedRight): Reader =>
  () => [right];
const DATABASE = always({ on: "database" });
const SUPERUSER = always({ on: "superuser" });
const CREATEROLE = always({ on: "attribute", attribute: "CREATEROLE" });
const CREATEDB = always({ on: "attribute", attribute: "CREATEDB" });

const READERS: Readonly<Record<string, Reader>> = {
  AlterDatabaseSetStmt: (node) => owns("database", { schema: undefined, name: textOf(node, "dbname") ?? "" }),
  AlterDatabaseStmt: (node) => owns("database", { schema: undefined, name: textOf(node, "dbname") ?? "" }),
  AlterDomainStmt: (node) => owns("type", nameOfParts(stringsOf(node, "typeName"))),
  AlterEnumStmt: (node) => owns("type", nameOfParts(stringsOf(node, "typeName"))),
  AlterExtensionStmt: (node) => owns("extension", { schema: undefined, name: textOf(node, "extname") ?? "" }),
  AlterFunctionStmt: (node) => owns("function", nameOfParts(stringsOf(childOf(node, "func"), "objname"))),
  AlterObjectSchemaStmt: (node) => [
    ...ownerOfObject(node, textOf(node, "objectType")),
    makes({ schema: textOf(node, "newschema"), name: "" }),
  ],
  AlterOwnerStmt: (node) => [
    ...ownerOfObject(node, textOf(node, "objectType")),
    ...roleOf(childOf(node, "newowner"), "role"),
  ],
  AlterPolicyStmt: (node) => owns("relation", ofRelation(node, "table")),
  AlterRoleSetStmt: CREATEROLE,
  AlterRoleStmt: CREATEROLE,
  AlterSeqStmt: (node) => owns("relation", ofRelation(node, "sequence")),
  AlterSystemStmt: SUPERUSER,
  AlterTableStmt: ownsRelation,
  ClusterStmt: ownsRelation,
  CommentStmt: (node) => ownerOfObject(node, textOf(node, "objtype")),
  CompositeTypeStmt: (node) => [makes(ofRelation(node, "typevar"))],
  CreateDomainStmt: makesNamed("domainname"),
  CreateEnumStmt: makesNamed("typeName"),
  CreateEventTrigStmt: SUPERUSER,
  CreateExtensionStmt: always({ on: "extension" }),
  CreateFdwStmt: SUPERUSER,
  CreateFunctionStmt: (node) => [makes(nameOfParts(stringsOf(node, "funcname"))), ...languageOf(node)],
  CreatePolicyStmt: (node) => owns("relation", ofRelation(node, "table")),
  CreatePublicationStmt: DATABASE,
  CreateRangeStmt: makesNamed("typeName"),
  CreateRoleStmt: CREATEROLE,
  CreateSchemaStmt: (node) => [{ on: "database" }, ...roleOf(childOf(node, "authrole"), "role")],
  CreateSeqStmt: (node) => [makes(ofRelation(node, "sequence"))],
  CreateStatsStmt: (node) =>
    listOf(node, "relations").flatMap(({ node: relation }) => owns("relation", relationName(relation))),
  CreateStmt: (node) => [
    ...(childOf(node, "relation")?.["relpersistence"] === "t" ? [] : [makes(ofRelation(node))]),
    ...listOf(node, "inhRelations").flatMap(({ node: parent }) => owns("relation", relationName(parent))),
  ],
  CreateTableAsStmt: (node) => [makes(relationName(childOf(childOf(node, "into"), "rel")))],
  CreateTrigStmt: (node) => {
    const table = ofRelation(node);
    const call: AskedRight = { on: "function", name: nameOfParts(stringsOf(node, "funcname")) };
    return table === undefined ? [call] : [{ on: "relation", name: table, rights: ["TRIGGER"] }, call];
  },
  CreatedbStmt: CREATEDB,
  DefineStmt: makesNamed("defnames"),
  DropRoleStmt: CREATEROLE,
  DropStmt: (node) => {
    const type = textOf(node, "removeType");
    if (type !== "OBJECT_TRIGGER" && type !== "OBJECT_POLICY" && type !== "OBJECT_RULE")
      return droppedNames(node).flatMap((name) => owns(OWNED[type ?? ""] ?? "relation", name));
    return listOf(node, "objects").flatMap(({ node: object }) =>
      owns("relation", nameOfParts(stringsOf(object, "items").slice(0, -1))),
    );
  },
  DropdbStmt: (node) => owns("database", { schema: undefined, name: textOf(node, "dbname") ?? "" }),
  GrantRoleStmt: (node) =>
    listOf(node, "granted_roles").map(({ node: role }): AskedRight => ({
      on: "role",
      name: textOf(role, "priv_name") ?? "",
    })),
  GrantStmt: (node) =>
    node["targtype"] === "ACL_TARGET_DEFAULTS"
      ? []
      : listOf(node, "objects").flatMap(({ kind, node: object }) =>
          kind === "RangeVar"
            ? owns("relation", relationName(object))
            : owns(OWNED[textOf(node, "objtype") ?? ""] ?? "relation", nameOf(kind, object)),
        ),
  IndexStmt: ownsRelation,
  LockStmt: (node) =>
    listOf(node, "relations").flatMap(({ node: relation }) => onRelation(relationName(relation), ["UPDATE"])),
  RefreshMatViewStmt: ownsRelation,
  ReindexStmt: ownsRelation,
  RenameStmt: (node) => [
    ...ownerOfObject(node, textOf(node, "renameType")),
    ...(node["renameType"] === "OBJECT_SCHEMA" ? [{ on: "database" } as const] : []),
  ],
  RuleStmt: ownsRelation,
  TruncateStmt: (node) =>
    listOf(node, "relations").flatMap(({ node: relation }) => onRelation(relationName(relation), ["TRUNCATE"])),
  VariableSetStmt: (node) =>
    node["name"] === "role" || node["name"] === "session_authorization"
      ? listOf(node, "args").flatMap(({ node: value }) => {
          const name = textOf(childOf(value, "sval"), "sval") ?? "";
          return name === "" ? [] : [{ on: "role", name } as const];
        })
      : [],
  ViewStmt: (node) => [makes(ofRelation(node, "view"))],
};

/** Statements that read and write rows, also those inside others. */
const ROW_STATEMENTS: ReadonlySet<string> = new Set([
  "SelectStmt",
  "InsertStmt",
  "UpdateStmt",
  "DeleteStmt",
  "MergeStmt",
  "CopyStmt",
  "ViewStmt",
  "CreateTableAsStmt",
]);
const SEQUENCE_FUNCTIONS: ReadonlySet<string> = new Set(["nextval", "currval", "setval"]);

function rightsOfParts(kind: string, node: Node): readonly AskedRight[] {
  const asked: AskedRight[] = [];
  const targets = new Set<Node>();
  const aside = new Set<string>();
  const visit = (of: string, part: Node): void => {
    const written = writtenRights(of, part);
    const target = childOf(part, "relation");
    if (written !== undefined && target !== undefined) {
      targets.add(target);
      asked.push(...onRelation(relationName(target), written));
    }
    const withQuery = textOf(part, "ctename");
    if (withQuery !== undefined) aside.add(withQuery);
    const into = of === "CreateTableAsStmt" ? childOf(childOf(part, "into"), "rel") : childOf(part, "view");
    if (into !== undefined) targets.add(into);
    if (part["contype"] === "CONSTR_FOREIGN")
      asked.push(...onRelation(relationName(childOf(part, "pktable")), ["REFERENCES"]));
    if (of === "FuncCall") asked.push(...rightsOfCall(part));
    if (ROW_STATEMENTS.has(kind) && textOf(part, "relname") !== undefined && !targets.has(part)) {
      const name = relationName(part);
      if (name !== undefined && !(name.schema === undefined && aside.has(name.name)))
        asked.push({ on: "relation", name, rights: ["SELECT"] });
    }
  };
  visit(kind, node);
  walk(node, visit);
  return asked;
}

function writtenRights(kind: string, node: Node): readonly string[] | undefined {
  const reads = (right: string): readonly string[] => (mentionsColumns(node) ? [right, "SELECT"] : [right]);
  if (kind === "InsertStmt") {
    const conflict = childOf(node, "onConflictClause");
    if (conflict === undefined) return listOf(node, "returningList").length > 0 ? ["INSERT", "SELECT"] : ["INSERT"];
    return conflict["action"] === "ONCONFLICT_UPDATE" ? ["INSERT", "UPDATE", "SELECT"] : ["INSERT", "SELECT"];
  }
  if (kind === "UpdateStmt") return reads("UPDATE");
  if (kind === "DeleteStmt") return reads("DELETE");
  if (kind === "MergeStmt") return ["SELECT", "INSERT", "UPDATE", "DELETE"];
  if (kind === "CopyStmt") return [flagOf(node, "is_from") ? "INSERT" : "SELECT"];
  return undefined;
}

function mentionsColumns(node: Node): boolean {
  let isFound = false;
  walk(node, (kind) => {
    if (kind === "ColumnRef") isFound = true;
  });
  return isFound;
}

function rightsOfCall(call: Node): readonly AskedRight[] {
  const name = nameOfParts(stringsOf(call, "funcname"));
  const [argument] = listOf(call, "args");
  const text = textOf(childOf(argument?.node, "sval"), "sval");
  if (!SEQUENCE_FUNCTIONS.has(name.name)) return [{ on: "function", name }];
  if (text === undefined) return [];
  const parts = [...text.matchAll(/"((?:[^"]|"")*)"|([^".]+)/g)].map(
    ([, quoted, plain = ""]) => quoted?.replaceAll('""', '"') ?? plain.toLowerCase(),
  );
  return [{ on: "sequence", name: nameOfParts(parts) }];
}

function onRelation(name: Name | undefined, rights: readonly string[]): readonly AskedRight[] {
  return name === undefined ? [] : [{ on: "relation", name, rights }];
}

const OWNED: Readonly<Record<string, OwnedKind>> = {
  OBJECT_AGGREGATE: "function",
  OBJECT_DATABASE: "database",
  OBJECT_DOMAIN: "type",
  OBJECT_DOMCONSTRAINT: "type",
  OBJECT_EXTENSION: "extension",
  OBJECT_FUNCTION: "function",
  OBJECT_PROCEDURE: "function",
  OBJECT_ROUTINE: "function",
  OBJECT_SCHEMA: "schema",
  OBJECT_TYPE: "type",
};
/** Parts of a relation: their name comes last. */
const PARTS: ReadonlySet<string | undefined> = new Set([
  "OBJECT_COLUMN",
  "OBJECT_TABCONSTRAINT",
  "OBJECT_TRIGGER",
  "OBJECT_POLICY",
  "OBJECT_RULE",
]);

/** Of statements that say what they are about in `relation` or `object`. */
function ownerOfObject(node: Node, type: string | undefined): readonly AskedRight[] {
  const relation = ofRelation(node);
  if (relation !== undefined) return owns("relation", relation);
  const value = node["object"];
  if (!isNode(value)) {
    const name = textOf(node, "subname");
    return name === undefined ? [] : owns(OWNED[type ?? ""] ?? "relation", { schema: undefined, name });
  }
  const { kind, node: object } = unwrap(value);
  if (PARTS.has(type)) return owns("relation", nameOfParts(stringsOf(object, "items").slice(0, -1)));
  return owns(OWNED[type ?? ""] ?? "relation", nameOf(kind, object));
}

function nameOf(kind: string, object: Node): Name {
  if (kind === "List") return nameOfParts(stringsOf(object, "items"));
  if (kind === "TypeName") return nameOfParts(stringsOf(object, "names"));
  if (kind === "ObjectWithArgs") return nameOfParts(stringsOf(object, "objname"));
  return { schema: undefined, name: textOf(object, "sval") ?? "" };
}

function roleOf(node: Node | undefined, on: "role"): readonly AskedRight[] {
  const name = textOf(node, "rolename");
  return name === undefined ? [] : [{ on, name }];
}

function languageOf(node: Node): readonly AskedRight[] {
  return listOf(node, "options").flatMap(({ node: option }) => {
    const name = option["defname"] === "language" ? textOf(childOf(option, "arg"), "sval") : undefined;
    return name === undefined ? [] : [{ on: "language", name } as const];
  });
}
