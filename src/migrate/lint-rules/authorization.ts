// Changes of rights: they are small, and a mistake in one shows rows to others or hides them.
import { childOf, flagOf, hasOption, listOf, relationName, stringsOf, textOf, walk } from "../syntax.ts";
import { defineLintRule, type LintRule } from "./rule.ts";
import { sqlName } from "./words.ts";

export const authorizationRules: readonly LintRule[] = [
  defineLintRule({
    id: "authorization-change",
    title: "Who may do what changes",
    severity: "warning",
    isRecommended: true,
    why: "Grants, owners, policies and row-level security decide what a program sees: a mistake shows rows to others or hides them.",
    bad: "ALTER TABLE users DISABLE ROW LEVEL SECURITY;",
    good: "ALTER TABLE users ALTER COLUMN email DROP DEFAULT;",
    check({ action, isLive, state }) {
      const { kind, node } = action;
      const rewrite = "-- have it approved on its own, apart from other changes";
      if (/^AT_(?:Enable|Disable|Force|NoForce)RowSecurity$/.test(kind) && isLive(action.table))
        return { message: `row-level security of ${sqlName(action.table)} changes`, rewrite };
      if (kind === "AT_ChangeOwner" && isLive(action.table))
        return { message: `the owner of ${sqlName(action.table)} changes`, rewrite };
      if (/^OBJECT_VIEW AT_(?:Set|Reset)RelOptions$/.test(kind) && !state.newViews.has(action.table?.name ?? "")) {
        const names = listOf(node, "items").map(({ node: option }) => textOf(option, "defname") ?? "");
        return names.some((name) => name.startsWith("security_"))
          ? { message: `whose rights ${sqlName(action.table)} asks for changes`, rewrite }
          : undefined;
      }
      if (kind === "DropOwnedStmt" || kind === "ReassignOwnedStmt")
        return {
          message:
            kind === "DropOwnedStmt"
              ? "what roles own, and their rights, are dropped"
              : "what roles own gets another owner",
          rewrite,
        };
      if (kind === "DropRoleStmt") return { message: "roles are dropped", rewrite };
      if (kind === "AlterRoleStmt" || kind === "GrantRoleStmt")
        return {
          message: kind === "GrantRoleStmt" ? "the members of a role change" : "a role's rights change",
          rewrite,
        };
      if (kind === "CreateRoleStmt" && ["superuser", "bypassrls"].some((name) => hasOption(node, "options", name)))
        return { message: `${textOf(node, "role") ?? ""} may pass by every check`, rewrite };
      if (kind === "AlterDefaultPrivilegesStmt")
        return { message: "the rights on objects that are made later change", rewrite };
      if (kind === "GrantStmt" && node["targtype"] === "ACL_TARGET_ALL_IN_SCHEMA")
        return { message: "rights on everything in a schema change", rewrite };
      if (["CreatePolicyStmt", "AlterPolicyStmt"].includes(kind) && isLive(action.table))
        return {
          message: `the policy ${textOf(node, "policy_name") ?? ""} of ${sqlName(action.table)} changes`,
          rewrite,
        };
      if (kind === "DropStmt" && node["removeType"] === "OBJECT_POLICY") {
        const parts = stringsOf(listOf(node, "objects")[0]?.node, "items");
        const table = parts.at(-2);
        if (table !== undefined && !isLive({ schema: parts.at(-3), name: table })) return undefined;
        return { message: `the policy ${parts.at(-1) ?? ""} is dropped`, rewrite };
      }
      if (kind === "GrantStmt" && node["objtype"] !== "OBJECT_TABLE" && !flagOf(node, "is_grant")) {
        // The usual hardening of a function that is made here.
        const functions = listOf(node, "objects").map(({ node: object }) => stringsOf(object, "objname").at(-1) ?? "");
        return functions.length > 0 && functions.every((name) => state.newFunctions.has(name))
          ? undefined
          : { message: "rights are revoked", rewrite };
      }
      if (kind === "GrantStmt" && node["targtype"] === "ACL_TARGET_OBJECT" && node["objtype"] === "OBJECT_TABLE") {
        const names = listOf(node, "objects")
          .flatMap(({ node: object }) => relationName(object) ?? [])
          .filter((name) => isLive(name));
        if (names.length === 0) return undefined;
        return {
          message: `rights on ${names.map(sqlName).join(", ")} are ${flagOf(node, "is_grant") ? "granted" : "revoked"}`,
          rewrite,
        };
      }
      return undefined;
    },
  }),
  defineLintRule({
    id: "security-definer-search-path",
    on: ["CreateFunctionStmt", "AlterFunctionStmt"],
    title: "SECURITY DEFINER without search_path",
    severity: "warning",
    isRecommended: true,
    why: "Whoever calls it decides by search_path which objects it uses with the owner's rights.",
    bad: "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';",
    good: "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS 'SELECT 1';",
    check({ action }) {
      const isAlter = action.kind === "AlterFunctionStmt";
      if (action.kind !== "CreateFunctionStmt" && !isAlter) return undefined;
      const options = listOf(action.node, isAlter ? "actions" : "options").map(({ node }) => node);
      const isDefiner = options.some(
        (option) => option["defname"] === "security" && flagOf(childOf(option, "arg"), "boolval"),
      );
      const setsPath = options.some(
        (option) => option["defname"] === "set" && textOf(childOf(option, "arg"), "name") === "search_path",
      );
      if (!isDefiner || setsPath) return undefined;
      return {
        message: `${stringsOf(isAlter ? childOf(action.node, "func") : action.node, isAlter ? "objname" : "funcname").at(-1) ?? ""} runs with its owner's rights and the caller's search_path`,
        rewrite: "SET search_path = pg_catalog, pg_temp",
      };
    },
  }),
  defineLintRule({
    id: "policy-setting-not-optional",
    on: ["CreatePolicyStmt", "AlterPolicyStmt"],
    title: "A policy reads a setting that may not be set",
    severity: "warning",
    isRecommended: true,
    why: "current_setting(name) without true fails with 42704 where the setting was never made; an empty text does not cast to uuid.",
    bad: "CREATE TABLE notes (tenant uuid);\nCREATE POLICY p ON notes USING (tenant = current_setting('app.tenant')::uuid);",
    good: "CREATE TABLE notes (tenant uuid);\nCREATE POLICY p ON notes USING (tenant = nullif(current_setting('app.tenant', true), '')::uuid);",
    check({ action }) {
      if (action.kind !== "CreatePolicyStmt" && action.kind !== "AlterPolicyStmt") return undefined;
      let found = false;
      walk([action.node], (kind, node) => {
        if (
          kind === "FuncCall" &&
          stringsOf(node, "funcname").at(-1) === "current_setting" &&
          listOf(node, "args").length === 1
        )
          found = true;
      });
      return found
        ? {
            message: "the policy fails where the setting was never made",
            rewrite: "nullif(current_setting('…', true), '')",
          }
        : undefined;
    },
  }),
];
