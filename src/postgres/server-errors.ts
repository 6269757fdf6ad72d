// From what the driver and the server report to the class a caller acts on. The one place that knows SQLSTATEs.
import type { DatabaseError as ServerMessage } from "pg";
import {
  AuthenticationFailedError,
  CancelledError,
  CheckViolationError,
  ConnectionLostError,
  ConnectionRefusedError,
  DatabaseNotFoundError,
  DeadlockError,
  ExclusionViolationError,
  ForeignKeyViolationError,
  InsufficientPrivilegeError,
  InvalidSqlError,
  InvalidValueError,
  LockNotAvailableError,
  NotNullViolationError,
  OutOfResourcesError,
  ReadOnlyError,
  SerializationFailureError,
  ServerError,
  StatementTimeoutError,
  StewardError,
  TooManyConnectionsError,
  TransactionTimeoutError,
  UniqueViolationError,
  type DatabaseError,
  type ErrorOptionsWithHint,
  type ServerErrorFields,
} from "./errors.ts";

/** https://www.postgresql.org/docs/18/errcodes-appendix.html */
export const SQLSTATE = {
  notNullViolation: "23502",
  foreignKeyViolation: "23503",
  uniqueViolation: "23505",
  checkViolation: "23514",
  exclusionViolation: "23P01",
  restrictViolation: "23001",
  activeTransaction: "25001",
  readOnlyTransaction: "25006",
  inFailedTransaction: "25P02",
  idleInTransactionTimeout: "25P03",
  transactionTimeout: "25P04",
  invalidStatementName: "26000",
  invalidPassword: "28P01",
  invalidAuthorization: "28000",
  unknownDatabase: "3D000",
  undefinedTable: "42P01",
  serializationFailure: "40001",
  deadlock: "40P01",
  insufficientPrivilege: "42501",
  duplicateStatement: "42P05",
  tooManyConnections: "53300",
  lockNotAvailable: "55P03",
  queryCanceled: "57014",
  adminShutdown: "57P01",
  crashShutdown: "57P02",
  cannotConnectNow: "57P03",
  idleSessionTimeout: "57P05",
  featureNotSupported: "0A000",
} as const;

type MadeDatabaseError = new (
  message: string,
  fields: ServerErrorFields,
  options?: ErrorOptionsWithHint,
) => DatabaseError;

const BY_STATE: Readonly<Record<string, { readonly type: MadeDatabaseError; readonly hint?: string }>> = {
  [SQLSTATE.notNullViolation]: { type: NotNullViolationError },
  [SQLSTATE.foreignKeyViolation]: { type: ForeignKeyViolationError },
  [SQLSTATE.restrictViolation]: { type: ForeignKeyViolationError },
  [SQLSTATE.uniqueViolation]: { type: UniqueViolationError },
  [SQLSTATE.checkViolation]: { type: CheckViolationError },
  [SQLSTATE.exclusionViolation]: { type: ExclusionViolationError },
  [SQLSTATE.readOnlyTransaction]: {
    type: ReadOnlyError,
    hint: "use begin() or run() for writes and row locks, on the primary",
  },
  [SQLSTATE.idleInTransactionTimeout]: {
    type: TransactionTimeoutError,
    hint: "do slow work (model calls, HTTP) before or after the unit of work, never inside",
  },
  [SQLSTATE.transactionTimeout]: {
    type: TransactionTimeoutError,
    hint: "make the unit of work shorter, or raise limits.unitTimeoutMs",
  },
  [SQLSTATE.serializationFailure]: { type: SerializationFailureError, hint: "run the whole unit of work again" },
  [SQLSTATE.deadlock]: {
    type: DeadlockError,
    hint: "run the whole unit of work again; lock rows in one order everywhere",
  },
  [SQLSTATE.insufficientPrivilege]: { type: InsufficientPrivilegeError },
  [SQLSTATE.lockNotAvailable]: { type: LockNotAvailableError, hint: "somebody else holds the lock: try again later" },
};

const BY_CLASS: Readonly<Record<string, MadeDatabaseError>> = {
  "22": InvalidValueError,
  "42": InvalidSqlError,
  "3F": InvalidSqlError,
  "53": OutOfResourcesError,
  "54": OutOfResourcesError,
};

const REFUSED = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOENT",
  "EACCES",
]);

/**
 * Whether the server itself reported it (ErrorResponse). By its shape, not its class: PGlite brings a class of its own.
 *
 * @see https://www.postgresql.org/docs/18/protocol-error-fields.html
 */
export function isServerMessage(error: unknown): error is ServerMessage {
  const { severity, code } = error as { severity?: unknown; code?: unknown };
  return error instanceof Error && typeof severity === "string" && typeof code === "string" && code.length === 5;
}

/** Messages of data exceptions repeat the value in quotes (`invalid input syntax for type uuid: "…"`); it must not be shown. */
function withoutValues(message: string): string {
  return message.replace(/["«„].*["»“]/s, '"…"');
}

/**
 * Keeps DETAIL, CONTEXT and the like reachable on the cause, but out of everything that prints or logs it: they hold row
 * values ("Key (email)=(…) already exists").
 */
function hideValues(error: ServerMessage, message: string): void {
  for (const key of ["detail", "where", "internalQuery"] as const) {
    if (error[key] !== undefined) Object.defineProperty(error, key, { value: error[key], enumerable: false });
  }
  if (message !== error.message) {
    Object.defineProperty(error, "stack", { value: error.stack?.replace(error.message, message), enumerable: false });
    error.message = message;
  }
}

/** Columns from a unique or foreign key violation's DETAIL: `Key (tenant_id, email)=(…) …`. Names only. */
function columnsOf(error: ServerMessage): readonly string[] | undefined {
  if (error.column !== undefined) return [error.column];
  const keys = /^[^(]*\((.+?)\)=\(/s.exec(error.detail ?? "")?.[1];
  // Commas also stand inside quoted names and inside the calls of an index on expressions.
  return keys?.match(/(?:"(?:[^"]|"")*"|\((?:[^()]|\([^()]*\))*\)|[^,"(])+/g)?.map((name) =>
    name
      .trim()
      .replace(/^"(.*)"$/s, "$1")
      .replaceAll('""', '"'),
  );
}

export interface ErrorContext {
  readonly statementIndex?: number | undefined;
  /** Our own signal asked the server to cancel. */
  readonly isCancelledByCaller?: boolean | undefined;
}

/** The error a caller acts on, for anything that came out of the driver. Errors of ours come back as they are. */
export function toStewardError(error: unknown, context: ErrorContext = {}): StewardError {
  if (error instanceof StewardError) return error;
  if (isServerMessage(error)) return fromServer(error, error.code ?? "", context);
  const cause = error instanceof Error ? error : new Error(String(error));
  const systemCode = (cause as NodeJS.ErrnoException).code ?? "";
  if (REFUSED.has(systemCode)) {
    return unreachable(cause, systemCode);
  }
  if (/password must be a string|no password|SASL|SCRAM/i.test(cause.message)) {
    return new AuthenticationFailedError("the server asks for a password that the URL does not give", {
      cause,
      hint: "put the password into the URL, PGPASSWORD or ~/.pgpass",
    });
  }
  if (
    /does not support SSL|certificate|self[- ]signed|SSL|TLS/i.test(cause.message) ||
    systemCode.startsWith("ERR_TLS")
  ) {
    return new ConnectionRefusedError("the encrypted connection could not be made", {
      cause,
      hint: "set sslmode in the URL to what the server offers (disable, verify-full), and sslrootcert for its certificate",
    });
  }
  if (/timeout/i.test(cause.message)) {
    return new ConnectionRefusedError("the server did not answer in time", {
      cause,
      hint: "check host, port and firewall",
    });
  }
  return new ConnectionLostError("the connection to the server was lost", {
    cause,
    hint: "the pool opens a new connection by itself; run the unit of work again",
  });
}

/** Which place was tried is said: the URL may come from a variable, a file or a default that nobody has in mind. */
function unreachable(cause: NodeJS.ErrnoException, systemCode: string): ConnectionRefusedError {
  // A name with several addresses fails as one error with an error for each.
  const [first = cause] = cause instanceof AggregateError ? (cause.errors as readonly Error[]) : [];
  const { address, port, hostname } = first as { address?: string; port?: number; hostname?: string };
  if (hostname !== undefined) {
    return new ConnectionRefusedError(`the host ${hostname} is not found (${systemCode})`, {
      cause,
      hint: "check the host in the URL, and that this machine can look up names",
    });
  }
  const place = address === undefined ? "" : ` at ${address}${port === undefined ? "" : ` port ${port}`}`;
  return new ConnectionRefusedError(`no PostgreSQL server answers${place} (${systemCode})`, {
    cause,
    hint: "check host and port of the URL, that the server runs, and that a firewall lets you through",
  });
}

function fromServer(error: ServerMessage, sqlState: string, context: ErrorContext): StewardError {
  const columns = columnsOf(error);
  const sqlClass = sqlState.slice(0, 2);
  const message = sqlClass === "22" ? withoutValues(error.message) : error.message;
  hideValues(error, message);
  const cause = error;
  const text = `${message} (SQLSTATE ${sqlState})`;
  const fields: ServerErrorFields = {
    sqlState,
    schema: error.schema,
    table: error.table,
    columns,
    constraint: error.constraint,
    position: error.position === undefined ? undefined : Number(error.position),
    statementIndex: context.statementIndex,
  };

  switch (sqlState) {
    case SQLSTATE.queryCanceled: {
      // One SQLSTATE for both; only the text tells them apart, and only in English, so our own signal is asked first.
      if (context.isCancelledByCaller === true || message.includes("user request")) {
        return new CancelledError("the statement was cancelled", { cause });
      }
      const hint = "make the statement faster, or raise its timeoutMs or the unit's limits.statementTimeoutMs";
      return new StatementTimeoutError(text, fields, { cause, hint });
    }
    case SQLSTATE.invalidPassword:
    case SQLSTATE.invalidAuthorization:
      return new AuthenticationFailedError(text, {
        cause,
        hint: "check user and password of the URL, and pg_hba.conf",
      });
    case SQLSTATE.unknownDatabase:
      return new DatabaseNotFoundError(text, {
        cause,
        hint: "check the name after the last / of the URL, or create the database",
      });
    case SQLSTATE.tooManyConnections:
      return new TooManyConnectionsError(text, {
        cause,
        hint: "make pools smaller (pool.size), or put PgBouncer in between, before raising max_connections",
      });
    case SQLSTATE.cannotConnectNow:
      return new ConnectionRefusedError(text, { cause, hint: "the server is starting or stopping: try again" });
    case SQLSTATE.adminShutdown:
    case SQLSTATE.crashShutdown:
    case SQLSTATE.idleSessionTimeout:
      return new ConnectionLostError(text, { cause, hint: "run the unit of work again" });
    default: {
      if (sqlClass === "08") return new ConnectionLostError(text, { cause, hint: "run the unit of work again" });
      const known = BY_STATE[sqlState];
      const Type = known?.type ?? BY_CLASS[sqlClass] ?? ServerError;
      return new Type(text, fields, { cause, hint: known?.hint ?? error.hint });
    }
  }
}
