// The five migrations of a column's change of type: expand, backfill, validate, switch, contract. What is generated from it goes along, and
// has a sixth.
import { collate } from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import { backfillDefinition, backfillGroups, type BackfillSql } from "./backfill-sql.ts";
import { inTransaction, nothingToUndo, type ExpandGroup, type ExpandPhase } from "./change.ts";
import type { ColumnWork } from "./column-names.ts";
import {
  addConditions,
  addIncoming,
  ALL_INDEXES,
  analyzeTable,
  buildIndexes,
  dropIncoming,
  dropIndexes,
  relationOf,
  unvalidateConditions,
  validateConditions,
} from "./column-steps.ts";
import { switchDown, switchUp } from "./column-switch.ts";
import { addOldGenerated, generatePhase, type GeneratedWork } from "./generated.ts";
import { fileWords } from "./names.ts";
import { columnSettings, NEW_SUFFIX } from "./parts.ts";
import { createSyncFunction, createSyncTrigger, dropSyncFunction, dropSyncTrigger } from "./sync.ts";

export interface ColumnPlan {
  /** Columns that change together, the one that was asked for first. */
  readonly works: readonly ColumnWork[];
  /** Those of them that are generated and stored. */
  readonly generated: readonly GeneratedWork[];
}

export async function columnPhases({ works, generated }: ColumnPlan): Promise<readonly ExpandPhase[]> {
  const [main] = works;
  if (main === undefined) return [];
  const { change, parts, newType } = main;
  const words = (phase: string): string => fileWords(phase, parts.table.name, change.column, `to_${newType}`);
  const phase = (name: string, rest: Omit<ExpandPhase, "phase" | "name" | "backfill">): ExpandPhase => ({
    phase: name,
    name: words(name),
    backfill: name === "backfill" ? backfillDefinition(words("backfill"), backfillOf(main)) : undefined,
    ...rest,
  });
  const made = names(generated);
  const phases = [
    phase("expand", await expand(works, made)),
    phase("backfill", {
      why: [
        `Fills ${works.map(({ before }) => before.new).join(", ")} in the rows that were there before, in batches that are each committed.`,
        "For a large table run pgsteward migrate backfill first, which can be held back by load: this file then finds nothing to do.",
      ],
      up: works.flatMap((work) => backfillGroups(backfillOf(work))),
      down: nothingToUndo(),
    }),
    phase("validate", await validate(works)),
    phase("switch", {
      why: [
        ...works.map((work) => switchText(work)),
        ...(generated.length === 0
          ? []
          : [`${made} is a plain column from here on, which a trigger fills with what its expression says.`]),
      ],
      up: switchUp(works),
      down: await switchDown(works),
    }),
    phase("contract", await contract(works, generated)),
  ];
  for (const work of generated) phases.push(await generatePhase(work));
  return phases;
}

function names(works: readonly ColumnWork[]): string {
  return works.map(({ parts }) => parts.column.name).join(", ");
}

function backfillOf(work: ColumnWork): BackfillSql {
  const { parts, before, forward } = work;
  const column = identifier(before.new);
  return {
    schema: parts.table.schema,
    table: parts.table.name,
    key: parts.walkKey,
    set: `${column} = ${forward}`,
    where: `${column} IS NULL AND (${forward}) IS NOT NULL`,
    mustFinish: true,
  };
}

type PhaseBody = Omit<ExpandPhase, "phase" | "name" | "backfill">;

async function expand(works: readonly ColumnWork[], made: string): Promise<PhaseBody> {
  const up: ExpandGroup[] = [];
  for (const work of works) {
    const { parts, before, newType, syncBefore } = work;
    up.push(
      ...inTransaction(
        `ALTER TABLE ${relationOf(work)} ADD COLUMN ${identifier(before.new)} ${newType}`,
        ...columnSettings(parts, before.new, false),
        createSyncFunction(syncBefore),
        createSyncTrigger(syncBefore),
        ...(await addConditions(work, before.new, NEW_SUFFIX)),
      ),
    );
  }
  const copied = works.filter(({ syncBefore }) => !("value" in syncBefore));
  return {
    why: [
      ...copied.map(
        ({ before }) =>
          `Adds ${before.new} beside ${before.old}. A trigger keeps both equal, whichever of them is written.`,
      ),
      ...(made === ""
        ? []
        : [
            `Adds a plain column for what will be generated (${made}). A trigger fills it with what the expression says.`,
          ]),
      "Its constraints hold for new rows from now on; the old rows are filled and checked by the next two migrations.",
    ],
    up,
    down: inTransaction(
      ...works
        .toReversed()
        .flatMap((work) => [
          dropSyncTrigger(work.syncBefore),
          dropSyncFunction(work.syncBefore),
          `ALTER TABLE ${relationOf(work)} DROP COLUMN ${identifier(work.before.new)}`,
        ]),
    ),
  };
}

async function validate(works: readonly ColumnWork[]): Promise<PhaseBody> {
  const up: ExpandGroup[] = works.flatMap((work) => backfillGroups(backfillOf(work)));
  const down: ExpandGroup[] = [];
  for (const work of works) {
    const { before } = work;
    up.push(
      ...validateConditions(work, before.new, NEW_SUFFIX),
      ...(await buildIndexes(work, before.new, NEW_SUFFIX, ALL_INDEXES)),
      ...addIncoming(work, before.new, NEW_SUFFIX),
    );
    down.unshift(
      ...inTransaction(...dropIncoming(work, NEW_SUFFIX)),
      ...dropIndexes(work, NEW_SUFFIX),
      ...inTransaction(...(await unvalidateConditions(work, before.new, NEW_SUFFIX))),
    );
  }
  const [main] = works;
  return {
    why: [
      `Fills what is left, checks the constraints of ${works.map(({ before }) => before.new).join(", ")}, and builds the indexes while everybody works.`,
      "What takes long is done here, so that the next migration only exchanges names.",
    ],
    up: [...up, ...(main === undefined ? [] : analyzeTable(main.parts.table))],
    down,
  };
}

function switchText({ before, after, syncBefore }: ColumnWork): string {
  const follows = "value" in syncBefore ? "" : ", which follows it as far as its type can hold the values";
  return `${before.new} takes the name ${after.new}, and the old column becomes ${after.old}${follows}.`;
}

/** After it only the new columns are there. */
async function contract(works: readonly ColumnWork[], generated: readonly GeneratedWork[]): Promise<PhaseBody> {
  const copied = works.filter(({ syncBefore }) => !("value" in syncBefore));
  const old = works.map(({ after }) => after.old).join(", ");
  return {
    why: [
      `Drops ${old}${copied.length === 0 ? "" : " and the trigger"}. Run it when nobody needs the way back any more.`,
      ...(generated.length === 0
        ? []
        : ["The way back writes the table anew while nobody can read or write it: it adds a generated column."]),
    ],
    up: inTransaction(
      ...copied.flatMap(({ syncAfter }) =>
        syncAfter === undefined ? [] : [dropSyncTrigger(syncAfter), dropSyncFunction(syncAfter)],
      ),
      ...works.toReversed().map((work) => `ALTER TABLE ${relationOf(work)} DROP COLUMN ${identifier(work.after.old)}`),
    ),
    down: [
      ...copied.flatMap(addOld),
      ...generated.flatMap((work) =>
        inTransaction(addOldGenerated(work), ...columnSettings(work.parts, work.after.old, true)),
      ),
    ],
  };
}

function addOld(work: ColumnWork): readonly ExpandGroup[] {
  const { parts, after, syncAfter } = work;
  const { column } = parts;
  const back: BackfillSql = {
    schema: parts.table.schema,
    table: parts.table.name,
    key: parts.walkKey,
    // The trigger fills it: a value that the old type cannot hold stays NULL instead of ending the run.
    set: `${identifier(after.old)} = NULL`,
    where: `${identifier(after.old)} IS NULL AND ${identifier(after.new)} IS NOT NULL`,
    mustFinish: false,
  };
  return [
    ...inTransaction(
      `ALTER TABLE ${relationOf(work)} ADD COLUMN ${identifier(after.old)} ${column.type}${collate(column.collation)}`,
      ...columnSettings(parts, after.old, true),
      ...(syncAfter === undefined ? [] : [createSyncFunction(syncAfter), createSyncTrigger(syncAfter)]),
    ),
    ...backfillGroups(back),
  ];
}
