// Changes inside a JSON document without fetching it: expressions for Drizzle's `update().set()`, typed by the column's
// declared type. A document that is SQL NULL, and parents that are missing, are made on the way.
import { is, sql, SQL } from "drizzle-orm";
import { PgColumn, PgJson, PgJsonb } from "drizzle-orm/pg-core";
import { InvalidInputError } from "../postgres/index.ts";
import { containerAt, documentAt, pathParameter, withDocument } from "./json-patch.ts";
import { checkText, formatPath, isJsonObject, jsonForm, jsonText, type JsonPath } from "./json-value.ts";

/** A json or jsonb column, or what one of these functions returned for it: calls nest to make several changes at once. */
export type JsonTarget = PgColumn | SQL;

/** The document's type: what the column was given by `$type<…>()`. */
export type JsonDocument<C extends JsonTarget> =
  C extends SQL<infer T> ? T : C extends { readonly _: { readonly data: infer T } } ? T : never;

type Present<T> = Exclude<T, null | undefined>;

/** The keys one level down: a number for an array, names for an object; every member of a union counts. */
export type JsonKey<T> = unknown extends T
  ? string | number
  : Present<T> extends infer U
    ? U extends readonly unknown[]
      ? number
      : U extends object
        ? { [K in keyof U]: K extends string ? K : K extends number ? `${K}` : never }[keyof U]
        : never
    : never;

type JsonChild<T, K> = unknown extends T
  ? unknown
  : Present<T> extends infer U
    ? U extends readonly (infer Element)[]
      ? K extends number
        ? Element
        : never
      : K extends keyof U
        ? U[K]
        : K extends `${infer N extends number}`
          ? N extends keyof U
            ? U[N]
            : never
          : never
    : never;

/** `P` where every step exists in `T`; otherwise the keys that exist at the first wrong step, so that the compiler names them. */
export type CheckedJsonPath<T, P extends JsonPath> = P extends readonly [
  infer K,
  ...infer Rest extends readonly (string | number)[],
]
  ? K extends JsonKey<T>
    ? readonly [K, ...CheckedJsonPath<JsonChild<T, K>, Rest>]
    : readonly [JsonKey<T>, ...Rest]
  : P extends readonly []
    ? readonly []
    : readonly JsonKey<T>[];

/** What stands at a path, null and undefined left to the optional parents of it. */
export type JsonAt<T, P extends JsonPath> = P extends readonly [
  infer K,
  ...infer Rest extends readonly (string | number)[],
]
  ? JsonAt<JsonChild<T, K>, Rest>
  : T;

type Elements<T> = unknown extends T ? unknown : Present<T> extends readonly (infer Element)[] ? Element : never;
type Amount<T> = unknown extends T ? number | bigint : Present<T> extends number ? number | bigint : never;
type Members<T> = unknown extends T ? Readonly<Record<string, unknown>> : { readonly [K in keyof T]?: T[K] };

/**
 * Puts the keys of `patch` into the document, as `||` does: one level deep, an object inside replaces the one that stood
 * there. Keys that are `undefined` are left out; `null` is written as JSON null.
 *
 * @example
 * await tx.update(docs).set({ state: jsonMerge(docs.state, { step: 2 }) }).where(eq(docs.id, id));
 *
 * @throws InvalidInputError for a column that is not json or jsonb, and for values that jsonb cannot hold (NaN, U+0000, …)
 */
export function jsonMerge<C extends JsonTarget>(
  target: C,
  patch: Members<Present<JsonDocument<C>>>,
): SQL<JsonDocument<C>> {
  const { source, name } = checkedTarget(target);
  const form = jsonForm(patch, "");
  if (!isJsonObject(form))
    throw new InvalidInputError(`jsonMerge() takes an object of keys and values for ${name}`, {
      hint: "replace a whole document with set({ column: value }), or a part of it with jsonSet()",
    });
  return withDocument(source, sql`${containerAt([], "object")} || ${jsonText(form, [name])}::jsonb`) as SQL<
    JsonDocument<C>
  >;
}

/**
 * Sets the value at a path, e.g. `jsonSet(docs.state, ["tasks", 0, "done"], true)`. Parents that are missing, null or of
 * another kind are made: an object before a name, an array before a number. A position past the end of an array appends,
 * a negative one counts from the end. `null` becomes JSON null. The path `[]` replaces the document.
 *
 * @throws InvalidInputError as jsonMerge, and for `undefined`
 */
export function jsonSet<C extends JsonTarget, const P extends JsonPath>(
  target: C,
  path: P & CheckedJsonPath<JsonDocument<C>, P>,
  value: Exclude<JsonAt<JsonDocument<C>, P>, undefined>,
): SQL<JsonDocument<C>> {
  const { source, name } = checkedTarget(target);
  const checked = checkedPath(path, name);
  if (value === undefined)
    throw new InvalidInputError(`${formatPath([name, ...checked])} cannot be set to undefined`, {
      hint: "take the key out with jsonRemove(), or set null",
    });
  const json = sql`${jsonText(value, [name, ...checked])}::jsonb`;
  return changedAt(source, checked, json) as SQL<JsonDocument<C>>;
}

/**
 * Takes the key, or the array element, at a path out. Nothing happens when it, or a parent of it, is not there.
 *
 * @throws InvalidInputError for an empty path
 */
export function jsonRemove<C extends JsonTarget, const P extends JsonPath>(
  target: C,
  path: P & CheckedJsonPath<JsonDocument<C>, P>,
): SQL<JsonDocument<C>> {
  const { source, name } = checkedTarget(target);
  const checked = checkedPath(path, name);
  const parent = checked.slice(0, -1);
  const last = checked.at(-1);
  if (last === undefined)
    throw new InvalidInputError(`jsonRemove() needs the path of a key in ${name}`, {
      hint: "set the column to null to empty it",
    });
  const kind = sql.raw(typeof last === "number" ? "'array'" : "'object'");
  const remaining = sql`CASE WHEN jsonb_typeof(${documentAt(parent)}) = ${kind} THEN j #- ${pathParameter(checked)} ELSE j END`;
  return withDocument(source, remaining) as SQL<JsonDocument<C>>;
}

/**
 * Appends values to the array at a path; one is begun where none stands. Concurrent appends all stay. Without a path the
 * document itself is the array; when the values are arrays themselves, say the path `[]`.
 *
 * @example
 * jsonAppend(docs.state, ["log"], "started", "fetched");
 * jsonAppend(docs.tags, "urgent");
 *
 * @throws InvalidInputError without a value, and as jsonMerge
 */
export function jsonAppend<C extends JsonTarget, const P extends JsonPath>(
  target: C,
  path: P & CheckedJsonPath<JsonDocument<C>, P>,
  ...values: [
    Elements<JsonAt<JsonDocument<C>, NoInfer<P>>>,
    ...(readonly Elements<JsonAt<JsonDocument<C>, NoInfer<P>>>[]),
  ]
): SQL<JsonDocument<C>>;
export function jsonAppend<C extends JsonTarget>(
  target: C,
  ...values: [
    Exclude<Elements<JsonDocument<C>>, readonly unknown[]>,
    ...(readonly Exclude<Elements<JsonDocument<C>>, readonly unknown[]>[]),
  ]
): SQL<JsonDocument<C>>;
export function jsonAppend(target: JsonTarget, ...rest: readonly unknown[]): SQL {
  const { source, name } = checkedTarget(target);
  const [first] = rest;
  const hasPath = Array.isArray(first);
  const path = hasPath ? checkedPath(first as JsonPath, name) : [];
  const values = hasPath ? rest.slice(1) : rest;
  if (values.length === 0)
    throw new InvalidInputError(`jsonAppend() to ${formatPath([name, ...path])} needs a value`, {
      hint: "jsonAppend(column, path, value, …); the path of the document itself is []",
    });
  if (values.includes(undefined))
    throw new InvalidInputError(`undefined cannot be appended to ${formatPath([name, ...path])}`, {
      hint: "append null, or leave it out",
    });
  const json = sql`${jsonText(values, [name, ...path])}::jsonb`;
  return changedAt(source, path, sql`${containerAt(path, "array")} || ${json}`);
}

/**
 * Adds `by` to the number at a path; nothing, or null, counts as 0. The server adds, exactly (`numeric`), so concurrent
 * increments all count and 0.1 + 0.2 is 0.3. Anything else than a number there fails with the server's error 22023.
 *
 * @throws InvalidInputError for NaN and Infinity, and for an empty path into an object
 */
export function jsonIncrement<C extends JsonTarget, const P extends JsonPath>(
  target: C,
  path: P & CheckedJsonPath<JsonDocument<C>, P>,
  by: Amount<JsonAt<JsonDocument<C>, NoInfer<P>>>,
): SQL<JsonDocument<C>> {
  const { source, name } = checkedTarget(target);
  const checked = checkedPath(path, name);
  const amount: unknown = by;
  if (typeof amount !== "bigint" && (typeof amount !== "number" || !Number.isFinite(amount)))
    throw new InvalidInputError(`${formatPath([name, ...checked])} can grow by a finite number only`);
  const current = sql`coalesce(nullif(${documentAt(checked)}, 'null'::jsonb)::numeric, 0)`;
  return changedAt(source, checked, sql`to_jsonb(${current} + ${String(amount)}::numeric)`) as SQL<JsonDocument<C>>;
}

/** `source` with `value` at a path, its parents made first. `value` sees the document as `j`. */
function changedAt(source: SQL, path: JsonPath, value: SQL): SQL {
  let document = source;
  for (let length = 0; length < path.length; length++) {
    const parent = path.slice(0, length);
    const container = containerAt(parent, typeof path[length] === "number" ? "array" : "object");
    // jsonb_set() with a missing, scalar or null parent would return its input unchanged, in silence.
    document = withDocument(
      document,
      length === 0 ? container : sql`jsonb_set(j, ${pathParameter(parent)}, ${container}, true)`,
    );
  }
  return withDocument(document, path.length === 0 ? value : sql`jsonb_set(j, ${pathParameter(path)}, ${value}, true)`);
}

function checkedTarget(target: JsonTarget): { readonly source: SQL; readonly name: string } {
  if (is(target, SQL)) return { source: sql`${target}`, name: "document" };
  if (is(target, PgColumn)) {
    const type = target.getSQLType();
    if (is(target, PgJsonb) || type === "jsonb") return { source: sql`${target}`, name: target.name };
    if (is(target, PgJson) || type === "json") return { source: sql`${target}::jsonb`, name: target.name };
    throw new InvalidInputError(`the column ${target.name} is of type ${type}, not json or jsonb`);
  }
  throw new InvalidInputError("the first argument must be a json or jsonb column of a table", {
    hint: "e.g. jsonSet(docs.state, [...], value)",
  });
}

function checkedPath(path: unknown, name: string): JsonPath {
  if (!Array.isArray(path))
    throw new InvalidInputError(`the path into ${name} must be an array of keys`, {
      hint: 'e.g. ["tasks", 0, "done"]',
    });
  for (const key of path as unknown[]) {
    if (typeof key === "string") checkText(key, [name]);
    else if (!Number.isSafeInteger(key) || Math.abs(key as number) >= 2 ** 31)
      throw new InvalidInputError(`the path into ${name} holds something that is neither a name nor a whole number`, {
        hint: 'names are for objects, numbers for positions of arrays: ["tasks", 0, "done"]',
      });
  }
  return path as JsonPath;
}
