// Runs a backfill: a large UPDATE in batches by key, each in a transaction of its own together with the cursor, so that a process
// that dies at any moment leaves nothing half done, and the next run goes on at exactly the next row.
import { setTimeout as sleep } from "node:timers/promises";
import {
  InvalidInputError,
  RetriesExhaustedError,
  StewardError,
  type Connection,
  type Database,
} from "../../postgres/index.ts";
import {
  freeRowsQuery,
  lastKeyQuery,
  lastWindowQuery,
  remainingQuery,
  updateQuery,
  windowQuery,
  type KeyValues,
  type PlannedQuery,
} from "./batch.ts";
import { checkDefinition, refuseWrittenKey, type BackfillDefinition, type CheckedDefinition } from "./definition.ts";
import { isLockFailure, isWorthAnotherTry, movedByAnother, stillMatching, stillToDo } from "./failures.ts";
import { settingsOf, type BackfillOptions, type BackfillResult, type BackfillSettings } from "./options.ts";
import {
  advance,
  beginPass,
  createStore,
  emptyRecord,
  insertRecord,
  readRecord,
  setState,
  withBackfillLock,
  type BackfillRecord,
} from "./store.ts";
import { withRightsNamed } from "../run/missing-grant.ts";
import { rightsOf, readTarget, type BackfillTarget } from "./target.ts";
import { readThrottle } from "./throttle.ts";

/**
 * Updates the rows of a table in batches, and continues a run of the same name where it ended.
 *
 * Rows are walked by key, so each is visited exactly once per pass. With a `where`, the rows that still match are counted at the
 * end, and rows that came behind the cursor get another pass. Triggers of the table fire. Row-level security is off: a login that
 * it would hide rows from gets an error instead of a run that misses them.
 *
 * @throws InvalidInputError when the expressions are more than that, when there is no key, when another definition is recorded
 *   under this name, when the rows still match `where` after the update, or when rows are left after `maxPasses`
 * @throws LockNotAvailableError naming the holder, when a run of this name is going on; StaleRowError when its record moves meanwhile
 * @throws RetriesExhaustedError when a batch fails again and again, or load and lag hold the run back for `maxHeldBackMs`
 */
export async function runBackfill(
  database: Database,
  definition: BackfillDefinition,
  options: BackfillOptions = {},
): Promise<BackfillResult> {
  const checked = await checkDefinition(definition);
  const settings = settingsOf(options);
  await using connection = await database.connect({ signal: options.signal });
  const target = await readTarget(connection, checked.schema, checked.table, checked.key);
  refuseWrittenKey(
    target.key.map(({ name }) => name),
    checked.columns,
  );
  return await withRightsNamed(connection, rightsOf(checked), async () => {
    await createStore(connection);
    const run = new Run(connection, checked, target, settings);
    // Behind a pooler the lock would stay with a session that others use; the record alone then keeps two runs apart.
    if (!database.backend.advisoryLocks) return run.run();
    return withBackfillLock(connection, checked.name, settings.waitMs, () => run.run());
  });
}

/** First pause after a failure, and the longest, in milliseconds. */
const RETRY_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 5_000;
/** What a batch of several rows waits for one that somebody holds, while it holds others itself. The limit is for a row alone. */
const SHORT_WAIT_MS = 10;
/** Batches without a row that somebody holds, after which rows are no longer locked before they are updated. */
const CAREFUL_BATCHES = 20;

interface BatchWindow {
  readonly key: KeyValues;
  /** Rows in it. */
  readonly size: number;
}

class Run {
  readonly #connection: Connection;
  readonly #definition: CheckedDefinition;
  readonly #target: BackfillTarget;
  readonly #settings: BackfillSettings;
  readonly #started = performance.now();
  readonly #notices = new Set<string>();
  #batchSize: number;
  /** How many batches still look which rows are free before they update them. */
  #carefulBatches = 0;
  #visitedHere = 0;
  #passesHere = 1;
  #checkedAt = -Infinity;
  #record: BackfillRecord;

  constructor(
    connection: Connection,
    definition: CheckedDefinition,
    target: BackfillTarget,
    settings: BackfillSettings,
  ) {
    this.#connection = connection;
    this.#definition = definition;
    this.#target = target;
    this.#settings = settings;
    this.#batchSize = settings.batchSize;
    this.#record = emptyRecord(definition);
  }

  async run(): Promise<BackfillResult> {
    const { name } = this.#definition;
    const wasDone = await this.#takeUp();
    if (wasDone) return this.#result("done", true, this.#definition.where === undefined ? undefined : 0);
    try {
      for (;;) {
        if (!(await this.#walk())) {
          await setState(this.#connection, name, "stopped");
          return this.#result("stopped", false, undefined);
        }
        const left = await this.#remaining();
        if (left === undefined || left === 0) {
          await setState(this.#connection, name, "done");
          return this.#result("done", false, left);
        }
        if (this.#passesHere >= this.#settings.maxPasses) throw stillToDo(name, left, this.#passesHere);
        await this.#beginPass(this.#record.pass + 1, await this.#lastKey());
        this.#passesHere++;
      }
    } catch (error) {
      await this.#recordFailure(error);
      throw error;
    }
  }

  /** Continues what is recorded, or begins; true when nothing is left to do. */
  async #takeUp(): Promise<boolean> {
    const { name, fingerprint } = this.#definition;
    const found = await readRecord(this.#connection, name);
    const isOther = found !== undefined && found.fingerprint !== fingerprint;
    if (isOther && found.batches > 0 && found.state !== "done" && !this.#settings.restart) {
      throw new InvalidInputError(`the backfill ${name} was begun with other expressions, and is not done`, {
        hint: "give the new one another name, or begin anew with restart (--restart): rows that are done would be done again",
      });
    }
    if (found === undefined || isOther || this.#settings.restart) {
      // A table that may not be read leaves no record.
      const passEnd = await this.#lastKey();
      await insertRecord(this.#connection, this.#definition);
      await this.#beginPass(1, passEnd);
      return false;
    }
    this.#record = found;
    if (found.state !== "done") {
      if (found.passEnd === undefined) await this.#beginPass(found.pass, await this.#lastKey());
      else await setState(this.#connection, name, "running");
      return false;
    }
    const left = await this.#remaining();
    if (left === undefined || left === 0) return true;
    await this.#beginPass(1, await this.#lastKey());
    return false;
  }

  async #lastKey(): Promise<KeyValues | undefined> {
    const { rows } = await this.#ask<{ key: KeyValues }>(lastKeyQuery(this.#target));
    return rows[0]?.key;
  }

  async #beginPass(pass: number, passEnd: KeyValues | undefined): Promise<void> {
    await beginPass(this.#connection, this.#definition.name, pass, passEnd);
    this.#record = { ...this.#record, pass, cursor: undefined, passEnd };
  }

  /** One pass; false when the signal stopped it. */
  async #walk(): Promise<boolean> {
    const { signal, pauseMs } = this.#settings;
    let failures = 0;
    while (this.#record.passEnd !== undefined) {
      if (signal?.aborted === true || !(await this.#heldBack())) return false;
      const began = performance.now();
      try {
        if (!(await this.#batch(this.#record.passEnd))) return true;
        failures = 0;
        this.#adapt(performance.now() - began);
      } catch (error) {
        await this.#rollBack();
        if (!isWorthAnotherTry(error)) throw error;
        if (isLockFailure(error)) {
          const wasCareful = this.#carefulBatches > 0;
          this.#carefulBatches = CAREFUL_BATCHES;
          if (!wasCareful) continue;
        }
        failures++;
        if (failures > this.#settings.retries) {
          throw new RetriesExhaustedError(`a batch of the backfill ${this.#record.name} failed ${failures} times`, {
            cause: error,
            hint: "what is done stays done: run it again when the table is less busy, or with a smaller batch",
          });
        }
        this.#batchSize = Math.max(1, Math.floor(this.#batchSize / 2));
        const message = error instanceof Error ? error.message : String(error);
        this.#report(`try ${failures} failed: ${message}`);
        await this.#rest(Math.min(LONGEST_PAUSE_MS, RETRY_PAUSE_MS * 2 ** failures) * (0.5 + Math.random() / 2));
        continue;
      }
      this.#report(undefined);
      if (pauseMs > 0) await this.#rest(pauseMs);
    }
    return true;
  }

  /** One transaction; false when the pass has no row left. */
  async #batch(passEnd: KeyValues): Promise<boolean> {
    const { lockTimeoutMs, batchTimeoutMs } = this.#settings;
    const { name, pass, cursor } = this.#record;
    const isAlone = this.#batchSize === 1;
    const isCareful = this.#carefulBatches > 0 && !isAlone;
    const waitMs = isCareful || isAlone ? lockTimeoutMs : Math.min(SHORT_WAIT_MS, lockTimeoutMs);
    await this.#connection.exec(
      `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
       SET LOCAL lock_timeout = ${waitMs}; SET LOCAL statement_timeout = ${batchTimeoutMs}; SET LOCAL row_security = off`,
    );
    const all = await this.#window(cursor, passEnd);
    const window = all === undefined || !isCareful ? all : await this.#freeWindow(cursor, all);
    if (window === undefined) {
      await this.#connection.exec("COMMIT");
      return false;
    }
    const { rows } = await this.#ask<{ changed: number; still: number }>(
      updateQuery(this.#target, this.#definition, cursor, window.key),
      batchTimeoutMs,
    );
    const { changed, still } = rows[0] ?? { changed: 0, still: 0 };
    if (still > 0) throw stillMatching(still);
    const batch = { name, pass, from: cursor, to: window.key, visited: window.size, changed };
    if (!(await advance(this.#connection, batch))) throw movedByAnother(name);
    await this.#connection.exec("COMMIT");
    this.#visitedHere += window.size;
    this.#record = {
      ...this.#record,
      cursor: window.key,
      rowsVisited: this.#record.rowsVisited + window.size,
      rowsChanged: this.#record.rowsChanged + changed,
      batches: this.#record.batches + 1,
    };
    return true;
  }

  /** The next rows, up to the size of a batch; `undefined` when there are none. */
  async #window(from: KeyValues | undefined, to: KeyValues): Promise<BatchWindow | undefined> {
    const { batchTimeoutMs } = this.#settings;
    const size = this.#batchSize;
    const full = await this.#ask<{ key: KeyValues }>(windowQuery(this.#target, from, to, size), batchTimeoutMs);
    if (full.rows[0] !== undefined) return { key: full.rows[0].key, size };
    const rest = await this.#rowsUpTo(from, to);
    return rest === 0 ? undefined : { key: to, size: rest };
  }

  async #rowsUpTo(from: KeyValues | undefined, to: KeyValues): Promise<number> {
    const { rows } = await this.#ask<{ size: number }>(
      lastWindowQuery(this.#target, from, to),
      this.#settings.batchTimeoutMs,
    );
    return rows[0]?.size ?? 0;
  }

  /**
   * The part of a window in front of the first row that somebody holds, its rows locked, so that its update waits for nobody. Where
   * that row is the first one, the window ends with it: it is waited for while nothing else is locked.
   */
  async #freeWindow(from: KeyValues | undefined, all: BatchWindow): Promise<BatchWindow> {
    const { lockTimeoutMs, batchTimeoutMs } = this.#settings;
    await this.#connection.exec("SAVEPOINT pgsteward_free");
    const { rows } = await this.#ask<{ held: KeyValues | null; last: KeyValues | null }>(
      freeRowsQuery(this.#target, this.#definition, from, all.key),
      batchTimeoutMs,
    );
    const { held = null, last = null } = rows[0] ?? {};
    if (held !== null && last === null) {
      await this.#connection.exec("ROLLBACK TO pgsteward_free");
      return { key: held, size: await this.#rowsUpTo(from, held) };
    }
    await this.#connection.exec(`SET LOCAL lock_timeout = ${Math.min(SHORT_WAIT_MS, lockTimeoutMs)}`);
    if (last !== null) return { key: last, size: await this.#rowsUpTo(from, last) };
    this.#carefulBatches--;
    return all;
  }

  /** A batch twice as fast as wanted is followed by one twice as large, and no step is larger than that. */
  #adapt(tookMs: number): void {
    const { targetMs, maxBatchSize } = this.#settings;
    if (targetMs === 0) return;
    const factor = Math.min(2, Math.max(0.5, targetMs / Math.max(1, tookMs)));
    this.#batchSize = Math.min(maxBatchSize, Math.max(1, Math.round(this.#batchSize * factor)));
  }

  /** Waits while the server is busy; false when the signal came meanwhile. */
  async #heldBack(): Promise<boolean> {
    const { checkEveryMs, maxHeldBackMs, signal } = this.#settings;
    const began = performance.now();
    for (let round = 0; ; round++) {
      if (round === 0 && performance.now() - this.#checkedAt < checkEveryMs) return true;
      const { reason, ...hidden } = await readThrottle(this.#connection, this.#target.oids, this.#settings);
      this.#checkedAt = performance.now();
      if (hidden.isLagHidden)
        this.#notices.add("the lag of replicas is not visible to this login: GRANT pg_monitor TO it");
      if (hidden.isLoadHidden)
        this.#notices.add("the load of others is not visible to this login: GRANT pg_monitor TO it");
      if (reason === undefined) return true;
      if (performance.now() - began > maxHeldBackMs) {
        throw new RetriesExhaustedError(`the backfill ${this.#record.name} was held back too long: ${reason}`, {
          hint: "run it again later, or raise the limit that holds it back (--max-lag, --max-active, --max-lock-waits)",
        });
      }
      this.#report(reason);
      await this.#rest(Math.min(LONGEST_PAUSE_MS, 100 * 2 ** round));
      if (signal?.aborted === true) return false;
    }
  }

  /** Rows still to do; `undefined` without a `where`. */
  async #remaining(): Promise<number | undefined> {
    if (this.#definition.where === undefined) return undefined;
    const { verifyTimeoutMs } = this.#settings;
    await this.#connection.exec("BEGIN READ ONLY; SET LOCAL row_security = off");
    try {
      const query = remainingQuery(this.#target, this.#definition);
      const { rows } = await this.#ask<{ remaining: number }>(query, verifyTimeoutMs);
      return rows[0]?.remaining ?? 0;
    } finally {
      await this.#rollBack();
    }
  }

  async #rest(ms: number): Promise<void> {
    const { signal } = this.#settings;
    // An aborted sleep only means: no more waiting.
    await sleep(ms, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
  }

  async #rollBack(): Promise<void> {
    if (this.#connection.transactionStatus !== "idle") await this.#connection.exec("ROLLBACK");
  }

  async #recordFailure(error: unknown): Promise<void> {
    const message = error instanceof StewardError ? `${error.code}: ${error.message}` : String(error);
    try {
      await this.#rollBack();
      await setState(this.#connection, this.#definition.name, "failed", message);
    } catch {
      // The connection is gone: the record then says `running`, and nobody holds its lock. The first error is the one to report.
    }
  }

  #ask<R extends Record<string, unknown>>(query: PlannedQuery, timeoutMs?: number): Promise<{ readonly rows: R[] }> {
    return this.#connection.query<R>(query.text, query.values, timeoutMs === undefined ? {} : { timeoutMs });
  }

  #report(heldBackBy: string | undefined): void {
    const { name, pass, rowsVisited, rowsChanged } = this.#record;
    const { rowEstimate } = this.#target;
    const rowsPerSecond = (this.#visitedHere * 1_000) / Math.max(1, performance.now() - this.#started);
    const isKnown = rowEstimate !== undefined && pass === 1 && rowsPerSecond > 0;
    this.#settings.onProgress?.({
      name,
      pass,
      rowsVisited,
      rowsChanged,
      rowEstimate,
      rowsPerSecond,
      timeLeftMs: isKnown ? (Math.max(0, rowEstimate - rowsVisited) * 1_000) / rowsPerSecond : undefined,
      batchSize: this.#batchSize,
      heldBackBy,
    });
  }

  #result(state: BackfillResult["state"], wasDone: boolean, rowsLeft: number | undefined): BackfillResult {
    const { name, pass, batches, rowsVisited, rowsChanged } = this.#record;
    const tookMs = Math.round(performance.now() - this.#started);
    return {
      name,
      state,
      wasDone,
      passes: pass,
      batches,
      rowsVisited,
      rowsChanged,
      rowsLeft,
      tookMs,
      notices: [...this.#notices],
    };
  }
}
