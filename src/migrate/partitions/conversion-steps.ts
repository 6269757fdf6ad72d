// Statements that both ways of converting a table need: keys and indexes of the new one, identity, foreign keys of other tables.
import { identifier } from "../../postgres/index.ts";
import { alone, type ExpandGroup } from "../expand/change.ts";
import { createIndexSql, deferrability, foreignKeySql } from "../expand/parts.ts";
import { remakeIdentity } from "../expand/value-source.ts";
import type { ConversionParts } from "./conversion-parts.ts";

export type Unique = ConversionParts["uniques"][number];

/** The table that the statements are for. */
export interface Target {
  readonly schema: string;
  readonly name: string;
}

/** Keys, unique indexes and indexes of the new table, each under the name that `nameOf` gives; a key gets the partition column. */
export async function createKeys(
  parts: ConversionParts,
  on: Target,
  nameOf: (name: string) => string,
): Promise<readonly string[]> {
  const statements: string[] = [];
  for (const unique of parts.uniques) statements.push(await createKey(parts, unique, on, nameOf(unique.index.name)));
  for (const index of parts.indexes)
    statements.push(await createIndexSql(parts.table, index, { name: nameOf(index.name), on, isConcurrent: false }));
  return statements;
}

async function createKey(parts: ConversionParts, unique: Unique, on: Target, name: string): Promise<string> {
  const { index, constraint, holdsKey } = unique;
  const column = parts.column.name;
  if (constraint === undefined) {
    const added = holdsKey ? {} : { added: column };
    return createIndexSql(parts.table, index, { name, on, isConcurrent: false, ...added });
  }
  const columns = [...constraint.columns, ...(holdsKey ? [] : [column])].map((part) => identifier(part));
  const nulls = index.nullsNotDistinct ? " NULLS NOT DISTINCT" : "";
  const include = index.include.filter((part) => holdsKey || part !== column).map((part) => identifier(part));
  const included = include.length === 0 ? "" : ` INCLUDE (${include.join(", ")})`;
  return `ALTER TABLE ${identifier(on.schema, on.name)} ADD CONSTRAINT ${identifier(name)} ${keyWord(constraint)}${nulls} (${columns.join(", ")})${included}${deferrability(constraint)}`;
}

export function keyWord({ kind }: NonNullable<Unique["constraint"]>): string {
  return kind === "primary key" ? "PRIMARY KEY" : "UNIQUE";
}

/** The new table's own columns, checks, defaults and generated columns; statistics targets and foreign keys come after. */
export function createParent(parts: ConversionParts, from: string, to: string, partitionBy: string): readonly string[] {
  const { table, foreignKeys } = parts;
  return [
    `CREATE TABLE ${to} (LIKE ${from} INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION) PARTITION BY ${partitionBy}`,
    `ALTER TABLE ${to} OWNER TO ${identifier(table.owner)}`,
    ...foreignKeys.map(
      (key) =>
        `ALTER TABLE ${to} ADD CONSTRAINT ${identifier(key.name)} ${foreignKeySql(key, key.columns, key.references?.columns ?? [])}`,
    ),
    ...table.columns.flatMap(({ name, statisticsTarget, options }) => [
      ...(statisticsTarget === undefined
        ? []
        : [`ALTER TABLE ONLY ${to} ALTER COLUMN ${identifier(name)} SET STATISTICS ${statisticsTarget}`]),
      ...(options.length === 0
        ? []
        : [`ALTER TABLE ONLY ${to} ALTER COLUMN ${identifier(name)} SET (${options.join(", ")})`]),
    ]),
  ];
}

/** Parameters of the old table for its new partitions, e.g. ` WITH (fillfactor=80)`: a partitioned table has none. */
export function storageClause({ table }: ConversionParts): string {
  const own = table.storageParameters.filter((parameter) => !parameter.startsWith("toast."));
  return own.length === 0 ? "" : ` WITH (${own.join(", ")})`;
}

/** The sequence of an identity goes with its column: it is made anew where the other stood, and goes on counting. */
export function moveIdentity({ identity }: ConversionParts, from: string, to: string): readonly string[] {
  if (identity === undefined) return [];
  const { column, sequence } = identity;
  const name = identifier(column.name);
  return [
    remakeIdentity({
      sequence,
      identity: column.identity,
      release: [`ALTER TABLE ${from} ALTER COLUMN ${name} DROP IDENTITY`],
      column: `ALTER TABLE ${to} ALTER COLUMN ${name}`,
    }),
  ];
}

export function ownSerials({ serials }: ConversionParts, relation: string): readonly string[] {
  return serials.map(
    ({ schema, name, ownedBy }) =>
      `ALTER SEQUENCE ${identifier(schema, name)} OWNED BY ${relation}.${identifier(ownedBy?.column ?? "")}`,
  );
}

export function dropIncoming({ incoming }: ConversionParts): readonly string[] {
  return incoming.map(
    ({ schema, table, key }) => `ALTER TABLE ${identifier(schema, table)} DROP CONSTRAINT ${identifier(key.name)}`,
  );
}

/** Foreign keys of other tables, to whatever has the table's name now; checked by validateIncoming(). */
export function addIncoming({ incoming }: ConversionParts): readonly string[] {
  return incoming.map(
    ({ schema, table, key }) =>
      `ALTER TABLE ${identifier(schema, table)} ADD CONSTRAINT ${identifier(key.name)} ${foreignKeySql(key, key.columns, key.references?.columns ?? [])} NOT VALID`,
  );
}

export function validateIncoming({ incoming }: ConversionParts): readonly ExpandGroup[] {
  return alone(
    ...incoming.map(
      ({ schema, table, key }) =>
        `ALTER TABLE ${identifier(schema, table)} VALIDATE CONSTRAINT ${identifier(key.name)}`,
    ),
  );
}

/** All at once, so that two of these cannot wait for each other. */
export function lockAll({ incoming }: ConversionParts, ...relations: readonly string[]): string {
  const others = incoming.map(({ schema, table }) => identifier(schema, table));
  return `LOCK TABLE ${[...new Set([...relations, ...others])].join(", ")} IN ACCESS EXCLUSIVE MODE`;
}

export function dropTriggers({ table }: ConversionParts, relation: string): readonly string[] {
  return table.triggers.map(({ name }) => `DROP TRIGGER ${identifier(name)} ON ${relation}`);
}

export function renameIndex({ table }: ConversionParts, from: string, to: string): string {
  return `ALTER INDEX ${identifier(table.schema, from)} RENAME TO ${identifier(to)}`;
}
