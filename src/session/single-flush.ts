// A unit of work whose statements are all known: connection taken, one flush that opens, works and commits, connection given
// back. Neither a transaction is left open nor a connection held while the program does anything else.
import {
  CancelledError,
  leaseForUnit,
  WireStatement,
  type BatchFailure,
  type CallSite,
  type LeasedConnection,
  type QueryResult,
  type Statement,
  type StewardError,
} from "../postgres/index.ts";
import { isOutdated, isSuspicious } from "./outdated-statements.ts";
import { readPosition } from "./replicas.ts";
import { isStaleStatement } from "./retry.ts";
import { StatementNames } from "./statement-names.ts";
import { commitOutcomeUnknown } from "./unit-errors.ts";
import { observationOf, observeEnd, observeFlush, type UnitObservation } from "./unit-observer.ts";
import type { UnitSettings } from "./unit-settings.ts";
import { commitStatements, openingStatements, saysCommit } from "./unit-statements.ts";
import { UnitWatch } from "./unit-watch.ts";

export interface FlushedStatement {
  readonly wire: WireStatement;
  readonly issuedAt: CallSite | undefined;
}

/** Runs statements that need no unit's function around them as one unit of work. */
export async function sendAtOnce(settings: UnitSettings, statements: readonly Statement[]): Promise<QueryResult[]> {
  if (settings.signal?.aborted === true)
    throw new CancelledError("the unit of work was cancelled", { cause: settings.signal.reason });
  const names = new StatementNames(settings.database, settings.usesNames);
  const items = statements.map((statement) => ({ wire: names.wireOf(statement), issuedAt: undefined }));
  const flush = new SingleFlush(settings, observationOf(settings), names, (error) => flush.interrupt(error));
  return flush.send(items);
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
   * The results in the order of the statements. When it rejects nothing was kept, except for a CommitOutcomeUnknownError
   * and a DecodeFailedError.
   */
  async send(items: readonly FlushedStatement[]): Promise<QueryResult[]> {
    const { database, signal, openedAt } = this.#settings;
    const askedAt = performance.now();
    const connection = await leaseForUnit(database, { signal, timeoutMs: undefined }, openedAt);
    if (this.#interruption !== undefined) {
      connection.release();
      throw this.#interruption;
    }
    this.#connection = connection;
    this.#watch.start(false);
    try {
      return await this.#flush(connection, items, performance.now() - askedAt);
    } finally {
      this.#giveBack(); // what is not through by now was never sent
    }
  }

  async #flush(
    connection: LeasedConnection,
    items: readonly FlushedStatement[],
    waitedMs: number,
  ): Promise<QueryResult[]> {
    const { signal, onPosition, isReadOnly } = this.#settings;
    const isSaid = saysCommit(this.#settings);
    const lead = openingStatements(this.#settings, {
      serverVersion: connection.serverVersion,
      isDeclared: true,
      nameOf: (text) => this.#names.nameOf(text),
    });
    const trail = isSaid ? commitStatements(this.#settings, this.#names) : [];
    this.#observation?.startFlush();
    const sentAt = performance.now();
    const sent = await connection.tryBatch([...lead, ...items.map(({ wire }) => wire), ...trail], signal, lead.length);
    if ("error" in sent) {
      if (this.#names.areUsed && isStaleStatement(sent.error) && sent.outcome.kind === "failed") {
        // Nothing of the unit happened yet: a fresh connection, where the text is parsed anew, carries it out. Without
        // names, because a pooler may give us a server connection that knows them already.
        return this.#sendWithoutNames(items, sent.error);
      }
      this.#observe(items, sent, sentAt, waitedMs);
      if (sent.outcome.kind !== "lost" && connection.transactionStatus !== "idle")
        await connection.tryBatch([{ text: "ROLLBACK", name: this.#names.nameOf("ROLLBACK") }], undefined);
      const refused = sent.outcome.kind === "failed" ? items[sent.outcome.index - lead.length]?.wire : undefined;
      if (refused !== undefined && isSuspicious(sent, refused)) {
        if (await isOutdated(connection, this.#settings, refused, sent.error))
          return this.#sendWithoutNames(items, sent.error);
      }
      throw this.#settleFailure(sent, isReadOnly);
    }
    this.#observe(items, sent, sentAt, waitedMs);
    if (onPosition !== undefined) onPosition(readPosition(sent.results.at(-1)));
    this.#end("committed");
    return sent.results.slice(lead.length, lead.length + items.length);
  }

  /** Over a fresh connection: the old one goes on holding what made `error`. */
  #sendWithoutNames(items: readonly FlushedStatement[], error: StewardError): Promise<QueryResult[]> {
    this.#names.stop();
    this.#giveBack(error);
    return this.send(items.map(({ wire, issuedAt }) => ({ wire: new WireStatement(wire.statement), issuedAt })));
  }

  /** Stops what runs; `send` rejects with `error`, unless it was through. */
  interrupt(error: StewardError): void {
    this.#interruption = error;
    this.#connection?.interrupt(error);
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
