// What privileges can be held on, as the two group roles of an application see it: each object with its lists, its owner, and what is
// special about it.
import {
  builtInPrivileges,
  catalogObjects,
  objectId,
  usualPrivileges,
  type Catalog,
  type CatalogObject,
  type Grant,
  type Table,
} from "../../catalog/index.ts";
import { identifier, printedIdentifier } from "../../postgres/index.ts";
import { withoutRecords } from "../source/records.ts";

/**
 * - `partition`: it is reached through its parent, whose privileges are asked
 * - `exposed partition`: row security of a parent does not hold for those who read it directly
 * - `identity`: the sequence of an identity column, which needs no privilege
 * - `record`: where a migration tool keeps what it did
 * - `definer`: it runs with the rights of its owner
 * - `trigger`: nobody can call it
 */
export type SecurableNature =
  | "plain"
  | "partition"
  | "exposed partition"
  | "materialized view"
  | "identity"
  | "record"
  | "definer"
  | "trigger";

export interface Securable {
  readonly kind: "schema" | "table" | "sequence" | "function" | "type";
  readonly nature: SecurableNature;
  /** What stands before the name in GRANT … ON. */
  readonly word: string;
  /** The name in GRANT … ON. */
  readonly sqlName: string;
  /** The name for people, e.g. `shop.orders`. */
  readonly name: string;
  readonly schema: string;
  readonly owner: string;
  /** PostgreSQL's own where the list was never touched. */
  readonly grants: readonly Grant[];
  readonly columnGrants: readonly (Grant & { readonly column: string })[];
  /** A function that views, policies, defaults, checks or indexes call: whoever reads or writes the table executes it. */
  readonly isNeeded: boolean;
}

/** Everything in the schemas of people, in the order of kinds and names; what extensions brought along is theirs. */
export function securablesOf(catalog: Catalog): readonly Securable[] {
  const grants = grantsByObject(catalog.grants);
  const known = withoutRecords(catalog);
  const listOf = (kind: Securable["kind"], schema: string | undefined, object: string): readonly Grant[] =>
    grants.get(keyOf(kind, schema, object)) ?? [];
  const schemas = catalog.schemas
    .filter(({ extension }) => extension === undefined)
    .map(({ name, owner }): Securable => ({
      kind: "schema",
      nature: known.schemas.some((schema) => schema.name === name) ? "plain" : "record",
      word: "SCHEMA",
      sqlName: identifier(name),
      name: printedIdentifier(name),
      schema: name,
      owner,
      grants: listOf("schema", undefined, name),
      columnGrants: [],
      isNeeded: false,
    }));
  return [
    ...schemas,
    ...relations(catalog, known, listOf, grants),
    ...sequences(catalog, known, listOf),
    ...functions(catalog, known, listOf),
    ...types(catalog, known, listOf),
  ];
}

/**
 * Objects whose owner has become another: ALTER … OWNER TO hands over what the old owner had and granted.
 *
 * @param after - the same objects with the new owner
 */
export function handedOver(before: readonly Securable[], after: readonly Securable[]): readonly Securable[] {
  return after.map((securable, index) => {
    const from = before[index]?.owner;
    if (from === undefined || from === securable.owner) return securable;
    const renamed = <T extends Grant>(grant: T): T => ({
      ...grant,
      grantee: grant.grantee === from ? securable.owner : grant.grantee,
      grantor: grant.grantor === from ? securable.owner : grant.grantor,
    });
    return {
      ...securable,
      grants: securable.grants.map(renamed),
      columnGrants: securable.columnGrants.map(renamed),
    };
  });
}

type ListOf = (kind: Securable["kind"], schema: string | undefined, object: string) => readonly Grant[];

function relations(
  catalog: Catalog,
  known: Catalog,
  listOf: ListOf,
  grants: ReadonlyMap<string, readonly Grant[]>,
): readonly Securable[] {
  const plain = new Set([...known.tables, ...known.views].map(({ schema, name }) => keyOf("table", schema, name)));
  const tables = new Map(catalog.tables.map((table) => [keyOf("table", table.schema, table.name), table]));
  const natureOf = (relation: (Catalog["tables"] | Catalog["views"])[number]): SecurableNature => {
    if (!plain.has(keyOf("table", relation.schema, relation.name))) return "record";
    if (relation.kind === "materialized view") return "materialized view";
    if (!("partitionOf" in relation) || relation.partitionOf === undefined) return "plain";
    return isExposed(relation, tables) ? "exposed partition" : "partition";
  };
  return [...catalog.tables, ...catalog.views].filter(isOwn).map((relation) => ({
    kind: "table",
    nature: natureOf(relation),
    word: "TABLE",
    ...names(relation),
    grants: listOf("table", relation.schema, relation.name),
    columnGrants: relation.columns.flatMap(({ name: column }) =>
      (grants.get(keyOf("column", relation.schema, `${relation.name}.${column}`)) ?? []).map((grant) => ({
        ...grant,
        column,
      })),
    ),
    isNeeded: false,
  }));
}

function isExposed(table: Table, tables: ReadonlyMap<string, Table>): boolean {
  if (table.rowSecurity.enabled) return false;
  for (let parent = table.partitionOf; parent !== undefined;) {
    const above = tables.get(keyOf("table", parent.schema, parent.name));
    if (above?.rowSecurity.enabled === true) return true;
    parent = above?.partitionOf;
  }
  return false;
}

function sequences(catalog: Catalog, known: Catalog, listOf: ListOf): readonly Securable[] {
  const plain = new Set(known.sequences.map(({ schema, name }) => keyOf("sequence", schema, name)));
  return catalog.sequences.filter(isOwn).map((sequence) => ({
    kind: "sequence",
    nature: !plain.has(keyOf("sequence", sequence.schema, sequence.name))
      ? "record"
      : sequence.ownedBy?.isIdentity === true
        ? "identity"
        : "plain",
    word: "SEQUENCE",
    ...names(sequence),
    grants: listOf("sequence", sequence.schema, sequence.name),
    columnGrants: [],
    isNeeded: false,
  }));
}

/** What calls a function in the name of whoever reads or writes; a trigger does not, nor do other functions that can be looked into. */
const CALLERS: ReadonlySet<string> = new Set([
  "view",
  "policy",
  "default",
  "column",
  "constraint",
  "domain constraint",
  "index",
  "rule",
]);

function functions(catalog: Catalog, known: Catalog, listOf: ListOf): readonly Securable[] {
  const objects = catalogObjects(catalog);
  const plain = new Set(known.schemas.map(({ name }) => name));
  const needed = new Set(
    catalog.dependencies
      .filter(({ from, to }) => CALLERS.has(from.kind) && to.kind === "function")
      .map(({ to }) => objectId("function", to.schema, to.name, to.part)),
  );
  return catalog.functions.filter(isOwn).flatMap((fn): readonly Securable[] => {
    const id = objectId("function", fn.schema, fn.name, fn.arguments);
    const written = writtenName(objects.get(id), catalog.serverVersion);
    if (written === undefined) return [];
    const isTrigger = fn.returns === "trigger" || fn.returns === "event_trigger";
    const own = isTrigger ? "trigger" : fn.isSecurityDefiner ? "definer" : "plain";
    const list = listOf("function", fn.schema, `${fn.name}(${fn.arguments})`);
    return [
      {
        kind: "function",
        nature: plain.has(fn.schema) ? own : "record",
        word: "ROUTINE",
        ...names(fn),
        name: `${names(fn).name}(${fn.arguments})`,
        sqlName: written,
        grants: orBuiltIn(list, "function", fn.owner, catalog.serverVersion),
        columnGrants: [],
        isNeeded: needed.has(id),
      },
    ];
  });
}

function types(catalog: Catalog, known: Catalog, listOf: ListOf): readonly Securable[] {
  const plain = new Set(known.schemas.map(({ name }) => name));
  const all = [
    ...catalog.enums,
    ...catalog.domains,
    ...catalog.compositeTypes,
    ...catalog.ranges,
    ...catalog.baseTypes,
  ];
  return all.filter(isOwn).map((type) => ({
    kind: "type",
    nature: plain.has(type.schema) ? "plain" : "record",
    word: "TYPE",
    ...names(type),
    grants: orBuiltIn(listOf("type", type.schema, type.name), "type", type.owner, catalog.serverVersion),
    columnGrants: [],
    isNeeded: false,
  }));
}

interface Owned {
  readonly schema: string;
  readonly name: string;
  readonly owner: string;
}

function names({ schema, name, owner }: Owned): Pick<Securable, "schema" | "name" | "sqlName" | "owner"> {
  return {
    schema,
    owner,
    name: `${printedIdentifier(schema)}.${printedIdentifier(name)}`,
    sqlName: identifier(schema, name),
  };
}

function isOwn({ extension }: { readonly extension?: string | undefined }): boolean {
  return extension === undefined;
}

/** A routine's name with its arguments as GRANT takes them, which is not always as the server prints them. */
function writtenName(object: CatalogObject | undefined, serverVersion: number): string | undefined {
  const on = object === undefined ? undefined : usualPrivileges(object, serverVersion)?.facts.on;
  return on?.slice(on.indexOf(" ") + 1);
}

function orBuiltIn(
  list: readonly Grant[],
  kind: "function" | "type",
  owner: string,
  serverVersion: number,
): readonly Grant[] {
  if (list.length > 0) return list;
  return builtInPrivileges(kind, serverVersion)
    .filter(({ grantee }) => grantee === "public")
    .map(({ grantee, privileges, grantable }) => ({
      objectKind: kind,
      schema: undefined,
      object: "",
      grantee,
      grantor: owner,
      privileges,
      grantable,
    }));
}

function grantsByObject(grants: readonly Grant[]): ReadonlyMap<string, readonly Grant[]> {
  const lists = new Map<string, Grant[]>();
  for (const grant of grants) {
    const key = keyOf(grant.objectKind, grant.schema, grant.object);
    const list = lists.get(key);
    if (list === undefined) lists.set(key, [grant]);
    else list.push(grant);
  }
  return lists;
}

function keyOf(kind: string, schema: string | undefined, object: string): string {
  return JSON.stringify([kind, schema ?? "", object]);
}
