// The clock of one unit of work: its limit, its caller's abort signal, and the warnings about long units and long gaps.
import { CancelledError, type StewardError, type UnitTooLongError } from "../postgres/index.ts";
import { addDeadline, removeDeadline, type Deadline } from "./deadlines.ts";
import { idleTooLongError, unitTooLongError } from "./unit-errors.ts";
import type { UnitSettings, UnitWarning } from "./unit-settings.ts";

export class UnitWatch {
  readonly #settings: UnitSettings;
  readonly #interrupt: (error: StewardError) => void;
  #limit: Deadline | undefined;
  #warning: Deadline | undefined;
  #gap: Deadline | undefined;
  #idle: Deadline | undefined;
  #startedAt: number | undefined;

  constructor(settings: UnitSettings, interrupt: (error: StewardError) => void) {
    this.#settings = settings;
    this.#interrupt = interrupt;
  }

  /** From the moment the unit has its connection. */
  start(isInteractive: boolean): void {
    const { limits, openedAt, signal } = this.#settings;
    const { unitTimeoutMs, unitWarningMs } = limits;
    if (isInteractive) this.#startedAt = performance.now();
    if (unitTimeoutMs > 0) {
      const onLimit = (): void => this.#interrupt(unitTooLongError(String(openedAt), unitTimeoutMs));
      this.#limit = addDeadline(unitTimeoutMs, onLimit);
    }
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    if (unitWarningMs > 0 && isInteractive) {
      this.#warning = addDeadline(unitWarningMs, () => this.#warn("unit open for long", unitWarningMs));
    }
  }

  /**
   * The error of a unit that is past its limit although no timer could say so: something kept the process busy all the time
   * (a statement of the embedded database does).
   */
  overLimit(): UnitTooLongError | undefined {
    const { limits, openedAt } = this.#settings;
    const isOver = limits.unitTimeoutMs > 0 && performance.now() - (this.#startedAt ?? Infinity) > limits.unitTimeoutMs;
    return isOver ? unitTooLongError(String(openedAt), limits.unitTimeoutMs) : undefined;
  }

  /** The unit waits for its caller. */
  gapBegins(): void {
    const { limits, database, openedAt } = this.#settings;
    const { gapWarningMs, idleInTransactionTimeoutMs } = limits;
    this.gapEnds();
    if (gapWarningMs > 0)
      this.#gap = addDeadline(gapWarningMs, () => this.#warn("gap between statements", gapWarningMs));
    // A server keeps this limit itself.
    if (database.kind === "pglite" && idleInTransactionTimeoutMs > 0) {
      const onLimit = (): void => this.#interrupt(idleTooLongError(String(openedAt), idleInTransactionTimeoutMs));
      this.#idle = addDeadline(idleInTransactionTimeoutMs, onLimit);
    }
  }

  gapEnds(): void {
    removeDeadline(this.#gap);
    removeDeadline(this.#idle);
  }

  stop(): void {
    removeDeadline(this.#limit);
    removeDeadline(this.#warning);
    this.gapEnds();
    this.#settings.signal?.removeEventListener("abort", this.#onAbort);
  }

  readonly #onAbort = (): void => {
    this.#interrupt(new CancelledError("the unit of work was cancelled", { cause: this.#settings.signal?.reason }));
  };

  #warn(kind: UnitWarning["kind"], afterMs: number): void {
    const { name, openedAt, onWarning } = this.#settings;
    onWarning({ kind, afterMs, name, openedAt: String(openedAt) });
  }
}
