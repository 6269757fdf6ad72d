// What modules export, sorted into the things that make up a schema: tables, enums, schemas, views, sequences, policies, roles.
import { is, Table } from "drizzle-orm";
import {
  getMaterializedViewConfig,
  getTableConfig,
  getViewConfig,
  isPgEnum,
  isPgSequence,
  PgColumn,
  PgMaterializedView,
  PgPolicy,
  PgRole,
  PgSchema,
  PgTable,
  PgView,
  type PgEnum,
  type PgSequence,
} from "drizzle-orm/pg-core";
import { InvalidInputError } from "../../postgres/index.ts";
import type { ModuleExport } from "./load-modules.ts";

type AnyEnum = PgEnum<[string, ...string[]]>;

export interface Models {
  readonly tables: readonly PgTable[];
  readonly enums: readonly AnyEnum[];
  /** Names; `public` is among them when something without a schema is declared. */
  readonly schemas: readonly string[];
  readonly views: readonly PgView[];
  readonly materializedViews: readonly PgMaterializedView[];
  readonly sequences: readonly PgSequence[];
  /** Policies that name their table by `.link(table)`, beside those that stand in the table. */
  readonly linkedPolicies: readonly (readonly [table: PgTable, policy: PgPolicy])[];
  /** Names of roles that policies are for. */
  readonly roles: readonly string[];
}

/** Schema and name as one text, for messages and as a key. */
export function shownName(schema: string | undefined, name: string): string {
  return `${schema ?? "public"}.${name}`;
}

const IS_ALIAS = Symbol.for("drizzle:IsAlias");

/**
 * Sorts exports. What one module exports and another exports again is one thing. Enums and schemas that tables use count whether
 * they are exported or not. Exported objects and lists are looked into, one level deep.
 *
 * @throws InvalidInputError when nothing of a PostgreSQL schema is exported, a table is of another database, or two different
 *   tables, enums or views have one name
 */
export function collectModels(exports: readonly ModuleExport[]): Models {
  const named = new Named();
  const tables: PgTable[] = [];
  const enums: AnyEnum[] = [];
  const views: PgView[] = [];
  const materializedViews: PgMaterializedView[] = [];
  const sequences: PgSequence[] = [];
  const linkedPolicies: (readonly [PgTable, PgPolicy])[] = [];
  const schemas = new Set<string>();
  const roles = new Set<string>();

  for (const exported of exports.flatMap(withInner)) {
    const { value } = exported;
    if (is(value, Table)) {
      if (!is(value, PgTable)) {
        throw new InvalidInputError(`${exported.name} in ${exported.file} is not a PostgreSQL table`, {
          hint: "models are made with pgTable() of drizzle-orm/pg-core",
        });
      }
      if ((value as { readonly [IS_ALIAS]?: boolean })[IS_ALIAS] === true) continue;
      const { schema, name } = configOf(value, exported);
      if (!named.isNew("table", schema, name, exported)) continue;
      tables.push(value);
      schemas.add(schema ?? "public");
    } else if (is(value, PgView)) {
      const { schema, name } = getViewConfig(value);
      if (!named.isNew("view", schema, name, exported)) continue;
      views.push(value);
      schemas.add(schema ?? "public");
    } else if (is(value, PgMaterializedView)) {
      const { schema, name } = getMaterializedViewConfig(value);
      if (!named.isNew("view", schema, name, exported)) continue;
      materializedViews.push(value);
      schemas.add(schema ?? "public");
    } else if (isPgEnum(value)) {
      if (named.isNew("enum", value.schema, value.enumName, exported)) enums.push(value);
    } else if (isPgSequence(value)) {
      if (value.seqName !== undefined && named.isNew("sequence", value.schema, value.seqName, exported))
        sequences.push(value);
    } else if (is(value, PgSchema)) {
      schemas.add(value.schemaName);
    } else if (is(value, PgRole)) {
      roles.add(value.name);
    } else if (is(value, PgPolicy)) {
      const { _linkedTable: table } = value as unknown as { readonly _linkedTable?: PgTable };
      if (table !== undefined && !linkedPolicies.some(([, policy]) => policy === value))
        linkedPolicies.push([table, value]);
    }
  }
  if (tables.length + views.length + materializedViews.length + enums.length + sequences.length === 0) {
    const files = [...new Set(exports.map(({ file }) => file))];
    throw new InvalidInputError(`no Drizzle table is exported${files.length === 0 ? "" : ` by ${files.join(", ")}`}`, {
      hint: 'export the tables: export const users = pgTable("users", { … })',
    });
  }
  for (const used of tables.flatMap((table) => getTableConfig(table).columns.flatMap(enumOf))) {
    const known = enums.find((one) => one.enumName === used.enumName && one.schema === used.schema);
    if (known === undefined) enums.push(used);
  }
  for (const { schema } of [...enums, ...sequences]) schemas.add(schema ?? "public");
  for (const policy of [
    ...linkedPolicies.map(([, linked]) => linked),
    ...tables.flatMap((t) => getTableConfig(t).policies),
  ])
    for (const role of rolesOf(policy)) if (!ROLE_WORDS.has(role)) roles.add(role);
  return {
    tables,
    enums,
    schemas: [...schemas].sort(),
    views,
    materializedViews,
    sequences,
    linkedPolicies,
    roles: [...roles].sort(),
  };
}

/** What stands in a policy's TO without being the name of a role. */
export const ROLE_WORDS: ReadonlySet<string> = new Set(["public", "current_role", "current_user", "session_user"]);

export function rolesOf({ to }: PgPolicy): readonly string[] {
  return to === undefined ? ["public"] : roleNames(to);
}

function roleNames(to: NonNullable<PgPolicy["to"]>): readonly string[] {
  if (typeof to === "string") return [to];
  return Array.isArray(to) ? to.flatMap(roleNames) : [to.name];
}

/** The enum of a column, or of the elements of an array. */
export function enumOf(column: PgColumn): readonly AnyEnum[] {
  const { enum: own, baseColumn } = column as unknown as { readonly enum?: unknown; readonly baseColumn?: unknown };
  if (isPgEnum(own)) return [own];
  return is(baseColumn, PgColumn) ? enumOf(baseColumn) : [];
}

function withInner(exported: ModuleExport): readonly ModuleExport[] {
  const { value, file, name } = exported;
  const isPlain =
    Array.isArray(value) ||
    (typeof value === "object" && value !== null && [Object.prototype, null].includes(Object.getPrototypeOf(value)));
  if (!isPlain) return [exported];
  return Object.entries(value as Readonly<Record<string, unknown>>).map(([key, inner]) => ({
    file,
    name: `${name}.${key}`,
    value: inner,
  }));
}

function configOf(
  table: PgTable,
  { file, name }: ModuleExport,
): { readonly schema: string | undefined; readonly name: string } {
  try {
    return getTableConfig(table);
  } catch (cause) {
    throw new InvalidInputError(
      `the table ${name} in ${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause, hint: "its second argument gives columns, its third indexes and constraints over those columns" },
    );
  }
}

class Named {
  readonly #seen = new Map<string, ModuleExport>();

  /** False for the same thing again. */
  isNew(kind: string, schema: string | undefined, name: string, exported: ModuleExport): boolean {
    // Tables and views share their names in PostgreSQL; enums have a type's.
    const key = `${kind === "enum" ? "type" : "relation"} ${shownName(schema, name)}`;
    const other = this.#seen.get(key);
    if (other === undefined) {
      this.#seen.set(key, exported);
      return true;
    }
    if (other.value === exported.value) return false;
    throw new InvalidInputError(
      `two models have the name ${shownName(schema, name)}: ${other.name} in ${other.file} and ${exported.name} in ${exported.file}`,
      { hint: `keep one of them, or rename a ${kind}` },
    );
  }
}
