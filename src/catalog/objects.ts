// Flattens a catalog into objects with stable identities, plain facts, and what each of them needs.
import { identifier } from "../postgres/index.ts";
import { aggregateDefinition } from "./aggregate-definition.ts";
import type {
  Catalog,
  Column,
  Constraint,
  Domain,
  Function,
  Index,
  ObjectReference,
  Sequence,
  Table,
  View,
} from "./model.ts";
import type { CatalogObject, FactsOfKind, ObjectKind, SequenceFacts } from "./object-facts.ts";
import { privilegeObjects } from "./privileges.ts";

/** Objects by id, in the order of the catalog. */
export type CatalogObjects = ReadonlyMap<string, CatalogObject>;

/**
 * Every object of a catalog, flat. Not among them: what extensions brought along, owners (a copy of a schema belongs to whoever
 * made it), and what the server makes by itself (clones of foreign keys and triggers on partitions, indexes of constraints).
 */
export function catalogObjects(catalog: Catalog): CatalogObjects {
  const collector = new Collector(catalog);
  for (const schema of catalog.schemas)
    if (schema.extension === undefined) collector.schema(schema.name, schema.comment);
  for (const extension of catalog.extensions) collector.extension(extension);
  for (const type of catalog.enums.filter(isOwn)) {
    collector.add("enum", type.schema, type.name, undefined, { labels: type.labels }, []);
    collector.comment("enum", type, undefined, `TYPE ${nameOf(type)}`, type.comment);
  }
  for (const type of catalog.compositeTypes.filter(isOwn)) {
    const attributes = type.attributes.map(({ name, type: attributeType, collation }) => ({
      name,
      type: attributeType,
      collation,
    }));
    collector.add("composite", type.schema, type.name, undefined, { attributes }, []);
    collector.comment("composite", type, undefined, `TYPE ${nameOf(type)}`, type.comment);
    for (const { name, comment } of type.attributes) {
      collector.comment("composite", type, undefined, `COLUMN ${nameOf(type)}.${identifier(name)}`, comment);
    }
  }
  for (const domain of catalog.domains.filter(isOwn)) collector.domain(domain);
  for (const type of catalog.ranges.filter(isOwn)) {
    const { subtype, collation, canonicalFunction, differenceFunction, multirangeName } = type;
    const operatorClass = type.isDefaultOperatorClass ? undefined : type.operatorClass;
    const facts = { subtype, operatorClass, collation, canonicalFunction, differenceFunction, multirangeName };
    collector.add("range", type.schema, type.name, undefined, facts, []);
    collector.comment("range", type, undefined, `TYPE ${nameOf(type)}`, type.comment);
  }
  for (const sequence of catalog.sequences.filter(isOwn)) collector.sequence(sequence);
  for (const fn of catalog.functions.filter(isOwn)) collector.function(fn);
  for (const table of catalog.tables.filter(isOwn)) collector.table(table);
  for (const view of catalog.views.filter(isOwn)) collector.view(view);
  for (const statistics of catalog.statistics.filter(isOwn)) {
    const { definition, statisticsTarget, table } = statistics;
    const needs = [objectId("table", table.schema, table.name)];
    collector.add("statistics", statistics.schema, statistics.name, undefined, { definition, statisticsTarget }, needs);
    collector.comment("statistics", statistics, undefined, `STATISTICS ${nameOf(statistics)}`, statistics.comment);
  }
  for (const trigger of catalog.eventTriggers.filter(isOwn)) {
    const { event, tags, functionSchema, functionName, enabled } = trigger;
    const named = { schema: undefined, name: trigger.name };
    collector.add(
      "event trigger",
      undefined,
      trigger.name,
      undefined,
      { event, tags, functionSchema, functionName, enabled },
      [],
    );
    collector.comment("event trigger", named, undefined, `EVENT TRIGGER ${identifier(trigger.name)}`, trigger.comment);
  }
  return collector.finish();
}

interface Named {
  readonly schema: string | undefined;
  readonly name: string;
}

function isOwn(object: { readonly extension: string | undefined }): boolean {
  return object.extension === undefined;
}

/** A qualified name as SQL. */
function nameOf({ schema, name }: { readonly schema: string; readonly name: string }): string {
  return identifier(schema, name);
}

/** The id of an object, readable: `index shop.orders.orders_state_idx`. */
export function objectId(kind: ObjectKind, schema: string | undefined, name: string, part?: string): string {
  const names = [schema, name, part].filter((text) => text !== undefined);
  return `${kind} ${names.map((text) => (/[."]/.test(text) ? JSON.stringify(text) : text)).join(".")}`;
}

class Collector {
  readonly #catalog: Catalog;
  readonly #objects = new Map<string, CatalogObject>();
  readonly #identities = new Map<string, Sequence>();
  readonly #tables = new Map<string, Table>();
  readonly #typeKinds = new Map<string, ObjectKind>();

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
    for (const table of catalog.tables) this.#tables.set(nameOf(table), table);
    for (const sequence of catalog.sequences) {
      const { ownedBy } = sequence;
      if (ownedBy?.isIdentity === true)
        this.#identities.set(identifier(ownedBy.schema, ownedBy.table, ownedBy.column), sequence);
    }
    for (const type of catalog.enums) this.#typeKinds.set(nameOf(type), "enum");
    for (const type of catalog.compositeTypes) this.#typeKinds.set(nameOf(type), "composite");
    for (const type of catalog.domains) this.#typeKinds.set(nameOf(type), "domain");
    for (const type of catalog.ranges) this.#typeKinds.set(nameOf(type), "range");
  }

  add<K extends ObjectKind>(
    kind: K,
    schema: string | undefined,
    name: string,
    part: string | undefined,
    facts: FactsOfKind[K],
    needs: readonly string[],
    more: {
      readonly parent?: string | undefined;
      readonly inheritedFrom?: string | undefined;
      readonly notNullName?: string | undefined;
    } = {},
  ): void {
    const id = objectId(kind, schema, name, part);
    const inSchema = schema === undefined ? [] : [objectId("schema", undefined, schema)];
    const object = {
      kind,
      id,
      schema,
      name,
      part,
      facts,
      parent: more.parent,
      needs: [...inSchema, ...(more.parent === undefined ? [] : [more.parent]), ...needs],
      inheritedFrom: more.inheritedFrom,
      notNullName: more.notNullName,
    };
    this.#objects.set(id, object as unknown as CatalogObject);
  }

  /** `of` and `part` name the object that the comment is about; `on` says it as SQL. */
  comment(
    of: ObjectKind,
    { schema, name }: Named,
    part: string | undefined,
    on: string,
    text: string | undefined,
  ): void {
    if (text === undefined) return;
    this.add("comment", schema, on, undefined, { on, text }, [], { parent: objectId(of, schema, name, part) });
  }

  schema(name: string, comment: string | undefined): void {
    this.add("schema", undefined, name, undefined, {}, []);
    // initdb's own comment is in every database.
    if (name === "public" && comment === "standard public schema") return;
    this.comment("schema", { schema: undefined, name }, undefined, `SCHEMA ${identifier(name)}`, comment);
  }

  extension({ name, version, schema, comment }: Catalog["extensions"][number]): void {
    if (name === "plpgsql") return; // initdb's own
    this.add("extension", undefined, name, undefined, { version, schema }, [objectId("schema", undefined, schema)]);
    void comment; // CREATE EXTENSION writes it from the extension's control file
  }

  domain(domain: Domain): void {
    const { type, collation, default: expression, isNullable } = domain;
    const facts = { type, collation, default: expression, isNullable };
    this.add("domain", domain.schema, domain.name, undefined, facts, []);
    this.comment("domain", domain, undefined, `DOMAIN ${nameOf(domain)}`, domain.comment);
    const parent = objectId("domain", domain.schema, domain.name);
    for (const { name, definition, comment } of domain.constraints) {
      if (/^NOT NULL\b/.test(definition)) continue; // from 18 on also a constraint; `isNullable` says it on every server
      this.add("domain constraint", domain.schema, domain.name, name, { definition }, [], { parent });
      const on = `CONSTRAINT ${identifier(name)} ON DOMAIN ${nameOf(domain)}`;
      this.comment("domain constraint", domain, name, on, comment);
    }
  }

  sequence(sequence: Sequence): void {
    const { schema, name, ownedBy, persistence } = sequence;
    if (ownedBy?.isIdentity === true) {
      const of = { schema: ownedBy.schema, name: ownedBy.table };
      this.comment("column", of, ownedBy.column, `SEQUENCE ${nameOf(sequence)}`, sequence.comment);
      return;
    }
    this.add("sequence", schema, name, undefined, { ...sequenceFacts(sequence), persistence }, []);
    this.comment("sequence", sequence, undefined, `SEQUENCE ${nameOf(sequence)}`, sequence.comment);
    if (ownedBy === undefined) return;
    const facts = { schema: ownedBy.schema, table: ownedBy.table, column: ownedBy.column };
    this.add(
      "sequence owner",
      schema,
      name,
      undefined,
      facts,
      [objectId("column", ownedBy.schema, ownedBy.table, ownedBy.column)],
      {
        parent: objectId("sequence", schema, name),
      },
    );
  }

  function(fn: Function): void {
    const definition = fn.aggregate === undefined ? (fn.definition ?? "") : aggregateDefinition(fn, fn.aggregate);
    const header = definition.split("\n LANGUAGE", 1)[0] ?? "";
    this.add("function", fn.schema, fn.name, fn.arguments, { kind: fn.kind, header, definition }, []);
    const word = { function: "FUNCTION", window: "FUNCTION", procedure: "PROCEDURE", aggregate: "AGGREGATE" }[fn.kind];
    const args = fn.kind === "aggregate" && fn.arguments === "" ? "*" : fn.arguments;
    this.comment("function", fn, fn.arguments, `${word} ${nameOf(fn)}(${args})`, fn.comment);
  }

  table(table: Table): void {
    const { schema, name } = table;
    const { kind, persistence, partitionKey, inherits, tablespace, accessMethod, foreign, ofType } = table;
    const parents = inherits.map((parent) => objectId("table", parent.schema, parent.name));
    const facts = {
      kind,
      persistence,
      partitionKey,
      inherits,
      storageParameters: [...table.storageParameters].sort(),
      tablespace,
      accessMethod: accessMethod === "heap" ? undefined : accessMethod,
      foreign,
      ofType,
    };
    this.add("table", schema, name, undefined, facts, parents);
    const parent = objectId("table", schema, name);
    const on = `${kind === "foreign" ? "FOREIGN TABLE" : "TABLE"} ${nameOf(table)}`;
    this.comment("table", table, undefined, on, table.comment);
    for (const column of table.columns) this.#column(table, column, parent);
    if (table.partitionOf !== undefined) {
      const { schema: parentSchema, name: parentTable, bound } = table.partitionOf;
      const needs = [
        objectId("table", parentSchema, parentTable),
        ...table.columns.map((column) => objectId("column", schema, name, column.name)),
      ];
      this.add("partition", schema, name, undefined, { parentSchema, parentTable, bound }, needs, { parent });
    }
    for (const constraint of table.constraints) this.#constraint(table, constraint, parent);
    for (const index of table.indexes) this.#index(table, index, parent);
    this.#settings(table, parent);
    this.#acting(table, parent);
    for (const policy of table.policies) {
      const { isPermissive, command, roles, using, withCheck } = policy;
      this.add("policy", schema, name, policy.name, { isPermissive, command, roles, using, withCheck }, [], { parent });
      this.comment(
        "policy",
        table,
        policy.name,
        `POLICY ${identifier(policy.name)} ON ${nameOf(table)}`,
        policy.comment,
      );
    }
  }

  #column(table: Table, column: Column, parent: string): void {
    const { schema, name } = table;
    const sequence = this.#identities.get(identifier(schema, name, column.name));
    const { type, collation, isNullable, generated, compression, statisticsTarget, options } = column;
    const identity =
      column.identity === undefined || sequence === undefined
        ? undefined
        : { kind: column.identity, name: nameOf(sequence), sequence: sequenceFacts(sequence) };
    const notNull = table.constraints.find(({ kind, columns }) => kind === "not null" && columns[0] === column.name);
    const facts = {
      type,
      collation,
      isNullable,
      isNotNullPending: notNull?.isValidated === false,
      identity,
      generated,
      storage: column.isDefaultStorage ? undefined : column.storage,
      compression,
      statisticsTarget,
      options: [...options].sort(),
    };
    const inheritedFrom = column.isLocal ? undefined : this.#inherited(table, "column", column.name);
    this.add("column", schema, name, column.name, facts, [], { parent, inheritedFrom, notNullName: notNull?.name });
    const id = objectId("column", schema, name, column.name);
    if (column.default !== undefined) {
      this.add("default", schema, name, column.name, { expression: column.default }, [], { parent: id });
    }
    this.comment("column", table, column.name, `COLUMN ${nameOf(table)}.${identifier(column.name)}`, column.comment);
  }

  /** The column or check of that name of a parent table. */
  #inherited(table: Table, kind: "column" | "constraint", part: string): string | undefined {
    const parents = table.partitionOf === undefined ? table.inherits : [table.partitionOf];
    const parent = parents
      .map((of) => this.#tables.get(nameOf(of)))
      .find((of) => of?.[kind === "column" ? "columns" : "constraints"].some(({ name }) => name === part));
    return parent === undefined ? undefined : objectId(kind, parent.schema, parent.name, part);
  }

  #constraint(table: Table, constraint: Constraint, parent: string): void {
    const { schema, name } = table;
    const { kind } = constraint;
    if (kind === "not null") return; // the column says it
    const index = table.indexes.find((candidate) => candidate.constraint === constraint.name);
    let inheritedFrom: string | undefined;
    if (!constraint.isLocal) {
      // The server clones foreign keys onto partitions, and checks onto children; they are the parent's.
      if (kind === "foreign key" || (kind === "check" && table.partitionOf === undefined)) return;
      inheritedFrom =
        kind === "check"
          ? this.#inherited(table, "constraint", constraint.name)
          : this.#parentIndex(table, index?.partitionOf);
    }
    const facts = {
      kind,
      definition: constraint.definition,
      storageParameters: index?.storageParameters ?? [],
      tablespace: index?.tablespace,
    };
    const needs = constraint.columns.map((column) => objectId("column", schema, name, column));
    if (constraint.references !== undefined) {
      needs.push(objectId("table", constraint.references.schema, constraint.references.table));
    }
    this.add("constraint", schema, name, constraint.name, facts, needs, { parent, inheritedFrom });
    const on = `CONSTRAINT ${identifier(constraint.name)} ON ${nameOf(table)}`;
    this.comment("constraint", table, constraint.name, on, constraint.comment);
    if (index === undefined) return;
    this.comment("constraint", table, constraint.name, `INDEX ${identifier(schema, index.name)}`, index.comment);
    this.#indexPartition(table, index, objectId("constraint", schema, name, constraint.name));
  }

  #index(table: Table | View, index: Index, parent: string): void {
    if (index.constraint !== undefined) return;
    const { schema, name } = table;
    const columns = [...index.keys.flatMap(({ column }) => column ?? []), ...index.include];
    const facts = {
      definition: index.definition,
      tablespace: index.tablespace,
      isUsable: index.isValid || index.isPartitioned,
      statisticsTargets: index.keys.flatMap(({ statisticsTarget }, position) =>
        statisticsTarget === undefined ? [] : [[position + 1, statisticsTarget] as const],
      ),
    };
    const needs = "constraints" in table ? columns.map((column) => objectId("column", schema, name, column)) : [];
    const inheritedFrom = "constraints" in table ? this.#parentIndex(table, index.partitionOf) : undefined;
    this.add("index", schema, name, index.name, facts, needs, { parent, inheritedFrom });
    const id = objectId("index", schema, name, index.name);
    this.comment("index", table, index.name, `INDEX ${identifier(schema, index.name)}`, index.comment);
    if ("constraints" in table) this.#indexPartition(table, index, id);
  }

  #parentIndex(table: Table, index: string | undefined): string | undefined {
    const parent = table.partitionOf === undefined ? undefined : this.#tables.get(nameOf(table.partitionOf));
    const found = parent?.indexes.find(({ name }) => name === index);
    if (parent === undefined || found === undefined) return undefined;
    return found.constraint === undefined
      ? objectId("index", parent.schema, parent.name, found.name)
      : objectId("constraint", parent.schema, parent.name, found.constraint);
  }

  #indexPartition(table: Table, index: Index, parent: string): void {
    const { partitionOf } = table;
    const parentId = this.#parentIndex(table, index.partitionOf);
    if (partitionOf === undefined || index.partitionOf === undefined || parentId === undefined) return;
    const facts = {
      schema: partitionOf.schema,
      parentIndex: index.partitionOf,
      index: identifier(table.schema, index.name),
    };
    const needs = [objectId("partition", table.schema, table.name), parentId];
    this.add("index partition", table.schema, table.name, index.name, facts, needs, { parent });
  }

  #settings(table: Table, parent: string): void {
    const { schema, name, rowSecurity, replicaIdentity } = table;
    if (rowSecurity.enabled || rowSecurity.forced) {
      this.add(
        "row security",
        schema,
        name,
        undefined,
        { enabled: rowSecurity.enabled, forced: rowSecurity.forced },
        [],
        { parent },
      );
    }
    const idOfIndex = (index: Index | undefined): readonly string[] =>
      index === undefined
        ? []
        : [
            objectId(
              index.constraint === undefined ? "index" : "constraint",
              schema,
              name,
              index.constraint ?? index.name,
            ),
          ];
    if (replicaIdentity !== "default") {
      const index =
        replicaIdentity === "index" ? table.indexes.find(({ isReplicaIdentity }) => isReplicaIdentity) : undefined;
      this.add(
        "replica identity",
        schema,
        name,
        undefined,
        { mode: replicaIdentity, index: index?.name },
        idOfIndex(index),
        { parent },
      );
    }
    const clustered = table.indexes.find(({ isClustered }) => isClustered);
    if (clustered !== undefined) {
      this.add("clustering", schema, name, undefined, { index: clustered.name }, idOfIndex(clustered), { parent });
    }
  }

  /** Triggers and rules. */
  #acting(relation: Table | View, parent: string): void {
    const { schema, name } = relation;
    for (const { name: part, definition, isConstraint, enabled, isLocal, comment } of relation.triggers) {
      if (!isLocal) continue;
      this.add("trigger", schema, name, part, { definition, isConstraint, enabled }, [], { parent });
      this.comment("trigger", relation, part, `TRIGGER ${identifier(part)} ON ${nameOf(relation)}`, comment);
    }
    for (const { name: part, definition, enabled, comment } of relation.rules) {
      this.add("rule", schema, name, part, { definition, enabled }, [], { parent });
      this.comment("rule", relation, part, `RULE ${identifier(part)} ON ${nameOf(relation)}`, comment);
    }
  }

  view(view: View): void {
    const { schema, name, kind, definition, isPopulated } = view;
    const facts = {
      kind,
      definition,
      options: [...view.options].sort(),
      columns: view.columns.map(({ name: column, type, collation }) => ({ name: column, type, collation })),
      defaults: view.columns.flatMap(({ name: column, default: expression }) =>
        expression === undefined ? [] : [{ column, expression }],
      ),
      isPopulated,
    };
    this.add("view", schema, name, undefined, facts, []);
    const parent = objectId("view", schema, name);
    this.comment(
      "view",
      view,
      undefined,
      `${kind === "view" ? "VIEW" : "MATERIALIZED VIEW"} ${nameOf(view)}`,
      view.comment,
    );
    for (const column of view.columns) {
      this.comment("view", view, undefined, `COLUMN ${nameOf(view)}.${identifier(column.name)}`, column.comment);
    }
    for (const index of view.indexes) this.#index(view, index, parent);
    this.#acting(view, parent);
  }

  finish(): CatalogObjects {
    for (const object of privilegeObjects(this.#catalog, this.#objects)) this.#objects.set(object.id, object);
    const needs = new Map<string, Set<string>>();
    for (const { from, to } of this.#catalog.dependencies) {
      const fromId = this.#idOf(from);
      const toId = this.#idOf(to);
      if (fromId === undefined || toId === undefined || fromId === toId) continue;
      // A table's tie to its parent is the partition's or INHERITS's; a sequence's to its column is the owner's.
      if (from.kind === "table" || (from.kind === "sequence" && to.kind === "column")) continue;
      const list = needs.get(fromId);
      if (list === undefined) needs.set(fromId, new Set([toId]));
      else list.add(toId);
    }
    const objects = new Map<string, CatalogObject>();
    for (const object of this.#objects.values()) {
      const all = new Set([...object.needs, ...(needs.get(object.id) ?? [])]);
      objects.set(object.id, { ...object, needs: [...all].filter((id) => this.#objects.has(id)) });
    }
    return objects;
  }

  #idOf({ kind, schema, name, part }: ObjectReference): string | undefined {
    const resolved = kind === "type" ? this.#typeKinds.get(identifier(schema ?? "", name)) : kind;
    if (resolved === undefined) return undefined;
    // A column of a view or of a composite type is not an object of its own.
    const columnOf = resolved === "column" ? this.#objects.get(objectId("column", schema, name, part)) : undefined;
    if (resolved === "column" && columnOf === undefined) {
      const view = objectId("view", schema, name);
      return this.#objects.has(view) ? view : objectId("composite", schema, name);
    }
    return objectId(resolved, schema, name, part);
  }
}

function sequenceFacts({ type, start, increment, minimum, maximum, cache, cycles }: Sequence): SequenceFacts {
  return { type, start, increment, minimum, maximum, cache, cycles };
}
