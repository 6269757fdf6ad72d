// Renames as the first statements of a plan: those a person says, and those that nothing tells from dropping and making again.
import {
  catalogObjects,
  literal,
  nameOf,
  objectId,
  partOf,
  type Catalog,
  type CatalogObject,
  type CatalogObjects,
  type Change,
} from "../catalog/index.ts";
import { identifier, printedIdentifier } from "../postgres/index.ts";
import { namesTaken } from "./plan-names.ts";
import { NewNames } from "./rename-names.ts";
import { renamedObjects } from "./rename-objects.ts";
import { resolveRename, type Rename, type RenameKind, type ResolvedRename } from "./renames.ts";
import { keyParts } from "./rules/create.ts";
import { routine } from "./rules/drop.ts";
import { statement, undoneBy, type Hazard, type PlannedStatement } from "./rules/statement.ts";

export interface RenamePlan {
  /** The objects before, with their new names. */
  readonly before: CatalogObjects;
  /** By the id that an object has now: what it was. */
  readonly originals: CatalogObjects;
  readonly renames: readonly Rename[];
  readonly steps: readonly { readonly subject: string; readonly statements: readonly PlannedStatement[] }[];
}

/** What only one of the two has. */
interface Missing {
  readonly gone: readonly CatalogObject[];
  readonly come: readonly CatalogObject[];
}

function missing(before: CatalogObjects, after: CatalogObjects): Missing {
  return {
    gone: [...before.values()].filter(({ id }) => !after.has(id)),
    come: [...after.values()].filter(({ id }) => !before.has(id)),
  };
}

/**
 * @param changes - what is known to differ between the two without any renames
 * @throws InvalidInputError for a rename of what is not there
 */
export function planRenames(
  before: CatalogObjects,
  after: CatalogObjects,
  said: readonly Rename[],
  changes?: readonly Change[],
): RenamePlan {
  const all = said.map((rename) => resolveRename(rename, before));
  all.push(...outOfTheWay(all, before));
  let renamed = renamedObjects(before, after, all);
  const differing = (): Missing =>
    changes === undefined || renamed.objects !== before
      ? missing(renamed.objects, after)
      : {
          gone: changes.flatMap((change) => (change.kind === "drop" ? [change.before] : [])),
          come: changes.flatMap((change) => (change.kind === "create" ? [change.after] : [])),
        };
  // An index of a partition has its new place only once that of its table has.
  for (;;) {
    const found = sameButForName(differing(), renamed.objects, after).flatMap(({ object, name }) => {
      const original = renamed.originals.get(object.id);
      return original === undefined ? [] : [resolved(original, name)];
    });
    if (found.length === 0) break;
    all.push(...found);
    renamed = renamedObjects(before, after, all);
  }
  const moved = movedKeys(differing(), renamed.objects).flatMap(({ object, name }) => {
    const original = renamed.originals.get(object.id);
    return original === undefined ? [] : [resolved(original, name)];
  });
  if (moved.length > 0) {
    all.push(...moved);
    renamed = renamedObjects(before, after, all);
  }
  return {
    before: renamed.objects,
    originals: renamed.originals,
    renames: all.map(({ rename }) => rename),
    steps: stepsOf(all, before),
  };
}

function resolved(object: CatalogObject, newName: string): ResolvedRename {
  const { kind, schema, name, part } = object;
  const from = [schema, ...(kind === "index" ? [] : [name]), part].filter((text) => text !== undefined);
  const rename = {
    kind: kindOf(object),
    from: from.map((text) => printedIdentifier(text)).join("."),
    to: printedIdentifier(newName),
  };
  return { rename, object, label: undefined, newSchema: schema, newName };
}

function kindOf({ kind }: CatalogObject): RenameKind {
  if (kind === "enum" || kind === "domain" || kind === "composite" || kind === "range") return "type";
  return kind as RenameKind;
}

/** What has the new name of another, and no rename of its own, gets a name out of the way; the plan drops it under that. */
function outOfTheWay(renames: readonly ResolvedRename[], before: CatalogObjects): readonly ResolvedRename[] {
  if (renames.length === 0) return [];
  const names = new NewNames(renames);
  const moving = new Set(renames.filter(({ label }) => label === undefined).map(({ object }) => object.id));
  const taken = new Set(
    renames.filter(({ label }) => label === undefined).map(({ object }) => placeOf({ ...object, ...names.of(object) })),
  );
  return [...before.values()].flatMap((object) => {
    if (moving.has(object.id) || !RENAMABLE.has(object.kind)) return [];
    const { part, name } = object;
    const isInTheWay = taken.has(placeOf({ ...object, ...names.of(object) }));
    return isInTheWay ? [resolved(object, `${(part ?? name).slice(0, 45)}${ASIDE}`)] : [];
  });
}

const RENAMABLE: ReadonlySet<CatalogObject["kind"]> = new Set<CatalogObject["kind"]>([
  "schema",
  "table",
  "view",
  "sequence",
  "column",
  "enum",
  "domain",
  "composite",
  "range",
  "index",
  "constraint",
  "policy",
  "trigger",
]);

/** Of two objects with the same place only one can be there. */
function placeOf({ kind, schema, name, part }: Pick<CatalogObject, "kind" | "schema" | "name" | "part">): string {
  if (kind === "table" || kind === "view" || kind === "sequence") return JSON.stringify(["relation", schema, name]);
  if (kind === "index") return JSON.stringify(["relation", schema, part]);
  if (kind === "enum" || kind === "domain" || kind === "composite" || kind === "range")
    return JSON.stringify(["type", schema, name]);
  return JSON.stringify([kind, schema, name, part]);
}

/**
 * Constraints, indexes, policies and triggers of a relation that are the same but for the name, and sequences of the same column:
 * whether one is renamed or made again, the schema is the same afterwards, and renaming costs nothing.
 */
function sameButForName(
  { gone: lost, come }: Missing,
  before: CatalogObjects,
  after: CatalogObjects,
): readonly { readonly object: CatalogObject; readonly name: string }[] {
  const gone = new Map<string, CatalogObject[]>();
  for (const object of lost) {
    const sameness = withoutName(object, before);
    if (sameness !== undefined) gone.set(sameness, [...(gone.get(sameness) ?? []), object]);
  }
  const found: { object: CatalogObject; name: string }[] = [];
  if (gone.size === 0) return found;
  for (const object of come) {
    const sameness = withoutName(object, after);
    const old = sameness === undefined ? undefined : gone.get(sameness)?.shift();
    if (old !== undefined && after.has(old.parent ?? old.id) === (old.parent !== undefined))
      found.push({ object: old, name: object.kind === "sequence" ? object.name : (object.part ?? "") });
  }
  return withFreeNames(found, before);
}

/** Those whose names nobody has but others of them: what else gives a name up is dropped after everything is renamed. */
function withFreeNames<T extends { readonly object: CatalogObject; readonly name: string }>(
  found: readonly T[],
  before: CatalogObjects,
): readonly T[] {
  if (found.length === 0) return found;
  const holders = new Map(
    [...before.values()].flatMap((object) => namesTaken(object).map((name) => [name, object.id])),
  );
  for (let free = found; ;) {
    const moving = new Set(free.map(({ object }) => object.id));
    const still = free.filter(({ object, name }) => {
      const renamed = object.part === undefined ? { ...object, name } : { ...object, part: name };
      return namesTaken(renamed).every((taken) => moving.has(holders.get(taken) ?? object.id));
    });
    if (still.length === free.length) return still;
    free = still;
  }
}

/**
 * Primary keys that go over to other columns and get another name with it. A table has only one: under the new name the old one is exchanged
 * for the new one in one statement, when that is finished, instead of going before it can be built.
 */
function movedKeys(
  { gone, come }: Missing,
  before: CatalogObjects,
): readonly { readonly object: CatalogObject; readonly name: string }[] {
  const isMovable = (object: CatalogObject): object is CatalogObject<"constraint"> =>
    object.kind === "constraint" &&
    object.facts.kind === "primary key" &&
    object.inheritedFrom === undefined &&
    keyParts(object) !== undefined;
  const old = gone.filter(isMovable);
  if (old.length === 0) return [];
  return come.flatMap((wanted) => {
    const table = before.get(wanted.parent ?? "");
    if (!isMovable(wanted) || table?.kind !== "table" || table.facts.kind !== "table") return [];
    const object = old.find(({ parent }) => parent === wanted.parent);
    const name = wanted.part ?? "";
    const isTaken = [...before.values()].some(
      (other) => other.schema === wanted.schema && (other.part ?? other.name) === name && TAKES_NAME.has(other.kind),
    );
    // What holds on to the old index keeps it from being exchanged.
    const isHeld = [...before.values()].some(
      ({ kind, needs }) => kind !== "comment" && needs.includes(object?.id ?? ""),
    );
    return object === undefined || isTaken || isHeld ? [] : [{ object, name }];
  });
}

const TAKES_NAME: ReadonlySet<CatalogObject["kind"]> = new Set<CatalogObject["kind"]>([
  "table",
  "view",
  "sequence",
  "index",
  "constraint",
  "composite",
]);

function withoutName(object: CatalogObject, objects: CatalogObjects): string | undefined {
  const { kind, parent, inheritedFrom } = object;
  if (kind === "constraint" || kind === "policy") return JSON.stringify([kind, parent, inheritedFrom, object.facts]);
  if (kind === "index" || kind === "trigger") {
    const definition = object.facts.definition.replace(NAME_IN_DEFINITION, "$1 ");
    return JSON.stringify([kind, parent, inheritedFrom, { ...object.facts, definition }]);
  }
  if (kind !== "sequence") return undefined;
  const owner = objects.get(objectId("sequence owner", object.schema, object.name));
  return owner === undefined ? undefined : JSON.stringify([kind, owner.facts]);
}

const NAME_IN_DEFINITION = /^(CREATE (?:(?:UNIQUE )?INDEX|(?:CONSTRAINT )?TRIGGER)) (?:"(?:[^"]|"")*"|\S+) /;

/** Parts first, while their tables have the names they had; schemas last. */
const ORDER: readonly RenameKind[] = [
  "enum value",
  "column",
  "constraint",
  "index",
  "policy",
  "trigger",
  "function",
  "sequence",
  "view",
  "type",
  "table",
  "schema",
];

function stepsOf(renames: readonly ResolvedRename[], before: CatalogObjects): RenamePlan["steps"] {
  if (renames.length === 0) return [];
  const aside = new Set(renames.filter(isAside).map(({ object }) => object.id));
  const taken = new Set([...before.values()].filter(({ id }) => !aside.has(id)).map((object) => placeOf(object)));
  const ordered = renames.toSorted((a, b) => ORDER.indexOf(a.rename.kind) - ORDER.indexOf(b.rename.kind));
  const steps: { subject: string; statements: readonly PlannedStatement[] }[] = [];
  for (const kind of ORDER) {
    const first: typeof steps = [];
    const then: typeof steps = [];
    const ofKind = ordered.filter((candidate) => candidate.rename.kind === kind);
    for (const rename of [...ofKind.filter(isAside), ...ofKind.filter((candidate) => !isAside(candidate))]) {
      const { object, label, newName, newSchema } = rename;
      const target = label === undefined && placeOf(withName(object, newName, newSchema));
      // Names that others give up in this plan: by way of one that nobody has.
      const passing = `${newName.slice(0, 45)}_pgsteward_new`;
      if (target !== false && taken.has(target)) {
        first.push({ subject: object.id, statements: renameStatements(rename, passing) });
        then.push({
          subject: object.id,
          statements: renameStatements({ ...rename, object: withName(object, passing, newSchema) }, newName),
        });
      } else first.push({ subject: object.id, statements: renameStatements(rename, newName) });
    }
    steps.push(...first, ...then);
  }
  return steps;
}

const ASIDE = "_pgsteward_old";

function isAside({ newName }: ResolvedRename): boolean {
  return newName.endsWith(ASIDE);
}

function withName(object: CatalogObject, newName: string, newSchema: string | undefined): CatalogObject {
  return object.part === undefined || object.kind === "function"
    ? { ...object, schema: newSchema, name: newName }
    : { ...object, part: newName };
}

const WORDS: Partial<Record<CatalogObject["kind"], string>> = {
  schema: "SCHEMA",
  sequence: "SEQUENCE",
  domain: "DOMAIN",
  enum: "TYPE",
  composite: "TYPE",
  range: "TYPE",
};

/** How ALTER names it, before what follows. */
function altered(object: CatalogObject): string {
  const { kind } = object;
  if (kind === "table") return `ALTER ${object.facts.kind === "foreign" ? "FOREIGN TABLE" : "TABLE"} ${nameOf(object)}`;
  if (kind === "view") return `ALTER ${object.facts.kind === "view" ? "VIEW" : "MATERIALIZED VIEW"} ${nameOf(object)}`;
  if (kind === "function") return `ALTER ${routine(object)}`;
  if (kind === "index") return `ALTER INDEX ${identifier(object.schema ?? "", object.part ?? "")}`;
  if (kind === "column" || kind === "constraint")
    return `ALTER TABLE ${nameOf(object)} RENAME ${kind.toUpperCase()} ${partOf(object)}`;
  if (kind === "policy" || kind === "trigger")
    return `ALTER ${kind.toUpperCase()} ${partOf(object)} ON ${nameOf(object)}`;
  return `ALTER ${WORDS[kind] ?? "TABLE"} ${nameOf(object)}`;
}

const SEEN_BY_CODE: ReadonlySet<RenameKind> = new Set<RenameKind>([
  "schema",
  "table",
  "view",
  "column",
  "type",
  "enum value",
  "function",
]);

function renameStatements(
  { rename, object, label, newSchema }: ResolvedRename,
  newName: string,
): readonly PlannedStatement[] {
  const hazards: readonly Hazard[] = SEEN_BY_CODE.has(rename.kind)
    ? [{ kind: "incompatible", why: `code that says ${rename.from} fails from here on` }]
    : [];
  if (label !== undefined) {
    const start = `ALTER TYPE ${nameOf(object)} RENAME VALUE`;
    const sql = `${start} ${literal(label)} TO ${literal(newName)}`;
    return [undoneBy(`${start} ${literal(newName)} TO ${literal(label)}`, statement(sql, hazards))];
  }
  const renamed = withName(object, newName, object.schema);
  const isPart = object.part !== undefined && object.kind !== "function";
  const oldName = isPart ? partOf(object) : identifier(object.name);
  const to = object.kind === "column" || object.kind === "constraint" ? "TO" : "RENAME TO";
  const statements: PlannedStatement[] = [];
  if ((isPart ? partOf(renamed) : identifier(renamed.name)) !== oldName)
    statements.push(
      undoneBy(
        `${altered(renamed)} ${to} ${oldName}`,
        statement(`${altered(object)} ${to} ${identifier(newName)}`, hazards),
      ),
    );
  if (newSchema !== undefined && newSchema !== object.schema) {
    const moved = withName(object, newName, newSchema);
    statements.push(
      undoneBy(
        `${altered(moved)} SET SCHEMA ${identifier(object.schema ?? "")}`,
        statement(`${altered(renamed)} SET SCHEMA ${identifier(newSchema)}`, hazards),
      ),
    );
  }
  return statements;
}

/**
 * The renames of the way back: each new name with what is around it under its new name too.
 *
 * @param before - the catalog that the renames start from
 * @throws InvalidInputError for a rename of what is not there
 */
export function reverseRenames(renames: readonly Rename[], before: Catalog): readonly Rename[] {
  const objects = catalogObjects(before);
  const all = renames.map((rename) => resolveRename(rename, objects));
  const names = new NewNames(all);
  return all.map(({ rename: { kind }, object, label, newName }) => {
    const renamed = names.of(object);
    const parts = [...(object.kind === "schema" ? [] : [renamed.schema]), ...(kind === "index" ? [] : [renamed.name])];
    if (object.part !== undefined && kind !== "function") parts.push(renamed.part);
    if (label !== undefined) parts.push(newName);
    const from = parts.filter((part) => part !== undefined).map((part) => printedIdentifier(part));
    const isMoved = renamed.schema !== names.schema(object.schema ?? "") && object.schema !== undefined;
    const old = label ?? (kind === "function" ? object.name : (object.part ?? object.name));
    const to = isMoved ? `${printedIdentifier(object.schema ?? "")}.${printedIdentifier(old)}` : printedIdentifier(old);
    return { kind, from: `${from.join(".")}${kind === "function" ? `(${renamed.part ?? ""})` : ""}`, to };
  });
}
