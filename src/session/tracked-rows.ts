// Rows that are loaded to be changed: what was assigned to them, also deep inside their JSON documents, is found by
// comparing with what the server sent, and written with as few columns, and as little of each document, as changed.
import type { PgTable } from "drizzle-orm/pg-core";
import {
  InvalidInputError,
  RowNotFoundError,
  StaleRowError,
  type QueryResult,
  type Statement,
} from "../postgres/index.ts";
import { PlannedQuery, type Plan } from "./planned-query.ts";
import {
  applyWritten,
  changesOf,
  defineUnknown,
  defineValue,
  insertStatement,
  loadedKey,
  resetRow,
  type Guard,
  type RowChange,
  type TrackedRow,
} from "./row-changes.ts";
import { keyTexts, rowModel, type RowModel } from "./row-model.ts";
import { isWriteLock, parsedGuards, selectStatement, type LoadOptions, type RowLockOptions } from "./row-select.ts";
import type { KeyValue, RowOf } from "./table-columns.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

/** The rows that a flush wrote, as tracked objects with what the server made of them. */
export interface FlushResult {
  readonly inserted: readonly Readonly<Record<string, unknown>>[];
  readonly updated: readonly Readonly<Record<string, unknown>>[];
}

const trackers = new WeakMap<UnitOfWork, RowTracker>();

/** The rows that are tracked in a unit. */
export function rowTracker(unit: UnitOfWork): RowTracker {
  let tracker = trackers.get(unit);
  if (tracker === undefined) trackers.set(unit, (tracker = new RowTracker(unit)));
  return tracker;
}

/** What is kept about one tracked row. */
export interface Entry {
  readonly model: RowModel;
  readonly row: TrackedRow;
  guards: readonly Guard[];
  /** What the server sent: columns in order, JSON as text, then the guarded values as text. Undefined: not inserted yet. */
  loaded: readonly unknown[] | undefined;
  /** Nobody else can have changed it since it was read. */
  isLocked: boolean;
  /** Its nested unit was rolled back: what it says about the row may never have been true. */
  isOrphan: boolean;
}

type Before = Pick<Entry, "guards" | "loaded"> & { readonly entry: Entry };

export class RowTracker {
  readonly #unit: UnitOfWork;
  /** By table and key: one row has one object in a unit. */
  readonly #entries = new Map<string, Entry>();
  readonly #entryOf = new WeakMap<object, Entry>();
  readonly #orphans: Entry[] = [];
  #pending: Entry[] = [];
  /** Flushes run one after the other: each compares with what the one before left. */
  #turn: Promise<unknown> = Promise.resolve();
  /** What loads and flushes replaced, so that the end of a savepoint can bring it back. */
  readonly #replaced: Before[] = [];
  readonly #replacedAt = new Map<number, number>();

  constructor(unit: UnitOfWork) {
    this.#unit = unit;
    const flush = async (): Promise<void> => {
      await this.flush();
    };
    unit.lastBeforeCommit(() => this.#flushWithCommit());
    unit.observeSavepoints({
      opening: async (savepoint) => {
        await flush(); // what was assigned before belongs to the outer unit
        this.#replacedAt.set(savepoint, this.#replaced.length);
      },
      closing: flush,
      undone: (savepoint) => this.#bringBack(this.#replacedAt.get(savepoint) ?? 0),
    });
  }

  /** @param andThen - loads what belongs to the row, e.g. its relations */
  load<T extends PgTable>(
    table: T,
    id: KeyValue,
    options: LoadOptions<T>,
    andThen?: (row: RowOf<T>) => Promise<void>,
  ): PlannedQuery<RowOf<T> | undefined> {
    return new PlannedQuery(this.#unit, () => this.#loadPlan(table, id, options, andThen, "tx.load()"));
  }

  loadOrThrow<T extends PgTable>(
    table: T,
    id: KeyValue,
    options: LoadOptions<T>,
    andThen?: (row: RowOf<T>) => Promise<void>,
  ): PlannedQuery<RowOf<T>> {
    return new PlannedQuery(this.#unit, () => {
      const plan = this.#loadPlan(table, id, options, andThen, "tx.loadOrThrow()");
      return {
        statements: plan.statements,
        read: async (results) => {
          const row = await plan.read(results);
          if (row === undefined) throw notFound(rowModel(table), options);
          return row;
        },
      };
    });
  }

  #loadPlan<T extends PgTable>(
    table: T,
    id: KeyValue,
    options: LoadOptions<T>,
    andThen: ((row: RowOf<T>) => Promise<void>) | undefined,
    purpose: string,
  ): Plan<RowOf<T> | undefined> {
    const model = rowModel(table, purpose);
    const keys = keyTexts(model, id, purpose);
    const guards = parsedGuards(model, options.guard ?? []);
    return {
      statements: [selectStatement(model, keys, guards, options, options.withDeleted ?? false)],
      read: async ([result]) => {
        const values = firstRow(result);
        if (values === undefined) return undefined;
        const entry = this.#adoptClean(model, values, guards) ?? (await this.#adoptChanged(model, values, guards));
        entry.isLocked ||= isWriteLock(options.lock);
        const row = entry.row as RowOf<T>;
        await andThen?.(row);
        return row;
      },
    };
  }

  refresh(row: object, options: RowLockOptions): PlannedQuery<void> {
    return new PlannedQuery(this.#unit, () => {
      const entry = this.#entryOf.get(row);
      if (entry === undefined || entry.isOrphan) throw notTracked();
      const { model, guards, loaded } = entry;
      if (loaded === undefined)
        throw new InvalidInputError(`this row of ${model.name} is not inserted yet`, {
          hint: "await tx.flush() first",
        });
      return {
        statements: [selectStatement(model, loadedKey(model, loaded), guards, options, true)],
        read: ([result]) => {
          const values = firstRow(result);
          if (values === undefined) throw stale(model);
          this.#replace(entry, values, guards);
          entry.isLocked ||= isWriteLock(options.lock);
        },
      };
    });
  }

  add<T extends PgTable>(table: T, values: T["$inferInsert"]): RowOf<T> {
    const model = rowModel(table, "tx.add()");
    const given = values as TrackedRow;
    for (const property of Object.keys(given)) {
      if (!model.columnOf.has(property))
        throw new InvalidInputError(`the table ${model.name} has no column ${property}`, {
          hint: `its columns are ${[...model.columnOf.keys()].join(", ")}`,
        });
    }
    const row: TrackedRow = {};
    for (const { property } of model.columns) {
      if (given[property] === undefined) defineUnknown(model, row, property);
      else defineValue(row, property, given[property]);
    }
    const entry: Entry = { model, row, guards: [], loaded: undefined, isLocked: false, isOrphan: false };
    this.#entryOf.set(row, entry);
    this.#pending.push(entry);
    return row;
  }

  /** Tracks rows of a statement that selected `selectJsonAsText`; a row that is tracked already stays the same object. */
  async track(model: RowModel, rows: readonly (readonly unknown[])[]): Promise<TrackedRow[]> {
    const tracked: TrackedRow[] = [];
    for (const values of rows) {
      const entry = this.#adoptClean(model, values, []) ?? (await this.#adoptChanged(model, values, []));
      tracked.push(entry.row);
    }
    return tracked;
  }

  flush(): Promise<FlushResult> {
    const turn = this.#turn.then(() => this.#flushNow());
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #flushNow(): Promise<FlushResult> {
    if (this.#orphans.some((entry) => changesOf(entry) !== undefined))
      throw new InvalidInputError("a row was changed that was loaded in a nested unit which was rolled back", {
        hint: "load the row again in the unit that changes it",
      });
    const { pending, inserts, changes } = this.#collect();
    const statements = [...inserts, ...changes.map(({ change }) => change.statement)];
    const written = (await Promise.all(statements.map((statement) => this.#unit.query(statement)))).map(firstRow);
    pending.forEach((entry, index) => this.#settleInsert(entry, written[index]));
    const gone = changes.filter(({ entry, change }, index) => {
      const values = written[pending.length + index];
      if (values === undefined) return true;
      this.#settleChange(entry, change, values);
      return false;
    });
    if (gone[0] !== undefined) throw stale(gone[0].entry.model);
    return { inserted: pending.map(({ row }) => row), updated: changes.map(({ entry }) => entry.row) };
  }

  /** The last flush needs no answer before COMMIT when the rows are locked: it travels with COMMIT, one round trip less. */
  async #flushWithCommit(): Promise<void> {
    await this.#turn;
    const isLocked = [...this.#entries.values()].every((entry) => entry.isLocked || changesOf(entry) === undefined);
    if (!isLocked || this.#orphans.length > 0 || !this.#unit.canSendWithCommit) {
      await this.flush();
      return;
    }
    const { pending, inserts, changes } = this.#collect();
    for (const [index, entry] of pending.entries()) {
      const statement = inserts[index];
      if (statement === undefined) continue;
      this.#unit.sendWithCommit({
        statement,
        committed: (result) => this.#settleInsert(entry, firstRow(result)),
        refused: (error) => error,
      });
    }
    for (const { entry, change } of changes) {
      this.#unit.sendWithCommit({
        statement: failingWithoutRow(change.statement),
        committed: (result) => this.#settleChange(entry, change, firstRow(result) ?? []),
        refused: (error) => ("sqlState" in error && error.sqlState === NO_ROW_STATE ? stale(entry.model) : error),
      });
    }
  }

  #collect(): {
    readonly pending: readonly Entry[];
    readonly inserts: readonly Statement[];
    readonly changes: readonly { readonly entry: Entry; readonly change: RowChange }[];
  } {
    const pending = this.#pending;
    const inserts = pending.map(insertStatement);
    const changes: { entry: Entry; change: RowChange }[] = [];
    for (const entry of this.#entries.values()) {
      const change = changesOf(entry);
      if (change !== undefined) changes.push({ entry, change });
    }
    // One order for all units, so that two that change the same rows do not wait for each other in a circle.
    changes.sort((a, b) => (entryName(a.entry) < entryName(b.entry) ? -1 : 1));
    this.#pending = [];
    return { pending, inserts, changes };
  }

  #settleInsert(entry: Entry, values: readonly unknown[] | undefined): void {
    if (values === undefined) return; // a trigger kept it out
    this.#replace(entry, values, []);
    this.#entries.set(entryName(entry), entry);
  }

  #settleChange(entry: Entry, change: RowChange, values: readonly unknown[]): void {
    this.#keep(entry);
    entry.loaded = applyWritten(entry, change, values);
  }

  /** Tracks a row that was just read, unless the object that stands for it has changes that are not written. */
  #adoptClean(model: RowModel, values: readonly unknown[], guards: readonly Guard[]): Entry | undefined {
    const name = rowName(model, loadedKey(model, values));
    const known = this.#entries.get(name);
    if (known === undefined) {
      const entry: Entry = { model, row: {}, guards: [], loaded: undefined, isLocked: false, isOrphan: false };
      this.#entries.set(name, entry);
      this.#entryOf.set(entry.row, entry);
      this.#replace(entry, values, guards);
      return entry;
    }
    if (known.guards.length > guards.length || changesOf(known) !== undefined) return undefined;
    this.#replace(known, values, guards);
    return known;
  }

  /** What was assigned is written first, checked against what it was made on; then the row is read again. */
  async #adoptChanged(model: RowModel, values: readonly unknown[], guards: readonly Guard[]): Promise<Entry> {
    const name = rowName(model, loadedKey(model, values));
    await this.flush();
    const known = this.#entries.get(name);
    if (known === undefined) throw stale(model);
    if (guards.length > 0) known.guards = guards;
    await this.refresh(known.row, {});
    return known;
  }

  #replace(entry: Entry, values: readonly unknown[], guards: readonly Guard[]): void {
    this.#keep(entry);
    entry.guards = guards;
    entry.loaded = values;
    resetRow(entry);
  }

  #keep(entry: Entry): void {
    this.#replaced.push({ entry, loaded: entry.loaded, guards: entry.guards });
  }

  /** After a savepoint was rolled back: rows say again what they said when it was opened. */
  #bringBack(length: number): void {
    this.#pending = [];
    for (const { entry, loaded, guards } of this.#replaced.splice(length).toReversed()) {
      if (loaded !== undefined) {
        entry.loaded = loaded;
        entry.guards = guards;
        continue;
      }
      resetRow(entry);
      const name = entryName(entry);
      if (this.#entries.get(name) === entry) this.#entries.delete(name);
      entry.isOrphan = true;
      this.#orphans.push(entry);
    }
    for (const entry of this.#entries.values()) {
      resetRow(entry);
      entry.isLocked = false; // a lock that was taken inside is gone
    }
  }
}

/** invalid_argument_for_width_bucket_function: nothing else in a unit is likely to raise it. */
const NO_ROW_STATE = "2201G";

/** An UPDATE … RETURNING that the server itself refuses when it finds no row, so that COMMIT can travel behind it. */
function failingWithoutRow(statement: Statement): Statement {
  const text = `WITH written AS (${statement.text}) SELECT written.* FROM (SELECT width_bucket(1, 0, 2, count(*)::int) AS found FROM written) AS checked JOIN written ON checked.found > 0`;
  return { ...statement, text };
}

function rowName(model: RowModel, keys: readonly string[]): string {
  return `${model.text} ${JSON.stringify(keys)}`;
}

function entryName({ model, loaded }: Entry): string {
  return rowName(model, loadedKey(model, loaded ?? []));
}

function firstRow(result: QueryResult | undefined): readonly unknown[] | undefined {
  return (result as { readonly rows: readonly (readonly unknown[])[] } | undefined)?.rows[0];
}

function stale({ name }: RowModel): StaleRowError {
  return new StaleRowError(`a row of ${name} was changed or deleted by someone else since it was loaded`, {
    hint: 'read it again with tx.refresh(row), or run the unit again, and decide anew; a lock ({ lock: "update" }) prevents it',
  });
}

function notFound({ name }: RowModel, { wait }: RowLockOptions): RowNotFoundError {
  return new RowNotFoundError(`the table ${name} has no such row that this unit can see`, {
    hint:
      wait === "skip"
        ? "it may be locked by another unit"
        : "it may be deleted, or hidden by row-level security: check the id and the tenant",
  });
}

function notTracked(): InvalidInputError {
  return new InvalidInputError("tx.refresh() takes a row that tx.load() or tx.add() of the same unit returned", {
    hint: "load the row in this unit",
  });
}
