// Keys and checks: what PostgreSQL refuses, what may fail on the rows that are there, vectors.
import { columnsIn } from "../apply-statement.ts";
import type { BatchState } from "../batch-state.ts";
import { provesNotNull } from "../locks.ts";
import {
  childOf,
  constraintsOf,
  flagOf,
  listOf,
  relationName,
  stringsOf,
  tableColumns,
  textOf,
  walk,
  type Action,
  type Name,
  type Node,
} from "../syntax.ts";
import { typeOf, type ColumnType } from "../type-change.ts";
import { changingFunctionIn } from "../default-volatility.ts";
import { defineLintRule, type LintRule } from "./rule.ts";
import { sqlName, word } from "./words.ts";

const KEY_LISTS = ["keys", "pk_attrs", "fk_attrs"] as const;
const WITH_CONSTRAINTS = ["CreateStmt", "AT_AddConstraint", "AT_AddColumn"];

/** Constraints that the action makes, each with the column it is written at. */
function madeConstraints({
  kind,
  node,
}: Action): readonly { readonly node: Node; readonly column: string | undefined }[] {
  const inline = (column: Node): readonly { readonly node: Node; readonly column: string | undefined }[] =>
    constraintsOf(column).map((constraint) => ({ node: constraint, column: textOf(column, "colname") }));
  if (kind === "AT_AddConstraint") return [{ node, column: undefined }];
  if (kind === "AT_AddColumn") return inline(node);
  if (kind !== "CreateStmt") return [];
  return listOf(node, "tableElts").flatMap(({ kind: element, node: item }) =>
    element === "Constraint" ? [{ node: item, column: undefined }] : inline(item),
  );
}

export interface MadeForeignKey {
  readonly columns: readonly string[];
  readonly references: Name;
  readonly referencedColumns: readonly string[];
}

export function madeForeignKeys(action: Action, state: BatchState): readonly MadeForeignKey[] {
  return madeConstraints(action).flatMap(({ node, column }) => {
    const references = node["contype"] === "CONSTR_FOREIGN" ? relationName(childOf(node, "pktable")) : undefined;
    if (references === undefined) return [];
    const written = stringsOf(node, "pk_attrs");
    const key = [...state.table(references).constraints.values()].find(({ kind }) => kind === "primary key");
    return [
      {
        columns: column === undefined ? stringsOf(node, "fk_attrs") : [column],
        references,
        referencedColumns: written.length > 0 ? written : (key?.columns ?? []),
      },
    ];
  });
}

/** Types of the columns as they are when the action is over. */
function columnTypes(action: Action, state: BatchState): (column: string) => ColumnType | undefined {
  const written =
    action.kind === "CreateStmt" ? tableColumns(action.node) : action.kind === "AT_AddColumn" ? [action.node] : [];
  return (column) => {
    const own = written.find((item) => textOf(item, "colname") === column);
    if (own !== undefined) return typeOf(childOf(own, "typeName"));
    return action.table === undefined || action.kind === "CreateStmt"
      ? undefined
      : state.table(action.table).columns.get(column)?.type;
  };
}

const INTEGERS = new Set(["int2", "int4", "int8", "numeric"]);

export const keyRules: readonly LintRule[] = [
  defineLintRule({
    id: "foreign-key-type-mismatch",
    on: WITH_CONSTRAINTS,
    title: "A foreign key of another number type than the key it refers to",
    severity: "warning",
    isRecommended: true,
    why: "Keys that the one type holds do not fit the other: inserts fail when the numbers have grown. Changing the type later rewrites the table.",
    bad: "CREATE TABLE users (id bigint PRIMARY KEY);\nCREATE TABLE orders (user_id int REFERENCES users);",
    good: "CREATE TABLE users (id bigint PRIMARY KEY);\nCREATE TABLE orders (user_id bigint REFERENCES users);",
    check({ action, state }) {
      const own = columnTypes(action, state);
      return madeForeignKeys(action, state).flatMap(({ columns, references, referencedColumns }) =>
        columns.flatMap((column, index) => {
          const from = own(column)?.name;
          const referenced = referencedColumns[index];
          const to = referenced === undefined ? undefined : state.table(references).columns.get(referenced)?.type?.name;
          if (from === undefined || to === undefined || from === to || !INTEGERS.has(from) || !INTEGERS.has(to))
            return [];
          return [
            {
              message: `${column} is ${from}, ${sqlName(references)}.${referenced ?? ""} is ${to}`,
              rewrite: `${word(column)} ${to}`,
            },
          ];
        }),
      );
    },
  }),
  defineLintRule({
    id: "partition-key-not-in-key",
    on: ["CreateStmt"],
    title: "A primary key or unique constraint without the partition key",
    severity: "error",
    isRecommended: true,
    why: "PostgreSQL refuses it (0A000): a unique constraint of a partitioned table must hold all columns of the partition key.",
    bad: "CREATE TABLE events (id bigint PRIMARY KEY, at date NOT NULL) PARTITION BY RANGE (at);",
    good: "CREATE TABLE events (id bigint, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);",
    check({ action }) {
      const parts = listOf(childOf(action.node, "partspec"), "partParams").map(({ node }) => node);
      if (parts.length === 0) return undefined;
      const needed = parts.flatMap((part) => textOf(part, "name") ?? []);
      return madeConstraints(action).flatMap(({ node, column }) => {
        if (node["contype"] !== "CONSTR_PRIMARY" && node["contype"] !== "CONSTR_UNIQUE") return [];
        const columns = column === undefined ? stringsOf(node, "keys") : [column];
        const missing = needed.filter((name) => !columns.includes(name));
        const hasExpression = needed.length < parts.length;
        if (missing.length === 0 && !hasExpression) return [];
        return [
          {
            message: hasExpression
              ? `${sqlName(action.table)} is partitioned by an expression: it can have no unique constraint`
              : `the key (${columns.join(", ")}) of ${sqlName(action.table)} lacks ${missing.join(", ")}`,
            rewrite: `PRIMARY KEY (${[...columns, ...missing].map(word).join(", ")})`,
          },
        ];
      });
    },
  }),
  defineLintRule({
    id: "duplicate-key-column",
    on: WITH_CONSTRAINTS,
    title: "A key names a column twice",
    severity: "error",
    isRecommended: true,
    why: "PostgreSQL refuses it in a primary key, in a unique constraint (42701) and in what a foreign key refers to (42830); where a foreign key refers from, two columns are held against one.",
    bad: "CREATE TABLE orders (id bigint, line int, PRIMARY KEY (id, id));",
    good: "CREATE TABLE orders (id bigint, line int, PRIMARY KEY (id, line));",
    check({ action }) {
      return madeConstraints(action).flatMap(({ node }) =>
        KEY_LISTS.flatMap((list) => {
          if (node[list] === undefined) return [];
          const columns = stringsOf(node, list);
          const twice = columns.filter((column, index) => columns.indexOf(column) < index);
          if (twice.length === 0) return [];
          return [
            {
              severity: list === "fk_attrs" ? ("warning" as const) : undefined,
              message: `${[...new Set(twice)].join(", ")} is named twice in (${columns.join(", ")})`,
              rewrite: "-- name each column once",
            },
          ];
        }),
      );
    },
  }),
  defineLintRule({
    id: "check-with-subquery",
    on: WITH_CONSTRAINTS,
    title: "A CHECK with a subquery",
    severity: "error",
    isRecommended: true,
    why: "PostgreSQL refuses it (0A000): a CHECK sees one row. A composite foreign key says that two rows belong together.",
    bad: "CREATE TABLE orders (user_id int, tenant int, CHECK (tenant = (SELECT u.tenant FROM users AS u WHERE u.id = user_id)));",
    good: "CREATE TABLE orders (user_id int, tenant int, FOREIGN KEY (tenant, user_id) REFERENCES users (tenant, id));",
    check({ action }) {
      return madeConstraints(action).flatMap(({ node }) => {
        if (node["contype"] !== "CONSTR_CHECK") return [];
        let has = false;
        walk([node["raw_expr"]], (kind) => {
          if (kind === "SubLink") has = true;
        });
        return has
          ? [{ message: "a CHECK cannot hold a subquery", rewrite: "-- a composite foreign key, or a trigger" }]
          : [];
      });
    },
  }),
  defineLintRule({
    id: "default-with-column",
    on: ["CreateStmt", "AT_AddColumn", "AT_ColumnDefault"],
    title: "A DEFAULT that names a column or asks a table",
    severity: "error",
    isRecommended: true,
    why: "PostgreSQL refuses it (0A000): a default is made before the row is there. A generated column or a trigger sees the row.",
    bad: "CREATE TABLE users (email text, login text DEFAULT lower(email));",
    good: "CREATE TABLE users (email text, login text GENERATED ALWAYS AS (lower(email)) STORED);",
    check({ action }) {
      const { kind, node } = action;
      const defaults =
        kind === "AT_ColumnDefault"
          ? [{ node, column: action.name }]
          : madeConstraints(action)
              .filter(({ node: constraint }) => constraint["contype"] === "CONSTR_DEFAULT")
              .map(({ node: constraint, column }) => ({ node: childOf(constraint, "raw_expr"), column }));
      return defaults.flatMap(({ node: expression, column = "" }) => {
        let what: string | undefined;
        walk([{ expression }], (inner, part) => {
          if (inner === "SubLink") what = "a subquery";
          else if (inner === "ColumnRef" || part["fields"] !== undefined)
            what ??= `the column ${stringsOf(part, "fields").join(".")}`;
        });
        return what === undefined
          ? []
          : [{ message: `the default of ${column} holds ${what}`, rewrite: "-- a generated column, or a trigger" }];
      });
    },
  }),
  defineLintRule({
    id: "check-with-changing-function",
    on: WITH_CONSTRAINTS,
    title: "A CHECK that calls a function whose answer may change",
    severity: "warning",
    isRecommended: true,
    why: "A row that was right becomes wrong without being written: dumps cannot be restored then. PostgreSQL takes every CHECK for immutable.",
    bad: "CREATE TABLE users (born date, CHECK (born <= CURRENT_DATE));",
    good: "CREATE TABLE users (born date, CHECK (born > '1900-01-01'));",
    check({ action, state }) {
      return madeConstraints(action).flatMap(({ node }) => {
        if (node["contype"] !== "CONSTR_CHECK") return [];
        const name = changingFunctionIn(node["raw_expr"], state);
        return name === undefined
          ? []
          : [{ message: `the CHECK calls ${name}()`, rewrite: "-- declare it IMMUTABLE if it is, or use a trigger" }];
      });
    },
  }),
  defineLintRule({
    id: "unique-may-fail",
    on: ["IndexStmt", "AT_AddConstraint"],
    title: "Uniqueness is asked of rows that are there",
    severity: "info",
    isRecommended: false,
    why: "It fails where two rows agree; a CONCURRENTLY build then leaves an INVALID index behind.",
    bad: "CREATE UNIQUE INDEX CONCURRENTLY users_email_key ON users (email);",
    good: "CREATE TABLE users (email text);\nCREATE UNIQUE INDEX users_email_key ON users (email);",
    check({ action, isLive }) {
      const { kind, node, table } = action;
      if (!isLive(table)) return undefined;
      const columns =
        kind === "IndexStmt" && flagOf(node, "unique")
          ? listOf(node, "indexParams").map(
              ({ node: key }) => textOf(key, "name") ?? `(${columnsIn(key["expr"]).join()})`,
            )
          : node["contype"] === "CONSTR_UNIQUE" || node["contype"] === "CONSTR_PRIMARY"
            ? stringsOf(node, "keys")
            : [];
      if (columns.length === 0) return undefined;
      const list = columns.join(", ");
      return {
        message: `rows of ${sqlName(table)} may agree in ${list}`,
        rewrite: `-- look first:\nSELECT ${list}, count(*) FROM ${sqlName(table)} GROUP BY ${list} HAVING count(*) > 1;`,
      };
    },
  }),
  defineLintRule({
    id: "not-null-may-fail",
    on: ["AT_SetNotNull"],
    title: "NOT NULL is asked of rows that are there",
    severity: "info",
    isRecommended: false,
    why: "It fails where a row is null, after the table was locked.",
    bad: "ALTER TABLE users ALTER COLUMN email SET NOT NULL;",
    good: "ALTER TABLE users ADD CONSTRAINT present CHECK (email IS NOT NULL) NOT VALID;\nALTER TABLE users VALIDATE CONSTRAINT present;\nALTER TABLE users ALTER COLUMN email SET NOT NULL;",
    check({ action, isLive, state }) {
      const { table, name = "" } = action;
      if (table === undefined || !isLive(table) || provesNotNull(state.table(table), name)) return undefined;
      return {
        message: `rows of ${sqlName(table)} may have no ${name}`,
        rewrite: `-- look first:\nSELECT count(*) FROM ${sqlName(table)} WHERE ${word(name)} IS NULL;`,
      };
    },
  }),
  defineLintRule({
    id: "vector-dimension",
    on: ["AT_AlterColumnType"],
    title: "The dimensions of a vector column change",
    severity: "error",
    isRecommended: true,
    why: "Vectors of another length do not fit: it fails where there are rows. Embeddings of another model are to be computed anew.",
    bad: "ALTER TABLE notes ALTER COLUMN embedding TYPE vector(768);",
    good: "ALTER TABLE notes ADD COLUMN embedding_768 vector(768);",
    check({ action, state, isLive }) {
      const to = typeOf(childOf(action.node, "typeName"));
      if (to === undefined || action.table === undefined || !isLive(action.table)) return undefined;
      if (!["vector", "halfvec", "sparsevec"].includes(to.name) || to.modifiers.length === 0) return undefined;
      const from = state.table(action.table).columns.get(action.name ?? "")?.type;
      if (from !== undefined && from.modifiers.join() === to.modifiers.join()) return undefined;
      return {
        message: `${action.name ?? ""} of ${sqlName(action.table)} gets ${to.modifiers.join()} dimensions`,
        rewrite: `ALTER TABLE ${sqlName(action.table)} ADD COLUMN ${word(`${action.name ?? ""}_${to.modifiers.join()}`)} ${to.name}(${to.modifiers.join()});\n-- compute the embeddings in batches, build its index concurrently, move the programs, drop the old column`,
      };
    },
  }),
  defineLintRule({
    id: "vector-index-memory",
    on: ["IndexStmt"],
    title: "An HNSW index is built without maintenance_work_mem",
    severity: "info",
    isRecommended: false,
    why: "When the graph no longer fits into maintenance_work_mem (64 MB by default) the build becomes many times slower.",
    bad: "CREATE INDEX CONCURRENTLY i ON notes USING hnsw (embedding vector_cosine_ops);",
    good: "SET maintenance_work_mem = '2GB';\nCREATE INDEX CONCURRENTLY i ON notes USING hnsw (embedding vector_cosine_ops);",
    check({ action, state, isLive }) {
      if (textOf(action.node, "accessMethod") !== "hnsw" || !isLive(action.table)) return undefined;
      if (state.settings.has("maintenance_work_mem")) return undefined;
      return {
        message: `the graph over ${sqlName(action.table)} is built in maintenance_work_mem as the server has it`,
        rewrite: "SET maintenance_work_mem = '2GB';",
      };
    },
  }),
];
