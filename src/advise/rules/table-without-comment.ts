// Tables nobody described.
import { nameOf, wholeTables } from "../objects.ts";
import { defineRule } from "../rule.ts";

export const tableWithoutComment = defineRule({
  id: "table-without-comment",
  title: "Table without a comment",
  severity: "info",
  why: "Agents and people read the catalog to find out what a table is for. A comment is where they look, and it travels with dumps and copies.",
  examines: "tables",
  check(catalog) {
    const tables = wholeTables(catalog);
    return {
      examined: tables.length,
      findings: tables
        .filter((table) => table.comment === undefined || table.comment.trim() === "")
        .map((table) => ({
          subject: { kind: "table", schema: table.schema, name: table.name },
          columns: [],
          message: `${nameOf(table)} has no comment.`,
          examined: `the comment of ${nameOf(table)}`,
          fix: { description: "Say in one sentence what one row is: COMMENT ON TABLE … IS '…'.", sql: undefined },
        })),
    };
  },
});
