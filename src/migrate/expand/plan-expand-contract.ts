// Plans a change that a live table cannot take in one step, as separate migrations between which old and new programs both work.
import type { Catalog, Table } from "../../catalog/index.ts";
import { acknowledgeHazards } from "./acknowledge.ts";
import type { ExpandChange, ExpandPlan } from "./change.ts";
import { columnWork } from "./column-names.ts";
import { columnPhases, type ColumnPlan } from "./column-phases.ts";
import { changedGenerated, generatedFrom, withGenerated } from "./generated.ts";
import { findColumn, findTable } from "./parts.ts";
import { notNullPhases } from "./not-null.ts";
import { renamePhases } from "./column-rename.ts";
import { functionsNaming } from "./dependants.ts";
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
    case "column rename": {
      const { phases, notices } = await renamePhases(catalog, change);
      return { change, phases: await acknowledgeHazards(phases, catalog), notices };
    }
    case "column type": {
      const table = findTable(catalog, change.schema, change.table);
      const plan = await columnPlan(catalog, table, change);
      const dependants = plan.works.map(({ parts }) => parts.dependants).flatMap(({ views: read }) => read);
      const incoming = plan.works.flatMap(({ parts }) => parts.incoming);
      const views = dependants.map(({ schema, name }) => `${schema}.${name}`);
      const notices = [
        ...(views.length === 0 ? [] : [`the switch makes anew what reads ${change.column}: ${views.join(", ")}`]),
        ...incoming.map(
          ({ schema, table: other, key }) =>
            `${schema}.${other} (${key.columns.join(", ")}) refers to ${change.column} and keeps its own type`,
        ),
        ...functionsNaming(catalog, table, change.column).map(
          (shown) =>
            `the function ${shown} says ${change.column}: see that its variables and casts take ${change.type}`,
        ),
        ...plan.generated.map(
          ({ parts }) =>
            `${parts.column.name} is generated and stored: from the switch on a trigger fills it; the last file makes it generated again, which writes ${table.name} anew while nobody can read or write it, and may wait for as long as you like`,
        ),
      ];
      return { change, phases: await acknowledgeHazards(await columnPhases(plan), catalog), notices };
    }
  }
}

async function columnPlan(
  catalog: Catalog,
  table: Table,
  change: Extract<ExpandChange, { readonly kind: "column type" }>,
): Promise<ColumnPlan> {
  if (findColumn(table, change.column).generated !== undefined) {
    const work = await changedGenerated(catalog, change);
    return { works: [work], generated: [work] };
  }
  return withGenerated(catalog, await columnWork(catalog, change, generatedFrom(catalog, table, change.column)));
}
