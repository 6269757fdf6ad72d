// What models do not own: functions, triggers, extensions, grants, what stands in other schemas. It stays as it is at present.
import { getMaterializedViewConfig, getTableConfig, getViewConfig } from "drizzle-orm/pg-core";
import {
  catalogObjects,
  createStatements,
  objectId,
  rankOf,
  separateDefaults,
  type Catalog,
  type CatalogObject,
  type CatalogObjects,
} from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import type { BuildStatement } from "./build.ts";
import { shownName, type Models } from "./models.ts";
import { tableDescription, type TableDescription } from "./table-metadata.ts";

export interface KeptStatements {
  readonly first: readonly BuildStatement[];
  /** After every object that is there now, before those that are new: what new tables get by themselves. */
  readonly defaultPrivileges: readonly BuildStatement[];
  /** They would fire for everything that follows. */
  readonly eventTriggers: readonly BuildStatement[];
}

/**
 * The present objects that models do not speak of, as statements. Models own the tables, views, enums and sequences of the schemas
 * that they name, with columns, keys, checks, indexes and policies; but views, enums, sequences and policies only when they
 * declare at least one of the kind, since many a project writes those in SQL.
 */
export function keptStatements(present: Catalog, models: Models): KeptStatements {
  const objects = catalogObjects(present);
  const keeper = new Keeper(objects, models);
  const separate = separateDefaults(objects);
  const context = { serverVersion: present.serverVersion, objects, separateDefaults: separate };
  const kept = [...objects.values()]
    .filter((object) => keeper.keeps(object) && (object.kind !== "default" || separate.has(object.id)))
    .toSorted((a, b) => rankOf(a.kind) - rankOf(b.kind));
  const statementsOf = (object: CatalogObject): readonly BuildStatement[] =>
    sqlOf(object, objects, () => createStatements(object, context)).map((sql) => ({
      sql,
      subject: object.id,
      isOptional: true,
    }));
  const isLate = ({ kind }: CatalogObject): boolean => kind === "default privileges" || kind === "event trigger";
  return {
    first: kept.filter((object) => !isLate(object)).flatMap(statementsOf),
    defaultPrivileges: kept.filter(({ kind }) => kind === "default privileges").flatMap(statementsOf),
    eventTriggers: kept.filter(({ kind }) => kind === "event trigger").flatMap(statementsOf),
  };
}

/** A partition is made as one, so that it gets its parent's wanted columns, keys and indexes. */
function sqlOf(object: CatalogObject, objects: CatalogObjects, create: () => readonly string[]): readonly string[] {
  if (object.kind !== "table") return create();
  const partition = partitionOf(object, objects);
  if (partition === undefined) return create();
  const { parentSchema, parentTable, bound } = partition.facts;
  const { partitionKey } = object.facts;
  const by = partitionKey === undefined ? "" : ` PARTITION BY ${partitionKey}`;
  const name = identifier(object.schema ?? "public", object.name);
  return [`CREATE TABLE ${name} PARTITION OF ${identifier(parentSchema, parentTable)} ${bound}${by}`];
}

function partitionOf({ schema, name }: CatalogObject, objects: CatalogObjects): CatalogObject<"partition"> | undefined {
  const found = objects.get(objectId("partition", schema, name));
  return found?.kind === "partition" ? found : undefined;
}

class Keeper {
  readonly #objects: CatalogObjects;
  readonly #models: Models;
  readonly #tables: ReadonlyMap<string, TableDescription>;
  readonly #columnDefaults: ReadonlyMap<string, string>;
  readonly #existingViews: ReadonlySet<string>;
  readonly #says: { readonly views: boolean; readonly policies: boolean; readonly rowSecurity: boolean };

  constructor(objects: CatalogObjects, models: Models) {
    this.#objects = objects;
    this.#models = models;
    const configs = models.tables.map((table) => ({ table, config: getTableConfig(table) }));
    this.#tables = new Map(
      configs.map(({ table, config }) => [shownName(config.schema, config.name), tableDescription(table)]),
    );
    this.#columnDefaults = new Map(
      [...objects.values()].flatMap((object) =>
        object.kind === "default" ? [[object.parent ?? "", object.facts.expression] as const] : [],
      ),
    );
    const policies = configs.some(({ config }) => config.policies.length > 0) || models.linkedPolicies.length > 0;
    const views = [
      ...models.views.map((view) => getViewConfig(view)),
      ...models.materializedViews.map((view) => getMaterializedViewConfig(view)),
    ];
    this.#existingViews = new Set(
      views.filter(({ query }) => query === undefined).map(({ schema, name }) => shownName(schema, name)),
    );
    this.#says = {
      views: views.some(({ query }) => query !== undefined),
      policies,
      rowSecurity:
        policies ||
        configs.some(({ config }) => config.enableRLS) ||
        [...this.#tables.values()].some(({ forceRowSecurity }) => forceRowSecurity !== undefined),
    };
  }

  keeps(object: CatalogObject): boolean {
    const { kind, schema, name } = object;
    if (kind === "schema") return !this.#models.schemas.includes(name);
    if (kind === "default" || kind === "column") return kind === "default" && this.#keepsParent(object);
    if (kind === "partition" || kind === "index partition") return false; // made by CREATE TABLE … PARTITION OF
    if (["constraint", "index"].includes(kind) && object.inheritedFrom !== undefined) return false;
    if (schema !== undefined && !this.#models.schemas.includes(schema)) return true;
    const said = this.#tables.get(shownName(schema, name));
    if (kind === "enum") return this.#models.enums.length === 0;
    if (kind === "sequence" || kind === "sequence owner") return this.#keepsSequence(object);
    if (kind === "view") return !this.#says.views || this.#existingViews.has(shownName(schema, name));
    if (kind === "comment") return this.#keepsComment(object);
    if (kind === "table") return said === undefined && this.#keepsTable(object);
    if (said === undefined) return object.parent === undefined || this.#keepsParent(object);
    if (kind === "index") return false;
    if (kind === "constraint")
      return object.facts.kind === "exclusion" && said.exclude?.[object.part ?? ""] === undefined;
    if (kind === "row security") return !this.#says.rowSecurity;
    if (kind === "policy") return !this.#says.policies;
    return kind !== "trigger" || said.triggers?.[object.part ?? ""] === undefined;
  }

  #keepsParent({ parent }: CatalogObject): boolean {
    const object = parent === undefined ? undefined : this.#objects.get(parent);
    if (object === undefined || object.kind === "schema") return true;
    if (object.kind === "column") return this.#keepsParent(object);
    return this.keeps(object);
  }

  /** Foreign tables, and partitions of tables that stay: those are made as time goes by, not by models. */
  #keepsTable(table: CatalogObject<"table">): boolean {
    if (table.facts.kind === "foreign") return true;
    const partition = partitionOf(table, this.#objects);
    if (partition === undefined) return false;
    const { parentSchema, parentTable } = partition.facts;
    const parent = this.#tables.get(shownName(parentSchema, parentTable));
    if (parent !== undefined) return parent.partitions?.[table.name] === undefined;
    const above = this.#objects.get(objectId("table", parentSchema, parentTable));
    return above !== undefined && this.keeps(above);
  }

  /** A serial column of a model makes its sequence itself; one that a model's default names by hand has to be there. */
  #keepsSequence({ schema, name }: CatalogObject): boolean {
    if (this.#models.sequences.length > 0) return false;
    const owner = this.#objects.get(objectId("sequence owner", schema, name));
    if (owner?.kind !== "sequence owner") return true;
    const { schema: tableSchema, table, column } = owner.facts;
    const model = this.#models.tables.find((candidate) => {
      const config = getTableConfig(candidate);
      return shownName(config.schema, config.name) === shownName(tableSchema, table);
    });
    if (model === undefined) {
      const object = this.#objects.get(objectId("table", tableSchema, table));
      return object !== undefined && this.keeps(object);
    }
    const modelled = getTableConfig(model).columns.find((candidate) => candidate.name === column);
    if (modelled === undefined || /serial/i.test(modelled.getSQLType())) return false;
    const isUsed = this.#columnDefaults.get(objectId("column", tableSchema, table, column))?.includes(name) ?? false;
    return isUsed && modelled.default !== undefined;
  }

  #keepsComment(comment: CatalogObject<"comment">): boolean {
    const about = comment.parent === undefined ? undefined : this.#objects.get(comment.parent);
    if (about === undefined) return false;
    const said = this.#tables.get(shownName(about.schema, about.name));
    if (said === undefined) return this.keeps(about) || about.kind === "column" || about.kind === "schema";
    if (about.kind === "table") return said.comment === undefined;
    return about.kind !== "column" || said.columnComments === undefined;
  }
}
