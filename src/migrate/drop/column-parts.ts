// What hangs on a column that is dropped, and comes back with it: collected from the catalog, as the server itself writes it.
import {
  type Catalog,
  type Column,
  type Constraint,
  type Index,
  type ObjectReference,
  type Sequence,
  type Statistics,
  type Table,
} from "../../catalog/index.ts";
import { InvalidInputError } from "../../postgres/index.ts";
import { findColumn, findTable, walkKeyOf, type IncomingKey } from "../expand/parts.ts";
import { leadsTo } from "./column-catalogs.ts";
import { columnFamily } from "./column-family.ts";
import { refuseDependants, type DropChange } from "./drop-parts.ts";
import { keptCopies, type KeptCopy } from "./kept-copy.ts";
import { withoutPublishedColumn, type Unpublished } from "./published.ts";
import { KEPT_SCHEMA, keptColumnTable } from "./kept-names.ts";

/** What one of the tables has on the column. */
export interface ColumnHold {
  /** Checks, keys, foreign keys and NOT NULL. */
  readonly constraints: readonly Constraint[];
  /** Those of the keys, too. */
  readonly indexes: readonly Index[];
}

export interface DroppedColumn {
  readonly catalog: Catalog;
  readonly table: Table;
  readonly column: Column;
  /** The table, its partitions, and heirs that lose the column with it. */
  readonly members: readonly Table[];
  readonly parts: ReadonlyMap<Table, ColumnHold>;
  /** Where the values are kept: a row's value is found again by a key that stays. */
  readonly copies: readonly KeptCopy[];
  /** Foreign keys of other tables to the column. */
  readonly incoming: readonly IncomingKey[];
  /** Over several columns: the server drops them with the column. */
  readonly statistics: readonly Statistics[];
  /** Without the column in the lists of publications. */
  readonly unpublished: Unpublished;
  /** Of a serial or an identity column. */
  readonly sequence: Sequence | undefined;
}

/** @throws InvalidInputError for what would not come back, or cannot be kept by key; what depends on the column is named */
export function droppedColumn(
  catalog: Catalog,
  change: Extract<DropChange, { readonly kind: "column" }>,
): DroppedColumn {
  const table = findTable(catalog, change.schema, change.table);
  const column = findColumn(table, change.column);
  const { schema, name: tableName } = table;
  const { name } = column;
  const full = `${schema}.${tableName}.${name}`;
  const members = columnFamily(catalog, table, name);
  refuseKinds(catalog, table, column, change);
  const users = catalog.dependencies
    .filter(({ to }) => to.kind === "column" && to.part === name && isOneOf(members, to.schema, to.name))
    .map(({ from }) => from);
  const ofColumn = new Set(["constraint", "index", "default", "sequence", "statistics", "publication table"]);
  const triggers = members.flatMap((member) =>
    member.triggers
      .filter(({ updateColumns, isLocal }) => isLocal && updateColumns.includes(name))
      .map((trigger) => ({ kind: "trigger" as const, schema: member.schema, name: member.name, part: trigger.name })),
  );
  refuseDependants(full, [...users.filter(({ kind }) => !ofColumn.has(kind)), ...triggers]);
  const unpublished = withoutPublishedColumn(catalog, members, name);
  const parts = new Map(members.map((member) => [member, holdOf(member, name, users)]));
  for (const [member, { indexes }] of parts) {
    const identity = indexes.find(({ isReplicaIdentity }) => isReplicaIdentity);
    if (identity !== undefined) {
      throw new InvalidInputError(
        `the replica identity of ${member.schema}.${member.name} is the index ${identity.name}`,
        {
          hint: "subscribers could not apply updates without it: set it to another index, or to the default, in a migration before",
        },
      );
    }
  }
  return {
    catalog,
    table,
    column,
    members,
    parts,
    copies: keptCopies(catalog, members, name, (member) => {
      const indexes = parts.get(member)?.indexes ?? [];
      const isDeferrable = (key: string | undefined): boolean =>
        member.constraints.some((constraint) => constraint.name === key && constraint.isDeferrable);
      // Neither one that goes with the column, nor one that no foreign key may lead to.
      const staying = member.indexes.filter((index) => !indexes.includes(index) && !isDeferrable(index.constraint));
      return otherKey(`${member.schema}.${member.name}.${name}`, member, staying);
    }),
    incoming: incomingKeys(catalog, members, column),
    statistics: catalog.statistics.filter((object) =>
      users.some((user) => user.kind === "statistics" && user.schema === object.schema && user.name === object.name),
    ),
    unpublished,
    sequence: sequenceOf(catalog, table, name),
  };
}

function isOneOf(members: readonly Table[], schema: string | undefined, name: string): boolean {
  return members.some((member) => member.schema === schema && member.name === name);
}

function holdOf(table: Table, column: string, users: readonly ObjectReference[]): ColumnHold {
  const uses = (kind: string, part: string): boolean =>
    users.some(
      (user) => user.kind === kind && user.schema === table.schema && user.name === table.name && user.part === part,
    );
  const constraints = table.constraints.filter(
    (constraint) => constraint.columns.includes(column) || uses("constraint", constraint.name),
  );
  return {
    constraints,
    indexes: table.indexes.filter(
      (index) =>
        constraints.some((key) => key.kind !== "foreign key" && key.name === index.constraint) ||
        index.keys.some((key) => key.column === column) ||
        index.include.includes(column) ||
        uses("index", index.name),
    ),
  };
}

function otherKey(column: string, table: Table, indexes: readonly Index[]): readonly string[] {
  try {
    return walkKeyOf({ ...table, indexes });
  } catch (cause) {
    if (!table.indexes.some(({ isPrimary }) => isPrimary) || indexes.some(({ isPrimary }) => isPrimary)) throw cause;
    throw new InvalidInputError(`${column} is part of the primary key, and no other key finds its rows again`, {
      cause,
      hint: "make one first, over NOT NULL columns: CREATE UNIQUE INDEX CONCURRENTLY; or give the table another primary key",
    });
  }
}

function sequenceOf(catalog: Catalog, { schema, name }: Table, column: string): Sequence | undefined {
  return catalog.sequences.find(
    ({ ownedBy }) => ownedBy?.schema === schema && ownedBy.table === name && ownedBy.column === column,
  );
}

function refuseKinds(
  catalog: Catalog,
  table: Table,
  column: Column,
  change: Extract<DropChange, { readonly kind: "column" }>,
): void {
  const full = `${table.schema}.${table.name}.${column.name}`;
  if (column.generated !== undefined) {
    throw new InvalidInputError(`${full} is generated: no value is lost with it`, {
      hint: "drop it in one step: ALTER TABLE … DROP COLUMN",
    });
  }
  const sequence = column.identity === undefined ? undefined : sequenceOf(catalog, table, column.name);
  const hasRights =
    sequence === undefined ||
    catalog.grants.some(
      ({ objectKind, schema, object }) =>
        objectKind === "sequence" && schema === sequence.schema && object === sequence.name,
    );
  if (column.identity !== undefined && hasRights) {
    throw new InvalidInputError(`${full} is an identity column whose sequence has rights of its own`, {
      hint: `they would go with it: end them in a migration before (REVOKE … ON SEQUENCE ${sequence?.name ?? "…"})`,
    });
  }
  const kept = keptColumnTable(change);
  if (catalog.tables.some(({ schema, name }) => schema === KEPT_SCHEMA && name === kept)) {
    throw new InvalidInputError(`something is kept of ${full} already`, {
      hint: `let it go first: pgsteward migrate drop --forget column ${full}`,
    });
  }
}

function incomingKeys(catalog: Catalog, members: readonly Table[], column: Column): readonly IncomingKey[] {
  return catalog.tables.flatMap((other) =>
    other.constraints
      .filter((key) => key.isLocal && leadsTo(key, members, column))
      .filter((key) => !members.includes(other) || !key.columns.includes(column.name))
      .map((key) => ({ schema: other.schema, table: other.name, key })),
  );
}

/** Triggers that would see the values come back as updates. */
export function firedBy({ members }: Pick<DroppedColumn, "members">): readonly string[] {
  return members.flatMap(({ triggers }) =>
    triggers
      .filter(
        ({ events, updateColumns, enabled, isLocal }) =>
          isLocal &&
          events.includes("update") &&
          updateColumns.length === 0 &&
          (enabled === "origin" || enabled === "always"),
      )
      .map(({ name }) => name),
  );
}
