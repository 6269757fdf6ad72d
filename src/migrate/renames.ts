// What a person says has another name now: the shape of it, and how it is written in a hint file or a flag.
import { objectId, type CatalogObject, type CatalogObjects } from "../catalog/index.ts";
import { InvalidInputError } from "../postgres/index.ts";

export const RENAME_KINDS = [
  "schema",
  "table",
  "view",
  "column",
  "type",
  "enum value",
  "index",
  "constraint",
  "sequence",
  "function",
  "policy",
  "trigger",
] as const;
export type RenameKind = (typeof RENAME_KINDS)[number];

/** An object that keeps its rows and everything that belongs to it under another name. */
export interface Rename {
  readonly kind: RenameKind;
  /**
   * The name before, as SQL: `shop.orders`, `shop.orders.state` for a column, constraint, policy or trigger, `shop.state.new` for a
   * value of an enum, `shop.total(integer)` for a function. Without a schema it is one of `public`.
   */
  readonly from: string;
  /** The new name alone, as SQL; with a schema (`archive.orders`) a relation, type or function moves there. */
  readonly to: string;
}

const LINE = new RegExp(`^(${RENAME_KINDS.join("|")})\\s+(.+?)\\s*->\\s*(.+?)$`, "i");

/**
 * One rename as a person writes it: `column shop.orders.state -> status`.
 *
 * @throws InvalidInputError when it cannot be read
 */
export function parseRename(text: string): Rename {
  const found = LINE.exec(text.trim());
  const [, kind = "", from = "", to = ""] = found ?? [];
  const rename = { kind: kind.toLowerCase() as RenameKind, from, to };
  const isReadable = found !== null && nameParts(withoutArguments(from)) !== undefined && nameParts(to) !== undefined;
  if (isReadable) return rename;
  throw new InvalidInputError(`not a rename: ${text.trim()}`, {
    hint: `write it as "column shop.orders.state -> status"; the kinds are ${RENAME_KINDS.join(", ")}`,
  });
}

/**
 * A file of renames, one a line; blank lines, and what follows `#` or `--`, do not count.
 *
 * @throws InvalidInputError with the number of the line that cannot be read
 */
export function readRenameHints(text: string): readonly Rename[] {
  return text.split(/\r?\n/).flatMap((line, index) => {
    const said = line.replace(/(?:^|\s)(?:#|--).*$/, "").trim();
    if (said === "") return [];
    try {
      return [parseRename(said)];
    } catch (cause) {
      if (!(cause instanceof InvalidInputError)) throw cause;
      throw new InvalidInputError(`line ${index + 1}: ${cause.message}`, { cause, hint: cause.hint ?? "" });
    }
  });
}

/** How a rename is written. */
export function renameText({ kind, from, to }: Rename): string {
  return `${kind} ${from} -> ${to}`;
}

function withoutArguments(name: string): string {
  return /^(.*?)\s*\([^()]*\)$/s.exec(name)?.[1] ?? name;
}

/** The parts of a dotted name: folded to lower case unless quoted; `undefined` when it is no name. */
export function nameParts(text: string): readonly string[] | undefined {
  const parts: string[] = [];
  let rest = text.trim();
  for (;;) {
    const found = /^(?:"((?:[^"]|"")+)"|([^\s"'.,;()]+))\s*/.exec(rest);
    if (found === null) return undefined;
    parts.push(found[1] === undefined ? (found[2] ?? "").toLowerCase() : found[1].replaceAll('""', '"'));
    rest = rest.slice(found[0].length);
    if (rest === "") return parts;
    if (!rest.startsWith(".")) return undefined;
    rest = rest.slice(1).trimStart();
  }
}

/** A rename with the object of the catalog before that it is about. */
export interface ResolvedRename {
  readonly rename: Rename;
  readonly object: CatalogObject;
  /** For a value of an enum. */
  readonly label: string | undefined;
  readonly newSchema: string | undefined;
  readonly newName: string;
}

/** Parts of a name without the schema. */
const DEPTH: Readonly<Record<RenameKind, number>> = {
  schema: 0,
  table: 1,
  view: 1,
  type: 1,
  sequence: 1,
  function: 1,
  index: 1,
  column: 2,
  constraint: 2,
  policy: 2,
  trigger: 2,
  "enum value": 2,
};
const MOVABLE: ReadonlySet<RenameKind> = new Set<RenameKind>(["table", "view", "type", "sequence", "function"]);

/** @throws InvalidInputError when there is no such object before, or the new name does not fit its kind */
export function resolveRename(rename: Rename, before: CatalogObjects): ResolvedRename {
  const { kind, from, to } = rename;
  const fault = (what: string, hint: string): InvalidInputError =>
    new InvalidInputError(`cannot rename ${renameText(rename)}: ${what}`, { hint });
  const written = nameParts(withoutArguments(from)) ?? [];
  const parts = written.length === DEPTH[kind] ? ["public", ...written] : written;
  const target = nameParts(to) ?? [];
  const newName = target.at(-1) ?? "";
  if (newName === "" || target.length > (MOVABLE.has(kind) ? 2 : 1))
    throw fault(`${to} is no new name for a ${kind}`, "give the new name alone, e.g. status");
  const found = findObject(kind, parts, /\(([^()]*)\)$/s.exec(from)?.[1], before);
  const label = kind === "enum value" ? parts[2] : undefined;
  const isThere =
    found !== undefined && (label === undefined || (found.kind === "enum" && found.facts.labels.includes(label)));
  if (!isThere)
    throw fault(`there is no ${kind} ${from} before`, "name it as it is before the change, with its schema");
  return { rename, object: found, label, newSchema: target.length === 2 ? target[0] : found.schema, newName };
}

function findObject(
  kind: RenameKind,
  [schema = "", name = "", part]: readonly string[],
  args: string | undefined,
  before: CatalogObjects,
): CatalogObject | undefined {
  if (kind === "schema") return before.get(objectId("schema", undefined, schema));
  if (kind === "type" || kind === "enum value")
    return (["enum", "domain", "composite", "range"] as const)
      .map((type) => before.get(objectId(type, schema, name)))
      .find((object) => object !== undefined);
  // An index has the schema of its table, and may be named with or without that.
  if (kind === "index")
    return [...before.values()].find(
      (object) => object.kind === "index" && object.schema === schema && object.part === (part ?? name),
    );
  if (kind !== "function") return before.get(objectId(kind, schema, name, part));
  const overloads = [...before.values()].filter(
    (object) => object.kind === "function" && object.schema === schema && object.name === name,
  );
  const bare = (text: string | undefined): string => (text ?? "").replaceAll(/\s+/g, "").toLowerCase();
  return args === undefined && overloads.length === 1
    ? overloads[0]
    : overloads.find(({ part: signature }) => bare(signature) === bare(args));
}
