// Copies a sample of a database's rows into a throw-away one with the same schema: some by chance, then the parents of those rows.
import type { Catalog, Table } from "../catalog/index.ts";
import { DatabaseError, identifier, IntegrityError, type Connection, type Queryable } from "../postgres/index.ts";
import type { TableSizes } from "./estimate.ts";

export interface CopiedTable {
  /** `schema.table`. */
  readonly table: string;
  readonly rows: number;
  /** `reltuples` of the real table. */
  readonly of: number | undefined;
}

export interface SampleWork {
  /** The schema that the throw-away database has. */
  readonly present: Catalog;
  /** The schema that the real database has. */
  readonly live: Catalog;
  /** Tables whose foreign keys are to hold. */
  readonly foreignKeys: readonly Table[];
  readonly sizes: TableSizes;
  readonly rowsPerTable: number;
  readonly signal: AbortSignal | undefined;
}

/** Rows of one statement: a document of them is held in memory on both sides. */
const CHUNK_ROWS = 1_000;
/** Bytes of one table at most, by the average size of its rows. */
const MOST_BYTES = 64_000_000;
/** Bytes of a table up to which all of it is read for its sample: of few blocks, chance may take none, or rows that lie together. */
const FEW_BYTES = 16_000_000;
/** Longest chain of parents that is followed. */
const MOST_ROUNDS = 10;

/**
 * Copies rows. Triggers do not fire; what a constraint that is not validated would refuse is left out, as are rows whose parents
 * cannot be had.
 */
export async function copySample(from: Queryable, to: Connection, work: SampleWork): Promise<readonly CopiedTable[]> {
  const sampler = new Sampler(from, to, work);
  // Triggers and foreign keys wait: rows come in any order, and some before their parents.
  await to.exec("SET session_replication_role = replica");
  await sampler.copyTables();
  await sampler.copyParents();
  await sampler.removeOrphans();
  await to.exec("RESET session_replication_role");
  return sampler.counted();
}

interface Key {
  readonly child: string;
  readonly columns: readonly string[];
  readonly parent: string;
  readonly parentColumns: readonly string[];
}

class Sampler {
  readonly #from: Queryable;
  readonly #to: Connection;
  readonly #work: SampleWork;
  readonly #columns = new Map<string, string>();
  readonly #keys: readonly Key[];

  constructor(from: Queryable, to: Connection, work: SampleWork) {
    this.#from = from;
    this.#to = to;
    this.#work = work;
    for (const table of work.present.tables) {
      const real = work.live.tables.find(({ schema, name }) => schema === table.schema && name === table.name);
      if (real === undefined || table.kind === "foreign" || real.kind !== table.kind) continue;
      const names = table.columns
        .filter(({ name, generated }) => generated === undefined && real.columns.some((column) => column.name === name))
        .map(({ name }) => identifier(name));
      if (names.length > 0) this.#columns.set(identifier(table.schema, table.name), names.join(", "));
    }
    this.#keys = keysOf(work.foreignKeys);
  }

  async copyTables(): Promise<void> {
    for (const { schema, name, kind } of this.#work.present.tables) {
      const table = identifier(schema, name);
      const columns = this.#columns.get(table);
      // Rows of a partitioned table are in its partitions.
      if (columns === undefined || kind !== "table") continue;
      const { limit, sample } = this.#sampleOf(table);
      const copied = await this.#copy(table, columns, rowsOf(table, columns, sample), [limit]);
      if (copied === 0 && sample !== "") await this.#copy(table, columns, rowsOf(table, columns, ""), [limit]);
    }
  }

  /** Rows or blocks by chance, a few more than needed; of a small table, or one nobody counted, what comes first. */
  #sampleOf(table: string): { readonly limit: number; readonly sample: string } {
    const size = this.#work.sizes.get(table);
    const rowBytes = size?.rows === undefined || size.rows === 0 ? 1 : Math.max(1, size.bytes / size.rows);
    const limit = Math.max(1, Math.min(this.#work.rowsPerTable, Math.floor(MOST_BYTES / rowBytes)));
    if (size?.rows === undefined || size.rows <= limit) return { limit, sample: "" };
    const percent = Math.min(100, (limit / size.rows) * 120);
    const method = size.bytes <= FEW_BYTES ? "BERNOULLI" : "SYSTEM";
    return { limit, sample: ` TABLESAMPLE ${method} (${percent.toFixed(6)})` };
  }

  async copyParents(): Promise<void> {
    for (let round = 0; round < MOST_ROUNDS; round++) {
      let added = 0;
      for (const key of this.#keys) added += await this.#copyParentsOf(key);
      if (added === 0) return;
    }
  }

  async #copyParentsOf(key: Key): Promise<number> {
    const columns = this.#columns.get(key.parent);
    if (columns === undefined) return 0;
    const named = key.columns.map((column, at) => `c.${column} AS ${key.parentColumns[at] ?? ""}`).join(", ");
    const missing = await this.#ifThere(
      `
SELECT pg_catalog.json_agg(k)::text AS keys
FROM (SELECT DISTINCT ${named} FROM ${key.child} AS c WHERE ${orphan(key)} LIMIT ${this.#work.rowsPerTable}) AS k`,
    );
    const keys = missing?.[0]?.["keys"];
    if (typeof keys !== "string") return 0;
    const list = key.parentColumns.join(", ");
    const wanted = `
SELECT ${columns} FROM ${key.parent}
WHERE (${list}) IN (SELECT ${list} FROM pg_catalog.json_populate_recordset(NULL::${key.parent}, $1::json))`;
    return this.#copy(key.parent, columns, wanted, [keys]);
  }

  /** Rows removed that point at rows which could not be copied. */
  async removeOrphans(): Promise<void> {
    for (let round = 0; round < MOST_ROUNDS; round++) {
      let removed = 0;
      for (const key of this.#keys)
        removed += (await this.#ifThere(`DELETE FROM ${key.child} AS c WHERE ${orphan(key)} RETURNING 1`))?.length ?? 0;
      if (removed === 0) return;
    }
  }

  async counted(): Promise<readonly CopiedTable[]> {
    const counts: CopiedTable[] = [];
    for (const { schema, name, kind } of this.#work.present.tables) {
      const table = identifier(schema, name);
      if (kind !== "table" || !this.#columns.has(table)) continue;
      const { rows } = await this.#to.query<{ rows: number }>(`SELECT count(*)::int4 AS rows FROM ONLY ${table}`);
      counts.push({ table: `${schema}.${name}`, rows: rows[0]?.rows ?? 0, of: this.#work.sizes.get(table)?.rows });
    }
    return counts;
  }

  /** `undefined` where the foreign key is of columns or tables that the plan has yet to make. */
  async #ifThere(sql: string): Promise<readonly Readonly<Record<string, unknown>>[] | undefined> {
    try {
      return (await this.#to.query(sql, [], { signal: this.#work.signal })).rows;
    } catch (error) {
      if (error instanceof DatabaseError && ["42P01", "42703", "42883"].includes(error.sqlState)) return undefined;
      throw error;
    }
  }

  async #copy(table: string, columns: string, select: string, values: readonly unknown[]): Promise<number> {
    const { signal } = this.#work;
    const { rows: documents } = await this.#from.query<{ rows: string; count: number }>(
      `
SELECT pg_catalog.json_agg(c.row)::text AS rows, count(*)::int4 AS count
FROM (SELECT pg_catalog.to_json(s) AS row, pg_catalog.row_number() OVER () AS n FROM (${select}) AS s) AS c
GROUP BY (c.n - 1) / ${CHUNK_ROWS}`,
      [...values],
      { signal },
    );
    const insert = `INSERT INTO ${table} (${columns}) OVERRIDING SYSTEM VALUE
SELECT ${columns}
FROM pg_catalog.json_populate_recordset(NULL::${table}, (
  SELECT pg_catalog.json_agg(e.value)
  FROM pg_catalog.json_array_elements($1::json) WITH ORDINALITY AS e (value, n)
  WHERE e.n BETWEEN $2::int8 AND $3::int8
))
ON CONFLICT DO NOTHING`;
    // Rows that a constraint which is not validated would refuse are found by halves.
    const add = async (rows: string, first: number, last: number): Promise<number> => {
      try {
        return (await this.#to.query(insert, [rows, first, last], { signal })).rowCount ?? 0;
      } catch (error) {
        if (!(error instanceof IntegrityError)) throw error;
        if (first === last) return 0;
        const middle = Math.floor((first + last) / 2);
        return (await add(rows, first, middle)) + (await add(rows, middle + 1, last));
      }
    };
    let count = 0;
    for (const { rows, count: inDocument } of documents) count += await add(rows, 1, inDocument);
    return count;
  }
}

function rowsOf(table: string, columns: string, sample: string): string {
  return `SELECT ${columns} FROM ONLY ${table}${sample} LIMIT $1::int8`;
}

function keysOf(tables: readonly Table[]): readonly Key[] {
  const keys = tables.flatMap(({ schema, name, constraints }) =>
    constraints.flatMap(({ kind, columns, references }): readonly Key[] =>
      kind !== "foreign key" || references === undefined
        ? []
        : [
            {
              child: identifier(schema, name),
              columns: columns.map((column) => identifier(column)),
              parent: identifier(references.schema, references.table),
              parentColumns: references.columns.map((column) => identifier(column)),
            },
          ],
    ),
  );
  return [...new Map(keys.map((key) => [JSON.stringify(key), key])).values()];
}

/** That a row `c` points at a row which is not there. */
function orphan({ columns, parent, parentColumns }: Key): string {
  const given = columns.map((column) => `c.${column} IS NOT NULL`).join(" AND ");
  const pairs = columns.map((column, at) => `p.${parentColumns[at] ?? ""} = c.${column}`).join(" AND ");
  return `${given} AND NOT EXISTS (SELECT FROM ${parent} AS p WHERE ${pairs})`;
}
