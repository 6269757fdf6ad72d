// Types, names and security of what is created: most are house style and off until asked for.
import { literal } from "../../postgres/literal.ts";
import {
  childOf,
  constraintOf,
  constraintsOf,
  droppedNames,
  flagOf,
  listOf,
  nameOfParts,
  stringsOf,
  tableColumns,
  textOf,
  walk,
  type Action,
  type Node,
} from "../syntax.ts";
import { isSerial, typeOf } from "../type-change.ts";
import { defineLintRule, type LintRule } from "./rule.ts";
import { sqlName, word } from "./words.ts";

function writtenColumns({ kind, node, name }: Action): readonly { readonly name: string; readonly node: Node }[] {
  const columns =
    kind === "CreateStmt" ? tableColumns(node) : kind === "AT_AddColumn" || kind === "AT_AlterColumnType" ? [node] : [];
  return columns.map((column) => ({ name: textOf(column, "colname") ?? name ?? "", node: column }));
}

function typeRule(
  rule: Pick<LintRule, "id" | "title" | "why" | "bad" | "good"> & Partial<Pick<LintRule, "severity" | "isRecommended">>,
  isMeant: (type: NonNullable<ReturnType<typeof typeOf>>, node: Node | undefined) => boolean,
  instead: string,
): LintRule {
  return defineLintRule({
    on: ["CreateStmt", "AT_AddColumn", "AT_AlterColumnType"],
    severity: "info",
    isRecommended: false,
    ...rule,
    check({ action }) {
      return writtenColumns(action).flatMap(({ name, node }) => {
        const typeName = childOf(node, "typeName");
        const type = typeOf(typeName);
        if (type === undefined || !isMeant(type, typeName)) return [];
        return [{ message: `${name}: ${rule.title.toLowerCase()}`, rewrite: `${word(name)} ${instead}` }];
      });
    },
  });
}

const MAX_NAME_BYTES = 63;
const STRINGS_AND_COMMENTS = /--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'|\$(\w*)\$[\s\S]*?\$\1\$/g;

/** A cheap look first: a long run of letters, a long quoted text, or letters of several bytes. */
const MAY_HOLD_LONG_NAME = /(?<![\w$])[\w$]{64}|"[^"]{64}|[\u0080-\uFFFF]/;

/** The parser cuts names as the server does, so the text is looked at. */
function longNames(sql: string): ReadonlySet<string> {
  if (!MAY_HOLD_LONG_NAME.test(sql)) return new Set();
  const bare = sql.replaceAll(STRINGS_AND_COMMENTS, " ");
  const names = bare.match(/"(?:[^"]|"")+"|[\p{L}_][\p{L}\p{N}_$]*/gu) ?? [];
  return new Set(
    names
      .filter((name) => Buffer.byteLength(name) > MAX_NAME_BYTES)
      .map((name) => name.replace(/^"(.*)"$/s, "$1").replaceAll('""', '"'))
      .filter((name) => Buffer.byteLength(name) > MAX_NAME_BYTES),
  );
}

/** Columns written as a whole; a part of one (`a.x`, `a[1]`) may be written several times. */
function assignedColumns(node: Node | undefined, key: string): readonly (string | undefined)[] {
  return listOf(node, key).map(({ node: target }) =>
    target["indirection"] === undefined ? textOf(target, "name") : undefined,
  );
}

const NAMES_ROWS: ReadonlySet<unknown> = new Set([
  "CONSTR_PRIMARY",
  "CONSTR_UNIQUE",
  "CONSTR_EXCLUSION",
  "CONSTR_IDENTITY",
]);
const namesRows = (constraints: readonly Node[]): boolean =>
  constraints.some((constraint) => NAMES_ROWS.has(constraint["contype"]));

/** Whether the table, also under another name, gets a key, becomes a partition or goes. */
function isNamedLater(made: string, later: readonly Action[]): boolean {
  let name = made;
  for (const { kind, node, table } of later) {
    if (kind === "AT_AttachPartition" && textOf(childOf(node, "name"), "relname") === name) return true;
    if (kind === "DropStmt" && droppedNames(node).some((dropped) => dropped.name === name)) return true;
    if (table?.name !== name) continue;
    if (kind === "RenameStmt" && node["renameType"] === "OBJECT_TABLE") name = textOf(node, "newname") ?? name;
    if (kind === "AT_AddConstraint" ? namesRows([node]) : kind === "AT_AddColumn" && namesRows(constraintsOf(node)))
      return true;
    if (kind === "IndexStmt" && flagOf(node, "unique")) return true;
  }
  return false;
}

export const schemaRules: readonly LintRule[] = [
  typeRule(
    {
      id: "char-column",
      title: "char(n) pads with blanks",
      why: "It is no faster than text, and blanks at the end compare in surprising ways.",
      isRecommended: true,
      bad: "ALTER TABLE users ADD COLUMN code char(10);",
      good: "ALTER TABLE users ADD COLUMN code text;",
    },
    ({ name }) => name === "bpchar",
    "text",
  ),
  typeRule(
    {
      id: "varchar-limit",
      title: "varchar(n) where text and a CHECK would do",
      why: "Making the limit smaller later rewrites the table; a CHECK can be exchanged online.",
      bad: "ALTER TABLE users ADD COLUMN code varchar(10);",
      good: "ALTER TABLE users ADD COLUMN code text;",
    },
    ({ name, modifiers }) => name === "varchar" && modifiers.length > 0,
    "text CHECK (…)",
  ),
  typeRule(
    {
      id: "timestamp-without-time-zone",
      title: "timestamp without time zone",
      why: "Two sessions in different zones write different moments for the same now().",
      bad: "ALTER TABLE users ADD COLUMN at timestamp;",
      good: "ALTER TABLE users ADD COLUMN at timestamptz;",
    },
    ({ name }) => name === "timestamp",
    "timestamptz",
  ),
  typeRule(
    {
      id: "small-integer",
      title: "smallint or integer that may overflow",
      why: "Changing it to bigint later rewrites the table.",
      bad: "ALTER TABLE users ADD COLUMN n int;",
      good: "ALTER TABLE users ADD COLUMN n bigint;",
    },
    ({ name }) => name === "int4" || name === "int2",
    "bigint",
  ),
  typeRule(
    {
      id: "serial-column",
      title: "serial where identity would do",
      why: "The sequence is a separate object with rights of its own, and the default can be overwritten.",
      bad: "CREATE TABLE users (id bigserial);",
      good: "CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY);",
    },
    (_, node) => isSerial(node),
    "bigint GENERATED ALWAYS AS IDENTITY",
  ),
  defineLintRule({
    id: "create-enum",
    on: ["CreateEnumStmt"],
    title: "An enum type is created",
    severity: "info",
    isRecommended: false,
    why: "Values can be added but never removed; a table of values or a CHECK can change.",
    bad: "CREATE TYPE mood AS ENUM ('ok');",
    good: "CREATE TABLE moods (name text PRIMARY KEY);",
    check({ action }) {
      if (action.kind !== "CreateEnumStmt") return undefined;
      return {
        message: `${stringsOf(action.node, "typeName").at(-1) ?? ""} is an enum`,
        rewrite: "-- a table of values with a foreign key, or text with a CHECK",
      };
    },
  }),
  defineLintRule({
    id: "enum-value-order",
    on: ["AlterEnumStmt"],
    title: "An enum value without BEFORE or AFTER",
    severity: "info",
    isRecommended: false,
    why: "The order of values is that of ORDER BY; without a place the value comes last.",
    bad: "ALTER TYPE mood ADD VALUE 'calm';",
    good: "ALTER TYPE mood ADD VALUE 'calm' AFTER 'ok';",
    check({ action }) {
      const { kind, node } = action;
      if (kind !== "AlterEnumStmt" || node["oldVal"] !== undefined || node["newValNeighbor"] !== undefined)
        return undefined;
      return {
        message: `'${textOf(node, "newVal") ?? ""}' becomes the last value`,
        rewrite: `-- ADD VALUE ${literal(textOf(node, "newVal") ?? "")} AFTER '…'`,
      };
    },
  }),
  defineLintRule({
    id: "domain-constraint",
    on: ["AlterDomainStmt"],
    title: "A domain gets a constraint",
    severity: "warning",
    isRecommended: true,
    why: "Every table that uses the domain is locked (SHARE) and read; NOT VALID avoids it, VALIDATE does not.",
    bad: "ALTER DOMAIN percent ADD CONSTRAINT small CHECK (value < 101);",
    good: "ALTER DOMAIN percent ADD CONSTRAINT small CHECK (value < 101) NOT VALID;",
    check({ action, state }) {
      if (action.kind !== "AlterDomainStmt") return undefined;
      const { subtype } = action.node;
      const { name } = nameOfParts(stringsOf(action.node, "typeName"));
      if (state.newTypes.has(name)) return undefined;
      const isAdd = subtype === "C" && !flagOf(childOf(action.node, "def"), "skip_validation");
      if (!isAdd && subtype !== "V" && subtype !== "O") return undefined;
      return {
        message: `every table with a column of ${name} is read under SHARE`,
        rewrite: "-- a CHECK … NOT VALID on the tables instead, then VALIDATE",
      };
    },
  }),
  defineLintRule({
    id: "create-domain-with-constraint",
    on: ["CreateDomainStmt"],
    title: "A domain with a constraint is created",
    severity: "info",
    isRecommended: false,
    why: "Changing the constraint later reads every table that uses the domain under SHARE.",
    bad: "CREATE DOMAIN percent AS int CHECK (value < 101);",
    good: "CREATE DOMAIN percent AS int;",
    check({ action }) {
      if (action.kind !== "CreateDomainStmt") return undefined;
      const isConstrained = listOf(action.node, "constraints").some(({ node }) =>
        ["CONSTR_CHECK", "CONSTR_NOTNULL"].includes(String(node["contype"])),
      );
      if (!isConstrained) return undefined;
      return {
        message: `${stringsOf(action.node, "domainname").at(-1) ?? ""} has a constraint`,
        rewrite: "-- put the CHECK on the tables",
      };
    },
  }),
  defineLintRule({
    id: "name-too-long",
    title: "A name of more than 63 bytes",
    severity: "error",
    isRecommended: true,
    why: "PostgreSQL cuts it in silence; two long names may become the same.",
    bad: `CREATE TABLE ${"t".repeat(70)} (id bigint);`,
    good: `CREATE TABLE ${"t".repeat(60)} (id bigint);`,
    check({ statement }) {
      return [...longNames(statement.text)].map((name) => ({
        message: `${name} has ${Buffer.byteLength(name)} bytes`,
        rewrite: "-- choose a shorter name",
      }));
    },
  }),
  defineLintRule({
    id: "unqualified-table",
    on: ["CreateStmt"],
    title: "A table is created without its schema",
    severity: "info",
    isRecommended: false,
    why: "Where it goes depends on the search_path of whoever runs the migration.",
    bad: "CREATE TABLE users (id bigint);",
    good: "CREATE TABLE shop.users (id bigint);",
    check({ action }) {
      if (action.kind !== "CreateStmt" || action.table === undefined || action.table.schema !== undefined)
        return undefined;
      return {
        message: `${action.table.name} has no schema`,
        rewrite: `CREATE TABLE public.${word(action.table.name)} (…);`,
      };
    },
  }),
  defineLintRule({
    id: "primary-key-missing",
    on: ["CreateStmt"],
    title: "A table without a primary key",
    severity: "info",
    isRecommended: true,
    why: "Its rows cannot be named: logical replication refuses UPDATE and DELETE, batches have no cursor, two rows alike cannot be told apart. A unique key, a column that numbers the rows, a table of one column and one of nothing but references (…_id) are let pass.",
    bad: "CREATE TABLE visits (page text, at timestamptz);",
    good: "CREATE TABLE visits (id bigint PRIMARY KEY, page text, at timestamptz);",
    check({ action: { node, table }, later, state }) {
      // A partition has its parent's key; a partitioned table can have none that lacks its partition key.
      const parts = ["partbound", "partspec", "inhRelations", "ofTypename"];
      if (table === undefined || parts.some((part) => node[part] !== undefined)) return undefined;
      if (flagOf(node, "if_not_exists") && state.find(table)?.isDropped === false) return undefined;
      const has = listOf(node, "tableElts").some(
        ({ kind, node: element }) =>
          kind === "TableLikeClause" ||
          namesRows(kind === "Constraint" ? [element] : constraintsOf(element)) ||
          isSerial(childOf(element, "typeName")),
      );
      if (has || childOf(node, "relation")?.["relpersistence"] === "t") return undefined;
      const columns = tableColumns(node)
        .filter((column) => constraintOf(column, "CONSTR_GENERATED") === undefined)
        .map((column) => textOf(column, "colname") ?? "");
      const isSet = columns.length < 2 || columns.every((column) => /(?:^|_)id$/i.test(column));
      return isSet || isNamedLater(table.name, later())
        ? undefined
        : {
            message: `${sqlName(table)} has no primary key`,
            rewrite: "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
          };
    },
  }),
  defineLintRule({
    id: "on-delete-cascade",
    on: ["CreateStmt", "AT_AddConstraint", "AT_AddColumn"],
    title: "ON DELETE CASCADE",
    severity: "info",
    isRecommended: false,
    why: "One DELETE removes rows of other tables that nobody named.",
    bad: "CREATE TABLE orders (user_id bigint REFERENCES users ON DELETE CASCADE);",
    good: "CREATE TABLE orders (user_id bigint REFERENCES users);",
    check({ action }) {
      let found = action.node["fk_del_action"] === "c";
      walk([action.node], (_, node) => {
        if (node["fk_del_action"] === "c") found = true;
      });
      return found
        ? {
            message: "rows are deleted with the row they refer to",
            rewrite: "-- ON DELETE RESTRICT, and delete by name",
          }
        : undefined;
    },
  }),
  defineLintRule({
    id: "duplicate-assignment",
    on: ["UpdateStmt", "InsertStmt", "CreateStmt", "ViewStmt"],
    title: "A column is assigned or made twice",
    severity: "error",
    isRecommended: true,
    why: "PostgreSQL refuses it (42601, 42701).",
    bad: "UPDATE users SET a = 1, a = 2 WHERE id = 1;",
    good: "UPDATE users SET a = 1, b = 2 WHERE id = 1;",
    check({ action }) {
      const lists: readonly (readonly (string | undefined)[])[] =
        action.kind === "UpdateStmt"
          ? [assignedColumns(action.node, "targetList")]
          : action.kind === "InsertStmt"
            ? [
                assignedColumns(action.node, "cols"),
                assignedColumns(childOf(action.node, "onConflictClause"), "targetList"),
              ]
            : action.kind === "CreateStmt"
              ? [tableColumns(action.node).map((column) => textOf(column, "colname"))]
              : action.kind === "ViewStmt"
                ? [stringsOf(action.node, "aliases")]
                : [];
      const twice = lists.flatMap((names) =>
        names.flatMap((name, index) => (name !== undefined && names.indexOf(name) < index ? [name] : [])),
      );
      return twice.length === 0
        ? undefined
        : { message: `${twice.join(", ")} is named twice`, rewrite: "-- keep one of them" };
    },
  }),
  defineLintRule({
    id: "create-table-ignored",
    on: ["CreateStmt"],
    title: "CREATE TABLE IF NOT EXISTS of a table that exists without these columns",
    severity: "warning",
    isRecommended: true,
    why: "The statement does nothing and says so in a notice only: the columns stay missing.",
    bad: "CREATE TABLE users (id bigint);\nCREATE TABLE IF NOT EXISTS users (id bigint, email text);",
    good: "CREATE TABLE users (id bigint);\nALTER TABLE users ADD COLUMN IF NOT EXISTS email text;",
    check({ action: { kind, node, table }, state }) {
      if (kind !== "CreateStmt" || table === undefined || !flagOf(node, "if_not_exists")) return undefined;
      const known = state.find(table);
      if (known === undefined || known.isDropped || !known.isComplete || known.columns.size === 0) return undefined;
      const missing = tableColumns(node)
        .map((column) => textOf(column, "colname") ?? "")
        .filter((column) => !known.columns.has(column));
      return missing.length === 0
        ? undefined
        : {
            message: `${sqlName(table)} exists and does not get ${missing.join(", ")}`,
            rewrite: missing.map((column) => `ALTER TABLE ${sqlName(table)} ADD COLUMN ${word(column)} …;`).join("\n"),
          };
    },
  }),
];
