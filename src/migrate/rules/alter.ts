// How each kind of object gets from one state to another: one function a kind. What cannot be altered is made again.
import {
  alterTable,
  createStatements,
  defaultPrivilegeStatements,
  firing,
  nameOf,
  optionList,
  partOf,
  policyClauses,
  sequenceOptions,
  viewColumnSettings,
  type CatalogObject,
  type ObjectKind,
} from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import { alterColumn, namesOf, withinBounds } from "./alter-column.ts";
import { ALTER_OTHERS, optionChanges } from "./alter-others.ts";
import { alterComposite, alterDomain, alterEnum, swap } from "./alter-type.ts";
import { validation } from "./create.ts";
import { authorisation, privilegeSteps } from "./privileges.ts";
import {
  at,
  inPlace,
  statement,
  undoneBy,
  type Alteration,
  type PlannedStatement,
  type RuleContext,
} from "./statement.ts";
import { swapIndex, swapKey } from "./swap-index.ts";

type Alter = {
  readonly [K in ObjectKind]: (before: CatalogObject<K>, after: CatalogObject<K>, context: RuleContext) => Alteration;
};

/** @param before - and `after` are the same object (same id) in two catalogs, with other facts */
export function alterObject(before: CatalogObject, after: CatalogObject, context: RuleContext): Alteration {
  const alter = ALTER[before.kind] as (before: CatalogObject, after: CatalogObject, context: RuleContext) => Alteration;
  return alter(before, after, context);
}

const recreate = (): Alteration => "recreate";

/** Its CREATE says the new state whatever the old one was. */
function replace(_before: CatalogObject, after: CatalogObject, context: RuleContext): Alteration {
  const create = { serverVersion: context.serverVersion, objects: context.after, separateDefaults: new Set<string>() };
  return inPlace(createStatements(after, create));
}

function equal(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function alterTableObject(
  before: CatalogObject<"table">,
  after: CatalogObject<"table">,
  { serverVersion }: RuleContext,
): Alteration {
  const old = before.facts;
  const wanted = after.facts;
  const sameForm =
    old.kind === wanted.kind &&
    old.partitionKey === wanted.partitionKey &&
    old.foreign?.server === wanted.foreign?.server &&
    (old.accessMethod === wanted.accessMethod || serverVersion >= 150000);
  if (!sameForm) return "recreate";
  const start = alterTable(after, after);
  const statements: PlannedStatement[] = [];
  const rewrite = [{ kind: "rewrite" as const, why: "the table is rewritten while it is locked" }];
  const gone = namesOf(old.storageParameters).filter((name) => !namesOf(wanted.storageParameters).includes(name));
  const set = wanted.storageParameters.filter((option) => !old.storageParameters.includes(option));
  if (gone.length > 0) statements.push(statement(`${start} RESET (${gone.map(dotted).join(", ")})`));
  if (set.length > 0) statements.push(statement(`${start} SET (${optionList(set)})`));
  if (old.persistence !== wanted.persistence) {
    statements.push(statement(`${start} SET ${wanted.persistence === "unlogged" ? "UNLOGGED" : "LOGGED"}`, rewrite));
  }
  if (old.accessMethod !== wanted.accessMethod) {
    // A partitioned table has no rows of its own.
    const isPartitioned = wanted.kind === "partitioned";
    const method = identifier(wanted.accessMethod ?? "heap");
    const action = `SET ACCESS METHOD ${isPartitioned && wanted.accessMethod === undefined ? "DEFAULT" : method}`;
    statements.push(
      statement(
        `${isPartitioned ? `ALTER TABLE ONLY ${nameOf(after)}` : start} ${action}`,
        isPartitioned ? [] : rewrite,
      ),
    );
  }
  if (old.tablespace !== wanted.tablespace) {
    statements.push(statement(`${start} SET TABLESPACE ${identifier(wanted.tablespace ?? "pg_default")}`, rewrite));
  }
  if (old.ofType !== wanted.ofType) statements.push(...changeOfType(before, after));
  statements.push(...changeOfParents(start, old.inherits, wanted.inherits));
  const options = optionChanges(old.foreign?.options ?? [], wanted.foreign?.options ?? []);
  if (options !== "") statements.push(statement(`${start} OPTIONS (${options})`));
  return inPlace(statements);
}

/** A table is of no type while its columns or the type change: the server lets neither of the two change under the other. */
export function changeOfType(
  before: CatalogObject<"table">,
  after: CatalogObject<"table">,
): readonly PlannedStatement[] {
  const start = `ALTER TABLE ${nameOf(after)}`;
  const leave = `${start} NOT OF`;
  const [old, wanted] = [before.facts.ofType, after.facts.ofType];
  return [
    ...(old === undefined ? [] : [at("early", undoneBy(`${start} OF ${old}`, statement(leave)))]),
    ...(wanted === undefined ? [] : [at("late", undoneBy(leave, statement(`${start} OF ${wanted}`)))]),
  ];
}

type Parents = CatalogObject<"table">["facts"]["inherits"];

/** A parent that joins is the last one: those that are to follow it leave for a moment and join again, once all columns are as wanted. */
function changeOfParents(start: string, old: Parents, wanted: Parents): readonly PlannedStatement[] {
  const has = (parents: Parents, parent: Parents[number]): boolean => parents.some((other) => equal(other, parent));
  const staying = old.filter((parent) => has(wanted, parent));
  const first = wanted.findIndex((parent, position) => !equal(parent, staying[position]));
  const again = first === -1 ? [] : staying.slice(first);
  const leave = (parent: Parents[number]): string => `${start} NO INHERIT ${nameOf(parent)}`;
  const join = (parent: Parents[number]): string => `${start} INHERIT ${nameOf(parent)}`;
  const leaves = (parent: Parents[number]): PlannedStatement => undoneBy(join(parent), statement(leave(parent)));
  const joins = (parent: Parents[number]): PlannedStatement => undoneBy(leave(parent), statement(join(parent)));
  return [
    ...old.filter((parent) => !has(wanted, parent)).map((parent) => at("early", leaves(parent))),
    ...again.map((parent) => at("late", leaves(parent))),
    ...wanted
      .filter((parent) => !has(staying, parent) || has(again, parent))
      .map((parent) => at("late", joins(parent))),
  ];
}

/** `toast.autovacuum_enabled` is two names. */
function dotted(name: string): string {
  return name
    .split(".")
    .map((part) => identifier(part))
    .join(".");
}

function alterConstraint(
  before: CatalogObject<"constraint">,
  after: CatalogObject<"constraint">,
  context: RuleContext,
): Alteration {
  const old = before.facts;
  const wanted = after.facts;
  const isKey = [old, wanted].every(({ kind }) => kind === "primary key" || kind === "unique");
  if (isKey && before.inheritedFrom === after.inheritedFrom) return swapKey(before, after, context);
  const rest = equal({ ...old, definition: "" }, { ...wanted, definition: "" });
  if (!rest || before.inheritedFrom !== after.inheritedFrom) return "recreate";
  const start = alterTable(context.after.get(after.parent ?? ""), after);
  if (old.definition === `${wanted.definition} NOT VALID`) {
    return inPlace([validation(after, context)]);
  }
  const deferral = / (?:NOT DEFERRABLE|DEFERRABLE)?(?: ?INITIALLY DEFERRED)?$/;
  if (
    wanted.kind === "foreign key" &&
    old.definition.replace(deferral, "") === wanted.definition.replace(deferral, "")
  ) {
    const how = / DEFERRABLE/.test(wanted.definition)
      ? `DEFERRABLE INITIALLY ${/ INITIALLY DEFERRED/.test(wanted.definition) ? "DEFERRED" : "IMMEDIATE"}`
      : "NOT DEFERRABLE";
    return inPlace([`${start} ALTER CONSTRAINT ${partOf(after)} ${how}`]);
  }
  return "recreate";
}

function alterIndex(before: CatalogObject<"index">, after: CatalogObject<"index">, context: RuleContext): Alteration {
  const same = ({ facts }: CatalogObject<"index">): unknown => ({ ...facts, statisticsTargets: [] });
  if (!after.facts.isUsable) return "recreate";
  if (!equal(same(before), same(after))) return swapIndex(before, after, context);
  const name = identifier(after.schema ?? "", after.part ?? "");
  const positions = [...before.facts.statisticsTargets, ...after.facts.statisticsTargets].map(([position]) => position);
  return inPlace(
    [...new Set(positions)].map((position) => {
      const target = after.facts.statisticsTargets.find(([at]) => at === position)?.[1] ?? -1;
      return `ALTER INDEX ${name} ALTER COLUMN ${position} SET STATISTICS ${target}`;
    }),
  );
}

function settingsOfColumns(
  before: CatalogObject<"view">,
  after: CatalogObject<"view">,
  serverVersion: number,
): readonly string[] {
  const old = before.facts.columnSettings;
  const wanted = after.facts.columnSettings;
  const columns = new Set([...old, ...wanted].map(({ column }) => column));
  return [...columns].flatMap((column) => {
    const none = { column, storage: undefined, compression: undefined, statisticsTarget: undefined, options: [] };
    const settings = wanted.find((other) => other.column === column) ?? none;
    return viewColumnSettings(
      after,
      settings,
      old.find((other) => other.column === column),
      serverVersion,
    );
  });
}

function alterView(before: CatalogObject<"view">, after: CatalogObject<"view">, context: RuleContext): Alteration {
  const old = before.facts;
  const wanted = after.facts;
  if (old.kind !== wanted.kind) return "recreate";
  if (wanted.kind === "materialized view") {
    if (old.definition !== wanted.definition || !equal(old.columns, wanted.columns)) return "recreate";
    if (old.accessMethod !== wanted.accessMethod && context.serverVersion < 150000) return "recreate";
    const start = `ALTER MATERIALIZED VIEW ${nameOf(after)}`;
    const gone = namesOf(old.options).filter((name) => !namesOf(wanted.options).includes(name));
    const set = wanted.options.filter((option) => !old.options.includes(option));
    return inPlace([
      ...(gone.length > 0 ? [`${start} RESET (${gone.map(dotted).join(", ")})`] : []),
      ...(set.length > 0 ? [`${start} SET (${optionList(set)})`] : []),
      ...(old.tablespace === wanted.tablespace
        ? []
        : [`${start} SET TABLESPACE ${identifier(wanted.tablespace ?? "pg_default")}`]),
      ...(old.accessMethod === wanted.accessMethod
        ? []
        : [`${start} SET ACCESS METHOD ${identifier(wanted.accessMethod ?? "heap")}`]),
      ...settingsOfColumns(before, after, context.serverVersion),
      ...(old.isPopulated === wanted.isPopulated
        ? []
        : [`REFRESH MATERIALIZED VIEW ${nameOf(after)}${wanted.isPopulated ? "" : " WITH NO DATA"}`]),
    ]);
  }
  // Columns can only be added at the end.
  if (!equal(wanted.columns.slice(0, old.columns.length), old.columns)) return "recreate";
  const created = replace(before, after, context);
  if (created === "recreate") return created;
  const dropped = old.defaults
    .filter(({ column }) => !wanted.defaults.some((other) => other.column === column))
    .map(({ column }) => statement(`ALTER VIEW ${nameOf(after)} ALTER COLUMN ${identifier(column)} DROP DEFAULT`));
  return inPlace([...created.statements, ...dropped]);
}

function alterPolicy(before: CatalogObject<"policy">, after: CatalogObject<"policy">): Alteration {
  const old = before.facts;
  const wanted = after.facts;
  const loses =
    (old.using !== undefined && wanted.using === undefined) ||
    (old.withCheck !== undefined && wanted.withCheck === undefined);
  if (loses || old.command !== wanted.command || old.isPermissive !== wanted.isPermissive) return "recreate";
  return inPlace([authorisation(`ALTER POLICY ${partOf(after)} ON ${nameOf(after)}${policyClauses(wanted)}`)]);
}

const ALTER: Alter = {
  ...ALTER_OTHERS,
  schema: () => inPlace([]),
  extension: (before, after) => {
    const isMoved = before.facts.schema !== after.facts.schema;
    if (isMoved && !before.facts.isRelocatable) return "recreate";
    const { version } = before.facts;
    const oneWay = {
      kind: "irreversible",
      why: `extensions seldom bring a script back to version ${version}`,
    } as const;
    return inPlace([
      ...(isMoved ? [`ALTER EXTENSION ${nameOf(after)} SET SCHEMA ${identifier(after.facts.schema)}`] : []),
      ...(version === after.facts.version
        ? []
        : [statement(`ALTER EXTENSION ${nameOf(after)} UPDATE TO ${identifier(after.facts.version)}`, [oneWay])]),
    ]);
  },
  enum: alterEnum,
  composite: alterComposite,
  domain: alterDomain,
  "domain constraint": (before, after) =>
    before.facts.definition === `${after.facts.definition} NOT VALID`
      ? inPlace([statement(`ALTER DOMAIN ${nameOf(after)} VALIDATE CONSTRAINT ${partOf(after)}`, [], "own")])
      : "recreate",
  range: swap,
  sequence: (before, after) =>
    inPlace([
      ...withinBounds(nameOf(before), before.facts, after.facts),
      `ALTER SEQUENCE ${nameOf(after)} AS ${after.facts.type} ${sequenceOptions(after.facts)}`,
      ...(before.facts.persistence === after.facts.persistence
        ? []
        : [`ALTER SEQUENCE ${nameOf(after)} SET ${after.facts.persistence === "unlogged" ? "UNLOGGED" : "LOGGED"}`]),
    ]),
  "sequence owner": replace,
  function: (before, after) => {
    const isReplaceable =
      after.facts.kind !== "aggregate" &&
      before.facts.kind === after.facts.kind &&
      before.facts.header === after.facts.header;
    return isReplaceable
      ? inPlace(["SET LOCAL check_function_bodies = off", after.facts.definition.trimEnd()])
      : "recreate";
  },
  table: alterTableObject,
  partition: recreate,
  column: alterColumn,
  default: replace,
  constraint: alterConstraint,
  index: alterIndex,
  "index partition": recreate,
  "replica identity": replace,
  clustering: replace,
  "row security": (before, after) => {
    const { enabled, forced } = after.facts;
    return inPlace([
      ...(before.facts.enabled === enabled
        ? []
        : [authorisation(`ALTER TABLE ${nameOf(after)} ${enabled ? "ENABLE" : "DISABLE"} ROW LEVEL SECURITY`)]),
      ...(before.facts.forced === forced
        ? []
        : [authorisation(`ALTER TABLE ${nameOf(after)} ${forced ? "FORCE" : "NO FORCE"} ROW LEVEL SECURITY`)]),
    ]);
  },
  view: alterView,
  rule: (before, after) =>
    before.facts.definition === after.facts.definition
      ? inPlace([`ALTER TABLE ${nameOf(after)} ${firing(after.facts.enabled, "RULE")} ${partOf(after)}`])
      : "recreate",
  trigger: (before, after) =>
    before.facts.definition === after.facts.definition
      ? inPlace([`ALTER TABLE ${nameOf(after)} ${firing(after.facts.enabled, "TRIGGER")} ${partOf(after)}`])
      : "recreate",
  "trigger state": (_before, after) =>
    inPlace([`ALTER TABLE ${nameOf(after)} ${firing(after.facts.enabled, "TRIGGER")} ${partOf(after)}`]),
  policy: alterPolicy,
  statistics: (before, after) =>
    before.facts.definition === after.facts.definition
      ? inPlace([`ALTER STATISTICS ${nameOf(after)} SET STATISTICS ${after.facts.statisticsTarget ?? -1}`])
      : "recreate",
  "event trigger": (before, after) =>
    equal({ ...before.facts, enabled: "" }, { ...after.facts, enabled: "" })
      ? inPlace([`ALTER EVENT TRIGGER ${nameOf(after)} ${firing(after.facts.enabled, "")}`])
      : "recreate",
  comment: replace,
  privileges: (before, after, context) =>
    inPlace(privilegeSteps(after, before.facts.entries, after.facts.entries, context)),
  "default privileges": (before, after) =>
    inPlace(defaultPrivilegeStatements(after.facts, before.facts.entries, after.facts.entries).map(authorisation)),
  owner: (_before, { facts }) => inPlace([authorisation(`ALTER ${facts.on} OWNER TO ${identifier(facts.role)}`)]),
};
