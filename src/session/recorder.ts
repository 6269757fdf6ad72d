// createRecorder(): listens to units of work and keeps, for each statement shape, how often it ran, how long, for how many
// rows, from where. Memory is bounded; the parser works beside the units, never in them.
import { createHash, randomUUID } from "node:crypto";
import {
  driverIO,
  InvalidInputError,
  type Database,
  type DatabaseError,
  type StewardError,
} from "../postgres/index.ts";
import { ParameterSampler } from "./parameter-samples.ts";
import { addFigures, currentOf, Recorded, type Figures } from "./recorder-figures.ts";
import { writeStatements, type StatementRow } from "./recorder-table.ts";
import type { RecordedStatement, Recorder, RecorderOptions } from "./recorder-options.ts";
import { RepeatedStatements, type RepeatedReport } from "./repeated-statements.ts";
import { loadParser, statementShape } from "./statement-shape.ts";
import type { EndRecord, FlushRecord } from "./unit-observer.ts";

export type { RecordedStatement, Recorder, RecorderOptions } from "./recorder-options.ts";

const OTHER = "other";
/** Longer texts are looked up by their hash. */
const MAX_KEY_LENGTH = 4_096;
const MAX_PENDING = 2_000;
const ANALYSE_AFTER_MS = 50;

/**
 * @example
 * const recorder = createRecorder();
 * const sessions = createSessionFactory(db, { observers: [recorder] });
 * console.table(await recorder.statements());
 */
export function createRecorder(options: RecorderOptions = {}): Recorder {
  for (const name of ["maxStatements", "n1Threshold"] as const) {
    const value = options[name];
    if (value !== undefined && (!Number.isSafeInteger(value) || value < 1))
      throw new InvalidInputError(`${name} must be a whole number of at least 1`);
  }
  const { flushIntervalMs = 60_000 } = options;
  if (!Number.isSafeInteger(flushIntervalMs) || flushIntervalMs < 0 || flushIntervalMs > 2 ** 31 - 1)
    throw new InvalidInputError("flushIntervalMs must be a whole number of milliseconds, or 0");
  return new StatementRecorder(options, flushIntervalMs);
}

interface TextEntry {
  recorded: Recorded;
  hits: number;
}
interface PendingText {
  readonly text: string;
  readonly entry: TextEntry;
  readonly values: readonly unknown[] | undefined;
}
interface Write {
  readonly id: string;
  readonly rows: readonly StatementRow[];
  readonly added: readonly (readonly [Recorded, Figures])[];
}

class StatementRecorder implements Recorder {
  readonly #maxStatements: number;
  readonly #intervalMs: number;
  readonly #sampler: ParameterSampler | undefined;
  readonly #repeated: RepeatedStatements;
  readonly #onError: (error: unknown) => void;
  readonly #texts = new Map<string, TextEntry>();
  readonly #shapes = new Map<string, Recorded>();
  readonly #other = new Recorded();
  #folded = 0;
  readonly #pending: PendingText[] = [];
  #analysis: Promise<void> | undefined;
  #analysisTimer: NodeJS.Timeout | undefined;
  #database: Database | undefined;
  #writeTimer: NodeJS.Timeout | undefined;
  #writing: Promise<unknown> = Promise.resolve();
  #unsent: Write | undefined;
  #isReported = false;
  #isClosed = false;

  constructor(options: RecorderOptions, intervalMs: number) {
    this.#maxStatements = options.maxStatements ?? 1_000;
    this.#intervalMs = intervalMs;
    const { sampleParameters = false, onError, onRepeated } = options;
    this.#onError = onError ?? warnProcess;
    if (sampleParameters !== false)
      this.#sampler = new ParameterSampler(sampleParameters === true ? {} : sampleParameters);
    this.#repeated = new RepeatedStatements({ threshold: options.n1Threshold ?? 10, onRepeated });
    if (options.database !== undefined) this.#useDatabase(options.database);
  }

  flushed(record: FlushRecord): void {
    try {
      this.#record(record);
    } catch (error) {
      this.#report(error); // of onRepeated or redact: the unit must not fail for it
    }
  }

  ended(end: EndRecord): void {
    if (this.#repeated.ended(end.unit)) this.#scheduleAnalysis();
  }

  #record({ unit, statements, tookMs, waitedMs, error }: FlushRecord): void {
    const failedAt = error === undefined ? statements.length : failedIndex(error);
    const ran = failedAt === undefined ? statements.length : Math.min(failedAt + 1, statements.length);
    const share = tookMs / ran;
    const now = Date.now();
    for (let index = 0; index < ran; index++) {
      const observed = statements[index];
      if (observed === undefined) continue;
      const { statement, rowCount, issuedAt } = observed;
      const entry = this.#entryOf(statement.text, statement.values);
      entry.hits++;
      const isError = error !== undefined && (failedAt === undefined || index === failedAt);
      const { recorded } = entry;
      recorded.add(unit, rowCount ?? 0, share, index === 0 ? waitedMs : 0, isError, now);
      if (this.#sampler !== undefined && recorded.shape !== undefined) this.#sample(recorded, statement.values);
      this.#repeated.note(unit, recorded, statement.text, issuedAt);
    }
  }

  #entryOf(text: string, values: readonly unknown[] | undefined): TextEntry {
    const key = text.length <= MAX_KEY_LENGTH ? text : createHash("sha1").update(text).digest("base64");
    const known = this.#texts.get(key);
    if (known !== undefined) return known;
    if (this.#pending.length >= MAX_PENDING) {
      this.#folded++;
      return { recorded: this.#other, hits: 0 };
    }
    const entry: TextEntry = { recorded: new Recorded(), hits: 0 };
    this.#texts.set(key, entry);
    if (this.#texts.size > 4 * this.#maxStatements) this.#forgetTexts();
    this.#pending.push({ text, entry, values: this.#sampler === undefined ? undefined : values });
    this.#scheduleAnalysis();
    return entry;
  }

  /** Drops the older half of the texts that were not used since the last time; their figures are in their shapes. */
  #forgetTexts(): void {
    let left = this.#maxStatements * 2;
    for (const [key, entry] of this.#texts) {
      if (left-- <= 0) break;
      this.#texts.delete(key);
      if (entry.hits > 0) this.#texts.set(key, { recorded: entry.recorded, hits: 0 });
    }
    // Used ones went to the end; when all were used, the oldest go all the same.
    for (const key of this.#texts.keys()) {
      if (this.#texts.size <= 4 * this.#maxStatements) break;
      this.#texts.delete(key);
    }
  }

  #sample(recorded: Recorded, values: readonly unknown[] | undefined): void {
    const { calls } = recorded.figures;
    if (recorded.shape === undefined || values === undefined || values.length === 0) return;
    if ((calls & (calls - 1)) === 0 && this.#sampler?.allows(recorded.shape) === true)
      this.#sampler.add(recorded.samples, recorded.shape, values);
  }

  #scheduleAnalysis(): void {
    if (this.#analysisTimer !== undefined || this.#isClosed) return;
    driverIO(() => {
      this.#analysisTimer = setTimeout(() => {
        this.#analysisTimer = undefined;
        this.#analyse().catch((error: unknown) => this.#report(error));
      }, ANALYSE_AFTER_MS).unref();
    });
  }

  /** Gives every text its shape, one text per turn of the event loop. */
  #analyse(): Promise<void> {
    this.#analysis ??= this.#analysePending().finally(() => {
      this.#analysis = undefined;
    });
    return this.#analysis;
  }

  async #analysePending(): Promise<void> {
    await loadParser();
    for (;;) {
      const next = this.#pending.shift();
      if (next === undefined) break;
      this.#giveShape(next);
      if (this.#pending.length > 0) await new Promise((resolve) => setImmediate(resolve));
    }
    this.#repeated.review();
  }

  #giveShape({ text, entry, values }: PendingText): void {
    const shape = statementShape(text);
    const known = this.#shapes.get(shape.fingerprint);
    if (known === undefined) {
      entry.recorded.shape = shape;
      this.#shapes.set(shape.fingerprint, entry.recorded);
      if (this.#shapes.size > this.#maxStatements) this.#fold(entry.recorded);
    } else {
      known.absorb(entry.recorded);
      entry.recorded = known;
    }
    if (values !== undefined && values.length > 0 && this.#sampler?.allows(shape) === true)
      this.#sampler.add(entry.recorded.samples, shape, values);
  }

  /** Sums the rarest shapes, of these the ones not seen for longest, in one entry: a tenth at a time. */
  #fold(newest: Recorded): void {
    const count = Math.max(this.#shapes.size - this.#maxStatements, Math.floor(this.#maxStatements / 10));
    const rarest = [...this.#shapes.values()]
      .filter((recorded) => recorded !== newest)
      .sort((a, b) => a.figures.calls - b.figures.calls || a.lastSeen - b.lastSeen)
      .slice(0, count);
    const folded = new Set(rarest);
    for (const recorded of rarest) {
      if (recorded.shape !== undefined) this.#shapes.delete(recorded.shape.fingerprint);
      this.#other.absorb(recorded);
      this.#folded++;
    }
    for (const [key, { recorded }] of this.#texts) if (folded.has(recorded)) this.#texts.delete(key);
  }

  async statements(): Promise<RecordedStatement[]> {
    await this.#settle();
    const all = [...this.#shapes.values()].sort((a, b) => b.figures.totalMs - a.figures.totalMs);
    if (this.#folded > 0) all.push(this.#other);
    return all.map((recorded) => this.#described(recorded));
  }

  async repeated(): Promise<RepeatedReport[]> {
    await this.#settle();
    return this.#repeated.list();
  }

  flow<T>(work: () => T): T {
    return this.#repeated.flow(work);
  }

  async #settle(): Promise<void> {
    do {
      await this.#analyse();
    } while (this.#pending.length > 0);
  }

  #described(recorded: Recorded): RecordedStatement {
    recorded.resolveCallers();
    const { shape, figures } = recorded;
    return {
      fingerprint: shape?.fingerprint ?? OTHER,
      text: shape?.text ?? "",
      command: shape?.command ?? "",
      tables: shape?.tables ?? [],
      predicates: shape?.predicates ?? [],
      ...figures,
      meanMs: figures.calls === 0 ? 0 : figures.totalMs / figures.calls,
      units: [...recorded.units].map(([name, calls]) => ({ name, calls })),
      callers: [...recorded.callers],
      parameterSamples: recorded.samples.map((sample) => [...sample]),
      firstSeen: new Date(recorded.firstSeen),
      lastSeen: new Date(recorded.lastSeen),
      foldedShapes: shape === undefined ? this.#folded : 0,
    };
  }

  persist(database: Database | undefined = this.#database): Promise<void> {
    if (database === undefined) {
      return Promise.reject(
        new InvalidInputError("the recorder has no database to write to", { hint: "pass it: recorder.persist(db)" }),
      );
    }
    this.#useDatabase(database);
    const turn = this.#writing.then(() => this.#write(database));
    this.#writing = turn.catch(() => undefined); // its caller hears of it; the next one goes on
    return turn;
  }

  async #write(database: Database): Promise<void> {
    await this.#settle();
    if (this.#unsent !== undefined) await this.#send(database, this.#unsent);
    const news = this.#news();
    if (news.rows.length > 0) await this.#send(database, news);
  }

  async #send(database: Database, write: Write): Promise<void> {
    this.#unsent = write;
    await writeStatements(database, write.id, write.rows);
    this.#unsent = undefined;
    for (const [recorded, figures] of write.added) addFigures(currentOf(recorded).written, figures);
  }

  #news(): Write {
    const rows: StatementRow[] = [];
    const added: [Recorded, Figures][] = [];
    const all = this.#folded > 0 ? [...this.#shapes.values(), this.#other] : this.#shapes.values();
    for (const recorded of all) {
      const news = recorded.unwritten();
      if (news.calls === 0) continue;
      const described = this.#described(recorded);
      added.push([recorded, news]);
      rows.push({
        fingerprint: described.fingerprint,
        text: described.text,
        command: described.command,
        tables: described.tables,
        predicates: described.predicates,
        calls: news.calls,
        rows: news.rows,
        errors: news.errors,
        total_ms: news.totalMs,
        max_ms: news.maxMs,
        waited_ms: news.waitedMs,
        units: described.units.map(({ name }) => name).filter((name) => name !== ""),
        callers: described.callers,
        parameter_samples: described.parameterSamples,
        first_seen: described.firstSeen.toISOString(),
        last_seen: described.lastSeen.toISOString(),
      });
    }
    return { id: randomUUID(), rows, added };
  }

  #useDatabase(database: Database): void {
    this.#database = database;
    if (this.#writeTimer !== undefined || this.#intervalMs === 0 || this.#isClosed) return;
    driverIO(() => {
      this.#writeTimer = setInterval(() => {
        this.persist().then(
          () => {
            this.#isReported = false;
          },
          (error: unknown) => this.#report(error),
        );
      }, this.#intervalMs).unref();
    });
  }

  #report(error: unknown): void {
    if (this.#isReported) return;
    this.#isReported = true;
    this.#onError(error);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#writeTimer);
    clearTimeout(this.#analysisTimer);
    if (this.#database !== undefined) await this.persist();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Which statement of a flush failed; undefined when all are in doubt. */
function failedIndex(error: StewardError): number | undefined {
  const { statementIndex } = error as Partial<DatabaseError>;
  return statementIndex !== undefined && statementIndex >= 0 ? statementIndex : undefined;
}

function warnProcess(error: unknown): void {
  const reason = error instanceof Error ? error.message : String(error);
  process.emitWarning(`the statement recorder: ${reason}`, { code: "PGSTEWARD_RECORDER_WARNING" });
}
