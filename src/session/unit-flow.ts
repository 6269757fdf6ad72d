// The statements of one unit of work on their way: queued, sent in one flush per tick behind the savepoints that wait for them, and
// answered; and the connection that carries them, held from the first flush to the end and not longer.
import {
  ConnectionLostError,
  leaseForUnit,
  toStewardError,
  type BatchFailure,
  type LeasedConnection,
  type QueryResult,
  type Statement,
  type StewardError,
  type WireStatement,
} from "../postgres/index.ts";
import { isOutdated, isSuspicious } from "./outdated-statements.ts";
import { isStaleStatement, noteOutdated } from "./retry.ts";
import type { Savepoints } from "./savepoints.ts";
import type { FlushedStatement } from "./single-flush.ts";
import type { StatementNames } from "./statement-names.ts";
import type { UnitCommit } from "./unit-commit.ts";
import { transactionControlError, unitClosedError, unitFailedError } from "./unit-errors.ts";
import { observeFlush, type UnitObservation } from "./unit-observer.ts";
import type { ConnectionHold, UnitSettings } from "./unit-settings.ts";
import { openingStatements } from "./unit-statements.ts";
import type { UnitWatch } from "./unit-watch.ts";

export interface QueuedStatement extends FlushedStatement {
  resolve(result: QueryResult): void;
  reject(error: Error): void;
}

/** What the flow needs of its unit. */
export interface FlowUnit {
  isOpen(): boolean;
  /** Nothing is under way: the unit waits for its caller. */
  gapBegins(): void;
  savepoints(): Savepoints;
  commit(): UnitCommit;
  watch(): UnitWatch;
}

export class UnitFlow {
  readonly #settings: UnitSettings;
  readonly #observation: UnitObservation | undefined;
  readonly #names: StatementNames;
  readonly #unit: FlowUnit;
  connection: LeasedConnection | undefined;
  /** The first flush is out, or on its way. */
  isStarted = false;
  /** Statements of the caller are out. */
  hasSent = false;
  failure: StewardError | undefined;
  /** The connection, or the whole unit, is gone: nothing but the end is possible. */
  isLost = false;
  held: ConnectionHold | undefined;
  /** Carries out the statements of a declared unit, which are all of it. */
  instead: ((items: readonly QueuedStatement[]) => Promise<void>) | undefined;
  #queue: QueuedStatement[] = [];
  #pumping: Promise<void> | undefined;
  /** What was refused, perhaps for what its prepared statement remembers. */
  #suspect: { readonly wire: WireStatement; readonly error: StewardError } | undefined;

  constructor(settings: UnitSettings, observation: UnitObservation | undefined, names: StatementNames, unit: FlowUnit) {
    this.#settings = settings;
    this.#observation = observation;
    this.#names = names;
    this.#unit = unit;
  }

  /** What is under way; undefined when nothing is. */
  get pumping(): Promise<void> | undefined {
    return this.#pumping;
  }

  /** Statements that were not sent yet. */
  get waitingCount(): number {
    return this.#queue.length;
  }

  add(item: QueuedStatement): void {
    this.#queue.push(item);
  }

  /** Takes back what was not sent yet. */
  refuseWaiting(error: StewardError): void {
    for (const item of this.#queue.splice(0)) item.reject(error);
  }

  /** Sends what waits, with what comes in the same tick. */
  schedule(): void {
    if (this.#pumping !== undefined) return;
    this.#unit.watch().gapEnds();
    let finish: () => void = () => undefined;
    this.#pumping = new Promise<void>((resolve) => {
      finish = resolve;
    });
    queueMicrotask(() => {
      void this.#pump().finally(() => {
        this.#pumping = undefined;
        finish();
        if (this.#queue.length > 0 && this.#unit.isOpen()) this.schedule();
      });
    });
  }

  /** Gives `work` the connection, inside the open transaction, with nothing else on it. */
  async exclusive<T>(work: (connection: LeasedConnection) => Promise<T>, hold?: ConnectionHold): Promise<T> {
    while (this.#pumping !== undefined) await this.#pumping;
    let finish: () => void = () => undefined;
    this.#pumping = new Promise<void>((resolve) => {
      finish = resolve;
    });
    try {
      if (!this.isStarted || this.#unit.savepoints().hasUnsent) await this.#send([]);
      if (this.failure !== undefined) throw this.failure;
      const { connection } = this;
      if (connection === undefined) throw unitClosedError(String(this.#settings.openedAt));
      this.hasSent = true;
      this.held = hold;
      return await work(connection);
    } catch (error) {
      // A mistake of `work` itself leaves the transaction as it was; one that the server saw does not.
      if (this.connection?.transactionStatus !== "open") this.failure ??= toStewardError(error);
      throw error;
    } finally {
      this.held = undefined;
      this.#pumping = undefined;
      finish();
      if (this.#queue.length > 0) this.schedule();
      else this.#unit.gapBegins();
    }
  }

  /** Savepoint commands that go before what is sent next. */
  takePrefix(): Statement[] {
    return this.#unit
      .savepoints()
      .takeUnsent()
      .map((text) => ({ text }));
  }

  /** At the end, when the connection is idle: inside a failed transaction the server answers nothing. */
  async askAboutSuspect(): Promise<void> {
    const { wire, error } = this.#suspect ?? {};
    if (wire === undefined || error === undefined || this.connection === undefined || this.isLost) return;
    if (!(await isOutdated(this.connection, this.#settings, wire, error).catch(() => false))) return;
    noteOutdated(error);
    this.failure ??= error;
  }

  /** What the statements of a failed unit get. */
  failedError(): StewardError {
    const cause = this.failure;
    return this.isLost && cause !== undefined ? cause : unitFailedError(cause);
  }

  /** Tells observers of a flush. @param waitedMs - for the connection */
  observe(
    items: readonly FlushedStatement[],
    sent: { results: QueryResult[] } | BatchFailure,
    sentAt: number,
    waitedMs: number,
  ): void {
    if (this.#observation !== undefined && items.length > 0)
      observeFlush(this.#settings.observers, this.#observation, items, sent, sentAt, waitedMs);
  }

  /** Gives the connection back. @param error - why it is of no use any more */
  giveBack(error?: StewardError): void {
    this.connection?.release(error);
    this.connection = undefined;
  }

  async #pump(): Promise<void> {
    while (this.#queue.length > 0) {
      const items = this.#queue;
      this.#queue = [];
      try {
        await this.#send(items);
      } catch (error) {
        const failure = toStewardError(error);
        this.failure ??= failure;
        this.isLost ||= failure instanceof ConnectionLostError;
        for (const item of items) item.reject(failure);
      }
    }
    this.#unit.gapBegins();
  }

  async #send(items: readonly QueuedStatement[]): Promise<void> {
    if (this.failure !== undefined) throw this.failedError();
    if (this.instead !== undefined) {
      this.isStarted = true;
      return this.instead(items);
    }
    const askedAt = performance.now();
    const connection = this.connection ?? (await this.#lease());
    const isFirst = !this.isStarted;
    const prelude = isFirst ? this.#opening(connection.serverVersion) : [];
    const prefix = this.takePrefix();
    const lead = [...prelude, ...prefix];
    const trail = this.#unit.commit().question(items);
    const sentAt = performance.now();
    this.#observation?.startFlush();
    this.isStarted = true;
    const sent = await connection.tryBatch(
      [...lead, ...items.map(({ wire }) => wire), ...trail],
      this.#settings.signal,
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
      this.#unit.savepoints().putBack(prefix.map(({ text }) => text));
      connection.release(sent.error);
      this.connection = undefined;
      this.isStarted = false;
      return this.#send(items.map((item) => ({ ...item, wire: this.#names.wireOf(item.wire.statement) })));
    }
    if (items.length > 0) this.hasSent = true;
    this.observe(items, sent, sentAt, isFirst ? sentAt - askedAt : 0);
    if (!("error" in sent)) {
      if (connection.transactionStatus !== "open") {
        // A function or a statement hidden from our check ended it: what follows would commit by itself.
        this.failure = transactionControlError();
        this.isLost = true;
      }
      if (trail.length > 0) this.#unit.commit().answered(sent.results.at(-1));
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
    this.failure = this.isLost ? (this.failure ?? error) : error;
    if (outcome.kind === "lost") this.isLost = true;
    const failedAt = outcome.kind === "failed" ? outcome.index - offset : -1;
    const refused = items[failedAt]?.wire;
    const { connection } = this;
    if (refused !== undefined && connection !== undefined && isSuspicious({ outcome, error }, refused, connection))
      this.#suspect = { wire: refused, error };
    items.forEach((item, index) => {
      if (outcome.kind === "failed" && index < failedAt) item.resolve(outcome.results[offset + index] as QueryResult);
      else if (outcome.kind === "lost" || index === failedAt || failedAt < 0) item.reject(this.failure ?? error);
      else item.reject(this.failedError());
    });
  }

  async #lease(): Promise<LeasedConnection> {
    const { database, signal, openedAt } = this.#settings;
    const connection = await leaseForUnit(database, { signal, timeoutMs: undefined }, openedAt);
    if (!this.#unit.isOpen() || this.failure !== undefined) {
      connection.release();
      throw this.failure ?? unitClosedError(String(openedAt));
    }
    this.connection = connection;
    this.#unit.watch().start(true);
    return connection;
  }

  #opening(serverVersion: number): WireStatement[] {
    return openingStatements(this.#settings, {
      serverVersion,
      isDeclared: false,
      nameOf: (text) => this.#names.nameOf(text),
    });
  }
}
