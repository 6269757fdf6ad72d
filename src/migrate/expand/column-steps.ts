// Statements that several phases of a column's change need: constraints and indexes of a copy, and of the way back.
import type { Table } from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import { alone, inTransaction, type ExpandGroup } from "./change.ts";
import type { ColumnWork } from "./column-names.ts";
import { commentOn } from "./comment-on.ts";
import { suffixed } from "./names.ts";
import { conditionSql, createIndexSql, foreignKeySql, withNames, type OtherNames } from "./parts.ts";

const NAMED_NOT_NULL = 180_000;

export function relationOf({ parts }: ColumnWork): string {
  return identifier(parts.table.schema, parts.table.name);
}

/** Of the column, and of those that change with it, as they are called at that time. */
function otherNames({ parts, before, together }: ColumnWork, to: string): OtherNames {
  const others = together
    .filter(({ name }) => name !== parts.column.name)
    .map((other) => [other.name, to === before.new ? other.new : other.old] as const);
  return [[parts.column.name, to], ...others];
}

/** On PostgreSQL 18 NOT NULL can wait to be validated; before, a check stands in for it meanwhile. */
export function isNamedNotNull(work: ColumnWork): boolean {
  return work.serverVersion >= NAMED_NOT_NULL;
}

export function notNullName(work: ColumnWork): string {
  const { table, column, notNull } = work.parts;
  return notNull?.name ?? suffixed(`${table.name}_${column.name}_not_null`, "");
}

/** Checks, foreign keys and NOT NULL of the column for its copy, not validated. */
export async function addConditions(work: ColumnWork, to: string, suffix: string): Promise<readonly string[]> {
  const { table, conditions, notNull } = work.parts;
  const statements: string[] = [];
  for (const condition of conditions) {
    const definition = await conditionSql(table, condition, otherNames(work, to));
    const notValid = condition.isEnforced ? " NOT VALID" : "";
    const name = identifier(suffixed(condition.name, suffix));
    statements.push(
      `ALTER TABLE ${relationOf(work)} ADD CONSTRAINT ${name} ${definition}${notValid}`,
      ...commentOn(`CONSTRAINT ${name} ON ${relationOf(work)}`, condition.comment),
    );
  }
  if (notNull !== undefined) {
    const what = isNamedNotNull(work) ? `NOT NULL ${identifier(to)}` : `CHECK (${identifier(to)} IS NOT NULL)`;
    const name = identifier(suffixed(notNullName(work), suffix));
    statements.push(
      `ALTER TABLE ${relationOf(work)} ADD CONSTRAINT ${name} ${what} NOT VALID`,
      ...commentOn(`CONSTRAINT ${name} ON ${relationOf(work)}`, notNull.comment),
    );
  }
  return statements;
}

export function dropConditions(work: ColumnWork, suffix: string): readonly string[] {
  const { conditions, notNull } = work.parts;
  const names = [
    ...conditions.map(({ name }) => suffixed(name, suffix)),
    ...(notNull === undefined ? [] : [suffixed(notNullName(work), suffix)]),
  ];
  return names.map((name) => `ALTER TABLE ${relationOf(work)} DROP CONSTRAINT ${identifier(name)}`);
}

/** Each scan alone, under a lock that lets reads and writes pass. */
export function validateConditions(work: ColumnWork, to: string, suffix: string): readonly ExpandGroup[] {
  const { conditions, notNull } = work.parts;
  const validate = (name: string): string =>
    `ALTER TABLE ${relationOf(work)} VALIDATE CONSTRAINT ${identifier(suffixed(name, suffix))}`;
  const validated = conditions.filter(({ isValidated, isEnforced }) => isValidated && isEnforced);
  const groups = [...alone(...validated.map(({ name }) => validate(name)))];
  if (notNull === undefined) return groups;
  groups.push(...alone(validate(notNullName(work))));
  if (!isNamedNotNull(work))
    groups.push(
      ...inTransaction(
        `ALTER TABLE ${relationOf(work)} ALTER COLUMN ${identifier(to)} SET NOT NULL`,
        `ALTER TABLE ${relationOf(work)} DROP CONSTRAINT ${identifier(suffixed(notNullName(work), suffix))}`,
      ),
    );
  return groups;
}

/** What a later phase took away of the copy's NOT NULL, or made valid, as the earlier phase had it. */
export async function unvalidateConditions(work: ColumnWork, to: string, suffix: string): Promise<readonly string[]> {
  const { conditions, notNull } = work.parts;
  if (conditions.length === 0 && notNull === undefined) return [];
  const isDropped = notNull !== undefined && !isNamedNotNull(work);
  const drops = dropConditions(isDropped ? { ...work, parts: { ...work.parts, notNull: undefined } } : work, suffix);
  return [
    ...drops,
    ...(isDropped ? [`ALTER TABLE ${relationOf(work)} ALTER COLUMN ${identifier(to)} DROP NOT NULL`] : []),
    ...(await addConditions(work, to, suffix)),
  ];
}

export interface IndexChoice {
  readonly plain: boolean;
  readonly keys: boolean;
}

export const ALL_INDEXES: IndexChoice = { plain: true, keys: true };

/** Indexes of the column, built for its copy while everybody works. */
export async function buildIndexes(
  work: ColumnWork,
  to: string,
  suffix: string,
  choice: IndexChoice,
): Promise<readonly ExpandGroup[]> {
  const { table, keys, indexes } = work.parts;
  const wanted = [
    ...(choice.keys ? keys.flatMap((key) => table.indexes.filter(({ constraint }) => constraint === key.name)) : []),
    ...(choice.plain ? indexes : []),
  ];
  const groups: ExpandGroup[] = [];
  for (const index of wanted) {
    const copy = { name: suffixed(index.name, suffix), names: otherNames(work, to) };
    groups.push(
      ...alone(await createIndexSql(table, index, copy)),
      ...alone(...commentOn(`INDEX ${identifier(table.schema, copy.name)}`, index.comment)),
    );
  }
  return groups;
}

export function dropIndexes(work: ColumnWork, suffix: string): readonly ExpandGroup[] {
  const { table, keys, indexes } = work.parts;
  const names = [...keys, ...indexes].map(({ name }) => suffixed(name, suffix));
  return alone(...names.map((name) => `DROP INDEX CONCURRENTLY ${identifier(table.schema, name)}`));
}

/** Until the planner knows its values, and those of indexed expressions over it, it guesses. */
export function analyzeTable({ schema, name }: Table): readonly ExpandGroup[] {
  return alone(`ANALYZE ${identifier(schema, name)}`);
}

/** Foreign keys of other tables, to the copy: checked beside the old ones until the switch. */
export function addIncoming(work: ColumnWork, to: string, suffix: string): readonly ExpandGroup[] {
  const { incoming } = work.parts;
  return incoming.flatMap(({ schema, table, key }) => {
    const relation = identifier(schema, table);
    const name = identifier(suffixed(key.name, suffix));
    const definition = foreignKeySql(key, key.columns, withNames(key.references?.columns ?? [], otherNames(work, to)));
    const isChecked = key.isEnforced && key.isValidated;
    return [
      ...inTransaction(
        `ALTER TABLE ${relation} ADD CONSTRAINT ${name} ${definition}${key.isEnforced ? " NOT VALID" : ""}`,
        ...commentOn(`CONSTRAINT ${name} ON ${relation}`, key.comment),
      ),
      ...(isChecked ? alone(`ALTER TABLE ${relation} VALIDATE CONSTRAINT ${name}`) : []),
    ];
  });
}

export function dropIncoming(work: ColumnWork, suffix: string): readonly string[] {
  return work.parts.incoming.map(
    ({ schema, table, key }) =>
      `ALTER TABLE ${identifier(schema, table)} DROP CONSTRAINT ${identifier(suffixed(key.name, suffix))}`,
  );
}
