// COPY on a leased connection, written and read by ourselves: the outcome is told when the connection can be used again
// (the driver reports an error before ReadyForQuery), and a slow reader or server holds the other side back.
import type { Connection as WireConnection, Submittable } from "pg";
import { InvalidInputError, toStewardError, type LeasedConnection } from "../postgres/index.ts";

export type CopyChunk = string | Uint8Array;
export type CopySource = AsyncIterable<CopyChunk> | Iterable<CopyChunk>;

interface Wire {
  readonly stream: {
    write(data: Uint8Array): boolean;
    pause(): void;
    resume(): void;
    once(event: string, listener: () => void): void;
    removeListener(event: string, listener: () => void): void;
  };
  sendCopyFail(message: string): void;
  on(event: string, listener: () => void): void;
  removeListener(event: string, listener: () => void): void;
}

/** Larger pieces of a source are cut, so that one message never holds up the socket. */
const MESSAGE_BYTES = 64 * 1024;
/** Read ahead of a slow reader. */
const READ_AHEAD_BYTES = 1024 * 1024;
const COPY_DONE = Buffer.from([0x63, 0, 0, 0, 4]);

/** What both directions share: the server's answer, told when the connection is ready again. */
abstract class CopyStatement {
  /** The driver reads this. */
  readonly callback = (): void => {};
  readonly finished: Promise<number>;
  protected wire: Wire | undefined;
  protected isOver = false;
  #error: Error | undefined;
  #rowCount = 0;
  readonly #text: string;
  #resolve!: (rowCount: number) => void;
  #reject!: (error: unknown) => void;

  constructor(text: string) {
    this.#text = text;
    this.finished = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.finished.catch(() => undefined);
  }

  submit(connection: WireConnection): null {
    this.wire = connection as unknown as Wire;
    (connection as unknown as { query(text: string): void }).query(this.#text);
    return null;
  }

  handleRowDescription(): void {}
  handleDataRow(): void {}
  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}
  handleCopyInResponse(_connection: WireConnection): void {}
  handleCopyData(_message: { readonly chunk: Buffer }): void {}

  handleCommandComplete(message: { readonly text?: string }): void {
    this.#rowCount = Number(/^COPY (\d+)/.exec(message.text ?? "")?.[1] ?? 0);
  }

  handleError(error: Error): void {
    this.isOver = true;
    this.#error ??= error;
    if (this.wire === undefined || typeof (error as { severity?: unknown }).severity !== "string")
      return this.#finish();
    this.wire.on("readyForQuery", this.#finish);
    this.wire.on("end", this.#finish);
  }

  handleReadyForQuery(): void {
    this.#finish();
  }

  /** What rejects instead of the server's answer to it. */
  protected blame(error: unknown): void {
    this.#error ??= error instanceof Error ? error : new Error(String(error));
  }

  protected onFinish(): void {}

  readonly #finish = (): void => {
    this.isOver = true;
    this.wire?.removeListener("readyForQuery", this.#finish);
    this.wire?.removeListener("end", this.#finish);
    this.onFinish();
    if (this.#error === undefined) this.#resolve(this.#rowCount);
    else this.#reject(this.#error);
  };
}

class CopyIn extends CopyStatement {
  /** Why the source ended early: its own error, or the end of the unit. */
  sourceError: unknown;
  readonly #source: CopySource;
  #pumping: Promise<void> = Promise.resolve();
  #wake: () => void = () => undefined;

  constructor(text: string, source: CopySource, aborted: Promise<never>) {
    super(text);
    this.#source = source;
    aborted.catch((error: unknown) => {
      this.#fail(error);
      this.#wake();
    });
  }

  /** Ends when the server answered and the source was let go. */
  async done(): Promise<number> {
    try {
      return await this.finished;
    } finally {
      await this.#pumping;
    }
  }

  override handleCopyInResponse(): void {
    this.#pumping = this.#pump();
  }

  protected override onFinish(): void {
    this.#wake();
  }

  async #pump(): Promise<void> {
    const source = this.#source;
    const iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
    try {
      let pending: Buffer[] = [];
      let bytes = 0;
      for (;;) {
        const item = await this.#unlessOver(Promise.resolve(iterator.next()));
        if (item === undefined) return this.#letGo(iterator);
        if (item.done === true) break;
        const data = bufferOf(item.value);
        pending.push(data);
        bytes += data.length;
        if (bytes < MESSAGE_BYTES) continue;
        await this.#write(Buffer.concat(pending));
        pending = [];
        bytes = 0;
      }
      await this.#write(Buffer.concat(pending));
      if (!this.isOver) this.wire?.stream.write(COPY_DONE);
    } catch (error) {
      this.#fail(error);
      this.#letGo(iterator);
    }
  }

  #fail(error: unknown): void {
    if (this.isOver || this.sourceError !== undefined) return;
    this.sourceError = error;
    this.blame(error);
    this.wire?.sendCopyFail("the source of the rows failed");
  }

  /** Not waited for: a source that hangs must not keep the connection. */
  #letGo(iterator: AsyncIterator<CopyChunk> | Iterator<CopyChunk>): void {
    void Promise.resolve(iterator.return?.()).catch(() => undefined);
  }

  async #write(data: Buffer): Promise<void> {
    for (let start = 0; start < data.length; start += MESSAGE_BYTES) {
      if (this.isOver || this.sourceError !== undefined) return;
      const part = data.subarray(start, start + MESSAGE_BYTES);
      const head = Buffer.from([0x64, 0, 0, 0, 0]);
      head.writeUInt32BE(part.length + 4, 1);
      const stream = this.wire?.stream;
      if (stream?.write(Buffer.concat([head, part])) !== false) continue;
      let onDrain: () => void = () => undefined;
      const drained = new Promise<true>((resolve) => {
        onDrain = () => resolve(true);
        stream.once("drain", onDrain);
      });
      await this.#unlessOver(drained);
      stream.removeListener("drain", onDrain);
    }
  }

  /** What is waited for, or undefined when the COPY ended first. One promise each: a race would keep them all alive. */
  #unlessOver<T>(waiting: Promise<T>): Promise<T | undefined> {
    if (this.isOver || this.sourceError !== undefined) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => {
      this.#wake = () => resolve(undefined);
      waiting.then(resolve, reject);
    });
  }
}

function bufferOf(chunk: unknown): Buffer {
  if (typeof chunk === "string") return Buffer.from(chunk, "utf8");
  if (chunk instanceof Uint8Array) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  throw new InvalidInputError(`the source of a COPY gave ${chunk === null ? "null" : typeof chunk}`, {
    hint: "give text or bytes in the format of the COPY; tx.bulkInsert() takes objects",
  });
}

/** Rows that the server sends; iterate once. */
export class CopyOut extends CopyStatement {
  #chunks: Buffer[] = [];
  #bytes = 0;
  #isDiscarding = false;
  #wake: () => void = () => undefined;
  /** Asks the server to stop sending. */
  onDiscard: () => void = () => undefined;

  get isDiscarding(): boolean {
    return this.#isDiscarding;
  }

  get isStopped(): boolean {
    return this.isOver || this.#isDiscarding;
  }

  /** Until the server has sent everything and is ready again. */
  async run(connection: LeasedConnection): Promise<number> {
    if (this.#isDiscarding) return 0;
    connection.client.query(this as unknown as Submittable);
    try {
      return await this.finished;
    } catch (error) {
      throw toStewardError(error);
    }
  }

  /** It never came to the server, or not back. */
  fail(error: unknown): void {
    if (this.isOver) return;
    this.blame(error);
    this.handleReadyForQuery();
  }

  override handleCopyData(message: { readonly chunk: Buffer }): void {
    if (this.#isDiscarding) return;
    this.#chunks.push(Buffer.from(message.chunk)); // the parser uses its buffer again
    this.#bytes += message.chunk.length;
    if (this.#bytes > READ_AHEAD_BYTES) this.wire?.stream.pause();
    this.#wake();
  }

  /** The next rows, as one piece; undefined at the end. */
  async next(): Promise<Buffer | undefined> {
    while (this.#chunks.length === 0) {
      if (this.isStopped) return undefined;
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.wire?.stream.resume();
      await woken;
    }
    const data = Buffer.concat(this.#chunks);
    this.#chunks = [];
    this.#bytes = 0;
    return data;
  }

  /** What still comes is read and forgotten. */
  discard(): void {
    if (this.isStopped) return;
    this.#isDiscarding = true;
    this.#chunks = [];
    this.onDiscard();
    this.wire?.stream.resume();
    this.#wake();
  }

  protected override onFinish(): void {
    this.#wake();
  }
}

/**
 * Sends a source as the data of `COPY … FROM STDIN`.
 *
 * @param aborted - rejects when the unit is interrupted; the COPY ends with it
 * @returns number of rows
 */
export async function copyFrom(
  connection: LeasedConnection,
  text: string,
  source: CopySource,
  aborted: Promise<never>,
): Promise<number> {
  const copy = new CopyIn(text, source, aborted);
  connection.client.query(copy as unknown as Submittable);
  try {
    return await copy.done();
  } catch (error) {
    // A source's own error reaches its caller as it is.
    throw copy.sourceError instanceof Error ? copy.sourceError : toStewardError(error);
  }
}
