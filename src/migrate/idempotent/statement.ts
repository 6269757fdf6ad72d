// One statement in a form that may run again, or where its object is there already: PostgreSQL's own words where it has them, else a
// look into pg_catalog.
import { identifier, literal } from "../../postgres/index.ts";
import type { ScriptStatement } from "../sql-script.ts";
import { childOf, flagOf, listOf, stringsOf, textOf, type Node } from "../syntax.ts";
import { madeBy } from "./effects.ts";
import {
  droppedRefs,
  familyRef,
  isMissing,
  isThere,
  kindOf,
  namedRef,
  objectRef,
  regclass,
  relationRef,
  rowOf,
  typeSql,
  type ObjectRef,
} from "./objects.ts";
import { isAboutOption } from "./option-conditions.ts";
import { tableForm } from "./table-form.ts";
import { createOrReplace, doBlock, dropIfExists, insertAfter } from "./words.ts";

export interface PlainStatement extends Pick<ScriptStatement, "kind" | "node"> {
  readonly sql: string;
}

/** How a statement may run again, as far as it can be told from it alone. */
export interface Form {
  readonly sql: string;
  /** All have to hold, else it is left out. */
  readonly conditions?: readonly string[];
  /** Runs before it in the same transaction. */
  readonly first?: string | undefined;
  /** Runs before it in a transaction of its own. */
  readonly before?: string | undefined;
  /** Runs instead where the conditions do not hold. */
  readonly otherwise?: string | undefined;
  /** Why no form exists; `sql` is then as it was. */
  readonly notRepeatable?: string | undefined;
}

/** Run twice they do the same as once. */
const REPEATABLE: ReadonlySet<string> = new Set([
  "AlterCollationStmt",
  "AlterDatabaseSetStmt",
  "AlterDefaultPrivilegesStmt",
  "AlterEventTrigStmt",
  "AlterExtensionStmt",
  "AlterFunctionStmt",
  "AlterObjectDependsStmt",
  "AlterOperatorStmt",
  "AlterOwnerStmt",
  "AlterPolicyStmt",
  "AlterRoleSetStmt",
  "AlterRoleStmt",
  "AlterStatsStmt",
  "AlterTSDictionaryStmt",
  "AlterTypeStmt",
  "ClusterStmt",
  "CommentStmt",
  "GrantRoleStmt",
  "GrantStmt",
  "RefreshMatViewStmt",
  "ReindexStmt",
  "SecLabelStmt",
  "VacuumStmt",
  "VariableSetStmt",
]);

/** The word of CREATE that IF NOT EXISTS follows. */
const IF_NOT_EXISTS: Readonly<Record<string, string>> = {
  CreateStmt: "TABLE",
  CreateForeignTableStmt: "TABLE",
  CreateSeqStmt: "SEQUENCE",
  CreateSchemaStmt: "SCHEMA",
  CreateExtensionStmt: "EXTENSION",
  CreateTableAsStmt: "VIEW",
  CreateForeignServerStmt: "SERVER",
  CreateUserMappingStmt: "MAPPING",
};

/** OR REPLACE takes what is there, of the same kind. */
const OR_REPLACE: ReadonlySet<string> = new Set([
  "CreateFunctionStmt",
  "CreatePLangStmt",
  "CreateTransformStmt",
  "RuleStmt",
  "ViewStmt",
]);

/** CREATE without either form. */
const LOOKED_FOR: ReadonlySet<string> = new Set([
  "CompositeTypeStmt",
  "CreateAmStmt",
  "CreateCastStmt",
  "CreateConversionStmt",
  "CreateDomainStmt",
  "CreateEnumStmt",
  "CreateEventTrigStmt",
  "CreateFdwStmt",
  "CreateOpClassStmt",
  "CreateOpFamilyStmt",
  "CreatePublicationStmt",
  "CreateRangeStmt",
  "CreateRoleStmt",
]);

export function formOf(statement: PlainStatement): Form {
  const { kind, node, sql } = statement;
  if (REPEATABLE.has(kind)) return { sql };
  if (OR_REPLACE.has(kind)) return { sql: createOrReplace(sql) };
  const word = IF_NOT_EXISTS[kind];
  if (word !== undefined) return { sql: insertAfter(sql, word, "IF NOT EXISTS", true) };
  const made = madeBy(statement);
  if (LOOKED_FOR.has(kind)) return made === undefined ? unknown(sql) : { sql, conditions: [isMissing(made)] };
  switch (kind) {
    case "DropStmt":
    case "DropUserMappingStmt":
    case "DropRoleStmt":
      return { sql: dropIfExists(sql) };
    case "AlterTableStmt":
      return tableForm(statement);
    case "IndexStmt":
      return indexForm(sql, node, made);
    case "DefineStmt":
      return definedForm(sql, node, made);
    case "CreateStatsStmt":
      return stringsOf(node, "defnames").length === 0
        ? unnamed(sql, "statistics")
        : { sql: insertAfter(sql, "STATISTICS", "IF NOT EXISTS", true) };
    case "CreateTrigStmt":
      return flagOf(node, "isconstraint") ? madeAgain(sql, "TRIGGER", made) : { sql: createOrReplace(sql) };
    case "CreatePolicyStmt":
      return madeAgain(sql, "POLICY", made);
    case "AlterEnumStmt":
      return { sql: insertAfter(sql, "ADD VALUE", "IF NOT EXISTS", true) };
    case "AlterDomainStmt":
      return domainForm(sql, node);
    case "AlterSeqStmt":
      return sequenceForm(sql, node);
    case "SelectStmt":
      return setvalForm(sql);
    case "DoStmt":
      // The planner's own blocks look for what there is to do.
      return sql.startsWith("DO $pgsteward$") ? { sql } : unknown(sql);
    case "AlterForeignServerStmt":
    case "AlterFdwStmt":
    case "AlterUserMappingStmt":
      return { sql, conditions: isAboutOption(kind, node) };
    case "AlterPublicationStmt":
      return publicationForm(sql, node);
    case "AlterTSConfigurationStmt":
      return searchForm(sql, node);
    case "AlterOpFamilyStmt":
      return familyForm(sql, node);
    case "AlterExtensionContentsStmt":
      return { sql, conditions: memberConditions(statement) };
    default:
      return unknown(sql);
  }
}

function unknown(sql: string): Form {
  return { sql, notRepeatable: "no form is known in which it may run again" };
}

function unnamed(sql: string, what: string): Form {
  return { sql, notRepeatable: `the ${what} has no name to look for` };
}

/** It holds no data and nothing depends on it. */
function madeAgain(sql: string, word: string, made: ObjectRef | undefined): Form {
  const [schema = "", table = "", name = ""] = made?.path ?? [];
  const relation = schema === "" ? identifier(table) : identifier(schema, table);
  return { sql, first: `DROP ${word} IF EXISTS ${identifier(name)} ON ${relation}` };
}

function indexForm(sql: string, node: Node, made: ObjectRef | undefined): Form {
  if (made === undefined) return unnamed(sql, "index");
  const isConcurrent = flagOf(node, "concurrent");
  const [schema = "", name = ""] = made.path;
  const index = schema === "" ? identifier(name) : identifier(schema, name);
  return {
    sql: insertAfter(sql, isConcurrent ? "INDEX CONCURRENTLY" : "INDEX", "IF NOT EXISTS", true),
    // A failed CONCURRENTLY build leaves the index invalid, and IF NOT EXISTS takes it for the index. That of a partitioned table is
    // invalid until its parts are attached, and is made without CONCURRENTLY.
    before: isConcurrent
      ? doBlock(
          [
            `EXISTS (SELECT FROM pg_catalog.pg_index AS i WHERE i.indexrelid = ${regclass(made.path)} AND NOT i.indisvalid)`,
          ],
          `DROP INDEX ${index}`,
        )
      : undefined,
  };
}

function definedForm(sql: string, node: Node, made: ObjectRef | undefined): Form {
  if (node["kind"] === "OBJECT_AGGREGATE") return { sql: createOrReplace(sql) };
  if (node["kind"] === "OBJECT_COLLATION") return { sql: insertAfter(sql, "COLLATION", "IF NOT EXISTS", true) };
  if (made === undefined) return unknown(sql);
  const isShell = made.kind === "type" && listOf(node, "definition").length === 0;
  return { sql, conditions: [isShell ? `NOT EXISTS (SELECT FROM ${rowOf("type", made.path)})` : isMissing(made)] };
}

function domainForm(sql: string, node: Node): Form {
  if (node["subtype"] === "X") return { sql: insertAfter(sql, "DROP CONSTRAINT", "IF EXISTS", true) };
  if (node["subtype"] !== "C") return { sql };
  const name = textOf(childOf(node, "def"), "conname");
  if (name === undefined) return unnamed(sql, "constraint");
  const { path } = namedRef("type", stringsOf(node, "typeName"));
  return { sql, conditions: [isMissing({ kind: "domain constraint", path: [...path, name] })] };
}

/** RESTART comes with another type, to begin within its bounds: a sequence that has the type has begun. */
function sequenceForm(sql: string, node: Node): Form {
  const options = listOf(node, "options").map(({ node: option }) => option);
  const named = (name: string): Node | undefined => options.find((option) => textOf(option, "defname") === name);
  if (named("restart") === undefined) return { sql };
  const type = childOf(named("as"), "arg");
  const sequence = relationRef(childOf(node, "sequence"));
  if (type === undefined || sequence === undefined)
    return { sql, notRepeatable: "RESTART gives out again what the sequence has given since" };
  return {
    sql,
    conditions: [
      `EXISTS (SELECT FROM pg_catalog.pg_sequence AS s WHERE s.seqrelid = ${regclass(sequence.path)} AND s.seqtypid <> pg_catalog.to_regtype(${literal(typeSql(type))}))`,
    ],
  };
}

/** `setval(pg_get_serial_sequence(…), highest.value) … WHERE highest.value > 0`, as the planner writes it. */
function setvalForm(sql: string): Form {
  // Back into the bounds that the sequence has now: once it is there, nothing is done.
  if (/^SELECT pg_catalog\.setval\(.* WHERE NOT \(last_value BETWEEN \S+ AND \S+\)$/s.test(sql)) return { sql };
  const call = /^SELECT pg_catalog\.setval\((pg_catalog\.pg_get_serial_sequence\(.*\)), highest\.value\) FROM /s.exec(
    sql,
  );
  const sequence = call?.[1];
  if (sequence === undefined || !sql.endsWith(" WHERE highest.value > 0")) return unknown(sql);
  // What was handed out since is not handed out again.
  return {
    sql: `${sql} AND highest.value > coalesce(pg_catalog.pg_sequence_last_value(${sequence}::regclass), 0)`,
  };
}

function publicationForm(sql: string, node: Node): Form {
  const action = node["action"];
  // Only options have no action; SET says all that there is afterwards.
  if (action !== "AP_AddObjects" && action !== "AP_DropObjects") return { sql };
  const [object] = listOf(node, "pubobjects");
  if (listOf(node, "pubobjects").length === 0) return { sql };
  const publication = literal(textOf(node, "pubname") ?? "");
  const oid = `(SELECT p.oid FROM pg_catalog.pg_publication AS p WHERE p.pubname = ${publication})`;
  const schema = textOf(object?.node, "name");
  const table = relationRef(childOf(childOf(object?.node, "pubtable"), "relation"));
  const found =
    table === undefined
      ? `EXISTS (SELECT FROM pg_catalog.pg_publication_namespace AS o WHERE o.pnpubid = ${oid} AND o.pnnspid = pg_catalog.to_regnamespace(${literal(identifier(schema ?? ""))}))`
      : `EXISTS (SELECT FROM pg_catalog.pg_publication_rel AS o WHERE o.prpubid = ${oid} AND o.prrelid = ${regclass(table.path)})`;
  return { sql, conditions: [action === "AP_AddObjects" ? `NOT ${found}` : found] };
}

function searchForm(sql: string, node: Node): Form {
  const kind = node["kind"];
  if (kind === "ALTER_TSCONFIG_DROP_MAPPING") return { sql: insertAfter(sql, "DROP MAPPING", "IF EXISTS", true) };
  if (kind !== "ALTER_TSCONFIG_ADD_MAPPING") return { sql };
  const [token = ""] = stringsOf(node, "tokentype");
  const row = rowOf(
    "text search configuration",
    namedRef("text search configuration", stringsOf(node, "cfgname")).path,
  );
  return {
    sql,
    conditions: [
      `NOT EXISTS (SELECT FROM pg_catalog.pg_ts_config_map AS m, (SELECT o.oid, o.cfgparser FROM ${row}) AS s, pg_catalog.ts_token_type(s.cfgparser) AS t WHERE m.mapcfg = s.oid AND m.maptokentype = t.tokid AND t.alias = ${literal(token)})`,
    ],
  };
}

/** Operators are 1, functions 2. */
function familyForm(sql: string, node: Node): Form {
  const [item] = listOf(node, "items");
  const types = listOf(item?.node, "class_args").map(({ node: type }) => typeSql(type));
  const own = childOf(item?.node, "name");
  const [left, right = left] = types.length > 0 ? types : listOf(own, "objargs").map(({ node: type }) => typeSql(type));
  if (item === undefined || left === undefined || right === undefined) return unknown(sql);
  const isOperator = item.node["itemtype"] === 1;
  const { path } = familyRef("operator family", stringsOf(node, "opfamilyname"), textOf(node, "amname") ?? "");
  const [catalog, prefix, number, side] = isOperator
    ? ["pg_amop", "amop", "amopstrategy", "amop"]
    : ["pg_amproc", "amproc", "amprocnum", "amproc"];
  const found = `EXISTS (SELECT FROM pg_catalog.${catalog} AS x WHERE x.${prefix}family = (SELECT o.oid FROM ${rowOf("operator family", path)}) AND x.${number} = ${Number(item.node["number"])} AND x.${side}lefttype = pg_catalog.to_regtype(${literal(left)}) AND x.${side}righttype = pg_catalog.to_regtype(${literal(right)}))`;
  return { sql, conditions: [flagOf(node, "isDrop") ? found : `NOT ${found}`] };
}

/** ALTER EXTENSION … ADD and DROP: 1 and -1. */
function memberConditions({ node }: PlainStatement): readonly string[] {
  const [object] = listOf({ list: [node["object"]] }, "list");
  const address = object === undefined ? "" : addressOf(textOf(node, "objtype") ?? "", object);
  const found = `EXISTS (SELECT FROM ${address} AS o JOIN pg_catalog.pg_depend AS d ON d.classid = o.classid AND d.objid = o.objid JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid WHERE d.deptype = 'e' AND d.refclassid = 'pg_catalog.pg_extension'::regclass AND e.extname = ${literal(textOf(node, "extname") ?? "")})`;
  return [node["action"] === 1 ? `NOT ${found}` : found];
}

/** One row with the catalog of an object and its oid. */
function addressOf(objectType: string, object: { readonly kind: string; readonly node: Node }): string {
  const ref = objectRef(objectType, object);
  if (ref?.kind === "routine") {
    const procedure = isThere(ref).replace(/ IS NOT NULL$/, "");
    return `(SELECT 'pg_catalog.pg_proc'::regclass AS classid, ${procedure}::oid AS objid)`;
  }
  const types = listOf(object.node, "objargs").map(({ node: type }) => literal(typeSql(type)));
  const names = objectNames(object).map(literal);
  return `pg_catalog.pg_get_object_address(${literal(addressWord(objectType))}, ARRAY[${names.join(", ")}]::text[], ARRAY[${types.join(", ")}]::text[])`;
}

/** The words of `pg_identify_object_as_address()`. */
function addressWord(objectType: string): string {
  const words: Readonly<Record<string, string>> = {
    OBJECT_MATVIEW: "materialized view",
    OBJECT_FOREIGN_TABLE: "foreign table",
    OBJECT_FDW: "foreign-data wrapper",
    OBJECT_STATISTIC_EXT: "statistics object",
  };
  const kind = kindOf(objectType);
  return words[objectType] ?? (kind === undefined || kind === "relation" ? wordOf(objectType) : kind);
}

function wordOf(objectType: string): string {
  return objectType
    .replace(/^OBJECT_/, "")
    .replaceAll("_", " ")
    .toLowerCase();
}

function objectNames({ kind, node }: { readonly kind: string; readonly node: Node }): readonly string[] {
  if (kind === "ObjectWithArgs") return stringsOf(node, "objname");
  if (kind === "List") return stringsOf(node, "items");
  // Types are named by one text.
  if (kind === "TypeName") return [typeSql(node)];
  return [textOf(node, "sval") ?? ""];
}

/** DROP of a name that the same script gives to an object of another kind: only the old one goes. */
export function kindCondition(statement: PlainStatement): string | undefined {
  const [dropped] = droppedRefs(statement.node);
  if (dropped === undefined) return undefined;
  const type = String(statement.node["removeType"]);
  const relkinds = RELKINDS[type];
  if (relkinds !== undefined)
    return `EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = ${regclass(dropped.path)} AND c.relkind IN (${relkinds}))`;
  if (dropped.kind === "type")
    return `EXISTS (SELECT FROM ${rowOf("type", dropped.path)} AND o.typtype ${type === "OBJECT_DOMAIN" ? "=" : "<>"} 'd')`;
  const prokinds = PROKINDS[type];
  if (prokinds === undefined) return undefined;
  const procedure = isThere(dropped).replace(/ IS NOT NULL$/, "");
  return `EXISTS (SELECT FROM pg_catalog.pg_proc AS p WHERE p.oid = ${procedure} AND p.prokind IN (${prokinds}))`;
}

const RELKINDS: Readonly<Record<string, string>> = {
  OBJECT_TABLE: "'r', 'p'",
  OBJECT_VIEW: "'v'",
  OBJECT_MATVIEW: "'m'",
  OBJECT_INDEX: "'i', 'I'",
  OBJECT_SEQUENCE: "'S'",
  OBJECT_FOREIGN_TABLE: "'f'",
};
const PROKINDS: Readonly<Record<string, string>> = {
  OBJECT_FUNCTION: "'f', 'w'",
  OBJECT_PROCEDURE: "'p'",
  OBJECT_AGGREGATE: "'a'",
};
