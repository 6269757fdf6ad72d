// What ends a batch or a run: errors worth another try, and those that a person has to decide about.
import {
  DeadlockError,
  InvalidInputError,
  LockNotAvailableError,
  SerializationFailureError,
  StaleRowError,
  StatementTimeoutError,
} from "../../postgres/index.ts";

/** Somebody else was in the way. */
export function isLockFailure(error: unknown): boolean {
  return error instanceof LockNotAvailableError || error instanceof DeadlockError;
}

export function isWorthAnotherTry(error: unknown): boolean {
  return isLockFailure(error) || error instanceof SerializationFailureError || error instanceof StatementTimeoutError;
}

export function stillMatching(count: number): InvalidInputError {
  return new InvalidInputError(
    `${count} ${count === 1 ? "row matches" : "rows match"} where also after the update: it does not tell which rows are still to do`,
    {
      hint: "write a where that the update makes false, e.g. new_column IS NULL; conditions that stay true go into filter (--filter)",
    },
  );
}

export function movedByAnother(name: string): StaleRowError {
  return new StaleRowError(`another process works on the backfill ${name}: its record is not where this run left it`, {
    hint: "let one of them go on; a pooler in transaction mode does not keep the lock that would have told earlier",
  });
}

export function stillToDo(name: string, left: number, passes: number): InvalidInputError {
  return new InvalidInputError(`${left} rows are still to do after ${passes} passes of the backfill ${name}`, {
    hint: "something writes rows that match where all the time: make it write the new form too (a trigger), then run it again",
  });
}
