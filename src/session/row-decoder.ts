// From the driver's rows to the objects a Drizzle select promises, with the decoder of each column looked up once for a
// statement instead of once for a value.
import { Column, getTableName, is, SQL, Subquery } from "drizzle-orm";
import type { SelectedFieldsOrdered } from "drizzle-orm/pg-core";
import type { RowMapper } from "../postgres/index.ts";
import { columnDecoder, parsedDecoder, type ColumnDecoder } from "./column-decoder.ts";

interface Target {
  /** Where the value goes, e.g. `["tasks", "title"]` in a join. */
  readonly path: readonly string[];
  readonly key: string;
  /** Never called for NULL. */
  readonly decode: ColumnDecoder;
  /** Name of the table whose absence in an outer join makes the whole object null. */
  readonly table: string | undefined;
}

type Decoded = Record<string, unknown>;

/**
 * @param fields - the select's columns in the order of the result
 * @param joinsNotNull - for a select with joins, whether each table is always there
 */
export function rowDecoder(
  fields: SelectedFieldsOrdered,
  joinsNotNull: Readonly<Record<string, boolean>> | undefined,
): (row: readonly unknown[]) => Decoded {
  return decoderOf(targetsOf(fields, joinsNotNull), joinsNotNull);
}

/** The same from the server's text, while rows arrive. */
export function rowMapper(
  fields: SelectedFieldsOrdered,
  joinsNotNull: Readonly<Record<string, boolean>> | undefined,
): RowMapper {
  const targets = targetsOf(fields, joinsNotNull);
  let lastParsers: unknown;
  let lastDecoder: ((row: readonly unknown[]) => Decoded) | undefined;
  return (parsers) => {
    // A prepared statement brings the same parsers each time.
    if (lastDecoder !== undefined && parsers === lastParsers) return lastDecoder;
    const parsed = targets.map((target, index) => ({
      ...target,
      decode: parsedDecoder(parsers[index], target.decode),
    }));
    lastParsers = parsers;
    lastDecoder = decoderOf(parsed, joinsNotNull);
    return lastDecoder;
  };
}

function targetsOf(
  fields: SelectedFieldsOrdered,
  joinsNotNull: Readonly<Record<string, boolean>> | undefined,
): readonly Target[] {
  return fields.map(({ path, field }): Target => {
    const isColumn = is(field, Column);
    return {
      path: path.slice(0, -1),
      key: path.at(-1) ?? "",
      decode: columnDecoder(isColumn ? field : expressionDecoder(field)),
      table: joinsNotNull !== undefined && isColumn && path.length === 2 ? getTableName(field.table) : undefined,
    };
  });
}

function expressionDecoder(field: SelectedFieldsOrdered[number]["field"]): Column {
  const expression = is(field, SQL) ? field : is(field, Subquery) ? field._.sql : (field as SQL.Aliased).sql;
  return (expression as unknown as { decoder: Column }).decoder;
}

function decoderOf(
  targets: readonly Target[],
  joinsNotNull: Readonly<Record<string, boolean>> | undefined,
): (row: readonly unknown[]) => Decoded {
  if (targets.every(({ path }) => path.length === 0)) return (row) => flat(targets, row);
  return (row) => nested(targets, row, joinsNotNull ?? {});
}

function flat(targets: readonly Target[], row: readonly unknown[]): Decoded {
  const result: Decoded = {};
  for (let index = 0; index < targets.length; index++) {
    const target = targets[index];
    if (target === undefined) break;
    const value = row[index];
    result[target.key] = value === null || target.decode === undefined ? value : target.decode(value);
  }
  return result;
}

/**
 * An outer join's missing row comes as nulls in all its columns: its object is null then. Drizzle looks at the first column
 * only, and loses a row whose first selected column happens to be null.
 */
function nested(
  targets: readonly Target[],
  row: readonly unknown[],
  joinsNotNull: Readonly<Record<string, boolean>>,
): Decoded {
  const result: Decoded = {};
  const absent = new Map<string, string | false>();
  targets.forEach(({ path, key, decode, table }, index) => {
    let node = result;
    for (const part of path) node = (node[part] ??= {}) as Decoded;
    const raw = row[index];
    const value = raw === null || decode === undefined ? raw : decode(raw);
    node[key] = value;
    const [name] = path;
    if (table === undefined || name === undefined) return;
    const known = absent.get(name);
    if (known === undefined) absent.set(name, value === null ? table : false);
    else if (known !== false && (value !== null || known !== table)) absent.set(name, false);
  });
  for (const [name, table] of absent) {
    if (table !== false && joinsNotNull[table] !== true) result[name] = null;
  }
  return result;
}
