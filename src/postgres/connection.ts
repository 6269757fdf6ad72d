// A connection taken from the pool: statements, scripts, cancellation, and the rule that only a clean one goes back.
import type { EventEmitter } from "node:events";
import type { PoolClient, Submittable } from "pg";
import { Batch, forgetPreparedStatements, type BatchOutcome, type WireStatement } from "./batch.ts";
import type { Connection, Database, QueryOptions, QueryResult, Row, Statement, TransactionStatus } from "./database.ts";
import {
  CancelledError,
  DatabaseClosedError,
  DecodeFailedError,
  InvalidInputError,
  ReadOnlyError,
  type StewardError,
} from "./errors.ts";
import type { PooledClient } from "./pooled-clients.ts";
import { toStewardError } from "./server-errors.ts";

const SET_STATEMENT_TIMEOUT_SQL = "SELECT pg_catalog.set_config('statement_timeout', $1, true)";
/** After a cancel request (or the client-side limit of a script) went out, the server has this long before the socket is cut. */
const CANCEL_GRACE_MS = 1_000;

export interface ConnectionEnvironment {
  readonly database: Database;
  /** False for PGlite: it enforces no `statement_timeout` and has no second connection to send a cancel request on. */
  readonly canCancel: boolean;
  readonly defaultTimeoutMs: number;
  sendCancelRequest(client: PoolClient): Promise<void>;
  /** Called when the server refuses a write as a replica does. */
  doubtServer(): void;
}

/** A batch that the server did not carry out; `outcome` says what is known about it. */
export interface BatchFailure {
  readonly error: StewardError;
  readonly outcome: Exclude<BatchOutcome, { kind: "done" }>;
}

export class LeasedConnection implements Connection {
  readonly client: PoolClient;
  readonly #pooled: PooledClient;
  /** `server_version_num`, e.g. 180004. */
  serverVersion: number;
  readonly #environment: ConnectionEnvironment;
  readonly #giveBack: (reason?: Error) => void;
  #isReleased = false;
  #wasSyncSent = false;
  #running: Batch | undefined;
  #cancelling: Promise<void> | undefined;

  /** @param giveBack - called once, with the reason when the client is of no use any more */
  constructor(
    pooled: PooledClient,
    serverVersion: number,
    giveBack: (reason?: Error) => void,
    environment: ConnectionEnvironment,
  ) {
    this.#pooled = pooled;
    this.client = pooled.client;
    this.serverVersion = serverVersion;
    this.#giveBack = giveBack;
    this.#environment = environment;
  }

  get database(): Database {
    return this.#environment.database;
  }

  /** The connection was lost after a batch's Sync was written: its outcome is unknown. */
  get wasSyncSent(): boolean {
    return this.#wasSyncSent;
  }

  get transactionStatus(): TransactionStatus {
    const status = (this.client as unknown as { getTransactionStatus(): string | null }).getTransactionStatus();
    if (status === "T") return "open";
    return status === "E" ? "failed" : "idle";
  }

  async query<R extends Row = Row>(
    text: string,
    values: readonly unknown[] = [],
    options: QueryOptions = {},
  ): Promise<QueryResult<R>> {
    const [result] = await this.batch([{ text, values }], options);
    return result as QueryResult<R>;
  }

  async batch(statements: readonly Statement[], options: QueryOptions = {}): Promise<QueryResult[]> {
    if (statements.length === 0) return [];
    // Inside an explicit transaction the unit's own limits hold, unless the call names one.
    const timeoutMs =
      options.timeoutMs ?? (this.transactionStatus === "idle" ? this.#environment.defaultTimeoutMs : undefined);
    const preludeLength = timeoutMs === undefined ? 0 : 1;
    const prelude: Statement[] =
      timeoutMs === undefined ? [] : [{ text: SET_STATEMENT_TIMEOUT_SQL, values: [String(timeoutMs)] }];
    const sent = await this.tryBatch([...prelude, ...statements], options.signal, preludeLength);
    if ("error" in sent) throw sent.error;
    return sent.results.slice(preludeLength);
  }

  /**
   * Sends a batch and tells how it ended instead of throwing; for callers that decide by the outcome.
   *
   * @param preludeLength - leading statements that are not the caller's, left out of `statementIndex`
   */
  async tryBatch(
    statements: readonly (Statement | WireStatement)[],
    signal: AbortSignal | undefined,
    preludeLength = 0,
  ): Promise<{ readonly results: QueryResult[] } | BatchFailure> {
    this.#checkUsable();
    if (signal?.aborted === true)
      throw new CancelledError("cancelled before anything was sent", { cause: signal.reason });
    const batch = new Batch(statements);
    const watch = signal === undefined ? undefined : this.#watchSignal(signal);
    this.client.query(batch as unknown as Submittable);
    this.#running = batch;
    const outcome = await batch.outcome;
    this.#running = undefined;
    if (watch !== undefined) await watch.stop();
    // A cancel request names the backend, not the statement: it must be through before anything else runs.
    if (this.#cancelling !== undefined) await this.#cancelling;
    if (outcome.kind === "done") return { results: outcome.results };
    return { outcome, error: this.#errorOf(outcome, watch?.isAborted() === true, preludeLength) };
  }

  async exec(script: string, options: QueryOptions = {}): Promise<void> {
    this.#checkUsable();
    if (this.database.kind === "pglite") refuseCopyInScript(script);
    if (options.signal?.aborted === true)
      throw new CancelledError("cancelled before anything was sent", { cause: options.signal.reason });
    const watch = this.#watchSignal(options.signal, options.timeoutMs ?? this.#environment.defaultTimeoutMs);
    try {
      await this.client.query(script);
    } catch (error) {
      await this.#answered();
      throw this.#noted(toStewardError(error, { isCancelledByCaller: watch.isAborted() }));
    } finally {
      await watch.stop();
    }
  }

  /**
   * The driver rejects at ErrorResponse. Until ReadyForQuery, which may come in another segment, the transaction status is that of
   * the statement before: a script that failed behind its BEGIN would go back to the pool as idle.
   */
  #answered(): Promise<void> {
    const client = this.client as unknown as { readonly readyForQuery: boolean; readonly _ended: boolean };
    if (client.readyForQuery || client._ended) return Promise.resolve();
    const { connection: wire } = this.client as unknown as { connection: EventEmitter };
    return new Promise((resolve) => {
      const onAnswer = (): void => {
        wire.removeListener("readyForQuery", onAnswer);
        wire.removeListener("end", onAnswer);
        resolve();
      };
      wire.on("readyForQuery", onAnswer);
      wire.on("end", onAnswer);
    });
  }

  /** Stops the statement that runs, if any: a cancel request first, then the end of the socket when the server does not obey. */
  interrupt(error: Error): void {
    const running = this.#running;
    if (running === undefined || !this.#environment.canCancel) return;
    const timer = afterGrace(() => {
      if (this.#running === running) this.#destroySocket(error);
    });
    this.#cancelling = this.cancel().catch(() => undefined);
    void running.outcome.then(() => clearTimeout(timer));
  }

  async cancel(): Promise<void> {
    if (!this.#environment.canCancel)
      throw new InvalidInputError("the embedded database cannot cancel a statement", {
        hint: "use a server where statements have to be stopped",
      });
    try {
      await this.#environment.sendCancelRequest(this.client);
    } catch (error) {
      throw toStewardError(error);
    }
  }

  release(error?: Error): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    const isClean = this.transactionStatus === "idle";
    if (this.#environment.canCancel) {
      this.#giveBack(error ?? this.#pooled.loss ?? (isClean ? undefined : new Error("released inside a transaction")));
      return;
    }
    if (isClean && error === undefined) {
      this.#giveBack();
      return;
    }
    // PGlite has one session that outlives the driver's client: closing the client would leave its transaction open and its
    // statements prepared, and the end of the old client would be taken for that of the next one.
    forgetPreparedStatements(this.client);
    this.client.query("ROLLBACK; DEALLOCATE ALL").then(
      () => this.#giveBack(),
      (reason: Error) => this.#giveBack(reason),
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.release();
    return Promise.resolve();
  }

  #checkUsable(): void {
    if (this.#isReleased) {
      throw new DatabaseClosedError("this connection was given back to the pool already", {
        hint: "keep the connection until the last statement is done, or take a new one with connect()",
      });
    }
    if (this.#pooled.loss !== undefined) throw toStewardError(this.#pooled.loss);
  }

  #errorOf(
    outcome: Exclude<BatchOutcome, { kind: "done" }>,
    isCancelledByCaller: boolean,
    preludeLength: number,
  ): StewardError {
    switch (outcome.kind) {
      case "failed":
        return this.#noted(
          toStewardError(outcome.error, {
            isCancelledByCaller,
            statementIndex: Math.max(0, outcome.index - preludeLength),
          }),
        );
      case "undecodable":
        return new DecodeFailedError(
          `a type parser failed on a row of statement ${outcome.index - preludeLength + 1}; the statement itself was carried out`,
          {
            cause: outcome.error,
            hint: "mend the type parser; do not repeat the statement",
          },
        );
      case "lost": {
        this.#pooled.loss ??= outcome.error;
        this.#wasSyncSent = outcome.wasSent;
        return toStewardError(outcome.error, { isCancelledByCaller });
      }
    }
  }

  /** Behind a proxy a connection stays while the server behind it becomes a replica. */
  #noted(error: StewardError): StewardError {
    if (error instanceof ReadOnlyError) this.#environment.doubtServer();
    return error;
  }

  /** Sends a cancel request when the signal fires or the limit passes; cuts the socket when the server does not obey. */
  #watchSignal(signal: AbortSignal | undefined, limitMs?: number): { isAborted(): boolean; stop(): Promise<void> } {
    if (!this.#environment.canCancel || (signal === undefined && limitMs === undefined)) {
      return { isAborted: () => signal?.aborted === true, stop: () => Promise.resolve() };
    }
    let cancelling: Promise<void> | undefined;
    let isStopped = false;
    let graceTimer: NodeJS.Timeout | undefined;
    const cancel = (): void => {
      if (cancelling !== undefined || isStopped) return;
      graceTimer = afterGrace(() => {
        if (!isStopped) this.#destroySocket(new Error("the server did not stop the statement in time"));
      });
      // A refused cancel request leaves the socket's end to the grace timer.
      cancelling = this.cancel().catch(() => undefined);
    };
    const limit = limitMs === undefined || limitMs === 0 ? undefined : setTimeout(cancel, limitMs);
    signal?.addEventListener("abort", cancel, { once: true });
    return {
      isAborted: () => signal?.aborted === true,
      stop: async () => {
        isStopped = true;
        clearTimeout(limit);
        clearTimeout(graceTimer);
        signal?.removeEventListener("abort", cancel);
        await cancelling;
      },
    };
  }

  #destroySocket(error: Error): void {
    this.#pooled.loss ??= error;
    (this.client as unknown as { connection: { stream: { destroy(error: Error): void } } }).connection.stream.destroy(
      error,
    );
  }
}

/**
 * Where the process itself stood still for so long, the timer is looked at before the sockets: an answer that has been there for
 * a while is read first.
 */
function afterGrace(work: () => void): NodeJS.Timeout {
  return setTimeout(() => setImmediate(work), CANCEL_GRACE_MS);
}

/** Quoted text, dollar-quoted text and comments, in which a word means nothing. */
const SKIPPED = /[eE]'(?:[^'\\]|\\[^]|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[^]*?\*\/|\$(\w*)\$[^]*?\$\1\$/g;

/** The embedded database has no stream that could carry the rows: the whole instance would end. */
function refuseCopyInScript(script: string): void {
  if (!/\bcopy\b/i.test(script)) return;
  if (/(?:^|;)\s*copy\b[^;]*\b(?:from\s+stdin|to\s+stdout)\b/i.test(script.replace(SKIPPED, " "))) {
    throw new InvalidInputError("COPY from or to the client is not possible on the embedded database", {
      hint: "use INSERT, or tx.bulkInsert() in a unit of work",
    });
  }
}
