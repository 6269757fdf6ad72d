// The trigger that keeps two columns equal, whichever of them a program writes. It is the last BEFORE trigger by its name, so it sees
// what the others made of the row, and it changes the row itself instead of writing a second time, so it cannot call itself.
import { dollarQuoted, identifier } from "../../postgres/index.ts";

export interface TriggerName {
  readonly schema: string;
  readonly table: string;
  /** Of the function and of the trigger. */
  readonly name: string;
}

export interface SyncTrigger extends TriggerName {
  /** The column that has the default: what is written to the other one was meant by somebody. */
  readonly active: SyncColumn;
  readonly passive: SyncColumn;
  /** What the passive column has to hold, over NEW. */
  readonly toPassive: string;
  /** What the active column has to hold when the passive one was written, over NEW. */
  readonly toActive: string;
  /** A value that the passive column's type cannot hold leaves it NULL, instead of refusing the row. */
  readonly isTolerant: boolean;
}

/** A column that has the value of an expression, as a generated one would. */
export interface ComputedTrigger extends TriggerName {
  readonly column: string;
  /** Over NEW. */
  readonly value: string;
}

export interface SyncColumn {
  readonly name: string;
  /** Types like json have no equality and are compared as text. */
  readonly comparesAsText: boolean;
}

export function createSyncFunction(sync: SyncTrigger | ComputedTrigger): string {
  if ("value" in sync) {
    return `CREATE OR REPLACE FUNCTION ${identifier(sync.schema, sync.name)}() RETURNS trigger LANGUAGE plpgsql AS ${dollarQuoted(`
BEGIN
  NEW.${identifier(sync.column)} := ${sync.value};
  RETURN NEW;
END
`)}`;
  }
  const { schema, table, name, active, passive, toPassive, toActive, isTolerant } = sync;
  const newActive = `NEW.${identifier(active.name)}`;
  const newPassive = `NEW.${identifier(passive.name)}`;
  const compute = isTolerant
    ? `BEGIN
    expected := ${toPassive};
  EXCEPTION WHEN data_exception OR check_violation OR not_null_violation THEN
    expected := NULL; -- the old type cannot hold it
  END;`
    : `expected := ${toPassive};`;
  return `CREATE OR REPLACE FUNCTION ${identifier(schema, name)}() RETURNS trigger LANGUAGE plpgsql AS ${dollarQuoted(`
DECLARE
  expected ${identifier(schema, table)}.${identifier(passive.name)}%TYPE;
BEGIN
  ${compute}
  IF TG_OP = 'INSERT' THEN
    IF ${newPassive} IS NULL THEN
      ${newPassive} := expected;
    ELSIF ${differs(passive, newPassive, "expected")} THEN
      ${newActive} := ${toActive};
    END IF;
  ELSIF ${differs(passive, newPassive, `OLD.${identifier(passive.name)}`)} THEN
    IF ${differs(passive, newPassive, "expected")} THEN
      ${newActive} := ${toActive};
    END IF;
  ELSIF ${differs(active, newActive, `OLD.${identifier(active.name)}`)} OR ${newPassive} IS NULL THEN
    ${newPassive} := expected;
  END IF;
  RETURN NEW;
END
`)}`;
}

export function createSyncTrigger(sync: TriggerName): string {
  return `CREATE TRIGGER ${identifier(sync.name)} BEFORE INSERT OR UPDATE ON ${identifier(sync.schema, sync.table)}
  FOR EACH ROW EXECUTE FUNCTION ${identifier(sync.schema, sync.name)}()`;
}

export function dropSyncTrigger(sync: TriggerName): string {
  return `DROP TRIGGER ${identifier(sync.name)} ON ${identifier(sync.schema, sync.table)}`;
}

export function dropSyncFunction(sync: TriggerName): string {
  return `DROP FUNCTION ${identifier(sync.schema, sync.name)}()`;
}

function differs(column: SyncColumn, left: string, right: string): string {
  return column.comparesAsText ? `${left}::text IS DISTINCT FROM ${right}::text` : `${left} IS DISTINCT FROM ${right}`;
}

const WITHOUT_EQUALITY: ReadonlySet<string> = new Set([
  "json",
  "xml",
  "point",
  "line",
  "polygon",
  "path",
  "box",
  "lseg",
  "circle",
]);

/** @param type - `format_type` of the column, e.g. `json` or `point[]` */
export function comparesAsText(type: string): boolean {
  return WITHOUT_EQUALITY.has(type.replace(/\[\]$/, ""));
}
