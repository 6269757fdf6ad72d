// What recorders are told about units of work: every flush, every end, and, once they ask for it, the place in the program
// that issued a statement. Nothing here is made for a factory without observers.
import {
  callSite,
  type BatchFailure,
  type CallSite,
  type QueryResult,
  type Statement,
  type StewardError,
  type WireStatement,
} from "../postgres/index.ts";
import type { SessionContext } from "./context.ts";
import type { UnitSettings } from "./unit-settings.ts";

/** A unit as observers see it: the same object for all its flushes and its end, so that it can be a key. */
export interface ObservedUnit {
  readonly name: string | undefined;
  /** Where it was opened. Making this text costs more than a short unit itself: ask for it rarely. */
  readonly openedAt: string;
  readonly context: SessionContext;
  /** From now until the next flush is told, statements know where they were issued (`issuedAt`). */
  watchIssuers(): void;
  /** What an observer keeps with this unit; undefined at first. A WeakMap costs more: the collector visits its keys. */
  memoOf(observer: object): unknown;
  setMemo(observer: object, memo: unknown): void;
}

export interface ObservedStatement {
  /** With its values. */
  readonly statement: Statement;
  readonly rowCount: number | null;
  /**
   * Where the statement was built. Known when an observer watches, or when several are built within one flush; for most
   * statements it is not taken.
   */
  readonly issuedAt: CallSite | undefined;
}

/** One flush of a unit, for recorders. */
export interface FlushRecord {
  readonly unit: ObservedUnit;
  readonly statements: readonly ObservedStatement[];
  /** From writing to the last answer, in milliseconds; shared by all statements of the flush. */
  readonly tookMs: number;
  /** Wait for a connection of the pool, in milliseconds; 0 but for a unit's first flush. */
  readonly waitedMs: number;
  readonly error: StewardError | undefined;
}

export interface EndRecord {
  readonly unit: ObservedUnit;
  readonly name: string | undefined;
  readonly openedAt: string;
  readonly outcome: "committed" | "rolled back" | "unknown";
  readonly tookMs: number;
}

/** Called while a unit runs: must be quick and must not throw. */
export interface UnitObserver {
  flushed?(record: FlushRecord): void;
  ended?(unit: EndRecord): void;
}

/** Statements built within one flush before the place of the next one is taken: a place costs about as much as ten notes. */
const BUILT_BEFORE_PLACE = 3;

/** Keeps what observers of one unit may ask for. */
export class UnitObservation implements ObservedUnit {
  readonly name: string | undefined;
  readonly context: SessionContext;
  readonly #openedAt: CallSite;
  #isWatched = false;
  #built = 0;
  #issuer: CallSite | undefined;
  #memo: unknown;
  #memoOwner: object | undefined;
  #otherMemos: Map<object, unknown> | undefined;

  constructor(name: string | undefined, context: SessionContext, openedAt: CallSite) {
    this.name = name;
    this.context = context;
    this.#openedAt = openedAt;
  }

  get openedAt(): string {
    return String(this.#openedAt);
  }

  watchIssuers(): void {
    this.#isWatched = true;
  }

  memoOf(observer: object): unknown {
    return this.#memoOwner === observer ? this.#memo : this.#otherMemos?.get(observer);
  }

  setMemo(observer: object, memo: unknown): void {
    this.#memoOwner ??= observer;
    if (this.#memoOwner === observer) this.#memo = memo;
    else (this.#otherMemos ??= new Map<object, unknown>()).set(observer, memo);
  }

  /**
   * A statement is being built by the caller. Its place is taken here and not when it is sent: `await builder` calls the
   * builder's `then` from an empty stack.
   */
  noteBuilt(): void {
    this.#built++;
    if (this.#isWatched || this.#built === BUILT_BEFORE_PLACE + 1) this.#issuer = callSite();
  }

  /** The place of what was built last, if it was taken. */
  get issuer(): CallSite | undefined {
    return this.#issuer;
  }

  /** A flush begins: what is built from now on belongs to the next one. */
  startFlush(): void {
    this.#built = 0;
    this.#issuer = undefined;
    this.#isWatched = false;
  }
}

/** Only when somebody observes. */
export function observationOf({ observers, name, context, openedAt }: UnitSettings): UnitObservation | undefined {
  return observers.length === 0 ? undefined : new UnitObservation(name, context, openedAt);
}

/** Tells the observers of one flush. */
export function observeFlush(
  observers: readonly UnitObserver[],
  unit: UnitObservation,
  items: readonly { readonly wire: WireStatement; readonly issuedAt: CallSite | undefined }[],
  sent: { results: QueryResult[] } | BatchFailure,
  sentAt: number,
  waitedMs: number,
): void {
  const record: FlushRecord = {
    unit,
    statements: items.map(({ wire, issuedAt }) => ({
      statement: wire.statement,
      rowCount: wire.result.rowCount,
      issuedAt,
    })),
    tookMs: performance.now() - sentAt,
    waitedMs,
    error: "error" in sent ? sent.error : undefined,
  };
  for (const observer of observers) observer.flushed?.(record);
}

/** Tells the observers of a statement that went neither with others nor through the queue of its unit. */
export function observeStatement(
  observers: readonly UnitObserver[],
  unit: UnitObservation,
  ran: Pick<ObservedStatement, "statement" | "rowCount">,
  sentAt: number,
  error: StewardError | undefined,
): void {
  const statements = [{ ...ran, issuedAt: unit.issuer }];
  const record: FlushRecord = { unit, statements, tookMs: performance.now() - sentAt, waitedMs: 0, error };
  for (const observer of observers) observer.flushed?.(record);
}

export function observeEnd(
  observers: readonly UnitObserver[],
  unit: UnitObservation,
  outcome: EndRecord["outcome"],
  startedAt: number,
): void {
  const end = new UnitEnd(unit, outcome, Date.now() - startedAt);
  for (const observer of observers) observer.ended?.(end);
}

/** An end whose texts are made when they are asked for. */
class UnitEnd implements EndRecord {
  readonly unit: ObservedUnit;
  readonly outcome: EndRecord["outcome"];
  readonly tookMs: number;
  constructor(unit: ObservedUnit, outcome: EndRecord["outcome"], tookMs: number) {
    this.unit = unit;
    this.outcome = outcome;
    this.tookMs = tookMs;
  }
  get name(): string | undefined {
    return this.unit.name;
  }
  get openedAt(): string {
    return this.unit.openedAt;
  }
}
