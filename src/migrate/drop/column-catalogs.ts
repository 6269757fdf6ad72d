// The catalogs between which the planner finds the way: with the column as programs may leave it out, without it, and with it again but
// with nothing on it. What comes back is what the planner would make, on partitions and heirs too.
import type { Catalog, Column, Constraint, Table } from "../../catalog/index.ts";
import { LOCK_LIMIT_SQL } from "../lock-limit.ts";
import { planMigration } from "../plan.ts";
import type { ExpandGroup } from "../expand/change.ts";
import type { DroppedColumn } from "./column-parts.ts";

export interface PlannedWay {
  readonly groups: readonly ExpandGroup[];
  /** Of statements that are not harmless for whoever uses the table meanwhile. */
  readonly hazards: readonly string[];
}

const HARMFUL: ReadonlySet<string> = new Set(["rewrite", "blocks writes", "not covered"]);

export function plannedWay(before: Catalog, after: Catalog): PlannedWay {
  const { steps } = planMigration(before, after);
  const groups: { inTransaction: boolean; statements: string[] }[] = [];
  let last: number | undefined;
  for (const { sql, transactionGroup, inTransaction } of steps) {
    if (!inTransaction || transactionGroup !== last)
      groups.push({ inTransaction, statements: inTransaction ? [LOCK_LIMIT_SQL] : [] });
    groups.at(-1)?.statements.push(sql);
    last = transactionGroup;
  }
  return {
    groups,
    hazards: steps.flatMap(({ hazards }) =>
      hazards.filter(({ kind }) => HARMFUL.has(kind)).map(({ kind, why }) => `${kind}: ${why}`),
    ),
  };
}

/** After the release: rows may come without the column. */
export function releasedCatalog(
  { catalog, members, column }: DroppedColumn,
  gone: { readonly isDefault: boolean; readonly isNotNull: boolean; readonly checks: readonly Constraint[] },
): Catalog {
  const isGone = ({ kind, name, columns }: Constraint): boolean =>
    kind === "not null" ? gone.isNotNull && columns.includes(column.name) : isCheck(gone.checks, kind, name);
  return {
    ...catalog,
    tables: catalog.tables.map((table) =>
      members.includes(table)
        ? {
            ...table,
            columns: withColumn(table, column.name, (each) => ({
              ...each,
              default: gone.isDefault ? undefined : each.default,
              isNullable: gone.isNotNull || each.isNullable,
            })),
            constraints: table.constraints.filter((constraint) => !isGone(constraint)),
          }
        : table,
    ),
  };
}

function isCheck(checks: readonly Constraint[], kind: Constraint["kind"], name: string): boolean {
  return kind === "check" && checks.some((check) => check.name === name);
}

/** Without the column, and without all that goes with it. */
export function goneCatalog(dropped: DroppedColumn): Catalog {
  const bare = bareCatalog(dropped);
  const { members, column, catalog } = dropped;
  return {
    ...bare,
    tables: bare.tables.map((table, index) =>
      members.includes(catalog.tables[index] ?? table)
        ? { ...table, columns: table.columns.filter(({ name }) => name !== column.name) }
        : table,
    ),
    grants: bare.grants.filter(
      ({ objectKind, schema, object }) =>
        objectKind !== "column" ||
        !members.some((table) => table.schema === schema && object === `${table.name}.${column.name}`),
    ),
  };
}

/** The column with its settings and rights, and nothing that its values would have to meet. */
export function bareCatalog(dropped: DroppedColumn): Catalog {
  const { members, column, parts } = dropped;
  const catalog = valuelessCatalog(dropped);
  return {
    ...catalog,
    tables: dropped.catalog.tables.map((table) => {
      const own = parts.get(table);
      const kept = table.constraints.filter(
        (constraint) => own?.constraints.includes(constraint) !== true && !leadsTo(constraint, members, column),
      );
      return {
        ...table,
        constraints: kept,
        ...(own === undefined
          ? {}
          : {
              columns: withColumn(table, column.name, (each) => ({
                ...withoutValue(each),
                ...plainType(each),
                isNullable: true,
              })),
              indexes: table.indexes.filter((index) => !own.indexes.includes(index)),
            }),
      };
    }),
    publications: dropped.unpublished.catalog.publications,
    statistics: catalog.statistics.filter((object) => !dropped.statistics.includes(object)),
  };
}

/** All as it was, but for what gives the column its value: that has come back by then. */
export function valuelessCatalog({ catalog, members, column, sequence }: DroppedColumn): Catalog {
  return {
    ...catalog,
    tables: catalog.tables.map((table) =>
      members.includes(table) ? { ...table, columns: withColumn(table, column.name, withoutValue) } : table,
    ),
    sequences: catalog.sequences.filter((each) => each !== sequence),
    grants: catalog.grants.filter(
      ({ objectKind, schema, object }) =>
        sequence === undefined || objectKind !== "sequence" || schema !== sequence.schema || object !== sequence.name,
    ),
  };
}

function withoutValue(column: Column): Column {
  return { ...column, default: undefined, identity: undefined };
}

/** A domain looks at every row when a column of it comes, before its value is back. */
function plainType({ type, baseType, typeName }: Column): Partial<Column> {
  return type === baseType ? {} : { type: baseType, typeName };
}

function withColumn(table: Table, name: string, change: (column: Column) => Column): readonly Column[] {
  return table.columns.map((each) => (each.name === name ? change(each) : each));
}

export function leadsTo({ references }: Constraint, members: readonly Table[], column: Column): boolean {
  return members.some(
    ({ schema, name }) =>
      references?.schema === schema && references.table === name && references.columns.includes(column.name),
  );
}
