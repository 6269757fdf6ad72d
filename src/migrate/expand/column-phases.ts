// The five migrations of a column's change of type: expand, backfill, validate, switch, contract.
import { collate } from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import { backfillDefinition, backfillGroups, type BackfillSql } from "./backfill-sql.ts";
import { inTransaction, nothingToUndo, type ExpandPhase } from "./change.ts";
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
import { fileWords } from "./names.ts";
import { columnSettings, NEW_SUFFIX } from "./parts.ts";
import { createSyncFunction, createSyncTrigger, dropSyncFunction, dropSyncTrigger } from "./sync.ts";

export async function columnPhases(work: ColumnWork): Promise<readonly ExpandPhase[]> {
  const { change, parts } = work;
  const words = (phase: string): string => fileWords(phase, parts.table.name, change.column, `to_${work.newType}`);
  const copy = backfillOf(work);
  const phase = (name: string, rest: Omit<ExpandPhase, "phase" | "name" | "backfill">): ExpandPhase => ({
    phase: name,
    name: words(name),
    backfill: name === "backfill" ? backfillDefinition(words("backfill"), copy) : undefined,
    ...rest,
  });
  return [
    phase("expand", await expand(work)),
    phase("backfill", {
      why: [
        `Fills ${work.before.new} in the rows that were there before, in batches that are each committed.`,
        "For a large table run pgsteward migrate backfill first, which can be held back by load: this file then finds nothing to do.",
      ],
      up: backfillGroups(copy),
      down: nothingToUndo(),
    }),
    phase("validate", await validate(work)),
    phase("switch", {
      why: [switchText(work)],
      up: switchUp(work),
      down: await switchDown(work),
    }),
    phase("contract", await contract(work)),
  ];
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

async function expand(work: ColumnWork): Promise<PhaseBody> {
  const { parts, before, newType, syncBefore } = work;
  return {
    why: [
      `Adds ${before.new} beside ${before.old}. A trigger keeps both equal, whichever of them is written.`,
      "Its constraints hold for new rows from now on; the old rows are filled and checked by the next two migrations.",
    ],
    up: inTransaction(
      `ALTER TABLE ${relationOf(work)} ADD COLUMN ${identifier(before.new)} ${newType}`,
      ...columnSettings(parts, before.new, false),
      createSyncFunction(syncBefore),
      createSyncTrigger(syncBefore),
      ...(await addConditions(work, before.new, NEW_SUFFIX)),
    ),
    down: inTransaction(
      dropSyncTrigger(syncBefore),
      dropSyncFunction(syncBefore),
      `ALTER TABLE ${relationOf(work)} DROP COLUMN ${identifier(before.new)}`,
    ),
  };
}

async function validate(work: ColumnWork): Promise<PhaseBody> {
  const { before, parts } = work;
  return {
    why: [
      `Fills what is left, checks the constraints of ${before.new}, and builds its indexes while everybody works.`,
      "What takes long is done here, so that the next migration only exchanges names.",
    ],
    up: [
      ...backfillGroups(backfillOf(work)),
      ...validateConditions(work, before.new, NEW_SUFFIX),
      ...(await buildIndexes(work, before.new, NEW_SUFFIX, ALL_INDEXES)),
      ...addIncoming(work, before.new, NEW_SUFFIX),
      ...analyzeTable(parts.table),
    ],
    down: [
      ...inTransaction(...dropIncoming(work, NEW_SUFFIX)),
      ...dropIndexes(work, NEW_SUFFIX),
      ...inTransaction(...(await unvalidateConditions(work, before.new, NEW_SUFFIX))),
    ],
  };
}

function switchText({ before, after }: ColumnWork): string {
  return `${before.new} takes the name ${after.new}, and the old column becomes ${after.old}, which follows it as far as its type can hold the values.`;
}

/** After it only the new column is there. */
async function contract(work: ColumnWork): Promise<PhaseBody> {
  const { parts, after, syncAfter } = work;
  const relation = relationOf(work);
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
  return {
    why: [`Drops ${after.old} and the trigger. Run it when nobody needs the way back any more.`],
    up: inTransaction(
      dropSyncTrigger(syncAfter),
      dropSyncFunction(syncAfter),
      `ALTER TABLE ${relation} DROP COLUMN ${identifier(after.old)}`,
    ),
    down: [
      ...inTransaction(
        `ALTER TABLE ${relation} ADD COLUMN ${identifier(after.old)} ${column.type}${collate(column.collation)}`,
        ...columnSettings(parts, after.old, true),
        createSyncFunction(syncAfter),
        createSyncTrigger(syncAfter),
      ),
      ...backfillGroups(back),
    ],
  };
}
