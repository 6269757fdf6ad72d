// createKeyRing(): AES-256-GCM for single values, bound to the place they were written to, with several keys so that they can be
// rotated. node:crypto only; keys come as bytes or from a function, e.g. one that asks a key management service.
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from "node:crypto";
import { inspect } from "node:util";
import { DecryptionError, InvalidInputError, UnknownKeyError } from "../postgres/index.ts";
import { EncryptedValue } from "./encrypted-columns.ts";

export type KeySource = Uint8Array | (() => Promise<Uint8Array>);

export interface KeyRingOptions {
  /** 32 bytes each, by id. Ids stand in every ciphertext: at most 64 characters of A-Z, a-z, 0-9, `_`, `-`, `.`. */
  readonly keys: Readonly<Record<string, KeySource>>;
  /** Id of the key that new values are encrypted with. */
  readonly current: string;
  /** 32 bytes, other ones than the keys; needed for blind indexes. */
  readonly blindIndexKey?: KeySource;
}

/** Where a value stands. All of it is authenticated: moved elsewhere, the ciphertext cannot be read. */
export interface ValuePlace {
  /** Name of the table, with its schema if it is not `public`. */
  readonly table: string;
  readonly column: string;
  /** Empty for tables without tenant. */
  readonly tenantId: string;
  /** Primary key as text. */
  readonly rowId: string;
}

const VERSION = 1;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;
const KEY_ID = /^[A-Za-z0-9_.-]{1,64}$/;
const TEXT = 0;
const JSON_VALUE = 1;

/**
 * @example const ring = createKeyRing({ keys: { "2025": oldKey, "2026": () => kms.decrypt(wrapped) }, current: "2026" });
 * @throws InvalidInputError for keys of another length, or a `current` that is not among them
 */
export function createKeyRing(options: KeyRingOptions): KeyRing {
  return new KeyRing(options);
}

/** Keys are never shown: not by inspect, not in JSON, not in errors. */
export class KeyRing {
  readonly #sources: ReadonlyMap<string, KeySource>;
  readonly #keys = new Map<string, Promise<Buffer>>();
  readonly #current: string;
  readonly #blindIndexKey: KeySource | undefined;

  constructor({ keys, current, blindIndexKey }: KeyRingOptions) {
    this.#sources = new Map(Object.entries(keys));
    this.#current = current;
    this.#blindIndexKey = blindIndexKey;
    for (const [id, source] of this.#sources) {
      if (!KEY_ID.test(id))
        throw new InvalidInputError(`the key id ${JSON.stringify(id)} cannot be used`, {
          hint: "use up to 64 letters, digits, _, - and .",
        });
      if (typeof source !== "function") checkedKey(source, `the key ${id}`);
    }
    if (!this.#sources.has(current)) {
      throw new InvalidInputError(`the current key ${JSON.stringify(current)} is not among the keys`, {
        hint: `known are ${[...this.#sources.keys()].join(", ")}`,
      });
    }
    if (blindIndexKey !== undefined && typeof blindIndexKey !== "function") {
      const key = checkedKey(blindIndexKey, "blindIndexKey");
      const isShared = [...this.#sources.values()].some((source) => typeof source !== "function" && key.equals(source));
      if (isShared)
        throw new InvalidInputError("blindIndexKey is also an encryption key", { hint: "make 32 other random bytes" });
    }
  }

  get current(): string {
    return this.#current;
  }

  /** Fetches all keys now: functions that call a service must not run inside a unit of work. */
  async load(): Promise<void> {
    await Promise.all([...this.#sources.keys()].map((id) => this.#key(id)));
    if (this.#blindIndexKey !== undefined) await this.#indexKey();
  }

  /** Encrypts text, or anything JSON can hold. Equal values give different bytes. */
  async seal<T>(value: T, place: ValuePlace): Promise<EncryptedValue<T>> {
    const [kind, content] = typeof value === "string" ? [TEXT, value] : [JSON_VALUE, jsonText(value, place)];
    const id = this.#current;
    const header = headerOf(id);
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv("aes-256-gcm", tenantKey(await this.#key(id), place.tenantId), iv, {
      authTagLength: TAG_BYTES,
    });
    cipher.setAAD(associatedData(header, place));
    const body = [cipher.update(Buffer.from([kind])), cipher.update(content, "utf8"), cipher.final()];
    return new EncryptedValue<T>(Buffer.concat([header, iv, ...body, cipher.getAuthTag()]));
  }

  /**
   * Decrypts a value that stands in `place`.
   *
   * @throws UnknownKeyError when the ring lacks its key
   * @throws DecryptionError when it was not written to this place with this key, or was changed
   */
  async open<T>(sealed: EncryptedValue<T>, place: ValuePlace): Promise<T> {
    if (!(sealed instanceof EncryptedValue))
      throw new InvalidInputError(`the column ${place.column} gave no encrypted value`, {
        hint: "select the row with the column declared by encryptedText() or encryptedJson()",
      });
    const { bytes } = sealed;
    const { id, header } = readHeader(bytes, place);
    if (!this.#sources.has(id)) {
      throw new UnknownKeyError(
        `${describe(place)} is encrypted with the key ${JSON.stringify(id)}, which the key ring lacks`,
        {
          hint: "add it to createKeyRing({ keys }) until reencrypt() is through",
        },
      );
    }
    const bodyAt = header.length + IV_BYTES;
    if (bytes.length < bodyAt + 1 + TAG_BYTES) throw damaged(place);
    const key = tenantKey(await this.#key(id), place.tenantId);
    const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(header.length, bodyAt), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(associatedData(header, place));
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
    let content: Buffer;
    try {
      content = Buffer.concat([decipher.update(bytes.subarray(bodyAt, -TAG_BYTES)), decipher.final()]);
    } catch {
      throw damaged(place); // the cause says nothing more
    }
    const text = content.toString("utf8", 1);
    // What was sealed is text or JSON by its own mark, which is authenticated as well.
    return (content[0] === TEXT ? text : JSON.parse(text)) as T;
  }

  /** HMAC-SHA256 of a value under a key for one tenant and column: equal values are found, and nothing else is told. */
  async blindIndex(value: string, place: Pick<ValuePlace, "table" | "column" | "tenantId">): Promise<Buffer> {
    const key = createHmac("sha256", await this.#indexKey())
      .update(JSON.stringify(["pgsteward blind index", VERSION, place.tenantId, place.table, place.column]))
      .digest();
    return createHmac("sha256", key).update(value, "utf8").digest();
  }

  /** Whether a ciphertext was made with the current key. */
  isCurrent(sealed: EncryptedValue): boolean {
    const header = headerOf(this.#current);
    return sealed.bytes.subarray(0, header.length).equals(header);
  }

  /** What every ciphertext of the current key begins with. */
  get currentHeader(): Buffer {
    return headerOf(this.#current);
  }

  [inspect.custom](): string {
    return `KeyRing { keys: ${[...this.#sources.keys()].join(", ")}; current: ${this.#current} }`;
  }

  #key(id: string): Promise<Buffer> {
    return this.#cached(id, this.#sources.get(id), `the key ${id}`);
  }

  #indexKey(): Promise<Buffer> {
    if (this.#blindIndexKey === undefined) {
      throw new InvalidInputError("the key ring has no blindIndexKey, which a blind index needs", {
        hint: "createKeyRing({ …, blindIndexKey }) with 32 other random bytes",
      });
    }
    return this.#cached("", this.#blindIndexKey, "blindIndexKey"); // no key has an empty id
  }

  #cached(id: string, source: KeySource | undefined, name: string): Promise<Buffer> {
    const known = this.#keys.get(id);
    if (known !== undefined) return known;
    const fetched = (async () => checkedKey(typeof source === "function" ? await source() : source, name))();
    this.#keys.set(id, fetched);
    // A service that was away for a moment is asked again.
    fetched.catch(() => this.#keys.delete(id));
    return fetched;
  }
}

function checkedKey(key: unknown, name: string): Buffer {
  if (!(key instanceof Uint8Array) || key.length !== KEY_BYTES)
    throw new InvalidInputError(`${name} must be ${KEY_BYTES} bytes`, { hint: "make it with randomBytes(32)" });
  return Buffer.from(key);
}

/** Each tenant has a key of its own, so that the number of values under one key stays far below the limit of AES-GCM (2^32). */
function tenantKey(key: Buffer, tenantId: string): Buffer {
  return createHmac("sha256", key)
    .update(JSON.stringify(["pgsteward tenant key", VERSION, tenantId]))
    .digest();
}

function headerOf(id: string): Buffer {
  return Buffer.concat([Buffer.from([VERSION, id.length]), Buffer.from(id, "latin1")]);
}

function readHeader(bytes: Buffer, place: ValuePlace): { id: string; header: Buffer } {
  const length = bytes[1];
  if (bytes[0] !== VERSION || length === undefined || bytes.length < 2 + length) throw damaged(place);
  return { id: bytes.toString("latin1", 2, 2 + length), header: bytes.subarray(0, 2 + length) };
}

function associatedData(header: Buffer, { tenantId, table, column, rowId }: ValuePlace): Buffer {
  return Buffer.concat([header, Buffer.from(JSON.stringify([tenantId, table, column, rowId]))]);
}

function jsonText(value: unknown, place: ValuePlace): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch {
    text = undefined; // the cause may show the value
  }
  if (text === undefined)
    throw new InvalidInputError(`the column ${place.column} cannot hold the given ${typeof value}`);
  return text;
}

function describe({ table, column }: ValuePlace): string {
  return `a value of ${table}.${column}`;
}

function damaged(place: ValuePlace): DecryptionError {
  return new DecryptionError(
    `${describe(place)} cannot be decrypted: wrong key, changed bytes, or moved from another row, column, table or tenant`,
    { hint: "check the key ring, and who writes to this column; a backup has the value as it was" },
  );
}
