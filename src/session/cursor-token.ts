// Cursors of pages: opaque to clients, signed, and bound to the query, its order and the tenant they were made for.
import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { InvalidInputError } from "../postgres/index.ts";

export type CursorKey = string | Uint8Array;

export interface CursorPosition {
  /** The server's text of each sort key. */
  readonly keys: readonly string[];
  /** The row itself belongs to the page before it: set when a page after it was empty. */
  readonly isInclusive: boolean;
}

/** Without a key of the program's own, cursors are good for this process only. */
const PROCESS_KEY = randomBytes(32);
const MINIMUM_KEY_BYTES = 16;
const MAC_BYTES = 16;

/** @throws InvalidInputError for a key that is too short to sign with */
export function checkCursorKey(key: CursorKey | undefined): Buffer {
  if (key === undefined) return PROCESS_KEY;
  const bytes =
    typeof key === "string" ? Buffer.from(key, "utf8") : key instanceof Uint8Array ? Buffer.from(key) : undefined;
  if (bytes === undefined || bytes.length < MINIMUM_KEY_BYTES) {
    throw new InvalidInputError(`cursorKey must be at least ${MINIMUM_KEY_BYTES} bytes of text or a Buffer`, {
      hint: "make one with randomBytes(32) and keep it with the other secrets",
    });
  }
  return bytes;
}

/** @param scope - everything a cursor is bound to; only its signature knows it */
export function writeCursor(position: CursorPosition, scope: readonly unknown[], key: Buffer): string {
  const body = Buffer.from(JSON.stringify([position.isInclusive ? 1 : 0, ...position.keys]), "utf8");
  return Buffer.concat([sign(body, scope, key), body]).toString("base64url");
}

/** @throws InvalidInputError for a cursor that was changed, or made for another query, order, tenant or key */
export function readCursor(cursor: unknown, scope: readonly unknown[], key: Buffer): CursorPosition {
  const bytes = typeof cursor === "string" ? Buffer.from(cursor, "base64url") : Buffer.alloc(0);
  const body = bytes.subarray(MAC_BYTES);
  // Decoding skips what is no base64url, so the text itself must be the one that was written.
  const isOurs =
    typeof cursor === "string" &&
    bytes.length > MAC_BYTES &&
    bytes.toString("base64url") === cursor &&
    timingSafeEqual(bytes.subarray(0, MAC_BYTES), sign(body, scope, key));
  if (!isOurs) {
    throw new InvalidInputError("the cursor does not belong to this query, or was changed", {
      hint: "start from the first page; cursors hold for one query, order and tenant, and, without cursorKey, for one process",
    });
  }
  const [isInclusive, ...keys] = JSON.parse(body.toString("utf8")) as [number, ...string[]];
  return { isInclusive: isInclusive === 1, keys };
}

function sign(body: Buffer, scope: readonly unknown[], key: Buffer): Buffer {
  const bound = createHash("sha256").update(JSON.stringify(scope)).digest();
  return createHmac("sha256", key).update(bound).update(body).digest().subarray(0, MAC_BYTES);
}
