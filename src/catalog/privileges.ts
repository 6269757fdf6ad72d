// Lists of privileges as objects: who owns and who granted is left out, and a list that says what PostgreSQL does anyway is none.
import { identifier } from "../postgres/index.ts";
import type { Catalog, Grant } from "./model.ts";
import type { CatalogObject, PrivilegeEntry, SecurableKind } from "./object-facts.ts";
import { objectId } from "./object-id.ts";
import { routineArguments } from "./spelling.ts";

/** Stands for the owner of the object, whoever that is. */
export const OWNER = "$owner";

const TABLE_PRIVILEGES = ["DELETE", "INSERT", "REFERENCES", "SELECT", "TRIGGER", "TRUNCATE", "UPDATE"];
const OWNER_PRIVILEGES: Readonly<Record<SecurableKind, readonly string[]>> = {
  schema: ["CREATE", "USAGE"],
  table: TABLE_PRIVILEGES,
  column: [],
  sequence: ["SELECT", "UPDATE", "USAGE"],
  function: ["EXECUTE"],
  type: ["USAGE"],
  language: ["USAGE"],
  "foreign data wrapper": ["USAGE"],
  "foreign server": ["USAGE"],
};
const PUBLIC_PRIVILEGES: Partial<Record<SecurableKind, readonly string[]>> = {
  function: ["EXECUTE"],
  type: ["USAGE"],
  language: ["USAGE"],
};
/** MAINTAIN came with this version. */
const MAINTAIN_VERSION = 170000;

/** What holds for an object whose list was never touched. */
export function builtInPrivileges(of: SecurableKind, serverVersion: number): readonly PrivilegeEntry[] {
  const own = OWNER_PRIVILEGES[of];
  const all = of === "table" && serverVersion >= MAINTAIN_VERSION ? [...own, "MAINTAIN"].sort() : own;
  const everybody = PUBLIC_PRIVILEGES[of];
  return sorted([
    ...(all.length === 0 ? [] : [{ grantee: OWNER, privileges: all, grantable: [] }]),
    ...(everybody === undefined ? [] : [{ grantee: "public", privileges: everybody, grantable: [] }]),
  ]);
}

/** The objects `privileges` and `default privileges`. Rights on the database itself belong to the server and are left out. */
export function privilegeObjects(
  catalog: Catalog,
  objects: ReadonlyMap<string, CatalogObject>,
): readonly CatalogObject[] {
  const lists = new Map<string, Grant[]>();
  for (const grant of catalog.grants) {
    const { objectKind, schema, object, grantor } = grant;
    const key = JSON.stringify([objectKind, schema, object, objectKind === "default" ? grantor : ""]);
    const list = lists.get(key);
    if (list === undefined) lists.set(key, [grant]);
    else list.push(grant);
  }
  const granted = new Set(catalog.grants.map(({ objectKind }) => objectKind as string));
  const owners = ownersOf(catalog, granted);
  const targets = new Map([...targetsOf(objects, granted), ...hiddenTargets(catalog, objects, granted)]);
  const found: CatalogObject[] = [];
  for (const list of lists.values()) {
    const [first] = list;
    if (first === undefined || first.objectKind === "database") continue;
    const object =
      first.objectKind === "default" ? defaultsObject(first, list) : listObject(first, list, catalog, targets, owners);
    if (object !== undefined) found.push(object);
  }
  return [...found, ...catalog.extensions.flatMap((extension) => memberLists(extension, objects))];
}

/** Members are no objects of their own: their lists are parts of the extension. */
function memberLists(
  { name: extension, grants }: Catalog["extensions"][number],
  objects: ReadonlyMap<string, CatalogObject>,
): readonly CatalogObject[] {
  const lists = new Map<string, (typeof grants)[number][]>();
  for (const grant of grants) {
    const key = JSON.stringify([grant.objectKind, grant.schema, grant.object]);
    lists.set(key, [...(lists.get(key) ?? []), grant]);
  }
  const id = objectId("extension", undefined, extension);
  const parent = objects.has(id) ? id : undefined;
  return [...lists.values()].flatMap((list) => {
    const [first] = list;
    if (first === undefined) return [];
    const { objectKind, schema, object, owner } = first;
    const of = objectKind as SecurableKind;
    const dot = of === "column" ? object.lastIndexOf(".") : -1;
    const bracket = of === "function" ? object.indexOf("(") : -1;
    const end = dot === -1 ? bracket : dot;
    const name = end === -1 ? object : object.slice(0, end);
    const written = schema === undefined ? identifier(name) : identifier(schema, name);
    const taken = bracket === -1 ? "" : `(${routineArguments(object.slice(bracket + 1, -1))})`;
    return [
      {
        kind: "privileges" as const,
        id: `privileges ${of} ${schema === undefined ? "" : `${schema}.`}${object}`,
        schema,
        name: object,
        part: undefined,
        facts: {
          of,
          on: `${WORDS[of === "column" ? "table" : of]} ${written}${taken}`,
          column: dot === -1 ? undefined : object.slice(dot + 1),
          entries: entriesOf(
            list.filter(({ isInitial }) => !isInitial),
            owner,
          ),
        },
        parent,
        needs: parent === undefined ? [] : [parent],
        inheritedFrom: undefined,
        notNullName: undefined,
        initialEntries: entriesOf(
          list.filter(({ isInitial }) => isInitial),
          owner,
        ),
      },
    ];
  });
}

function defaultsObject(first: Grant, list: readonly Grant[]): CatalogObject {
  const { schema, object: of, grantor: role } = first;
  const names = [role, schema ?? "", of];
  return {
    kind: "default privileges",
    id: `default privileges ${JSON.stringify(names)}`,
    schema: undefined,
    name: of,
    part: undefined,
    facts: { role, schema, of, entries: entriesOf(list, role) },
    parent: undefined,
    needs: schema === undefined ? [] : [`schema ${schema}`],
    inheritedFrom: undefined,
    notNullName: undefined,
  };
}

function listObject(
  first: Grant,
  list: readonly Grant[],
  catalog: Catalog,
  targets: ReadonlyMap<string, Target>,
  owners: ReadonlyMap<string, string>,
): CatalogObject | undefined {
  const of = first.objectKind as SecurableKind;
  const target = targets.get(JSON.stringify([of, first.schema ?? "", first.object]));
  if (target === undefined) return undefined;
  const { parent, on, column, id } = target;
  const owner = owners.get(ownerKey(parent)) ?? "";
  const entries = entriesOf(list, owner);
  const isPublicSchema = of === "schema" && first.object === "public";
  const usual = isPublicSchema
    ? publicSchemaPrivileges(catalog.serverVersion)
    : builtInPrivileges(of, catalog.serverVersion);
  if (JSON.stringify(entries) === JSON.stringify(usual)) return undefined;
  return {
    kind: "privileges",
    id: `privileges ${id ?? parent.id}`,
    schema: parent.schema,
    name: parent.name,
    part: parent.part,
    facts: { of, on, column, entries },
    parent: parent.id,
    needs: [parent.id],
    inheritedFrom: undefined,
    notNullName: undefined,
  };
}

/**
 * The list of privileges that an object has without an entry among the objects of a catalog: what PostgreSQL does by itself. Of an
 * identity column that of its sequence; `undefined` for what has none, and for languages and foreign sources, which no default privileges reach.
 */
export function usualPrivileges(object: CatalogObject, serverVersion: number): CatalogObject<"privileges"> | undefined {
  const { kind, schema, name, part } = object;
  const group = groupOf(kind);
  const sequence = object.kind === "column" ? object.facts.identity?.name : undefined;
  const of = sequence === undefined ? (group as SecurableKind) : "sequence";
  if (!DEFAULTED.has(of) || (kind === "column" && sequence === undefined)) return undefined;
  const written = schema === undefined ? identifier(name) : identifier(schema, name);
  const on = sequence ?? `${written}${kind === "function" ? `(${routineArguments(part ?? "")})` : ""}`;
  return {
    kind: "privileges",
    id: `privileges ${sequence === undefined ? object.id : `sequence ${sequence}`}`,
    schema,
    name,
    part,
    facts: {
      of,
      on: `${WORDS[of]} ${on}`,
      column: undefined,
      entries:
        of === "schema" && name === "public"
          ? publicSchemaPrivileges(serverVersion)
          : builtInPrivileges(of, serverVersion),
    },
    parent: object.id,
    needs: [object.id],
    inheritedFrom: undefined,
    notNullName: undefined,
  };
}

/** Kinds that default privileges are for. */
const DEFAULTED: ReadonlySet<string> = new Set<SecurableKind>(["schema", "table", "sequence", "function", "type"]);

/** initdb's list: from 15 on only the owner may create there. */
export function publicSchemaPrivileges(serverVersion: number): readonly PrivilegeEntry[] {
  const everybody = serverVersion >= 150000 ? ["USAGE"] : ["CREATE", "USAGE"];
  return sorted([
    { grantee: OWNER, privileges: ["CREATE", "USAGE"], grantable: [] },
    { grantee: "public", privileges: everybody, grantable: [] },
  ]);
}

interface Target {
  readonly parent: CatalogObject;
  readonly on: string;
  readonly column: string | undefined;
  /** Where the parent has another list of its own. */
  readonly id?: string;
}

const WORDS: Readonly<Record<string, string>> = {
  schema: "SCHEMA",
  table: "TABLE",
  sequence: "SEQUENCE",
  function: "ROUTINE",
  type: "TYPE",
  language: "LANGUAGE",
  "foreign data wrapper": "FOREIGN DATA WRAPPER",
  "foreign server": "FOREIGN SERVER",
};

/** Columns of views and sequences of identity columns, which are no objects of their own. */
function hiddenTargets(
  catalog: Catalog,
  objects: ReadonlyMap<string, CatalogObject>,
  granted: ReadonlySet<string>,
): readonly (readonly [string, Target])[] {
  const ofViews = (granted.has("column") ? catalog.views : []).flatMap(({ schema, name, columns }) => {
    const parent = objects.get(objectId("view", schema, name));
    if (parent === undefined) return [];
    const on = `TABLE ${identifier(schema, name)}`;
    return columns.map(({ name: column }) => {
      const id = objectId("column", schema, name, column);
      return [JSON.stringify(["column", schema, `${name}.${column}`]), { parent, on, column, id }] as const;
    });
  });
  const ofIdentities = (granted.has("sequence") ? catalog.sequences : []).flatMap(({ schema, name, ownedBy }) => {
    if (ownedBy?.isIdentity !== true) return [];
    const parent = objects.get(objectId("column", ownedBy.schema, ownedBy.table, ownedBy.column));
    if (parent === undefined) return [];
    const on = `SEQUENCE ${identifier(schema, name)}`;
    const id = objectId("sequence", schema, name);
    return [[JSON.stringify(["sequence", schema, name]), { parent, on, column: undefined, id }] as const];
  });
  return [...ofViews, ...ofIdentities];
}

/** By kind, schema and name, as a grant names its object; of kinds on which something is granted. */
function targetsOf(
  objects: ReadonlyMap<string, CatalogObject>,
  granted: ReadonlySet<string>,
): ReadonlyMap<string, Target> {
  const targets = new Map<string, Target>();
  for (const parent of objects.values()) {
    const { kind, schema, name, part } = parent;
    const group = groupOf(kind);
    if (!granted.has(group)) continue;
    if (kind === "column") {
      const on = `TABLE ${identifier(schema ?? "", name)}`;
      targets.set(JSON.stringify(["column", schema ?? "", `${name}.${part}`]), { parent, on, column: part });
    } else if (WORDS[group] !== undefined) {
      const written = schema === undefined ? identifier(name) : identifier(schema, name);
      const args = kind === "function" ? `(${part})` : "";
      const taken = kind === "function" ? `(${routineArguments(part ?? "")})` : "";
      const on = `${WORDS[group]} ${written}${taken}`;
      targets.set(JSON.stringify([group, schema ?? "", `${name}${args}`]), { parent, on, column: undefined });
    }
  }
  return targets;
}

const TYPES: ReadonlySet<CatalogObject["kind"]> = new Set<CatalogObject["kind"]>([
  "enum",
  "domain",
  "composite",
  "range",
  "base type",
]);

function groupOf(kind: CatalogObject["kind"]): string {
  if (kind === "view") return "table";
  return TYPES.has(kind) ? "type" : kind;
}

function ownerKey({ kind, schema, name, part }: CatalogObject): string {
  const group = kind === "column" ? "table" : groupOf(kind);
  return JSON.stringify([group, schema ?? "", name, kind === "function" ? part : ""]);
}

/** Of the kinds on which something is granted. A column, and the sequence of an identity column, belong to the owner of the table. */
function ownersOf(catalog: Catalog, granted: ReadonlySet<string>): ReadonlyMap<string, string> {
  const owners = new Map<string, string>();
  const isOfTables = granted.has("column") || granted.has("sequence");
  const set = (kind: string, schema: string, name: string, owner: string, part = ""): void => {
    if (granted.has(kind) || (kind === "table" && isOfTables))
      owners.set(JSON.stringify([kind, schema, name, part]), owner);
  };
  for (const { name, owner } of catalog.schemas) set("schema", "", name, owner);
  for (const { schema, name, owner } of [...catalog.tables, ...catalog.views]) set("table", schema, name, owner);
  for (const { schema, name, owner } of catalog.sequences) set("sequence", schema, name, owner);
  for (const { schema, name, owner, arguments: part } of catalog.functions) set("function", schema, name, owner, part);
  const types = [
    ...catalog.enums,
    ...catalog.domains,
    ...catalog.compositeTypes,
    ...catalog.ranges,
    ...catalog.baseTypes,
  ];
  for (const { schema, name, owner } of types) set("type", schema, name, owner);
  for (const { name, owner } of catalog.languages) set("language", "", name, owner);
  for (const { name, owner } of catalog.foreignDataWrappers) set("foreign data wrapper", "", name, owner);
  for (const { name, owner } of catalog.foreignServers) set("foreign server", "", name, owner);
  return owners;
}

function entriesOf(list: readonly Grant[], owner: string): readonly PrivilegeEntry[] {
  const byGrantee = new Map<string, { privileges: Set<string>; grantable: Set<string> }>();
  for (const { grantee, privileges, grantable } of list) {
    const name = grantee === owner ? OWNER : grantee;
    const entry = byGrantee.get(name) ?? { privileges: new Set(), grantable: new Set() };
    for (const privilege of privileges) entry.privileges.add(privilege);
    for (const privilege of grantable) entry.grantable.add(privilege);
    byGrantee.set(name, entry);
  }
  return sorted(
    [...byGrantee]
      .filter(([, { privileges }]) => privileges.size > 0)
      .map(([grantee, { privileges, grantable }]) => ({
        grantee,
        privileges: [...privileges].sort(),
        grantable: [...grantable].sort(),
      })),
  );
}

function sorted(entries: readonly PrivilegeEntry[]): readonly PrivilegeEntry[] {
  return entries.toSorted((a, b) => (a.grantee < b.grantee ? -1 : 1));
}
