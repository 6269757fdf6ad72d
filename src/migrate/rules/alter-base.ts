// Base types and collations: what columns are made of, so that a change has to take the columns along.
import {
  baseTypeSettings,
  collate,
  createStatements,
  nameOf,
  spellingOf,
  type CatalogObject,
  type CatalogObjects,
} from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import {
  inPlace,
  statement,
  type Alteration,
  type Hazard,
  type PlannedStatement,
  type RuleContext,
} from "./statement.ts";

function create(object: CatalogObject, context: RuleContext): readonly PlannedStatement[] {
  const { serverVersion, after } = context;
  return createStatements(object, { serverVersion, objects: after, separateDefaults: new Set<string>() }).map((sql) =>
    statement(sql),
  );
}

/** Columns of tables that stay and that are of the type or the collation; a parent's column stands for those of its children. */
function columnsWith(id: string, { before, after }: RuleContext): readonly CatalogObject<"column">[] {
  return [...before.values()].filter(
    (object): object is CatalogObject<"column"> =>
      object.kind === "column" &&
      object.needs.includes(id) &&
      object.inheritedFrom === undefined &&
      after.has(object.id),
  );
}

/** PostgreSQL alters no collation: a new one takes its name and its columns. */
export function alterCollation(
  before: CatalogObject<"collation">,
  after: CatalogObject<"collation">,
  context: RuleContext,
): Alteration {
  const old = `${before.name.slice(0, 50)}_pgsteward_old`;
  const columns = columnsWith(before.id, context);
  const hazards: readonly Hazard[] = [
    { kind: "scan", why: "indexes of the column are built anew while the table is locked" },
  ];
  return inPlace(
    [
      statement(`ALTER ${spellingOf("collation", before)} RENAME TO ${identifier(old)}`),
      ...create(after, context),
      ...columns.map((column) =>
        statement(
          `ALTER TABLE ${nameOf(column)} ALTER COLUMN ${identifier(column.part ?? "")} TYPE ${column.facts.type}${collate(column.facts.collation)}`,
          hazards,
        ),
      ),
      statement(`DROP COLLATION ${identifier(before.schema ?? "", old)}`),
    ],
    [before.id, ...columns.map(({ id }) => id)],
  );
}

/** The functions that a base type is made of. */
export function ownFunctions(type: CatalogObject, objects: CatalogObjects): readonly CatalogObject<"function">[] {
  const shell = `shell ${type.id.slice("base ".length)}`;
  return type.needs.flatMap((id) => {
    const object = objects.get(id);
    return object?.kind === "function" && object.needs.includes(shell) ? [object] : [];
  });
}

/**
 * What `DROP TYPE … CASCADE` would take along beside the functions that the type is made of: everything else has to be gone by then,
 * or CASCADE must not be said.
 */
export function keepsBaseType(type: CatalogObject, { before, after }: RuleContext): boolean {
  return [...before.values()].some(
    (object) =>
      object.needs.includes(type.id) &&
      ["column", "composite", "domain", "range", "table"].includes(object.kind) &&
      after.has(object.id),
  );
}

/** Functions for sending and for modifiers can be set; for the rest the type is made anew, and its values go by way of text. */
export function alterBaseType(
  before: CatalogObject<"base type">,
  after: CatalogObject<"base type">,
  context: RuleContext,
): Alteration {
  const settings = baseTypeSettings(before.facts, after.facts);
  if (settings !== undefined) return inPlace([`ALTER ${spellingOf("base type", after)} SET (${settings})`]);
  const columns = columnsWith(before.id, context);
  const hazards: readonly Hazard[] = [
    { kind: "rewrite", why: "the table is rewritten while it is locked" },
    { kind: "may fail", why: "a value may not exist in the new type" },
  ];
  const retype = (column: CatalogObject<"column">, to: string): PlannedStatement => {
    const name = identifier(column.part ?? "");
    return statement(`ALTER TABLE ${nameOf(column)} ALTER COLUMN ${name} TYPE ${to} USING ${name}::${to}`, hazards);
  };
  const textOf = (type: string): string => (type.endsWith("[]") ? "text[]" : "text");
  const oldFunctions = ownFunctions(before, context.before);
  const shell = context.after.get(`shell ${after.id.slice("base ".length)}`);
  // A domain or a composite type cannot be moved like this; then nothing is said of CASCADE and the server refuses.
  const isHeld = [...context.before.values()].some(
    (object) => object.needs.includes(before.id) && ["composite", "domain", "range"].includes(object.kind),
  );
  return inPlace(
    [
      ...columns.map((column) => retype(column, textOf(column.facts.type))),
      statement(`DROP ${spellingOf("base type", before)}${isHeld ? "" : " CASCADE"}`),
      ...(shell === undefined ? [] : create(shell, context)),
      ...ownFunctions(after, context.after).flatMap((object) => create(object, context)),
      ...create(after, context),
      ...columns.map((column) => retype(column, column.facts.type)),
    ],
    [before.id, ...oldFunctions.map(({ id }) => id), ...columns.map(({ id }) => id)],
  );
}
