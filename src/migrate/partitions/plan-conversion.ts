// Plans how a plain table becomes a partitioned one while it is in use: the table itself becomes a partition, so no row is copied.
import { identifier, InvalidInputError } from "../../postgres/index.ts";
import type { Catalog, Index } from "../../catalog/index.ts";
import { alone, inTransaction, type ExpandGroup, type ExpandPhase } from "../expand/change.ts";
import { fileWords } from "../expand/names.ts";
import { createIndexSql, deferrability, foreignKeySql } from "../expand/parts.ts";
import { identityOptions } from "../expand/value-source.ts";
import { isTimeType, rangeSql, timeLiteral } from "./bounds.ts";
import { conversionParts, ownObjects, type ConversionParts } from "./conversion-parts.ts";
import { DEFAULT_AHEAD } from "./plan-partitions.ts";
import { periodAt, periodFrom, periodName, withSuffix, type Period } from "./policy.ts";

export type PartitionBy =
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

export interface PartitionConversion {
  readonly schema: string;
  readonly table: string;
  readonly by: PartitionBy;
  /** Keys without the partition column may become unique only together with it. Default false: that is refused. */
  readonly weakerKeys?: boolean | undefined;
}

export interface PartitionConversionPlan {
  readonly phases: readonly ExpandPhase[];
  readonly notices: readonly string[];
}

/** Attached whole: of a range everything before the boundary, of a list what has no partition of its own. */
interface Work {
  readonly parts: ConversionParts;
  readonly by: PartitionBy;
  readonly parent: string;
  readonly part: string;
  readonly boundary: number | undefined;
  readonly checkName: string;
}

/**
 * Plans the conversion as two migrations: indexes that are needed are built first, then the table becomes a partition of a new one
 * with its name, keys, indexes, rights, policies, triggers, identity and views, in one transaction that changes the catalog only.
 *
 * @param now - the time from which the boundary is counted
 * @throws InvalidInputError for what cannot be carried over, and for keys that would become weaker unless `weakerKeys` allows it
 */
export async function planPartitionConversion(
  catalog: Catalog,
  conversion: PartitionConversion,
  now: Date = new Date(),
): Promise<PartitionConversionPlan> {
  const { by, schema, table } = conversion;
  const suffix = by.kind === "range" ? "_p_before" : "_default";
  const parts = conversionParts(catalog, { schema, table, column: by.column }, conversion.weakerKeys ?? false, suffix);
  if (by.kind === "range" && !isTimeType(parts.column.type)) {
    throw new InvalidInputError(
      `${schema}.${table}.${by.column} is ${parts.column.type}: periods need a date, a timestamp or a uuid of version 7`,
    );
  }
  const work: Work = {
    parts,
    by,
    parent: identifier(schema, table),
    part: identifier(schema, parts.partName),
    boundary: boundaryOf(by, now),
    checkName: withSuffix(`${table}_${by.column}`, "_before"),
  };
  const weaker = parts.uniques.filter(({ holdsKey }) => !holdsKey).map(({ index }) => index.name);
  const words = (phase: string): string => fileWords(phase, table, "by", by.column);
  const phases: ExpandPhase[] = [];
  if (weaker.length > 0) {
    phases.push({
      phase: "prepare",
      name: words("prepare_partitions_of"),
      why: [`Builds the keys of ${table} with ${by.column} in them, while everybody works.`],
      up: await buildKeys(work),
      down: alone(...weaker.map((name) => `DROP INDEX CONCURRENTLY ${identifier(schema, withSuffix(name, "_new"))}`)),
      backfill: undefined,
    });
  }
  phases.push({
    phase: "switch",
    name: words("partition"),
    why: [
      `${table} becomes a partitioned table, and what there is its partition ${parts.partName}. No row is copied.`,
      ...(work.boundary === undefined
        ? []
        : [
            `Rows from ${new Date(work.boundary).toISOString()} on are refused from its first statement to its last: run it well before.`,
          ]),
    ],
    up: await switchUp(work),
    down: await switchDown(work),
    backfill: undefined,
  });
  return {
    phases,
    notices: weaker.map((name) => `${name} is unique only together with ${by.column} afterwards`),
  };
}

function boundaryOf(by: PartitionBy, now: Date): number | undefined {
  if (by.kind === "list") return undefined;
  const time = by.boundary?.getTime() ?? periodFrom(by.every, now.getTime(), 1).to;
  if (periodAt(by.every, time).from !== time || time <= now.getTime()) {
    throw new InvalidInputError(
      `the boundary ${new Date(time).toISOString()} is not the beginning of a ${by.every} to come`,
    );
  }
  return time;
}

async function buildKeys({ parts, by }: Work): Promise<readonly ExpandGroup[]> {
  const groups: ExpandGroup[] = [];
  for (const { index, holdsKey } of parts.uniques) {
    if (holdsKey) continue;
    const copy = { name: withSuffix(index.name, "_new"), added: by.column };
    groups.push(...alone(await createIndexSql(parts.table, index, copy)));
  }
  return groups;
}

const BEFORE = "_before";

async function switchUp(work: Work): Promise<readonly ExpandGroup[]> {
  const { parts, by, parent, part, boundary, checkName } = work;
  const { table, uniques, indexes, foreignKeys, incoming, serials } = parts;
  const column = identifier(by.column);
  const check = identifier(checkName);
  const type = parts.column.type;
  const bounded =
    boundary === undefined
      ? []
      : [
          ...inTransaction(
            `ALTER TABLE ${parent} ADD CONSTRAINT ${check} CHECK (${column} < ${timeLiteral(boundary, type)}) NOT VALID`,
          ),
          ...alone(`ALTER TABLE ${parent} VALIDATE CONSTRAINT ${check}`),
        ];
  const parentKeys: string[] = [];
  for (const { index, constraint, holdsKey } of uniques)
    parentKeys.push(await parentKey(work, index, constraint, holdsKey));
  const parentIndexes: string[] = [];
  for (const index of indexes)
    parentIndexes.push(await createIndexSql(table, index, { name: index.name, isConcurrent: false }));
  return [
    ...bounded,
    ...inTransaction(
      `LOCK TABLE ${[parent, ...incoming.map((key) => identifier(key.schema, key.table))].join(", ")} IN ACCESS EXCLUSIVE MODE`,
      ...incoming.map(
        ({ schema, table: other, key }) =>
          `ALTER TABLE ${identifier(schema, other)} DROP CONSTRAINT ${identifier(key.name)}`,
      ),
      ...table.triggers.map(({ name }) => `DROP TRIGGER ${identifier(name)} ON ${parent}`),
      `ALTER TABLE ${parent} RENAME TO ${identifier(parts.partName)}`,
      ...[...uniques.map(({ index }) => index), ...indexes].map(({ name }) =>
        renameIndex(work, name, withSuffix(name, BEFORE)),
      ),
      ...uniques.flatMap((unique) => weakenKey(work, unique)),
      `CREATE TABLE ${parent} (LIKE ${part} INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION) PARTITION BY ${by.kind.toUpperCase()} (${column})`,
      `ALTER TABLE ${parent} OWNER TO ${identifier(table.owner)}`,
      ...(boundary === undefined ? [] : [`ALTER TABLE ONLY ${parent} DROP CONSTRAINT ${check}`]),
      ...columnSettings(work),
      ...parentKeys,
      ...parentIndexes,
      ...foreignKeys.map(
        (key) =>
          `ALTER TABLE ${parent} ADD CONSTRAINT ${identifier(key.name)} ${foreignKeySql(key, key.columns, key.references?.columns ?? [])}`,
      ),
      ...moveIdentity(work, part, parent),
      `ALTER TABLE ${parent} ATTACH PARTITION ${part} ${boundary === undefined ? "DEFAULT" : rangeSql({ from: -Infinity, to: boundary }, type)}`,
      ...(boundary === undefined ? [] : [`ALTER TABLE ${part} DROP CONSTRAINT ${check}`]),
      ...newPartitions(work),
      ...serials.map(
        ({ schema, name, ownedBy }) =>
          `ALTER SEQUENCE ${identifier(schema, name)} OWNED BY ${parent}.${identifier(ownedBy?.column ?? "")}`,
      ),
      ...ownObjects(parts, ["row security", "policy", "trigger", "privileges", "replica identity", "comment"]),
      ...parts.views,
      ...parts.policiesElsewhere,
      ...incomingKeys(work),
    ),
    ...validateIncoming(work),
  ];
}

async function switchDown(work: Work): Promise<readonly ExpandGroup[]> {
  const { parts, parent, part } = work;
  const { table, uniques, indexes, incoming, serials } = parts;
  const moving = withSuffix(table.name, "_partitioned");
  const moved = identifier(table.schema, moving);
  const columns = table.columns.filter(({ generated }) => generated === undefined).map(({ name }) => identifier(name));
  const weak = uniques.filter(({ holdsKey }) => !holdsKey);
  const backKeys: ExpandGroup[] = [];
  const newKeys: ExpandGroup[] = [];
  for (const { index } of weak) {
    const on = { schema: table.schema, name: parts.partName };
    backKeys.push(...alone(await createIndexSql(table, index, { name: withSuffix(index.name, "_back"), on })));
  }
  newKeys.push(...(await buildKeys(work)));
  return [
    ...backKeys,
    ...inTransaction(
      `LOCK TABLE ${[parent, ...incoming.map((key) => identifier(key.schema, key.table))].join(", ")} IN ACCESS EXCLUSIVE MODE`,
      ...incoming.map(
        ({ schema, table: other, key }) =>
          `ALTER TABLE ${identifier(schema, other)} DROP CONSTRAINT ${identifier(key.name)}`,
      ),
      // Row triggers of the parent stand on its partitions too, and go with it.
      ...table.triggers.map(({ name }) => `DROP TRIGGER ${identifier(name)} ON ${parent}`),
      `ALTER TABLE ${parent} DETACH PARTITION ${part}`,
      ...moveIdentity(work, parent, part),
      `ALTER TABLE ${parent} RENAME TO ${identifier(moving)}`,
      `ALTER TABLE ${part} RENAME TO ${identifier(table.name)}`,
      ...serials.map(
        ({ schema, name, ownedBy }) =>
          `ALTER SEQUENCE ${identifier(schema, name)} OWNED BY ${parent}.${identifier(ownedBy?.column ?? "")}`,
      ),
      ...parts.views,
      ...parts.policiesElsewhere,
      `INSERT INTO ${parent} (${columns.join(", ")}) OVERRIDING SYSTEM VALUE SELECT ${columns.join(", ")} FROM ${moved}`,
      `DROP TABLE ${moved}`,
      ...weak.map(({ index, constraint }) => restoreKey(work, index, constraint)).flat(),
      ...[...uniques.filter(({ holdsKey }) => holdsKey).map(({ index }) => index), ...indexes].map(({ name }) =>
        renameIndex(work, withSuffix(name, BEFORE), name),
      ),
      ...ownObjects(parts, ["trigger", "comment"]),
      ...incomingKeys(work),
    ),
    ...validateIncoming(work),
    ...newKeys,
  ];
}

type Unique = ConversionParts["uniques"][number];

/** In the old table the key with the partition column takes the place of the one without. */
function weakenKey(work: Work, { index, constraint, holdsKey }: Unique): readonly string[] {
  if (holdsKey) return [];
  const { part, parts } = work;
  const before = withSuffix(index.name, BEFORE);
  const built = withSuffix(index.name, "_new");
  if (constraint === undefined)
    return [`DROP INDEX ${identifier(parts.table.schema, before)}`, renameIndex(work, built, before)];
  return [
    `ALTER TABLE ${part} DROP CONSTRAINT ${identifier(before)}`,
    `ALTER TABLE ${part} ADD CONSTRAINT ${identifier(before)} ${keyWord(constraint)} USING INDEX ${identifier(built)}${deferrability(constraint)}`,
  ];
}

function restoreKey(work: Work, index: Index, constraint: Unique["constraint"]): readonly string[] {
  const { parent, parts } = work;
  const before = withSuffix(index.name, BEFORE);
  const back = withSuffix(index.name, "_back");
  if (constraint === undefined)
    return [`DROP INDEX ${identifier(parts.table.schema, before)}`, renameIndex(work, back, index.name)];
  return [
    `ALTER TABLE ${parent} DROP CONSTRAINT ${identifier(before)}`,
    `ALTER TABLE ${parent} ADD CONSTRAINT ${identifier(index.name)} ${keyWord(constraint)} USING INDEX ${identifier(back)}${deferrability(constraint)}`,
  ];
}

async function parentKey(
  work: Work,
  index: Index,
  constraint: Unique["constraint"],
  holdsKey: boolean,
): Promise<string> {
  const { parent, by, parts } = work;
  const added = holdsKey ? {} : { added: by.column };
  if (constraint === undefined)
    return createIndexSql(parts.table, index, { name: index.name, isConcurrent: false, ...added });
  const columns = [...constraint.columns, ...(holdsKey ? [] : [by.column])].map((name) => identifier(name));
  const nulls = index.nullsNotDistinct ? " NULLS NOT DISTINCT" : "";
  const include = index.include.filter((name) => holdsKey || name !== by.column).map((name) => identifier(name));
  const included = include.length === 0 ? "" : ` INCLUDE (${include.join(", ")})`;
  return `ALTER TABLE ${parent} ADD CONSTRAINT ${identifier(constraint.name)} ${keyWord(constraint)}${nulls} (${columns.join(", ")})${included}${deferrability(constraint)}`;
}

function keyWord({ kind }: NonNullable<Unique["constraint"]>): string {
  return kind === "primary key" ? "PRIMARY KEY" : "UNIQUE";
}

function renameIndex({ parts }: Work, from: string, to: string): string {
  return `ALTER INDEX ${identifier(parts.table.schema, from)} RENAME TO ${identifier(to)}`;
}

function columnSettings({ parts, parent }: Work): readonly string[] {
  return parts.table.columns.flatMap(({ name, statisticsTarget, options }) => [
    ...(statisticsTarget === undefined
      ? []
      : [`ALTER TABLE ONLY ${parent} ALTER COLUMN ${identifier(name)} SET STATISTICS ${statisticsTarget}`]),
    ...(options.length === 0
      ? []
      : [`ALTER TABLE ONLY ${parent} ALTER COLUMN ${identifier(name)} SET (${options.join(", ")})`]),
  ]);
}

/** The sequence of an identity goes with its column: it is made anew where the other stood, and goes on counting. */
function moveIdentity({ parts }: Work, from: string, to: string): readonly string[] {
  if (parts.identity === undefined) return [];
  const { column, sequence } = parts.identity;
  const name = identifier(sequence.schema, sequence.name);
  const kind = column.identity === "always" ? "ALWAYS" : "BY DEFAULT";
  return [
    `DO $pgsteward$
DECLARE
  place bigint;
  used boolean;
BEGIN
  SELECT s.last_value, s.is_called INTO place, used FROM ${name} AS s;
  ALTER TABLE ${from} ALTER COLUMN ${identifier(column.name)} DROP IDENTITY;
  ALTER TABLE ${to} ALTER COLUMN ${identifier(column.name)} ADD GENERATED ${kind} AS IDENTITY (SEQUENCE NAME ${name} ${identityOptions(sequence)});
  PERFORM pg_catalog.setval('${name.replaceAll("'", "''")}', place, used);
END
$pgsteward$`,
  ];
}

function newPartitions({ parts, by, parent, boundary }: Work): readonly string[] {
  if (by.kind === "list" || boundary === undefined) return [];
  const { table, column } = parts;
  const ahead = by.ahead ?? DEFAULT_AHEAD;
  const storage = table.storageParameters.filter((parameter) => !parameter.startsWith("toast."));
  const with_ = storage.length === 0 ? "" : ` WITH (${storage.join(", ")})`;
  let period = periodAt(by.every, boundary);
  return Array.from({ length: ahead }, () => {
    const name = identifier(table.schema, periodName(table.name, by.every, period.from));
    const bound = rangeSql(period, column.type);
    period = periodAt(by.every, period.to);
    return [
      `CREATE TABLE ${name} PARTITION OF ${parent} ${bound}${with_}`,
      `ALTER TABLE ${name} OWNER TO ${identifier(table.owner)}`,
    ];
  }).flat();
}

function incomingKeys({ parts }: Work): readonly string[] {
  return parts.incoming.map(
    ({ schema, table, key }) =>
      `ALTER TABLE ${identifier(schema, table)} ADD CONSTRAINT ${identifier(key.name)} ${foreignKeySql(key, key.columns, key.references?.columns ?? [])} NOT VALID`,
  );
}

function validateIncoming({ parts }: Work): readonly ExpandGroup[] {
  return alone(
    ...parts.incoming.map(
      ({ schema, table, key }) =>
        `ALTER TABLE ${identifier(schema, table)} VALIDATE CONSTRAINT ${identifier(key.name)}`,
    ),
  );
}
