// Names and places in the database that only one object can have: what gives one up goes before what takes it.
import type { CatalogObject } from "../catalog/index.ts";
import { identifier } from "../postgres/index.ts";

/** Names and places of which there can be only one. */
export function namesTaken(object: CatalogObject): readonly string[] {
  const { kind, schema, name, part } = object;
  if (RELATIONS.has(kind)) return [`relation ${JSON.stringify([schema, name])}`];
  if (kind === "column") {
    const sequence = object.facts.identity?.name;
    return [
      ...(sequence === undefined ? [] : [`relation ${sequence}`]),
      // A renamed column leaves its NOT NULL the old name, which the next column of that name takes.
      ...(object.notNullName === undefined ? [] : [constraintName(schema, name, object.notNullName)]),
    ];
  }
  if (kind === "sequence")
    return [`relation ${JSON.stringify([schema, name])}`, `relation ${identifier(schema ?? "", name)}`];
  if (kind === "index") return [`relation ${JSON.stringify([schema, part])}`];
  if (kind === "function") return [`function ${JSON.stringify([schema, name])}`];
  if (kind === "partition")
    return [
      `bound ${JSON.stringify([object.facts.parentSchema, object.facts.parentTable])}`,
      ...(object.foreignKeys ?? []).map((key) => constraintName(schema, name, key.name)),
    ];
  if (kind !== "constraint") return [];
  const isPrimary = object.facts.kind === "primary key";
  return [
    `relation ${JSON.stringify([schema, part])}`,
    constraintName(schema, name, part),
    ...(isPrimary ? [`primary key ${JSON.stringify([schema, name])}`] : []),
  ];
}

function constraintName(schema: string | undefined, table: string, name: string | undefined): string {
  return `constraint ${JSON.stringify([schema, table, name])}`;
}

const RELATIONS: ReadonlySet<CatalogObject["kind"]> = new Set<CatalogObject["kind"]>([
  "table",
  "view",
  "composite",
  "enum",
  "domain",
  "range",
  "shell type",
]);
