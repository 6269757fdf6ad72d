// Under which names a column and the one of the new type stand before and after they change places, and how a value gets from one to
// the other.
import type { Catalog, Table } from "../../catalog/index.ts";
import { identifier, InvalidInputError } from "../../postgres/index.ts";
import type { ExpandChange } from "./change.ts";
import { suffixed } from "./names.ts";
import { collectParts, findTable, NEW_SUFFIX, OLD_SUFFIX, type ColumnParts } from "./parts.ts";
import { columnsOfNew, renameColumn } from "./rewrite.ts";
import { comparesAsText, type ComputedTrigger, type SyncTrigger } from "./sync.ts";

export type ColumnChange = Extract<ExpandChange, { readonly kind: "column type" }>;

export interface ColumnWork {
  readonly change: ColumnChange;
  readonly serverVersion: number;
  readonly parts: ColumnParts;
  readonly newType: string;
  readonly newDefault: string | undefined;
  /** Names of the old column and of the new one: while both are being made equal, and after the switch. */
  readonly before: { readonly old: string; readonly new: string };
  readonly after: { readonly old: string; readonly new: string };
  /** The new column's value over the old column, under its name before the switch. */
  readonly forward: string;
  /** The trigger that fills the new column before the switch, and the one that is there after it. */
  readonly syncBefore: SyncTrigger | ComputedTrigger;
  readonly syncAfter: SyncTrigger | ComputedTrigger | undefined;
  /** The columns that go over in the same phases, this one among them. */
  readonly together: readonly WorkNames[];
}

export interface WorkNames {
  readonly name: string;
  readonly new: string;
  readonly old: string;
}

export function workNames(name: string): WorkNames {
  return { name, new: suffixed(name, NEW_SUFFIX), old: suffixed(name, OLD_SUFFIX) };
}

/**
 * @param generated - stored columns that are made from it
 * @throws InvalidInputError when the column or a name that is needed does not allow it
 */
export async function columnWork(
  catalog: Catalog,
  change: ColumnChange,
  generated: readonly string[],
): Promise<ColumnWork> {
  const table = findTable(catalog, change.schema, change.table);
  const together = [change.column, ...generated];
  const parts = collectParts(catalog, table, change.column, together);
  const { column } = parts;
  const before = { old: column.name, new: suffixed(column.name, NEW_SUFFIX) };
  const after = { old: suffixed(column.name, OLD_SUFFIX), new: column.name };
  requireFree(table, before.new, after.old);
  const newType = change.type;
  refuseConstrainedDomain(catalog, newType);
  const columns = table.columns.map(({ name }) => name);
  const using = change.using ?? `${identifier(column.name)}::${newType}`;
  const back = change.back ?? `${identifier(column.name)}::${column.type}`;
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
    together: together.map((name) => workNames(name)),
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
      isTolerant: true,
    },
  };
}

/** @throws InvalidInputError when the table has a column of one of these names */
export function requireFree(table: Table, ...names: readonly string[]): void {
  const taken = names.find((name) => table.columns.some((other) => other.name === name));
  if (taken === undefined) return;
  throw new InvalidInputError(`${table.schema}.${table.name} has a column ${taken} already`, {
    hint: "rename or drop it first: expand and contract needs the name",
  });
}

/** PostgreSQL checks each row against the domain, even where there is no value yet, and writes the table anew for it. */
export function refuseConstrainedDomain({ domains }: Catalog, type: string): void {
  const domain = domains.find(({ schema, name }) =>
    [name, `${schema}.${name}`, identifier(name), identifier(schema, name)].includes(type.trim()),
  );
  if (domain === undefined || (domain.isNullable && domain.constraints.length === 0)) return;
  throw new InvalidInputError(`the table is rewritten under a lock to get a column of the domain ${type}`, {
    hint: `change to ${domain.baseType}, and add the domain's conditions as checks of the column (NOT VALID, then VALIDATE)`,
  });
}

function defaultOf({ column, sequence }: ColumnParts, change: ColumnChange, newType: string): string | undefined {
  if (change.default !== undefined || column.default === undefined) return change.default;
  if (sequence !== undefined) return column.default;
  if (change.using !== undefined) {
    throw new InvalidInputError(`the default ${column.default} of ${change.column} must be said for the new type`, {
      hint: "give default (--default), as SQL: how the values change does not tell how the default does",
    });
  }
  return `(${column.default})::${newType}`;
}
