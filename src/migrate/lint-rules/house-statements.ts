// House style of queries inside migrations, and policies of some houses. Off until asked for; policies are asked for by name only.
import { childOf, isNode, listOf, stringsOf, textOf, walk, type Node } from "../syntax.ts";
import { madeForeignKeys } from "./keys.ts";
import { defineLintRule, type LintRule } from "./rule.ts";
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
    isRecommended: false,
    why: "Every row is read and sorted for the few that are taken.",
    bad: "INSERT INTO winners (user_id) SELECT id FROM users ORDER BY random() LIMIT 3;",
    good: "INSERT INTO winners (user_id) SELECT id FROM users TABLESAMPLE system_rows (3);",
    check({ action: { node } }) {
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
    isRecommended: false,
    why: "It fails, or writes to other columns, as soon as the table has one more.",
    bad: "INSERT INTO roles VALUES (1, 'admin');",
    good: "INSERT INTO roles (id, name) VALUES (1, 'admin');",
    check({ action: { kind, node, table } }) {
      if (kind !== "InsertStmt" || listOf(node, "cols").length > 0 || node["selectStmt"] === undefined)
        return undefined;
      return {
        message: `the columns of ${sqlName(table)} are not named`,
        rewrite: `INSERT INTO ${sqlName(table)} (…)`,
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
