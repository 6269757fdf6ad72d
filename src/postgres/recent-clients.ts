// Clients that were in use a moment ago. The next caller takes one of them at once: a way through the pool takes two timers, a
// tick and two promises, a sixth of the CPU that a unit of one read costs.
import type { PoolClient } from "pg";
import { driverIO } from "./open-unit.ts";

export class RecentClients {
  readonly #longestMs: number;
  readonly #clients: PoolClient[] = [];
  readonly #outSince = new WeakMap<PoolClient, number>();
  #timer: NodeJS.Timeout | undefined;

  /** @param longestMs - a client is back in the pool after this long, where it may be closed for being idle or old */
  constructor(longestMs: number) {
    this.#longestMs = longestMs;
  }

  get count(): number {
    return this.#clients.length;
  }

  /** The pool has just handed it out. */
  noteTaken(client: PoolClient): void {
    this.#outSince.set(client, Date.now());
  }

  /** The one that was given back last. */
  take(): PoolClient | undefined {
    return this.#clients.pop();
  }

  /** @returns false when its time is over: the pool is to have it */
  keep(client: PoolClient): boolean {
    if (Date.now() - (this.#outSince.get(client) ?? 0) >= this.#longestMs) return false;
    this.#clients.push(client);
    this.#timer ??= driverIO(() => setTimeout(() => this.giveBackAll(), this.#longestMs).unref());
    return true;
  }

  /** @returns false when it is not here */
  remove(client: PoolClient): boolean {
    const index = this.#clients.indexOf(client);
    if (index === -1) return false;
    this.#clients.splice(index, 1);
    return true;
  }

  giveBackAll(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const client of this.#clients.splice(0)) client.release();
  }
}
