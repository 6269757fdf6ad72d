// Tries a migration and its way back in one transaction, without reading the catalog: nearly every good pair leads back to the very
// rows of the catalog and of the tables that were there before. Whatever else happens leaves nothing behind and is looked at closely.
import { DatabaseError, type Queryable } from "../../postgres/index.ts";
import type { CatalogDigest } from "./catalog-digest.ts";
import { compareRows, fingerprint, type DatabaseRows, type TableRows } from "./fingerprints.ts";
import {
  failureOfExec,
  fireDeferred,
  resetSession,
  runScript,
  type PreparedScript,
  type ScriptPlace,
} from "./run-script.ts";
import { readSequences, restoreSequences } from "./sequences.ts";
import { readShapes, touchedTables, type SchemaShapes } from "./table-shapes.ts";

/** The schema and the rows at one moment. */
export interface SchemaAndRows {
  readonly digest: string;
  readonly shapes: SchemaShapes;
  readonly rows: DatabaseRows;
}

/**
 * Runs up, down and up again. Afterwards the database is as after the first up where all of them ran and down led back exactly;
 * otherwise it is as before the call, its sequences too.
 *
 * Both directions in one transaction pass no more than in one each: constraints that wait for COMMIT are checked after each, and what
 * PostgreSQL refuses before a COMMIT (a new enum value, a table with pending events) makes this answer `undefined`. In one
 * transaction the server also tells which catalogs and tables were written to, so that only those are read again.
 *
 * @returns what there is after up, or `undefined` when it has to be looked at closely
 */
export async function thereAndBack(
  place: ScriptPlace & { readonly reads: Queryable; readonly digest: CatalogDigest },
  up: PreparedScript,
  down: PreparedScript,
  before: SchemaAndRows,
): Promise<SchemaAndRows | undefined> {
  const { connection, reads, digest } = place;
  const passes = async (script: PreparedScript): Promise<boolean> => {
    const failure = (await runScript(place, script)) ?? (await fireDeferred(connection));
    if (failure === undefined) await resetSession(connection);
    return failure === undefined;
  };
  let sequences = await readSequences(reads);
  await connection.exec("BEGIN");
  try {
    const [writes, shapes] = [await digest.readWrites(), await readShapes(reads)];
    if (!(await passes(up))) return undefined;
    await connection.exec("SAVEPOINT pgsteward_there");
    const there = {
      digest: await digest.readAgain(before.digest, writes),
      ...(await rowsSince(reads, { shapes, rows: before.rows })),
    };
    const sequencesThere = await readSequences(reads);
    if (!(await passes(down)) || (await digest.readAgain(before.digest, writes)) !== before.digest) return undefined;
    const restored = await rowsSince(reads, { shapes, rows: before.rows });
    if (compareRows(before.rows, restored.rows).length > 0) return undefined;
    if (!(await passes(up))) return undefined;
    await connection.exec("ROLLBACK TO SAVEPOINT pgsteward_there");
    if ((await failureOfExec(connection, "COMMIT")) !== undefined) return undefined;
    sequences = sequencesThere;
    return there;
  } catch (error) {
    // A reading that failed, e.g. of a column whose text cannot be made.
    if (!(error instanceof DatabaseError)) throw error;
    return undefined;
  } finally {
    if (connection.transactionStatus !== "idle") await connection.exec("ROLLBACK");
    await resetSession(connection);
    await restoreSequences(reads, sequences);
  }
}

/** Fingerprints of all tables, of which only those are read that were touched since. */
async function rowsSince(
  reads: Queryable,
  known: { readonly shapes: SchemaShapes; readonly rows: DatabaseRows },
): Promise<{ readonly shapes: SchemaShapes; readonly rows: DatabaseRows }> {
  const shapes = await readShapes(reads);
  const touched = await fingerprint(reads, touchedTables(known.shapes.tables, shapes.tables));
  const rows = new Map<string, TableRows>();
  for (const { schema, name } of shapes.tables) {
    const table = `${schema}.${name}`;
    const found = touched.get(table) ?? known.rows.get(table);
    if (found !== undefined) rows.set(table, found);
  }
  return { shapes, rows };
}
