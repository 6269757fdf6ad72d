// Makes rows for one table that its constraints accept: a first guess, then, for each refusal, other values in the columns of the
// constraint that refused.
import type { Catalog, Column, Constraint, Table } from "../../catalog/index.ts";
import { DatabaseError, identifier, IntegrityError, type Connection } from "../../postgres/index.ts";
import { hintsOf } from "./check-hints.ts";
import { quoted, type TypeSamples } from "./type-samples.ts";

/** Refusals after which a row is given up. Each costs one statement; nearly all tables need none. */
const ATTEMPTS = 80;
/** Candidates of one column that are combined with those of others. */
const CANDIDATES = 10;
const PARENT_ROWS = 20;
const STATEMENT_LIMIT_MS = 10_000;
/** Of an array whose length a check asks for. */
const MOST_ELEMENTS = 20;

export interface SeededRows {
  readonly rows: number;
  /** The primary keys of the rows, as texts; empty without one. */
  readonly keys: readonly (readonly string[])[];
  /** Why there are no more of them. */
  readonly refusal: string | undefined;
}

interface ForeignKey {
  readonly name: string;
  readonly columns: readonly string[];
  /** Rows of the table it points to, `undefined` standing for NULL. */
  readonly parents: readonly (readonly (string | null)[] | undefined)[];
  readonly isSelf: boolean;
  readonly referenced: readonly string[];
}

type Values = Map<string, string | null>;

export interface SeedPlace {
  readonly connection: Connection;
  readonly catalog: Catalog;
  readonly samples: TypeSamples;
  /** The login may set `session_replication_role`. */
  readonly maySkipTriggers: boolean;
}

/** Inserts up to `wanted` rows into a table that is empty. Each is a transaction of its own. */
export async function seedTable(
  place: SeedPlace,
  table: Table,
  wanted: number,
  firstNumber: number,
): Promise<SeededRows> {
  const maker = new RowMaker(place, table);
  const keys: (readonly string[])[] = [];
  let rows = 0;
  let refusal: string | undefined;
  for (let index = 0; index < wanted; index++) {
    refusal = await maker.insert(firstNumber + index, keys);
    if (refusal !== undefined) break;
    rows++;
  }
  return { rows, keys, refusal };
}

class RowMaker {
  readonly #connection: Connection;
  readonly #catalog: Catalog;
  readonly #samples: TypeSamples;
  readonly #maySkipTriggers: boolean;
  readonly #table: Table;
  readonly #columns: readonly Column[];
  readonly #primaryKey: readonly string[];
  readonly #hints = new Map<string, readonly string[]>();

  constructor({ connection, catalog, samples, maySkipTriggers }: SeedPlace, table: Table) {
    this.#connection = connection;
    this.#catalog = catalog;
    this.#samples = samples;
    this.#maySkipTriggers = maySkipTriggers;
    this.#table = table;
    this.#columns = table.columns.filter(({ generated }) => generated === undefined);
    this.#primaryKey = table.constraints.find(({ kind }) => kind === "primary key")?.columns ?? [];
    for (const column of this.#columns) this.#hints.set(column.name, this.#hintsFor(column));
  }

  /** @returns why it could not be inserted; `undefined` when it was */
  async insert(n: number, keys: (readonly string[])[]): Promise<string | undefined> {
    const foreignKeys = await this.#foreignKeys();
    const empty = foreignKeys.find(({ parents, isSelf }) => parents.length === 0 && !isSelf);
    if (empty !== undefined) return `its foreign key ${empty.name} points to a table without rows`;
    // All columns first; then only those that must have a value; then the same without triggers, which may refuse made-up rows.
    let refusal: string | undefined;
    const ways = [
      { isMinimal: false, skipsTriggers: false },
      { isMinimal: true, skipsTriggers: false },
      ...(this.#maySkipTriggers ? [{ isMinimal: true, skipsTriggers: true }] : []),
    ];
    for (const way of ways) {
      const tried = await this.#tryRow(n, way, foreignKeys);
      if (typeof tried !== "string") {
        if (tried.length > 0) keys.push(tried);
        return undefined;
      }
      refusal = tried;
    }
    return refusal;
  }

  async #tryRow(
    n: number,
    { isMinimal, skipsTriggers }: { readonly isMinimal: boolean; readonly skipsTriggers: boolean },
    foreignKeys: readonly ForeignKey[],
  ): Promise<readonly string[] | string> {
    const columns = this.#columns.filter(
      (column) =>
        !isMinimal ||
        this.#primaryKey.includes(column.name) ||
        (!column.isNullable && column.default === undefined && column.identity === undefined),
    );
    const pools = new Map(columns.map((column) => [column.name, this.#pool(column, n)]));
    const choices = new Map<string, number>();
    const turns = new Map<string, number>();
    for (let attempt = 0; ; attempt++) {
      const values = rowOf(pools, choices, foreignKeys, n);
      try {
        return await this.#send(values, skipsTriggers);
      } catch (error) {
        if (!(error instanceof DatabaseError)) throw error;
        const involved = error instanceof IntegrityError ? this.#involved(error, foreignKeys) : [];
        if (involved.length === 0 || attempt >= ATTEMPTS) return error.message;
        const label = error.constraint ?? error.sqlState;
        const turn = (turns.get(label) ?? 0) + 1;
        turns.set(label, turn);
        advance(involved, turn, choices, (name) => sizeOf(name, pools, foreignKeys));
      }
    }
  }

  async #send(values: Values, skipsTriggers: boolean): Promise<readonly string[]> {
    const names = [...values.keys()];
    const returning = this.#primaryKey.map((name) => `${identifier(name)}::text`);
    const target = identifier(this.#table.schema, this.#table.name);
    const text =
      (names.length === 0
        ? `INSERT INTO ${target} DEFAULT VALUES`
        : `INSERT INTO ${target} (${names.map((name) => identifier(name)).join(", ")}) OVERRIDING SYSTEM VALUE VALUES (${names.map((_, index) => `$${index + 1}`).join(", ")})`) +
      (returning.length === 0 ? "" : ` RETURNING ARRAY[${returning.join(", ")}] AS key`);
    const options = { timeoutMs: STATEMENT_LIMIT_MS };
    // One implicit transaction: the setting is gone with it.
    const role = { text: "SET LOCAL session_replication_role = replica" };
    const statement = { text, values: [...values.values()], prepare: false } as const;
    const results = await this.#connection.batch(skipsTriggers ? [role, statement] : [statement], options);
    const row = results.at(-1)?.rows[0] as { key?: readonly string[] } | undefined;
    return row?.key ?? [];
  }

  /** Columns, or foreign keys, whose values the refusal is about. */
  #involved(error: IntegrityError, foreignKeys: readonly ForeignKey[]): readonly string[] {
    const { constraint: name, columns: told = [] } = error;
    const foreignKey = foreignKeys.find((key) => key.name === name);
    if (foreignKey !== undefined) return [foreignKeyLabel(foreignKey)];
    const constraint = this.#table.constraints.find((candidate) => candidate.name === name);
    const index = this.#table.indexes.find((candidate) => candidate.name === name);
    let columns: readonly string[] = constraint?.columns ?? [];
    if (columns.length === 0 && index !== undefined)
      columns = this.#columns.map((column) => column.name).filter((column) => mentions(index.definition, column));
    if (columns.length === 0 && name !== undefined) {
      const domain = this.#catalog.domains.find((candidate) =>
        candidate.constraints.some((item) => item.name === name),
      );
      if (domain !== undefined)
        columns = this.#columns.flatMap((column) =>
          column.typeName.schema === domain.schema && column.typeName.name === domain.name ? [column.name] : [],
        );
    }
    if (columns.length === 0) columns = told;
    if (columns.length === 0) columns = this.#partitionColumns();
    return [...new Set(columns.map((column) => foreignKeyOf(column, foreignKeys) ?? column))];
  }

  /** Columns by which this table and its partitions are divided: no partition may take the row. */
  #partitionColumns(): readonly string[] {
    const keys = this.#family().flatMap(({ partitionKey }) => partitionKey ?? []);
    return this.#columns.map(({ name }) => name).filter((name) => keys.some((key) => mentions(key, name)));
  }

  #family(): readonly Table[] {
    if (this.#table.partitionKey === undefined) return [];
    const family = [this.#table];
    for (const parent of family) {
      family.push(
        ...this.#catalog.tables.filter(
          ({ partitionOf }) => partitionOf?.schema === parent.schema && partitionOf.name === parent.name,
        ),
      );
    }
    return family;
  }

  #hintsFor(column: Column): readonly string[] {
    const { name, type } = column;
    const isText = this.#samples.isText(type);
    const labels = this.#samples.labels(this.#samples.baseOf(type));
    const checks = this.#table.constraints.filter(
      (constraint) => constraint.kind === "check" && constraint.columns.includes(name),
    );
    const domain = this.#catalog.domains.find(
      (candidate) => candidate.schema === column.typeName.schema && candidate.name === column.typeName.name,
    );
    const bounds = this.#family().flatMap(({ partitionOf, partitionKey }) =>
      partitionOf !== undefined && mentions(this.#table.partitionKey ?? partitionKey ?? "", name)
        ? [partitionOf.bound]
        : [],
    );
    const definitions = [
      ...checks.map(({ definition }) => definition),
      ...(domain?.constraints ?? []).map(({ definition }) => definition),
      ...bounds,
    ];
    const element = this.#samples.elementOf(type);
    if (element !== undefined) return this.#arrayHints(definitions, element);
    return definitions
      .flatMap((definition) => hintsOf(definition))
      .filter((text) =>
        labels === undefined ? fits(this.#samples.baseOf(type), text, isText) : labels.includes(text),
      );
  }

  /** Arrays of what the checks name, and of as many elements. */
  #arrayHints(definitions: readonly string[], element: string): readonly string[] {
    const isText = this.#samples.isText(element);
    const sample = quoted(this.#samples.of(element, 0)[0] ?? "");
    const labels = this.#samples.labels(this.#samples.baseOf(element));
    return definitions.flatMap((definition) => {
      const hints = hintsOf(definition);
      const counts = /(?:array_length|cardinality|array_upper)\(/.test(definition)
        ? hints.map(Number).filter((count) => Number.isInteger(count) && count > 1 && count <= MOST_ELEMENTS)
        : [];
      return [
        ...counts.map((count) => `{${Array.from({ length: count }, () => sample).join(",")}}`),
        ...hints
          .filter((text) => labels?.includes(text) ?? fits(this.#samples.baseOf(element), text, isText))
          .map((text) => `{${quoted(text)}}`),
      ];
    });
  }

  /** Candidates for a column, NULL last. */
  #pool(column: Column, n: number): readonly (string | null)[] {
    const general = this.#samples.of(column.type, n);
    const hints = this.#hints.get(column.name) ?? [];
    const turned = hints.map((_, index) => hints[(index + n) % hints.length] ?? "");
    const isText = this.#samples.isText(column.type);
    // A constant of a check is what a text must be more often than a bound; a number is the bound more often.
    const ordered = isText ? [...hints.slice(0, 1), ...turned, ...general] : [...general, ...turned];
    const known: (string | null)[] = [...new Set(ordered)];
    if (column.isNullable || known.length === 0) known.push(null);
    return known;
  }

  async #foreignKeys(): Promise<readonly ForeignKey[]> {
    const constraints = this.#table.constraints
      .filter(({ kind, isEnforced }) => kind === "foreign key" && isEnforced)
      .toSorted((a, b) => b.columns.length - a.columns.length);
    const keys: ForeignKey[] = [];
    for (const constraint of constraints) {
      const { references } = constraint;
      if (references === undefined) continue;
      const isSelf = references.schema === this.#table.schema && references.table === this.#table.name;
      const parents: (readonly (string | null)[] | undefined)[] = [...(await this.#parentRows(constraint))];
      const isNullable = constraint.columns.some(
        (name) => this.#columns.find((column) => column.name === name)?.isNullable === true,
      );
      if (isNullable) parents.push(undefined);
      const { name, columns } = constraint;
      keys.push({ name, columns, parents, isSelf, referenced: references.columns });
    }
    return keys;
  }

  async #parentRows({ references }: Constraint): Promise<readonly (readonly (string | null)[])[]> {
    if (references === undefined) return [];
    const columns = references.columns.map((name) => `${identifier(name)}::text`).join(", ");
    const { rows } = await this.#connection.query<{ key: (string | null)[] }>(
      `SELECT ARRAY[${columns}] AS key FROM ${identifier(references.schema, references.table)} LIMIT ${PARENT_ROWS}`,
      [],
      { timeoutMs: STATEMENT_LIMIT_MS },
    );
    return rows.map(({ key }) => key);
  }
}

/** The row that the choices stand for. */
function rowOf(
  pools: ReadonlyMap<string, readonly (string | null)[]>,
  choices: ReadonlyMap<string, number>,
  foreignKeys: readonly ForeignKey[],
  n: number,
): Values {
  const values: Values = new Map();
  for (const [name, pool] of pools) values.set(name, pool[(choices.get(name) ?? 0) % Math.max(1, pool.length)] ?? null);
  const taken = new Set<string>();
  for (const key of foreignKeys) {
    // A row that points to itself, where nothing else is there to point to.
    const own = key.isSelf ? [key.referenced.map((name) => values.get(name) ?? null)] : [];
    const known = key.columns.filter((name) => taken.has(name));
    const matching = [...key.parents, ...own].filter(
      (parent) => parent === undefined || known.every((name) => parent[key.columns.indexOf(name)] === values.get(name)),
    );
    const filled = matching.filter((parent) => parent !== undefined).length - own.length;
    const choice = choices.get(foreignKeyLabel(key)) ?? n % Math.max(1, filled);
    const parent = matching[choice % Math.max(1, matching.length)];
    key.columns.forEach((name, index) => {
      if (taken.has(name)) return;
      taken.add(name);
      if (parent !== undefined || values.has(name)) values.set(name, parent?.[index] ?? null);
    });
  }
  return values;
}

/** Takes the next combination of what is involved: the number of the turn written in the candidates' counts as digits. */
function advance(
  involved: readonly string[],
  turn: number,
  choices: Map<string, number>,
  sizeOfName: (name: string) => number,
): void {
  let rest = turn;
  for (const name of involved) {
    const size = involved.length === 1 ? sizeOfName(name) : Math.min(CANDIDATES, sizeOfName(name));
    choices.set(name, rest % size);
    rest = Math.floor(rest / size);
  }
}

function sizeOf(
  name: string,
  pools: ReadonlyMap<string, readonly unknown[]>,
  foreignKeys: readonly ForeignKey[],
): number {
  const key = foreignKeys.find((candidate) => foreignKeyLabel(candidate) === name);
  return Math.max(1, key === undefined ? (pools.get(name)?.length ?? 1) : key.parents.length + (key.isSelf ? 1 : 0));
}

function foreignKeyLabel({ name }: ForeignKey): string {
  return `foreign key ${name}`;
}

function foreignKeyOf(column: string, foreignKeys: readonly ForeignKey[]): string | undefined {
  const key = foreignKeys.find(({ columns }) => columns.includes(column));
  return key === undefined ? undefined : foreignKeyLabel(key);
}

function mentions(sql: string, column: string): boolean {
  const escaped = column.replaceAll(/[$()*+.?[\\\]^{|}]/g, "\\$&");
  return new RegExp(`(?<![\\w"])"?${escaped}"?(?![\\w"])`).test(sql);
}

/** Whether a constant of a check can be a value of the type; a text that cannot would end the search. */
function fits(type: string, text: string, isText: boolean): boolean {
  if (isText) {
    const limit = /^character(?: varying)?\((\d+)\)/.exec(type)?.[1];
    return limit === undefined || text.length <= Number(limit);
  }
  if (/^(?:smallint|integer|bigint|oid)/.test(type)) return /^-?\d{1,9}$/.test(text);
  if (/^(?:numeric|real|double|money)/.test(type)) return /^-?\d{1,15}(?:\.\d+)?$/.test(text);
  if (/^(?:date|timestamp)/.test(type)) return /^\d{4}-\d\d-\d\d/.test(text);
  if (type === "uuid") return /^[\da-f]{8}-(?:[\da-f]{4}-){3}[\da-f]{12}$/i.test(text);
  return false;
}
