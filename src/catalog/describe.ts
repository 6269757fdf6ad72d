// Everything about one table or view in one place, for `pgsteward describe`. Pure: works on a catalog that was read.
import { identifier, InvalidInputError } from "../postgres/index.ts";
import type { Catalog, Constraint, Grant, Sequence, Table, View } from "./model.ts";

/** A foreign key of another table (or of itself) that points here. */
export interface ReverseForeignKey {
  readonly schema: string;
  readonly table: string;
  readonly constraint: Constraint;
}

export interface PartitionDescription {
  readonly schema: string;
  readonly name: string;
  /** e.g. `FOR VALUES FROM (…) TO (…)`. */
  readonly bound: string;
  /** 1 for a partition of the table itself, 2 for a partition of that one, and so on. */
  readonly level: number;
  /** Its own key when it is partitioned again. */
  readonly partitionKey: string | undefined;
  readonly rowEstimate: number | undefined;
  readonly totalBytes: number | undefined;
}

export interface TableDescription {
  /** With its columns, constraints, indexes, triggers, rules and, for a table, policies; `kind` tells which it is. */
  readonly table: Table | View;
  /** Who references it; clones on partitions are left out. */
  readonly referencedBy: readonly ReverseForeignKey[];
  /** All levels, each partition followed by its own. */
  readonly partitions: readonly PartitionDescription[];
  /** Tables that inherit from it without being partitions. */
  readonly inheritedBy: readonly { readonly schema: string; readonly name: string }[];
  /** Sequences its columns own. */
  readonly sequences: readonly Sequence[];
  /** Rights on it and on its columns. */
  readonly grants: readonly Grant[];
}

const MOST_SUGGESTIONS = 5;

/**
 * @param name - `table`, `schema.table`, or either with SQL quotes: `public."Order Items"`. As it stands; when nothing
 *   matches, folded to lower case as SQL does
 * @throws InvalidInputError when nothing has the name (the hint holds similar ones) or several tables have (it lists them)
 */
export function describeTable(catalog: Catalog, name: string): TableDescription {
  const table = findRelation(catalog, name);
  const isIt = (other: { readonly schema: string; readonly name: string } | undefined): boolean =>
    other !== undefined && other.schema === table.schema && other.name === table.name;
  return {
    table,
    referencedBy: catalog.tables.flatMap((other) =>
      other.constraints
        .filter(
          ({ references, isLocal }) =>
            isLocal && references !== undefined && isIt({ schema: references.schema, name: references.table }),
        )
        .map((constraint) => ({ schema: other.schema, table: other.name, constraint })),
    ),
    partitions: partitionsOf(catalog, table, 1),
    inheritedBy: catalog.tables
      .filter((other) => other.inherits.some(isIt))
      .map((other) => ({ schema: other.schema, name: other.name })),
    sequences: catalog.sequences.filter(
      ({ ownedBy }) => ownedBy !== undefined && isIt({ schema: ownedBy.schema, name: ownedBy.table }),
    ),
    grants: catalog.grants.filter(
      (grant) =>
        grant.schema === table.schema &&
        ((grant.objectKind === "table" && grant.object === table.name) ||
          (grant.objectKind === "column" &&
            table.columns.some((column) => grant.object === `${table.name}.${column.name}`))),
    ),
  };
}

function partitionsOf(
  catalog: Catalog,
  parent: { readonly schema: string; readonly name: string },
  level: number,
): readonly PartitionDescription[] {
  return catalog.tables.flatMap((table) => {
    const { partitionOf } = table;
    if (partitionOf === undefined || partitionOf.schema !== parent.schema || partitionOf.name !== parent.name)
      return [];
    const partition = {
      schema: table.schema,
      name: table.name,
      bound: partitionOf.bound,
      level,
      partitionKey: table.partitionKey,
      rowEstimate: table.rowEstimate,
      totalBytes: table.totalBytes,
    };
    return [partition, ...partitionsOf(catalog, table, level + 1)];
  });
}

function findRelation(catalog: Catalog, name: string): Table | View {
  const relations: readonly (Table | View)[] = [...catalog.tables, ...catalog.views];
  const found = matching(relations, name);
  const [first, ...others] = found.length > 0 ? found : matching(relations, foldUnquoted(name));
  if (first === undefined) {
    throw new InvalidInputError(`there is no table or view ${JSON.stringify(name)}`, {
      hint: suggestion(relations, name),
    });
  }
  if (others.length > 0) {
    throw new InvalidInputError(`${JSON.stringify(name)} may be any of ${others.length + 1} tables`, {
      hint: `say which: ${[first, ...others].map((relation) => identifier(relation.schema, relation.name)).join(", ")}`,
    });
  }
  return first;
}

/** A name that holds a dot can be read in two ways, so all readings are tried. */
function matching(relations: readonly (Table | View)[], name: string): readonly (Table | View)[] {
  const parts = nameParts(name);
  return relations.filter((relation) => {
    const isQualified = parts.length === 2 && parts[0] === relation.schema && parts[1] === relation.name;
    const isBare = parts.length === 1 && parts[0] === relation.name;
    return isQualified || isBare || name === relation.name || name === `${relation.schema}.${relation.name}`;
  });
}

const PART = /"(?:[^"]|"")+"|[^".]+/g;

/** `a."b.c"` → `["a", "b.c"]`; empty when it is not written as SQL writes names. */
function nameParts(name: string): readonly string[] {
  const parts = name.match(PART) ?? [];
  if (parts.join(".") !== name) return [];
  return parts.map((part) => (part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part));
}

function foldUnquoted(name: string): string {
  return name.replace(PART, (part) => (part.startsWith('"') ? part : part.toLowerCase()));
}

function suggestion(relations: readonly (Table | View)[], name: string): string {
  if (relations.length === 0) return "the catalog holds no tables; it may have been read for other schemas";
  const wanted = name.replaceAll('"', "").toLowerCase();
  const similar = relations
    .map((relation) => {
      const qualified = `${relation.schema}.${relation.name}`;
      const bare = wanted.slice(wanted.lastIndexOf(".") + 1);
      const distance = Math.min(
        editDistance(wanted, qualified.toLowerCase()),
        editDistance(bare, relation.name.toLowerCase()),
      );
      const isPart = bare.length > 2 && relation.name.toLowerCase().includes(bare);
      return { qualified, distance: isPart ? Math.min(distance, 1) : distance, limit: Math.max(2, bare.length / 3) };
    })
    .filter(({ distance, limit }) => distance <= limit)
    .toSorted((a, b) => a.distance - b.distance)
    .slice(0, MOST_SUGGESTIONS)
    .map(({ qualified }) => qualified);
  if (similar.length > 0) return `did you mean ${similar.join(", ")}?`;
  return `the catalog holds ${relations.length} tables and views, none with a similar name`;
}

/** Levenshtein distance in UTF-16 units. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, position) => position);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(substituted, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
