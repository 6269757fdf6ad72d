// Names before and after renames: of objects, and inside of SQL that the server prints with every name qualified.
import { identifier, printedIdentifier } from "../postgres/index.ts";
import type { CatalogObject } from "../catalog/index.ts";
import type { ResolvedRename } from "./renames.ts";
import { printedText, textOf, tokensOf, type Token } from "./sql-tokens.ts";

const TYPES: ReadonlySet<CatalogObject["kind"]> = new Set<CatalogObject["kind"]>([
  "enum",
  "domain",
  "composite",
  "range",
  "domain constraint",
]);
const IN_SCHEMA: ReadonlySet<CatalogObject["kind"]> = new Set<CatalogObject["kind"]>([
  "table",
  "view",
  "sequence",
  "enum",
  "domain",
  "composite",
  "range",
  "function",
]);

interface Name {
  readonly schema: string;
  readonly name: string;
}

/** What each name has become. */
export class NewNames {
  readonly #schemas = new Map<string, string>();
  /** Relations share one space of names, types another that relations have a place in too, functions a third. */
  readonly #named = new Map<string, Name>();
  readonly #parts = new Map<string, string>();
  readonly #labels = new Map<string, string>();

  constructor(renames: readonly ResolvedRename[]) {
    for (const { object, label, newName, newSchema } of renames) {
      const { kind, schema = "", name, part = "" } = object;
      if (label !== undefined) this.#labels.set(key(schema, name, label), newName);
      else if (kind === "schema") this.#schemas.set(name, newName);
      else if (IN_SCHEMA.has(kind))
        this.#named.set(key(space(kind), schema, name), { schema: newSchema ?? schema, name: newName });
      else this.#parts.set(key(partSpace(kind), schema, name, part), newName);
    }
  }

  schema(name: string): string {
    return this.#schemas.get(name) ?? name;
  }

  named(of: "relation" | "type" | "function", { schema, name }: Name): Name {
    const found = this.#named.get(key(of, schema, name));
    // The row type of a table has the table's name.
    const row = of === "type" ? this.#named.get(key("relation", schema, name)) : undefined;
    const { schema: newSchema, name: newName } = found ?? row ?? { schema, name };
    return { schema: this.schema(newSchema), name: newName };
  }

  /** @param schema - and `relation` are the names before */
  part(of: CatalogObject["kind"], schema: string, relation: string, part: string): string {
    return this.#parts.get(key(partSpace(of), schema, relation, part)) ?? part;
  }

  label(schema: string, type: string, label: string): string {
    return this.#labels.get(key(schema, type, label)) ?? label;
  }

  /** The identity that an object has after the renames. */
  of({ kind, schema, name, part }: CatalogObject): {
    readonly schema: string | undefined;
    readonly name: string;
    readonly part: string | undefined;
  } {
    if (kind === "schema") return { schema, name: this.schema(name), part };
    if (schema === undefined) return { schema, name, part };
    const isFunction = kind === "function";
    const own = this.named(isFunction ? "function" : TYPES.has(kind) ? "type" : "relation", { schema, name });
    if (kind === "statistics") return { schema: this.schema(schema), name, part };
    if (part === undefined) return { ...own, part };
    return { ...own, part: isFunction ? this.sql(part) : this.part(kind, schema, name, part) };
  }

  /** Qualified names of relations, types, functions and schemas, and labels of enums, in SQL as the server prints it. */
  sql(text: string): string {
    if (this.#schemas.size + this.#named.size + this.#labels.size === 0) return text;
    const tokens = tokensOf(text);
    let result = "";
    for (let index = 0; index < tokens.length; index++) {
      const token = tokens[index];
      if (token === undefined) continue;
      const dot = tokens[index + 1];
      const next = tokens[index + 2];
      const isQualified =
        token.kind === "name" && dot?.raw === "." && next?.kind === "name" && tokens[index - 1]?.raw !== ".";
      if (isQualified && next !== undefined) {
        const isCall = tokens[index + 3]?.raw === "(";
        const renamed = this.#qualified({ schema: token.value, name: next.value }, isCall);
        const schema = renamed.schema === token.value ? token.raw : printedIdentifier(renamed.schema);
        const name = renamed.name === next.value ? next.raw : printedIdentifier(renamed.name);
        result += `${token.space}${schema}.${name}`;
        index += 2;
      } else result += `${token.space}${this.#text(tokens, index, token)}`;
    }
    return result;
  }

  #qualified(name: Name, isCall: boolean): Name {
    for (const of of isCall
      ? (["function", "relation", "type"] as const)
      : (["relation", "type", "function"] as const)) {
      const found = this.#named.get(key(of, name.schema, name.name));
      if (found !== undefined) return { schema: this.schema(found.schema), name: found.name };
    }
    return { schema: this.schema(name.schema), name: name.name };
  }

  /** `'shop.orders_id_seq'::regclass`, `'new'::shop.state`. */
  #text(tokens: readonly Token[], index: number, token: Token): string {
    const type = tokens[index + 2];
    if (token.kind !== "text" || tokens[index + 1]?.raw !== "::" || type === undefined) return token.raw;
    if (type.value === "regclass") {
      const inner = textOf(token);
      const renamed = this.sql(inner);
      return renamed === inner ? token.raw : printedText(renamed, token);
    }
    const name = tokens[index + 4];
    if (tokens[index + 3]?.raw !== "." || name === undefined) return token.raw;
    const label = textOf(token);
    const renamed = this.label(type.value, name.value, label);
    return renamed === label ? token.raw : printedText(renamed, token);
  }

  /** What COMMENT ON or GRANT names: `COLUMN "shop"."orders"."state"`, `TRIGGER "audit" ON "shop"."orders"`. */
  target(on: string, of: CatalogObject | undefined): string {
    const parts = TARGET.exec(on);
    if (parts === null || of === undefined) return on;
    const [, word = "", first = "", join = "", rest = ""] = parts;
    const renamed = this.of(of);
    const names = (text: string): readonly string[] =>
      [...text.matchAll(/"((?:[^"]|"")*)"/g)].map(([, name = ""]) => name.replaceAll('""', '"'));
    const relation = (): string =>
      renamed.schema === undefined ? identifier(renamed.name) : identifier(renamed.schema, renamed.name);
    if (join !== "") return `${word} ${identifier(renamed.part ?? names(first)[0] ?? "")}${join}${relation()}${rest}`;
    if (word === "INDEX") return `INDEX ${identifier(renamed.schema ?? "", renamed.part ?? "")}`;
    const column = word === "COLUMN" ? names(first)[2] : undefined;
    if (column !== undefined)
      return `${word} ${relation()}.${identifier(of.part === undefined ? column : (renamed.part ?? column))}`;
    const args = of.kind === "function" && rest.startsWith("(") ? `(${renamed.part ?? ""})` : rest;
    return `${word} ${relation()}${args}`;
  }
}

const TARGET = /^([A-Z ]+?) ((?:"(?:[^"]|"")*"\.?)+)(?:( ON (?:DOMAIN )?)(?:"(?:[^"]|"")*"\.?)+)?(.*)$/s;

function key(...parts: readonly string[]): string {
  return JSON.stringify(parts);
}

function space(kind: CatalogObject["kind"]): string {
  return kind === "function" ? "function" : TYPES.has(kind) ? "type" : "relation";
}

/** A default is its column's; the index of a constraint has the constraint's name. */
function partSpace(kind: CatalogObject["kind"]): string {
  if (kind === "default") return "column";
  return kind === "constraint" || kind === "index partition" ? "index" : kind;
}
