// Renames: programs that run at that moment know only the old name.
import { literal } from "../../postgres/literal.ts";
import { childOf, nameOfParts, relationName, stringsOf, textOf, type Action, type Node } from "../syntax.ts";
import { defineLintRule, type LintRule } from "./rule.ts";
import { sqlName, word } from "./words.ts";

const RELATIONS: ReadonlySet<string> = new Set([
  "OBJECT_TABLE",
  "OBJECT_FOREIGN_TABLE",
  "OBJECT_VIEW",
  "OBJECT_MATVIEW",
]);

const TABLES: ReadonlySet<unknown> = new Set(["OBJECT_TABLE", "OBJECT_FOREIGN_TABLE"]);

const RENAMED_OBJECTS: ReadonlySet<string> = new Set([
  "OBJECT_TYPE",
  "OBJECT_DOMAIN",
  "OBJECT_VIEW",
  "OBJECT_MATVIEW",
  "OBJECT_FUNCTION",
  "OBJECT_PROCEDURE",
  "OBJECT_ROUTINE",
  "OBJECT_SEQUENCE",
]);

/** The old name of what a RENAME renames, without its schema. */
function renamedObject(node: Node): string {
  const object = childOf(node, "object");
  const parts = [...stringsOf(object, "items"), ...stringsOf(object, "objname"), ...stringsOf(object, "names")];
  return relationName(childOf(node, "relation"))?.name ?? parts.at(-1) ?? "";
}

export const renameRules: readonly LintRule[] = [
  defineLintRule({
    id: "rename-column",
    on: ["RenameStmt"],
    title: "A column is renamed",
    severity: "error",
    isRecommended: true,
    why: "Programs that run at that moment know only the old name.",
    bad: "ALTER TABLE users RENAME COLUMN email TO mail;",
    good: "ALTER TABLE users ADD COLUMN mail text;",
    check({ action, isLive, state }) {
      if (action.kind !== "RenameStmt" || action.node["renameType"] !== "OBJECT_COLUMN") return undefined;
      const isRelation = RELATIONS.has(String(action.node["relationType"]));
      if (!isRelation || !isLive(action.table) || state.newViews.has(action.table?.name ?? "")) return undefined;
      const from = textOf(action.node, "subname") ?? "";
      if (state.hasMadeColumn(action.table, from)) return undefined;
      const to = textOf(action.node, "newname") ?? "";
      return {
        message: `${from} of ${sqlName(action.table)} becomes ${to}`,
        rewrite: `ALTER TABLE ${sqlName(action.table)} ADD COLUMN ${word(to)} …;\n-- write both by a trigger, fill the old rows in batches, move the programs, then drop ${word(from)}`,
      };
    },
  }),
  defineLintRule({
    id: "rename-constraint",
    on: ["RenameStmt"],
    title: "A constraint or index is renamed",
    severity: "info",
    isRecommended: false,
    why: "Programs tell by its name what was refused, and ON CONFLICT ON CONSTRAINT names it.",
    bad: "ALTER TABLE users RENAME CONSTRAINT users_email_key TO users_mail_key;",
    good: "CREATE TABLE notes (body text, CONSTRAINT filled CHECK (body <> ''));\nALTER TABLE notes RENAME CONSTRAINT filled TO notes_filled;",
    check({ action: { node, table }, isLive, state }) {
      const isIndex = node["renameType"] === "OBJECT_INDEX";
      if (!isIndex && node["renameType"] !== "OBJECT_TABCONSTRAINT") return undefined;
      if (!isLive(isIndex ? state.tableOfIndex(table?.name ?? "") : table)) return undefined;
      return {
        message: `${(isIndex ? table?.name : textOf(node, "subname")) ?? ""} becomes ${textOf(node, "newname") ?? ""}`,
        rewrite: "-- make sure that no program names it",
      };
    },
  }),
  defineLintRule({
    id: "rename-table",
    on: ["RenameStmt", "AlterObjectSchemaStmt"],
    title: "A table is renamed",
    severity: "error",
    isRecommended: true,
    why: "Programs that run at that moment know only the old name. A view of the old name keeps them running.",
    bad: "ALTER TABLE users RENAME TO people;",
    good: "BEGIN;\nALTER TABLE users RENAME TO people;\nCREATE VIEW users AS SELECT * FROM people;\nCOMMIT;",
    check({ action, earlier, later, isLive }) {
      const isMove = action.kind === "AlterObjectSchemaStmt" && TABLES.has(action.node["objectType"]);
      const isRename = action.kind === "RenameStmt" && TABLES.has(action.node["renameType"]);
      if ((!isMove && !isRename) || action.table === undefined || !isLive(action.table)) return undefined;
      const old = action.table.name;
      const isKept = later().some(
        ({ kind, node, table }) =>
          (kind === "ViewStmt" && relationName(childOf(node, "view"))?.name === old) ||
          // The swap: another table takes the name at once.
          (kind === "RenameStmt" &&
            node["renameType"] === "OBJECT_TABLE" &&
            textOf(node, "newname") === old &&
            table !== undefined),
      );
      // The second half of a swap: the table takes a name that was freed just before.
      const target = textOf(action.node, "newname");
      const takesFreedName =
        isRename &&
        earlier().some(
          ({ kind, node, table }) =>
            kind === "RenameStmt" && node["renameType"] === "OBJECT_TABLE" && table?.name === target,
        );
      // Under the same name: the server refuses it.
      if (isKept || takesFreedName || (isRename && target === old)) return undefined;
      const to = isMove
        ? `${word(textOf(action.node, "newschema") ?? "")}.${word(old)}`
        : word(textOf(action.node, "newname") ?? "");
      return {
        message: `${sqlName(action.table)} becomes ${to}`,
        rewrite: `BEGIN;\nALTER TABLE ${sqlName(action.table)} ${isMove ? `SET SCHEMA ${word(textOf(action.node, "newschema") ?? "")}` : `RENAME TO ${to}`};\nCREATE VIEW ${sqlName(action.table)} AS SELECT * FROM ${to};\nCOMMIT;`,
      };
    },
  }),
  defineLintRule({
    id: "rename-schema",
    on: ["RenameStmt"],
    title: "A schema is renamed",
    severity: "error",
    isRecommended: true,
    why: "Programs that run at that moment know only the old name.",
    bad: "ALTER SCHEMA shop RENAME TO store;",
    good: "CREATE SCHEMA store;",
    check({ action, state }) {
      if (action.kind !== "RenameStmt" || action.node["renameType"] !== "OBJECT_SCHEMA") return undefined;
      const from = textOf(action.node, "subname") ?? "";
      if (state.newSchemas.has(from)) return undefined;
      return {
        message: `every name in ${from} changes`,
        rewrite: "-- make the new schema, move the programs, then the tables one by one with a view left behind",
      };
    },
  }),
  defineLintRule({
    id: "rename-enum-value",
    on: ["AlterEnumStmt"],
    title: "An enum value is renamed",
    severity: "error",
    isRecommended: true,
    why: "Programs that run at that moment write and expect the old value.",
    bad: "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine';",
    good: "ALTER TYPE mood ADD VALUE 'fine';",
    check({ action, state }) {
      const old = textOf(action.node, "oldVal");
      const { name } = nameOfParts(stringsOf(action.node, "typeName"));
      if (action.kind !== "AlterEnumStmt" || old === undefined || state.newTypes.has(name)) return undefined;
      return {
        message: `'${old}' of ${name} becomes '${textOf(action.node, "newVal") ?? ""}'`,
        rewrite: `ALTER TYPE ${word(name)} ADD VALUE ${literal(textOf(action.node, "newVal") ?? "")};\n-- move the programs, then the rows in batches`,
      };
    },
  }),
  defineLintRule({
    id: "rename-type",
    on: ["RenameStmt", "AlterObjectSchemaStmt"],
    title: "A type, view or function is renamed or moved to another schema",
    severity: "warning",
    isRecommended: true,
    why: "Programs that run at that moment know only the old name. A swap, where another takes the name at once, is not reported.",
    bad: "ALTER VIEW totals RENAME TO sums;",
    good: "ALTER MATERIALIZED VIEW totals RENAME TO totals_old;\nALTER MATERIALIZED VIEW totals_new RENAME TO totals;",
    check({ action, earlier, later, state, isLive }) {
      const isMove = action.kind === "AlterObjectSchemaStmt";
      if (action.kind !== "RenameStmt" && !isMove) return undefined;
      const type = String(action.node[isMove ? "objectType" : "renameType"]);
      if (!RENAMED_OBJECTS.has(type)) return undefined;
      const from = renamedObject(action.node);
      const to = textOf(action.node, "newname") ?? "";
      if ([state.newViews, state.newTypes, state.newFunctions].some((made) => made.has(from))) return undefined;
      // The sequence of a serial column is as new as its table.
      const isOfNewTable = [...state.tables.values()].some(
        (table) =>
          !isLive(table) && [from, to].some((name) => name.startsWith(`${table.name}_`) && name.endsWith("_seq")),
      );
      if (type === "OBJECT_SEQUENCE" && isOfNewTable) return undefined;
      const renames = (actions: readonly Action[]): readonly Action[] =>
        actions.filter(({ kind, node }) => kind === "RenameStmt" && node["renameType"] === type);
      if (isMove) {
        const schema = textOf(action.node, "newschema") ?? "";
        return {
          message: `${from} moves to ${schema}`,
          rewrite: `-- put ${word(schema)} into search_path first, or make it there beside the old one`,
        };
      }
      const isTakenOver =
        renames(later()).some(({ node }) => textOf(node, "newname") === from) ||
        later().some(({ node }) => stringsOf(node, "typeName").at(-1) === from && node["renameType"] === undefined);
      const takesFreedName = renames(earlier()).some(({ node }) => renamedObject(node) === to);
      if (isTakenOver || takesFreedName) return undefined;
      return {
        message: `it becomes ${textOf(action.node, "newname") ?? ""}`,
        rewrite: "-- make the new one beside the old one first",
      };
    },
  }),
];
