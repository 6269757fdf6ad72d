// How a column becomes NOT NULL while others use its table, and how it stops.
import {
  alterTable,
  objectId,
  partOf,
  passesNotNullDown,
  type CatalogObject,
  type CatalogObjects,
} from "../../catalog/index.ts";
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
  if (!old.isNullable && wanted.isNullable) {
    const dropped = statement(`${start} ALTER COLUMN ${column} DROP NOT NULL`);
    const kept = keepingHeirs(before, context);
    // From 18 on an heir makes the constraint its own before it is lost; before, it has to be set again.
    if (context.serverVersion < NOT_NULL_CONSTRAINT_VERSION) return [dropped, ...kept];
    // A partition that was given its part of a primary key has made the constraint its own.
    return [...kept, dropped, ...(passesNotNullDown(before) ? takenFromAll(before, context) : [])];
  }
  const usualName = after.notNullName ?? `${after.name.slice(0, 24)}_${(after.part ?? "").slice(0, 24)}_not_null`;
  const name = identifier(usualName);
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
    // Before 18 NOT NULL has no name, and neither of these differs.
    const known = before.notNullName === undefined ? "" : identifier(before.notNullName);
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
  // Out of its table for a moment only: nobody finds its rows until it is back.
  if (context.isDetached?.(after) === true) {
    const why = "reads the whole table while nobody else can use it";
    return [statement(`${start} ALTER COLUMN ${column} SET NOT NULL`, [{ kind: "scan", why }, ...mayFail])];
  }
  if (context.serverVersion >= NOT_NULL_CONSTRAINT_VERSION && table.facts.kind === "table") {
    return [
      statement(`${start} ADD CONSTRAINT ${name} ${notNull} NOT VALID`, [], "own"),
      statement(`${start} VALIDATE CONSTRAINT ${name}`, scan, "own"),
    ];
  }
  const proof = identifier(freeName(usualName, context));
  return [
    statement(`${start} ADD CONSTRAINT ${proof} CHECK (${column} IS NOT NULL) NOT VALID`, [], "own"),
    statement(`${start} VALIDATE CONSTRAINT ${proof}`, scan, "own"),
    statement(`${start} ALTER COLUMN ${column} SET NOT NULL`),
    statement(`${start} DROP CONSTRAINT ${proof}`),
  ];
}

/** The usual name, or one like it that no constraint has which is there while the column is being proved. */
function freeName(usual: string, { before, after, isDetached }: RuleContext): string {
  // A partition that was NOT NULL with the table has the constraint under its name, and one that is made or joins comes with it.
  const comes = (object: CatalogObject): boolean => {
    const partition = objectId("partition", object.schema, object.name);
    const joins = after.has(partition) && !before.has(partition);
    return joins || !before.has(object.parent ?? "") || isDetached?.(object) === true;
  };
  const isNamed = (object: CatalogObject, name: string): boolean =>
    object.kind === "column" && object.notNullName === name;
  const isTaken = (name: string): boolean =>
    [...before.values()].some((object) => isNamed(object, name) || isConstraint(object, name)) ||
    [...after.values()].some((object) => isConstraint(object, name) || (isNamed(object, name) && comes(object)));
  for (let tried = 0; ; tried++) {
    const name = tried === 0 ? usual : `${usual.slice(0, 54)}_check${tried === 1 ? "" : tried}`;
    if (!isTaken(name)) return name;
  }
}

const isConstraint = ({ kind, part }: CatalogObject, name: string): boolean => kind === "constraint" && part === name;

/** Keeps NOT NULL for heirs and partitions that have it from a column, and still have it when the column loses it. */
function keepingHeirs(column: Column, { before, after, serverVersion }: RuleContext): readonly PlannedStatement[] {
  if (!passesNotNullDown(column)) return [];
  const hazards =
    serverVersion >= NOT_NULL_CONSTRAINT_VERSION
      ? []
      : [{ kind: "scan" as const, why: "reads the whole table while nobody else can use it" }];
  return [...before.values()].flatMap((heir) => {
    if (heir.kind !== "column" || heir.part !== column.part || !isHeir(heir, column, before)) return [];
    const wanted = after.get(heir.id);
    if (wanted?.kind !== "column" || wanted.facts.isNullable || !isHeir(wanted, column, after)) return [];
    const table = after.get(wanted.parent ?? "");
    return [statement(`${alterTable(table, wanted)} ALTER COLUMN ${partOf(wanted)} SET NOT NULL`, hazards)];
  });
}

/** What heirs keep as their own when the constraint of their parent's column becomes NO INHERIT again. */
export function takenFromHeirs(column: Column, wanted: Column, context: RuleContext): readonly PlannedStatement[] {
  return column.facts.isNotNullNoInherit || !wanted.facts.isNotNullNoInherit ? [] : takenFromAll(column, context);
}

/** Takes NOT NULL from the heirs, of every generation, that are not to have it. Where it is gone already, nothing happens. */
function takenFromAll(column: Column, { before, after }: RuleContext): readonly PlannedStatement[] {
  const found: PlannedStatement[] = [];
  for (const generation = [column]; ;) {
    const parent = generation.shift();
    if (parent === undefined) return found;
    for (const heir of before.values()) {
      if (heir.kind !== "column" || heir.part !== column.part || !isHeir(heir, parent, before)) continue;
      generation.push(heir);
      const there = after.get(heir.id);
      if (heir.facts.isNullable || there?.kind !== "column" || !there.facts.isNullable) continue;
      const table = before.get(heir.parent ?? "");
      found.push(statement(`${alterTable(table, heir)} ALTER COLUMN ${partOf(heir)} DROP NOT NULL`));
    }
  }
}

export function isHeir(heir: Column, { schema, name }: Column, objects: CatalogObjects): boolean {
  const table = objects.get(heir.parent ?? "");
  const partition = objects.get(objectId("partition", heir.schema, heir.name));
  const parents =
    partition?.kind === "partition"
      ? [{ schema: partition.facts.parentSchema, name: partition.facts.parentTable }]
      : table?.kind === "table"
        ? table.facts.inherits
        : [];
  return parents.some((parent) => parent.schema === schema && parent.name === name);
}
