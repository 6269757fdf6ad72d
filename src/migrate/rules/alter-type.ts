// How types are altered: in place where PostgreSQL can, otherwise by a new type that takes the old one's name and columns.
import {
  collate,
  createStatements,
  literal,
  nameOf,
  type CatalogObject,
  type CatalogObjects,
} from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import {
  at,
  inPlace,
  statement,
  undoneBy,
  type Alteration,
  type Hazard,
  type PlannedStatement,
  type RuleContext,
} from "./statement.ts";

export type TypeObject = CatalogObject<"enum" | "composite" | "domain" | "range">;

export function alterEnum(
  before: CatalogObject<"enum">,
  after: CatalogObject<"enum">,
  context: RuleContext,
): Alteration {
  const old = before.facts.labels;
  const wanted = after.facts.labels;
  const kept = wanted.filter((label) => old.includes(label));
  if (kept.length !== old.length || kept.some((label, position) => label !== old[position]))
    return swap(before, after, context);
  // Each label goes before the next one that is there already, or at the end.
  const statements = wanted.flatMap((label, position) => {
    if (old.includes(label)) return [];
    const next = wanted.slice(position + 1).find((later) => old.includes(later));
    const place = next === undefined ? "" : ` BEFORE ${literal(next)}`;
    // Committed on its own: a new label cannot be used in the transaction that adds it.
    const stays: readonly Hazard[] = [
      { kind: "irreversible", why: `${literal(label)} stays in the type: to take it away, the type is made again` },
    ];
    return [statement(`ALTER TYPE ${nameOf(after)} ADD VALUE ${literal(label)}${place}`, stays, "own")];
  });
  return inPlace(statements);
}

export function alterComposite(
  before: CatalogObject<"composite">,
  after: CatalogObject<"composite">,
  context: RuleContext,
): Alteration {
  const old = before.facts.attributes;
  const wanted = after.facts.attributes;
  const names = wanted.map(({ name }) => name);
  const kept = old.filter(({ name }) => names.includes(name));
  const inOrder = kept.every(({ name }, position) => names[position] === name);
  const changed = kept.filter((attribute) => {
    const now = wanted.find(({ name }) => name === attribute.name);
    return now?.type !== attribute.type || now.collation !== attribute.collation;
  });
  if (!inOrder || (changed.length > 0 && holdsRows(before, context.before))) return swap(before, after, context);
  const actions = [
    ...old.filter(({ name }) => !names.includes(name)).map(({ name }) => `DROP ATTRIBUTE ${identifier(name)}`),
    ...wanted
      .filter(({ name }) => changed.some((attribute) => attribute.name === name))
      .map(({ name, type, collation }) => `ALTER ATTRIBUTE ${identifier(name)} TYPE ${type}${collate(collation)}`),
    ...wanted
      .filter(({ name }) => !old.some((attribute) => attribute.name === name))
      .map(({ name, type, collation }) => `ADD ATTRIBUTE ${identifier(name)} ${type}${collate(collation)}`),
  ];
  const loses = old.some(({ name }) => !names.includes(name));
  const sql = `ALTER TYPE ${nameOf(after)} ${actions.join(", ")}`;
  return inPlace(
    [statement(sql, loses ? [{ kind: "data loss", why: "values of dropped attributes are gone" }] : [])],
    [after.id],
  );
}

export function alterDomain(
  before: CatalogObject<"domain">,
  after: CatalogObject<"domain">,
  context: RuleContext,
): Alteration {
  const old = before.facts;
  const wanted = after.facts;
  const isTightened = old.isNullable && !wanted.isNullable && isInsideOthers(before, context.before);
  if (old.type !== wanted.type || old.collation !== wanted.collation || isTightened)
    return swap(before, after, context);
  const start = `ALTER DOMAIN ${nameOf(after)}`;
  const statements: PlannedStatement[] = [];
  const taken = takenDefault(before, context);
  const isTaken = taken.length > 0;
  statements.push(...taken);
  if (isTaken ? wanted.default !== undefined : old.default !== wanted.default) {
    const set = statement(
      `${start} ${wanted.default === undefined ? "DROP DEFAULT" : `SET DEFAULT ${wanted.default}`}`,
    );
    statements.push(isTaken ? undoneBy(`${start} DROP DEFAULT`, set) : set);
  }
  if (old.isNullable !== wanted.isNullable) {
    statements.push(
      wanted.isNullable
        ? statement(`${start} DROP NOT NULL`)
        : statement(`${start} SET NOT NULL`, [
            { kind: "blocks writes", why: "every table that uses the domain is read" },
          ]),
    );
  }
  return inPlace(statements);
}

/** Like a column's default, that of a domain goes before what it calls, and comes back after. */
function takenDefault(domain: TypeObject, { isGone }: RuleContext): readonly PlannedStatement[] {
  if (domain.kind !== "domain" || domain.facts.default === undefined) return [];
  if (!domain.needs.some((id) => isGone?.(id) === true)) return [];
  const start = `ALTER DOMAIN ${nameOf(domain)}`;
  const back = `${start} SET DEFAULT ${domain.facts.default}`;
  return [at("early", undoneBy(back, statement(`${start} DROP DEFAULT`)))];
}

/** Whether a column is of the type, or of a type that is made of it. */
function holdsRows({ id }: CatalogObject, objects: CatalogObjects): boolean {
  return [...objects.values()].some(
    (object) =>
      object.needs.includes(id) &&
      (object.kind === "column" ||
        ((object.kind === "composite" || object.kind === "domain" || object.kind === "range") &&
          holdsRows(object, objects))),
  );
}

interface TypedColumn {
  readonly schema: string;
  readonly table: string;
  readonly column: string;
  readonly type: string;
  readonly default: string | undefined;
}

/** Whether arrays or composite types hold the domain: the server then refuses what it would have to prove of their values. */
export function isInsideOthers(domain: CatalogObject<"domain">, objects: CatalogObjects): boolean {
  return [...objects.values()].some(
    (object) =>
      object.needs.includes(domain.id) &&
      (object.kind === "composite" ||
        (object.kind === "column" && object.facts.type.endsWith("[]")) ||
        (object.kind === "domain" && isInsideOthers(object, objects))),
  );
}

/** Columns of tables that are of this type, or an array of it. */
function columnsOfType(type: TypeObject, { before, after, isGone }: RuleContext): readonly TypedColumn[] {
  return [...before.values()].flatMap((object) => {
    if (object.kind !== "column" || !object.needs.includes(type.id) || object.inheritedFrom !== undefined) return [];
    if (after.get(object.id)?.needs.includes(type.id) !== true || isGone?.(object.id) === true) return [];
    const value = before.get(`default ${object.id.slice("column ".length)}`);
    return [
      {
        schema: object.schema ?? "",
        table: object.name,
        column: object.part ?? "",
        type: object.facts.type,
        default: value?.kind === "default" ? value.facts.expression : undefined,
      },
    ];
  });
}

/**
 * Renames the type out of the way, makes it anew, and moves every column over by way of text. What depends on the type or on those
 * columns is dropped before and made again after. Values that the new type does not have make it fail, and nothing has happened.
 */
export function swap(before: TypeObject, after: TypeObject, context: RuleContext): Alteration {
  const columns = columnsOfType(before, context);
  const old = `${before.name.slice(0, 50)}_pgsteward_old`;
  const create = { serverVersion: context.serverVersion, objects: context.after, separateDefaults: new Set<string>() };
  const word = before.kind === "domain" ? "DOMAIN" : "TYPE";
  const constraints = [...context.after.values()].filter(
    (object) => object.kind === "domain constraint" && object.parent === after.id,
  );
  const made = [after, ...constraints].flatMap((object) =>
    createStatements(object, create).map((sql) => statement(sql)),
  );
  const hazards: readonly Hazard[] = [
    { kind: "rewrite", why: "the table is rewritten while it is locked" },
    { kind: "may fail", why: "a value may not exist in the new type" },
  ];
  const retype = ({ schema, table, column }: TypedColumn, steps: string, to: string): PlannedStatement =>
    statement(
      `ALTER TABLE ${identifier(schema, table)} ALTER COLUMN ${identifier(column)} TYPE ${to} USING ${identifier(column)}${steps}`,
      hazards,
    );
  const textOf = (type: string): string => (type.endsWith("[]") ? "text[]" : "text");
  const ids = columns.map(({ schema, table, column }) => columnId(schema, table, column, context));
  // The constructors of a range keep their names when the type is renamed, so both cannot be there at once.
  const statements =
    before.kind === "range"
      ? [
          ...columns.map((column) => retype(column, `::${textOf(column.type)}`, textOf(column.type))),
          statement(`DROP TYPE ${nameOf(before)}`),
          ...made,
          ...columns.map((column) => retype(column, `::${column.type}`, column.type)),
        ]
      : [
          ...takenDefault(before, context),
          statement(`ALTER ${word} ${nameOf(before)} RENAME TO ${identifier(old)}`),
          ...made,
          ...columns.map((column) => retype(column, `::${textOf(column.type)}::${column.type}`, column.type)),
          at("late", undoneBy("", statement(`DROP ${word} ${identifier(before.schema ?? "", old)}`))),
        ];
  return { statements, rebuilds: [before.id, ...ids], isSwap: true };
}

function columnId(schema: string, table: string, column: string, { before }: RuleContext): string {
  for (const object of before.values()) {
    if (object.kind === "column" && object.schema === schema && object.name === table && object.part === column)
      return object.id;
  }
  return "";
}
