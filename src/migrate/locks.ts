// Which lock a statement takes on which relation, whether it rewrites or scans it: measured on PostgreSQL 14.23, 15.18, 16.14,
// 17.10 and 18.4 (the statement in a transaction on filled tables, then pg_locks, relfilenode and seq_scan). The five agree
// except where a version is named. The manual behind it: sql-altertable (Notes), explicit-locking, sql-createindex.
import { mentions, type BatchState, type TableState } from "./batch-state.ts";
import { isConcurrent } from "./apply-statement.ts";
import { volatileFunctionIn } from "./default-volatility.ts";
import {
  childOf,
  constraintOf,
  droppedNames,
  flagOf,
  hasOption,
  listOf,
  relationName,
  stringsOf,
  textOf,
  type Action,
  type Name,
  type Node,
} from "./syntax.ts";
import { isSerial, parseType, typeChangeCost, typeOf, type TypeChangeCost } from "./type-change.ts";

/** Table lock modes, weakest first; see the manual's "Explicit Locking". */
export const LOCK_MODES = [
  "ACCESS SHARE",
  "ROW SHARE",
  "ROW EXCLUSIVE",
  "SHARE UPDATE EXCLUSIVE",
  "SHARE",
  "SHARE ROW EXCLUSIVE",
  "EXCLUSIVE",
  "ACCESS EXCLUSIVE",
] as const;
export type LockMode = (typeof LOCK_MODES)[number];

/** What a statement does to one relation. */
export interface LockEffect {
  readonly table: TableState;
  readonly mode: LockMode;
  /** Writes the table anew, with all its indexes. */
  readonly rewrites: boolean;
  /** Reads the whole table while the lock is held: a check, an index build. */
  readonly scans: boolean;
}

/** Whether a lock of this mode keeps others from writing (and, for ACCESS EXCLUSIVE, from reading). */
export function blocksWrites(mode: LockMode): boolean {
  return LOCK_MODES.indexOf(mode) >= LOCK_MODES.indexOf("SHARE");
}

export interface AddedColumn {
  readonly rewrite: "volatile default" | "stored" | "serial" | "identity" | "domain" | undefined;
  /** The function or type behind it. */
  readonly cause: string;
}

/** Why ADD COLUMN rewrites the table. Virtual generated columns (18), constants and STABLE defaults do not. */
export function addedColumn(column: Node, state: BatchState): AddedColumn {
  const type = childOf(column, "typeName");
  const generated = constraintOf(column, "CONSTR_GENERATED");
  if (generated !== undefined && generated["generated_kind"] !== "v") return { rewrite: "stored", cause: "" };
  if (generated !== undefined) return { rewrite: undefined, cause: "" };
  if (isSerial(type)) return { rewrite: "serial", cause: stringsOf(type, "names").at(-1) ?? "" };
  if (constraintOf(column, "CONSTR_IDENTITY") !== undefined) return { rewrite: "identity", cause: "" };
  const cause = volatileFunctionIn(constraintOf(column, "CONSTR_DEFAULT")?.["raw_expr"], state);
  if (cause !== undefined) return { rewrite: "volatile default", cause };
  const name = stringsOf(type, "names").at(-1) ?? "";
  if (state.domains.get(name)?.isConstrained === true && typeOf(type)?.isArray !== true)
    return { rewrite: "domain", cause: name };
  return { rewrite: undefined, cause: "" };
}

export interface ColumnTypeChange {
  /** `undefined` when the present type is not known. */
  readonly cost: TypeChangeCost | undefined;
  readonly indexes: readonly string[];
  /** Indexes that are rebuilt although the table is not rewritten. */
  readonly rebuiltIndexes: readonly string[];
  /** Constraints that are checked again. */
  readonly constraints: readonly string[];
}

/** What ALTER COLUMN … TYPE costs on this table. */
export function columnTypeChange(action: Action, table: TableState, state: BatchState): ColumnTypeChange {
  const column = action.name ?? "";
  const to = typeOf(childOf(action.node, "typeName"));
  const touching = [...table.indexes].filter(
    ([, index]) => index.columns.includes(column) || mentions(index.expressions, column),
  );
  const indexes = touching.map(([name]) => name);
  const constraints = [...table.constraints]
    .filter(([, { kind, columns }]) => (kind === "check" || kind === "foreign key") && columns.includes(column))
    .map(([name]) => name);
  const from = table.columns.get(column)?.type;
  const none = { indexes, rebuiltIndexes: [], constraints };
  if (from === undefined || to === undefined) return { ...none, cost: undefined };
  if (!isPlainUsing(childOf(action.node, "raw_default"), column)) return { ...none, cost: "rewrite" };
  const isUtc = /^(?:utc|etc\/utc|gmt|0)$/i.test(state.settings.get("timezone") ?? "");
  const cost = costWithDomains(from, to, state, isUtc);
  const changesCollation = childOf(action.node, "collClause") !== undefined;
  const rebuilt = touching
    .filter(
      ([, index]) =>
        cost === "index" ||
        changesCollation ||
        (isChange(from, to) && (table.isPartitioned || mentions(index.expressions, column))),
    )
    .map(([name]) => name);
  return {
    cost: cost === "index" ? "nothing" : cost,
    indexes,
    rebuiltIndexes: cost === "rewrite" ? [] : rebuilt,
    constraints: isChange(from, to) ? constraints : [],
  };
}

type Type = NonNullable<ReturnType<typeof typeOf>>;

function isChange(from: Type, to: Type): boolean {
  return from.name !== to.name || from.modifiers.join() !== to.modifiers.join() || from.isArray !== to.isArray;
}

function costWithDomains(from: Type, to: Type, state: BatchState, isUtc: boolean): TypeChangeCost {
  const target = state.domains.get(to.name);
  if (target?.isConstrained === true && from.name !== to.name) return "rewrite";
  const base = (type: Type): Type => {
    const text = state.domains.get(type.name)?.base;
    return text === undefined || type.isArray ? type : parseType(text);
  };
  return typeChangeCost(base(from), base(to), isUtc);
}

/**
 * No USING, or one that only names the column or casts it once: the server finds out itself that nothing is to be computed.
 * A cast by way of another type is computed.
 */
function isPlainUsing(using: Node | undefined, column: string, isCast = false): boolean {
  if (using === undefined) return true;
  const fields = stringsOf(using, "fields");
  if (fields.length > 0) return fields.at(-1) === column;
  return !isCast && using["typeName"] !== undefined && isPlainUsing(childOf(using, "arg") ?? {}, column, true);
}

/** Locks of one action on relations that existed before; the first is the one the statement names. */
export function lockEffects(action: Action, state: BatchState, version: number): readonly LockEffect[] {
  const { kind, node } = action;
  const on = (name: Name | undefined, mode: LockMode, cost: "rewrite" | "scan" | "none" = "none"): LockEffect[] =>
    name === undefined
      ? []
      : [{ table: state.table(name), mode, rewrites: cost === "rewrite", scans: cost !== "none" }];
  if (kind.startsWith("AT_")) return tableCommandEffects(action, state, version, on);
  switch (kind) {
    case "IndexStmt":
      return on(action.table, isConcurrent(action) ? "SHARE UPDATE EXCLUSIVE" : "SHARE", "scan");
    case "DropStmt":
      return dropEffects(node, state, on);
    case "RenameStmt":
      if (["OBJECT_TABLE", "OBJECT_COLUMN", "OBJECT_TABCONSTRAINT"].includes(String(node["renameType"])))
        return on(action.table, "ACCESS EXCLUSIVE");
      return node["renameType"] === "OBJECT_TRIGGER" || node["renameType"] === "OBJECT_POLICY"
        ? on(action.table, "ACCESS EXCLUSIVE")
        : [];
    case "AlterObjectSchemaStmt":
      return node["objectType"] === "OBJECT_TABLE" ? on(action.table, "ACCESS EXCLUSIVE") : [];
    case "CreateStmt": {
      const parents = listOf(node, "inhRelations").flatMap(({ node: parent }) => relationName(parent) ?? []);
      const referenced = referencedTables(node);
      return [
        // PARTITION OF: also a scan of the default partition, which L27 tells.
        ...(childOf(node, "partbound") === undefined ? [] : parents.flatMap((name) => on(name, "ACCESS EXCLUSIVE"))),
        ...referenced.flatMap((name) => on(name, "SHARE ROW EXCLUSIVE")),
      ];
    }
    case "CreateTrigStmt":
      return on(action.table, "SHARE ROW EXCLUSIVE");
    case "CreatePolicyStmt":
    case "AlterPolicyStmt":
    case "RuleStmt":
      return on(action.table, "ACCESS EXCLUSIVE");
    case "TruncateStmt":
      return listOf(node, "relations").flatMap(({ node: relation }) => on(relationName(relation), "ACCESS EXCLUSIVE"));
    case "VacuumStmt":
      if (!flagOf(node, "is_vacuumcmd")) return [];
      return listOf(node, "rels").flatMap(({ node: rel }) => {
        const name = relationName(childOf(rel, "relation"));
        return hasOption(node, "options", "full")
          ? on(name, "ACCESS EXCLUSIVE", "rewrite")
          : on(name, "SHARE UPDATE EXCLUSIVE", "scan");
      });
    case "ClusterStmt":
      return on(action.table, "ACCESS EXCLUSIVE", "rewrite");
    case "ReindexStmt":
      return on(action.table, isConcurrent(action) ? "SHARE UPDATE EXCLUSIVE" : "SHARE", "scan");
    case "RefreshMatViewStmt":
      return on(action.table, isConcurrent(action) ? "EXCLUSIVE" : "ACCESS EXCLUSIVE", "scan");
    case "UpdateStmt":
    case "DeleteStmt":
    case "InsertStmt":
    case "MergeStmt":
      return on(action.table, "ROW EXCLUSIVE", kind === "InsertStmt" ? "none" : "scan");
    case "LockStmt":
      return listOf(node, "relations").flatMap(({ node: relation }) =>
        on(relationName(relation), LOCK_MODES[Number(node["mode"] ?? 8) - 1] ?? "ACCESS EXCLUSIVE"),
      );
    default:
      return [];
  }
}

type On = (name: Name | undefined, mode: LockMode, cost?: "rewrite" | "scan" | "none") => LockEffect[];

/** Commands that need SHARE UPDATE EXCLUSIVE only. */
const LIGHT_COMMANDS = new Set([
  "AT_SetStatistics",
  "AT_SetOptions",
  "AT_ResetOptions",
  "AT_ClusterOn",
  "AT_DropCluster",
  "AT_SetRelOptions",
  "AT_ResetRelOptions",
]);
const REWRITING_COMMANDS = new Set([
  "AT_SetLogged",
  "AT_SetUnLogged",
  "AT_SetAccessMethod",
  "AT_SetTableSpace",
  "AT_SetExpression",
]);

function tableCommandEffects(action: Action, state: BatchState, version: number, on: On): readonly LockEffect[] {
  const { kind, node, table: name } = action;
  if (name === undefined) return [];
  const table = state.table(name);
  if (LIGHT_COMMANDS.has(kind)) return on(name, "SHARE UPDATE EXCLUSIVE");
  if (REWRITING_COMMANDS.has(kind)) return on(name, "ACCESS EXCLUSIVE", "rewrite");
  if (/^AT_(?:Enable|Disable)(?:Always|Replica)?Trig/.test(kind)) return on(name, "SHARE ROW EXCLUSIVE");
  switch (kind) {
    case "AT_AddColumn": {
      const foreign = constraintOf(node, "CONSTR_FOREIGN");
      const hasDefault = constraintOf(node, "CONSTR_DEFAULT") !== undefined;
      const scans =
        ["CONSTR_CHECK", "CONSTR_UNIQUE", "CONSTR_PRIMARY"].some((type) => constraintOf(node, type) !== undefined) ||
        (foreign !== undefined && hasDefault);
      const cost = addedColumn(node, state).rewrite !== undefined ? "rewrite" : scans ? "scan" : "none";
      return [
        ...on(name, "ACCESS EXCLUSIVE", cost),
        ...on(relationName(childOf(foreign, "pktable")), "SHARE ROW EXCLUSIVE", hasDefault ? "scan" : "none"),
      ];
    }
    case "AT_AddConstraint":
      return addConstraintEffects(action, table, on, version);
    case "AT_ValidateConstraint": {
      const constraint = table.constraints.get(action.name ?? "");
      return [...on(name, "SHARE UPDATE EXCLUSIVE", "scan"), ...on(constraint?.references, "ROW SHARE", "scan")];
    }
    case "AT_DropConstraint":
      return [
        ...on(name, "ACCESS EXCLUSIVE"),
        ...on(table.constraints.get(action.name ?? "")?.references, "ACCESS EXCLUSIVE"),
      ];
    case "AT_AlterConstraint": {
      const references = table.constraints.get(textOf(node, "conname") ?? "")?.references;
      const isEnforcedNow = flagOf(node, "alterEnforceability") && flagOf(node, "is_enforced");
      if (!flagOf(node, "alterEnforceability")) return on(name, "ACCESS EXCLUSIVE");
      return [
        ...on(name, "ACCESS EXCLUSIVE", isEnforcedNow ? "scan" : "none"),
        ...on(references, isEnforcedNow ? "SHARE ROW EXCLUSIVE" : "ACCESS EXCLUSIVE", isEnforcedNow ? "scan" : "none"),
      ];
    }
    case "AT_SetNotNull":
      return on(name, "ACCESS EXCLUSIVE", provesNotNull(table, action.name ?? "") ? "none" : "scan");
    case "AT_AlterColumnType": {
      const change = columnTypeChange(action, table, state);
      const scans = change.rebuiltIndexes.length > 0 || change.constraints.length > 0;
      return on(name, "ACCESS EXCLUSIVE", change.cost === "nothing" ? (scans ? "scan" : "none") : "rewrite");
    }
    case "AT_AttachPartition":
      return [
        ...on(name, "SHARE UPDATE EXCLUSIVE"),
        ...on(relationName(childOf(node, "name")), "ACCESS EXCLUSIVE", "scan"),
      ];
    case "AT_DetachPartition": {
      const child = relationName(childOf(node, "name"));
      return isConcurrent(action)
        ? [...on(name, "SHARE UPDATE EXCLUSIVE"), ...on(child, "ACCESS EXCLUSIVE")]
        : [...on(name, "ACCESS EXCLUSIVE"), ...on(child, "ACCESS EXCLUSIVE")];
    }
    case "AT_DetachPartitionFinalize":
      return on(name, "SHARE UPDATE EXCLUSIVE");
    default:
      // DROP COLUMN, defaults, DROP NOT NULL, owner, identity, storage, row security, replica identity, inheritance …
      return on(name, "ACCESS EXCLUSIVE");
  }
}

function addConstraintEffects(
  { node, table: name }: Action,
  table: TableState,
  on: On,
  version: number,
): readonly LockEffect[] {
  const isLate = flagOf(node, "skip_validation") || (version >= 18 && node["is_enforced"] === false);
  switch (node["contype"]) {
    case "CONSTR_FOREIGN": {
      const cost = isLate ? "none" : "scan";
      return [
        ...on(name, "SHARE ROW EXCLUSIVE", cost),
        ...on(relationName(childOf(node, "pktable")), "SHARE ROW EXCLUSIVE", cost),
      ];
    }
    case "CONSTR_CHECK":
    case "CONSTR_NOTNULL":
      return on(name, "ACCESS EXCLUSIVE", isLate ? "none" : "scan");
    case "CONSTR_PRIMARY":
    case "CONSTR_UNIQUE": {
      if (node["indexname"] === undefined) return on(name, "ACCESS EXCLUSIVE", "scan");
      const columns = table.indexes.get(textOf(node, "indexname") ?? "")?.columns ?? [];
      const isKnown = columns.length > 0 && columns.every((column) => provesNotNull(table, column));
      return on(name, "ACCESS EXCLUSIVE", node["contype"] === "CONSTR_PRIMARY" && !isKnown ? "scan" : "none");
    }
    case "CONSTR_EXCLUSION":
      return on(name, "ACCESS EXCLUSIVE", "scan");
    default:
      return on(name, "ACCESS EXCLUSIVE");
  }
}

/** Whether SET NOT NULL finds it proved: it is not null already, or a valid CHECK says so, also as one part of an AND. */
export function provesNotNull(table: TableState, column: string): boolean {
  if (table.columns.get(column)?.isNullable === false) return true;
  return [...table.constraints].some(
    ([name, { isValidated, provesNotNull: columns, isToldByName = false }]) =>
      isValidated && (columns.includes(column) || (isToldByName && isNamedNotNull(name, column))),
  );
}

/** `orders_status_not_null`, `status_nn`, `email_present`: as people name a CHECK that a column is not null. */
function isNamedNotNull(constraint: string, column: string): boolean {
  return constraint.includes(column) && /null|(?:^|_)nn(?:_|$)|present|required/i.test(constraint);
}

function dropEffects(node: Node, state: BatchState, on: On): readonly LockEffect[] {
  const names = droppedNames(node);
  switch (node["removeType"]) {
    case "OBJECT_TABLE":
      return names.flatMap((name) => {
        const referenced = [...state.table(name).constraints.values()].flatMap(({ references }) => references ?? []);
        return [...on(name, "ACCESS EXCLUSIVE"), ...referenced.flatMap((other) => on(other, "ACCESS EXCLUSIVE"))];
      });
    case "OBJECT_INDEX":
      return names.flatMap((name) => {
        const table = state.tableOfIndex(name.name);
        if (table === undefined) return [];
        return on(
          { schema: table.schema, name: table.name },
          flagOf(node, "concurrent") ? "SHARE UPDATE EXCLUSIVE" : "ACCESS EXCLUSIVE",
        );
      });
    case "OBJECT_TRIGGER":
    case "OBJECT_POLICY":
    case "OBJECT_RULE":
      // The last part of the name is the trigger's or policy's, before it stands the table.
      return listOf(node, "objects").flatMap(({ node: item }) => {
        const parts = stringsOf(item, "items");
        const table = parts.at(-2);
        return table === undefined ? [] : on({ schema: parts.at(-3), name: table }, "ACCESS EXCLUSIVE");
      });
    default:
      return [];
  }
}

/** Tables a CREATE TABLE refers to. */
export function referencedTables(node: Node): readonly Name[] {
  const constraints = listOf(node, "tableElts").flatMap(({ kind, node: element }) =>
    kind === "Constraint" ? [element] : listOf(element, "constraints").map(({ node: constraint }) => constraint),
  );
  return constraints.flatMap((constraint) => relationName(childOf(constraint, "pktable")) ?? []);
}
