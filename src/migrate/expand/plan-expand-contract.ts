// Plans a change that a live table cannot take in one step, as separate migrations between which old and new programs both work.
import type { Catalog } from "../../catalog/index.ts";
import { acknowledgeHazards } from "./acknowledge.ts";
import type { ExpandChange, ExpandPlan } from "./change.ts";
import { columnWork } from "./column-names.ts";
import { columnPhases } from "./column-phases.ts";
import { notNullPhases } from "./not-null.ts";
import { tableRenamePhases } from "./table-rename.ts";

/**
 * Plans the change of a column's type or name, of a table's name, or NOT NULL with a default.
 *
 * Nothing is asked of a server. Each phase is a migration of its own with its way back; `formatExpandPhase` writes its file. The
 * locks that stop everybody are taken in short transactions that only change the catalog; scans, index builds and copying happen
 * outside of them.
 *
 * @throws InvalidInputError for what does not exist, is taken, or cannot be carried over without a lock (the hint tells the way out)
 * @throws InvalidSqlError with a caret when an expression cannot be parsed
 */
export async function planExpandContract(catalog: Catalog, change: ExpandChange): Promise<ExpandPlan> {
  switch (change.kind) {
    case "table rename":
      return { change, phases: await acknowledgeHazards(tableRenamePhases(catalog, change), catalog), notices: [] };
    case "column not null":
      return { change, phases: await acknowledgeHazards(notNullPhases(catalog, change), catalog), notices: [] };
    case "column type":
    case "column rename": {
      const work = await columnWork(catalog, change);
      const { views, incoming } = work.parts;
      const notices = [
        ...views.map(
          (view) =>
            `the view ${view} reads ${change.column}: make it anew over the new column before the contract phase`,
        ),
        ...(change.kind === "column type"
          ? incoming.map(
              ({ schema, table, key }) =>
                `${schema}.${table} (${key.columns.join(", ")}) refers to ${change.column} and keeps its own type`,
            )
          : []),
      ];
      return { change, phases: await acknowledgeHazards(await columnPhases(work), catalog), notices };
    }
  }
}
