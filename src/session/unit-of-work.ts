// One unit of work: statements collected per tick and sent in one flush, savepoints that ride along, a COMMIT that is
// checked, a connection that is held from the first statement to the end and not longer.
import {
  CancelledError,
  ConnectionLostError,
  InvalidInputError,
  leaseForUnit,
  runInUnit,
  toStewardError,
  UnitFailedError,
  UnitTooLongError,
  type WireStatement,
  type BatchFailure,
  type Database,
  type GuardState,
  type LeasedConnection,
  type OpenUnit,
  type QueryOptions,
  type QueryResult,
  type Row,
  type Statement,
  type StewardError,
} from "../postgres/index.ts";
import { isOutdated, isSuspicious } from "./outdated-statements.ts";
import { readPosition } from "./replicas.ts";
import { isStaleStatement, noteOutdated } from "./retry.ts";
import {
  connectionHeldError,
  notDeclaredYetError,
  silentRollbackError,
  transactionControlError,
  unitClosedError,
  unitFailedError,
} from "./unit-errors.ts";
import { Savepoints } from "./savepoints.ts";
import { lostCommitError, UnitCommit } from "./unit-commit.ts";
import { SingleFlush, type FlushedStatement } from "./single-flush.ts";
import { StatementNames } from "./statement-names.ts";
import { observationOf, observeEnd, observeFlush, observeStatement, type UnitObservation } from "./unit-observer.ts";
import type { ConnectionHold, LastStatement, SavepointObserver, UnitSettings } from "./unit-settings.ts";
import { commitStatements, isTransactionControl, openingStatements } from "./unit-statements.ts";
import { UnitWatch } from "./unit-watch.ts";

interface QueuedStatement extends FlushedStatement {
  resolve(result: QueryResult): void;
  reject(error: Error): void;
}

type State = "declaring" | "open" | "ending" | "closed";

export class UnitOfWork implements OpenUnit {
  readonly settings: UnitSettings;
  /** Only when somebody observes. */
  readonly observation: UnitObservation | undefined;
  readonly #startedAt = Date.now();
  /** Number of statements that were declared; undefined for an interactive unit. */
  #declared: number | undefined;
  #state: State;
  #connection: LeasedConnection | undefined;
  #isStarted = false;
  #hasSent = false;
  #queue: QueuedStatement[] = [];
  #madeSavepoints: Savepoints | undefined;
  #pumping: Promise<void> | undefined;
  #failure: StewardError | undefined;
  /** The connection, or the whole unit, is gone: nothing but the end is possible. */
  #isLost = false;
  #held: ConnectionHold | undefined;
  #madeCommit: UnitCommit | undefined;
  #madeWatch: UnitWatch | undefined;
  readonly #names: StatementNames;
  /** What was refused, perhaps for what its prepared statement remembers. */
  #suspect: { readonly wire: WireStatement; readonly error: StewardError } | undefined;
  /** Carries out a declared unit. */
  #single: SingleFlush | undefined;
  #rejectAborted: ((error: StewardError) => void) | undefined;
  #aborted: Promise<never> | undefined;

  /** @param mode - `"declared"` units take statements only after `declare()`, so that none can be started by mistake */
  constructor(settings: UnitSettings, mode: "declared" | "interactive" | "undecided") {
    this.settings = settings;
    this.#names = new StatementNames(settings.database, settings.usesNames);
    this.observation = observationOf(settings);
    this.#state = mode === "declared" ? "declaring" : "open";
  }

  /** Rejects when the unit is over its limit, so that a caller who hangs on something else does not keep the connection. */
  get aborted(): Promise<never> {
    if (this.#aborted === undefined) {
      this.#aborted = new Promise<never>((_, reject) => {
        this.#rejectAborted = reject;
      });
      this.#aborted.catch(() => undefined); // only those who wait for it hear of it
    }
    return this.#aborted;
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
      if (isTransactionControl(statement.text)) throw transactionControlError();
      this.#queue.push({
        wire: this.#names.wireOf(statement),
        issuedAt: this.observation?.issuer,
        resolve,
        reject,
      });
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
    this.#checkOpen();
    while (this.#pumping !== undefined) await this.#pumping;
    let finish: () => void = () => undefined;
    this.#pumping = new Promise<void>((resolve) => {
      finish = resolve;
    });
    try {
      if (!this.#isStarted || this.#savepoints.hasUnsent) await this.#send([]);
      if (this.#failure !== undefined) throw this.#failure;
      const connection = this.#connection;
      if (connection === undefined) throw unitClosedError(this.openedAt);
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
      else this.#gapBegins();
    }
  }

  /** Tells observers of a statement that `exclusive` work ran by itself. */
  observeOwn(statement: Statement, rowCount: number | null, sentAt: number, error: StewardError | undefined): void {
    if (this.observation !== undefined)
      observeStatement(this.settings.observers, this.observation, { statement, rowCount }, sentAt, error);
  }

  /** Runs just before COMMIT; what it sends is part of the unit. */
  beforeCommit(hook: () => Promise<void>): void {
    this.#commit.before(hook);
  }

  /**
   * Whether statements may travel with COMMIT: when the answer to COMMIT is lost, it must be possible to find out what
   * became of it, so the transaction's id has to be known before.
   */
  get canSendWithCommit(): boolean {
    return this.#isStarted && this.#commit.isKnowable;
  }

  /** For the hook of `lastBeforeCommit`, when {@link canSendWithCommit}. */
  sendWithCommit(last: LastStatement): void {
    this.#commit.carry(last);
  }

  observeSavepoints(observer: SavepointObserver): void {
    this.#savepoints.observe(observer);
  }

  /** The one hook that runs after all `beforeCommit` ones; only there statements may be left for the flush of COMMIT. */
  lastBeforeCommit(hook: () => Promise<void>): void {
    this.#commit.lastBefore(hook);
  }

  /** Runs `work` in a flow whose current unit is this one. */
  enter<T>(work: () => T): T {
    return runInUnit(this, work);
  }

  /** Nothing was sent by it, or waits to be sent. */
  get isUnstarted(): boolean {
    return this.#queue.length === 0 && !this.#isStarted;
  }

  /** Ends a unit that is unstarted: its statements go another way. */
  end(): void {
    this.#close("rolled back");
  }

  /** `count` statements are expected now; they go out in one flush, which is the whole unit. */
  declare(count: number): void {
    if (!this.isUnstarted) {
      throw new InvalidInputError("a query was started before the queries were returned", {
        hint: "return all queries without await, or make the function async",
      });
    }
    this.#declared = count;
    this.#single = new SingleFlush(this.settings, this.observation, this.#names, (error) => this.interrupt(error));
    this.#state = "open";
  }

  /** A savepoint around `work`: its failure undoes its own statements only. */
  nested<T>(work: () => Promise<T> | T): Promise<T> {
    return this.#savepoints.nested(work);
  }

  /**
   * Ends an interactive unit.
   *
   * @throws SilentRollbackError, CommitOutcomeUnknownError, ExternalCallInUnitError, or the server's error of a deferred constraint
   */
  async commit(): Promise<void> {
    this.#held?.stop();
    await this.#madeCommit?.runHooks();
    while (this.#pumping !== undefined) await this.#pumping;
    if (this.#failure !== undefined) throw silentRollbackError(this.#failure);
    if (this.guard?.violation !== undefined) throw this.guard.violation;
    if (!this.isOpen) throw unitClosedError(this.openedAt);
    const overLimit = this.#watch.overLimit();
    if (overLimit !== undefined) throw overLimit;
    this.#state = "ending";
    if (!this.#isStarted || this.#connection === undefined) return this.#close("committed");

    const prefix = this.#takePrefix();
    const last = this.#madeCommit?.carried(this.observation?.issuer) ?? [];
    const sentAt = performance.now();
    const sent = await this.#connection.tryBatch(
      [...prefix, ...last.map(({ wire }) => wire), ...commitStatements(this.settings, this.#names)],
      this.settings.signal,
    );
    this.#observe(last, sent, sentAt, 0);
    if ("error" in sent) {
      if (sent.outcome.kind === "undecodable") this.#close("committed");
      if (sent.outcome.kind === "failed")
        throw last[sent.outcome.index - prefix.length]?.refused(sent.error) ?? sent.error;
      if (sent.outcome.kind === "lost" && sent.outcome.wasSent && !this.settings.isReadOnly)
        return this.#settleLostCommit(sent.error);
      throw sent.error;
    }
    if (sent.results[prefix.length + last.length]?.command !== "COMMIT") {
      this.#close("rolled back");
      throw silentRollbackError(undefined);
    }
    this.settings.onPosition?.(readPosition(sent.results.at(-1)));
    await this.#askAboutSuspect();
    this.#close("committed");
    last.forEach((item, index) => item.committed(sent.results[prefix.length + index] as QueryResult));
  }

  async #settleLostCommit(error: StewardError): Promise<void> {
    this.#connection?.release(error); // first: the question may need its place in the pool
    this.#connection = undefined;
    const outcome = await this.#commit.outcome();
    this.#close(outcome);
    if (outcome !== "committed") throw lostCommitError(outcome, error);
  }

  /** Undoes an interactive unit; a failing ROLLBACK closes the connection, which has the same effect, and masks nothing. */
  async rollback(): Promise<void> {
    if (this.#state === "closed") return;
    this.#state = "ending";
    this.#held?.stop();
    for (const item of this.#queue.splice(0)) item.reject(unitClosedError(this.openedAt));
    while (this.#pumping !== undefined) await this.#pumping;
    const connection = this.#connection;
    if (connection !== undefined && connection.transactionStatus !== "idle") {
      await connection
        .tryBatch([{ text: "ROLLBACK", name: this.#names.nameOf("ROLLBACK") }], undefined)
        .catch(() => undefined);
    }
    await this.#askAboutSuspect();
    this.#close("rolled back");
  }

  /** At the end, when the connection is idle: inside a failed transaction the server answers nothing. */
  async #askAboutSuspect(): Promise<void> {
    const { wire, error } = this.#suspect ?? {};
    if (wire === undefined || error === undefined || this.#connection === undefined || this.#isLost) return;
    if (!(await isOutdated(this.#connection, this.settings, wire, error).catch(() => false))) return;
    noteOutdated(error);
    this.#failure ??= error;
  }

  /** What the caller of the unit gets for an error that came out of its function. */
  get failure(): StewardError | undefined {
    return this.#failure;
  }

  #schedule(): void {
    if (this.#pumping !== undefined) return;
    this.#watch.gapEnds();
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
    this.#gapBegins();
  }

  async #send(items: readonly QueuedStatement[]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failedError();
    if (this.#single !== undefined) return this.#sendSingle(this.#single, items);
    const askedAt = performance.now();
    const connection = this.#connection ?? (await this.#lease());
    const isFirst = !this.#isStarted;
    const prelude = isFirst ? this.#opening(connection.serverVersion) : [];
    const prefix = this.#takePrefix();
    const lead = [...prelude, ...prefix];
    const trail = this.#commit.question(items);
    const sentAt = performance.now();
    this.observation?.startFlush();
    this.#isStarted = true;
    const sent = await connection.tryBatch(
      [...lead, ...items.map(({ wire }) => wire), ...trail],
      this.settings.signal,
      lead.length,
    );
    if (
      "error" in sent &&
      isFirst &&
      this.#names.areUsed &&
      isStaleStatement(sent.error) &&
      sent.outcome.kind === "failed"
    ) {
      // Nothing of the unit happened yet: a fresh connection, where the text is parsed anew, carries it out. Without names,
      // because a pooler may give us a server connection that knows them already.
      this.#names.stop();
      this.#savepoints.putBack(prefix.map(({ text }) => text));
      connection.release(sent.error);
      this.#connection = undefined;
      this.#isStarted = false;
      return this.#send(items.map((item) => ({ ...item, wire: this.#names.wireOf(item.wire.statement) })));
    }
    if (items.length > 0) this.#hasSent = true;
    this.#observe(items, sent, sentAt, isFirst ? sentAt - askedAt : 0);
    if (!("error" in sent)) {
      if (connection.transactionStatus !== "open") {
        // A function or a statement hidden from our check ended it: what follows would commit by itself.
        this.#failure = transactionControlError();
        this.#isLost = true;
      }
      if (trail.length > 0) this.#commit.answered(sent.results.at(-1));
      items.forEach((item, index) => item.resolve(sent.results[lead.length + index] as QueryResult));
      return;
    }
    this.#settleFailure(items, sent, lead.length);
  }

  #settleFailure(items: readonly QueuedStatement[], { outcome, error }: BatchFailure, offset: number): void {
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
    const refused = items[failedAt]?.wire;
    const connection = this.#connection;
    if (refused !== undefined && connection !== undefined && isSuspicious({ outcome, error }, refused, connection))
      this.#suspect = { wire: refused, error };
    items.forEach((item, index) => {
      if (outcome.kind === "failed" && index < failedAt) item.resolve(outcome.results[offset + index] as QueryResult);
      else if (outcome.kind === "lost" || index === failedAt || failedAt < 0) item.reject(this.#failure ?? error);
      else item.reject(this.#failedError());
    });
  }

  async #sendSingle(single: SingleFlush, items: readonly QueuedStatement[]): Promise<void> {
    this.#isStarted = true;
    try {
      const results = await single.send(items, (all) => all);
      this.#state = "closed";
      items.forEach((item, index) => item.resolve(results[index] as QueryResult));
    } catch (error) {
      this.#failure = toStewardError(error);
      this.#state = "closed";
      for (const item of items) item.reject(this.#failure);
    }
  }

  async #lease(): Promise<LeasedConnection> {
    const connection = await leaseForUnit(
      this.database,
      { signal: this.settings.signal, timeoutMs: undefined },
      this.settings.openedAt,
    );
    if (!this.isOpen || this.#failure !== undefined) {
      connection.release();
      throw this.#failure ?? unitClosedError(this.openedAt);
    }
    this.#connection = connection;
    this.#watch.start(true);
    return connection;
  }

  #opening(serverVersion: number): WireStatement[] {
    return openingStatements(this.settings, {
      serverVersion,
      isDeclared: false,
      nameOf: (text) => this.#names.nameOf(text),
    });
  }

  #takePrefix(): Statement[] {
    return this.#savepoints.takeUnsent().map((text) => ({ text }));
  }

  #refusal(): StewardError | undefined {
    if (this.#state === "closed" || this.#state === "ending") return unitClosedError(this.openedAt);
    if (this.#state === "declaring") return notDeclaredYetError();
    if (this.settings.signal?.aborted === true)
      return new CancelledError("the unit of work was cancelled", { cause: this.settings.signal.reason });
    if (this.#held?.isOver() === false) return connectionHeldError(this.#held.what);
    return this.#failure === undefined ? undefined : this.#failedError();
  }

  get #commit(): UnitCommit {
    return (this.#madeCommit ??= new UnitCommit(this.settings, this.#names));
  }

  get #watch(): UnitWatch {
    return (this.#madeWatch ??= new UnitWatch(this.settings, (error) => this.interrupt(error)));
  }

  get #savepoints(): Savepoints {
    return (this.#madeSavepoints ??= new Savepoints({
      checkOpen: () => this.#checkOpen(),
      pumping: () => this.#pumping,
      failure: () => this.#failure,
      recover: () => this.#recover(),
    }));
  }

  #checkOpen(): void {
    const refusal = this.#refusal();
    if (refusal !== undefined) throw refusal;
  }

  /** A savepoint cannot bring back a lost connection, or a unit that was interrupted. */
  #recover(): boolean {
    if (this.#isLost || this.#failure instanceof UnitTooLongError) return false;
    this.#failure = undefined;
    return true;
  }

  #failedError(): StewardError {
    const cause = this.#failure;
    return this.#isLost && cause !== undefined ? cause : unitFailedError(cause);
  }

  /** Ends the unit from outside: its caller hears of it at once, even when it waits for something else. */
  interrupt(error: StewardError): void {
    if (!this.isOpen) return;
    const wasCommitting = this.#state === "ending";
    this.#rejectAborted?.(error);
    // Whether a COMMIT that is under way comes through is for its answer, or its loss, to say.
    this.#connection?.interrupt(error);
    this.#single?.interrupt(error);
    if (wasCommitting) return;
    this.#failure = error;
    this.#isLost = true;
    void this.rollback();
  }

  #gapBegins(): void {
    if (this.#declared === undefined && this.#state === "open") this.#watch.gapBegins();
  }

  #observe(
    items: readonly Pick<QueuedStatement, "wire" | "issuedAt">[],
    sent: { results: QueryResult[] } | BatchFailure,
    sentAt: number,
    waitedMs: number,
  ): void {
    if (this.observation !== undefined && items.length > 0)
      observeFlush(this.settings.observers, this.observation, items, sent, sentAt, waitedMs);
  }

  #close(outcome: "committed" | "rolled back" | "unknown"): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#madeWatch?.stop();
    // Otherwise the next unit of this connection would meet the same stale statement.
    this.#connection?.release(isStaleStatement(this.#failure) ? this.#failure : undefined);
    this.#connection = undefined;
    if (this.#hasSent && this.observation !== undefined)
      observeEnd(this.settings.observers, this.observation, outcome, this.#startedAt);
  }
}
