// N statements, one network flush, one Sync: PostgreSQL runs everything up to the Sync as one implicit transaction, so a
// batch is atomic and needs no BEGIN, COMMIT or ROLLBACK. It is a Submittable of the stock `pg` client. The driver's own
// `pipeline: true` sends one Sync per statement, so half of a unit could commit; it also refuses cursors and COPY.
import pg from "pg";
import type { Connection as WireConnection, FieldDef, QueryResult, QueryResultRow } from "pg";
import type { Statement } from "./database.ts";
import { InvalidInputError } from "./errors.ts";

/** What the driver calls on an object given to `client.query()`. Not part of @types/pg. */
interface DriverResult extends QueryResult {
  addFields(fields: FieldDef[]): void;
  parseRow(fields: unknown[]): QueryResultRow;
  addRow(row: QueryResultRow): void;
  addCommandComplete(message: unknown): void;
}
interface WireStream {
  cork?(): void;
  uncork?(): void;
}
interface Wire {
  readonly stream: WireStream;
  readonly parsedStatements: Record<string, string>;
  parse(query: { text: string; name: string | undefined }): void;
  bind(config: { statement: string | undefined; values: unknown[] }): void;
  describe(message: { type: "P"; name: string }): void;
  execute(config: { portal: string; rows: number }): void;
  sync(): void;
  sendCopyFail(message: string): void;
  on(event: string, listener: () => void): void;
  removeListener(event: string, listener: () => void): void;
}

const { prepareValue } = (pg as unknown as { utils: { prepareValue: (value: unknown) => unknown } }).utils;

interface BatchItem {
  readonly text: string;
  readonly name: string | undefined;
  readonly values: unknown[];
  readonly result: DriverResult;
  isParsedHere: boolean;
}

/** How a batch ended. `failed`: the server refused statement `index` and nothing of the batch was kept. */
export type BatchOutcome =
  | { readonly kind: "done"; readonly results: QueryResult[] }
  | { readonly kind: "failed"; readonly index: number; readonly error: Error }
  /** The server finished, but a type parser threw while statement `index` was read: outside a transaction it is committed. */
  | { readonly kind: "undecodable"; readonly index: number; readonly error: unknown }
  /** The connection ended. `wasSent`: the Sync was written, so the outcome of an implicit transaction is unknown. */
  | { readonly kind: "lost"; readonly wasSent: boolean; readonly error: Error };

/**
 * Serialises all values first, so a value that cannot be sent (a circular object, a throwing `toPostgres`) throws before
 * a byte is written.
 *
 * @throws InvalidInputError naming the statement and the parameter, never its value
 */
export class Batch {
  readonly outcome: Promise<BatchOutcome>;
  /** The driver reads this; results travel through `outcome`. */
  readonly callback = (): void => {};
  readonly #items: BatchItem[];
  #settle!: (outcome: BatchOutcome) => void;
  #index = 0;
  #decodeFailure: { index: number; error: unknown } | undefined;
  #wire: Wire | undefined;
  #serverError: Error | undefined;
  #parsed: BatchItem[] = [];

  constructor(statements: readonly Statement[]) {
    this.#items = statements.map(toItem);
    this.outcome = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  submit(connection: WireConnection): Error | null {
    const wire = connection as unknown as Wire;
    const known = new Map<string, string>();
    for (const { name, text } of this.#items) {
      if (name === undefined) continue;
      const old = known.get(name) ?? wire.parsedStatements[name];
      if (old !== undefined && old !== text) {
        return new InvalidInputError(`the prepared statement ${name} already stands for another text`);
      }
      known.set(name, text);
    }
    this.#wire = wire;
    const seen = new Set<string>();
    wire.stream.cork?.(); // PGlite's stream has no cork
    try {
      for (const item of this.#items) {
        const isKnown =
          item.name !== undefined && (wire.parsedStatements[item.name] !== undefined || seen.has(item.name));
        if (!isKnown) {
          wire.parse({ text: item.text, name: item.name });
          item.isParsedHere = true;
          if (item.name !== undefined) seen.add(item.name);
        }
        wire.bind({ statement: item.name, values: item.values });
        wire.describe({ type: "P", name: "" });
        wire.execute({ portal: "", rows: 0 });
      }
      wire.sync();
    } finally {
      wire.stream.uncork?.();
    }
    this.#parsed = this.#items.filter((item) => item.isParsedHere);
    wire.on("parseComplete", this.#onParseComplete);
    return null;
  }

  // A Parse survives a later error of the same batch (prepared statements are not transactional), and the driver does not
  // hand this message to a Submittable: without this note the next use of the name would fail with 42P05.
  readonly #onParseComplete = (): void => {
    const item = this.#parsed.shift();
    if (item?.name !== undefined && this.#wire !== undefined) this.#wire.parsedStatements[item.name] = item.text;
  };

  handleRowDescription(message: { fields: FieldDef[] }): void {
    this.#items[this.#index]?.result.addFields(message.fields);
  }

  handleDataRow(message: { fields: unknown[] }): void {
    if (this.#decodeFailure !== undefined) return;
    const item = this.#items[this.#index];
    if (item === undefined) return;
    try {
      item.result.addRow(item.result.parseRow(message.fields));
    } catch (error) {
      this.#decodeFailure = { index: this.#index, error };
    }
  }

  handleCommandComplete(message: unknown): void {
    this.#items[this.#index]?.result.addCommandComplete(message);
    this.#index++;
  }

  handleEmptyQuery(): void {
    this.#index++;
  }

  handlePortalSuspended(): void {}

  handleCopyInResponse(connection: WireConnection): void {
    (connection as unknown as Wire).sendCopyFail("COPY cannot run inside a batch");
  }

  handleCopyData(): void {}

  handleError(error: Error): void {
    if (this.#wire === undefined || !(error instanceof pg.DatabaseError)) {
      const wasSent = this.#wire !== undefined;
      this.#finish(
        error instanceof InvalidInputError
          ? { kind: "failed", index: 0, error }
          : { kind: "lost", wasSent, error: this.#serverError ?? error },
      );
      return;
    }
    // The driver reports at ErrorResponse, before ReadyForQuery: the transaction status is still the old one and the
    // connection cannot be used. The outcome is given when ReadyForQuery, or the end of the socket, was seen.
    this.#serverError = error;
    this.#wire.on("readyForQuery", this.#onReadyAfterError);
    this.#wire.on("end", this.#onEndAfterError);
  }

  readonly #onReadyAfterError = (): void => {
    this.#finish({ kind: "failed", index: this.#index, error: this.#serverError ?? new Error("unknown server error") });
  };

  // FATAL errors (57P01 and alike) are followed by the end of the connection, not by ReadyForQuery: the transaction is gone.
  readonly #onEndAfterError = (): void => {
    this.#finish({ kind: "lost", wasSent: false, error: this.#serverError ?? new Error("connection ended") });
  };

  handleReadyForQuery(): void {
    this.#finish(
      this.#decodeFailure === undefined
        ? { kind: "done", results: this.#items.map((item) => item.result) }
        : { kind: "undecodable", ...this.#decodeFailure },
    );
  }

  #finish(outcome: BatchOutcome): void {
    this.#wire?.removeListener("parseComplete", this.#onParseComplete);
    this.#wire?.removeListener("readyForQuery", this.#onReadyAfterError);
    this.#wire?.removeListener("end", this.#onEndAfterError);
    this.#settle(outcome);
  }
}

function toItem(statement: Statement, index: number): BatchItem {
  const values = (statement.values ?? []).map((value, position) => {
    try {
      return prepareValue(value);
    } catch (cause) {
      throw new InvalidInputError(`parameter $${position + 1} of statement ${index + 1} cannot be sent`, {
        cause,
        hint: "pass text, numbers, dates, buffers, arrays or objects that JSON can hold",
      });
    }
  });
  const Result = pg.Result as unknown as new (rowMode: string | undefined, types: unknown) => DriverResult;
  return {
    text: statement.text,
    name: statement.name,
    values,
    result: new Result(statement.rowMode, statement.types ?? pg.types),
    isParsedHere: false,
  };
}
