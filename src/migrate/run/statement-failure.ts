// What a failed statement becomes: the state in the history, and an error that says where, what is done, what is not, and how to
// go on.
import {
  CancelledError,
  ConnectionLostError,
  DatabaseError,
  InsufficientPrivilegeError,
  LockNotAvailableError,
  SQLSTATE,
  StewardError,
  type LockHolder,
} from "../../postgres/index.ts";
import { offsetInCode } from "../code/run-code.ts";
import { sqlErrorAt, unitsOf } from "../sql-script.ts";
import { askedRights } from "./asked-rights.ts";
import { noteFailure } from "./history.ts";
import { missingGrant } from "./missing-grant.ts";
import { writeProgress, type PartRun } from "./part-run.ts";
import type { RunStatement, StatementGroup } from "./statement-groups.ts";
import { LEAVES_SOMETHING } from "./unfinished-statement.ts";

export interface Failure {
  /** The one that failed; `undefined`: the COMMIT. */
  statement: RunStatement | undefined;
  readonly group: StatementGroup;
  readonly attempts: number;
  /** Who blocked it shortly before. */
  holders: readonly LockHolder[];
}

/** Writes down that the migration failed, and returns the error to throw. The connection is in no transaction any more. */
export async function failureAt(run: PartRun, failure: Failure, error: unknown): Promise<unknown> {
  if (!(error instanceof StewardError)) return error;
  const { migration, part, progress } = run;
  const last = failure.group.statements.at(-1);
  const statement = failure.statement ?? last;
  if (statement === undefined) return error;
  if (!(error instanceof ConnectionLostError)) {
    // The server said how it ended: only what may have left something has to be looked at by the next run.
    if (progress.intent !== undefined && !LEAVES_SOMETHING.has(statement.kind)) progress.intent = undefined;
  }
  const place = `${migration.file}:${statement.line}`;
  const numberOfTotal = `${statement.number} of ${part.statements.length}`;
  const hint = async (): Promise<string> => {
    const way = await wayOut(run, failure, error, statement);
    return [way, whatIsDone(run, statement)].filter((text) => text !== undefined && text !== "").join("; ");
  };
  const isOfServer = error instanceof DatabaseError;
  if (!isOfServer && !(error instanceof CancelledError) && !(error instanceof ConnectionLostError)) {
    await recordFailure(run, error);
    return error;
  }
  const text = await hint();
  let told: StewardError;
  if (error instanceof CancelledError)
    told = new CancelledError(`${place}: cancelled in statement ${numberOfTotal}`, {
      cause: error,
      hint: text,
    });
  else if (!isOfServer)
    told = new ConnectionLostError(
      `${place}: the connection was lost ${failure.statement === undefined ? "during the COMMIT" : `in statement ${numberOfTotal}`}`,
      { cause: error, hint: text },
    );
  else {
    const isCommit = failure.statement === undefined;
    const inStatement = isCommit || error.position === undefined ? 0 : unitsOf(statement.text, error.position - 1);
    const message = isCommit
      ? `the COMMIT of statements ${failure.group.first + 1} to ${failure.group.first + failure.group.statements.length}: ${error.message}`
      : error.message;
    const offset = offsetInCode(error) ?? statement.offset + inStatement;
    told = sqlErrorAt(migration.text, offset, migration.file, message, {
      sqlState: error.sqlState,
      cause: error,
      hint: text,
    });
    if (told instanceof LockNotAvailableError) told.nameHolders(failure.holders);
  }
  await recordFailure(run, told);
  return told;
}

async function wayOut(
  run: PartRun,
  failure: Failure,
  error: StewardError,
  statement: RunStatement,
): Promise<string | undefined> {
  if (error instanceof InsufficientPrivilegeError)
    return missingGrant(
      run.connection,
      error.message,
      failure.statement === undefined ? [] : askedRights(failure.statement),
    );
  if (error instanceof DatabaseError && error.sqlState === SQLSTATE.lockNotAvailable)
    return `it was tried ${failure.attempts} times; wait until the lock is free, or end who holds it, or allow more with --lock-timeout and --lock-attempts`;
  if (error instanceof ConnectionLostError && failure.statement === undefined)
    return "whether the group was committed is in the history: pgsteward migrate status tells";
  if (error instanceof CancelledError || error instanceof ConnectionLostError) return undefined;
  return error.hint ?? (statement.code === undefined ? `correct line ${statement.line}` : undefined);
}

/** What was done, what was not, and how to go on. */
function whatIsDone({ migration, progress, part, remaining, direction }: PartRun, statement: RunStatement): string {
  const total = part.statements.length;
  const { position, intent } = progress;
  const kept =
    position === 0
      ? intent === undefined
        ? `nothing of ${migration.file} was kept`
        : `of ${migration.file} nothing else was done`
      : position === 1
        ? `statement 1 of ${total} of ${migration.file} is done and stays`
        : `statements 1 to ${position} of ${total} of ${migration.file} are done and stay`;
  const leftover =
    intent === undefined ? "" : `, what statement ${position + 1} left behind is put in order by the next run`;
  const next =
    position === 0
      ? `pgsteward migrate ${direction} begins with it again`
      : `pgsteward migrate ${direction} goes on at line ${part.statements[position]?.line ?? statement.line}`;
  const later = remaining === 0 ? "" : `, ${remaining} after it ${remaining === 1 ? "was" : "were"} not begun`;
  return `${kept}${leftover}${later}: ${next}`;
}

async function recordFailure(run: PartRun, error: StewardError): Promise<void> {
  if (error instanceof ConnectionLostError) return; // the line of history says where the run ended
  const { connection, history, version, direction, progress } = run;
  const [text = ""] = error.message.split("\n", 1);
  try {
    // A way back that has not begun leaves the migration applied.
    if (direction === "down" && progress.position === 0 && progress.intent === undefined)
      await noteFailure(connection, history, version, text);
    else await writeProgress(run, "failed", text);
  } catch (failed) {
    // The statement's error is what the caller has to know; that the history does not tell it is the lesser evil.
    if (!(failed instanceof StewardError)) throw failed;
  }
}
