// Names an object that a statement is about, and the condition that finds it in pg_catalog. Pure: text only.
import { identifier, literal } from "../../postgres/index.ts";
import { childOf, listOf, relationName, stringsOf, textOf, type Node } from "../syntax.ts";

/** Kinds that are looked for by a name in a schema: catalog, prefix of its columns, function that tells what search_path finds. */
const IN_SCHEMAS = {
  type: ["pg_type", "typ", "type"],
  collation: ["pg_collation", "coll", "collation"],
  conversion: ["pg_conversion", "con", "conversion"],
  statistics: ["pg_statistic_ext", "stx", "statistics_obj"],
  "text search configuration": ["pg_ts_config", "cfg", "ts_config"],
  "text search dictionary": ["pg_ts_dict", "dict", "ts_dict"],
  "text search parser": ["pg_ts_parser", "prs", "ts_parser"],
  "text search template": ["pg_ts_template", "tmpl", "ts_template"],
  "operator class": ["pg_opclass", "opc", "opclass"],
  "operator family": ["pg_opfamily", "opf", "opfamily"],
} as const;

/** Kinds with one name in the database, or the cluster: catalog and column. */
const BY_NAME = {
  extension: ["pg_extension", "extname"],
  language: ["pg_language", "lanname"],
  "foreign data wrapper": ["pg_foreign_data_wrapper", "fdwname"],
  server: ["pg_foreign_server", "srvname"],
  "access method": ["pg_am", "amname"],
  "event trigger": ["pg_event_trigger", "evtname"],
  publication: ["pg_publication", "pubname"],
  subscription: ["pg_subscription", "subname"],
  role: ["pg_roles", "rolname"],
  tablespace: ["pg_tablespace", "spcname"],
} as const;

/** Parts of a relation: catalog, column with the relation, column with the name. */
const OF_RELATIONS = {
  column: ["pg_attribute", "attrelid", "attname"],
  constraint: ["pg_constraint", "conrelid", "conname"],
  trigger: ["pg_trigger", "tgrelid", "tgname"],
  policy: ["pg_policy", "polrelid", "polname"],
  rule: ["pg_rewrite", "ev_class", "rulename"],
} as const;

export type ObjectKind =
  | keyof typeof IN_SCHEMAS
  | keyof typeof BY_NAME
  | keyof typeof OF_RELATIONS
  | "relation"
  | "schema"
  | "routine"
  | "operator"
  | "domain constraint"
  | "enum value"
  | "cast";

/**
 * The path is the schema ("" where the SQL names none) and the name; a part has its own name after them, a routine or operator its types,
 * an operator class or family its access method.
 */
export interface ObjectRef {
  readonly kind: ObjectKind;
  readonly path: readonly string[];
  /** Of a routine: its types one by one. */
  readonly types?: readonly string[];
}

const KIND_OF: Readonly<Record<string, ObjectKind>> = {
  OBJECT_TABLE: "relation",
  OBJECT_VIEW: "relation",
  OBJECT_MATVIEW: "relation",
  OBJECT_INDEX: "relation",
  OBJECT_SEQUENCE: "relation",
  OBJECT_FOREIGN_TABLE: "relation",
  OBJECT_TYPE: "type",
  OBJECT_DOMAIN: "type",
  OBJECT_FUNCTION: "routine",
  OBJECT_PROCEDURE: "routine",
  OBJECT_ROUTINE: "routine",
  OBJECT_AGGREGATE: "routine",
  OBJECT_OPERATOR: "operator",
  OBJECT_COLLATION: "collation",
  OBJECT_CONVERSION: "conversion",
  OBJECT_STATISTIC_EXT: "statistics",
  OBJECT_TSCONFIGURATION: "text search configuration",
  OBJECT_TSDICTIONARY: "text search dictionary",
  OBJECT_TSPARSER: "text search parser",
  OBJECT_TSTEMPLATE: "text search template",
  OBJECT_OPCLASS: "operator class",
  OBJECT_OPFAMILY: "operator family",
  OBJECT_SCHEMA: "schema",
  OBJECT_EXTENSION: "extension",
  OBJECT_LANGUAGE: "language",
  OBJECT_FDW: "foreign data wrapper",
  OBJECT_FOREIGN_SERVER: "server",
  OBJECT_ACCESS_METHOD: "access method",
  OBJECT_EVENT_TRIGGER: "event trigger",
  OBJECT_PUBLICATION: "publication",
  OBJECT_SUBSCRIPTION: "subscription",
  OBJECT_ROLE: "role",
  OBJECT_TABLESPACE: "tablespace",
  OBJECT_COLUMN: "column",
  OBJECT_ATTRIBUTE: "column",
  OBJECT_TABCONSTRAINT: "constraint",
  OBJECT_TRIGGER: "trigger",
  OBJECT_POLICY: "policy",
  OBJECT_RULE: "rule",
  OBJECT_DOMCONSTRAINT: "domain constraint",
  OBJECT_CAST: "cast",
};

export function kindOf(objectType: unknown): ObjectKind | undefined {
  return KIND_OF[String(objectType)];
}

function isKey<T extends object>(table: T, key: PropertyKey): key is keyof T {
  return Object.hasOwn(table, key);
}

/** A dotted name's last parts, with "" for a schema that is not named. */
function qualified(parts: readonly string[], length: number): readonly string[] {
  return parts.length >= length ? parts.slice(-length) : ["", ...parts];
}

export function relationRef(
  relation: Node | undefined,
  part?: { kind: ObjectKind; name: string },
): ObjectRef | undefined {
  const name = relationName(relation);
  if (name === undefined) return undefined;
  const path = [name.schema ?? "", name.name];
  return part === undefined ? { kind: "relation", path } : { kind: part.kind, path: [...path, part.name] };
}

export function namedRef(kind: ObjectKind, parts: readonly string[]): ObjectRef {
  return { kind, path: isKey(BY_NAME, kind) || kind === "schema" ? parts.slice(-1) : qualified(parts, 2) };
}

export function routineRef(parts: readonly string[], types: readonly string[]): ObjectRef {
  return { kind: "routine", path: [...qualified(parts, 2), types.join(", ")], types };
}

export function operatorRef(parts: readonly string[], left: string, right: string): ObjectRef {
  return { kind: "operator", path: [...qualified(parts, 2), left, right] };
}

/** What DROP, COMMENT, RENAME and the like name. */
export function objectRef(
  objectType: unknown,
  { kind: nodeKind, node }: { readonly kind: string; readonly node: Node },
): ObjectRef | undefined {
  const kind = kindOf(objectType);
  if (kind === undefined) return undefined;
  const items = listOf(node, "items").map(({ node: item }) => item);
  if (kind === "cast") return { kind, path: items.map(typeSql) };
  if (nodeKind === "ObjectWithArgs") {
    const types = listOf(node, "objargs").map(({ node: type }) => typeSql(type));
    const parts = stringsOf(node, "objname");
    return kind === "operator" ? operatorRef(parts, types[0] ?? "", types[1] ?? "") : routineRef(parts, types);
  }
  if (kind === "domain constraint") {
    const [type, name] = items;
    return { kind, path: [...qualified(stringsOf(type, "names"), 2), textOf(name, "sval") ?? ""] };
  }
  const parts =
    nodeKind === "List"
      ? stringsOf(node, "items")
      : nodeKind === "TypeName"
        ? stringsOf(node, "names")
        : [textOf(node, "sval") ?? textOf(node, "rolename") ?? ""];
  if (isKey(OF_RELATIONS, kind)) return { kind, path: qualified(parts, 3) };
  if (kind === "operator class" || kind === "operator family") return familyRef(kind, parts.slice(1), parts[0] ?? "");
  return namedRef(kind, parts);
}

export function familyRef(
  kind: "operator class" | "operator family",
  parts: readonly string[],
  method: string,
): ObjectRef {
  return { kind, path: [...qualified(parts, 2), method] };
}

/** A type as `to_regtype()` reads it, without its modifiers; `NONE` for the side that an operator does not have. */
export function typeSql(type: Node | undefined): string {
  const names = stringsOf(type, "names");
  const [first, ...rest] = names.map((name) => identifier(name));
  if (first === undefined) return "NONE";
  return `${[first, ...rest].join(".")}${"[]".repeat(listOf(type, "arrayBounds").length)}`;
}

export function refKey({ kind, path }: ObjectRef): string {
  return JSON.stringify([kind, ...path]);
}

/** The object itself, what it is a part of, and the schema: it is gone when one of them is. */
export function withContainers(ref: ObjectRef): readonly ObjectRef[] {
  const [schema = "", name = ""] = ref.path;
  if (isKey(BY_NAME, ref.kind) || ref.kind === "schema" || ref.kind === "cast") return [ref];
  const inSchema: readonly ObjectRef[] = schema === "" ? [] : [{ kind: "schema", path: [schema] }];
  if (isKey(OF_RELATIONS, ref.kind)) return [ref, { kind: "relation", path: [schema, name] }, ...inSchema];
  if (ref.kind === "domain constraint" || ref.kind === "enum value")
    return [ref, { kind: "type", path: [schema, name] }, ...inSchema];
  return [ref, ...inSchema];
}

function dotted(...parts: readonly string[]): string {
  const [first = "", ...rest] = parts.filter((part) => part !== "");
  return identifier(first, ...rest);
}

/** `pg_catalog.to_regclass('"shop"."orders"')`: NULL when it is not there. */
export function regclass([schema = "", name = ""]: readonly string[]): string {
  return `pg_catalog.to_regclass(${literal(dotted(schema, name))})`;
}

function namespace(schema: string): string {
  return `pg_catalog.to_regnamespace(${literal(identifier(schema))})`;
}

/** The row of an object in its catalog, as `o`: what follows FROM. */
export function rowOf(kind: keyof typeof IN_SCHEMAS, [schema = "", name = "", method]: readonly string[]): string {
  const [catalog, prefix, visible] = IN_SCHEMAS[kind];
  const where =
    schema === "" ? `pg_catalog.pg_${visible}_is_visible(o.oid)` : `o.${prefix}namespace = ${namespace(schema)}`;
  const ofMethod =
    method === undefined
      ? ""
      : ` AND o.${prefix}method = (SELECT m.oid FROM pg_catalog.pg_am AS m WHERE m.amname = ${literal(method)})`;
  return `pg_catalog.${catalog} AS o WHERE o.${prefix}name = ${literal(name)} AND ${where}${ofMethod}`;
}

/** The row of a column that is not dropped, as `a`: what follows FROM. */
export function columnRow([schema = "", table = "", column = ""]: readonly string[]): string {
  return `pg_catalog.pg_attribute AS a WHERE a.attrelid = ${regclass([schema, table])} AND a.attname = ${literal(column)} AND NOT a.attisdropped`;
}

/**
 * A condition that is true when the object is there.
 *
 * @see https://www.postgresql.org/docs/18/functions-info.html (to_regclass and its like: NULL instead of an error)
 */
export function isThere({ kind, path, types = [] }: ObjectRef): string {
  const [first = "", second = "", third = "", fourth = ""] = path;
  if (kind === "relation") return `${regclass(path)} IS NOT NULL`;
  if (kind === "schema") return `${namespace(first)} IS NOT NULL`;
  if (kind === "column") return `EXISTS (SELECT FROM ${columnRow(path)})`;
  // A shell type, and the shell operator that a commutator leaves, are yet to be made.
  if (kind === "type") return `EXISTS (SELECT FROM ${rowOf("type", path)} AND o.typisdefined)`;
  if (kind === "operator") {
    const operator = `${first === "" ? "" : `${identifier(first)}.`}${second}(${third}, ${fourth})`;
    const found = whereTypesAre([third, fourth], `pg_catalog.to_regoperator(${literal(operator)})`);
    return `EXISTS (SELECT FROM pg_catalog.pg_operator AS o WHERE o.oid = ${found} AND o.oprcode <> 0)`;
  }
  if (kind === "routine")
    return `${whereTypesAre(types, `pg_catalog.to_regprocedure(${literal(`${dotted(first, second)}(${third})`)})`)} IS NOT NULL`;
  if (kind === "cast")
    return `EXISTS (SELECT FROM pg_catalog.pg_cast AS c WHERE c.castsource = pg_catalog.to_regtype(${literal(first)}) AND c.casttarget = pg_catalog.to_regtype(${literal(second)}))`;
  if (kind === "domain constraint")
    return `EXISTS (SELECT FROM pg_catalog.pg_constraint AS c WHERE c.contypid = (SELECT o.oid FROM ${rowOf("type", path.slice(0, 2))}) AND c.conname = ${literal(third)})`;
  if (kind === "enum value")
    return `EXISTS (SELECT FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = (SELECT o.oid FROM ${rowOf("type", path.slice(0, 2))}) AND e.enumlabel = ${literal(third)})`;
  if (isKey(IN_SCHEMAS, kind)) return `EXISTS (SELECT FROM ${rowOf(kind, path)})`;
  if (isKey(OF_RELATIONS, kind)) {
    const [catalog, relation, name] = OF_RELATIONS[kind];
    return `EXISTS (SELECT FROM pg_catalog.${catalog} AS o WHERE o.${relation} = ${regclass(path)} AND o.${name} = ${literal(third)})`;
  }
  const [catalog, column] = BY_NAME[kind];
  return `EXISTS (SELECT FROM pg_catalog.${catalog} AS o WHERE o.${column} = ${literal(first)})`;
}

/** Up to 15 `to_regprocedure` and `to_regoperator` raise an error for a type that is not there (seen on 14.23 and 15.18). */
function whereTypesAre(types: readonly string[], found: string): string {
  const mayBeGone = types.filter((type) => type !== "NONE" && !type.startsWith(`${identifier("pg_catalog")}.`));
  if (mayBeGone.length === 0) return found;
  const areThere = mayBeGone.map((type) => `pg_catalog.to_regtype(${literal(type)}) IS NOT NULL`).join(" AND ");
  return `(CASE WHEN ${areThere} THEN ${found} END)`;
}

export function isMissing(ref: ObjectRef): string {
  const there = isThere(ref);
  return there.endsWith(" IS NOT NULL") ? `${there.slice(0, -" IS NOT NULL".length)} IS NULL` : `NOT ${there}`;
}

/** The objects of a DROP statement. */
export function droppedRefs(node: Node): readonly ObjectRef[] {
  return listOf(node, "objects").flatMap((object) => objectRef(node["removeType"], object) ?? []);
}

/** The object of a RENAME or SET SCHEMA. */
export function renamedRef(node: Node, objectType: unknown): ObjectRef | undefined {
  const kind = kindOf(objectType);
  const part = textOf(node, "subname");
  const relation = childOf(node, "relation");
  if (kind === undefined) return undefined;
  if (relation !== undefined)
    return relationRef(relation, part === undefined || kind === "relation" ? undefined : { kind, name: part });
  const object = node["object"];
  if (object === undefined) return part === undefined ? undefined : namedRef(kind, [part]);
  const [wrapped] = listOf({ list: [object] }, "list");
  if (wrapped === undefined) return undefined;
  if (kind === "domain constraint")
    return { kind, path: [...qualified(stringsOf(wrapped.node, "items"), 2), part ?? ""] };
  return objectRef(objectType, wrapped);
}

/** The same object under another name, or in another schema. */
export function withName(ref: ObjectRef, name: string): ObjectRef {
  const at = isKey(OF_RELATIONS, ref.kind) || ref.kind.startsWith("domain ") ? 2 : ref.path.length === 1 ? 0 : 1;
  return { ...ref, path: ref.path.map((part, position) => (position === at ? name : part)) };
}
