// Drizzle's PostgreSQL dialect: turns `sql` into text and parameters. The texts are Drizzle's, letter by letter; what a program
// asks for all the time is written by a shorter way. Drizzle asks each part of a query in turn whether it is one of twelve
// classes, by walking up its prototypes: half of what a unit of one read cost this process.
import { Column, Name, Param, Placeholder, SQL, StringChunk, Table } from "drizzle-orm";
import { PgColumn, PgDialect, PgTable } from "drizzle-orm/pg-core";
import type { QueryWithTypings } from "drizzle-orm/sql";
import type { RowMapper } from "../postgres/index.ts";
import { rowMapper } from "./row-decoder.ts";

type SelectConfig = Parameters<PgDialect["buildSelectQuery"]>[0];

/** `select … from …` of one table, for certain columns of it. */
interface SelectHead {
  readonly names: readonly string[];
  readonly columns: readonly unknown[];
  readonly text: string;
  readonly mapRow: RowMapper;
  /** The whole text of the last select: an equal one is this string, whose hash is known wherever it is looked up. */
  lastText: string;
}

/** A select as it is sent. */
export interface PlainSelect {
  readonly text: string;
  readonly params: readonly unknown[];
  readonly mapRow: RowMapper;
}

const WHERE = new StringChunk(" where ");
const ORDER_BY = new StringChunk(" order by ");
const LIMIT = new StringChunk(" limit ");
const OFFSET = new StringChunk(" offset ");
const COMMA = new StringChunk(", ");

/** A program that selects other columns of a table each time gains nothing from more. */
const HEADS_PER_TABLE = 32;

class UnitDialect extends PgDialect {
  readonly #heads = new WeakMap<object, SelectHead[]>();
  readonly #names = new WeakMap<object, string>();

  constructor() {
    super();
    // Drizzle's cache of names knows a table by its name: of two tables of one name in a process (a test's, a newer version's),
    // columns that only the second has would have none. Without casing there is nothing to remember.
    Object.assign(this, { casing: { getColumnCasing: (column: Column) => column.name, clearCache: () => undefined } });
  }

  override buildSelectQuery(config: SelectConfig): SQL {
    const head = this.#headOf(config);
    return head === undefined ? super.buildSelectQuery(config) : this.#selectOf(head, config);
  }

  /** undefined for a select that Drizzle writes. */
  plainSelect(config: SelectConfig): PlainSelect | undefined {
    const head = this.#headOf(config);
    if (head === undefined) return undefined;
    const { sql, params } = this.sqlToQuery(this.#selectOf(head, config));
    if (sql !== head.lastText) head.lastText = sql;
    return { text: head.lastText, params, mapRow: head.mapRow };
  }

  #selectOf(head: SelectHead, { where, orderBy, limit, offset }: SelectConfig): SQL {
    const chunks: unknown[] = [new StringChunk(head.text)];
    if (where !== undefined) chunks.push(WHERE, where);
    orderBy?.forEach((order, index) => chunks.push(index === 0 ? ORDER_BY : COMMA, order));
    if (typeof limit === "object" || (typeof limit === "number" && limit >= 0)) chunks.push(LIMIT, limit);
    if (offset !== undefined && offset !== 0) chunks.push(OFFSET, offset);
    return new SQL(chunks as SQL["queryChunks"]);
  }

  override sqlToQuery(query: SQL, invokeSource?: "indexes"): QueryWithTypings {
    const writer = new QueryWriter(this, (named) => this.#nameOf(named));
    return invokeSource === undefined && writer.write(query)
      ? { sql: writer.text, params: writer.params }
      : super.sqlToQuery(query, invokeSource);
  }

  #nameOf(named: Column | Table): string {
    let name = this.#names.get(named);
    if (name === undefined) {
      name = super.sqlToQuery(new SQL([named])).sql;
      this.#names.set(named, name);
    }
    return name;
  }

  /** undefined: Drizzle's own way it is. */
  #headOf(config: SelectConfig): SelectHead | undefined {
    const { table, fields, fieldsFlat, withList, joins, distinct, groupBy, having, lockingClause, setOperators } =
      config;
    if (!(table instanceof PgTable) || fieldsFlat !== undefined || distinct !== undefined || having !== undefined)
      return undefined;
    if (lockingClause !== undefined || setOperators.length > 0) return undefined;
    if ((withList?.length ?? 0) + (joins?.length ?? 0) + (groupBy?.length ?? 0) > 0) return undefined;
    const heads = this.#heads.get(table);
    if (heads === undefined) {
      this.#heads.set(table, []); // an alias may be made for one query only: the second one makes a head
      return undefined;
    }
    const known = heads.find((head) => hasFields(head, fields));
    if (known !== undefined) return known;
    const columns = Object.values(fields);
    if (heads.length === HEADS_PER_TABLE || !columns.every(isColumn)) return undefined;
    const { sql, params } = this.sqlToQuery(super.buildSelectQuery({ table, fields, setOperators: [] }));
    if (params.length > 0) return undefined;
    const names = Object.keys(fields);
    const ordered = columns.map((field, index) => ({ path: names.slice(index, index + 1), field }));
    const head: SelectHead = { names, columns, text: sql, mapRow: rowMapper(ordered, undefined), lastText: sql };
    heads.push(head);
    return head;
  }
}

function isColumn(field: unknown): field is PgColumn {
  return field instanceof PgColumn;
}

function hasFields({ names, columns }: SelectHead, fields: Readonly<Record<string, unknown>>): boolean {
  let index = 0;
  for (const name in fields) {
    if (name !== names[index] || fields[name] !== columns[index]) return false;
    index++;
  }
  return index === names.length;
}

/** Writes the parts that nearly all queries are made of, as SQL.buildQueryFromSourceParams() does. */
class QueryWriter {
  text = "";
  readonly params: unknown[] = [];
  readonly #dialect: PgDialect;
  readonly #nameOf: (named: Column | Table) => string;

  constructor(dialect: PgDialect, nameOf: (named: Column | Table) => string) {
    this.#dialect = dialect;
    this.#nameOf = nameOf;
  }

  /** @returns false: something else is in it, and what was written is of no use */
  write(chunk: unknown): boolean {
    if (chunk === undefined) return true;
    if (chunk === null || typeof chunk !== "object") return typeof chunk !== "function" && this.#writeParam(chunk);
    if (chunk instanceof StringChunk)
      return this.#writeText(chunk.value.length === 1 ? chunk.value[0] : chunk.value.join(""));
    if (chunk instanceof SQL) {
      const { shouldInlineParams } = chunk as unknown as { shouldInlineParams: boolean };
      return !shouldInlineParams && chunk.queryChunks.every((part) => this.write(part));
    }
    if (chunk instanceof Column || chunk instanceof Table) return this.#writeText(this.#nameOf(chunk));
    if (chunk instanceof Param) return this.#writeValueOf(chunk);
    if (chunk instanceof Name) return this.#writeText(this.#dialect.escapeName(chunk.value));
    if (chunk instanceof Placeholder) return this.#writeParam(chunk);
    return Array.isArray(chunk) && this.#writeList(chunk);
  }

  #writeText(text = ""): true {
    this.text += text;
    return true;
  }

  #writeValueOf(param: Param): boolean {
    if (param.value instanceof Placeholder) return this.#writeParam(param);
    const value: unknown = param.value === null ? null : param.encoder.mapToDriverValue(param.value);
    return value instanceof SQL ? this.write(value) : this.#writeParam(value);
  }

  #writeList(parts: readonly unknown[]): boolean {
    this.text += "(";
    for (let index = 0; index < parts.length; index++) {
      if (index > 0) this.text += ", ";
      if (!this.write(parts[index])) return false;
    }
    return this.#writeText(")");
  }

  #writeParam(value: unknown): true {
    this.text += this.#dialect.escapeParam(this.params.length);
    this.params.push(value);
    return true;
  }
}

export const dialect = new UnitDialect();
