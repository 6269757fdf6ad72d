// How a table in use joins a partitioned table and leaves it, without others waiting while rows are read.
import { alterTable, literal, nameOf, objectId, type CatalogObject } from "../../catalog/index.ts";
import { dollarQuoted, identifier } from "../../postgres/index.ts";
import { keysLeftBehind } from "../partition-keys.ts";
import { boundCondition } from "./partition-bound.ts";
import { statement, undoneBy, type Hazard, type PlannedStatement, type RuleContext } from "./statement.ts";

type Partition = CatalogObject<"partition">;

/** End of the names of checks that prove what ATTACH would read the table for. */
export const PROOF_SUFFIX = "_pgsteward_bound";

/** First server with DETACH PARTITION … CONCURRENTLY. */
const DETACH_CONCURRENTLY_VERSION = 140000;

/**
 * ATTACH reads the table under ACCESS EXCLUSIVE unless a valid CHECK says what it looks for; the same for the default partition, which
 * may hold rows that belong into the new one. Both checks are proved before, while others work, and dropped afterwards.
 */
export function attachStatements(
  partition: Partition,
  plain: readonly string[],
  context: RuleContext,
): readonly PlannedStatement[] {
  const [attach = ""] = plain;
  const { parentSchema, parentTable, bound } = partition.facts;
  const parentId = objectId("table", parentSchema, parentTable);
  const parent = context.after.get(parentId);
  const key = parent?.kind === "table" ? parent.facts.partitionKey : undefined;
  const typeOf = (name: string): string | undefined => {
    const column = context.after.get(objectId("column", parentSchema, parentTable, name));
    return column?.kind === "column" ? column.facts.type : undefined;
  };
  const condition =
    key === undefined ? undefined : boundCondition({ name: identifier(parentSchema, parentTable), key, typeOf }, bound);
  // One that only leaves for a moment comes back in the same transaction.
  const isNew = !context.before.has(partition.id) && context.isLive(parentId);
  if (!isNew) return [statement(attach)];
  if (condition === undefined) return [statement(attach, unprovenHazards(partition, context))];
  const own = context.isLive(objectId("table", partition.schema, partition.name))
    ? [proof(context.after.get(partition.parent ?? ""), partition, condition)]
    : [];
  const rest = defaultPartition(parentSchema, parentTable, context);
  const meanwhile = [
    { kind: "incompatible", why: "rows that belong into the new partition are refused until it is attached" },
  ] as const;
  const others =
    rest === undefined ? [] : [proof(context.before.get(rest.parent ?? ""), rest, `NOT (${condition})`, meanwhile)];
  const proofs = [...own, ...others];
  return [
    ...proofs.flatMap(({ before }) => before),
    undoneBy(
      `ALTER TABLE ${identifier(parentSchema, parentTable)} DETACH PARTITION ${nameOf(partition)}`,
      statement(attach),
    ),
    ...proofs.map(({ after }) => after),
  ];
}

/** Which bound it is cannot be said as a CHECK that the server takes for a proof: it reads the table itself. */
function unprovenHazards(partition: Partition, context: RuleContext): readonly Hazard[] {
  const { parentSchema, parentTable, bound } = partition.facts;
  const rest = defaultPartition(parentSchema, parentTable, context);
  const why = (table: string): Hazard => ({
    kind: "blocks writes",
    why: `${table} is read under ACCESS EXCLUSIVE: no CHECK proves its bound`,
  });
  return [
    ...(bound === "DEFAULT" || !context.isLive(objectId("table", partition.schema, partition.name))
      ? []
      : [why(nameOf(partition))]),
    ...(rest === undefined ? [] : [why(nameOf(rest))]),
  ];
}

function proof(
  table: CatalogObject | undefined,
  named: { readonly schema: string | undefined; readonly name: string },
  condition: string,
  hazards: readonly Hazard[] = [],
): { readonly before: readonly PlannedStatement[]; readonly after: PlannedStatement } {
  const start = alterTable(table, named);
  const name = identifier(`${named.name.slice(0, 40)}${PROOF_SUFFIX}`);
  return {
    before: [
      undoneBy(
        `${start} DROP CONSTRAINT IF EXISTS ${name}`,
        statement(`${start} ADD CONSTRAINT ${name} CHECK (${condition}) NOT VALID`, hazards, "own"),
      ),
      undoneBy(
        "",
        statement(
          `${start} VALIDATE CONSTRAINT ${name}`,
          [
            { kind: "scan", why: "reads the whole table; others read and write meanwhile" },
            { kind: "may fail", why: "a row may belong elsewhere" },
          ],
          "own",
        ),
      ),
    ],
    after: undoneBy("", statement(`${start} DROP CONSTRAINT ${name}`)),
  };
}

function defaultPartition(
  schema: string,
  table: string,
  { before, after, isLive }: RuleContext,
): Partition | undefined {
  for (const object of before.values()) {
    if (object.kind !== "partition" || object.facts.bound !== "DEFAULT") continue;
    const { parentSchema, parentTable } = object.facts;
    const stays = after.has(object.id) && isLive(object.parent);
    if (parentSchema === schema && parentTable === table && stays) return object;
  }
  return undefined;
}

/** CONCURRENTLY where the server can: it leaves a CHECK of the bound behind, which goes again. */
export function detachStatements(partition: Partition, context: RuleContext): readonly PlannedStatement[] {
  const { parentSchema, parentTable } = partition.facts;
  const parentId = objectId("table", parentSchema, parentTable);
  const plain = `ALTER TABLE ${identifier(parentSchema, parentTable)} DETACH PARTITION ${nameOf(partition)}`;
  const hasDefault = [...context.before.values()].some(
    (object) =>
      object.kind === "partition" &&
      object.facts.bound === "DEFAULT" &&
      object.facts.parentSchema === parentSchema &&
      object.facts.parentTable === parentTable,
  );
  const leaves = !context.after.has(partition.id) && context.isLive(parentId);
  const keys = keysLeftBehind(partition, context.after).map(({ name }) =>
    undoneBy("", statement(`ALTER TABLE ${nameOf(partition)} DROP CONSTRAINT IF EXISTS ${identifier(name)}`)),
  );
  if (!leaves || hasDefault || context.serverVersion < DETACH_CONCURRENTLY_VERSION) return [statement(plain), ...keys];
  const detach = statement(`${plain} CONCURRENTLY`, [], "outside");
  if (!context.after.has(partition.parent ?? "")) return [detach];
  const known = [...context.before.values()].flatMap((object) =>
    object.kind === "constraint" && object.parent === partition.parent ? [literal(object.part ?? "")] : [],
  );
  const relation = literal(nameOf(partition));
  const isLeft = known.length === 0 ? "" : `\n      AND conname NOT IN (${known.join(", ")})`;
  const drop = `DO ${dollarQuoted(`
DECLARE
  bound name;
BEGIN
  FOR bound IN
    SELECT conname FROM pg_catalog.pg_constraint
    WHERE conrelid = ${relation}::regclass AND contype = 'c'${isLeft}
  LOOP
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', ${relation}, bound);
  END LOOP;
END
`)}`;
  const lock = { relation: nameOf(partition), mode: "ACCESS EXCLUSIVE", rewrite: false, scan: false } as const;
  return [detach, { ...undoneBy("", statement(drop)), locks: [lock] }, ...keys];
}
