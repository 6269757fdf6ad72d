// Results of any size in constant memory: a server-side cursor, read batch by batch as the loop asks for rows.
import { CancelledError, type QueryResult, type Statement } from "../postgres/index.ts";
import { checkCount } from "./locking.ts";
import type { UnitOfWork } from "./unit-of-work.ts";
import type { UnitQuery } from "./unit-query.ts";

export interface StreamOptions {
  /** Rows fetched at a time, and held in memory. Default 500. */
  readonly batchSize?: number;
  /** Ends the loop with a CancelledError. A fetch that is under way is cancelled on the server, which ends the unit. */
  readonly signal?: AbortSignal;
}

/** Cursors a unit has opened. Names are counted, not random, so that the texts stay few. */
const opened = new WeakMap<UnitOfWork, number>();

/** `tx.stream()`; described there. */
export async function* streamRows(
  unit: UnitOfWork,
  makeQuery: () => UnitQuery,
  options: StreamOptions,
): AsyncGenerator<unknown, void, undefined> {
  const { batchSize = 500, signal } = options;
  checkCount("batchSize", batchSize, 1, 1_000_000);
  const query = makeQuery();
  const { text, values, types, rowMode } = query.statement;
  const number = (opened.get(unit) ?? 0) + 1;
  opened.set(unit, number);
  const name = `pgsteward_stream_${number}`;
  // Never under a name: what FETCH returns depends on the cursor, not on its text.
  const fetch: Statement = { text: `FETCH FORWARD ${batchSize} FROM ${name}`, types, rowMode, prepare: false };
  const declare: Statement = {
    text: `DECLARE ${name} NO SCROLL CURSOR WITHOUT HOLD FOR ${text}`,
    values,
    prepare: false,
  };

  throwIfAborted(signal);
  const onAbort = (): void => unit.interrupt(cancelled(signal));
  const send = async (statements: readonly Statement[]): Promise<QueryResult | undefined> => {
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return (await Promise.all(statements.map((statement) => unit.query(statement)))).at(-1);
    } catch (error) {
      throwIfAborted(signal);
      throw error;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  };

  let isOpen = false;
  try {
    let result = await send([declare, fetch]);
    isOpen = true;
    for (;;) {
      if (result === undefined) return;
      for (const row of query.decodeRows(result)) {
        throwIfAborted(signal);
        yield row;
      }
      throwIfAborted(signal);
      if (result.rows.length < batchSize) return;
      result = await send([fetch]);
    }
  } finally {
    // A failed transaction has closed it already.
    if (isOpen && unit.isOpen && unit.failure === undefined)
      await unit.query({ text: `CLOSE ${name}`, prepare: false });
  }
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw cancelled(signal);
}

function cancelled(signal: AbortSignal | undefined): CancelledError {
  return new CancelledError("the stream was cancelled", { cause: signal?.reason });
}
