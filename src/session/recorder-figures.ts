// Figures of one statement shape, and what of them was written to the database already. Plain counters: they are touched for
// every statement of a program.
import type { StatementShape } from "./statement-shape.ts";
import type { ObservedUnit } from "./unit-observer.ts";

export interface Figures {
  calls: number;
  rows: number;
  errors: number;
  totalMs: number;
  maxMs: number;
  waitedMs: number;
}

export function noFigures(): Figures {
  return { calls: 0, rows: 0, errors: 0, totalMs: 0, maxMs: 0, waitedMs: 0 };
}

export function addFigures(to: Figures, from: Figures): void {
  to.calls += from.calls;
  to.rows += from.rows;
  to.errors += from.errors;
  to.totalMs += from.totalMs;
  to.waitedMs += from.waitedMs;
  if (from.maxMs > to.maxMs) to.maxMs = from.maxMs;
}

const MAX_UNITS = 16;
const MAX_CALLERS = 8;
const MAX_PLACES_KEPT = 16;
const UNNAMED = "";

/** All that is recorded for one shape, or for one text until its shape is known. */
export class Recorded {
  /** Undefined until the parser has seen it, and for the entry that stands for folded shapes. */
  shape: StatementShape | undefined;
  readonly figures: Figures = noFigures();
  /** The part of `figures` that is in the database. */
  readonly written: Figures = noFigures();
  readonly units = new Map<string, number>();
  readonly callers = new Set<string>();
  /** Units whose place is not made into text yet. */
  readonly places: ObservedUnit[] = [];
  readonly samples: string[][] = [];
  /** The one that took over what this one held. */
  heir: Recorded | undefined;
  firstSeen = 0;
  lastSeen = 0;

  add(unit: ObservedUnit, rows: number, tookMs: number, waitedMs: number, isError: boolean, now: number): void {
    const { figures } = this;
    figures.calls++;
    figures.rows += rows;
    figures.totalMs += tookMs;
    figures.waitedMs += waitedMs;
    if (tookMs > figures.maxMs) figures.maxMs = tookMs;
    if (isError) figures.errors++;
    if (figures.calls === 1) this.firstSeen = now;
    this.lastSeen = now;
    const name = unit.name ?? UNNAMED;
    const known = this.units.get(name);
    if (known !== undefined || this.units.size < MAX_UNITS) this.units.set(name, (known ?? 0) + 1);
    // A place costs a formatted stack: taken for a new name of a unit, and for the 1st, 2nd, 4th, 8th … call.
    const isSampled = known === undefined || (figures.calls & (figures.calls - 1)) === 0;
    if (isSampled && this.places.length < MAX_PLACES_KEPT && this.callers.size < MAX_CALLERS) this.places.push(unit);
  }

  /** Makes the texts of the places seen so far. */
  resolveCallers(): void {
    for (const unit of this.places.splice(0)) if (this.callers.size < MAX_CALLERS) this.callers.add(unit.openedAt);
  }

  /** Takes over what another one holds. */
  absorb(other: Recorded): void {
    other.heir = this;
    this.firstSeen = this.figures.calls === 0 ? other.firstSeen : Math.min(this.firstSeen, other.firstSeen);
    this.lastSeen = Math.max(this.lastSeen, other.lastSeen);
    addFigures(this.figures, other.figures);
    addFigures(this.written, other.written);
    other.resolveCallers();
    for (const caller of other.callers) if (this.callers.size < MAX_CALLERS) this.callers.add(caller);
    for (const [name, calls] of other.units) {
      const known = this.units.get(name);
      if (known !== undefined || this.units.size < MAX_UNITS) this.units.set(name, (known ?? 0) + calls);
    }
  }

  /** What is not in the database yet. */
  unwritten(): Figures {
    const { figures, written } = this;
    return {
      calls: figures.calls - written.calls,
      rows: figures.rows - written.rows,
      errors: figures.errors - written.errors,
      totalMs: figures.totalMs - written.totalMs,
      maxMs: figures.maxMs,
      waitedMs: figures.waitedMs - written.waitedMs,
    };
  }
}

/** The one that counts now for what was counted before. */
export function currentOf(recorded: Recorded): Recorded {
  let current = recorded;
  while (current.heir !== undefined) current = current.heir;
  return current;
}
