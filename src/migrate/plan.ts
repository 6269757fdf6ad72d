// Turns the difference of two catalogs into ordered statements: what depends on what decides the order, and what PostgreSQL allows
// inside a transaction decides the groups.
import {
  attachOrder,
  builtInPrivileges,
  catalogObjects,
  compareCatalogs,
  initialPrivileges,
  inOrder,
  objectId,
  rankOf,
  separateDefaults,
  writtenIn,
  type Catalog,
  type CatalogObject,
  type CatalogObjects,
  type Change,
  type CreateContext,
  type PrivilegeEntry,
} from "../catalog/index.ts";
import { identifier } from "../postgres/index.ts";
import { decideActions, type Actions } from "./plan-actions.ts";
import { createStatements } from "./rules/create.ts";
import { dropStatements } from "./rules/drop.ts";
import type { Hazard, PlannedStatement, RuleContext } from "./rules/statement.ts";

/** One statement of a plan. */
export interface Step {
  readonly sql: string;
  /** Counted from 1; steps of one group run in one transaction, one group after the other. */
  readonly transactionGroup: number;
  /** False: it stands alone in its group, and PostgreSQL refuses it inside a transaction block. */
  readonly inTransaction: boolean;
  readonly kind: "create" | "alter" | "drop" | "validate";
  /** The object, e.g. `index shop.orders.orders_state_idx`. */
  readonly subject: string;
  readonly hazards: readonly Hazard[];
}

export interface Plan {
  readonly changes: readonly Change[];
  readonly steps: readonly Step[];
  /** Differences that no step covers: kinds of objects the catalog only names. */
  readonly notCovered: readonly Change[];
}

export interface PlanOptions {
  /** `server_version_num` of the server the plan is for. Default: that of `before`. */
  readonly serverVersion?: number | undefined;
}

/**
 * Plans the way from one schema to another. The way back is the plan with the two exchanged.
 *
 * Pure: nothing is asked of a server. Tables that exist before are taken to be in use: their indexes are built CONCURRENTLY, their
 * checks and foreign keys are added NOT VALID and validated in a transaction of their own, their keys take a finished index.
 */
export function planMigration(before: Catalog, after: Catalog, options: PlanOptions = {}): Plan {
  const changes = compareCatalogs(before, after);
  const old = catalogObjects(before);
  const wanted = catalogObjects(after);
  const serverVersion = options.serverVersion ?? before.serverVersion;
  const isLive = (id: string | undefined): boolean => id !== undefined && old.has(id) && wanted.has(id);
  const context: RuleContext = { serverVersion, before: old, after: wanted, isLive };
  const actions = decideActions(old, wanted, context);
  const isStillLive = (id: string | undefined): boolean => isLive(id) && id !== undefined && !actions.dropped.has(id);
  const planner = new Planner({ ...context, isLive: isStillLive }, actions);
  return { changes, steps: inGroups(planner.nodes()), notCovered: changes.filter(({ kind }) => kind === "unknown") };
}

interface Node {
  readonly key: string;
  readonly rank: number;
  readonly after: Set<string>;
  readonly subject: string;
  readonly kind: Step["kind"];
  readonly statements: readonly PlannedStatement[];
}

const ALTER_RANK = 100;
const OUTSIDE_RANK = 1_000;
const VALIDATE_RANK = 2_000;

class Planner {
  readonly #context: RuleContext;
  readonly #actions: Actions;
  readonly #separate: ReadonlySet<string>;
  readonly #nodes = new Map<string, Node>();

  constructor(context: RuleContext, actions: Actions) {
    this.#context = context;
    this.#actions = actions;
    this.#separate = separateDefaults(context.after);
  }

  nodes(): readonly Node[] {
    const { before, after } = this.#context;
    const { dropped, created, altered } = this.#actions;
    const create: CreateContext = {
      serverVersion: this.#context.serverVersion,
      objects: after,
      separateDefaults: this.#separate,
      initialPrivileges: (object) => this.#initialPrivileges(object),
    };
    for (const object of before.values()) {
      if (!dropped.has(object.id) || this.#dropPlace(object) !== object.id) continue;
      const isGone = object.kind === "sequence owner" && dropped.has(object.parent ?? "");
      this.#add("drop", object, isGone ? [] : dropStatements(object, this.#context), -rankOf(object.kind));
    }
    for (const [id, statements] of altered) {
      const object = after.get(id);
      if (object !== undefined) this.#add("alter", object, statements, ALTER_RANK + rankOf(object.kind));
    }
    for (const object of after.values()) {
      if (!created.has(object.id) || this.#createPlace(object) !== object.id) continue;
      const { statements, validation } = createStatements(object, this.#context, create);
      this.#add("create", object, statements, ALTER_RANK + rankOf(object.kind));
      if (validation.length > 0) this.#add("validate", object, validation, VALIDATE_RANK, [`create ${object.id}`]);
    }
    this.#connect();
    return inOrder([...this.#nodes.values()]);
  }

  #add(
    kind: Step["kind"],
    object: CatalogObject,
    statements: readonly PlannedStatement[],
    rank: number,
    after: readonly string[] = [],
  ): void {
    const key = `${kind} ${object.id}`;
    const isOutside = statements.some(({ transaction }) => transaction === "outside");
    this.#nodes.set(key, {
      key,
      rank: isOutside ? OUTSIDE_RANK + rank : rank,
      after: new Set(after),
      subject: object.id,
      kind,
      statements,
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
    const isAttached = !dropped.has(objectId("partition", object.schema, object.name));
    const inherited = isAttached ? next(object.inheritedFrom) : undefined;
    // A foreign key goes first, so that two tables that point at each other can go in any order.
    const goesFirst =
      object.kind === "partition" ||
      (object.kind === "constraint" && object.facts.kind === "foreign key") ||
      ((object.kind === "policy" || object.kind === "rule") && this.#pointsElsewhere(object));
    return inherited ?? (goesFirst ? undefined : next(object.parent)) ?? object.id;
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
    const { before, after } = this.#context;
    const { created } = this.#actions;
    const isTableNew = (table: CatalogObject): boolean => created.has(objectId("table", table.schema, table.name));
    const isPassedDown =
      object.inheritedFrom !== undefined &&
      created.has(object.inheritedFrom) &&
      !isTableNew(object) &&
      before.has(objectId("table", object.schema, object.name)) &&
      !created.has(objectId("partition", object.schema, object.name)) &&
      (object.kind === "column" || (object.kind === "constraint" && object.facts.kind === "check"));
    if (isPassedDown) {
      const from = after.get(object.inheritedFrom);
      if (from !== undefined) return this.#createPlace(from);
    }
    return writtenIn(object, after, (id) => created.has(id), this.#separate);
  }

  #connect(): void {
    const { before, after } = this.#context;
    const { dropped, created, altered } = this.#actions;
    const dropKey = (id: string): string => `drop ${this.#placeOf(before, id, (object) => this.#dropPlace(object))}`;
    const createKey = (id: string): string =>
      `create ${this.#placeOf(after, id, (object) => this.#createPlace(object))}`;
    const link = (key: string, earlier: string): unknown => this.#nodes.get(key)?.after.add(earlier);
    for (const id of dropped) {
      for (const need of before.get(id)?.needs ?? []) {
        if (dropped.has(need)) link(dropKey(need), dropKey(id));
        else if (altered.has(need)) link(`alter ${need}`, dropKey(id));
      }
      if (created.has(id)) link(createKey(id), dropKey(id));
    }
    for (const id of created) {
      for (const need of after.get(id)?.needs ?? []) {
        if (created.has(need)) link(createKey(id), createKey(need));
        else if (altered.has(need)) link(createKey(id), `alter ${need}`);
      }
    }
    for (const id of altered.keys()) {
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
      // A partition that joins a table finds its indexes there already, so that none is made for it.
      const attached = objectId("partition", object.schema, object.name);
      const parent = object.inheritedFrom;
      if (parent !== undefined && !this.#actions.created.has(parent) && this.#actions.created.has(attached))
        link(createKey(attached), createKey(id));
    }
  }

  #placeOf(objects: CatalogObjects, id: string, place: (object: CatalogObject) => string): string {
    const object = objects.get(id);
    return object === undefined ? id : place(object);
  }

  /** What default privileges give an object when it is made by this plan; they are changed last, so those of before count. */
  #initialPrivileges(object: CatalogObject<"privileges">): readonly PrivilegeEntry[] {
    const { serverVersion, before } = this.#context;
    const { of } = object.facts;
    const builtIn = builtInPrivileges(of, serverVersion);
    if (of === "column" || !this.#actions.created.has(object.parent ?? "")) {
      return initialPrivileges(object, serverVersion);
    }
    const defaults = [...before.values()].filter(
      (candidate): candidate is CatalogObject<"default privileges"> =>
        candidate.kind === "default privileges" &&
        candidate.facts.of === `${of}s` &&
        [undefined, object.schema].includes(candidate.facts.schema),
    );
    const base = defaults.find(({ facts }) => facts.schema === undefined)?.facts.entries ?? builtIn;
    return [
      ...base,
      ...defaults.filter(({ facts }) => facts.schema !== undefined).flatMap(({ facts }) => facts.entries),
    ];
  }
}

/** Names and places of which there can be only one. */
function namesTaken(object: CatalogObject): readonly string[] {
  const { kind, schema, name, part } = object;
  if (RELATIONS.has(kind)) return [`relation ${JSON.stringify([schema, name])}`];
  if (kind === "column") {
    const sequence = object.facts.identity?.name;
    return sequence === undefined ? [] : [`relation ${sequence}`];
  }
  if (kind === "sequence")
    return [`relation ${JSON.stringify([schema, name])}`, `relation ${identifier(schema ?? "", name)}`];
  if (kind === "index") return [`relation ${JSON.stringify([schema, part])}`];
  if (kind === "function") return [`function ${JSON.stringify([schema, name])}`];
  if (kind === "partition") return [`bound ${JSON.stringify([object.facts.parentSchema, object.facts.parentTable])}`];
  if (kind !== "constraint") return [];
  const isPrimary = object.facts.kind === "primary key";
  return [
    `relation ${JSON.stringify([schema, part])}`,
    ...(isPrimary ? [`primary key ${JSON.stringify([schema, name])}`] : []),
  ];
}

const RELATIONS: ReadonlySet<CatalogObject["kind"]> = new Set<CatalogObject["kind"]>([
  "table",
  "view",
  "composite",
  "enum",
  "domain",
  "range",
]);

function inGroups(nodes: readonly Node[]): readonly Step[] {
  const steps: Step[] = [];
  let group = 0;
  let isOpen = false;
  for (const node of nodes) {
    for (const { sql, transaction, hazards } of node.statements) {
      if (transaction !== "shared" || !isOpen) group++;
      isOpen = transaction === "shared";
      steps.push({
        sql,
        transactionGroup: group,
        inTransaction: transaction !== "outside",
        kind: node.kind,
        subject: node.subject,
        hazards,
      });
    }
  }
  return steps;
}
