// Names that expand and contract gives: those of a thing with a suffix, never longer than PostgreSQL keeps.
import { MAX_IDENTIFIER_BYTES } from "../../postgres/index.ts";

/** `total` → `total_new`; what is cut is cut from the name. */
export function suffixed(name: string, suffix: string): string {
  let base = name;
  while (Buffer.byteLength(base + suffix) > MAX_IDENTIFIER_BYTES) base = Array.from(base).slice(0, -1).join("");
  return base + suffix;
}

/** For a file's name: small letters, digits and `_`. */
export function fileWords(...words: readonly string[]): string {
  return words
    .join("_")
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, "_")
    .replaceAll(/^_+|_+$/g, "");
}
