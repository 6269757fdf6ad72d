// The two releases of a column's drop: what the first one takes away so that programs may leave the column out, and the drop itself.
import type { Catalog, Constraint } from "../../catalog/index.ts";
import { identifier, InvalidInputError } from "../../postgres/index.ts";
import { backfillGroups } from "../expand/backfill-sql.ts";
import { alone, inTransaction, type ExpandPhase } from "../expand/change.ts";
import { fileWords } from "../expand/names.ts";
import { droppedColumn, firedBy, type DroppedColumn } from "./column-parts.ts";
import { dropColumn, keptOf, refuseNulls, relationOf, restoreColumn, restoreConditions } from "./column-statements.ts";
import type { DropChange } from "./drop-parts.ts";

type ColumnDrop = Extract<DropChange, { readonly kind: "column" }>;

/** What stands in the way of a row without the column. */
interface Harmless {
  readonly dropsDefault: boolean;
  readonly dropsNotNull: boolean;
  readonly checks: readonly Constraint[];
}

export function columnDropPhases(
  catalog: Catalog,
  change: ColumnDrop,
): { readonly phases: readonly ExpandPhase[]; readonly notices: readonly string[] } {
  const dropped = droppedColumn(catalog, change);
  const harmless = madeHarmless(dropped);
  const { table, column } = dropped;
  const left: DroppedColumn = {
    ...dropped,
    notNull: harmless.dropsNotNull ? undefined : dropped.notNull,
    column: harmless.dropsDefault ? { ...column, default: undefined } : column,
    conditions: dropped.conditions.filter((condition) => !harmless.checks.includes(condition)),
  };
  const drop: ExpandPhase = {
    phase: "drop",
    name: fileWords("drop", table.name, column.name),
    why: [
      `${column.name} of ${table.name} goes. Its values are kept in ${keptOf(left)}, which only its owner can read.`,
      "They are copied in batches, and a trigger keeps the copy equal meanwhile. Run it when no program uses the column any more.",
    ],
    up: dropColumn(left),
    down: restoreColumn(left),
    backfill: undefined,
  };
  const release = releasePhase(dropped, harmless, change);
  const notices = keptNotices(left);
  if (release !== undefined) return { phases: [release, drop], notices };
  const first = `nothing has to be done for the first release: bring out programs without ${column.name}, then run ${drop.name}`;
  return { phases: [drop], notices: [first, ...notices] };
}

/** A check that is neither true nor false for NULL lets the row pass; one that looks at NULL may not. */
const LOOKS_AT_NULL = /\bIS\b|\bCASE\b|\bcoalesce\b|\bnum_n(?:on)?nulls\b|\bOR\b/i;

function madeHarmless({ column, notNull, keys, indexes, sequence, conditions }: DroppedColumn): Harmless {
  const isUnique = keys.length > 0 || indexes.some((index) => index.isUnique);
  const hasDefault = column.default !== undefined || column.identity !== undefined;
  // Every row that leaves the column out would have the same value; what a function gives may be another one each time.
  const dropsDefault = hasDefault && isUnique && sequence === undefined && !(column.default ?? "").includes("(");
  const leavesNull = !hasDefault || dropsDefault;
  const refusing = indexes.find(({ nullsNotDistinct }) => nullsNotDistinct);
  if (leavesNull && refusing !== undefined) {
    throw new InvalidInputError(
      `${refusing.name} takes NULL for a value like any other: rows without ${column.name} would collide`,
      { hint: "drop it in a migration before, or give the column a default that is another one for each row" },
    );
  }
  if (leavesNull && keys.some(({ kind }) => kind === "primary key")) {
    throw new InvalidInputError(`${column.name} is part of the primary key: programs cannot leave it out`, {
      hint: "give it a default that is another one for each row, or the table another primary key, in a migration before",
    });
  }
  return {
    dropsDefault,
    dropsNotNull: notNull !== undefined && leavesNull,
    checks: leavesNull
      ? conditions.filter(({ kind, definition }) => kind === "check" && LOOKS_AT_NULL.test(definition))
      : [],
  };
}

function releasePhase(
  dropped: DroppedColumn,
  { dropsDefault, dropsNotNull, checks }: Harmless,
  change: ColumnDrop,
): ExpandPhase | undefined {
  if (!dropsDefault && !dropsNotNull && checks.length === 0) return undefined;
  const { table, column } = dropped;
  const alter = `ALTER TABLE ${relationOf(dropped)}`;
  const name = identifier(column.name);
  const value = change.default;
  const back: DroppedColumn = { ...dropped, conditions: checks, notNull: dropsNotNull ? dropped.notNull : undefined };
  const fill =
    value === undefined
      ? alone("SET row_security = off", refuseNulls(dropped), "RESET row_security")
      : backfillGroups({
          schema: table.schema,
          table: table.name,
          key: dropped.rowKey,
          set: `${name} = ${value}`,
          where: `${name} IS NULL`,
          mustFinish: true,
        });
  const wayBack =
    value === undefined
      ? "The way back refuses while there are rows without a value."
      : `On the way back rows without a value get ${value}.`;
  return {
    phase: "release",
    name: fileWords("release", table.name, column.name),
    why: [
      `Programs may leave ${column.name} out from here on: it may be NULL. Programs that still write and read it go on working.`,
      ...(dropsNotNull ? [wayBack] : []),
    ],
    up: inTransaction(
      ...(dropsDefault ? [`${alter} ALTER COLUMN ${name} DROP DEFAULT`] : []),
      ...(dropsNotNull ? [`${alter} ALTER COLUMN ${name} DROP NOT NULL`] : []),
      ...checks.map((check) => `${alter} DROP CONSTRAINT ${identifier(check.name)}`),
    ),
    down: [
      ...(dropsNotNull ? fill : []),
      ...restoreConditions(
        back,
        dropsDefault ? [`${alter} ALTER COLUMN ${name} SET DEFAULT ${column.default ?? "NULL"}`] : [],
        dropsNotNull && value !== undefined ? fill : [],
      ),
    ],
    backfill: undefined,
  };
}

function keptNotices(dropped: DroppedColumn): readonly string[] {
  const { table, column } = dropped;
  const full = `${table.schema}.${table.name}`;
  const fired = firedBy(dropped);
  return [
    `until it is let go, ${keptOf(dropped)} refers to ${full}: TRUNCATE of it then needs CASCADE, and a row that is deleted takes its ${column.name} along`,
    ...(dropped.keys.some(({ kind }) => kind === "primary key")
      ? [
          `${full} has no primary key until then: logical replication of its updates and deletes needs a REPLICA IDENTITY`,
        ]
      : []),
    ...(fired.length === 0
      ? []
      : [
          `when the values come back, ${fired.join(", ")} of ${full} fire unless the role may set session_replication_role`,
        ]),
  ];
}
