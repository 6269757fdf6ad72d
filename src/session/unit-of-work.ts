// One unit of work: statements collected per tick and sent in one flush, savepoints that ride along, a COMMIT that is
// checked, a connection that is held from the first statement to the end and not longer.
import { AsyncLocalStorage } from "node:async_hooks";
import {
  CancelledError,
  CommitOutcomeUnknownError,
  ConnectionLostError,
  InvalidInputError,
  leaseForUnit,
  preparedStatementName,
  runInUnit,
  SilentRollbackError,
  SQLSTATE,
  toStewardError,
  UnitClosedError,
  UnitFailedError,
  UnitTooLongError,
  WireStatement,
  type BatchFailure,
  type CallSite,
  type Database,
  type DatabaseError,
  type GuardState,
  type LeasedConnection,
  type OpenUnit,
  type QueryOptions,
  type QueryResult,
  type Row,
  type Statement,
  type StewardError,
} from "../postgres/index.ts";
import { contextStatement, type SessionContext, type SessionLimits } from "./context.ts";

export type IsolationLevel = "read committed" | "repeatable read" | "serializable";

export interface UnitSettings {
  readonly database: Database;
  readonly context: SessionContext;
  readonly role: string | undefined;
  readonly limits: SessionLimits;
  readonly isolation: IsolationLevel | undefined;
  readonly isReadOnly: boolean;
  readonly isDeferrable: boolean;
  readonly name: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly guard: GuardState | undefined;
  readonly openedAt: CallSite;
  readonly onWarning: (warning: UnitWarning) => void;
  readonly observers: readonly UnitObserver[];
}

/** A unit that is open for long, or waits for its caller between two statements. */
export interface UnitWarning {
  readonly kind: "unit open for long" | "gap between statements";
  readonly name: string | undefined;
  readonly openedAt: string;
  readonly afterMs: number;
}

/** One flush of a unit, for recorders. Values are not among it. */
export interface FlushRecord {
  readonly unit: { readonly name: string | undefined; readonly openedAt: string; readonly context: SessionContext };
  readonly statements: readonly { readonly statement: Statement; readonly rowCount: number | null }[];
  /** From writing to the last answer, in milliseconds; shared by all statements of the flush. */
  readonly tookMs: number;
  /** Wait for a connection of the pool; 0 but for a unit's first flush. */
  readonly waitedMs: number;
  readonly error: StewardError | undefined;
}

export interface UnitObserver {
  flushed?(record: FlushRecord): void;
  ended?(unit: {
    readonly name: string | undefined;
    readonly openedAt: string;
    readonly outcome: "committed" | "rolled back" | "unknown";
    readonly tookMs: number;
  }): void;
}

/** Something that keeps a unit's connection while its caller reads or writes at its own pace. */
export interface ConnectionHold {
  /** e.g. `a COPY`. */
  readonly what: string;
  isOver(): boolean;
  /** The unit ends: let go. */
  stop(): void;
}

interface QueuedStatement {
  readonly wire: WireStatement;
  resolve(result: QueryResult): void;
  reject(error: Error): void;
}

interface Frame {
  /** Nested units of one parent run one after the other: savepoints are a stack. */
  tail: Promise<unknown>;
}

const frames = new AsyncLocalStorage<Frame>();

type State = "declaring" | "open" | "ending" | "closed";

const BEGIN_OF: Readonly<Record<IsolationLevel, string>> = {
  "read committed": "ISOLATION LEVEL READ COMMITTED",
  "repeatable read": "ISOLATION LEVEL REPEATABLE READ",
  serializable: "ISOLATION LEVEL SERIALIZABLE",
};

/** What would end, or start, the transaction under the unit; ROLLBACK TO and RELEASE of the caller's own savepoints are fine. */
const TRANSACTION_CONTROL =
  /^[\s;]*(?:begin|start\s+transaction|commit|end|abort|rollback(?!\s+(?:work\s+|transaction\s+)?to\b)|prepare\s+transaction)\b/i;

/** SQLSTATEs of a prepared statement that the server no longer knows, or knows otherwise (pooler, DISCARD, changed table). */
const STALE_STATEMENT: ReadonlySet<string> = new Set([SQLSTATE.invalidStatementName, SQLSTATE.duplicateStatement]);

export class UnitOfWork implements OpenUnit {
  readonly settings: UnitSettings;
  readonly #startedAt = Date.now();
  /** Number of statements that were declared; undefined for an interactive unit. */
  #declared: number | undefined;
  #state: State;
  #connection: LeasedConnection | undefined;
  #isStarted = false;
  #hasSent = false;
  #queue: QueuedStatement[] = [];
  /** SAVEPOINT, RELEASE and ROLLBACK TO, sent with the next statement. */
  readonly #prefix: string[] = [];
  #savepoints = 0;
  #pumping: Promise<void> | undefined;
  #failure: StewardError | undefined;
  /** The connection, or the whole unit, is gone: nothing but the end is possible. */
  #isLost = false;
  readonly #beforeCommit: (() => Promise<void>)[] = [];
  #held: ConnectionHold | undefined;
  readonly #rootFrame: Frame = { tail: Promise.resolve() };
  readonly #timers: NodeJS.Timeout[] = [];
  #gapTimer: NodeJS.Timeout | undefined;
  #rejectAborted: ((error: StewardError) => void) | undefined;
  /** Rejects when the unit is over its limit, so that a caller who hangs on something else does not keep the connection. */
  readonly aborted: Promise<never>;

  /** @param mode - `"declared"` units take statements only after `declare()`, so that none can be started by mistake */
  constructor(settings: UnitSettings, mode: "declared" | "interactive" | "undecided") {
    this.settings = settings;
    this.#state = mode === "declared" ? "declaring" : "open";
    this.aborted = new Promise<never>((_, reject) => {
      this.#rejectAborted = reject;
    });
    this.aborted.catch(() => undefined); // only those who wait for it hear of it
  }

  get database(): Database {
    return this.settings.database;
  }
  get openedAt(): string {
    return String(this.settings.openedAt);
  }
  get guard(): GuardState | undefined {
    return this.settings.guard;
  }
  get isOpen(): boolean {
    return this.#state !== "closed";
  }
  get isReadOnly(): boolean {
    return this.settings.isReadOnly;
  }

  /** Queues one statement; statements of the same tick travel in one flush. This is what Drizzle's session calls. */
  query<R extends Row = Row>(config: Statement | string, values?: readonly unknown[]): Promise<QueryResult<R>> {
    const statement: Statement =
      typeof config === "string"
        ? { text: config, values: values ?? [] }
        : values === undefined
          ? config
          : { ...config, values };
    return new Promise<QueryResult>((resolve, reject) => {
      const refusal = this.#refusal();
      if (refusal !== undefined) throw refusal;
      if (TRANSACTION_CONTROL.test(statement.text)) throw transactionControlError();
      const isNamed = statement.prepare !== false && this.database.preparesStatements;
      const name = statement.name ?? (isNamed ? preparedStatementName(statement.text) : undefined);
      this.#queue.push({ wire: new WireStatement(statement, name), resolve, reject });
      if (this.#declared === undefined || this.#queue.length === this.#declared) this.#schedule();
    }) as Promise<QueryResult<R>>;
  }

  runStatements(statements: readonly Statement[], options: QueryOptions = {}): Promise<QueryResult[]> {
    if (options.signal?.aborted === true)
      return Promise.reject(new CancelledError("cancelled before anything was sent", { cause: options.signal.reason }));
    return Promise.all(statements.map((statement) => this.query(statement)));
  }

  async runScript(script: string, options: QueryOptions = {}): Promise<void> {
    await this.exclusive(async (connection) => {
      await connection.exec(script, options);
      if (connection.transactionStatus === "idle")
        throw new UnitFailedError("the script ended the transaction of its unit of work", {
          hint: "take COMMIT and ROLLBACK out of the script, or run it outside a unit",
        });
    });
  }

  /**
   * Gives `work` the unit's connection, inside the open transaction, with nothing else on it: for cursors, COPY and scripts.
   *
   * @param hold - for work that goes on at the caller's pace: statements meanwhile are refused instead of waiting for it
   */
  async exclusive<T>(work: (connection: LeasedConnection) => Promise<T>, hold?: ConnectionHold): Promise<T> {
    const refusal = this.#refusal();
    if (refusal !== undefined) throw refusal;
    while (this.#pumping !== undefined) await this.#pumping;
    let finish: () => void = () => undefined;
    this.#pumping = new Promise<void>((resolve) => {
      finish = resolve;
    });
    try {
      if (!this.#isStarted || this.#prefix.length > 0) await this.#send([]);
      if (this.#failure !== undefined) throw this.#failure;
      const connection = this.#connection;
      if (connection === undefined) throw this.#closedError();
      this.#hasSent = true;
      this.#held = hold;
      return await work(connection);
    } catch (error) {
      // A mistake of `work` itself leaves the transaction as it was; one that the server saw does not.
      if (this.#connection?.transactionStatus !== "open") this.#failure ??= toStewardError(error);
      throw error;
    } finally {
      this.#held = undefined;
      this.#pumping = undefined;
      finish();
      if (this.#queue.length > 0) this.#schedule();
      else this.#armGapWatch();
    }
  }

  /** Runs just before COMMIT; what it sends is part of the unit. */
  beforeCommit(hook: () => Promise<void>): void {
    this.#beforeCommit.push(hook);
  }

  /** Runs `work` in a flow whose current unit is this one. */
  enter<T>(work: () => T): T {
    return runInUnit(this, work);
  }

  /** `count` statements are expected now; they go out in one flush, which is the whole unit. */
  declare(count: number): void {
    if (this.#queue.length > 0 || this.#isStarted) {
      throw new InvalidInputError("a query was started before the queries were returned", {
        hint: "return all queries without await, or make the function async",
      });
    }
    this.#declared = count;
    this.#state = "open";
  }

  /** A savepoint around `work`: its failure undoes its own statements only. */
  async nested<T>(work: () => Promise<T> | T): Promise<T> {
    const parent = frames.getStore() ?? this.#rootFrame;
    const turn = parent.tail;
    let done: () => void = () => undefined;
    parent.tail = new Promise<void>((resolve) => {
      done = resolve;
    });
    await turn;
    try {
      return await frames.run({ tail: Promise.resolve() }, () => this.#savepoint(work));
    } finally {
      done();
    }
  }

  async #savepoint<T>(work: () => Promise<T> | T): Promise<T> {
    const refusal = this.#refusal();
    if (refusal !== undefined) throw refusal;
    this.#savepoints++;
    const open = `SAVEPOINT pgsteward_${this.#savepoints}`;
    const release = `RELEASE ${open}`;
    this.#prefix.push(open);
    const undo = (): void => {
      const unsent = this.#prefix.indexOf(open);
      if (unsent !== -1) this.#prefix.splice(unsent);
      else this.#prefix.push(`ROLLBACK TO ${open}`, release);
    };
    try {
      const value = await work();
      while (this.#pumping !== undefined) await this.#pumping;
      if (this.#failure !== undefined) throw this.#silentRollback(this.#failure);
      const unsent = this.#prefix.indexOf(open);
      if (unsent !== -1) this.#prefix.splice(unsent);
      else this.#prefix.push(release);
      return value;
    } catch (error) {
      while (this.#pumping !== undefined) await this.#pumping;
      if (this.#isRecoverable()) {
        undo();
        this.#failure = undefined;
      }
      throw error;
    }
  }

  /** A savepoint cannot bring back a lost connection, or a unit that was interrupted. */
  #isRecoverable(): boolean {
    return !this.#isLost && !(this.#failure instanceof UnitTooLongError);
  }

  /**
   * Ends an interactive unit.
   *
   * @throws SilentRollbackError, CommitOutcomeUnknownError, ExternalCallInUnitError, or the server's error of a deferred constraint
   */
  async commit(): Promise<void> {
    this.#held?.stop();
    for (const hook of this.#beforeCommit.splice(0)) await hook();
    while (this.#pumping !== undefined) await this.#pumping;
    if (this.#failure !== undefined) throw this.#silentRollback(this.#failure);
    if (this.guard?.violation !== undefined) throw this.guard.violation;
    if (!this.isOpen) throw this.#closedError();
    this.#state = "ending";
    if (!this.#isStarted || this.#connection === undefined) return this.#close("committed");

    const statements: Statement[] = [...this.#takePrefix(), { text: "COMMIT", name: this.#nameOf("COMMIT") }];
    const sent = await this.#connection.tryBatch(statements, this.settings.signal);
    if ("error" in sent) {
      if (sent.outcome.kind === "lost" && sent.outcome.wasSent && !this.settings.isReadOnly) {
        this.#close("unknown");
        throw commitOutcomeUnknown(sent.error);
      }
      throw sent.error;
    }
    if (sent.results.at(-1)?.command !== "COMMIT") {
      this.#close("rolled back");
      throw this.#silentRollback(undefined);
    }
    this.#close("committed");
  }

  /** Undoes an interactive unit; a failing ROLLBACK closes the connection, which has the same effect, and masks nothing. */
  async rollback(): Promise<void> {
    if (this.#state === "closed") return;
    this.#state = "ending";
    this.#held?.stop();
    for (const item of this.#queue.splice(0)) item.reject(this.#closedError());
    while (this.#pumping !== undefined) await this.#pumping;
    const connection = this.#connection;
    if (connection !== undefined && connection.transactionStatus !== "idle") {
      await connection
        .tryBatch([{ text: "ROLLBACK", name: this.#nameOf("ROLLBACK") }], undefined)
        .catch(() => undefined);
    }
    this.#close("rolled back");
  }

  /** What the caller of the unit gets for an error that came out of its function. */
  get failure(): StewardError | undefined {
    return this.#failure;
  }

  #schedule(): void {
    if (this.#pumping !== undefined) return;
    clearTimeout(this.#gapTimer);
    let finish: () => void = () => undefined;
    this.#pumping = new Promise<void>((resolve) => {
      finish = resolve;
    });
    queueMicrotask(() => {
      void this.#pump().finally(() => {
        this.#pumping = undefined;
        finish();
        if (this.#queue.length > 0 && this.isOpen) this.#schedule();
      });
    });
  }

  async #pump(): Promise<void> {
    while (this.#queue.length > 0) {
      const items = this.#queue;
      this.#queue = [];
      try {
        await this.#send(items);
      } catch (error) {
        const failure = toStewardError(error);
        this.#failure ??= failure;
        this.#isLost ||= failure instanceof ConnectionLostError;
        for (const item of items) item.reject(failure);
      }
    }
    this.#armGapWatch();
  }

  async #send(items: readonly QueuedStatement[]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failedError();
    const askedAt = Date.now();
    const connection = this.#connection ?? (await this.#lease());
    const isFirst = !this.#isStarted;
    const prelude = isFirst ? this.#prelude(connection.serverVersion) : [];
    const lead = [...prelude, ...this.#takePrefix()];
    const sentAt = Date.now();
    this.#isStarted = true;
    const sent = await connection.tryBatch(
      [...lead, ...items.map(({ wire }) => wire)],
      this.settings.signal,
      lead.length,
    );
    if ("error" in sent && isFirst && isStaleStatement(sent.error) && sent.outcome.kind === "failed") {
      // Nothing of the unit happened yet: a fresh connection, where the text is parsed anew, carries it out.
      connection.release(sent.error);
      this.#connection = undefined;
      this.#isStarted = false;
      return this.#send(items.map((item) => ({ ...item, wire: new WireStatement(item.wire.statement) })));
    }
    if (items.length > 0) this.#hasSent = true;
    this.#observe(items, sent, sentAt, isFirst ? sentAt - askedAt : 0);
    if (!("error" in sent)) {
      if (this.#declared !== undefined) this.#close("committed");
      else if (connection.transactionStatus !== "open") {
        // A function or a statement hidden from our check ended it: what follows would commit by itself.
        this.#failure = transactionControlError();
        this.#isLost = true;
      }
      items.forEach((item, index) => item.resolve(sent.results[lead.length + index] as QueryResult));
      return;
    }
    this.#settleFailure(items, sent, lead.length);
  }

  #settleFailure(items: readonly QueuedStatement[], { outcome, error }: BatchFailure, offset: number): void {
    if (this.#declared !== undefined) return this.#settleDeclaredFailure(items, { outcome, error });
    if (outcome.kind === "undecodable") {
      // The server carried out every statement and the transaction goes on; only the unreadable rows are lost to their caller.
      items.forEach((item, index) => {
        if (item.wire.decodeFailure === undefined) item.resolve(outcome.results[offset + index] as QueryResult);
        else item.reject(error);
      });
      return;
    }
    this.#failure = this.#isLost ? (this.#failure ?? error) : error;
    if (outcome.kind === "lost") this.#isLost = true;
    const failedAt = outcome.kind === "failed" ? outcome.index - offset : -1;
    items.forEach((item, index) => {
      if (outcome.kind === "failed" && index < failedAt) item.resolve(outcome.results[offset + index] as QueryResult);
      else if (outcome.kind === "lost" || index === failedAt || failedAt < 0) item.reject(this.#failure ?? error);
      else item.reject(this.#failedError());
    });
  }

  #settleDeclaredFailure(items: readonly QueuedStatement[], { outcome, error }: BatchFailure): void {
    const isUnknown = outcome.kind === "lost" && outcome.wasSent && !this.settings.isReadOnly;
    const interruption = this.#isLost ? this.#failure : undefined;
    this.#failure = isUnknown ? commitOutcomeUnknown(error) : (interruption ?? error);
    this.#close(isUnknown ? "unknown" : outcome.kind === "undecodable" ? "committed" : "rolled back");
    for (const item of items) item.reject(this.#failure);
  }

  async #lease(): Promise<LeasedConnection> {
    const connection = await leaseForUnit(
      this.database,
      { signal: this.settings.signal, timeoutMs: undefined },
      this.settings.openedAt,
    );
    if (!this.isOpen || this.#failure !== undefined) {
      connection.release();
      throw this.#failure ?? this.#closedError();
    }
    this.#connection = connection;
    const { unitTimeoutMs, unitWarningMs } = this.settings.limits;
    if (unitTimeoutMs > 0) this.#timers.push(setTimeout(() => this.#interrupt(this.#tooLongError()), unitTimeoutMs));
    this.settings.signal?.addEventListener("abort", this.#onAbort, { once: true });
    if (unitWarningMs > 0 && this.#declared === undefined) {
      this.#timers.push(setTimeout(() => this.#warn("unit open for long", unitWarningMs), unitWarningMs));
    }
    return connection;
  }

  #prelude(serverVersion: number): Statement[] {
    const { context, role, limits, isolation, isReadOnly, isDeferrable } = this.settings;
    const modes = [
      isolation === undefined ? "" : BEGIN_OF[isolation],
      isReadOnly ? "READ ONLY" : "",
      isDeferrable ? "DEFERRABLE" : "",
    ].filter((mode) => mode !== "");
    const settings = contextStatement(context, role, limits, serverVersion, isReadOnly && this.#declared !== undefined);
    const named: Statement = { ...settings, name: this.#nameOf(settings.text) };
    if (this.#declared === undefined) {
      const begin = modes.length === 0 ? "BEGIN" : `BEGIN ${modes.join(" ")}`;
      return [{ text: begin, name: this.#nameOf(begin) }, named];
    }
    // One Sync is one implicit transaction: no BEGIN, no COMMIT. Its modes are set by its first statement.
    if (isolation === undefined && !isDeferrable) return [named];
    const modesText = `SET TRANSACTION ${modes.join(" ")}`;
    return [{ text: modesText, name: this.#nameOf(modesText) }, named];
  }

  #nameOf(text: string): string | undefined {
    return this.database.preparesStatements ? preparedStatementName(text) : undefined;
  }

  #takePrefix(): Statement[] {
    return this.#prefix.splice(0).map((text) => ({ text }));
  }

  #refusal(): StewardError | undefined {
    if (this.#state === "closed" || this.#state === "ending") return this.#closedError();
    if (this.#state === "declaring") {
      return new InvalidInputError("run() and read() take queries that are not awaited yet", {
        hint: "return the query, or an array of queries, without await; use begin() when one depends on another's result",
      });
    }
    if (this.settings.signal?.aborted === true)
      return new CancelledError("the unit of work was cancelled", { cause: this.settings.signal.reason });
    if (this.#held?.isOver() === false) {
      return new InvalidInputError(`${this.#held.what} holds the connection of this unit of work`, {
        hint: "end it first: read it to its end or leave its loop, and run the statement before or after",
      });
    }
    return this.#failure === undefined ? undefined : this.#failedError();
  }

  #failedError(): StewardError {
    const cause = this.#failure;
    if (this.#isLost && cause !== undefined) return cause;
    return new UnitFailedError("an earlier statement of this unit of work failed, so the server ignores the rest", {
      cause,
      hint: "let the first error end the unit, or wrap what may fail in a nested begin()",
    });
  }

  #silentRollback(cause: StewardError | undefined): SilentRollbackError {
    return new SilentRollbackError(
      "the unit of work was rolled back: one of its statements failed and the error was swallowed",
      {
        cause,
        hint: "let the error end the unit, or wrap what may fail in a nested begin()",
      },
    );
  }

  #closedError(): StewardError {
    return new UnitClosedError(`the unit of work opened at ${this.openedAt} is over`, {
      hint: "await every query inside the unit's function; open a new unit for more",
    });
  }

  #tooLongError(): UnitTooLongError {
    const { unitTimeoutMs } = this.settings.limits;
    return new UnitTooLongError(
      `the unit of work opened at ${this.openedAt} was open for more than ${unitTimeoutMs} ms and was rolled back`,
      {
        hint: "do slow work before or after the unit, or raise limits.unitTimeoutMs",
      },
    );
  }

  readonly #onAbort = (): void => {
    this.#interrupt(new CancelledError("the unit of work was cancelled", { cause: this.settings.signal?.reason }));
  };

  /** Ends the unit from outside: its caller hears of it at once, even when it waits for something else. */
  #interrupt(error: StewardError): void {
    if (!this.isOpen) return;
    const wasCommitting = this.#state === "ending";
    this.#rejectAborted?.(error);
    // Whether a COMMIT that is under way comes through is for its answer, or its loss, to say.
    this.#connection?.interrupt(error);
    if (wasCommitting) return;
    this.#failure = error;
    this.#isLost = true;
    void this.rollback();
  }

  #armGapWatch(): void {
    const { gapWarningMs } = this.settings.limits;
    if (gapWarningMs <= 0 || this.#declared !== undefined || this.#state !== "open") return;
    clearTimeout(this.#gapTimer);
    this.#gapTimer = setTimeout(() => this.#warn("gap between statements", gapWarningMs), gapWarningMs);
  }

  #warn(kind: UnitWarning["kind"], afterMs: number): void {
    if (this.#state === "open")
      this.settings.onWarning({ kind, afterMs, name: this.settings.name, openedAt: this.openedAt });
  }

  #observe(
    items: readonly QueuedStatement[],
    sent: { results: QueryResult[] } | BatchFailure,
    sentAt: number,
    waitedMs: number,
  ): void {
    if (this.settings.observers.length === 0) return;
    const record: FlushRecord = {
      unit: { name: this.settings.name, openedAt: this.openedAt, context: this.settings.context },
      statements: items.map(({ wire }) => ({ statement: wire.statement, rowCount: wire.result.rowCount })),
      tookMs: Date.now() - sentAt,
      waitedMs,
      error: "error" in sent ? sent.error : undefined,
    };
    for (const observer of this.settings.observers) observer.flushed?.(record);
  }

  #close(outcome: "committed" | "rolled back" | "unknown"): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    for (const timer of this.#timers) clearTimeout(timer);
    clearTimeout(this.#gapTimer);
    this.settings.signal?.removeEventListener("abort", this.#onAbort);
    this.#connection?.release();
    this.#connection = undefined;
    if (!this.#hasSent) return;
    const { name, observers } = this.settings;
    if (observers.length === 0) return;
    const { openedAt } = this;
    for (const observer of observers)
      observer.ended?.({ name, openedAt, outcome, tookMs: Date.now() - this.#startedAt });
  }
}

function isStaleStatement(error: StewardError): boolean {
  const { sqlState, cause } = error as Partial<DatabaseError>;
  if (sqlState === undefined) return false;
  // "cached plan must not change result type": the table changed under a prepared statement.
  const isStalePlan =
    sqlState === SQLSTATE.featureNotSupported &&
    (cause as { routine?: string } | undefined)?.routine === "RevalidateCachedQuery";
  return STALE_STATEMENT.has(sqlState) || isStalePlan;
}

function commitOutcomeUnknown(cause: StewardError): CommitOutcomeUnknownError {
  return new CommitOutcomeUnknownError(
    "the connection was lost while the server was committing: the unit may or may not have happened",
    {
      cause,
      hint: "read what it would have changed before you run it again",
    },
  );
}

function transactionControlError(): InvalidInputError {
  return new InvalidInputError("BEGIN, COMMIT and ROLLBACK belong to the unit of work itself", {
    hint: "return to commit, throw to roll back, and nest begin() for a part that may fail",
  });
}
