// What undoes the statements of one object: its DROP for a CREATE, its CREATE for a DROP, the opposite ALTER for an ALTER.
import {
  inOrder,
  nameOf,
  objectId,
  partOf,
  rankOf,
  separateDefaults,
  writtenIn,
  type CatalogObject,
  type CreateContext,
} from "../catalog/index.ts";
import { identifier } from "../postgres/index.ts";
import { heirsOf } from "./object-lookups.ts";
import { alterObject } from "./rules/alter.ts";
import { createStatements } from "./rules/create.ts";
import { dropStatements } from "./rules/drop.ts";
import { takenFromHeirs } from "./rules/not-null.ts";
import type { PlannedStatement, RuleContext } from "./rules/statement.ts";

/** Statements of a way back, one after the other. */
export function asText(statements: readonly PlannedStatement[]): string {
  return statements
    .map(({ sql }) => sql)
    .filter((sql) => !sql.startsWith("SET LOCAL "))
    .join(";\n");
}

export class Reversals {
  readonly #context: RuleContext;
  readonly #create: CreateContext;

  /** @param context - of the way there */
  constructor(context: RuleContext) {
    const { before, after } = context;
    this.#context = { ...context, before: after, after: before };
    this.#create = {
      serverVersion: context.serverVersion,
      objects: before,
      separateDefaults: separateDefaults(before),
    };
  }

  /** The index of a partition goes with that of its table, once it is attached. */
  ofCreate(object: CatalogObject, created: ReadonlySet<string> = new Set()): string | undefined {
    // Its functions need it, and it needs them: they go together.
    if (object.kind === "base type") return undefined;
    // An attached index leaves with its partition or its table's index only.
    if (object.kind === "index partition") return created.has(object.parent ?? "") ? "" : undefined;
    const own = asText(dropStatements(object, this.#context));
    // A partition's check goes with that of its table, should it be attached already.
    if (object.kind === "constraint" && object.facts.kind === "check" && created.has(object.inheritedFrom ?? ""))
      return own.replace(" DROP CONSTRAINT ", " DROP CONSTRAINT IF EXISTS ");
    const isIndex = object.kind === "index" || (object.kind === "constraint" && object.facts.kind !== "check");
    if (!isIndex) return own;
    if (object.inheritedFrom !== undefined && created.has(object.inheritedFrom)) return "";
    return [own, ...this.#ofAttached(object, created)].join(";\n");
  }

  /** Indexes that are made for partitions, should they not be attached yet. */
  #ofAttached(parent: CatalogObject, created: ReadonlySet<string>): readonly string[] {
    return heirsOf(parent.id, this.#context.before).flatMap((object) => {
      if (!created.has(object.id)) return [];
      const drop =
        object.kind === "index"
          ? [`DROP INDEX IF EXISTS ${identifier(object.schema ?? "", object.part ?? "")}`]
          : object.kind === "constraint"
            ? [`ALTER TABLE ${nameOf(object)} DROP CONSTRAINT IF EXISTS ${partOf(object)}`]
            : [];
      return [...drop, ...this.#ofAttached(object, created)];
    });
  }

  /** @param parts - what goes with one DROP, the object itself among them */
  ofDrop(parts: readonly CatalogObject[]): string {
    const ids = new Set(parts.map(({ id }) => id));
    const { objects, separateDefaults: separate } = this.#create;
    const isOwn = (part: CatalogObject): boolean =>
      !this.#comesDown(part, ids) && writtenIn(part, objects, (id) => ids.has(id), separate) === part.id;
    const own = inOrder(
      parts.filter(isOwn).map((part) => ({
        key: part.id,
        rank: rankOf(part.kind),
        after: new Set(part.needs),
        part,
      })),
    ).map(({ part }) => part);
    return asText(
      own.flatMap((part) => {
        const { statements, validation } = createStatements(part, this.#context, this.#create);
        return [...statements, ...validation];
      }),
    );
  }

  /** Columns and checks of a table's partitions and heirs come with its own. */
  #comesDown(part: CatalogObject, ids: ReadonlySet<string>): boolean {
    const isPassed = part.kind === "column" || (part.kind === "constraint" && part.facts.kind === "check");
    const isParentGone = ids.has(part.inheritedFrom ?? "");
    return isPassed && isParentGone && !ids.has(objectId("table", part.schema, part.name));
  }

  /**
   * `undefined` where others that need it would have to be made again too.
   *
   * @param isSwap - a type that took another's place came with its constraints
   */
  ofAlter(before: CatalogObject, after: CatalogObject, isSwap = false): string | undefined {
    if (isSwap) return after.kind === "domain" ? this.#ofSwappedDomain(before, after) : undefined;
    // A NOT NULL that stays keeps its name, whatever it is called in the wanted schema.
    const isKept = before.kind === "column" && after.kind === "column" && !before.facts.isNullable;
    const present = isKept ? { ...after, notNullName: before.notNullName ?? after.notNullName } : after;
    const way = alterObject(present, before, this.#context);
    // A type that takes another's place takes what is made of it along.
    if (way !== "recreate") {
      const isColumn = after.kind === "column" && before.kind === "column";
      const ofHeirs = isColumn ? takenFromHeirs(after, before, this.#context) : [];
      return way.isSwap === true ? undefined : asText([...way.statements, ...ofHeirs]);
    }
    const isNeeded = [...this.#context.before.values()].some(
      ({ needs, parent }) => needs.includes(after.id) && parent !== after.id,
    );
    if (isNeeded) return undefined;
    return [this.ofCreate(after), this.ofDrop([before])].filter((sql) => sql !== "").join(";\n");
  }

  /** Arrays and composites hold on to a domain: the server takes its constraints away in place, and adds none. */
  #ofSwappedDomain(before: CatalogObject, after: CatalogObject): string | undefined {
    const way = alterObject(after, before, this.#context);
    if (way === "recreate" || way.isSwap === true) return undefined;
    const constraintsOf = (objects: ReadonlyMap<string, CatalogObject>): readonly CatalogObject[] =>
      [...objects.values()].filter(({ kind, parent }) => kind === "domain constraint" && parent === after.id);
    const { before: there, after: back } = this.#context;
    const isSame = (one: CatalogObject, other: CatalogObject | undefined): boolean =>
      JSON.stringify(one.facts) === JSON.stringify(other?.facts);
    if (constraintsOf(back).some((constraint) => !isSame(constraint, there.get(constraint.id)))) return undefined;
    const added = constraintsOf(there).filter(({ id }) => !back.has(id));
    const sql = asText([
      ...way.statements,
      ...added.flatMap((constraint) => dropStatements(constraint, this.#context)),
    ]);
    // It gave way only because of what it is made of: that goes back first, and takes it along.
    return sql === "" ? undefined : sql;
  }
}
