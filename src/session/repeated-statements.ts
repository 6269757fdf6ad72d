// The N+1 report: the same statement again and again in one unit of work, or in one flow of several units, with the place
// in the program that issues it.
import { AsyncLocalStorage } from "node:async_hooks";
import type { CallSite } from "../postgres/index.ts";
import { currentOf, type Recorded } from "./recorder-figures.ts";
import type { ObservedUnit } from "./unit-observer.ts";

/** One statement, repeated in one unit or flow. */
export interface RepeatedStatement {
  /** Normalised when the parser has seen it, as sent before that; values stand in it only when the program wrote them there. */
  readonly text: string;
  readonly fingerprint: string | undefined;
  /** The unit's name. */
  readonly unitName: string | undefined;
  /** Where it was issued, e.g. `loadAgents (/app/agents.ts:12:9)`; the unit's own place when that is not known. */
  readonly issuedAt: string;
  readonly openedAt: string;
  /** `"flow"`: repeated over several units of one request id, or inside `recorder.flow()`. */
  readonly within: "unit" | "flow";
}

export interface RepeatedNotice extends RepeatedStatement {
  /** So far: the notice is given once for a unit or flow, as soon as the threshold is passed. */
  readonly calls: number;
}

export interface RepeatedReport extends RepeatedStatement {
  /** Units, or flows, in which it was repeated. */
  readonly occurrences: number;
  readonly mostCalls: number;
  readonly lastSeen: Date;
}

interface Count {
  calls: number;
  text: string;
  issuedAt: CallSite | undefined;
  entry: Entry | undefined;
}

interface Entry {
  readonly statement: RepeatedStatement;
  readonly recorded: Recorded;
  occurrences: number;
  mostCalls: number;
  lastSeen: number;
}

/** Statements of one unit or flow. Most units have one or two, so the first needs no Map. */
class Trail {
  readonly within: "unit" | "flow";
  total = 0;
  #first: Recorded | undefined;
  readonly #firstCount: Count = { calls: 0, text: "", issuedAt: undefined, entry: undefined };
  #others: Map<Recorded, Count> | undefined;

  constructor(within: "unit" | "flow") {
    this.within = within;
  }

  count(recorded: Recorded): Count {
    this.total++;
    this.#first ??= recorded;
    if (this.#first === recorded) return this.#firstCount;
    this.#others ??= new Map();
    let count = this.#others.get(recorded);
    if (count === undefined) {
      count = { calls: 0, text: "", issuedAt: undefined, entry: undefined };
      // A unit of thousands of different statements is no N+1 and must not fill the memory.
      if (this.#others.size < MAX_SHAPES_PER_TRAIL) this.#others.set(recorded, count);
    }
    return count;
  }

  /** Counts of texts that the parser has given one shape meanwhile, added up. */
  *byShape(): Iterable<[Recorded, Count]> {
    const merged = new Map<Recorded, Count>();
    const all: [Recorded, Count][] = [...(this.#others ?? [])];
    if (this.#first !== undefined) all.unshift([this.#first, this.#firstCount]);
    for (const [recorded, count] of all) {
      const shape = currentOf(recorded);
      const known = merged.get(shape);
      if (known === undefined) merged.set(shape, { ...count });
      else {
        known.calls += count.calls;
        known.issuedAt ??= count.issuedAt;
        known.entry ??= count.entry;
      }
    }
    yield* merged;
  }
}

const MAX_SHAPES_PER_TRAIL = 500;
const MAX_FLOWS = 500;
const MAX_ENTRIES = 200;
const MAX_ENDED = 200;
/** Repeats before the place is asked for. */
const WATCHED_FROM = 2;

export interface RepeatedOptions {
  readonly threshold: number;
  readonly onRepeated: ((notice: RepeatedNotice) => void) | undefined;
}

export class RepeatedStatements {
  readonly #options: RepeatedOptions;
  readonly #requests = new Map<string, Trail>();
  readonly #flows = new AsyncLocalStorage<Trail>();
  readonly #entries = new Map<string, Entry>();
  /** Ended units whose statements may turn out to be one shape. */
  #ended: [ObservedUnit, Trail][] = [];

  constructor(options: RepeatedOptions) {
    this.#options = options;
  }

  /** Runs `work` as one flow: statements of all its units count together. */
  flow<T>(work: () => T): T {
    return this.#flows.run(new Trail("flow"), work);
  }

  note(unit: ObservedUnit, recorded: Recorded, text: string, issuedAt: CallSite | undefined): void {
    const trail = this.#trailOf(unit);
    const count = trail.count(recorded);
    count.calls++;
    if (count.calls === 1) {
      count.text = text;
      return;
    }
    if (issuedAt !== undefined) count.issuedAt = issuedAt;
    if (count.calls >= WATCHED_FROM && count.issuedAt === undefined) unit.watchIssuers();
    if (count.calls <= this.#options.threshold) return;
    if (count.entry !== undefined) {
      if (count.calls > count.entry.mostCalls) count.entry.mostCalls = count.calls;
      return;
    }
    this.#report(unit, trail.within, recorded, count);
  }

  /** A unit is over: texts that differ in their values only are compared once the parser has seen them. */
  ended(unit: ObservedUnit): boolean {
    const trail = unit.memoOf(this);
    if (!(trail instanceof Trail) || trail.total <= this.#options.threshold || this.#ended.length >= MAX_ENDED)
      return false;
    this.#ended.push([unit, trail]);
    return true;
  }

  /** Looks at ended units again, once the parser has seen their texts. */
  review(): void {
    const ended = this.#ended;
    this.#ended = [];
    for (const [unit, trail] of ended) {
      for (const [recorded, count] of trail.byShape()) {
        if (count.calls <= this.#options.threshold) continue;
        if (count.entry === undefined) this.#report(unit, trail.within, recorded, count);
        else count.entry.mostCalls = Math.max(count.entry.mostCalls, count.calls);
      }
    }
  }

  list(): RepeatedReport[] {
    const merged = new Map<string, RepeatedReport>();
    for (const { statement, recorded, occurrences, mostCalls, lastSeen } of this.#entries.values()) {
      const { shape } = currentOf(recorded);
      const text = shape?.text ?? statement.text;
      // Texts that were told apart when they were reported may have turned out to be one shape.
      const key = `${statement.issuedAt}\n${text}`;
      const known = merged.get(key);
      merged.set(key, {
        ...statement,
        text,
        fingerprint: shape?.fingerprint,
        occurrences: occurrences + (known?.occurrences ?? 0),
        mostCalls: Math.max(mostCalls, known?.mostCalls ?? 0),
        lastSeen: new Date(Math.max(lastSeen, known?.lastSeen.getTime() ?? 0)),
      });
    }
    return [...merged.values()];
  }

  #trailOf(unit: ObservedUnit): Trail {
    const flow = this.#flows.getStore();
    if (flow !== undefined) return flow;
    const { requestId } = unit.context;
    const known = requestId === undefined ? unit.memoOf(this) : this.#requests.get(requestId);
    if (known instanceof Trail) return known;
    const trail = new Trail(requestId === undefined ? "unit" : "flow");
    if (requestId === undefined) unit.setMemo(this, trail);
    else {
      this.#requests.set(requestId, trail);
      if (this.#requests.size > MAX_FLOWS) {
        for (const oldest of this.#requests.keys()) {
          this.#requests.delete(oldest);
          break;
        }
      }
    }
    return trail;
  }

  #report(unit: ObservedUnit, within: "unit" | "flow", recorded: Recorded, count: Count): void {
    const { openedAt } = unit;
    const statement: RepeatedStatement = {
      text: recorded.shape?.text ?? count.text,
      fingerprint: recorded.shape?.fingerprint,
      unitName: unit.name,
      issuedAt: placeOf(count.issuedAt) ?? openedAt,
      openedAt,
      within,
    };
    const key = `${statement.issuedAt}\n${count.text}`;
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { statement, recorded, occurrences: 0, mostCalls: 0, lastSeen: 0 };
      if (this.#entries.size >= MAX_ENTRIES) {
        for (const oldest of this.#entries.keys()) {
          this.#entries.delete(oldest);
          break;
        }
      }
      this.#entries.set(key, entry);
    }
    entry.occurrences++;
    entry.mostCalls = Math.max(entry.mostCalls, count.calls);
    entry.lastSeen = Date.now();
    count.entry = entry;
    this.#options.onRepeated?.({ ...statement, calls: count.calls });
  }
}

function placeOf(site: CallSite | undefined): string | undefined {
  const place = String(site ?? "unknown");
  return place === "unknown" ? undefined : place;
}
