// A loopback proxy that understands the client's half of the PostgreSQL protocol: it adds latency, counts network
// flushes, records message types, and breaks connections at a chosen message. Encrypted connections pass uncounted by type.
import { createServer, connect, type AddressInfo, type Socket } from "node:net";
import { MessageReader, statementText, type FrontendMessage } from "./wire-messages.ts";

export interface WireProxyOptions {
  readonly targetHost: string;
  readonly targetPort: number;
  /** Milliseconds added on the way from the client to the server, so once per round trip. Default 0. */
  readonly delayMs?: number;
  /** Milliseconds by which a ReadyForQuery comes after what stands before it, as when a segment ends there. Default 0: with it. */
  readonly readyDelayMs?: number;
}

/** Length of the last message of a reply, ReadyForQuery. */
const READY_BYTES = 6;

/**
 * What to look for in the client's messages: a pattern over the SQL text of Query (`Q`), Parse (`P`) and Bind (`B`, the text
 * its statement name was parsed from), or a message type, e.g. `"S"` for Sync.
 * @see https://www.postgresql.org/docs/18/protocol-message-formats.html
 */
export type MessageMatch = RegExp | string;

/**
 * - `cutBefore`: the match and all after it never reach the server; the connection is cut.
 * - `cutAfter`: the server gets everything up to and including the next Sync (or the Query itself), then the connection is cut.
 * - `swallowReply`: as `cutAfter`, but the cut comes when the server has finished, and none of its reply gets through.
 * - `blackHole`: from the match on nothing passes in either direction, and the connection stays open.
 */
export type FaultKind = "cutBefore" | "cutAfter" | "swallowReply" | "blackHole";

export interface ProxiedConnection {
  readonly id: number;
  readonly isOpen: boolean;
  readonly flushes: number;
  /** Types of the client's messages since the last `resetCount()`, e.g. `"PBDEPBDES"`. Startup messages have no type. */
  readonly sequence: string;
}

export interface WireProxy extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** Bursts of client data after a server reply, over all connections since the last `resetCount()`; a lone Terminate is none. */
  readonly flushes: number;
  /** Types of all messages in the order they came, over all connections. */
  readonly sequence: string;
  /** SQL texts of all Query and Parse messages in the order they came. */
  readonly texts: readonly string[];
  /** Every connection since the start, closed ones included. */
  readonly connections: readonly ProxiedConnection[];
  /** How often an injected fault has struck. */
  readonly faultsStruck: number;
  resetCount(): void;
  /** Arms a fault for the next matching message of any connection; it strikes `times` times (default 1). */
  inject(kind: FaultKind, match: MessageMatch, times?: number): void;
  /** `inject("cutBefore", match)` */
  cutBeforeMatch(match: MessageMatch): void;
  clearFaults(): void;
  /** Cuts every open connection now. */
  cutAll(): void;
  /** From now on new connections are closed at once (`true`) or served again (`false`). */
  refuseConnections(isRefusing: boolean): void;
  /** `url` with its host and port replaced by the proxy's. */
  url(originalUrl: string): string;
  close(): Promise<void>;
}

interface Fault {
  readonly kind: FaultKind;
  readonly match: MessageMatch;
  remaining: number;
}

interface Totals {
  flushes: number;
  sequence: string;
  texts: string[];
  faultsStruck: number;
}

type Mode = "pass" | "afterMatch" | "swallowing" | "blackHole" | "cut";

/** Both sockets of one client, and what has been seen on them. */
class Relay implements ProxiedConnection {
  readonly id: number;
  flushes = 0;
  sequence = "";
  isOpen = true;
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #totals: Totals;
  readonly #faults: Fault[];
  readonly #delayMs: number;
  readonly #readyDelayMs: number;
  readonly #reader = new MessageReader();
  readonly #replies = new MessageReader("backend");
  readonly #textOfStatement = new Map<string, string>();
  #serverSpoke = true;
  #mode: Mode = "pass";
  /** Syncs and Queries the server has been sent, minus its ReadyForQuery answers. */
  #awaitedReady = 0;
  #closeAfterMatch: "cutAfter" | "swallowReply" = "cutAfter";
  #onClosed: () => void = () => {};
  readonly closed: Promise<void>;

  constructor(id: number, client: Socket, server: Socket, totals: Totals, faults: Fault[], options: WireProxyOptions) {
    this.id = id;
    this.#client = client;
    this.#server = server;
    this.#totals = totals;
    this.#faults = faults;
    this.#delayMs = options.delayMs ?? 0;
    this.#readyDelayMs = options.readyDelayMs ?? 0;
    this.closed = new Promise((resolve) => (this.#onClosed = resolve));
    client.setNoDelay(true);
    server.setNoDelay(true);
    client.on("data", (chunk) => this.#fromClient(chunk));
    server.on("data", (chunk) => this.#fromServer(chunk));
    client.on("end", () => this.#later(() => server.end()));
    server.on("end", () => {
      if (this.#mode !== "blackHole") client.end();
    });
    // A reset on one side is passed on as a cut; the error itself belongs to the test's own client.
    client.on("error", () => this.cut());
    server.on("error", () => this.cut());
    client.on("close", () => this.#sideClosed());
    server.on("close", () => this.#sideClosed());
  }

  resetCount(): void {
    this.flushes = 0;
    this.sequence = "";
  }

  cut(): void {
    this.#mode = "cut";
    this.#client.destroy();
    this.#server.destroy();
  }

  #sideClosed(): void {
    if (this.#mode === "blackHole" && !this.#client.destroyed) return;
    if (!this.#client.destroyed && this.#mode !== "cut") this.#client.end();
    if (this.#client.destroyed && !this.#server.destroyed && this.#mode !== "cut") this.#server.end();
    if (!this.#client.destroyed || !this.#server.destroyed || !this.isOpen) return;
    this.isOpen = false;
    this.#onClosed();
  }

  // Node fires timers of one duration in the order they were set, so the bytes keep their order.
  #later(work: () => void): void {
    if (this.#delayMs > 0) setTimeout(work, this.#delayMs);
    else work();
  }

  #fromClient(chunk: Buffer): void {
    const messages = this.#reader.push(chunk);
    const isGoodbye = messages.length > 0 && messages.every((message) => message.type === "X");
    if (this.#serverSpoke && !isGoodbye) {
      this.#serverSpoke = false;
      this.flushes++;
      this.#totals.flushes++;
    }
    for (const message of messages) this.#record(message);
    if (this.#reader.isOpaque) this.#later(() => this.#write(chunk));
    else if (messages.length > 0) this.#later(() => this.#forward(messages));
  }

  #record(message: FrontendMessage): void {
    if (message.type.length === 1) {
      this.sequence += message.type;
      this.#totals.sequence += message.type;
    }
    const text = statementText(message, this.#textOfStatement);
    if (text !== undefined && message.type !== "B") this.#totals.texts.push(text);
    message.text = text;
  }

  #forward(messages: readonly FrontendMessage[]): void {
    let pending: Buffer[] = [];
    const flush = (): void => {
      if (pending.length > 0)
        this.#write(pending.length === 1 && pending[0] !== undefined ? pending[0] : Buffer.concat(pending));
      pending = [];
    };
    for (const message of messages) {
      if (this.#mode === "cut" || this.#mode === "blackHole" || this.#mode === "swallowing") break;
      const fault = this.#mode === "pass" ? this.#strike(message) : undefined;
      if (fault === "cutBefore" || fault === "blackHole") {
        flush();
        if (fault === "blackHole") this.#mode = "blackHole";
        else this.#closeOrderly();
        return;
      }
      if (fault !== undefined) {
        this.#mode = "afterMatch";
        this.#closeAfterMatch = fault;
      }
      pending.push(message.bytes);
      if (message.type !== "S" && message.type !== "Q") continue;
      this.#awaitedReady++;
      if (this.#mode !== "afterMatch") continue;
      flush();
      if (this.#closeAfterMatch === "cutAfter") return this.#closeOrderly();
      this.#mode = "swallowing";
    }
    flush();
  }

  #strike(message: FrontendMessage): FaultKind | undefined {
    const fault = this.#faults.find(
      ({ match, remaining }) =>
        remaining > 0 &&
        (typeof match === "string" ? match === message.type : message.text !== undefined && match.test(message.text)),
    );
    if (fault === undefined) return undefined;
    fault.remaining--;
    this.#totals.faultsStruck++;
    return fault.kind;
  }

  // A FIN, not a reset, goes to the server: after a reset it may throw away what it has not read yet. Its replies are
  // read and dropped, because unread bytes would turn our close into a reset as well.
  #closeOrderly(): void {
    this.#mode = "cut";
    this.#client.destroy();
    this.#server.end();
  }

  #write(bytes: Buffer): void {
    if (this.#server.writable) this.#server.write(bytes);
  }

  #fromServer(chunk: Buffer): void {
    this.#serverSpoke = true;
    if (this.#reader.expectsEncryptionAnswer) {
      this.#reader.encryptionAnswered(chunk.toString("latin1", 0, 1));
    } else if (!this.#reader.isOpaque) {
      for (const message of this.#replies.push(chunk)) {
        if (message.type === "Z" && this.#awaitedReady > 0) this.#awaitedReady--;
      }
    }
    if (this.#mode === "pass") this.#answer(chunk);
    else if (this.#mode === "swallowing" && this.#awaitedReady === 0) this.#closeOrderly();
  }

  #answer(chunk: Buffer): void {
    const readyAt = chunk.length - READY_BYTES;
    const isReady = readyAt > 0 && chunk.toString("latin1", readyAt, readyAt + 1) === "Z";
    if (this.#readyDelayMs === 0 || !isReady) {
      this.#client.write(chunk);
      return;
    }
    this.#client.write(chunk.subarray(0, readyAt));
    setTimeout(() => {
      if (this.#client.writable) this.#client.write(chunk.subarray(readyAt));
    }, this.#readyDelayMs);
  }
}

/** Starts a proxy on a free loopback port. Close it with `close()` or `await using`. */
export async function startWireProxy(options: WireProxyOptions): Promise<WireProxy> {
  const totals: Totals = { flushes: 0, sequence: "", texts: [], faultsStruck: 0 };
  const faults: Fault[] = [];
  const relays: Relay[] = [];
  let isRefusing = false;

  const server = createServer({ allowHalfOpen: true }, (client) => {
    if (isRefusing) {
      client.destroy();
      return;
    }
    const upstream = connect({ host: options.targetHost, port: options.targetPort, allowHalfOpen: true });
    relays.push(new Relay(relays.length + 1, client, upstream, totals, faults, options));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;

  const proxy: WireProxy = {
    host: "127.0.0.1",
    port,
    get flushes() {
      return totals.flushes;
    },
    get sequence() {
      return totals.sequence;
    },
    get texts() {
      return totals.texts;
    },
    get faultsStruck() {
      return totals.faultsStruck;
    },
    connections: relays,
    resetCount() {
      totals.flushes = 0;
      totals.sequence = "";
      totals.texts = [];
      for (const relay of relays) relay.resetCount();
    },
    inject(kind, match, times = 1) {
      faults.push({ kind, match, remaining: times });
    },
    cutBeforeMatch(match) {
      proxy.inject("cutBefore", match);
    },
    clearFaults() {
      faults.length = 0;
    },
    cutAll() {
      for (const relay of relays) relay.cut();
    },
    refuseConnections(refuse) {
      isRefusing = refuse;
    },
    url(originalUrl) {
      const url = new URL(originalUrl);
      url.hostname = "127.0.0.1";
      url.port = String(port);
      for (const name of ["host", "hostaddr", "port"]) url.searchParams.delete(name);
      return url.href;
    },
    async close() {
      const stopped = new Promise<void>((resolve) => server.close(() => resolve()));
      proxy.cutAll();
      await Promise.all(relays.map((relay) => relay.closed));
      await stopped;
    },
    [Symbol.asyncDispose]: () => proxy.close(),
  };
  return proxy;
}
