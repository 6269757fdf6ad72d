// The errors of a unit of work's own making, each with its way out.
import {
  CommitOutcomeUnknownError,
  InvalidInputError,
  SilentRollbackError,
  SQLSTATE,
  TransactionTimeoutError,
  UnitClosedError,
  UnitFailedError,
  UnitTooLongError,
  type StewardError,
} from "../postgres/index.ts";

export function commitOutcomeUnknown(cause: StewardError): CommitOutcomeUnknownError {
  return new CommitOutcomeUnknownError(
    "the connection was lost while the server was committing: the unit may or may not have happened",
    {
      cause,
      hint: "read what it would have changed before you run it again",
    },
  );
}

export function transactionControlError(): InvalidInputError {
  return new InvalidInputError("BEGIN, COMMIT and ROLLBACK belong to the unit of work itself", {
    hint: "return to commit, throw to roll back, and nest begin() for a part that may fail",
  });
}

export function silentRollbackError(cause: StewardError | undefined): SilentRollbackError {
  return new SilentRollbackError(
    "the unit of work was rolled back: one of its statements failed and the error was swallowed",
    { cause, hint: "let the error end the unit, or wrap what may fail in a nested begin()" },
  );
}

export function unitFailedError(cause: StewardError | undefined): UnitFailedError {
  return new UnitFailedError("an earlier statement of this unit of work failed, so the server ignores the rest", {
    cause,
    hint: "let the first error end the unit, or wrap what may fail in a nested begin()",
  });
}

export function unitClosedError(openedAt: string): UnitClosedError {
  return new UnitClosedError(`the unit of work opened at ${openedAt} is over`, {
    hint: "await every query inside the unit's function; open a new unit for more",
  });
}

export function unitTooLongError(openedAt: string, limitMs: number): UnitTooLongError {
  return new UnitTooLongError(
    `the unit of work opened at ${openedAt} was open for more than ${limitMs} ms and was rolled back`,
    { hint: "do slow work before or after the unit, or raise limits.unitTimeoutMs" },
  );
}

/** What a server says of it, for the embedded database, whose clock we are. */
export function idleTooLongError(openedAt: string, limitMs: number): TransactionTimeoutError {
  return new TransactionTimeoutError(
    `the unit of work opened at ${openedAt} sent nothing for more than ${limitMs} ms and was rolled back`,
    { sqlState: SQLSTATE.idleInTransactionTimeout },
    { hint: "do slow work (model calls, HTTP) before or after the unit of work, never inside" },
  );
}

export function notDeclaredYetError(): InvalidInputError {
  return new InvalidInputError("run() and read() take queries that are not awaited yet", {
    hint: "return the query, or an array of queries, without await; use begin() when one depends on another's result",
  });
}

export function connectionHeldError(holder: string): InvalidInputError {
  return new InvalidInputError(`${holder} holds the connection of this unit of work`, {
    hint: "end it first: read it to its end or leave its loop, and run the statement before or after",
  });
}
