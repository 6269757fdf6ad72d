// How many rows the platform's tables hold, for the first page and the report of `start`.
import { identifier, type Database } from "../postgres/index.ts";
import { PLATFORM_TABLES } from "./sample.ts";

export interface TableOverview {
  readonly schema: string;
  readonly name: string;
  readonly rows: number;
  /** False when row-level security hides rows from this login, so that the number is the server's estimate. */
  readonly isExact: boolean;
  readonly totalBytes: number;
}

const ESTIMATE_SQL = `
SELECT s.n_live_tup::float8 AS rows
FROM pg_catalog.pg_stat_all_tables AS s
WHERE s.relid = pg_catalog.format('%I.%I', $1::text, $2::text)::regclass`;

/** The platform's tables with their rows; exact counts where this login may see every row. */
export async function readOverview(database: Database): Promise<readonly TableOverview[]> {
  const { rights } = await database.serverFacts();
  const seesAll = rights.isSuperuser || rights.bypassesRowSecurity;
  const tables: TableOverview[] = [];
  for (const { schema, name } of PLATFORM_TABLES) {
    const counted = seesAll
      ? await database.query<{ rows: number }>(`SELECT count(*)::float8 AS rows FROM ${identifier(schema, name)}`)
      : await database.query<{ rows: number }>(ESTIMATE_SQL, [schema, name]);
    const size = await database.query<{ bytes: number }>(
      "SELECT pg_catalog.pg_total_relation_size(pg_catalog.format('%I.%I', $1::text, $2::text)::regclass)::float8 AS bytes",
      [schema, name],
    );
    tables.push({
      schema,
      name,
      rows: counted.rows[0]?.rows ?? 0,
      isExact: seesAll,
      totalBytes: size.rows[0]?.bytes ?? 0,
    });
  }
  return tables;
}
