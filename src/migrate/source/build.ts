// Builds a schema from statements whose order is not known: what needs something that is not there yet is tried again.
import { DatabaseError, type Connection } from "../../postgres/index.ts";

export interface BuildStatement {
  readonly sql: string;
  /** What it is about, for messages, e.g. `the table shop.orders`. */
  readonly subject: string;
  /** One that may be left out when it cannot be run: something of the present schema that lost what it stood on. */
  readonly isOptional: boolean;
}

export interface BuildResult {
  /** Optional statements that were left out, with the server's reason. */
  readonly leftOut: readonly { readonly subject: string; readonly reason: string }[];
}

/** What a later statement may mend: a relation, column, function, type or schema that is not there, or a key that is not there. */
const MISSING: ReadonlySet<string> = new Set(["42P01", "42703", "42883", "42704", "3F000", "42830", "42P17", "42809"]);

/**
 * Runs statements, each on its own, again and again as long as one of them succeeds that failed before.
 *
 * @throws what the server said to the first statement that cannot be run and is not optional, with its subject
 */
export async function buildSchema(
  connection: Connection,
  statements: readonly BuildStatement[],
  describeFailure: (statement: BuildStatement, error: DatabaseError) => Error,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<BuildResult> {
  // Bodies of functions are checked when they run: a function may name tables that come later.
  await connection.exec("SET check_function_bodies = off");
  const leftOut: { subject: string; reason: string }[] = [];
  let waiting = statements;
  for (;;) {
    const failed: { statement: BuildStatement; error: DatabaseError }[] = [];
    for (const statement of waiting) {
      try {
        await connection.exec(statement.sql, { signal: options.signal });
      } catch (error) {
        if (!(error instanceof DatabaseError)) throw error;
        if (connection.transactionStatus !== "idle") await connection.exec("ROLLBACK");
        if (!statement.isOptional && !MISSING.has(error.sqlState)) throw describeFailure(statement, error);
        failed.push({ statement, error });
      }
    }
    const isStuck = failed.length === waiting.length;
    if (failed.length > 0 && !isStuck) {
      waiting = failed.map(({ statement }) => statement);
      continue;
    }
    const needed = failed.find(({ statement }) => !statement.isOptional);
    if (needed !== undefined) throw describeFailure(needed.statement, needed.error);
    for (const { statement, error } of failed) leftOut.push({ subject: statement.subject, reason: error.message });
    break;
  }
  await connection.exec("RESET ALL");
  return { leftOut };
}
