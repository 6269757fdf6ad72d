// Under which names a column and its copy stand before and after they change places, and how a value gets from one to the other.
import type { Catalog } from "../../catalog/index.ts";
import { identifier, InvalidInputError } from "../../postgres/index.ts";
import type { ExpandChange } from "./change.ts";
import { suffixed } from "./names.ts";
import { collectParts, findTable, NEW_SUFFIX, OLD_SUFFIX, type ColumnParts } from "./parts.ts";
import { columnsOfNew, renameColumn } from "./rewrite.ts";
import { comparesAsText, type SyncTrigger } from "./sync.ts";

export type ColumnChange = Extract<ExpandChange, { readonly kind: "column type" | "column rename" }>;

export interface ColumnWork {
  readonly change: ColumnChange;
  readonly serverVersion: number;
  readonly parts: ColumnParts;
  /** For a rename the old column keeps its indexes until the end: the old program searches by it. */
  readonly keepsOld: boolean;
  readonly newType: string;
  readonly newDefault: string | undefined;
  /** Names of the old column and of the new one: while both are being made equal, and after the switch. */
  readonly before: { readonly old: string; readonly new: string };
  readonly after: { readonly old: string; readonly new: string };
  /** The new column's value over the old column, under its name before the switch. */
  readonly forward: string;
  readonly syncBefore: SyncTrigger;
  readonly syncAfter: SyncTrigger;
}

/**
 * @throws InvalidInputError when the column or a name that is needed does not allow it
 */
export async function columnWork(catalog: Catalog, change: ColumnChange): Promise<ColumnWork> {
  const table = findTable(catalog, change.schema, change.table);
  const parts = collectParts(catalog, table, change.column);
  const { column } = parts;
  const isRename = change.kind === "column rename";
  const before = { old: column.name, new: isRename ? change.to : suffixed(column.name, NEW_SUFFIX) };
  const after = isRename ? before : { old: suffixed(column.name, OLD_SUFFIX), new: column.name };
  const free = isRename ? [before.new] : [before.new, after.old];
  const taken = free.find((name) => table.columns.some((other) => other.name === name));
  if (taken !== undefined) {
    throw new InvalidInputError(`${table.schema}.${table.name} has a column ${taken} already`, {
      hint: "rename or drop it first: expand and contract needs the name",
    });
  }
  const newType = isRename ? column.type : change.type;
  const columns = table.columns.map(({ name }) => name);
  const using = isRename ? identifier(column.name) : (change.using ?? `${identifier(column.name)}::${newType}`);
  const back = isRename ? identifier(column.name) : (change.back ?? `${identifier(column.name)}::${column.type}`);
  const ofNew = async (expression: string, name: string): Promise<string> => {
    const renamed = await renameColumn(expression, table.name, column.name, name);
    return columnsOfNew(renamed, table.name, [...columns, name]);
  };
  const name = suffixed(`zz_sync_${table.name}_${column.name}`, "");
  const oldColumn = (place: string): SyncTrigger["active"] => ({
    name: place,
    comparesAsText: comparesAsText(column.type),
  });
  const newColumn = (place: string): SyncTrigger["active"] => ({
    name: place,
    comparesAsText: comparesAsText(newType),
  });
  const common = { schema: table.schema, table: table.name, name };
  return {
    change,
    serverVersion: catalog.serverVersion,
    parts,
    keepsOld: isRename,
    newType,
    newDefault: defaultOf(parts, change, newType),
    before,
    after,
    forward: using,
    syncBefore: {
      ...common,
      active: oldColumn(before.old),
      passive: newColumn(before.new),
      toPassive: await ofNew(using, before.old),
      toActive: await ofNew(back, before.new),
      isTolerant: false,
    },
    syncAfter: {
      ...common,
      active: newColumn(after.new),
      passive: oldColumn(after.old),
      toPassive: await ofNew(back, after.new),
      toActive: await ofNew(using, after.old),
      isTolerant: !isRename,
    },
  };
}

function defaultOf({ column, sequence }: ColumnParts, change: ColumnChange, newType: string): string | undefined {
  if (change.kind === "column rename") return column.default;
  if (change.default !== undefined || column.default === undefined) return change.default;
  if (sequence !== undefined) return column.default;
  if (change.using !== undefined) {
    throw new InvalidInputError(`the default ${column.default} of ${change.column} must be said for the new type`, {
      hint: "give default (--default), as SQL: how the values change does not tell how the default does",
    });
  }
  return `(${column.default})::${newType}`;
}
