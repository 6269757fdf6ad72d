// Which statements of a migration lose rows or columns, by the linter's rules: what a person has to confirm before a way back.
import { KEPT_SCHEMA, keptColumnTable } from "../drop/kept-names.ts";
import { standsForCode } from "../code/code-migration.ts";
import { lintSql } from "../lint.ts";
import { parseSqlScript } from "../sql-script.ts";
import { actionsOf, childOf, droppedNames, relationName, textOf } from "../syntax.ts";
import type { PlannedMigration } from "./run-migrations.ts";

export interface DataLoss {
  /** From 1, in the file. */
  readonly line: number;
  /** e.g. `users holds rows, and their email is dropped`. */
  readonly what: string;
}

const LOSING_RULES: ReadonlySet<string> = new Set([
  "drop-column",
  "drop-table",
  "drop-schema",
  "drop-database",
  "drop-extension",
  "drop-cascade",
  "truncate",
  "write-without-where",
  "narrowing-type",
]);

/** What the statements that are still to run lose; in the order of lines. A finding that the file silences counts, too. */
export async function findDataLoss({ file, groups }: PlannedMigration): Promise<readonly DataLoss[]> {
  // The statements at their own lines, without the part that leads the other way: what that one makes is not new here.
  let text = "";
  let atLine = 1;
  const losses: DataLoss[] = [];
  const restored = new Set<string>();
  const harmlessLines = new Set<number>();
  for (const { line, sql } of groups.flatMap(({ statements }) => statements)) {
    text += "\n".repeat(Math.max(0, line - atLine));
    text += `${sql}; `;
    atLine = Math.max(atLine, line) + sql.split("\n").length - 1;
    const [statement] = (await parseSqlScript(sql, file)).statements;
    if (statement?.kind === "DeleteStmt" && statement.node["whereClause"] !== undefined) {
      const table = relationName(childOf(statement.node, "relation"));
      losses.push({ line, what: `rows of ${table?.name ?? "a table"} are deleted` });
    }
    if (statement === undefined) continue;
    if (standsForCode(sql)) losses.push({ line, what: "what code changes cannot be told beforehand" });
    for (const { kind, table, node } of actionsOf(statement)) {
      if (kind === "AT_AddColumn" && table !== undefined) {
        const column = textOf(node, "colname") ?? "";
        restored.add(keptColumnTable({ schema: table.schema ?? "public", table: table.name, column }));
      }
    }
    // The copy of a dropped column, after the column is back.
    const dropped = statement.kind === "DropStmt" ? droppedNames(statement.node) : [];
    if (dropped.length > 0 && dropped.every(({ schema, name }) => schema === KEPT_SCHEMA && restored.has(name)))
      harmlessLines.add(line);
  }
  const { findings, ignored } = await lintSql([{ name: file, text }]);
  for (const { rule, line, message, statement } of [...findings, ...ignored.map(({ finding }) => finding)]) {
    // Without CASCADE the server refuses a schema that holds anything.
    const isEmpty = rule === "drop-schema" && !/\bCASCADE\b/i.test(statement);
    if (LOSING_RULES.has(rule) && !isEmpty && !harmlessLines.has(line)) losses.push({ line, what: message });
  }
  const seen = new Set<string>();
  return losses
    .toSorted((a, b) => a.line - b.line)
    .filter(({ line, what }) => !seen.has(`${line} ${what}`) && seen.add(`${line} ${what}`));
}
