// A column or table that goes in two releases: first nothing depends on it any more, then it goes and what it held is kept aside, so that the
// way back restores it. What is kept is let go by a third migration, written when somebody asks for it.
import type { Catalog, Table } from "../../catalog/index.ts";
import { identifier, InvalidInputError } from "../../postgres/index.ts";
import { mentions } from "../batch-state.ts";
import { acknowledgeHazards } from "../expand/acknowledge.ts";
import { inTransaction, type ExpandPhase } from "../expand/change.ts";
import { childrenOf } from "./column-family.ts";
import { columnDropPhases } from "./drop-column.ts";
import { findTable } from "../expand/parts.ts";
import { forgetCopies } from "./kept-copy.ts";
import { dropKeptSchema, type DropChange, type DropPlan } from "./drop-parts.ts";
import { tableDropPhases } from "./drop-table.ts";
import { KEPT_SCHEMA, keptColumnTable } from "./kept-names.ts";
import { fileWords } from "../expand/names.ts";

const REASONS: Readonly<Record<string, string>> = {
  "drop-not-null": "programs that do not know the column leave it out",
  "drop-column": "run when no program uses it any more; its values are kept",
  "drop-table": "run when nobody needs what was kept any more",
  "drop-function": "the trigger that called it goes with it",
  "opaque-statement": "it looks for the check that DETACH has left, and drops it",
  "inheritance-change": "the rows go with the table, and come back with it",
  "rename-type": "the sequence is kept aside with the values",
  "json-column": "as the column that it keeps the values of",
  "unlogged-table": "as the table that it keeps the values of",
};

/**
 * Plans the drop of a column or table as separate migrations. `release` makes it harmless for programs that do not know it any more, while
 * those that do still work. `drop` keeps what it holds in the schema `pgsteward_kept`, which only its owner can read, and drops it; its way
 * back restores values, default, constraints, indexes, comments and rights. A column is copied in batches while a trigger keeps the copy
 * equal; a table is moved as it is.
 *
 * Nothing is asked of a server.
 *
 * @throws InvalidInputError for what does not exist, what others depend on (they are named), and what cannot be brought back
 */
export async function planDropInTwoReleases(catalog: Catalog, change: DropChange): Promise<DropPlan> {
  const { phases, notices } =
    change.kind === "column" ? columnDropPhases(catalog, change) : tableDropPhases(catalog, change);
  return {
    change,
    phases: await acknowledgeHazards(phases, catalog, REASONS),
    notices: [...notices, ...functionNotices(catalog, change)],
  };
}

/**
 * Plans the migration that lets go what a drop has kept. There is no way back from it.
 *
 * @throws InvalidInputError when nothing is kept
 */
export async function planForgetKept(catalog: Catalog, change: DropChange): Promise<DropPlan> {
  const what = change.kind === "column" ? `${change.table}.${change.column}` : change.table;
  const kept = change.kind === "column" ? keptColumnTable(change) : change.table;
  const table = catalog.tables.find(({ schema, name }) => schema === KEPT_SCHEMA && name === kept);
  if (table === undefined) {
    throw new InvalidInputError(
      `nothing is kept of ${change.schema}.${what}: there is no table ${KEPT_SCHEMA}.${kept}`,
      {
        hint: "it is there once the migration that drops it has been applied to this database",
      },
    );
  }
  const statements =
    change.kind === "column"
      ? forgetCopies(catalog, findTable(catalog, change.schema, change.table), change.column)
      : [
          `DROP TABLE ${withHeirs(catalog, table)
            .map((each) => identifier(each.schema, each.name))
            .join(", ")}`,
        ];
  const phase: ExpandPhase = {
    phase: "forget",
    name: fileWords("forget", ...(change.kind === "column" ? [change.table, change.column] : [change.table])),
    why: [`Lets go what was kept of ${change.schema}.${what} when it was dropped.`],
    irreversible: `what was kept of ${change.schema}.${what} is gone`,
    up: inTransaction(...statements, dropKeptSchema()),
    down: [],
    backfill: undefined,
  };
  return { change, phases: await acknowledgeHazards([phase], catalog, REASONS), notices: [] };
}

function withHeirs(catalog: Catalog, table: Table): readonly Table[] {
  const family = [table];
  for (const member of family) {
    const heirs = childrenOf(catalog, member).filter((child) => child.partitionOf === undefined);
    family.push(...heirs.filter((heir) => !family.includes(heir)));
  }
  return family;
}

/** The bodies of functions are text to the server: it does not know what they read. */
function functionNotices(catalog: Catalog, change: DropChange): readonly string[] {
  const names = change.kind === "column" ? [change.table, change.column] : [change.table];
  return catalog.functions
    .filter(({ definition }) => names.every((name) => mentions((definition ?? "").replaceAll(/\$\w*\$/g, " "), name)))
    .map(
      ({ schema, name }) =>
        `the function ${schema}.${name} says ${names.join(" and ")}: look whether it still needs it`,
    );
}
