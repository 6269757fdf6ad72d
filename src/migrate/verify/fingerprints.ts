// Fingerprints of the rows of every table, column by column, and what two of them say about data that did not come back.
import { identifier, type Queryable } from "../../postgres/index.ts";
import type { TableShape } from "./table-shapes.ts";

export interface TableRows {
  readonly table: string;
  readonly rows: number;
  /** By column: equal for the same values, whatever the order of the rows. */
  readonly columns: ReadonlyMap<string, string>;
  /** The same for whole rows. */
  readonly whole: string;
}

export type DatabaseRows = ReadonlyMap<string, TableRows>;

export interface LostData {
  /** `schema.table`. */
  readonly table: string;
  readonly rowsBefore: number;
  readonly rowsAfter: number;
  /** Columns whose values are other than before; empty when rows are missing or too many. */
  readonly columns: readonly string[];
}

const LIMIT_MS = 60_000;

/** Reads the tables in one flush. */
export async function fingerprint(connection: Queryable, tables: readonly TableShape[]): Promise<DatabaseRows> {
  const statements = tables.map(({ schema, name, columns }) => {
    const texts = columns.map((column) => `${identifier(column)}::text`);
    const sums = texts.map((text) => `${hashSum(`coalesce(${text}, '\u0001')`)}`);
    const sorted = texts.toSorted();
    return {
      text: `SELECT count(*)::text AS rows, ARRAY[${sums.join(", ")}]::text[] AS columns, ${hashSum(
        sorted.length === 0 ? "''" : `ARRAY[${sorted.join(", ")}]::text`,
      )} AS whole FROM ONLY ${identifier(schema, name)}`,
    };
  });
  if (statements.length === 0) return new Map();
  const results = await connection.batch(statements, { timeoutMs: LIMIT_MS });
  return new Map(
    tables.map(({ schema, name, columns }, index): [string, TableRows] => {
      const row = results[index]?.rows[0] as
        | { rows: string; columns: (string | null)[]; whole: string | null }
        | undefined;
      const table = `${schema}.${name}`;
      return [
        table,
        {
          table,
          rows: Number(row?.rows ?? 0),
          columns: new Map(columns.map((column, at) => [column, row?.columns[at] ?? ""])),
          whole: row?.whole ?? "",
        },
      ];
    }),
  );
}

function hashSum(text: string): string {
  return `sum(pg_catalog.hashtextextended(${text}, 0))::text`;
}

/** What of `before` is not there, or is other, in `after`. Columns and tables that are on one side only belong to the catalogs. */
export function compareRows(before: DatabaseRows, after: DatabaseRows): readonly LostData[] {
  const lost: LostData[] = [];
  for (const [table, old] of before) {
    const now = after.get(table);
    if (now === undefined) continue;
    const base = { table, rowsBefore: old.rows, rowsAfter: now.rows };
    if (old.rows !== now.rows) {
      lost.push({ ...base, columns: [] });
      continue;
    }
    const both = [...old.columns.keys()].filter((name) => now.columns.has(name));
    const changed = both.filter((name) => old.columns.get(name) !== now.columns.get(name));
    const isSameShape = both.length === old.columns.size && both.length === now.columns.size;
    if (changed.length > 0) lost.push({ ...base, columns: changed });
    else if (isSameShape && old.whole !== now.whole) lost.push({ ...base, columns: both });
  }
  return lost;
}
