// The statements of one batch. The window of keys is read first, so that every statement knows both its ends: the update then walks
// the key's index and never the whole table, and a batch has a bound also where few rows are to do.
import { identifier } from "../../postgres/index.ts";
import type { CheckedDefinition } from "./definition.ts";
import type { BackfillTarget } from "./target.ts";

/** Values of the key's columns as texts. */
export type KeyValues = readonly string[];

export interface PlannedQuery {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** `(a, b)`, or `a` alone: a row of one column would be another type. */
function rowOf(parts: readonly string[]): string {
  return parts.length === 1 ? parts.join("") : `(${parts.join(", ")})`;
}

class Values {
  readonly list: unknown[] = [];
  readonly target: BackfillTarget;

  constructor(target: BackfillTarget) {
    this.target = target;
  }

  key(values: KeyValues): string {
    return rowOf(this.target.key.map(({ type }, index) => `${this.add(values[index])}::text::${type}`));
  }

  add(value: unknown): string {
    this.list.push(value);
    return `$${this.list.length}`;
  }

  /** Keys after `from` (all when undefined) and up to `to`. */
  window(from: KeyValues | undefined, to: KeyValues): string {
    const columns = rowOf(this.target.key.map(({ name }) => identifier(name)));
    const after = from === undefined ? "" : `${columns} > ${this.key(from)} AND `;
    return `${after}${columns} <= ${this.key(to)}`;
  }
}

/** The last key there is: `keys` is one row, or none for an empty table. */
export function lastKeyQuery(target: BackfillTarget): PlannedQuery {
  const order = target.key.map(({ name }) => `${identifier(name)} DESC`).join(", ");
  return {
    text: `SELECT ARRAY[${target.key.map(({ asText }) => asText).join(", ")}] AS key FROM ${target.sqlName} ORDER BY ${order} LIMIT 1`,
    values: [],
  };
}

/** The key of the last row of the next window of `size` rows; no row when there are fewer. */
export function windowQuery(
  target: BackfillTarget,
  from: KeyValues | undefined,
  to: KeyValues,
  size: number,
): PlannedQuery {
  const values = new Values(target);
  const where = values.window(from, to);
  return {
    text: `
SELECT ARRAY[${target.key.map(({ asText }) => asText).join(", ")}] AS key
FROM ${target.sqlName}
WHERE ${where}
ORDER BY ${target.key.map(({ name }) => identifier(name)).join(", ")}
OFFSET ${values.add(size - 1)}::int4
LIMIT 1`,
    values: values.list,
  };
}

/** How many rows the last window of a pass has. */
export function lastWindowQuery(target: BackfillTarget, from: KeyValues | undefined, to: KeyValues): PlannedQuery {
  const values = new Values(target);
  const where = values.window(from, to);
  return {
    text: `SELECT pg_catalog.count(*)::int4 AS size FROM ${target.sqlName} WHERE ${where}`,
    values: values.list,
  };
}

/**
 * Updates the window's rows: `changed` counts them, `still` those of them that match `where` afterwards. Rows that somebody else holds
 * are waited for, never passed over. Locking them first, in the order of the key, took half as long again: a deadlock is tried again.
 */
export function updateQuery(
  target: BackfillTarget,
  definition: CheckedDefinition,
  from: KeyValues | undefined,
  to: KeyValues,
): PlannedQuery {
  const values = new Values(target);
  const where = values.window(from, to);
  return {
    text: `
WITH pgsteward_changed AS (
  UPDATE ${target.sqlName}
  SET ${definition.set}
  WHERE ${where}${conditionOf(definition)}
  RETURNING ${definition.where === undefined ? "false" : `(${definition.where}\n) IS TRUE`} AS still
)
SELECT pg_catalog.count(*)::int4 AS changed, (pg_catalog.count(*) FILTER (WHERE still))::int4 AS still
FROM pgsteward_changed`,
    values: values.list,
  };
}

/**
 * Locks those rows of the window that are to do and that nobody holds: `held` is the key of the first that somebody does, `last` that
 * of the last free one before it; both NULL when all are free.
 */
export function freeRowsQuery(
  target: BackfillTarget,
  definition: CheckedDefinition,
  from: KeyValues | undefined,
  to: KeyValues,
): PlannedQuery {
  const values = new Values(target);
  const where = `${values.window(from, to)}${conditionOf(definition)}`;
  const columns = target.key.map(({ name }) => identifier(name));
  const list = columns.join(", ");
  const keyAs = (name: string): string => `ARRAY[${target.key.map(({ asText }) => asText).join(", ")}] AS ${name}`;
  return {
    text: `
WITH pgsteward_seen AS MATERIALIZED (
  SELECT ${list}
  FROM ${target.sqlName}
  WHERE ${where}
), pgsteward_free AS MATERIALIZED (
  SELECT ${list}
  FROM ${target.sqlName}
  WHERE ${where}
  FOR NO KEY UPDATE SKIP LOCKED
), pgsteward_held AS MATERIALIZED (
  SELECT ${list} FROM pgsteward_seen
  EXCEPT
  SELECT ${list} FROM pgsteward_free
  ORDER BY ${list}
  LIMIT 1
)
SELECT (SELECT ${keyAs("held")} FROM pgsteward_held),
  (SELECT ${keyAs("last")}
   FROM pgsteward_free
   WHERE ${rowOf(columns)} < (SELECT ${list} FROM pgsteward_held)
   ORDER BY ${columns.map((column) => `${column} DESC`).join(", ")}
   LIMIT 1)`,
    values: values.list,
  };
}

/** How many rows are still to do, in the whole table. */
export function remainingQuery(target: BackfillTarget, definition: CheckedDefinition): PlannedQuery {
  return {
    text: `SELECT pg_catalog.count(*)::float8 AS remaining FROM ${target.sqlName} WHERE true${conditionOf(definition)}`,
    values: [],
  };
}

/** Each on lines of its own: a comment at the end of one must not swallow what follows. */
function conditionOf({ where, filter }: CheckedDefinition): string {
  return [where, filter].flatMap((part) => (part === undefined ? [] : [`\n    AND (${part}\n)`])).join("");
}
