// Keeps made-up rows in the tables of a throw-away database, so that migrations meet data; takes them out again where they are in
// the way. Tables that stay empty are told, with the reason.
import type { Catalog, Table } from "../../catalog/index.ts";
import { identifier, type Connection } from "../../postgres/index.ts";
import type { DatabaseRows } from "./fingerprints.ts";
import { seedTable } from "./seed-table.ts";
import type { SchemaShapes } from "./table-shapes.ts";
import { TypeSamples } from "./type-samples.ts";

export interface UnseededTable {
  /** `schema.table`. */
  readonly table: string;
  readonly why: string;
}

interface Seeded {
  readonly primaryKey: readonly string[];
  readonly keys: readonly (readonly string[])[];
}

const LIMIT_MS = 10_000;
const OIDS_SQL = `
SELECT c.oid::text AS oid, n.nspname AS schema, c.relname AS name
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p')`;

export class Seeds {
  readonly #connection: Connection;
  readonly #rowsPerTable: number;
  readonly #maySkipTriggers: boolean;
  // By oid: a migration may rename the table.
  readonly #seeded = new Map<string, Seeded>();
  /** What a table looked like when no row could be made, so that nothing is tried twice. */
  readonly #refused = new Map<string, { readonly signature: string; readonly why: string }>();
  #number = 0;
  #rows = 0;
  readonly #tables = new Set<string>();

  /** @param maySkipTriggers - the login may set `session_replication_role` */
  constructor(connection: Connection, rowsPerTable: number, maySkipTriggers: boolean) {
    this.#connection = connection;
    this.#maySkipTriggers = maySkipTriggers;
    this.#rowsPerTable = rowsPerTable;
  }

  /** Rows and tables that were ever filled, and the tables that are without rows now. */
  figures(): { readonly tables: number; readonly rows: number } {
    return { tables: this.#tables.size, rows: this.#rows };
  }

  unseeded(): readonly UnseededTable[] {
    return [...this.#refused].map(([table, { why }]) => ({ table, why }));
  }

  get isEmpty(): boolean {
    return this.#seeded.size === 0;
  }

  /** Whether a table has no rows, so that the catalog is needed to make some. */
  async mayFill({ tables, roots, partitions }: SchemaShapes, rows: DatabaseRows): Promise<boolean> {
    if (this.#rowsPerTable === 0) return false;
    const own = tables.map(nameOf).filter((name) => !partitions.has(name));
    if (own.some((name) => (rows.get(name)?.rows ?? 0) === 0)) return true;
    return (await this.#withoutRows(roots)).length > 0;
  }

  /** Makes rows in every table that has none, referenced tables first. @returns whether any were made */
  async fill(catalog: Catalog): Promise<boolean> {
    const rowsBefore = this.#rows;
    await this.#fill(catalog);
    return this.#rows > rowsBefore;
  }

  async #fill(catalog: Catalog): Promise<void> {
    if (this.#rowsPerTable === 0) return;
    const tables = catalog.tables.filter(isSeedable);
    const names = new Set(tables.map(nameOf));
    for (const name of this.#refused.keys()) if (!names.has(name)) this.#refused.delete(name);
    let pending = await this.#withoutRows(tables);
    if (pending.length === 0) return;
    const samples = new TypeSamples(catalog);
    const oids = await this.#oids();
    while (pending.length > 0) {
      const waiting = new Set(pending.map(nameOf));
      const ready = pending.filter((table) => !parentsOf(table).some((parent) => waiting.has(parent)));
      // In a circle of foreign keys the columns that may be NULL decide.
      const batch = ready.length > 0 ? ready : pending;
      for (const table of batch) await this.#fillTable(catalog, samples, table, oids.get(nameOf(table)), waiting);
      pending = ready.length > 0 ? pending.filter((table) => !ready.includes(table)) : [];
    }
  }

  async #fillTable(
    catalog: Catalog,
    samples: TypeSamples,
    table: Table,
    oid: string | undefined,
    waiting: ReadonlySet<string>,
  ): Promise<void> {
    const name = nameOf(table);
    const parents = parentsOf(table).filter((parent) => this.#refused.has(parent) || waiting.has(parent));
    const signature = JSON.stringify([table.columns, table.constraints, table.triggers, parents]);
    if (this.#refused.get(name)?.signature === signature) return;
    const made = await seedTable(
      { connection: this.#connection, catalog, samples, maySkipTriggers: this.#maySkipTriggers },
      table,
      this.#rowsPerTable,
      this.#number,
    );
    this.#number += this.#rowsPerTable;
    if (made.rows === 0) {
      this.#refused.set(name, { signature, why: made.refusal ?? "no row was made" });
      return;
    }
    this.#refused.delete(name);
    this.#rows += made.rows;
    this.#tables.add(name);
    const primaryKey = table.constraints.find(({ kind }) => kind === "primary key")?.columns ?? [];
    if (oid !== undefined) this.#seeded.set(oid, { primaryKey, keys: made.keys });
  }

  /**
   * Takes the made-up rows out, in the transaction that is open or in one for each table. Rows that migrations wrote stay where the
   * primary key tells them apart.
   *
   * @param only - of these tables and those that refer to them; otherwise of all
   */
  async clear(catalog: Catalog, only?: readonly { readonly schema: string; readonly name: string }[]): Promise<void> {
    const names = new Map([...(await this.#oids())].map(([name, oid]) => [oid, name]));
    const tables = new Map(catalog.tables.map((table) => [nameOf(table), table]));
    const wanted = only === undefined ? undefined : withReferring(catalog.tables, only.map(nameOf));
    const statements: { readonly text: string; readonly values: readonly unknown[] }[] = [];
    for (const [oid, { primaryKey, keys }] of this.#seeded) {
      const table = tables.get(names.get(oid) ?? "");
      if (table === undefined || wanted?.has(nameOf(table)) === false) continue;
      const current = table.constraints.find(({ kind }) => kind === "primary key")?.columns ?? [];
      const isSame = current.length > 0 && current.join("\0") === primaryKey.join("\0");
      const target = identifier(table.schema, table.name);
      const key = `ARRAY[${current.map((name) => `${identifier(name)}::text`).join(", ")}]`;
      statements.push(
        isSame
          ? {
              text: `DELETE FROM ${target} WHERE ${key}::text = ANY ($1::text[])`,
              values: [keys.map((values) => arrayText(values))],
            }
          : { text: `DELETE FROM ${target}`, values: [] },
      );
    }
    if (statements.length === 0) return;
    // Referencing tables were filled last. Without triggers people's own ones cannot object either.
    const before = this.#maySkipTriggers ? [{ text: "SET LOCAL session_replication_role = replica" }] : [];
    const after = this.#maySkipTriggers ? [{ text: "SET LOCAL session_replication_role = DEFAULT" }] : [];
    await this.#connection.batch([...before, ...statements.toReversed(), ...after], { timeoutMs: LIMIT_MS });
  }

  async #withoutRows<T extends { readonly schema: string; readonly name: string }>(
    tables: readonly T[],
  ): Promise<readonly T[]> {
    if (tables.length === 0) return [];
    const parts = tables.map(
      (table, index) =>
        `SELECT ${index} AS place WHERE NOT EXISTS (SELECT FROM ${identifier(table.schema, table.name)})`,
    );
    const empty = new Set<number>();
    for (let start = 0; start < parts.length; start += 200) {
      const { rows } = await this.#connection.query<{ place: number }>(
        parts.slice(start, start + 200).join("\nUNION ALL "),
        [],
        { timeoutMs: LIMIT_MS },
      );
      for (const { place } of rows) empty.add(place);
    }
    return tables.filter((_, index) => empty.has(index));
  }

  async #oids(): Promise<ReadonlyMap<string, string>> {
    const { rows } = await this.#connection.query<{ oid: string; schema: string; name: string }>(OIDS_SQL, [], {
      timeoutMs: LIMIT_MS,
    });
    return new Map(rows.map(({ oid, schema, name }) => [`${schema}.${name}`, oid]));
  }
}

/** Partitions get their rows through their parent. */
function isSeedable({ kind, partitionOf, extension, persistence }: Table): boolean {
  return kind !== "foreign" && partitionOf === undefined && extension === undefined && persistence !== "temporary";
}

function nameOf({ schema, name }: { readonly schema: string; readonly name: string }): string {
  return `${schema}.${name}`;
}

function parentsOf(table: Table): readonly string[] {
  return table.constraints.flatMap(({ references }) =>
    references === undefined || (references.schema === table.schema && references.table === table.name)
      ? []
      : [`${references.schema}.${references.table}`],
  );
}

/** The tables, and every one that refers to one of them or is a part of it. */
function withReferring(tables: readonly Table[], names: readonly string[]): ReadonlySet<string> {
  const all = new Set(names);
  // A set can grow while it is walked.
  for (const name of all) {
    for (const table of tables) {
      const { partitionOf } = table;
      if (parentsOf(table).includes(name)) all.add(nameOf(table));
      if (nameOf(table) === name && partitionOf !== undefined) all.add(nameOf(partitionOf));
    }
  }
  return all;
}

/** As PostgreSQL prints an array of texts. */
function arrayText(values: readonly string[]): string {
  return `{${values.map((value) => (/^[^\s"\\{},]+$/.test(value) && !/^null$/i.test(value) ? value : `"${value.replaceAll("\\", "\\\\").replaceAll('"', String.raw`\"`)}"`)).join(",")}}`;
}
