// The clock of one unit of work: its limit, its caller's abort signal, and the warnings about long units and long gaps.
import { CancelledError, type StewardError, type UnitTooLongError } from "../postgres/index.ts";
import { unitTooLongError } from "./unit-errors.ts";
import type { UnitSettings, UnitWarning } from "./unit-settings.ts";

export class UnitWatch {
  readonly #settings: UnitSettings;
  readonly #interrupt: (error: StewardError) => void;
  readonly #timers: NodeJS.Timeout[] = [];
  #gapTimer: NodeJS.Timeout | undefined;
  #startedAt: number | undefined;

  constructor(settings: UnitSettings, interrupt: (error: StewardError) => void) {
    this.#settings = settings;
    this.#interrupt = interrupt;
  }

  /** From the moment the unit has its connection. */
  start(isInteractive: boolean): void {
    const { limits, openedAt, signal } = this.#settings;
    const { unitTimeoutMs, unitWarningMs } = limits;
    this.#startedAt = performance.now();
    if (unitTimeoutMs > 0) {
      const onLimit = (): void => this.#interrupt(unitTooLongError(String(openedAt), unitTimeoutMs));
      this.#timers.push(setTimeout(onLimit, unitTimeoutMs));
    }
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    if (unitWarningMs > 0 && isInteractive) {
      this.#timers.push(setTimeout(() => this.#warn("unit open for long", unitWarningMs), unitWarningMs));
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
    const { gapWarningMs } = this.#settings.limits;
    if (gapWarningMs <= 0) return;
    clearTimeout(this.#gapTimer);
    this.#gapTimer = setTimeout(() => this.#warn("gap between statements", gapWarningMs), gapWarningMs);
  }

  gapEnds(): void {
    clearTimeout(this.#gapTimer);
  }

  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    clearTimeout(this.#gapTimer);
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
