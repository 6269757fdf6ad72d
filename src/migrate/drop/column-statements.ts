// The statements of a column's drop and of its return. While its values are copied, in batches, a trigger keeps the copy equal, so that nothing
// is read or written under the lock of the drop itself.
import { literal, type Catalog, type Column, type Domain, type Sequence } from "../../catalog/index.ts";
import { dollarQuoted, identifier } from "../../postgres/index.ts";
import { batchedBlock } from "../expand/backfill-sql.ts";
import { alone, inTransaction, type ExpandGroup } from "../expand/change.ts";
import { findColumn } from "../expand/parts.ts";
import { identityOptions, remakeIdentity } from "../expand/value-source.ts";
import { bareCatalog, goneCatalog, plannedWay, valuelessCatalog, type PlannedWay } from "./column-catalogs.ts";
import { firedBy, type DroppedColumn } from "./column-parts.ts";
import { commentOn } from "../expand/comment-on.ts";
import { createKeptSchema, dropKeptSchema } from "./drop-parts.ts";
import { createCopy, dropCopy, endCopying, fillCopy, keptTable, rowsOf, type KeptCopy } from "./kept-copy.ts";
import { KEPT_SCHEMA } from "./kept-names.ts";

export function relationOf({ table }: Pick<DroppedColumn, "table">): string {
  return identifier(table.schema, table.name);
}

export function dropColumn(dropped: DroppedColumn): readonly ExpandGroup[] {
  const { table, column, copies, sequence, incoming, parts } = dropped;
  const [first] = copies;
  const relation = relationOf(dropped);
  const name = identifier(column.name);
  const relations = [relation, ...incoming.map((other) => identifier(other.schema, other.table))];
  const kept = first === undefined ? "" : `${keptTable(first)}.${name}`;
  // An heir's copy of a check stays when the check goes with the column.
  const checks = (parts.get(table)?.constraints ?? []).filter(({ kind }) => kind === "check");
  return [
    ...copies.flatMap((copy) => inTransaction(createKeptSchema(), ...createCopy(copy))),
    ...copies.flatMap(fillCopy),
    ...plannedWay(dropped.catalog, dropped.unpublished.catalog).groups,
    ...inTransaction(
      `LOCK TABLE ${[...new Set(relations)].join(", ")} IN ACCESS EXCLUSIVE MODE`,
      ...incoming.map(
        (other) => `ALTER TABLE ${identifier(other.schema, other.table)} DROP CONSTRAINT ${identifier(other.key.name)}`,
      ),
      ...copies.flatMap(endCopying),
      ...(sequence === undefined
        ? []
        : column.identity === undefined
          ? [`ALTER TABLE ${relation} ALTER COLUMN ${name} DROP DEFAULT`, ...moveSequence(sequence, KEPT_SCHEMA, kept)]
          : keepIdentity(sequence, kept)),
      ...checks.map((check) => `ALTER TABLE ${relation} DROP CONSTRAINT ${identifier(check.name)}`),
      `ALTER TABLE ${relation} DROP COLUMN ${name}`,
    ),
  ];
}

/** An identity is a default in the meantime, of a sequence that everybody may use. */
export function restoreColumn(dropped: DroppedColumn): PlannedWay {
  const { table, column, sequence, copies } = dropped;
  const isIdentity = column.identity !== undefined;
  const relation = relationOf(dropped);
  const name = identifier(column.name);
  const bare = bareCatalog(dropped);
  const comes = plannedWay(goneCatalog(dropped), bare);
  const rest = plannedWay(bare, valuelessCatalog(dropped));
  const isQuiet = firedBy(dropped).length > 0;
  const groups = [
    ...comes.groups,
    ...inTransaction(
      ...(sequence === undefined
        ? []
        : moveSequence({ ...sequence, schema: KEPT_SCHEMA }, sequence.schema, `${relation}.${name}`)),
      ...(isIdentity && sequence !== undefined
        ? [`GRANT USAGE ON SEQUENCE ${identifier(sequence.schema, sequence.name)} TO PUBLIC`]
        : []),
      // After the column: rows that are there stay without a value until theirs comes back.
      ...defaultsOf(dropped),
    ),
    ...alone(
      "SET row_security = off",
      ...(isQuiet ? [triggersOff()] : []),
      ...copies.map((copy) => restoreValues(copy, defaultOf(dropped, copy.column) !== undefined)),
      ...(isQuiet ? ["RESET session_replication_role"] : []),
      "RESET row_security",
    ),
    ...rest.groups,
    ...(domainDefault(dropped) ? inTransaction(`ALTER TABLE ${relation} ALTER COLUMN ${name} DROP DEFAULT`) : []),
    ...(isIdentity && sequence !== undefined ? inTransaction(...restoreIdentity(dropped, sequence)) : []),
    ...alone(`ANALYZE ${identifier(table.schema, table.name)} (${name})`),
    ...inTransaction(...copies.flatMap(dropCopy), dropKeptSchema()),
  ];
  return { groups, hazards: [...comes.hazards, ...rest.hazards] };
}

function defaultOf({ sequence, catalog }: DroppedColumn, column: Column): string | undefined {
  if (column.identity !== undefined && sequence !== undefined)
    return `nextval(${literal(identifier(sequence.schema, sequence.name))})`;
  return column.default ?? domainOf(catalog, column)?.default;
}

/** Until the column is of the domain again, its default is the column's. */
function domainDefault({ catalog, column }: DroppedColumn): boolean {
  return (
    column.identity === undefined && column.default === undefined && domainOf(catalog, column)?.default !== undefined
  );
}

function domainOf({ domains }: Catalog, { typeName }: Column): Domain | undefined {
  return domains.find(({ schema, name }) => schema === typeName.schema && name === typeName.name);
}

/** That of the table goes down to all; a partition or heir may have another one, or none. */
function defaultsOf(dropped: DroppedColumn): readonly string[] {
  const { table, members, column } = dropped;
  const own = defaultOf(dropped, column);
  return members.flatMap((member) => {
    const expression = defaultOf(dropped, findColumn(member, column.name));
    if (member === table ? own === undefined : expression === own) return [];
    const only = member === table ? "" : "ONLY ";
    const what = expression === undefined ? "DROP DEFAULT" : `SET DEFAULT ${expression}`;
    return [
      `ALTER TABLE ${only}${identifier(member.schema, member.name)} ALTER COLUMN ${identifier(column.name)} ${what}`,
    ];
  });
}

function restoreValues(copy: KeptCopy, hasDefault: boolean): string {
  const relation = identifier(copy.table.schema, copy.table.name);
  const name = identifier(copy.column.name);
  const isSame = copy.rowKey.map((each) => `kept_row.${identifier(each)} = here.${identifier(each)}`).join(" AND ");
  const ofRow = `FROM ${keptTable(copy)} AS kept_row WHERE ${isSame}`;
  const rows = rowsOf(copy);
  const restore = (window: string): string =>
    `UPDATE ${rows} AS here SET ${name} = (SELECT kept_row.${name} ${ofRow}) WHERE ${window} AND ${name} IS NULL AND EXISTS (SELECT ${ofRow} AND kept_row.${name} IS NOT NULL);`;
  const fill = (window: string): string =>
    `UPDATE ${rows} AS here SET ${name} = DEFAULT WHERE ${window} AND ${name} IS NULL AND NOT EXISTS (SELECT ${ofRow});`;
  const batch = (window: string): string =>
    hasDefault ? `${restore(window)}\n        ${fill(window)}` : restore(window);
  return batchedBlock(relation, copy.rowKey, { batch, finish: "", rows });
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
  return `DO ${dollarQuoted(`
BEGIN
  PERFORM pg_catalog.set_config('session_replication_role', 'replica', false);
EXCEPTION WHEN insufficient_privilege THEN
  RAISE NOTICE 'the triggers of the table fire for the values that come back';
END
`)}`;
}

/** Ends the way back while rows lack a value that they must have. */
export function refuseNulls({ table, column }: DroppedColumn): string {
  const relation = identifier(table.schema, table.name);
  const query = `SELECT * FROM ${relation} WHERE ${identifier(column.name)} IS NULL`;
  return `DO ${dollarQuoted(`
BEGIN
  IF EXISTS (${query}) THEN
    RAISE EXCEPTION 'there are rows without a value in a column that has to be NOT NULL again' USING HINT = ${literal(query)};
  END IF;
END
`)}`;
}
