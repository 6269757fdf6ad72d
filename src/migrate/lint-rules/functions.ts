// Functions in use whose rights or settings change: their bodies stay, and do something else.
import { childOf, flagOf, listOf, relationName, stringsOf, textOf, type Action } from "../syntax.ts";
import { defineLintRule, type LintRule, type RuleContext } from "./rule.ts";
import { word } from "./words.ts";

/** What names mean in almost every session: a path of these makes a function safer, and seldom other. */
const USUAL_SCHEMAS: ReadonlySet<string> = new Set(["", "$user", "public", "extensions", "pg_catalog", "pg_temp"]);

/** The function's name, when the batch has not made it or its body. */
function functionInUse({ action, state, earlier }: RuleContext): string | undefined {
  if (action.kind !== "AlterFunctionStmt") return undefined;
  const name = stringsOf(childOf(action.node, "func"), "objname").at(-1) ?? "";
  const isMadeHere = ({ kind, node }: Action): boolean =>
    kind === "CreateFunctionStmt" && stringsOf(node, "funcname").at(-1) === name;
  return state.newFunctions.has(name) || earlier().some((other) => isMadeHere(other)) ? undefined : name;
}

function madeName({ kind, node }: Action): string | undefined {
  if (kind === "ViewStmt") return relationName(childOf(node, "view"))?.name;
  return stringsOf(node, kind === "CreateFunctionStmt" ? "funcname" : "defnames").at(-1);
}

/** What CREATE OR REPLACE makes, by its name without the schema. */
function replacedName(action: Action): string | undefined {
  return flagOf(action.node, "replace") ? madeName(action) : undefined;
}

export const functionRules: readonly LintRule[] = [
  defineLintRule({
    id: "replace-function",
    on: ["CreateFunctionStmt", "ViewStmt", "DefineStmt"],
    title: "CREATE OR REPLACE of a view, function or aggregate",
    severity: "info",
    isRecommended: false,
    why: "Where it is there, programs get other answers from then on, without a release of their own, and nothing keeps the old one.",
    bad: "CREATE OR REPLACE FUNCTION total(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a';",
    good: "CREATE FUNCTION total(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a';",
    check({ action, state, earlier }) {
      const name = replacedName(action);
      if (name === undefined || state.newFunctions.has(name) || state.newViews.has(name)) return undefined;
      const isMadeHere = earlier().some(
        (other) => other.kind === action.kind && !flagOf(other.node, "replace") && madeName(other) === name,
      );
      return isMadeHere
        ? undefined
        : {
            message: `what ${word(name)} answers changes where it is there`,
            rewrite: "-- a new name, then move the programs",
          };
    },
  }),
  defineLintRule({
    id: "function-rights",
    on: ["AlterFunctionStmt"],
    title: "A function in use runs with other rights",
    severity: "warning",
    isRecommended: true,
    why: "SECURITY INVOKER refuses callers who lack the rights of its owner; SECURITY DEFINER gives everybody who may call it those rights.",
    bad: "ALTER FUNCTION close_account(bigint) SECURITY INVOKER;",
    good: "ALTER FUNCTION close_account(bigint) COST 10;",
    check(context) {
      const name = functionInUse(context);
      const security = listOf(context.action.node, "actions").find(({ node }) => node["defname"] === "security")?.node;
      if (name === undefined || security === undefined) return undefined;
      const isDefiner = childOf(security, "arg")?.["boolval"] === true;
      return {
        message: `${word(name)} runs with the rights of its ${isDefiner ? "owner" : "caller"} from now on`,
        rewrite: "-- have it approved on its own, apart from other changes",
      };
    },
  }),
  defineLintRule({
    id: "function-search-path",
    on: ["AlterFunctionStmt"],
    title: "A function in use gets another search_path, or loses its own",
    severity: "warning",
    isRecommended: true,
    why: "Names in its body mean other tables and functions; without a path of its own the caller's decides, which SECURITY DEFINER must not allow.",
    bad: "ALTER FUNCTION close_account(bigint) RESET search_path;",
    good: "ALTER FUNCTION close_account(bigint) SET search_path = '';",
    check(context) {
      const name = functionInUse(context);
      if (name === undefined) return undefined;
      for (const { node } of listOf(context.action.node, "actions")) {
        const set = childOf(node, "arg");
        if (node["defname"] !== "set" || set === undefined) continue;
        const kind = textOf(set, "kind");
        const isPath = textOf(set, "name") === "search_path";
        if (kind === "VAR_RESET_ALL" || (isPath && (kind === "VAR_RESET" || kind === "VAR_SET_DEFAULT")))
          return {
            message: `${word(name)} looks up names as its caller does`,
            rewrite: "SET search_path = ''",
          };
        const path = listOf(set, "args").map(({ node: value }) => textOf(childOf(value, "sval"), "sval") ?? "");
        const others = path.flatMap((part) => part.split(/\s*,\s*/)).filter((schema) => !USUAL_SCHEMAS.has(schema));
        if (isPath && kind === "VAR_SET_VALUE" && others.length > 0)
          return {
            message: `names in ${word(name)} are looked up in ${others.join(", ")}`,
            rewrite: "-- CREATE OR REPLACE it with names that have their schemas, and SET search_path = ''",
          };
      }
      return undefined;
    },
  }),
  defineLintRule({
    id: "function-promise",
    on: ["AlterFunctionStmt"],
    title: "A function in use is declared IMMUTABLE, STRICT, LEAKPROOF or the like",
    severity: "warning",
    isRecommended: true,
    why: "The planner believes it: a function that is IMMUTABLE by name only makes indexes and generated columns wrong, one that is VOLATILE is called for every row, a STRICT one gives null for null.",
    bad: "ALTER FUNCTION price_of(bigint) IMMUTABLE;",
    good: "CREATE OR REPLACE FUNCTION price_of(id bigint) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';",
    check(context) {
      const name = functionInUse(context);
      if (name === undefined) return undefined;
      const promises = listOf(context.action.node, "actions").flatMap(({ node }) => promiseOf(node) ?? []);
      return promises.length === 0
        ? undefined
        : {
            message: `${word(name)} is ${promises.join(", ")} from now on`,
            rewrite: "-- make sure that its body keeps it, and rebuild indexes that call it",
          };
    },
  }),
];

function promiseOf(option: Action["node"]): string | undefined {
  const value = childOf(option, "arg");
  const isOn = value?.["boolval"] === true;
  switch (option["defname"]) {
    case "volatility":
      return textOf(value, "sval")?.toUpperCase();
    case "parallel":
      return `PARALLEL ${textOf(value, "sval")?.toUpperCase() ?? ""}`;
    case "strict":
      return isOn ? "STRICT" : "CALLED ON NULL INPUT";
    case "leakproof":
      return isOn ? "LEAKPROOF" : "NOT LEAKPROOF";
    default:
      return undefined;
  }
}
