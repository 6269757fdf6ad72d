// N statements, one network flush, one Sync: PostgreSQL runs everything up to the Sync as one implicit transaction, so a
// batch is atomic and needs no BEGIN, COMMIT or ROLLBACK. It is a Submittable of the stock `pg` client. The driver's own
// `pipeline: true` sends one Sync per statement, so half of a unit could commit; it also refuses cursors and COPY.
import pg from "pg";
import type { Connection as WireConnection, FieldDef, QueryResult, QueryResultRow } from "pg";
import type { Statement } from "./database.ts";
import { InvalidInputError } from "./errors.ts";
import { receiveRows, RowTexts, type RowReceiver } from "./row-messages.ts";
import { isServerMessage } from "./server-errors.ts";

/** What the driver calls on an object given to `client.query()`. Not part of @types/pg. */
interface DriverResult extends QueryResult {
  addFields(fields: FieldDef[]): void;
  parseRow(texts: readonly (string | null)[]): QueryResultRow;
  addCommandComplete(message: unknown): void;
  /** Made by addFields(), from the fields and the types alone: reused for a prepared statement. */
  _parsers: readonly ((text: string) => unknown)[] | undefined;
  _prebuiltEmptyResultObject: unknown;
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
  close(message: { type: "S"; name: string }): void;
  sync(): void;
  sendCopyFail(message: string): void;
  on(event: string, listener: () => void): void;
  removeListener(event: string, listener: () => void): void;
}

const { prepareValue } = (pg as unknown as { utils: { prepareValue: (value: unknown) => unknown } }).utils;

/** In the middle of a batch the server takes what follows for rows and ends the connection; PGlite ends altogether. */
const COPY_STREAM = /^(?:\s|;|--[^\n]*\n|\/\*[^]*?\*\/)*copy\b[^]*\b(?:from\s+stdin|to\s+stdout)\b/i;

/** Their number travels in two bytes: of more, the server would be told a wrong one. */
const MAX_PARAMETERS = 65_535;

/**
 * A statement ready to be written: its values are serialised, so that a value that cannot be sent (a circular object, a
 * throwing `toPostgres`) fails here, before a byte is written.
 *
 * @throws InvalidInputError naming the parameter, never its value
 */
export class WireStatement {
  readonly statement: Statement;
  readonly name: string | undefined;
  readonly values: unknown[];
  readonly result: DriverResult;
  decodeFailure: { readonly error: unknown } | undefined;
  /** Its result is asked by nobody: it is not described, and its rows are dropped. */
  readonly ignoresRows: boolean;
  #mapRow: ((texts: readonly (string | null)[]) => unknown) | undefined;

  constructor(statement: Statement, name: string | undefined = statement.name, { ignoresRows = false } = {}) {
    if (COPY_STREAM.test(statement.text)) {
      throw new InvalidInputError("COPY from or to the client needs a stream, which a statement has not", {
        hint: "use the unit's copy methods, or pg-copy-streams on a connection's client",
      });
    }
    this.statement = statement;
    this.name = name;
    this.ignoresRows = ignoresRows;
    const { values = [] } = statement;
    if (values.length > MAX_PARAMETERS) {
      throw new InvalidInputError(`a statement takes ${MAX_PARAMETERS} parameters at most, not ${values.length}`, {
        hint: "pass a list as one array (= ANY ($1)), insert rows with tx.bulkInsert(), or split the statement",
      });
    }
    this.values = values.map(sendableValue);
    const Result = pg.Result as unknown as new (rowMode: string | undefined, types: unknown) => DriverResult;
    this.result = new Result(statement.rowMode, statement.types ?? pg.types);
  }

  /** The columns of the result are known. */
  fieldsAreKnown(): void {
    this.#mapRow = this.statement.rowMapper?.(this.result._parsers ?? []);
  }

  get wantsRows(): boolean {
    return !this.ignoresRows && this.decodeFailure === undefined;
  }

  addRow(texts: readonly (string | null)[]): void {
    try {
      this.result.rows.push(this.#mapRow === undefined ? this.result.parseRow(texts) : this.#mapRow(texts));
    } catch (error) {
      this.decodeFailure = { error };
    }
  }
}

function sendableValue(value: unknown, position: number): unknown {
  if (typeof value === "string") return value;
  try {
    return prepareValue(value);
  } catch (cause) {
    throw new InvalidInputError(`parameter $${position + 1} cannot be sent`, {
      cause,
      hint: "pass text, numbers, dates, buffers, arrays or objects that JSON can hold",
    });
  }
}

/** The columns of a prepared statement's result, with the parsers that were chosen for them last. */
interface KnownFields {
  readonly fields: FieldDef[];
  types: Statement["types"];
  parsers: DriverResult["_parsers"];
  emptyRow: unknown;
}

/**
 * Fields of prepared statements by connection, so that Describe is sent once per statement (with it gone a unit costs about
 * 5 % less CPU). A statement whose result changed is refused by the server with 0A000 before it could be misread.
 */
const knownFields = new WeakMap<Wire, Map<string, KnownFields>>();

function fieldsOf(wire: Wire): Map<string, KnownFields> {
  let fields = knownFields.get(wire);
  if (fields === undefined) {
    fields = new Map();
    knownFields.set(wire, fields);
  }
  return fields;
}

/**
 * Names by connection whose Parse stood behind a statement that failed. The server passed it over; PgBouncer (1.21 and later, with
 * max_prepared_statements) has noted it all the same, and ends the connection when the name is parsed again.
 */
const unansweredNames = new WeakMap<Wire, Set<string>>();

/** As `addFields()` does it, but the parsers are looked up only when the types are others than last time. */
function addKnownFields(item: WireStatement, known: KnownFields): void {
  const { result, statement } = item;
  const { types } = statement;
  if (known.fields.length === 0) return;
  if (known.parsers === undefined || known.types !== types) {
    result.addFields(known.fields);
    known.types = types;
    known.parsers = result._parsers;
    known.emptyRow = result._prebuiltEmptyResultObject;
  } else {
    result.fields = known.fields;
    result._parsers = known.parsers;
    result._prebuiltEmptyResultObject = known.emptyRow;
  }
  item.fieldsAreKnown();
}

/** For a session whose prepared statements were deallocated behind the driver's back. */
export function forgetPreparedStatements(client: unknown): void {
  const { connection: wire } = client as { connection: Wire };
  for (const name of Object.keys(wire.parsedStatements)) Reflect.deleteProperty(wire.parsedStatements, name);
  knownFields.delete(wire);
}

/** How a batch ended. */
export type BatchOutcome =
  | { readonly kind: "done"; readonly results: QueryResult[] }
  /**
   * The server refused statement `index`; `results` are those of the statements before it. Outside a transaction nothing was
   * kept. `wasPrepared`: it had been parsed by an earlier batch.
   */
  | {
      readonly kind: "failed";
      readonly index: number;
      readonly error: Error;
      readonly results: QueryResult[];
      readonly wasPrepared: boolean;
    }
  /** The server carried out everything, but a type parser threw on a row of statement `index`: outside a transaction it is committed. */
  | { readonly kind: "undecodable"; readonly index: number; readonly error: unknown; readonly results: QueryResult[] }
  /** The connection ended. `wasSent`: the Sync was written, so the outcome of an implicit transaction is unknown. */
  | { readonly kind: "lost"; readonly wasSent: boolean; readonly error: Error };

export class Batch implements RowReceiver {
  readonly outcome: Promise<BatchOutcome>;
  /** The driver reads this; results travel through `outcome`. */
  readonly callback = (): void => {};
  readonly #items: readonly WireStatement[];
  #settle!: (outcome: BatchOutcome) => void;
  #index = 0;
  #wire: Wire | undefined;
  #serverError: Error | undefined;
  readonly #parsed: WireStatement[] = [];
  #parsedCount = 0;
  readonly #texts = new RowTexts();

  constructor(statements: readonly (Statement | WireStatement)[]) {
    this.#items = statements.map((statement) =>
      statement instanceof WireStatement ? statement : new WireStatement(statement),
    );
    this.outcome = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  submit(connection: WireConnection): Error | null {
    const wire = connection as unknown as Wire;
    const known = new Map<string, string>();
    for (const {
      name,
      statement: { text },
    } of this.#items) {
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
          if (item.name !== undefined && unansweredNames.get(wire)?.delete(item.name) === true)
            wire.close({ type: "S", name: item.name }); // of a name that is not there, this is no error
          wire.parse({ text: item.statement.text, name: item.name });
          this.#parsed.push(item);
          if (item.name !== undefined) seen.add(item.name);
        }
        wire.bind({ statement: item.name, values: item.values });
        if (!item.ignoresRows) {
          const fields = isKnown && item.name !== undefined ? fieldsOf(wire).get(item.name) : undefined;
          if (fields === undefined) wire.describe({ type: "P", name: "" });
          else addKnownFields(item, fields);
        }
        wire.execute({ portal: "", rows: 0 });
      }
      wire.sync();
    } finally {
      wire.stream.uncork?.();
    }
    wire.on("parseComplete", this.#onParseComplete);
    receiveRows(wire, this);
    return null;
  }

  // A Parse survives a later error of the same batch (prepared statements are not transactional), and the driver does not
  // hand this message to a Submittable: without this note the next use of the name would fail with 42P05.
  readonly #onParseComplete = (): void => {
    const item = this.#parsed[this.#parsedCount++];
    if (item?.name !== undefined && this.#wire !== undefined)
      this.#wire.parsedStatements[item.name] = item.statement.text;
  };

  handleRowDescription(message: { fields: FieldDef[] }): void {
    const item = this.#items[this.#index];
    item?.result.addFields(message.fields);
    item?.fieldsAreKnown();
    if (item?.name !== undefined && this.#wire !== undefined)
      fieldsOf(this.#wire).set(item.name, {
        fields: message.fields,
        types: undefined,
        parsers: undefined,
        emptyRow: undefined,
      });
  }

  receiveRow(bytes: Buffer, start: number): void {
    const item = this.#items[this.#index];
    if (item?.wantsRows === true) item.addRow(this.#texts.read(bytes, start));
  }

  /** The embedded database's rows: they come as messages. */
  handleDataRow(message: { fields: readonly (string | null)[] }): void {
    const item = this.#items[this.#index];
    if (item?.wantsRows === true) item.addRow(message.fields);
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
    // The server ignores a Sync while it waits for rows, so the batch's own is lost when COPY was its last statement. When it
    // was not, the server has seen another message than rows and reports that itself.
    if (this.#index < this.#items.length - 1) return;
    const wire = connection as unknown as Wire;
    wire.sendCopyFail("COPY cannot run inside a batch");
    wire.sync();
  }

  handleCopyData(): void {}

  handleError(error: Error): void {
    if (this.#wire === undefined || !isServerMessage(error)) {
      const wasSent = this.#wire !== undefined;
      this.#finish(
        error instanceof InvalidInputError
          ? { kind: "failed", index: 0, error, results: [], wasPrepared: false }
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
    const name = this.#items[this.#index]?.name;
    this.#noteUnanswered();
    this.#finish({
      kind: "failed",
      index: this.#index,
      error: this.#serverError ?? new Error("unknown server error"),
      results: this.#items.slice(0, this.#index).map((item) => item.result),
      wasPrepared: name !== undefined && !this.#parsed.some((item) => item.name === name),
    });
  };

  #noteUnanswered(): void {
    if (this.#wire === undefined) return;
    const names = unansweredNames.get(this.#wire) ?? new Set();
    for (const item of this.#parsed.slice(this.#parsedCount)) if (item.name !== undefined) names.add(item.name);
    unansweredNames.set(this.#wire, names);
  }

  // FATAL errors (57P01 and alike) are followed by the end of the connection, not by ReadyForQuery. The transaction is gone,
  // unless the error came after the commit, between its completion and ReadyForQuery (seen at a fast shutdown).
  readonly #onEndAfterError = (): void => {
    const commitAt = this.#items.findIndex(({ statement }) => /^\s*(?:commit|end)\b/i.test(statement.text));
    const isUndone = commitAt === -1 ? this.#index < this.#items.length : this.#index <= commitAt;
    this.#finish({ kind: "lost", wasSent: !isUndone, error: this.#serverError ?? new Error("connection ended") });
  };

  handleReadyForQuery(): void {
    const results = this.#items.map((item) => item.result);
    const index = this.#items.findIndex((item) => item.decodeFailure !== undefined);
    this.#finish(
      index === -1
        ? { kind: "done", results }
        : { kind: "undecodable", index, error: this.#items[index]?.decodeFailure?.error, results },
    );
  }

  #finish(outcome: BatchOutcome): void {
    if (this.#wire !== undefined) {
      receiveRows(this.#wire, undefined);
      this.#wire.removeListener("parseComplete", this.#onParseComplete);
      this.#wire.removeListener("readyForQuery", this.#onReadyAfterError);
      this.#wire.removeListener("end", this.#onEndAfterError);
    }
    this.#settle(outcome);
  }
}
