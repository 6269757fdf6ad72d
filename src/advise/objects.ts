// Names and relations between catalog objects that several rules need: keys, partitions, sizes, names for new objects.
import type { Catalog, Column, Constraint, Index, Table } from "../catalog/index.ts";
import { identifier, MAX_IDENTIFIER_BYTES } from "../postgres/index.ts";

/** For a name inside a regular expression. */
export const escapeRegExp = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");

interface Named {
  readonly schema: string;
  readonly name: string;
}

/** For texts: `tasks.todos`. */
export const nameOf = (object: Named): string => `${object.schema}.${object.name}`;
/** For SQL: `"tasks"."todos"`. */
export const sqlNameOf = (object: Named): string => identifier(object.schema, object.name);
/** For maps. A dot may be part of a name, so the parts are not simply joined. */
export const keyOf = (schema: string, name: string): string => JSON.stringify([schema, name]);

/** `a, b` quoted for SQL. */
export const columnList = (columns: readonly string[]): string =>
  columns.map((column) => identifier(column)).join(", ");

/** "1 index", "3 indexes". */
export function count(n: number, singular: string, plural = `${singular}s`): string {
  return `${n} ${n === 1 ? singular : plural}`;
}

/** The first `limit` names, then how many more there are. */
export function listNames(names: readonly string[], limit = 5): string {
  const shown = names.slice(0, limit).join(", ");
  return names.length > limit ? `${shown} and ${names.length - limit} more` : shown;
}

/** 8_192 → "8192 bytes", 81_920 → "80 kB", in powers of 1024 as `pg_size_pretty` does. */
export function sizeText(bytes: number | undefined): string {
  if (bytes === undefined) return "size unknown";
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 10_240 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Math.round(value)} ${units[unit] ?? "bytes"}`;
}

/** Tables and partitioned tables, without foreign tables and without partitions of a table that is in the catalog. */
export function wholeTables(catalog: Catalog): Table[] {
  const known = new Set(catalog.tables.map((table) => keyOf(table.schema, table.name)));
  return catalog.tables.filter(
    (table) =>
      table.kind !== "foreign" &&
      (table.partitionOf === undefined || !known.has(keyOf(table.partitionOf.schema, table.partitionOf.name))),
  );
}

/** The tree of partitions of one catalog. */
export interface Partitions {
  parentOf(table: Table): Table | undefined;
  /** The partitions that hold rows; the table itself when it is not partitioned; none for a partitioned table without partitions. */
  leavesOf(table: Table): readonly Table[];
}

export function partitionsOf(catalog: Catalog): Partitions {
  const byName = new Map(catalog.tables.map((table) => [keyOf(table.schema, table.name), table]));
  const children = new Map<string, Table[]>();
  for (const table of catalog.tables) {
    if (table.partitionOf === undefined) continue;
    const parent = keyOf(table.partitionOf.schema, table.partitionOf.name);
    children.set(parent, [...(children.get(parent) ?? []), table]);
  }
  const leavesOf = (table: Table): readonly Table[] =>
    table.kind === "partitioned" ? (children.get(keyOf(table.schema, table.name)) ?? []).flatMap(leavesOf) : [table];
  return {
    leavesOf,
    parentOf: (table) =>
      table.partitionOf === undefined ? undefined : byName.get(keyOf(table.partitionOf.schema, table.partitionOf.name)),
  };
}

export const primaryKeyOf = (table: Table): Constraint | undefined =>
  table.constraints.find((constraint) => constraint.kind === "primary key");
export const foreignKeysOf = (table: Table): Constraint[] =>
  table.constraints.filter((constraint) => constraint.kind === "foreign key");
export const columnOf = (table: Table, name: string): Column | undefined =>
  table.columns.find((column) => column.name === name);

/** Columns of the partition key; `undefined` when an expression is among them. */
export function partitionColumnsOf(table: Table): readonly string[] | undefined {
  if (table.partitionKey === undefined) return [];
  const list = /^\w+ \((.*)\)$/s.exec(table.partitionKey)?.[1];
  if (list === undefined || list.includes("(")) return undefined;
  return list.split(",").map((part) => {
    const name = part.trim();
    const quoted = /^"((?:[^"]|"")*)"/.exec(name)?.[1];
    return quoted === undefined ? (name.split(" ")[0] ?? name) : quoted.replaceAll('""', '"');
  });
}

/** Keys (schema, index name) of the unique indexes that foreign keys of any table rely on. */
export function indexesBehindForeignKeys(catalog: Catalog): ReadonlySet<string> {
  const used = new Set<string>();
  for (const constraint of catalog.tables.flatMap(foreignKeysOf)) {
    if (constraint.index !== undefined && constraint.references !== undefined)
      used.add(keyOf(constraint.references.schema, constraint.index));
  }
  return used;
}

/** A tenant table has the tenant column. Partitions are reached through their parent. */
export function tenantTables(
  catalog: Catalog,
  tenantColumn: string,
): { readonly table: Table; readonly column: Column }[] {
  return wholeTables(catalog).flatMap((table) => {
    const column = columnOf(table, tenantColumn);
    return column === undefined ? [] : [{ table, column }];
  });
}

/** Makes a name that fits PostgreSQL's 63 bytes and is not in `taken`: cut at a character, then numbered from 2. */
export function freeName(wanted: string, taken: ReadonlySet<string>): string {
  for (let attempt = 1; ; attempt += 1) {
    const suffix = attempt === 1 ? "" : `_${attempt}`;
    const name = cutToBytes(wanted, MAX_IDENTIFIER_BYTES - suffix.length) + suffix;
    if (!taken.has(name)) return name;
  }
}

/** As `freeName`, and takes it: the next call gets another one. */
export function takeName(wanted: string, taken: Set<string>): string {
  const name = freeName(wanted, taken);
  taken.add(name);
  return name;
}

function cutToBytes(text: string, bytes: number): string {
  let cut = text;
  while (Buffer.byteLength(cut, "utf8") > bytes) cut = Array.from(cut).slice(0, -1).join("");
  return cut;
}

// A check asks for these names once per finding; walking a thousand tables each time took most of its time.
const relationNamesOfCatalog = new WeakMap<Catalog, Map<string, ReadonlySet<string>>>();

/** Names of relations (tables, indexes, views, sequences) of one schema: a new index must not take one. */
export function relationNames(catalog: Catalog, schema: string): ReadonlySet<string> {
  const known = relationNamesOfCatalog.get(catalog) ?? collectRelationNames(catalog);
  relationNamesOfCatalog.set(catalog, known);
  return known.get(schema) ?? new Set();
}

function collectRelationNames(catalog: Catalog): Map<string, Set<string>> {
  const names = new Map<string, Set<string>>();
  const add = (schema: string, name: string): void => {
    const ofSchema = names.get(schema) ?? new Set();
    names.set(schema, ofSchema.add(name));
  };
  for (const relation of [...catalog.tables, ...catalog.views]) {
    add(relation.schema, relation.name);
    for (const index of relation.indexes) add(relation.schema, index.name);
  }
  for (const sequence of catalog.sequences) add(sequence.schema, sequence.name);
  return names;
}

/** `DROP INDEX` that runs as it stands. CONCURRENTLY is refused for a partitioned index (0A000). */
export function dropIndexSql(schema: string, index: Index): string {
  return index.isPartitioned
    ? `DROP INDEX IF EXISTS ${identifier(schema, index.name)};`
    : `DROP INDEX CONCURRENTLY IF EXISTS ${identifier(schema, index.name)};`;
}

/**
 * What stands in the way of `ALTER COLUMN … TYPE`: PostgreSQL refuses it (0A000) while a view, policy, trigger or generated
 * column reads the column, and for a partition key. Views are matched by the table's name: too many rather than too few.
 */
export function typeChangeObstacle(catalog: Catalog, table: Table, column: Column): string | undefined {
  const word = (name: string): RegExp => new RegExp(`(?<![\\w$])${escapeRegExp(name)}(?![\\w$])`);
  const columnWord = word(column.name);
  if (table.partitionKey !== undefined && columnWord.test(table.partitionKey))
    return "the column is part of the partition key";
  const tableWord = word(table.name);
  const view = catalog.views.find(
    // The plain search first: with a thousand views the two patterns would take seconds.
    ({ definition }) => definition.includes(table.name) && tableWord.test(definition) && columnWord.test(definition),
  );
  if (view !== undefined) return `the view ${nameOf(view)} reads it`;
  const policy = table.policies.find((candidate) =>
    columnWord.test(`${candidate.using ?? ""} ${candidate.withCheck ?? ""}`),
  );
  if (policy !== undefined) return `the policy ${policy.name} reads it`;
  const trigger = table.triggers.find((candidate) =>
    columnWord.test(candidate.definition.replace(/EXECUTE (FUNCTION|PROCEDURE).*$/s, "")),
  );
  if (trigger !== undefined) return `the trigger ${trigger.name} names it`;
  const generated = table.columns.find(
    (candidate) => candidate.generated !== undefined && columnWord.test(candidate.generated.expression),
  );
  if (generated !== undefined) return `the generated column ${generated.name} is computed from it`;
  if (column.generated !== undefined) return "it is a generated column";
  return undefined;
}
