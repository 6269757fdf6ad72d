// Generated columns that are stored: no plain column becomes one, and adding one writes the table anew under a lock. So a plain column
// that a trigger fills takes its place as any other column does, and a phase of its own, which may wait, makes it generated again.
import type { Catalog, Table } from "../../catalog/index.ts";
import { identifier, InvalidInputError } from "../../postgres/index.ts";
import { inTransaction, type ExpandPhase } from "./change.ts";
import { refuseConstrainedDomain, requireFree, workNames, type ColumnChange, type ColumnWork } from "./column-names.ts";
import {
  addConditions,
  addIncoming,
  ALL_INDEXES,
  analyzeTable,
  buildIndexes,
  relationOf,
  validateConditions,
} from "./column-steps.ts";
import { switchUp } from "./column-switch.ts";
import { fileWords, suffixed } from "./names.ts";
import { collectParts, columnSettings, findColumn, findTable, NEW_SUFFIX, type ColumnParts } from "./parts.ts";
import { columnsOfNew, renameColumn } from "./rewrite.ts";
import { createSyncFunction, createSyncTrigger, dropSyncFunction, type ComputedTrigger } from "./sync.ts";

export interface GeneratedWork extends ColumnWork {
  /** What it is generated from, after the switch. */
  readonly expression: string;
  /** What the old one is generated from, and from which column under which name then. */
  readonly oldExpression: string;
  readonly syncAfter: ComputedTrigger;
  /** All that is on the column: what it shares with others went over with those. */
  readonly whole: ColumnParts;
}

/** Stored columns that are generated from a column. */
export function generatedFrom(catalog: Catalog, table: Table, column: string): readonly string[] {
  const users = catalog.dependencies.filter(
    ({ from, to }) =>
      from.kind === "column" &&
      to.kind === "column" &&
      to.schema === table.schema &&
      to.name === table.name &&
      to.part === column &&
      from.schema === table.schema &&
      from.name === table.name,
  );
  return table.columns
    .filter(({ name, generated }) => generated?.kind === "stored" && users.some(({ from }) => from.part === name))
    .map(({ name }) => name);
}

/**
 * A column that changes, and those that are generated from it. A key, index or check over several of them goes over with the last: by then
 * all of the new columns are there.
 */
export async function withGenerated(
  catalog: Catalog,
  main: ColumnWork,
): Promise<{ readonly works: readonly ColumnWork[]; readonly generated: readonly GeneratedWork[] }> {
  const { table, column } = main.parts;
  const works: GeneratedWork[] = [];
  for (const { name } of main.together.slice(1)) {
    const expression = findColumn(table, name).generated?.expression ?? "";
    const change = { ...main.change, column: name, type: findColumn(table, name).type };
    const before = await renameColumn(expression, table.name, column.name, main.before.new);
    const old = await renameColumn(expression, table.name, column.name, main.after.old);
    works.push(await computedWork(catalog, change, { before, after: expression, old }, main.together));
  }
  const generated = works.map((work, index) => ({ ...work, parts: withoutShared(work.parts, works.slice(index + 1)) }));
  return { works: [{ ...main, parts: withoutShared(main.parts, works) }, ...generated], generated };
}

/** A generated column that gets another type or expression itself. */
export async function changedGenerated(catalog: Catalog, change: ColumnChange): Promise<GeneratedWork> {
  const table = findTable(catalog, change.schema, change.table);
  const { generated, type } = findColumn(table, change.column);
  const full = `${table.schema}.${table.name}.${change.column}`;
  if (generated?.kind !== "stored") {
    throw new InvalidInputError(`${full} is virtual: no value of it is stored`, {
      hint: "change it in one step, which only changes the catalog: pgsteward migrate generate plans it",
    });
  }
  if (change.back !== undefined || change.default !== undefined) {
    throw new InvalidInputError(`${full} is generated: it has neither a default nor a way back for its values`, {
      hint: "say the new expression with --using, and nothing else",
    });
  }
  refuseConstrainedDomain(catalog, change.type);
  const expression =
    change.using ?? (type === change.type ? generated.expression : `(${generated.expression})::${change.type}`);
  const expressions = { before: expression, after: expression, old: generated.expression };
  return computedWork(catalog, change, expressions, [workNames(change.column)]);
}

async function computedWork(
  catalog: Catalog,
  change: ColumnChange,
  expressions: { readonly before: string; readonly after: string; readonly old: string },
  together: ColumnWork["together"],
): Promise<GeneratedWork> {
  const table = findTable(catalog, change.schema, change.table);
  const names = workNames(change.column);
  requireFree(table, names.new, names.old);
  const columns = [...table.columns.map(({ name }) => name), ...together.flatMap((other) => [other.new, other.old])];
  // Triggers fire by name: after the one that fills what it is made from.
  const trigger = {
    schema: table.schema,
    table: table.name,
    name: suffixed(`zzz_made_${table.name}_${change.column}`, ""),
  };
  const whole = collectParts(catalog, table, change.column);
  const computed = async (column: string, value: string): Promise<ComputedTrigger> => ({
    ...trigger,
    column,
    value: await columnsOfNew(value, table.name, columns),
  });
  return {
    change,
    serverVersion: catalog.serverVersion,
    whole,
    parts: collectParts(
      catalog,
      table,
      change.column,
      together.map(({ name }) => name),
    ),
    newType: change.type,
    newDefault: undefined,
    before: { old: names.name, new: names.new },
    after: { old: names.old, new: names.name },
    forward: expressions.before,
    expression: expressions.after,
    oldExpression: expressions.old,
    syncBefore: await computed(names.new, expressions.before),
    syncAfter: await computed(names.name, expressions.after),
    together,
  };
}

function withoutShared(parts: ColumnParts, others: readonly ColumnWork[]): ColumnParts {
  const isFree = (list: "conditions" | "keys" | "indexes") => (item: { readonly name: string }) =>
    !others.some((other) => other.parts[list].some(({ name }) => name === item.name));
  return {
    ...parts,
    conditions: parts.conditions.filter(isFree("conditions")),
    keys: parts.keys.filter(isFree("keys")),
    indexes: parts.indexes.filter(isFree("indexes")),
    incoming: parts.incoming.filter(({ key }) =>
      others.every((other) => other.parts.incoming.every((known) => known.key !== key)),
    ),
  };
}

/** From here on it is what it was: a generated column, which nobody can write. */
export async function generatePhase(work: GeneratedWork): Promise<ExpandPhase> {
  const { syncAfter, newType, expression } = work;
  const plain: ColumnWork = {
    ...work,
    parts: work.whole,
    together: [workNames(work.parts.column.name)],
    syncBefore: syncAfter,
    syncAfter: undefined,
  };
  const { table, column } = plain.parts;
  const relation = relationOf(plain);
  const { before, after } = plain;
  const [exchange, ...rest] = switchUp([plain]);
  const ended = exchange === undefined ? [] : exchange.statements.slice(1);
  return {
    phase: "generate",
    name: fileWords("generate", table.name, column.name),
    why: [
      `Makes ${column.name} a generated column again. The trigger that fills it until then serves programs as well.`,
      `Adding it writes ${table.name} anew while nobody can read or write it, and nothing else makes one: run this when the table may stand still for so long, or never.`,
    ],
    up: [
      ...inTransaction(
        `ALTER TABLE ${relation} ADD COLUMN ${identifier(before.new)} ${newType} GENERATED ALWAYS AS (${expression}) STORED`,
        ...columnSettings(plain.parts, before.new, newType === column.type),
        ...(await addConditions(plain, before.new, NEW_SUFFIX)),
      ),
      ...validateConditions(plain, before.new, NEW_SUFFIX),
      ...(await buildIndexes(plain, before.new, NEW_SUFFIX, ALL_INDEXES)),
      ...addIncoming(plain, before.new, NEW_SUFFIX),
      ...analyzeTable(table),
      ...inTransaction(
        ...ended,
        dropSyncFunction(syncAfter),
        `ALTER TABLE ${relation} DROP COLUMN ${identifier(after.old)}`,
      ),
      ...rest,
    ],
    down: inTransaction(
      `ALTER TABLE ${relation} ALTER COLUMN ${identifier(column.name)} DROP EXPRESSION`,
      createSyncFunction(syncAfter),
      createSyncTrigger(syncAfter),
    ),
    backfill: undefined,
  };
}

/** Of the old one, after the last of the other phases. */
export function addOldGenerated(work: GeneratedWork): string {
  const { column } = work.parts;
  return `ALTER TABLE ${relationOf(work)} ADD COLUMN ${identifier(work.after.old)} ${column.type} GENERATED ALWAYS AS (${work.oldExpression}) STORED`;
}
