// A conversion without a copy: the table itself becomes a partition of a new one, of the range of all that there is, or the default one.
import type { Index } from "../../catalog/index.ts";
import { identifier, InvalidInputError } from "../../postgres/index.ts";
import { alone, inTransaction, type ExpandGroup, type ExpandPhase } from "../expand/change.ts";
import { fileWords } from "../expand/names.ts";
import { createIndexSql, deferrability } from "../expand/parts.ts";
import { isTimeType, rangeSql, timeLiteral } from "./bounds.ts";
import { ownObjects, type ConversionParts } from "./conversion-parts.ts";
import {
  addIncoming,
  createKeys,
  createParent,
  dropIncoming,
  dropTriggers,
  keyWord,
  lockAll,
  moveIdentity,
  ownSerials,
  renameIndex,
  storageClause,
  validateIncoming,
  type Unique,
} from "./conversion-steps.ts";
import { DEFAULT_AHEAD } from "./plan-partitions.ts";
import { periodAt, periodFrom, periodName, withSuffix, type Period } from "./policy.ts";

export type AttachBy =
  | {
      readonly kind: "range";
      readonly column: string;
      readonly every: Period;
      /** Partitions that are made from the boundary on. Default 3. */
      readonly ahead?: number | undefined;
      /** What is older than this, all that there is, stays in the old table. Default: the end of the next period. */
      readonly boundary?: Date | undefined;
    }
  | { readonly kind: "list"; readonly column: string };

interface Work {
  readonly parts: ConversionParts;
  readonly by: AttachBy;
  readonly parent: string;
  readonly part: string;
  readonly boundary: number | undefined;
  readonly check: string;
}

/** @throws InvalidInputError for a column or a boundary that makes no periods */
export async function attachPhases(parts: ConversionParts, by: AttachBy, now: Date): Promise<readonly ExpandPhase[]> {
  const { schema, name } = parts.table;
  if (by.kind === "range" && !isTimeType(parts.column.type)) {
    throw new InvalidInputError(
      `${schema}.${name}.${by.column} is ${parts.column.type}: periods need a date, a timestamp or a uuid of version 7`,
    );
  }
  const work: Work = {
    parts,
    by,
    parent: identifier(schema, name),
    part: identifier(schema, parts.partName),
    boundary: boundaryOf(by, now),
    check: identifier(withSuffix(`${name}_${by.column}`, "_before")),
  };
  const weaker = weakOf(parts);
  const words = (phase: string): string => fileWords(phase, name, "by", by.column);
  const dropKeys = weaker.map(
    ({ index }) => `DROP INDEX CONCURRENTLY ${identifier(schema, withSuffix(index.name, NEW))}`,
  );
  const prepare: ExpandPhase = {
    phase: "prepare",
    name: words("prepare_partitions_of"),
    why: [`Builds the keys of ${name} with ${by.column} in them, while everybody works.`],
    up: await buildKeys(work),
    down: alone(...dropKeys),
    backfill: undefined,
  };
  const change: ExpandPhase = {
    phase: "switch",
    name: words("partition"),
    why: [
      `${name} becomes a partitioned table, and what there is its partition ${parts.partName}. No row is copied.`,
      ...(work.boundary === undefined
        ? []
        : [
            `Rows from ${new Date(work.boundary).toISOString()} on are refused from its first statement to its last: run it well before.`,
          ]),
    ],
    up: await switchUp(work),
    down: await switchDown(work),
    backfill: undefined,
  };
  return weaker.length > 0 ? [prepare, change] : [change];
}

function boundaryOf(by: AttachBy, now: Date): number | undefined {
  if (by.kind === "list") return undefined;
  const time = by.boundary?.getTime() ?? periodFrom(by.every, now.getTime(), 1).to;
  if (periodAt(by.every, time).from !== time || time <= now.getTime()) {
    throw new InvalidInputError(
      `the boundary ${new Date(time).toISOString()} is not the beginning of a ${by.every} to come`,
    );
  }
  return time;
}

const NEW = "_new";
const BEFORE = "_before";

function weakOf({ uniques }: ConversionParts): readonly Unique[] {
  return uniques.filter(({ holdsKey }) => !holdsKey);
}

async function buildKeys({ parts, by }: Work): Promise<readonly ExpandGroup[]> {
  const groups: ExpandGroup[] = [];
  for (const { index } of weakOf(parts)) {
    const copy = { name: withSuffix(index.name, NEW), added: by.column };
    groups.push(...alone(await createIndexSql(parts.table, index, copy)));
  }
  return groups;
}

async function switchUp(work: Work): Promise<readonly ExpandGroup[]> {
  const { parts, by, parent, part, boundary, check } = work;
  const { table, uniques, indexes } = parts;
  const column = identifier(by.column);
  const type = parts.column.type;
  const isBounded = boundary !== undefined;
  const bound = isBounded ? rangeSql({ from: -Infinity, to: boundary }, type) : "DEFAULT";
  const condition = isBounded ? `CHECK (${column} < ${timeLiteral(boundary, type)})` : "";
  return [
    ...(isBounded
      ? [
          ...inTransaction(`ALTER TABLE ${parent} ADD CONSTRAINT ${check} ${condition} NOT VALID`),
          ...alone(`ALTER TABLE ${parent} VALIDATE CONSTRAINT ${check}`),
        ]
      : []),
    ...inTransaction(
      lockAll(parts, parent),
      ...dropIncoming(parts),
      ...dropTriggers(parts, parent),
      `ALTER TABLE ${parent} RENAME TO ${identifier(parts.partName)}`,
      ...[...uniques.map(({ index }) => index), ...indexes].map(({ name }) =>
        renameIndex(parts, name, withSuffix(name, BEFORE)),
      ),
      ...weakOf(parts).flatMap((unique) => exchangeKey(work, part, unique, NEW, withSuffix(unique.index.name, BEFORE))),
      ...createParent(parts, part, parent, `${by.kind.toUpperCase()} (${column})`),
      ...(isBounded ? [`ALTER TABLE ONLY ${parent} DROP CONSTRAINT ${check}`] : []),
      ...(await createKeys(parts, table, (name) => name)),
      ...moveIdentity(parts, part, parent),
      `ALTER TABLE ${parent} ATTACH PARTITION ${part} ${bound}`,
      ...(isBounded ? [`ALTER TABLE ${part} DROP CONSTRAINT ${check}`] : []),
      ...newPartitions(work),
      ...ownSerials(parts, parent),
      ...ownObjects(parts, ["row security", "policy", "trigger", "privileges", "replica identity", "comment"]),
      ...parts.views,
      ...parts.policiesElsewhere,
      ...addIncoming(parts),
    ),
    ...validateIncoming(parts),
  ];
}

async function switchDown(work: Work): Promise<readonly ExpandGroup[]> {
  const { parts, parent, part } = work;
  const { table, uniques, indexes } = parts;
  const moving = withSuffix(table.name, "_partitioned");
  const moved = identifier(table.schema, moving);
  const columns = table.columns.filter(({ generated }) => generated === undefined).map(({ name }) => identifier(name));
  const list = columns.join(", ");
  const kept = [...uniques.filter(({ holdsKey }) => holdsKey).map(({ index }) => index), ...indexes];
  return [
    ...(await buildOldKeys(work)),
    ...inTransaction(
      lockAll(parts, parent),
      ...dropIncoming(parts),
      // Row triggers of the parent stand on its partitions too, and go with it.
      ...dropTriggers(parts, parent),
      `ALTER TABLE ${parent} DETACH PARTITION ${part}`,
      ...moveIdentity(parts, parent, part),
      `ALTER TABLE ${parent} RENAME TO ${identifier(moving)}`,
      `ALTER TABLE ${part} RENAME TO ${identifier(table.name)}`,
      ...ownSerials(parts, parent),
      ...parts.views,
      ...parts.policiesElsewhere,
      `INSERT INTO ${parent} (${list}) OVERRIDING SYSTEM VALUE SELECT ${list} FROM ${moved}`,
      `DROP TABLE ${moved}`,
      ...weakOf(parts).flatMap((unique) => exchangeKey(work, parent, unique, BACK, unique.index.name)),
      ...kept.map(({ name }) => renameIndex(parts, withSuffix(name, BEFORE), name)),
      ...ownObjects(parts, ["trigger", "comment"]),
      ...addIncoming(parts),
    ),
    ...validateIncoming(parts),
    ...(await buildKeys(work)),
  ];
}

const BACK = "_back";

async function buildOldKeys({ parts }: Work): Promise<readonly ExpandGroup[]> {
  const groups: ExpandGroup[] = [];
  const on = { schema: parts.table.schema, name: parts.partName };
  for (const { index } of weakOf(parts))
    groups.push(...alone(await createIndexSql(parts.table, index, { name: withSuffix(index.name, BACK), on })));
  return groups;
}

/** The key that is named `_before` gives way to an index that was built for it. */
function exchangeKey(
  { parts }: Work,
  relation: string,
  { index, constraint }: { readonly index: Index; readonly constraint: Unique["constraint"] },
  suffix: string,
  name: string,
): readonly string[] {
  const before = withSuffix(index.name, BEFORE);
  const built = withSuffix(index.name, suffix);
  if (constraint === undefined)
    return [`DROP INDEX ${identifier(parts.table.schema, before)}`, renameIndex(parts, built, name)];
  return [
    `ALTER TABLE ${relation} DROP CONSTRAINT ${identifier(before)}`,
    `ALTER TABLE ${relation} ADD CONSTRAINT ${identifier(name)} ${keyWord(constraint)} USING INDEX ${identifier(built)}${deferrability(constraint)}`,
  ];
}

function newPartitions({ parts, by, parent, boundary }: Work): readonly string[] {
  if (by.kind === "list" || boundary === undefined) return [];
  const { table, column } = parts;
  const storage = storageClause(parts);
  let period = periodAt(by.every, boundary);
  return Array.from({ length: by.ahead ?? DEFAULT_AHEAD }, () => {
    const name = identifier(table.schema, periodName(table.name, by.every, period.from));
    const bound = rangeSql(period, column.type);
    period = periodAt(by.every, period.to);
    return [
      `CREATE TABLE ${name} PARTITION OF ${parent} ${bound}${storage}`,
      `ALTER TABLE ${name} OWNER TO ${identifier(table.owner)}`,
    ];
  }).flat();
}
