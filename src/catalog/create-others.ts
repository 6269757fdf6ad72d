// How the objects beside tables, views, functions and common types are created: one function a kind, from facts to SQL.
import { identifier, literal } from "../postgres/index.ts";
import type { FunctionMember, OperatorMember, OtherKind } from "./model-others.ts";
import type { CatalogObject, FactsOfKind } from "./object-facts.ts";
import { MASKED } from "./masked.ts";
import { operatorName, spellingOf } from "./spelling.ts";

export type OtherObjectKind =
  | OtherKind
  | "shell type"
  | "publication table"
  | "publication schema"
  | "security label"
  | "extension member"
  | "extension dependency";

type Create = { readonly [K in OtherObjectKind]: (object: CatalogObject<K>) => readonly string[] };

/** `name = value` for those that have a value. */
function definitions(pairs: readonly (readonly [name: string, value: string | undefined])[], separator = ", "): string {
  return pairs.flatMap(([name, value]) => (value === undefined ? [] : [`${name} = ${value}`])).join(separator);
}

function text(value: string | undefined): string | undefined {
  return value === undefined ? undefined : literal(value);
}

/** `name=value` as `name 'value'`, which is how foreign data options are written. */
export function foreignOptions(options: readonly string[]): string {
  return options
    .map((option) => {
      const at = option.indexOf("=");
      return `${identifier(option.slice(0, at))} ${literal(option.slice(at + 1))}`;
    })
    .join(", ");
}

/** Whether its CREATE needs a value that was not read, because it may be a secret. */
export function holdsSecret(object: CatalogObject): boolean {
  if (object.kind === "subscription") return true;
  const options =
    object.kind === "user mapping" || object.kind === "foreign server" || object.kind === "foreign data wrapper"
      ? object.facts.options
      : object.kind === "table"
        ? object.facts.foreign?.options
        : undefined;
  return options?.some((option) => option.endsWith(`=${MASKED}`)) ?? false;
}

function withOptions(options: readonly string[]): string {
  return options.length === 0 ? "" : ` OPTIONS (${foreignOptions(options)})`;
}

/** An operator as a clause of another one names it. */
function operatorReference(name: string | undefined): string | undefined {
  return name === undefined ? undefined : `OPERATOR(${name})`;
}

export function operatorMember({ strategy, operator, orderBy }: OperatorMember): string {
  return `OPERATOR ${strategy} ${operator}${orderBy === undefined ? "" : ` FOR ORDER BY ${orderBy}`}`;
}

export function functionMember({ number, left, right, function: name }: FunctionMember): string {
  return `FUNCTION ${number} (${left}, ${right}) ${name}`;
}

export function baseTypeOptions(facts: FactsOfKind["base type"]): string {
  return definitions([
    ["INPUT", facts.input],
    ["OUTPUT", facts.output],
    ["RECEIVE", facts.receive],
    ["SEND", facts.send],
    ["TYPMOD_IN", facts.modifierInput],
    ["TYPMOD_OUT", facts.modifierOutput],
    ["ANALYZE", facts.analyze],
    ["SUBSCRIPT", facts.subscript],
    ["INTERNALLENGTH", facts.length === -1 ? "VARIABLE" : String(facts.length)],
    ["PASSEDBYVALUE", String(facts.isPassedByValue ?? false)],
    ["ALIGNMENT", facts.alignment],
    ["STORAGE", facts.storage],
    ["CATEGORY", text(facts.category)],
    ["PREFERRED", String(facts.isPreferred ?? false)],
    ["DEFAULT", text(facts.default)],
    ["ELEMENT", facts.element],
    ["DELIMITER", text(facts.delimiter)],
    ["COLLATABLE", String(facts.isCollatable ?? false)],
  ]);
}

/** Those that ALTER TYPE … SET can change, when they are all that differs; otherwise `undefined`. */
export function baseTypeSettings(old: FactsOfKind["base type"], wanted: FactsOfKind["base type"]): string | undefined {
  const settable = ["receive", "send", "modifierInput", "modifierOutput", "analyze", "subscript", "storage"] as const;
  const words = ["RECEIVE", "SEND", "TYPMOD_IN", "TYPMOD_OUT", "ANALYZE", "SUBSCRIPT", "STORAGE"] as const;
  const names = Object.keys({ ...old, ...wanted }) as (keyof typeof old)[];
  const isSettable = (name: string): boolean => settable.some((other) => other === name);
  // Storage can leave plain, and not go back there.
  if (names.some((name) => !isSettable(name) && old[name] !== wanted[name])) return undefined;
  if (old.storage !== wanted.storage && wanted.storage === "plain") return undefined;
  return settable
    .flatMap((name, position) => (old[name] === wanted[name] ? [] : [`${words[position]} = ${wanted[name] ?? "NONE"}`]))
    .join(", ");
}

export function publicationOptions({ publishes, viaRoot, generatedColumns }: FactsOfKind["publication"]): string {
  return definitions([
    ["publish", literal(publishes.join(", "))],
    ["publish_via_partition_root", String(viaRoot)],
    ["publish_generated_columns", generatedColumns],
  ]);
}

/** Settings that can be changed later too. */
export function subscriptionOptions(facts: FactsOfKind["subscription"]): readonly (readonly [string, string])[] {
  const { slotName, isBinary, streaming, synchronousCommit, disableOnError, passwordRequired } = facts;
  const all: readonly (readonly [string, string | undefined])[] = [
    ["slot_name", slotName === undefined ? "NONE" : literal(slotName)],
    ["binary", String(isBinary)],
    ["streaming", streaming],
    ["synchronous_commit", text(synchronousCommit)],
    ["disable_on_error", disableOnError === undefined ? undefined : String(disableOnError)],
    ["password_required", passwordRequired === undefined ? undefined : String(passwordRequired)],
    ["run_as_owner", facts.runAsOwner === undefined ? undefined : String(facts.runAsOwner)],
    ["origin", text(facts.origin)],
    ["failover", facts.failover === undefined ? undefined : String(facts.failover)],
  ];
  return all.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
}

export const CREATE_OTHERS: Create = {
  collation: (object) => {
    const { provider, locale, lcCollate, lcCtype, isDeterministic, rules } = object.facts;
    const options = definitions([
      ["provider", provider],
      ["locale", text(locale)],
      ["lc_collate", text(lcCollate)],
      ["lc_ctype", text(lcCtype)],
      ["deterministic", isDeterministic ? undefined : "false"],
      ["rules", text(rules)],
    ]);
    return [`CREATE ${spellingOf("collation", object)} (${options})`];
  },
  conversion: (object) => {
    const { from, to, function: name, isDefault } = object.facts;
    const [, spelled = ""] = spellingOf("conversion", object).split("CONVERSION ");
    return [
      `CREATE ${isDefault ? "DEFAULT " : ""}CONVERSION ${spelled} FOR ${literal(from)} TO ${literal(to)} FROM ${name}`,
    ];
  },
  cast: (object) => {
    const { function: name, method, context } = object.facts;
    const how = method === "function" ? `FUNCTION ${name}` : method === "inout" ? "INOUT" : undefined;
    const when = context === "explicit" ? "" : ` AS ${context.toUpperCase()}`;
    return [`CREATE ${spellingOf("cast", object)} ${how === undefined ? "WITHOUT FUNCTION" : `WITH ${how}`}${when}`];
  },
  operator: (object) => {
    const { left, right, function: name, commutator, negator, restrict, join, hashes, merges } = object.facts;
    const options = definitions([
      ["FUNCTION", name],
      ["LEFTARG", left],
      ["RIGHTARG", right],
      ["COMMUTATOR", operatorReference(commutator)],
      ["NEGATOR", operatorReference(negator)],
      ["RESTRICT", restrict],
      ["JOIN", join],
    ]);
    return [
      `CREATE OPERATOR ${operatorName(object)} (${options}${hashes ? ", HASHES" : ""}${merges ? ", MERGES" : ""})`,
    ];
  },
  "operator family": (object) => {
    const { operators, functions } = object.facts;
    const members = [...operators.map(operatorMember), ...functions.map(functionMember)];
    const spelled = spellingOf("operator family", object);
    return [`CREATE ${spelled}`, ...(members.length === 0 ? [] : [`ALTER ${spelled} ADD\n  ${members.join(",\n  ")}`])];
  },
  "operator class": (object) => {
    const { method, type, family, isDefault, storage, operators, functions } = object.facts;
    const members = [
      ...(storage === undefined ? [] : [`STORAGE ${storage}`]),
      ...operators.map(operatorMember),
      ...functions.map(functionMember),
    ];
    const [name = ""] = spellingOf("operator class", object).split(" USING ");
    // A class of no members still needs one word in its list.
    return [
      `CREATE ${name}${isDefault ? " DEFAULT" : ""} FOR TYPE ${type} USING ${identifier(method)} FAMILY ${family} AS\n  ${members.length === 0 ? `STORAGE ${type}` : members.join(",\n  ")}`,
    ];
  },
  "access method": (object) => [
    `CREATE ${spellingOf("access method", object)} TYPE ${object.facts.type.toUpperCase()} HANDLER ${object.facts.handler}`,
  ],
  language: (object) => {
    const { isTrusted, handler, inline, validator } = object.facts;
    const clauses = [
      handler === undefined ? "" : ` HANDLER ${handler}`,
      inline === undefined ? "" : ` INLINE ${inline}`,
      validator === undefined ? "" : ` VALIDATOR ${validator}`,
    ];
    return [`CREATE OR REPLACE ${isTrusted ? "TRUSTED " : ""}${spellingOf("language", object)}${clauses.join("")}`];
  },
  transform: (object) => {
    const { fromSql, toSql } = object.facts;
    const parts = [
      ...(fromSql === undefined ? [] : [`FROM SQL WITH FUNCTION ${fromSql}`]),
      ...(toSql === undefined ? [] : [`TO SQL WITH FUNCTION ${toSql}`]),
    ];
    return [`CREATE OR REPLACE ${spellingOf("transform", object)} (${parts.join(", ")})`];
  },
  "shell type": (object) => [`CREATE ${spellingOf("shell type", object)}`],
  "base type": (object) => [`CREATE ${spellingOf("base type", object)} (${baseTypeOptions(object.facts)})`],
  "text search parser": (object) => {
    const { start, token, end, headline, lexemeTypes } = object.facts;
    const options = definitions([
      ["START", start],
      ["GETTOKEN", token],
      ["END", end],
      ["HEADLINE", headline],
      ["LEXTYPES", lexemeTypes],
    ]);
    return [`CREATE ${spellingOf("text search parser", object)} (${options})`];
  },
  "text search template": (object) => {
    const options = definitions([
      ["INIT", object.facts.init],
      ["LEXIZE", object.facts.lexize],
    ]);
    return [`CREATE ${spellingOf("text search template", object)} (${options})`];
  },
  "text search dictionary": (object) => {
    const { template, options } = object.facts;
    return [
      `CREATE ${spellingOf("text search dictionary", object)} (TEMPLATE = ${template}${options === undefined ? "" : `, ${options}`})`,
    ];
  },
  "text search configuration": (object) => {
    const spelled = spellingOf("text search configuration", object);
    return [
      `CREATE ${spelled} (PARSER = ${object.facts.parser})`,
      ...object.facts.mappings.map(
        ({ token, dictionaries }) =>
          `ALTER ${spelled} ADD MAPPING FOR ${identifier(token)} WITH ${dictionaries.join(", ")}`,
      ),
    ];
  },
  "foreign data wrapper": (object) => {
    const { handler, validator, options } = object.facts;
    return [
      `CREATE ${spellingOf("foreign data wrapper", object)} ${handler === undefined ? "NO HANDLER" : `HANDLER ${handler}`} ${validator === undefined ? "NO VALIDATOR" : `VALIDATOR ${validator}`}${withOptions(options)}`,
    ];
  },
  "foreign server": (object) => {
    const { wrapper, type, version, options } = object.facts;
    const clauses = [
      type === undefined ? "" : ` TYPE ${literal(type)}`,
      version === undefined ? "" : ` VERSION ${literal(version)}`,
      ` FOREIGN DATA WRAPPER ${identifier(wrapper)}`,
    ];
    return [`CREATE ${spellingOf("foreign server", object)}${clauses.join("")}${withOptions(options)}`];
  },
  "user mapping": (object) => [
    `CREATE ${spellingOf("user mapping", object)}${withOptions(object.facts.options ?? [])}`,
  ],
  publication: (object) => [
    `CREATE ${spellingOf("publication", object)}${object.facts.allTables ? " FOR ALL TABLES" : ""} WITH (${publicationOptions(object.facts)})`,
  ],
  "publication table": (object) => {
    const { table, columns, where } = object.facts;
    const list = columns === undefined ? "" : ` (${columns.map((column) => identifier(column)).join(", ")})`;
    return [
      `ALTER PUBLICATION ${identifier(object.name)} ADD TABLE ONLY ${table}${list}${where === undefined ? "" : ` WHERE (${where})`}`,
    ];
  },
  "publication schema": (object) => [
    `ALTER PUBLICATION ${identifier(object.name)} ADD TABLES IN SCHEMA ${identifier(object.facts.schema)}`,
  ],
  // Nothing is asked of the publisher, whose address is not known, and nothing is copied.
  subscription: (object) => {
    const { publications, twoPhase } = object.facts;
    const options = [
      "connect = false",
      ...subscriptionOptions(object.facts).map(([name, value]) => `${name} = ${value}`),
      ...(twoPhase === undefined ? [] : [`two_phase = ${twoPhase}`]),
    ];
    return [
      `CREATE ${spellingOf("subscription", object)} CONNECTION ${literal(`dbname=${MASKED}`)} PUBLICATION ${publications.map((name) => identifier(name)).join(", ")} WITH (${options.join(", ")})`,
    ];
  },
  "extension member": ({ facts }) => [`ALTER EXTENSION ${identifier(facts.extension)} ADD ${facts.on}`],
  "extension dependency": ({ facts }) => [`ALTER ${facts.on} DEPENDS ON EXTENSION ${identifier(facts.extension)}`],
  "security label": ({ facts }) => [
    `SECURITY LABEL FOR ${identifier(facts.provider)} ON ${facts.on} IS ${literal(facts.label)}`,
  ],
};
