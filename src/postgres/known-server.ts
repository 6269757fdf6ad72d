// What an engine knows of its server, asked once and again when another server may answer: after a failover the replica of a moment
// ago is the primary, or the address leads elsewhere.
import type { LeasedConnection } from "./connection.ts";
import type { Connection, DatabaseKind, ServerFacts } from "./database.ts";
import { readServerFacts } from "./server-facts.ts";
import { readServerTraits, type ServerTraits } from "./server-traits.ts";

interface Known<T> {
  readonly value: T;
  /** How many doubts there were when it was asked. */
  readonly askedAt: number;
}

export class KnownServer {
  #doubts = 0;
  #traits: Known<ServerTraits> | undefined;
  #facts: Known<Promise<ServerFacts>> | undefined;

  /** Something spoke against what is known: the next connection asks first. */
  doubt(): void {
    this.#doubts++;
  }

  /** As they were told last; undefined before the first connection. */
  get lastTraits(): ServerTraits | undefined {
    return this.#traits?.value;
  }

  /** Undefined when the server has to be asked. */
  get traits(): ServerTraits | undefined {
    return this.#current(this.#traits);
  }

  /** Undefined when the server has to be asked. */
  get facts(): Promise<ServerFacts> | undefined {
    return this.#current(this.#facts);
  }

  async readTraits(connection: LeasedConnection, kind: DatabaseKind): Promise<ServerTraits> {
    const askedAt = this.#doubts;
    const value = await readServerTraits(connection, kind);
    this.#traits = { value, askedAt };
    return value;
  }

  /** Those who ask meanwhile wait for the same answer. */
  readFacts(connection: Connection): Promise<ServerFacts> {
    const known = this.facts;
    if (known !== undefined) return known;
    const reading = { value: readServerFacts(connection), askedAt: this.#doubts };
    this.#facts = reading;
    reading.value.catch(() => {
      if (this.#facts === reading) this.#facts = undefined;
    });
    return reading.value;
  }

  #current<T>(known: Known<T> | undefined): T | undefined {
    return known?.askedAt === this.#doubts ? known.value : undefined;
  }
}
