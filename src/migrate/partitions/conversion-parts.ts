// What a plain table has that its partitioned successor must have too, and what stands in the way of the conversion.
import {
  catalogObjects,
  createStatements,
  type Catalog,
  type CatalogObject,
  type Constraint,
  type Index,
  type Sequence,
  type Table,
} from "../../catalog/index.ts";
import { identifier, InvalidInputError } from "../../postgres/index.ts";
import { findColumn, findTable, requirePlainTable } from "../expand/parts.ts";
import { withSuffix } from "./policy.ts";

export interface ConversionParts {
  readonly catalog: Catalog;
  readonly table: Table;
  readonly column: Table["columns"][number];
  /** Primary key and unique constraints, and plain unique indexes, with whether they hold the partition key already. */
  readonly uniques: readonly {
    readonly index: Index;
    readonly constraint: Constraint | undefined;
    readonly holdsKey: boolean;
  }[];
  readonly indexes: readonly Index[];
  readonly foreignKeys: readonly Constraint[];
  readonly incoming: readonly { readonly schema: string; readonly table: string; readonly key: Constraint }[];
  /** The identity column and its sequence. */
  readonly identity: { readonly column: Table["columns"][number]; readonly sequence: Sequence } | undefined;
  readonly serials: readonly Sequence[];
  /** Statements that make the views that read the table anew: they hold on to the table itself, not to its name. */
  readonly views: readonly string[];
  readonly policiesElsewhere: readonly string[];
  readonly partName: string;
}

/** @throws InvalidInputError for what a partitioned table cannot have, or what could not be carried over */
export function conversionParts(
  catalog: Catalog,
  names: { readonly schema: string; readonly table: string; readonly column: string },
  mayWeakenKeys: boolean,
  suffix: string,
): ConversionParts {
  const table = findTable(catalog, names.schema, names.table);
  const full = `${table.schema}.${table.name}`;
  if (table.kind === "partitioned") throw new InvalidInputError(`${full} is partitioned already`);
  requirePlainTable(catalog, table);
  const column = findColumn(table, names.column);
  refuseObstacles(catalog, table, column);
  const uniques = table.indexes
    .filter(({ isUnique, isValid }) => isUnique && isValid)
    .map((index) => ({
      index,
      constraint: table.constraints.find(({ name }) => name === index.constraint),
      holdsKey: index.keys.some((key) => key.column === column.name),
    }));
  const weaker = uniques.filter(({ holdsKey }) => !holdsKey).map(({ index }) => index.name);
  if (weaker.length > 0 && !mayWeakenKeys) {
    throw new InvalidInputError(
      `${weaker.join(", ")} of ${full} would be unique only together with ${column.name}: a partitioned table knows no other`,
      { hint: "allow it with weakerKeys (--weaker-keys), or partition by a column of the key" },
    );
  }
  const incoming = incomingKeys(catalog, table, column.name);
  const owned = catalog.sequences.filter(
    ({ ownedBy }) => ownedBy?.schema === table.schema && ownedBy.table === table.name,
  );
  const identitySequence = owned.find(({ ownedBy }) => ownedBy?.isIdentity === true);
  const identityColumn = table.columns.find(({ identity }) => identity !== undefined);
  const partName = withSuffix(table.name, suffix);
  if (catalog.tables.some(({ schema, name }) => schema === table.schema && name === partName))
    throw new InvalidInputError(`there is a relation ${table.schema}.${partName} already`);
  return {
    catalog,
    table,
    column,
    uniques,
    indexes: table.indexes.filter(({ isUnique, isValid }) => !isUnique && isValid),
    foreignKeys: table.constraints.filter(({ kind }) => kind === "foreign key"),
    incoming,
    identity:
      identityColumn === undefined || identitySequence === undefined
        ? undefined
        : { column: identityColumn, sequence: identitySequence },
    serials: owned.filter((sequence) => sequence !== identitySequence),
    ...dependants(catalog, table),
    partName,
  };
}

function refuseObstacles(catalog: Catalog, table: Table, column: Table["columns"][number]): void {
  const full = `${table.schema}.${table.name}`;
  const refuse = (message: string, hint: string): void => {
    throw new InvalidInputError(message, { hint });
  };
  if (column.isNullable)
    refuse(
      `${full}.${column.name} may be NULL`,
      'make it NOT NULL first: pgsteward migrate expand "column … not null default …"',
    );
  if (column.generated !== undefined)
    refuse(`${full}.${column.name} is generated`, "a partition key needs a plain column");
  if (table.persistence !== "permanent")
    refuse(`${full} is ${table.persistence}`, "a partitioned table is permanent: SET LOGGED first");
  if (table.replicaIdentity === "index")
    refuse(`the replica identity of ${full} is an index`, "set it to DEFAULT or FULL first");
  for (const constraint of table.constraints) {
    const { kind, name, isValidated, isNoInherit, isEnforced } = constraint;
    if (kind === "exclusion") refuse(`${full} has the exclusion constraint ${name}`, "drop it first");
    if ((kind === "check" || kind === "foreign key") && (!isValidated || !isEnforced))
      refuse(
        `the constraint ${name} of ${full} is not validated or not enforced`,
        `ALTER TABLE ${full} VALIDATE CONSTRAINT ${name}, or drop it`,
      );
    if (kind === "check" && isNoInherit)
      refuse(`the check ${name} of ${full} is NO INHERIT`, "a partitioned table cannot have one: make it anew without");
  }
  const statistics = catalog.statistics.find(({ table: of }) => of.schema === table.schema && of.name === table.name);
  if (statistics !== undefined)
    refuse(
      `the extended statistics ${statistics.name} belong to ${full}`,
      "drop them first, and make them anew on the partitioned table",
    );
}

function incomingKeys(catalog: Catalog, table: Table, column: string): ConversionParts["incoming"] {
  const found = catalog.tables.flatMap((other) =>
    other.constraints
      .filter(
        ({ references, isLocal }) => isLocal && references?.schema === table.schema && references.table === table.name,
      )
      .map((key) => ({ schema: other.schema, table: other.name, key, isPartitioned: other.kind === "partitioned" })),
  );
  for (const { schema, table: other, key, isPartitioned } of found) {
    if (other === table.name && schema === table.schema)
      throw new InvalidInputError(`the foreign key ${key.name} of ${schema}.${other} refers to the table itself`, {
        hint: "drop it first, and add it anew afterwards",
      });
    if (isPartitioned || !(key.references?.columns ?? []).includes(column)) {
      throw new InvalidInputError(
        `the foreign key ${key.name} of ${schema}.${other} refers to columns without ${column}`,
        {
          hint: `a partitioned table has no key for it: give ${schema}.${other} the column too, or drop the foreign key`,
        },
      );
    }
  }
  return found;
}

/** Views and policies look at the relation they were made for; other things that do are refused. */
function dependants(catalog: Catalog, table: Table): Pick<ConversionParts, "views" | "policiesElsewhere"> {
  const objects = catalogObjects(catalog);
  const context = { serverVersion: catalog.serverVersion, objects, separateDefaults: new Set<string>() };
  const views = new Set<string>();
  const policies = new Set<string>();
  for (const { from, to } of catalog.dependencies) {
    const isTable =
      (to.kind === "table" || to.kind === "column" || to.kind === "type") &&
      to.schema === table.schema &&
      to.name === table.name;
    const isOwn = from.schema === table.schema && from.name === table.name;
    if (!isTable || isOwn || from.kind === "constraint" || from.kind === "sequence") continue;
    const shown = [from.schema, from.name, from.part].filter((part) => part !== undefined).join(".");
    const object = [...objects.values()].find(
      ({ kind, schema, name, part }) =>
        kind === from.kind && schema === from.schema && name === from.name && (kind === "view" || part === from.part),
    );
    if (object?.kind === "view" && object.facts.kind === "view") {
      for (const statement of createStatements(object, context)) views.add(statement);
    } else if (object?.kind === "policy") {
      const { using, withCheck } = object.facts;
      const clauses = [
        using === undefined ? "" : ` USING (${using})`,
        withCheck === undefined ? "" : ` WITH CHECK (${withCheck})`,
      ];
      policies.add(
        `ALTER POLICY ${identifier(object.part ?? "")} ON ${identifier(object.schema ?? "", object.name)}${clauses.join("")}`,
      );
    } else {
      throw new InvalidInputError(`${from.kind} ${shown} depends on ${table.schema}.${table.name}`, {
        hint: "drop it first, and make it anew afterwards: it would go on with the old table alone",
      });
    }
  }
  return { views: [...views], policiesElsewhere: [...policies] };
}

/** What is created for the new table in the words of the old: it has its name. */
export function ownObjects(parts: ConversionParts, kinds: readonly CatalogObject["kind"][]): readonly string[] {
  const { catalog, table } = parts;
  const objects = catalogObjects(catalog);
  const context = { serverVersion: catalog.serverVersion, objects, separateDefaults: new Set<string>() };
  const isOwn = ({ schema, name }: CatalogObject): boolean => schema === table.schema && name === table.name;
  // A comment has a name of its own, and belongs to what it is about.
  const isAbout = ({ parent }: CatalogObject): boolean => {
    const about = objects.get(parent ?? "");
    return about !== undefined && isOwn(about);
  };
  return [...objects.values()]
    .filter((object) => kinds.includes(object.kind) && (object.kind === "comment" ? isAbout(object) : isOwn(object)))
    .flatMap((object) => createStatements(object, context));
}
