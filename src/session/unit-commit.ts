// The end of an interactive unit: what runs before its COMMIT, what travels with it, and what became of it when its answer was lost.
import { ConnectionLostError, type QueryResult, type Statement, type StewardError } from "../postgres/index.ts";
import { askOutcome, evidenceStatement, mayWrite, readEvidence, type CommitEvidence } from "./commit-outcome.ts";
import type { FlushedStatement } from "./single-flush.ts";
import type { StatementNames } from "./statement-names.ts";
import { commitOutcomeUnknown } from "./unit-errors.ts";
import type { LastStatement, UnitSettings } from "./unit-settings.ts";

/** A statement of the flush of COMMIT, ready to be sent. */
export type CarriedStatement = LastStatement & FlushedStatement;

export class UnitCommit {
  readonly #settings: UnitSettings;
  readonly #names: StatementNames;
  readonly #hooks: (() => Promise<void>)[] = [];
  #lastHook: (() => Promise<void>) | undefined;
  readonly #last: LastStatement[] = [];
  #evidence: CommitEvidence | undefined;

  constructor(settings: UnitSettings, names: StatementNames) {
    this.#settings = settings;
    this.#names = names;
  }

  /** Runs just before COMMIT; what it sends is part of the unit. */
  before(hook: () => Promise<void>): void {
    this.#hooks.push(hook);
  }

  /** The one hook that runs after all others; only there statements may be left for the flush of COMMIT. */
  lastBefore(hook: () => Promise<void>): void {
    this.#lastHook = hook;
  }

  async runHooks(): Promise<void> {
    for (const hook of this.#hooks.splice(0)) await hook();
    await this.#lastHook?.();
  }

  /** When the answer to COMMIT is lost, it can be found out what became of it; or nobody wants to know. */
  get isKnowable(): boolean {
    const { checksCommit, database } = this.#settings;
    return !checksCommit || database.kind !== "server" || this.#evidence !== undefined;
  }

  carry(last: LastStatement): void {
    this.#last.push(last);
  }

  carried(issuedAt: FlushedStatement["issuedAt"]): readonly CarriedStatement[] {
    return this.#last.map((item) => ({ ...item, wire: this.#names.wireOf(item.statement), issuedAt }));
  }

  /** Travels behind statements that may write, until the id of the transaction is known. */
  question(items: readonly FlushedStatement[]): Statement[] {
    const { checksCommit, isReadOnly, database } = this.#settings;
    const isWanted = checksCommit && !isReadOnly && this.#evidence === undefined && database.kind === "server";
    if (!isWanted || !mayWrite(items.map(({ wire }) => wire.statement))) return [];
    return [evidenceStatement((text) => this.#names.nameOf(text))];
  }

  answered(result: QueryResult | undefined): void {
    this.#evidence = readEvidence(result);
  }

  /** The answer to COMMIT was lost: the server is asked what became of it, where that can be known. */
  async outcome(): Promise<"committed" | "rolled back" | "unknown"> {
    if (this.#evidence === undefined) return "unknown";
    const { database, openedAt, signal } = this.#settings;
    const outcome = await askOutcome(database, this.#evidence, openedAt, signal);
    return outcome === "aborted" ? "rolled back" : outcome;
  }
}

/** What the caller of a unit gets whose answer to COMMIT was lost, and that is not known to be committed. */
export function lostCommitError(outcome: "rolled back" | "unknown", error: StewardError): StewardError {
  if (outcome === "unknown") return commitOutcomeUnknown(error);
  return new ConnectionLostError("the connection was lost while the unit was committing, and nothing of it was kept", {
    cause: error,
    hint: "run the unit of work again",
  });
}
