// An index or key that changes is never missing: the new one is finished beside the old one before it takes its place.
import {
  alterTable,
  constraintDefinition,
  createStatements,
  nameOf,
  partOf,
  type CatalogObject,
  type CatalogObjects,
} from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import { commentsOn, isHeld } from "../object-lookups.ts";
import { keyParts } from "./create.ts";
import { inPlace, statement, undoneBy, type Alteration, type RuleContext } from "./statement.ts";

function passingName({ part = "" }: CatalogObject): string {
  return `${part.slice(0, 45)}_pgsteward_new`;
}

function commentStatements(object: CatalogObject, objects: CatalogObjects, serverVersion: number): readonly string[] {
  const create = { serverVersion, objects, separateDefaults: new Set<string>() };
  return commentsOn(object.id, objects).flatMap((comment) => createStatements(comment, create));
}

/** Of a table or materialized view that others use; partitioned ones have no CONCURRENTLY. */
export function swapIndex(
  before: CatalogObject<"index">,
  after: CatalogObject<"index">,
  context: RuleContext,
): Alteration {
  const isPlain = (index: CatalogObject<"index">): boolean =>
    !index.facts.definition.includes(" ON ONLY ") && index.inheritedFrom === undefined;
  // What holds on to the present index: another's foreign key, CLUSTER ON, a replica identity, a parent's index.
  if (!isPlain(before) || !isPlain(after) || !context.isLive(after.parent) || isHeld(before.id, context.before))
    return "recreate";
  const create = { serverVersion: context.serverVersion, objects: context.after, separateDefaults: new Set<string>() };
  const [definition = "", ...settings] = createStatements(after, create);
  const passing = identifier(passingName(after));
  const schema = after.schema ?? "";
  const name = identifier(schema, after.part ?? "");
  const [old = "", ...oldSettings] = createStatements(before, { ...create, objects: context.before });
  const concurrently = (sql: string, index?: string): string =>
    sql.replace(
      /^(CREATE (?:UNIQUE )?INDEX) ("(?:[^"]|"")*"|\S+) /,
      (_, words: string, old: string) => `${words} CONCURRENTLY ${index ?? old} `,
    );
  return inPlace([
    undoneBy(
      `DROP INDEX CONCURRENTLY IF EXISTS ${identifier(schema)}.${passing}`,
      statement(concurrently(definition, passing), [], "outside"),
    ),
    undoneBy(
      [concurrently(old), ...oldSettings, ...commentStatements(before, context.before, context.serverVersion)].join(
        ";\n",
      ),
      statement(`DROP INDEX CONCURRENTLY ${name}`, [], "outside"),
    ),
    undoneBy(
      `ALTER INDEX ${name} RENAME TO ${passing}`,
      statement(`ALTER INDEX ${identifier(schema)}.${passing} RENAME TO ${partOf(after)}`),
    ),
    ...settings.map((sql) => undoneBy("", statement(sql))),
    ...commentStatements(after, context.after, context.serverVersion).map((sql) => undoneBy("", statement(sql))),
  ]);
}

/** PRIMARY KEY and UNIQUE: one ALTER TABLE drops the old and takes the new index, which gets the constraint's name. */
export function swapKey(
  before: CatalogObject<"constraint">,
  after: CatalogObject<"constraint">,
  context: RuleContext,
): Alteration {
  const table = context.after.get(after.parent ?? "");
  const isPlain = ({ inheritedFrom }: CatalogObject): boolean => inheritedFrom === undefined;
  const key = keyParts(after);
  const old = keyParts(before);
  const isTable = table?.kind === "table" && table.facts.kind === "table" && context.isLive(table.id);
  if (key === undefined || old === undefined || !isTable || !isPlain(before) || !isPlain(after)) return "recreate";
  if (isHeld(before.id, context.before)) return "recreate";
  const name = partOf(after);
  const passing = identifier(passingName(after));
  const start = alterTable(table, after);
  const back = constraintDefinition(before.facts);
  return inPlace([
    undoneBy(
      `DROP INDEX CONCURRENTLY IF EXISTS ${identifier(after.schema ?? "")}.${passing}`,
      statement(
        `CREATE UNIQUE INDEX CONCURRENTLY ${passing} ON ${nameOf(after)} ${key.columns}`,
        [{ kind: "may fail", why: "rows may have the same values" }],
        "outside",
      ),
    ),
    undoneBy(
      [
        `${start} DROP CONSTRAINT ${name}, ADD CONSTRAINT ${name} ${back}`,
        ...commentStatements(before, context.before, context.serverVersion),
      ].join(";\n"),
      statement(
        `${start} DROP CONSTRAINT ${name}, ADD CONSTRAINT ${name} ${key.word} USING INDEX ${passing}${key.tail}`,
      ),
    ),
    ...commentStatements(after, context.after, context.serverVersion).map((sql) => undoneBy("", statement(sql))),
  ]);
}
