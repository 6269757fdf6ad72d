// How the objects beside tables, views, functions and common types get from one state to the other. Base types and collations, which
// columns are made of: alter-base.ts.
import {
  createStatements,
  functionMember,
  foreignOptions,
  operatorMember,
  publicationOptions,
  spellingOf,
  subscriptionOptions,
  type CatalogObject,
  type OtherObjectKind,
} from "../../catalog/index.ts";
import { identifier, literal } from "../../postgres/index.ts";
import { alterBaseType, alterCollation } from "./alter-base.ts";
import { linkedOperator } from "../object-lookups.ts";
import {
  inPlace,
  statement,
  type Alteration,
  type Hazard,
  type PlannedStatement,
  type RuleContext,
} from "./statement.ts";

type Alter = {
  readonly [K in OtherObjectKind]: (
    before: CatalogObject<K>,
    after: CatalogObject<K>,
    context: RuleContext,
  ) => Alteration;
};

const recreate = (): Alteration => "recreate";

/** Its CREATE OR REPLACE says the new state whatever the old one was. */
function replace(_before: CatalogObject, after: CatalogObject, context: RuleContext): Alteration {
  const create = { serverVersion: context.serverVersion, objects: context.after, separateDefaults: new Set<string>() };
  return inPlace(createStatements(after, create));
}

function equal(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** What is in the first list and not in the second. */
function without<T>(list: readonly T[], other: readonly T[]): readonly T[] {
  return list.filter((item) => !other.some((candidate) => equal(item, candidate)));
}

/** `ADD a 'x', SET b 'y', DROP c`: the way from one list of `name=value` to another, empty when they say the same. */
export function optionChanges(old: readonly string[], wanted: readonly string[]): string {
  const nameOf = (option: string): string => option.slice(0, option.indexOf("="));
  const had = old.map(nameOf);
  const has = wanted.map(nameOf);
  return [
    ...had.filter((name) => !has.includes(name)).map((name) => `DROP ${identifier(name)}`),
    ...wanted
      .filter((option) => !old.includes(option))
      .map((option) => `${had.includes(nameOf(option)) ? "SET" : "ADD"} ${foreignOptions([option])}`),
  ].join(", ");
}

function options(start: string, old: readonly string[], wanted: readonly string[]): readonly string[] {
  const changes = optionChanges(old, wanted);
  return changes === "" ? [] : [`${start} OPTIONS (${changes})`];
}

/** The other side of a commutator or negator is set with the operator that names it, and reset when that is dropped. */
function alterOperator(
  before: CatalogObject<"operator">,
  after: CatalogObject<"operator">,
  { serverVersion, before: old, after: wanted }: RuleContext,
): Alteration {
  const links = ["commutator", "negator"] as const;
  const fixed = ({ facts }: CatalogObject<"operator">): unknown => [
    facts.function,
    ...(serverVersion >= 170000 ? [] : [facts.hashes, facts.merges]),
  ];
  const isLost =
    (before.facts.hashes && !after.facts.hashes) ||
    (before.facts.merges && !after.facts.merges) ||
    links.some((link) => {
      const was = before.facts[link];
      const is = after.facts[link];
      if (was === is) return false;
      // A name that no operator stands behind stays: nobody drops that.
      const isGone = was === undefined || (hasLinked(old, before, link) && !hasLinked(wanted, before, link));
      const comesByItself = is === undefined || !hasLinked(old, after, link) || serverVersion >= 170000;
      return !isGone || !comesByItself;
    });
  if (isLost || !equal(fixed(before), fixed(after))) return "recreate";
  const settings = [
    ...(["restrict", "join"] as const).flatMap((name) =>
      before.facts[name] === after.facts[name] ? [] : [`${name.toUpperCase()} = ${after.facts[name] ?? "NONE"}`],
    ),
    ...(serverVersion < 170000
      ? []
      : [
          ...links.flatMap((link) => {
            const name = after.facts[link];
            if (name === undefined || name === before.facts[link]) return [];
            return hasLinked(old, after, link) ? [`${link.toUpperCase()} = OPERATOR(${name})`] : [];
          }),
          ...(["hashes", "merges"] as const).flatMap((name) =>
            after.facts[name] && !before.facts[name] ? [name.toUpperCase()] : [],
          ),
        ]),
  ];
  if (settings.length === 0) return inPlace([]);
  return inPlace([`ALTER ${spellingOf("operator", after)} SET (${settings.join(", ")})`]);
}

/** Whether the commutator or negator that an operator names is an object of the catalog. */
function hasLinked(
  objects: RuleContext["before"],
  operator: CatalogObject<"operator">,
  link: "commutator" | "negator",
): boolean {
  return linkedOperator(operator, link, objects) !== undefined;
}

function alterFamily(before: CatalogObject<"operator family">, after: CatalogObject<"operator family">): Alteration {
  const old = before.facts;
  const wanted = after.facts;
  const gone = [
    ...without(old.operators, wanted.operators).map(
      ({ strategy, left, right }) => `OPERATOR ${strategy} (${left}, ${right})`,
    ),
    ...without(old.functions, wanted.functions).map(
      ({ number, left, right }) => `FUNCTION ${number} (${left}, ${right})`,
    ),
  ];
  const added = [
    ...without(wanted.operators, old.operators).map(operatorMember),
    ...without(wanted.functions, old.functions).map(functionMember),
  ];
  const start = `ALTER ${spellingOf("operator family", after)}`;
  return inPlace([
    ...(gone.length === 0 ? [] : [`${start} DROP ${gone.join(", ")}`]),
    ...(added.length === 0 ? [] : [`${start} ADD ${added.join(", ")}`]),
  ]);
}

const DICTIONARY_OPTION = /("(?:[^"]|"")+"|\w+) = (E'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|[^,]+)/gs;

function alterDictionary(
  before: CatalogObject<"text search dictionary">,
  after: CatalogObject<"text search dictionary">,
): Alteration {
  if (before.facts.template !== after.facts.template) return "recreate";
  const parse = (written: string | undefined): ReadonlyMap<string, string> =>
    new Map([...(written ?? "").matchAll(DICTIONARY_OPTION)].map(([, name = "", value = ""]) => [name, value]));
  const old = parse(before.facts.options);
  const wanted = parse(after.facts.options);
  const list = [
    ...[...old.keys()].filter((name) => !wanted.has(name)),
    ...[...wanted].filter(([name, value]) => old.get(name) !== value).map(([name, value]) => `${name} = ${value}`),
  ];
  if (list.length === 0) return "recreate";
  return inPlace([`ALTER ${spellingOf("text search dictionary", after)} (${list.join(", ")})`]);
}

function alterConfiguration(
  before: CatalogObject<"text search configuration">,
  after: CatalogObject<"text search configuration">,
): Alteration {
  if (before.facts.parser !== after.facts.parser) return "recreate";
  const old = before.facts.mappings;
  const wanted = after.facts.mappings;
  const start = `ALTER ${spellingOf("text search configuration", after)}`;
  const gone = old.filter(({ token }) => !wanted.some((mapping) => mapping.token === token));
  return inPlace([
    ...gone.map(({ token }) => `${start} DROP MAPPING FOR ${identifier(token)}`),
    ...without(wanted, old).map(({ token, dictionaries }) => {
      const word = old.some((mapping) => mapping.token === token) ? "ALTER" : "ADD";
      return `${start} ${word} MAPPING FOR ${identifier(token)} WITH ${dictionaries.join(", ")}`;
    }),
  ]);
}

function alterSubscription(before: CatalogObject<"subscription">, after: CatalogObject<"subscription">): Alteration {
  const old = before.facts;
  const wanted = after.facts;
  const start = `ALTER ${spellingOf("subscription", after)}`;
  const had = new Map(subscriptionOptions(old));
  const changed = subscriptionOptions(wanted).filter(([name, value]) => had.get(name) !== value);
  const statements: (string | PlannedStatement)[] = [];
  if (old.twoPhase !== wanted.twoPhase) {
    statements.push(
      statement(`${start} SET (two_phase = ${wanted.twoPhase ?? false})`, [
        { kind: "may fail", why: "only a disabled subscription takes it, and none before PostgreSQL 18" },
      ]),
    );
  }
  if (changed.length > 0)
    statements.push(`${start} SET (${changed.map(([name, value]) => `${name} = ${value}`).join(", ")})`);
  if (!equal(old.publications, wanted.publications)) {
    const hazard: Hazard = {
      kind: "not covered",
      why: "run ALTER SUBSCRIPTION … REFRESH PUBLICATION when the publisher has it",
    };
    const names = wanted.publications.map((name) => identifier(name)).join(", ");
    statements.push(statement(`${start} SET PUBLICATION ${names} WITH (refresh = false)`, [hazard]));
  }
  return inPlace(statements);
}

export const ALTER_OTHERS: Alter = {
  collation: alterCollation,
  conversion: recreate,
  cast: recreate,
  operator: alterOperator,
  "operator family": alterFamily,
  "operator class": recreate,
  "access method": recreate,
  language: replace,
  transform: replace,
  "shell type": () => inPlace([]),
  "base type": alterBaseType,
  "text search parser": recreate,
  "text search template": recreate,
  "text search dictionary": alterDictionary,
  "text search configuration": alterConfiguration,
  "foreign data wrapper": (before, after) => {
    const start = `ALTER ${spellingOf("foreign data wrapper", after)}`;
    const { handler, validator } = after.facts;
    const words = [
      ...(before.facts.handler === handler ? [] : [handler === undefined ? "NO HANDLER" : `HANDLER ${handler}`]),
      ...(before.facts.validator === validator
        ? []
        : [validator === undefined ? "NO VALIDATOR" : `VALIDATOR ${validator}`]),
    ];
    return inPlace([
      ...(words.length === 0 ? [] : [`${start} ${words.join(" ")}`]),
      ...options(start, before.facts.options, after.facts.options),
    ]);
  },
  "foreign server": (before, after) => {
    const { wrapper, type, version } = after.facts;
    if (before.facts.wrapper !== wrapper || before.facts.type !== type) return "recreate";
    if (version === undefined && before.facts.version !== undefined) return "recreate";
    const start = `ALTER ${spellingOf("foreign server", after)}`;
    return inPlace([
      ...(version === undefined || before.facts.version === version ? [] : [`${start} VERSION ${literal(version)}`]),
      ...options(start, before.facts.options, after.facts.options),
    ]);
  },
  "user mapping": (before, after) => {
    const { options: old } = before.facts;
    const { options: wanted } = after.facts;
    // One of both logins may not see them, so nothing is known of a difference.
    if (old === undefined || wanted === undefined) return inPlace([]);
    return inPlace(options(`ALTER ${spellingOf("user mapping", after)}`, old, wanted));
  },
  publication: (before, after) => {
    if (before.facts.allTables !== after.facts.allTables) return "recreate";
    return inPlace([`ALTER ${spellingOf("publication", after)} SET (${publicationOptions(after.facts)})`]);
  },
  "publication table": recreate,
  "publication schema": recreate,
  subscription: alterSubscription,
  "extension member": replace,
  "extension dependency": replace,
  "security label": replace,
};
