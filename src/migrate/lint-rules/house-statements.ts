// House style of queries inside migrations, and policies of some houses. Off until asked for; policies are asked for by name only.
import type { BatchState } from "../batch-state.ts";
import { childOf, isNode, listOf, relationName, stringsOf, textOf, walk, type Node } from "../syntax.ts";
import { madeForeignKeys } from "./keys.ts";
import { defineLintRule, type LintRule } from "./rule.ts";
import { hasFewRows } from "./transactions.ts";
import { sqlName } from "./words.ts";

/** Parts of a statement of one kind. */
function partsOf(root: Node, wanted: string): readonly Node[] {
  const found: Node[] = [];
  walk([{ root }], (kind, node) => {
    if (kind === wanted) found.push(node);
  });
  return found;
}

function hasStar(select: Node): boolean {
  return listOf(select, "targetList").some(({ node }) => {
    const fields = childOf(node, "val")?.["fields"];
    return Array.isArray(fields) && fields.some((field) => isNode(field) && "A_Star" in field);
  });
}

/** Rows that one INSERT may write before it is reported. */
const DEFAULT_INSERT_ROWS = 1_000;
/** What makes a SELECT give fewer rows than its table has, or others. */
const NARROWS = ["whereClause", "limitCount", "groupClause", "havingClause", "distinctClause", "larg"];

/** Estimated rows of a SELECT of one whole table; `undefined` where it is not that, or its table was never analyzed. */
function rowsOfAll(select: Node | undefined, state: BatchState): number | undefined {
  if (select === undefined || NARROWS.some((clause) => select[clause] !== undefined)) return undefined;
  const [source, ...others] = listOf(select, "fromClause");
  const name = relationName(source?.node);
  return name === undefined || others.length > 0 ? undefined : state.find(name)?.rowEstimate;
}

export const houseStatementRules: readonly LintRule[] = [
  defineLintRule({
    id: "select-star",
    on: ["ViewStmt", "CreateTableAsStmt", "InsertStmt"],
    title: "SELECT * where its columns are kept",
    severity: "info",
    isRecommended: false,
    why: "A view keeps the columns of the day it was made, and an INSERT fails or shifts when a column is added.",
    bad: "CREATE VIEW names AS SELECT * FROM users;",
    good: "CREATE VIEW names AS SELECT id, name FROM users;",
    check({ action: { kind, node } }) {
      const key = kind === "InsertStmt" ? "selectStmt" : "query";
      const select = childOf(node, key);
      if (!["ViewStmt", "CreateTableAsStmt", "InsertStmt"].includes(kind) || select === undefined) return undefined;
      const branches = [select, childOf(select, "larg"), childOf(select, "rarg")];
      return branches.some((branch) => branch !== undefined && hasStar(branch))
        ? { message: "its columns are those of today", rewrite: "-- name the columns" }
        : undefined;
    },
  }),
  defineLintRule({
    id: "leading-wildcard",
    on: ["SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "ViewStmt", "CreateTableAsStmt"],
    title: "LIKE with a wildcard in front",
    severity: "info",
    isRecommended: false,
    why: "No B-tree index serves it: every row is read. A trigram index (pg_trgm) does.",
    bad: "UPDATE users SET kind = 'test' WHERE email LIKE '%@example.org';",
    good: "UPDATE users SET kind = 'test' WHERE email LIKE 'test-%';",
    check({ action: { node } }) {
      return partsOf(node, "A_Expr")
        .filter(({ kind }) => kind === "AEXPR_LIKE" || kind === "AEXPR_ILIKE")
        .map((expression) => textOf(childOf(childOf(expression, "rexpr"), "sval"), "sval") ?? "")
        .filter((pattern) => /^[%_]/.test(pattern) && /[^%]/.test(pattern))
        .map((pattern) => ({
          message: `every row is compared with '${pattern}'`,
          rewrite: "-- CREATE EXTENSION pg_trgm",
        }));
    },
  }),
  defineLintRule({
    id: "order-by-random",
    on: ["SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "ViewStmt", "CreateTableAsStmt"],
    title: "ORDER BY random()",
    severity: "info",
    isRecommended: true,
    why: "Every row is read and sorted for the few that are taken.",
    bad: "INSERT INTO winners (user_id) SELECT id FROM users ORDER BY random() LIMIT 3;",
    good: "INSERT INTO winners (user_id) SELECT id FROM users TABLESAMPLE system_rows (3);",
    check({ action: { node }, statement }) {
      // Looking through the tree of every INSERT would cost more than most rules together.
      if (!/random/i.test(statement.text)) return undefined;
      const isRandom = partsOf(node, "SortBy").some(
        (sort) => stringsOf(childOf(sort, "node"), "funcname").at(-1) === "random",
      );
      return isRandom ? { message: "all rows are sorted by chance", rewrite: "TABLESAMPLE" } : undefined;
    },
  }),
  defineLintRule({
    id: "insert-without-columns",
    on: ["InsertStmt"],
    title: "INSERT without the names of its columns",
    severity: "info",
    isRecommended: true,
    why: "It fails, or writes to other columns, where the table has one more or has them in another order. The columns of a table that the batch makes are known.",
    bad: "INSERT INTO roles VALUES (1, 'admin');",
    good: "INSERT INTO roles (id, name) VALUES (1, 'admin');",
    check({ action: { kind, node, table }, isLive }) {
      if (kind !== "InsertStmt" || listOf(node, "cols").length > 0 || node["selectStmt"] === undefined)
        return undefined;
      if (table === undefined || !isLive(table) || hasFewRows(table)) return undefined;
      return {
        message: `the columns of ${sqlName(table)} are not named`,
        rewrite: `INSERT INTO ${sqlName(table)} (…)`,
      };
    },
  }),
  defineLintRule({
    id: "insert-many-rows",
    on: ["InsertStmt"],
    title: "An INSERT of many rows in one statement",
    severity: "info",
    isRecommended: true,
    why: "All of them are locked and written in one transaction, which replicas and vacuum wait for; rows that stand in the statement are parsed at once. More than 1,000, or maxInsertRows of the configuration. What a SELECT gives is told by the catalog's estimate (--database).",
    bad: "-- given maxInsertRows 2\nINSERT INTO codes (code) VALUES (1), (2), (3);",
    good: "INSERT INTO codes (code) VALUES (1), (2);",
    check({ action: { node, table }, maxInsertRows = DEFAULT_INSERT_ROWS, state }) {
      const select = childOf(node, "selectStmt");
      const written = select?.["valuesLists"];
      const rows = Array.isArray(written) ? written.length : rowsOfAll(select, state);
      if (rows === undefined || rows <= maxInsertRows) return undefined;
      return {
        message: `${rows} rows are written to ${sqlName(table)} at once`,
        rewrite: "-- in parts of some thousand rows, each in a transaction of its own; COPY is faster",
      };
    },
  }),
  defineLintRule({
    id: "no-foreign-keys",
    on: ["CreateStmt", "AT_AddConstraint", "AT_AddColumn"],
    title: "A foreign key, where the house has none",
    severity: "warning",
    isRecommended: false,
    isPolicy: true,
    why: "Some houses keep references in their programs, e.g. because tables are to move to other servers.",
    bad: "CREATE TABLE notes (user_id bigint REFERENCES users);",
    good: "CREATE TABLE notes (user_id bigint);",
    check({ action, state }) {
      return madeForeignKeys(action, state).map(({ columns, references }) => ({
        message: `${columns.join(", ")} of ${sqlName(action.table)} refers to ${sqlName(references)}`,
        rewrite: "-- leave it out",
      }));
    },
  }),
  defineLintRule({
    id: "no-partitions",
    on: ["CreateStmt"],
    title: "A partitioned table, where the house has none",
    severity: "warning",
    isRecommended: false,
    isPolicy: true,
    why: "Some houses do without: every key has to hold the partition's columns, and partitions have to be made in time.",
    bad: "CREATE TABLE events (at timestamptz) PARTITION BY RANGE (at);",
    good: "CREATE TABLE events (at timestamptz);",
    check({ action: { kind, node, table } }) {
      return kind === "CreateStmt" && node["partspec"] !== undefined
        ? { message: `${sqlName(table)} is partitioned`, rewrite: "-- a plain table" }
        : undefined;
    },
  }),
];
