// What of a JavaScript value JSON can hold, seen as JSON.stringify sees it. Refusals name the place, never the value.
import { InvalidInputError } from "../postgres/index.ts";

/** Keys and array positions from the root of a document: `["tasks", 0, "done"]`. */
export type JsonPath = readonly (string | number)[];

/** Deeper values are refused: PostgreSQL's parser has a stack limit, and a circular value has no end. */
const MAX_DEPTH = 1_000;

export type JsonObject = Readonly<Record<string, unknown>>;

/** What JSON.stringify would write for a value: `toJSON()` applied, boxed primitives unboxed. */
export function jsonForm(value: unknown, key: string): unknown {
  let form = value;
  if ((typeof form === "object" && form !== null) || typeof form === "bigint") {
    const { toJSON } = form as { toJSON?: unknown };
    if (typeof toJSON === "function") {
      if (form instanceof Date && Number.isNaN(form.getTime())) return Number.NaN; // JSON would make it null in silence
      form = (toJSON as (key: string) => unknown).call(form, key);
    }
  }
  if (form instanceof Number || form instanceof String || form instanceof Boolean) return form.valueOf();
  return form;
}

/** An object that JSON writes with its keys; maps, sets, regular expressions and the like would become `{}`. */
export function isJsonObject(value: unknown): value is JsonObject {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    Object.prototype.toString.call(value) === "[object Object]"
  );
}

/** The property, unless JSON.stringify would leave it out; `__proto__` and other inherited names are no properties. */
export function jsonProperty(object: JsonObject, key: string): unknown {
  return Object.hasOwn(object, key) ? jsonForm(object[key], key) : undefined;
}

/** The keys JSON.stringify would write. */
export function jsonKeys(object: JsonObject): string[] {
  return Object.keys(object).filter((key) => jsonForm(object[key], key) !== undefined);
}

/** Whether a value would be written as the JSON that `base` was read from. `base` must come from JSON.parse. */
export function isSameJson(base: unknown, value: unknown, key = ""): boolean {
  const current = jsonForm(value, key);
  if (base === current) return true;
  if (typeof base !== "object" || base === null) return false;
  if (Array.isArray(base)) {
    return Array.isArray(current) && base.length === current.length && startsWithJson(current, base);
  }
  if (!isJsonObject(current)) return false;
  const keys = jsonKeys(current);
  return (
    keys.length === Object.keys(base).length &&
    keys.every((name) => Object.hasOwn(base, name) && isSameJson((base as JsonObject)[name], current[name], name))
  );
}

/** Whether `values` begins with the elements of `base`. Gaps and `undefined` count as null, as in JSON. */
export function startsWithJson(values: readonly unknown[], base: readonly unknown[]): boolean {
  return base.every((element, index) => {
    const value = jsonForm(values[index], String(index));
    return value === undefined ? element === null : isSameJson(element, value, String(index));
  });
}

/**
 * The JSON text of a value.
 *
 * @param path - where the value stands, for the message; its first element is the column's name
 * @throws InvalidInputError for what JSON or jsonb cannot hold: undefined as a whole, NaN, Infinity, BigInt, functions,
 *   symbols, invalid dates, maps, sets and other objects that JSON.stringify would empty in silence, U+0000, lone
 *   surrogates, and values nested deeper than 1,000 levels or in a circle
 */
export function jsonText(value: unknown, path: JsonPath): string {
  if (jsonForm(value, "") === undefined) throw refusal("undefined", path);
  check(value, [...path], path.length + MAX_DEPTH);
  return JSON.stringify(value);
}

function check(value: unknown, path: (string | number)[], maxLength: number): void {
  const form = jsonForm(value, String(path.at(-1) ?? ""));
  switch (typeof form) {
    case "boolean":
      return;
    case "string":
      return checkText(form, path);
    case "number":
      if (!Number.isFinite(form)) throw refusal(value instanceof Date ? "an invalid date" : String(form), path);
      return;
    case "undefined":
      return; // left out of an object, null in an array
    case "object":
      break;
    case "bigint":
    case "function":
    case "symbol":
      throw refusal(`a ${typeof form}`, path);
  }
  if (form === null) return;
  if (path.length >= maxLength) throw refusal("a value that is nested too deep or in a circle", path.slice(0, 5));
  if (Array.isArray(form)) {
    for (let index = 0; index < form.length; index++) checkAt(form[index], index, path, maxLength);
    return;
  }
  if (!isJsonObject(form)) throw refusal(`a ${Object.prototype.toString.call(form).slice(8, -1)}`, path);
  for (const key of Object.keys(form)) {
    checkText(key, path);
    checkAt(form[key], key, path, maxLength);
  }
}

function checkAt(value: unknown, key: string | number, path: (string | number)[], maxLength: number): void {
  path.push(key);
  check(value, path, maxLength);
  path.pop();
}

export function checkText(text: string, path: JsonPath): void {
  if (text.includes("\0")) throw refusal("the character U+0000", path);
  if (!text.isWellFormed()) throw refusal("half of a surrogate pair", path);
}

function refusal(what: string, path: JsonPath): InvalidInputError {
  return new InvalidInputError(`${formatPath(path)} holds ${what}, which jsonb cannot store`, {
    hint: "use strings, finite numbers, booleans, null, arrays and plain objects; delete a key to take it out",
  });
}

/** `state.tasks[0]["a b"]` */
export function formatPath(path: JsonPath): string {
  return path
    .map((part, index) => {
      if (typeof part === "number") return `[${part}]`;
      if (/^[A-Za-z_$][\w$]*$/.test(part)) return index === 0 ? part : `.${part}`;
      return `[${JSON.stringify(part)}]`;
    })
    .join("");
}
