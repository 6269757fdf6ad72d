// Names and options as SQL; how COMMENT, ALTER and DROP name an object beside tables, views, functions and common types.
import { identifier, literal } from "../postgres/index.ts";
import type { OtherKind } from "./model-others.ts";

export interface NamedObject {
  readonly schema: string | undefined;
  readonly name: string;
  readonly part: string | undefined;
}

/** The qualified name of an object, or of the table, view or domain it is a part of. */
export function nameOf({ schema, name }: { readonly schema: string | undefined; readonly name: string }): string {
  return schema === undefined ? identifier(name) : identifier(schema, name);
}

/** The name of a part: column, constraint, trigger. */
export function partOf({ part, name }: { readonly part: string | undefined; readonly name: string }): string {
  return identifier(part ?? name);
}

/** Options as they are kept, `fillfactor=70`, as SQL: `fillfactor='70'`. */
export function optionList(options: readonly string[]): string {
  return options
    .map((option) => {
      const at = option.indexOf("=");
      const name = option
        .slice(0, at)
        .split(".")
        .map((part) => identifier(part))
        .join(".");
      return `${name} = ${literal(option.slice(at + 1))}`;
    })
    .join(", ");
}

/** First server on which SET STORAGE DEFAULT can be said. */
const STORAGE_DEFAULT_VERSION = 160000;

/** The word of SET STORAGE; `undefined` is the type's own, which most types that can be stored in several ways have as EXTENDED. */
export function storageWord(storage: string | undefined, serverVersion: number): string {
  if (storage !== undefined) return storage.toUpperCase();
  return serverVersion >= STORAGE_DEFAULT_VERSION ? "DEFAULT" : "EXTENDED";
}

const named =
  (words: string) =>
  (object: NamedObject): string =>
    `${words} ${nameOf(object)}`;
const ofMethod =
  (words: string) =>
  (object: NamedObject): string =>
    `${words} ${nameOf(object)} USING ${identifier(object.part ?? "")}`;

const SPELLINGS: { readonly [K in OtherKind | "shell type"]: (object: NamedObject) => string } = {
  collation: named("COLLATION"),
  conversion: named("CONVERSION"),
  cast: ({ name }) => `CAST (${name})`,
  operator: (object) => `OPERATOR ${operatorName(object)} (${object.part})`,
  "operator family": ofMethod("OPERATOR FAMILY"),
  "operator class": ofMethod("OPERATOR CLASS"),
  "access method": named("ACCESS METHOD"),
  language: named("LANGUAGE"),
  transform: ({ name, part }) => `TRANSFORM FOR ${name} LANGUAGE ${identifier(part ?? "")}`,
  "base type": named("TYPE"),
  "shell type": named("TYPE"),
  "text search parser": named("TEXT SEARCH PARSER"),
  "text search template": named("TEXT SEARCH TEMPLATE"),
  "text search dictionary": named("TEXT SEARCH DICTIONARY"),
  "text search configuration": named("TEXT SEARCH CONFIGURATION"),
  "foreign data wrapper": named("FOREIGN DATA WRAPPER"),
  "foreign server": named("SERVER"),
  "user mapping": ({ name, part }) => `USER MAPPING FOR ${mappedUser(part)} SERVER ${identifier(name)}`,
  publication: named("PUBLICATION"),
  subscription: named("SUBSCRIPTION"),
};

/** e.g. `OPERATOR CLASS "shop"."words" USING "btree"`. */
export function spellingOf(kind: OtherKind | "shell type", object: NamedObject): string {
  return SPELLINGS[kind](object);
}

/** The name of an operator is never quoted. */
export function operatorName({ schema, name }: NamedObject): string {
  return schema === undefined ? name : `${identifier(schema)}.${name}`;
}

/** There can be no role `public`. */
function mappedUser(user: string | undefined): string {
  return user === undefined || user === "public" ? "PUBLIC" : identifier(user);
}

/**
 * The arguments of a function, procedure or aggregate as `ROUTINE name(…)` takes them.
 *
 * @param identity - `pg_get_function_identity_arguments`; an ordered-set aggregate has `ORDER BY` in it, which only `AGGREGATE` knows
 */
export function routineArguments(identity: string): string {
  const [direct = "", ordered] = identity.split(/ ?ORDER BY /);
  if (ordered === undefined) return identity;
  // The VARIADIC argument of a hypothetical-set aggregate is said twice, and there once.
  if (ordered.startsWith("VARIADIC ") && direct.endsWith(ordered)) return direct;
  return [direct, ordered].filter((part) => part !== "").join(", ");
}
