// Samples of statement parameters for the recorder: off unless asked for, few, short, and never for what is marked.
import { getTableName, is } from "drizzle-orm";
import { PgTable } from "drizzle-orm/pg-core";
import type { StatementShape } from "./statement-shape.ts";

export interface ParameterSampling {
  /** Samples kept for each statement, the newest ones. Default 5. */
  readonly perStatement?: number;
  /** Longer values are cut, in characters. Default 100. */
  readonly maxLength?: number;
  /** Statements on these tables are never sampled. Names count in every schema. */
  readonly excludeTables?: readonly (PgTable | string)[];
  /** Statements that mention a column of one of these names, or write columns without naming them, are never sampled. */
  readonly excludeColumns?: readonly string[];
  /** Sees each value first; what it returns is kept instead. `position` counts from 1. */
  readonly redact?: (value: unknown, place: { readonly text: string; readonly position: number }) => unknown;
}

export class ParameterSampler {
  readonly #perStatement: number;
  readonly #maxLength: number;
  readonly #tables: ReadonlySet<string>;
  readonly #columns: ReadonlySet<string>;
  readonly #redact: ParameterSampling["redact"];

  constructor(options: ParameterSampling) {
    this.#perStatement = options.perStatement ?? 5;
    this.#maxLength = options.maxLength ?? 100;
    this.#tables = new Set(
      (options.excludeTables ?? []).map((table) => lastPart(is(table, PgTable) ? getTableName(table) : table)),
    );
    this.#columns = new Set(options.excludeColumns);
    this.#redact = options.redact;
  }

  /** Without knowing a statement's tables nothing of it is kept. */
  allows(shape: StatementShape): boolean {
    if (!shape.isParsed || shape.tables.some((table) => this.#tables.has(lastPart(table)))) return false;
    if (this.#columns.size === 0) return true;
    return !shape.writesUnnamedColumns && ![...this.#columns].some((column) => shape.columns.has(column));
  }

  add(samples: string[][], shape: StatementShape, values: readonly unknown[]): void {
    samples.push(
      values.map((value, index) => {
        const shown =
          this.#redact === undefined ? value : this.#redact(value, { text: shape.text, position: index + 1 });
        return printed(shown).slice(0, this.#maxLength);
      }),
    );
    if (samples.length > this.#perStatement) samples.shift();
  }
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf(".") + 1);
}

function printed(value: unknown): string {
  if (value === null || value === undefined) return "NULL";
  if (typeof value === "string") return value;
  if (value instanceof Date) return value.toISOString();
  if (ArrayBuffer.isView(value)) return `<${value.byteLength} bytes>`; // may be key material or a ciphertext
  try {
    return (
      JSON.stringify(value, (_, part: unknown) => (typeof part === "bigint" ? String(part) : part)) ?? typeof value
    );
  } catch {
    return `<${typeof value}>`;
  }
}
