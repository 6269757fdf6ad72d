// Applies one statement to what is known of the database, so that the next statement is judged by what is true then.
import { expressionKey, type BatchState, type ConstraintState, type TableState } from "./batch-state.ts";
import {
  childOf,
  constraintsOf,
  droppedNames,
  flagOf,
  hasOption,
  listOf,
  nameOfParts,
  relationName,
  stringsOf,
  textOf,
  walk,
  type Action,
  type Name,
  type Node,
} from "./syntax.ts";
import { parseType, typeOf } from "./type-change.ts";

export function applyAction(state: BatchState, action: Action): void {
  const { kind, node } = action;
  if (CHANGES_ROWS.has(kind)) noteRows(state, action);
  if (kind.startsWith("AT_") && action.table !== undefined) applyTableCommand(state, state.table(action.table), action);
  else if (kind === "CreateStmt") createTable(state, node);
  else if (kind === "CreateTableAsStmt" || node["intoClause"] !== undefined) {
    const target = childOf(node, kind === "CreateTableAsStmt" ? "into" : "intoClause");
    const into = relationName(childOf(target, "rel"));
    if (into !== undefined && node["objtype"] === "OBJECT_MATVIEW") state.newViews.add(into.name);
    // An index on a new materialized view is on a new relation too.
    if (into !== undefined) state.create(into, undefined).isFilled = !flagOf(target, "skipData");
  } else if (kind === "IndexStmt" && action.table !== undefined) addIndex(state.table(action.table), node);
  else if (kind === "RenameStmt") rename(state, action);
  else if (kind === "AlterObjectSchemaStmt" && node["objectType"] === "OBJECT_TABLE" && action.table !== undefined)
    state.rename(state.table(action.table), action.table.name, textOf(node, "newschema"));
  else if (kind === "AlterObjectSchemaStmt") state.madeSchemas.delete(textOf(node, "newschema") ?? ""); // it holds a thing from elsewhere now
  else if (kind === "DropStmt") drop(state, node);
  else if (kind === "ViewStmt") state.newViews.add(relationName(childOf(node, "view"))?.name ?? "");
  else if (kind === "CreateSchemaStmt") createSchema(state, node);
  else if (["CreateEnumStmt", "CreateRangeStmt", "CompositeTypeStmt"].includes(kind)) {
    const name = kind === "CompositeTypeStmt" ? relationName(childOf(node, "typevar")) : typeNameOf(node);
    state.newTypes.add(name?.name ?? "");
  } else if (kind === "CreateDomainStmt") createDomain(state, node);
  else if (kind === "AlterDomainStmt") alterDomain(state, node);
  else if (kind === "CreateFunctionStmt") createFunction(state, node);
  else if (kind === "VariableSetStmt") set(state, node);
  else if (kind === "SelectStmt") setByCall(state, node);
}

function createSchema(state: BatchState, node: Action["node"]): void {
  const name = textOf(node, "schemaname") ?? "";
  state.newSchemas.add(name);
  if (!flagOf(node, "if_not_exists")) state.madeSchemas.add(name);
}

const CHANGES_ROWS: ReadonlySet<string> = new Set(["InsertStmt", "CopyStmt", "DeleteStmt", "TruncateStmt"]);

/** Whether tables that the batch makes have rows. What is read from tables that it left empty may be nothing. */
function noteRows(state: BatchState, { kind, node, table }: Action): void {
  if (kind === "TruncateStmt") {
    for (const { node: relation } of listOf(node, "relations")) {
      const name = relationName(relation);
      const known = name === undefined ? undefined : state.find(name);
      if (known !== undefined) known.isFilled = false;
    }
    return;
  }
  const known = table === undefined ? undefined : state.find(table);
  if (known?.isNew !== true) return;
  if (kind === "DeleteStmt") known.isFilled &&= node["whereClause"] !== undefined;
  else if (kind === "CopyStmt") known.isFilled ||= flagOf(node, "is_from");
  else {
    if (known.isFilled) return;
    const read = relationsIn(node["selectStmt"]).map((name) => state.find(name));
    known.isFilled ||= read.every((source) => source === undefined || !source.isNew || source.isFilled);
  }
}

/** Tables and views that a query names. */
export function relationsIn(query: unknown): readonly Name[] {
  const found: Name[] = [];
  walk([query], (kind, node) => {
    const name = kind === "RangeVar" ? relationName(node) : undefined;
    if (name !== undefined) found.push(name);
  });
  return found;
}

function typeNameOf(node: Node): Name {
  return nameOfParts(stringsOf(node, "typeName"));
}

function createTable(state: BatchState, node: Node): void {
  const name = relationName(childOf(node, "relation"));
  if (name === undefined) return;
  if (flagOf(node, "if_not_exists") && state.find(name)?.isDropped === false) return;
  const partition = childOf(node, "partspec");
  const key = listOf(partition, "partParams").flatMap(
    ({ node: part }) => textOf(part, "name") ?? columnsIn(part["expr"]),
  );
  const table = state.create(name, partition === undefined ? undefined : key);
  for (const { kind, node: element } of listOf(node, "tableElts")) {
    if (kind === "ColumnDef") addColumn(table, element);
    else if (kind === "Constraint") addConstraint(table, element, undefined);
  }
  const bound = childOf(node, "partbound");
  const parent = relationName(listOf(node, "inhRelations")[0]?.node);
  if (bound !== undefined && parent !== undefined) {
    state.table(parent).partitions.push(name);
    if (flagOf(bound, "is_default")) state.table(parent).hasDefaultPartition = true;
  }
}

function addColumn(table: TableState, column: Node): void {
  const name = textOf(column, "colname") ?? "";
  const constraints = constraintsOf(column);
  const types = new Set(constraints.map((constraint) => constraint["contype"]));
  table.columns.set(name, {
    type: typeOf(childOf(column, "typeName")),
    isNullable: !(types.has("CONSTR_NOTNULL") || types.has("CONSTR_PRIMARY") || types.has("CONSTR_IDENTITY")),
    isGenerated: types.has("CONSTR_GENERATED"),
  });
  for (const constraint of constraints) addConstraint(table, constraint, name);
}

const KINDS: Readonly<Record<string, ConstraintState["kind"]>> = {
  CONSTR_PRIMARY: "primary key",
  CONSTR_UNIQUE: "unique",
  CONSTR_FOREIGN: "foreign key",
  CONSTR_CHECK: "check",
  CONSTR_EXCLUSION: "exclusion",
  CONSTR_NOTNULL: "not null",
};
const SUFFIXES = {
  "primary key": "pkey",
  unique: "key",
  "foreign key": "fkey",
  check: "check",
  exclusion: "excl",
  "not null": "not_null",
};

function addConstraint(table: TableState, node: Node, column: string | undefined): void {
  const kind = KINDS[textOf(node, "contype") ?? ""];
  if (kind === undefined) return;
  const indexName = textOf(node, "indexname");
  const listed = kind === "foreign key" ? stringsOf(node, "fk_attrs") : stringsOf(node, "keys");
  const columns =
    column !== undefined
      ? [column]
      : indexName !== undefined
        ? (table.indexes.get(indexName)?.columns ?? [])
        : kind === "check"
          ? columnsIn(node["raw_expr"])
          : listed;
  // The name the server would choose, so that a later VALIDATE or DROP finds it.
  const inName = kind === "primary key" ? [] : kind === "check" && columns.length > 1 ? [] : columns;
  const name = textOf(node, "conname") ?? indexName ?? [table.name, ...inName, SUFFIXES[kind]].join("_");
  const isValidated = !flagOf(node, "skip_validation") && node["is_enforced"] !== false;
  table.constraints.set(name, {
    kind,
    columns,
    isValidated,
    provesNotNull: kind === "check" ? provedNotNull(childOf(node, "raw_expr")) : [],
    references: kind === "foreign key" ? relationName(childOf(node, "pktable")) : undefined,
  });
  if (kind === "primary key" || (kind === "not null" && isValidated)) {
    for (const key of columns) setNullable(table, key, false);
  }
  if (kind === "primary key" || kind === "unique" || kind === "exclusion") {
    if (indexName !== undefined && indexName !== name) table.indexes.delete(indexName);
    table.indexes.set(name, {
      columns,
      expressions: "",
      isUnique: kind !== "exclusion",
      isPartial: false,
      notNullColumn: undefined,
      keys: columns,
    });
  }
}

function setNullable(table: TableState, column: string, isNullable: boolean): void {
  const known = table.columns.get(column);
  if (known === undefined) table.columns.set(column, { type: undefined, isNullable });
  else known.isNullable = isNullable;
}

export function columnsIn(expression: unknown): readonly string[] {
  const found = new Set<string>();
  walk([expression], (kind, node) => {
    if (kind === "ColumnRef") found.add(stringsOf(node, "fields").at(-1) ?? "");
  });
  return [...found];
}

/** Columns that cannot be null where the expression is true: `c IS NOT NULL`, alone or among the parts of an AND. */
export function provedNotNull(expression: Node | undefined): readonly string[] {
  if (expression === undefined) return [];
  if (expression["nulltesttype"] === "IS_NOT_NULL") {
    const argument = childOf(expression, "arg");
    const field = stringsOf(argument, "fields").at(-1);
    return field === undefined ? [] : [field];
  }
  if (expression["boolop"] !== "AND_EXPR") return [];
  return listOf(expression, "args").flatMap(({ node }) => provedNotNull(node));
}

/** The keys of CREATE INDEX, as `IndexState` has them. */
export function indexKeys(node: Node): readonly string[] {
  return listOf(node, "indexParams").map(
    ({ node: key }) => textOf(key, "name") ?? expressionKey(columnsIn(key["expr"])),
  );
}

function addIndex(table: TableState, node: Node): void {
  const keys = listOf(node, "indexParams").map(({ node: key }) => key);
  const columns = keys.flatMap((key) => textOf(key, "name") ?? []);
  const name = textOf(node, "idxname") ?? [table.name, ...columns, "idx"].join("_");
  const expressions = [...keys.map((key) => key["expr"]), node["whereClause"]].filter((part) => part !== undefined);
  table.indexes.set(name, {
    columns,
    expressions: expressions.flatMap((expression) => columnsIn(expression)).join(" "),
    isUnique: flagOf(node, "unique"),
    isPartial: node["whereClause"] !== undefined,
    notNullColumn:
      childOf(node, "whereClause")?.["boolop"] === undefined
        ? provedNotNull(childOf(node, "whereClause"))[0]
        : undefined,
    keys: indexKeys(node),
  });
}

function applyTableCommand(state: BatchState, table: TableState, action: Action): void {
  const { kind, node, name = "" } = action;
  switch (kind) {
    case "AT_AddColumn": {
      const column = textOf(node, "colname") ?? "";
      const known = table.columns.get(column); // it was there: IF NOT EXISTS
      addColumn(table, node);
      if (known === undefined || known.isNew === true) state.noteMadeColumn(table.columns.get(column));
      break;
    }
    case "AT_DropColumn":
      table.columns.delete(name);
      for (const [key, constraint] of table.constraints)
        if (constraint.columns.includes(name)) table.constraints.delete(key);
      for (const [key, index] of table.indexes) if (index.columns.includes(name)) table.indexes.delete(key);
      break;
    case "AT_SetNotNull":
      setNullable(table, name, false);
      break;
    case "AT_DropNotNull":
      setNullable(table, name, true);
      break;
    case "AT_AddConstraint":
      addConstraint(table, node, undefined);
      break;
    case "AT_ValidateConstraint": {
      const constraint = table.constraints.get(name);
      if (constraint === undefined) {
        const unknown = {
          kind: "check",
          columns: [],
          isValidated: true,
          provesNotNull: [],
          references: undefined,
        } as const;
        if (!table.isComplete) table.constraints.set(name, { ...unknown, isToldByName: true });
        break;
      }
      constraint.isValidated = true;
      if (constraint.kind === "not null") for (const column of constraint.columns) setNullable(table, column, false);
      break;
    }
    case "AT_DropConstraint":
      table.constraints.delete(name);
      table.indexes.delete(name);
      break;
    case "AT_AlterColumnType": {
      const known = table.columns.get(name);
      const type = typeOf(childOf(node, "typeName"));
      if (known !== undefined) known.type = type;
      else table.columns.set(name, { type, isNullable: undefined });
      break;
    }
    case "AT_AttachPartition": {
      const child = relationName(childOf(node, "name"));
      if (child !== undefined) table.partitions.push(child);
      // Queries of the parent use it from now on; what works on an empty one is over at once.
      const attached = child === undefined ? undefined : state.find(child);
      if (attached?.isFilled === true && !table.isNew) attached.isNew = false;
      if (flagOf(childOf(node, "bound"), "is_default")) table.hasDefaultPartition = true;
      break;
    }
    default:
  }
}

function rename(state: BatchState, { node }: Action): void {
  const name = relationName(childOf(node, "relation"));
  const to = textOf(node, "newname");
  const from = textOf(node, "subname");
  if (node["renameType"] === "OBJECT_SCHEMA" && from !== undefined && to !== undefined) {
    state.renameSchema(from, to);
    state.madeSchemas.delete(from);
  }
  if (name === undefined || to === undefined) return;
  if (node["renameType"] === "OBJECT_TABLE") {
    state.rename(state.table(name), to);
  } else if (node["renameType"] === "OBJECT_COLUMN" && from !== undefined) {
    const table = state.table(name);
    const column = table.columns.get(from);
    table.columns.delete(from);
    table.columns.set(to, column ?? { type: undefined, isNullable: undefined });
  } else if (node["renameType"] === "OBJECT_TABCONSTRAINT" && from !== undefined) {
    const table = state.table(name);
    move(table.constraints, from, to);
    move(table.indexes, from, to);
  } else if (node["renameType"] === "OBJECT_INDEX") {
    const table = state.tableOfIndex(name.name);
    const index = table?.indexes.get(name.name);
    if (table === undefined || index === undefined) return;
    table.indexes.delete(name.name);
    table.indexes.set(to, index);
  }
}

function move<T>(named: Map<string, T>, from: string, to: string): void {
  const found = named.get(from);
  named.delete(from);
  if (found !== undefined) named.set(to, found);
}

function drop(state: BatchState, node: Node): void {
  for (const name of droppedNames(node)) {
    if (node["removeType"] === "OBJECT_TABLE") state.table(name).isDropped = true;
    else if (node["removeType"] === "OBJECT_INDEX") state.tableOfIndex(name.name)?.indexes.delete(name.name);
  }
}

function createDomain(state: BatchState, node: Node): void {
  const { name } = nameOfParts(stringsOf(node, "domainname"));
  const isConstrained = constraintsOf(node).some(({ contype }) =>
    ["CONSTR_CHECK", "CONSTR_NOTNULL"].includes(String(contype)),
  );
  const base = typeOf(childOf(node, "typeName"));
  state.domains.set(name, {
    isConstrained,
    base: base === undefined ? undefined : parseType(base.name).name,
  });
  state.newTypes.add(name);
}

/** A constraint or NOT NULL that it gets. Whether one that goes was the last is not known. */
function alterDomain(state: BatchState, node: Node): void {
  const { name } = nameOfParts(stringsOf(node, "typeName"));
  const domain = state.domains.get(name);
  if (domain === undefined || !["C", "O"].includes(textOf(node, "subtype") ?? "")) return;
  state.domains.set(name, { ...domain, isConstrained: true });
}

function createFunction(state: BatchState, node: Node): void {
  const { name } = nameOfParts(stringsOf(node, "funcname"));
  const option = listOf(node, "options").find(({ node: item }) => textOf(item, "defname") === "volatility")?.node;
  const said = textOf(childOf(option, "arg"), "sval");
  state.noteFunction(name, said === "immutable" || said === "stable" ? said : "volatile");
  if (!flagOf(node, "replace")) state.newFunctions.add(name);
}

function set(state: BatchState, node: Node): void {
  const name = textOf(node, "name")?.toLowerCase();
  if (name === undefined) return;
  const values = listOf(node, "args").map(({ node: value }) => {
    const wrapped = value["sval"] ?? value["ival"] ?? value["fval"];
    return typeof wrapped === "object" && wrapped !== null ? String(Object.values(wrapped)[0] ?? "0") : String(wrapped);
  });
  if (node["kind"] === "VAR_SET_VALUE") state.settings.set(name, values.join(", "));
  else state.settings.delete(name);
  if (name === "search_path") {
    const path = values.filter((value) => value !== "" && !value.startsWith("$") && value !== "pg_catalog");
    state.searchPath = node["kind"] === "VAR_SET_VALUE" && path.length > 0 ? path : ["public"];
  }
}

/** `SELECT set_config('name', 'value', …)`. A condition is taken to hold: such a line sets what is not set already. */
function setByCall(state: BatchState, node: Node): void {
  for (const { node: target } of listOf(node, "targetList")) {
    const call = childOf(target, "val");
    if (stringsOf(call, "funcname").at(-1) !== "set_config") continue;
    const [name, value] = listOf(call, "args").map(({ node: argument }) => textOf(childOf(argument, "sval"), "sval"));
    if (name !== undefined && value !== undefined) state.settings.set(name.toLowerCase(), value);
  }
}

/** Whether CONCURRENTLY is said, in each of its spellings. */
export function isConcurrent(action: Action): boolean {
  return flagOf(action.node, "concurrent") || hasOption(action.node, "params", "concurrently");
}
