// What hangs on a column that is dropped, and comes back with it: collected from the catalog, as the server itself writes it.
import {
  collate,
  literal,
  type Catalog,
  type Column,
  type Constraint,
  type Index,
  type Sequence,
  type Table,
} from "../../catalog/index.ts";
import { identifier, InvalidInputError } from "../../postgres/index.ts";
import { findColumn, findTable, walkKeyOf, type IncomingKey } from "../expand/parts.ts";
import { refuseDependants, type DropChange } from "./drop-parts.ts";
import { KEPT_SCHEMA, keptColumnTable } from "./kept-names.ts";

export interface DroppedColumn {
  readonly serverVersion: number;
  readonly table: Table;
  readonly column: Column;
  /** Checks and outgoing foreign keys. */
  readonly conditions: readonly Constraint[];
  /** PostgreSQL 18 keeps NOT NULL as a constraint with a name. */
  readonly notNull: { readonly name: string; readonly comment: string | undefined } | undefined;
  /** Unique constraints and the primary key. */
  readonly keys: readonly Constraint[];
  /** Those of the keys, too. */
  readonly indexes: readonly Index[];
  /** Foreign keys of other tables to the column. */
  readonly incoming: readonly IncomingKey[];
  /** Of a serial or an identity column. */
  readonly sequence: Sequence | undefined;
  readonly grants: Catalog["grants"];
  /** By which a row's value is found again. */
  readonly rowKey: readonly string[];
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
  refuseFamily(catalog, table);
  refuseKinds(catalog, table, column, change);
  const users = catalog.dependencies
    .filter(({ to }) => to.kind === "column" && to.schema === schema && to.name === tableName && to.part === name)
    .map(({ from }) => from);
  const uses = (kind: string, part: string): boolean =>
    users.some((user) => user.kind === kind && user.schema === schema && user.name === tableName && user.part === part);
  const ofColumn = new Set(["constraint", "index", "default", "sequence"]);
  const triggers = table.triggers
    .filter(({ updateColumns }) => updateColumns.includes(name))
    .map((trigger) => ({ kind: "trigger" as const, schema, name: tableName, part: trigger.name }));
  const statistics = users.filter(({ kind }) => kind === "statistics");
  refuseDependants(full, [
    ...users.filter(({ kind }) => !ofColumn.has(kind) && kind !== "statistics"),
    ...statistics,
    ...triggers,
  ]);
  const own = table.constraints.filter(
    (constraint) => constraint.columns.includes(name) || uses("constraint", constraint.name),
  );
  const exclusion = own.find(({ kind }) => kind === "exclusion");
  if (exclusion !== undefined) {
    throw new InvalidInputError(`the exclusion constraint ${exclusion.name} covers ${full}`, {
      hint: "PostgreSQL can add one only under a lock that stops writes: drop it in a migration before",
    });
  }
  const keys = own.filter(({ kind }) => kind === "unique" || kind === "primary key");
  const indexes = table.indexes.filter(
    (index) =>
      keys.some((key) => key.name === index.constraint) ||
      index.keys.some((key) => key.column === name) ||
      index.include.includes(name) ||
      uses("index", index.name),
  );
  const identity = indexes.find(({ isReplicaIdentity }) => isReplicaIdentity);
  if (identity !== undefined) {
    throw new InvalidInputError(`the replica identity of ${schema}.${tableName} is the index ${identity.name}`, {
      hint: "set it to another index, or to the default, in a migration before",
    });
  }
  const notNull = own.find(({ kind }) => kind === "not null");
  const isDeferrable = (key: string | undefined): boolean =>
    table.constraints.some((constraint) => constraint.name === key && constraint.isDeferrable);
  return {
    serverVersion: catalog.serverVersion,
    table,
    column,
    conditions: own.filter(({ kind }) => kind === "check" || kind === "foreign key"),
    notNull: column.isNullable
      ? undefined
      : { name: notNull?.name ?? `${tableName}_${name}_not_null`, comment: notNull?.comment },
    keys,
    indexes,
    incoming: incomingKeys(catalog, table, name),
    sequence: sequenceOf(catalog, table, name),
    grants: catalog.grants.filter(
      (grant) => grant.objectKind === "column" && grant.schema === schema && grant.object === `${tableName}.${name}`,
    ),
    // Neither one that goes with the column, nor one that no foreign key may lead to.
    rowKey: otherKey(
      full,
      table,
      table.indexes.filter((index) => !indexes.includes(index) && !isDeferrable(index.constraint)),
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

/** What comes down to partitions and heirs would have to be kept and brought back for each of them. */
function refuseFamily(catalog: Catalog, { schema, name, kind, partitionOf, inherits }: Table): void {
  const isParent = catalog.tables.some(
    (other) =>
      (other.partitionOf?.schema === schema && other.partitionOf.name === name) ||
      other.inherits.some((parent) => parent.schema === schema && parent.name === name),
  );
  if (kind === "table" && partitionOf === undefined && inherits.length === 0 && !isParent) return;
  throw new InvalidInputError(
    `${schema}.${name} is part of a family of tables (partitions, inheritance) or a foreign table`,
    {
      hint: "copy the column by the table's key in a migration before, and drop it with pgsteward migrate generate",
    },
  );
}

function refuseKinds(catalog: Catalog, table: Table, column: Column, change: DropChange): void {
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
  if (change.kind !== "column") return;
  const kept = keptColumnTable(change);
  if (catalog.tables.some(({ schema, name }) => schema === KEPT_SCHEMA && name === kept)) {
    throw new InvalidInputError(`something is kept of ${full} already`, {
      hint: `let it go first: pgsteward migrate drop --forget column ${full}`,
    });
  }
}

function incomingKeys(catalog: Catalog, table: Table, column: string): readonly IncomingKey[] {
  return catalog.tables.flatMap((other) =>
    other.constraints
      .filter(
        ({ references, isLocal }) =>
          isLocal &&
          references?.schema === table.schema &&
          references.table === table.name &&
          references.columns.includes(column),
      )
      .filter((key) => other !== table || !key.columns.includes(column))
      .map((key) => ({ schema: other.schema, table: other.name, key })),
  );
}

/** Settings, comment and rights of the column, as statements. */
export function columnSettings({ table, column, grants }: DroppedColumn): readonly string[] {
  const relation = identifier(table.schema, table.name);
  const name = identifier(column.name);
  const settings = [
    ...(column.statisticsTarget === undefined ? [] : [`SET STATISTICS ${column.statisticsTarget}`]),
    ...(column.options.length === 0 ? [] : [`SET (${column.options.join(", ")})`]),
    ...(column.isDefaultStorage ? [] : [`SET STORAGE ${column.storage.toUpperCase()}`]),
    ...(column.compression === undefined ? [] : [`SET COMPRESSION ${column.compression}`]),
  ].map((setting) => `ALTER COLUMN ${name} ${setting}`);
  const rights = grants.flatMap(({ grantee, privileges, grantable }) => {
    const role = grantee === "public" ? "PUBLIC" : identifier(grantee);
    const grant = (words: readonly string[], tail: string): readonly string[] =>
      words.length === 0
        ? []
        : [`GRANT ${words.map((word) => `${word} (${name})`).join(", ")} ON ${relation} TO ${role}${tail}`];
    return [
      ...grant(
        privileges.filter((privilege) => !grantable.includes(privilege)),
        "",
      ),
      ...grant(grantable, " WITH GRANT OPTION"),
    ];
  });
  return [
    ...(settings.length === 0 ? [] : [`ALTER TABLE ${relation} ${settings.join(", ")}`]),
    ...(column.comment === undefined ? [] : [`COMMENT ON COLUMN ${relation}.${name} IS ${literal(column.comment)}`]),
    ...rights,
  ];
}

/** Statistics targets, clustering and comment of the indexes that are built again. */
export function indexSettings({ table, indexes }: DroppedColumn): readonly string[] {
  return indexes.flatMap((index) => {
    const name = identifier(table.schema, index.name);
    return [
      ...index.keys.flatMap(({ statisticsTarget }, position) =>
        statisticsTarget === undefined
          ? []
          : [`ALTER INDEX ${name} ALTER COLUMN ${position + 1} SET STATISTICS ${statisticsTarget}`],
      ),
      ...(index.isClustered
        ? [`ALTER TABLE ${identifier(table.schema, table.name)} CLUSTER ON ${identifier(index.name)}`]
        : []),
      ...(index.comment === undefined ? [] : [`COMMENT ON INDEX ${name} IS ${literal(index.comment)}`]),
    ];
  });
}

/** `"note" text COLLATE "C"`. */
export function columnSql(column: Column): string {
  return `${identifier(column.name)} ${column.type}${collate(column.collation)}`;
}

/** Triggers that would see the values come back as updates. */
export function firedBy({ table }: DroppedColumn): readonly string[] {
  return table.triggers
    .filter(
      ({ events, updateColumns, enabled }) =>
        events.includes("update") && updateColumns.length === 0 && (enabled === "origin" || enabled === "always"),
    )
    .map(({ name }) => name);
}
