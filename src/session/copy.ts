// COPY in and out of a unit of work, as streams of text, CSV or binary that pass through untouched.
import { getTableColumns, getTableName, is, SQL, sql, type SQLWrapper } from "drizzle-orm";
import { PgDialect, PgTable, type PgColumn } from "drizzle-orm/pg-core";
import pg from "pg";
import { DatabaseError, InvalidInputError, toStewardError } from "../postgres/index.ts";
import { CopyOut, copyFrom, type CopySource } from "./copy-wire.ts";
import { columnList } from "./json-rows.ts";
import { checkTable } from "./locking.ts";
import { driverText, tableText } from "./table-columns.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

export interface CopyOptions {
  /** Default `"text"`. */
  readonly format?: "text" | "csv" | "binary";
  /** CSV and text: a first line with the column names is written, or skipped. */
  readonly header?: boolean;
  /** One byte between columns. */
  readonly delimiter?: string;
  /** What stands for NULL. */
  readonly null?: string;
  /** CSV: default `"`. */
  readonly quote?: string;
}

const NO_COPY = "COPY is not possible on the embedded database (it has no stream to carry the rows)";

/** `tx.copyIn()`; described there. */
export async function copyIn<T extends PgTable>(
  unit: UnitOfWork,
  table: T,
  columns: readonly (string | PgColumn)[] | undefined,
  source: CopySource,
  options: CopyOptions,
): Promise<number> {
  refuseOnEmbedded(unit, "use tx.bulkInsert(), which works everywhere");
  checkTable(table);
  const list = copyColumns(table, columns);
  const format = formatText(options);
  if (source === null || typeof source !== "object" || !(Symbol.asyncIterator in source || Symbol.iterator in source)) {
    throw new InvalidInputError("the source of a COPY must be a stream or an iterable of text or bytes");
  }
  return unit.nested(async () => {
    const isDirect = !(await isRowSecurityActive(unit, table));
    const rowOffset = options.header === true ? 1 : 0;
    const copy = (target: string): Promise<number> =>
      sendCopy(unit, `COPY ${target} (${columnList(list)}) FROM STDIN ${format}`, source, (line) =>
        options.format === "csv" ? undefined : line - 1 - rowOffset,
      );
    return isDirect ? copy(tableText(table)) : throughTemporaryTable(unit, table, list, copy);
  });
}

/** `tx.copyOut()`; described there. Nothing is sent before the first row is asked for. */
export async function* copyOut(
  unit: UnitOfWork,
  source: PgTable | SQLWrapper,
  options: CopyOptions,
): AsyncGenerator<Buffer, void, undefined> {
  refuseOnEmbedded(unit, "use tx.stream() or a select, which work everywhere");
  const text = `COPY ${copySource(source)} TO STDOUT ${formatText(options)}`;
  const copy = new CopyOut(text);
  const hold = { what: "a COPY that is being read", isOver: () => copy.isStopped, stop: () => copy.discard() };
  const sentAt = performance.now();
  const running = unit.exclusive(async (connection) => {
    // A savepoint of its own: leaving early cancels the statement, which would fail the whole unit.
    await connection.batch([{ text: "SAVEPOINT pgsteward_copy" }]);
    let cancelling: Promise<void> = Promise.resolve();
    copy.onDiscard = () => {
      cancelling = connection.cancel().catch(() => undefined);
    };
    unit.aborted.catch(() => copy.discard());
    try {
      try {
        unit.observeOwn({ text }, await copy.run(connection), sentAt, undefined);
      } finally {
        await cancelling; // a late cancel request would hit the next statement
      }
      await connection.batch([{ text: "RELEASE SAVEPOINT pgsteward_copy" }]);
    } catch (error) {
      if (connection.transactionStatus === "failed") {
        await connection.batch([{ text: "ROLLBACK TO SAVEPOINT pgsteward_copy" }]);
        await connection.batch([{ text: "RELEASE SAVEPOINT pgsteward_copy" }]);
      }
      if (copy.isDiscarding) return;
      unit.observeOwn({ text }, null, sentAt, toStewardError(error));
      throw error;
    }
  }, hold);
  running.catch((error: unknown) => copy.fail(error));
  try {
    for (let rows = await copy.next(); rows !== undefined; rows = await copy.next()) yield rows;
    await running;
  } finally {
    if (!copy.isStopped) copy.discard();
    await running.catch(() => undefined); // thrown above already, or of no interest to who left
  }
}

/** COPY of encoded rows or a caller's stream, on the unit's connection. */
export async function sendCopy(
  unit: UnitOfWork,
  text: string,
  source: CopySource,
  rowOfLine: (line: number) => number | undefined,
): Promise<number> {
  let isOver = false;
  const sentAt = performance.now();
  try {
    const rowCount = await unit.exclusive((connection) => copyFrom(connection, text, source, unit.aborted), {
      what: "a COPY that is being written",
      isOver: () => isOver,
      stop: () => undefined, // it ends with its source
    });
    unit.observeOwn({ text }, rowCount, sentAt, undefined);
    return rowCount;
  } catch (error) {
    unit.observeOwn({ text }, null, sentAt, toStewardError(error));
    const line = error instanceof DatabaseError ? copyLine(error) : undefined;
    throw line === undefined ? error : atRow(error as DatabaseError, rowOfLine(line), `line ${line} of the COPY`);
  } finally {
    isOver = true;
  }
}

/** The error with the row, or the place, it is about; class, fields and cause stay. */
export function atRow(error: DatabaseError, rowIndex: number | undefined, place: string): DatabaseError {
  const Type = error.constructor as new (message: string, fields: DatabaseError, options: object) => DatabaseError;
  const message = `${rowIndex === undefined ? place : `row ${rowIndex}`}: ${error.message}`;
  return new Type(message, error, { cause: error.cause, hint: error.hint, rowIndex });
}

/** CONTEXT of an error in COPY: `COPY table, line 3, column a: "…"`, the word in the server's language. */
function copyLine(error: DatabaseError): number | undefined {
  const context = (error.cause as { where?: string } | undefined)?.where ?? "";
  const line = /^COPY .*?, \p{L}+ (\d+)/u.exec(context)?.[1];
  return line === undefined ? undefined : Number(line);
}

/** COPY FROM is refused on a table whose policies hold for this role; they are checked by the INSERT then. */
export async function throughTemporaryTable(
  unit: UnitOfWork,
  table: PgTable,
  columns: readonly PgColumn[],
  copy: (target: string) => Promise<number>,
  conflict?: { readonly sql: string; readonly params: readonly unknown[] },
): Promise<number> {
  const list = columnList(columns);
  const name = "pg_temp.pgsteward_copy";
  await unit.query({
    text: `CREATE TEMPORARY TABLE pgsteward_copy ON COMMIT DROP AS SELECT ${list} FROM ${tableText(table)} WITH NO DATA`,
    prepare: false,
  });
  await copy(name);
  const inserted = await unit.query({
    text: `INSERT INTO ${tableText(table)} (${list}) SELECT ${list} FROM ${name}${conflict?.sql ?? ""}`,
    values: conflict?.params ?? [],
    prepare: false,
  });
  await unit.query({ text: `DROP TABLE ${name}`, prepare: false });
  return inserted.rowCount ?? 0;
}

export async function isRowSecurityActive(unit: UnitOfWork, table: PgTable): Promise<boolean> {
  const { rows } = await unit.query<{ active: boolean }>({
    text: "SELECT pg_catalog.row_security_active($1::regclass) AS active",
    values: [tableText(table)],
  });
  return rows[0]?.active ?? false;
}

function copyColumns(table: PgTable, columns: readonly (string | PgColumn)[] | undefined): readonly PgColumn[] {
  const known = getTableColumns(table);
  if (columns === undefined) return Object.values(known).filter((column) => column.generated === undefined);
  const list = columns.map((column) => {
    const found =
      typeof column === "string"
        ? Object.hasOwn(known, column)
          ? known[column]
          : undefined
        : Object.values(known).find(({ name }) => name === column.name);
    if (found === undefined) {
      throw new InvalidInputError(
        `the table ${getTableName(table)} has no column ${typeof column === "string" ? column : column.name}`,
        { hint: `its columns are ${Object.keys(known).join(", ")}` },
      );
    }
    return found;
  });
  if (list.length === 0) throw new InvalidInputError("a COPY needs at least one column");
  return list;
}

function formatText({ format = "text", header, delimiter, null: nullText, quote }: CopyOptions): string {
  if (!["text", "csv", "binary"].includes(format)) {
    throw new InvalidInputError(`a COPY has no format ${JSON.stringify(format)}`, {
      hint: 'use "text", "csv" or "binary"',
    });
  }
  const parts = [`FORMAT ${format}`];
  if (header !== undefined) parts.push(`HEADER ${header ? "true" : "false"}`);
  for (const [name, value] of Object.entries({ DELIMITER: delimiter, NULL: nullText, QUOTE: quote })) {
    if (value !== undefined) parts.push(`${name} ${literal(value)}`);
  }
  return `WITH (${parts.join(", ")})`;
}

function copySource(source: PgTable | SQLWrapper): string {
  if (is(source, PgTable))
    return `(SELECT ${columnList(Object.values(getTableColumns(source)))} FROM ${tableText(source)})`;
  if (typeof (source as Partial<SQLWrapper> | undefined)?.getSQL !== "function") {
    throw new InvalidInputError("copyOut() takes a table, a query or sql");
  }
  const query = is(source, SQL) ? source : source.getSQL();
  return `(${literalDialect.sqlToQuery(sql`${query}`).sql})`;
}

/** COPY takes no parameters, so values are quoted by the driver's own rule, as text of unknown type, like parameters. */
class LiteralDialect extends PgDialect {
  override escapeParam(_position: number, value?: unknown): string {
    const text = driverText(value);
    return text === null ? "NULL" : literal(text ?? "\0");
  }
}
const literalDialect = new LiteralDialect();

function literal(value: string): string {
  if (typeof value !== "string" || value.includes("\0") || !value.isWellFormed())
    throw new InvalidInputError("a COPY was given a value that PostgreSQL cannot read as text");
  return pg.escapeLiteral(value);
}

function refuseOnEmbedded(unit: UnitOfWork, hint: string): void {
  if (unit.database.kind === "pglite") throw new InvalidInputError(NO_COPY, { hint });
}
