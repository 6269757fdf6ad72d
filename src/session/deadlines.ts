// Limits of many short units on one timer: nearly all are taken back within milliseconds, and a timer for each costs more
// than the note that it is kept in here.
import { driverIO } from "../postgres/index.ts";

export interface Deadline {
  readonly at: number;
  readonly run: () => void;
}

const deadlines = new Set<Deadline>();
let timer: NodeJS.Timeout | undefined;
let timerAt = Infinity;

/** Calls `run` after `afterMs` milliseconds, unless it is taken back. Does not keep the process alive. */
export function addDeadline(afterMs: number, run: () => void): Deadline {
  const deadline: Deadline = { at: performance.now() + afterMs, run };
  deadlines.add(deadline);
  if (deadline.at < timerAt) setTimer(deadline.at);
  return deadline;
}

export function removeDeadline(deadline: Deadline | undefined): void {
  if (deadline !== undefined) deadlines.delete(deadline);
}

function setTimer(at: number): void {
  clearTimeout(timer);
  timerAt = at;
  // In no unit's flow: the timer outlives the unit that happens to set it.
  timer = driverIO(() => setTimeout(onTimer, Math.max(0, Math.ceil(at - performance.now()))));
  timer.unref();
}

function onTimer(): void {
  timer = undefined;
  timerAt = Infinity;
  const now = performance.now();
  const due = [...deadlines].filter(({ at }) => at <= now);
  for (const deadline of due) {
    if (!deadlines.delete(deadline)) continue;
    try {
      deadline.run();
    } catch (error) {
      // A program's own callback (onWarning): the limits of all other units must hold all the same.
      process.emitWarning(error instanceof Error ? error : new Error(String(error)));
    }
  }
  let next = Infinity;
  for (const { at } of deadlines) next = Math.min(next, at);
  if (next < timerAt) setTimer(next);
}
