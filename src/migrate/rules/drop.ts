// How each kind of object is dropped. Nothing is dropped with CASCADE: what depends on it has a step of its own.
import {
  alterTable,
  defaultPrivilegeStatements,
  firing,
  initialDefaults,
  initialPrivileges,
  literal,
  nameOf,
  objectId,
  onlyOf,
  partOf,
  type CatalogObject,
  type ObjectKind,
} from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import { heirsOf } from "../object-lookups.ts";
import { DROP_OTHERS } from "./drop-others.ts";
import { detachStatements } from "./partition.ts";
import { authorisation, privilegeSteps } from "./privileges.ts";
import { statement, type Hazard, type PlannedStatement, type RuleContext } from "./statement.ts";

type Drop = {
  readonly [K in ObjectKind]: (
    object: CatalogObject<K>,
    context: RuleContext,
  ) => readonly (string | PlannedStatement)[];
};

/** The statements that drop an object of the catalog before. */
export function dropStatements(object: CatalogObject, context: RuleContext): readonly PlannedStatement[] {
  const drop = DROP[object.kind] as (
    object: CatalogObject,
    context: RuleContext,
  ) => readonly (string | PlannedStatement)[];
  return drop(object, context).map((item) => (typeof item === "string" ? statement(item) : item));
}

const type = (object: CatalogObject): readonly string[] => [`DROP TYPE ${nameOf(object)}`];

/** As a person writes it, without quotes. */
function said({ schema, name, part }: CatalogObject): string {
  return [schema, name, part].filter((text) => text !== undefined).join(".");
}

/** The same column in tables that inherit from its table, before and after. */
function heirsBeforeAndAfter(
  { id, schema, name }: CatalogObject,
  { before, after }: RuleContext,
): readonly CatalogObject[] {
  return heirsOf(id, before).filter((heir) => {
    if (heir.kind !== "column") return false;
    const table = after.get(heir.parent ?? "");
    return (
      table?.kind === "table" && table.facts.inherits.some((parent) => parent.schema === schema && parent.name === name)
    );
  });
}

/** The form in two releases, for a plain table or a column of one that does not come back in the same plan. */
function keptBy(what: "table" | "column", object: CatalogObject, { before, after }: RuleContext): string {
  const { id, schema, name, part } = object;
  const table = before.get(objectId("table", schema, name));
  const isPlain = table?.kind === "table" && table.facts.kind === "table";
  if (after.has(id) || !isPlain || before.has(objectId("partition", schema, name))) return "";
  const words = [schema, name, part].flatMap((word) =>
    word === undefined ? [] : [/^[a-z_][a-z0-9_$]*$/.test(word) ? word : identifier(word)],
  );
  return `; in two releases that keep them: pgsteward migrate drop ${what} ${words.join(".")}`;
}

function loses(what: string): readonly Hazard[] {
  return [{ kind: "data loss", why: what }];
}

function tableOf(object: CatalogObject, { before }: RuleContext): CatalogObject | undefined {
  return before.get(object.parent ?? "");
}

/** Whether the key of a partition is attached to an index that is no key. */
function holdsKeyOfPartition(index: string, context: RuleContext): boolean {
  return heirsOf(index, context.before).some(
    ({ kind, id }) => kind === "constraint" || (kind === "index" && holdsKeyOfPartition(id, context)),
  );
}

const ROUTINES: Readonly<Record<string, string>> = { procedure: "PROCEDURE", aggregate: "AGGREGATE" };

/** `FUNCTION name(arguments)`, as DROP and COMMENT name it. */
export function routine(object: CatalogObject<"function">): string {
  const isAggregate = object.facts.kind === "aggregate";
  const args = isAggregate && object.part === "" ? "*" : (object.part ?? "");
  return `${ROUTINES[object.facts.kind] ?? "FUNCTION"} ${nameOf(object)}(${args})`;
}

const DROP: Drop = {
  ...DROP_OTHERS,
  schema: (object) => [`DROP SCHEMA ${nameOf(object)}`],
  extension: (object) => [
    statement(`DROP EXTENSION ${nameOf(object)}`, loses(`the columns of types of ${object.name} are gone`)),
  ],
  enum: type,
  composite: type,
  range: type,
  domain: (object) => [`DROP DOMAIN ${nameOf(object)}`],
  "domain constraint": (object) => [`ALTER DOMAIN ${nameOf(object)} DROP CONSTRAINT ${partOf(object)}`],
  sequence: (object) => [
    statement(`DROP SEQUENCE ${nameOf(object)}`, loses(`the last value of ${said(object)} is gone`)),
  ],
  "sequence owner": (object) => [`ALTER SEQUENCE ${nameOf(object)} OWNED BY NONE`],
  // A base type that is made anew has taken its functions along.
  function: (object, { before, after }) => {
    const isOfType = object.needs.some(
      (id) => id.startsWith("shell type ") && before.has(`base ${id.slice(6)}`) && after.has(id),
    );
    return [
      isOfType ? `DROP FUNCTION IF EXISTS ${routine(object).slice("FUNCTION ".length)}` : `DROP ${routine(object)}`,
    ];
  },
  table: (object, context) => [
    statement(
      `DROP ${object.facts.kind === "foreign" ? "FOREIGN " : ""}TABLE ${nameOf(object)}`,
      loses(`the rows of ${said(object)} are gone${keptBy("table", object, context)}`),
    ),
  ],
  partition: detachStatements,
  column: (object, context) => {
    const heirs = heirsBeforeAndAfter(object, context);
    const staying = heirs.filter(({ id }) => context.after.has(id));
    // ONLY leaves the column to the heirs; those that lose it too drop it after their parent.
    const others = staying.length === 0 ? [] : heirs.filter((heir) => !staying.includes(heir));
    return [
      statement(
        `${alterTable(tableOf(object, context), object, staying.length === 0 ? "" : "ONLY ")} DROP COLUMN ${partOf(object)}`,
        object.facts.generated === undefined
          ? loses(`the values of ${said(object)} are gone${keptBy("column", object, context)}`)
          : [],
      ),
      ...others.map((heir) =>
        statement(
          `${alterTable(tableOf(heir, context), heir)} DROP COLUMN ${partOf(heir)}`,
          loses(`the values of ${said(heir)} are gone`),
        ),
      ),
    ];
  },
  default: (object, context) => {
    const table = context.before.get(tableOf(object, context)?.parent ?? "");
    return [`${alterTable(table, object, onlyOf(table))} ALTER COLUMN ${partOf(object)} DROP DEFAULT`];
  },
  constraint: (object, context) => [
    `${alterTable(tableOf(object, context), object)} DROP CONSTRAINT ${partOf(object)}`,
  ],
  index: (object, context) => {
    const name = identifier(object.schema ?? "", object.part ?? "");
    const isPlain = object.facts.definition.includes(" ON ONLY ") === false && object.inheritedFrom === undefined;
    // What needs such a key has gone before; the server refuses to drop the key first, and this index without it.
    if (holdsKeyOfPartition(object.id, context)) return [`DROP INDEX ${name} CASCADE`];
    return isPlain && context.isLive(object.parent)
      ? [statement(`DROP INDEX CONCURRENTLY ${name}`, [], "outside")]
      : [`DROP INDEX ${name}`];
  },
  "index partition": () => [],
  "replica identity": (object) => [`ALTER TABLE ONLY ${nameOf(object)} REPLICA IDENTITY DEFAULT`],
  clustering: (object) => [`ALTER TABLE ${nameOf(object)} SET WITHOUT CLUSTER`],
  "row security": (object) => {
    const hazard: Hazard = { kind: "authorisation", why: "rows are no longer kept apart by policies" };
    return [
      ...(object.facts.enabled
        ? [statement(`ALTER TABLE ${nameOf(object)} DISABLE ROW LEVEL SECURITY`, [hazard])]
        : []),
      ...(object.facts.forced
        ? [statement(`ALTER TABLE ${nameOf(object)} NO FORCE ROW LEVEL SECURITY`, [hazard])]
        : []),
    ];
  },
  view: (object) => [`DROP ${object.facts.kind === "view" ? "VIEW" : "MATERIALIZED VIEW"} ${nameOf(object)}`],
  rule: (object) => [`DROP RULE ${partOf(object)} ON ${nameOf(object)}`],
  trigger: (object) => [`DROP TRIGGER ${partOf(object)} ON ${nameOf(object)}`],
  "trigger state": (object) => [
    `ALTER TABLE ${nameOf(object)} ${firing(object.facts.inherited, "TRIGGER")} ${partOf(object)}`,
  ],
  policy: (object) => [
    statement(`DROP POLICY ${partOf(object)} ON ${nameOf(object)}`, [
      { kind: "authorisation", why: "who sees which rows changes" },
    ]),
  ],
  statistics: (object) => [`DROP STATISTICS ${nameOf(object)}`],
  "event trigger": (object) => [`DROP EVENT TRIGGER ${nameOf(object)}`],
  comment: ({ facts, initialText }) => [
    `COMMENT ON ${facts.on} IS ${initialText === undefined ? "NULL" : literal(initialText)}`,
  ],
  privileges: (object, context) =>
    privilegeSteps(object, object.facts.entries, initialPrivileges(object, context.serverVersion), context),
  "default privileges": (object, context) =>
    defaultPrivilegeStatements(
      object.facts,
      object.facts.entries,
      initialDefaults(object.facts, context.serverVersion),
    ).map(authorisation),
  // Everything has an owner as long as it is there.
  owner: () => [],
};
