// Tables and views as objects: their columns, constraints, indexes, triggers, rules, policies, and what is set on them.
import { identifier } from "../postgres/index.ts";
import type { Catalog, Column, Constraint, Index, Sequence, Table, View } from "./model.ts";
import type { ColumnSettings, FactsOfKind, ObjectKind, SequenceFacts } from "./object-facts.ts";
import { objectId, qualified } from "./object-id.ts";

/** Where objects go. */
export interface ObjectSink {
  /** @returns the id of the object */
  add<K extends ObjectKind>(
    kind: K,
    schema: string | undefined,
    name: string,
    part: string | undefined,
    facts: FactsOfKind[K],
    needs: readonly string[],
    more?: {
      readonly parent?: string | undefined;
      readonly inheritedFrom?: string | undefined;
      readonly notNullName?: string | undefined;
      readonly foreignKeys?: readonly { readonly name: string; readonly definition: string }[];
    },
  ): string;
  comment(
    of: ObjectKind,
    named: { readonly schema: string | undefined; readonly name: string },
    part: string | undefined,
    on: string,
    text: string | undefined,
  ): void;
}

/** Before, those of unlogged tables are logged. */
const UNLOGGED_SEQUENCES_VERSION = 150000;

export class RelationObjects {
  readonly #sink: ObjectSink;
  readonly #identities = new Map<string, Sequence>();
  readonly #tables = new Map<string, Table>();
  readonly #hasUnloggedSequences: boolean;

  constructor(catalog: Catalog, sink: ObjectSink) {
    this.#sink = sink;
    this.#hasUnloggedSequences = catalog.serverVersion >= UNLOGGED_SEQUENCES_VERSION;
    for (const table of catalog.tables) this.#tables.set(qualified(table), table);
    for (const sequence of catalog.sequences) {
      const { ownedBy } = sequence;
      if (ownedBy?.isIdentity === true) {
        this.#identities.set(identifier(ownedBy.schema, ownedBy.table, ownedBy.column), sequence);
      }
    }
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
      // A partitioned table without one leaves it to the setting default_table_access_method.
      accessMethod: accessMethod === "heap" && kind !== "partitioned" ? undefined : accessMethod,
      foreign,
      ofType,
    };
    const parent = this.#sink.add("table", schema, name, undefined, facts, parents);
    if (table.comment !== undefined) {
      const on = `${kind === "foreign" ? "FOREIGN TABLE" : "TABLE"} ${qualified(table)}`;
      this.#sink.comment("table", table, undefined, on, table.comment);
    }
    const columns = this.#columns(table, parent);
    if (table.partitionOf !== undefined) {
      const { schema: parentSchema, name: parentTable, bound } = table.partitionOf;
      const needs = [objectId("table", parentSchema, parentTable), ...columns.values()];
      const foreignKeys = table.constraints.flatMap(({ kind: of, isLocal, name: key, definition }) =>
        of === "foreign key" && !isLocal ? [{ name: key, definition }] : [],
      );
      const more = foreignKeys.length === 0 ? { parent } : { parent, foreignKeys };
      this.#sink.add("partition", schema, name, undefined, { parentSchema, parentTable, bound }, needs, more);
    }
    for (const constraint of table.constraints) this.#constraint(table, constraint, parent, columns);
    for (const index of table.indexes) this.#index(table, index, parent, columns);
    this.#settings(table, parent);
    this.#acting(table, parent);
    for (const policy of table.policies) {
      const { isPermissive, command, roles, using, withCheck } = policy;
      this.#sink.add("policy", schema, name, policy.name, { isPermissive, command, roles, using, withCheck }, [], {
        parent,
      });
      if (policy.comment !== undefined) {
        const on = `POLICY ${identifier(policy.name)} ON ${qualified(table)}`;
        this.#sink.comment("policy", table, policy.name, on, policy.comment);
      }
    }
  }

  /** @returns their ids by their names */
  #columns(table: Table, parent: string): ReadonlyMap<string, string> {
    const notNulls = new Map<string, Constraint>();
    for (const constraint of table.constraints) {
      const [column] = constraint.columns;
      if (constraint.kind === "not null" && column !== undefined && !notNulls.has(column))
        notNulls.set(column, constraint);
    }
    const ids = new Map<string, string>();
    for (const column of table.columns)
      ids.set(column.name, this.#column(table, column, parent, notNulls.get(column.name)));
    return ids;
  }

  #column(table: Table, column: Column, parent: string, notNull: Constraint | undefined): string {
    const { schema, name } = table;
    const { type, collation, isNullable, generated, compression, statisticsTarget, options } = column;
    const identity = this.#identity(table, column);
    const facts = {
      type,
      collation,
      isNullable,
      isNotNullPending: notNull?.isValidated === false,
      isNotNullNoInherit: notNull?.isNoInherit === true,
      identity,
      generated,
      storage: column.isDefaultStorage ? undefined : column.storage,
      compression,
      statisticsTarget,
      options: options.toSorted(),
      foreignOptions: column.foreignOptions.toSorted(),
    };
    const inheritedFrom = column.isLocal ? undefined : this.#inherited(table, "column", column.name);
    const id = this.#sink.add("column", schema, name, column.name, facts, [], {
      parent,
      inheritedFrom,
      notNullName: notNull?.name,
    });
    if (notNull?.comment !== undefined && notNull.isLocal) {
      const on = `CONSTRAINT ${identifier(notNull.name)} ON ${qualified(table)}`;
      this.#sink.comment("column", table, column.name, on, notNull.comment);
    }
    if (column.default !== undefined)
      this.#sink.add("default", schema, name, column.name, { expression: column.default }, [], { parent: id });
    if (column.comment !== undefined) {
      const on = `COLUMN ${qualified(table)}.${identifier(column.name)}`;
      this.#sink.comment("column", table, column.name, on, column.comment);
    }
    return id;
  }

  #identity({ schema, name, persistence }: Table, column: Column): FactsOfKind["column"]["identity"] {
    if (column.identity === undefined) return undefined;
    const sequence = this.#identities.get(identifier(schema, name, column.name));
    if (sequence === undefined) return undefined;
    const isOther = this.#hasUnloggedSequences && sequence.persistence !== persistence;
    return {
      kind: column.identity,
      name: qualified(sequence),
      sequence: sequenceFacts(sequence),
      persistence: isOther ? sequence.persistence : undefined,
    };
  }

  /** The column or check of that name of a parent table. */
  #inherited(table: Table, kind: "column" | "constraint", part: string): string | undefined {
    const parents = table.partitionOf === undefined ? table.inherits : [table.partitionOf];
    const parent = parents
      .map((of) => this.#tables.get(qualified(of)))
      .find((of) => of?.[kind === "column" ? "columns" : "constraints"].some(({ name }) => name === part));
    return parent === undefined ? undefined : objectId(kind, parent.schema, parent.name, part);
  }

  #constraint(table: Table, constraint: Constraint, parent: string, ids: ReadonlyMap<string, string>): void {
    const { schema, name } = table;
    const { kind } = constraint;
    if (kind === "not null") return; // the column says it
    const index = table.indexes.find((candidate) => candidate.constraint === constraint.name);
    let inheritedFrom: string | undefined;
    if (!constraint.isLocal) {
      // The server clones foreign keys onto partitions; they are the parent's.
      if (kind === "foreign key") return;
      if (kind === "check") inheritedFrom = this.#inherited(table, "constraint", constraint.name);
    }
    // Also of a key that was made for the partition alone: attached, it goes with the parent's.
    if (kind !== "check" && kind !== "foreign key") inheritedFrom = this.#parentIndex(table, index?.partitionOf);
    const facts = {
      kind,
      definition: constraint.definition,
      storageParameters: index?.storageParameters ?? [],
      tablespace: index?.tablespace,
    };
    const needs = constraint.columns.map((column) => ids.get(column) ?? objectId("column", schema, name, column));
    if (constraint.references !== undefined) {
      needs.push(objectId("table", constraint.references.schema, constraint.references.table));
    }
    const id = this.#sink.add("constraint", schema, name, constraint.name, facts, needs, { parent, inheritedFrom });
    if (constraint.comment !== undefined) {
      const on = `CONSTRAINT ${identifier(constraint.name)} ON ${qualified(table)}`;
      this.#sink.comment("constraint", table, constraint.name, on, constraint.comment);
    }
    if (index === undefined) return;
    if (index.comment !== undefined) {
      const on = `INDEX ${identifier(schema, index.name)}`;
      this.#sink.comment("constraint", table, constraint.name, on, index.comment);
    }
    this.#indexPartition(table, index, id);
  }

  /** @param ids - of the table's columns; a view's are no objects */
  #index(table: Table | View, index: Index, parent: string, ids?: ReadonlyMap<string, string>): void {
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
    const needs =
      ids === undefined ? [] : columns.map((column) => ids.get(column) ?? objectId("column", schema, name, column));
    const inheritedFrom = "constraints" in table ? this.#parentIndex(table, index.partitionOf) : undefined;
    const id = this.#sink.add("index", schema, name, index.name, facts, needs, { parent, inheritedFrom });
    if (index.comment !== undefined)
      this.#sink.comment("index", table, index.name, `INDEX ${identifier(schema, index.name)}`, index.comment);
    if ("constraints" in table) this.#indexPartition(table, index, id);
  }

  #parentIndex(table: Table, index: string | undefined): string | undefined {
    const parent = table.partitionOf === undefined ? undefined : this.#tables.get(qualified(table.partitionOf));
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
    this.#sink.add("index partition", table.schema, table.name, index.name, facts, needs, { parent });
  }

  #settings(table: Table, parent: string): void {
    const { schema, name, rowSecurity, replicaIdentity } = table;
    if (rowSecurity.enabled || rowSecurity.forced) {
      this.#sink.add(
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
    // A foreign table has none; the server keeps it as NOTHING.
    if (replicaIdentity !== "default" && table.kind !== "foreign") {
      const index =
        replicaIdentity === "index" ? table.indexes.find(({ isReplicaIdentity }) => isReplicaIdentity) : undefined;
      this.#sink.add(
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
      this.#sink.add("clustering", schema, name, undefined, { index: clustered.name }, idOfIndex(clustered), {
        parent,
      });
    }
  }

  /** Triggers and rules. */
  #acting(relation: Table | View, parent: string): void {
    const { schema, name } = relation;
    for (const { name: part, definition, isConstraint, enabled, isLocal, comment } of relation.triggers) {
      if (!isLocal) {
        this.#cloned(relation, part, enabled, comment, parent);
        continue;
      }
      this.#sink.add("trigger", schema, name, part, { definition, isConstraint, enabled }, [], { parent });
      if (comment !== undefined)
        this.#sink.comment("trigger", relation, part, `TRIGGER ${identifier(part)} ON ${qualified(relation)}`, comment);
    }
    for (const { name: part, definition, enabled, comment } of relation.rules) {
      this.#sink.add("rule", schema, name, part, { definition, enabled }, [], { parent });
      this.#sink.comment("rule", relation, part, `RULE ${identifier(part)} ON ${qualified(relation)}`, comment);
    }
  }

  /** A partition's clone of a trigger is the parent's, but for how it fires and its comment. */
  #cloned(relation: Table | View, part: string, enabled: string, comment: string | undefined, parent: string): void {
    if (!("partitionOf" in relation) || relation.partitionOf === undefined) return;
    const { schema, name } = relation;
    const on = `TRIGGER ${identifier(part)} ON ${qualified(relation)}`;
    this.#sink.comment("table", relation, undefined, on, comment);
    const above = this.#tables.get(qualified(relation.partitionOf));
    const inherited = above?.triggers.find((trigger) => trigger.name === part);
    if (above === undefined || inherited === undefined) return;
    if (inherited.enabled === enabled) return;
    const needs = [
      objectId("partition", schema, name),
      objectId(inherited.isLocal ? "trigger" : "trigger state", above.schema, above.name, part),
    ];
    this.#sink.add("trigger state", schema, name, part, { enabled, inherited: inherited.enabled }, needs, { parent });
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
      tablespace: view.tablespace,
      accessMethod: view.accessMethod === "heap" ? undefined : view.accessMethod,
      columnSettings: kind === "view" ? [] : view.columns.flatMap(settingsOf),
    };
    this.#sink.add("view", schema, name, undefined, facts, []);
    const parent = objectId("view", schema, name);
    this.#sink.comment(
      "view",
      view,
      undefined,
      `${kind === "view" ? "VIEW" : "MATERIALIZED VIEW"} ${qualified(view)}`,
      view.comment,
    );
    for (const column of view.columns) {
      this.#sink.comment(
        "view",
        view,
        undefined,
        `COLUMN ${qualified(view)}.${identifier(column.name)}`,
        column.comment,
      );
    }
    for (const index of view.indexes) this.#index(view, index, parent);
    const clustered = view.indexes.find(({ isClustered }) => isClustered);
    if (clustered !== undefined) {
      const needs = [objectId("index", schema, name, clustered.name)];
      this.#sink.add("clustering", schema, name, undefined, { index: clustered.name }, needs, { parent });
    }
    this.#acting(view, parent);
  }
}

function settingsOf(column: Column): readonly ColumnSettings[] {
  const { name, compression, statisticsTarget } = column;
  const storage = column.isDefaultStorage ? undefined : column.storage;
  const options = [...column.options].sort();
  const isSet = [storage, compression, statisticsTarget].some((value) => value !== undefined) || options.length > 0;
  return isSet ? [{ column: name, storage, compression, statisticsTarget, options }] : [];
}

export function sequenceFacts({ type, start, increment, minimum, maximum, cache, cycles }: Sequence): SequenceFacts {
  return { type, start, increment, minimum, maximum, cache, cycles };
}
