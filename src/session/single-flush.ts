// A unit of work whose statements are all known: connection taken, one flush that opens, works and commits, connection given
// back. Neither a transaction is left open nor a connection held while the program does anything else.
import {
  leaseForUnit,
  WireStatement,
  type BatchFailure,
  type CallSite,
  type LeasedConnection,
  type QueryResult,
  type StewardError,
} from "../postgres/index.ts";
import { isOutdated, isSuspicious } from "./outdated-statements.ts";
import { readPosition } from "./replicas.ts";
import { isStaleStatement } from "./retry.ts";
import type { StatementNames } from "./statement-names.ts";
import { commitOutcomeUnknown } from "./unit-errors.ts";
import { observeEnd, observeFlush, type UnitObservation } from "./unit-observer.ts";
import type { UnitSettings } from "./unit-settings.ts";
import { commitStatements, openingStatements, saysCommit } from "./unit-statements.ts";
import { UnitWatch } from "./unit-watch.ts";

export interface FlushedStatement {
  readonly wire: WireStatement;
  readonly issuedAt: CallSite | undefined;
}

export class SingleFlush {
  readonly #settings: UnitSettings;
  readonly #observation: UnitObservation | undefined;
  readonly #names: StatementNames;
  readonly #watch: UnitWatch;
  readonly #startedAt = Date.now();
  #connection: LeasedConnection | undefined;
  #interruption: StewardError | undefined;

  /** @param onLimit - told when the unit is over its limit or its signal fires; calls `interrupt` */
  constructor(
    settings: UnitSettings,
    observation: UnitObservation | undefined,
    names: StatementNames,
    onLimit: (error: StewardError) => void,
  ) {
    this.#settings = settings;
    this.#observation = observation;
    this.#names = names;
    this.#watch = new UnitWatch(settings, onLimit);
  }

  /**
   * What `finish` makes of the results, which are in the order of the statements. When it rejects nothing was kept, except for a
   * CommitOutcomeUnknownError, a DecodeFailedError, and what `finish` throws.
   */
  async send<T>(items: readonly FlushedStatement[], finish: (results: readonly QueryResult[]) => T): Promise<T> {
    const { database, signal, openedAt, isReadOnly, onPosition } = this.#settings;
    const askedAt = this.#clock();
    const leased = leaseForUnit(database, { signal, timeoutMs: undefined }, openedAt);
    const connection = leased instanceof Promise ? await leased : leased;
    if (this.#interruption !== undefined) {
      connection.release();
      throw this.#interruption;
    }
    this.#connection = connection;
    this.#watch.start(false);
    try {
      const lead = openingStatements(this.#settings, {
        serverVersion: connection.serverVersion,
        isDeclared: true,
        nameOf: (text) => this.#names.nameOf(text),
      });
      const trail = saysCommit(this.#settings) ? commitStatements(this.#settings, this.#names) : [];
      this.#observation?.startFlush();
      const sentAt = this.#clock();
      const sent = await connection.tryBatch(
        [...lead, ...items.map(({ wire }) => wire), ...trail],
        signal,
        lead.length,
      );
      if ("error" in sent && sent.outcome.kind === "failed" && this.#names.areUsed && isStaleStatement(sent.error)) {
        // Nothing of the unit happened yet: a fresh connection, where the text is parsed anew, carries it out. Without
        // names, because a pooler may give us a server connection that knows them already.
        return await this.#sendWithoutNames(items, finish, sent.error);
      }
      this.#observe(items, sent, sentAt, sentAt - askedAt);
      if ("error" in sent) {
        if (sent.outcome.kind !== "lost" && connection.transactionStatus !== "idle")
          await connection.tryBatch([{ text: "ROLLBACK", name: this.#names.nameOf("ROLLBACK") }], undefined);
        const refused = sent.outcome.kind === "failed" ? items[sent.outcome.index - lead.length]?.wire : undefined;
        if (refused !== undefined && isSuspicious(sent, refused, connection)) {
          if (await isOutdated(connection, this.#settings, refused, sent.error))
            return await this.#sendWithoutNames(items, finish, sent.error);
        }
        throw this.#settleFailure(sent, isReadOnly);
      }
      if (onPosition !== undefined) onPosition(readPosition(sent.results.at(-1)));
      this.#end("committed");
      return finish(sent.results.slice(lead.length, lead.length + items.length));
    } finally {
      this.#giveBack(); // what is not through by now was never sent
    }
  }

  /** Over a fresh connection: the old one goes on holding what made `error`. */
  #sendWithoutNames<T>(
    items: readonly FlushedStatement[],
    finish: (results: readonly QueryResult[]) => T,
    error: StewardError,
  ): Promise<T> {
    this.#names.stop();
    this.#giveBack(error);
    const unnamed = items.map(({ wire, issuedAt }) => ({ wire: new WireStatement(wire.statement), issuedAt }));
    return this.send(unnamed, finish);
  }

  /** Stops what runs; `send` rejects with `error`, unless it was through. */
  interrupt(error: StewardError): void {
    this.#interruption = error;
    this.#connection?.interrupt(error);
  }

  /** Milliseconds, for observers. */
  #clock(): number {
    return this.#observation === undefined ? 0 : performance.now();
  }

  #settleFailure({ outcome, error }: BatchFailure, isReadOnly: boolean): StewardError {
    const isUnknown = outcome.kind === "lost" && outcome.wasSent && !isReadOnly;
    const failure = isUnknown ? commitOutcomeUnknown(error) : (this.#interruption ?? error);
    if (isStaleStatement(error)) this.#giveBack(error); // the next unit would meet the same statement
    this.#end(isUnknown ? "unknown" : outcome.kind === "undecodable" ? "committed" : "rolled back");
    return failure;
  }

  #observe(
    items: readonly FlushedStatement[],
    sent: { results: QueryResult[] } | BatchFailure,
    sentAt: number,
    waitedMs: number,
  ): void {
    if (this.#observation !== undefined)
      observeFlush(this.#settings.observers, this.#observation, items, sent, sentAt, waitedMs);
  }

  #end(outcome: "committed" | "rolled back" | "unknown"): void {
    this.#giveBack();
    if (this.#observation !== undefined)
      observeEnd(this.#settings.observers, this.#observation, outcome, this.#startedAt);
  }

  #giveBack(error?: StewardError): void {
    this.#watch.stop();
    this.#connection?.release(error);
    this.#connection = undefined;
  }
}
