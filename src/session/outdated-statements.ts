// A prepared statement keeps the types that its parameters had when it was parsed. When a column was made wider, or its type
// dropped and made again, the server refuses values that would do today, on every connection older than the change. After
// such a refusal the server is asked whether the types are others now; the unit is then run again without names.
import {
  identifier,
  leaveUnnamed,
  type BatchFailure,
  type DatabaseError,
  type LeasedConnection,
  type StewardError,
  type WireStatement,
} from "../postgres/index.ts";
import type { UnitSettings } from "./unit-settings.ts";
import { openingStatements } from "./unit-statements.ts";

/** Of bad values for a type (22…), operators that do not exist for it and alike (42…), and of types that are gone (XX000). */
const SUSPICIOUS_STATE = /^(?:22003|22007|22008|22018|22P02|22P03|42|XX000)/;

const PROBE = identifier("pgsteward types of today");

// By the text: a pooler has given the statement another name. The probe's own text begins with PREPARE.
const TYPES_DIFFER_SQL = `
SELECT coalesce(bool_or(known.parameter_types::text <> today.parameter_types::text), false)
FROM pg_catalog.pg_prepared_statements AS known, pg_catalog.pg_prepared_statements AS today
WHERE known.statement = $1
  AND today.name = 'pgsteward types of today'`;

/** Whether the failure may come from types that a prepared statement remembers. */
export function isSuspicious(
  { outcome }: BatchFailure,
  failed: WireStatement | undefined,
  connection: LeasedConnection,
): boolean {
  if (outcome.kind !== "failed" || failed === undefined || failed.values.length === 0) return false;
  if (!outcome.wasPrepared && (failed.name === undefined || hasOwnSession(connection))) return false;
  return SUSPICIOUS_STATE.test((outcome.error as { code?: string }).code ?? "");
}

/** A pooler's server connection may know a statement that this connection never prepared. */
function hasOwnSession({ database }: LeasedConnection): boolean {
  return database.backend.advisoryLocks;
}

/**
 * Asks the server, in the unit's own context, with a transaction of its own that is rolled back. A new connection knows nothing of
 * an outdated statement, unless it comes from a pooler. There the question may reach another server connection than the one that
 * refused, so the answer is always yes; where it is known to be true, the text has no name from now on.
 *
 * @param connection - idle
 * @returns false as well when it cannot be found out
 */
export async function isOutdated(
  connection: LeasedConnection,
  settings: UnitSettings,
  { statement: { text } }: WireStatement,
  error: StewardError,
): Promise<boolean> {
  const isTrue = await typesDiffer(connection, settings, text, error);
  if (hasOwnSession(connection)) return isTrue;
  if (isTrue) leaveUnnamed(text);
  return true;
}

async function typesDiffer(
  connection: LeasedConnection,
  settings: UnitSettings,
  text: string,
  error: StewardError,
): Promise<boolean> {
  // A type that is gone. Asking would miss one that the unit itself made again: by now that is undone.
  if ((error as Partial<DatabaseError>).sqlState === "XX000") return true;
  if (connection.transactionStatus !== "idle") return false;
  const { serverVersion } = connection;
  const opening = openingStatements(settings, { serverVersion, isDeclared: false, nameOf: () => undefined });
  const asked = await connection.tryBatch(
    [
      ...opening,
      { text: `PREPARE ${PROBE} AS ${text}` },
      { text: TYPES_DIFFER_SQL, values: [text], rowMode: "array" },
      { text: `DEALLOCATE ${PROBE}` },
      { text: "ROLLBACK" },
    ],
    undefined,
  );
  if ("error" in asked) {
    // The text itself is at fault, mostly. Nothing is left but the transaction.
    if (asked.outcome.kind === "failed") await connection.tryBatch([{ text: "ROLLBACK" }], undefined);
    return false;
  }
  const row: unknown = asked.results[opening.length + 1]?.rows[0];
  return Array.isArray(row) && row[0] === true;
}
