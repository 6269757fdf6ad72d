// Whether options of foreign data were set already: ADD of one that is there, and DROP of one that is not, are errors.
import { literal } from "../../postgres/index.ts";
import { childOf, listOf, textOf, type Node } from "../syntax.ts";
import { columnRow, regclass } from "./objects.ts";

/** Of a statement whose options all come or go together: the first that is added or dropped tells. */
function optionCondition(options: readonly Node[], rows: string, array: string): readonly string[] {
  const decisive = options.find((option) => option["defaction"] !== "DEFELEM_SET");
  if (decisive === undefined) return [];
  const [from = "", where = ""] = rows.split(/ WHERE (.*)/s);
  const found = `EXISTS (SELECT FROM ${from}, pg_catalog.pg_options_to_table(${array}) AS x WHERE ${where} AND x.option_name = ${literal(textOf(decisive, "defname") ?? "")})`;
  return [decisive["defaction"] === "DEFELEM_DROP" ? found : `NOT ${found}`];
}

function optionsIn(node: Node | undefined, field: string): readonly Node[] {
  return listOf(node, field).map(({ node: option }) => option);
}

export function isAboutOption(kind: string, node: Node): readonly string[] {
  const options = optionsIn(node, "options");
  const server = literal(textOf(node, "servername") ?? "");
  if (kind === "AlterForeignServerStmt")
    return optionCondition(options, `pg_catalog.pg_foreign_server AS f WHERE f.srvname = ${server}`, "f.srvoptions");
  if (kind === "AlterFdwStmt")
    return optionCondition(
      options,
      `pg_catalog.pg_foreign_data_wrapper AS f WHERE f.fdwname = ${literal(textOf(node, "fdwname") ?? "")}`,
      "f.fdwoptions",
    );
  return optionCondition(
    options,
    `pg_catalog.pg_user_mappings AS f WHERE f.srvname = ${server} AND f.usename = ${userOf(childOf(node, "user"))}`,
    "f.umoptions",
  );
}

function userOf(role: Node | undefined): string {
  switch (role?.["roletype"]) {
    case "ROLESPEC_PUBLIC":
      return "'public'";
    case "ROLESPEC_CSTRING":
      return literal(textOf(role, "rolename") ?? "");
    default:
      return role?.["roletype"] === "ROLESPEC_SESSION_USER" ? "session_user" : "current_user";
  }
}

/** @param column - the column whose options they are; left out: those of the table */
export function isAboutTableOption(
  command: Node,
  path: readonly string[],
  column: string | undefined,
): readonly string[] {
  const options = optionsIn(childOf(command, "def"), "items");
  return column === undefined
    ? optionCondition(options, `pg_catalog.pg_foreign_table AS f WHERE f.ftrelid = ${regclass(path)}`, "f.ftoptions")
    : optionCondition(options, columnRow([...path, column]), "a.attfdwoptions");
}
