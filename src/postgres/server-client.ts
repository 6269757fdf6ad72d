// The driver's client, with rows that a batch reads from the socket itself, what the server reports of itself, and a login that
// leaves no socket open when it fails.
import type { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";
import pg from "pg";
import { splitRowMessages } from "./row-messages.ts";

/** Hears the server from the login on; whoever wants to know is told of what was heard before, too. */
export class ServerClient extends pg.Client {
  #version = "";
  #isStandby = "";
  #onReport: () => void = () => undefined;

  constructor(config?: pg.ClientConfig) {
    super(config);
    const { connection } = this as unknown as { connection: EventEmitter };
    splitRowMessages(connection);
    connection.on("parameterStatus", ({ parameterName: name, parameterValue: value }: Record<string, string>) => {
      if (name === "server_version") this.#version = value ?? "";
      else if (name === "in_hot_standby") this.#isStandby = value ?? "";
      else return;
      this.#onReport();
    });
  }

  /** Version and whether it is a replica. A pooler may leave the second one out. */
  get reported(): string {
    return `${this.#version} ${this.#isStandby}`;
  }

  /** Calls back now, and whenever the server reports another one: a replica that is promoted does. */
  hear(onReport: () => void): void {
    this.#onReport = onReport;
    onReport();
  }

  /**
   * The driver leaves its socket open when it gives up while logging in (no password to give, for one). The server then waits
   * for the password until authentication_timeout, a minute, and CREATE and DROP DATABASE on it wait as long.
   */
  override connect(): Promise<pg.Client>;
  override connect(callback: (error: Error) => void): void;
  override connect(callback?: (error: Error) => void): Promise<pg.Client> | void {
    if (callback === undefined) return super.connect();
    super.connect((error: Error | null) => {
      if (error !== null) (this as unknown as { connection: { stream: Duplex } }).connection.stream.destroy();
      callback(error as Error);
    });
  }
}
