// The two releases of a column's drop: what the first one takes away so that programs may leave the column out, and the drop itself.
import { literal, type Catalog, type Constraint } from "../../catalog/index.ts";
import { identifier, InvalidInputError } from "../../postgres/index.ts";
import { backfillGroups } from "../expand/backfill-sql.ts";
import { alone, type ExpandPhase } from "../expand/change.ts";
import { fileWords } from "../expand/names.ts";
import { findColumn } from "../expand/parts.ts";
import { plannedWay, releasedCatalog } from "./column-catalogs.ts";
import { childrenOf } from "./column-family.ts";
import { droppedColumn, firedBy, type DroppedColumn } from "./column-parts.ts";
import { dropColumn, refuseNulls, restoreColumn } from "./column-statements.ts";
import type { DropChange } from "./drop-parts.ts";
import { publishedNotice } from "./published.ts";
import { keptTable } from "./kept-copy.ts";

type ColumnDrop = Extract<DropChange, { readonly kind: "column" }>;

/** What stands in the way of a row without the column. */
interface Harmless {
  readonly isDefault: boolean;
  readonly isNotNull: boolean;
  readonly checks: readonly Constraint[];
}

export function columnDropPhases(
  catalog: Catalog,
  change: ColumnDrop,
): { readonly phases: readonly ExpandPhase[]; readonly notices: readonly string[] } {
  const dropped = droppedColumn(catalog, change);
  const harmless = madeHarmless(dropped);
  const { table, column, copies } = dropped;
  const left = leftAfterRelease(dropped, harmless, change);
  const kept = copies.map((copy) => keptTable(copy)).join(", ");
  const back = restoreColumn(left);
  const drop: ExpandPhase = {
    phase: "drop",
    name: fileWords("drop", table.name, column.name),
    why: [
      `${column.name} of ${table.name} goes. Its values are kept in ${kept}, which only its owner can read.`,
      "They are copied in batches, and a trigger keeps the copy equal meanwhile. Run it when no program uses the column any more.",
      ...back.hazards.map((hazard) => `On the way back: ${hazard}`),
    ],
    up: dropColumn(left),
    down: back.groups,
    backfill: undefined,
  };
  const release = releasePhase(dropped, harmless, change);
  const notices = [...keptNotices(left), ...back.hazards.map((hazard) => `the way back of ${drop.name}: ${hazard}`)];
  if (release !== undefined) return { phases: [release, drop], notices };
  const first = `nothing has to be done for the first release: bring out programs without ${column.name}, then run ${drop.name}`;
  return { phases: [drop], notices: [first, ...notices] };
}

/** A check that is neither true nor false for NULL lets the row pass; one that looks at NULL may not. */
const LOOKS_AT_NULL = /\bIS\b|\bCASE\b|\bcoalesce\b|\bnum_n(?:on)?nulls\b|\bOR\b/i;

/** By the release as it is planned: the catalog that the drop finds, with its own tables. */
function leftAfterRelease(dropped: DroppedColumn, harmless: Harmless, change: ColumnDrop): DroppedColumn {
  if (!isNeeded(harmless)) return dropped;
  return droppedColumn(releasedCatalog(dropped, harmless), change);
}

function isNeeded({ isDefault, isNotNull, checks }: Harmless): boolean {
  return isDefault || isNotNull || checks.length > 0;
}

function madeHarmless({ column, members, parts, sequence }: DroppedColumn): Harmless {
  const held = [...parts.values()];
  const constraints = held.flatMap((hold) => hold.constraints);
  const indexes = held.flatMap((hold) => hold.indexes);
  const isUnique = indexes.some((index) => index.isUnique);
  const hasDefault = column.default !== undefined || column.identity !== undefined;
  const isNotNull = members.some((member) => !findColumn(member, column.name).isNullable);
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
  if (leavesNull && constraints.some(({ kind }) => kind === "primary key")) {
    throw new InvalidInputError(`${column.name} is part of the primary key: programs cannot leave it out`, {
      hint: "give it a default that is another one for each row, or the table another primary key, in a migration before",
    });
  }
  return {
    isDefault: dropsDefault,
    isNotNull: isNotNull && leavesNull,
    checks: leavesNull
      ? constraints.filter(({ kind, definition }) => kind === "check" && LOOKS_AT_NULL.test(definition))
      : [],
  };
}

function releasePhase(dropped: DroppedColumn, harmless: Harmless, change: ColumnDrop): ExpandPhase | undefined {
  if (!isNeeded(harmless)) return undefined;
  const { catalog, table, column, copies } = dropped;
  const name = identifier(column.name);
  const value = change.default;
  const released = releasedCatalog(dropped, harmless);
  const fill =
    value === undefined
      ? alone("SET row_security = off", refuseNulls(dropped), "RESET row_security")
      : copies.flatMap((copy) =>
          backfillGroups({
            schema: copy.table.schema,
            table: copy.table.name,
            key: copy.rowKey,
            set: `${name} = ${value}`,
            where: `${name} IS NULL`,
            mustFinish: true,
            isOnly: copy.isOnly,
          }),
        );
  const wayBack =
    value === undefined
      ? "The way back refuses while there are rows without a value."
      : `On the way back rows without a value get ${value}.`;
  const back = plannedWay(released, catalog).groups;
  // New rows are held to it first: those that came meanwhile are filled, too.
  const checking = back.findIndex(({ statements }) => statements.some((sql) => sql.includes(" VALIDATE CONSTRAINT ")));
  const again = value !== undefined && checking > 0;
  return {
    phase: "release",
    name: fileWords("release", table.name, column.name),
    why: [
      `Programs may leave ${column.name} out from here on: it may be NULL. Programs that still write and read it go on working.`,
      ...(harmless.isNotNull ? [wayBack] : []),
    ],
    up: plannedWay(catalog, released).groups,
    down: harmless.isNotNull
      ? [...fill, ...(again ? [...back.slice(0, checking), ...fill, ...back.slice(checking)] : back)]
      : back,
    backfill: undefined,
  };
}

function keptNotices(dropped: DroppedColumn): readonly string[] {
  const { catalog, table, members, column, copies, parts } = dropped;
  const full = `${table.schema}.${table.name}`;
  const fired = firedBy(dropped);
  const keeping = members
    .flatMap((member) => childrenOf(catalog, member))
    .filter((child) => !members.includes(child))
    .map(({ schema, name }) => `${schema}.${name}`);
  const byTriggers = copies.filter(({ hasTriggers }) => hasTriggers);
  return [
    ...publishedNotice(dropped.unpublished, column.name),
    ...copies
      .filter(({ hasTriggers }) => !hasTriggers)
      .map(
        (copy) =>
          `until it is let go, ${keptTable(copy)} refers to ${copy.table.schema}.${copy.table.name}: TRUNCATE of it then needs CASCADE, and a row that is deleted takes its ${column.name} along`,
      ),
    ...byTriggers.map(
      (copy) =>
        `until it is let go, triggers of ${full} take a row's ${column.name} in ${keptTable(copy)} along when it is deleted or gets another key; what TRUNCATE or a dropped partition takes stays there`,
    ),
    ...(keeping.length === 0
      ? []
      : [
          `${[...new Set(keeping)].join(", ")} said ${column.name} too, or have it from elsewhere: they keep it, and it is their own meanwhile`,
        ]),
    ...([...parts.values()].some(({ constraints }) => constraints.some(({ kind }) => kind === "primary key"))
      ? [
          `${full} has no primary key until then: logical replication of its updates and deletes needs a REPLICA IDENTITY`,
        ]
      : []),
    ...(fired.length === 0
      ? []
      : [
          `when the values come back, ${[...new Set(fired)].join(", ")} of ${full} fire unless the role may set session_replication_role`,
        ]),
    ...members.flatMap((member) =>
      member.triggers
        .filter(({ definition, isLocal }) => isLocal && saysAsText(definition, column.name))
        .map(
          ({ name }) =>
            `the trigger ${name} of ${member.schema}.${member.name} is given ${literal(column.name)}: look whether it still needs it`,
        ),
    ),
  ];
}

/** As an argument of a trigger's function: text to the server. */
function saysAsText(definition: string, column: string): boolean {
  return definition.slice(definition.lastIndexOf(" EXECUTE ")).includes(literal(column));
}
