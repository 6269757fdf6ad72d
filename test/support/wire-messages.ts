// Cuts a PostgreSQL protocol stream into messages. Only what the wire proxy needs: types, lengths, SQL texts.

export interface FrontendMessage {
  /** One letter, or `"startup"`, `"ssl"`, `"gss"`, `"cancel"` for the messages that have no type byte. */
  readonly type: string;
  readonly bytes: Buffer;
  /** SQL text of a Query or Parse, or of the statement a Bind names; filled in by the proxy. */
  text?: string | undefined;
}

const UNTYPED_MESSAGES: ReadonlyMap<number, string> = new Map([
  [80_877_102, "cancel"],
  [80_877_103, "ssl"],
  [80_877_104, "gss"],
]);

/** Keeps the bytes of an unfinished message until the rest arrives. */
export class MessageReader {
  #rest: Buffer = Buffer.alloc(0);
  #isStarted: boolean;
  /** After SSLRequest or GSSENCRequest the server answers with one bare byte. */
  expectsEncryptionAnswer = false;
  /** The stream is encrypted from here on. */
  isOpaque = false;

  constructor(side: "frontend" | "backend" = "frontend") {
    this.#isStarted = side === "backend";
  }

  encryptionAnswered(answer: string): void {
    this.expectsEncryptionAnswer = false;
    this.isOpaque = answer !== "N";
  }

  push(chunk: Buffer): FrontendMessage[] {
    if (this.isOpaque) return [];
    const data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const messages: FrontendMessage[] = [];
    let at = 0;
    for (;;) {
      const headerBytes = this.#isStarted ? 5 : 8;
      if (data.length - at < headerBytes) break;
      const size = this.#isStarted ? 1 + data.readUInt32BE(at + 1) : data.readUInt32BE(at);
      if (data.length - at < size) break;
      messages.push({ type: this.#typeAt(data, at), bytes: data.subarray(at, at + size) });
      at += size;
    }
    this.#rest = data.subarray(at);
    return messages;
  }

  #typeAt(data: Buffer, at: number): string {
    if (this.#isStarted) return String.fromCharCode(data[at] ?? 0);
    const type = UNTYPED_MESSAGES.get(data.readUInt32BE(at + 4)) ?? "startup";
    if (type === "startup") this.#isStarted = true;
    if (type === "ssl" || type === "gss") this.expectsEncryptionAnswer = true;
    return type;
  }
}

/** The SQL text a message carries or refers to. Remembers the texts of named statements in `textOfStatement`. */
export function statementText(message: FrontendMessage, textOfStatement: Map<string, string>): string | undefined {
  if (message.type === "Q") return cString(message.bytes, 5).value;
  if (message.type === "P") {
    const name = cString(message.bytes, 5);
    const text = cString(message.bytes, name.end).value;
    textOfStatement.set(name.value, text);
    return text;
  }
  if (message.type !== "B") return undefined;
  const portal = cString(message.bytes, 5);
  return textOfStatement.get(cString(message.bytes, portal.end).value);
}

function cString(bytes: Buffer, at: number): { value: string; end: number } {
  const zero = bytes.indexOf(0, at);
  const end = zero === -1 ? bytes.length : zero;
  return { value: bytes.toString("utf8", at, end), end: end + 1 };
}
