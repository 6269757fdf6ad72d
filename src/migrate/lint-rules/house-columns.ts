// House style of tables: the columns every table has, comments, columns that may be empty, types and collations to avoid. Off until
// asked for.
import {
  childOf,
  constraintOf,
  constraintsOf,
  listOf,
  stringsOf,
  tableColumns,
  textOf,
  type Action,
  type Node,
} from "../syntax.ts";
import { typeOf, type ColumnType } from "../type-change.ts";
import { defineLintRule, type LintRule, type RuleContext } from "./rule.ts";
import { sqlName, word } from "./words.ts";

/** What every table has where the configuration does not say otherwise. */
const REQUIRED_COLUMNS = ["id", "created_at", "updated_at"];
/** Types whose values mean something else elsewhere, with what to take instead. */
const DISCOURAGED_TYPES: Readonly<Record<string, readonly [string, string]>> = {
  money: ["its value depends on lc_monetary", "numeric"],
  timetz: ["a time of day has no offset without its date", "timestamptz"],
  name: ["it is the server's own, cut at 63 bytes", "text"],
  xml: ["it has no equality and no index", "text"],
};

const ROUNDED: readonly [string, string] = ["times are rounded to seconds", "timestamptz"];

function isRounded(type: ColumnType | undefined): boolean {
  return type !== undefined && type.name === "timestamptz" && type.modifiers[0] === 0;
}

/** A table of its own: neither a partition nor one made like a type or from its parents, whose columns are said elsewhere. */
function ownTable({ action }: RuleContext): boolean {
  const { kind, node } = action;
  return (
    kind === "CreateStmt" &&
    node["partbound"] === undefined &&
    node["ofTypename"] === undefined &&
    listOf(node, "inhRelations").length === 0 &&
    childOf(node, "relation")?.["relpersistence"] !== "t"
  );
}

function madeColumns({ kind, node }: Action): readonly Node[] {
  return kind === "CreateStmt" ? tableColumns(node) : kind === "AT_AddColumn" ? [node] : [];
}

/** A key in a table constraint of the same statement makes its columns NOT NULL, too. */
function keyColumns({ kind, node }: Action): readonly string[] {
  if (kind !== "CreateStmt") return [];
  return listOf(node, "tableElts").flatMap(({ kind: element, node: constraint }) =>
    element === "Constraint" && constraint["contype"] === "CONSTR_PRIMARY" ? stringsOf(constraint, "keys") : [],
  );
}

const NEVER_NULL = ["CONSTR_NOTNULL", "CONSTR_PRIMARY", "CONSTR_IDENTITY", "CONSTR_GENERATED"];
const isSerialName = (column: Node): boolean =>
  /serial\d?$/.test(stringsOf(childOf(column, "typeName"), "names").at(-1) ?? "");

export const houseColumnRules: readonly LintRule[] = [
  defineLintRule({
    id: "required-columns",
    on: ["CreateStmt"],
    title: "A table without the columns that every table has",
    severity: "info",
    isRecommended: false,
    why: "id, created_at and updated_at, or those of requiredColumns in the configuration: programs and reports count on them.",
    bad: "CREATE TABLE notes (body text);",
    good: "CREATE TABLE notes (id uuid PRIMARY KEY, created_at timestamptz, updated_at timestamptz, body text);",
    check(context) {
      if (!ownTable(context)) return undefined;
      const { node, table } = context.action;
      if (listOf(node, "tableElts").some(({ kind }) => kind === "TableLikeClause")) return undefined;
      const names = new Set(tableColumns(node).map((column) => textOf(column, "colname")));
      const missing = (context.requiredColumns ?? REQUIRED_COLUMNS).filter((name) => !names.has(name));
      if (missing.length === 0) return undefined;
      return {
        message: `${sqlName(table)} has no ${missing.join(", no ")}`,
        rewrite: missing.map((name) => `ALTER TABLE ${sqlName(table)} ADD COLUMN ${word(name)} …;`).join("\n"),
      };
    },
  }),
  defineLintRule({
    id: "table-without-comment",
    on: ["CreateStmt"],
    title: "A new table without a comment",
    severity: "info",
    isRecommended: false,
    why: "COMMENT ON TABLE says in the database itself what a row stands for.",
    bad: "CREATE TABLE notes (body text);",
    good: "CREATE TABLE notes (body text);\nCOMMENT ON TABLE notes IS 'what people write down';",
    check(context) {
      if (!ownTable(context)) return undefined;
      const { table } = context.action;
      const has = context
        .later()
        .some(
          ({ kind, node }) =>
            kind === "CommentStmt" &&
            node["objtype"] === "OBJECT_TABLE" &&
            stringsOf(childOf(node, "object"), "items").at(-1) === table?.name,
        );
      return has
        ? undefined
        : { message: `${sqlName(table)} has no comment`, rewrite: `COMMENT ON TABLE ${sqlName(table)} IS '…';` };
    },
  }),
  defineLintRule({
    id: "nullable-column",
    on: ["CreateStmt", "AT_AddColumn"],
    title: "A new column that may be empty",
    severity: "info",
    isRecommended: false,
    why: "NULL is no value: it is neither equal nor unequal to anything, and every program has to expect it.",
    bad: "CREATE TABLE notes (id bigint PRIMARY KEY, body text);",
    good: "CREATE TABLE notes (id bigint PRIMARY KEY, body text NOT NULL);",
    check({ action }) {
      const keys = keyColumns(action);
      return madeColumns(action)
        .filter(
          (column) =>
            !constraintsOf(column).some(({ contype }) => NEVER_NULL.includes(String(contype))) &&
            !isSerialName(column) &&
            !keys.includes(textOf(column, "colname") ?? ""),
        )
        .map((column) => ({
          message: `${textOf(column, "colname") ?? ""} of ${sqlName(action.table)} may be null`,
          rewrite: `${word(textOf(column, "colname") ?? "")} … NOT NULL`,
        }));
    },
  }),
  defineLintRule({
    id: "column-without-default",
    on: ["CreateStmt", "AT_AddColumn"],
    title: "A new NOT NULL column without a default",
    severity: "info",
    isRecommended: false,
    why: "Programs that do not know the column yet cannot insert a row.",
    bad: "CREATE TABLE notes (body text NOT NULL);",
    good: "CREATE TABLE notes (body text NOT NULL DEFAULT '');",
    check({ action }) {
      return madeColumns(action)
        .filter(
          (column) =>
            constraintOf(column, "CONSTR_NOTNULL") !== undefined &&
            !constraintsOf(column).some(({ contype }) =>
              ["CONSTR_DEFAULT", "CONSTR_IDENTITY", "CONSTR_GENERATED", "CONSTR_PRIMARY"].includes(String(contype)),
            ) &&
            !isSerialName(column),
        )
        .map((column) => ({
          message: `${textOf(column, "colname") ?? ""} of ${sqlName(action.table)} has no default`,
          rewrite: `${word(textOf(column, "colname") ?? "")} … NOT NULL DEFAULT …`,
        }));
    },
  }),
  defineLintRule({
    id: "discouraged-type",
    on: ["CreateStmt", "AT_AddColumn", "AT_AlterColumnType"],
    title: "A column of type money, timetz, name or xml, or of times without fractions",
    severity: "info",
    isRecommended: true,
    why: "What a value of money means depends on a setting, a time zone without a date means nothing, name is the server's own, and xml cannot be compared. timestamptz(0) rounds, also into the next day.",
    bad: "CREATE TABLE invoices (total money);",
    good: "CREATE TABLE invoices (total numeric(12, 2));",
    check({ action }) {
      const columns = action.kind === "AT_AlterColumnType" ? [action.node] : madeColumns(action);
      return columns.flatMap((column) => {
        const type = typeOf(childOf(column, "typeName"));
        const said = isRounded(type) ? ROUNDED : DISCOURAGED_TYPES[type?.name ?? ""];
        if (said === undefined) return [];
        const name = textOf(column, "colname") ?? action.name ?? "";
        return [{ message: `${name} of ${sqlName(action.table)}: ${said[0]}`, rewrite: `${word(name)} ${said[1]}` }];
      });
    },
  }),
  defineLintRule({
    id: "explicit-collation",
    on: ["CreateStmt", "AT_AddColumn", "AT_AlterColumnType"],
    title: "A column with a collation of its own",
    severity: "info",
    isRecommended: false,
    why: "Comparing it with a column of another collation fails, and an operating system's collation may change its order. C and the built-in ones do not.",
    bad: `CREATE TABLE people (name text COLLATE "de_DE");`,
    good: `CREATE TABLE people (name text COLLATE "C");`,
    check({ action }) {
      const columns = action.kind === "AT_AlterColumnType" ? [action.node] : madeColumns(action);
      return columns.flatMap((column) => {
        const collation = stringsOf(childOf(column, "collClause"), "collname").at(-1);
        if (collation === undefined || ["C", "POSIX", "ucs_basic", "pg_c_utf8", "default"].includes(collation))
          return [];
        const name = textOf(column, "colname") ?? action.name ?? "";
        return [
          { message: `${name} of ${sqlName(action.table)} is sorted as in ${collation}`, rewrite: 'COLLATE "C"' },
        ];
      });
    },
  }),
];
