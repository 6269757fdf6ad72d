// What is known of the database while a batch of migrations is read: the catalog, if there is one, with every statement so far
// applied to it. A table that the batch makes itself is new: nobody uses it yet, so locks on it hurt nobody.
import type { Catalog, Table } from "../catalog/index.ts";
import { provedByDefinition } from "./check-proof.ts";
import { parseType, type ColumnType } from "./type-change.ts";
import type { Name } from "./syntax.ts";

export interface ColumnState {
  type: ColumnType | undefined;
  /** `undefined` when nothing is known. */
  isNullable: boolean | undefined;
  isGenerated?: boolean;
  isNew?: boolean; // added by the batch
}

export interface ConstraintState {
  readonly kind: "primary key" | "unique" | "foreign key" | "check" | "exclusion" | "not null";
  readonly columns: readonly string[];
  isValidated: boolean;
  /** Columns that a CHECK proves not null. */
  readonly provesNotNull: readonly string[];
  readonly references: Name | undefined;
  readonly isToldByName?: boolean; // validated by the batch, made before
}

export interface IndexState {
  readonly columns: readonly string[];
  /** Expressions and predicate as SQL or as JSON of their parse tree, to look for columns. */
  readonly expressions: string;
  readonly isUnique: boolean;
  readonly isPartial: boolean;
  readonly notNullColumn: string | undefined; // of a partial one that leaves out only its nulls
  /** In order: a column's name, or for an expression its columns in parentheses. */
  readonly keys: readonly string[];
}

/** The key of an expression on these columns: enough to tell whether one index can stand for another. */
export function expressionKey(columns: readonly string[]): string {
  return `(${columns.toSorted().join(", ")})`;
}

export interface TableState {
  schema: string;
  name: string;
  /** Made by the batch. */
  isNew: boolean;
  isDropped: boolean;
  isFilled: boolean; // by the batch
  /** Columns of its partition key, also those of expressions; `undefined` for a table that is not known to be partitioned. */
  readonly partitionKey: readonly string[] | undefined;
  readonly isPartitioned: boolean;
  /** Whether all columns, constraints and indexes are known: a table of the catalog, or one the batch makes. */
  readonly isComplete: boolean;
  readonly rowEstimate: number | undefined;
  hasDefaultPartition: boolean;
  readonly isDefaultPartition: boolean;
  readonly partitions: Name[];
  /** Tables that inherit from it, and are no partitions. */
  readonly heirs: Name[];
  readonly columns: Map<string, ColumnState>;
  readonly constraints: Map<string, ConstraintState>;
  readonly indexes: Map<string, IndexState>;
  /** Whether `indexes` has one of that name. */
  readonly hasIndex: (name: string) => boolean;
  /** What makes a type change refused: views, policies, triggers, generated columns, each as said to a person. */
  readonly dependants: readonly { readonly what: string; readonly text: string }[];
  readonly isForeign: boolean;
}

export class BatchState {
  readonly hasCatalog: boolean;
  readonly tables = new Map<string, TableState>();
  /** Tables an unqualified name may mean. */
  searchPath: readonly string[] = ["public"];
  /** Types made by the batch: enums, domains, others. */
  readonly newTypes = new Set<string>();
  /** Domains by name: whether they are constrained. */
  readonly domains = new Map<string, { readonly isConstrained: boolean; readonly base: string | undefined }>();
  /** Volatility of functions by name, in lower case; the most volatile overload. */
  readonly functions = new Map<string, "immutable" | "stable" | "volatile">();
  readonly newFunctions = new Set<string>();
  readonly newViews = new Set<string>();
  readonly newSchemas = new Set<string>();
  /** Those of them that cannot have been there: what lies in them is of the batch. */
  readonly madeSchemas = new Set<string>();
  /** Settings of the session, lower case name → value. */
  readonly settings = new Map<string, string>();

  readonly #madeColumns: ColumnState[] = [];
  readonly #catalog: Catalog | undefined;
  /** By the names of indexes the keys of their tables, as the catalog has them. */
  #indexTables: ReadonlyMap<string, string> | undefined;

  constructor(catalog: Catalog | undefined) {
    this.#catalog = catalog;
    this.hasCatalog = catalog !== undefined;
    if (catalog === undefined) return;
    const children = childrenOf(catalog);
    for (const table of catalog.tables) this.tables.set(keyOf(table), fromCatalog(table, catalog, children));
    for (const domain of catalog.domains) {
      const isConstrained = !domain.isNullable || domain.constraints.length > 0;
      this.domains.set(domain.name, { isConstrained, base: domain.baseType });
    }
    for (const { name, volatility } of catalog.functions) this.noteFunction(name, volatility);
  }

  noteFunction(name: string, volatility: "immutable" | "stable" | "volatile"): void {
    const rank = ["immutable", "stable", "volatile"];
    const known = this.functions.get(name);
    if (known === undefined || rank.indexOf(volatility) > rank.indexOf(known)) this.functions.set(name, volatility);
  }

  /** The table a name means; one that nothing is known of is taken to exist. */
  table(name: Name): TableState {
    return this.find(name) ?? this.#unknown(name);
  }

  find(name: Name): TableState | undefined {
    if (name.schema !== undefined) return this.tables.get(keyOf({ schema: name.schema, name: name.name }));
    for (const schema of this.searchPath) {
      const found = this.tables.get(keyOf({ schema, name: name.name }));
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Whether the batch made a view, type, function or schema of that name, or the schema that the name says. */
  hasMade(name: Name): boolean {
    const sets = [this.newViews, this.newTypes, this.newFunctions, this.newSchemas];
    return this.isInMadeSchema(name) || sets.some((made) => made.has(name.name));
  }

  noteMadeColumn(column: ColumnState | undefined): void {
    if (column === undefined) return;
    column.isNew = true;
    this.#madeColumns.push(column);
  }

  /** Whether the batch added the column to a table that was there: nobody uses it yet. */
  hasMadeColumn(table: Name | undefined, column: string): boolean {
    return table !== undefined && this.find(table)?.columns.get(column)?.isNew === true;
  }

  isInMadeSchema({ schema }: Name): boolean {
    return schema !== undefined && this.madeSchemas.has(schema);
  }

  /** What was made so far exists: others use it from now on. */
  settle(): void {
    for (const table of this.tables.values()) table.isNew = false;
    for (const column of this.#madeColumns.splice(0)) column.isNew = false;
    for (const made of [this.newTypes, this.newFunctions, this.newViews, this.newSchemas]) made.clear();
    this.madeSchemas.clear();
    this.settings.clear();
    this.searchPath = ["public"];
  }

  create(name: Name, partitionKey: readonly string[] | undefined): TableState {
    const table = emptyTable(this.#qualified(name), { isNew: true, partitionKey, isComplete: true });
    this.tables.set(keyOf(table), table);
    return table;
  }

  rename(table: TableState, name: string, schema = table.schema): void {
    const old = { schema: table.schema, name: table.name };
    this.tables.delete(keyOf(table));
    table.name = name;
    table.schema = schema;
    this.tables.set(keyOf(table), table);
    for (const { partitions, heirs } of this.tables.values()) {
      for (const list of [partitions, heirs]) {
        const at = list.findIndex((child) => child.name === old.name && (child.schema ?? old.schema) === old.schema);
        if (at !== -1) list[at] = { schema, name };
      }
    }
  }

  renameSchema(from: string, to: string): void {
    const inside = [...this.tables.values()].filter(({ schema }) => schema === from);
    for (const table of inside) this.rename(table, table.name, to);
  }

  /** The table an index is on. */
  tableOfIndex(name: string): TableState | undefined {
    this.#indexTables ??= new Map(
      (this.#catalog?.tables.toReversed() ?? []).flatMap((table) =>
        table.indexes.map((index) => [index.name, keyOf(table)] as const),
      ),
    );
    const known = this.tables.get(this.#indexTables.get(name) ?? "");
    if (known?.hasIndex(name) === true) return known;
    for (const table of this.tables.values()) if (table.hasIndex(name)) return table;
    return undefined;
  }

  #qualified(name: Name): { readonly schema: string; readonly name: string } {
    return { schema: name.schema ?? this.searchPath[0] ?? "public", name: name.name };
  }

  #unknown(name: Name): TableState {
    const facts = { isNew: this.isInMadeSchema(name), partitionKey: undefined, isComplete: false };
    const table = emptyTable(this.#qualified(name), facts);
    this.tables.set(keyOf(table), table);
    return table;
  }
}

function keyOf({ schema, name }: { readonly schema: string; readonly name: string }): string {
  return `${schema}\0${name}`; // no name has a zero byte
}

function emptyTable(
  { schema, name }: { readonly schema: string; readonly name: string },
  facts: Pick<TableState, "isNew" | "partitionKey" | "isComplete">,
): TableState {
  const indexes = new Map<string, IndexState>();
  return {
    schema,
    name,
    ...facts,
    isPartitioned: facts.partitionKey !== undefined,
    isDropped: false,
    isFilled: false,
    rowEstimate: undefined,
    hasDefaultPartition: false,
    isDefaultPartition: false,
    partitions: [],
    heirs: [],
    columns: new Map(),
    constraints: new Map(),
    indexes,
    hasIndex: (index) => indexes.has(index),
    dependants: [],
    isForeign: false,
  };
}

interface Children {
  readonly partitions: ReadonlyMap<string, readonly Table[]>;
  readonly heirs: ReadonlyMap<string, readonly Table[]>;
}

/** By the key of their parent. */
function childrenOf({ tables }: Catalog): Children {
  const partitions = new Map<string, Table[]>();
  const heirs = new Map<string, Table[]>();
  const note = (children: Map<string, Table[]>, parent: { schema: string; name: string }, table: Table): void => {
    const known = children.get(keyOf(parent));
    if (known === undefined) children.set(keyOf(parent), [table]);
    else known.push(table);
  };
  for (const table of tables) {
    if (table.partitionOf !== undefined) note(partitions, table.partitionOf, table);
    for (const parent of table.inherits) note(heirs, parent, table);
  }
  return { partitions, heirs };
}

/** What is inside the table is made when somebody asks: statements are about few tables of a catalog. */
function fromCatalog(table: Table, catalog: Catalog, children: Children): TableState {
  const partitions = children.partitions.get(keyOf(table)) ?? [];
  const columns = once(() => columnsOf(table));
  const constraints = once(() => constraintsOf(table));
  let indexes: Map<string, IndexState> | undefined;
  return {
    schema: table.schema,
    name: table.name,
    isNew: false,
    isDropped: false,
    isFilled: false,
    // It looks for the name of every column.
    get partitionKey() {
      const key = table.partitionKey;
      return key === undefined ? undefined : table.columns.flatMap(({ name }) => (mentions(key, name) ? [name] : []));
    },
    isPartitioned: table.kind === "partitioned",
    isComplete: true,
    rowEstimate:
      table.kind === "partitioned"
        ? partitions.reduce<number | undefined>(
            (sum, { rowEstimate }) => (sum === undefined || rowEstimate === undefined ? undefined : sum + rowEstimate),
            0,
          )
        : table.rowEstimate,
    hasDefaultPartition: partitions.some(({ partitionOf }) => partitionOf?.bound === "DEFAULT"),
    isDefaultPartition: table.partitionOf?.bound === "DEFAULT",
    partitions: partitions.map(({ schema, name }) => ({ schema, name })),
    heirs: (children.heirs.get(keyOf(table)) ?? []).map(({ schema, name }) => ({ schema, name })),
    get columns() {
      return columns();
    },
    get constraints() {
      return constraints();
    },
    get indexes() {
      return (indexes ??= indexesOf(table));
    },
    // Every table is asked for the one that a statement names.
    hasIndex: (index) => indexes?.has(index) ?? table.indexes.some(({ name }) => name === index),
    // It reads the text of every view.
    get dependants() {
      return dependantsOf(table, catalog);
    },
    isForeign: table.kind === "foreign",
  };
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

function columnsOf(table: Table): Map<string, ColumnState> {
  return new Map(
    table.columns.map((column) => [
      column.name,
      {
        type: parseType(column.type),
        isNullable:
          column.isNullable ||
          // PostgreSQL 18: a NOT NULL constraint that is not validated proves nothing yet.
          table.constraints.some(
            ({ kind, columns, isValidated }) => kind === "not null" && !isValidated && columns[0] === column.name,
          ),
        isGenerated: column.generated !== undefined,
      },
    ]),
  );
}

function constraintsOf(table: Table): Map<string, ConstraintState> {
  return new Map(
    table.constraints.map(({ name, kind, columns, isValidated, definition, references }) => [
      name,
      {
        kind,
        columns,
        isValidated,
        provesNotNull: kind === "check" ? provedByDefinition(definition) : [],
        references: references === undefined ? undefined : { schema: references.schema, name: references.table },
      },
    ]),
  );
}

function indexesOf(table: Table): Map<string, IndexState> {
  const names = table.columns.map(({ name }) => name);
  return new Map(
    table.indexes.map(({ name, keys, predicate, isUnique }) => [
      name,
      {
        columns: keys.flatMap(({ column }) => column ?? []),
        expressions: [
          ...keys.flatMap(({ column, expression }) => (column === undefined ? [expression] : [])),
          predicate ?? "",
        ].join(" "),
        isUnique,
        isPartial: predicate !== undefined,
        notNullColumn: /^\(?"?([^"()]+)"? IS NOT NULL\)?$/.exec(predicate ?? "")?.[1],
        // Looks for the name of every column in every expression.
        get keys() {
          return keys.map(
            ({ column, expression }) =>
              column ?? expressionKey(names.filter((columnName) => mentions(expression, columnName))),
          );
        },
      },
    ]),
  );
}

function dependantsOf(table: Table, catalog: Catalog): TableState["dependants"] {
  return [
    ...catalog.views
      .filter(({ definition }) => mentions(definition, table.name))
      .map(({ name, kind, definition }) => ({ what: `the ${kind} ${name}`, text: definition })),
    ...table.policies.map(({ name, using, withCheck }) => ({
      what: `the policy ${name}`,
      text: `${using ?? ""} ${withCheck ?? ""}`,
    })),
    ...table.triggers
      .filter(({ isLocal }) => isLocal)
      .map(({ name, updateColumns, definition }) => ({
        what: `the trigger ${name}`,
        text: `${updateColumns.join(" ")} ${/ WHEN \((.*)\) EXECUTE /.exec(definition)?.[1] ?? ""}`,
      })),
    ...table.columns.flatMap(({ name, generated }) =>
      generated === undefined ? [] : [{ what: `the generated column ${name}`, text: generated.expression }],
    ),
  ];
}

/** Whether SQL text names a column or table. */
export function mentions(sql: string, name: string): boolean {
  const quoted = name.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  return new RegExp(String.raw`(?<![\w$])${quoted}(?![\w$])`).test(sql);
}
