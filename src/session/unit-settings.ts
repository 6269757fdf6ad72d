// What a unit of work is made of and told: its settings, the warnings about it, and the hooks of those who add to it.
import type { CallSite, Database, GuardState, QueryResult, Statement, StewardError } from "../postgres/index.ts";
import type { SessionContext, SessionLimits } from "./context.ts";
import type { LogPosition } from "./replicas.ts";
import type { ContextSigner } from "./signed-context.ts";
import type { UnitObserver } from "./unit-observer.ts";

export type IsolationLevel = "read committed" | "repeatable read" | "serializable";

export interface UnitSettings {
  readonly database: Database;
  readonly context: SessionContext;
  readonly role: string | undefined;
  readonly limits: SessionLimits;
  readonly isolation: IsolationLevel | undefined;
  readonly isReadOnly: boolean;
  readonly isDeferrable: boolean;
  readonly name: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly guard: GuardState | undefined;
  readonly openedAt: CallSite;
  readonly onWarning: (warning: UnitWarning) => void;
  /** Signs the cursors of pages. */
  readonly cursorKey: Buffer;
  readonly observers: readonly UnitObserver[];
  /** Signs the tenant of the context (signed-context.ts). */
  readonly signer?: ContextSigner | undefined;
  /** False when an earlier attempt met a stale prepared statement: a pooler may deal out more of them. */
  readonly usesNames: boolean;
  /** A COMMIT whose answer was lost is looked up (commit-outcome.ts). */
  readonly checksCommit: boolean;
  /** Told where in the log the unit's COMMIT is; only when replicas are read from. */
  readonly onPosition: ((position: LogPosition | undefined) => void) | undefined;
}

/** A unit that is open for long, or waits for its caller between two statements. */
export interface UnitWarning {
  readonly kind: "unit open for long" | "gap between statements";
  readonly name: string | undefined;
  readonly openedAt: string;
  readonly afterMs: number;
}

/** Something that keeps a unit's connection while its caller reads or writes at its own pace. */
export interface ConnectionHold {
  /** e.g. `a COPY`. */
  readonly what: string;
  isOver(): boolean;
  /** The unit ends: let go. */
  stop(): void;
}

/** A statement that travels in the flush of COMMIT. */
export interface LastStatement {
  readonly statement: Statement;
  /** Told its result once COMMIT came through. */
  committed(result: QueryResult): void;
  /** The error that the unit's caller gets when the server refused it; nothing was committed then. */
  refused(error: StewardError): StewardError;
}

/** Told about savepoints (nested units), by their number in the unit. */
export interface SavepointObserver {
  /** Before it is opened; what it sends stands outside of it. */
  opening(savepoint: number): Promise<void>;
  /** The nested function returned; what it sends is part of the savepoint. */
  closing(savepoint: number): Promise<void>;
  /** It was rolled back. */
  undone(savepoint: number): void;
}
