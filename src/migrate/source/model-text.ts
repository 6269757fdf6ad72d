// Pieces of models as SQL: names, types, values, expressions, columns and indexes.
import { is, SQL, sql } from "drizzle-orm";
import { CasingCache } from "drizzle-orm/casing";
import {
  IndexedColumn,
  PgColumn,
  PgDialect,
  type Index as ModelIndex,
  type PgSequence,
  type PgTable,
} from "drizzle-orm/pg-core";
import { literal } from "../../catalog/index.ts";
import { identifier, InvalidInputError, MAX_IDENTIFIER_BYTES } from "../../postgres/index.ts";

/** How properties without a name of their own become names of columns, as `drizzle({ casing })` says it. */
export type ModelCasing = "snake_case" | "camelCase";

/** What PostgreSQL makes of a name that is too long: its first 63 bytes. Names that Drizzle makes up can be longer. */
export function cut(name: string): string {
  if (Buffer.byteLength(name, "utf8") <= MAX_IDENTIFIER_BYTES) return name;
  const bytes = Buffer.from(name, "utf8");
  let end = MAX_IDENTIFIER_BYTES;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString("utf8", 0, end);
}

export class ModelText {
  readonly #dialect: PgDialect;
  readonly #casing: CasingCache;

  constructor(casing: ModelCasing | undefined) {
    this.#dialect = new PgDialect(casing === undefined ? {} : { casing });
    this.#casing = new CasingCache(casing);
  }

  columnName(column: PgColumn): string {
    return this.#casing.getColumnCasing(column);
  }

  columnNames(columns: readonly PgColumn[]): string {
    return columns.map((column) => identifier(this.columnName(column))).join(", ");
  }

  /**
   * An expression with its values written into it.
   *
   * @param where - shown when it cannot be written
   * @param plainColumns - columns without their table, as an index wants them
   */
  expression(value: SQL, where: string, plainColumns = false): string {
    try {
      const query = this.#dialect.sqlToQuery(sql`${value}`.inlineParams(), plainColumns ? "indexes" : undefined);
      if (query.params.length === 0) return query.sql.trim();
    } catch (cause) {
      throw new InvalidInputError(
        `${where} cannot be written as SQL: ${cause instanceof Error ? cause.message : String(cause)}`,
        { cause, hint: "write it with sql`…` and plain values" },
      );
    }
    throw new InvalidInputError(`${where} has a placeholder, which DDL cannot have`, {
      hint: "write the value into sql`…` itself",
    });
  }

  type(column: PgColumn, where: string): string {
    const {
      enum: own,
      baseColumn,
      size,
    } = column as unknown as {
      readonly enum?: { readonly enumName: string; readonly schema: string | undefined };
      readonly baseColumn?: unknown;
      readonly size?: unknown;
    };
    if (own !== undefined) return identifier(own.schema ?? "public", own.enumName);
    if (is(baseColumn, PgColumn))
      return `${this.type(baseColumn, where)}[${typeof size === "number" ? String(size) : ""}]`;
    let type: unknown;
    try {
      type = column.getSQLType();
    } catch (cause) {
      throw unsupported(where, cause);
    }
    if (typeof type !== "string" || type.trim() === "") throw unsupported(where, undefined);
    return type;
  }

  /** DEFAULT of a column as SQL; `undefined` without one, or for one that the program gives. */
  default(column: PgColumn, where: string): string | undefined {
    const value: unknown = column.default;
    if (value === undefined) return undefined;
    if (is(value, SQL)) return this.expression(value, `the default of ${where}`);
    if (value === null) return undefined;
    let mapped: unknown;
    try {
      mapped = column.mapToDriverValue(value);
    } catch (cause) {
      throw new InvalidInputError(`the default of ${where} cannot be written as SQL`, { cause });
    }
    if (is(mapped, SQL)) return this.expression(mapped, `the default of ${where}`);
    return valueLiteral(mapped, where);
  }

  generated(column: PgColumn, where: string): string | undefined {
    const as: unknown = column.generated?.as;
    if (as === undefined) return undefined;
    const value: unknown = typeof as === "function" ? (as as () => unknown)() : as;
    if (is(value, SQL)) return this.expression(value, `the expression of ${where}`, true);
    return valueLiteral(value, where);
  }

  /** The columns and expressions of an index with their order and operator classes. */
  indexKeys(config: ModelIndex["config"], where: string): readonly string[] {
    return config.columns.map((key) => {
      // As it stands: `lower(name)`, `(data ->> 'x')`, `name text_pattern_ops DESC` all come as SQL.
      if (is(key, SQL)) return this.expression(key, where, true);
      if (!is(key, IndexedColumn)) throw new InvalidInputError(`${where} has a key that is no column`);
      const { order, nulls, opClass } = key.indexConfig ?? {};
      const name = this.indexedName(config.table, key);
      return [
        identifier(name),
        opClass === undefined ? "" : ` ${opClass}`,
        // Drizzle's own default for both directions is NULLS LAST; other methods than btree know no order.
        order === "desc"
          ? ` DESC NULLS ${nulls === "first" ? "FIRST" : "LAST"}`
          : nulls === "first"
            ? " NULLS FIRST"
            : "",
      ].join("");
    });
  }

  indexedName(table: PgTable, key: { readonly name?: string | undefined }): string {
    const name = key.name ?? "";
    const columns = Object.values(
      (table as unknown as { readonly [COLUMNS]: Readonly<Record<string, PgColumn>> })[COLUMNS],
    );
    const column = columns.find((candidate) => candidate.name === name);
    return column === undefined ? name : this.columnName(column);
  }
}

const COLUMNS = Symbol.for("drizzle:Columns");

function unsupported(where: string, cause: unknown): InvalidInputError {
  return new InvalidInputError(`the column ${where} has a type that cannot be written as SQL`, {
    cause,
    hint: "a customType() must return the type's SQL from dataType()",
  });
}

/** A value that a driver would send, as SQL. */
function valueLiteral(value: unknown, where: string): string {
  if (typeof value === "string") return literal(value);
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean") return String(value);
  if (value instanceof Date) return literal(value.toISOString());
  if (value instanceof Uint8Array) return literal(`\\x${Buffer.from(value).toString("hex")}`);
  if (typeof value === "object" && value !== null) return literal(JSON.stringify(value));
  throw new InvalidInputError(`the default of ${where} is a ${typeof value}, which has no SQL`, {
    hint: "give a value, or sql`…`",
  });
}

type SequenceOptions = PgSequence["seqOptions"];

/** `{ startWith: 10 }` → ` START WITH 10`. */
export function sequenceOptions(options: SequenceOptions): string {
  const { increment, minValue, maxValue, startWith, cache, cycle } = options ?? {};
  const clause = (word: string, value: number | string | undefined): string =>
    value === undefined ? "" : ` ${word} ${String(value)}`;
  return [
    clause("INCREMENT BY", increment),
    clause("MINVALUE", minValue),
    clause("MAXVALUE", maxValue),
    clause("START WITH", startWith),
    clause("CACHE", cache),
    cycle === true ? " CYCLE" : "",
  ].join("");
}
