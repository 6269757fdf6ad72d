// Changes that lose data or that programs which run meanwhile do not survive.
import {
  childOf,
  droppedNames,
  listOf,
  relationName,
  stringsOf,
  tableOfTrigger,
  textOf,
  type Action,
} from "../syntax.ts";
import { typeOf } from "../type-change.ts";
import { defineLintRule, type LintRule, type LintSeverity, type RuleContext } from "./rule.ts";
import { sqlName } from "./words.ts";
import { tableByQuery, writeWithoutWhere } from "./writes.ts";

/** A rule for DROP of some kinds of object. */
function dropRule(
  rule: Pick<LintRule, "id" | "title" | "why" | "bad" | "good"> & {
    readonly severity?: LintSeverity;
    readonly isRecommended?: boolean;
  },
  kinds: readonly string[],
  isOld: (context: RuleContext, name: ReturnType<typeof droppedNames>[number]) => boolean,
  rewrite: string,
): LintRule {
  return defineLintRule({
    on: ["DropStmt"],
    severity: "error",
    isRecommended: true,
    ...rule,
    check(context) {
      const { action } = context;
      if (action.kind !== "DropStmt" || !kinds.includes(String(action.node["removeType"]))) return undefined;
      return droppedNames(action.node)
        .filter((name) => !context.state.isInMadeSchema(name) && isOld(context, name))
        .map((name) => ({ message: `${sqlName(name)} is dropped`, rewrite }));
    },
  });
}

/** The name of the view, type or sequence that a statement makes. */
function madeName({ kind, node }: Action): string | undefined {
  switch (kind) {
    case "ViewStmt":
      return relationName(childOf(node, "view"))?.name;
    case "CreateTableAsStmt":
      return relationName(childOf(childOf(node, "into"), "rel"))?.name;
    case "CreateSeqStmt":
      return relationName(childOf(node, "sequence"))?.name;
    case "CompositeTypeStmt":
      return relationName(childOf(node, "typevar"))?.name;
    case "CreateEnumStmt":
    case "CreateRangeStmt":
      return stringsOf(node, "typeName").at(-1);
    case "CreateDomainStmt":
      return stringsOf(node, "domainname").at(-1);
    default:
      return undefined;
  }
}

/** The domain that ALTER DOMAIN changes in this way, unless the batch makes it. */
function changedDomain({ action: { kind, node }, state }: RuleContext, subtype: "N" | "T"): string | undefined {
  const name = stringsOf(node, "typeName").at(-1);
  const isMeant = kind === "AlterDomainStmt" && node["subtype"] === subtype;
  return !isMeant || name === undefined || state.newTypes.has(name) ? undefined : name;
}

const tableChange = (context: RuleContext, kind: string): boolean =>
  context.action.kind === kind && context.isLive(context.action.table);

export const compatibilityRules: readonly LintRule[] = [
  defineLintRule({
    id: "drop-column",
    on: ["AT_DropColumn"],
    title: "A column is dropped",
    severity: "error",
    isRecommended: true,
    why: "Its data is gone, and programs that still name it fail.",
    bad: "ALTER TABLE users DROP COLUMN email;",
    good: "ALTER TABLE users ALTER COLUMN email DROP DEFAULT;",
    check(context) {
      const { action, state } = context;
      if (!tableChange(context, "AT_DropColumn") || state.hasMadeColumn(action.table, action.name ?? ""))
        return undefined;
      return {
        message: `${action.name ?? ""} of ${sqlName(action.table)} is dropped with its data`,
        rewrite:
          "-- first release programs that do not name it; keep a copy of the data when the way back must restore it",
      };
    },
  }),
  dropRule(
    {
      id: "drop-table",
      title: "A table is dropped",
      why: "Its data is gone, and programs that still use it fail.",
      bad: "DROP TABLE users;",
      good: "ALTER TABLE users ALTER COLUMN email DROP DEFAULT;",
    },
    ["OBJECT_TABLE", "OBJECT_FOREIGN_TABLE"],
    ({ isLive }, name) => isLive(name),
    "-- first release programs that do not use it; rename it, wait, then drop it",
  ),
  dropRule(
    {
      id: "drop-schema",
      title: "A schema is dropped",
      why: "With CASCADE everything in it is gone.",
      bad: "DROP SCHEMA shop CASCADE;",
      good: "CREATE SCHEMA shop;",
    },
    ["OBJECT_SCHEMA"],
    ({ state }, { name }) => !state.newSchemas.has(name),
    "-- drop what is in it by name, each with its own check",
  ),
  defineLintRule({
    id: "drop-database",
    on: ["DropdbStmt"],
    title: "A database is dropped",
    severity: "error",
    isRecommended: true,
    why: "Everything in it is gone.",
    bad: "DROP DATABASE shop;",
    good: "CREATE DATABASE shop;",
    check({ action }) {
      if (action.kind !== "DropdbStmt") return undefined;
      return {
        message: `the database ${textOf(action.node, "dbname") ?? ""} is dropped`,
        rewrite: "-- not by a migration",
      };
    },
  }),
  defineLintRule({
    id: "drop-cascade",
    title: "CASCADE drops what is not named",
    severity: "error",
    isRecommended: true,
    why: "Views, foreign keys and functions that depend on it are dropped in silence.",
    bad: "ALTER TABLE users DROP COLUMN email CASCADE;",
    good: "ALTER TABLE users DROP CONSTRAINT email_present;",
    check({ action, isLive, state }) {
      if (!action.cascades || (action.kind !== "DropStmt" && !action.kind.startsWith("AT_Drop"))) return undefined;
      const isOld =
        action.kind === "DropStmt"
          ? droppedNames(action.node).some(
              (name) => !state.hasMade(name) && (state.find(name) === undefined || isLive(name)),
            )
          : isLive(action.table);
      return isOld
        ? { message: "CASCADE drops every object that depends on this one", rewrite: "-- drop the dependants by name" }
        : undefined;
    },
  }),
  defineLintRule({
    id: "drop-not-null",
    on: ["AT_DropNotNull", "AlterDomainStmt"],
    title: "A column may become null",
    severity: "info",
    isRecommended: true,
    why: "Programs that read it do not expect null.",
    bad: "ALTER TABLE users ALTER COLUMN email DROP NOT NULL;",
    good: "ALTER TABLE users ALTER COLUMN email SET DEFAULT '';",
    check(context) {
      const domain = changedDomain(context, "N");
      if (domain !== undefined)
        return {
          message: `columns of the domain ${domain} may be null from now on`,
          rewrite: "-- first release programs that can read null",
        };
      const { table, name = "" } = context.action;
      if (!tableChange(context, "AT_DropNotNull") || context.state.hasMadeColumn(table, name)) return undefined;
      return {
        message: `${context.action.name ?? ""} of ${sqlName(context.action.table)} may be null from now on`,
        rewrite: "-- first release programs that can read null",
      };
    },
  }),
  defineLintRule({
    id: "change-default",
    on: ["AT_ColumnDefault", "OBJECT_VIEW AT_ColumnDefault", "AlterDomainStmt"],
    title: "A default changes",
    severity: "info",
    isRecommended: false,
    why: "Programs that leave the column out write another value from now on.",
    bad: "ALTER TABLE users ALTER COLUMN email SET DEFAULT '';",
    good: "ALTER TABLE users ADD COLUMN mail text;",
    check(context) {
      const domain = changedDomain(context, "T");
      const isOfView =
        context.action.kind === "OBJECT_VIEW AT_ColumnDefault" &&
        !context.state.newViews.has(context.action.table?.name ?? "");
      if (domain === undefined && !isOfView && !tableChange(context, "AT_ColumnDefault")) return undefined;
      const { table, name: column = "" } = context.action;
      if (domain === undefined && context.state.hasMadeColumn(table, column)) return undefined;
      return {
        message: `the default of ${domain ?? column} changes`,
        rewrite: "-- make sure that programs write the column themselves",
      };
    },
  }),
  defineLintRule({
    id: "truncate",
    on: ["TruncateStmt"],
    title: "TRUNCATE",
    severity: "warning",
    isRecommended: true,
    why: "Every row is gone, under ACCESS EXCLUSIVE; with CASCADE also those of every table that refers to it.",
    bad: "TRUNCATE users CASCADE;",
    good: "DELETE FROM users WHERE id < 1000;",
    check({ action, isLive }) {
      if (action.kind !== "TruncateStmt") return undefined;
      const names = listOf(action.node, "relations")
        .flatMap(({ node }) => relationName(node) ?? [])
        .filter((name) => isLive(name));
      if (names.length === 0) return undefined;
      return {
        severity: action.cascades ? ("error" as const) : ("warning" as const),
        message: `all rows of ${names.map(sqlName).join(", ")}${action.cascades ? " and of every table that refers to it" : ""} are gone`,
        rewrite: "-- name the tables, and keep a copy",
      };
    },
  }),
  writeWithoutWhere,
  tableByQuery,
  dropRule(
    {
      id: "drop-function",
      title: "A function or trigger is dropped",
      severity: "warning",
      why: "PostgreSQL does not know which programs and function bodies call it.",
      bad: "DROP FUNCTION total(int);",
      good: "CREATE OR REPLACE FUNCTION total(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';",
    },
    ["OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_ROUTINE", "OBJECT_AGGREGATE", "OBJECT_TRIGGER"],
    ({ state, action, later, isLive }, name) => {
      if (action.node["removeType"] === "OBJECT_TRIGGER") {
        const again = later().some(
          ({ kind, node }) => kind === "CreateTrigStmt" && textOf(node, "trigname") === name.name,
        );
        return !again && isLive(tableOfTrigger(action.node, name));
      }
      const again = later().some(
        ({ kind, node }) => kind === "CreateFunctionStmt" && stringsOf(node, "funcname").at(-1) === name.name,
      );
      return !again && !state.newFunctions.has(name.name);
    },
    "-- first release programs that do not need it",
  ),
  dropRule(
    {
      id: "drop-view",
      title: "A view, type or sequence is dropped",
      severity: "warning",
      why: "Programs that use it fail. One that the same migrations make again is not reported.",
      bad: "DROP VIEW totals;",
      good: "DROP VIEW totals;\nCREATE VIEW totals AS SELECT 1 AS one;",
    },
    ["OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_TYPE", "OBJECT_DOMAIN", "OBJECT_SEQUENCE"],
    ({ state, later, earlier }, { name }) =>
      !state.newViews.has(name) &&
      !state.newTypes.has(name) &&
      !later().some((next) => madeName(next) === name) &&
      // What was renamed out of the way, or made by these migrations.
      !earlier().some(
        (before) =>
          madeName(before) === name || (before.kind === "RenameStmt" && textOf(before.node, "newname") === name),
      ),
    "-- first release programs that do not need it",
  ),
  dropRule(
    {
      id: "drop-extension",
      title: "An extension is dropped",
      why: "Its types, functions and the columns that use them go with it.",
      bad: "DROP EXTENSION hstore;",
      good: "CREATE EXTENSION IF NOT EXISTS hstore;",
    },
    ["OBJECT_EXTENSION"],
    () => true,
    "-- first drop what uses it, by name",
  ),
  defineLintRule({
    id: "upgrade-extension",
    on: ["AlterExtensionStmt", "AlterExtensionContentsStmt"],
    title: "An extension is upgraded, or loses an object",
    severity: "warning",
    isRecommended: true,
    why: "Its script may lock or change what depends on it, and there is no way back.",
    bad: "ALTER EXTENSION postgis UPDATE;",
    good: "CREATE EXTENSION IF NOT EXISTS postgis;",
    check({ action }) {
      if (action.kind === "AlterExtensionContentsStmt")
        return action.node["action"] === -1
          ? {
              message: `an object of ${textOf(action.node, "extname") ?? ""} is on its own from now on`,
              rewrite: "-- try it on a copy first",
            }
          : undefined;
      if (action.kind !== "AlterExtensionStmt") return undefined;
      return { message: `${textOf(action.node, "extname") ?? ""} is upgraded`, rewrite: "-- try it on a copy first" };
    },
  }),
  defineLintRule({
    id: "force-create",
    on: ["DropStmt"],
    title: "A table is dropped to be created again",
    severity: "error",
    isRecommended: true,
    why: "Where it existed, its data is gone.",
    bad: "DROP TABLE IF EXISTS users;\nCREATE TABLE users (id bigint);",
    good: "CREATE TABLE IF NOT EXISTS users (id bigint);",
    check({ action, later, isLive }) {
      if (action.kind !== "DropStmt" || action.node["removeType"] !== "OBJECT_TABLE") return undefined;
      return droppedNames(action.node)
        .filter((name) => isLive(name))
        .filter(({ name }) => later().some(({ kind, table }) => kind === "CreateStmt" && table?.name === name))
        .map((name) => ({
          message: `${sqlName(name)} is dropped and created again, empty`,
          rewrite: `CREATE TABLE IF NOT EXISTS ${sqlName(name)} (…);`,
        }));
    },
  }),
  defineLintRule({
    id: "narrowing-type",
    on: ["AT_AlterColumnType"],
    title: "A type change that may not keep every value",
    severity: "warning",
    isRecommended: true,
    why: "It fails where a value does not fit, after the table was locked; rounding loses digits in silence.",
    bad: "-- given name varchar(40)\nALTER TABLE users ALTER COLUMN name TYPE varchar(10);",
    good: "-- given name varchar(10)\nALTER TABLE users ALTER COLUMN name TYPE varchar(40);",
    check({ action, state, isLive }) {
      if (action.kind !== "AT_AlterColumnType" || action.table === undefined || !isLive(action.table)) return undefined;
      const from = state.table(action.table).columns.get(action.name ?? "")?.type;
      const to = typeOf(childOf(action.node, "typeName"));
      if (from === undefined || to === undefined || from.isArray || to.isArray) return undefined;
      const sizes: Readonly<Record<string, number>> = { int2: 2, int4: 4, int8: 8 };
      const unlimited = /^(?:time|timetz|timestamp|timestamptz|interval)$/.test(from.name) ? 6 : Infinity;
      const fromSize = sizes[from.name];
      const toSize = sizes[to.name];
      const isSmaller =
        fromSize !== undefined && toSize !== undefined
          ? toSize < fromSize
          : from.name === to.name &&
            to.modifiers.some((modifier, index) => modifier < (from.modifiers[index] ?? unlimited));
      if (!isSmaller) return undefined;
      return {
        message: `values of ${action.name ?? ""} may not fit the new type`,
        rewrite: `-- look first: SELECT count(*) FROM ${sqlName(action.table)} WHERE …`,
      };
    },
  }),
  defineLintRule({
    id: "trigger-change",
    title: "A trigger or rule of a live table changes",
    severity: "info",
    isRecommended: true,
    why: "Creating or enabling one blocks writes for a moment (SHARE ROW EXCLUSIVE); from then on every write does more, or less.",
    bad: "CREATE TRIGGER stamp BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION stamp();",
    good: "SET lock_timeout = '2s';\nCREATE TRIGGER stamp BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION stamp();",
    check({ action, isLive, state }) {
      // Those that are switched off, or on in replication, have a rule of their own.
      const isTrigger = action.kind === "CreateTrigStmt" || /^AT_Enable(?:Trig|Rule$)/.test(action.kind);
      if (!isTrigger || !isLive(action.table) || state.settings.has("lock_timeout")) return undefined;
      return { message: `writes to ${sqlName(action.table)} wait for it`, rewrite: "SET LOCAL lock_timeout = '2s';" };
    },
  }),
];
