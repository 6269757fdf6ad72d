// The switch: in one short transaction the new column takes the names of everything that was the old one's. Only the catalog is
// changed in it; what has to be scanned or built was, or is, done outside.
import { dollarQuoted, identifier, literal } from "../../postgres/index.ts";
import { alone, inTransaction, type ExpandGroup } from "./change.ts";
import type { ColumnWork } from "./column-names.ts";
import { commentOn } from "./comment-on.ts";
import {
  addConditions,
  addIncoming,
  ALL_INDEXES,
  analyzeTable,
  buildIndexes,
  dropIncoming,
  isNamedNotNull,
  notNullName,
  relationOf,
  validateConditions,
} from "./column-steps.ts";
import { suffixed } from "./names.ts";
import { deferrability, NEW_SUFFIX, OLD_SUFFIX } from "./parts.ts";
import { createSyncFunction, createSyncTrigger, dropSyncTrigger } from "./sync.ts";
import { moveValueSource } from "./value-source.ts";

/** @param works - the first has what depends on any of them */
export function switchUp(works: readonly ColumnWork[]): readonly ExpandGroup[] {
  const statements = [
    ...works.flatMap(({ parts }) => parts.dependants.drop),
    lockTables(works),
    ...works.flatMap(exchangeUp),
    ...works.flatMap(({ parts }) => parts.dependants.create),
  ];
  return [...inTransaction(...statements), ...afterExchange(works)];
}

function exchangeUp(work: ColumnWork): readonly string[] {
  const { parts, before, after } = work;
  const { conditions, notNull, keys, indexes } = parts;
  const table = relationOf(work);
  return [
    ...dropIncoming(work, ""),
    dropSyncTrigger(work.syncBefore),
    ...dropNaming(work),
    ...renames(work, [
      [before.old, after.old],
      [before.new, after.new],
    ]),
    ...moveValueSource(parts, { from: after.old, to: after.new, type: work.newType, expression: work.newDefault }),
    ...keys.map(({ name }) => dropConstraint(table, name)),
    ...conditions.map(({ name }) => dropConstraint(table, name)),
    ...(notNull === undefined ? [] : [`ALTER TABLE ${table} ALTER COLUMN ${identifier(after.old)} DROP NOT NULL`]),
    ...indexes.map(({ name }) => `DROP INDEX ${identifier(parts.table.schema, name)}`),
    ...keys.flatMap((key) => useIndex(table, key, suffixed(key.name, NEW_SUFFIX))),
    ...indexes.map(({ name }) => renameIndex(work, suffixed(name, NEW_SUFFIX), name)),
    ...conditions.map(({ name }) => renameConstraint(table, suffixed(name, NEW_SUFFIX), name)),
    ...(notNull !== undefined && isNamedNotNull(work)
      ? [renameConstraint(table, suffixed(notNullName(work), NEW_SUFFIX), notNullName(work))]
      : []),
    ...incomingRenames(work, NEW_SUFFIX, ""),
    ...(work.syncAfter === undefined ? [] : [createSyncFunction(work.syncAfter), createSyncTrigger(work.syncAfter)]),
    ...createNaming(work),
  ];
}

export async function switchDown(works: readonly ColumnWork[]): Promise<readonly ExpandGroup[]> {
  const groups: ExpandGroup[] = [];
  for (const work of works) {
    const { after } = work;
    groups.push(
      ...alone(refuseUnfit(work)),
      ...(await buildIndexes(work, after.old, OLD_SUFFIX, ALL_INDEXES)),
      ...inTransaction(...(await addConditions(work, after.old, OLD_SUFFIX))),
      ...validateConditions(work, after.old, OLD_SUFFIX),
      ...addIncoming(work, after.old, OLD_SUFFIX),
    );
  }
  groups.push(
    ...inTransaction(
      ...works.flatMap(({ parts }) => parts.dependants.drop),
      lockTables(works),
      ...works.flatMap(exchangeDown),
      ...works.flatMap(({ parts }) => parts.dependants.create),
    ),
    ...afterExchange(works),
  );
  for (const work of works) {
    groups.push(
      ...(await buildIndexes(work, work.before.new, NEW_SUFFIX, { plain: false, keys: true })),
      ...addIncoming(work, work.before.new, NEW_SUFFIX),
    );
  }
  return groups;
}

function exchangeDown(work: ColumnWork): readonly string[] {
  const { parts, before, after } = work;
  const { conditions, notNull, keys, indexes, column } = parts;
  const table = relationOf(work);
  const named = notNull !== undefined && isNamedNotNull(work);
  return [
    ...dropIncoming(work, ""),
    ...(work.syncAfter === undefined ? [] : [dropSyncTrigger(work.syncAfter)]),
    ...dropNaming(work),
    ...renames(work, [
      [after.new, before.new],
      [after.old, before.old],
    ]),
    ...moveValueSource(parts, { from: before.new, to: before.old, type: column.type, expression: column.default }),
    ...keys.map(({ name }) => dropConstraint(table, name)),
    ...conditions.map(({ name }) => renameConstraint(table, name, suffixed(name, NEW_SUFFIX))),
    ...(named ? [renameConstraint(table, notNullName(work), suffixed(notNullName(work), NEW_SUFFIX))] : []),
    ...indexes.map(({ name }) => renameIndex(work, name, suffixed(name, NEW_SUFFIX))),
    ...keys.flatMap((key) => useIndex(table, key, suffixed(key.name, OLD_SUFFIX))),
    ...indexes.map(({ name }) => renameIndex(work, suffixed(name, OLD_SUFFIX), name)),
    ...conditions.map(({ name }) => renameConstraint(table, suffixed(name, OLD_SUFFIX), name)),
    ...(named ? [renameConstraint(table, suffixed(notNullName(work), OLD_SUFFIX), notNullName(work))] : []),
    ...incomingRenames(work, OLD_SUFFIX, ""),
    createSyncFunction(work.syncBefore),
    createSyncTrigger(work.syncBefore),
    ...createNaming(work),
  ];
}

/**
 * All at once and in one order, so that two of these cannot wait for each other. Views are not among them, for LOCK TABLE would lock
 * every table that they read: they are dropped before, in the order in which whoever reads them locks them.
 */
function lockTables(works: readonly ColumnWork[]): string {
  const others = works.flatMap(({ parts }) =>
    [...parts.incoming, ...parts.dependants.policies].map(({ schema, table }) => identifier(schema, table)),
  );
  return `LOCK TABLE ${[...new Set([...works.map(relationOf), ...others])].join(", ")} IN ACCESS EXCLUSIVE MODE`;
}

/** Statistics objects come without what they know. */
function afterExchange(works: readonly ColumnWork[]): readonly ExpandGroup[] {
  const validate = alone(...works.flatMap(({ parts }) => parts.dependants.validate));
  const work = works.find(({ parts }) => parts.dependants.statistics.length > 0);
  return [...validate, ...(work === undefined ? [] : analyzeTable(work.parts.table))];
}

function renames(work: ColumnWork, pairs: readonly (readonly [string, string])[]): readonly string[] {
  return pairs
    .filter(([from, to]) => from !== to)
    .map(([from, to]) => `ALTER TABLE ${relationOf(work)} RENAME COLUMN ${identifier(from)} TO ${identifier(to)}`);
}

function dropConstraint(table: string, name: string): string {
  return `ALTER TABLE ${table} DROP CONSTRAINT ${identifier(name)}`;
}

function renameConstraint(table: string, from: string, to: string): string {
  return `ALTER TABLE ${table} RENAME CONSTRAINT ${identifier(from)} TO ${identifier(to)}`;
}

function renameIndex(work: ColumnWork, from: string, to: string): string {
  return `ALTER INDEX ${identifier(work.parts.table.schema, from)} RENAME TO ${identifier(to)}`;
}

/** A finished unique index becomes a key. */
function useIndex(table: string, key: ColumnWork["parts"]["keys"][number], index: string): readonly string[] {
  const kind = key.kind === "primary key" ? "PRIMARY KEY" : "UNIQUE";
  const name = identifier(key.name);
  return [
    `ALTER TABLE ${table} ADD CONSTRAINT ${name} ${kind} USING INDEX ${identifier(index)}${deferrability(key)}`,
    ...commentOn(`CONSTRAINT ${name} ON ${table}`, key.comment),
  ];
}

function incomingRenames(work: ColumnWork, from: string, to: string): readonly string[] {
  return work.parts.incoming.map(({ schema, table, key }) =>
    renameConstraint(identifier(schema, table), suffixed(key.name, from), suffixed(key.name, to)),
  );
}

/** Triggers that say UPDATE OF the column, or look at it in WHEN, hold on to the column itself, not to its name. */
function dropNaming(work: ColumnWork): readonly string[] {
  return work.parts.triggers.map(({ name }) => `DROP TRIGGER ${identifier(name)} ON ${relationOf(work)}`);
}

/** Triggers and policies in the words they had: these now mean the column that stands in the other one's place. */
function createNaming(work: ColumnWork): readonly string[] {
  const { triggers, policies, table, dependants } = work.parts;
  const relation = relationOf(work);
  const statements = triggers.flatMap(({ name, definition, enabled, comment }) => [
    definition,
    ...(enabled === "origin" ? [] : [`ALTER TABLE ${relation} ${FIRING[enabled]} TRIGGER ${identifier(name)}`]),
    ...commentOn(`TRIGGER ${identifier(name)} ON ${relation}`, comment),
  ]);
  const own = policies.map((policy) => ({ schema: table.schema, table: table.name, policy }));
  for (const { schema, table: on, policy } of [...own, ...dependants.policies]) {
    const clauses = [
      policy.using === undefined ? "" : ` USING (${policy.using})`,
      policy.withCheck === undefined ? "" : ` WITH CHECK (${policy.withCheck})`,
    ];
    statements.push(`ALTER POLICY ${identifier(policy.name)} ON ${identifier(schema, on)}${clauses.join("")}`);
  }
  return statements;
}

const FIRING = {
  disabled: "DISABLE",
  replica: "ENABLE REPLICA",
  always: "ENABLE ALWAYS",
} as const satisfies Record<string, string>;

/** Values that came since the switch and that the old type cannot hold stand as NULL in the old column. */
function refuseUnfit({ parts, after }: ColumnWork): string {
  const relation = identifier(parts.table.schema, parts.table.name);
  const condition = `${identifier(after.old)} IS NULL AND ${identifier(after.new)} IS NOT NULL`;
  return `DO ${dollarQuoted(`
BEGIN
  IF EXISTS (SELECT FROM ${relation} WHERE ${condition}) THEN
    RAISE EXCEPTION 'there are rows whose value the old column cannot hold'
      USING HINT = ${literal(`SELECT * FROM ${relation} WHERE ${condition}`)};
  END IF;
END
`)}`;
}
