// Every error pgsteward throws: one class per decision a caller can take, a stable code, the cause kept, the way out in
// the hint. Parameters and passwords never appear in a message.

export interface ErrorOptionsWithHint {
  readonly cause?: unknown;
  readonly hint?: string | undefined;
  /** Position of the row that is at fault among those given, counted from 0. */
  readonly rowIndex?: number | undefined;
}

/** Base of all our errors. `code` is stable and listed in docs/errors.md. */
export abstract class StewardError extends Error {
  abstract readonly code: ErrorCode;
  readonly hint: string | undefined;
  /** Bulk calls: position of the row that is at fault among those given, counted from 0. */
  readonly rowIndex?: number;
  constructor(message: string, options: ErrorOptionsWithHint = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.hint = options.hint;
    if (options.rowIndex !== undefined) this.rowIndex = options.rowIndex;
  }
}

/**
 * code → HTTP status and CLI exit code. Exit codes: 64 wrong use, 65 wrong data, 69 not reachable, 70 fault in pgsteward,
 * 73 cannot create, 75 try again later, 77 not allowed, 78 wrong configuration (sysexits.h).
 */
export const ERROR_CODES = {
  INVALID_INPUT: { httpStatus: 400, exitCode: 64 },
  INVALID_CONFIGURATION: { httpStatus: 500, exitCode: 78 },
  UNIQUE_VIOLATION: { httpStatus: 409, exitCode: 65 },
  FOREIGN_KEY_VIOLATION: { httpStatus: 409, exitCode: 65 },
  CHECK_VIOLATION: { httpStatus: 422, exitCode: 65 },
  NOT_NULL_VIOLATION: { httpStatus: 422, exitCode: 65 },
  EXCLUSION_VIOLATION: { httpStatus: 409, exitCode: 65 },
  INVALID_VALUE: { httpStatus: 400, exitCode: 65 },
  INVALID_SQL: { httpStatus: 500, exitCode: 65 },
  ROW_NOT_FOUND: { httpStatus: 404, exitCode: 65 },
  STALE_ROW: { httpStatus: 409, exitCode: 75 },
  SERIALIZATION_FAILURE: { httpStatus: 503, exitCode: 75 },
  DEADLOCK: { httpStatus: 503, exitCode: 75 },
  LOCK_NOT_AVAILABLE: { httpStatus: 409, exitCode: 75 },
  STATEMENT_TIMEOUT: { httpStatus: 504, exitCode: 75 },
  TRANSACTION_TIMEOUT: { httpStatus: 504, exitCode: 75 },
  CANCELLED: { httpStatus: 499, exitCode: 130 },
  CONNECTION_LOST: { httpStatus: 503, exitCode: 69 },
  CONNECTION_REFUSED: { httpStatus: 503, exitCode: 69 },
  AUTHENTICATION_FAILED: { httpStatus: 503, exitCode: 77 },
  DATABASE_NOT_FOUND: { httpStatus: 503, exitCode: 69 },
  TOO_MANY_CONNECTIONS: { httpStatus: 503, exitCode: 75 },
  INSUFFICIENT_PRIVILEGE: { httpStatus: 403, exitCode: 77 },
  READ_ONLY: { httpStatus: 403, exitCode: 77 },
  OUT_OF_RESOURCES: { httpStatus: 503, exitCode: 75 },
  SERVER_ERROR: { httpStatus: 500, exitCode: 70 },
  DECODE_FAILED: { httpStatus: 500, exitCode: 70 },
  ACQUIRE_TIMEOUT: { httpStatus: 503, exitCode: 75 },
  QUEUE_FULL: { httpStatus: 503, exitCode: 75 },
  NESTED_CHECKOUT: { httpStatus: 500, exitCode: 70 },
  DATABASE_CLOSED: { httpStatus: 503, exitCode: 70 },
  DATABASE_ALREADY_OPEN: { httpStatus: 500, exitCode: 70 },
  FOLDER_IN_USE: { httpStatus: 503, exitCode: 75 },
  FOLDER_BROKEN: { httpStatus: 500, exitCode: 65 },
  MIGRATION_EDITED: { httpStatus: 409, exitCode: 65 },
  MIGRATION_UNFINISHED: { httpStatus: 409, exitCode: 65 },
  REPLICAS_BEHIND: { httpStatus: 503, exitCode: 75 },
  ADDRESS_IN_USE: { httpStatus: 503, exitCode: 73 },
  INTERNAL: { httpStatus: 500, exitCode: 70 },
  MISSING_DEPENDENCY: { httpStatus: 500, exitCode: 78 },
  EMBEDDED_SERVER_FAILED: { httpStatus: 503, exitCode: 69 },
  NO_SHADOW: { httpStatus: 503, exitCode: 69 },
  UNIT_CLOSED: { httpStatus: 500, exitCode: 70 },
  UNIT_FAILED: { httpStatus: 500, exitCode: 70 },
  SILENT_ROLLBACK: { httpStatus: 500, exitCode: 70 },
  COMMIT_OUTCOME_UNKNOWN: { httpStatus: 500, exitCode: 70 },
  RETRIES_EXHAUSTED: { httpStatus: 503, exitCode: 75 },
  EXTERNAL_CALL_IN_UNIT: { httpStatus: 500, exitCode: 70 },
  UNIT_TOO_LONG: { httpStatus: 504, exitCode: 75 },
  DECRYPTION_FAILED: { httpStatus: 500, exitCode: 65 },
  UNKNOWN_KEY: { httpStatus: 500, exitCode: 78 },
} as const satisfies Record<string, { httpStatus: number; exitCode: number }>;

/** Every code that an error of ours has: the rows of docs/errors.md. */
export type ErrorCode = keyof typeof ERROR_CODES;

/** An argument, option, URL or name that cannot be used. */
export class InvalidInputError extends StewardError {
  readonly code = "INVALID_INPUT";
}
/** Settings or a configuration file that cannot be used; the message lists every fault. */
export class InvalidConfigurationError extends StewardError {
  readonly code = "INVALID_CONFIGURATION";
}
/** A package that is needed for this call is not installed; the hint says what to install. */
export class MissingDependencyError extends StewardError {
  readonly code = "MISSING_DEPENDENCY";
}

/** Fields PostgreSQL sends with an error that are safe to show: names and positions, never values. */
export interface ServerErrorFields {
  /** The five-character SQLSTATE. */
  readonly sqlState: string;
  readonly schema?: string | undefined;
  readonly table?: string | undefined;
  readonly columns?: readonly string[] | undefined;
  readonly constraint?: string | undefined;
  /** Character position in the statement's text, counted from 1. */
  readonly position?: number | undefined;
  /** Index of the failed statement in its batch. */
  readonly statementIndex?: number | undefined;
}

/** An error the server reported. */
export abstract class DatabaseError extends StewardError implements ServerErrorFields {
  readonly sqlState: string;
  readonly schema: string | undefined;
  readonly table: string | undefined;
  readonly columns: readonly string[] | undefined;
  readonly constraint: string | undefined;
  readonly position: number | undefined;
  readonly statementIndex: number | undefined;
  constructor(message: string, fields: ServerErrorFields, options: ErrorOptionsWithHint = {}) {
    super(message, options);
    this.sqlState = fields.sqlState;
    this.schema = fields.schema;
    this.table = fields.table;
    this.columns = fields.columns;
    this.constraint = fields.constraint;
    this.position = fields.position;
    this.statementIndex = fields.statementIndex;
  }
}

/** A constraint refused the row: `constraint`, `table` and, where the server tells, `columns` are set. */
export abstract class IntegrityError extends DatabaseError {}
/** A row with this key is there already (SQLSTATE 23505). */
export class UniqueViolationError extends IntegrityError {
  readonly code = "UNIQUE_VIOLATION";
}
/** The row refers to one that is not there, or is still referred to (23503, 23001). */
export class ForeignKeyViolationError extends IntegrityError {
  readonly code = "FOREIGN_KEY_VIOLATION";
}
/** A CHECK constraint or a domain refused the value (23514). */
export class CheckViolationError extends IntegrityError {
  readonly code = "CHECK_VIOLATION";
}
/** A column that must have a value got none (23502). */
export class NotNullViolationError extends IntegrityError {
  readonly code = "NOT_NULL_VIOLATION";
}
/** An EXCLUDE constraint refused the row, e.g. overlapping times (23P01). */
export class ExclusionViolationError extends IntegrityError {
  readonly code = "EXCLUSION_VIOLATION";
}
/** A value the server cannot take: wrong form, out of range, too long. */
export class InvalidValueError extends DatabaseError {
  readonly code = "INVALID_VALUE";
}
/** The statement's text is wrong: syntax, unknown table, column or function, wrong type. */
export class InvalidSqlError extends DatabaseError {
  readonly code = "INVALID_SQL";
}
/** Run the whole unit of work again (SQLSTATE 40001). */
export class SerializationFailureError extends DatabaseError {
  readonly code = "SERIALIZATION_FAILURE";
}
/** Run the whole unit of work again; lock rows in one order (SQLSTATE 40P01). */
export class DeadlockError extends DatabaseError {
  readonly code = "DEADLOCK";
}
/** A session that holds a lock somebody else asked for. Its statements are not told: they may hold values. */
export interface LockHolder {
  /** Process id of its backend, for `pg_cancel_backend` or `pg_terminate_backend`. */
  readonly pid: number;
  readonly application: string | undefined;
  readonly role: string | undefined;
  /** e.g. `active`, `idle in transaction`. */
  readonly state: string | undefined;
  /** Since its transaction began, and since its last statement did, in milliseconds. */
  readonly transactionAgeMs: number | undefined;
  readonly queryAgeMs: number | undefined;
}
/** A lock was not to be had, at once (nowait) or within `lock_timeout` (SQLSTATE 55P03). */
export class LockNotAvailableError extends DatabaseError {
  readonly code = "LOCK_NOT_AVAILABLE";
  #holders: readonly LockHolder[] = [];
  /** Who held it shortly after the refusal. Empty when that could not be found out. */
  get holders(): readonly LockHolder[] {
    return this.#holders;
  }
  /** Adds what was found out about the holders, to the message too. */
  nameHolders(holders: readonly LockHolder[]): void {
    this.#holders = holders;
    const names = holders.map(({ pid, application, state }) =>
      [`process ${pid}`, application, state].filter((part) => part !== undefined && part !== "").join(", "),
    );
    if (names.length > 0) this.message += `; it is held by ${names.join(" and by ")}`;
  }
}
/** A statement ran longer than its limit, and the server cancelled it (57014). */
export class StatementTimeoutError extends DatabaseError {
  readonly code = "STATEMENT_TIMEOUT";
}
/** The server ended the transaction: idle too long inside it, or over its whole limit (25P03, 25P04). */
export class TransactionTimeoutError extends DatabaseError {
  readonly code = "TRANSACTION_TIMEOUT";
}
/** The role may not do this, or row-level security refused the row (42501). */
export class InsufficientPrivilegeError extends DatabaseError {
  readonly code = "INSUFFICIENT_PRIVILEGE";
}
/** A write in a read-only transaction or on a replica (25006). */
export class ReadOnlyError extends DatabaseError {
  readonly code = "READ_ONLY";
}
/** Disk full, out of memory, limits of the server (53…, 54…). */
export class OutOfResourcesError extends DatabaseError {
  readonly code = "OUT_OF_RESOURCES";
}
/** Anything else the server reported; `sqlState` tells. */
export class ServerError extends DatabaseError {
  readonly code = "SERVER_ERROR";
}
/** Somebody asked for it: an AbortSignal, a cancel request, Ctrl-C. */
export class CancelledError extends StewardError {
  readonly code = "CANCELLED";
}
/** The connection broke. Nothing of the unit was committed, unless the error is a CommitOutcomeUnknownError. */
export class ConnectionLostError extends StewardError {
  readonly code = "CONNECTION_LOST";
}
/** No server answers at the address. */
export class ConnectionRefusedError extends StewardError {
  readonly code = "CONNECTION_REFUSED";
}
/** The server refuses user or password, or pg_hba.conf has no line for them. */
export class AuthenticationFailedError extends StewardError {
  readonly code = "AUTHENTICATION_FAILED";
}
/** The server has no database of this name (3D000). */
export class DatabaseNotFoundError extends StewardError {
  readonly code = "DATABASE_NOT_FOUND";
}
/** The server has no connection left for us (53300). */
export class TooManyConnectionsError extends StewardError {
  readonly code = "TOO_MANY_CONNECTIONS";
}
/** A type parser threw while rows were read. The statement itself succeeded and, outside a transaction, is committed: never retry it. */
export class DecodeFailedError extends StewardError {
  readonly code = "DECODE_FAILED";
}
/** No row with this key, or none that row-level security lets this unit see. */
export class RowNotFoundError extends StewardError {
  readonly code = "ROW_NOT_FOUND";
}
/** The row changed since it was read (version column): read it again and decide. */
export class StaleRowError extends StewardError {
  readonly code = "STALE_ROW";
}
/** No connection became free in time; the hint names who holds them. */
export class AcquireTimeoutError extends StewardError {
  readonly code = "ACQUIRE_TIMEOUT";
}
/** Too many callers wait for a connection already. */
export class QueueFullError extends StewardError {
  readonly code = "QUEUE_FULL";
}
/** A second connection was asked for by a flow that already holds one. */
export class NestedCheckoutError extends StewardError {
  readonly code = "NESTED_CHECKOUT";
}
/** The database, this handle of it, or the connection was closed or given back before. */
export class DatabaseClosedError extends StewardError {
  readonly code = "DATABASE_CLOSED";
}
/** The URL is open in this process with other options; the message names the place. */
export class DatabaseAlreadyOpenError extends StewardError {
  readonly code = "DATABASE_ALREADY_OPEN";
}
/** Another process has the embedded database's folder open. */
export class FolderInUseError extends StewardError {
  readonly code = "FOLDER_IN_USE";
}
/** The folder is not, or no longer, an embedded database that can be opened. */
export class FolderBrokenError extends StewardError {
  readonly code = "FOLDER_BROKEN";
}
/** The embedded PostgreSQL server did not start; the message holds its last words. */
export class EmbeddedServerFailedError extends StewardError {
  readonly code = "EMBEDDED_SERVER_FAILED";
}
/** No place for a throw-away database: the message says why each one was passed over. */
export class NoShadowError extends StewardError {
  readonly code = "NO_SHADOW";
}
/** A unit of work was used after its end. */
export class UnitClosedError extends StewardError {
  readonly code = "UNIT_CLOSED";
}
/** An earlier statement of the unit failed; the server ignores the rest until the rollback. `cause` is that failure. */
export class UnitFailedError extends StewardError {
  readonly code = "UNIT_FAILED";
}
/** COMMIT was sent and the server rolled back instead, because a failed statement's error was swallowed. Nothing was saved. */
export class SilentRollbackError extends StewardError {
  readonly code = "SILENT_ROLLBACK";
}
/** The connection broke after COMMIT was sent: it may or may not have happened. */
export class CommitOutcomeUnknownError extends StewardError {
  readonly code = "COMMIT_OUTCOME_UNKNOWN";
}
/** The unit of work was run again and again, and failed each time; `cause` is the last failure. Nothing was saved. */
export class RetriesExhaustedError extends StewardError {
  readonly code = "RETRIES_EXHAUSTED";
}
/** A call to the outside world while a unit of work was open. */
export class ExternalCallInUnitError extends StewardError {
  readonly code = "EXTERNAL_CALL_IN_UNIT";
}
/** The unit stayed open past its limit and was rolled back. */
export class UnitTooLongError extends StewardError {
  readonly code = "UNIT_TOO_LONG";
}
/** A ciphertext is not what was written here: wrong key, changed bytes, or moved from another row, column, table or tenant. */
export class DecryptionError extends StewardError {
  readonly code = "DECRYPTION_FAILED";
}
/** A ciphertext names a key that the key ring does not have. */
export class UnknownKeyError extends StewardError {
  readonly code = "UNKNOWN_KEY";
}
/** A migration file was changed after it was applied. */
export class MigrationEditedError extends StewardError {
  readonly code = "MIGRATION_EDITED";
}
/** A migration is half way and cannot go on by itself: the hint names what a person has to say. */
export class MigrationUnfinishedError extends StewardError {
  readonly code = "MIGRATION_UNFINISHED";
}
/** Replicas did not replay in time what the primary wrote. What was committed stays. */
export class ReplicasBehindError extends StewardError {
  readonly code = "REPLICAS_BEHIND";
}
/** The port the server was told to listen on is taken. */
export class AddressInUseError extends StewardError {
  readonly code = "ADDRESS_IN_USE";
}
/** A fault in pgsteward itself: anything that reached an edge without being one of our errors. */
export class InternalError extends StewardError {
  readonly code = "INTERNAL";
}
