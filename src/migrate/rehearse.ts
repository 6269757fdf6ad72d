// Runs a plan on a throw-away database with the present schema and a sample of the real rows, and measures each step.
import { performance } from "node:perf_hooks";
import { printCatalog, type Catalog } from "../catalog/index.ts";
import { DatabaseError, identifier, InvalidInputError, type Connection, type Database } from "../postgres/index.ts";
import { tableSizes, type TableSizes } from "./estimate.ts";
import type { Plan } from "./plan.ts";
import type { Step } from "./plan-steps.ts";
import { copySample, type CopiedTable } from "./sample-rows.ts";
import { createRoles, rolesOfCatalog } from "./source/roles.ts";
import { withFittingShadow, type ReadSourceOptions } from "./source/source.ts";

export interface RehearsalOptions extends Pick<ReadSourceOptions, "engine" | "signal"> {
  /** Rows copied from each table at most. Default 10,000. */
  readonly rowsPerTable?: number | undefined;
}

export interface RehearsedStep {
  /** From 1, as in the plan. */
  readonly step: number;
  readonly tookMs: number;
  /**
   * The measured time times the real rows by the copied ones, of a step that reads or rewrites a table; otherwise `tookMs`.
   * `undefined` when the table has rows that nobody counted.
   */
  readonly scaledMs: number | undefined;
}

export interface Rehearsal {
  /** What the throw-away database was, e.g. `pglite 18.4`. */
  readonly engine: string;
  readonly copied: readonly CopiedTable[];
  readonly steps: readonly RehearsedStep[];
  /** The step that failed, with what the server said; the rehearsal ends there. */
  readonly failure: { readonly step: number; readonly message: string } | undefined;
}

/**
 * Rehearses a plan. The real database is only read: about `rowsPerTable` rows of each table, by block sampling.
 *
 * The parents of copied rows are copied too, for foreign keys that are there and those that the plan adds.
 *
 * @param present - the schema that the plan starts from
 * @param wanted - the schema that it leads to
 */
export async function rehearsePlan(
  database: Database,
  plan: Pick<Plan, "steps">,
  { present, wanted }: { readonly present: Catalog; readonly wanted: Catalog },
  live: Catalog,
  options: RehearsalOptions = {},
): Promise<Rehearsal> {
  const { rowsPerTable = 10_000, signal } = options;
  if (!Number.isSafeInteger(rowsPerTable) || rowsPerTable < 1)
    throw new InvalidInputError("a rehearsal needs at least one row of each table");
  const sizes = tableSizes(live);
  const extensions = present.extensions.map(({ name }) => name).filter((name) => name !== "plpgsql");
  const engine = options.engine ?? ENGINES;
  return withFittingShadow(extensions, { engine, signal, server: database }, async (shadow, info) => {
    await using connection = await shadow.connect();
    await createRoles(connection, rolesOfCatalog(present), info);
    await connection.exec(printCatalog(present), { signal });
    await connection.exec("RESET ALL");
    const foreignKeys = [...present.tables, ...wanted.tables];
    const copied = await copySample(database, connection, { present, live, foreignKeys, sizes, rowsPerTable, signal });
    await connection.exec("ANALYZE", { signal });
    const rows = await rowCounts(connection, present);
    const { steps, failure } = await runSteps(connection, plan.steps, sizes, rows, signal);
    return { engine: `${info.kind} ${info.version}`, copied, steps, failure };
  });
}

/** A real server of our own tells times best; the real database's server has other things to do. */
const ENGINES = ["embedded", "pglite", "scratch"] as const;

async function rowCounts(connection: Connection, present: Catalog): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  for (const { schema, name, kind } of present.tables) {
    if (kind === "foreign") continue;
    const table = identifier(schema, name);
    const { rows } = await connection.query<{ rows: number }>(`SELECT count(*)::int4 AS rows FROM ${table}`);
    counts.set(table, rows[0]?.rows ?? 0);
  }
  return counts;
}

async function runSteps(
  connection: Connection,
  steps: readonly Step[],
  sizes: TableSizes,
  copied: ReadonlyMap<string, number>,
  signal: AbortSignal | undefined,
): Promise<Pick<Rehearsal, "steps" | "failure">> {
  const done: RehearsedStep[] = [];
  let open: number | undefined;
  for (const [index, step] of steps.entries()) {
    if (open !== undefined && open !== step.transactionGroup) {
      await connection.exec("COMMIT");
      open = undefined;
    }
    if (step.inTransaction && open === undefined) {
      await connection.exec("BEGIN");
      open = step.transactionGroup;
    }
    const start = performance.now();
    try {
      await connection.exec(step.sql, { signal });
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error;
      if (connection.transactionStatus !== "idle") await connection.exec("ROLLBACK");
      return { steps: done, failure: { step: index + 1, message: error.message } };
    }
    const tookMs = performance.now() - start;
    done.push({ step: index + 1, tookMs, scaledMs: scaled(step, tookMs, sizes, copied) });
  }
  if (open !== undefined) await connection.exec("COMMIT");
  return { steps: done, failure: undefined };
}

function scaled(
  { locks }: Step,
  tookMs: number,
  sizes: TableSizes,
  copied: ReadonlyMap<string, number>,
): number | undefined {
  const read = locks.filter(({ rewrite, scan }) => rewrite || scan).map(({ relation }) => relation);
  if (read.length === 0) return tookMs;
  let real = 0;
  let sample = 0;
  for (const relation of read) {
    const size = sizes.get(relation);
    if (size?.partitions.some((partition) => read.includes(partition)) === true) continue;
    if (size?.rows === undefined) return undefined;
    real += size.rows;
    sample += copied.get(relation) ?? 0;
  }
  return sample === 0 ? (real === 0 ? tookMs : undefined) : tookMs * Math.max(1, real / sample);
}
