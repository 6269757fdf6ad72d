// Nested units of work: savepoints that are sent with the statement that follows them, so that they cost no round trip.
import { AsyncLocalStorage } from "node:async_hooks";
import type { StewardError } from "../postgres/index.ts";
import { silentRollbackError } from "./unit-errors.ts";
import type { SavepointObserver } from "./unit-settings.ts";

/** What savepoints need of the unit they are in. */
export interface SavepointUnit {
  /** @throws what says why the unit takes no statements */
  checkOpen(): void;
  /** What is under way; undefined when nothing is. */
  pumping(): Promise<void> | undefined;
  failure(): StewardError | undefined;
  /** Forgets the failure, which the savepoint undoes. @returns false: no savepoint can bring the unit back */
  recover(): boolean;
}

interface Frame {
  /** Nested units of one parent run one after the other: savepoints are a stack. */
  tail: Promise<unknown>;
}

const frames = new AsyncLocalStorage<Frame>();

export class Savepoints {
  readonly #unit: SavepointUnit;
  readonly #observers: SavepointObserver[] = [];
  readonly #rootFrame: Frame = { tail: Promise.resolve() };
  /** SAVEPOINT, RELEASE and ROLLBACK TO that were not sent yet. */
  readonly #unsent: string[] = [];
  #count = 0;

  constructor(unit: SavepointUnit) {
    this.#unit = unit;
  }

  get hasUnsent(): boolean {
    return this.#unsent.length > 0;
  }

  /** The commands to send before the next statement. */
  takeUnsent(): string[] {
    return this.#unsent.splice(0);
  }

  /** Gives back what was taken and did not reach the server. */
  putBack(commands: readonly string[]): void {
    this.#unsent.unshift(...commands);
  }

  observe(observer: SavepointObserver): void {
    this.#observers.push(observer);
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
      return await frames.run({ tail: Promise.resolve() }, () => this.#run(work));
    } finally {
      done();
    }
  }

  async #run<T>(work: () => Promise<T> | T): Promise<T> {
    this.#unit.checkOpen();
    const savepoint = ++this.#count;
    for (const observer of this.#observers) await observer.opening(savepoint);
    const open = `SAVEPOINT pgsteward_${savepoint}`;
    const release = `RELEASE ${open}`;
    this.#unsent.push(open);
    /** Nothing was sent since it was opened: it need not be opened at all. */
    const end = (...commands: string[]): void => {
      const unsent = this.#unsent.indexOf(open);
      if (unsent !== -1) this.#unsent.splice(unsent);
      else this.#unsent.push(...commands);
    };
    try {
      const value = await work();
      while (this.#unit.pumping() !== undefined) await this.#unit.pumping();
      const failure = this.#unit.failure();
      if (failure !== undefined) throw silentRollbackError(failure);
      for (const observer of this.#observers) await observer.closing(savepoint);
      end(release);
      return value;
    } catch (error) {
      while (this.#unit.pumping() !== undefined) await this.#unit.pumping();
      if (this.#unit.recover()) {
        end(`ROLLBACK TO ${open}`, release);
        for (const observer of this.#observers) observer.undone(savepoint);
      }
      throw error;
    }
  }
}
