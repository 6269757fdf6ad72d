// What `defineTable` was told about a table, as far as it is part of the schema. Read by its shape: migrations do not know sessions.
import type { PgColumn, PgTable } from "drizzle-orm/pg-core";
import { InvalidInputError, TABLE_METADATA } from "../../postgres/index.ts";

/** Columns are named by their property in the Drizzle table. What is absent was not said. */
export interface TableDescription {
  readonly comment?: string;
  readonly columnComments?: Readonly<Record<string, string>>;
  readonly forceRowSecurity?: boolean;
  readonly partitionBy?: string;
  readonly partitions?: Readonly<Record<string, string>>;
  readonly include?: Readonly<Record<string, readonly string[]>>;
  readonly exclude?: Readonly<Record<string, string>>;
  readonly deferrable?: Readonly<Record<string, string>>;
  readonly triggers?: Readonly<Record<string, string>>;
  readonly storageParameters?: Readonly<Record<string, string>>;
}

export function tableDescription(table: PgTable): TableDescription {
  return (table as { readonly [TABLE_METADATA]?: TableDescription })[TABLE_METADATA] ?? {};
}

/** @throws InvalidInputError for a property that is no column of the table */
export function columnOfProperty(
  columns: Readonly<Record<string, PgColumn>>,
  property: string,
  table: string,
): PgColumn {
  const column = columns[property];
  if (column === undefined) {
    throw new InvalidInputError(`the table ${table} has no column ${property}`, {
      hint: `its columns are ${Object.keys(columns).join(", ")}`,
    });
  }
  return column;
}
