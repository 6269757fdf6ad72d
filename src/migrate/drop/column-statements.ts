// The statements of a column's drop and of its return. While its values are copied, in batches, a trigger keeps the copy equal, so that nothing
// is read or written under the lock of the drop itself.
import { literal, type Sequence } from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import { batchedBlock } from "../expand/backfill-sql.ts";
import { alone, inTransaction, type ExpandGroup } from "../expand/change.ts";
import { suffixed } from "../expand/names.ts";
import { deferrability, findColumn } from "../expand/parts.ts";
import { comparesAsText } from "../expand/sync.ts";
import { identityOptions, remakeIdentity } from "../expand/value-source.ts";
import { columnSettings, columnSql, firedBy, indexSettings, type DroppedColumn } from "./column-parts.ts";
import { addForeignKey, commentOn, createKeptSchema, dropKeptSchema } from "./drop-parts.ts";
import { KEPT_SCHEMA, keptColumnTable } from "./kept-names.ts";

const NAMED_NOT_NULL = 180_000;

export function relationOf({ table }: Pick<DroppedColumn, "table">): string {
  return identifier(table.schema, table.name);
}

/** The table that keeps the values, as SQL. */
export function keptOf({ table, column }: DroppedColumn): string {
  return identifier(KEPT_SCHEMA, keptColumnTable({ schema: table.schema, table: table.name, column: column.name }));
}

export function dropColumn(dropped: DroppedColumn): readonly ExpandGroup[] {
  const { table, column, rowKey, sequence, incoming } = dropped;
  const relation = relationOf(dropped);
  const kept = keptOf(dropped);
  const key = rowKey.map((name) => identifier(name));
  const keys = key.join(", ");
  const name = identifier(column.name);
  const trigger = identifier(suffixed(`zz_keep_${column.name}`, ""));
  const asText = comparesAsText(column.type) ? "::text" : "";
  const columns = [...rowKey.map((each) => findColumn(table, each)), column].map((each) => columnSql(each));
  // A default would fill rows that come back: then NULL has to be kept, too.
  const where = column.default === undefined ? ` AND ${name} IS NOT NULL` : "";
  const batch = (window: string): string =>
    `INSERT INTO ${kept} (${keys}, ${name}) SELECT ${keys}, ${name} FROM ${relation} WHERE ${window}${where} ON CONFLICT DO NOTHING;`;
  const relations = [relation, ...incoming.map((other) => identifier(other.schema, other.table))];
  return [
    ...inTransaction(
      createKeptSchema(),
      // A row that goes, or gets another key, takes its value along.
      `CREATE ${table.persistence === "unlogged" ? "UNLOGGED " : ""}TABLE ${kept} (
  ${columns.join(",\n  ")},
  PRIMARY KEY (${keys}),
  FOREIGN KEY (${keys}) REFERENCES ${relation} (${keys}) ON UPDATE CASCADE ON DELETE CASCADE
)`,
      // Whoever writes to the table has no right to write here.
      `CREATE FUNCTION ${kept}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $pgsteward$
BEGIN
  IF TG_OP = 'UPDATE' AND NEW.${name}${asText} IS NOT DISTINCT FROM OLD.${name}${asText} THEN
    RETURN NULL;
  END IF;
  INSERT INTO ${kept} (${keys}, ${name}) VALUES (${[...key, name].map((each) => `NEW.${each}`).join(", ")})
  ON CONFLICT (${keys}) DO UPDATE SET ${name} = excluded.${name};
  RETURN NULL;
END
$pgsteward$`,
      `CREATE TRIGGER ${trigger} AFTER INSERT OR UPDATE ON ${relation}
  FOR EACH ROW EXECUTE FUNCTION ${kept}()`,
    ),
    ...alone("SET row_security = off", batchedBlock(relation, rowKey, { batch, finish: "" }), "RESET row_security"),
    ...inTransaction(
      `LOCK TABLE ${[...new Set(relations)].join(", ")} IN ACCESS EXCLUSIVE MODE`,
      ...incoming.map(
        (other) => `ALTER TABLE ${identifier(other.schema, other.table)} DROP CONSTRAINT ${identifier(other.key.name)}`,
      ),
      `DROP TRIGGER ${trigger} ON ${relation}`,
      `DROP FUNCTION ${kept}()`,
      ...(sequence === undefined
        ? []
        : column.identity === undefined
          ? [
              `ALTER TABLE ${relation} ALTER COLUMN ${name} DROP DEFAULT`,
              ...moveSequence(sequence, KEPT_SCHEMA, `${kept}.${name}`),
            ]
          : keepIdentity(sequence, `${kept}.${name}`)),
      `ALTER TABLE ${relation} DROP COLUMN ${name}`,
    ),
  ];
}

/** @param dropped - an identity is a default in the meantime, of a sequence that everybody may use */
export function restoreColumn(dropped: DroppedColumn): readonly ExpandGroup[] {
  const { table, rowKey, sequence, keys, indexes, conditions, incoming } = dropped;
  const isIdentity = dropped.column.identity !== undefined;
  const column =
    isIdentity && sequence !== undefined
      ? { ...dropped.column, default: `nextval(${literal(identifier(sequence.schema, sequence.name))})` }
      : dropped.column;
  const relation = relationOf(dropped);
  const kept = keptOf(dropped);
  const alter = `ALTER TABLE ${relation}`;
  const name = identifier(column.name);
  const isSame = rowKey.map((each) => `kept_row.${identifier(each)} = here.${identifier(each)}`).join(" AND ");
  const ofRow = `FROM ${kept} AS kept_row WHERE ${isSame}`;
  const restore = (window: string): string =>
    `UPDATE ${relation} AS here SET ${name} = (SELECT kept_row.${name} ${ofRow}) WHERE ${window} AND ${name} IS NULL AND EXISTS (SELECT ${ofRow} AND kept_row.${name} IS NOT NULL);`;
  const fill = (window: string): string =>
    `UPDATE ${relation} AS here SET ${name} = DEFAULT WHERE ${window} AND ${name} IS NULL AND NOT EXISTS (SELECT ${ofRow});`;
  const batch = (window: string): string =>
    column.default === undefined ? restore(window) : `${restore(window)}\n        ${fill(window)}`;
  const isQuiet = firedBy(dropped).length > 0;
  const checks = conditions.filter(({ kind }) => kind === "check");
  const foreignKeys = conditions.filter(({ kind }) => kind === "foreign key");
  return [
    ...inTransaction(
      `${alter} ADD COLUMN ${columnSql(column)}`,
      ...columnSettings(dropped),
      ...(sequence === undefined
        ? []
        : moveSequence({ ...sequence, schema: KEPT_SCHEMA }, sequence.schema, `${relation}.${name}`)),
      ...(isIdentity && sequence !== undefined
        ? [`GRANT USAGE ON SEQUENCE ${identifier(sequence.schema, sequence.name)} TO PUBLIC`]
        : []),
      // After the column: rows that are there stay without a value until theirs comes back.
      ...(column.default === undefined ? [] : [`${alter} ALTER COLUMN ${name} SET DEFAULT ${column.default}`]),
    ),
    ...alone(
      "SET row_security = off",
      ...(isQuiet ? [triggersOff()] : []),
      batchedBlock(relation, rowKey, { batch, finish: "" }),
      ...(isQuiet ? ["RESET session_replication_role"] : []),
      "RESET row_security",
    ),
    ...restoreConditions({ ...dropped, conditions: checks }),
    ...(isIdentity && sequence !== undefined ? inTransaction(...restoreIdentity(dropped, sequence)) : []),
    ...indexes.flatMap(({ definition, tablespace }) => {
      const create = definition.replace(/^CREATE (UNIQUE )?INDEX /, "CREATE $1INDEX CONCURRENTLY ");
      if (tablespace === undefined) return alone(create);
      return alone(`SET default_tablespace = ${identifier(tablespace)}`, create, "RESET default_tablespace");
    }),
    ...inTransaction(
      ...keys.flatMap((key) => [
        `${alter} ADD CONSTRAINT ${identifier(key.name)} ${key.kind === "primary key" ? "PRIMARY KEY" : "UNIQUE"} USING INDEX ${identifier(key.name)}${deferrability(key)}`,
        ...commentOn(`CONSTRAINT ${identifier(key.name)} ON ${relation}`, key.comment),
      ]),
      ...indexSettings(dropped),
    ),
    ...foreignKeys.flatMap((key) => addForeignKey(relation, key, true)),
    ...incoming.flatMap((other) => addForeignKey(identifier(other.schema, other.table), other.key, true)),
    ...alone(`ANALYZE ${identifier(table.schema, table.name)} (${name})`),
    ...inTransaction(`DROP TABLE ${kept}`, dropKeptSchema()),
  ];
}

/** Checks and NOT NULL: held from then on, and checked without stopping writers. */
export function restoreConditions(
  dropped: DroppedColumn,
  first: readonly string[] = [],
  beforeChecking: readonly ExpandGroup[] = [],
): readonly ExpandGroup[] {
  const { conditions, notNull, column, table, serverVersion } = dropped;
  const relation = relationOf(dropped);
  const alter = `ALTER TABLE ${relation}`;
  const name = identifier(column.name);
  const isNamed = serverVersion >= NAMED_NOT_NULL;
  const plain = (definition: string): string => definition.replace(/ NOT VALID$/, "");
  const constraint = identifier(suffixed(notNull?.name ?? `${table.name}_${column.name}_not_null`, ""));
  const validate = (each: string): string => `${alter} VALIDATE CONSTRAINT ${each}`;
  return [
    ...inTransaction(
      ...first,
      ...conditions.flatMap((check) => [
        `${alter} ADD CONSTRAINT ${identifier(check.name)} ${plain(check.definition)}${check.isEnforced ? " NOT VALID" : ""}`,
        ...commentOn(`CONSTRAINT ${identifier(check.name)} ON ${relation}`, check.comment),
      ]),
      ...(notNull === undefined
        ? []
        : [
            `${alter} ADD CONSTRAINT ${constraint} ${isNamed ? `NOT NULL ${name}` : `CHECK (${name} IS NOT NULL)`} NOT VALID`,
            ...(isNamed ? commentOn(`CONSTRAINT ${constraint} ON ${relation}`, notNull.comment) : []),
          ]),
    ),
    ...beforeChecking,
    ...alone(
      ...conditions
        .filter(({ isValidated, isEnforced }) => isValidated && isEnforced)
        .map((check) => validate(identifier(check.name))),
      ...(notNull === undefined ? [] : [validate(constraint)]),
    ),
    ...(notNull === undefined || isNamed
      ? []
      : inTransaction(`${alter} ALTER COLUMN ${name} SET NOT NULL`, `${alter} DROP CONSTRAINT ${constraint}`)),
  ];
}

/** The sequence of an identity cannot leave its column: another one keeps its place. */
function keepIdentity(sequence: Sequence, owner: string): readonly string[] {
  const kept = identifier(KEPT_SCHEMA, sequence.name);
  return [
    `CREATE SEQUENCE ${kept} AS ${sequence.type} ${identityOptions(sequence)} OWNED BY ${owner}`,
    `SELECT pg_catalog.setval(${literal(kept)}, s.last_value, s.is_called) FROM ${identifier(sequence.schema, sequence.name)} AS s`,
  ];
}

function restoreIdentity({ table, column }: DroppedColumn, sequence: Sequence): readonly string[] {
  const name = identifier(sequence.schema, sequence.name);
  const relation = identifier(table.schema, table.name);
  const alter = `ALTER TABLE ${relation} ALTER COLUMN ${identifier(column.name)}`;
  return [
    `LOCK TABLE ${relation} IN ACCESS EXCLUSIVE MODE`,
    remakeIdentity({
      sequence,
      identity: column.identity,
      release: [`${alter} DROP DEFAULT`, `DROP SEQUENCE ${name}`],
      column: alter,
    }),
    ...commentOn(`SEQUENCE ${name}`, sequence.comment),
  ];
}

function moveSequence(
  sequence: { readonly schema: string; readonly name: string },
  to: string,
  owner: string,
): readonly string[] {
  const from = identifier(sequence.schema, sequence.name);
  return [
    `ALTER SEQUENCE ${from} OWNED BY NONE`,
    `ALTER SEQUENCE ${from} SET SCHEMA ${identifier(to)}`,
    `ALTER SEQUENCE ${identifier(to, sequence.name)} OWNED BY ${owner}`,
  ];
}

/** As replication applies rows: the table's own triggers do not fire, so that nothing else in the rows changes. */
function triggersOff(): string {
  return `DO $pgsteward$
BEGIN
  PERFORM pg_catalog.set_config('session_replication_role', 'replica', false);
EXCEPTION WHEN insufficient_privilege THEN
  RAISE NOTICE 'the triggers of the table fire for the values that come back';
END
$pgsteward$`;
}

/** Ends the way back while rows lack a value that they must have. */
export function refuseNulls({ table, column }: DroppedColumn): string {
  const relation = identifier(table.schema, table.name);
  const query = `SELECT * FROM ${relation} WHERE ${identifier(column.name)} IS NULL`;
  return `DO $pgsteward$
BEGIN
  IF EXISTS (${query}) THEN
    RAISE EXCEPTION 'there are rows without a value in a column that has to be NOT NULL again' USING HINT = ${literal(query)};
  END IF;
END
$pgsteward$`;
}
