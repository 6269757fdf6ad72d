// Statements that write, lock or copy every row of a table others use: they take as long as it is large.
import { relationsIn } from "../apply-statement.ts";
import { childOf, isNode, listOf, relationName, textOf, unwrap, type Node } from "../syntax.ts";
import { holdsForEveryRow } from "./constant-condition.ts";
import { defineLintRule, type LintRule, type RuleContext } from "./rule.ts";
import { hasFewRows } from "./transactions.ts";
import { sqlName } from "./words.ts";

const IN_BATCHES = `-- in batches of some thousand rows, each in a transaction of its own:\n… WHERE id > $1 AND id <= $2`;

/** What a statement does to every row of a table, with the table. */
function reachesAll(
  { kind, node }: { readonly kind: string; readonly node: Node },
  transaction: number | undefined,
): string | undefined {
  switch (kind) {
    case "UpdateStmt":
    case "DeleteStmt":
      if (node["whereClause"] !== undefined && !holdsForEveryRow(childOf(node, "whereClause"))) return undefined;
      return kind === "UpdateStmt" ? "written" : "deleted";
    case "MergeStmt": {
      const joinsAll = holdsForEveryRow(childOf(node, "joinCondition"));
      for (const { node: clause } of listOf(node, "mergeWhenClauses")) {
        const isOfTarget =
          clause["matchKind"] === "MERGE_WHEN_NOT_MATCHED_BY_SOURCE" ||
          (joinsAll && clause["matchKind"] === "MERGE_WHEN_MATCHED");
        if (!isOfTarget || clause["condition"] !== undefined) continue;
        if (clause["commandType"] === "CMD_DELETE") return joinsAll ? "deleted" : "deleted where the source lacks it";
        if (clause["commandType"] === "CMD_UPDATE") return joinsAll ? "written" : "written where the source lacks it";
      }
      return undefined;
    }
    case "SelectStmt": {
      // Outside a transaction the locks end with the statement.
      const isLocked = listOf(node, "lockingClause").length > 0 && transaction !== undefined;
      const isNarrow = ["whereClause", "limitCount"].some((clause) => node[clause] !== undefined);
      return isLocked && !isNarrow && listOf(node, "fromClause").length === 1 ? "locked until COMMIT" : undefined;
    }
    default:
      return undefined;
  }
}

function tableOf({ kind, node }: { readonly kind: string; readonly node: Node }): ReturnType<typeof relationName> {
  return relationName(kind === "SelectStmt" ? listOf(node, "fromClause")[0]?.node : childOf(node, "relation"));
}

export const writeWithoutWhere: LintRule = defineLintRule({
  id: "write-without-where",
  on: ["UpdateStmt", "DeleteStmt", "SelectStmt", "InsertStmt", "MergeStmt"],
  title: "UPDATE, DELETE or lock of every row",
  severity: "warning",
  isRecommended: true,
  why: "Every row is locked and written in one transaction; others wait for it, and replicas lag. A WHERE that holds for every row is none.",
  bad: "UPDATE users SET email = '';",
  good: "UPDATE users SET email = '' WHERE id BETWEEN 1 AND 1000;",
  check({ action, isLive, transaction }) {
    // The statement itself, and those in its WITH.
    const inner = listOf(childOf(action.node, "withClause"), "ctes").flatMap(({ node }) => {
      const query = node["ctequery"];
      return isNode(query) ? [unwrap(query)] : [];
    });
    return [{ kind: action.kind, node: action.node }, ...inner].flatMap((part) => {
      const how = reachesAll(part, transaction);
      const table = how === undefined ? undefined : tableOf(part);
      if (how === undefined || table === undefined || !isLive(table)) return [];
      return [{ message: `every row of ${sqlName(table)} is ${how}`, rewrite: IN_BATCHES }];
    });
  },
});

/** The relation that a query makes, and the query; not for temporary tables and materialized views. */
function madeByQuery({
  action: { kind, node },
}: RuleContext): { readonly into: Node; readonly query: Node } | undefined {
  const into = childOf(node, kind === "SelectStmt" ? "intoClause" : "into");
  const query = kind === "SelectStmt" ? node : childOf(node, "query");
  if (into === undefined || query === undefined || into["skipData"] === true) return undefined;
  if (kind !== "SelectStmt" && textOf(node, "objtype") !== "OBJECT_TABLE") return undefined;
  return childOf(into, "rel")?.["relpersistence"] === "t" ? undefined : { into, query };
}

export const tableByQuery: LintRule = defineLintRule({
  id: "table-made-by-query",
  on: ["CreateTableAsStmt", "SelectStmt"],
  title: "A table is made of the rows of another one",
  severity: "info",
  isRecommended: true,
  why: "All rows are read and written in one statement. The copy has no keys, constraints, defaults, indexes, rights and row security: it shows rows that the first table hides.",
  bad: "CREATE TABLE old_users AS SELECT * FROM users;",
  good: "CREATE TABLE old_users (LIKE users INCLUDING ALL);",
  check(context) {
    const { isLive } = context;
    const made = madeByQuery(context);
    const source =
      made === undefined || made.query["limitCount"] !== undefined
        ? undefined
        : relationsIn([made.query["fromClause"], made.query["larg"], made.query["rarg"]]).find(
            (name) => isLive(name) && !hasFewRows(name),
          );
    if (made === undefined || source === undefined) return undefined;
    return {
      message: `rows of ${sqlName(source)} are copied to ${sqlName(relationName(childOf(made.into, "rel")))}, without its keys and rights`,
      rewrite: `CREATE TABLE … (LIKE ${sqlName(source)} INCLUDING ALL);\n-- then its rows in batches of some thousand`,
    };
  },
});
