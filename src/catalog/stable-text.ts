// Expressions in a text that reads back as itself. PostgreSQL prints `state IN ('a', 'b')` on a varchar with one cast around the
// list, and reads that as a cast of each value: written from its own text, a check would differ from itself for ever.
import { withoutDefaultNames } from "./default-names.ts";
import type { ObjectKind } from "./object-facts.ts";
import { quotedEnd, WORD } from "./quoted-text.ts";

/** Kinds of objects whose facts are, or hold, expressions as the server prints them. */
const WITH_EXPRESSIONS: ReadonlySet<ObjectKind> = new Set<ObjectKind>([
  "column",
  "constraint",
  "default",
  "domain",
  "domain constraint",
  "function",
  "index",
  "partition",
  "policy",
  "publication table",
  "rule",
  "statistics",
  "table",
  "trigger",
  "view",
]);

/** The facts of an object with each expression in a text that reads back as itself. */
export function stableFacts<T extends object>(kind: ObjectKind, facts: T): T {
  if (!WITH_EXPRESSIONS.has(kind)) return facts;
  let changed: Record<string, unknown> | undefined;
  for (const fact in facts) {
    const value: unknown = facts[fact];
    const stable = stableValue(value);
    if (stable === value) continue;
    changed ??= {};
    changed[fact] = stable;
  }
  return changed === undefined ? facts : { ...facts, ...changed };
}

function stableValue(value: unknown): unknown {
  if (typeof value === "string") return stableText(value);
  const isGenerated = typeof value === "object" && value !== null && "expression" in value;
  if (!isGenerated || typeof value.expression !== "string" || !value.expression.includes("ARRAY[")) return value;
  return { ...value, expression: stableText(value.expression) };
}

const TYPE =
  /^(?:"(?:[^"]|"")+"|[\p{L}_][\p{L}\p{N}_$]*)(?:\.(?:"(?:[^"]|"")+"|[\p{L}_][\p{L}\p{N}_$]*))?(?:\([\d, -]+\))?(?: (?:varying|precision|with time zone|without time zone)(?:\([\d, ]+\))?)*(?=\[\])/u;

/**
 * @param text - as `pg_get_expr` and the like print it; texts in quotes and in dollar quotes stay as they are
 * @returns the same with `(ARRAY[a, b])::t[]` as `ARRAY[(a)::t, (b)::t]`, `SELECT 'a'::t AS t` without the name that is its own, and
 *   `( VALUES` without the space that tells a list of a query from one that PostgreSQL read as a query
 */
export function stableText(text: string): string {
  return withSpreadCasts(withoutDefaultNames(text));
}

function withSpreadCasts(text: string): string {
  if (!text.includes("ARRAY[")) return text;
  let written = "";
  for (let at = 0; at < text.length;) {
    const quoted = quotedEnd(text, at);
    if (quoted > at) {
      written += text.slice(at, quoted);
      at = quoted;
      continue;
    }
    const cast = WORD.test(text[at - 1] ?? "") ? undefined : castOfList(text, at);
    if (cast === undefined) {
      written += text[at] ?? "";
      at++;
      continue;
    }
    written = `${cast.isWrapped ? written.slice(0, -1) : written}${cast.list}`;
    at = cast.end;
  }
  return written;
}

interface ListCast {
  readonly list: string;
  /** In parentheses, the first of which stands before the list: so they are printed unless a text is made to look pretty. */
  readonly isWrapped: boolean;
  readonly end: number;
}

function castOfList(text: string, at: number): ListCast | undefined {
  // An empty list has no other way to say what it is a list of.
  if (!text.startsWith("ARRAY[", at) || text.startsWith("ARRAY[]", at)) return undefined;
  const close = listEnd(text, at);
  const isWrapped = text[at - 1] === "(" && text.startsWith(")::", close + 1);
  const cast = isWrapped ? close + 2 : close + 1;
  if (!text.startsWith("::", cast)) return undefined;
  const type = TYPE.exec(text.slice(cast + 2))?.[0];
  if (type === undefined) return undefined;
  const list = castEach(text.slice(at, close + 1), type, isWrapped);
  return { list, isWrapped, end: cast + 2 + type.length + 2 };
}

function castEach(list: string, type: string, isWrapped: boolean): string {
  const elements = elementsOf(list).map((element) => {
    const isList = element.startsWith("ARRAY[") && listEnd(element, 0) === element.length - 1;
    if (isList) return castEach(element, type, isWrapped);
    const written = withSpreadCasts(element);
    return isWrapped || !isSimple(written) ? `(${written})::${type}` : `${written}::${type}`;
  });
  return `ARRAY[${elements.join(", ")}]`;
}

/** Whether a pretty text has no parentheses around it before a cast. */
function isSimple(element: string): boolean {
  const first = quotedEnd(element, 0);
  return /^[\p{L}\p{N}_$.:" ]*$/u.test(first > 0 ? element.slice(first) : element);
}

function elementsOf(list: string): readonly string[] {
  const elements: string[] = [];
  const end = list.length - 1;
  let start = "ARRAY[".length;
  for (let at = start; at <= end; at++) {
    const quoted = quotedEnd(list, at);
    if (quoted > at) at = quoted - 1;
    else if ("([".includes(list[at] ?? "")) at = groupEnd(list, at);
    else if (list[at] === "," || at === end) {
      elements.push(list.slice(start, at).trim());
      start = at + 1;
    }
  }
  return elements;
}

/** Position of the bracket that closes the list that starts with `ARRAY[` at a position. */
function listEnd(text: string, at: number): number {
  return groupEnd(text, at + "ARRAY".length);
}

function groupEnd(text: string, opening: number): number {
  let depth = 0;
  for (let at = opening; at < text.length; at++) {
    const quoted = quotedEnd(text, at);
    if (quoted > at) {
      at = quoted - 1;
      continue;
    }
    if ("([".includes(text[at] ?? "")) depth++;
    else if (")]".includes(text[at] ?? "") && --depth === 0) return at;
  }
  return text.length;
}
