// Columns of type json.
import type { Catalog, Column, Table } from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import { nameOf, sqlNameOf, typeChangeObstacle, wholeTables } from "../objects.ts";
import { defineRule } from "../rule.ts";

export const jsonInsteadOfJsonb = defineRule({
  id: "json-instead-of-jsonb",
  title: "json instead of jsonb",
  severity: "warning",
  why: "json is kept as text: each access parses it again, it has no equality (DISTINCT, GROUP BY and UNION fail) and no index can search in it.",
  examines: "columns",
  check(catalog) {
    const columns = wholeTables(catalog).flatMap((table) => table.columns.map((column) => ({ table, column })));
    return {
      examined: columns.length,
      findings: columns
        .filter(({ column }) => /^json(\[\])*$/.test(column.baseType))
        .map(({ table, column }) => ({
          subject: { kind: "column", schema: table.schema, table: table.name, name: column.name },
          columns: [column.name],
          message: `${nameOf(table)}.${column.name} is ${column.type}.`,
          examined: `the type of ${nameOf(table)}.${column.name}`,
          fix: fixFor(catalog, table, column),
        })),
    };
  },
});

function fixFor(catalog: Catalog, table: Table, column: Column): { description: string; sql: string | undefined } {
  const change =
    "Change it to jsonb. White space and the order of keys are not kept, and of equal keys only the last; the table is rewritten under ACCESS EXCLUSIVE.";
  if (column.type !== "json")
    return { description: `${change} Its type is ${column.type}, so this is done by hand.`, sql: undefined };
  const obstacle = typeChangeObstacle(catalog, table, column);
  if (obstacle !== undefined) return { description: `${change} By hand, because ${obstacle}.`, sql: undefined };
  if (catalog.serverVersion < 160_000) {
    return {
      description: `${change} Look for documents with equal keys first: PostgreSQL can find them (IS JSON WITH UNIQUE KEYS) from version 16 on.`,
      sql: undefined,
    };
  }
  const name = identifier(column.name);
  const target = sqlNameOf(table);
  const body = `BEGIN
  LOCK TABLE ${target} IN ACCESS EXCLUSIVE MODE;
  IF EXISTS (SELECT FROM ${target} WHERE ${name} IS NOT JSON WITH UNIQUE KEYS) THEN
    RAISE EXCEPTION 'some documents have equal keys: jsonb would keep only the last of them';
  END IF;
  ALTER TABLE ${target} ALTER COLUMN ${name} TYPE jsonb USING ${name}::jsonb;
END`;
  const quote = dollarQuoteFor(body);
  return {
    description: `${change} The statement refuses when a document has equal keys.`,
    sql: `DO ${quote}${body}${quote};`,
  };
}

/** `$fix$`, or with a number when the text itself holds that (in a name). */
function dollarQuoteFor(text: string): string {
  for (let number = 0; ; number += 1) {
    const quote = number === 0 ? "$fix$" : `$fix${number}$`;
    if (!text.includes(quote)) return quote;
  }
}
