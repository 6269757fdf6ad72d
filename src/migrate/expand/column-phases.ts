// The five migrations of a column's change of type or name: expand, backfill, validate, switch, contract.
import { collate } from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import { backfillDefinition, backfillGroups, type BackfillSql } from "./backfill-sql.ts";
import { inTransaction, nothingToUndo, type ExpandPhase } from "./change.ts";
import type { ColumnWork } from "./column-names.ts";
import {
  addConditions,
  addIncoming,
  buildIndexes,
  dropIncoming,
  dropIndexes,
  keysOf,
  relationOf,
  unvalidateConditions,
  validateConditions,
} from "./column-steps.ts";
import { switchDown, switchUp, useIndex } from "./column-switch.ts";
import { fileWords, suffixed } from "./names.ts";
import { columnSettings, NEW_SUFFIX, OLD_SUFFIX, withName } from "./parts.ts";
import { createSyncFunction, createSyncTrigger, dropSyncFunction, dropSyncTrigger } from "./sync.ts";

export async function columnPhases(work: ColumnWork): Promise<readonly ExpandPhase[]> {
  const { change, parts } = work;
  const goal = change.kind === "column rename" ? `to_${change.to}` : `to_${work.newType}`;
  const words = (phase: string): string => fileWords(phase, parts.table.name, change.column, goal);
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
      up: await switchUp(work),
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
  const { parts, before, newType, keepsOld, syncBefore } = work;
  const collation = keepsOld ? collate(parts.column.collation) : "";
  return {
    why: [
      `Adds ${before.new} beside ${before.old}. A trigger keeps both equal, whichever of them is written.`,
      "Its constraints hold for new rows from now on; the old rows are filled and checked by the next two migrations.",
    ],
    up: inTransaction(
      `ALTER TABLE ${relationOf(work)} ADD COLUMN ${identifier(before.new)} ${newType}${collation}`,
      ...columnSettings(parts, before.new, keepsOld),
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
  const { before, keepsOld } = work;
  const all = { plain: true, unique: true, primary: true };
  const primary = { plain: false, unique: false, primary: true };
  return {
    why: [
      `Fills what is left, checks the constraints of ${before.new}, and builds its indexes while everybody works.`,
      "What takes long is done here, so that the next migration only exchanges names.",
    ],
    up: [
      ...backfillGroups(backfillOf(work)),
      ...validateConditions(work, before.new, NEW_SUFFIX),
      ...(await buildIndexes(work, before.new, NEW_SUFFIX, all)),
      // The old program may say ON CONFLICT (old name) after the primary key has moved.
      ...(keepsOld ? await buildIndexes(work, before.old, OLD_SUFFIX, primary) : []),
      ...addIncoming(work, before.new, NEW_SUFFIX),
    ],
    down: [
      ...inTransaction(...dropIncoming(work, NEW_SUFFIX)),
      ...(keepsOld ? dropIndexes(work, OLD_SUFFIX, primary) : []),
      ...dropIndexes(work, NEW_SUFFIX, all),
      ...inTransaction(...(await unvalidateConditions(work, before.new, NEW_SUFFIX))),
    ],
  };
}

function switchText({ change, before, after }: ColumnWork): string {
  return change.kind === "column rename"
    ? `Default, constraints and indexes go over to ${after.new}. Both names are written and kept equal until the next migration.`
    : `${before.new} takes the name ${after.new}, and the old column becomes ${after.old}, which follows it as far as its type can hold the values.`;
}

/** After it only the new column is there. */
async function contract(work: ColumnWork): Promise<PhaseBody> {
  const { parts, after, keepsOld, syncAfter, change } = work;
  const relation = relationOf(work);
  const { column } = parts;
  const back: BackfillSql = {
    schema: parts.table.schema,
    table: parts.table.name,
    key: keepsOld ? withName(parts.walkKey, column.name, after.new) : parts.walkKey,
    // The trigger fills it: a value that the old type cannot hold stays NULL instead of ending the run.
    set: `${identifier(after.old)} = NULL`,
    where: `${identifier(after.old)} IS NULL AND ${identifier(after.new)} IS NOT NULL`,
    mustFinish: keepsOld,
  };
  return {
    why: [
      `Drops ${after.old} and the trigger. Run it when no program ${change.kind === "column rename" ? "uses the old name" : "needs the way back"} any more.`,
    ],
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
      ...(keepsOld
        ? [
            ...(await buildIndexes(work, after.old, OLD_SUFFIX, { plain: true, unique: false, primary: true })),
            ...(await keptUniques(work)),
          ]
        : []),
    ],
  };
}

/** Unique constraints that the old column of a rename keeps until the end. */
async function keptUniques(work: ColumnWork): Promise<ExpandPhase["up"]> {
  const choice = { plain: false, unique: true, primary: false };
  const { table } = work.parts;
  const relation = identifier(table.schema, table.name);
  const kept = keysOf(work, choice).map((key) => {
    const name = suffixed(key.name, OLD_SUFFIX);
    return useIndex(relation, key, name, name);
  });
  return [...(await buildIndexes(work, work.after.old, OLD_SUFFIX, choice)), ...inTransaction(...kept)];
}
