// How each kind of object is created: one function a kind, from facts to SQL. Altering and dropping are the planner's.
import { identifier, literal } from "../postgres/index.ts";
import { CREATE_OTHERS, foreignOptions } from "./create-others.ts";
import { createView } from "./create-view.ts";
import { nameOf, optionList, partOf, storageWord } from "./spelling.ts";
import type { CatalogObject, FactsOfKind, ObjectKind, SequenceFacts } from "./object-facts.ts";
import {
  defaultPrivilegeStatements,
  initialDefaults,
  initialPrivileges,
  privilegeStatements,
  type InitialPrivileges,
} from "./grant-statements.ts";

export interface CreateContext {
  readonly serverVersion: number;
  /** The catalog that the object is part of. */
  readonly objects: ReadonlyMap<string, CatalogObject>;
  /** Ids of defaults that are not written with their column, because something they need comes later. */
  readonly separateDefaults: ReadonlySet<string>;
  /** What a list of privileges starts from, where default privileges give more than PostgreSQL does by itself. */
  readonly initialPrivileges?: ((object: CatalogObject<"privileges">) => InitialPrivileges) | undefined;
}

type Create = { readonly [K in ObjectKind]: (object: CatalogObject<K>, context: CreateContext) => readonly string[] };

/**
 * The statements that create one object, complete and without semicolons. Columns and their defaults come with the CREATE TABLE
 * of their table; asked for alone, a column is ADD COLUMN.
 */
export function createStatements(object: CatalogObject, context: CreateContext): readonly string[] {
  const create = CREATE[object.kind] as (object: CatalogObject, context: CreateContext) => readonly string[];
  return create(object, context);
}

/** `ALTER TABLE [ONLY] name`, or the form for a foreign table. */
export function alterTable(
  table: CatalogObject | undefined,
  named: { schema: string | undefined; name: string },
  only = "",
): string {
  const word = table?.kind === "table" && table.facts.kind === "foreign" ? "FOREIGN TABLE" : "TABLE";
  return `ALTER ${word} ${only}${nameOf(named)}`;
}

export function sequenceOptions(facts: SequenceFacts): string {
  const { increment, minimum, maximum, start, cache, cycles } = facts;
  return `INCREMENT BY ${increment} MINVALUE ${minimum} MAXVALUE ${maximum} START WITH ${start} CACHE ${cache}${cycles ? " CYCLE" : " NO CYCLE"}`;
}

export function collate(collation: string | undefined): string {
  return collation === undefined ? "" : ` COLLATE ${collation}`;
}

/** A column as CREATE TABLE and ADD COLUMN write it. */
export function columnDefinition(column: CatalogObject<"column">, context: CreateContext): string {
  const { type, collation, isNullable, isNotNullPending, isNotNullNoInherit, identity, generated } = column.facts;
  const id = `default ${column.id.slice("column ".length)}`;
  const found = context.objects.get(id);
  const expression =
    found?.kind === "default" && !context.separateDefaults.has(id) ? found.facts.expression : undefined;
  const notNull =
    isNullable || isNotNullPending
      ? ""
      : `${column.notNullName === undefined ? "" : ` CONSTRAINT ${identifier(column.notNullName)}`} NOT NULL${isNotNullNoInherit ? " NO INHERIT" : ""}`;
  return [
    `${partOf(column)} ${type}${collate(collation)}`,
    generated === undefined ? "" : ` GENERATED ALWAYS AS (${generated.expression}) ${generated.kind.toUpperCase()}`,
    expression === undefined ? "" : ` DEFAULT ${expression}`,
    notNull,
    identity === undefined ? "" : ` ${identityClause(identity, type)}`,
  ].join("");
}

type Identity = NonNullable<FactsOfKind["column"]["identity"]>;

/** @param type - of the column, which its sequence has too unless `identitySettings` says otherwise */
export function identityClause({ kind, name, sequence }: Identity, type: string): string {
  const options = sequence.type === type ? ` ${sequenceOptions(sequence)}` : "";
  return `GENERATED ${kind.toUpperCase()} AS IDENTITY (SEQUENCE NAME ${name}${options})`;
}

/** What `identityClause` cannot say of the sequence. */
export function identitySettings({ facts: { identity, type } }: CatalogObject<"column">): readonly string[] {
  if (identity === undefined) return [];
  const { name, sequence, persistence } = identity;
  const start = `ALTER SEQUENCE ${name}`;
  return [
    ...(sequence.type === type ? [] : [`${start} AS ${sequence.type} ${sequenceOptions(sequence)} RESTART`]),
    ...(persistence === undefined ? [] : [`${start} SET ${persistence === "unlogged" ? "UNLOGGED" : "LOGGED"}`]),
  ];
}

/** What CREATE TABLE cannot say of a column, as actions of one ALTER TABLE. */
export function columnSettings(column: CatalogObject<"column">): string[] {
  const { storage, compression, statisticsTarget, options, isNotNullPending, isNotNullNoInherit } = column.facts;
  const name = partOf(column);
  return [
    ...(storage === undefined ? [] : [`ALTER COLUMN ${name} SET STORAGE ${storage.toUpperCase()}`]),
    ...(compression === undefined ? [] : [`ALTER COLUMN ${name} SET COMPRESSION ${compression}`]),
    ...(statisticsTarget === undefined ? [] : [`ALTER COLUMN ${name} SET STATISTICS ${statisticsTarget}`]),
    ...(options.length === 0 ? [] : [`ALTER COLUMN ${name} SET (${optionList(options)})`]),
    ...(column.facts.foreignOptions.length === 0
      ? []
      : [`ALTER COLUMN ${name} OPTIONS (${foreignOptions(column.facts.foreignOptions)})`]),
    ...(isNotNullPending && column.notNullName !== undefined
      ? [
          `ADD CONSTRAINT ${identifier(column.notNullName)} NOT NULL ${name}${isNotNullNoInherit ? " NO INHERIT" : ""} NOT VALID`,
        ]
      : []),
  ];
}

function columnsOf(table: CatalogObject<"table">, context: CreateContext): readonly CatalogObject<"column">[] {
  return [...context.objects.values()].filter(
    (object): object is CatalogObject<"column"> => object.kind === "column" && object.parent === table.id,
  );
}

function createTable(table: CatalogObject<"table">, context: CreateContext): readonly string[] {
  const { kind, persistence, partitionKey, inherits, storageParameters, tablespace, accessMethod, foreign, ofType } =
    table.facts;
  const columns = columnsOf(table, context);
  const isPartition = context.objects.has(`partition ${table.id.slice("table ".length)}`);
  const own = columns.filter(({ inheritedFrom }) => isPartition || inheritedFrom === undefined);
  const lines =
    ofType === undefined
      ? own.map((column) => columnDefinition(column, context))
      : own.flatMap((column) => {
          const written = columnDefinition(column, context);
          const plain = `${partOf(column)} ${column.facts.type}${collate(column.facts.collation)}`;
          return written === plain ? [] : [`${partOf(column)} WITH OPTIONS${written.slice(plain.length)}`];
        });
  const word = kind === "foreign" ? "FOREIGN TABLE" : persistence === "unlogged" ? "UNLOGGED TABLE" : "TABLE";
  const body =
    ofType !== undefined && lines.length === 0 ? "" : ` (${lines.length === 0 ? "" : `\n  ${lines.join(",\n  ")}\n`})`;
  const clauses = [
    inherits.length === 0 ? "" : ` INHERITS (${inherits.map((parent) => nameOf(parent)).join(", ")})`,
    partitionKey === undefined ? "" : ` PARTITION BY ${partitionKey}`,
    foreign === undefined ? "" : ` SERVER ${identifier(foreign.server)}`,
    foreign === undefined || foreign.options.length === 0 ? "" : ` OPTIONS (${foreignOptions(foreign.options)})`,
    accessMethod === undefined ? "" : ` USING ${identifier(accessMethod)}`,
    storageParameters.length === 0 ? "" : ` WITH (${optionList(storageParameters)})`,
    tablespace === undefined ? "" : ` TABLESPACE ${identifier(tablespace)}`,
  ];
  const of = ofType === undefined ? "" : ` OF ${ofType}`;
  const settings = own.flatMap((column) => columnSettings(column));
  // A column of a parent may have its own default, or be NOT NULL, in the child.
  const overrides = columns
    .filter((column) => !own.includes(column))
    .flatMap((column) => inheritedOverrides(column, context));
  const actions = [...settings, ...overrides];
  return [
    `CREATE ${word} ${nameOf(table)}${of}${body}${clauses.join("")}`,
    ...(actions.length === 0
      ? []
      : [`${alterTable(table, table, kind === "foreign" ? "" : "ONLY ")}\n  ${actions.join(",\n  ")}`]),
    ...own.flatMap((column) => identitySettings(column)),
  ];
}

function inheritedOverrides(column: CatalogObject<"column">, context: CreateContext): readonly string[] {
  const parent = context.objects.get(column.inheritedFrom ?? "");
  if (parent?.kind !== "column") return [];
  const defaultOf = (id: string): string | undefined => {
    const found = context.objects.get(`default ${id.slice("column ".length)}`);
    return found?.kind === "default" ? found.facts.expression : undefined;
  };
  const own = defaultOf(column.id);
  const name = partOf(column);
  // An heir starts with the storage and the compression of its parent's column, and with no statistics target.
  const { storage, compression } = column.facts;
  return [
    ...(own === defaultOf(parent.id)
      ? []
      : [`ALTER COLUMN ${name} ${own === undefined ? "DROP DEFAULT" : `SET DEFAULT ${own}`}`]),
    ...(passesNotNullDown(parent) || column.facts.isNullable ? [] : [ownNotNull(column)]),
    ...(storage === parent.facts.storage
      ? []
      : [`ALTER COLUMN ${name} SET STORAGE ${storageWord(storage, context.serverVersion)}`]),
    ...(compression === parent.facts.compression
      ? []
      : [`ALTER COLUMN ${name} SET COMPRESSION ${compression ?? "default"}`]),
    ...columnSettings({
      ...column,
      facts: { ...column.facts, storage: undefined, compression: undefined, isNotNullPending: false },
    }),
  ];
}

/** Whether the heirs of a column's table have to be NOT NULL too. */
export function passesNotNullDown({ facts }: CatalogObject<"column">): boolean {
  return !facts.isNullable && !facts.isNotNullNoInherit;
}

function ownNotNull(column: CatalogObject<"column">): string {
  const { isNotNullNoInherit } = column.facts;
  return isNotNullNoInherit && column.notNullName !== undefined
    ? `ADD CONSTRAINT ${identifier(column.notNullName)} NOT NULL ${partOf(column)} NO INHERIT`
    : `ALTER COLUMN ${partOf(column)} SET NOT NULL`;
}

/** Storage of the index goes between the key and the deferrability. */
export function constraintDefinition(facts: FactsOfKind["constraint"]): string {
  const storage = [
    facts.storageParameters.length === 0 ? "" : ` WITH (${optionList(facts.storageParameters)})`,
    facts.tablespace === undefined ? "" : ` USING INDEX TABLESPACE ${identifier(facts.tablespace)}`,
  ].join("");
  if (storage === "") return facts.definition;
  const tail = / (?:WHERE \(|DEFERRABLE\b|INITIALLY DEFERRED\b)/.exec(facts.definition);
  const at =
    facts.kind === "exclusion" ? tail?.index : / (?:DEFERRABLE\b|INITIALLY DEFERRED\b)/.exec(facts.definition)?.index;
  return at === undefined
    ? `${facts.definition}${storage}`
    : `${facts.definition.slice(0, at)}${storage}${facts.definition.slice(at)}`;
}

const FIRING: Readonly<Record<string, string>> = {
  origin: "ENABLE",
  disabled: "DISABLE",
  replica: "ENABLE REPLICA",
  always: "ENABLE ALWAYS",
};

export function firing(enabled: string, what: "TRIGGER" | "RULE" | ""): string {
  const words = FIRING[enabled] ?? "ENABLE";
  return what === "" ? words : `${words} ${what}`;
}

export function policyClauses({ roles, using, withCheck }: FactsOfKind["policy"]): string {
  const to = roles.map((role) => (role === "public" ? "PUBLIC" : identifier(role))).join(", ");
  return ` TO ${to}${using === undefined ? "" : `\n  USING (${using})`}${withCheck === undefined ? "" : `\n  WITH CHECK (${withCheck})`}`;
}

const CREATE: Create = {
  ...CREATE_OTHERS,
  schema: (object) =>
    object.name === "public" ? ["CREATE SCHEMA IF NOT EXISTS public"] : [`CREATE SCHEMA ${nameOf(object)}`],
  extension: (object) => {
    const version = object.namedVersion === undefined ? "" : ` VERSION ${literal(object.namedVersion)}`;
    return [`CREATE EXTENSION IF NOT EXISTS ${nameOf(object)} SCHEMA ${identifier(object.facts.schema)}${version}`];
  },
  enum: (object) => [`CREATE TYPE ${nameOf(object)} AS ENUM (${object.facts.labels.map(literal).join(", ")})`],
  composite: (object) => [
    `CREATE TYPE ${nameOf(object)} AS (${object.facts.attributes
      .map(({ name, type, collation }) => `${identifier(name)} ${type}${collate(collation)}`)
      .join(", ")})`,
  ],
  domain: (object) => {
    const { type, collation, default: expression, isNullable } = object.facts;
    const value = expression === undefined ? "" : ` DEFAULT ${expression}`;
    return [`CREATE DOMAIN ${nameOf(object)} AS ${type}${collate(collation)}${value}${isNullable ? "" : " NOT NULL"}`];
  },
  "domain constraint": (object) => [
    `ALTER DOMAIN ${nameOf(object)} ADD CONSTRAINT ${partOf(object)} ${object.facts.definition}`,
  ],
  range: (object) => {
    const { subtype, operatorClass, collation, canonicalFunction, differenceFunction, multirangeName } = object.facts;
    const parts = [
      `subtype = ${subtype}`,
      ...(operatorClass === undefined ? [] : [`subtype_opclass = ${operatorClass}`]),
      ...(collation === undefined ? [] : [`collation = ${collation}`]),
      ...(canonicalFunction === undefined ? [] : [`canonical = ${canonicalFunction}`]),
      ...(differenceFunction === undefined ? [] : [`subtype_diff = ${differenceFunction}`]),
      `multirange_type_name = ${identifier(object.schema ?? "", multirangeName)}`,
    ];
    return [`CREATE TYPE ${nameOf(object)} AS RANGE (${parts.join(", ")})`];
  },
  sequence: (object) => [
    `CREATE ${object.facts.persistence === "unlogged" ? "UNLOGGED " : ""}SEQUENCE ${nameOf(object)} AS ${object.facts.type} ${sequenceOptions(object.facts)}`,
  ],
  "sequence owner": (object) => {
    const { schema, table, column } = object.facts;
    return [`ALTER SEQUENCE ${nameOf(object)} OWNED BY ${identifier(schema, table, column)}`];
  },
  function: (object) => [object.facts.definition.trimEnd()],
  table: createTable,
  partition: (object) => {
    const { parentSchema, parentTable, bound } = object.facts;
    return [`ALTER TABLE ${identifier(parentSchema, parentTable)} ATTACH PARTITION ${nameOf(object)} ${bound}`];
  },
  column: (object, context) => {
    const table = context.objects.get(object.parent ?? "");
    const settings = columnSettings(object);
    const start = alterTable(table, object);
    const { isNotNullNoInherit, isNotNullPending } = object.facts;
    // ADD COLUMN makes the column of heirs NOT NULL whatever it says of them.
    if (isNotNullNoInherit && !isNotNullPending) settings.push(ownNotNull(object));
    const added = { ...object, facts: { ...object.facts, isNullable: object.facts.isNullable || isNotNullNoInherit } };
    return [
      `${start} ADD COLUMN ${columnDefinition(added, context)}`,
      ...(settings.length === 0 ? [] : [`${start} ${settings.join(", ")}`]),
      ...identitySettings(object),
    ];
  },
  default: (object, context) => {
    const column = context.objects.get(object.parent ?? "");
    const table = context.objects.get(column?.parent ?? "");
    return [
      `${alterTable(table, object, onlyOf(table))} ALTER COLUMN ${partOf(object)} SET DEFAULT ${object.facts.expression}`,
    ];
  },
  constraint: (object, context) => {
    const table = context.objects.get(object.parent ?? "");
    const { kind } = object.facts;
    // Checks and foreign keys of a partitioned table go down to its partitions; the keys of each are attached one by one.
    const only = kind === "check" || kind === "foreign key" ? "" : onlyOf(table);
    return [
      `${alterTable(table, object, only)} ADD CONSTRAINT ${partOf(object)} ${constraintDefinition(object.facts)}`,
    ];
  },
  index: (object) => {
    const { definition, tablespace, statisticsTargets } = object.facts;
    const name = identifier(object.schema ?? "", object.part ?? "");
    const where = / WHERE \((?!.* WHERE \()/s.exec(definition);
    const place = tablespace === undefined ? "" : ` TABLESPACE ${identifier(tablespace)}`;
    const written =
      where === null
        ? `${definition}${place}`
        : `${definition.slice(0, where.index)}${place}${definition.slice(where.index)}`;
    return [
      written,
      ...statisticsTargets.map(
        ([position, target]) => `ALTER INDEX ${name} ALTER COLUMN ${position} SET STATISTICS ${target}`,
      ),
    ];
  },
  "index partition": (object) => {
    const { schema, parentIndex, index } = object.facts;
    return [`ALTER INDEX ${identifier(schema, parentIndex)} ATTACH PARTITION ${index}`];
  },
  "replica identity": (object) => {
    const { mode, index } = object.facts;
    const what = index === undefined ? mode.toUpperCase() : `USING INDEX ${identifier(index)}`;
    return [`ALTER TABLE ONLY ${nameOf(object)} REPLICA IDENTITY ${what}`];
  },
  clustering: (object) => [`ALTER TABLE ${nameOf(object)} CLUSTER ON ${identifier(object.facts.index)}`],
  "row security": (object) => [
    ...(object.facts.enabled ? [`ALTER TABLE ${nameOf(object)} ENABLE ROW LEVEL SECURITY`] : []),
    ...(object.facts.forced ? [`ALTER TABLE ${nameOf(object)} FORCE ROW LEVEL SECURITY`] : []),
  ],
  view: createView,
  rule: (object) => [
    object.facts.definition.replace(/;\s*$/, ""),
    ...(object.facts.enabled === "origin"
      ? []
      : [`ALTER TABLE ${nameOf(object)} ${firing(object.facts.enabled, "RULE")} ${partOf(object)}`]),
  ],
  trigger: (object) => [
    object.facts.definition,
    ...(object.facts.enabled === "origin"
      ? []
      : [`ALTER TABLE ${nameOf(object)} ${firing(object.facts.enabled, "TRIGGER")} ${partOf(object)}`]),
  ],
  "trigger state": (object) => [
    `ALTER TABLE ${nameOf(object)} ${firing(object.facts.enabled, "TRIGGER")} ${partOf(object)}`,
  ],
  policy: (object) => {
    const { isPermissive, command } = object.facts;
    const kind = isPermissive ? "" : " AS RESTRICTIVE";
    return [
      `CREATE POLICY ${partOf(object)} ON ${nameOf(object)}${kind} FOR ${command.toUpperCase()}${policyClauses(object.facts)}`,
    ];
  },
  statistics: (object) => [
    object.facts.definition,
    ...(object.facts.statisticsTarget === undefined
      ? []
      : [`ALTER STATISTICS ${nameOf(object)} SET STATISTICS ${object.facts.statisticsTarget}`]),
  ],
  "event trigger": (object) => {
    const { event, tags, functionSchema, functionName, enabled } = object.facts;
    const when = tags.length === 0 ? "" : ` WHEN TAG IN (${tags.map(literal).join(", ")})`;
    return [
      `CREATE EVENT TRIGGER ${nameOf(object)} ON ${event}${when} EXECUTE FUNCTION ${identifier(functionSchema, functionName)}()`,
      ...(enabled === "origin" ? [] : [`ALTER EVENT TRIGGER ${nameOf(object)} ${firing(enabled, "")}`]),
    ];
  },
  comment: ({ facts }) => [`COMMENT ON ${facts.on} IS ${literal(facts.text)}`],
  privileges: (object, context) => {
    const before = context.initialPrivileges?.(object);
    const certain = before?.certain ?? initialPrivileges(object, context.serverVersion);
    return privilegeStatements(object.facts, certain, object.facts.entries, before?.possible);
  },
  "default privileges": (object, context) =>
    defaultPrivilegeStatements(
      object.facts,
      initialDefaults(object.facts, context.serverVersion),
      object.facts.entries,
    ),
  owner: ({ facts }) => [`ALTER ${facts.on} OWNER TO ${identifier(facts.role)}`],
};

/** Parts of a partitioned table are named one by one, so that each keeps its own name. */
export function onlyOf(table: CatalogObject | undefined): string {
  return table?.kind === "table" && table.facts.kind !== "foreign" ? "ONLY " : "";
}
