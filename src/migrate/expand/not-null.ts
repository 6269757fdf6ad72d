// NOT NULL with a default for a column that has rows without a value: the default first, then the rows, then the constraint.
import type { Catalog } from "../../catalog/index.ts";
import { identifier, InvalidInputError } from "../../postgres/index.ts";
import { backfillDefinition, backfillGroups, type BackfillSql } from "./backfill-sql.ts";
import { alone, inTransaction, nothingToUndo, type ExpandChange, type ExpandPhase } from "./change.ts";
import { fileWords, suffixed } from "./names.ts";
import { findColumn, findTable, requirePlainTable, walkKeyOf } from "./parts.ts";

const NAMED_NOT_NULL = 180_000;

/** @throws InvalidInputError when the column is NOT NULL already */
export function notNullPhases(
  catalog: Catalog,
  change: Extract<ExpandChange, { readonly kind: "column not null" }>,
): readonly ExpandPhase[] {
  const table = findTable(catalog, change.schema, change.table);
  requirePlainTable(catalog, table);
  const column = findColumn(table, change.column);
  if (!column.isNullable)
    throw new InvalidInputError(`${table.schema}.${table.name}.${column.name} is NOT NULL already`);
  if (column.generated !== undefined)
    throw new InvalidInputError(`${column.name} is generated: it cannot have a default`);
  const alter = `ALTER TABLE ${identifier(table.schema, table.name)}`;
  const name = identifier(column.name);
  const isNamed = catalog.serverVersion >= NAMED_NOT_NULL;
  const constraint = identifier(suffixed(`${table.name}_${column.name}`, "_not_null"));
  const work: BackfillSql = {
    schema: table.schema,
    table: table.name,
    key: walkKeyOf(table),
    set: `${name} = ${change.default}`,
    where: `${name} IS NULL`,
    mustFinish: true,
  };
  const words = (phase: string): string => fileWords(phase, table.name, column.name, "not_null");
  return [
    {
      phase: "expand",
      name: words("expand"),
      why: [`Gives ${column.name} its default: rows that come from now on have a value.`],
      up: inTransaction(`${alter} ALTER COLUMN ${name} SET DEFAULT ${change.default}`),
      down: inTransaction(
        `${alter} ALTER COLUMN ${name} ${column.default === undefined ? "DROP DEFAULT" : `SET DEFAULT ${column.default}`}`,
      ),
      backfill: undefined,
    },
    {
      phase: "backfill",
      name: words("backfill"),
      why: [
        `Fills ${column.name} in the rows that have no value, in batches that are each committed.`,
        "For a large table run pgsteward migrate backfill first: this file then finds nothing to do.",
      ],
      up: backfillGroups(work),
      down: nothingToUndo(),
      irreversible: "which rows had no value is not kept",
      backfill: backfillDefinition(words("backfill"), work),
    },
    {
      phase: "validate",
      name: words("validate"),
      why: ["New rows are held to NOT NULL at once, the old ones are checked without a lock that stops anybody."],
      up: [
        ...inTransaction(
          `${alter} ADD CONSTRAINT ${constraint} ${isNamed ? `NOT NULL ${name}` : `CHECK (${name} IS NOT NULL)`} NOT VALID`,
        ),
        ...backfillGroups(work),
        ...alone(`${alter} VALIDATE CONSTRAINT ${constraint}`),
        ...(isNamed
          ? []
          : inTransaction(`${alter} ALTER COLUMN ${name} SET NOT NULL`, `${alter} DROP CONSTRAINT ${constraint}`)),
      ],
      down: inTransaction(`${alter} ALTER COLUMN ${name} DROP NOT NULL`),
      backfill: undefined,
    },
  ];
}
