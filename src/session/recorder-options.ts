// What a recorder takes and gives. recorder.ts makes it.
import type { Database } from "../postgres/index.ts";
import type { ParameterSampling } from "./parameter-samples.ts";
import type { RepeatedNotice, RepeatedReport } from "./repeated-statements.ts";
import type { StatementPredicate } from "./statement-predicates.ts";
import type { UnitObserver } from "./unit-observer.ts";

export interface RecorderOptions {
  /** Statement shapes kept; the rarest ones beyond it are summed in the entry `"other"`. Default 1_000. */
  readonly maxStatements?: number;
  /** Keeps some parameters of each statement. Default false. */
  readonly sampleParameters?: boolean | ParameterSampling;
  /** Where it writes to on an interval; `persist(db)` sets it too. Its tables are made by `createRecorderTables(db)`. */
  readonly database?: Database;
  /** Time between two writes, in milliseconds; 0 never writes by itself. Default 60_000. */
  readonly flushIntervalMs?: number;
  /** A statement that runs more often than this in one unit or flow is reported. Default 10. */
  readonly n1Threshold?: number;
  /** Told once for each unit or flow in which a statement passes the threshold, while it runs. */
  readonly onRepeated?: (notice: RepeatedNotice) => void;
  /** Told when a write of the interval fails, once until one succeeds. Default: `process.emitWarning`. */
  readonly onError?: (error: unknown) => void;
}

/** One statement shape since the recorder was made. */
export interface RecordedStatement {
  /** `"other"` for the entry that sums what was folded. */
  readonly fingerprint: string;
  readonly text: string;
  readonly command: string;
  readonly tables: readonly string[];
  readonly predicates: readonly StatementPredicate[];
  readonly calls: number;
  readonly rows: number;
  readonly errors: number;
  /** Milliseconds. Statements of one flush are answered together, so each counts as an equal share of it. */
  readonly totalMs: number;
  readonly meanMs: number;
  readonly maxMs: number;
  /** Wait for a connection of the pool, in milliseconds; counted for the first statement of a unit. */
  readonly waitedMs: number;
  /** Names of the units it ran in, with calls; `""` for units without name. At most 16. */
  readonly units: readonly { readonly name: string; readonly calls: number }[];
  /** Where those units were opened, from samples. At most 8. */
  readonly callers: readonly string[];
  readonly parameterSamples: readonly (readonly string[])[];
  readonly firstSeen: Date;
  readonly lastSeen: Date;
  /** Shapes summed in this entry: 0, but for `"other"`. A shape that comes back and is folded again counts again. */
  readonly foldedShapes: number;
}

export interface Recorder extends UnitObserver, AsyncDisposable {
  /** Everything recorded so far, the most time-consuming first; `"other"`, if there is one, last. */
  statements(): Promise<RecordedStatement[]>;
  /** The N+1 report. At most 200 places, the newest. */
  repeated(): Promise<RepeatedReport[]>;
  /** Counts the statements of all units inside `work` together, for the N+1 report: e.g. one HTTP request. */
  flow<T>(work: () => T): T;
  /**
   * Adds what is new since the last time to `pgsteward.statement`, outside any unit of work. What a failed write held is
   * written by the next one, once.
   *
   * @throws InvalidInputError when `createRecorderTables(db)` was not called
   */
  persist(database?: Database): Promise<void>;
  /** Writes a last time, when it has a database, and stops. */
  close(): Promise<void>;
}
