// The difference between a JSON document as it was loaded and as it is now, and one SQL expression that makes only that
// difference: two writers that change different keys of one document both keep their change. Nothing here asks a server.
import { sql, type SQL } from "drizzle-orm";
import {
  checkText,
  isJsonObject,
  jsonForm,
  jsonKeys,
  jsonProperty,
  jsonText,
  startsWithJson,
  type JsonObject,
  type JsonPath,
} from "./json-value.ts";

/** One change at a path. `json` is JSON text. An object that stands on the way is made when it is missing. */
export type JsonOperation =
  | { readonly kind: "set"; readonly path: readonly string[]; readonly json: string }
  | { readonly kind: "remove"; readonly path: readonly string[] }
  /** Adds the elements of a JSON array at the end; begins one where no array stands. */
  | { readonly kind: "append"; readonly path: readonly string[]; readonly json: string }
  /** Sees to it that an object stands here. */
  | { readonly kind: "object"; readonly path: readonly string[] };

/** Objects that one patch may touch; beyond it the statement costs more than it saves, and the whole document is written. */
export const MAX_PATCH_OBJECTS = 200;
/** Deeper changes write the whole document, and deeper new objects are set as one value: PostgreSQL's parser has a stack limit. */
const MAX_PATCH_DEPTH = 40;

/**
 * What has to be done to a document so that it equals `current`, as small as possible: keys that were not touched are not
 * among it. New objects become one operation per leaf, so that two writers who both create one merge. An array that only
 * grew at its end is appended to; any other change of an array replaces it as a whole. `undefined` counts as absent.
 *
 * @param base - from JSON.parse; undefined or null when the column was SQL NULL or JSON null
 * @param name - of the column, for messages
 * @returns no operations when nothing changed
 * @throws InvalidInputError for a value that jsonb cannot hold
 */
export function diffJson(base: unknown, current: unknown, name: string): JsonOperation[] {
  const operations: JsonOperation[] = [];
  diffAt(base, current, [], name, operations);
  return operations;
}

function diffAt(base: unknown, value: unknown, path: string[], name: string, operations: JsonOperation[]): void {
  const current = jsonForm(value, path.at(-1) ?? "");
  const isNothing = base === undefined || base === null;
  if (base !== undefined && base === current) return;
  if (isJsonObject(current) && (isNothing ? path.length < MAX_PATCH_DEPTH : isJsonObject(base))) {
    diffObject((base ?? undefined) as JsonObject | undefined, current, path, name, operations);
    return;
  }
  if (Array.isArray(current) && (isNothing || Array.isArray(base))) {
    const elements = isNothing ? [] : (base as unknown[]);
    const startsWithBase = current.length >= elements.length && startsWithJson(current, elements);
    if (startsWithBase && current.length === elements.length && !isNothing) return;
    const kind = startsWithBase ? "append" : "set";
    const added = startsWithBase ? current.slice(elements.length) : current;
    operations.push({ kind, path: [...path], json: jsonText(added, [name, ...path]) });
    return;
  }
  operations.push({ kind: "set", path: [...path], json: jsonText(value, [name, ...path]) });
}

function diffObject(
  base: JsonObject | undefined,
  current: JsonObject,
  path: string[],
  name: string,
  operations: JsonOperation[],
): void {
  const keys = jsonKeys(current);
  if (base === undefined && keys.length === 0) {
    operations.push({ kind: "object", path: [...path] });
    return;
  }
  for (const key of Object.keys(base ?? {})) {
    if (jsonProperty(current, key) === undefined) operations.push({ kind: "remove", path: [...path, key] });
  }
  for (const key of keys) {
    path.push(key);
    const isNew = base === undefined || !Object.hasOwn(base, key);
    if (isNew) checkText(key, [name, ...path]);
    diffAt(isNew ? undefined : base[key], current[key], path, name, operations);
    path.pop();
  }
}

const J = sql.raw("j");

export function pathParameter(path: JsonPath): SQL {
  return sql`${sql.param(path.map(String))}::text[]`;
}

/** `source` as a column `j` of its own, which `expression` may name as often as it likes. */
export function withDocument(source: SQL, expression: SQL): SQL {
  // OFFSET 0: without it the planner pulls the sub-select up and copies `source` into each place where `j` stands. Nested,
  // that is 3^n copies (seen: one backend of 18 GB).
  return sql`(SELECT ${expression} FROM (SELECT ${source} AS j OFFSET 0) AS s)`;
}

/** The part of the document `j` at a path; SQL NULL when nothing stands there. */
export function documentAt(path: JsonPath): SQL {
  return path.length === 0 ? J : sql`(j #> ${pathParameter(path)})`;
}

/** The container at a path; what is something else there, or nothing, gives way to an empty one. */
export function containerAt(path: JsonPath, kind: "object" | "array"): SQL {
  const at = documentAt(path);
  const [name, empty] =
    kind === "object" ? [sql.raw("'object'"), sql.raw("'{}'::jsonb")] : [sql.raw("'array'"), sql.raw("'[]'::jsonb")];
  return sql`CASE WHEN jsonb_typeof(${at}) = ${name} THEN ${at} ELSE ${empty} END`;
}

/** What changes in one object, and in the objects below it. */
interface ObjectChange {
  readonly path: readonly string[];
  readonly removed: string[];
  /** `"key":value` as JSON text; assigning to `__proto__` of an object would not make a member. */
  readonly members: string[];
  readonly appended: { readonly path: readonly string[]; readonly json: string }[];
  readonly children: Map<string, ObjectChange>;
  /** Something is put in here or below: the object is made when it is missing. */
  isNeeded: boolean;
}

/**
 * The expression for `SET column = …` that carries operations of {@link diffJson} out, on whatever stands in the column
 * by then. A column that holds SQL NULL or a scalar starts from an empty document.
 *
 * @param source - the column
 * @returns undefined for changes in more than {@link MAX_PATCH_OBJECTS} objects: write the whole document then
 */
export function patchExpression(source: SQL, operations: readonly JsonOperation[]): SQL | undefined {
  const [first] = operations;
  if (first === undefined) return source;
  if (first.path.length === 0) {
    if (first.kind === "set") return sql`${first.json}::jsonb`;
    const isArray = first.kind === "append";
    return withDocument(
      source,
      isArray ? sql`${containerAt([], "array")} || ${first.json}::jsonb` : containerAt([], "object"),
    );
  }
  const root = changesByObject(operations);
  return root === undefined ? undefined : withDocument(source, objectExpression(root));
}

function changesByObject(operations: readonly JsonOperation[]): ObjectChange | undefined {
  const make = (path: readonly string[]): ObjectChange => ({
    path,
    removed: [],
    members: [],
    appended: [],
    children: new Map(),
    isNeeded: false,
  });
  const root = make([]);
  let count = 1;
  for (const operation of operations) {
    const { path, kind } = operation;
    if (path.length > MAX_PATCH_DEPTH) return undefined;
    let change = root;
    if (kind !== "remove") root.isNeeded = true;
    for (let length = 1; length < path.length + (kind === "object" ? 1 : 0); length++) {
      const key = path[length - 1] ?? "";
      let child = change.children.get(key);
      if (child === undefined) {
        change.children.set(key, (child = make(path.slice(0, length))));
        if (++count > MAX_PATCH_OBJECTS) return undefined;
      }
      if (kind !== "remove") child.isNeeded = true;
      change = child;
    }
    const key = path.at(-1) ?? "";
    if (kind === "set") change.members.push(`${JSON.stringify(key)}:${operation.json}`);
    else if (kind === "append") change.appended.push({ path, json: operation.json });
    else if (kind === "remove") change.removed.push(key);
  }
  return root;
}

/** jsonb_build_object() takes 100 arguments at most, like every function. */
const MEMBERS_PER_CALL = 50;

function objectExpression({ path, removed, members, appended, children }: ObjectChange): SQL {
  const object = sql`(${containerAt(path, "object")})`;
  const parts: SQL[] = [removed.length === 0 ? object : sql`(${object} - ${pathParameter(removed)})`];
  if (members.length > 0) parts.push(sql`${`{${members.join(",")}}`}::jsonb`);
  const built = appended.map(
    ({ path: at, json }) => sql`${at.at(-1) ?? ""}::text, ${containerAt(at, "array")} || ${json}::jsonb`,
  );
  for (const [key, child] of children) {
    const member = sql`${key}::text, ${objectExpression(child)}`;
    if (child.isNeeded) built.push(member);
    // Keys are only taken out below it: what is no object any more is left alone.
    else
      parts.push(
        sql`CASE WHEN jsonb_typeof(${documentAt(child.path)}) = 'object' THEN jsonb_build_object(${member}) ELSE '{}'::jsonb END`,
      );
  }
  for (let start = 0; start < built.length; start += MEMBERS_PER_CALL) {
    parts.push(sql`jsonb_build_object(${sql.join(built.slice(start, start + MEMBERS_PER_CALL), sql`, `)})`);
  }
  return sql.join(parts, sql` || `);
}
