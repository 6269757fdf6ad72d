// What hangs on a column: collected from the catalog, with the SQL that makes a copy of each thing for another column.
import {
  collate,
  literal,
  type Catalog,
  type Constraint,
  type Index,
  type Sequence,
  type Table,
} from "../../catalog/index.ts";
import { identifier, InvalidInputError } from "../../postgres/index.ts";
import { dependantsOf, type Dependants } from "./dependants.ts";
import { renameColumn } from "./rewrite.ts";

export interface IncomingKey {
  readonly schema: string;
  readonly table: string;
  readonly key: Constraint;
}

export interface ColumnParts {
  readonly table: Table;
  readonly column: Table["columns"][number];
  /** Checks and outgoing foreign keys. */
  readonly conditions: readonly Constraint[];
  /** PostgreSQL 18 keeps NOT NULL as a constraint with a name. */
  readonly notNull: { readonly name: string | undefined; readonly comment: string | undefined } | undefined;
  /** Primary key and unique constraints. */
  readonly keys: readonly Constraint[];
  /** Indexes that serve no constraint. */
  readonly indexes: readonly Index[];
  readonly incoming: readonly IncomingKey[];
  /** The sequence of an identity or a serial column. */
  readonly sequence: Sequence | undefined;
  readonly grants: Catalog["grants"];
  /** Columns to walk the table by. */
  readonly walkKey: readonly string[];
  /** Triggers and policies that name the column: they are made anew when the columns change places. */
  readonly triggers: readonly Table["triggers"][number][];
  readonly policies: readonly Table["policies"][number][];
  readonly dependants: Dependants;
}

export function findTable(catalog: Catalog, schema: string, name: string): Table {
  const table = catalog.tables.find((candidate) => candidate.schema === schema && candidate.name === name);
  if (table === undefined) throw new InvalidInputError(`there is no table ${schema}.${name}`);
  return table;
}

export function findColumn(table: Table, name: string): Table["columns"][number] {
  const column = table.columns.find((candidate) => candidate.name === name);
  if (column !== undefined) return column;
  const known = table.columns.map((candidate) => candidate.name).join(", ");
  throw new InvalidInputError(`${table.schema}.${table.name} has no column ${name}`, { hint: `it has ${known}` });
}

/** A plain table without children: what is inherited cannot be given a column of its own. */
export function requirePlainTable(catalog: Catalog, table: Table): void {
  const { schema, name } = table;
  const full = `${schema}.${name}`;
  const hasChildren = catalog.tables.some(
    ({ inherits, partitionOf }) =>
      (partitionOf?.schema === schema && partitionOf.name === name) ||
      inherits.some((parent) => parent.schema === schema && parent.name === name),
  );
  if (table.kind === "table" && table.partitionOf === undefined && table.inherits.length === 0 && !hasChildren) return;
  throw new InvalidInputError(`${full} is part of a family of tables (partitions, inheritance) or a foreign table`, {
    hint: "expand and contract works on plain tables: make a new table beside it and copy with a trigger",
  });
}

/**
 * @param together - columns that change with it, the first of which brings what depends on any of them
 * @throws InvalidInputError for a column that something holds which cannot be carried over without a lock
 */
export function collectParts(
  catalog: Catalog,
  table: Table,
  name: string,
  together: readonly string[] = [name],
): ColumnParts {
  const column = findColumn(table, name);
  requirePlainTable(catalog, table);
  const { schema, name: tableName } = table;
  const full = `${schema}.${tableName}.${name}`;
  const users = catalog.dependencies.filter(
    ({ to }) => to.kind === "column" && to.schema === schema && to.name === tableName && to.part === name,
  );
  const uses = (kind: string, part: string): boolean =>
    users.some(
      ({ from }) => from.kind === kind && from.schema === schema && from.name === tableName && from.part === part,
    );
  const isOwn = (constraint: Constraint): boolean =>
    constraint.columns.includes(name) || uses("constraint", constraint.name);
  const own = table.constraints.filter(isOwn);
  const dependants = dependantsOf(catalog, table, together[0] === name ? together : []);
  if (dependants.obstacles.length > 0) {
    const verb = dependants.obstacles.length === 1 ? "depends" : "depend";
    throw new InvalidInputError(`${dependants.obstacles.join(", ")} ${verb} on ${full}`, {
      hint: "drop what is named first, and make it anew after the last phase",
    });
  }
  const exclusion = own.find(({ kind }) => kind === "exclusion");
  if (exclusion !== undefined) {
    throw new InvalidInputError(`the exclusion constraint ${exclusion.name} covers ${full}`, {
      hint: "PostgreSQL can add one only under a lock that stops writes: drop it first, and add it anew after the last phase",
    });
  }
  own.forEach(refuseTemporal);
  const indexes = indexesHolding(catalog, table, name).filter(({ constraint }) => constraint === undefined);
  const special = table.indexes.find(
    (index) => index.isReplicaIdentity && (indexes.includes(index) || own.some((key) => key.name === index.name)),
  );
  if (special !== undefined) {
    throw new InvalidInputError(`the replica identity of ${schema}.${tableName} is the index ${special.name}`, {
      hint: "set it to another index, or to the default, first",
    });
  }
  const notNullConstraint = own.find(({ kind }) => kind === "not null");
  const sequence = catalog.sequences.find(
    ({ ownedBy }) => ownedBy?.schema === schema && ownedBy.table === tableName && ownedBy.column === name,
  );
  return {
    table,
    column,
    conditions: own.filter(({ kind }) => kind === "check" || kind === "foreign key"),
    notNull: column.isNullable ? undefined : { name: notNullConstraint?.name, comment: notNullConstraint?.comment },
    keys: own.filter(({ kind }) => kind === "primary key" || kind === "unique"),
    indexes,
    incoming: catalog.tables.flatMap((other) =>
      other.constraints
        .filter(
          ({ references, isLocal }) =>
            isLocal &&
            references?.schema === schema &&
            references.table === tableName &&
            references.columns.includes(name),
        )
        .map((key) => incomingOf(other, key, table, name)),
    ),
    sequence,
    grants: grantsOf(catalog, table, name),
    walkKey: walkKeyOf(table),
    triggers: table.triggers.filter((trigger) => trigger.updateColumns.includes(name) || uses("trigger", trigger.name)),
    policies: table.policies.filter((policy) => uses("policy", policy.name)),
    dependants,
  };
}

/** `WITHOUT OVERLAPS` and `PERIOD` (PostgreSQL 18): no index that is built beforehand can serve them. */
function refuseTemporal({ kind, name, definition }: Constraint): void {
  const isTemporal = kind === "foreign key" ? /[(,] ?PERIOD /.test(definition) : / WITHOUT OVERLAPS\)/.test(definition);
  if (!isTemporal) return;
  throw new InvalidInputError(`the constraint ${name} is over a period of time`, {
    hint: "PostgreSQL can add one only under a lock that stops writes: drop it first, and add it anew after the last phase",
  });
}

/** Privileges on the column alone. */
export function grantsOf(catalog: Catalog, { schema, name }: Table, column: string): Catalog["grants"] {
  return catalog.grants.filter(
    (grant) => grant.objectKind === "column" && grant.schema === schema && grant.object === `${name}.${column}`,
  );
}

function incomingOf(other: Table, key: Constraint, table: Table, column: string): IncomingKey {
  refuseTemporal(key);
  if (other === table && key.columns.includes(column)) {
    throw new InvalidInputError(`the foreign key ${key.name} leads from ${column} to itself`);
  }
  if (other.kind === "partitioned" || other.partitionOf !== undefined) {
    throw new InvalidInputError(
      `the foreign key ${key.name} of the partitioned table ${other.schema}.${other.name} refers to ${column}`,
      {
        hint: "drop it first, and add it anew after the last phase",
      },
    );
  }
  return { schema: other.schema, table: other.name, key };
}

/** Indexes with the column as a key, in INCLUDE, in an expression or in WHERE. */
export function indexesHolding(
  catalog: Catalog,
  { schema, name: table, indexes }: Table,
  name: string,
): readonly Index[] {
  const used = new Set(
    catalog.dependencies
      .filter(
        ({ from, to }) =>
          from.kind === "index" &&
          to.kind === "column" &&
          to.schema === schema &&
          to.name === table &&
          to.part === name,
      )
      .map(({ from }) => from.part),
  );
  return indexes.filter(
    (index) => index.keys.some(({ column }) => column === name) || index.include.includes(name) || used.has(index.name),
  );
}

/** The primary key, else the smallest unique index of NOT NULL columns. */
export function walkKeyOf(table: Table): readonly string[] {
  const nullable = new Set(table.columns.filter(({ isNullable }) => isNullable).map(({ name }) => name));
  const candidates = table.indexes
    .filter(
      ({ isUnique, isValid, method, predicate, keys }) =>
        isUnique &&
        isValid &&
        method === "btree" && // that of WITHOUT OVERLAPS has no order
        predicate === undefined &&
        keys.every(({ column }) => column !== undefined && !nullable.has(column)),
    )
    .sort((left, right) => Number(right.isPrimary) - Number(left.isPrimary) || left.keys.length - right.keys.length);
  const [first] = candidates;
  if (first !== undefined) return first.keys.flatMap(({ column }) => column ?? []);
  throw new InvalidInputError(
    `${table.schema}.${table.name} has no primary key and no unique index of NOT NULL columns`,
    {
      hint: "its rows are copied by key: make one first with CREATE UNIQUE INDEX CONCURRENTLY",
    },
  );
}

/** Says a column by another name, in a list of names. */
export function withName(columns: readonly string[], from: string, to: string): readonly string[] {
  return columns.map((name) => (name === from ? to : name));
}

/** Columns and the names that they are said by instead. */
export type OtherNames = readonly (readonly [from: string, to: string])[];

export function withNames(columns: readonly string[], names: OtherNames): readonly string[] {
  return columns.map((name) => names.find(([from]) => from === name)?.[1] ?? name);
}

async function renameColumns(expression: string, table: string, names: OtherNames): Promise<string> {
  let renamed = expression;
  for (const [from, to] of names) renamed = await renameColumn(renamed, table, from, to);
  return renamed;
}

function listed(columns: readonly string[]): string {
  return columns.map((name) => identifier(name)).join(", ");
}

export interface IndexCopy {
  readonly name: string;
  /** Columns that are said by another name. */
  readonly names?: OtherNames;
  /** A column that the key gets in addition. */
  readonly added?: string;
  /** Default: the table of the index. */
  readonly on?: { readonly schema: string; readonly name: string };
  /** Default true. */
  readonly isConcurrent?: boolean;
}

/** `CREATE … INDEX CONCURRENTLY` of a copy, on another column, with one more column, or on another table. */
export async function createIndexSql(table: Table, index: Index, copy: IndexCopy): Promise<string> {
  const { names = [], added, on = table, isConcurrent = true } = copy;
  const rename = (expression: string): Promise<string> => renameColumns(expression, table.name, names);
  const keys: string[] = [];
  for (const key of index.keys) {
    const what =
      key.column === undefined ? `(${await rename(key.expression)})` : listed(withNames([key.column], names));
    const options = key.operatorClassOptions.length === 0 ? "" : ` (${optionText(key.operatorClassOptions)})`;
    const operatorClass =
      key.isDefaultOperatorClass && options === ""
        ? ""
        : ` ${identifier(key.operatorClassSchema, key.operatorClass)}${options}`;
    const isUsual = key.nulls === (key.direction === "desc" ? "first" : "last");
    const order = `${key.direction === "desc" ? " DESC" : ""}${isUsual ? "" : ` NULLS ${key.nulls.toUpperCase()}`}`;
    keys.push(`${what}${collate(key.collation)}${operatorClass}${order}`);
  }
  if (added !== undefined) keys.push(identifier(added));
  const include = withNames(index.include, names).filter((name) => name !== added);
  const clauses = [
    include.length === 0 ? "" : ` INCLUDE (${listed(include)})`,
    index.nullsNotDistinct ? " NULLS NOT DISTINCT" : "",
    index.storageParameters.length === 0 ? "" : ` WITH (${optionText(index.storageParameters)})`,
    index.tablespace === undefined ? "" : ` TABLESPACE ${identifier(index.tablespace)}`,
    index.predicate === undefined ? "" : ` WHERE ${await rename(index.predicate)}`,
  ];
  return `CREATE ${index.isUnique ? "UNIQUE " : ""}INDEX ${isConcurrent ? "CONCURRENTLY " : ""}${identifier(copy.name)} ON ${identifier(on.schema, on.name)} USING ${index.method} (${keys.join(", ")})${clauses.join("")}`;
}

function optionText(options: readonly string[]): string {
  return options
    .map((option) => {
      const at = option.indexOf("=");
      return `${option.slice(0, at)} = ${literal(option.slice(at + 1))}`;
    })
    .join(", ");
}

/** A foreign key from its parts, so that columns can be exchanged on both sides. */
export function foreignKeySql(key: Constraint, columns: readonly string[], referenced: readonly string[]): string {
  const { references } = key;
  if (references === undefined) return key.definition;
  const { onUpdate, onDelete, onDeleteColumns, match, schema, table } = references;
  const ofColumns = onDeleteColumns.map((name) => columns[key.columns.indexOf(name)] ?? name);
  return [
    `FOREIGN KEY (${listed(columns)}) REFERENCES ${identifier(schema, table)} (${listed(referenced)})`,
    match === "full" ? " MATCH FULL" : "",
    onUpdate === "no action" ? "" : ` ON UPDATE ${onUpdate.toUpperCase()}`,
    onDelete === "no action" ? "" : ` ON DELETE ${onDelete.toUpperCase()}`,
    ofColumns.length === 0 ? "" : ` (${listed(ofColumns)})`,
    deferrability(key),
    key.isEnforced ? "" : " NOT ENFORCED",
  ].join("");
}

export function deferrability({ isDeferrable, isInitiallyDeferred }: Constraint): string {
  return `${isDeferrable ? " DEFERRABLE" : ""}${isInitiallyDeferred ? " INITIALLY DEFERRED" : ""}`;
}

/** A check or foreign key for other columns, without NOT VALID. */
export async function conditionSql(table: Table, condition: Constraint, names: OtherNames): Promise<string> {
  if (condition.kind === "foreign key")
    return foreignKeySql(condition, withNames(condition.columns, names), condition.references?.columns ?? []);
  const [, expression = "", tail = ""] =
    /^CHECK (\(.*\))((?: NO INHERIT)?(?: NOT VALID)?(?: NOT ENFORCED)?)$/s.exec(condition.definition) ?? [];
  return `CHECK ${await renameColumns(expression, table.name, names)}${tail.replace(" NOT VALID", "")}`;
}

export const NEW_SUFFIX = "_new";
export const OLD_SUFFIX = "_old";

/** Statements that give a column the settings, comment and rights of another. */
export function columnSettings(
  parts: Pick<ColumnParts, "table" | "column" | "grants">,
  to: string,
  isSameType: boolean,
): readonly string[] {
  const { table, column, grants } = parts;
  const relation = identifier(table.schema, table.name);
  const settings = [
    column.statisticsTarget === undefined ? [] : [`SET STATISTICS ${column.statisticsTarget}`],
    column.options.length === 0 ? [] : [`SET (${column.options.join(", ")})`],
    isSameType && !column.isDefaultStorage ? [`SET STORAGE ${column.storage.toUpperCase()}`] : [],
    isSameType && column.compression !== undefined ? [`SET COMPRESSION ${column.compression}`] : [],
  ].flat();
  const rights = grants.flatMap(({ grantee, privileges, grantable }) => {
    const role = grantee === "public" ? "PUBLIC" : identifier(grantee);
    const plain = privileges.filter((privilege) => !grantable.includes(privilege));
    const grant = (words: readonly string[], tail: string): readonly string[] =>
      words.length === 0
        ? []
        : [`GRANT ${words.map((word) => `${word} (${identifier(to)})`).join(", ")} ON ${relation} TO ${role}${tail}`];
    return [...grant(plain, ""), ...grant(grantable, " WITH GRANT OPTION")];
  });
  return [
    ...(settings.length === 0
      ? []
      : [
          `ALTER TABLE ${relation} ${settings.map((setting) => `ALTER COLUMN ${identifier(to)} ${setting}`).join(", ")}`,
        ]),
    ...(column.comment === undefined
      ? []
      : [`COMMENT ON COLUMN ${relation}.${identifier(to)} IS ${literal(column.comment)}`]),
    ...rights,
  ];
}
