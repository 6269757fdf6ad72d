// Many rows at once: by JSON in constant statements, or by COPY. A bad row is named by its position and nothing stays.
import { is, SQL, sql } from "drizzle-orm";
import { PgColumn, type PgTable, type SelectedFieldsFlat } from "drizzle-orm/pg-core";
import {
  DatabaseError,
  DeadlockError,
  InvalidInputError,
  LockNotAvailableError,
  OutOfResourcesError,
  ReadOnlyError,
  SerializationFailureError,
  StatementTimeoutError,
  TransactionTimeoutError,
  UnitFailedError,
  type Statement,
} from "../postgres/index.ts";
import { atRow, isRowSecurityActive, sendCopy, throughTemporaryTable } from "./copy.ts";
import { dialect } from "./dialect.ts";
import { columnList, insertRows, JsonRows, type RowGroup, type Values } from "./json-rows.ts";
import { checkCount, checkTable } from "./locking.ts";
import { conflictClause, type ConflictRule } from "./on-conflict.ts";
import { isStaleStatement } from "./retry.ts";
import { tableText, type RowOf } from "./table-columns.ts";
import type { UnitDatabase } from "./unit-database.ts";
import type { UnitOfWork } from "./unit-of-work.ts";
import { preparedQuery, type UnitQuery } from "./unit-query.ts";

export interface BulkInsertOptions<T extends PgTable = PgTable, R extends Returning = Returning> {
  /** Rows that are there already: left alone (`"nothing"`), or handled by a rule as in `tx.upsert()`. Default: an error. */
  readonly onConflict?: "nothing" | ConflictRule<T>;
  /** `true` for whole rows, or the columns wanted. Default: none. */
  readonly returning?: R;
  /** Rows per statement. Default 5_000. */
  readonly batchSize?: number;
  /** Called after each batch. */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
  /**
   * `"json"`: works everywhere. `"copy"`: on servers; through a temporary table where row-level security, `onConflict` or
   * `returning` ask for it. `"auto"` (default): COPY for more than 50,000 rows where it can go straight into the table.
   */
  readonly method?: "auto" | "json" | "copy";
}

export interface BulkInserted<R> {
  /** Rows inserted or updated. */
  readonly count: number;
  /** What `returning` asked for, in the order given (rows that were left alone are missing). */
  readonly rows: R[];
  /** How they travelled. */
  readonly method: "json" | "copy" | "copy through a temporary table";
}

export type Returning = true | Readonly<Record<string, PgColumn>> | undefined;

/** What `returning` gives. */
export type BulkReturned<T extends PgTable, R extends Returning> = R extends true
  ? RowOf<T>
  : R extends Readonly<Record<string, PgColumn>>
    ? { -readonly [K in keyof R]: ColumnData<R[K]> }
    : never;
type ColumnData<C extends PgColumn> = C["_"]["notNull"] extends true ? C["_"]["data"] : C["_"]["data"] | null;

/** From this number of rows on, COPY is worth its own round trips. */
const COPY_ROWS = 50_000;
const DEFAULT_BATCH = 5_000;
/** A batch ends early past it: one parameter holds the whole batch. */
const BATCH_BYTES = 16 * 1024 * 1024;

/** Errors that say nothing about a row. */
const NOT_ABOUT_A_ROW = [
  SerializationFailureError,
  DeadlockError,
  LockNotAvailableError,
  StatementTimeoutError,
  TransactionTimeoutError,
  ReadOnlyError,
  OutOfResourcesError,
];

interface Job {
  readonly unit: UnitOfWork;
  readonly table: PgTable;
  readonly json: JsonRows;
  readonly options: BulkInsertOptions;
  readonly decoder: UnitQuery | undefined;
}

/** `tx.bulkInsert()`; described there. */
export async function bulkInsert<R>(
  tx: Pick<UnitDatabase, "select">,
  unit: UnitOfWork,
  table: PgTable,
  rows: readonly Values[],
  options: BulkInsertOptions,
): Promise<BulkInserted<R>> {
  checkTable(table);
  const { batchSize = DEFAULT_BATCH, method = "auto", returning, onProgress } = options;
  checkCount("batchSize", batchSize, 1, 1_000_000);
  if (!["auto", "json", "copy"].includes(method)) {
    throw new InvalidInputError(`method cannot be ${JSON.stringify(method)}`, { hint: 'use "auto", "json" or "copy"' });
  }
  const json = new JsonRows(table, rows, "insert");
  const fields: SelectedFieldsFlat | undefined = returning === true ? undefined : returning;
  const select = fields === undefined ? tx.select() : tx.select(fields);
  const decoder = returning === undefined ? undefined : preparedQuery(select.from(table));
  const job: Job = { unit, table, json, options, decoder };
  const found: { readonly index: number; readonly row: R }[] = [];
  let count = 0;
  let done = 0;
  let used: BulkInserted<R>["method"] = "json";
  await unit.nested(async () => {
    const way = await chooseWay(job, rows.length, method);
    for (const group of json.groups) {
      if (way !== "json") {
        used = way;
        count += await copyGroup(job, group, way);
        done += group.indexes.length;
        onProgress?.({ done, total: rows.length });
        continue;
      }
      for (const batch of batches(json, group, batchSize)) {
        const result = await insertBatch<R>(job, group, batch);
        count += result.count;
        for (const [position, row] of result.rows.entries()) found.push({ index: batch.indexes[position] ?? 0, row });
        done += batch.indexes.length;
        onProgress?.({ done, total: rows.length });
      }
    }
  });
  // Groups of rows with other columns were inserted one after the other.
  const inOrder = json.groups.length > 1 ? found.toSorted((a, b) => a.index - b.index) : found;
  return { count, rows: inOrder.map(({ row }) => row), method: used };
}

interface Batch {
  readonly indexes: readonly number[];
  readonly rows: readonly string[];
}

function* batches(json: JsonRows, group: RowGroup, size: number): Generator<Batch> {
  for (let start = 0; start < group.indexes.length; start += size) {
    const indexes = group.indexes.slice(start, start + size);
    const rows = json.encode(group, indexes);
    let from = 0;
    let bytes = 0;
    for (const [at, row] of rows.entries()) {
      if (at > from && bytes + row.length > BATCH_BYTES) {
        yield { indexes: indexes.slice(from, at), rows: rows.slice(from, at) };
        from = at;
        bytes = 0;
      }
      bytes += row.length;
    }
    yield { indexes: indexes.slice(from), rows: rows.slice(from) };
  }
}

async function insertBatch<R>(job: Job, group: RowGroup, batch: Batch): Promise<{ count: number; rows: readonly R[] }> {
  try {
    const result = await job.unit.nested(() => job.unit.query(insertStatement(job, group, batch.rows)));
    const rows = job.decoder === undefined ? [] : (job.decoder.decodeRows(result) as readonly R[]);
    return { count: result.rowCount ?? 0, rows };
  } catch (error) {
    throw await namedRow(job, group, batch, error);
  }
}

function insertStatement(job: Job, group: RowGroup, rows: readonly string[]): Statement {
  const { table, options, decoder } = job;
  const conflict = conflictOf(options, table, group);
  const fields = (decoder?.selectedFields ?? []).map(({ field }) =>
    is(field, PgColumn) ? sql.raw(columnList([field], `${tableText(table)}.`)) : is(field, SQL) ? field : sql`NULL`,
  );
  const returning = fields.length === 0 ? sql`` : sql` RETURNING ${sql.join(fields, sql`, `)}`;
  const { sql: text, params } = dialect.sqlToQuery(
    sql`${insertRows(table, group.columns, rows)}${conflict}${returning}`,
  );
  return decoder === undefined
    ? { text, values: params }
    : { text, values: params, rowMode: "array", types: decoder.statement.types };
}

function conflictOf({ onConflict }: BulkInsertOptions, table: PgTable, group: RowGroup): SQL {
  if (onConflict === undefined) return sql``;
  if (onConflict === "nothing") return sql` ON CONFLICT DO NOTHING`;
  if (typeof onConflict !== "object" || onConflict === null) {
    throw new InvalidInputError(`onConflict cannot be ${JSON.stringify(onConflict)}`, {
      hint: 'use "nothing", or a rule such as { target: table.column }',
    });
  }
  return conflictClause(table, group, onConflict);
}

function isAboutRows(error: unknown): error is DatabaseError {
  if (!(error instanceof DatabaseError) || isStaleStatement(error)) return false;
  return !NOT_ABOUT_A_ROW.some((type) => error instanceof type);
}

/**
 * The error with the position of the row that causes it: the last row of the shortest run of rows, from the first one on,
 * that fails. Each run is tried inside a savepoint that is undone. Stays as it is when no row at all fails the same.
 */
export async function namedRow(
  job: Pick<Job, "unit" | "table" | "options" | "decoder" | "json">,
  group: RowGroup,
  batch: Batch,
  error: unknown,
): Promise<unknown> {
  if (!isAboutRows(error)) return error;
  const failure = async (length: number): Promise<DatabaseError | undefined> => {
    const undone = new InvalidInputError("undone");
    try {
      await job.unit.nested(async () => {
        const tried = insertStatement(job, group, batch.rows.slice(0, length));
        // Without a name: PgBouncer 1.24 loses count of names when their statements fail one after the other.
        await job.unit.query({ ...tried, prepare: false });
        throw undone;
      });
    } catch (caught) {
      if (caught === undone) return undefined;
      if (isAboutRows(caught)) return caught;
      throw caught;
    }
    return undefined;
  };
  try {
    if ((await failure(0)) !== undefined) return error;
    let passing = 0;
    let failing = batch.rows.length;
    let last: DatabaseError = error;
    while (failing - passing > 1) {
      const middle = Math.floor((passing + failing) / 2);
      const failed = await failure(middle);
      if (failed === undefined) passing = middle;
      else {
        failing = middle;
        last = failed;
      }
    }
    return atRow(last, batch.indexes[failing - 1], "");
  } catch (caught) {
    if (caught instanceof UnitFailedError) return error;
    throw caught;
  }
}

type Way = BulkInserted<unknown>["method"];

async function chooseWay(job: Job, rowCount: number, method: "auto" | "json" | "copy"): Promise<Way> {
  const { unit, table, options } = job;
  const isPlain = options.onConflict === undefined && options.returning === undefined;
  if (method === "json" || (method === "auto" && (rowCount <= COPY_ROWS || !isPlain || !unit.database.backend.copy)))
    return "json";
  if (unit.database.kind === "pglite") {
    throw new InvalidInputError("COPY is not possible on the embedded database", {
      hint: 'leave method out, or use "json"',
    });
  }
  if (options.returning !== undefined) {
    throw new InvalidInputError("COPY returns no rows", { hint: 'leave method out, or use "json", with returning' });
  }
  if (rowCount === 0) return "json";
  const { rows } = await unit.query<{ isTable: boolean }>({
    text: `SELECT c.relkind IN ('r', 'p') AS "isTable" FROM pg_catalog.pg_class AS c WHERE c.oid = $1::regclass`,
    values: [tableText(table)],
  });
  const isDirect = rows[0]?.isTable === true && isPlain && !(await isRowSecurityActive(unit, table));
  if (isDirect) return "copy";
  return method === "copy" ? "copy through a temporary table" : "json";
}

async function copyGroup(job: Job, group: RowGroup, way: Exclude<Way, "json">): Promise<number> {
  const { unit, table, json, options } = job;
  if (group.columns.length === 0) return insertDefaults(job, group);
  const list = columnList(group.columns);
  const send = (target: string): Promise<number> =>
    sendCopy(unit, `COPY ${target} (${list}) FROM STDIN`, copyLines(json, group), (line) => group.indexes[line - 1]);
  try {
    return await unit.nested(() => {
      if (way === "copy") return send(tableText(table));
      const conflict = dialect.sqlToQuery(conflictOf(options, table, group));
      return throughTemporaryTable(unit, table, group.columns, send, conflict);
    });
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.rowIndex !== undefined) throw error;
    // A check at the end of the statement (a foreign key) tells no line; the rows are tried another way.
    for (const batch of batches(json, group, group.indexes.length)) throw await namedRow(job, group, batch, error);
    throw error;
  }
}

async function insertDefaults(job: Job, group: RowGroup): Promise<number> {
  const rows = group.indexes.map(() => "{}");
  const { count } = await insertBatch(job, group, { indexes: group.indexes, rows });
  return count;
}

/** Lines of COPY's text format, in pieces. https://www.postgresql.org/docs/18/sql-copy.html (Text Format) */
function* copyLines(json: JsonRows, group: RowGroup): Generator<string> {
  let piece = "";
  for (const texts of json.allTexts(group)) {
    let separator = "";
    for (const text of texts) {
      piece += separator + (text === null ? "\\N" : SPECIAL.test(text) ? text.replaceAll(EACH_SPECIAL, escaped) : text);
      separator = "\t";
    }
    piece += "\n";
    if (piece.length < 64 * 1024) continue;
    yield piece;
    piece = "";
  }
  if (piece !== "") yield piece;
}

const SPECIAL = /[\\\n\r\t]/;
const EACH_SPECIAL = new RegExp(SPECIAL, "g");
const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };
function escaped(character: string): string {
  return ESCAPES[character] ?? character;
}
