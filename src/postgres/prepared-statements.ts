// Names for server-side prepared statements. A text gets a name when it is seen for the second time, so that statements
// that are built once do not fill the server's memory.
import { createHash } from "node:crypto";

/** Texts remembered at most; beyond it new texts stay unnamed (parsed each time), which is slower but bounded. */
const MAX_TEXTS = 1_000;

const names = new Map<string, string | undefined>();
const unnamed = new Set<string>();

/** The name under which a text is prepared, or `undefined` the first time it is seen. Equal texts give equal names. */
export function preparedStatementName(text: string): string | undefined {
  const known = names.get(text);
  if (known !== undefined) return known;
  if (unnamed.has(text)) return undefined;
  if (!names.has(text)) {
    if (names.size < MAX_TEXTS) names.set(text, undefined);
    return undefined;
  }
  const name = `pgsteward_${createHash("sha1").update(text).digest("base64url").slice(0, 20)}`;
  names.set(text, name);
  return name;
}

/** From now on the text gets no name: a pooler's server connections hold an outdated statement of it, and nobody can close those. */
export function leaveUnnamed(text: string): void {
  if (unnamed.size >= MAX_TEXTS) return;
  unnamed.add(text);
  names.delete(text);
}
