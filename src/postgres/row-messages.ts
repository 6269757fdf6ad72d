// Rows taken from the socket's bytes as they lie there. The driver makes a message object, an event and a string per value of
// each row; reading 20,000 rows of five columns that way costs about twice the processor time (measured, Node 20).
import { EventEmitter } from "node:events";

const DATA_ROW = 0x44; // "D"
/** One byte of type, four of length; the length counts itself. */
const HEADER_LENGTH = 5;
const NOTHING = Buffer.alloc(0);

/** Takes the rows of the command that runs. */
export interface RowReceiver {
  /** @param start - where the row's count of columns begins in `bytes`, which are only lent until the call returns */
  receiveRow(bytes: Buffer, start: number): void;
}

interface DriverConnection {
  attachListeners(stream: EventEmitter): void;
}

const receivers = new WeakMap<object, RowReceiver>();

/** From now on rows of this connection go to `receiver`; `undefined`: to the driver. */
export function receiveRows(connection: object, receiver: RowReceiver | undefined): void {
  if (receiver === undefined) receivers.delete(connection);
  else receivers.set(connection, receiver);
}

/** Lets `receiveRows()` work for a client's connection; must be called before the client connects. */
export function splitRowMessages(connection: object): void {
  const driver = connection as DriverConnection;
  const attach = driver.attachListeners.bind(driver);
  // Called again when the socket is wrapped for TLS.
  driver.attachListeners = (stream) => {
    const rest = new EventEmitter();
    const splitter = new MessageSplitter(
      () => receivers.get(connection),
      (bytes) => rest.emit("data", bytes),
    );
    stream.on("data", (chunk: Buffer) => splitter.read(chunk));
    stream.on("end", () => rest.emit("end"));
    attach(rest);
  };
}

/** Cuts the server's bytes into rows, for whoever receives them, and all other messages, for the driver, in their order. */
export class MessageSplitter {
  readonly #receiver: () => RowReceiver | undefined;
  readonly #passOn: (bytes: Buffer) => void;
  /** The beginning of a header, or of a row, whose end has not come yet. */
  #begun: Buffer[] = [];
  #begunLength = 0;
  /** How long it must be before it can be read. */
  #begunNeeds = 0;
  /** Bytes of a message for the driver that are still to come. */
  #passing = 0;

  constructor(receiver: () => RowReceiver | undefined, passOn: (bytes: Buffer) => void) {
    this.#receiver = receiver;
    this.#passOn = passOn;
  }

  read(chunk: Buffer): void {
    let bytes = chunk;
    if (this.#begunLength > 0) {
      this.#begunLength += chunk.length;
      this.#begun.push(chunk);
      if (this.#begunLength < this.#begunNeeds) return;
      bytes = this.#joined();
    }
    const { length } = bytes;
    let at = Math.min(this.#passing, length);
    this.#passing -= at;
    /** What lies before it has gone to the driver, or was a row that was received. */
    let passed = 0;
    const passUpTo = (end: number): void => {
      if (passed < end) this.#passOn(bytes.subarray(passed, end));
      passed = end;
    };
    while (at + HEADER_LENGTH <= length) {
      const end = at + 1 + bytes.readUInt32BE(at + 1);
      if (bytes[at] === DATA_ROW) {
        passUpTo(at); // who receives the row is decided by the messages before it
        const receiver = this.#receiver();
        if (receiver !== undefined) {
          if (end > length) {
            this.#begin(bytes.subarray(at), end - at);
            return;
          }
          receiver.receiveRow(bytes, at + HEADER_LENGTH);
          passed = end;
        }
      }
      at = Math.min(end, length);
      this.#passing = end - at;
    }
    passUpTo(at);
    if (at < length) this.#begin(bytes.subarray(at), HEADER_LENGTH);
  }

  #begin(bytes: Buffer, needs: number): void {
    this.#begun = [bytes];
    this.#begunLength = bytes.length;
    this.#begunNeeds = needs;
  }

  /** In one piece, made once for a row however many chunks it came in. */
  #joined(): Buffer {
    const bytes = Buffer.concat(this.#begun, this.#begunLength);
    this.#begun = [];
    this.#begunLength = 0;
    return bytes;
  }
}

/** A value up to this many bytes is compared with the one above it, which often is the same: a key, a tenant, a state, a day. */
const COMPARED_LENGTH = 64;

/** The values of a result's rows, as the server's text. A value that repeats that of the row before is the same string. */
export class RowTexts {
  readonly #texts: (string | null)[] = [];
  readonly #starts: number[] = [];
  readonly #lengths: number[] = [];
  /** What the row before lies in. */
  #bytes: Buffer = NOTHING;

  /** @returns an array that the next call overwrites */
  read(bytes: Buffer, start: number): readonly (string | null)[] {
    const count = bytes.readUInt16BE(start);
    if (count < this.#texts.length) {
      this.#texts.length = count;
      this.#lengths.length = count;
    }
    let at = start + 2;
    for (let index = 0; index < count; index++) {
      const length = bytes.readInt32BE(at);
      at += 4;
      if (length === -1) this.#texts[index] = null;
      else if (length !== this.#lengths[index] || !this.#repeats(bytes, at, this.#starts[index] ?? 0, length)) {
        this.#texts[index] = bytes.toString("utf8", at, at + length);
      }
      this.#lengths[index] = length;
      this.#starts[index] = at;
      if (length > 0) at += length;
    }
    this.#bytes = bytes;
    return this.#texts;
  }

  #repeats(bytes: Buffer, start: number, earlierStart: number, length: number): boolean {
    if (length > COMPARED_LENGTH) return false;
    const earlier = this.#bytes;
    // Neighbours that differ mostly differ near their ends.
    for (let index = length - 1; index >= 0; index--) {
      if (bytes[start + index] !== earlier[earlierStart + index]) return false;
    }
    return true;
  }
}
