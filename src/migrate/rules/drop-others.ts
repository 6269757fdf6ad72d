// How the objects beside tables, views, functions and common types are dropped.
import { spellingOf, type CatalogObject, type OtherObjectKind } from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import { keepsBaseType } from "./alter-base.ts";
import { statement, type Hazard, type PlannedStatement, type RuleContext } from "./statement.ts";

type Drop = {
  readonly [K in OtherObjectKind]: (
    object: CatalogObject<K>,
    context: RuleContext,
  ) => readonly (string | PlannedStatement)[];
};

const PASSWORD: readonly Hazard[] = [
  { kind: "irreversible", why: "its password is never read: who makes it again has to give it" },
];

function plainly(object: CatalogObject<OtherObjectKind>): readonly string[] {
  const { kind } = object;
  if (kind === "publication table" || kind === "publication schema" || kind === "security label") return [];
  if (kind === "extension member" || kind === "extension dependency") return [];
  return [`DROP ${spellingOf(kind, object)}`];
}

export const DROP_OTHERS: Drop = {
  collation: plainly,
  conversion: plainly,
  cast: plainly,
  operator: plainly,
  "operator family": plainly,
  "operator class": plainly,
  "access method": plainly,
  language: plainly,
  transform: plainly,
  // With its functions, which cannot go without each other. All else that needs it has gone before.
  "shell type": (object, context) => {
    const base = context.before.get(`base ${object.id.slice("shell ".length)}`);
    const [sql = ""] = plainly(object);
    return base === undefined || keepsBaseType(base, context) ? [sql] : [`${sql} CASCADE`];
  },
  "base type": plainly,
  "text search parser": plainly,
  "text search template": plainly,
  "text search dictionary": plainly,
  "text search configuration": plainly,
  "foreign data wrapper": plainly,
  "foreign server": plainly,
  "user mapping": (object) => plainly(object).map((sql) => statement(sql, PASSWORD)),
  publication: plainly,
  "publication table": (object) => [`ALTER PUBLICATION ${identifier(object.name)} DROP TABLE ${object.facts.table}`],
  "publication schema": (object) => [
    `ALTER PUBLICATION ${identifier(object.name)} DROP TABLES IN SCHEMA ${identifier(object.facts.schema)}`,
  ],
  // Without its slot: dropping that asks the publisher, and cannot be undone when the rest of the transaction fails.
  subscription: (object) => {
    const spelled = spellingOf("subscription", object);
    const left: Hazard = {
      kind: "not covered",
      why: `the replication slot ${object.facts.slotName ?? ""} stays on the publisher and keeps its files until it is dropped there`,
    };
    return [
      `ALTER ${spelled} DISABLE`,
      ...(object.facts.slotName === undefined ? [] : [statement(`ALTER ${spelled} SET (slot_name = NONE)`, [left])]),
      statement(`DROP ${spelled}`, PASSWORD),
    ];
  },
  "extension member": ({ facts }) => [`ALTER EXTENSION ${identifier(facts.extension)} DROP ${facts.on}`],
  "extension dependency": ({ facts }) => [`ALTER ${facts.on} NO DEPENDS ON EXTENSION ${identifier(facts.extension)}`],
  "security label": ({ facts }) => [`SECURITY LABEL FOR ${identifier(facts.provider)} ON ${facts.on} IS NULL`],
};
