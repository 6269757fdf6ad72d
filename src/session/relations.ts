// Select-in loading: one statement for each relation, whatever the number of parents; nested; limited per parent. A relation
// that was not asked for is not in the row's type, so nothing is ever loaded behind one's back.
import { getTableUniqueName, is, sql, type SQL } from "drizzle-orm";
import { PgCustomColumn, PgEnumColumn, type PgColumn, type PgTable } from "drizzle-orm/pg-core";
import {
  getOperators,
  getOrderByOperators,
  Many,
  normalizeRelation,
  type BuildRelationResult,
  type ExtractTablesWithRelations,
  type FindTableByDBName,
  type One,
  type Operators,
  type OrderByOperators,
  type Relation,
  type RelationalSchemaConfig,
  type TableRelationalConfig,
  type TablesRelationalConfig,
} from "drizzle-orm/relations";
import { identifier, InvalidInputError, type RowMapper, type Statement } from "../postgres/index.ts";
import { dialect } from "./dialect.ts";
import { rowFormat, rowModel, type ColumnModel, type RowModel } from "./row-model.ts";
import { valueText, type RowOf } from "./table-columns.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

type Tables<TSchema extends Record<string, unknown>> = ExtractTablesWithRelations<TSchema>;
/** What the factory's schema says about a table. */
type ConfigOf<TSchema extends Record<string, unknown>, T extends PgTable> =
  FindTableByDBName<Tables<TSchema>, T["_"]["name"]> extends infer C extends TableRelationalConfig ? C : never;

type Orders = PgColumn | SQL | readonly (PgColumn | SQL)[];

/** Narrows what is loaded through a relation. */
export type RelationOptions<
  S extends TablesRelationalConfig,
  C extends TableRelationalConfig,
  R extends Relation = Relation,
> = {
  /** Relations of the related rows. */
  readonly with?: RelationsOf<S, C>;
  /** Only rows that fulfil it; the relation's own columns are compared anyway. */
  readonly where?: SQL | ((columns: C["columns"], operators: Operators) => SQL | undefined);
  /** Soft-deleted rows too. Default: false, or true for `tx.withDeleted()`. */
  readonly withDeleted?: boolean;
} & (R extends One
  ? unknown
  : {
      readonly orderBy?: Orders | ((columns: C["columns"], operators: OrderByOperators) => Orders);
      /** Most rows for each parent. */
      readonly limit?: number;
    });

/** Relations of a table, by their names in Drizzle's `relations()`. */
export type RelationsOf<S extends TablesRelationalConfig, C extends TableRelationalConfig> = {
  readonly [K in keyof C["relations"]]?:
    | true
    | RelationOptions<S, FindTableByDBName<S, C["relations"][K]["referencedTableName"]>, C["relations"][K]>;
};

/** What can be asked for beside the rows of a table; nothing when the factory was given no schema. */
export type WithRelations<TSchema extends Record<string, unknown>, T extends PgTable> = [ConfigOf<TSchema, T>] extends [
  never,
]
  ? Record<never, never>
  : RelationsOf<Tables<TSchema>, ConfigOf<TSchema, T>>;

/** A row together with the relations that were asked for: arrays, or one row or null. */
export type RowWith<TSchema extends Record<string, unknown>, T extends PgTable, W> = [keyof W] extends [never]
  ? RowOf<T>
  : RowOf<T> & RelatedRows<TSchema, T, W>;
export type RelatedRows<TSchema extends Record<string, unknown>, T extends PgTable, W> = [
  ConfigOf<TSchema, T>,
] extends [never]
  ? unknown
  : BuildRelationResult<Tables<TSchema>, W, ConfigOf<TSchema, T>["relations"]>;

type AnyRow = Record<string, unknown>;
type AnySchema = RelationalSchemaConfig<TablesRelationalConfig> | undefined;

/** How related rows become objects: as plain ones, or tracked. */
export type RowReader =
  | { readonly wantsJsonAsText: false; mapper(model: RowModel): RowMapper }
  | {
      /** The statement selects JSON documents as text. */
      readonly wantsJsonAsText: true;
      read(model: RowModel, rows: readonly (readonly unknown[])[]): Promise<AnyRow[]> | AnyRow[];
    };

interface LoadPlan {
  readonly unit: UnitOfWork;
  readonly schema: AnySchema;
  readonly reader: RowReader;
  /** Shows soft-deleted rows, unless a relation says otherwise. */
  readonly withDeleted: boolean;
}

/** Both sides of a relation: which properties of the source equal which columns of the target. */
interface Link {
  readonly fields: readonly ColumnModel[];
  readonly references: readonly ColumnModel[];
  readonly target: RowModel;
  readonly isMany: boolean;
}

const links = new WeakMap<Relation, Link>();

/**
 * Puts the related rows into `rows`, in place. Relations side by side travel in one flush.
 *
 * @throws InvalidInputError for an unknown relation, a wrong limit, or rows without the columns that the relation compares
 */
export async function loadRelations(
  plan: LoadPlan,
  table: PgTable,
  rows: readonly AnyRow[],
  wanted: Readonly<Record<string, unknown>>,
): Promise<void> {
  const source = rowModel(table);
  const config = tableConfig(plan.schema, table);
  const loads = Object.entries(wanted).flatMap(([name, options]) => {
    if (options === undefined || options === false) return [];
    const relation = Object.hasOwn(config?.relations ?? {}, name) ? config?.relations[name] : undefined;
    if (relation === undefined) throw unknownRelation(source, name, config);
    const link = linkOf(plan.schema, source, relation);
    return [{ name, link, options: checkedOptions(name, link, options) }];
  });
  await Promise.all(loads.map(({ name, link, options }) => loadRelation(plan, rows, name, link, options)));
}

interface Options {
  readonly with?: Readonly<Record<string, unknown>>;
  readonly where?: unknown;
  readonly orderBy?: unknown;
  readonly limit?: number;
  readonly withDeleted?: boolean;
}

async function loadRelation(
  plan: LoadPlan,
  rows: readonly AnyRow[],
  name: string,
  link: Link,
  options: Options,
): Promise<void> {
  const { unit, reader } = plan;
  const { target, isMany } = link;
  const keys = new ParentKeys(link, rows, name);
  let found: AnyRow[][] = [];
  let children: AnyRow[] = [];
  if (keys.values.length > 0) {
    const scoped = { withDeleted: plan.withDeleted, ...options };
    const statement = relationStatement(link, keys, scoped, reader.wantsJsonAsText);
    const group = (child: AnyRow, values: readonly unknown[]): number | undefined => {
      const key = keys.indexOf(values);
      if (key !== undefined) found[key]?.push(child);
      return key;
    };
    const startGroups = (): void => {
      found = keys.values.map(() => []);
    };
    if (reader.wantsJsonAsText) {
      const result = await unit.query(statement);
      const values = result.rows as unknown as readonly (readonly unknown[])[];
      startGroups();
      children = await reader.read(target, values);
      children.forEach((child, index) => group(child, values[index] ?? []));
    } else {
      const mapper = reader.mapper(target);
      const property = link.references[0]?.property;
      const rowMapper: RowMapper = (parsers) => {
        const map = mapper(parsers);
        startGroups(); // once more when the statement is sent again
        return (texts) => {
          const child = map(texts) as AnyRow;
          const key = group(child, texts);
          // One text for all children of a parent: it is most of what each of them would keep in memory.
          const shared = key === undefined || property === undefined ? undefined : keys.values[key]?.[0];
          if (property !== undefined && child[property] === shared) child[property] = shared;
          return child;
        };
      };
      children = (await unit.query({ ...statement, rowMapper })).rows;
    }
  }
  rows.forEach((row, index) => {
    const key = keys.ofRow[index];
    const own = key === undefined ? undefined : found[key];
    if (isMany) row[name] = own === undefined ? [] : keys.isShared ? [...own] : own;
    else row[name] = own?.[0] ?? null;
  });
  if (options.with !== undefined) await loadRelations(plan, target.table, children, options.with);
}

/** The distinct keys of the parents. */
class ParentKeys {
  readonly values: (readonly string[])[] = [];
  /** For each row, the position of its key in `values`; undefined when a part of it is NULL. */
  readonly ofRow: (number | undefined)[];
  /** Several rows have one key. */
  readonly isShared: boolean;
  /** The server's own comparison decides, by position, unless both sides are written the same way whenever they are equal. */
  readonly isByPosition: boolean;
  readonly #positions = new Map<string, number>();
  /** The last key that was looked for: children of a parent mostly come together. */
  #lastKey: unknown;
  #lastPosition: number | undefined;
  readonly #reference: ColumnModel | undefined;
  readonly #width: number;

  constructor({ fields, references, target }: Link, rows: readonly AnyRow[], name: string) {
    const [field] = fields;
    [this.#reference] = references;
    this.#width = target.columns.length;
    this.isByPosition = fields.length > 1 || !isWrittenOneWay(field?.column, this.#reference?.column);
    // The server writes UUIDs in small letters; a program may not. Texts that differ in case are different keys.
    const isUuid = field?.column.getSQLType() === "uuid";
    let known = 0;
    this.ofRow = rows.map((row) => {
      const texts: string[] = [];
      for (const { property, column } of fields) {
        const value = row[property];
        if (value === undefined)
          throw new InvalidInputError(`the relation ${name} needs the property ${property} in each row`, {
            hint: "select it too",
          });
        if (value === null) return undefined;
        texts.push(typeof value === "string" ? value : (valueText(column, value) ?? ""));
      }
      const text = texts[0] ?? "";
      const key = texts.length > 1 ? JSON.stringify(texts) : isUuid ? text.toLowerCase() : text;
      let position = this.#positions.get(key);
      if (position === undefined) this.#positions.set(key, (position = this.values.push(texts) - 1));
      known++;
      return position;
    });
    this.isShared = known > this.values.length;
  }

  /** The position of the key that a row of the statement belongs to. */
  indexOf(values: readonly unknown[]): number | undefined {
    if (this.isByPosition) return Number(values[this.#width]) - 1;
    const key = values[this.#reference?.index ?? 0];
    if (key !== this.#lastKey) {
      this.#lastKey = key;
      this.#lastPosition = this.#positions.get(String(key));
    }
    return this.#lastPosition;
  }
}

const INTEGER = /^(?:small|big)?(?:int(?:eger)?|serial)$/;

/** Equal values of both columns have one text: integers, UUIDs and plain text do; numeric (1.0, 1.00), char(n), citext do not. */
function isWrittenOneWay(field: PgColumn | undefined, reference: PgColumn | undefined): boolean {
  if (field === undefined || reference === undefined || is(field, PgCustomColumn) || is(reference, PgCustomColumn))
    return false;
  const kindOf = (type: string): string | undefined =>
    INTEGER.test(type) ? "integer" : type === "uuid" ? "uuid" : /^(?:text|varchar)/.test(type) ? "text" : undefined;
  const kind = kindOf(field.getSQLType());
  return kind !== undefined && kind === kindOf(reference.getSQLType());
}

function relationStatement(
  { fields, references, target }: Link,
  keys: ParentKeys,
  { where, orderBy, limit, withDeleted = false }: Options,
  wantsJsonAsText: boolean,
): Statement {
  const columns = sql.raw(wantsJsonAsText ? target.selectJsonAsText : target.selectText);
  const table = sql.raw(target.text);
  const conditions: SQL[] = [];
  if (!withDeleted && target.softDelete !== undefined) conditions.push(sql`${target.softDelete.column} IS NULL`);
  const models = Object.fromEntries(target.columns.map(({ property, column }) => [property, column]));
  const condition: unknown = typeof where === "function" ? where(models, getOperators()) : where;
  if (condition !== undefined) conditions.push(sql`(${condition as SQL})`);
  const order: unknown = typeof orderBy === "function" ? orderBy(models, getOrderByOperators()) : orderBy;
  const orders = (order === undefined ? [] : Array.isArray(order) ? order : [order]) as SQL[];
  const ordered = orders.length === 0 ? sql`` : sql` ORDER BY ${sql.join(orders, sql`, `)}`;

  const isLimited = limit !== undefined;
  let statement: SQL;
  if (!isLimited && !keys.isByPosition) {
    const values = sql.param(keys.values.map(([text]) => text));
    conditions.unshift(sql`${references[0]?.column} = ANY (${values})`);
    statement = sql`SELECT ${columns} FROM ${table} WHERE ${sql.join(conditions, sql` AND `)}${ordered}`;
  } else {
    const names = fields.map((_, index) => sql.raw(`k${index + 1}`));
    // The parameter itself is text: a prepared statement outlives an enum that is dropped and made anew.
    const arrays = fields.map(
      ({ column }, index) =>
        sql`${sql.param(keys.values.map((texts) => texts[index]))}::text[]::${sql.raw(typeText(column))}[]`,
    );
    const parents = sql`unnest(${sql.join(arrays, sql`, `)}) WITH ORDINALITY AS parent_keys (${sql.join(names, sql`, `)}, position)`;
    references.forEach(({ column }, index) => conditions.push(sql`${column} = parent_keys.${names[index]}`));
    const where_ = sql.join(conditions, sql` AND `);
    statement = isLimited
      ? sql`SELECT child.*, parent_keys.position FROM ${parents} CROSS JOIN LATERAL (SELECT ${columns} FROM ${table} WHERE ${where_}${ordered} LIMIT ${limit}) AS child`
      : sql`SELECT ${columns}, parent_keys.position FROM ${parents} JOIN ${table} ON ${where_}${ordered}`;
  }
  const query = dialect.sqlToQuery(statement);
  return { text: query.sql, values: query.params, ...rowFormat };
}

/** The type's name for a cast, without length and precision: a cast to `varchar(3)` would cut in silence. */
function typeText(column: PgColumn): string {
  if (is(column, PgEnumColumn)) {
    const { schema, enumName } = column.enum;
    return schema === undefined ? identifier(enumName) : identifier(schema, enumName);
  }
  const type = column.getSQLType();
  const serial = /^(small|big)?serial$/.exec(type);
  if (serial !== null) return serial[1] === undefined ? "integer" : `${serial[1]}int`;
  const bare = type.replace(/\s*\([\d\s,]*\)/, "");
  return bare === "char" ? "bpchar" : bare;
}

function linkOf(schema: AnySchema, source: RowModel, relation: Relation): Link {
  const known = links.get(relation);
  if (known !== undefined) return known;
  const target = rowModel(relation.referencedTable);
  let sides: ReturnType<typeof normalizeRelation>;
  try {
    sides = normalizeRelation(schema?.schema ?? {}, schema?.tableNamesMap ?? {}, relation);
  } catch (cause) {
    throw new InvalidInputError(`the relation ${relation.fieldName} of ${source.name} is not complete`, {
      cause,
      hint: "declare the other side with one(table, { fields, references }) in relations(), and pass both to the factory's schema",
    });
  }
  const modelsOf = (model: RowModel, columns: readonly { readonly name: string }[]): ColumnModel[] =>
    columns.flatMap(({ name }) => model.columns.find(({ column }) => column.name === name) ?? []);
  const link: Link = {
    fields: modelsOf(source, sides.fields),
    references: modelsOf(target, sides.references),
    target,
    isMany: is(relation, Many),
  };
  links.set(relation, link);
  return link;
}

function tableConfig(schema: AnySchema, table: PgTable): TableRelationalConfig | undefined {
  return schema?.schema[schema.tableNamesMap[getTableUniqueName(table)] ?? ""];
}

function unknownRelation(
  { name: table }: RowModel,
  name: string,
  config: TableRelationalConfig | undefined,
): InvalidInputError {
  if (config === undefined)
    return new InvalidInputError(`the session factory was not told about the relations of ${table}`, {
      hint: "createSessionFactory(db, { schema: { …tables, …relations } })",
    });
  const known = Object.keys(config.relations);
  return new InvalidInputError(`the table ${table} has no relation ${name}`, {
    hint: known.length === 0 ? "declare it with Drizzle's relations()" : `its relations are ${known.join(", ")}`,
  });
}

const OPTIONS: ReadonlySet<string> = new Set(["with", "where", "orderBy", "limit", "withDeleted"]);

function checkedOptions(name: string, { isMany }: Link, options: unknown): Options {
  if (options === true) return {};
  if (typeof options !== "object" || options === null)
    throw new InvalidInputError(`the relation ${name} takes true or options`);
  const unknown = Object.keys(options).filter((key) => !OPTIONS.has(key));
  if (unknown.length > 0)
    throw new InvalidInputError(`the relation ${name} has no option ${unknown.join(", ")}`, {
      hint: `known are ${[...OPTIONS].join(", ")}`,
    });
  const { limit, orderBy } = options as Options;
  if (!isMany && (limit !== undefined || orderBy !== undefined))
    throw new InvalidInputError(`the relation ${name} leads to one row at most: it has no order and no limit`);
  if (limit !== undefined && (!Number.isSafeInteger(limit) || limit < 0))
    throw new InvalidInputError(`the limit of the relation ${name} must be a whole number from 0`);
  return options;
}
