// Columns of type timestamp (without time zone).
import { z } from "zod";
import type { Catalog, Column, Table } from "../../catalog/index.ts";
import { identifier, literal } from "../../postgres/index.ts";
import { nameOf, sqlNameOf, typeChangeObstacle, wholeTables } from "../objects.ts";
import { defineRuleWithOptions } from "../rule.ts";

const TIMESTAMP = /^timestamp(\(\d\))? without time zone(\[\])*$/;

export const timestampWithoutTimeZone = defineRuleWithOptions({
  id: "timestamp-without-time-zone",
  title: "Timestamp without time zone",
  severity: "warning",
  why: "The value does not say which moment it is: two clients in two time zones read and write different moments, and an hour is lost or doubled when clocks change.",
  examines: "columns",
  options: z.strictObject({
    /** Time zone the stored values are in, e.g. `UTC`. Only with it can the fix be written. */
    storedTimeZone: z
      .string()
      .regex(/^[\w+\-/]+$/, "a time zone name such as UTC or Europe/Berlin")
      .optional(),
  }),
  check(catalog, _settings, { storedTimeZone }) {
    const columns = wholeTables(catalog).flatMap((table) => table.columns.map((column) => ({ table, column })));
    return {
      examined: columns.length,
      findings: columns
        .filter(({ column }) => TIMESTAMP.test(column.baseType))
        .map(({ table, column }) => ({
          subject: { kind: "column", schema: table.schema, table: table.name, name: column.name },
          columns: [column.name],
          message: `${nameOf(table)}.${column.name} is ${column.type}.`,
          examined: `the type of ${nameOf(table)}.${column.name}`,
          fix: fixFor(catalog, table, column, storedTimeZone),
        })),
    };
  },
});

function fixFor(
  catalog: Catalog,
  table: Table,
  column: Column,
  zone: string | undefined,
): { description: string; sql: string | undefined } {
  const change =
    "Change it to timestamp with time zone, telling PostgreSQL which time zone the stored values are in (AT TIME ZONE). The table is rewritten under ACCESS EXCLUSIVE.";
  const precision = /^timestamp(\(\d\))? without time zone$/.exec(column.type);
  if (precision === null)
    return { description: `${change} Its type is ${column.type}, so this is done by hand.`, sql: undefined };
  const obstacle = typeChangeObstacle(catalog, table, column);
  if (obstacle !== undefined) return { description: `${change} By hand, because ${obstacle}.`, sql: undefined };
  if (zone === undefined)
    return { description: `${change} Set the rule's option storedTimeZone to get the statement.`, sql: undefined };
  const name = identifier(column.name);
  const changes = [
    `ALTER COLUMN ${name} TYPE timestamp${precision[1] ?? ""} with time zone USING ${name} AT TIME ZONE ${literal(zone)}`,
  ];
  if (column.default !== undefined) {
    // The old default gives local time; kept as it is, it would be read in the time zone of each session.
    const isNow =
      /^\(?(now\(\)|CURRENT_TIMESTAMP|LOCALTIMESTAMP|transaction_timestamp\(\))(::timestamp without time zone)?\)?$/.test(
        column.default,
      );
    changes.unshift(`ALTER COLUMN ${name} DROP DEFAULT`);
    changes.push(
      `ALTER COLUMN ${name} SET DEFAULT ${isNow ? "now()" : `((${column.default})::timestamp without time zone AT TIME ZONE ${literal(zone)})`}`,
    );
  }
  return {
    description: `${change} The values are taken as ${zone}.`,
    sql: `ALTER TABLE ${sqlNameOf(table)}\n  ${changes.join(",\n  ")};`,
  };
}
