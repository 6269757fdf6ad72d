// Clients of a pool, and those among them that were in use a moment ago. The next caller takes one of these at once: a way through
// the pool takes two timers, a tick and two promises, a sixth of the CPU that a unit of one read costs.
import type { PoolClient } from "pg";
import { driverIO } from "./open-unit.ts";

/** One client of a pool, for as long as it lives. Times are those of `Date.now()`. */
export class PooledClient {
  readonly client: PoolClient;
  /** When it was given back last; undefined before its first use. */
  lastUse: number | undefined;
  /** When the pool handed it out last. */
  outSince = 0;
  /** Why it is of no use any more. */
  loss: Error | undefined;

  constructor(client: PoolClient) {
    this.client = client;
    // The pool takes its own listener off while a client is out; without one, a lost socket would end the process.
    client.on("error", (error: Error) => {
      this.loss ??= error;
    });
  }
}

export class RecentClients {
  readonly #longestMs: number;
  readonly #clients: PooledClient[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** @param longestMs - a client is back in the pool after this long, where it may be closed for being idle or old */
  constructor(longestMs: number) {
    this.#longestMs = longestMs;
  }

  get count(): number {
    return this.#clients.length;
  }

  /** The one that was given back last. */
  take(): PooledClient | undefined {
    return this.#clients.pop();
  }

  /** @returns false when its time is over: the pool is to have it */
  keep(pooled: PooledClient): boolean {
    if (Date.now() - pooled.outSince >= this.#longestMs) return false;
    this.#clients.push(pooled);
    this.#timer ??= driverIO(() => setTimeout(() => this.giveBackAll(), this.#longestMs).unref());
    return true;
  }

  /** @returns false when it is not here */
  remove(pooled: PooledClient): boolean {
    const index = this.#clients.indexOf(pooled);
    if (index === -1) return false;
    this.#clients.splice(index, 1);
    return true;
  }

  giveBackAll(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const { client } of this.#clients.splice(0)) client.release();
  }
}
