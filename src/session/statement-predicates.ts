// Reads from a parse tree which tables a statement names and by which columns it filters, joins, groups and sorts. Names are
// resolved as far as the text alone allows: without the catalog, an unqualified column of a join has no table.

export interface StatementPredicate {
  /** `schema.table` or `table` as written; undefined when the text does not tell. */
  readonly table: string | undefined;
  readonly column: string;
  /** e.g. `=`, `IN`, `= ANY`, `LIKE`, `IS NULL`, `BETWEEN`, `@>`; `ASC` or `DESC` for sorting; `""` for grouping. */
  readonly operator: string;
  readonly clause: "where" | "join" | "order by" | "group by";
  /** The column stands inside an expression (`lower(email) = $1`), which an index on the plain column does not serve. */
  readonly isExpression: boolean;
}

export interface ReadStatement {
  readonly tables: readonly string[];
  readonly predicates: readonly StatementPredicate[];
  readonly columns: ReadonlySet<string>;
  readonly writesUnnamedColumns: boolean;
}

type Node = Readonly<Record<string, unknown>>;
type Clause = StatementPredicate["clause"];

const MAX_PREDICATES = 64;
const MAX_TABLES = 64;

/** Tables that names of one query level stand for; `undefined`: a subquery or a WITH query. */
class Scope {
  readonly parent: Scope | undefined;
  readonly sources = new Map<string, string | undefined>();
  readonly withNames = new Set<string>();
  constructor(parent: Scope | undefined) {
    this.parent = parent;
  }
  isWithName(name: string): boolean {
    return this.withNames.has(name) || (this.parent?.isWithName(name) ?? false);
  }
  find(alias: string): string | undefined {
    return this.sources.has(alias) ? this.sources.get(alias) : this.parent?.find(alias);
  }
  /** The table of a column without qualifier: known when there is but one. */
  get only(): string | undefined {
    return this.sources.size === 1 ? this.sources.values().next().value : undefined;
  }
}

export function readPredicates(parsed: unknown): ReadStatement {
  const reader = new Reader();
  for (const statement of listOf(parsed, "stmts")) reader.readStatement(nodeOf(statement, "stmt"), undefined);
  return {
    tables: [...reader.tables],
    predicates: [...reader.predicates.values()],
    columns: reader.columns,
    writesUnnamedColumns: reader.writesUnnamedColumns,
  };
}

class Reader {
  readonly tables = new Set<string>();
  readonly predicates = new Map<string, StatementPredicate>();
  readonly columns = new Set<string>();
  writesUnnamedColumns = false;

  readStatement(node: Node | undefined, parent: Scope | undefined): void {
    if (node === undefined) return;
    const select = nodeOf(node, "SelectStmt");
    if (select !== undefined) return this.readSelect(select, parent);
    const write =
      nodeOf(node, "InsertStmt") ??
      nodeOf(node, "UpdateStmt") ??
      nodeOf(node, "DeleteStmt") ??
      nodeOf(node, "MergeStmt");
    if (write !== undefined) return this.readWrite(write, parent, "InsertStmt" in node);
    this.readOther(node, new Scope(parent));
  }

  readSelect(select: Node, parent: Scope | undefined): void {
    const scope = new Scope(parent);
    this.#readWith(select, scope);
    for (const side of ["larg", "rarg"]) {
      const part = nodeOf(select, side);
      if (part !== undefined) this.readSelect(part, scope);
    }
    const source = listOf(select, "fromClause");
    for (const item of source) this.#addSource(item, scope);
    for (const item of source) this.#readJoins(item, scope);
    this.#readCondition(nodeOf(select, "whereClause"), scope, "where");
    for (const item of listOf(select, "groupClause")) this.#readOperand(item, scope, "group by", "");
    for (const item of listOf(select, "sortClause")) {
      const sort = nodeOf(item, "SortBy");
      if (sort !== undefined)
        this.#readOperand(
          nodeOf(sort, "node"),
          scope,
          "order by",
          sort["sortby_dir"] === "SORTBY_DESC" ? "DESC" : "ASC",
        );
    }
    for (const part of ["targetList", "havingClause", "valuesLists", "windowClause", "limitCount", "distinctClause"])
      this.readOther(select[part], scope);
  }

  readWrite(write: Node, parent: Scope | undefined, isInsert: boolean): void {
    const scope = new Scope(parent);
    this.#readWith(write, scope);
    const relation = nodeOf(write, "relation");
    if (relation !== undefined) this.#addSource({ RangeVar: relation }, scope);
    const source = [...listOf(write, "fromClause"), ...listOf(write, "usingClause")];
    const merged = nodeOf(write, "sourceRelation");
    if (merged !== undefined) source.push(merged);
    for (const item of source) this.#addSource(item, scope);
    for (const item of source) this.#readJoins(item, scope);
    this.#readCondition(nodeOf(write, "whereClause"), scope, "where");
    this.#readCondition(nodeOf(write, "joinCondition"), scope, "join");
    if (isInsert && listOf(write, "cols").length === 0) this.writesUnnamedColumns = true;
    this.readStatement(nodeOf(write, "selectStmt"), scope);
    for (const part of ["cols", "targetList", "returningClause", "onConflictClause", "mergeWhenClauses"])
      this.readOther(write[part], scope);
  }

  /** Everything else: names of tables and columns, and the queries inside. */
  readOther(value: unknown, scope: Scope): void {
    if (Array.isArray(value)) {
      for (const item of value) this.readOther(item, scope);
      return;
    }
    if (!isNode(value)) return;
    for (const [name, part] of Object.entries(value)) {
      if (name === "SelectStmt" && isNode(part)) this.readSelect(part, scope);
      else if (name === "RangeVar" || name === "relation") this.#addTable(isNode(part) ? part : {}, scope);
      else if (name === "ColumnRef" && isNode(part)) this.#columnOf(part, scope);
      else {
        if (name === "ResTarget" && isNode(part) && typeof part["name"] === "string") this.columns.add(part["name"]);
        this.readOther(part, scope);
      }
    }
  }

  #readWith(statement: Node, scope: Scope): void {
    const queries = listOf(nodeOf(statement, "withClause"), "ctes").map((item) => nodeOf(item, "CommonTableExpr"));
    for (const query of queries) scope.withNames.add(textOf(query, "ctename"));
    for (const query of queries) this.readStatement(nodeOf(query, "ctequery"), scope);
  }

  #addTable(range: Node, scope: Scope): string | undefined {
    const name = textOf(range, "relname");
    const schema = textOf(range, "schemaname");
    if (name === "" || (schema === "" && scope.isWithName(name))) return undefined;
    const table = schema === "" ? name : `${schema}.${name}`;
    if (this.tables.size < MAX_TABLES) this.tables.add(table);
    return table;
  }

  #addSource(item: unknown, scope: Scope): void {
    const range = nodeOf(item, "RangeVar");
    if (range !== undefined) {
      const alias = textOf(nodeOf(range, "alias"), "aliasname");
      scope.sources.set(alias === "" ? textOf(range, "relname") : alias, this.#addTable(range, scope));
      return;
    }
    const join = nodeOf(item, "JoinExpr");
    if (join !== undefined) {
      this.#addSource(nodeOf(join, "larg"), scope);
      this.#addSource(nodeOf(join, "rarg"), scope);
      return;
    }
    const subquery = nodeOf(item, "RangeSubselect");
    const alias = textOf(nodeOf(subquery ?? nodeOf(item, "RangeFunction"), "alias"), "aliasname");
    scope.sources.set(alias === "" ? `subquery ${scope.sources.size}` : alias, undefined);
    if (subquery !== undefined) this.readStatement(nodeOf(subquery, "subquery"), scope);
    else this.readOther(item, scope);
  }

  #readJoins(item: unknown, scope: Scope): void {
    const join = nodeOf(item, "JoinExpr");
    if (join === undefined) return;
    this.#readJoins(nodeOf(join, "larg"), scope);
    this.#readJoins(nodeOf(join, "rarg"), scope);
    this.#readCondition(nodeOf(join, "quals"), scope, "join");
    for (const using of listOf(join, "usingClause")) {
      const column = textOf(nodeOf(using, "String"), "sval");
      this.columns.add(column);
      this.#add({ table: undefined, column, operator: "=", clause: "join", isExpression: false });
    }
  }

  #readCondition(node: Node | undefined, scope: Scope, clause: Clause): void {
    if (node === undefined) return;
    const both = nodeOf(node, "BoolExpr");
    if (both !== undefined) {
      for (const part of listOf(both, "args")) this.#readCondition(isNode(part) ? part : undefined, scope, clause);
      return;
    }
    const comparison = nodeOf(node, "A_Expr");
    if (comparison !== undefined) {
      const operator = operatorOf(comparison);
      for (const side of ["lexpr", "rexpr"]) this.#readOperand(comparison[side], scope, clause, operator);
      return;
    }
    const nullTest = nodeOf(node, "NullTest");
    if (nullTest !== undefined) {
      const operator = nullTest["nulltesttype"] === "IS_NULL" ? "IS NULL" : "IS NOT NULL";
      this.#readOperand(nullTest["arg"], scope, clause, operator);
      return;
    }
    const subquery = nodeOf(node, "SubLink");
    if (subquery !== undefined) {
      this.#readOperand(subquery["testexpr"], scope, clause, "IN");
      this.readStatement(nodeOf(subquery, "subselect"), scope);
      return;
    }
    const flag = nodeOf(node, "BooleanTest");
    this.#readOperand(flag === undefined ? node : flag["arg"], scope, clause, "IS TRUE");
  }

  /** One side of a comparison: a column, a row of columns, or an expression that holds some. */
  #readOperand(value: unknown, scope: Scope, clause: Clause, operator: string): void {
    if (!isNode(value)) return;
    const column = nodeOf(value, "ColumnRef");
    if (column !== undefined) {
      const found = this.#columnOf(column, scope);
      if (found !== undefined) this.#add({ ...found, operator, clause, isExpression: false });
      return;
    }
    const row = nodeOf(value, "RowExpr");
    if (row !== undefined) {
      for (const part of listOf(row, "args")) this.#readOperand(part, scope, clause, operator);
      return;
    }
    this.#readExpression(value, scope, clause, operator);
  }

  #readExpression(value: unknown, scope: Scope, clause: Clause, operator: string): void {
    if (Array.isArray(value)) {
      for (const item of value) this.#readExpression(item, scope, clause, operator);
      return;
    }
    if (!isNode(value)) return;
    for (const [name, part] of Object.entries(value)) {
      if (name === "SelectStmt" && isNode(part)) this.readSelect(part, scope);
      else if (name === "ColumnRef" && isNode(part)) {
        const found = this.#columnOf(part, scope);
        if (found !== undefined) this.#add({ ...found, operator, clause, isExpression: true });
      } else this.#readExpression(part, scope, clause, operator);
    }
  }

  #columnOf(reference: Node, scope: Scope): { table: string | undefined; column: string } | undefined {
    const names = listOf(reference, "fields").map((part) => textOf(nodeOf(part, "String"), "sval"));
    const column = names.at(-1) ?? "";
    if (column === "") return undefined; // a star
    this.columns.add(column);
    const qualifier = names.at(-2);
    if (qualifier === undefined) return { table: scope.only, column };
    return { table: names.length > 2 ? `${names.at(-3)}.${qualifier}` : scope.find(qualifier), column };
  }

  #add(predicate: StatementPredicate): void {
    if (this.predicates.size >= MAX_PREDICATES) return;
    this.predicates.set(JSON.stringify(predicate), predicate);
  }
}

const WORDS: Readonly<Record<string, string>> = {
  "~~": "LIKE",
  "!~~": "NOT LIKE",
  "~~*": "ILIKE",
  "!~~*": "NOT ILIKE",
};

function operatorOf(comparison: Node): string {
  const name = textOf(nodeOf(listOf(comparison, "name").at(-1), "String"), "sval");
  const kind = String(comparison["kind"]).replace("AEXPR_", "");
  if (kind === "IN") return name === "<>" ? "NOT IN" : "IN";
  if (kind === "OP_ANY") return `${name} ANY`;
  if (kind === "OP_ALL") return `${name} ALL`;
  if (kind === "DISTINCT") return "IS DISTINCT FROM";
  if (kind === "NOT_DISTINCT") return "IS NOT DISTINCT FROM";
  return WORDS[name] ?? name;
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function nodeOf(value: unknown, name: string): Node | undefined {
  const found = isNode(value) ? value[name] : undefined;
  return isNode(found) ? found : undefined;
}

function listOf(value: unknown, name: string): unknown[] {
  const found = isNode(value) ? value[name] : undefined;
  return Array.isArray(found) ? found : [];
}

function textOf(value: unknown, name: string): string {
  const found = isNode(value) ? value[name] : undefined;
  return typeof found === "string" ? found : "";
}
