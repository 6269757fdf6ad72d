// A unit of work that does one step at a time, on command: so that the steps of several units can be put into one order.
import { sql } from "drizzle-orm";
import type { IsolationLevel, SessionFactory } from "../../src/session/index.ts";

export type StepRows = readonly Readonly<Record<string, unknown>>[];

export interface SteppedUnit {
  /** Runs one statement inside the unit. */
  query(text: string): Promise<StepRows>;
  /** Lets the unit's function return. Resolves when the unit has committed. */
  commit(): Promise<void>;
  /** Makes the unit's function throw. Resolves when the unit is over. */
  abort(): Promise<void>;
}

type Step =
  | { readonly kind: "query"; readonly text: string; readonly settle: (rows: Promise<StepRows>) => void }
  | { readonly kind: "commit" }
  | { readonly kind: "abort" };

const ABORTED = new Error("aborted on command");

export function steppedUnit(sessions: SessionFactory, isolation: IsolationLevel): SteppedUnit {
  const steps: Step[] = [];
  let wake: () => void = () => undefined;
  const push = (step: Step): void => {
    steps.push(step);
    wake();
  };
  const work = sessions.begin(
    {},
    async (tx) => {
      for (;;) {
        const step = steps.shift();
        if (step === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        if (step.kind === "commit") return;
        if (step.kind === "abort") throw ABORTED;
        const rows = tx.execute(sql.raw(step.text)).then((result) => result.rows);
        step.settle(rows);
        await rows.catch(() => undefined); // the one who asked for the step hears of it
      }
    },
    { isolation, retry: false },
  );
  work.catch(() => undefined);
  return {
    query: (text) =>
      new Promise((resolve) => {
        push({ kind: "query", text, settle: resolve });
      }),
    commit: () => {
      push({ kind: "commit" });
      return work;
    },
    abort: async () => {
      push({ kind: "abort" });
      await work.catch(() => undefined);
    },
  };
}
