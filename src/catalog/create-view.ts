// How views and materialized views are created, and what is set on the columns of the latter.
import { identifier } from "../postgres/index.ts";
import type { CatalogObject, ColumnSettings } from "./object-facts.ts";
import { nameOf, optionList, storageWord } from "./spelling.ts";

/** What differs from `before` on a column of a materialized view, as statements. */
export function viewColumnSettings(
  view: CatalogObject,
  wanted: ColumnSettings,
  before: ColumnSettings | undefined,
  serverVersion: number,
): readonly string[] {
  const { column, storage, compression, statisticsTarget, options } = wanted;
  const old = before?.options ?? [];
  const nameOfOption = (option: string): string => option.slice(0, option.indexOf("="));
  const gone = old.map(nameOfOption).filter((name) => !options.map(nameOfOption).includes(name));
  const set = options.filter((option) => !old.includes(option));
  const actions = [
    ...(storage === before?.storage ? [] : [`SET STORAGE ${storageWord(storage, serverVersion)}`]),
    ...(compression === before?.compression ? [] : [`SET COMPRESSION ${compression ?? "default"}`]),
    ...(statisticsTarget === before?.statisticsTarget ? [] : [`SET STATISTICS ${statisticsTarget ?? -1}`]),
    ...(gone.length === 0 ? [] : [`RESET (${gone.map((name) => identifier(name)).join(", ")})`]),
    ...(set.length === 0 ? [] : [`SET (${optionList(set)})`]),
  ];
  return actions.map(
    (action) => `ALTER MATERIALIZED VIEW ${nameOf(view)} ALTER COLUMN ${identifier(column)} ${action}`,
  );
}

export function createView(
  view: CatalogObject<"view">,
  { serverVersion }: { readonly serverVersion: number },
): readonly string[] {
  const { kind, definition, options, columns, defaults, isPopulated, tablespace, accessMethod, columnSettings } =
    view.facts;
  const with_ = options.length === 0 ? "" : ` WITH (${optionList(options)})`;
  const names = columns.map(({ name }) => identifier(name)).join(", ");
  const body = definition.replace(/;\s*$/, "");
  if (kind === "materialized view") {
    const using = accessMethod === undefined ? "" : ` USING ${identifier(accessMethod)}`;
    const place = tablespace === undefined ? "" : ` TABLESPACE ${identifier(tablespace)}`;
    return [
      `CREATE MATERIALIZED VIEW ${nameOf(view)} (${names})${using}${with_}${place} AS\n${body}${isPopulated ? "" : "\nWITH NO DATA"}`,
      ...columnSettings.flatMap((settings) => viewColumnSettings(view, settings, undefined, serverVersion)),
    ];
  }
  return [
    `CREATE OR REPLACE VIEW ${nameOf(view)} (${names})${with_} AS\n${body}`,
    ...defaults.map(
      ({ column, expression }) =>
        `ALTER VIEW ${nameOf(view)} ALTER COLUMN ${identifier(column)} SET DEFAULT ${expression}`,
    ),
  ];
}
