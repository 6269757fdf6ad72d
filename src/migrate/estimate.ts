// How long a plan's statements work and how long their locks are held, from the sizes of the tables that are there. Pure.
import { identifier, InvalidInputError } from "../postgres/index.ts";
import type { Catalog } from "../catalog/index.ts";
import { blocksWrites, type LockMode } from "./locks.ts";
import type { Plan } from "./plan.ts";
import type { Step } from "./plan-steps.ts";

/** A table as it is on a server; for a partitioned one the sums of its partitions. */
export interface TableSize {
  /** `reltuples`; `undefined` for a table never analyzed. */
  readonly rows: number | undefined;
  /** Heap and TOAST. */
  readonly bytes: number;
  readonly indexBytes: number;
  readonly indexes: number;
  /** Of a partitioned table: its partitions at the bottom, as SQL. */
  readonly partitions: readonly string[];
}

/** By the table's name as SQL, e.g. `"shop"."orders"`. */
export type TableSizes = ReadonlyMap<string, TableSize>;

/** Work a second. */
export interface WorkRates {
  /** Of a table that is read: a check, NOT NULL, the first step of an index. */
  readonly scanBytesPerSecond: number;
  /** Of a table that is written anew; its indexes come on top. */
  readonly rewriteBytesPerSecond: number;
  /** Of an index that is built, or of a foreign key that is checked. */
  readonly indexRowsPerSecond: number;
}

/**
 * Measured on PostgreSQL 18.4 with two busy cores, on a table of 1 million rows and 126 MB that was in memory: it was read in 0.2 to
 * 0.5 s, rewritten in 6.7 s, got an index on integers in 0.9 s, one on text in 2.8 s, and a foreign key was checked in 2.3 s. The
 * slower ends are taken. What does not fit into memory comes from disk, and takes as long as that.
 */
export const WORK_RATES: WorkRates = {
  scanBytesPerSecond: 250_000_000,
  rewriteBytesPerSecond: 20_000_000,
  indexRowsPerSecond: 350_000,
};

/** A change of the catalog alone. */
const CATALOG_CHANGE_MS = 5;
/** Bytes of a row where nobody knows how many there are. */
const USUAL_ROW_BYTES = 100;

export interface LockEstimate {
  readonly relation: string;
  readonly mode: LockMode;
  readonly rewrite: boolean;
  readonly scan: boolean;
  /** `undefined` when the size of the relation is not known. */
  readonly rows: number | undefined;
  readonly bytes: number | undefined;
  /** From the statement that takes it to the end of its transaction. `undefined`: something in there has an unknown size. */
  readonly heldMs: number | undefined;
  /** Whether others cannot write meanwhile, or not even read. */
  readonly blocksWrites: boolean;
}

export interface StepEstimate {
  /** From 1, as in the plan. */
  readonly step: number;
  readonly workMs: number | undefined;
  readonly locks: readonly LockEstimate[];
}

export interface PlanEstimate {
  readonly steps: readonly StepEstimate[];
  /** Locks that hold up writers for longer than the limit, one sentence each. */
  readonly warnings: readonly string[];
  /** What the figures rest on, one sentence each. */
  readonly assumptions: readonly string[];
}

export interface EstimateOptions {
  readonly rates?: WorkRates | undefined;
  /** Longest time that writers may be held up, in milliseconds. Default 2,000. */
  readonly maxLockMs?: number | undefined;
}

/** The sizes in a catalog that was read from the server the plan is for. */
export function tableSizes(catalog: Catalog): TableSizes {
  const sizes = new Map<string, TableSize>();
  const childrenOf = new Map<string, string[]>();
  for (const table of [...catalog.tables, ...catalog.views.filter(({ kind }) => kind === "materialized view")]) {
    const name = identifier(table.schema, table.name);
    const isTable = "partitionOf" in table;
    const bytes = isTable ? (table.sizeBytes ?? 0) : 0;
    const indexBytes = table.indexes.reduce((sum, index) => sum + (index.sizeBytes ?? 0), 0);
    const rows = isTable ? table.rowEstimate : undefined;
    sizes.set(name, { rows, bytes, indexBytes, indexes: table.indexes.length, partitions: [] });
    if (isTable && table.partitionOf !== undefined) {
      const parent = identifier(table.partitionOf.schema, table.partitionOf.name);
      childrenOf.set(parent, [...(childrenOf.get(parent) ?? []), name]);
    }
  }
  const leavesOf = (name: string): readonly string[] =>
    (childrenOf.get(name) ?? []).flatMap((child) => (childrenOf.has(child) ? leavesOf(child) : [child]));
  for (const parent of childrenOf.keys()) {
    const own = sizes.get(parent);
    if (own === undefined) continue;
    const partitions = leavesOf(parent);
    const parts = partitions.map((name) => sizes.get(name)).filter((size) => size !== undefined);
    const sum = (of: (size: TableSize) => number): number => parts.reduce((total, size) => total + of(size), 0);
    const isCounted = parts.every(({ rows }) => rows !== undefined);
    sizes.set(parent, {
      rows: isCounted ? sum(({ rows }) => rows ?? 0) : undefined,
      bytes: sum(({ bytes }) => bytes),
      indexBytes: sum(({ indexBytes }) => indexBytes),
      indexes: own.indexes,
      partitions,
    });
  }
  return sizes;
}

/**
 * Estimates a plan.
 *
 * @param sizes - of the server that the plan will run on
 * @throws InvalidInputError for a rate that is not above 0
 */
export function estimatePlan(
  plan: Pick<Plan, "steps" | "changes">,
  sizes: TableSizes,
  options: EstimateOptions = {},
): PlanEstimate {
  const { rates = WORK_RATES, maxLockMs = 2_000 } = options;
  if (Object.values(rates).some((rate: number) => !(rate > 0)))
    throw new InvalidInputError("a rate of work must be above 0");
  const foreignKeys = new Set(
    plan.changes.flatMap((change) => {
      const object = change.kind === "create" || change.kind === "alter" ? change.after : undefined;
      return object?.kind === "constraint" && object.facts.kind === "foreign key" ? [object.id] : [];
    }),
  );
  const works = plan.steps.map((step) =>
    workOf(step, BUILDS.test(step.sql) || foreignKeys.has(step.subject), sizes, rates),
  );
  const steps = plan.steps.map((step, index): StepEstimate => {
    const rest = plan.steps
      .map((other, position) => ({ other, position }))
      .filter(({ other, position }) => position >= index && other.transactionGroup === step.transactionGroup)
      .map(({ position }) => works[position]);
    const heldMs = total(rest);
    return {
      step: index + 1,
      workMs: works[index],
      locks: step.locks.map(({ relation, mode, rewrite, scan }) => {
        const size = sizes.get(relation);
        const [rows, bytes] = [size?.rows, size?.bytes];
        return { relation, mode, rewrite, scan, rows, bytes, heldMs, blocksWrites: blocksWrites(mode) };
      }),
    };
  });
  return { steps, warnings: warningsOf(steps, maxLockMs), assumptions: assumptionsOf(rates) };
}

/**
 * Milliseconds of a statement's own work; `undefined` when it reads or writes something of unknown size.
 *
 * @param looksUp - it builds an index, or looks up a row in one for each row it reads
 */
function workOf(step: Step, looksUp: boolean, sizes: TableSizes, rates: WorkRates): number | undefined {
  const relations = new Set(step.locks.map(({ relation }) => relation));
  let ms = CATALOG_CHANGE_MS;
  for (const { relation, rewrite, scan } of step.locks) {
    if (!rewrite && !scan) continue;
    const size = sizes.get(relation);
    if (size === undefined) return undefined;
    // Its partitions are among the locks themselves, each with its own size.
    if (size.partitions.some((partition) => relations.has(partition))) continue;
    const rows = size.rows ?? size.bytes / USUAL_ROW_BYTES;
    const scanMs = (size.bytes / rates.scanBytesPerSecond) * 1_000;
    const indexMs = (rows / rates.indexRowsPerSecond) * 1_000;
    if (rewrite) ms += (size.bytes / rates.rewriteBytesPerSecond) * 1_000 + size.indexes * indexMs;
    else ms += looksUp ? (scanMs + indexMs) * (/\bCONCURRENTLY\b/.test(step.sql) ? 2 : 1) : scanMs;
  }
  return Math.ceil(ms);
}

/** Statements that build an index. */
const BUILDS = /^(?:CREATE (?:UNIQUE )?INDEX|REINDEX)\b|\bADD (?:CONSTRAINT \S+ )?(?:PRIMARY KEY|UNIQUE|EXCLUDE)\b/i;

function total(values: readonly (number | undefined)[]): number | undefined {
  let sum = 0;
  for (const value of values) {
    if (value === undefined) return undefined;
    sum += value;
  }
  return sum;
}

function warningsOf(steps: readonly StepEstimate[], maxLockMs: number): readonly string[] {
  return steps.flatMap(({ step, locks }) =>
    locks
      .filter((lock) => lock.blocksWrites && lock.heldMs !== undefined && lock.heldMs > maxLockMs)
      .map(
        ({ relation, mode, heldMs }) =>
          `step ${step} holds ${mode} on ${relation} for about ${durationText(heldMs ?? 0)}, longer than ${durationText(maxLockMs)}`,
      ),
  );
}

function assumptionsOf({
  scanBytesPerSecond,
  rewriteBytesPerSecond,
  indexRowsPerSecond,
}: WorkRates): readonly string[] {
  const mb = (bytes: number): string => `${Math.round(bytes / 1_000_000)} MB/s`;
  return [
    `tables are read at ${mb(scanBytesPerSecond)}, rewritten at ${mb(rewriteBytesPerSecond)}, indexes built at ${indexRowsPerSecond} rows/s`,
    "rows are the server's estimate (reltuples), tables are in memory, and nobody else holds the locks",
    "an index that is built CONCURRENTLY also waits for every transaction that is older",
  ];
}

/** `5 ms`, `2.5 s`, `12 min`, `3.1 h`. */
export function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${(ms / 1_000).toFixed(1).replace(/\.0$/, "")} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  return `${(ms / 3_600_000).toFixed(1)} h`;
}
