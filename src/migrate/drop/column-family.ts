// The tables that lose a column when it is dropped: the table, its partitions, and heirs that have it from nowhere else.
import type { Catalog, Table } from "../../catalog/index.ts";
import { InvalidInputError } from "../../postgres/index.ts";

/**
 * @returns the table first
 * @throws InvalidInputError for a column that comes from a parent: PostgreSQL drops it there only
 */
export function columnFamily(catalog: Catalog, table: Table, column: string): readonly Table[] {
  const full = `${table.schema}.${table.name}.${column}`;
  const parent = parentsOf(catalog, table).find((each) => hasColumn(each, column));
  if (parent !== undefined) {
    throw new InvalidInputError(`${full} comes from ${parent.schema}.${parent.name}`, {
      hint: `PostgreSQL drops it there only, for all of them: pgsteward migrate drop column ${parent.schema}.${parent.name}.${column}`,
    });
  }
  if (table.kind === "foreign") {
    throw new InvalidInputError(
      `${table.schema}.${table.name} is a foreign table: its values are kept by the other server`,
      {
        hint: "ALTER FOREIGN TABLE … DROP COLUMN loses nothing of them",
      },
    );
  }
  const family = [table];
  for (let known = 0; known < family.length;) {
    known = family.length;
    for (const other of catalog.tables) {
      if (family.includes(other) || !hasColumn(other, column)) continue;
      const parents = parentsOf(catalog, other).filter((each) => hasColumn(each, column));
      const isLocal =
        other.partitionOf === undefined && other.columns.some(({ name, isLocal: own }) => name === column && own);
      if (parents.length > 0 && !isLocal && parents.every((each) => family.includes(each))) family.push(other);
    }
  }
  const foreign = family.find(({ kind }) => kind === "foreign");
  if (foreign !== undefined) {
    throw new InvalidInputError(`${foreign.schema}.${foreign.name}, a foreign table, has ${full} too`, {
      hint: "its values are on the other server and cannot be kept by key here: detach it in a migration before",
    });
  }
  return family;
}

export function parentsOf(catalog: Catalog, { partitionOf, inherits }: Table): readonly Table[] {
  const names = partitionOf === undefined ? inherits : [partitionOf];
  return catalog.tables.filter((table) =>
    names.some(({ schema, name }) => table.schema === schema && table.name === name),
  );
}

export function childrenOf(catalog: Catalog, { schema, name }: Table): readonly Table[] {
  return catalog.tables.filter(
    ({ partitionOf, inherits }) =>
      (partitionOf?.schema === schema && partitionOf.name === name) ||
      inherits.some((parent) => parent.schema === schema && parent.name === name),
  );
}

function hasColumn(table: Table, column: string): boolean {
  return table.columns.some(({ name }) => name === column);
}
