// One unit of work: what may be done with it when, its savepoints, a COMMIT that is checked, and its end from outside. How its
// statements travel is unit-flow.ts.
import {
  CancelledError,
  InvalidInputError,
  runInUnit,
  toStewardError,
  UnitFailedError,
  UnitTooLongError,
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
import { readPosition } from "./replicas.ts";
import { isStaleStatement } from "./retry.ts";
import {
  connectionHeldError,
  notDeclaredYetError,
  silentRollbackError,
  transactionControlError,
  unitClosedError,
} from "./unit-errors.ts";
import { Savepoints } from "./savepoints.ts";
import { lostCommitError, UnitCommit } from "./unit-commit.ts";
import { SingleFlush } from "./single-flush.ts";
import { StatementNames } from "./statement-names.ts";
import { UnitFlow, type QueuedStatement } from "./unit-flow.ts";
import { observationOf, observeEnd, observeStatement, type UnitObservation } from "./unit-observer.ts";
import type { ConnectionHold, LastStatement, SavepointObserver, UnitSettings } from "./unit-settings.ts";
import { commitStatements, isTransactionControl } from "./unit-statements.ts";
import { UnitWatch } from "./unit-watch.ts";

type State = "declaring" | "open" | "ending" | "closed";

export class UnitOfWork implements OpenUnit {
  readonly settings: UnitSettings;
  /** Only when somebody observes. */
  readonly observation: UnitObservation | undefined;
  readonly #startedAt = Date.now();
  /** Number of statements that were declared; undefined for an interactive unit. */
  #declared: number | undefined;
  #state: State;
  #madeFlow: UnitFlow | undefined;
  #madeSavepoints: Savepoints | undefined;
  #madeCommit: UnitCommit | undefined;
  #madeWatch: UnitWatch | undefined;
  readonly #names: StatementNames;
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
      const flow = this.#flow;
      flow.add({
        wire: this.#names.wireOf(statement),
        issuedAt: this.observation?.issuer,
        resolve,
        reject,
      });
      if (this.#declared === undefined || flow.waitingCount === this.#declared) flow.schedule();
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
    return this.#flow.exclusive(work, hold);
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
    return this.#madeFlow?.isStarted === true && this.#commit.isKnowable;
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
    return this.#madeFlow === undefined || (this.#madeFlow.waitingCount === 0 && !this.#madeFlow.isStarted);
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
    const single = new SingleFlush(this.settings, this.observation, this.#names, (error) => this.interrupt(error));
    this.#single = single;
    this.#flow.instead = (items) => this.#sendSingle(single, items);
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
    const flow = this.#flow;
    flow.held?.stop();
    await this.#madeCommit?.runHooks();
    while (flow.pumping !== undefined) await flow.pumping;
    if (flow.failure !== undefined) throw silentRollbackError(flow.failure);
    if (this.guard?.violation !== undefined) throw this.guard.violation;
    if (!this.isOpen) throw unitClosedError(this.openedAt);
    const overLimit = this.#watch.overLimit();
    if (overLimit !== undefined) throw overLimit;
    this.#state = "ending";
    if (!flow.isStarted || flow.connection === undefined) return this.#close("committed");

    const prefix = flow.takePrefix();
    const last = this.#madeCommit?.carried(this.observation?.issuer) ?? [];
    const sentAt = performance.now();
    const sent = await flow.connection.tryBatch(
      [...prefix, ...last.map(({ wire }) => wire), ...commitStatements(this.settings, this.#names)],
      this.settings.signal,
    );
    flow.observe(last, sent, sentAt, 0);
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
    await flow.askAboutSuspect();
    this.#close("committed");
    last.forEach((item, index) => item.committed(sent.results[prefix.length + index] as QueryResult));
  }

  async #settleLostCommit(error: StewardError): Promise<void> {
    this.#flow.giveBack(error); // first: the question may need its place in the pool
    const outcome = await this.#commit.outcome();
    this.#close(outcome);
    if (outcome !== "committed") throw lostCommitError(outcome, error);
  }

  /** Undoes an interactive unit; a failing ROLLBACK closes the connection, which has the same effect, and masks nothing. */
  async rollback(): Promise<void> {
    if (this.#state === "closed") return;
    this.#state = "ending";
    const flow = this.#madeFlow;
    if (flow === undefined) return this.#close("rolled back");
    flow.held?.stop();
    flow.refuseWaiting(unitClosedError(this.openedAt));
    while (flow.pumping !== undefined) await flow.pumping;
    const { connection } = flow;
    if (connection !== undefined && connection.transactionStatus !== "idle") {
      await connection
        .tryBatch([{ text: "ROLLBACK", name: this.#names.nameOf("ROLLBACK") }], undefined)
        .catch(() => undefined);
    }
    await flow.askAboutSuspect();
    this.#close("rolled back");
  }

  /** What the caller of the unit gets for an error that came out of its function. */
  get failure(): StewardError | undefined {
    return this.#madeFlow?.failure;
  }

  async #sendSingle(single: SingleFlush, items: readonly QueuedStatement[]): Promise<void> {
    try {
      const results = await single.send(items, (all) => all);
      this.#state = "closed";
      items.forEach((item, index) => item.resolve(results[index] as QueryResult));
    } catch (error) {
      const failure = toStewardError(error);
      this.#flow.failure = failure;
      this.#state = "closed";
      for (const item of items) item.reject(failure);
    }
  }

  #refusal(): StewardError | undefined {
    if (this.#state === "closed" || this.#state === "ending") return unitClosedError(this.openedAt);
    if (this.#state === "declaring") return notDeclaredYetError();
    if (this.settings.signal?.aborted === true)
      return new CancelledError("the unit of work was cancelled", { cause: this.settings.signal.reason });
    const { held, failure } = this.#flow;
    if (held?.isOver() === false) return connectionHeldError(held.what);
    return failure === undefined ? undefined : this.#flow.failedError();
  }

  get #flow(): UnitFlow {
    return (this.#madeFlow ??= new UnitFlow(this.settings, this.observation, this.#names, {
      isOpen: () => this.isOpen,
      gapBegins: () => this.#gapBegins(),
      savepoints: () => this.#savepoints,
      commit: () => this.#commit,
      watch: () => this.#watch,
    }));
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
      pumping: () => this.#flow.pumping,
      failure: () => this.#flow.failure,
      recover: () => this.#recover(),
    }));
  }

  #checkOpen(): void {
    const refusal = this.#refusal();
    if (refusal !== undefined) throw refusal;
  }

  /** A savepoint cannot bring back a lost connection, or a unit that was interrupted. */
  #recover(): boolean {
    const flow = this.#flow;
    if (flow.isLost || flow.failure instanceof UnitTooLongError) return false;
    flow.failure = undefined;
    return true;
  }

  /** Ends the unit from outside: its caller hears of it at once, even when it waits for something else. */
  interrupt(error: StewardError): void {
    if (!this.isOpen) return;
    const wasCommitting = this.#state === "ending";
    this.#rejectAborted?.(error);
    // Whether a COMMIT that is under way comes through is for its answer, or its loss, to say.
    const flow = this.#flow;
    flow.connection?.interrupt(error);
    this.#single?.interrupt(error);
    if (wasCommitting) return;
    flow.failure = error;
    flow.isLost = true;
    void this.rollback();
  }

  #gapBegins(): void {
    if (this.#declared === undefined && this.#state === "open") this.#watch.gapBegins();
  }

  #close(outcome: "committed" | "rolled back" | "unknown"): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#madeWatch?.stop();
    // Otherwise the next unit of this connection would meet the same stale statement.
    const flow = this.#madeFlow;
    flow?.giveBack(isStaleStatement(flow.failure) ? flow.failure : undefined);
    if (flow?.hasSent === true && this.observation !== undefined)
      observeEnd(this.settings.observers, this.observation, outcome, this.#startedAt);
  }
}
