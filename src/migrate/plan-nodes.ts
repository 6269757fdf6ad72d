// The statements of a plan as nodes, one or more an object, in the order in which what depends on what lets them run.
import {
  attachOrder,
  inOrder,
  objectId,
  rankOf,
  separateDefaults,
  writtenIn,
  type CatalogObject,
  type CatalogObjects,
  type CreateContext,
  type ObjectKind,
} from "../catalog/index.ts";
import type { Actions } from "./plan-actions.ts";
import { connectMoments } from "./plan-moments.ts";
import { namesTaken } from "./plan-names.ts";
import { privilegesWhenMade } from "./plan-privileges.ts";
import { renameNodes, type RenameSteps } from "./plan-rename-nodes.ts";
import {
  ALTER_RANK,
  AUTHORISATION_RANK,
  EARLY_RANK,
  FILL_RANK,
  LABEL_RANK,
  OUTSIDE_RANK,
  VALIDATE_RANK,
  dropRank,
  placeOf,
} from "./plan-ranks.ts";
import { Reversals } from "./plan-reversal.ts";
import { createStatements, validation } from "./rules/create.ts";
import { dropStatements } from "./rules/drop.ts";
import { ownerOf, type PlannedStatement, type RuleContext } from "./rules/statement.ts";

/** Statements about one object that stay together. */
export interface PlanNode {
  readonly key: string;
  readonly rank: number;
  readonly place?: string;
  readonly after: Set<string>;
  readonly subject: string;
  readonly kind: "rename" | "create" | "alter" | "drop" | "validate";
  readonly statements: readonly PlannedStatement[];
  /** Who may do or see what changes, and nothing else: such steps have transactions of their own. */
  readonly isAuthorisation: boolean;
  /** Undoes all its statements; `undefined` when nothing does without what needs the object. */
  readonly reversal: () => string | undefined;
}

const AUTHORISATION: ReadonlySet<ObjectKind> = new Set<ObjectKind>([
  "privileges",
  "default privileges",
  "owner",
  "policy",
  "row security",
]);

export class PlanNodes {
  readonly #context: RuleContext;
  readonly #actions: Actions;
  readonly #separate: ReadonlySet<string>;
  readonly #reversals: Reversals;
  readonly #nodes = new Map<string, PlanNode>();

  constructor(context: RuleContext, actions: Actions) {
    this.#context = context;
    this.#actions = actions;
    this.#separate = separateDefaults(context.after);
    this.#reversals = new Reversals({
      ...context,
      isDetached: ({ schema, name }) => actions.dropped.has(objectId("partition", schema, name)),
    });
  }

  /** @param renames - done before everything else, in their order */
  nodes(renames: RenameSteps = []): readonly PlanNode[] {
    const { before, after } = this.#context;
    const { dropped, created, altered } = this.#actions;
    const create: CreateContext = {
      serverVersion: this.#context.serverVersion,
      objects: after,
      separateDefaults: this.#separate,
      initialPrivileges: (object) => privilegesWhenMade(object, this.#context, created),
    };
    const goingWith = new Map<string, CatalogObject[]>();
    for (const object of before.values()) {
      if (!dropped.has(object.id)) continue;
      const place = this.#dropPlace(object);
      goingWith.set(place, [...(goingWith.get(place) ?? []), object]);
    }
    for (const [id, parts] of goingWith) {
      const object = before.get(id);
      if (object === undefined) continue;
      const isGone = object.kind === "sequence owner" && dropped.has(object.parent ?? "");
      const statements = isGone ? [] : dropStatements(object, this.#context);
      const rank = dropRank(object, statements, created.has(id));
      this.#add("drop", object, statements, rank, () => this.#reversals.ofDrop(parts));
    }
    for (const [id, statements] of altered) this.#addAlter(id, statements);
    for (const object of after.values()) {
      if (!created.has(object.id)) continue;
      if (object.kind === "domain constraint" && this.#actions.swapped.has(object.parent ?? "")) continue;
      const place = this.#createPlace(object);
      if (place !== object.id) {
        const from = after.get(place);
        // A check comes down as it is above.
        if (object.kind === "constraint" && isUnproven(from) && !isUnproven(object))
          this.#add("validate", object, [validation(object, this.#context)], VALIDATE_RANK, () => "", [
            `create ${place}`,
          ]);
        continue;
      }
      const { statements, validation: later } = createStatements(object, this.#context, create);
      const rank = ALTER_RANK + rankOf(object.kind);
      this.#add("create", object, statements, rank, () => this.#reversals.ofCreate(object, created));
      // Rows are filled before indexes are built on them.
      const lateRank = object.kind === "column" ? FILL_RANK : VALIDATE_RANK;
      if (later.length > 0) this.#add("validate", object, later, lateRank, () => "", [`create ${object.id}`]);
    }
    this.#connect();
    for (const node of renameNodes(renames)) this.#nodes.set(node.key, node);
    return inOrder([...this.#nodes.values()]);
  }

  /** What reads the whole table waits until the transaction that drops and makes again what stands in the way is done. */
  #addAlter(id: string, statements: readonly PlannedStatement[]): void {
    const old = this.#context.before.get(id);
    const object = this.#context.after.get(id);
    if (old === undefined || object === undefined) return;
    const reversal = (): string | undefined => this.#reversals.ofAlter(old, object, this.#actions.swapped.has(id));
    for (const moment of ["early", "late"] as const) {
      const apart = statements.filter((planned) => planned.moment === moment);
      const rank = moment === "early" ? EARLY_RANK : ALTER_RANK + rankOf("sequence owner");
      if (apart.length > 0) this.#add("alter", object, apart, rank, () => "", [], moment);
    }
    if (object.kind === "enum" && statements.every(({ transaction }) => transaction === "own")) {
      this.#add("alter", object, statements, LABEL_RANK, reversal);
      return;
    }
    const rest = statements.filter(({ moment }) => moment === undefined);
    const first = rest.findIndex(({ transaction }) => transaction === "own");
    const now = first === -1 ? rest : rest.slice(0, first);
    const later = first === -1 ? [] : rest.slice(first);
    this.#add("alter", object, now, ALTER_RANK + rankOf(object.kind), reversal);
    // Before keys are built: those of a primary key have to be NOT NULL.
    if (later.length > 0)
      this.#add("validate", object, later, OUTSIDE_RANK, now.length === 0 ? reversal : () => "", [`alter ${id}`]);
  }

  /** Parts of new tables, and what is made again because something below it changes, stay in the transaction of those. */
  #isAuthorisation(object: CatalogObject): boolean {
    const { dropped, created } = this.#actions;
    if (!AUTHORISATION.has(object.kind) || (dropped.has(object.id) && created.has(object.id))) return false;
    const owner = ownerOf(object, this.#context.after.has(object.id) ? this.#context.after : this.#context.before);
    return owner.id === object.id || (!dropped.has(owner.id) && !created.has(owner.id));
  }

  #add(
    kind: PlanNode["kind"],
    object: CatalogObject,
    statements: readonly PlannedStatement[],
    rank: number,
    reversal: () => string | undefined,
    after: readonly string[] = [],
    word: string = kind,
  ): void {
    const key = `${word} ${object.id}`;
    const isOutside = statements.some(({ transaction }) => transaction === "outside");
    const isAuthorisation = this.#isAuthorisation(object);
    this.#nodes.set(key, {
      key,
      place: placeOf(kind, object, this.#nodes.size) ?? key,
      rank: isOutside ? OUTSIDE_RANK + rank : isAuthorisation ? AUTHORISATION_RANK + rank : rank,
      after: new Set(after),
      subject: object.id,
      kind,
      statements,
      isAuthorisation,
      reversal,
    });
  }

  /** The object with whose DROP an object goes. */
  #dropPlace(object: CatalogObject): string {
    const { before } = this.#context;
    const { dropped } = this.#actions;
    const next = (id: string | undefined): string | undefined => {
      const container = id === undefined || !dropped.has(id) ? undefined : before.get(id);
      return container === undefined ? undefined : this.#dropPlace(container);
    };
    if (object.kind === "sequence") {
      const owner = before.get(objectId("sequence owner", object.schema, object.name));
      if (owner?.kind !== "sequence owner") return object.id;
      const { schema, table, column } = owner.facts;
      return next(objectId("column", schema, table, column)) ?? object.id;
    }
    if (object.kind === "function") {
      // The functions that a base type is made of go with it.
      const shell = object.needs.find((id) => id.startsWith("shell type ") && dropped.has(id));
      if (shell !== undefined && before.has(`base ${shell.slice("shell ".length)}`)) return shell;
    }
    const isAttached = !dropped.has(objectId("partition", object.schema, object.name)) && !this.#leaves(object);
    const inherited = isAttached ? next(object.inheritedFrom) : undefined;
    // A foreign key goes first, so that two tables that point at each other can go in any order.
    const goesFirst =
      object.kind === "partition" ||
      (object.kind === "constraint" && object.facts.kind === "foreign key") ||
      ((object.kind === "policy" || object.kind === "rule") && this.#pointsElsewhere(object));
    return (goesFirst ? undefined : next(object.parent)) ?? inherited ?? object.id;
  }

  /** Whether it needs another relation that is dropped too. */
  #pointsElsewhere({ needs, schema, name }: CatalogObject): boolean {
    return needs.some((id) => {
      const needed = this.#context.before.get(id);
      const isOwn = needed?.kind === "schema" || (needed?.schema === schema && needed?.name === name);
      return needed !== undefined && !isOwn && this.#actions.dropped.has(id);
    });
  }

  /** The object in whose CREATE an object comes. */
  #createPlace(object: CatalogObject): string {
    const { after } = this.#context;
    const { created } = this.#actions;
    const isTableNew = (table: CatalogObject): boolean => created.has(objectId("table", table.schema, table.name));
    const isPassedDown =
      object.inheritedFrom !== undefined &&
      created.has(object.inheritedFrom) &&
      !isTableNew(object) &&
      this.#wasUnder(object, object.inheritedFrom) &&
      !created.has(objectId("partition", object.schema, object.name)) &&
      (object.kind === "column" || (object.kind === "constraint" && object.facts.kind === "check"));
    if (isPassedDown) {
      const from = after.get(object.inheritedFrom);
      if (from !== undefined) return this.#createPlace(from);
    }
    const place = writtenIn(object, after, (id) => created.has(id), this.#separate);
    const container = place === object.id ? undefined : after.get(place);
    return container === undefined ? place : this.#createPlace(container);
  }

  /** Whether the table of an object had the table of another as a parent already. */
  #wasUnder({ schema, name }: CatalogObject, parentPart: string): boolean {
    const { before, after } = this.#context;
    const parent = after.get(parentPart);
    const partition = before.get(objectId("partition", schema, name));
    if (partition?.kind === "partition")
      return partition.facts.parentSchema === parent?.schema && partition.facts.parentTable === parent.name;
    const table = before.get(objectId("table", schema, name));
    return (
      table?.kind === "table" &&
      table.facts.inherits.some((other) => other.schema === parent?.schema && other.name === parent.name)
    );
  }

  /** Whether its table stays, and is no heir of the table any more that the object comes from. */
  #leaves({ schema, name, inheritedFrom }: CatalogObject): boolean {
    const { before, after } = this.#context;
    const parent = before.get(inheritedFrom ?? "");
    const table = after.get(objectId("table", schema, name));
    if (parent === undefined || table?.kind !== "table" || this.#actions.dropped.has(table.id)) return false;
    const isHeir = table.facts.inherits.some((other) => other.schema === parent.schema && other.name === parent.name);
    return !isHeir && !after.has(objectId("partition", schema, name));
  }

  #connect(): void {
    const { before, after } = this.#context;
    const { dropped, created, altered } = this.#actions;
    const dropKey = (id: string): string => `drop ${this.#placeOf(before, id, (object) => this.#dropPlace(object))}`;
    const createKey = (id: string): string => {
      const constraint = after.get(id);
      if (constraint?.kind === "domain constraint" && this.#actions.swapped.has(constraint.parent ?? ""))
        return `alter ${constraint.parent ?? ""}`;
      return `create ${this.#placeOf(after, id, (object) => this.#createPlace(object))}`;
    };
    const link = (key: string, earlier: string): unknown => this.#nodes.get(key)?.after.add(earlier);
    for (const id of dropped) {
      const object = before.get(id);
      // Of a partition that is detached, an index can go only after that.
      const partition =
        object?.kind === "index partition" ? objectId("partition", object.schema, object.name) : undefined;
      if (partition !== undefined && dropped.has(partition)) link(dropKey(id), dropKey(partition));
      for (const need of object?.needs ?? []) {
        if (need === partition) continue;
        if (dropped.has(need)) link(dropKey(need), dropKey(id));
        else if (altered.has(need)) link(`${this.#letsGo(need, object)} ${need}`, dropKey(id));
      }
      if (created.has(id)) link(createKey(id), dropKey(id));
    }
    for (const id of created) {
      for (const need of after.get(id)?.needs ?? []) {
        if (created.has(need)) link(createKey(id), createKey(need));
        else if (altered.has(need)) link(createKey(id), `alter ${need}`);
        // The constraint that makes a column NOT NULL may come in a transaction of its own.
        if (id.startsWith("comment ")) link(createKey(id), `validate ${need}`);
        // A partition's column becomes NOT NULL with that of its table.
        if (this.#isPrimaryKey(id))
          for (let column = after.get(need); column !== undefined; column = after.get(column.inheritedFrom ?? ""))
            link(createKey(id), `validate ${column.id}`);
      }
    }
    for (const id of altered.keys()) {
      // A column is NOT NULL as long as it is part of a primary key.
      if (this.#isPrimaryKey(id))
        for (const need of [...(before.get(id)?.needs ?? []), ...(after.get(id)?.needs ?? [])]) {
          if (after.get(id)?.needs.includes(need) === true) link(`alter ${id}`, `validate ${need}`);
          else link(`alter ${need}`, `alter ${id}`);
        }
      for (const need of after.get(id)?.needs ?? []) {
        if (created.has(need)) link(`alter ${id}`, createKey(need));
        else if (altered.has(need)) link(`alter ${id}`, `alter ${need}`);
      }
      for (const need of before.get(id)?.needs ?? []) {
        if (dropped.has(need) && !created.has(need)) link(dropKey(need), `alter ${id}`);
      }
    }
    for (const [earlier, later] of attachOrder(after)) {
      if (created.has(earlier) && created.has(later)) link(createKey(later), createKey(earlier));
    }
    connectMoments(this.#context, this.#actions, { dropKey, createKey, link });
    this.#connectNames(dropKey, createKey, link);
  }

  /** What takes the place or the name of something comes after that has gone. */
  #connectNames(
    dropKey: (id: string) => string,
    createKey: (id: string) => string,
    link: (key: string, earlier: string) => unknown,
  ): void {
    const { before, after } = this.#context;
    const gone = new Map<string, string[]>();
    const goes = (names: readonly string[], key: string): void => {
      for (const name of names) gone.set(name, [...(gone.get(name) ?? []), key]);
    };
    const takes = (names: readonly string[], key: string): void => {
      for (const name of names) for (const earlier of gone.get(name) ?? []) link(key, earlier);
    };
    for (const id of this.#actions.dropped) {
      const object = before.get(id);
      if (object !== undefined) goes(namesTaken(object), dropKey(id));
    }
    for (const id of this.#actions.altered.keys()) {
      const old = before.get(id);
      const wanted = after.get(id);
      if (old === undefined || wanted === undefined) continue;
      const names = namesTaken(wanted);
      const left = namesTaken(old).filter((name) => !names.includes(name));
      takes(
        names.filter((name) => !namesTaken(old).includes(name)),
        `alter ${id}`,
      );
      goes(left, `alter ${id}`);
    }
    for (const id of this.#actions.created) {
      const object = after.get(id);
      if (object === undefined) continue;
      takes(namesTaken(object), createKey(id));
      // A partition that joins a table finds its indexes there already, so that none is made for it; its other indexes come
      // later, so that none of them is taken.
      const attached = objectId("partition", object.schema, object.name);
      const parent = object.inheritedFrom;
      if (!this.#actions.created.has(attached)) continue;
      if (parent !== undefined && !this.#actions.created.has(parent)) link(createKey(attached), createKey(id));
      else if (parent === undefined && object.kind === "index") link(createKey(id), createKey(attached));
    }
  }

  /** A type that another takes the name of lets types go late, when their columns have left them. */
  #letsGo(type: string, dropped: CatalogObject | undefined): "alter" | "late" {
    const isLate = this.#actions.swapped.has(type) && this.#context.before.get(type)?.kind !== "range";
    return isLate && (dropped?.kind === "domain" || dropped?.kind === "composite") ? "late" : "alter";
  }

  #isPrimaryKey(id: string): boolean {
    const object = this.#context.after.get(id);
    return object?.kind === "constraint" && object.facts.kind === "primary key";
  }

  #placeOf(objects: CatalogObjects, id: string, place: (object: CatalogObject) => string): string {
    const object = objects.get(id);
    return object === undefined ? id : place(object);
  }
}

function isUnproven(object: CatalogObject | undefined): boolean {
  return object?.kind === "constraint" && object.facts.definition.endsWith(" NOT VALID");
}
