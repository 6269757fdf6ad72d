// How a column becomes NOT NULL while others use its table, and how it stops.
import { alterTable, partOf, type CatalogObject } from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import { statement, type PlannedStatement, type RuleContext } from "./statement.ts";

type Column = CatalogObject<"column">;

/** First server whose NOT NULL is a constraint that can be NOT VALID. */
const NOT_NULL_CONSTRAINT_VERSION = 180000;

/**
 * SET NOT NULL scans under the strongest lock. A constraint that is not validated yet takes the lock for a moment only, its
 * validation lets others read and write, and SET NOT NULL then believes it.
 */
export function nullability(before: Column, after: Column, context: RuleContext): readonly PlannedStatement[] {
  const table = context.after.get(after.parent ?? "");
  const start = alterTable(table, after);
  const column = partOf(after);
  const old = before.facts;
  const wanted = after.facts;
  if (!old.isNullable && wanted.isNullable) return [statement(`${start} ALTER COLUMN ${column} DROP NOT NULL`)];
  const name = identifier(
    after.notNullName ?? `${after.name.slice(0, 24)}_${(after.part ?? "").slice(0, 24)}_not_null`,
  );
  const mayFail = [{ kind: "may fail" as const, why: "a row may have no value in the column" }];
  const notNull = `NOT NULL ${column}${wanted.isNotNullNoInherit ? " NO INHERIT" : ""}`;
  const scan = [{ kind: "scan" as const, why: "reads the whole table; others read and write meanwhile" }, ...mayFail];
  if (!old.isNullable && !old.isNotNullPending && wanted.isNotNullPending) {
    return [
      statement(`${start} ALTER COLUMN ${column} DROP NOT NULL`),
      statement(`${start} ADD CONSTRAINT ${name} ${notNull} NOT VALID`),
    ];
  }
  if (!old.isNullable) {
    const known = identifier(before.notNullName ?? "");
    const isPassedDown = !wanted.isNotNullNoInherit;
    return [
      ...(old.isNotNullNoInherit === wanted.isNotNullNoInherit
        ? []
        : [
            statement(
              `${start} ALTER CONSTRAINT ${known} ${isPassedDown ? "INHERIT" : "NO INHERIT"}`,
              isPassedDown ? mayFail : [],
            ),
          ]),
      ...(old.isNotNullPending && !wanted.isNotNullPending
        ? [statement(`${start} VALIDATE CONSTRAINT ${known}`, scan, "own")]
        : []),
    ];
  }
  if (wanted.isNullable) return [];
  if (wanted.isNotNullPending) return [statement(`${start} ADD CONSTRAINT ${name} ${notNull} NOT VALID`)];
  if (table?.kind !== "table" || table.facts.kind === "foreign") {
    const action = wanted.isNotNullNoInherit
      ? `ADD CONSTRAINT ${name} ${notNull}`
      : `ALTER COLUMN ${column} SET NOT NULL`;
    return [statement(`${start} ${action}`, mayFail)];
  }
  if (context.serverVersion >= NOT_NULL_CONSTRAINT_VERSION && table.facts.kind === "table") {
    return [
      statement(`${start} ADD CONSTRAINT ${name} ${notNull} NOT VALID`, [], "own"),
      statement(`${start} VALIDATE CONSTRAINT ${name}`, scan, "own"),
    ];
  }
  return [
    statement(`${start} ADD CONSTRAINT ${name} CHECK (${column} IS NOT NULL) NOT VALID`, [], "own"),
    statement(`${start} VALIDATE CONSTRAINT ${name}`, scan, "own"),
    statement(`${start} ALTER COLUMN ${column} SET NOT NULL`),
    statement(`${start} DROP CONSTRAINT ${name}`),
  ];
}
