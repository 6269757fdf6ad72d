// A column's new name while old and new programs both write: a copy stands under the new name until the two exchange their names, and
// then under the old one until it is dropped. The column itself stays, so all that hangs on it (keys, constraints, indexes, views,
// policies, statistics, its sequence) comes along as under RENAME COLUMN, and is neither built nor checked again.
import { collate, type Catalog, type Column, type Table } from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import { backfillDefinition, backfillGroups, type BackfillSql } from "./backfill-sql.ts";
import {
  alone,
  inTransaction,
  nothingToUndo,
  type ExpandChange,
  type ExpandGroup,
  type ExpandPhase,
} from "./change.ts";
import { requireFree } from "./column-names.ts";
import { analyzeTable } from "./column-steps.ts";
import { functionsNaming } from "./dependants.ts";
import { fileWords, suffixed } from "./names.ts";
import {
  columnSettings,
  createIndexSql,
  findColumn,
  findTable,
  grantsOf,
  indexesHolding,
  requirePlainTable,
  walkKeyOf,
  withName,
} from "./parts.ts";
import { columnsOfNew } from "./rewrite.ts";
import { comparesAsText, createSyncFunction, createSyncTrigger, dropSyncFunction, dropSyncTrigger } from "./sync.ts";

type RenameChange = Extract<ExpandChange, { readonly kind: "column rename" }>;

const COPY_SUFFIX = "_copy";
const SWAP_SUFFIX = "_swap";

interface Rename {
  readonly table: Table;
  readonly column: Column;
  /** The old and the new name. */
  readonly from: string;
  readonly to: string;
  /** `indexes` of the column, for its copy. */
  readonly indexes: Table["indexes"];
  readonly grants: Catalog["grants"];
}

/** @throws InvalidInputError when there is no such column, the name is taken, or the table has partitions or children */
export async function renamePhases(
  catalog: Catalog,
  change: RenameChange,
): Promise<{ readonly phases: readonly ExpandPhase[]; readonly notices: readonly string[] }> {
  const table = findTable(catalog, change.schema, change.table);
  const column = findColumn(table, change.column);
  requirePlainTable(catalog, table);
  const work: Rename = {
    table,
    column,
    from: column.name,
    to: change.to,
    indexes: indexesHolding(catalog, table, column.name),
    grants: grantsOf(catalog, table, column.name),
  };
  const swapped = suffixed(work.from, SWAP_SUFFIX);
  requireFree(table, work.to, swapped);
  const words = (phase: string): string => fileWords(phase, table.name, work.from, "to", work.to);
  const fill = copyValues(work, work.from, work.to);
  const addCopy = await addCopyUp(work, work.from, work.to);
  const addBack = await addCopyUp(work, work.to, work.from);
  const exchange = (source: string, copy: string): Promise<readonly ExpandGroup[]> =>
    exchangeNames(work, source, copy, swapped);
  const phases: readonly ExpandPhase[] = [
    {
      phase: "expand",
      name: words("expand"),
      why: [`Adds ${work.to}, a copy of ${work.from}. A trigger keeps both equal, whichever of them is written.`],
      up: addCopy,
      down: dropCopy(work, work.to),
      backfill: undefined,
    },
    {
      phase: "backfill",
      name: words("backfill"),
      why: [
        `Fills ${work.to} in the rows that were there before, in batches that are each committed.`,
        "For a large table run pgsteward migrate backfill first, which can be held back by load: this file then finds nothing to do.",
      ],
      up: backfillGroups(fill),
      down: nothingToUndo(),
      backfill: backfillDefinition(words("backfill"), fill),
    },
    {
      phase: "validate",
      name: words("validate"),
      why: [`Fills what is left, and builds the indexes of ${work.to} while everybody works.`],
      up: [...backfillGroups(fill), ...(await buildCopies(work, work.to)), ...analyzeTable(table)],
      down: work.indexes.length === 0 ? nothingToUndo() : dropCopies(work),
      backfill: undefined,
    },
    {
      phase: "switch",
      name: words("switch"),
      why: [
        `The column takes the name ${work.to}, with all that hangs on it, and its copy the name ${work.from}. Only names change.`,
        "Both are written and kept equal until the next migration.",
      ],
      up: await exchange(work.from, work.to),
      down: await exchange(work.to, work.from),
      backfill: undefined,
    },
    {
      phase: "contract",
      name: words("contract"),
      why: [`Drops ${work.from} and the trigger. Run it when no program uses the old name any more.`],
      up: dropCopy(work, work.from),
      down: [
        ...addBack,
        ...backfillGroups(copyValues(work, work.to, work.from)),
        ...(await buildCopies(work, work.from)),
      ],
      backfill: undefined,
    },
  ];
  return { phases, notices: noticesOf(catalog, work) };
}

function relationOf({ table }: Rename): string {
  return identifier(table.schema, table.name);
}

function triggerOf({ table, from }: Rename): {
  readonly schema: string;
  readonly table: string;
  readonly name: string;
} {
  return { schema: table.schema, table: table.name, name: suffixed(`zz_sync_${table.name}_${from}`, "") };
}

/** A column of a domain with constraints would be written anew with its table: the domain's own type holds the same values. */
async function addCopyUp(work: Rename, source: string, copy: string): Promise<readonly ExpandGroup[]> {
  const { column } = work;
  return inTransaction(
    `ALTER TABLE ${relationOf(work)} ADD COLUMN ${identifier(copy)} ${column.baseType}${collate(column.collation)}`,
    ...columnSettings(work, copy, true),
    await keepEqual(work, source, copy),
    createSyncTrigger(triggerOf(work)),
  );
}

function dropCopy(work: Rename, copy: string): readonly ExpandGroup[] {
  return inTransaction(
    dropSyncTrigger(triggerOf(work)),
    dropSyncFunction(triggerOf(work)),
    `ALTER TABLE ${relationOf(work)} DROP COLUMN ${identifier(copy)}`,
  );
}

/** Of a generated column programs cannot write either: the copy has the expression's value, which NEW itself does not hold yet. */
async function keepEqual(work: Rename, source: string, copy: string): Promise<string> {
  const { table, column } = work;
  const trigger = triggerOf(work);
  if (column.generated !== undefined) {
    const columns = table.columns.map((other) => other.name);
    const expression = await columnsOfNew(column.generated.expression, table.name, columns);
    return createSyncFunction({ ...trigger, column: copy, value: expression });
  }
  const asText = comparesAsText(column.baseType);
  return createSyncFunction({
    ...trigger,
    active: { name: source, comparesAsText: asText },
    passive: { name: copy, comparesAsText: asText },
    toPassive: `NEW.${identifier(source)}`,
    toActive: `NEW.${identifier(copy)}`,
    isTolerant: false,
  });
}

function copyValues({ table, from }: Rename, source: string, copy: string): BackfillSql {
  return {
    schema: table.schema,
    table: table.name,
    key: withName(walkKeyOf(table), from, source),
    set: `${identifier(copy)} = ${identifier(source)}`,
    where: `${identifier(copy)} IS NULL AND ${identifier(source)} IS NOT NULL`,
    mustFinish: true,
  };
}

/** For who searches by the copy's name, or says ON CONFLICT with it. What is checked at the end of a transaction cannot be checked twice. */
async function buildCopies({ table, from, indexes }: Rename, copy: string): Promise<readonly ExpandGroup[]> {
  const isDeferrable = (index: Table["indexes"][number]): boolean =>
    table.constraints.some(({ name, isDeferrable: may }) => name === index.constraint && may);
  const statements: string[] = [];
  for (const index of indexes) {
    // WITHOUT OVERLAPS has an index that is called unique and is no B-tree: only its constraint can make one.
    const isUnique = index.isUnique && index.method === "btree" && !isDeferrable(index);
    const checked = { ...index, isUnique };
    const how = { name: suffixed(index.name, COPY_SUFFIX), names: [[from, copy]] as const };
    statements.push(await createIndexSql(table, checked, how));
  }
  return alone(...statements);
}

function dropCopies({ table, indexes }: Rename): readonly ExpandGroup[] {
  const names = indexes.map(({ name }) => identifier(table.schema, suffixed(name, COPY_SUFFIX)));
  return alone(...names.map((name) => `DROP INDEX CONCURRENTLY ${name}`));
}

/** `source` and `copy` are the names before it. The trigger stays: only its function has to know the columns by their new names. */
async function exchangeNames(
  work: Rename,
  source: string,
  copy: string,
  meanwhile: string,
): Promise<readonly ExpandGroup[]> {
  const relation = relationOf(work);
  const rename = (from: string, to: string): string =>
    `ALTER TABLE ${relation} RENAME COLUMN ${identifier(from)} TO ${identifier(to)}`;
  return inTransaction(
    `LOCK TABLE ${relation} IN ACCESS EXCLUSIVE MODE`,
    rename(source, meanwhile),
    rename(copy, source),
    rename(meanwhile, copy),
    await keepEqual(work, copy, source),
  );
}

function noticesOf(catalog: Catalog, { table, from, to }: Rename): readonly string[] {
  const triggers = table.triggers.filter(({ updateColumns }) => updateColumns.includes(from));
  return [
    ...triggers.map(
      ({ name }) =>
        `the trigger ${name} fires on UPDATE OF ${from}: until the last phase only for programs that write ${from} before the switch, and ${to} after it`,
    ),
    ...functionsNaming(catalog, table, from).map(
      (shown) => `the function ${shown} says ${from}: let it say ${to} after the switch and before the last phase`,
    ),
  ];
}
