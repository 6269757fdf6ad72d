// What may have been renamed: pairs of something that is gone and something new of the same kind, with what they have in common.
// An offer only: a person says which of them are renames.
import {
  catalogObjects,
  compareObjects,
  type Catalog,
  type CatalogObject,
  type CatalogObjects,
  type ObjectKind,
} from "../catalog/index.ts";
import { printedIdentifier } from "../postgres/index.ts";
import { planRenames } from "./plan-renames.ts";
import { type Rename, type RenameKind } from "./renames.ts";
import { tokensOf } from "./sql-tokens.ts";

export interface RenameCandidate {
  readonly rename: Rename;
  /** 0…1, 1 is the same in all but the name. */
  readonly similarity: number;
  /** What the two have in common, e.g. `3 of 4 columns are the same`. */
  readonly reason: string;
}

interface Likeness {
  readonly similarity: number;
  readonly reason: string;
}

const ENOUGH = 0.5;

/**
 * Offers renames of schemas, tables, views, columns, types, values of enums, indexes, constraints, sequences, functions, policies and
 * triggers, the likeliest first. Each object is in one offer at most. Names of parts are as before, also in a table that is offered.
 */
export function renameCandidates(before: Catalog, after: Catalog): readonly RenameCandidate[] {
  const wanted = catalogObjects(after);
  const old = catalogObjects(before);
  const found: RenameCandidate[] = [];
  // What contains others first: columns are compared under the table that was found for theirs.
  for (const kinds of [["schema"], ["enum", "domain", "composite", "range", "table"], PARTS] as const) {
    const { before: renamed, originals } = planRenames(
      old,
      wanted,
      found.map(({ rename }) => rename),
    );
    found.push(...bestPairs(renamed, wanted, new Set<ObjectKind>(kinds), originals));
    if (kinds === PARTS) found.push(...labelCandidates(renamed, wanted, originals));
  }
  return found.toSorted((a, b) => b.similarity - a.similarity);
}

const PARTS: readonly ObjectKind[] = [
  "view",
  "column",
  "index",
  "constraint",
  "sequence",
  "function",
  "policy",
  "trigger",
];

function bestPairs(
  before: CatalogObjects,
  after: CatalogObjects,
  kinds: ReadonlySet<ObjectKind>,
  originals: CatalogObjects,
): readonly RenameCandidate[] {
  const gone: CatalogObject[] = [];
  const made: CatalogObject[] = [];
  for (const change of compareObjects(before, after)) {
    if (change.kind === "drop" && kinds.has(change.before.kind)) gone.push(change.before);
    else if (change.kind === "create" && kinds.has(change.after.kind)) made.push(change.after);
  }
  const pairs = gone.flatMap((old) =>
    made.flatMap((wanted) => {
      const likeness = sameKindOfPlace(old, wanted, before, after) ? likenessOf(old, wanted, before, after) : undefined;
      return likeness === undefined || likeness.similarity < ENOUGH ? [] : [{ old, wanted, ...likeness }];
    }),
  );
  const taken = new Set<CatalogObject>();
  return pairs
    .toSorted((a, b) => b.similarity - a.similarity)
    .flatMap(({ old, wanted, similarity, reason }) => {
      if (taken.has(old) || taken.has(wanted)) return [];
      taken.add(old).add(wanted);
      const original = originals.get(old.id) ?? old;
      return [{ rename: renameOf(original, wanted, old), similarity, reason }];
    });
}

/** Parts of a relation stay in it; relations, types and functions may move to another schema under their old name. */
function sameKindOfPlace(
  old: CatalogObject,
  wanted: CatalogObject,
  before: CatalogObjects,
  after: CatalogObjects,
): boolean {
  if (old.kind !== wanted.kind) return false;
  if (old.parent !== undefined) {
    // A new table has new parts; so has one that is gone.
    return old.parent === wanted.parent && before.has(old.parent) && after.has(old.parent);
  }
  return old.schema === wanted.schema || old.name === wanted.name;
}

function likenessOf(
  old: CatalogObject,
  wanted: CatalogObject,
  before: CatalogObjects,
  after: CatalogObjects,
): Likeness | undefined {
  if (old.kind === "schema")
    return sharedParts(namesInside(old, before), namesInside(wanted, after), "objects", old, wanted);
  if (old.kind === "table")
    return sharedParts(columnsOf(old, before), columnsOf(wanted, after), "columns", old, wanted);
  if (old.kind === "column" && wanted.kind === "column") return likeColumns(old, wanted, before, after);
  if (old.kind === "enum" && wanted.kind === "enum")
    return sharedParts(new Set(old.facts.labels), new Set(wanted.facts.labels), "values", old, wanted);
  const same = likeTexts(essence(old), essence(wanted));
  if (same < 0.8) return undefined;
  const names = likeNames(ownName(old), ownName(wanted));
  return {
    similarity: round(0.8 * same + 0.2 * names),
    reason: same === 1 ? "the same but for the name" : `${percent(same)} of its definition is the same`,
  };
}

function likeColumns(
  old: CatalogObject<"column">,
  wanted: CatalogObject<"column">,
  before: CatalogObjects,
  after: CatalogObjects,
): Likeness | undefined {
  const names = likeNames(ownName(old), ownName(wanted));
  const { type, isNullable, identity, generated } = wanted.facts;
  const isSameType = old.facts.type === type;
  if (!isSameType && names < 0.6) return undefined;
  const defaultOf = ({ id }: CatalogObject, objects: CatalogObjects): unknown =>
    objects.get(`default ${id.slice("column ".length)}`)?.facts;
  const shared = [
    isSameType ? `the same type ${type}` : "",
    old.facts.isNullable === isNullable ? (isNullable ? "nullable both" : "NOT NULL both") : "",
    JSON.stringify(defaultOf(old, before)) === JSON.stringify(defaultOf(wanted, after)) ? "the same default" : "",
    (old.facts.identity === undefined) === (identity === undefined) &&
    old.facts.generated?.expression === generated?.expression
      ? "values made the same way"
      : "",
  ];
  const weights = [0.35, 0.1, 0.1, 0.05];
  const facts = shared.reduce((sum, text, index) => sum + (text === "" ? 0 : (weights[index] ?? 0)), 0);
  const said = shared.filter((text) => text !== "" && text !== "values made the same way");
  return {
    similarity: round(facts + 0.4 * names),
    reason: [...said, `names ${percent(names)} alike`].join(", "),
  };
}

function sharedParts(
  old: ReadonlySet<string>,
  wanted: ReadonlySet<string>,
  what: string,
  a: CatalogObject,
  b: CatalogObject,
): Likeness | undefined {
  const shared = [...old].filter((part) => wanted.has(part)).length;
  const all = new Set([...old, ...wanted]).size;
  const names = likeNames(ownName(a), ownName(b));
  if (all === 0)
    return names < ENOUGH ? undefined : { similarity: round(names), reason: `names ${percent(names)} alike` };
  return {
    similarity: round(0.8 * (shared / all) + 0.2 * names),
    reason: `${shared} of ${all} ${what} are the same`,
  };
}

function columnsOf({ id }: CatalogObject, objects: CatalogObjects): ReadonlySet<string> {
  const columns = [...objects.values()].filter((object) => object.kind === "column" && object.parent === id);
  return new Set(columns.map((column) => `${column.part} ${column.kind === "column" ? column.facts.type : ""}`));
}

function namesInside({ name }: CatalogObject, objects: CatalogObjects): ReadonlySet<string> {
  const inside = [...objects.values()].filter(
    ({ schema, parent, kind }) => schema === name && parent === undefined && kind !== "default privileges",
  );
  return new Set(
    inside.map((object) => `${object.kind} ${object.name} ${object.kind === "function" ? object.part : ""}`),
  );
}

/** What it is without what it is called. */
function essence(object: CatalogObject): string {
  const name = ownName(object);
  return tokensOf(JSON.stringify(object.facts).replaceAll(/\\?"/g, " "))
    .map(({ value }) => (value === name ? "" : value))
    .join(" ");
}

function ownName({ kind, name, part }: CatalogObject): string {
  return kind === "function" ? name : (part ?? name);
}

/** By words, 0…1. */
function likeTexts(a: string, b: string): number {
  if (a === b) return 1;
  const words = (text: string): readonly string[] => text.split(/\s+/);
  const left = words(a);
  const right = new Map<string, number>();
  for (const word of words(b)) right.set(word, (right.get(word) ?? 0) + 1);
  let shared = 0;
  for (const word of left) {
    const count = right.get(word) ?? 0;
    if (count > 0) shared++;
    right.set(word, count - 1);
  }
  return (2 * shared) / (left.length + words(b).length);
}

/** By pairs of letters (Dice), 0…1. */
function likeNames(a: string, b: string): number {
  const pairs = (name: string): readonly string[] => {
    const text = ` ${name.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, " ")} `;
    return Array.from({ length: text.length - 1 }, (_, at) => text.slice(at, at + 2));
  };
  return likeTexts(pairs(a).join("\n").replaceAll(" ", "_"), pairs(b).join("\n").replaceAll(" ", "_"));
}

function round(share: number): number {
  return Math.round(share * 100) / 100;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** A label that is gone and one that is new in the same place of the same enum. */
function labelCandidates(
  before: CatalogObjects,
  after: CatalogObjects,
  originals: CatalogObjects,
): readonly RenameCandidate[] {
  return [...before.values()].flatMap((old) => {
    const wanted = after.get(old.id);
    if (old.kind !== "enum" || wanted?.kind !== "enum" || old.facts.labels.length !== wanted.facts.labels.length)
      return [];
    return old.facts.labels.flatMap((label, position) => {
      const now = wanted.facts.labels[position] ?? label;
      if (now === label || wanted.facts.labels.includes(label) || old.facts.labels.includes(now)) return [];
      const { schema = "", name } = originals.get(old.id) ?? old;
      const from = [schema, name, label].map(printedIdentifier).join(".");
      const similarity = round(0.6 + 0.4 * likeNames(label, now));
      return [
        {
          rename: { kind: "enum value" as const, from, to: printedIdentifier(now) },
          similarity,
          reason: "the same place among the values",
        },
      ];
    });
  });
}

function renameOf(original: CatalogObject, wanted: CatalogObject, renamed: CatalogObject): Rename {
  const { kind, schema, name, part } = original;
  const isType = kind === "enum" || kind === "domain" || kind === "composite" || kind === "range";
  const parts = [schema, kind === "index" ? undefined : name, kind === "function" ? undefined : part];
  const from = parts
    .filter((text) => text !== undefined)
    .map(printedIdentifier)
    .join(".");
  const isMoved = wanted.schema !== renamed.schema && wanted.schema !== undefined;
  const to = printedIdentifier(ownName(wanted));
  return {
    kind: isType ? "type" : (kind as RenameKind),
    from: kind === "function" ? `${from}(${part ?? ""})` : from,
    to: isMoved ? `${printedIdentifier(wanted.schema)}.${to}` : to,
  };
}
